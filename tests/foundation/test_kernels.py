"""What is compiled and what numpy does are the same, bit for bit."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from foundation import kernels
from foundation.compiled import at_once
from foundation.keys import fold
from objectives import noise, weaving
from tests.objectives.digests import digest
from tests.objectives.variants import VARIANTS


@pytest.fixture
def numpy_alone(monkeypatch):
    """As if numba were not installed."""
    for module in (noise, weaving):
        monkeypatch.setattr(module, "compiled", lambda: None)


@pytest.fixture(autouse=True)
def loaded():
    at_once()


def test_numba_is_used_where_it_is_installed():
    assert noise.compiled() is kernels


def test_numba_is_loaded_when_a_process_makes_many_batches_and_not_before():
    asked = (
        "import sys; from foundation.compiled import compiled\n"
        "few = [compiled() for _ in range(2000)]\n"
        "assert few == [None] * 2000 and 'numba' not in sys.modules\n"
        "assert compiled().__name__ == 'foundation.kernels'\n"
    )
    subprocess.run([sys.executable, "-c", asked], check=True)


@pytest.mark.parametrize("name", VARIANTS)
def test_batches_do_not_depend_on_what_is_compiled(name, request):
    compiled = digest(VARIANTS[name])
    request.getfixturevalue("numpy_alone")
    assert noise.compiled() is None
    assert digest(VARIANTS[name]) == compiled


def both(function, *arguments):
    """What a function gives with the compiled loops and without."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (noise, weaving):
            patch.setattr(module, "compiled", lambda: None)
        plain = function(*arguments)
    return function(*arguments), plain


@pytest.mark.parametrize("seed", range(20))
def test_sets_of_different_numbers(seed):
    rng = np.random.default_rng(seed)
    limits = rng.integers(1, 400, size=30)
    counts = (limits * rng.uniform(0, 0.5, size=30)).astype(np.int64)
    fast, plain = both(noise.sample, fold(seed, np.arange(30)), limits, counts, limits + 7)
    assert (fast == plain).all()


@pytest.mark.parametrize("rate", [0.0, 0.15, 0.5, 2.0**-16, 1 - 2.0**-33, 1.0])
def test_coins_of_any_rate(rate):
    places = np.random.default_rng(0).random((200, 333)) < 0.9  # enough for limits that are met exactly
    fast, plain = both(noise.flip, fold(1, np.arange(200)), places, np.full(200, rate))
    assert (fast == plain).all()


@pytest.mark.parametrize("seed", range(20))
def test_packed_rows_with_marks_between(seed):
    rng = np.random.default_rng(seed)
    keep = rng.random((7, 12)) < rng.random((7, 1))
    grid = rng.integers(0, 99, size=keep.shape)
    keep[0, 3] = True
    before = np.sort(rng.choice(np.flatnonzero(keep), size=int(rng.integers(0, 9)), replace=True))
    for inserted in (None, (before, 5)):
        fast, plain = both(weaving.pack, grid, keep, -1, inserted)
        assert (fast.ids == plain.ids).all()
        assert (fast.lengths == plain.lengths).all()
        assert (fast.places[fast.inside] == plain.places[plain.inside]).all()


@pytest.mark.parametrize("seed", range(20))
def test_spans_by_rank(seed):
    rng = np.random.default_rng(seed)
    ordinary = rng.random((9, 40)) < 0.9
    text = noise.Text(ordinary)
    hidden = np.minimum(text.counts // 3 + 1, text.counts)
    starts, sizes, _ = noise.gaps(fold(seed, np.arange(9)), text.counts, hidden, noise.Law([0.1, 0.3, 0.3, 0.3]))
    fast, plain = both(text.hit, starts, sizes, 42)
    assert (fast == plain).all()
    assert (fast.sum(axis=1) == hidden).all()


def test_no_rows_are_no_rows():
    none = np.zeros((0, 5), dtype=np.int64)
    fast, plain = both(weaving.pack, none, none > 0, 0)
    assert fast.ids.shape == plain.ids.shape == (0, 0)
