"""From a run's record to its last checkpoint: corpus, model, optimizer, the loop, evaluations, checkpoints."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from corpora.store import Corpus, embedded
from foundation import durable, request
from foundation.keys import number
from foundation.refusal import BadData, BadUsage
from objectives.feed import Feed
from objectives.stages import Plan, stages_of
from pretrain import (
    averaging,
    budget,
    checkpoint,
    device,
    inheritance,
    models,
    optimizers,
    recipes,
    rehearsal,
    tracking,
)
from pretrain.faults import Faults, told_of_memory
from pretrain.generic import is_path
from pretrain.learner import Learner
from pretrain.log import Progress
from pretrain.loop import Steps, train
from pretrain.recipes import Recipe
from pretrain.run import MACHINE, Run, name_of
from pretrain.session import Session

_HELD_OUT = number(0, "held-out")


def pretrain(run: Run, progress: Progress | None = None) -> Path:
    """Do the run, or what is left of it; return the folder of its last checkpoint.

    Raises:
        BadUsage: if the request cannot be, or differs from the run that it would continue.
        BadData: if the corpus has no text to train or to evaluate on.
        RunFailed: if a loss is not a finite number, or memory runs out.
    """
    tracking.chosen(run.track)  # refuses what there is not before anything is made
    together = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes that torchrun has started on this machine
    torch.set_num_threads(run.threads or max(1, (os.cpu_count() or 1) // together))
    transformers.utils.logging.disable_progress_bar()
    corpus = Corpus.open(run.corpus if run.corpus is not None else embedded())
    if run.fingerprint not in (None, corpus.fingerprint):
        raise BadData(
            f"{corpus.folder} has the fingerprint {corpus.fingerprint}, not {run.fingerprint}", "give --corpus"
        )
    run = device.settled(run)
    accelerator = _accelerator(run)
    main = accelerator.is_main_process
    run = _in_steps(run, corpus, accelerator)
    feed, held_out, plan = _feeds(run, corpus)
    begun = models.begin(run, corpus)
    recipe = recipes.chosen(run, begun.name, begun.model.config.hidden_size, plan.per_step)
    how = device.ways(run, accelerator.device, plan.steps)
    if main and progress is None:
        print(_summary(run, begun, plan, corpus, recipe), flush=True)
    if run.dry_run:
        learner, wrapped, optimizer, _ = _ready(begun, recipe, accelerator, how)
        told = rehearsal.lines(run, corpus, feed, plan, learner, wrapped, optimizer, accelerator)
        if main:
            print("\n".join(told), flush=True)
        return run.out
    found = _claim(run, corpus, main)
    if main and begun.source is not None and begun.taken is not None:
        inheritance.record(run.out, str(run.from_), begun.source, begun.taken)
    accelerator.wait_for_everyone()
    learner, wrapped, optimizer, done = _ready(begun, recipe, accelerator, how, found)
    session = Session(run, begun.name, corpus, held_out, plan, learner, optimizer, accelerator, progress, done, recipe)
    skips = max(0, run.nan_limit - session.skipped) if run.on_nan == "skip" else 0
    first, roles = done.get("step", 0), run.objective.weights
    cut = Steps(first, plan.steps, plan.rows, run.micro, roles, recipe.clip, run.seed, skips)
    faults = Faults(run.out, learner, accelerator, functools.partial(feed.step, plan), cut, session.left_out)
    most = getattr(begun.model.config, "max_position_embeddings", None)
    supply = device.supply(faults, cut, accelerator, how, corpus.vocabulary.pad or 0, most)
    try:
        with told_of_memory(lambda: (faults.step, plan.at(faults.step)), run.micro, accelerator.num_processes):
            train(wrapped, optimizer, accelerator, supply, session.share, cut, session.due, session.after, faults)
    finally:
        supply.close()
        session.log.close()
    accelerator.wait_for_everyone()
    last, _ = checkpoint.newest(run.out)
    assert last is not None
    if main and (cut.first < plan.steps or not (run.out / "summary.json").is_file()):
        session.summarise(last)
    if main and progress is None:
        print(session.verdict(), flush=True)
    return last


def _ready(
    begun: models.Begun, recipe: Recipe, accelerator: Accelerator, how: device.Ways, found: Path | None = None
) -> tuple[Learner, Any, Any, dict[str, Any]]:
    """Return the learner, what the loop calls of it, the optimizer and the state of the checkpoint to go on from."""
    learner = Learner(begun.model, begun.family).to(accelerator.device)
    optimizer, done = _begun(recipe, begun.model, found, accelerator.device)
    learner.train()
    wrapped, optimizer = accelerator.prepare(device.fitted(learner, how, accelerator.device), optimizer)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"]
    return learner, wrapped, optimizer, done


def _in_steps(run: Run, corpus: Corpus, accelerator: Accelerator) -> Run:
    """Return the run with its minutes as steps: those of the run that is continued, or what a rehearsal finds."""
    if run.minutes is None or run.measured_steps is not None:
        return run
    steps = budget.recorded(run)
    if steps is None:
        feed, held_out, plan = _feeds(replace(run, measured_steps=10**6), corpus)
        begun = models.begin(run, corpus)
        recipe = recipes.chosen(run, begun.name, begun.model.config.hidden_size, plan.per_step)
        how = device.ways(run, accelerator.device, plan.steps)
        learner, wrapped, optimizer, _ = _ready(begun, recipe, accelerator, how)
        with told_of_memory(lambda: (0, plan.at(0)), run.micro, accelerator.num_processes):
            steps = budget.measured(run, learner, wrapped, optimizer, feed, held_out, accelerator)
        accelerator.free_memory()
    return replace(run, measured_steps=steps)


def _feeds(run: Run, corpus: Corpus) -> tuple[Feed, Feed, Plan]:
    block = run.block_tokens
    for stage in stages_of(run, run.block_tokens):
        run.objective.check(corpus.vocabulary, stage.block)
    train_part, held_out = corpus.part("train"), corpus.part("held-out")
    if len(train_part) == 0:
        raise BadData(f"{corpus.folder} has no text to train on", "build it from more text")
    if len(held_out) == 0:
        raise BadData(f"{corpus.folder} has no held-out text", "build it with a larger --held-out")
    feed = Feed(train_part, corpus.vocabulary, run.objective, block, run.seed, packing=run.packing)
    plan = run.plan(len(train_part), corpus.meta["parts"]["train"]["words"], feed.table.fill)
    feed = replace(feed, total=plan.positions)
    return feed, Feed(held_out, corpus.vocabulary, run.objective, block, _HELD_OUT, packing=run.packing), plan


def _accelerator(run: Run) -> Accelerator:
    """Return the accelerator; on a machine without one, CPU processes started by torchrun find each other by gloo."""
    cpu = not torch.cuda.is_available()
    # gradients live in the buckets that are exchanged, so that none is copied
    exchange = DistributedDataParallelKwargs(gradient_as_bucket_view=True)
    accelerator = Accelerator(cpu=cpu, mixed_precision="no", kwargs_handlers=[exchange])
    expected = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != expected:
        raise BadUsage(
            f"{expected} processes were started, {accelerator.num_processes} found each other", "use torchrun"
        )
    if (rows := min(stage.rows for stage in stages_of(run, run.block_tokens))) < accelerator.num_processes:
        raise BadUsage(f"--rows {rows} for {accelerator.num_processes} processes", "give at least one row each")
    return accelerator


def _begun(recipe: Recipe, model: Any, found: Path | None, device: torch.device) -> tuple[Any, dict[str, Any]]:
    """Return the recipe's optimizer and how far the run is; goes on from a checkpoint if there is one."""
    optimizer = optimizers.build(model, recipe)
    settings = [dict(group) for group in optimizer.param_groups]
    try:
        done = checkpoint.restore(found, model, optimizer, device) if found else {}
    except ValueError as error:  # torch: other groups of weights
        raise BadUsage(
            f"{found} was saved under another optimizer than {recipe.optimizer}", "give its --optimizer, or begin anew"
        ) from error
    averaging.restored(optimizer, recipe.average)
    optimizers.restate(optimizer, settings)
    averaging.keep(optimizer, recipe.average)
    return optimizer, done


