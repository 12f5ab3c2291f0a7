"""Attention as data: who sees whom in a batch, as one rule for numpy arrays and torch tensors alike.

A batch may say, beside padding, to which document each position belongs and how far a row is read in both
directions (see ``objectives.batch``). With two documents in a row of a decoder, or a prefix of three positions::

    segment 0 0 0 1 1        prefix 3
            x . . . .               x x x . .
            x x . . .               x x x . .
            x x x . .               x x x . .
            . . . x .               x x x x .
            . . . x x               x x x x x

Padding is a document of its own, number −1: its positions see each other, so that no softmax is over nothing, and
no position of the text sees them. Nothing here is imported from either library: operators do, and the caller says
what counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from objectives.objective import Shape

NAMES = frozenset({"segment", "decoder_segment", "prefix"})
"""The inputs that are attention as data."""


def visible(inputs: dict[str, Any], places: Callable[[int], Any], *, shape: Shape) -> dict[str, Any]:
    """Return by part of the model whether a query sees a key, bool ``[rows, 1, queries, keys]``.

    The part "self" is the attention of an encoder or a decoder to itself; for an encoder-decoder "self" is the
    encoder's, "decoder" the decoder's, and "cross" that of the decoder to the encoder. An encoder-decoder needs
    `segment` and `decoder_segment` together. The result is empty where no input is attention as data.

    In "cross" a query that would see nothing sees everything: padding beside a full row of the encoder. So a document
    with a position in the decoder that may not see the others needs one in the encoder.

    Args:
        inputs: the arrays of a batch.
        places: n → 0 … n − 1, of the same kind and on the same device as the arrays.
        shape: the shape of the model.
    """
    if not NAMES & inputs.keys():
        return {}
    mine = _documents(inputs, "")
    if shape == "encoder":
        return {"self": _alike(mine, mine)}
    if shape == "decoder":
        return {"self": _alike(mine, mine) & _order(mine, places, inputs.get("prefix"))}
    written = _documents(inputs, "decoder_")
    cross = _alike(written, mine)
    return {
        "self": _alike(mine, mine),
        "decoder": _alike(written, written) & _order(written, places, None),
        "cross": cross | ~cross.any(-1)[..., None],
    }


def _documents(inputs: dict[str, Any], side: str) -> Any:
    """Return the document of each position of one side, −1 at padding ``[rows, positions]``."""
    if "prefix" in inputs and "segment" not in inputs:
        numbers = inputs[f"{side}input_ids"] * 0
    else:
        numbers = inputs[f"{side}segment"]
    mask = inputs.get(f"{side}attention_mask")
    return numbers if mask is None else numbers * mask + mask - 1


def _alike(queries: Any, keys: Any) -> Any:
    """Return where a query and a key are of one document."""
    return queries[:, None, :, None] == keys[:, None, None, :]


def _order(documents: Any, places: Callable[[int], Any], prefix: Any) -> Any:
    """Return where a key does not stand behind the query, or both stand in the prefix of their row."""
    at = places(documents.shape[1])
    behind = at[None, :] > at[:, None]
    if prefix is None:
        return ~behind[None, None]
    inside = at < prefix[:, None]
    return ~behind | (inside[:, None, :, None] & inside[:, None, None, :])
