"""The request of the command ``finetune``: which checkpoint learns which task, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from finetune.full import Full
from finetune.reading import Reading
from finetune.strategy import Strategy


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """Adapt one checkpoint to one task."""

    checkpoint: Path
    """A run of pretrain, one of its step folders, or any folder that save_pretrained wrote."""
    task: str
    """An embedded task (library, shuffled-words, pair, summary), a table (.tsv .csv .jsonl .parquet, also .gz),
    or a folder of tables named train, dev and test."""
    strategy: Strategy = field(default_factory=Full, metadata={"choices": "finetune:STRATEGIES"})
    """How the checkpoint learns: full (a new head, every weight trains) or probe (frozen, logistic regression)."""
    out: Path
    """Folder of the result: result.json, predictions.jsonl."""
    seed: int = 0
    """Key of every random choice of the training: order of the examples, weights of a new head, dropout."""
    random_init: bool = False
    """Take the shape of the checkpoint but fresh weights: what pretraining is compared with."""
    threads: int | None = None
    """Threads of torch (default: as torch finds them)."""
    columns: Annotated[Reading, tyro.conf.arg(name="task")] = field(default_factory=Reading)
    """Which columns of the tables are what, and how many rows to use."""
