"""The noise grammar: which tokens of a row are hit, and what becomes of a row whose tokens are hit.

Everything works on whole batches, ragged rows included, and takes one key per row: row i of a batch is what row i
would be alone. Noise never hits a special token: laws about spans hold on the ordinary tokens of a row, and a span
that would cross a special token is cut in two there.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int, Shaped, UInt64

from foundation import keys as looked_up

Rows = Int[np.ndarray, " rows"]
Grid = Int[np.ndarray, "rows _"]  # widths change from projection to projection: only the rows must agree
Mask = Bool[np.ndarray, "rows _"]
Keys = UInt64[np.ndarray, " rows"]

_LAST = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


def within(lengths: Rows, width: int) -> Mask:
    """Return which of `width` places lie inside each row."""
    return np.arange(width) < lengths[:, None]


def choose(keys: Keys, places: Mask, counts: Rows) -> Mask:
    """Return a uniformly chosen subset of exactly `counts` of the marked places of each row."""
    if places.shape[1] == 0:
        return places.copy()
    scores = looked_up.bits(keys, places.shape[1])
    scores[~places] = _LAST
    ranked = np.sort(scores, axis=1)
    last = np.take_along_axis(ranked, np.maximum(counts - 1, 0)[:, None], axis=1)
    return (scores <= last) & places & (counts > 0)[:, None]


def count(rate: float, lengths: Rows) -> Rows:
    """Return ``round(rate · length)`` (half to even), at least 1 and at most the length; 0 for an empty row."""
    return np.minimum(np.maximum(np.rint(rate * lengths).astype(np.int64), 1), lengths)


def spread(compact: Mask, places: Mask) -> Mask:
    """Return the mask over all places that has `compact`'s k-th value at the k-th marked place of each row."""
    rank = np.cumsum(places, axis=1) - 1
    if compact.shape[1] == 0:
        return np.zeros_like(places)
    return np.take_along_axis(compact, np.clip(rank, 0, compact.shape[1] - 1), axis=1) & places


def compose(keys: Keys, totals: Rows, parts: Rows, width: int) -> Grid:
    """Return lengths ``[rows, width]``: `totals` cut into `parts` lengths of at least 1, all compositions alike.

    Choosing parts − 1 of the total − 1 cut points uniformly is choosing a composition uniformly. A row with a
    total of 0 gets zeros.
    """
    longest = int(totals.max(initial=0))
    cuts = choose(keys, within(np.maximum(totals - 1, 0), max(longest - 1, 0)), parts - 1)
    part = np.zeros((len(totals), longest), dtype=np.int64)
    np.cumsum(cuts, axis=1, out=part[:, 1:] if longest else part)
    inside = within(totals, longest)
    flat = (part + np.arange(len(totals))[:, None] * width)[inside]
    return np.bincount(flat, minlength=len(totals) * width).reshape(len(totals), width)


def alternate(kept: Grid, hidden: Grid, width: int) -> Mask:
    """Return the mask of rows made of kept[0] kept tokens, hidden[0] hidden ones, kept[1] kept ones, and so on."""
    rows = len(kept)
    ends = np.cumsum(np.stack([kept, hidden], axis=2).reshape(rows, -1), axis=1)
    flips = np.zeros((rows, width + 1), dtype=np.int64)
    np.add.at(flips, (np.arange(rows)[:, None], np.minimum(ends, width)), 1)
    return np.cumsum(flips[:, :width], axis=1) % 2 == 1


def starts(mask: Mask) -> Mask:
    """Return the first token of each run of marked tokens."""
    before = np.zeros_like(mask)
    before[:, 1:] = mask[:, :-1]
    return mask & ~before


def emit(*streams: tuple[Mask, Grid | int]) -> tuple[Grid, Rows]:
    """Interleave streams: at each place, in the order given, each stream that is marked there emits its value.

    Returns the rows, packed to the left and padded with 0 on the right, and their lengths.
    """
    marks = np.stack([mask for mask, _ in streams], axis=2)
    rows = len(marks)
    marks = marks.reshape(rows, -1)
    shape = streams[0][0].shape
    values = np.stack([np.broadcast_to(value, shape) for _, value in streams], axis=2).reshape(rows, -1)
    lengths = marks.sum(axis=1)
    out = np.zeros((rows, int(lengths.max(initial=0))), dtype=np.int64)
    out[within(lengths, out.shape[1])] = values[marks]
    return out, lengths


def disguise(
    keys: Keys, ids: Grid, noise: Mask, mask: int, draw: Int[np.ndarray, " words"], masked: float, random: float
) -> Grid:
    """Return the rows with each hit token replaced: by `mask` with probability `masked`, by a uniformly drawn word
    of `draw` with probability `random`, else left as it is (BERT's 80/10/10; Devlin et al. 2019, §3.1)."""
    places = looked_up.bits(looked_up.fold(keys, "disguise"), ids.shape[1])
    words = looked_up.bits(looked_up.fold(keys, "word"), ids.shape[1])
    turn = (places >> np.uint64(11)) * 2.0**-53
    out = np.where(noise & (turn < masked), mask, ids)
    swapped = noise & (turn >= masked) & (turn < masked + random)
    return np.where(swapped, draw[looked_up.below(len(draw), words)], out)


def arrange(values: Shaped[np.ndarray, "rows width"], positions: Grid) -> Shaped[np.ndarray, "rows width"]:
    """Return each row's values in the order of `positions`."""
    return np.take_along_axis(values, positions, axis=1)


def frame(ids: Grid, lengths: Rows, before: list[int], after: list[int], pad: int) -> tuple[Grid, Rows]:
    """Return the rows with `before` in front and `after` right behind their last token, padded with `pad`."""
    framed = lengths + len(before) + len(after)
    out = np.full((len(ids), int(framed.max(initial=0))), pad, dtype=np.int64)
    out[:, : len(before)] = before
    width = int(lengths.max(initial=0))
    inside = within(lengths, width)
    out[:, len(before) : len(before) + width][inside] = ids[:, :width][inside]
    for place, token in enumerate(after):
        out[np.arange(len(ids)), len(before) + lengths + place] = token
    return out, framed
