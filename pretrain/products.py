"""Matrix products of layers on a CPU, by the library that is quicker there, and T5's feed-forward in one piece.

torch's CPU build carries two libraries of matrix products and takes MKL for float32. On AMD's processors with AVX-512
the other, oneDNN, is 10 to 25 % quicker at what a layer says and at the slope of its inputs, and slower at the slope of
its weights, which stays MKL's (``python -m benchmarks.products``). Elsewhere everything stays as torch has it.

    forward    said = states · weightᵀ + bias        oneDNN
    backward   to_states = slope · weight            oneDNN
               to_weight = slopeᵀ · states           MKL

``linear`` and ``feed_forward`` are forwards of modules whose own is ``stock`` (pretrain/layers.py). The choice depends
on the processor's maker alone: a choice by the clock would not be the same in a run that goes on.
"""

from __future__ import annotations

import functools
import platform
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_PIECE = 512
"""Rows of a feed-forward at a time where its products write into arrays that are there: they stay in the cache."""


@functools.cache
def by_onednn() -> bool:
    """Return whether oneDNN multiplies float32 matrices quicker here: on AMD's processors with AVX-512."""
    if not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()):
        return False
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    told = Path("/proc/cpuinfo")
    return "AuthenticAMD" in (told.read_text() if told.is_file() else platform.processor())


def times(states: Tensor, weight: Tensor, bias: Tensor | None = None, then: str = "none") -> Tensor:
    """Return states · weightᵀ + bias of float32 arrays, with `then` ("none", "relu") of it; records no gradient."""
    if by_onednn():
        if not (weight.is_contiguous() or weight.t().is_contiguous()):
            weight = weight.contiguous()  # or oneDNN puts it in order itself, a thousand times slower
        return torch.ops.mkldnn._linear_pointwise(states, weight, bias, then, [], "")  # type: ignore[no-any-return]
    said = functional.linear(states, weight, bias)
    return said.relu_() if then == "relu" else said


def _here(states: Tensor) -> bool:
    plain = not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()
    return states.device.type == "cpu" and states.dtype == torch.float32 and plain


def linear(module: Any, states: Tensor) -> Tensor:
    """Return what a linear layer, or a Conv1D, whose weight is ``[inputs, outputs]``, says of ``[*, inputs]``."""
    if not _here(states) or module.weight.dtype != torch.float32:
        return module.stock(states)  # type: ignore[no-any-return]
    turned = not isinstance(module, nn.Linear)
    return _Linear.apply(states, module.weight, module.bias, turned)  # type: ignore[no-any-return]


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, turned: bool) -> Tensor:
        ctx.save_for_backward(states, weight)
        ctx.turned = turned
        rows = times(states.reshape(-1, states.shape[-1]), weight.t() if turned else weight, bias)
        return rows.view(*states.shape[:-1], rows.shape[-1])

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        states, weight = ctx.saved_tensors
        slope, rows = slopes[0].reshape(-1, slopes[0].shape[-1]), states.reshape(-1, states.shape[-1])
        to_states = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            to_states = times(slope, weight if ctx.turned else weight.t()).view(states.shape)
        if ctx.needs_input_grad[1]:
            to_weight = rows.t() @ slope if ctx.turned else slope.t() @ rows
        if ctx.needs_input_grad[2]:
            to_bias = slope.sum(0)
        return to_states, to_weight, to_bias, None


def feed_forward(module: Any, states: Tensor) -> Tensor:
    """Return what T5's feed-forward with ReLU says (Raffel et al. 2020, §2.1); quicker where nothing is dropped."""
    dropped = module.training and module.dropout.p
    if dropped or not _here(states) or module.wo.weight.dtype != torch.float32:
        return module.stock(states)  # type: ignore[no-any-return]
    return _FeedForward.apply(states, module.wi.weight, module.wo.weight)  # type: ignore[no-any-return]


class _FeedForward(torch.autograd.Function):
    """relu(states · innerᵀ) · outerᵀ, some rows at a time; what falls back through the ReLU is masked in place."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
        rows = states.reshape(-1, states.shape[-1])
        if by_onednn():
            hidden = times(rows, inner, then="relu")
            out = times(hidden, outer)
        else:
            hidden, out = rows.new_empty(len(rows), len(inner)), rows.new_empty(len(rows), len(outer))
            for here in _pieces(len(rows)):
                torch.mm(rows[here], inner.t(), out=hidden[here]).relu_()
                torch.mm(hidden[here], outer.t(), out=out[here])
        ctx.save_for_backward(rows, inner, outer, hidden)
        return out.view(*states.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows, inner, outer, hidden = ctx.saved_tensors
        slope = slopes[0].reshape(len(rows), -1)
        masked = torch.ops.aten.threshold_backward.grad_input
        if by_onednn():
            fall = times(slope, outer.t())
            masked(fall, hidden, 0, grad_input=fall)
            found = times(fall, inner.t()), fall.t() @ rows, slope.t() @ hidden
        else:
            found = torch.empty_like(rows), torch.empty_like(inner), torch.empty_like(outer)
            for here in _pieces(len(rows)):
                fall = slope[here] @ outer
                masked(fall, hidden[here], 0, grad_input=fall)
                torch.mm(fall, inner, out=found[0][here])
                kept = 0 if here.start == 0 else 1
                found[1].addmm_(fall.t(), rows[here], beta=kept)
                found[2].addmm_(slope[here].t(), hidden[here], beta=kept)
        return found[0].view(slopes[0].shape), found[1], found[2]


def _pieces(rows: int) -> list[slice]:
    return [slice(first, first + _PIECE) for first in range(0, rows, _PIECE)]
