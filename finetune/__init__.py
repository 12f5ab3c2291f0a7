"""Fine-tuning: a checkpoint and a task go in, a predictor and its honest score come out."""

from __future__ import annotations

from finetune.full import Full
from finetune.probe import Probe

STRATEGIES: dict[str, type] = {"full": Full, "probe": Probe}
