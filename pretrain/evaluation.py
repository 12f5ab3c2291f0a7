"""Evaluation on held-out text: nats per target of each role, accuracy, bits per byte, and the marks to beat.

The held-out noise has a fixed key, so every run with one objective is asked the same questions. The unigram entropy
is that of the distribution of the objective's own held-out targets, the loss of a constant predictor that knows
them: no predictor that ignores its input can be better, so a model below it has used its input. Which of two orders
is meant is guessed right as often as the commoner one stands there: that is chance.

Bits per byte compare models whatever their vocabulary (Gao et al. 2020, "The Pile", §3.1), where a likelihood of the
text is asked: every token of it, from left to right.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import torch

from corpora.blocks import Blocks
from objectives import IGNORED, Batch
from objectives.feed import Feed
from pretrain.questions import question, to_device

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

    Where not every token asked was hidden, "hidden" is the loss on those that were. "chance/order" is the share of
    the commonest answer; "bits_per_byte" is there only where the text's likelihood was asked.
    """
    rows = feed.worth(tokens)
    summed: Counter[str] = Counter()
    right: Counter[str] = Counter()
    count: Counter[str] = Counter()
    classes: Counter[int] = Counter()
    sizes: list[int | None] = []
    learner.eval()
    for first in range(0, rows, _ROWS):
        blocks = feed.read(np.arange(first, min(rows, first + _ROWS)))
        batch = feed.objective.collate(blocks, feed.vocabulary)
        sizes.append(bytes_asked(blocks, batch, feed))
        classes.update(batch.targets.get("order", np.empty(0, dtype=np.int64)).tolist())
        inputs = to_device(batch.inputs, device)
        for turn, targets in enumerate(_questions(batch)):
            asked = {role: question(labels) for role, labels in targets.items()}
            on = {role: found.to(device) for role, (found, _) in asked.items()}
            for role, (loss, correct) in learner.marks(inputs, on).items():
                name = "hidden" if turn else role
                summed[name] += loss.item()
                right[name] += int(correct)
                count[name] += asked[role][1]
    learner.train()
    found = {name: total / max(1, count[name]) for name, total in summed.items()}
    found |= {f"accuracy/{name}": right[name] / max(1, count[name]) for name in summed}
    classes.pop(IGNORED, None)
    if classes:
        found["chance/order"] = max(classes.values()) / classes.total()
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes):
        found["bits_per_byte"] = summed["tokens"] / math.log(2) / max(1, sum(known))
    return found


def bytes_asked(blocks: Blocks, batch: Batch, feed: Feed) -> int | None:
    """Return the bytes of the text whose likelihood a batch asks for; None where it asks for anything else.

    It does where a decoder says every token of each row in the order of the text. The ends of documents are said
    too, and have no bytes. A row is said from its own start, so that shorter blocks cost more bits.
    """
    targets = batch.targets["tokens"]
    forward = feed.objective.shape == "decoder" and "prefix" not in batch.inputs
    if not forward or not feed.vocabulary.says_bytes or targets.shape != blocks.ids.shape:
        return None
    inside = np.arange(blocks.ids.shape[1]) < blocks.lengths[:, None]
    given, behind = batch.inputs["input_ids"][:, 1:], inside[:, 1:]
    in_order = np.array_equal(given[behind], blocks.ids[:, :-1][behind])
    if not in_order or not np.array_equal(np.where(inside, blocks.ids, IGNORED), targets):
        return None
    return int(feed.vocabulary.byte_lengths[blocks.ids[inside]].sum())


def words(found: dict[str, float], marks: dict[str, float]) -> str:
    """Return an evaluation in words, `marks` being the unigram entropies."""
    said = [f"held-out loss {found['tokens']:.3f} nats per target (unigram entropy {marks['tokens']:.3f})"]
    said += [f"{found['accuracy/tokens']:.1%} of the targets right"]
    if "hidden" in found:
        said += [f"on hidden words alone {found['hidden']:.3f} ({marks['hidden']:.3f})"]
    if "bits_per_byte" in found:
        said += [f"{found['bits_per_byte']:.3f} bits per byte"]
    if "chance/order" in found:  # blocks shorter than two sentences ask for no order
        said += [f"order accuracy {found['accuracy/order']:.3f} (chance {found['chance/order']:.3f})"]
    return ", ".join(said)


def unigram(feed: Feed, tokens: int) -> dict[str, float]:
    """Return by role the entropy in nats of the held-out targets' own distribution.

    Objectives that ask few tokens are asked again under other noise, so that the entropy of a small sample, which
    is too low, does not make their mark harder than that of objectives that ask every token.
    """
    rows = feed.worth(tokens)
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
