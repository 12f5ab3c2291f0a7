"""The training that every strategy with gradients shares: which examples, which loss, which judge are its arguments.

AdamW, linear warm-up and linear decay, batches of similar length in a keyed order. The order of the examples, and
the noise of dropout, are functions of the key and the step, so two calls give identical weights.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from foundation import keys
from foundation.refusal import RunFailed

BUCKET = 8
"""Batches whose examples are sorted by length together: little padding, and an order that is still random."""

Judge = Callable[[], tuple[float, float]]
"""Return what dev says after an epoch: a score, then what decides between equal scores; larger is better."""


class Recipe(Protocol):
    """The numbers of a training."""

    @property
    def rates(self) -> tuple[float, ...]: ...  # noqa: D102
    @property
    def epochs(self) -> int: ...  # noqa: D102
    @property
    def rows(self) -> int: ...  # noqa: D102
    @property
    def warmup(self) -> float: ...  # noqa: D102
    @property
    def decay(self) -> float: ...  # noqa: D102
    @property
    def clip(self) -> float: ...  # noqa: D102


@dataclass
class Trained:
    """The best epoch of one training: what dev said of it, and its weights."""

    verdict: tuple[float, float]
    weights: dict[str, Tensor]


def batches(lengths: Sequence[int], rows: int, key: keys.Word) -> list[list[int]]:
    """Return one epoch: every place once, in batches of similar length, all in a keyed order."""
    count = len(lengths)
    order = keys.order(keys.fold(key, "examples"), count, np.arange(count)).tolist()
    made = []
    for begin in range(0, count, rows * BUCKET):
        bucket = sorted(order[begin : begin + rows * BUCKET], key=lambda place: lengths[place])
        made += [bucket[first : first + rows] for first in range(0, len(bucket), rows)]
    turn = keys.order(keys.fold(key, "batches"), len(made), np.arange(len(made)))
    return [made[place] for place in turn.tolist()]


def rate_at(step: int, steps: int, warmup: float) -> float:
    """Return the share of the peak rate in step 1 … `steps`: linear up to the end of the warm-up, then down to 0."""
    rising = max(1, round(steps * warmup))
    return step / rising if step <= rising else (steps - step + 1) / (steps - rising + 1)


def train(
    model: nn.Module,
    lengths: Sequence[int],
    loss: Callable[[Sequence[int]], Tensor],
    judge: Judge,
    recipe: Recipe,
    rate: float,
    key: keys.Word,
    tick: Callable[[float], Any],
) -> Trained:
    """Train a model in place and return its best epoch; a loss that is no number ends it, without a verdict."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, betas=(0.9, 0.98), weight_decay=recipe.decay, fused=True)
    steps, step = recipe.epochs * math.ceil(len(lengths) / recipe.rows), 0
    best = Trained((-math.inf, -math.inf), {})
    for epoch in range(recipe.epochs):
        model.train()
        for rows in batches(lengths, recipe.rows, keys.fold(key, "epoch", epoch)):
            step += 1
            torch.manual_seed(keys.number(key, "dropout", step))
            optimizer.param_groups[0]["lr"] = rate * rate_at(step, steps, recipe.warmup)
            value = loss(rows)
            value.backward()
            norm = torch.nn.utils.clip_grad_norm_(weights, recipe.clip)
            if not torch.isfinite(norm):
                return best
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            tick(float(value.detach()))
        model.train(False)
        verdict = judge()
        if math.isfinite(verdict[0]) and verdict > best.verdict:
            best = Trained(verdict, {name: value.detach().clone() for name, value in model.state_dict().items()})
    return best


def search(
    start: nn.Module,
    prepare: Callable[[nn.Module], tuple[Callable[[Sequence[int]], Tensor], Judge]],
    lengths: Sequence[int],
    recipe: Recipe,
    key: keys.Word,
    progress: Callable[[int, int, dict[str, Any]], None],
    score: Callable[[nn.Module], float] | None = None,
) -> tuple[nn.Module, dict[float, Trained]]:
    """Train a copy of `start` at every rate; return the best of them, and every rate's best epoch.

    Where the judge of epochs is only a cheap stand-in, `score` gives the number by which rates are compared.

    Raises:
        RunFailed: if the loss is no number at every rate.
    """
    per_rate, done = recipe.epochs * math.ceil(len(lengths) / recipe.rows), 0
    found: dict[float, Trained] = {}
    with torch.random.fork_rng(devices=[]):
        for turn, rate in enumerate(recipe.rates):
            model = copy.deepcopy(start)
            loss, judge = prepare(model)

            def tick(value: float, rate: float = rate) -> None:
                nonlocal done
                done += 1
                progress(done, per_rate * len(recipe.rates), {"rate": rate, "loss": value})

            found[rate] = train(model, lengths, loss, judge, recipe, rate, key, tick)
            done = per_rate * (turn + 1)
            if score is not None and found[rate].weights:
                model.load_state_dict(found[rate].weights)
                found[rate].verdict = (score(model.train(False)), found[rate].verdict[0])
    chosen = max(found, key=lambda rate: found[rate].verdict)
    if not found[chosen].weights:
        rates = ", ".join(f"{rate:g}" for rate in recipe.rates)
        raise RunFailed(f"the loss is not a number at any rate ({rates})", "try smaller ones: --strategy.rates 1e-4")
    model = copy.deepcopy(start)
    model.load_state_dict(found[chosen].weights)
    return model.train(False), found
