"""A corpus in any kind of vocabulary is learned from, byte-level or not, ours or another's."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from corpora.encoding import Encoder
from corpora.kinds import KINDS, save, train
from corpora.requests import Build
from corpora.store import Corpus, build
from pretrain import checkpoint
from pretrain.__main__ import main
from tests.objectives.kinds import kinds
from tests.pretrain.conftest import sentences

COMMON = ["--block=64", "--rows=4", "--steps=2", "--eval-tokens=512", "--evaluations=1", "--threads=1"]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(sentences(40, 0), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", [*KINDS, "foreign unigram", "foreign wordpiece"])
def test_two_objectives_learn_in_every_kind_of_vocabulary(kind: str, text: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    documents = text.read_text(encoding="utf-8").strip().split("\n\n")
    own = train(documents, 800, kind) if kind in KINDS else kinds()[kind.removeprefix("foreign ")].tokenizer
    save(own, tmp_path / "tokenizer")
    out = build(Build(sources=(str(text),), out=tmp_path / "corpus", tokenizer=tmp_path / "tokenizer", held_out=0.1))
    corpus = Corpus.open(out)
    assert corpus.vocabulary.lossless == (kind in KINDS)
    for objective, family in (("sentence-order", "bert"), ("span-corruption", "t5")):
        run = tmp_path / objective
        flags = ["--corpus", str(out), "--out", str(run), "--objective", objective, "--family", family]
        assert main([*flags, *COMMON]) == 0
        framed = AutoTokenizer.from_pretrained(checkpoint.resolve(run))
        plain = Encoder(corpus.vocabulary)([documents[0]]).ids.tolist()[:-1]
        assert framed(documents[0], add_special_tokens=False).input_ids == plain
        view = corpus.vocabulary
        before, after = ([view.cls], [view.sep]) if family == "bert" else ([], [view.eos])
        assert framed(documents[0]).input_ids == [*before, *plain, *after]
