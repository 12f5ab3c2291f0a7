"""Packings are pure tables in which every token of a part stands exactly once."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora import fitting
from corpora.__main__ import main
from corpora.cache import VARIABLE
from corpora.packing import PACKINGS, packed
from corpora.part import Part
from corpora.store import Corpus
from foundation.refusal import BadUsage
from tests.corpora.parts import every, numbered

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=60)


def rows_of(part: Part, block: int, name: str) -> list[list[tuple[int, int]]]:
    """Each row as its pieces, (begin, length)."""
    table = packed(part, block, name)
    found = table.pieces(np.arange(len(table)))
    rows: list[list[tuple[int, int]]] = [[] for _ in range(len(table))]
    for row, column, begin, length in zip(*(array.tolist() for array in found), strict=True):
        assert column == sum(size for _, size in rows[row])
        rows[row].append((begin, length))
    return rows


def once(rows: list[list[tuple[int, int]]], total: int) -> bool:
    """Every token stands in exactly one row."""
    seen = [place for row in rows for begin, length in row for place in range(begin, begin + length)]
    return sorted(seen) == list(range(total))


@pytest.mark.parametrize("name", PACKINGS)
@settings(deadline=None, max_examples=50)
@given(lengths=LENGTHS, block=st.integers(1, 70))
def test_every_token_stands_in_exactly_one_row(name: str, lengths: list[int], block: int) -> None:
    rows = rows_of(numbered(lengths), block, name)
    assert once(rows, sum(lengths))
    assert all(0 < sum(size for _, size in row) <= block for row in rows)
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert all(row == sorted(row) for row in rows)


def test_the_law_sees_a_token_that_is_left_out_and_one_that_is_read_twice() -> None:
    assert not once([[(0, 4)], [(5, 2)]], 7)
    assert not once([[(0, 4)], [(3, 4)]], 7)


@settings(deadline=None, max_examples=50)
@given(lengths=LENGTHS, block=st.integers(1, 70))
def test_no_row_of_document_packing_holds_two_documents(lengths: list[int], block: int) -> None:
    part = numbered(lengths)
    rows = rows_of(part, block, "document")
    assert len(rows) == sum(-(-length // block) for length in lengths)
    for ((begin, length),) in rows:
        first, last = part.document_of(np.array([begin, begin + length - 1]))
        assert first == last


@settings(deadline=None, max_examples=50)
@given(lengths=LENGTHS, block=st.integers(1, 70))
def test_best_fit_cuts_only_what_is_longer_than_a_block(lengths: list[int], block: int) -> None:
    part = numbered(lengths)
    rows = rows_of(part, block, "best-fit")
    pieces = [piece for row in rows for piece in row]
    assert len(pieces) == sum(-(-length // block) for length in lengths)
    whole = {(begin, length) for begin, length in zip(every(part.documents), lengths, strict=True) if length <= block}
    assert whole <= set(pieces)


def slowly(sizes: list[int], block: int) -> list[int]:
    """Best fit decreasing as it is defined, piece by piece; how many tokens the rows hold."""
    rows: list[int] = []
    for size in sorted(sizes, reverse=True):
        fits = [row for row in rows if row + size <= block]
        if fits:
            rows.remove(max(fits))
        rows.append(max(fits, default=0) + size)
    return sorted(rows)


@settings(deadline=None, max_examples=50)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=80), more=st.integers(0, 20))
def test_pieces_are_fitted_as_one_by_one(sizes: list[int], more: int) -> None:
    block = max(sizes) + more
    found = fitting.fitted(np.array(sizes), block)
    assert sorted(np.bincount(found, sizes).astype(int).tolist()) == slowly(sizes, block)


@pytest.mark.parametrize(("mean", "block"), [(60, 128), (300, 128), (300, 512), (900, 2048)])
def test_best_fit_fills_rows_with_text_of_ordinary_lengths(mean: int, block: int) -> None:
    lengths = np.random.default_rng(mean).lognormal(math.log(mean), 1.0, 2000).astype(int) + 2
    assert packed(numbered(lengths.tolist()), block, "best-fit").fill >= 0.97


@settings(deadline=None, max_examples=50)
@given(lengths=LENGTHS, most=st.integers(1, 20), block=st.integers(1, 30), cut=st.integers(0, 60))
def test_windows_depend_on_the_documents_alone(lengths: list[int], most: int, block: int, cut: int) -> None:
    found = [
        [(begins.tolist(), sizes.tolist()) for begins, sizes in fitting.windows(part, block, most)]
        for part in (numbered(lengths), numbered(lengths, [min(cut, len(lengths))] * 2))
    ]
    assert found[0] == found[1]
    assert [size for _, sizes in found[0] for size in sizes] == lengths
    for _, sizes in found[0]:
        assert len(sizes) <= most
        assert sum(sizes[:-1]) < most * block


def test_windows_change_how_full_rows_are_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = np.random.default_rng(0).integers(1, 60, 300).tolist()
    monkeypatch.setattr(fitting, "windows", lambda part, block: WINDOWS(part, block, 16))
    assert once(rows_of(numbered(lengths), 32, "best-fit"), sum(lengths))


WINDOWS = fitting.windows


def test_a_table_is_made_once_and_mapped(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    part = corpus.part("train")
    made = packed(part, 32, "best-fit")
    (folder,) = (path for path in (tmp_path / "packings").iterdir() if path.is_dir())
    assert corpus.fingerprint[:32] in folder.name
    monkeypatch.setattr(fitting, "fitted", None)  # it is not called again
    again = packed(part, 32, "best-fit")
    assert not again.begins.flags.owndata
    rows = np.arange(len(made))
    assert all(np.array_equal(*both) for both in zip(made.pieces(rows), again.pieces(rows), strict=True))
    assert len(packed(corpus.part("held-out"), 32, "document")) > 0


def test_a_table_is_made_in_memory_where_nothing_can_be_written(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    part = corpus.part("train")
    assert once(rows_of(part, 32, "best-fit"), len(part))
    assert os.listdir(tmp_path) == ["file"]


def test_an_unknown_packing_is_refused(corpus: Corpus) -> None:
    with pytest.raises(BadUsage, match="unknown packing: 'bestfit'"):
        packed(corpus.part("train"), 32, "bestfit")


@pytest.mark.parametrize("name", PACKINGS)
def test_the_command_shows_blocks_of_a_packing(name: str, corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(corpus.folder), "--packing", name, "--block", "48"]) == 0
    shown = capsys.readouterr().out
    assert f"packing      {name}, {len(packed(corpus.part('train'), 48, name)):,} blocks of 48, " in shown
