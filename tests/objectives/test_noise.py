"""The laws of the noise: shares, spans, uniformity, order."""

from __future__ import annotations

from collections import Counter
from math import comb

import numpy as np
import pytest

from corpora.blocks import Blocks
from foundation.keys import fold
from foundation.refusal import BadUsage
from objectives import IGNORED, OBJECTIVES
from objectives.sentence_order import SentenceOrder
from objectives.span_corruption import SpanCorruption
from objectives.text_infilling import TextInfilling
from objectives.token_masking import TokenMasking

from .conftest import blocks


def plain(vocabulary, rows: int, width: int, seed: int = 0) -> Blocks:
    """Blocks of ordinary tokens only, one sentence each."""
    ids = np.random.default_rng(seed).choice(vocabulary.draw, size=(rows, width))
    none = np.zeros((rows, width), dtype=bool)
    return Blocks(ids, np.full(rows, width), none, none, fold(seed, "plain", np.arange(rows)))


def within(found: float, expected: float, count: int) -> bool:
    """Is a share of `count` draws within five standard deviations?"""
    return abs(found - expected) < 5 * (expected * (1 - expected) / count) ** 0.5


def test_masking_hits_the_exact_number_and_disguises_80_10_10(vocabulary):
    whole = plain(vocabulary, 400, 100)
    batch = TokenMasking().collate(whole, vocabulary)
    labels, given = batch.targets["tokens"], batch.inputs["input_ids"]
    asked = labels != IGNORED
    assert (asked.sum(axis=1) == 15).all()
    shown, said = given[asked], labels[asked]
    assert within((shown == vocabulary.mask).mean(), 0.8, len(said))
    stays = 0.1 + 0.1 / len(vocabulary.draw)  # a random word may be the word itself
    assert within((shown == said).mean(), stays, len(said))
    assert vocabulary.ordinary[shown[shown != vocabulary.mask]].all()


def test_masking_hits_every_position_alike(vocabulary):
    batch = TokenMasking().collate(plain(vocabulary, 4000, 40), vocabulary)
    hits = (batch.targets["tokens"][:, 1:-1] != IGNORED).sum(axis=0)
    expected = 4000 * 6 / 40
    assert ((hits - expected) ** 2 / expected).sum() < 80  # χ² with 39 degrees of freedom: p < 0.0002


def test_span_masks_are_uniform_over_all_admissible_ones(vocabulary):
    length, rows = 12, 20_000
    objective = SpanCorruption(density=0.4, mean=2.0)  # 5 hidden in 2 spans
    batch = objective.collate(plain(vocabulary, 1, length), vocabulary)
    whole = plain(vocabulary, rows, length)
    whole.ids[:] = vocabulary.draw[0] + np.arange(length)
    batch = objective.collate(whole, vocabulary)
    kept = [tuple(sorted(set(r[r >= vocabulary.draw[0]].tolist()))) for r in batch.inputs["input_ids"]]
    seen = Counter(kept)
    masks = comb(4, 1) * comb(6, 1)
    assert len(seen) == masks
    expected = rows / masks
    assert sum((n - expected) ** 2 / expected for n in seen.values()) < 58  # χ², 23 degrees: p < 0.0001


def test_span_counts_are_those_of_the_reference():
    objective = SpanCorruption()
    assert (objective.span(512), objective.span(128)) == (568, 141)
    hidden, spans = objective.counts(np.array([568, 141, 12, 1, 0]))
    assert hidden.tolist() == [85, 21, 2, 1, 0]
    assert spans.tolist() == [28, 7, 1, 1, 0]


def test_spans_follow_the_references_literal_vector(vocabulary):
    ids = vocabulary.draw[:12]
    noise = np.isin(np.arange(12), [2, 3, 7, 10, 11])
    asked, answer = SpanCorruption().pose(ids, noise, vocabulary)
    s0, s1, s2 = vocabulary.sentinels[:3]
    assert asked.tolist() == [ids[0], ids[1], s0, ids[4], ids[5], ids[6], s1, ids[8], ids[9], s2]
    assert answer.tolist() == [s0, ids[2], ids[3], s1, ids[7], s2, ids[10], ids[11]]


