"""Evaluation on held-out text: nats per target of each role, accuracy, and the unigram entropy as the mark to beat.

The held-out noise has a fixed key, so every run with one objective is asked the same questions. The unigram entropy
is that of the distribution of the objective's own held-out targets, the loss of a constant predictor that knows
them: no predictor that ignores its input can be better, so a model below it has used its input.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch

from objectives import IGNORED, Batch
from objectives.feed import Feed
from pretrain.questions import Question, question, to_device

_ROWS = 64
_PASSES = 8


def _questions(batch: Batch) -> list[dict[str, np.ndarray]]:
    """Return what to ask of a batch: its targets by role, then those of "tokens" that cannot be copied, if not all."""
    if batch.hidden is None:
        return [batch.targets]
    return [batch.targets, {"tokens": np.where(batch.hidden, batch.targets["tokens"], IGNORED)}]


@torch.no_grad()
def evaluate(learner: Any, feed: Feed, tokens: int, device: torch.device) -> dict[str, float]:
    """Return by role the held-out loss in nats per target, and as "accuracy/…" the share answered right.

    Where not every token asked was hidden, "hidden" is the loss on those that were.
    """
    rows = min(feed.blocks, max(1, tokens // feed.block))
    summed: Counter[str] = Counter()
    right: Counter[str] = Counter()
    count: Counter[str] = Counter()
    learner.eval()
    for first in range(0, rows, _ROWS):
        batch = feed.at(np.arange(first, min(rows, first + _ROWS)))
        inputs = to_device(batch.inputs, device)
        for turn, targets in enumerate(_questions(batch)):
            asked = {role: question(labels) for role, labels in targets.items()}
            on = {role: Question(*(tensor.to(device) for tensor in found)) for role, (found, _) in asked.items()}
            for role, (loss, correct) in learner.marks(inputs, on).items():
                name = "hidden" if turn else role
                summed[name] += loss.item()
                right[name] += int(correct)
                count[name] += asked[role][1]
    learner.train()
    losses = {name: total / max(1, count[name]) for name, total in summed.items()}
    return losses | {f"accuracy/{name}": right[name] / max(1, count[name]) for name in summed}


def unigram(feed: Feed, tokens: int) -> dict[str, float]:
    """Return by role the entropy in nats of the held-out targets' own distribution.

    Objectives that ask few tokens are asked again under other noise, so that the entropy of a small sample, which
    is too low, does not make their mark harder than that of objectives that ask every token.
    """
    rows = min(feed.blocks, max(1, tokens // feed.block))
    counts: dict[str, np.ndarray] = {}
    for turn in range(_PASSES):
        asked = _questions(feed.at(np.arange(rows) + turn * feed.blocks))
        for name, labels in [*asked[0].items(), *(("hidden", more["tokens"]) for more in asked[1:])]:
            found = np.bincount(labels[labels != IGNORED], minlength=feed.vocabulary.size)
            counts[name] = counts.get(name, 0) + found
    return {name: entropy(found) for name, found in counts.items()}


def entropy(counts: np.ndarray) -> float:
    """Return the entropy in nats of the distribution with these counts."""
    shares = counts[counts > 0] / max(1, counts.sum())
    return float(-(shares * np.log(shares)).sum())
