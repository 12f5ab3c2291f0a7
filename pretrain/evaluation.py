"""Evaluation on held-out text: nats per target of each role, accuracy, and the unigram entropy as the mark to beat.

The held-out noise has a fixed key, so every run with one objective is asked the same questions. The unigram entropy
is that of the distribution of the objective's own held-out targets, the loss of a constant predictor that knows
them: no predictor that ignores its input can be better, so a model below it has used its input.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from objectives import IGNORED
from pretrain.feed import Feed
from pretrain.loop import to_device

_ROWS = 64
_PASSES = 8


@torch.no_grad()
def evaluate(learner: Any, feed: Feed, tokens: int, device: torch.device) -> dict[str, float]:
    """Return by role the held-out loss in nats per target, and as "accuracy/…" the share answered right."""
    rows = min(feed.blocks, max(1, tokens // feed.block))
    summed: dict[str, float] = {}
    right: dict[str, int] = {}
    count: dict[str, int] = {}
    learner.eval()
    for first in range(0, rows, _ROWS):
        batch = feed.at(np.arange(first, min(rows, first + _ROWS)))
        answers = learner(to_device(batch.inputs, device), to_device(batch.targets, device))
        for role, (loss, correct) in answers.items():
            summed[role] = summed.get(role, 0.0) + loss.item()
            right[role] = right.get(role, 0) + int(correct)
            count[role] = count.get(role, 0) + int((batch.targets[role] != IGNORED).sum())
    learner.train()
    losses = {role: total / max(1, count[role]) for role, total in summed.items()}
    return losses | {f"accuracy/{role}": right[role] / max(1, count[role]) for role in summed}


def unigram(feed: Feed, tokens: int) -> dict[str, float]:
    """Return by role the entropy in nats of the held-out targets' own distribution.

    Objectives that ask few tokens are asked again under other noise, so that the entropy of a small sample, which
    is too low, does not make their mark harder than that of objectives that ask every token.
    """
    rows = min(feed.blocks, max(1, tokens // feed.block))
    counts: dict[str, np.ndarray] = {}
    for turn in range(_PASSES):
        batch = feed.at(np.arange(rows) + turn * feed.blocks)
        for role, labels in batch.targets.items():
            found = np.bincount(labels[labels != IGNORED], minlength=feed.vocabulary.size)
            counts[role] = counts.get(role, 0) + found
    return {role: entropy(found) for role, found in counts.items()}


def entropy(counts: np.ndarray) -> float:
    """Return the entropy in nats of the distribution with these counts."""
    shares = counts[counts > 0] / max(1, counts.sum())
    return float(-(shares * np.log(shares)).sum())
