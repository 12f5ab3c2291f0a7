from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from finetune.backbone import Backbone, frame, over, pad, pool
from finetune.checkpoint import Checkpoint
from finetune.full import Full
from finetune.metrics import correct, metric_of
from finetune.probe import Probe
from finetune.tasks import Examples, Task
from finetune.training import batches, rate_at
from foundation import keys
from foundation.refusal import BadUsage, RunFailed
from tests.finetune.toys import FAMILIES, WRITERS, toy

KEY = keys.fold(0, "test")
FULL = Full(rates=(3e-3,), epochs=5, rows=8, length=32, answer=8)
Checkpoints = dict[str, Path]


def learn(strategy: Any, folder: Path, task: Task, *, fresh: bool = False) -> Any:
    return next(iter(strategy.learn(Checkpoint.open(folder, fresh=fresh), [task], KEY)))


def score(predictor: Any, task: Task) -> float:
    return float(correct(metric_of(task.kind), predictor.predict(task, task.test), task.test.labels).mean())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["classification", "pair"])
@pytest.mark.parametrize("strategy", [Probe(), FULL], ids=["probe", "full"])
def test_a_toy_is_learned(checkpoints: Checkpoints, family: str, kind: str, strategy: Any):
    task = toy(kind, train=192)
    assert score(learn(strategy, checkpoints[family], task), task) > 0.7


@pytest.mark.parametrize("family", WRITERS)
def test_a_toy_is_written(checkpoints: Checkpoints, family: str):
    task = toy("sequence", train=128)
    strategy = replace(FULL, rates=(1e-2,), epochs=8)
    assert score(learn(strategy, checkpoints[family], task), task) > 0.6


@pytest.mark.parametrize("strategy", [Probe(), FULL], ids=["probe", "full"])
def test_shuffled_labels_give_chance(checkpoints: Checkpoints, strategy: Any):
    task = toy(train=128, others=200)

    def mixed(examples: Examples, seed: int) -> Examples:
        order = keys.order(keys.fold(seed, "labels"), len(examples), np.arange(len(examples)))
        return replace(examples, labels=[examples.labels[place] for place in order])

    task = replace(task, train=mixed(task.train, 1), dev=mixed(task.dev, 2), test=mixed(task.test, 3))
    assert abs(score(learn(strategy, checkpoints["bert"], task), task) - 0.5) < 4 * 0.5 / math.sqrt(200)


@pytest.mark.parametrize("family", FAMILIES)
def test_batch_size_order_and_the_tokenizers_padding_side_change_no_vector(checkpoints: Checkpoints, family: str):
    examples = toy("pair").test
    checkpoint = Checkpoint.open(checkpoints[family])
    tokenizer, model = checkpoint.tokenizer(), checkpoint.model(0)
    for side in ("encoder", "decoder", "both") if checkpoint.config.is_encoder_decoder else ("encoder",):
        for pooling in ("mean", "last", "first")[: 2 if family == "gpt2" else 3]:
            backbone = Backbone(model, tokenizer.pad_token_id, pooling, side).train(False)
            tokenizer.padding_side = "right"
            whole = over(frame(tokenizer, examples.texts, examples.pairs, 64), 48, backbone)
            tokenizer.padding_side = "left"
            back = examples.take(range(len(examples) - 1, -1, -1))
            single = over(frame(tokenizer, back.texts, back.pairs, 64), 1, backbone)[::-1]
            assert whole.shape[1] == backbone.width
            np.testing.assert_allclose(whole, single, atol=1e-4)
            assert np.ptp(whole, axis=0).max() > 1e-3  # else nothing would have been shown


