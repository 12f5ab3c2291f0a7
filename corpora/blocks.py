"""Blocks of a part, gathered as a struct of arrays: one look-up for a whole batch, no loop over rows.

Stream packing: the documents stand one after the other, each closed by ``</s>``, and block i is the tokens
i × block … (i + 1) × block. Only the last block of a part can be shorter.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer, UInt64
from numpy.typing import NDArray

from corpora.store import Part

Marks = NDArray[np.bool_]


class Blocks:
    """Some blocks of a corpus; after ``lengths[row]`` a row holds padding and no start.

    Most objectives never ask where sentences and documents start, so these two may be given as functions, which
    are called at the first look.
    """

    def __init__(
        self,
        ids: Int64[np.ndarray, "rows block"],
        lengths: Int64[np.ndarray, " rows"],
        sentences: Bool[np.ndarray, "rows block"] | Callable[[], Marks],
        documents: Bool[np.ndarray, "rows block"] | Callable[[], Marks],
        keys: UInt64[np.ndarray, " rows"],
        *,
        progress: Float64[np.ndarray, " rows"] | None = None,
        texts: Int64[np.ndarray, " rows"] | None = None,
        others: Blocks | None = None,
    ) -> None:
        self.ids, self.lengths, self.keys = ids, lengths, keys
        self._sentences, self._documents = sentences, documents
        self.progress = np.zeros(len(ids)) if progress is None else progress
        """The share of the run that is done when a row is read, in [0, 1]: what schedules of noise look at."""
        self.texts = texts
        """The number of the document that each row begins in; by default each row is a text of its own."""
        self.others = others
        """For each row a block from elsewhere, for objectives that need a stranger; its keys mean nothing."""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def sentences(self) -> Bool[np.ndarray, "rows block"]:
        """Where sentences start."""
        return self._sentences() if callable(self._sentences) else self._sentences

    @cached_property
    def documents(self) -> Bool[np.ndarray, "rows block"]:
        """Where documents start."""
        return self._documents() if callable(self._documents) else self._documents

    def take(self, rows: Integer[np.ndarray, " taken"]) -> Blocks:
        """Return some of the rows, in the order given."""
        return Blocks(
            self.ids[rows],
            self.lengths[rows],
            lambda: self.sentences[rows],
            lambda: self.documents[rows],
            self.keys[rows],
            progress=self.progress[rows],
            texts=None if self.texts is None else self.texts[rows],
            others=None if self.others is None else self.others.take(rows),
        )


def count(part: Part, block: int) -> int:
    """Return how many blocks of `block` tokens a part has, a shorter last one included."""
    return -(-len(part) // block)


def gather(
    part: Part,
    block: int,
    indices: Int64[np.ndarray, " rows"],
    keys: UInt64[np.ndarray, " rows"],
    pad: int,
    progress: Float64[np.ndarray, " rows"] | None = None,
    others: Int64[np.ndarray, " rows"] | None = None,
) -> Blocks:
    """Return the blocks at `indices`, in that order, each with its key, and with the block at `others` beside it.

    Raises:
        IndexError: if an index is outside [0, count(part, block)).
    """
    if indices.size and (indices.min() < 0 or indices.max() >= count(part, block)):
        raise IndexError(f"a block outside [0, {count(part, block)})")
    begins = indices * block
    lengths = np.minimum(block, len(part) - begins)
    if len(part) >= block:
        views = np.lib.stride_tricks.sliding_window_view(part.tokens, block)
        ids = views[np.minimum(begins, len(views) - 1)].astype(np.int64)
    else:
        ids = np.full((len(indices), block), pad, dtype=np.int64)
    for row in np.flatnonzero(lengths < block):  # the last block of the part
        ids[row] = pad
        ids[row, : lengths[row]] = part.tokens[begins[row] :]
    return Blocks(
        ids,
        lengths,
        lambda: _marks(part.sentences, begins, lengths, block),
        lambda: _marks(part.documents[:-1], begins, lengths, block),
        keys,
        progress=progress,
        texts=None if others is None else _text(part, begins),
        others=None if others is None else _strangers(part, block, others, keys, pad),
    )


def _strangers(part: Part, block: int, others: np.ndarray, keys: np.ndarray, pad: int) -> Blocks:
    found = gather(part, block, others, keys, pad)
    found.texts = _text(part, others * block)
    return found


def _text(part: Part, places: np.ndarray) -> np.ndarray:
    """Return the number of the document that each place of the part lies in."""
    return np.searchsorted(part.documents, places, side="right") - 1


def _marks(
    starts: Integer[np.ndarray, " starts"],
    begins: Int64[np.ndarray, " rows"],
    lengths: Int64[np.ndarray, " rows"],
    block: int,
) -> Bool[np.ndarray, "rows block"]:
    """Mark in each row the sorted offsets `starts` that fall into it.

    Each row owns a run of `starts`; the runs are laid end to end, so that one assignment marks them all.
    """
    first = np.searchsorted(starts, begins)
    owned = np.searchsorted(starts, begins + lengths) - first
    rows = np.repeat(np.arange(len(begins)), owned)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(owned) - owned, owned)
    marks = np.zeros((len(begins), block), dtype=bool)
    marks[rows, starts[first[rows] + within] - begins[rows]] = True
    return marks
