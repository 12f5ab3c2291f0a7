"""Blocks of a part, gathered as a struct of arrays: one look-up for a whole batch, no loop over rows.

A packing says which pieces of the part stand in which row (``corpora.packing``); here they are read. Where a part has
several shards, the pieces of one shard are read together, and those that cross shards one by one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer, UInt64
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from corpora.packing import Packing, Pieces, Stream
from corpora.part import Part, Shard, by_shard, laid_out
from foundation.compiled import compiled

Marks = NDArray[np.bool_]
Numbers = NDArray[np.int64]

_SMALL = 1 << 20


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
        texts: Int64[np.ndarray, "*shape"] | Callable[[], Numbers | None] | None = None,
        others: Blocks | None = None,
    ) -> None:
        self.ids, self.lengths, self.keys = ids, lengths, keys
        self._sentences, self._documents, self._texts = sentences, documents, texts
        self.progress = np.zeros(len(ids)) if progress is None else progress
        """The share of the run that is done when a row is read, in [0, 1]: what schedules of noise look at."""
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

    @cached_property
    def texts(self) -> Int64[np.ndarray, "*shape"] | None:
        """The number of the document that each row begins in, where those behind it count on, or of each place.

        By default each row is a text of its own.
        """
        return self._texts() if callable(self._texts) else self._texts

    def take(self, rows: Integer[np.ndarray, " taken"]) -> Blocks:
        """Return some of the rows, in the order given."""
        return Blocks(
            self.ids[rows],
            self.lengths[rows],
            lambda: self.sentences[rows],
            lambda: self.documents[rows],
            self.keys[rows],
            progress=self.progress[rows],
            texts=lambda: None if self.texts is None else self.texts[rows],
            others=None if self.others is None else self.others.take(rows),
        )


def gather(
    part: Part,
    packing: Packing,
    indices: Int64[np.ndarray, " rows"],
    keys: UInt64[np.ndarray, " rows"],
    pad: int,
    progress: Float64[np.ndarray, " rows"] | None = None,
    others: Int64[np.ndarray, " rows"] | None = None,
) -> Blocks:
    """Return the blocks at `indices`, in that order, each with its key, and with the block at `others` beside it.

    Raises:
        IndexError: if an index is outside [0, len(packing)).
    """
    last = int(indices.max(initial=0))
    if indices.size and not 0 <= int(indices.min()) <= last < len(packing):
        raise IndexError(f"a block outside [0, {len(packing)})")
    rows = _Rows(part, packing, indices)
    ids, lengths = rows.tokens(pad, last)
    return Blocks(
        ids,
        lengths,
        lambda: rows.marks("sentences"),
        lambda: rows.marks("documents"),
        keys,
        progress=progress,
        texts=rows.texts,
        others=None if others is None else gather(part, packing, others, keys, pad),
    )


class _Rows:
    """Some rows of a packing, as they are read."""

    def __init__(self, part: Part, packing: Packing, indices: Numbers) -> None:
        self.part, self.packing, self.indices = part, packing, indices
        self.shape = len(indices), packing.block

    @cached_property
    def pieces(self) -> Pieces:
        return self.packing.pieces(self.indices)

    @cached_property
    def to(self) -> Numbers:
        """Where each piece stands in the rows, laid end to end."""
        return self.pieces.rows * self.packing.block + self.pieces.columns

    def tokens(self, pad: int, last: int) -> tuple[Numbers, Numbers]:
        """Return the ids of the rows, of which `last` is the last one of the part, and their lengths."""
        part, (rows, block) = self.part, self.shape
        if isinstance(self.packing, Stream) and len(part.shards) == 1 and (last + 1) * block <= len(part):
            # the usual batch: all rows are full
            return _windows(part.shards[0], block)[self.indices * block].astype(np.int64), np.full(rows, block)
        pieces, to = self.pieces, self.to
        ids = np.full(self.shape, pad, dtype=np.int64)
        flat = ids.ravel()
        begin_in, end_in = np.searchsorted(
            part.bounds[1:-1], [pieces.begins, pieces.begins + pieces.lengths - 1], side="right"
        )
        across = np.flatnonzero(begin_in != end_in)
        for piece in across.tolist():
            begin, size = int(pieces.begins[piece]), int(pieces.lengths[piece])
            flat[to[piece] : to[piece] + size] = part.tokens(begin, begin + size)
        sizes = pieces.lengths.copy()
        sizes[across] = 0
        for shard, here in by_shard(part.bounds, pieces.begins):
            tokens, begins = part.shards[shard].tokens, pieces.begins[here] - part.bounds[shard]
            if fast := compiled():
                fast.copied(tokens, begins, sizes[here], to[here], flat)
            else:
                flat[laid_out(to[here], sizes[here])] = tokens[laid_out(begins, sizes[here])]
        if len(to) == rows:
            return ids, pieces.lengths
        return ids, np.bincount(pieces.rows, pieces.lengths, rows).astype(np.int64)

    def marks(self, which: str) -> Marks:
        """Mark in each row where the sentences or documents start that begin in it.

        Each piece owns a run of the starts; the runs are laid end to end, so that one assignment marks them all. In a
        row of several pieces each but the first is a text of its own: it is marked as the start of a document even
        where it is the rest of one, or attention would join it to what stands before it. A rest starts no sentence.
        """
        rows, block = self.shape
        starts = self.part.sentences if which == "sentences" else self.part.documents
        if isinstance(self.packing, Stream) and len(self.packing) <= _SMALL:
            bounds = _bounds(self.part, which, self.packing)
            first, last = bounds[self.indices], bounds[self.indices + 1]
            moved = (np.arange(rows) - self.indices) * block
        else:
            begins, lengths = self.pieces.begins, self.pieces.lengths
            first, last = np.split(starts.before(np.concatenate([begins, begins + lengths])), 2)
            moved = self.to - begins
        owned = last - first
        places = starts.at(laid_out(first, owned))
        places += np.repeat(moved, owned)  # of the part, then of the rows
        marks = np.zeros(self.shape, dtype=bool)
        marks.ravel()[places] = True
        if which == "documents" and len(moved) > rows:
            marks.ravel()[self.to[self.pieces.columns > 0]] = True
        return marks

    def texts(self) -> Numbers:
        """Return the document that each row begins in, or each place is of where rows may have several pieces."""
        pieces = self.pieces
        if isinstance(self.packing, Stream):  # the packing decides, so that a row alone says what it says in a batch
            return self.part.document_of(pieces.begins)
        texts = np.zeros(self.shape, dtype=np.int64)
        texts.ravel()[laid_out(self.to, pieces.lengths)] = np.repeat(
            self.part.document_of(pieces.begins), pieces.lengths
        )
        return texts


@functools.lru_cache(maxsize=16)
def _windows(shard: Shard, block: int) -> NDArray[np.unsignedinteger]:
    """Return every run of `block` tokens as a row of a view."""
    tokens = shard.tokens
    return as_strided(tokens, (len(tokens) - block + 1, block), tokens.strides * 2, writeable=False)


@functools.lru_cache(maxsize=16)
def _bounds(part: Part, which: str, packing: Stream) -> Numbers:
    """Return how many starts lie before each block of a small part, and before its end."""
    starts = part.sentences if which == "sentences" else part.documents
    return starts.before(np.minimum(np.arange(len(packing) + 1) * packing.block, len(part)))
