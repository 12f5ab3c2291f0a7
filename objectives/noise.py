"""Noise: which tokens of a row are hit. (What becomes of a row whose tokens are hit is in ``weaving``.)

Everything works on whole batches, ragged rows included, and takes one key per row: row i of a batch is what row i
would be alone. Noise never hits a special token: laws about shares and spans hold on the ordinary tokens of a row,
and a span that would cross a special token is cut in two there.

Hit tokens are *places*: row · width + column, so that a few of them are drawn and written at the cost of a few.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int, Shaped, UInt, UInt64

from foundation import keys as looked_up
from foundation.compiled import compiled

Rows = Int[np.ndarray, " rows"]
Grid = Int[np.ndarray, "rows _"]  # widths change from projection to projection: only the rows must agree
Mask = Bool[np.ndarray, "rows _"]
Keys = UInt64[np.ndarray, " rows"]
Flat = Int[np.ndarray, " _"]


def within(lengths: Rows, width: int) -> Mask:
    """Return which of `width` places lie inside each row."""
    return np.arange(width, dtype=np.int32) < lengths.astype(np.int32)[:, None]


def count(rate: float | Shaped[np.ndarray, " rows"], lengths: Rows) -> Rows:
    """Return ``round(rate · length)`` (half to even), at least 1 and at most the length; 0 for an empty row."""
    return np.minimum(np.maximum(np.rint(rate * lengths).astype(np.int64), 1), lengths)


def choose(keys: Keys, places: Mask, counts: Rows) -> Mask:
    """Return a uniformly chosen subset of exactly `counts` of the marked places of each row.

    The places with the lowest scores of 32 bits are taken. Where two scores are equal just there (once in ten
    million rows of 512), the row is drawn again from 64 bits, so that no place is ever preferred.
    """
    if places.size == 0:
        return places.copy()
    chosen = _lowest(looked_up.words(keys, places.shape[1]), places, counts)
    if np.count_nonzero(chosen) != counts.sum():
        tied = np.flatnonzero(chosen.sum(axis=1) != counts)
        again = looked_up.bits(looked_up.fold(keys[tied], "tie"), places.shape[1])
        chosen[tied] = _lowest(again, places[tied], counts[tied])
    return chosen


def _lowest(scores: UInt[np.ndarray, "rows _"], places: Mask, counts: Rows) -> Mask:
    """Return the marked places with the `counts` lowest scores of their row, and those of the same score."""
    scores |= places.astype(scores.dtype) - scores.dtype.type(1)  # all ones elsewhere; far cheaper than copyto(where=…)
    last = np.maximum(counts - 1, 0)
    most = int(last.max())
    lowest = np.partition(scores, most, axis=1)[:, : most + 1]  # sorting these few is cheaper than more partitions
    lowest.sort(axis=1)
    chosen = scores <= lowest[np.arange(len(last)), last][:, None]
    if not counts.all():
        chosen[counts == 0] = False
    return chosen


def sample(keys: Keys, limits: Rows, counts: Rows, filling: Rows) -> Grid:
    """Return `counts` different numbers below `limits` for each row, ascending, every such set equally likely.

    The first k different ones of a sequence of independent draws are such a set, at a cost that grows with k only;
    where more than half of all numbers are wanted, they are chosen from all. Rows of fewer numbers are filled up.
    """
    many = 2 * counts > limits
    if not many.any():
        if fast := compiled():
            return fast.different(keys, limits, counts, filling, int(counts.max(initial=0)))
        return _filled(_different(keys, limits, counts), counts, filling)
    found = np.zeros(int(counts.sum()), dtype=np.int64)
    of_many = np.repeat(many, counts)
    places = within(limits[many], int(limits.max()))
    row = np.repeat(np.arange(len(places)) * places.shape[1], counts[many])
    found[of_many] = np.flatnonzero(choose(keys[many], places, counts[many])) - row
    found[~of_many] = _different(keys[~many], limits[~many], counts[~many])
    return _filled(found, counts, filling)


def _filled(found: Flat, counts: Rows, filling: Rows) -> Grid:
    most = int(counts.max(initial=0))
    if counts.min(initial=most) == most:
        return found.reshape(len(counts), most)
    grid = np.repeat(filling, most).reshape(len(counts), most)
    grid.ravel()[np.flatnonzero(within(counts, most))] = found
    return grid


def _different(keys: Keys, limits: Rows, counts: Rows) -> Flat:
    repeats = counts**2 / np.maximum(limits, 1)  # about twice as many as are expected; if too few, more are drawn
    draws = int((counts + repeats).max(initial=0)) + 8
    late = np.int32(1 << 30)
    while True:
        packed = looked_up.words(keys, draws).astype(np.int64)
        packed *= limits[:, None]
        packed >>= np.int64(32)
        packed <<= np.int64(30)
        packed += np.arange(draws)
        packed.sort(axis=1)
        value = packed >> np.int64(30)
        drawn = packed.astype(np.int32) & (late - 1)  # when; 32 bits are sorted in half the time
        again = np.zeros(value.shape, dtype=bool)
        np.equal(value.ravel()[1:], value.ravel()[:-1], out=again.ravel()[1:])
        again[:, 0] = False
        drawn |= again.astype(np.int32) << np.int32(30)
        last = np.sort(drawn, axis=1)[np.arange(len(counts)), counts - 1] * (counts > 0) - (counts == 0)
        if (last < late).all():
            return value.ravel()[np.flatnonzero(drawn <= last[:, None])]
        draws *= 2


def flip(keys: Keys, places: Mask, rate: Shaped[np.ndarray, " rows"]) -> Flat:
    """Return some of the marked places, each with probability `rate` of its row and independently of all others.

    16 random bits decide, and 16 more where they are just at the limit: as good as 32 at half the price.
    """
    limits = np.rint(rate * 2.0**32).astype(np.int64)
    if fast := compiled():
        return fast.flipped(keys, places, limits)
    width = places.shape[1]
    drawn = looked_up.words(keys, (width + 1) // 2).view("<u2")[:, :width]
    high = (limits >> 16).clip(max=2**16 - 1).astype(np.uint16)[:, None]
    chosen = drawn < high
    even = np.flatnonzero(drawn == high)
    rows = even // max(width, 1)
    more = (looked_up.at(~keys[rows], even - rows * width) >> np.uint64(48)).astype(np.int64)
    chosen.ravel()[even] = more < limits[rows] - (high[rows, 0].astype(np.int64) << 16)
    chosen &= places
    return np.flatnonzero(chosen)


class Law:
    """A law of span lengths: numbers 0, 1, 2 … (below 255) with given weights, drawn from 32 bits each."""

    def __init__(self, weights: list[float]) -> None:
        shares = np.asarray(weights) / np.sum(weights)
        self.mean = float(shares @ np.arange(len(shares)))
        self._limits = np.rint(np.cumsum(shares)[:-1] * 2.0**32).astype(np.uint64)
        first = np.arange(2**16, dtype=np.uint64) << np.uint64(16)  # the lowest number with these high 16 bits
        self._table = np.searchsorted(self._limits, first, side="right").astype(np.uint8)
        self._table[np.minimum(self._limits >> np.uint64(16), np.uint64(2**16 - 1))] = 255  # the low ones decide

    def draw(self, keys: Keys, number: int) -> Grid:
        """Return `number` lengths for each key."""
        drawn = looked_up.words(keys, number)
        found = self._table.take(drawn >> np.uint32(16)).astype(np.int64)
        open_ = np.flatnonzero(found == 255)
        found.ravel()[open_] = np.searchsorted(self._limits, drawn.ravel()[open_], side="right")
        return found


class Text:
    """The ordinary tokens of a batch, known by their rank among those of their row."""

    def __init__(self, ordinary: Mask) -> None:
        self.ordinary = ordinary
        self.counts: Rows = ordinary.sum(axis=1)
        self.first: Rows = np.cumsum(self.counts) - self.counts

    def hit(self, starts: Grid, sizes: Grid, width: int) -> Mask:
        """Return where spans lie in rows that are framed by one column on each side, `width` in all.

        A span holds `sizes` of the ordinary tokens of its row, from that of rank `starts` on. Special tokens are
        never marked, so a span that would cross one is cut in two.
        """
        if fast := compiled():
            return fast.marked(self.ordinary, starts, sizes, width)
        return self.framed(self.mark(starts, sizes), width)

    def mark(self, starts: Grid, sizes: Grid) -> Bool[np.ndarray, " tokens"]:
        """Return which tokens lie in spans: `sizes` of those of a row from that of rank `starts` on, in order."""
        some = np.flatnonzero(sizes)
        begins = (starts + self.first[:, None]).ravel()[some]
        return _between(begins, begins + sizes.ravel()[some], int(self.counts.sum()))

    def behind(self, ranks: Grid, which: Flat, width: int) -> Flat:
        """Return where tokens of some ranks stand in rows that are framed by one column on each side.

        A rank beyond the last one of its row stands behind it.
        """
        rows = which // ranks.shape[1]
        rank = ranks.ravel()[which]
        over = rank >= self.counts[rows]
        return self.places(rank + self.first[rows] - over) + over + rows * (width - self.ordinary.shape[1]) + 1

    def places(self, ranks: Flat) -> Flat:
        """Return the place of each of some tokens, known by their rank among those of all rows."""
        special = np.flatnonzero(~self.ordinary)
        return ranks + np.searchsorted(special - np.arange(len(special)), ranks, side="right")

    def framed(self, marked: Bool[np.ndarray, " tokens"], width: int) -> Mask:
        """Return where marked tokens stand in rows that are framed by one column on each side, `width` in all."""
        places = np.zeros((len(self.ordinary), width), dtype=bool)
        places[:, 1:-1][self.ordinary[:, : width - 2]] = marked
        return places


def _between(begins: Flat, ends: Flat, width: int) -> Bool[np.ndarray, " width"]:
    """Return which of `width` places lie in runs [begin, end): behind an odd number of turns, 64 places at a time."""
    turns = np.zeros(-(-(width + 1) // 64) * 64, dtype=np.uint8)
    turns[begins] = 1
    turns[ends] ^= 1  # a run may end where another begins
    words = np.packbits(turns, bitorder="little").view("<u8")
    for shift in (1, 2, 4, 8, 16, 32):
        words ^= words << np.uint64(shift)
    words[1:] ^= np.negative(np.bitwise_xor.accumulate(words >> np.uint64(63))[:-1])  # an odd word turns those behind
    return np.unpackbits(words.view(np.uint8), bitorder="little", count=width).view(bool)


def laid_out(begins: Flat, sizes: Flat) -> Flat:
    """Return the places of runs, one run behind the other."""
    if fast := compiled():
        return fast.laid_out(begins, sizes)
    begins = begins + sizes
    begins -= np.cumsum(sizes)
    places = np.repeat(begins, sizes)
    places += np.arange(len(places))
    return places


def scatter(keys: Keys, tokens: Rows, hidden: Rows, spans: Rows) -> tuple[Grid, Grid]:
    """Return start and size of `spans` spans that hide `hidden` of the tokens of each row, none touching.

    Every arrangement that begins kept and ends hidden is equally likely: choosing parts − 1 of the total − 1 cut
    points uniformly is choosing a composition of the total uniformly, once for the kept, once for the hidden.
    """
    keys = looked_up.fold(keys, "spans")
    both = np.concatenate([keys, ~keys])  # one key for the kept tokens, one for the hidden ones
    totals = np.concatenate([tokens - hidden, hidden])
    parts = np.concatenate([spans, spans])
    cuts = sample(both, np.maximum(totals - 1, 0), np.maximum(parts - 1, 0), totals - 1)
    ends = np.concatenate([cuts + 1, totals[:, None]], axis=1)
    done = ends[len(tokens) :]  # the hidden tokens up to the end of each span; above, the kept tokens before it
    starts = ends[: len(tokens)]
    starts[:, 1:] += done[:, :-1]
    sizes = done.copy()
    sizes[:, 1:] -= done[:, :-1]
    return starts, sizes


def gaps(keys: Keys, tokens: Rows, hidden: Rows, law: Law) -> tuple[Grid, Grid, Rows]:
    """Return start, size and number of spans with lengths of a law, that hide exactly `hidden` tokens of each row.

    Lengths are drawn until they reach that sum, and the last one is trimmed. The spans stand in different gaps
    between the kept tokens, all choices alike, so they never touch; a span of length 0 stands in its gap.
    """
    kept = tokens - hidden
    draws = int(1.5 * int(hidden.max(initial=0)) / law.mean) + 16
    keys = looked_up.fold(keys, "spans")
    reached = np.cumsum(law.draw(keys, draws), axis=1)
    spans = np.minimum((reached < hidden[:, None]).sum(axis=1) + 1, np.minimum(np.minimum(kept + 1, hidden), draws))
    spans[hidden == 0] = 0
    most = int(spans.max(initial=0))
    until = np.minimum(reached[:, :most], hidden[:, None])
    until = np.where(within(spans - 1, most), until, hidden[:, None])
    before = np.zeros_like(until)
    before[:, 1:] = until[:, :-1]
    return sample(~keys, kept + 1, spans, kept) + before, until - before, spans