@pytest.mark.parametrize("family", WRITERS)
def test_an_answer_does_not_depend_on_its_company(checkpoints: Checkpoints, family: str, monkeypatch: Any):
    task = toy("sequence", train=48, others=16)
    writer = learn(replace(FULL, epochs=2), checkpoints[family], task)
    exercise = writer.exercise(task.test)
    rows = list(range(16))
    together, count = writer.loss(writer.model, exercise, rows)
    alone = [writer.loss(writer.model, exercise, [row])[0].item() for row in rows]
    assert together.item() == pytest.approx(sum(alone), abs=1e-3)
    assert count == sum(map(len, exercise.answers))
    answers = writer.predict(task, task.test)
    monkeypatch.setattr("finetune.writing.EVALUATED", 1)
    assert writer.predict(task, task.test) == answers


@pytest.mark.parametrize("family", WRITERS)
def test_the_loss_of_an_answer_equals_that_of_the_model(checkpoints: Checkpoints, family: str):
    task = toy("sequence", others=6)
    writer = learn(replace(FULL, epochs=1), checkpoints[family], task)
    exercise = writer.exercise(task.test)
    total, count = writer.loss(writer.model, exercise, range(6))
    if family == "gpt2":
        whole = [a + b for a, b in zip(exercise.asked, exercise.answers, strict=True)]
        ids, mask = pad(whole, 0)
        labels = [[-100] * len(a) + b for a, b in zip(exercise.asked, exercise.answers, strict=True)]
    else:
        ids, mask = pad(exercise.asked, 0)
        labels = exercise.answers
    target = pad(labels, -100)[0]
    theirs = writer.model(input_ids=ids, attention_mask=mask, labels=target).loss
    assert (total / count).item() == pytest.approx(theirs.item(), abs=1e-5)


def test_pooling_takes_attended_positions_only():
    states = torch.arange(12.0).reshape(2, 3, 2)
    left, right = torch.tensor([[0, 1, 1]] * 2), torch.tensor([[1, 1, 0]] * 2)
    assert pool(states, right, "mean").tolist() == [[1, 2], [7, 8]]
    assert pool(states, left, "mean").tolist() == [[3, 4], [9, 10]]
    assert pool(states, right, "last").tolist() == [[2, 3], [8, 9]]
    assert pool(states, left, "last").tolist() == [[4, 5], [10, 11]]
    assert pool(states, left, "first").tolist() == [[2, 3], [8, 9]]


@pytest.mark.parametrize("strategy", [Probe(), replace(FULL, epochs=2)], ids=["probe", "full"])
@pytest.mark.parametrize("fresh", [False, True])
def test_two_calls_give_identical_numbers(checkpoints: Checkpoints, strategy: Any, fresh: bool):
    task = toy(train=48)
    first, second = (learn(strategy, checkpoints["t5"], task, fresh=fresh) for _ in range(2))
    assert first.tried == second.tried
    assert first.predict(task, task.test) == second.predict(task, task.test)
    if strategy == Probe():
        return
    weights = zip(first.backbone.parameters(), second.backbone.parameters(), strict=True)
    assert all(torch.equal(left, right) for left, right in weights)


def test_dropout_is_a_function_of_the_key(checkpoints: Checkpoints):
    task, found = toy(train=32), []
    for _ in range(2):
        checkpoint = Checkpoint.open(checkpoints["bert"])
        checkpoint.config.hidden_dropout_prob = 0.3
        checkpoint.__dict__["fresh"] = True  # fresh weights take the changed configuration
        torch.rand(3)
        learned: Any = next(iter(replace(FULL, epochs=1).learn(checkpoint, [task], KEY)))
        found.append(learned.scores(task, task.test))
    np.testing.assert_array_equal(*found)


def test_a_probe_leaves_the_backbone_as_it_was(checkpoints: Checkpoints):
    probed = learn(Probe(), checkpoints["gpt2"], toy(train=32))
    untouched = Backbone(Checkpoint.open(checkpoints["gpt2"]).model(0), 0)
    assert all(torch.equal(a, b) for a, b in zip(probed.backbone.parameters(), untouched.parameters(), strict=True))
    assert probed.parameters_trained == 32 + 1


