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
    """Where a role is asked and the answers there."""

    places: torch.Tensor
    """Positions in the role's flattened targets ``[asked]``, ascending; padding repeats place 0."""
    answers: torch.Tensor
    """Ids or classes ``[asked]``; IGNORED at padding."""


@dataclass(frozen=True)
class Ready:
    """One micro-batch as tensors."""

    inputs: dict[str, torch.Tensor]
    questions: dict[str, Question]
    counts: dict[str, int]
    """Targets of each role."""


def question(targets: np.ndarray, fixed: int | None = None) -> tuple[Question, int]:
    """Return where `targets` asks and the answers, padded to `fixed` entries if given, and how many they are."""
    flat = targets.reshape(-1)
    places = np.flatnonzero(flat != IGNORED)
    answers, count = flat[places], len(places)
    if fixed is not None and fixed > count:
        places = np.concatenate([places, np.zeros(fixed - count, dtype=places.dtype)])
        answers = np.concatenate([answers, np.full(fixed - count, IGNORED, dtype=answers.dtype)])
    return Question(torch.from_numpy(places), torch.from_numpy(answers)), count


def ready(batch: Asks, device: torch.device, fixed: Mapping[str, int] | None = None) -> Ready:
    """Return a batch on a device; roles in `fixed` are padded to so many questions."""
    found = {role: question(targets, (fixed or {}).get(role)) for role, targets in batch.targets.items()}
    return Ready(
        to_device(batch.inputs, device),
        {role: Question(*(tensor.to(device) for tensor in asked)) for role, (asked, _) in found.items()},
        {role: count for role, (_, count) in found.items()},
    )


def to_device(arrays: Mapping[str, np.ndarray], device: torch.device) -> dict[str, torch.Tensor]:
    """Return the arrays as tensors on a device."""
    return {name: torch.from_numpy(np.ascontiguousarray(array)).to(device) for name, array in arrays.items()}
