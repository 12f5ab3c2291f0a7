"""The logistic regression that reads vectors, for the probe and for the classical arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def fit(
    train: Any,
    labels: Sequence[str],
    dev: Any,
    dev_labels: Sequence[str],
    penalty: float,
    seed: int,
    *,
    standardise: bool = True,
) -> tuple[Any, float]:
    """Return a logistic regression fitted on (standardised) vectors, and its accuracy on dev."""
    regression = LogisticRegression(C=penalty, max_iter=2000, random_state=seed % 2**32)
    steps = [StandardScaler(), regression] if standardise else [regression]
    fitted = make_pipeline(*steps).fit(train, list(labels))
    return fitted, float(np.mean(fitted.predict(dev) == np.array(dev_labels)))