def test_a_later_task_starts_from_what_the_earlier_left(checkpoints: Checkpoints):
    first, second = toy(train=48), replace(toy(train=48, seed=5), name="other")
    stages: Any = replace(FULL, epochs=2).learn(Checkpoint.open(checkpoints["bert"]), [first, second], KEY)
    before = next(stages).scores(first, first.test)
    after = next(stages)
    assert after.scores(first, first.test).shape == before.shape
    assert not np.allclose(after.scores(first, first.test), before)
    assert len(after.predict(second, second.test)) == 48


def test_the_rate_is_chosen_on_dev(checkpoints: Checkpoints):
    task = toy(train=96)
    learned = learn(replace(FULL, rates=(1e-6, 3e-3)), checkpoints["bert"], task)
    assert learned.rate == 3e-3
    assert learned.tried[3e-3] > learned.tried[1e-6]


def test_a_rate_that_diverges_is_passed_over_and_all_diverging_is_refused(checkpoints: Checkpoints):
    task = toy(train=32)
    assert learn(replace(FULL, rates=(float("inf"), 1e-3), epochs=1), checkpoints["bert"], task).rate == 1e-3
    with pytest.raises(RunFailed, match="not a number at any rate"):
        learn(replace(FULL, rates=(float("inf"),), epochs=2), checkpoints["bert"], task)


def test_long_texts_are_cut_to_the_positions_and_counted(checkpoints: Checkpoints):
    task = toy(train=16, others=4)
    long = Examples(["cat " * 300] * 4, None, task.test.labels)
    probed = learn(Probe(length=4096), checkpoints["bart"], task)
    assert probed.truncated == 0
    assert len(probed.predict(task, long)) == 4
    assert probed.truncated == 4


def test_texts_may_hold_the_names_of_special_tokens(checkpoints: Checkpoints):
    tokenizer = Checkpoint.open(checkpoints["bert"]).tokenizer()
    ids = frame(tokenizer, ["the <sep> cat <mask>"], None, 64).ids[0]
    assert [place for place in ids if place < 269] == [tokenizer.cls_token_id, tokenizer.sep_token_id]


REFUSED: list[tuple[str, Callable[[], Any], str, str]] = [
    ("probe of an answer", lambda: Probe(), "sequence", "asks for text"),
    ("an encoder that writes", lambda: FULL, "sequence", "cannot write text"),
    ("no room", lambda: replace(FULL, length=2), "classification", "2 positions hold no text"),
]


@pytest.mark.parametrize("case", REFUSED, ids=[case[0] for case in REFUSED])
def test_what_cannot_be_is_refused(checkpoints: Checkpoints, case: Any):
    _, strategy, kind, said = case
    for family in ("bert", "modernbert"):
        with pytest.raises(BadUsage, match=said):
            learn(strategy(), checkpoints[family], toy(kind, train=16))


def test_the_first_token_of_a_left_to_right_model_is_refused(checkpoints: Checkpoints):
    with pytest.raises(BadUsage, match="sees nothing"):
        learn(Probe(pooling="first"), checkpoints["gpt2"], toy(train=16))


def test_an_epoch_has_every_example_once_in_an_order_of_its_own():
    lengths = [3 + place % 17 for place in range(103)]
    first, second = (batches(lengths, 8, keys.fold(0, epoch)) for epoch in range(2))
    assert sorted(place for rows in first for place in rows) == list(range(103))
    assert first != second
    assert batches(lengths, 8, keys.fold(0, 0)) == first


def test_the_rate_rises_and_falls_to_zero():
    shares = [rate_at(step, 10, 0.2) for step in range(1, 11)]
    assert shares[:2] == [0.5, 1.0]
    assert shares == sorted(shares[:2]) + sorted(shares[2:], reverse=True)
    assert 0 < shares[-1] < 0.2