def _claim(run: Run, corpus: Corpus, main: bool) -> Path | None:
    """Return the checkpoint to go on from (None: begin), after comparing the request with the run's own.

    Raises:
        BadUsage: if a field that decides what is done differs, unless --allow-change names it.
    """
    asked = request.to_dict(run) | {"corpus": str(corpus.folder.absolute()), "fingerprint": corpus.fingerprint}
    path = run.out / "run.json"
    if path.is_file():
        old = json.loads(path.read_text(encoding="utf-8"))
        differing = [k for k in asked if k not in MACHINE and k not in run.allow_change and asked[k] != old.get(k)]
        if differing:
            shown = "; ".join(f"{k}: {old.get(k)!r} there, {asked[k]!r} asked" for k in differing)
            raise BadUsage(
                f"{run.out} holds another run: {shown}",
                f"give another --out, or continue it so with --allow-change {' '.join(differing)}",
            )
    found, damaged = checkpoint.newest(run.out)
    if main:
        for line in damaged:
            print(f"skipping {line}", flush=True)
        run.out.mkdir(parents=True, exist_ok=True)
        durable.write_json(path, asked)
    return found


def _summary(run: Run, begun: models.Begun, plan: Plan, corpus: Corpus, recipe: Recipe) -> str:
    model, size = begun.model, "its own size" if run.from_ or is_path(begun.name) else run.size
    everything, inner = models.parameters(model)
    tokens = plan.tokens(plan.steps)
    return (
        f"{name_of(run)} · {model.config.architectures[0]} ({begun.name}, {size}): {everything:,} parameters,"
        f" {inner:,} outside the embeddings\n"
        f"{plan} corpus tokens = {tokens:,},"
        f" {tokens / len(corpus.part('train')):.2f} passes over {len(corpus.part('train')):,}"
        f" · {recipes.told(recipe)} · {torch.get_num_threads()} threads" + "".join(f"\n{line}" for line in begun.said)
    )
