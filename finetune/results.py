"""The record of one result: the same fields whatever was adapted, and however."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from finetune.metrics import correct, interval, metric_of
from finetune.tasks import Task

ABOUT: dict[str, Any] = {
    "checkpoint": None,
    "objective": None,
    "family": None,
    "strategy": None,
    "parameters_trained": 0,
    "truncated": 0,
}


def record(
    task: Task,
    predictions: dict[str, list[str]],
    *,
    arm: str,
    seed: int,
    rate: float | str,
    tried: Mapping[Any, float],
    seconds: float,
    train_rows: list[int] | None = None,
    **about: Any,
) -> dict[str, Any]:
    """Return the record of predictions for train, dev and test; the interval belongs to the test score.

    `train_rows` says which training examples were predicted, where it was not all of them; `about` holds the
    fields of ABOUT that an arm with a checkpoint has.
    """
    metric = metric_of(task.kind)
    train = task.train if train_rows is None else task.train.take(train_rows)
    labels = {"train": train.labels, "dev": task.dev.labels, "test": task.test.labels}
    scores = {part: correct(metric, predictions[part], labels[part]) for part in labels}
    return {
        "arm": arm,
        "task": task.name,
        "kind": task.kind,
        "seed": seed,
        **ABOUT,
        **about,
        "metric": metric,
        **{part: float(np.mean(scores[part])) for part in labels},
        "interval": interval(scores["test"], seed),
        "rate": rate,
        "tried": {f"{name:g}" if isinstance(name, float) else str(name): score for name, score in tried.items()},
        "examples": {part: len(labels[part]) for part in labels},
        "task_sha256": task.sha256,
        "seconds": round(seconds, 3),
        "correct": [round(float(score), 6) for score in scores["test"]],
    }
