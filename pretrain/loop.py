"""The loop: batches in, steps of the optimizer out. It knows no objective and no architecture.

A batch is a function of the step, the learning rate is a function of the step, dropout is reseeded from the step;
so a run that is continued at step s is the run that never stopped. Losses are summed, and divided once by the count
over all micro-batches and processes, so that how a step is cut makes no difference.

Nothing waits for the device inside a step: the losses of a step are read behind the launch of the next one, or at
once where something is due (an evaluation, a checkpoint) and on a CPU, where there is nothing to wait for. A loss
that is not a finite number therefore stops the run before its update on a CPU, and at most one step later elsewhere,
but before anything is saved; where updates may be left out instead, every step is looked at before it is taken.
"""

from __future__ import annotations

import contextlib
import functools
import math
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator

from foundation.keys import number
from foundation.refusal import RunFailed
from pretrain.prefetch import Leaving, scattered
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
    skips: int = 0
    """Updates that may still be left out because the loss or the gradient is not a finite number."""


class Watch(Protocol):
    """Who is told of steps that are not finite."""

    @property
    def left_out(self) -> Callable[[int, dict[str, float]], None]:
        """Called with a step whose update is left out, and its losses and gradient norm."""
        ...

    def explain(self, step: int) -> tuple[str, str]:
        """Return what is to blame, and the command that shows it; called on all processes."""
        ...


def pieces(step: int, steps: Steps, process: int, processes: int) -> list[np.ndarray]:
    """Return the rows of a step that one process reads, a piece of about the same size for each forward pass."""
    mine = np.array_split(np.arange(steps.rows(step)), processes)[process]
    return np.array_split(mine, math.ceil(len(mine) / (steps.micro or len(mine))))


def supplied(
    batch: Callable[[int, np.ndarray], Asks],
    steps: Steps,
    accelerator: Accelerator,
    make: Callable[[Asks], Ready] | None = None,
) -> Iterable[list[Ready]]:
    """Yield the micro-batches of each step; `batch` gives some rows of a step, `make` tensors, else on the device."""
    make = make or functools.partial(ready, device=accelerator.device)
    for step in range(steps.first, steps.last):
        cut = pieces(step, steps, accelerator.process_index, accelerator.num_processes)
        yield [make(batch(step, piece)) for piece in cut]


def train(
    learner: Any,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    supply: Iterable[list[Ready]],
    share: Callable[[int], float],
    steps: Steps,
    due: Callable[[int], bool],
    after: Callable[[int, dict[str, float]], None],
    watch: Watch | None = None,
) -> None:
    """Do the steps; call `after(done, losses)` behind each, with the mean loss of each role in nats per target.

    Behind a step whose update was left out there are no losses to tell.

    `supply` gives the micro-batches of this process, step by step; `share` the part of each group's peak rate at a
    step; `due(done)` whether `after` has to find the model as it is behind that very step.

    Raises:
        RunFailed: if a loss or the gradient is not a finite number, and no update may be left out any more.
    """
    peaks = [group["lr"] for group in optimizer.param_groups]
    waits = accelerator.device.type != "cpu" and not steps.skips
    skips = steps.skips
    untold: list[tuple[int, Leaving]] = []
    for step, batches in zip(range(steps.first, steps.last), supply, strict=True):
        torch.manual_seed(number(steps.seed, "dropout", step, accelerator.process_index))
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * share(step)
        means = backward(learner, accelerator, batches, steps.weights)
        norm = accelerator.clip_grad_norm_(learner.parameters(), steps.clip)
        untold.append((step, Leaving(torch.cat([means, torch.as_tensor(norm).reshape(1).to(means)]))))
        if not waits and not _finite(told := _told(untold[-1][1], steps)):
            if skips <= 0 or watch is None:
                raise _failure(step, told, steps, watch)
            skips -= 1
            untold.clear()
            optimizer.zero_grad(set_to_none=True)
            watch.left_out(step, told)
            after(step + 1, {})
            continue
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        kept = 1 if waits and not due(step + 1) and step + 1 < steps.last else 0
        while len(untold) > kept:
            read, values = untold.pop(0)
            if not _finite(told := _told(values, steps)):
                raise _failure(read, told, steps, watch)
            after(read + 1, {role: told[role] for role in steps.weights})


def _told(values: Leaving, steps: Steps) -> dict[str, float]:
    """Return the losses of a step by role, and the norm of its gradient."""
    return dict(zip([*steps.weights, "gradient norm"], values.tolist(), strict=True))


def _finite(told: dict[str, float]) -> bool:
    return all(map(math.isfinite, told.values()))


def _failure(step: int, told: dict[str, float], steps: Steps, watch: Watch | None) -> RunFailed:
    """Return the refusal of a step that is not finite, with the rows of its batch that are to blame."""
    blame, shown = watch.explain(step) if watch is not None else ("", "")
    many = ", and no more updates may be left out (--nan-limit)" if steps.skips else ""
    numbers = ", ".join(f"{name} {value:g}" for name, value in told.items())
    return RunFailed(
        f"the loss of step {step} is not a finite number: {numbers}{many}{blame and f'; {blame}'}",
        (f"see the batch: {shown}; " if shown else "")
        + f"lower --rate, raise --warmup{'' if many else ', or give --on-nan skip'}; the last checkpoint is untouched",
    )


def backward(learner: Any, accelerator: Accelerator, batches: list[Ready], weights: dict[str, float]) -> torch.Tensor:
    """Add the gradient of the step's mean loss; return the mean loss of each role over all processes ``[roles]``."""
    counts = [sum(batch.counts.get(role, 0) for batch in batches) for role in weights]
    whole = _total(accelerator, scattered(counts, accelerator.device)).clamp(min=1).double()
    shares = [weight / whole[number] for number, weight in enumerate(weights.values())]
    sums = torch.zeros(len(weights), dtype=torch.float64, device=accelerator.device)
    for position, batch in enumerate(batches):
        last = position == len(batches) - 1
        with contextlib.nullcontext() if last else accelerator.no_sync(learner):
            losses = learner(batch.inputs, batch.questions)
            loss = sum(share * losses[role] for role, share in zip(weights, shares, strict=True))
            accelerator.backward(loss * accelerator.num_processes)  # DDP takes the mean over processes
        sums += torch.stack([losses[role].detach().double() for role in weights])
    return _total(accelerator, sums) / whole


def _total(accelerator: Accelerator, values: torch.Tensor) -> torch.Tensor:
    """Return the sum over all processes."""
    if accelerator.num_processes == 1:
        return values
    return typing.cast(torch.Tensor, accelerator.reduce(values.to(accelerator.device), reduction="sum"))
