"""The loop: batches in, steps of the optimizer out. It knows no objective and no architecture.

A batch is a function of the step, the learning rate is a function of the step, dropout is reseeded from the step;
so a run that is continued at step s is the run that never stopped. Losses are summed, and divided once by the count
over all micro-batches and processes, so that how a step is cut makes no difference.
"""

from __future__ import annotations

import contextlib
import math
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator

from foundation.keys import number
from foundation.refusal import RunFailed


class Asked(Protocol):
    """What the loop sees of a batch: arrays by name, and targets by role (−100 is no target)."""

    @property
    def inputs(self) -> dict[str, Any]:
        """Arrays for the model's forward."""
        ...

    @property
    def targets(self) -> dict[str, Any]:
        """Labels by role."""
        ...


@dataclass(frozen=True)
class Steps:
    """How a run is cut into steps."""

    first: int
    """The first step to do; those before it are done."""
    last: int
    """The number of steps of the whole run."""
    rows: int
    """Examples per step over all processes."""
    micro: int
    """Examples per forward pass."""
    weights: dict[str, float]
    """The weight of each role in the loss."""
    clip: float
    """Largest global norm of the gradient."""
    seed: int
    """Key of dropout."""


def to_device(arrays: dict[str, np.ndarray], device: torch.device) -> dict[str, torch.Tensor]:
    """Return the arrays as tensors on a device."""
    return {name: torch.from_numpy(np.ascontiguousarray(array)).to(device) for name, array in arrays.items()}


def train(
    learner: Any,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    batch: Callable[[np.ndarray], Asked],
    share: Callable[[int], float],
    steps: Steps,
    after: Callable[[int, dict[str, float]], None],
) -> None:
    """Do the steps; call `after(done, losses)` behind each, with the mean loss of each role in nats per target.

    `batch` gives the examples at global positions, `share` the part of each group's peak rate at a step.

    Raises:
        RunFailed: if a loss is not a finite number; the weights are those before that step.
    """
    peaks = [group["lr"] for group in optimizer.param_groups]
    mine = np.array_split(np.arange(steps.rows), accelerator.num_processes)[accelerator.process_index]
    pieces = [mine[i : i + steps.micro] for i in range(0, len(mine), steps.micro)]
    for step in range(steps.first, steps.last):
        torch.manual_seed(number(steps.seed, "dropout", step, accelerator.process_index))
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * share(step)
        batches = [batch(step * steps.rows + piece) for piece in pieces]
        losses = _backward(learner, accelerator, batches, steps)
        if not all(math.isfinite(loss) for loss in losses.values()):
            raise RunFailed(
                f"the loss of step {step} is not a finite number: {losses}",
                "lower --rate, or raise --warmup; the last checkpoint is untouched",
            )
        accelerator.clip_grad_norm_(learner.parameters(), steps.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        after(step + 1, losses)


def _backward(learner: Any, accelerator: Accelerator, batches: list[Asked], steps: Steps) -> dict[str, float]:
    """Add the gradient of the step's mean loss; return the mean loss of each role over all processes."""
    counts = torch.tensor(
        [sum(int((b.targets[role] != -100).sum()) for b in batches) for role in steps.weights],
        device=accelerator.device,
    )
    counts = torch.clamp(_total(accelerator, counts), min=1)
    sums = torch.zeros(len(steps.weights), dtype=torch.float64, device=accelerator.device)
    for position, asked in enumerate(batches):
        last = position == len(batches) - 1
        with contextlib.nullcontext() if last else accelerator.no_sync(learner):
            answers = learner(to_device(asked.inputs, accelerator.device), to_device(asked.targets, accelerator.device))
            loss = sum(
                weight * answers[role][0] / count
                for (role, weight), count in zip(steps.weights.items(), counts, strict=True)
            )
            accelerator.backward(loss * accelerator.num_processes)  # DDP takes the mean over processes
        sums += torch.stack([answers[role][0].detach().double() for role in steps.weights])
    means = (_total(accelerator, sums) / counts).tolist()
    return dict(zip(steps.weights, means, strict=True))


def _total(accelerator: Accelerator, values: torch.Tensor) -> torch.Tensor:
    """Return the sum over all processes."""
    if accelerator.num_processes == 1:
        return values
    return typing.cast(torch.Tensor, accelerator.reduce(values, reduction="sum"))
