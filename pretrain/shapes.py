"""Few shapes: batches are padded a little, so that what is compiled for one of them fits the next.

Compiled code is made for the sizes that it has seen. What varies from batch to batch, because documents end where
they end, is rounded up: the number of questions (padding asks nothing), and the positions of a side whose rows are
of several lengths anyway. A size is rounded to a multiple of about a sixteenth (positions: a thirty-second) of itself,
so a run has one or two shapes, and at most that part of the work is spent on padding. The rounding looks at the batch
alone: a run that is continued pads as it did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from objectives import IGNORED
from pretrain.questions import Asks, Question, Ready, question, to_device

_NOTHING = {"attention_mask": 0, "decoder_attention_mask": 0, "token_type_ids": 0, "segment": -1, "decoder_segment": -1}
_HOST = torch.device("cpu")


@dataclass(frozen=True)
class Padded:
    """A batch with wider rows."""

    inputs: dict[str, Any]
    targets: dict[str, Any]


def rounded(size: int, parts: int, least: int = 8) -> int:
    """Return `size` rounded up to a multiple of a power of two that is about its `parts`-th part.

    Never less than `least`, because matrix units take eight numbers at a time.
    """
    grain = max(least, 1 << max(0, (size // parts).bit_length() - 1))
    return -(-size // grain) * grain


def widened(batch: Asks, pad: int, most: int | None) -> Asks:
    """Return a batch whose ragged sides are a little wider; `most` is the number of positions that the model has."""
    inputs, targets = dict(batch.inputs), dict(batch.targets)
    two = "decoder_input_ids" in inputs
    sides = {"input_ids": "attention_mask" in inputs}
    if two:
        sides["decoder_input_ids"] = bool((targets["tokens"][:, -1] == IGNORED).any())
    for side, ragged in sides.items():
        width = inputs[side].shape[1]
        wide = min(rounded(width, 32), most or 1 << 30)
        if not ragged or wide <= width:
            continue
        for name, array in inputs.items():
            if name.startswith("decoder") == side.startswith("decoder") and array.ndim == 2:
                inputs[name] = _wider(array, wide, _NOTHING.get(name, pad))
        if not two or side.startswith("decoder"):
            targets["tokens"] = _wider(targets["tokens"], wide, IGNORED)
    return Padded(inputs, targets)


def _wider(array: np.ndarray, width: int, nothing: int) -> np.ndarray:
    return np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=nothing)


def steady(batch: Asks, pad: int, most: int | None) -> Ready:
    """Return a batch as tensors on the host, in one of few shapes."""
    wide = widened(batch, pad, most)
    questions: dict[str, Question] = {}
    counts: dict[str, int] = {}
    for role, targets in wide.targets.items():
        counts[role] = int((targets != IGNORED).sum())
        questions[role] = _steady(question(targets, rounded(counts[role], 16))[0])
    return Ready(to_device(wide.inputs, _HOST), questions, counts)


def _steady(asked: Question) -> Question:
    """Return a question whose table is a little wider: the most questions in a row vary, too."""
    if asked.table is None or asked.cells is None:
        return asked
    most = asked.table.shape[1]
    wide = rounded(most, 16)
    table = torch.cat([asked.table, asked.table[:, :1].expand(-1, wide - most)], dim=1)
    return asked._replace(table=table, cells=asked.cells // most * wide + asked.cells % most)


def host(batch: Asks) -> Ready:
    """Return a batch as tensors on the host, as it is."""
    found: Mapping[str, tuple[Question, int]] = {role: question(targets) for role, targets in batch.targets.items()}
    return Ready(
        to_device(batch.inputs, _HOST),
        {role: asked for role, (asked, _) in found.items()},
        {role: count for role, (_, count) in found.items()},
    )
