"""The learning rate as a function of the step."""

from __future__ import annotations

import math
from typing import Literal, get_args

Decay = Literal["linear", "cosine", "constant", "wsd"]
DECAYS: tuple[str, ...] = get_args(Decay)


def share(step: int, steps: int, warmup: float, decay: str, cooldown: float = 0.3) -> float:
    """Return the share of the peak rate at step 0 … steps − 1: a linear rise, then the decay.

    The first step already moves (1 / rise of the peak), and the last one still does. ``wsd`` (warm-up, stable,
    decay) stays at the peak and falls over the last `cooldown` of the steps as 1 − √ of the way (Hägele et al. 2024,
    §3), so that one stable run serves for several budgets.
    """
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    if decay == "constant":
        return 1.0
    fall = max(1, round(cooldown * steps)) if decay == "wsd" else max(1, steps - rise)
    left = min(1.0, (steps - step) / fall)
    if decay == "wsd":
        return 1.0 - math.sqrt(1.0 - left)
    return left if decay == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)
