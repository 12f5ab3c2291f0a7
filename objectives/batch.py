"""A batch: what the model is given and what it is asked, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

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

    origin: NDArray[np.int64] | None = None
    """From objectives that rearrange: the place in its block that each input position shows ``[rows, positions]``,
    −1 for a special token of the frame. The model never sees it; it is what undoes the arrangement."""

    hidden: NDArray[np.bool_] | None = None
    """Where not every "tokens" target was hidden from the model: which were ``[rows, positions]``. Only evaluation
    looks at it: words that can be copied from the input say little of what was learned."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The positions of each row that are not padding ``[rows]``."""
        ids = self.inputs["input_ids"]
        mask = self.inputs.get("attention_mask")
        return np.full(len(ids), ids.shape[1]) if mask is None else mask.sum(axis=1)
