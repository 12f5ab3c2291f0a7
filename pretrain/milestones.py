"""Which steps of a run are saved: every so many tokens, and behind 1, 2 … 10, 20 … 100, 200 … million words.

The latter are milestones: BabyLM looks at models as they learn (Charpentier et al. 2025, "BabyLM Turns 3"), at these
marks and under these names, ``chck_1M`` … ``chck_1000M``. Words are counted as often as they are read. How many lie
behind a step is told from its tokens, at the corpus's words per token, not by looking.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator

from pretrain.checkpoint import MILESTONE

MILLION = 1_000_000


def ladder(first: int, most: float) -> Iterator[int]:
    """Yield first × 1, 2 … 10, 20 … 100, 200 …, as far as `most`."""
    unit, times = first, 1
    while unit * times <= most:
        yield unit * times
        times += 1
        if times == 10:
            unit, times = unit * 10, 1


def name(words: int) -> str:
    """Return the name of the milestone at so many words: chck_1M, chck_20K, chck_1234."""
    for unit, letter in ((MILLION, "M"), (1000, "K")):
        if words % unit == 0:
            return f"{MILESTONE}{words // unit}{letter}"
    return f"{MILESTONE}{words}"


def at_steps(first: int, steps: int, words: Callable[[int], float]) -> dict[int, list[str]]:
    """Return by number of finished steps the milestones that are reached there; `words(done)` are those read."""
    found: dict[int, list[str]] = {}
    for mark in ladder(first, words(steps)):
        done = bisect.bisect_left(range(steps + 1), mark, key=words)
        found.setdefault(done, []).append(name(mark))
    return found


def spaced(apart: int, steps: int, tokens: Callable[[int], int]) -> Iterator[int]:
    """Yield numbers of finished steps with at least `apart` tokens between them; `tokens(done)` are those read."""
    done = 0
    while done < steps:
        done = max(done + 1, bisect.bisect_left(range(steps + 1), tokens(done) + apart, key=tokens))
        if done < steps:
            yield done
