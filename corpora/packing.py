"""Packings: a pure table that says of each row which pieces of a part stand in it.

    documents      aaaaa bbb ccccccccccc dd
    stream         aaaaab|bbcccc|cccccc|cdd        concatenated and cut: only the last row is short
    document       aaaaa|bbb|cccccc|ccccc|dd       no row holds two documents
    best-fit       aaaaa|bbb dd|cccccc|ccccc       documents packed whole, the longer ones cut into full rows first

Each token of a part stands in exactly one row. A document's end token is its last one. Rows of a packing come in the
order of the text of their first pieces, and so do the pieces of a row.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, Integer

from corpora.part import Part
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


@runtime_checkable
class Packing(Protocol):
    """Rows of at most `block` tokens."""

    block: int

    def __len__(self) -> int: ...

    def pieces(self, rows: Integer[np.ndarray, " rows"]) -> Pieces:
        """Return what stands in some of the rows."""
        ...


class Stream:
    """Row i is the tokens i × block … (i + 1) × block."""

    def __init__(self, part: Part, block: int) -> None:
        self.block, self.tokens = block, len(part)

    def __len__(self) -> int:
        return -(-self.tokens // self.block)

    def pieces(self, rows: Integer[np.ndarray, " rows"]) -> Pieces:
        """Return what stands in some of the rows."""
        begins = rows.astype(np.int64) * self.block
        none = np.zeros(len(rows), dtype=np.int64)
        return Pieces(np.arange(len(rows)), none, begins, np.minimum(self.block, self.tokens - begins))


PACKINGS = ("stream",)


def packed(part: Part, block: int, name: str = "stream") -> Packing:
    """Return a part in rows of at most `block` tokens.

    Raises:
        BadUsage: if there is no such packing.
    """
    if name not in PACKINGS:
        raise unknown("packing", name, PACKINGS)
    return Stream(part, block)
