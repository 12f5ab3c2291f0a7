from __future__ import annotations

from dataclasses import replace

from finetune.controls import classical, constant
from finetune.metrics import correct
from finetune.tasks import Examples
from tests.finetune.toys import toy


def test_constant_is_the_most_frequent_class():
    task = toy()
    more = Examples([*task.train.texts, "x"], None, [*task.train.labels, "dog"])
    record = constant(replace(task, train=more))
    assert (record["arm"], record["test"], record["rate"]) == ("constant", 0.5, "'dog'")


def test_constant_answer_is_the_best_of_all_training_answers_or_leads():
    task = toy("sequence")
    record = constant(task)
    for answer in set(task.train.labels):
        assert record["dev"] >= correct("rouge-l", [answer] * len(task.dev), task.dev.labels).mean()
    copying = replace(task, dev=replace(task.dev, labels=[" ".join(text.split()[:5]) for text in task.dev.texts]))
    assert constant(copying)["rate"] == "first 5 words"


def test_classical_solves_what_words_decide():
    record = classical(toy())
    assert record["test"] == 1.0
    assert record["interval"] == [1.0, 1.0]
    assert len(record["correct"]) == 48


def test_classical_reads_both_texts_of_a_pair():
    task = toy("pair", train=200)

    def echo(examples: Examples) -> Examples:
        said = zip(examples.texts, examples.labels, strict=True)
        return replace(examples, pairs=[f"{text} thing" if label == "yes" else "rain" for text, label in said])

    task = replace(task, train=echo(task.train), dev=echo(task.dev), test=echo(task.test))
    assert classical(task)["test"] > 0.9


def test_classical_answers_with_the_nearest_text():
    task = toy("sequence", train=200)
    assert classical(task)["test"] > constant(task)["test"]


def test_controls_give_the_same_twice():
    for control in (constant, classical):
        first, second = control(toy()), control(toy())
        assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_the_exact_svd_spans_what_truncated_svd_spans():
    import numpy as np
    from scipy.sparse import random as sparse_random
    from sklearn.decomposition import TruncatedSVD

    from finetune.controls import _svd

    table = sparse_random(60, 200, density=0.1, format="csr", rng=3)
    ours = _svd(table, 8, 0)(table)
    theirs = TruncatedSVD(8, algorithm="arpack", random_state=0).fit_transform(table)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-8)
