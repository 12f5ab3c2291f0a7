"""Strategy ``full``: a new head, and every weight of the backbone trains.

Classes: a linear head on the pooled vector. Text: the model's own language-model head writes the answer; its loss
is taken on the answer alone. The learning rate is chosen on dev among `rates`, the same ones for pretrained and for
fresh weights, and of each training the epoch that dev likes best is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from finetune.strategy import Predictor, Progress, silent
from foundation import keys

if TYPE_CHECKING:
    from finetune.checkpoint import Checkpoint
    from finetune.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Full:
    """Every weight trains, under a new head."""

    rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3)
    """Peak learning rates (AdamW) from which dev chooses."""
    epochs: int = 4
    """Passes over the training examples."""
    rows: int = 16
    """Examples in a batch."""
    length: int = 128
    """Positions of a text, special tokens included; longer texts are cut (and counted)."""
    answer: int = 32
    """Sequence tasks: positions of an answer, in training and in writing."""
    pooling: Literal["mean", "last", "first"] = "mean"
    """Which token's vector stands for the text: the mean of all attended, the last or the first of them."""
    side: Literal["encoder", "decoder", "both"] = "both"
    """Of an encoder-decoder, for classes: whose vectors are read, and so which weights train. The decoder is fed the
    text itself, as Lewis et al. (2020, §3.1) do; both: the two vectors side by side."""
    standardise: bool = True
    """Give the head vectors of mean 0 and deviation 1, as measured on train before the first step."""
    warmup: float = 0.1
    """Share of the steps in which the rate rises; it falls to zero in the rest."""
    decay: float = 0.01
    """Weight decay."""
    clip: float = 1.0
    """Largest norm of a gradient."""

    def learn(
        self, checkpoint: Checkpoint, tasks: Sequence[Task], key: keys.Keys, progress: Progress = silent
    ) -> Iterator[Predictor]:
        """Yield one predictor per task; each task starts from the weights that the one before it left."""
        from finetune.classifying import Classifier
        from finetune.writing import Writer

        sequence = [task.kind == "sequence" for task in tasks]
        learned: Classifier | Writer | None = None
        for task in tasks:
            if learned is None or any(sequence) != all(sequence):
                learned = (Writer if task.kind == "sequence" else Classifier)(self, checkpoint, key)
            learned.add(task, keys.fold(key, "task", task.name), progress)
            yield learned
