"""Strategy ``probe``: the backbone stays frozen, a logistic regression reads its vectors.

The vectors (last layer, mean over the tokens attended to) are computed once; they are standardised with the mean
and the deviation of the training vectors, and the strength of the regression's penalty is chosen on dev. What the
probe finds was already in the checkpoint: nothing of it changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from finetune.strategy import Predictor, Progress, silent
from foundation import keys
from foundation.refusal import BadUsage

if TYPE_CHECKING:
    import numpy as np

    from finetune.backbone import Backbone
    from finetune.checkpoint import Checkpoint
    from finetune.tasks import Examples, Task


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A logistic regression on the vectors of the frozen backbone."""

    length: int = 128
    """Positions of a text, special tokens included; longer texts are cut (and counted)."""
    pooling: Literal["mean", "last", "first"] = "mean"
    """Which token's vector stands for the text: the mean of all attended, the last or the first of them."""
    side: Literal["encoder", "decoder", "both"] = "both"
    """Of an encoder-decoder: whose vectors are read; the decoder is fed the text itself; both: side by side."""
    penalties: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0, 10.0)
    """Values of scikit-learn's C (inverse strength of the penalty) from which dev chooses."""

    def learn(
        self, checkpoint: Checkpoint, tasks: Sequence[Task], key: keys.Keys, progress: Progress = silent
    ) -> Iterator[Predictor]:
        """Yield one predictor per task; earlier heads stay as they are, since nothing below them moves."""
        from finetune.backbone import Backbone, budget

        refused = [task.name for task in tasks if task.kind == "sequence"]
        if refused:
            raise BadUsage(f"probe reads classes from vectors; task {refused[0]} asks for text", "take --strategy full")
        tokenizer = checkpoint.tokenizer()
        backbone = Backbone(checkpoint.model(key), tokenizer.pad_token_id, self.pooling, self.side)
        backbone.requires_grad_(False)
        learned = Probed(self, backbone.train(False), tokenizer, budget(checkpoint.config, self.length))
        for number, task in enumerate(tasks):
            learned.add(task, keys.number(key, "probe", task.name))
            progress(number + 1, len(tasks), {"dev": max(learned.tried.values())})
            yield learned


class Probed:
    """Frozen backbone and one regression per task."""

    def __init__(self, strategy: Probe, backbone: Backbone, tokenizer: Any, length: int) -> None:
        self.strategy, self.backbone, self.tokenizer, self.length = strategy, backbone, tokenizer, length
        self.heads: dict[str, Any] = {}
        self.vectors: dict[int, np.ndarray] = {}
        self.rate, self.tried, self.parameters_trained, self.truncated = 0.0, {}, 0, 0

    def add(self, task: Task, seed: int) -> None:
        """Fit the regression of one task, its penalty chosen on dev (of equals, the stronger penalty)."""
        self.vectors.clear()
        self.truncated = 0
        from finetune.logistic import fit

        train, dev = self._read(task.train), self._read(task.dev)
        scored = {c: fit(train, task.train.labels, dev, task.dev.labels, c, seed) for c in self.strategy.penalties}
        self.tried = {c: score for c, (_, score) in scored.items()}
        self.rate = max(self.tried, key=lambda c: (self.tried[c], -c))
        self.heads[task.name] = scored[self.rate][0]
        regression = self.heads[task.name][-1]
        self.parameters_trained = int(regression.coef_.size + regression.intercept_.size)

    def _read(self, examples: Examples) -> np.ndarray:
        from finetune.backbone import frame, over

        known = self.vectors.get(id(examples))
        if known is None:
            framed = frame(self.tokenizer, examples.texts, examples.pairs, self.length)
            self.truncated += framed.truncated
            known = self.vectors[id(examples)] = over(framed, 64, self.backbone)
        return known

    def predict(self, task: Task, examples: Examples) -> list[str]:
        """Return the most probable class of each example."""
        return [str(label) for label in self.heads[task.name].predict(self._read(examples))]
