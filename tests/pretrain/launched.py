"""What the tests start in several processes: gradients of one step, and a run in which some rows are no numbers."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from corpora.store import Corpus
from objectives import OBJECTIVES
from objectives.feed import Feed
from objectives.next_token import NextToken
from pretrain import models, start
from pretrain.__main__ import main
from pretrain.learner import Learner
from pretrain.loop import Steps, backward, supplied
from pretrain.run import Run


def gradients(corpus: Corpus, objective: str, micro: int | None) -> dict[str, torch.Tensor]:
    """The gradient of a step of seven rows in float64, by as many processes as there are."""
    run = Run(
        objective=OBJECTIVES[objective](), out=Path("unused"), block=32, rows=7, micro=micro, precision="fp64", steps=3
    )
    accelerator = start._accelerator(run)
    feed, _, plan = start._feeds(run, corpus)
    begun = models.begin(run, corpus)
    learner: Any = accelerator.prepare(Learner(begun.model, begun.family))
    steps = Steps(1, 2, plan.rows, run.micro, run.objective.weights, 1.0, run.seed)
    (batches,) = supplied(lambda step, rows: feed.step(plan, step, rows), steps, accelerator)
    losses = backward(learner, accelerator, batches, steps.weights)
    return {"losses": losses} | {n: p.grad for n, p in begun.model.named_parameters() if p.grad is not None}


def poison(corpus: Corpus, places: list[tuple[int, int]], by: float = float("nan")) -> None:
    """Make the loss of the given (step, row) of a next-token run of 6 × 32 no number, wherever that row is read."""
    feed = Feed(corpus.part("train"), corpus.vocabulary, NextToken(), 32, 0)
    bad = [feed.at(np.array([step * 6 + row])).inputs["input_ids"][0].tolist() for step, row in places]
    ordinary = Learner.forward

    def forward(self, inputs, questions):
        losses = ordinary(self, inputs, questions)
        hit = any(row in bad for row in inputs["input_ids"].tolist())
        return {role: loss * by if hit else loss for role, loss in losses.items()}

    Learner.forward = forward


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, folder, *rest = sys.argv[1:]
    opened = Corpus.open(folder)
    if what == "gradients":
        objective, micro, out = rest
        found = gradients(opened, objective, int(micro))
        torch.save(found, f"{out}.{os.environ.get('RANK', '0')}")
        torch.distributed.destroy_process_group()
    else:
        poison(opened, [(step, row) for step, row in json.loads(rest[0])])
        sys.exit(main(["--corpus", folder, *rest[1:]]))
