"""Layers of a model with a quicker forward on a CPU: the same function of the same weights, under the same names.

T5's and Llama's norm is one operation instead of five, GPT-2's gelu one instead of eight (torch's own), T5's
feed-forward goes by pieces, and linear layers take the quicker library (pretrain/products.py). On other devices, and
where a layer is compiled, they do what they did.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from pretrain import products
from pretrain.quick import row_pieces

_LEAST = 1e-3
"""Weights of a norm from which on it can be divided by them."""


def quickened(model: nn.Module) -> None:
    """Give modules of a model a quicker forward, in place; weights, names and the kinds that they are of stay."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            kind = type(child).__name__
            if kind == "NewGELUActivation":
                setattr(parent, name, nn.GELU("tanh"))
            elif kind in ("T5LayerNorm", "LlamaRMSNorm"):
                _with(child, _norm)
            elif kind == "T5DenseActDense" and isinstance(child.act, nn.ReLU):
                _with(child, products.feed_forward)
            elif isinstance(child, nn.Linear | Conv1D) and products.by_onednn():
                _with(child, products.linear)


def _with(module: nn.Module, forward: Any) -> None:
    if not hasattr(module, "stock"):
        module.__class__ = _kind(type(module), forward)


@functools.cache
def _kind(kind: type, forward: Any) -> type:
    """Return a kind of module with another forward: one for all its modules, or each were compiled anew."""
    return type(kind.__name__, (kind,), {"forward": forward, "stock": kind.forward, "__module__": kind.__module__})


def _norm(module: Any, states: Tensor) -> Tensor:
    """Return a root-mean-square norm (Zhang & Sennrich 2019, §3), as T5 and Llama have it."""
    if states.device.type != "cpu" or states.dtype not in (torch.float32, torch.float64):
        return module.stock(states)  # type: ignore[no-any-return]
    return _RootMeanSquare.apply(states, module.weight, module.variance_epsilon)  # type: ignore[no-any-return]


class _RootMeanSquare(torch.autograd.Function):
    """The norm; kept for the way back is what it returns, which the layer behind it keeps anyway."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        width = states.shape[-1]
        rows = states.reshape(-1, width)
        out, inverse = torch.empty_like(rows), rows.new_empty(len(rows), 1)
        for here in row_pieces(len(rows), 2 * width):
            part = inverse[here]
            torch.linalg.vector_norm(rows[here], dim=-1, keepdim=True, out=part)
            part.square_().div_(width).add_(epsilon).rsqrt_()
            torch.mul(rows[here], part, out=out[here]).mul_(weight)
        found = out.view(states.shape)
        ctx.divisible = bool((weight.abs() > _LEAST).all())
        ctx.save_for_backward(found if ctx.divisible else states, weight, inverse)
        return found

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, None]:
        kept, weight, inverse = ctx.saved_tensors
        rows = kept.reshape(-1, kept.shape[-1])
        slope = slopes[0].reshape(rows.shape)
        to_rows, to_weight = torch.empty_like(rows), torch.zeros_like(weight)
        upside = 1 / weight if ctx.divisible else None
        for here in row_pieces(len(rows), 2 * rows.shape[1]):
            unit = rows[here] * (inverse[here] if upside is None else upside)
            to_weight += (slope[here] * unit).sum(0)
            part = torch.mul(slope[here], weight, out=to_rows[here])
            along = torch.linalg.vecdot(part, unit).div_(-rows.shape[1]).unsqueeze(-1)
            part.addcmul_(unit, along).mul_(inverse[here])
        return to_rows.view(slopes[0].shape), to_weight, None
