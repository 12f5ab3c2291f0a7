"""Tests of chance at fixed keys: a law of numbers is believed unless what is seen has a chance below one in 10 000."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from scipy import stats

LEAST = 1e-4


def follows(seen: Counter, law: dict[Hashable, float]) -> bool:
    """Do counts follow a law (χ²)? What the law does not know never happens; what it hardly expects is put together."""
    if not seen.keys() <= {value for value, share in law.items() if share > 0}:
        return False
    number, total = sum(seen.values()), sum(law.values())
    cells = sorted((share / total * number, seen[value]) for value, share in law.items())
    expected, found = [0.0], [0]
    for wanted, count in cells:
        if expected[-1] >= 5:
            expected.append(0.0)
            found.append(0)
        expected[-1] += wanted
        found[-1] += count
    if expected[-1] < 5 and len(expected) > 1:
        last, rest = expected.pop(), found.pop()
        expected[-1] += last
        found[-1] += rest
    assert len(expected) > 1, "a law of one value proves nothing"
    return bool(stats.chisquare(found, expected).pvalue > LEAST)


def is_uniform(values: Iterable[Hashable], choices: Iterable[Hashable]) -> bool:
    return follows(Counter(values), dict.fromkeys(choices, 1.0))


def alike(one: Iterable[int], other: Iterable[int]) -> bool:
    """Have two samples of small numbers one law (χ² of their table)? Rare numbers are put together."""
    first, second = Counter(one), Counter(other)
    table, rest = [], [0, 0]
    for value in sorted(first.keys() | second.keys()):
        pair = [first[value], second[value]]
        if sum(pair) < 20:
            rest = [rest[0] + pair[0], rest[1] + pair[1]]
        else:
            table.append(pair)
    table += [rest] if sum(rest) >= 20 else []
    return bool(stats.chi2_contingency(np.array(table).T).pvalue > LEAST)


def same_law(one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray) -> bool:
    """Have two samples one law (Kolmogorov-Smirnov)?"""
    return bool(stats.ks_2samp(one, other).pvalue > LEAST)


def happens(times: int, of: int, share: float) -> bool:
    """Does something happen with a probability (exact binomial)?"""
    return bool(stats.binomtest(int(times), int(of), share).pvalue > LEAST)


def one_of_each(hit: np.ndarray, seed: int = 0) -> list[int]:
    """A random hit place of each row: rows are independent of each other, places of a row are not."""
    rng = np.random.default_rng(seed)
    return [int(rng.choice(np.flatnonzero(row))) for row in hit if row.any()]


def lengths_until(law: dict[int, float], hidden: int, rows: int, seed: int = 0) -> list[int]:
    """Lengths drawn from a law until their sum is reached, the last one trimmed: plainly, row by row."""
    rng = np.random.default_rng(seed)
    values, shares = np.array(list(law)), np.array(list(law.values()))
    found = []
    for _ in range(rows):
        left = hidden
        for length in rng.choice(values, size=hidden * 6 + 20, p=shares / shares.sum()).tolist():
            if not left:
                break
            found.append(min(length, left))
            left -= found[-1]
    return found


def poisson(mean: float) -> dict[int, float]:
    return {length: float(stats.poisson.pmf(length, mean)) for length in range(int(mean * 4) + 30)}


def runs(hit: Sequence[bool] | np.ndarray) -> list[tuple[int, int]]:
    """Where runs of hits begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(hit, dtype=int), [0]])))
    return [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]
