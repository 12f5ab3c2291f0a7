from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpora import catalogue, duplicates, reporting
from corpora.__main__ import main
from corpora.documents import Reading
from corpora.overlap import Against, runs
from corpora.requests import Build
from corpora.store import Corpus, build
from foundation.refusal import BadData, BadUsage
from tests.corpora.conftest import prose
from tests.corpora.test_building import documents

WORDS = "the river rose in night and nobody had seen it so high at mill before that year".split()  # noqa: SIM905


def written(path: Path, texts: list[str]) -> str:
    path.write_text("\n\n".join(texts), encoding="utf-8")
    return str(path)


def asked(tmp_path: Path, *sources: str, **more: object) -> Build:
    base = Build(sources=sources, out=tmp_path / "corpus", vocabulary=600, held_out=0.0)
    return replace(base, **more)  # type: ignore[arg-type]


def told(request: Build) -> dict:
    return Corpus.open(build(request)).meta


def test_the_first_of_equal_documents_is_kept_in_its_place(tmp_path: Path) -> None:
    texts = prose(30)
    one, two = (
        written(tmp_path / "1.txt", [*texts, texts[3], texts[0]]),
        written(tmp_path / "2.txt", [texts[7], "New."]),
    )
    request = asked(tmp_path, one, two)
    meta = told(request)
    assert documents(request.out) == [*texts, "New."]
    assert [read["duplicates"] for read in meta["read"]] == [2, 1]
    assert meta["documents"] == 31
    kept = replace(request, keep_duplicates=True, out=tmp_path / "kept")
    assert told(kept)["documents"] == 34
    assert documents(kept.out) == [*texts, texts[3], texts[0], texts[7], "New."]


def test_duplicates_are_found_file_by_file_as_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.zeros(3000, dtype=catalogue.ROW)
    draw = random.Random(0)
    content = [str(draw.randrange(1500)) for _ in rows]
    rows["digest"] = [np.frombuffer(catalogue.digest(text.encode()), "<u8") for text in content]
    seen: set[str] = set()
    expected = [text in seen or seen.add(text) is not None for text in content]
    for limit, piece in ((1 << 20, 1 << 18), (100, 64)):
        monkeypatch.setattr(duplicates, "LIMIT", limit)
        monkeypatch.setattr(catalogue, "PIECE", piece)
        path = tmp_path / str(limit)
        path.write_bytes(rows.tobytes())
        duplicates.mark(path)
        assert (catalogue.rows(path)["mark"] == catalogue.DUPLICATE).tolist() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["100", "1048576"]


@pytest.mark.parametrize(("words", "limit"), [(1000, None), (None, 17), (1000, 17), (10**9, None)])
def test_budgets_are_met_exactly_by_what_is_left(tmp_path: Path, words: int | None, limit: int | None) -> None:
    texts = prose(40)
    source = written(tmp_path / "1.txt", [text for text in texts for _ in range(2)])
    request = asked(tmp_path, source, words=words, documents=limit)
    meta = told(request)
    total = sum(len(text.split()) for text in texts)
    if limit is None:
        assert meta["words"] == min(words or 0, total)
    else:
        assert meta["documents"] == limit or meta["words"] == words
    found = documents(request.out)
    assert found[:-1] == texts[: len(found) - 1]
    assert texts[len(found) - 1].startswith(found[-1])
    assert meta["truncated"] == (found[-1] != texts[len(found) - 1])
    assert meta["bytes"] == sum(len(text.encode()) for text in found)


def test_a_budget_stops_the_reading_and_reads_on_where_duplicates_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from corpora import survey

    monkeypatch.setattr(survey, "BATCH", 200)
    texts = prose(200)
    source = written(tmp_path / "1.txt", [*texts[:5], *texts[:5] * 20, *texts[5:]])
    meta = told(asked(tmp_path, source, words=600))
    assert meta["words"] == 600
    assert not meta["read"][0]["whole"]
    assert 100 < meta["read"][0]["documents"] < 150


def test_weights_are_met_exactly_and_sources_repeated_or_cut(tmp_path: Path) -> None:
    small = [f"Small {number}. " + " ".join(WORDS) + "." for number in range(10)]
    large = [f"Large {number}. " + " ".join(reversed(WORDS)) + "." for number in range(100)]
    request = asked(
        tmp_path, written(tmp_path / "s.txt", small), written(tmp_path / "l.txt", large), weights=(3.0, 1.0), words=1000
    )
    meta = told(request)
    one, two = meta["read"]
    assert (one["taken_words"], two["taken_words"], meta["words"]) == (750, 250, 1000)
    assert one["passes"] == pytest.approx(750 / (10 * 19), abs=1e-3)
    assert one["repeated"] == one["taken"] - 10
    assert (two["repeated"], two["over_budget"]) == (0, 100 - two["taken"])
    found = documents(request.out)
    assert meta["documents"] == len(found) == one["taken"] + two["taken"]
    for begin in range(0, len(found) - 8, 8):  # woven: no stretch is without its share
        assert Counter(text.split()[0] for text in found[begin : begin + 8])["Small"] in (5, 6, 7)
    assert [text for text in found if text.startswith("Small")][:20] == small * 2


