"""The average of the weights over the steps: what is judged and saved, while training goes on with the raw ones.

Each step brings the average a little nearer to the weights: m ← m + s·(w − m). With s = (1 − β) / (1 − βᵗ) at the
t-th step it is exactly the mean of all weights so far with shares that fall by β from step to step, as in Adam's
correction (Kingma & Ba 2015, §3): the first weights, from before any step, have no share, at any t. It remembers
about 1 / (1 − β) steps; an average over many more steps than the decay of the rate takes lags behind what is learned.

What does not stand in the model stands in the optimizer's state: the average while training, the raw weights inside
``in_place``. So a checkpoint that is written there holds the average as its weights and, in ``training/``, the raw
ones to go on from, and no other file knows about it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

KEY = "average"
COUNT = "averaged"


def keep(optimizer: torch.optim.Optimizer, decay: float) -> None:
    """Average the weights behind every step of `optimizer` from here on; a decay of 0 does nothing.

    Weights without a gradient never change and are left out.
    """
    if decay:
        optimizer.register_step_post_hook(lambda stepped, *_: _follow(stepped, decay))


@torch.no_grad()
def _follow(optimizer: torch.optim.Optimizer, decay: float) -> None:
    first = optimizer.param_groups[0]
    first[COUNT] = count = first.get(COUNT, 0) + 1
    weights = [weight for weight in _moved(optimizer) if KEY in optimizer.state[weight]]
    if weights:
        share = (1 - decay) / (1 - decay**count)
        get_ema_multi_avg_fn(1 - share)([optimizer.state[weight][KEY] for weight in weights], weights, None)
    for weight in _moved(optimizer):
        if KEY not in optimizer.state[weight]:
            optimizer.state[weight][KEY] = weight.detach().clone()


def _moved(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return the weights that a step has moved: those with a state."""
    return [weight for group in optimizer.param_groups for weight in group["params"] if optimizer.state.get(weight)]


@contextlib.contextmanager
def in_place(optimizer: Any) -> Iterator[None]:
    """Have the average in the model and the raw weights in the optimizer's state; nothing happens without one."""
    _swap(optimizer)
    try:
        yield
    finally:
        _swap(optimizer)


def restored(optimizer: torch.optim.Optimizer, decay: float) -> None:
    """Put the raw weights back after a checkpoint was loaded; without a decay the average is forgotten."""
    _swap(optimizer)
    if not decay:
        optimizer.param_groups[0].pop(COUNT, None)
        for state in optimizer.state.values():
            state.pop(KEY, None)


@torch.no_grad()
def _swap(optimizer: Any) -> None:
    for group in optimizer.param_groups:
        for weight in group["params"]:
            state = optimizer.state.get(weight, {})
            if KEY in state:
                weight.data, state[KEY] = state[KEY], weight.data