def test_infilling_hides_the_exact_share_behind_poisson_spans(vocabulary):
    whole = plain(vocabulary, 500, 100)
    batch = TextInfilling().collate(whole, vocabulary)
    given = batch.inputs["input_ids"]
    assert ((vocabulary.ordinary[given]).sum(axis=1) == 70).all()
    masks = (given == vocabulary.mask).sum(axis=1)
    assert 10 < masks.mean() < 12  # 30 tokens in spans of mean 3, the last one trimmed, empty ones included
    assert not ((given[:, 1:] == vocabulary.mask) & (given[:, :-1] == vocabulary.mask)).any()


def test_infilling_keeps_the_sentences_and_moves_them(vocabulary):
    whole = blocks(vocabulary, 100, 80, seed=2)
    batch = TextInfilling(rate=0.0).collate(whole, vocabulary)
    moved = 0
    for index in range(100):
        row = batch.inputs["input_ids"][index, 1:81]
        assert sorted(row.tolist()) == sorted(whole.ids[index].tolist())
        assert (np.flatnonzero(row == vocabulary.eos) == np.flatnonzero(whole.ids[index] == vocabulary.eos)).all()
        moved += (row != whole.ids[index]).any()
    assert moved > 80


def test_sentence_order_swaps_half_and_cuts_at_sentences_of_one_document(vocabulary):
    whole = blocks(vocabulary, 4000, 64, seed=4)
    batch = SentenceOrder().collate(whole, vocabulary)
    order = batch.targets["order"]
    asked = order != IGNORED
    assert asked.mean() > 0.5
    assert within((order[asked] == 1).mean(), 0.5, int(asked.sum()))
    for index in np.flatnonzero(order == 1)[:500]:
        origin = batch.origin[index]
        origin = origin[origin >= 0]
        moved = np.flatnonzero(origin != np.arange(64))
        left, right = moved[0], moved[-1] + 1
        cut = origin[left]
        assert origin.tolist() == [*range(left), *range(cut, right), *range(left, cut), *range(right, 64)]
        assert whole.sentences[index, left]
        assert whole.sentences[index, cut]
        assert not whole.documents[index, left + 1 : right].any()
        ends = right == 64 or whole.sentences[index, right] or whole.ids[index, right] == vocabulary.eos
        assert ends


def test_lengths_of_the_first_segment_do_not_tell_the_order(vocabulary):
    batch = SentenceOrder().collate(blocks(vocabulary, 6000, 64, seed=6), vocabulary)
    order, types = batch.targets["order"], batch.inputs["token_type_ids"]
    first = batch.lengths - types.sum(axis=1)
    low, high = first[order == 0], first[order == 1]
    error = (low.var() / len(low) + high.var() / len(high)) ** 0.5
    assert abs(low.mean() - high.mean()) < 4 * error


def test_a_text_of_one_sentence_is_asked_no_order(vocabulary):
    batch = SentenceOrder().collate(plain(vocabulary, 20, 32), vocabulary)
    assert (batch.targets["order"] == IGNORED).all()
    assert (batch.inputs["token_type_ids"] == 0).all()


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("token-masking", {"rate": 1.5}),
        ("token-masking", {"masked": 0.8, "random": 0.3}),
        ("span-corruption", {"density": -0.1}),
        ("span-corruption", {"mean": 0.5}),
        ("text-infilling", {"mean": 0.0}),
    ],
)
def test_wrong_numbers_are_refused_with_their_limit(name, numbers):
    with pytest.raises(BadUsage, match=r"0|1|share"):
        OBJECTIVES[name](**numbers)


def test_more_spans_than_sentinels_are_refused(vocabulary):
    with pytest.raises(BadUsage, match="256 sentinels"):
        SpanCorruption(density=0.5, mean=1.0).check(vocabulary, 600)


@pytest.mark.parametrize("name", ["text-infilling", "span-corruption"])
def test_hidden_marks_the_answers_that_the_input_does_not_show(name, vocabulary):
    for ragged in (False, True):
        whole = blocks(vocabulary, 60, 50, ragged=ragged, seed=8)
        batch = OBJECTIVES[name]().collate(whole, vocabulary)
        labels, given = batch.targets["tokens"], batch.inputs["input_ids"]
        for index in range(60):
            hidden = labels[index][batch.hidden[index]]
            shown = given[index][vocabulary.ordinary[given[index]]]
            text = whole.ids[index, : whole.lengths[index]]
            assert sorted([*hidden, *shown]) == sorted(text[vocabulary.ordinary[text]])
