"""The loops that a batch spends its time in, compiled where numba is installed (``pip install …[fast]``).

Without numba the same is done by numpy in a few passes more. Both do the same integer arithmetic on the same keys, so
a batch is the same bit for bit, and a test says so; nothing but time depends on what is installed. The first call of
each costs about half a second, once on a machine: what is compiled is kept beside this file, or in the user's cache.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32, _1 = (np.uint64(number) for number in (30, 27, 31, 32, 1))
_LOW, _16, _SIXTEEN, _48 = (np.uint64(number) for number in (0xFFFF_FFFF, 0xFFFF, 16, 48))


@njit(cache=True)
def _mixed(x):
    """Return SplitMix64's finaliser of a number."""
    x ^= x >> _30
    x *= _FIRST
    x ^= x >> _27
    x *= _SECOND
    x ^= x >> _31
    return x


@njit(cache=True)
def _at(key, place):
    """Return the 64 bits of a key at a place (``foundation.keys.at``)."""
    return _mixed(key + (np.uint64(place) + _1) * _GOLDEN)


@njit(cache=True)
def flipped(keys, places, limits):
    """Return some of the marked places, each with the probability of its row: a limit of 32 bits."""
    chosen = np.empty(places.size, dtype=np.int64)
    number, width = 0, places.shape[1]
    for row in range(len(keys)):
        high = min(limits[row] >> 16, 65535)
        low = limits[row] - (high << 16)
        for first in range(0, width, 4):
            four = _at(keys[row], first // 4)
            for column in range(first, min(first + 4, width)):
                drawn = np.int64(four & _16)
                four >>= _SIXTEEN
                if drawn < high or (drawn == high and np.int64(_at(~keys[row], column) >> _48) < low):
                    chosen[number] = row * width + column
                    number += places[row, column]
    return chosen[:number].copy()


@njit(cache=True)
def different(keys, limits, counts, filling, most):
    """Return for each row its first different draws below a limit, ascending, and behind them its filling."""
    found = np.empty((len(keys), most), dtype=np.int64)
    seen = np.zeros(limits.max() if len(limits) else 0, dtype=np.bool_)
    for row in range(len(keys)):
        limit, wanted, place = np.uint64(limits[row]), counts[row], 0
        while wanted > 0:
            both = _at(keys[row], place)
            place += 1
            number = ((both & _LOW) * limit) >> _32
            if not seen[number]:
                seen[number] = True
                wanted -= 1
            number = ((both >> _32) * limit) >> _32
            if wanted > 0 and not seen[number]:
                seen[number] = True
                wanted -= 1
        column, number = 0, 0
        while column < counts[row]:
            if seen[number]:
                found[row, column] = number
                seen[number] = False
                column += 1
            number += 1
        found[row, column:] = filling[row]
    return found


@njit(cache=True)
def marked(ordinary, starts, sizes, width):
    """Return which places lie in spans, given by rank among the ordinary ones, in rows framed by one column a side."""
    hit = np.zeros((len(ordinary), width), dtype=np.bool_)
    for row in range(len(ordinary)):
        rank, span = 0, 0
        begin, end = 0, 0
        for place in range(width - 2):
            if ordinary[row, place]:
                while rank >= end and span < starts.shape[1]:
                    begin, end = starts[row, span], starts[row, span] + sizes[row, span]
                    span += 1
                hit[row, place + 1] = begin <= rank < end
                rank += 1
    return hit


@njit(cache=True)
def packed(grid, keep, pad, before, mark):
    """Return the kept places of each row side by side: ids, lengths and places; marks in front of places `before`."""
    rows, width = keep.shape
    lengths = np.zeros(rows, dtype=np.int64)
    for row in range(rows):
        for column in range(width):
            lengths[row] += keep[row, column]
    for place in before:
        lengths[place // width] += 1
    longest = lengths.max() if rows else 0
    ids = np.full((rows, longest), pad, dtype=np.int64)
    places = np.zeros((rows, longest), dtype=np.int64)
    next_mark = 0
    for row in range(rows):
        to = 0
        for column in range(width):
            place = row * width + column
            while next_mark < len(before) and before[next_mark] == place:
                ids[row, to], places[row, to] = mark, place
                to += 1
                next_mark += 1
            if keep[row, column]:
                ids[row, to], places[row, to] = grid[row, column], place
                to += 1
    return ids, lengths, places


@njit(cache=True)
def laid_out(begins, sizes):
    """Return the places of runs, one run behind the other."""
    places = np.empty(sizes.sum(), dtype=np.int64)
    to = 0
    for run in range(len(begins)):
        for step in range(sizes[run]):
            places[to] = begins[run] + step
            to += 1
    return places


@njit(cache=True)
def disguised(keys, places, units, width, hit, draw, mask, masks, swaps):
    """Return what hit tokens become: the mask, a drawn token, or what they are."""
    out = np.empty(len(places), dtype=np.int64)
    number = np.uint64(len(draw))
    for one in range(len(places)):
        row = places[one] // width
        drawn = _at(keys[row], places[one] - row * width)
        fate = drawn if units[one] == places[one] else _at(keys[row], units[one] - row * width)
        turn = fate & _LOW
        if turn < masks:
            out[one] = mask
        elif turn < swaps:
            out[one] = draw[((drawn >> _32) * number) >> _32]
        else:
            out[one] = hit[one]
    return out


@njit(cache=True)
def copied(source, begins, sizes, to, target):
    """Copy runs of an array to places of another."""
    for run in range(len(begins)):
        for step in range(sizes[run]):
            target[to[run] + step] = source[begins[run] + step]


@njit(cache=True)
def ordered(rounds, half, count, found):
    """Send positions where a Feistel network over twice `half` bits sends them, walked until below `count`.

    Walkers go in step, so that the processor works at several of them at once.
    """
    mask, shift = (_1 << np.uint64(half)) - _1, np.uint64(half)
    walking = np.empty(min(len(found), 1024), dtype=np.int64)
    for first in range(0, len(found), 1024):
        left = min(1024, len(found) - first)
        for one in range(left):
            walking[one] = first + one
        while left > 0:
            still = 0
            for one in range(left):
                place = walking[one]
                high, low = found[place] >> shift, found[place] & mask
                for turn in rounds:
                    high, low = low, high ^ (_mixed(low * _GOLDEN + turn) & mask)
                found[place] = (high << shift) | low
                walking[still] = place
                still += found[place] >= count
            left = still
