"""Packings: a pure table that says of each row which pieces of a part stand in it.

    documents      aaaaa bbb ccccccccccc dd
    stream         aaaaab|bbcccc|cccccc|cdd        concatenated and cut: only the last row is short
    document       aaaaa|bbb|cccccc|ccccc|dd       no row holds two documents
    best-fit       aaaaa|bbb dd|cccccc|ccccc       documents packed whole, the longer ones cut into full rows first

Each token of a part stands in exactly one row. A document's end token is its last one. Rows of a packing come in the
order of the text of their first pieces, and so do the pieces of a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, Integer

from corpora import fitting
from corpora.cache import alone, cache_folder
from corpora.part import Part, laid_out
from foundation import durable
from foundation.refusal import unknown


class Pieces(NamedTuple):
    """Pieces of a part, as they stand in some rows."""

    rows: Int64[np.ndarray, " pieces"]
    """Which of the rows that were asked for, in their order."""
    columns: Int64[np.ndarray, " pieces"]
    """Where in the row; the pieces of a row follow each other from column 0."""
    begins: Int64[np.ndarray, " pieces"]
    """The place of the part."""
    lengths: Int64[np.ndarray, " pieces"]
    """The tokens."""


class Stream:
    """Row i is the tokens i × block … (i + 1) × block; the last one, if it is shorter, counts as full."""

    fill = Fraction(1)
    """The share of the places of all rows that hold a token."""

    def __init__(self, part: Part, block: int) -> None:
        self.block, self.tokens = block, len(part)

    def __len__(self) -> int:
        return -(-self.tokens // self.block)

    def pieces(self, rows: Integer[np.ndarray, " rows"]) -> Pieces:
        """Return what stands in some of the rows."""
        begins = rows.astype(np.int64) * self.block
        none = np.zeros(len(rows), dtype=np.int64)
        return Pieces(np.arange(len(rows)), none, begins, np.minimum(self.block, self.tokens - begins))


class Table:
    """Rows that are looked up: the pieces of all rows, one behind the other, and where each row's begin."""

    def __init__(self, tokens: int, block: int, begins: np.ndarray, lengths: np.ndarray, firsts: np.ndarray) -> None:
        self.block, self.begins, self.lengths, self.firsts = block, begins, lengths, firsts
        self.fill = Fraction(tokens, max(1, len(self) * block))

    def __len__(self) -> int:
        return len(self.firsts) - 1

    def pieces(self, rows: Integer[np.ndarray, " rows"]) -> Pieces:
        """Return what stands in some of the rows."""
        firsts = self.firsts[rows].astype(np.int64)
        counts = self.firsts[rows + 1] - firsts
        found = laid_out(firsts, counts)
        owners, lengths = np.repeat(np.arange(len(rows)), counts), self.lengths[found].astype(np.int64)
        columns = np.cumsum(lengths) - lengths
        columns -= columns[np.cumsum(counts) - counts][owners]
        return Pieces(owners, columns, self.begins[found].astype(np.int64), lengths)


Packing = Stream | Table

_FILES = {"begins": "<i8", "lengths": "<u4", "firsts": "<i8"}
_TABLES = {"document": fitting.cut, "best-fit": fitting.best_fit}
_VERSION = 1
PACKINGS = ("stream", *_TABLES)


def packed(part: Part, block: int, name: str = "stream") -> Packing:
    """Return a part in rows of at most `block` tokens.

    A table is made once and kept in the cache, by what the part holds; there it is mapped into memory. That of a
    part in memory, or where nothing can be written, is made anew.

    Raises:
        BadUsage: if there is no such packing.
    """
    if name not in PACKINGS:
        raise unknown("packing", name, PACKINGS)
    if name == "stream":
        return Stream(part, block)
    if not part.mark:
        return _made(part, block, name)
    folder = cache_folder() / "packings" / f"{part.mark}-{block}-{name}-{_VERSION}"
    with alone(folder) if not folder.is_dir() else nullcontext():
        if not folder.is_dir():
            try:
                with durable.new_folder(folder) as new:
                    _write(part, block, name, new)
            except OSError:
                return _made(part, block, name)
    arrays = {kind: _mapped(folder / kind, dtype) for kind, dtype in _FILES.items()}
    return Table(len(part), block, **arrays)


def _rows(part: Part, block: int, name: str) -> Iterator[dict[str, np.ndarray]]:
    """Yield a table window by window, as its files hold it."""
    pieces = 0
    yield {"begins": np.empty(0), "lengths": np.empty(0), "firsts": np.zeros(1)}
    for window in _TABLES[name](part, block):
        firsts = pieces + np.cumsum(window.counts)
        yield {"begins": window.begins, "lengths": window.lengths, "firsts": firsts}
        pieces += len(window.begins)


def _made(part: Part, block: int, name: str) -> Table:
    found = list(_rows(part, block, name))
    arrays = {kind: np.concatenate([one[kind].astype(t) for one in found]) for kind, t in _FILES.items()}
    return Table(len(part), block, **arrays)


def _write(part: Part, block: int, name: str, folder: Path) -> None:
    with ExitStack() as stack:
        files = {kind: stack.enter_context((folder / kind).open("wb")) for kind in _FILES}
        for arrays in _rows(part, block, name):
            for kind, dtype in _FILES.items():
                files[kind].write(arrays[kind].astype(dtype).data)


def _mapped(path: Path, dtype: str) -> np.ndarray:
    return np.asarray(np.memmap(path, dtype=dtype, mode="r")) if path.stat().st_size else np.empty(0, dtype=dtype)
