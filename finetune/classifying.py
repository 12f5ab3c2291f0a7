"""Full fine-tuning for classes: backbone, standardised vector, linear head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finetune.backbone import Backbone, Framed, budget, frame, over
from finetune.strategy import Progress
from finetune.tasks import Examples, Task
from finetune.training import Judge, search
from foundation import keys

if TYPE_CHECKING:
    from finetune.checkpoint import Checkpoint
    from finetune.full import Full

EVALUATED = 64
"""Rows of a batch where nothing is learned."""


class Head(nn.Module):
    """A linear layer, from zero, on vectors brought to mean 0 and deviation 1.

    The vectors of a model share one large direction, beside which the differences between texts are small. Measured
    once on the training texts, before the first step, mean and deviation are constants of the head, for pretrained
    and fresh weights alike; so the head learns as fast as a probe would, at a rate that the backbone survives.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", 1.0 / deviation.clamp_min(1e-6))
        self.linear = nn.Linear(mean.numel(), classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return one score per class."""
        return self.linear((vectors - self.mean) * self.scale)


class Labelled(nn.Module):
    """A backbone under one head."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, framed: Framed, rows: Sequence[int]) -> Tensor:
        """Return ``[rows, classes]`` scores."""
        return self.head(self.backbone(framed, rows))


class Classifier:
    """One backbone that goes from task to task, and one head for each."""

    def __init__(self, recipe: Full, checkpoint: Checkpoint, key: keys.Word) -> None:
        self.recipe = recipe
        self.tokenizer = checkpoint.tokenizer()
        self.length = budget(checkpoint.config, recipe.length)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        pad_id = self.tokenizer.pad_token_id
        self.backbone = Backbone(checkpoint.model(key), pad_id, recipe.pooling, recipe.side).to(device)
        self.heads: dict[str, Head] = {}
        self.rate, self.tried, self.parameters_trained, self.truncated = 0.0, {}, 0, 0

    def _frame(self, examples: Examples) -> Framed:
        return frame(self.tokenizer, examples.texts, examples.pairs, self.length)

    def add(self, task: Task, key: keys.Word, progress: Progress) -> None:
        """Learn one task, starting from the backbone as it is."""
        train, dev = self._frame(task.train), self._frame(task.dev)
        self.truncated = train.truncated + dev.truncated
        place = {label: number for number, label in enumerate(task.classes)}
        targets = torch.tensor([place[label] for label in task.train.labels], device=self.backbone.device)
        wanted = torch.tensor([place[label] for label in task.dev.labels])
        start = Labelled(self.backbone, self._head(train, len(task.classes)))

        def prepare(model: nn.Module) -> tuple[Callable[[Sequence[int]], Tensor], Judge]:
            def loss(rows: Sequence[int]) -> Tensor:
                return F.cross_entropy(model(train, rows), targets[list(rows)])

            def judge() -> tuple[float, float]:
                scores = torch.from_numpy(over(dev, EVALUATED, model))
                hits = float((scores.argmax(1) == wanted).float().mean())
                return hits, -float(F.cross_entropy(scores, wanted))

            return loss, judge

        lengths = [len(ids) for ids in train.ids]
        model, found = search(start, prepare, lengths, self.recipe, keys.fold(key, "training"), progress)
        assert isinstance(model, Labelled)
        self.backbone, self.heads[task.name] = model.backbone, model.head
        self.tried = {rate: trained.verdict[0] for rate, trained in found.items()}
        self.rate = max(found, key=lambda rate: found[rate].verdict)
        self.parameters_trained = sum(weight.numel() for weight in model.parameters())

    def _head(self, train: Framed, classes: int) -> Head:
        if self.recipe.standardise:
            vectors = torch.from_numpy(over(train, EVALUATED, self.backbone.train(False)))
            mean, deviation = vectors.mean(0), vectors.std(0)
        else:
            mean, deviation = torch.zeros(self.backbone.width), torch.ones(self.backbone.width)
        return Head(mean, deviation, classes).to(self.backbone.device)

    def scores(self, task: Task, examples: Examples) -> np.ndarray:
        """Return one score per class for each example, in the order of ``task.classes``."""
        framed = self._frame(examples)
        self.truncated += framed.truncated
        return over(framed, EVALUATED, Labelled(self.backbone, self.heads[task.name]).train(False))

    def predict(self, task: Task, examples: Examples) -> list[str]:
        """Return the class with the largest score of each example."""
        return [task.classes[place] for place in self.scores(task, examples).argmax(1)]