def test_a_blend_without_a_budget_has_as_many_words_as_its_sources(tmp_path: Path) -> None:
    texts = prose(60)
    request = asked(
        tmp_path, written(tmp_path / "1.txt", texts[:20]), written(tmp_path / "2.txt", texts[20:]), weights=(1.0, 1.0)
    )
    meta = told(request)
    assert meta["words"] == sum(len(text.split()) for text in texts)
    assert abs(meta["read"][0]["taken_words"] - meta["read"][1]["taken_words"]) <= 1


def test_a_source_of_a_blend_needs_a_document_of_its_own(tmp_path: Path) -> None:
    source = written(tmp_path / "1.txt", prose(5))
    copy = written(tmp_path / "2.txt", prose(5))
    with pytest.raises(BadData, match=r"2\.txt: no document to mix"):
        build(asked(tmp_path, source, copy, weights=(1.0, 1.0)))


def test_thirteen_words_in_a_row_are_an_overlap_and_twelve_are_none(tmp_path: Path) -> None:
    test = written(tmp_path / "test.txt", [" ".join(WORDS)])
    hits = ["Before. " + ", ".join(WORDS[2:15]).upper() + "! After."]
    misses = ["Before. " + " ".join(WORDS[2:14]) + " after.", " ".join(WORDS[:12]), *prose(5)]
    source = written(tmp_path / "1.txt", [*misses, *hits])
    meta = told(asked(tmp_path, source, against=(Path(test),)))
    assert meta["read"][0]["overlapping"] == 1
    assert meta["documents"] == len(misses) + 1
    assert meta["overlap"][test] == {"runs": len(WORDS) - 12, "met": 1}
    request = asked(tmp_path, source, against=(Path(test),), drop_overlap=True, out=tmp_path / "dropped")
    assert documents(build(request)) == misses
    with pytest.raises(BadData, match="all documents are left out"):
        build(replace(request, sources=(test,), out=tmp_path / "none"))


def test_runs_of_words_know_neither_punctuation_nor_capitals() -> None:
    text = " ".join(WORDS)
    assert runs(text).tolist() == runs(", ".join(WORDS).title()).tolist()
    assert len(set(runs(text).tolist())) == len(WORDS) - 12
    assert len(runs(" ".join(WORDS[:12]))) == 0
    assert not Against((), Reading(), Path()).meets(text)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"weights": (1.0, 2.0)}, "2 for 1 sources"),
        ({"weights": (0.0,)}, "above 0"),
        ({"weights": (1.0,), "documents": 3}, "--documents does not go with --weights"),
        ({"drop_overlap": True}, "--against"),
        ({"shard": "3/2"}, "i/n"),
        ({"shard": "1"}, "i/n"),
        ({"shard_bytes": 0}, "--shard-bytes 0"),
        ({"processes": 0}, "--processes 0"),
        ({"kind": "words"}, "unknown kind"),
    ],
)
def test_flags_that_cannot_be_are_refused(tmp_path: Path, more: dict[str, object], message: str) -> None:
    source = written(tmp_path / "1.txt", prose(3))
    with pytest.raises(BadUsage, match=message):
        build(asked(tmp_path, source, **more))


def test_the_report_says_what_was_left_out_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = prose(30)
    records = tmp_path / "<b>.jsonl"
    records.write_text('{"text": ""}\n{"text": "One more."}\n', encoding="utf-8")
    source = written(tmp_path / "1.txt", [*texts, texts[0]])
    test = written(tmp_path / "test.txt", [texts[2]])
    request = asked(tmp_path, source, str(records), against=(Path(test),))
    build(request)
    page = tmp_path / "page.html"
    assert main(["report", str(request.out), "--html", str(page)]) == 0
    said = capsys.readouterr().out
    assert "left out     2 documents: 1 empty, 1 duplicates of one before" in said
    assert "overlapping with evaluation files, kept" in said
    assert f"{test}: " in said
    html = page.read_text(encoding="utf-8")
    assert "<b>.jsonl" not in html
    assert "&lt;b&gt;.jsonl" in html
    assert 'alt="31 documents: half of them shorter than' in html
    assert main(["report", str(request.out), "--html", str(tmp_path / "no" / "page.html")]) == 1


def test_lengths_are_those_of_the_texts(tmp_path: Path) -> None:
    from corpora import lengths

    request = asked(tmp_path, written(tmp_path / "1.txt", prose(30)), shard_bytes=700, held_out=0.2)
    corpus = Corpus.open(build(request))
    for_documents, for_sentences = lengths.counted(corpus)
    expected = Counter(len(corpus.vocabulary.encode(text)).bit_length() for text in documents(request.out))
    assert {power: count for power, count in enumerate(for_documents.tolist()) if count} == expected
    assert for_sentences.sum() == corpus.meta["sentences"]
    assert reporting.facts(corpus)["left out"] == "0 documents"


def test_disk_holds_two_bytes_a_token_beside_the_boundaries(tmp_path: Path) -> None:
    request = asked(tmp_path, written(tmp_path / "1.txt", prose(400)))
    meta = told(request)
    sizes = Counter(path.suffix for path in request.out.iterdir() for _ in range(path.stat().st_size))
    assert sizes[".tokens"] <= 2.2 * meta["tokens"]
    assert sizes[".documents"] == 4 * (meta["documents"] + 2)
    assert sizes[".sentences"] == 4 * meta["sentences"]
