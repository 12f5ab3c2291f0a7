"""Blocks of a part, gathered as a struct of arrays: one look-up for a whole batch, no loop over rows.

Stream packing: the documents stand one after the other, each closed by ``</s>``, and block i is the tokens
i × block … (i + 1) × block. Only the last block of a part can be shorter.
"""

from __future__ import annotations

import functools
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
    total = count(part, block)
    last = int(indices.max(initial=0))
    if indices.size and not 0 <= int(indices.min()) <= last < total:
        raise IndexError(f"a block outside [0, {total})")
    tokens = np.asarray(part.tokens)  # a plain view: of a memmap each slice costs a Python call
    whole = tokens[: len(tokens) // block * block].reshape(-1, block)
    lengths = np.full(len(indices), block)
    if last < len(whole):
        ids = whole[indices].astype(np.int64)
    else:  # the last block of the part is among them, and shorter
        short = indices == len(whole)
        lengths[short] = len(tokens) - len(whole) * block
        ids = np.full((len(indices), block), pad, dtype=np.int64)
        ids[~short] = whole[indices[~short]]
        ids[short, : len(tokens) - len(whole) * block] = tokens[len(whole) * block :]
    return Blocks(
        ids,
        lengths,
        lambda: _marks(part, "sentences", block, indices),
        lambda: _marks(part, "documents", block, indices),
        keys,
        progress=progress,
        texts=None if others is None else _text(part, indices * block),
        others=None if others is None else _strangers(part, block, others, keys, pad),
    )


def _strangers(part: Part, block: int, others: np.ndarray, keys: np.ndarray, pad: int) -> Blocks:
    found = gather(part, block, others, keys, pad)
    found.texts = _text(part, others * block)
    return found


def _text(part: Part, places: np.ndarray) -> np.ndarray:
    """Return the number of the document that each place of the part lies in."""
    return np.searchsorted(part.documents, places, side="right") - 1


def _marks(part: Part, which: str, block: int, indices: Int64[np.ndarray, " rows"]) -> Bool[np.ndarray, "rows block"]:
    """Mark in each row where the sentences or documents start that begin in it.

    Each row owns a run of the starts; the runs are laid end to end, so that one assignment marks them all.
    """
    starts, bounds = _starts(part, which, block)
    first = bounds[indices]
    owned = bounds[indices + 1] - first
    stops = np.cumsum(owned)
    mine = np.repeat(first - (stops - owned), owned)
    mine += np.arange(len(mine))
    places = starts[mine]
    places += np.repeat((np.arange(len(indices)) - indices) * block, owned)  # of the part, then of the rows
    marks = np.zeros((len(indices), block), dtype=bool)
    marks.ravel()[places] = True
    return marks


@functools.lru_cache(maxsize=16)
def _starts(part: Part, which: str, block: int) -> tuple[Int64[np.ndarray, " starts"], Int64[np.ndarray, " bounds"]]:
    """Return the sorted starts in a part, and how many of them lie before each block and before the end."""
    starts = np.asarray(part.sentences if which == "sentences" else part.documents[:-1])
    return starts, np.searchsorted(starts, np.arange(count(part, block) + 1) * block)
