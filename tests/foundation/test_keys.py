from __future__ import annotations

import numpy as np
import pytest

from foundation import keys


def test_a_key_is_the_same_number_on_every_machine():
    assert int(keys.fold(0, "noise", 1)) == 6942403604570495289
    assert keys.bits(keys.fold(7, np.arange(2)), 2).tolist() == [
        [11259988613122856867, 5477282431843784853],
        [14347407146253168036, 6994560457178458346],
    ]


def test_every_word_and_its_place_matter():
    made = {int(keys.fold(0, *words)) for words in [("a", "b"), ("b", "a"), ("a",), ("b",), (), ("ab",), (0,), (1,)]}
    assert len(made) == 8


def test_arrays_of_words_make_the_keys_that_single_words_make():
    many = keys.fold(3, "noise", np.arange(5))
    assert many.tolist() == [int(keys.fold(3, "noise", i)) for i in range(5)]


def test_uniform_numbers_are_uniform_and_neighbouring_keys_unrelated():
    drawn = keys.uniform(keys.fold(1, np.arange(400)), 500)
    counts = np.histogram(drawn, bins=50, range=(0, 1))[0]
    expected = drawn.size / 50
    assert ((counts - expected) ** 2 / expected).sum() < 94  # χ², 49 degrees of freedom: p < 0.0001
    assert abs(np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]) < 0.012
    assert abs(np.corrcoef(drawn[:, :-1].ravel(), drawn[:, 1:].ravel())[0, 1]) < 0.012


def test_below_stays_below_and_reaches_everything():
    drawn = keys.below(7, keys.bits(keys.fold(2, np.arange(100)), 100))
    assert np.bincount(drawn.ravel()).tolist() == pytest.approx([10_000 / 7] * 7, rel=0.15)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 1000, 65_537])
def test_an_order_is_a_bijection(count):
    found = keys.order(keys.fold(5, "order"), count, np.arange(count))
    assert (np.sort(found) == np.arange(count)).all()


def test_an_order_needs_no_memory_of_its_size():
    found = keys.order(1, 10**12, np.array([0, 1, 10**12 - 1]))
    assert len(set(found.tolist())) == 3
    assert found.max() < 10**12


def test_orders_send_a_position_everywhere():
    sent = [int(keys.order(keys.fold(seed), 10, np.array([4]))[0]) for seed in range(2000)]
    counts = np.bincount(sent, minlength=10)
    assert ((counts - 200) ** 2 / 200).sum() < 34  # χ², 9 degrees of freedom: p < 0.0001


def test_a_position_outside_is_an_error():
    with pytest.raises(ValueError, match="outside"):
        keys.order(0, 5, np.array([5]))
