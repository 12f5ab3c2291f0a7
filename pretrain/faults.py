"""What stops a run: numbers that are not finite, and memory that is not there; each is told in terms of the batch.

A batch is a function of the step, so a step that fails can be looked at again: its rows are asked one by one (a whole
batch first, then the half of it that fails) until those are found that fail alone, and `objectives show` draws them.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from foundation.refusal import RunFailed
from objectives.stages import Place
from pretrain.loop import Steps, pieces
from pretrain.questions import Asks, ready

_NAMED = 4
_ALLOCATOR = ("can't allocate memory", "not enough memory", "out of memory", "std::bad_alloc", "Cannot allocate memory")


@dataclass
class Faults:
    """Finds what is wrong with a step of one run."""

    run: Path
    learner: Any
    accelerator: Accelerator
    batch: Callable[[int, np.ndarray], Asks]
    """(step, some of its rows) → batch."""
    steps: Steps
    left_out: Callable[[int, dict[str, float]], None]
    """Called with a step whose update is left out, and its losses and gradient norm."""
    step: int = field(default=0, init=False)
    """The last step whose batch was asked for."""

    def watched(self, step: int, rows: np.ndarray) -> Asks:
        """Return some rows of a step, and remember that it has come so far."""
        self.step = step
        return self.batch(step, rows)

    def explain(self, step: int) -> tuple[str, str]:
        """Return what is to blame for a step that is not finite, and the command that shows it; on all processes."""
        if not finite(self.learner):
            return "the weights themselves are not finite numbers", _shown(self.run, step, 0)
        mine = np.concatenate(pieces(step, self.steps, self.accelerator.process_index, self.accelerator.num_processes))
        found = np.full(_NAMED, -1)
        alone = self._alone(step, mine)
        found[: len(alone)] = alone
        every = torch.from_numpy(found).to(self.accelerator.device)
        if self.accelerator.num_processes > 1:
            every = self.accelerator.gather(every)
        rows = [row for row in torch.as_tensor(every).tolist() if row >= 0][:_NAMED]
        if not rows:
            return "no row of its batch does it alone", _shown(self.run, step, 0)
        told = f"row{'s' * (len(rows) > 1)} {', '.join(map(str, rows))}"
        more = " and maybe more" if len(rows) == _NAMED else ""
        return f"{told}{more} of its batch do{'es' * (len(rows) == 1)} it alone", _shown(self.run, step, rows[0])

    def _alone(self, step: int, rows: np.ndarray) -> list[int]:
        """Return the first few rows that are not finite alone, by halving what is not finite together."""
        found: list[int] = []
        left = [rows]
        while left and len(found) < _NAMED:
            some = left.pop()
            if not len(some) or self._is_finite(step, some):
                continue
            if len(some) == 1:
                found.append(int(some[0]))
            else:
                left += [some[len(some) // 2 :], some[: len(some) // 2]]
        return found

    def _is_finite(self, step: int, rows: np.ndarray) -> bool:
        """Return whether the loss of some rows and its gradient are finite numbers."""
        given = ready(self.batch(step, rows), self.accelerator.device)
        losses = self.learner(given.inputs, given.questions)
        total = sum(weight * losses[role] for role, weight in self.steps.weights.items())
        if not isinstance(total, torch.Tensor) or not total.requires_grad:
            return True
        parameters = [p for p in self.learner.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(total, parameters, allow_unused=True)
        known = [total.detach().reshape(1), *(g for g in gradients if g is not None)]
        return all(bool(torch.isfinite(values).all()) for values in known)


def _shown(run: Path, step: int, row: int) -> str:
    return f"objectives show --run {run} --step {step}{f' --row {row}' if row else ''}"


def finite(module: torch.nn.Module) -> bool:
    """Return whether all parameters are finite numbers."""
    return all(bool(torch.isfinite(p).all()) for p in module.parameters())


def refuse_unfinite(model: torch.nn.Module, step: int) -> None:
    """Refuse to save weights that are not finite numbers.

    Raises:
        RunFailed: naming the step.
    """
    if not finite(model):
        raise RunFailed(
            f"the weights after {step} steps are not finite numbers, so they are not saved",
            "lower --rate, or raise --warmup; the last checkpoint is untouched",
        )


def is_memory(error: BaseException) -> bool:
    """Return whether an error says that there is no memory left."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _ALLOCATOR)


@contextmanager
def told_of_memory(where: Callable[[], tuple[int, Place]], micro: int | None, processes: int) -> Iterator[None]:
    """Turn errors of memory inside into the refusal of the step that `where` gives with what it reads."""
    try:
        yield
    except Exception as error:
        if not is_memory(error):
            raise
        step, place = where()
        raise out_of_memory(step, place.rows, place.block, micro, processes) from error


def out_of_memory(step: int, rows: int, block: int, micro: int | None, processes: int) -> RunFailed:
    """Return the refusal of a step that does not fit, with the pieces of it that may."""
    mine = math.ceil(rows / processes)
    piece = min(micro or mine, mine)
    shared = f" by {processes} processes" if processes > 1 else ""
    what = f"out of memory at step {step}: {rows} rows of {block} corpus tokens{shared}, in pieces of {piece}"
    if piece == 1:
        return RunFailed(what, "one row at a time is the least: take a smaller --block or --size")
    half = piece // 2
    return RunFailed(
        what, f"the same command with --micro {half} takes the same steps in pieces of {half}; nothing else changes"
    )
