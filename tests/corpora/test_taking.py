"""Tokenizers of others: opened by name or folder, told what they serve, given what they lack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from corpora.encoding import Encoder
from corpora.specials import SPECIALS
from corpora.taking import NEEDS, lacking, taken
from corpora.vocabulary import Vocabulary
from foundation.refusal import BadData, BadUsage
from objectives import OBJECTIVES, Mixture
from tests.corpora.test_vocabulary import of_transformers

NAMES = ("T5", "Albert", "XLMRoberta", "Bert", "GPT2")


def test_the_table_of_needs_is_that_of_the_objectives() -> None:
    table = {name: set(need) for need, names in NEEDS.items() for name in names}
    kinds = {name: kind for name, kind in OBJECTIVES.items() if not issubclass(kind, Mixture)}
    assert table == {name: set(kind().needs) for name, kind in kinds.items()}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_is_added_behind_the_ids_that_are_there(name: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    source = of_transformers(name)
    source.save_pretrained(tmp_path / "source")
    before = Vocabulary.of(source)
    found = taken(tmp_path / "source", tmp_path / "to", add_special=True)
    view = found.vocabulary
    assert [view.pieces[number] for number in range(before.size, view.size)] == list(found.added)
    assert view.pieces[: before.size] == before.pieces
    assert list(found.added) == [name for name in SPECIALS if name in found.added]
    assert not [need for need in NEEDS if lacking(view, need)]
    assert lacking(view, ["nlu", "nlg", "s2s"]) == []
    assert view.draw.tolist() == before.draw.tolist()
    assert len(view.sentinels) == (100 if name == "T5" else 256)
    opened = AutoTokenizer.from_pretrained(tmp_path / "to")
    assert len(opened) == view.size
    assert (opened.mask_token_id, opened.pad_token_id, opened.sep_token_id) == (view.mask, view.pad, view.sep)
    for text in ("the fox,", "ab a"):
        assert opened(text, add_special_tokens=False).input_ids == view.encode(text) == before.encode(text)
    assert "cannot" not in found.told()
    assert "added" in found.told()
    assert Encoder(view)(["the fox"]).ids[-1] == view.end


def test_without_it_a_tokenizer_stays_as_it_is_and_says_what_it_serves(tmp_path: Path) -> None:
    told = {}
    for name in ("T5", "Bert", "GPT2"):
        source = of_transformers(name)
        source.save_pretrained(tmp_path / name)
        found = taken(tmp_path / name, tmp_path / f"{name} taken")
        assert found.added == ()
        assert found.vocabulary.pieces == Vocabulary.of(source).pieces
        told[name] = found.told().splitlines()
    assert told["T5"][0] == "serves span-corruption, deshuffling"
    assert told["Bert"][0] == "serves token-masking, sentence-order, next-sentence"
    assert told["GPT2"][0] == "serves no objective"
    assert "span-corruption (no sentinels, eos)" in told["Bert"][1]
    assert told["Bert"][1].endswith("give --add-special")


def test_a_name_is_looked_up_in_the_cache_of_the_hub(tmp_path: Path) -> None:
    cached = tmp_path / "hub" / "models--some--model"
    commit = "1234567890" * 4
    of_transformers("Bert").save_pretrained(cached / "snapshots" / commit)
    (cached / "snapshots" / commit / "config.json").write_text('{"model_type": "bert"}')
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    script = f"""
from pathlib import Path
from corpora.taking import taken
for number, name in enumerate(["some/model", "hub:some/model"]):
    print(taken(name, Path({str(tmp_path)!r}) / str(number)).vocabulary.mask)
"""
    env = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "4"]


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="no such folder"):
        taken("/no/such/folder", tmp_path / "to")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="cannot be opened"):
        taken(tmp_path / "empty", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_tokenizer_without_an_end_needs_one(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    from tests.objectives.kinds import kinds

    backend = type(kinds()["words"].tokenizer)
    plain = backend.from_str(
        '{"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"Whitespace"},'
        '"post_processor":null,"decoder":null,"truncation":null,"padding":null,'
        '"model":{"type":"WordLevel","vocab":{"a":0,"b":1},"unk_token":"a"}}'
    )
    PreTrainedTokenizerFast(tokenizer_object=plain).save_pretrained(tmp_path / "plain")
    with pytest.raises(BadData, match="ends a text"):
        taken(tmp_path / "plain", tmp_path / "to")
    found = taken(tmp_path / "plain", tmp_path / "to", add_special=True)
    assert found.vocabulary.eos == found.added.index("</s>") + 2
