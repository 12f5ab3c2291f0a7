"""How sure a score or a difference of scores is: over test examples and over seeds together.

Test examples are resampled in pairs (Efron & Tibshirani 1993, §8.3): a difference is taken on the same examples. Seeds
are resampled by their spread: with two or three of them, drawing among them again would show half to two thirds of
it, so each resample adds a draw from Student's t, scaled by the standard error of the mean over seeds. The spread is
pooled over all arms of the same sort on the same task, which gives it the degrees of freedom that two seeds
alone do not have. Runs of one checkpoint count as one where there are several checkpoints. With a single seed
of everything the spread is not known; then ``ASSUMED`` stands in for it, and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from foundation import keys
from tournament.outcomes import Scores

RESAMPLES = 4000
SHARE = 0.95
ASSUMED = 0.02
"""Standard deviation between seeds where none is measured: at the upper end of what small models show here."""
_KEY = keys.fold(0, "tournament", "bootstrap")


@dataclass(frozen=True)
class Spread:
    """The variance between seeds of the arms of one sort, and its degrees of freedom (0: given, not measured)."""

    variance: float = 0.0
    freedom: int = 0

    @property
    def known(self) -> bool:
        """Whether any arm had two seeds."""
        return self.freedom > 0


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its interval."""

    estimate: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 if the whole interval is above 0, −1 if it is below, else 0."""
        return int(self.low > 0) - int(self.high < 0)


def spread(several: Iterable[Scores]) -> Spread:
    """Return the variance of a seed's score, pooled over arms."""
    squares, freedom = 0.0, 0
    for scores in several:
        means = scores.by_cluster.mean(1)
        squares += float(((means - means.mean()) ** 2).sum())
        freedom += len(means) - 1
    return Spread(squares / freedom, freedom) if freedom else Spread(ASSUMED**2, 0)


def of(scores: Scores, seeds: Spread) -> Interval:
    """Return the interval of one score."""
    drawn = _resampled(scores.examples) + _seed_noise(scores, seeds, "left")
    return _interval(scores.score, drawn)


def difference(left: Scores, right: Scores, left_seeds: Spread, right_seeds: Spread) -> Interval:
    """Return the interval of the paired difference left − right; both were judged on the same examples."""
    paired = left.examples - right.examples
    drawn = _resampled(paired) + _seed_noise(left, left_seeds, "left") - _seed_noise(right, right_seeds, "right")
    return _interval(float(paired.mean()), drawn)


def _interval(estimate: float, drawn: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(drawn, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return Interval(estimate, float(low), float(high))


def _resampled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return (_weights(len(values)) @ values.astype(np.float32)).astype(np.float64) / len(values)


@lru_cache(maxsize=4)
def _weights(count: int) -> NDArray[np.float32]:
    """Return how often each of `count` examples is in each resample: the same resamples for every comparison."""
    chosen = keys.below(count, keys.bits(keys.fold(_KEY, "examples"), RESAMPLES * count)).reshape(RESAMPLES, count)
    places = (np.arange(RESAMPLES)[:, None] * count + chosen).ravel()
    return np.bincount(places, minlength=RESAMPLES * count).reshape(RESAMPLES, count).astype(np.float32)


def _seed_noise(scores: Scores, seeds: Spread, side: str) -> NDArray[np.float64]:
    """Return draws of the error that the choice of seeds brings into the mean."""
    if not seeds.variance:
        return np.zeros(RESAMPLES)
    count = len(np.unique(scores.clusters))
    return _student(seeds.freedom, side) * np.sqrt(seeds.variance / count)


@lru_cache(maxsize=16)
def _student(freedom: int, side: str) -> NDArray[np.float64]:
    """Return draws from Student's t, a normal over the root of a mean of squared normals; a normal for freedom 0."""
    uniform = keys.uniform(keys.fold(_KEY, "seeds", side), 2 * RESAMPLES * (freedom + 1)).reshape(2, RESAMPLES, -1)
    normal = np.sqrt(-2 * np.log1p(-uniform[0])) * np.cos(2 * np.pi * uniform[1])  # Box & Muller 1958
    return normal[:, 0] if not freedom else normal[:, 0] / np.sqrt((normal[:, 1:] ** 2).mean(1))
