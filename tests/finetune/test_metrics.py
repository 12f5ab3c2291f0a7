from __future__ import annotations

import random

import numpy as np
import pytest

from finetune.metrics import correct, interval, rouge_l, words


def test_rouge_l_equals_that_of_rouge_score():
    from rouge_score.rouge_scorer import RougeScorer

    scorer, draw = RougeScorer(["rougeL"]), random.Random(3)
    some = ("a", "b", "c", "dd", "Ee,", "f-g", "7", ".")
    for _ in range(200):
        left, right = (" ".join(draw.choices(some, k=draw.randint(0, 80))) for _ in range(2))
        expected = scorer.score(left, right)["rougeL"].fmeasure
        assert rouge_l(words(right), words(left)) == pytest.approx(expected, abs=1e-12)


def test_accuracy_counts_equal_labels():
    assert correct("accuracy", ["a", "b", "a"], ["a", "a", "a"]).tolist() == [1, 0, 1]


def test_the_interval_holds_the_mean_and_is_as_wide_as_theory_says():
    scores = np.array([1.0] * 300 + [0.0] * 300)
    low, high = interval(scores, 0)
    assert low < 0.5 < high
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / 600**0.5, rel=0.1)
    assert interval(scores, 0) == [low, high]


def test_the_interval_of_equal_scores_is_a_point():
    assert interval([1.0] * 10, 5) == [1.0, 1.0]
