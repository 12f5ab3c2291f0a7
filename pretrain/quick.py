"""The same functions, computed quicker on a CPU: dropout, and attention that torch has no fast kernel for.

torch's CPU build draws one Bernoulli number per element for dropout, and leaves its fused attention for a path of
whole arrays as soon as there is dropout or a bias that learns (T5's relative positions). Here

- dropout draws a byte per element, so its rate is a multiple of 1/256: a rate of 0.1 is 26/256 = 0.1016, and what is
  kept is scaled by that very rate;
- attention with dropout or a learned bias takes a few rows at a time, whose scores stay in the cache.

``Quick()`` is entered around a forward and takes the two functions that architectures call by name. It does nothing
on other devices. pretrain/layers.py has what is done to modules.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_PIECE = 1 << 18
"""Elements at a time: one mebibyte of float32, which stays in the cache."""


class Quick(TorchFunctionMode):
    """Within it, dropout and attention are those of this module, where they are on a CPU and have no fast kernel."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch, or ours in its place."""
        kwargs = kwargs or {}
        if func is functional.dropout:
            return _dropout(*args, **{"values" if name == "input" else name: given for name, given in kwargs.items()})
        if func is functional.scaled_dot_product_attention:
            return _attention(*args, **kwargs)
        return func(*args, **kwargs)


def rate(probability: float) -> float:
    """Return the rate that a dropout of `probability` has here: the nearest multiple of 1/256."""
    return round(probability * 256) / 256


def _dropout(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    if not training or not 0 < rate(p) < 1 or values.device.type != "cpu" or not values.is_floating_point():
        return functional.dropout(values, p, training, inplace)
    return _Dropout.apply(values, p)  # type: ignore[no-any-return]


def _bytes(count: int) -> Tensor:
    """Return random bytes from torch's generator, eight by draw."""
    return torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None).view(torch.uint8)[:count]


def _pieces(count: int) -> Iterator[slice]:
    for first in range(0, count, _PIECE):
        yield slice(first, min(first + _PIECE, count))


def _dropped(values: Tensor, chances: Tensor, p: float) -> Tensor:
    """Return flat values, scaled where the byte says that they are kept, 0 elsewhere."""
    out, limit, scale = torch.empty_like(values), round(p * 256), 1 / (1 - rate(p))
    for here in _pieces(len(values)):
        torch.ge(chances[here], limit, out=out[here])
        out[here].mul_(values[here]).mul_(scale)
    return out


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, p: float) -> Tensor:
        chances = _bytes(values.numel())
        ctx.save_for_backward(chances)
        ctx.p = p
        return _dropped(values.reshape(-1), chances, p).view(values.shape)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        (slope,), (chances,) = slopes, ctx.saved_tensors
        return _dropped(slope.reshape(-1), chances, ctx.p).view(slope.shape), None


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return what torch's function of these arguments returns; ours only where torch has no fast kernel."""
    learned = attn_mask is not None and attn_mask.requires_grad
    plain = not rate(dropout_p) and not learned
    if plain or query.device.type != "cpu" or enable_gqa or query.ndim != 4 or torch.is_autocast_enabled("cpu"):
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    mask = attn_mask
    if is_causal:
        mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool).tril()[None, None]
    if mask is not None and mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=query.dtype).masked_fill_(~mask, torch.finfo(query.dtype).min)
    if mask is not None and mask.ndim != 4:
        mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    return _Attention.apply(query, key, value, mask, dropout_p, scale or query.shape[-1] ** -0.5)  # type: ignore[no-any-return]


class _Attention(torch.autograd.Function):
    """softmax(q·kᵀ·scale + mask), dropout, ·v for ``[rows, heads, positions, width]``, some rows of a head at a time.

    The rows of one head lie in memory as matrix products take them; those of several heads would have to be copied.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, p: float, scale: float
    ) -> Tensor:
        rows, heads, asked, _ = query.shape
        shares = query.new_empty(heads, rows, asked, key.shape[2])
        chances = _bytes(shares.numel()).view(shares.shape) if rate(p) else None
        out = query.new_empty(rows, asked, heads, value.shape[3]).transpose(1, 2)
        for head, here in _head_pieces(shares):
            kept = _scores(query[here, head], key[here, head], _of_head(mask, head, here), scale, shares[head, here])
            torch.softmax(kept, -1, out=kept)
            if chances is not None:
                kept = _dropped(kept.view(-1), chances[head, here].view(-1), p).view(kept.shape)
            out[here, head] = torch.bmm(kept, value[here, head])
        ctx.save_for_backward(query, key, value, mask, shares, chances, out)
        ctx.p, ctx.scale = p, scale
        return out

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, mask, shares, chances, out = ctx.saved_tensors
        to_query, to_key, to_value = (torch.empty_like(t) for t in (query, key, value))
        to_mask = torch.zeros_like(mask) if ctx.needs_input_grad[3] else None
        for head, here in _head_pieces(shares):
            slope, share = slopes[0][here, head], shares[head, here]
            fall, kept = torch.bmm(slope, value[here, head].mT), share
            if chances is not None:
                chance = chances[head, here].view(-1)
                kept = _dropped(share.view(-1), chance, ctx.p).view(share.shape)
                fall = _dropped(fall.view(-1), chance, ctx.p).view(share.shape)
            to_value[here, head] = torch.bmm(kept.mT, slope)
            # Σ share · fall over the keys is Σ out · slope over the width (Dao et al. 2022, appendix B.2)
            fall -= torch.linalg.vecdot(out[here, head], slope).unsqueeze(-1)
            fall *= share
            if to_mask is not None:
                part = _of_head(to_mask, head, here)
                part += fall.sum_to_size(part.shape)
            to_query[here, head] = torch.bmm(fall, key[here, head]).mul_(ctx.scale)
            to_key[here, head] = torch.bmm(fall.mT, query[here, head]).mul_(ctx.scale)
        return to_query, to_key, to_value, to_mask, None, None


def _head_pieces(shares: Tensor) -> Iterator[tuple[int, slice]]:
    heads, rows, asked, seen = shares.shape
    for head in range(heads):
        for here in row_pieces(rows, asked * seen):
            yield head, here


def _of_head(mask: Any, head: int, here: slice) -> Any:
    """Return the part of a mask ``[rows or 1, heads or 1, positions, keys]`` for some rows of a head."""
    if mask is None:
        return None
    return mask[slice(None) if len(mask) == 1 else here, 0 if mask.shape[1] == 1 else head]


def _scores(query: Tensor, key: Tensor, mask: Tensor | None, scale: float, out: Tensor) -> Tensor:
    torch.bmm(query, key.mT, out=out)
    return out.mul_(scale) if mask is None else torch.add(mask, out, alpha=scale, out=out)


def gains(model: nn.Module) -> bool:
    """Return whether ``Quick()`` changes a forward of the model: it has dropout, or a bias that learns."""
    config: Any = model.config
    dropout = any("drop" in name and isinstance(value, float) and rate(value) for name, value in vars(config).items())
    return dropout or any("relative_attention_bias" in name for name, _ in model.named_modules())


def row_pieces(rows: int, each: int) -> Iterator[slice]:
    """Yield slices of rows of `each` elements, as many at a time as stay in the cache."""
    some = max(1, _PIECE // each)
    for first in range(0, rows, some):
        yield slice(first, min(first + some, rows))
