"""A batch: what the model is given and what it is asked, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

IGNORED = -100
"""The target of a position that is not asked (the convention of torch's cross-entropy)."""


@dataclass(frozen=True)
class Batch:
    """Inputs and targets of some rows.

    Targets are made by position, never by comparing ids, so that an ``</s>`` that is text is learned like any
    token and padding never is, whatever their ids.
    """

    inputs: dict[str, NDArray[np.int64]]
    """Arrays ``[rows, positions]`` under the names of transformers' forward: input_ids, decoder_input_ids, …

    Attention beyond padding and the architecture's own comes as data under three more names:
    ``segment`` ``[rows, positions]``, the number of the document that each position belongs to (−1 at padding),
    where only positions of one document see each other; ``decoder_segment``, the same of the decoder's positions;
    ``prefix`` ``[rows]``, for decoders: the positions at the start of a row that all see each other, the others
    seeing what stands before them (0 is a causal row, the row's length a bidirectional one).
    """
    targets: dict[str, NDArray[np.int64]]
    """By role: "tokens" ``[rows, positions]``, "order" ``[rows]``; IGNORED where nothing is asked."""

    origins: Callable[[], NDArray[np.int64]] | None = None
    """What ``origin`` calls at the first look, from objectives that rearrange."""

    hides: Callable[[], NDArray[np.bool_]] | None = None
    """What ``hidden`` calls at the first look, from objectives that ask for more than they hide."""

    members: NDArray[np.int64] | None = None
    """From mixtures: which member asks each row ``[rows]``."""

    @cached_property
    def origin(self) -> NDArray[np.int64] | None:
        """The place in its block that each input position shows ``[rows, positions]``, −1 for a mark of the frame.

        The model never sees it; it is what undoes the arrangement.
        """
        return None if self.origins is None else self.origins()

    @cached_property
    def hidden(self) -> NDArray[np.bool_] | None:
        """Where not every "tokens" target was hidden from the model: which were ``[rows, positions]``.

        Only evaluation looks at it: words that can be copied from the input say little of what was learned.
        """
        return None if self.hides is None else self.hides()

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The positions of each row that are not padding ``[rows]``."""
        ids = self.inputs["input_ids"]
        mask = self.inputs.get("attention_mask")
        return np.full(len(ids), ids.shape[1]) if mask is None else mask.sum(axis=1)

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """Return some of the rows, in the order given."""
        inputs = {name: array[rows] for name, array in self.inputs.items()}
        targets = {role: array[rows] for role, array in self.targets.items()}
        return Batch(
            inputs,
            targets,
            None if self.origins is None else partial(_rows, self.origins, rows),
            None if self.hides is None else partial(_rows, self.hides, rows),
            None if self.members is None else self.members[rows],
        )


_NOTHING = {"token_type_ids": 0, "segment": -1, "decoder_segment": -1, "prefix": 0}


def merge(parts: list[tuple[NDArray[np.int64], Batch]], pad: int) -> Batch:
    """Return one batch of the rows of several; each part says at which rows its own ones stand."""
    if len(parts) == 1 and (parts[0][0] == np.arange(len(parts[0][0]))).all():
        return parts[0][1]
    rows = sum(len(where) for where, _ in parts)
    lengths = np.zeros(rows, dtype=np.int64)
    for where, batch in parts:
        lengths[where] = batch.lengths
    inputs: dict[str, NDArray[np.int64]] = {}
    for name in {name for _, batch in parts for name in batch.inputs} - {"attention_mask"}:
        side = "decoder_input_ids" if name.startswith("decoder") else "input_ids"
        width = None if name == "prefix" else max(batch.inputs[side].shape[1] for _, batch in parts)
        nothing = _NOTHING.get(name, pad)  # a row whose objective has no prefix is causal
        inputs[name] = _stack([(where, batch.inputs.get(name)) for where, batch in parts], rows, width, nothing)
    width = inputs["input_ids"].shape[1]
    if lengths.min(initial=width) < width:
        inside = np.arange(width, dtype=np.int32) < lengths.astype(np.int32)[:, None]
        inputs["attention_mask"] = inside.astype(np.int64)
    asked = max(batch.targets["tokens"].shape[1] for _, batch in parts)
    targets = {
        role: _stack([(w, b.targets.get(role)) for w, b in parts], rows, asked if role == "tokens" else None, IGNORED)
        for role in {role for _, batch in parts for role in batch.targets}
    }

    def origin() -> NDArray[np.int64]:
        return _stack([(where, batch.origin) for where, batch in parts], rows, width, -1)

    def hidden() -> NDArray[np.bool_]:
        found = [(w, b.targets["tokens"] != IGNORED if b.hidden is None else b.hidden) for w, b in parts]
        return _stack(found, rows, asked, 0).astype(bool)

    return Batch(
        inputs,
        targets,
        origin if any(batch.origins for _, batch in parts) else None,
        hidden if any(batch.hides for _, batch in parts) else None,
    )


def _rows(of: Callable[[], NDArray[Any]], rows: NDArray[np.int64]) -> NDArray[Any]:
    return of()[rows]


def _stack(
    parts: Sequence[tuple[NDArray[np.int64], NDArray[Any] | None]], rows: int, width: int | None, nothing: int
) -> NDArray[np.int64]:
    """Return arrays one under the other, each row at its place; rows are as wide as `width` says, or single numbers."""
    out = np.full(rows if width is None else (rows, width), nothing, dtype=np.int64)
    for where, array in parts:
        if array is None:
            continue
        if width is None:
            out[where] = array
        else:
            out[where, : array.shape[1]] = array
    return out
