"""``--dry-run``: what a run will take, before anything is written.

Parameters, tokens, operations and disk are counted (``pretrain.estimate``). Time and memory are measured: the run's
own first batch, three steps of the real model on this machine at a rate of zero, the first of which is not counted.
"""

from __future__ import annotations

import functools
import itertools
import resource
import sys
import time
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from corpora.store import Corpus
from objectives import IGNORED
from objectives.feed import Feed
from objectives.stages import Plan
from pretrain import estimate, milestones
from pretrain.loop import Steps, supplied, train
from pretrain.run import Run

_WARM, _TIMED = 1, 2


def lines(
    run: Run, corpus: Corpus, feed: Feed, plan: Plan, learner: Any, wrapped: Any, optimizer: Any, machine: Accelerator
) -> list[str]:
    """Return what a run takes, in lines for the reader; `wrapped` is the learner as the loop calls it."""
    operations = sum(_flops(learner, feed, plan, first) * steps for first, steps in _parts(plan))
    before = _memory(machine)
    seconds = sum(_seconds(run, feed, plan, first, wrapped, optimizer, machine) * n for first, n in _parts(plan))
    kept, folders = _disk(learner.model, optimizer), _folders(run, corpus, plan)
    gigabytes = 2**30
    return [
        f"operations  {operations:.3g} of training ({operations / plan.tokens(plan.steps):,.0f} per corpus token)",
        f"time        {_long(seconds)} for the steps, measured on {machine.device}, as busy as it is; evaluations and"
        " checkpoints come on top",
        f"memory      {_memory(machine) / gigabytes:.2f} GiB at most, measured, {before / gigabytes:.2f} of it before"
        " the first step; a whole run takes no more",
        f"disk        {kept * folders / gigabytes:.2f} GiB: {folders} checkpoint{'s' * (folders > 1)} of"
        f" {kept / 2**20:,.0f} MiB, weights and optimizer",
    ]


def _parts(plan: Plan) -> list[tuple[int, int]]:
    """Return the first step and the number of steps of each stage."""
    firsts = itertools.accumulate(plan.steps_of, initial=0)
    return [(first, steps) for first, steps in zip(firsts, plan.steps_of, strict=False) if steps]


def _flops(learner: Any, feed: Feed, plan: Plan, step: int) -> float:
    """Return the operations of a step with the shapes of its own batch."""
    rows = plan.rows(step)
    batch: Any = feed.step(plan, step, np.arange(rows))
    written = batch.inputs["decoder_input_ids"].shape[1] if "decoder_input_ids" in batch.inputs else 0
    asked = int((batch.targets["tokens"] != IGNORED).sum())
    model, positions = learner.model, batch.inputs["input_ids"].shape[1]
    met, shape = estimate.work(model), learner.family.shape
    return estimate.flops(met, model.config, shape, rows, positions, written, asked)


def _seconds(run: Run, feed: Feed, plan: Plan, first: int, wrapped: Any, optimizer: Any, machine: Accelerator) -> float:
    """Return what a step of a stage takes: at a rate of zero, so that the weights stay what they are."""
    at = []

    def after(done: int, losses: dict[str, float]) -> None:
        del done, losses
        at.append(time.perf_counter())

    last = min(plan.steps, first + _WARM + _TIMED)
    begin = time.perf_counter()
    cut = Steps(first, last, plan.rows, run.micro, run.objective.weights, 1.0, run.seed)
    supply = supplied(functools.partial(feed.step, plan), cut, machine)
    train(wrapped, optimizer, machine, supply, lambda _: 0.0, cut, lambda _: True, after)
    return (at[-1] - at[0]) / (len(at) - 1) if len(at) > 1 else at[-1] - begin


def _memory(machine: Accelerator) -> int:
    """Return the most memory so far, in bytes: of the device, or of this process."""
    if machine.device.type == "cuda":
        return torch.cuda.max_memory_allocated(machine.device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _disk(model: Any, optimizer: Any) -> int:
    """Return the bytes of a checkpoint: weights, and what the optimizer remembers of each."""
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    remembered = [value for state in optimizer.state.values() for value in state.values()]
    return weights + sum(v.numel() * v.element_size() for v in remembered if isinstance(v, torch.Tensor))


def _folders(run: Run, corpus: Corpus, plan: Plan) -> int:
    """Return how many checkpoints lie there at the end: the newest, and milestones."""
    part = corpus.meta["parts"]["train"]
    marked: set[int] = set()
    if run.milestones:
        words = part["words"] / part["tokens"]
        marked = set(milestones.at_steps(run.milestone_words, plan.steps, lambda done: plan.tokens(done) * words))
    saved = {plan.steps, *marked}
    if run.checkpoint_tokens:
        saved |= set(milestones.spaced(run.checkpoint_tokens, plan.steps, plan.tokens))
    return len(marked | set(sorted(saved)[-run.keep :]))


def _long(seconds: float) -> str:
    """Return a length of time in words."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
