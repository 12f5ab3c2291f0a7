"""Blocks of a part, gathered as a struct of arrays: one look-up for a whole batch, no loop over rows.

A packing says which pieces of the part stand in which row (``corpora.packing``); here they are read. Where a part has
several shards, the pieces of one shard are read together, and those that cross shards one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer, UInt64
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from corpora.packing import Packing, Pieces
from corpora.part import Part, by_shard

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
        texts: Int64[np.ndarray, "rows *block"] | None = None,
        others: Blocks | None = None,
    ) -> None:
        self.ids, self.lengths, self.keys = ids, lengths, keys
        self._sentences, self._documents = sentences, documents
        self.progress = np.zeros(len(ids)) if progress is None else progress
        """The share of the run that is done when a row is read, in [0, 1]: what schedules of noise look at."""
        self.texts = texts
        """The number of the document that each row begins in, where those behind it count on, or of each place; by
        default each row is a text of its own."""
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
    if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < len(packing):
        raise IndexError(f"a block outside [0, {len(packing)})")
    pieces = packing.pieces(indices)
    shape = len(indices), packing.block
    ids, lengths = _tokens(part, pieces, shape, pad)
    found = Blocks(
        ids,
        lengths,
        lambda: _marks(part, "sentences", pieces, shape),
        lambda: _marks(part, "documents", pieces, shape),
        keys,
        progress=progress,
    )
    if others is not None:
        found.others = gather(part, packing, others, keys, pad)
        found.others.texts = _texts(part, packing.pieces(others), shape)
        found.texts = _texts(part, pieces, shape)
    return found


def _tokens(
    part: Part, pieces: Pieces, shape: tuple[int, int], pad: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ids of rows and their lengths."""
    rows, block = shape
    full = pieces.lengths == block
    if len(full) == rows and full.all() and len(part.shards) == 1:
        return _windows(part.shards[0].tokens, block)[pieces.begins].astype(np.int64), pieces.lengths
    ids = np.full(shape, pad, dtype=np.int64)
    lasts = pieces.begins + pieces.lengths - 1
    whole = np.searchsorted(part.bounds[1:-1], [pieces.begins, lasts], side="right")
    apart = whole[0] != whole[1]
    for piece in np.flatnonzero(apart).tolist():  # across shards
        begin, end, to = pieces.begins[piece], lasts[piece] + 1, pieces.columns[piece]
        ids[pieces.rows[piece], to : to + end - begin] = part.tokens(begin, end)
    flat = ids.ravel()
    for shard, here in by_shard(part.bounds, pieces.begins):
        tokens, own = part.shards[shard].tokens, ~apart[here]
        begins = (pieces.begins[here] - part.bounds[shard])[own]
        if (wide := full[here][own]).any():
            ids[pieces.rows[here][own][wide]] = _windows(tokens, block)[begins[wide]]
        if not wide.all():
            sizes = pieces.lengths[here][own][~wide]
            to = (pieces.rows[here] * block + pieces.columns[here])[own][~wide]
            flat[laid_out(to, sizes)] = tokens[laid_out(begins[~wide], sizes)]
    if len(full) == rows:
        return ids, pieces.lengths
    return ids, np.bincount(pieces.rows, pieces.lengths, rows).astype(np.int64)


def _windows(tokens: NDArray[np.unsignedinteger], block: int) -> NDArray[np.unsignedinteger]:
    """Return every run of `block` tokens as a row of a view."""
    return as_strided(tokens, (len(tokens) - block + 1, block), tokens.strides * 2, writeable=False)


def laid_out(begins: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of runs, one run behind the other."""
    stops = np.cumsum(sizes)
    found = np.repeat(begins - (stops - sizes), sizes)
    found += np.arange(len(found))
    return found


def _marks(part: Part, which: str, pieces: Pieces, shape: tuple[int, int]) -> Marks:
    """Mark in each row where the sentences or documents start that begin in it.

    Each piece owns a run of the starts; the runs are laid end to end, so that one assignment marks them all. In a row
    of several pieces each but the first is a text of its own: it is marked as the start of a document even where it
    is the rest of one, or attention would join it to what stands before it. Such a rest starts no sentence.
    """
    starts = part.sentences if which == "sentences" else part.documents
    number = len(pieces.begins)
    bounds = starts.before(np.concatenate([pieces.begins, pieces.begins + pieces.lengths]))
    first, owned = bounds[:number], bounds[number:] - bounds[:number]
    places = starts.at(laid_out(first, owned))
    to = pieces.rows * shape[1] + pieces.columns
    places += np.repeat(to - pieces.begins, owned)  # of the part, then of the rows
    marks = np.zeros(shape, dtype=bool)
    marks.ravel()[places] = True
    if which == "documents" and number > shape[0]:
        marks.ravel()[to[pieces.columns > 0]] = True
    return marks


def _texts(part: Part, pieces: Pieces, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return the number of the document that each row begins in, or of each place where a row has several pieces."""
    if len(pieces.begins) == shape[0]:
        return part.document_of(pieces.begins)
    places = laid_out(pieces.begins, pieces.lengths)
    texts = np.zeros(shape, dtype=np.int64)
    texts.ravel()[laid_out(pieces.rows * shape[1] + pieces.columns, pieces.lengths)] = part.document_of(places)
    return texts
