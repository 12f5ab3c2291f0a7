"""Span corruption: the counts of the reference, all its masks alike, and its sentinels."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import combinations
from math import comb

import numpy as np
import pytest

from objectives import IGNORED
from objectives.span_corruption import SpanCorruption

from .chances import follows, is_uniform, one_of_each, runs
from .conftest import plain
from .kinds import kinds


def counts(length: int, density: float, mean: float) -> tuple[int, int]:
    """Hidden tokens and spans of a text, in plain Python, whose ``round`` is half to even as well."""
    hidden = max(1, min(round(length * density), length - 1))
    return hidden, max(1, min(round(hidden / mean), hidden, length - hidden))


def hidden_of(objective, whole, vocabulary) -> np.ndarray:
    """Which places of rows of different words are hidden, told from the asked side alone."""
    given = objective.collate(whole, vocabulary).inputs["input_ids"]
    return np.array([~np.isin(row, shown) for row, shown in zip(whole.ids, given, strict=True)])


def counts_as_the_reference(objective, vocabulary) -> bool:
    """Lengths of both sides, hidden tokens and sentinels are those of the formula, for every length."""
    for length in [*range(2, 80), 141, 190, 350, 568]:
        hidden, spans = counts(length, objective.density, objective.mean)
        batch = objective.collate(plain(vocabulary, 2, length), vocabulary)
        asked, answer = batch.inputs["input_ids"], batch.targets["tokens"]
        if asked.shape[1] != length - hidden + spans + 1 or answer.shape[1] != hidden + spans + 1:
            return False
        if (vocabulary.ordinary[answer].sum(axis=1) != hidden).any() or (answer[:, -1] != vocabulary.eos).any():
            return False
    return True


@pytest.mark.parametrize(("density", "mean"), [(0.15, 3.0), (0.5, 3.0), (0.25, 8.0), (0.7, 1.0), (0.15, 64.0)])
def test_counts_are_those_of_the_reference(density, mean, vocabulary):
    assert counts_as_the_reference(SpanCorruption(density=density, mean=mean), vocabulary)


def test_a_text_of_one_token_is_hidden_whole(vocabulary):
    batch = SpanCorruption().collate(plain(vocabulary, 3, 1), vocabulary)
    assert (batch.inputs["input_ids"] == [vocabulary.sentinels[0], vocabulary.eos]).all()


def marks_in_order(objective, vocabulary) -> bool:
    """Sentinels come in their order on both sides, each once; a row begins kept, ends hidden, and no two touch."""
    batch = objective.collate(plain(vocabulary, 50, 90, seed=1), vocabulary)
    for asked, answer in zip(batch.inputs["input_ids"], batch.targets["tokens"], strict=True):
        marks = np.isin(asked, vocabulary.sentinels)
        wanted = vocabulary.sentinels[: marks.sum()]
        said = answer[np.isin(answer, vocabulary.sentinels)]
        if asked[marks].tolist() != wanted.tolist() or said.tolist() != wanted.tolist():
            return False
        if marks[0] or not marks[-2] or (marks[1:] & marks[:-1]).any() or answer[0] != wanted[0]:
            return False
    return True


@pytest.mark.parametrize("kind", ["bytes", "t5"])
def test_sentinels_stand_in_the_order_of_their_names(kind):
    for objective in (SpanCorruption(), SpanCorruption(density=0.5), SpanCorruption(mean=1.0)):
        assert marks_in_order(objective, kinds()[kind])


def admissible(length: int, hidden: int, spans: int) -> set[tuple[int, ...]]:
    """All masks that begin kept and end hidden, in so many spans that do not touch, found by trying all."""
    found = set()
    for places in combinations(range(length), hidden):
        mask = np.isin(np.arange(length), places)
        if not mask[0] and mask[-1] and len(runs(mask)) == spans:
            found.add(places)
    return found


def draws_all_masks_alike(objective, vocabulary, length: int) -> bool:
    hidden, spans = counts(length, objective.density, objective.mean)
    masks = admissible(length, hidden, spans)
    assert len(masks) == comb(hidden - 1, spans - 1) * comb(length - hidden - 1, spans - 1)
    hit = hidden_of(objective, plain(vocabulary, 100 * len(masks), length, same=True), vocabulary)
    seen = [tuple(np.flatnonzero(row).tolist()) for row in hit]
    return set(seen) == masks and is_uniform(seen, masks)


@pytest.mark.parametrize(
    ("length", "density", "mean"), [(12, 0.4, 2.0), (12, 0.5, 2.0), (11, 0.3, 1.0), (10, 0.5, 1.3)]
)
def test_every_admissible_mask_is_equally_likely(length, density, mean, vocabulary):
    assert draws_all_masks_alike(SpanCorruption(density=density, mean=mean), vocabulary, length)


def hides_all_places_alike(objective, vocabulary) -> bool:
    """Turned by a random number, a mask hides every place alike, and as many tokens as before."""
    length = 60
    hit = hidden_of(objective, plain(vocabulary, 3000, length, same=True), vocabulary)
    hidden, spans = counts(length, objective.density, objective.mean)
    whole = all(spans <= len(runs(row)) <= spans + 1 and row.sum() == hidden for row in hit)
    return whole and is_uniform(one_of_each(hit), range(length)) and is_uniform(one_of_each(~hit), range(length))


def test_a_turned_mask_hides_every_place_alike(vocabulary):
    assert hides_all_places_alike(SpanCorruption(rolled=True), vocabulary)
    assert hides_all_places_alike(SpanCorruption(rolled=True, density=0.5, mean=8.0), vocabulary)
    assert not hides_all_places_alike(SpanCorruption(), vocabulary)


def turns_all_masks_alike(objective, vocabulary) -> bool:
    """Three of seven tokens in two spans: every mask turned by every number, alike."""
    hit = hidden_of(objective, plain(vocabulary, 5000, 7, same=True), vocabulary)
    law = Counter(
        tuple(sorted((place + turn) % 7 for place in mask)) for mask in admissible(7, 3, 2) for turn in range(7)
    )
    return follows(Counter(tuple(np.flatnonzero(row).tolist()) for row in hit), dict(law))


def test_every_turn_of_every_mask_is_equally_likely(vocabulary):
    assert turns_all_masks_alike(SpanCorruption(density=0.4, mean=1.5, rolled=True), vocabulary)


def test_mode_tokens_stand_in_front_of_the_asked_side(vocabulary):
    whole = plain(vocabulary, 5, 30)
    bare = SpanCorruption().collate(whole, vocabulary)
    for mode in ("nlu", "nlg", "s2s"):
        batch = SpanCorruption(mode=mode).collate(whole, vocabulary)
        assert (batch.inputs["input_ids"][:, 0] == getattr(vocabulary, mode)).all()
        assert (batch.inputs["input_ids"][:, 1:] == bare.inputs["input_ids"]).all()
        assert (batch.targets["tokens"] == bare.targets["tokens"]).all()


def fills_exactly(objective, least: int, most: int) -> bool:
    """The raw length behind every length of the asked side fills it, and one token more does not fit."""
    for length in range(least, most + 1):
        raw = objective.span(length)
        if raw - sum(counts(raw, objective.density, objective.mean) * np.array([1, -1])) + 1 != length:
            return False
        if objective.positions(raw) != length or objective.positions(raw + 1) != length + 1:
            return False
    return True


def test_the_span_fills_every_length_exactly():
    remembering = type("Remembering", (SpanCorruption,), {"positions": cache(SpanCorruption.positions)})
    assert fills_exactly(remembering(), 8, 4096)


@pytest.mark.parametrize(
    ("density", "mean"), [(0.15, 8.0), (0.5, 3.0), (0.25, 2.0), (0.3, 1.0), (0.15, 64.0), (0.8, 3.0)]
)
def test_the_span_never_overfills_at_any_density(density, mean):
    objective = SpanCorruption(density=density, mean=mean)
    for length in range(8, 700, 5):
        raw = objective.span(length)
        assert objective.positions(raw) <= length < objective.positions(raw + 1)


def test_the_raw_lengths_of_the_reference():
    assert (SpanCorruption().span(512), SpanCorruption().span(128)) == (568, 141)
    assert counts(568, 0.15, 3.0) == (85, 28)  # 512 positions asked, 114 answered


def test_the_literal_vector_of_the_reference(vocabulary):
    ids = np.arange(10, 22)
    noise = np.isin(ids, [12, 13, 17, 20, 21])
    asked, answer = SpanCorruption().pose(ids, noise, vocabulary)
    s0, s1, s2 = vocabulary.sentinels[:3].tolist()
    assert asked.tolist() == [10, 11, s0, 14, 15, 16, s1, 18, 19, s2]
    assert answer.tolist() == [s0, 12, 13, s1, 17, s2, 20, 21]


def collates_as_it_poses(objective, vocabulary) -> bool:
    """A row is what ``pose`` makes of the mask that the row shows, with </s> behind both sides."""
    whole = plain(vocabulary, 20, 40, same=True)
    batch = objective.collate(whole, vocabulary)
    for row, mask in enumerate(hidden_of(objective, whole, vocabulary)):
        asked, answer = objective.pose(whole.ids[row], mask, vocabulary)
        if batch.inputs["input_ids"][row].tolist() != [*asked.tolist(), vocabulary.eos]:
            return False
        if batch.targets["tokens"][row].tolist() != [*answer.tolist(), vocabulary.eos]:
            return False
    return (batch.targets["tokens"] != IGNORED).all()


def test_what_is_collated_is_what_is_posed(vocabulary):
    assert collates_as_it_poses(SpanCorruption(), vocabulary)
    assert collates_as_it_poses(SpanCorruption(density=0.5, mean=1.0), vocabulary)
