from __future__ import annotations

import functools

import numpy as np
import pytest

from foundation import keys
from tests.tournament import hand_written as hand
from tournament import intervals
from tournament.meeting import Meeting, meeting
from tournament.outcomes import Outcomes, Scores
from tournament.verdict import verdict

TRUE = 0.6


def scores(arm: str, correct: list[list[float]], clusters: list[int] | None = None) -> Scores:
    return Scores(arm, np.array(correct), np.array(clusters or range(len(correct))), "accuracy")


def met(one: Scores, other: Scores) -> Meeting:
    spreads = {"pretrained": intervals.spread([one, other])}
    return Meeting("task", "full", {"one": one, "other": other}, {}, {}, spreads)


def outcomes(records: list[hand.Record]) -> Outcomes:
    return Outcomes({record["step"]: record for record in records})


@functools.cache
def whole() -> str:
    return said(hand.tournament())


def said(records: list[hand.Record]) -> str:
    return "\n".join(line for group in verdict(outcomes(records)) for line in group.lines)


def test_identical_arms_are_never_separated():
    same = scores("pretrained", [hand.correct(0.7, "a"), hand.correct(0.6, "b")])
    (found,) = met(same, same).comparisons()
    assert (found.found.estimate, found.found.sign) == (0.0, 0)
    assert found.words == "cannot be told apart from"


def drawn(world: int, arm: str, seeds: int, examples: int = 300, spread: float = 0.05) -> Scores:
    """Return an arm of a world in which arms differ by their seeds alone: each seed has its own skill."""
    rows = []
    for seed in range(seeds):
        luck = keys.uniform(keys.fold(world, arm, seed), 12).sum() - 6  # a normal, nearly
        right = keys.uniform(keys.fold(world, arm, seed, "examples"), examples) < TRUE + spread * luck
        rows.append(right.astype(float).tolist())
    return scores("pretrained", rows)


@pytest.mark.parametrize("seeds", [2, 3])
def test_arms_that_differ_only_in_seed_are_separated_no_more_often_than_promised(seeds):
    worlds = 100
    separated = naive = 0
    for world in range(worlds):
        arms = {name: drawn(world, name, seeds) for name in "abcde"}
        spread = intervals.spread(arms.values())
        found = intervals.difference(arms["a"], arms["b"], spread, spread)
        separated += found.sign != 0
        none = intervals.Spread()
        naive += intervals.difference(arms["a"], arms["b"], none, none).sign != 0
    assert separated <= 0.12 * worlds  # 5 % expected; this is three standard deviations more
    assert naive > 0.15 * worlds  # what resampling examples alone would have claimed


def test_single_seeds_are_not_separated_by_what_a_seed_may_do():
    one, other = (scores("pretrained", [hand.correct(score, "same")]) for score in (0.60, 0.56))
    spread = intervals.spread([one, other])
    assert not spread.known
    assert intervals.difference(one, other, intervals.Spread(), intervals.Spread()).sign == 1
    assert intervals.difference(one, other, spread, spread).sign == 0


def test_a_large_difference_is_seen():
    one, other = drawn(0, "a", 2, spread=0.0), scores("pretrained", [hand.correct(0.3, "x", count=300)] * 2)
    assert met(one, other).comparisons()[0].words == "better than"
    assert met(other, one).comparisons()[0].words == "worse than"


def test_a_difference_is_paired_by_example():
    base = hand.correct(0.5, "base")
    zeros = [place for place, score in enumerate(base) if not score][:16]
    better = [1.0 if place in zeros else score for place, score in enumerate(base)]
    found = intervals.difference(
        scores("pretrained", [better]), scores("constant", [base]), intervals.Spread(), intervals.Spread()
    )
    assert found.estimate == pytest.approx(0.04)
    assert found.low > 0.02  # unpaired, its interval would be some 14 points wide


def test_runs_of_one_checkpoint_count_as_one_where_there_are_several_checkpoints():
    records = [hand.plan(["a"]), hand.pretrained("a", "bert", 5.0)]
    records += [
        hand.adapted("a", "bert", "pretrained", "t", "full", 0.5 + 0.1 * pretraining, seed, pretraining)
        for pretraining in (0, 1)
        for seed in (0, 1, 2)
    ]
    view = outcomes(records)
    found = view.pretrained(view.entries[0], "t", "full")
    assert found is not None
    assert found.by_cluster.shape == (2, 400)
    assert intervals.spread([found]).freedom == 1


def test_the_interval_of_a_score_holds_its_score_and_narrows_with_examples():
    few, many = (
        intervals.of(scores("constant", [hand.correct(0.5, "a", count=n)]), intervals.Spread()) for n in (100, 900)
    )
    assert few.low < few.estimate < few.high
    assert (few.high - few.low) == pytest.approx(3 * (many.high - many.low), rel=0.15)
    assert few.high - few.low == pytest.approx(2 * 1.96 * 0.05, rel=0.08)


def test_random_weights_shared_by_two_arms_stand_beside_both_and_count_once():
    found = meeting(outcomes(hand.tournament()), "library", "full")
    assert found.random["sentence-order"] is found.random["token-masking"]
    assert found.spreads["random"].freedom == 4


def test_the_verdict_says_what_was_not_learned():
    text = whole()
    assert "Not learned in this budget: span-corruption (6.69 against 6.72)" in text
    assert "span-corruption: more tokens" in text


def test_the_short_of_it_names_the_stronger_control():
    assert "no arm beats TF-IDF (.580)" in whole()
    records = hand.tournament()
    next(r for r in records if r["step"] == "control/classical/library")["correct"] = hand.correct(0.1, "low")
    assert "next-token; all 5 arms beat the constant prediction (.125)" in said(records)


def test_one_seed_is_said_to_be_one():
    records = [record for record in hand.tournament() if record.get("seed", 0) == 0]
    assert "There is one seed of everything" in said(records)
    assert "There is one pretraining seed" in whole()


def test_the_verdict_names_the_command_for_ones_own_text():
    assert "corpora build TEXT.txt" in whole()
