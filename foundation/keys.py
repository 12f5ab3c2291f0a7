"""Randomness that is looked up, never consumed.

A *key* is a 64-bit number. ``fold`` derives keys from words ("noise", a step, a position), ``bits`` and
``uniform`` evaluate a key at places 0, 1, 2 …: the same key and place give the same number on every machine,
in any order, however many processes ask. Nothing is consumed, so there is no state to save.

SplitMix64 (Steele, Lea & Flood 2014, OOPSLA, §"SplittableRandom") in integer arithmetic, which numpy does not
change between versions as it may change ``Generator``.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.compiled import compiled

Keys = NDArray[np.uint64]
Word = int | str | np.integer | NDArray[np.integer]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# arrays without dimensions, because numpy is quicker with these than with scalars
_FIRST, _SECOND = np.asarray(np.uint64(0xBF58476D1CE4E5B9)), np.asarray(np.uint64(0x94D049BB133111EB))
_SHIFTS = tuple(np.asarray(np.uint64(number)) for number in (30, 27, 31))
_ROUNDS = 6
_CACHED, _FEW = 1 << 14, 256  # positions
_TABLED = 16  # bits of a half up to which rounds are tables: 3 MiB for the order of four thousand million blocks


def _mix(x: Any) -> Any:
    """Return SplitMix64's finaliser of each element, a bijection of the 64-bit numbers; x may be overwritten."""
    one, two, three = _SHIFTS
    x ^= x >> one
    x *= _FIRST
    x ^= x >> two
    x *= _SECOND
    x ^= x >> three
    return x


@functools.cache
def _spelled(word: str) -> Any:
    """Return what a word in letters adds to a key; the same few words key every batch."""
    return _mix(_number(word) + GOLDEN)


def _number(word: Word) -> Any:
    if isinstance(word, str):
        word = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
    if isinstance(word, int):
        return np.asarray(word & 0xFFFF_FFFF_FFFF_FFFF, dtype=np.uint64)
    return np.asarray(word).astype(np.uint64)


def fold(key: Word, *words: Word) -> Keys:
    """Return the key reached from `key` by `words`; arrays broadcast, so one call keys a whole batch."""
    folded = _number(key)
    with np.errstate(over="ignore"):  # numpy warns of scalars that overflow, never of arrays
        for word in words:
            mixed = _spelled(word) if isinstance(word, str) else _mix(_number(word) + GOLDEN)
            folded = _mix((folded + GOLDEN) ^ mixed)
    return np.asarray(folded, dtype=np.uint64)


def bits(keys: Keys, count: int) -> Keys:
    """Return 64 random bits for each key at places 0 … count − 1: shape ``[*keys.shape, count]``."""
    places = np.arange(1, count + 1, dtype=np.uint64)
    places *= GOLDEN
    return _mix(np.asarray(keys, dtype=np.uint64)[..., None] + places)


def at(keys: Keys, places: NDArray[np.integer]) -> Keys:
    """Return 64 random bits for each key at its own place; ``at(k, p)`` is ``bits(k, p + 1)[p]``."""
    found = places.astype(np.uint64)
    found += np.uint64(1)
    found *= GOLDEN
    found += keys
    return _mix(found)


def words(keys: Keys, count: int) -> NDArray[np.uint32]:
    """Return 32 random bits for each key at places 0 … count − 1, at half the price of ``bits``."""
    halves = bits(keys, (count + 1) // 2).astype("<u8", copy=False).view("<u4")
    return halves[..., :count]


def uniform(keys: Keys, count: int) -> NDArray[np.float64]:
    """Return numbers uniform on [0, 1), 53 bits each: shape ``[*keys.shape, count]``."""
    return (bits(keys, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def below(limits: NDArray[np.integer] | int, drawn: Keys) -> NDArray[np.int64]:
    """Return each draw of `drawn` (as from ``bits``) as an integer in [0, limit).

    Multiply-shift on the high 32 bits: a limit up to 2**31 is off uniform by at most limit / 2**32.
    """
    high = drawn >> np.uint64(32)
    return ((high * np.asarray(limits).astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def number(key: Word, *words: Word) -> int:
    """Return one key as a Python integer below 2**63, as seeds of other libraries want it."""
    return int(fold(key, *words)) >> 1


def order(key: Word, count: int, positions: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return where a keyed random bijection of [0, count) sends each of `positions`.

    A Feistel network over the smallest even number of bits that holds `count`, walked until the value falls
    inside (cycle-walking; Black & Rogaway 2002, §4): the permutation is never materialised, so it costs no memory
    that grows with the count. At most four steps are expected for a position.

    Raises:
        ValueError: if a position is outside [0, count).
    """
    found = np.array(positions, dtype=np.int64, order="C")
    if found.size and (found.min() < 0 or found.max() >= count):
        raise ValueError(f"a position outside [0, {count})")
    half = max(1, (max(1, count - 1).bit_length() + 1) // 2)
    flat = found.ravel()
    tables = _rounds(int(fold(key)), half) if half <= _TABLED else None
    if tables is not None:  # one step for all; few are left
        flat[:] = _feistel(tables, half, flat)
        walking = np.flatnonzero(flat >= count)
    else:
        walking = np.arange(len(flat))
    if len(walking) > _FEW and (fast := compiled()):
        walkers = flat[walking].view(np.uint64)
        fast.ordered(fold(key, "order", np.arange(_ROUNDS)), half, np.uint64(count), walkers)
        flat[walking] = walkers.view(np.int64)
        return found
    rounds = tables if tables is not None else list(fold(key, "order", np.arange(_ROUNDS)))
    for first in range(0, len(walking), _CACHED):  # what the many passes read and write stays near
        some = walking[first : first + _CACHED]
        while some.size:
            flat[some] = stepped = _feistel(rounds, half, flat[some])
            some = some[stepped >= count]
    return found


@functools.lru_cache(maxsize=8)
def _rounds(key: int, half: int) -> NDArray[np.int64]:
    """Return what each round makes of each value of a half, where these are few."""
    values = np.arange(1 << half, dtype=np.uint64) * GOLDEN
    mixed = _mix(values + fold(key, "order", np.arange(_ROUNDS))[:, None])
    return (mixed & np.uint64((1 << half) - 1)).astype(np.int64)


def _feistel(rounds: Any, half: int, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the network's values; a round is a table of all that it does, or a key."""
    low = (1 << half) - 1
    left, right = values >> half, values & low
    for turn in rounds:
        made = turn.take(right) if turn.ndim else (_mix(right.astype(np.uint64) * GOLDEN + turn)).astype(np.int64) & low
        left, right = right, left ^ made
    return (left << half) | right
