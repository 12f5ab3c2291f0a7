"""The learning rate as a function of the step."""

from __future__ import annotations

import math


def share(step: int, steps: int, warmup: float, decay: str) -> float:
    """Return the share of the peak rate at step 0 … steps − 1: a linear rise, then linear, cosine or no decay.

    The first step already moves (1 / rise of the peak), and the last one still does.
    """
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    left = (steps - step) / max(1, steps - rise)
    if decay == "linear":
        return left
    return 0.5 - 0.5 * math.cos(math.pi * left) if decay == "cosine" else 1.0
