"""Where examples stand: which of a run's rows are which, how many positions they take, and what text fills them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from benchmarks.order import virtual
from corpora.part import Part
from objectives.feed import Feed
from objectives.token_masking import TokenMasking

from .conftest import blocks, plain
from .kinds import kinds
from .rows import read
from .test_laws import shapes
from .variants import ALL, VARIANTS, accepted


def fits_its_positions(objective, vocabulary) -> bool:
    """``reach`` bounds every array, ``positions`` what is asked of rows without special tokens inside."""
    bare = plain(vocabulary, 100, 64)
    bare.others, bare.texts = plain(vocabulary, 100, 64, seed=1), np.arange(100)
    bare.others.texts = np.arange(100) + 100
    for whole in [*shapes(vocabulary, seed=6), blocks(vocabulary, 200, 64, seed=3), bare]:
        batch, block = objective.collate(whole, vocabulary), whole.ids.shape[1]
        for array in (*batch.inputs.values(), *batch.targets.values()):
            if array.ndim == 2 and array.shape[1] > objective.reach(block):
                return False
    return batch.inputs["input_ids"].shape[1] <= objective.positions(block) <= objective.reach(block)


@pytest.mark.parametrize("name", ALL)
def test_positions_and_reach_bound_every_array(name):
    assert fits_its_positions(ALL[name], kinds()[accepted(name)[0]])


def part_of_a_corpus(vocabulary) -> Part:
    rng = np.random.default_rng(0)
    ids = rng.choice(vocabulary.draw, size=3001).astype(np.uint16)
    bounds = np.array([0, *np.sort(rng.choice(np.arange(1, 3000), 60, replace=False)), 3001])
    ids[bounds[1:] - 1] = vocabulary.eos
    starts = np.unique(np.concatenate([bounds[:-1], rng.choice(3000, 300)]))
    return Part.of("train", ids, bounds, starts)


def is_a_function_of_its_positions(objective, vocabulary) -> bool:
    """A run's rows do not depend on how its positions are grouped: by batches, processes, or a resumed run."""
    feed = Feed(part_of_a_corpus(vocabulary), vocabulary, objective, 96, seed=5, total=64)
    positions = np.arange(40)  # more than one pass
    expected = read(feed.at(positions), objective, vocabulary)
    for groups in ([positions[::2], positions[1::2]], np.split(positions[::-1], [3, 17])):
        for group in groups:
            if read(feed.at(group), objective, vocabulary) != [expected[place] for place in group]:
                return False
    return True


@pytest.mark.parametrize("name", ALL)
def test_a_run_reads_the_same_rows_in_any_grouping(name):
    assert is_a_function_of_its_positions(ALL[name], kinds()[accepted(name)[0]])


def fills(objective, lengths: range) -> bool:
    """The span is the longest text that fits a length, found by looking at all of them."""
    sizes = [objective.positions(block) for block in range(1, 2 * lengths[-1] + 4)]
    if sizes != sorted(sizes):
        return False
    inner = [length for length in lengths if length < sizes[-1]]
    spans = np.searchsorted(sizes, np.array(inner), side="right").tolist()
    return spans == [objective.span(length) for length in inner]


@pytest.mark.parametrize("name", VARIANTS)
def test_the_span_is_the_longest_text_that_fits(name):
    assert fills(VARIANTS[name], range(8, 600, 13))


def test_a_batch_of_a_huge_corpus_takes_no_more_memory_at_a_late_step_than_at_the_first(vocabulary):
    peaks = []
    for step in (0, 10**6):
        tracemalloc.start()
        feed = Feed(virtual(128 * 10**10), vocabulary, TokenMasking(), 128, 0)
        assert feed.blocks == 10**10
        blocks = feed.read(step * 128 + np.arange(128))
        assert blocks.ids.shape == blocks.sentences.shape == (128, 128)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 4 * 2**20
