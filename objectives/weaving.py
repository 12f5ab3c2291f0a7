"""What becomes of rows: they are packed, framed, woven, always a whole batch at once.

``pack`` keeps some places of each row side by side: what T5 asks is a row with a sentinel written over the first
token of each span and the rest of the span left out. ``weave`` lays runs of places in another order, which is how
sentences change places. ``frame`` puts marks around.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int

from objectives.noise import Flat, Grid, Mask, Rows, compiled, laid_out, within

_NONE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Side:
    """New rows: their ids, padded on the right, their lengths, and where their tokens come from."""

    ids: Int[np.ndarray, "rows _"]
    lengths: Int[np.ndarray, " rows"]
    found: Int[np.ndarray, "rows _"]
    """The places behind the positions, in old rows that have `more` columns of padding more."""
    more: int = 0

    @cached_property
    def inside(self) -> Mask:
        """Which positions are no padding."""
        return within(self.lengths, self.ids.shape[1])

    @cached_property
    def places(self) -> Grid:
        """The place of the old rows behind each position, row · width + column; at padding without meaning."""
        return self.found - (np.arange(len(self.ids)) * self.more)[:, None]


def pack(grid: Grid, keep: Mask, pad: int, inserted: tuple[Flat, int] | None = None) -> Side:
    """Return the kept places of each row side by side.

    `inserted` are kept places, in order, in front of which one more token is put, and that token.
    """
    if fast := compiled():
        return Side(*fast.packed(grid, keep, pad, *(inserted or (_NONE, 0))))
    rows, width = keep.shape
    lengths = keep.sum(axis=1)
    if inserted is not None:
        lengths += np.bincount(inserted[0] // max(width, 1), minlength=rows)
    longest = int(lengths.max(initial=0))
    short = longest - int(lengths.min(initial=longest))
    if short:  # rows that are too short keep some columns of padding more
        keep = np.concatenate([keep, within(longest - lengths, short)], axis=1)
        grid = np.concatenate([grid, np.full((rows, short), pad)], axis=1)
    places = np.flatnonzero(keep)
    if inserted is None:
        packed = grid.ravel()[places]
    else:
        before = inserted[0] + inserted[0] // max(width, 1) * short
        at = np.searchsorted(places, before)
        times = np.ones(len(places), dtype=np.int64)
        np.add.at(times, at, 1)
        places = np.repeat(places, times)
        at += np.arange(len(at))
        packed = grid.ravel()[places]
        packed[at] = inserted[1]
    return Side(packed.reshape(rows, longest), lengths, places.reshape(rows, longest), short)


def weave(ids: Int[np.ndarray, "_ _"], begins: Grid, sizes: Grid, pad: int) -> tuple[Side, Grid]:
    """Return the rows that runs of the block's places make, and where each run starts in the flat result.

    Row r is made of its runs in order: the places from ``begins[r]``, ``sizes[r]`` of them. `sizes` is overwritten.
    """
    rows = len(begins)
    lengths = sizes.sum(axis=1)
    longest = int(lengths.max(initial=0))
    sizes[:, -1] += longest - lengths  # a row's padding is more of its last run
    flat = sizes.ravel()
    starts = np.cumsum(flat)
    starts -= flat
    places = laid_out(begins.ravel(), flat)
    woven = ids.ravel().take(places, mode="clip") if ids.size else np.zeros_like(places)
    side = Side(woven.reshape(rows, longest), lengths, places.reshape(rows, longest))
    if lengths.min(initial=longest) < longest:
        np.copyto(side.ids, pad, where=~side.inside)
    return side, starts.reshape(begins.shape)


def frame(ids: Grid, lengths: Rows, before: Sequence[Rows | int], after: Sequence[int], pad: int) -> tuple[Grid, Rows]:
    """Return the rows with `before` in front and `after` right behind their last token, padded with `pad`."""
    head, width = len(before), int(lengths.max(initial=0))
    framed = lengths + (head + len(after))
    out = np.empty((len(ids), head + width + len(after)), dtype=np.int64)
    for column, token in enumerate(before):
        out[:, column] = token
    out[:, head : head + width] = ids[:, :width]
    if lengths.min(initial=width) == width:
        out[:, head + width :] = after
        return out, framed
    np.copyto(out, pad, where=~within(framed, out.shape[1]))
    rows = np.arange(len(ids))
    for place, token in enumerate(after):
        out[rows, head + lengths + place] = token
    return out, framed


def starts(marked: Mask) -> Flat:
    """Return the places where runs of marked ones begin; the first column must have none."""
    flat = marked.ravel()
    return np.flatnonzero(flat[1:] > flat[:-1]) + 1
