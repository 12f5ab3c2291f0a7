from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpora import fetching
from corpora.encoding import token_kind
from corpora.requests import Build
from corpora.sentences import starts
from corpora.store import PARTS, Corpus, build
from foundation import durable
from foundation.refusal import BadData, BadUsage, RunFailed
from tests.corpora.conftest import prose


def asked(notes: Path, out: Path, **more: object) -> Build:
    return replace(Build(sources=(str(notes),), out=out, vocabulary=700, held_out=0.1), **more)  # type: ignore[arg-type]


def texts(corpus: Corpus, name: str) -> list[str]:
    part = corpus.part(name)
    bounds = [*part.documents.at(np.arange(len(part.documents))).tolist(), len(part)]
    return [corpus.vocabulary.decode(part.tokens(a, b - 1)) for a, b in itertools.pairwise(bounds)]


def test_every_document_comes_back_once_and_in_order(corpus: Corpus) -> None:
    given = prose(60)
    parts = {name: texts(corpus, name) for name in PARTS}
    assert sorted(parts["train"] + parts["held-out"]) == sorted(given)
    for found in parts.values():
        assert found == sorted(found, key=given.index)
    assert 0 < len(parts["held-out"]) < 20


def test_each_document_ends_with_its_mark_and_has_no_other_special_token(corpus: Corpus) -> None:
    for name in PARTS:
        part = corpus.part(name)
        special = ~corpus.vocabulary.ordinary[part.tokens()]
        bounds = part.documents.at(np.arange(len(part.documents)))
        assert np.flatnonzero(special).tolist() == [*(bounds[1:] - 1).tolist(), len(part) - 1]
        assert set(part.tokens()[special].tolist()) == {corpus.vocabulary.eos}


def test_sentences_start_at_the_tokens_that_hold_their_first_letters(corpus: Corpus) -> None:
    for name in PARTS:
        part, expected = corpus.part(name), []
        for number, text in enumerate(texts(corpus, name)):
            begin = int(part.documents.at(np.array([number]))[0])
            spans = corpus.vocabulary.tokenizer.encode(text).offsets
            expected += [begin + next(i for i, (a, b) in enumerate(spans) if a <= p < b) for p in starts(text)]
        sentences = part.sentences.at(np.arange(len(part.sentences))).tolist()
        assert sentences == expected
        assert set(part.documents.at(np.arange(len(part.documents))).tolist()) <= set(sentences)


def test_the_counts_are_those_of_the_text(corpus: Corpus) -> None:
    given = prose(60)
    meta = corpus.meta
    assert meta["documents"] == 60
    assert meta["words"] == sum(len(text.split()) for text in given)
    assert meta["bytes"] == sum(len(text.encode()) for text in given)
    assert meta["tokens"] == sum(len(corpus.part(name)) for name in PARTS)
    assert meta["sentences"] == sum(len(starts(text)) for text in given)
    assert meta["vocabulary"] == corpus.vocabulary.size


