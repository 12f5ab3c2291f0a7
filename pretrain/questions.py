"""What of a batch goes to the device: the model's inputs, and for each role where something is asked and the answer.

The places are found on the host, where the batch is made: a device that had to find them itself would have to be
waited for (their number decides the size of what comes next), and with a fixed count every step has the same shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from objectives import IGNORED


class Asks(Protocol):
    """What the loop sees of a batch: arrays by name, and targets by role (IGNORED is no target)."""

    @property
    def inputs(self) -> dict[str, Any]:
        """Arrays for the model's forward."""
        ...

    @property
    def targets(self) -> dict[str, Any]:
        """Labels by role."""
        ...


class Question(NamedTuple):
    """Where a role is asked and the answers there; an answer that is IGNORED is padding."""

    places: torch.Tensor | None
    """Positions in the role's flattened targets ``[asked]``; None: every position, in order."""
    answers: torch.Tensor
    """Ids or classes ``[asked]``."""
    table: torch.Tensor | None = None
    """The same positions row by row ``[rows, most in a row]``, short rows filled with their first position."""
    cells: torch.Tensor | None = None
    """Where each question stands in the flattened table ``[asked]``."""

    def to(self, device: torch.device) -> Question:
        """Return the question on a device."""
        return Question(*(None if tensor is None else tensor.to(device) for tensor in self))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Ready:
    """One micro-batch as tensors."""

    inputs: dict[str, torch.Tensor]
    questions: dict[str, Question]
    counts: dict[str, int]
    """Targets of each role."""


def question(targets: np.ndarray, fixed: int | None = None) -> tuple[Question, int]:
    """Return what `targets` ask, and how much that is; padded to `fixed` questions, if given."""
    flat = targets.reshape(-1)
    places = np.flatnonzero(flat != IGNORED)
    count = len(places)
    if count == len(flat):
        return Question(None, torch.from_numpy(flat)), count
    answers, missing = flat[places], max(0, (fixed or 0) - count)
    if missing:
        again = places[:1] if count else np.zeros(1, dtype=np.int64)
        places = np.concatenate([places, np.repeat(again, missing)])
        answers = np.concatenate([answers, np.full(missing, IGNORED, dtype=answers.dtype)])
    table, cells = _table(places, count, targets.shape) if targets.ndim == 2 else (None, None)
    return Question(torch.from_numpy(places), torch.from_numpy(answers), table, cells), count


def _table(places: np.ndarray, count: int, shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return positions row by row, and where each of the first `count` stands there; padding stands with the first."""
    rows, positions = shape
    row = places[:count] // positions
    counts = np.bincount(row, minlength=rows)
    most = max(1, int(counts.max()))
    cells = row * most + np.arange(count) - np.repeat(np.cumsum(counts) - counts, counts)
    table = np.repeat(np.arange(rows) * positions, most)
    table[cells] = places[:count]
    cells = np.concatenate([cells, np.full(len(places) - count, cells[0] if count else 0)])
    return torch.from_numpy(table.reshape(rows, most)), torch.from_numpy(cells)


def ready(batch: Asks, device: torch.device, fixed: Mapping[str, int] | None = None) -> Ready:
    """Return a batch on a device; roles in `fixed` are padded to so many questions."""
    found = {role: question(targets, (fixed or {}).get(role)) for role, targets in batch.targets.items()}
    return Ready(
        to_device(batch.inputs, device),
        {role: asked.to(device) for role, (asked, _) in found.items()},
        {role: count for role, (_, count) in found.items()},
    )


def to_device(arrays: Mapping[str, np.ndarray], device: torch.device) -> dict[str, torch.Tensor]:
    """Return the arrays as tensors on a device."""
    return {name: torch.from_numpy(np.ascontiguousarray(array)).to(device) for name, array in arrays.items()}
