"""Blocks of a part, gathered as a struct of arrays: one look-up for a whole batch, no loop over rows.

Stream packing: the documents stand one after the other, each closed by ``</s>``, and block i is the tokens
i × block … (i + 1) × block. Only the last block of a part can be shorter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, Integer, UInt64

from corpora.store import Part


@dataclass(frozen=True)
class Blocks:
    """Some blocks of a corpus; after ``lengths[row]`` a row holds padding and no start."""

    ids: Int64[np.ndarray, "rows block"]
    lengths: Int64[np.ndarray, " rows"]
    sentences: Bool[np.ndarray, "rows block"]
    documents: Bool[np.ndarray, "rows block"]
    keys: UInt64[np.ndarray, " rows"]


def count(part: Part, block: int) -> int:
    """Return how many blocks of `block` tokens a part has, a shorter last one included."""
    return -(-len(part) // block)


def gather(
    part: Part,
    block: int,
    indices: Int64[np.ndarray, " rows"],
    keys: UInt64[np.ndarray, " rows"],
    pad: int,
) -> Blocks:
    """Return the blocks at `indices`, in that order, each with its key.

    Raises:
        IndexError: if an index is outside [0, count(part, block)).
    """
    if indices.size and (indices.min() < 0 or indices.max() >= count(part, block)):
        raise IndexError(f"a block outside [0, {count(part, block)})")
    begins = indices * block
    lengths = np.minimum(block, len(part) - begins)
    places = begins[:, None] + np.arange(block)
    inside = np.arange(block) < lengths[:, None]
    if inside.all():
        ids = part.tokens[places].astype(np.int64)
    else:  # the last block: read its last token again where the part has ended, then pad
        ids = np.where(inside, part.tokens[np.minimum(places, len(part) - 1)].astype(np.int64), pad)
    return Blocks(
        ids=ids,
        lengths=lengths,
        sentences=_marks(part.sentences, begins, lengths, block),
        documents=_marks(part.documents[:-1], begins, lengths, block),
        keys=keys,
    )


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
