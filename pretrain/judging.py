"""Judging: the last linear layer and the cross-entropy in one, some rows at a time.

The logits of a batch are its largest array by far (4,096 positions × 30,522 words are half a gigabyte) and are read
once. Here a few hundred rows of them exist at a time: their loss, and at once its gradient with respect to states and
weight, which the backward pass only scales. Same values as linear + cross_entropy, computed in another order
(Wijmans et al. 2024, "Cut Your Losses", §4 has the idea for GPUs).
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from objectives import IGNORED
from pretrain import products

CHUNK = 256
"""Rows of logits at a time; 128 to 512 are alike, fewer starve the matrix product."""
_FAINT = 1e-30
"""Below this a share is near the end of float32, and its logarithm is taken from the logits anew."""


def summed(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, answers: torch.Tensor
) -> torch.Tensor:
    """Return the cross-entropy in nats, summed over the answers ``[asked]`` that are not IGNORED.

    `states` are ``[asked, width]``, `weight` ``[classes, width]``, `bias` ``[classes]``.
    """
    if states.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
        return _Summed.apply(states, weight, bias, answers)  # type: ignore[no-any-return]
    return plain(functional.linear(states, weight, bias), answers)


def plain(logits: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """Return the same from logits ``[asked, classes]``."""
    precise = logits if logits.dtype == torch.float64 else logits.float()
    return functional.cross_entropy(precise, answers, reduction="sum", ignore_index=IGNORED)


@torch.no_grad()
def marked(
    states: torch.Tensor, output: tuple[torch.Tensor, torch.Tensor | None] | None, answers: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the summed cross-entropy, and how many answers are the likeliest.

    `output` are weight and bias of the last linear layer; without it, the states are logits already.
    """
    loss = states.new_zeros((), dtype=torch.float64)
    right = answers.new_zeros(())
    for rows, asked in zip(states.split(CHUNK), answers.split(CHUNK), strict=True):
        logits = rows if output is None else functional.linear(rows, *output)
        loss += plain(logits, asked)
        right += (logits.argmax(-1) == asked).sum()
    return loss, right


class _Summed(torch.autograd.Function):
    """The loss with its gradient computed on the way."""

    @staticmethod
    def forward(
        ctx: Any, states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, answers: torch.Tensor
    ) -> torch.Tensor:
        wanted = [tensor is not None and tensor.requires_grad for tensor in (states, weight, bias)]
        to_states = torch.empty_like(states) if wanted[0] else None
        to_weight = (torch.empty_like if len(states) else torch.zeros_like)(weight) if wanted[1] else None
        to_bias = torch.zeros_like(bias) if wanted[2] and bias is not None else None
        total = states.new_zeros((), dtype=torch.float64)
        room = states.new_empty(0 if _quick(states) else min(CHUNK, len(states)), len(weight))
        for first in range(0, len(states), CHUNK):
            here = slice(first, first + CHUNK)
            slope, loss = _slope(states[here], weight, bias, answers[here], room)
            total += loss
            if to_states is not None:
                to_states[here] = _product(slope, weight.t(), None, to_states[here])
            if to_weight is not None:
                to_weight.addmm_(slope.t(), states[here], beta=0 if first == 0 else 1)
            if to_bias is not None:
                to_bias += slope.sum(0)
            del slope  # whose memory the next one takes, while it is in the cache
        ctx.save_for_backward(*[t for t in (to_states, to_weight, to_bias) if t is not None])
        ctx.wanted = wanted
        return total.to(states.dtype)

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        saved = iter(ctx.saved_tensors)
        return (*[next(saved) * slopes[0] if wanted else None for wanted in ctx.wanted], None)


def _slope(
    rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, answers: torch.Tensor, room: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradient of the summed loss with respect to the logits, and the loss."""
    logits = _product(rows, weight, bias, room[: len(rows)])
    kept = answers != IGNORED
    places = answers.where(kept, 0)[:, None]
    share = torch.softmax(logits, 1, out=logits)  # less one at the answer, it is the slope
    said = share.gather(1, places)[:, 0]
    if said.numel() and said.min() < _FAINT:  # the logarithm of a share that is hardly a number says nothing
        logs = torch.log_softmax(functional.linear(rows, weight, bias), 1).gather(1, places)[:, 0]
    else:
        logs = said.log()
    share.scatter_add_(1, places, share.new_full(places.shape, -1.0))
    if not bool(kept.all()):
        share.mul_(kept[:, None])
    return share, -logs.mul(kept).sum(dtype=torch.float64)


def _quick(states: torch.Tensor) -> bool:
    return states.dtype == torch.float32 and products.by_onednn()


def _product(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, room: torch.Tensor) -> torch.Tensor:
    """Return rows · weightᵀ + bias, in `room` where the library can be told to."""
    if _quick(rows):
        return products.times(rows, weight, bias)
    if bias is None:
        return torch.mm(rows, weight.t(), out=room)
    return torch.addmm(bias, rows, weight.t(), out=room)
