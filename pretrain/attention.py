"""Attention as data becomes the masks that transformers' stock forwards honour, on the device of the batch.

Who sees whom is said in ``objectives.attention``. A mask of four dimensions is taken by every family as it is, in
place of what the family would make of padding and its own direction; so it says all three. What differs:

- SDPA takes booleans, also under T5's position bias; the eager attention of every family adds the mask to the scores.
- ModernBERT takes one mask for each kind of layer, and no longer cuts its window out of what it is given.
- BART and T5 take one mask for the encoder and for what the decoder sees of it, which packed documents need two of:
  ``pretrain.families`` calls the two halves one after the other.
- Flash attention takes no such mask.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from objectives.attention import NAMES, visible
from objectives.objective import Shape


def prepared(model: Any, shape: Shape, inputs: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Return the inputs with masks in place of attention as data; as they are, where there is none.

    The masks are ``attention_mask`` and, for an encoder-decoder, ``decoder_attention_mask`` and
    ``cross_attention_mask``.
    """
    seen = visible(inputs, partial(torch.arange, device=inputs["input_ids"].device), shape=shape)
    if not seen:
        return inputs
    masks: dict[str, Any] = {"attention_mask": _by_layer(model, seen["self"], shape)}
    if shape == "encoder-decoder":
        masks["decoder_attention_mask"] = _form(model, seen["decoder"])
        masks["cross_attention_mask"] = _form(model, seen["cross"])
    return {name: value for name, value in inputs.items() if name not in NAMES} | masks


def _by_layer(model: Any, seen: torch.Tensor, shape: Shape) -> Any:
    """Return the mask, or where some layers look through a window, the mask of each kind of layer."""
    if "sliding_attention" not in (getattr(model.config, "layer_types", None) or ()):
        return _form(model, seen)
    places = torch.arange(seen.shape[-1], device=seen.device)
    reach = model.config.sliding_window - (shape == "decoder")  # a decoder's window counts the position itself
    near = (places[:, None] - places[None, :]).abs() <= reach
    return {"full_attention": _form(model, seen), "sliding_attention": _form(model, seen & near)}


def _form(model: Any, seen: torch.Tensor) -> torch.Tensor:
    """Return what the model's implementation of attention takes: booleans, or what to add to the scores."""
    if model.config._attn_implementation == "sdpa":
        return seen
    dtype = model.dtype
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)
