"""How fast the order of an epoch is looked up, and how long the first batch of a run takes, whatever the corpus.

    python -m benchmarks.order

Prints positions a second of one thread, by its processor time, for 10⁶ to 10¹² blocks: some at once and a million at
once, and by numpy alone. Then the time of the first batch at step 0 and at step 10⁶ on a virtual corpus of blocks of
128 tokens, in shards of 2³¹: all its places hold the same token, so it takes no disk; all else is as in a run.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from corpora.part import Arrays, Part
from corpora.vocabulary import SPECIALS
from foundation import keys
from foundation.compiled import at_once
from objectives import OBJECTIVES
from objectives.feed import Feed
from objectives.sources import words

COUNTS = (10**6, 10**7, 10**8, 10**9, 4 * 10**9, 5 * 10**9, 10**10, 10**11, 10**12)
WORST = "5·10⁹ is the worst: just above 2³², so that three of four values of the network are walked on"
MUST = 10e6
ROWS, BLOCK = 128, 128


def virtual(tokens: int) -> Part:
    """Return a part of so many tokens that takes no memory, one document each shard."""
    most = 1 << 31
    sizes = [min(most, tokens - begin) for begin in range(0, tokens, most)]
    one = np.array([len(SPECIALS)], dtype=np.uint16)
    shards = [
        Arrays(np.broadcast_to(one, size), np.array([0, size], dtype=np.uint32), np.zeros(1, dtype=np.uint32))
        for size in sizes
    ]
    return Part("train", shards, [(size, 1, 1) for size in sizes])


def speed(count: int, positions: int, rounds: int, many: int) -> float:
    """Return positions a second, the median of some rounds."""
    first = np.random.default_rng(0).integers(0, count - positions + 1)
    asked = first + np.arange(positions)
    keys.order(1, count, asked)
    turns, found = max(1, many // positions), []
    for _ in range(rounds):
        begun = time.process_time()
        for _ in range(turns):
            keys.order(1, count, asked)
        found.append(turns * positions / (time.process_time() - begun))
    return statistics.median(found)


def _without(do: Callable[[], float]) -> float:
    kept, keys.compiled = keys.compiled, lambda: None
    try:
        return do()
    finally:
        keys.compiled = kept


def orders(rounds: int, many: int) -> Iterator[str]:
    """Return the lines of the table of orders."""
    yield f"Mpositions/s of one thread, numba {'there' if at_once() else 'not there'}; must {MUST / 1e6:g}\n"
    yield f"| blocks | {ROWS * 32:,} at once | {many:,} at once | numpy alone | must |\n|---:|---:|---:|---:|---|"
    for count in COUNTS:
        found = [speed(count, positions, rounds, many) for positions in (ROWS * 32, many)]
        alone = _without(lambda count=count: speed(count, many, rounds, many))
        shown = " | ".join(f"{each / 1e6:.1f}" for each in (*found, alone))
        yield f"| {count:.0e} | {shown} | {'yes' if min(found) >= MUST else f'**{min(found) / MUST:.0%}**'} |"
    yield f"\n{WORST}.\n"


def batches() -> Iterator[str]:
    """Return the lines of the table of first batches."""
    yield "| blocks | step | first batch, ms | a batch behind it, ms | memory, MiB more |\n|---:|---:|---:|---:|---:|"
    vocabulary = words("one two three")
    for count in (10**6, 10**9, 10**10):
        for step in (0, 10**6):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            begun = time.process_time()
            feed = Feed(virtual(count * BLOCK), vocabulary, OBJECTIVES["token-masking"](), BLOCK, 0)
            feed.at(step * ROWS + np.arange(ROWS))
            first = time.process_time() - begun
            feed.at((step + 1) * ROWS + np.arange(ROWS))
            second = time.process_time() - begun - first
            more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            yield f"| {count:.0e} | {step:,} | {1e3 * first:.1f} | {1e3 * second:.2f} | {more:.1f} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one hasty round; its times mean nothing")
    asked = parser.parse_args(arguments)
    for line in orders(*((1, 10_000) if asked.quick else (asked.rounds, 1_000_000))):
        print(line, flush=True)
    for line in batches():
        print(line, flush=True)


if __name__ == "__main__":
    main()
