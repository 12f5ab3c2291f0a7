"""Weaving: rows are made of runs of a block's places and of marks, in one pass over the whole batch.

What T5 asks is kept runs with a sentinel between them, what BART permutes is runs that change places, a frame is
marks around a run. So every projection of every objective is one list of runs per row, and one weave.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int

from objectives.noise import Flat, Grid, Mask, Rows, Spans, within


@dataclass(frozen=True)
class Side:
    """Woven rows: their ids, padded on the right, their lengths, and the place in the block behind each position."""

    ids: Int[np.ndarray, "rows _"]
    lengths: Int[np.ndarray, " rows"]
    places: Int[np.ndarray, "rows _"]
    """For a mark the place of the run that it stands for, or beside which it stands; at padding without meaning."""

    @cached_property
    def inside(self) -> Mask:
        """Which positions are no padding."""
        return within(self.lengths, self.ids.shape[1])


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
    places = np.repeat(begins.ravel() - starts, flat)
    places += np.arange(len(places))
    woven = ids.ravel().take(places, mode="clip") if ids.size else np.zeros_like(places)
    side = Side(woven.reshape(rows, longest), lengths, places.reshape(rows, longest))
    if lengths.min(initial=longest) < longest:
        np.copyto(side.ids, pad, where=~side.inside)
    return side, starts.reshape(begins.shape)


def collapse(
    ids: Grid,
    lengths: Rows,
    spans: Spans,
    marks: Flat | int | None,
    *,
    before: Rows | int = -1,
    after: int | None = None,
    pad: int,
) -> Side:
    """Return the rows with each span replaced by its mark, or by nothing, inside the frame given.

    `marks` are those of the first span of a row, the second and so on, or the same for all; a negative token of
    `before` is none. A kept run and the mark behind it are laid as one run, because the mark stands at the first
    place of its span, which follows.
    """
    rows, width = spans.begins.shape
    row = np.arange(rows) * ids.shape[1]
    begins, stops = np.empty((2, rows, width + 1), dtype=np.int64)
    begins[:, 0], begins[:, 1:] = row, spans.ends
    stops[:, :-1], stops[:, -1] = spans.begins, row + lengths
    if marks is not None:
        stops[:, :-1] += spans.real
    stops[:, -1] += after is not None
    head = np.asarray(before) >= 0
    begins[:, 0] -= head
    stops -= begins
    side, starts = weave(ids, begins, stops, pad)
    flat, places = side.ids.ravel(), side.places.ravel()
    if marks is not None:
        spans.write(flat, starts[:, 1:] - 1, marks)
    if head.any():
        at = starts[:, 0] if head.all() else starts[head, 0]
        flat[at] = before if isinstance(before, int) else before[head]
        places[at] += 1
    if after is not None:
        at = starts[:, 0] + side.lengths - 1
        flat[at] = after
        places[at] -= lengths > 0
    return side


def reveal(ids: Grid, spans: Spans, marks: Flat, *, after: int, pad: int) -> Side:
    """Return for each row its marks, each followed by the tokens that it stands for, and `after` behind them all."""
    rows, width = spans.begins.shape
    begins, sizes = np.empty((2, rows, width + 1), dtype=np.int64)
    np.subtract(spans.begins, 1, out=begins[:, :-1])
    np.subtract(spans.ends, begins[:, :-1], out=sizes[:, :-1])
    if not spans.full:
        sizes[:, :-1] *= spans.real
    begins[:, -1] = spans.ends.max(axis=1, initial=1) - 1
    sizes[:, -1] = 1
    side, starts = weave(ids, begins, sizes, pad)
    flat = side.ids.ravel()
    at = starts[:, :-1]
    spans.write(flat, at, marks)
    side.places.ravel()[at if spans.full else at[spans.real]] += 1
    flat[starts[:, -1]] = after
    return side


def frame(ids: Grid, lengths: Rows, before: list[int], after: list[int], pad: int) -> tuple[Grid, Rows]:
    """Return the rows with `before` in front and `after` right behind their last token, padded with `pad`."""
    framed = lengths + len(before) + len(after)
    width = int(lengths.max(initial=0))
    out = np.empty((len(ids), width + len(before) + len(after)), dtype=np.int64)
    out[:, : len(before)] = before
    out[:, len(before) : len(before) + width] = ids[:, :width]
    if len(lengths) and lengths.min() == width:
        out[:, len(before) + width :] = after
        return out, framed
    out[np.arange(out.shape[1]) >= framed[:, None]] = pad
    rows = np.arange(len(ids))
    for place, token in enumerate(after):
        out[rows, len(before) + lengths + place] = token
    return out, framed
