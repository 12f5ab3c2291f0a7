"""Choosing an exact number of places: also where the scores by which they are chosen are equal."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from foundation import keys
from objectives.noise import choose

from .chances import is_uniform
from .conftest import keys as keyed


def coarse(values: int):
    """Scores of a few values only, so that most rows have ties just where the choice ends."""
    fine = keys.words

    def words(key: np.ndarray, count: int) -> np.ndarray:
        return (fine(key, count) % np.uint32(values)).astype(np.uint32)

    return words


@pytest.mark.parametrize("values", [1, 2, 5])
def test_the_number_is_exact_even_where_all_scores_are_equal(values, monkeypatch):
    monkeypatch.setattr(keys, "words", coarse(values))
    rng = np.random.default_rng(values)
    places = rng.random((300, 30)) < 0.7
    counts = rng.integers(0, places.sum(axis=1) + 1)
    chosen = choose(keyed(300, 0), places, counts)
    assert (chosen.sum(axis=1) == counts).all()
    assert not (chosen & ~places).any()


def test_no_place_is_preferred_where_scores_are_equal(monkeypatch):
    monkeypatch.setattr(keys, "words", coarse(1))
    chosen = choose(keyed(4000, 1), np.ones((4000, 5), dtype=bool), np.full(4000, 2))
    assert is_uniform((tuple(np.flatnonzero(row).tolist()) for row in chosen), combinations(range(5), 2))


def test_no_place_is_preferred_where_a_few_scores_are_equal(monkeypatch):
    monkeypatch.setattr(keys, "words", coarse(3))
    places = np.ones((4000, 6), dtype=bool)
    places[:, 2] = False
    chosen = choose(keyed(4000, 2), places, np.full(4000, 3))
    sets = combinations([0, 1, 3, 4, 5], 3)
    assert is_uniform((tuple(np.flatnonzero(row).tolist()) for row in chosen), sets)


def test_a_row_with_ties_is_the_row_alone(monkeypatch):
    monkeypatch.setattr(keys, "words", coarse(2))
    rng = np.random.default_rng(3)
    places, key = rng.random((40, 20)) < 0.8, keyed(40, 3)
    counts = rng.integers(0, places.sum(axis=1) + 1)
    whole = choose(key, places, counts)
    for row in range(40):
        here = slice(row, row + 1)
        assert (choose(key[here], places[here], counts[here]) == whole[here]).all()


def test_nothing_is_chosen_of_nothing():
    assert choose(keyed(3, 0), np.zeros((3, 0), dtype=bool), np.zeros(3, dtype=np.int64)).shape == (3, 0)
    assert not choose(keyed(3, 0), np.zeros((3, 4), dtype=bool), np.zeros(3, dtype=np.int64)).any()