def test_the_order_of_documents_does_not_choose_which_are_held_out(corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "reversed.txt"
    path.write_text("\n\n".join(reversed(prose(60))), encoding="utf-8")
    other = Corpus.open(build(asked(path, tmp_path / "out")))
    assert sorted(texts(other, "held-out")) == sorted(texts(corpus, "held-out"))


def test_batches_do_not_change_what_is_built(corpus: Corpus, notes: Path, tmp_path: Path) -> None:
    small = fetching.BATCH
    fetching.BATCH = 300
    try:
        again = Corpus.open(build(asked(notes, tmp_path / "out")))
    finally:
        fetching.BATCH = small
    assert again.fingerprint == corpus.fingerprint


def test_fingerprints_differ_when_anything_does(corpus: Corpus, notes: Path, tmp_path: Path) -> None:
    found = {corpus.fingerprint}
    for number, more in enumerate([{"vocabulary": 600}, {"seed": 1}, {"words": 500}, {"held_out": 0.0}]):
        found.add(Corpus.open(build(asked(notes, tmp_path / str(number), **more))).fingerprint)
    assert len(found) == 5


def test_a_small_corpus_still_holds_one_document_out(tmp_path: Path) -> None:
    path = tmp_path / "two.txt"
    path.write_text("The first one is here.\n\nThe second one is there.\n")
    two = Corpus.open(build(asked(path, tmp_path / "two", held_out=0.01)))
    assert [two.meta["parts"][name]["documents"] for name in PARTS] == [1, 1]
    path.write_text("The only one is here.\n")
    one = Corpus.open(build(asked(path, tmp_path / "one", held_out=0.01)))
    assert len(one.part("held-out")) == 0
    assert len(one.part("held-out").documents) == 0


def test_the_same_request_finds_the_corpus_and_another_is_refused(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = asked(notes, tmp_path / "out")
    build(request)
    before = (request.out / "meta.json").stat().st_mtime_ns
    capsys.readouterr()
    build(request)
    assert "re-used" in capsys.readouterr().err
    assert (request.out / "meta.json").stat().st_mtime_ns == before
    with pytest.raises(BadUsage, match="vocabulary: 700 there, 600 asked for"):
        build(replace(request, vocabulary=600))
    build(replace(request, vocabulary=600, overwrite=True))
    assert Corpus.open(request.out).vocabulary.size == 600


def test_a_changed_source_or_a_damaged_file_is_not_re_used(notes: Path, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    shutil.copy(notes, path)
    request = asked(path, tmp_path / "out")
    build(request)
    path.write_text(path.read_text(encoding="utf-8") + "\n\nOne more.", encoding="utf-8")
    with pytest.raises(BadUsage, match=r"notes\.txt: .* there, .* asked for"):
        build(request)
    build(replace(request, overwrite=True))
    with (request.out / "train-00000.tokens").open("ab") as file:
        file.write(b"\0\0")
    with pytest.raises(BadUsage, match=r"train-00000\.tokens has"):
        build(request)
    with pytest.raises(BadData, match=r"train-00000\.tokens has .* tells"):
        Corpus.open(request.out)


def test_a_folder_that_is_no_corpus_is_never_overwritten(notes: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "meta.json").write_text('{"format": 1}')
    for out in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(BadUsage, match="is no corpus"):
            build(asked(notes, out, overwrite=True))
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_failed_build_leaves_nothing(notes: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"good\n\n\xff\n")
    with pytest.raises(BadData):
        build(Build(sources=(str(notes), str(bad)), out=tmp_path / "out" / "corpus"))
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_one_message(notes: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFailed, match=r"File exists|Not a directory"):
        build(asked(notes, tmp_path / "file" / "corpus"))


def test_a_finished_corpus_is_whole_and_only_a_whole_one_opens(corpus: Corpus, tmp_path: Path) -> None:
    assert durable.problems(corpus.folder) == []
    with pytest.raises(BadData, match="no corpus"):
        Corpus.open(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(corpus.folder, copy)
    meta = json.loads((copy / "meta.json").read_text())
    (copy / "meta.json").write_text(json.dumps({**meta, "format": 99}))
    with pytest.raises(BadData, match="format 99"):
        Corpus.open(copy)
    (copy / "meta.json").write_text("{")
    with pytest.raises(BadData, match="cannot be read"):
        Corpus.open(copy)
    with pytest.raises(BadUsage, match="held-out"):
        corpus.part("heldout")


def test_tokens_take_two_bytes_while_their_ids_fit() -> None:
    assert [token_kind(size).itemsize for size in (600, 1 << 16, (1 << 16) + 1)] == [2, 2, 4]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"vocabulary": 300}, "at least 525"),
        ({"held_out": 0.7}, "outside"),
        ({"words": 0}, "--words 0"),
        ({"documents": -1}, "--documents -1"),
        ({"sources": ()}, "no source"),
    ],
)
def test_numbers_that_cannot_be_are_refused(notes: Path, tmp_path: Path, more: dict[str, object], told: str) -> None:
    with pytest.raises(BadUsage, match=told):
        build(asked(notes, tmp_path / "out", **more))
