"""How documents are cut and fitted into rows, from their lengths alone, a window of them at a time.

Best fit (Ding et al. 2024, "Fewer Truncations Improve Language Modeling", §3): what is longer than a block is cut into
full blocks first; the rests and the short documents are taken from the longest to the shortest, and each goes to the
fullest row that still has room for it. A window holds about a million documents, so memory does not grow with a corpus.
Pieces of one size that go to rows with the same room go there together, so it takes a few steps for each size of piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from corpora.part import Part, laid_out

WINDOW = 1 << 20

Numbers = Int64[np.ndarray, " _"]


class Window(NamedTuple):
    """Some rows of a packing."""

    begins: Numbers
    """Where pieces begin in the part, row by row."""
    lengths: Numbers
    counts: Numbers
    """The pieces of each row."""


def cut(part: Part, block: int) -> Iterator[Window]:
    """Yield rows that hold a document, or a block of one, each."""
    for begins, lengths in windows(part, block):
        number = -(-lengths // block)
        inside = laid_out(np.zeros_like(number), number) * block
        rows = np.repeat(begins, number) + inside
        yield Window(rows, np.minimum(np.repeat(lengths, number) - inside, block), np.ones_like(rows))


def best_fit(part: Part, block: int) -> Iterator[Window]:
    """Yield rows that hold whole documents, as far as these are no longer than a block."""
    for begins, lengths in windows(part, block):
        number, rests = np.divmod(lengths, block)
        full = np.repeat(begins, number) + laid_out(np.zeros_like(number), number) * block
        short = np.flatnonzero(rests)
        owners = np.concatenate([np.arange(len(full)), len(full) + fitted(rests[short], block)])
        starts = np.concatenate([full, (begins + number * block)[short]])
        sizes = np.concatenate([np.full(len(full), block), rests[short]])
        yield _in_order(starts, sizes, owners)


def windows(part: Part, block: int, most: int = WINDOW) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield where documents begin and how long they are: of at most so many documents, and hardly more blocks."""
    held = np.empty(0, dtype=np.int64)
    begin = 0
    for shard in part.shards:
        held = np.concatenate([held, np.diff(shard.documents).astype(np.int64)])
        while len(held):
            ends = np.cumsum(held[:most])
            taken = int(np.searchsorted(ends, most * block)) + 1
            if taken > len(ends) and len(ends) < most:
                break
            yield begin + ends[:taken] - held[:most][:taken], held[:most][:taken]
            begin += int(ends[:taken][-1])
            held = held[most:] if taken > most else held[taken:]
    if len(held):
        ends = np.cumsum(held)
        yield begin + ends - held, held


def fitted(sizes: Numbers, block: int) -> Numbers:
    """Return the number of the row that each piece goes to: best fit, the longest pieces first."""
    order = np.argsort((block - sizes).astype(np.uint16 if block <= 1 << 16 else np.uint32), kind="stable")
    rows = np.empty(len(sizes), dtype=np.int64)
    some, counts = np.unique(sizes, return_counts=True)
    free: list[list[Numbers]] = [[] for _ in range(block + 1)]  # by room: the rows that have just so much
    there = np.zeros(block + 1, dtype=bool)
    made = placed = 0
    for size, left in zip(some[::-1].tolist(), counts[::-1].tolist(), strict=True):
        while left:
            room = size + int(there[size:].argmax())
            if there[room]:
                found = free[room]
                open_rows = found[0] if len(found) == 1 else np.concatenate(found)
            else:
                room = block
                open_rows = np.arange(made, made + -(-left // (block // size)))
                made += len(open_rows)
            each = room // size  # a row is filled as far as it can be, because it stays the fullest that has room
            now = min(left, each * len(open_rows))
            whole, more = divmod(now, each)
            rows[order[placed : placed + now]] = np.repeat(open_rows[: whole + 1], each)[:now]
            free[room] = [open_rows[whole + (more > 0) :]]
            there[room] = len(free[room][0]) > 0
            if not there[room]:
                free[room] = []
            for after, those in (
                (room - each * size, open_rows[:whole]),
                (room - more * size, open_rows[whole : whole + (more > 0)]),
            ):
                if after and len(those):
                    free[after].append(those)
                    there[after] = True
            placed, left = placed + now, left - now
    return rows


def _in_order(begins: Numbers, lengths: Numbers, owners: Numbers) -> Window:
    """Return pieces row by row, the rows in the order of their first pieces, and the pieces of a row in that too."""
    order = np.argsort(begins, kind="stable")
    owners = owners[order]
    number = np.arange(len(order))
    first = np.empty(int(owners.max()) + 1, dtype=np.int64)
    first[owners[::-1]] = number[::-1]  # of equal owners the last one stays, which is the first in the text
    rank = (np.cumsum(first[owners] == number) - 1)[first[owners]]
    bits = max(1, len(order)).bit_length()
    keys = (rank << bits) | number
    keys.sort()
    order = order[keys & ((1 << bits) - 1)]
    return Window(begins[order], lengths[order], np.bincount(rank))
