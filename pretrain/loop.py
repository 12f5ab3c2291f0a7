"""The loop: batches in, steps of the optimizer out. It knows no objective and no architecture.

A batch is a function of the step, the learning rate is a function of the step, dropout is reseeded from the step;
so a run that is continued at step s is the run that never stopped. Losses are summed, and divided once by the count
over all micro-batches and processes, so that how a step is cut makes no difference.

Nothing waits for the device inside a step: the losses of a step are read behind the launch of the next one, or at
once where something is due (an evaluation, a checkpoint) and on a CPU, where there is nothing to wait for.
"""

from __future__ import annotations

import contextlib
import math
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from foundation.keys import number
from foundation.refusal import RunFailed
from pretrain.questions import Asks, Ready, ready


@dataclass(frozen=True)
class Steps:
    """How a run is cut into steps."""

    first: int
    """The first step to do; those before it are done."""
    last: int
    """The number of steps of the whole run."""
    rows: Callable[[int], int]
    """Examples of a step over all processes."""
    micro: int | None
    """Examples per forward pass; None: all that the process has."""
    weights: dict[str, float]
    """The weight of each role in the loss."""
    clip: float
    """Largest global norm of the gradient."""
    seed: int
    """Key of dropout."""


def pieces(step: int, steps: Steps, process: int, processes: int) -> list[np.ndarray]:
    """Return the rows of a step that one process reads, a piece for each forward pass."""
    mine = np.array_split(np.arange(steps.rows(step)), processes)[process]
    micro = steps.micro or len(mine)
    return [mine[i : i + micro] for i in range(0, len(mine), micro)]


def supplied(batch: Callable[[int, np.ndarray], Asks], steps: Steps, accelerator: Accelerator) -> Iterable[list[Ready]]:
    """Yield the micro-batches of each step on the device; `batch` gives some rows of a step."""
    for step in range(steps.first, steps.last):
        cut = pieces(step, steps, accelerator.process_index, accelerator.num_processes)
        yield [ready(batch(step, piece), accelerator.device) for piece in cut]


def train(
    learner: Any,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    supply: Iterable[list[Ready]],
    share: Callable[[int], float],
    steps: Steps,
    due: Callable[[int], bool],
    after: Callable[[int, dict[str, float]], None],
) -> None:
    """Do the steps; call `after(done, losses)` behind each, with the mean loss of each role in nats per target.

    `supply` gives the micro-batches of this process, step by step; `share` the part of each group's peak rate at a
    step; `due(done)` whether `after` has to find the model as it is behind that very step.

    Raises:
        RunFailed: if a loss or the gradient is not a finite number.
    """
    peaks = [group["lr"] for group in optimizer.param_groups]
    waits = accelerator.device.type != "cpu"
    untold: list[tuple[int, torch.Tensor]] = []
    for step, batches in zip(range(steps.first, steps.last), supply, strict=True):
        torch.manual_seed(number(steps.seed, "dropout", step, accelerator.process_index))
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * share(step)
        means = _backward(learner, accelerator, batches, steps.weights)
        norm = accelerator.clip_grad_norm_(learner.parameters(), steps.clip)
        untold.append((step, torch.cat([means, torch.as_tensor(norm).reshape(1).to(means)])))
        if not waits:
            _check(*untold[-1], steps)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        kept = 1 if waits and not due(step + 1) and step + 1 < steps.last else 0
        while len(untold) > kept:
            _tell(*untold.pop(0), steps, after)


def _check(step: int, values: torch.Tensor, steps: Steps) -> dict[str, float]:
    """Return the losses of a step; refuse those that are no finite numbers."""
    *losses, norm = values.tolist()
    told = dict(zip(steps.weights, losses, strict=True))
    if not all(map(math.isfinite, [*losses, norm])):
        raise RunFailed(
            f"the loss of step {step} is not a finite number: {told}, gradient norm {norm}",
            "lower --rate, or raise --warmup; the last checkpoint is untouched",
        )
    return told


def _tell(step: int, values: torch.Tensor, steps: Steps, after: Callable[[int, dict[str, float]], None]) -> None:
    after(step + 1, _check(step, values, steps))


def _backward(learner: Any, accelerator: Accelerator, batches: list[Ready], weights: dict[str, float]) -> torch.Tensor:
    """Add the gradient of the step's mean loss; return the mean loss of each role over all processes ``[roles]``."""
    counts = [sum(batch.counts.get(role, 0) for batch in batches) for role in weights]
    whole = _total(accelerator, torch.tensor(counts)) if accelerator.num_processes > 1 else counts
    shares = [weight / max(1, int(count)) for weight, count in zip(weights.values(), whole, strict=True)]
    sums = torch.zeros(len(weights), dtype=torch.float64, device=accelerator.device)
    for position, batch in enumerate(batches):
        last = position == len(batches) - 1
        with contextlib.nullcontext() if last else accelerator.no_sync(learner):
            losses = learner(batch.inputs, batch.questions)
            loss = sum(share * losses[role] for role, share in zip(weights, shares, strict=True))
            accelerator.backward(loss * accelerator.num_processes)  # DDP takes the mean over processes
        sums += torch.stack([losses[role].detach().double() for role in weights])
    return _total(accelerator, sums) / torch.tensor([max(1, int(count)) for count in whole], device=sums.device)


def _total(accelerator: Accelerator, values: torch.Tensor) -> torch.Tensor:
    """Return the sum over all processes."""
    if accelerator.num_processes == 1:
        return values
    return typing.cast(torch.Tensor, accelerator.reduce(values.to(accelerator.device), reduction="sum"))
