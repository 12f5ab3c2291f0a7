"""The order of an epoch is a bijection as random as one can ask, whatever the number of blocks."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from foundation import keys
from foundation.compiled import at_once

COUNTS = [10**6, 10**8, 10**9, 2**32, 2**32 + 1, 5 * 10**9, 10**12]
MANY = 100_000
GOLDEN = {
    20_000: [10987, 18480, 1988],
    10**9: [926858716, 453813472, 664164938],
    10**10: [9282278240, 2715996546, 4774544018],
}
CRITICAL = 160.0
"""χ² with 99 degrees of freedom is larger once in ten thousand times."""


def chi(numbers: np.ndarray, limit: int, bins: int = 100) -> float:
    """χ² of numbers that should be uniform below a limit."""
    return of_counts(np.bincount((numbers.astype(float) * bins / limit).astype(int), minlength=bins))


def of_counts(counts: np.ndarray) -> float:
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2 / expected).sum())


def test_every_small_order_is_a_bijection():
    for count in [*range(1, 300), 1023, 1024, 1025, 4095, 4097]:
        assert sorted(keys.order(keys.fold(count, "order"), count, np.arange(count)).tolist()) == list(range(count))


def test_all_orders_of_three_are_equally_likely():
    made = [tuple(keys.order(keys.fold(seed), 3, np.arange(3)).tolist()) for seed in range(3000)]
    counts = np.unique(made, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert of_counts(counts) < 27  # χ², 5 degrees of freedom: p < 0.0001


@pytest.mark.parametrize("count", COUNTS)
def test_no_two_positions_of_a_large_order_share_a_block(count):
    for first in (0, count // 3, count - MANY):
        found = keys.order(7, count, first + np.arange(MANY))
        assert 0 <= found.min() <= found.max() < count
        assert len(np.unique(found)) == MANY


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("key", [0, 1, 2**64 - 1])
def test_blocks_of_neighbouring_positions_are_uniform_and_unrelated(count, key):
    for first in (0, count - MANY):
        found = keys.order(key, count, first + np.arange(MANY))
        assert chi(found, count) < CRITICAL
        assert chi((found[1:] - found[:-1]) % count, count) < CRITICAL
        assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 4 / np.sqrt(MANY)


@pytest.mark.parametrize("count", COUNTS)
def test_epochs_have_orders_of_their_own(count):
    one, other = (keys.order(keys.fold(0, "order", epoch), count, np.arange(MANY)) for epoch in (0, 1))
    cells = (one.astype(float) * 10 / count).astype(int) * 10 + (other.astype(float) * 10 / count).astype(int)
    assert of_counts(np.bincount(cells, minlength=100)) < CRITICAL
    assert chi((one - other) % count, count) < CRITICAL
    assert (one == other).sum() <= 6


def test_the_tests_see_an_order_that_is_none():
    for wrong in (np.arange(MANY), np.arange(MANY) * 7919 % 10**6):
        assert chi((wrong[1:] - wrong[:-1]) % 10**6, 10**6) > CRITICAL


@pytest.mark.parametrize("count", [300, 2**14 + 1, *COUNTS])
def test_compiled_or_not_an_order_is_the_same(count, monkeypatch):
    positions = np.random.default_rng(0).integers(0, count, (50, 40))
    at_once()
    fast = keys.order(3, count, positions)
    few = keys.order(3, count, positions[:2, :3])
    monkeypatch.setattr(keys, "compiled", lambda: None)
    assert np.array_equal(keys.order(3, count, positions), fast)
    assert np.array_equal(fast[:2, :3], few)


def test_orders_are_those_that_runs_have_been_made_with():
    positions = np.array([0, 1, 12345])
    found = {
        count: keys.order(keys.fold(0, "order", 2), count, positions).tolist() for count in (20_000, 10**9, 10**10)
    }
    assert found == GOLDEN


def test_an_order_takes_no_memory_of_its_size():
    keys.order(1, 10**12, np.arange(1000))
    tracemalloc.start()
    keys.order(1, 10**12, 10**11 + np.arange(1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000
