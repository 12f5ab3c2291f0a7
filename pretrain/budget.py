"""A budget in minutes becomes a number of steps, by a rehearsal on this machine before the run.

The rehearsal does the first steps of each stage on a model of its own, which is then thrown away: forward, backward,
exchange between processes and optimizer as in the run, and one evaluation. What it finds is written to run.json, so
a run of so many minutes is the run of so many steps: continued or repeated, it has the same number.
"""

from __future__ import annotations

import functools
import json
import statistics
import time
import typing
from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator

from foundation.refusal import BadUsage
from objectives.feed import Feed
from objectives.stages import Plan, plan, stages_of
from pretrain import evaluation
from pretrain.loop import Steps, supplied, train
from pretrain.run import Run

_WARM = 2
_TIMED = 6
_LONGEST = 200
_SHARE = 0.02


def recorded(run: Run) -> int | None:
    """Return the steps that the run in the same folder came to, if it has the same budget in minutes."""
    path = run.out / "run.json"
    if not path.is_file():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    return told.get("measured_steps") if told.get("minutes") == run.minutes else None


def measured(
    run: Run,
    learner: Any,
    wrapped: Any,
    optimizer: Any,
    feed: Feed,
    held_out: Feed,
    accelerator: Accelerator,
) -> int:
    """Return how many steps fit into the minutes of a run; `wrapped` is the learner as the loop calls it.

    Raises:
        BadUsage: if not even one step for each stage fits beside the evaluations.
    """
    assert run.minutes is not None
    stages = stages_of(run, run.block_tokens)
    rehearsal = Plan(stages, (_LONGEST,) * len(stages))
    seconds = []
    for number in range(len(stages)):

        def do(first: int, last: int, begun: int = number * _LONGEST) -> None:
            cut = Steps(begun + first, begun + last, rehearsal.rows, run.micro, run.objective.weights, 1.0, run.seed)
            supply = supplied(functools.partial(feed.step, rehearsal), cut, accelerator)
            train(wrapped, optimizer, accelerator, supply, lambda _: 0.0, cut, lambda _: False, lambda *_: None)

        seconds.append(_timed(do, _SHARE * run.minutes * 60 / len(stages), accelerator))
    asked = _evaluation(run, learner, held_out, accelerator) if accelerator.is_main_process else 0.0
    per_token = sum(stage.share / stage.tokens for stage in stages)
    mean = sum(stage.share / stage.tokens * each for stage, each in zip(stages, seconds, strict=True)) / per_token
    left = 60 * run.minutes - run.evaluations * asked
    steps = int(_agreed(accelerator, max(0.0, left / mean)))
    if steps < len(stages):
        raise BadUsage(
            f"--minutes {run.minutes:g} is too short: a step takes {mean:.2g} s, the evaluations"
            f" {run.evaluations * asked:.2g} s",
            "give more minutes, fewer --evaluations or fewer --eval-tokens",
        )
    return plan(stages, steps=steps).steps


def _timed(do: Callable[[int, int], None], patience: float, accelerator: Accelerator) -> float:
    """Return the seconds of a step: the median of a few, of more where they are short."""
    do(0, _WARM)
    found: list[float] = []
    began = time.perf_counter()
    more = 1.0
    while more:
        start = time.perf_counter()
        do(_WARM + len(found), _WARM + len(found) + 1)
        found.append(time.perf_counter() - start)
        enough = len(found) >= _TIMED and time.perf_counter() - began > patience
        more = _agreed(accelerator, float(not enough and _WARM + len(found) < _LONGEST))
    return _agreed(accelerator, statistics.median(found))


def _agreed(accelerator: Accelerator, value: float) -> float:
    """Return what the main process says, on all processes."""
    if accelerator.num_processes == 1:
        return value
    said = torch.tensor(value if accelerator.is_main_process else 0.0, dtype=torch.float64, device=accelerator.device)
    return typing.cast(torch.Tensor, accelerator.reduce(said, reduction="sum")).item()


def _evaluation(run: Run, learner: Any, held_out: Feed, accelerator: Accelerator) -> float:
    """Return the seconds of one evaluation, from that of a part of its tokens."""
    tokens = min(run.eval_tokens, len(held_out.part))
    some = min(tokens, max(64 * held_out.block, tokens // 8))
    start = time.perf_counter()
    evaluation.evaluate(learner, held_out, some, accelerator.device)
    return (time.perf_counter() - start) * tokens / some
