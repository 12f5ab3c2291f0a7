"""Every kind of vocabulary keeps every byte, is the same in every run, and is opened by transformers."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.kinds import KINDS, SMALLEST, save, train
from corpora.specials import FIRST, SPECIALS
from corpora.vocabulary import Vocabulary
from foundation.refusal import BadUsage
from tests.corpora.conftest import prose
from tests.objectives.kinds import TEXTS

SIZE = 900
HARD = "e\u0301 \u202eעבר\u202c 👩\u200d👩\u200d👧 \x01\x1f\x7f\x85\u2028\ufeff ﬁ "
HARD += "##a ### # <0x41> <mask></s> Ġ ▁ 我们在这里。 \r\n\t  x"


@cache
def made(kind: str) -> Vocabulary:
    return Vocabulary.of(train([*prose(40), *TEXTS], SIZE, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_come_first_and_only_ordinary_ones_follow(kind: str) -> None:
    vocabulary = made(kind)
    assert vocabulary.pieces[:FIRST] == list(SPECIALS)
    assert vocabulary.ordinary.tolist() == [False] * FIRST + [True] * (vocabulary.size - FIRST)
    assert SMALLEST <= vocabulary.size <= SIZE
    assert len(set(vocabulary.pieces)) == vocabulary.size
    assert vocabulary.end == vocabulary.eos == 3


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=100)
@given(st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("#ab' \n<>\u0301‍👩我")), max_size=60))
def test_text_comes_back_byte_for_byte_and_is_never_unknown_or_special(kind: str, text: str) -> None:
    vocabulary = made(kind)
    ids = vocabulary.encode(text)
    assert vocabulary.lossless
    assert vocabulary.decode(ids) == text
    assert b"".join(vocabulary.said[number] for number in ids) == text.encode()
    assert int(vocabulary.byte_lengths[ids].sum()) == len(text.encode())
    assert all(number >= FIRST for number in ids)


@pytest.mark.parametrize("kind", KINDS)
def test_long_and_hard_texts_come_back(kind: str) -> None:
    vocabulary = made(kind)
    for text in (HARD, HARD * 30, "我们在这里" * 200, "#" * 99, "a" * 999, " " * 99, *SPECIALS[:14]):
        assert vocabulary.decode(vocabulary.encode(text)) == text


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_gives_the_ids_and_the_text_that_we_give(kind: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = train([*prose(40), *TEXTS], SIZE, kind)
    save(tokenizer, tmp_path)
    opened, again = AutoTokenizer.from_pretrained(tmp_path), Vocabulary.open(tmp_path)
    assert again.sha256 == made(kind).sha256
    opened.save_pretrained(tmp_path / "again")
    for text in (*TEXTS, *prose(3), HARD.replace("<mask></s>", "")):
        ids = made(kind).encode(text)
        assert opened(text, add_special_tokens=False).input_ids == again.encode(text) == ids
        assert Vocabulary.open(tmp_path / "again").encode(text) == ids
        assert opened.decode(ids) == text
    assert (opened.pad_token_id, opened.eos_token_id, opened.mask_token_id) == (0, 3, 4)
    assert len(opened) == again.size


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_frames_every_kind(kind: str, tmp_path: Path) -> None:
    from objectives import Frame
    from pretrain.framing import tokenizer

    save(train(prose(9), SIZE, kind), tmp_path)
    view = Vocabulary.open(tmp_path)
    framed = tokenizer(tmp_path, view, Frame(before="cls", between="sep", after="sep"), 64, types=True)
    one, two = view.encode("The river rose."), view.encode("It's high\nup.")
    assert framed("The river rose.").input_ids == [6, *one, 5]
    assert framed("The river rose.", "It's high\nup.").input_ids == [6, *one, 5, *two, 5]
    assert framed.decode([6, *two, 5], skip_special_tokens=True) == "It's high\nup."


_SCRIPT = """
import sys, hashlib
from corpora.kinds import KINDS, train
from tests.corpora.test_kinds import ties
for kind in KINDS:
    print(hashlib.sha256(train(ties(), 1200, kind).to_str().encode()).hexdigest())
"""


def ties() -> list[str]:
    """A text in which many pieces are equally frequent."""
    return [" ".join(f"{a}{b}{c}" for a in "kmnprst" for b in "aeiou" for c in ("ne", "lo", "ri", "", "s")), *prose(20)]


def test_the_same_sample_gives_the_same_vocabulary_in_every_process_on_any_threads() -> None:
    here = [hashlib.sha256(train(ties(), 1200, kind).to_str().encode()).hexdigest() for kind in KINDS]
    for seed, threads in (("1", "1"), ("2", "3"), ("3", "2")):
        more = {"PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": str(threads > "1")}
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT], env={**os.environ, **more}, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == here


def test_the_order_of_the_sample_does_not_matter() -> None:
    for kind in KINDS:
        assert train(ties()[::-1], 1200, kind).to_str() == train(ties(), 1200, kind).to_str()


def test_a_unigram_vocabulary_has_the_words_that_are_frequent_and_no_more_than_asked() -> None:
    pieces = Vocabulary.of(train(["the cat and the dog and the bird"] * 9, 530, "unigram")).pieces
    assert len(pieces) <= 530
    assert {"the", "Ġand", "Ġbird"} < set(pieces)
    assert Vocabulary.of(train([], 900, "unigram")).size == SMALLEST


@pytest.mark.parametrize(
    ("size", "kind", "told"), [(524, "unigram", "at least 525"), (780, "wordpiece", "at least 781")]
)
def test_a_vocabulary_without_room_is_refused(size: int, kind: str, told: str) -> None:
    with pytest.raises(BadUsage, match=told):
        train([], size, kind)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(BadUsage, match="did you mean unigram"):
        train([], 900, "unigrams")
