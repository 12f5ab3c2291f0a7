"""From a run's record to its last checkpoint: corpus, model, optimizer, the loop, evaluations, checkpoints."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from accelerate import Accelerator

from corpora.store import Corpus, embedded
from foundation import durable, request
from foundation.keys import number
from foundation.refusal import BadData, BadUsage
from objectives.feed import Feed
from pretrain import checkpoint, models, weights
from pretrain.families import FAMILIES, configure
from pretrain.learner import Learner
from pretrain.log import Progress
from pretrain.loop import Steps, supplied, train
from pretrain.run import MACHINE, Run, default_family, name_of
from pretrain.session import Session

_HELD_OUT = number(0, "held-out")


def pretrain(run: Run, progress: Progress | None = None) -> Path:
    """Do the run, or what is left of it; return the folder of its last checkpoint.

    Raises:
        BadUsage: if the request cannot be, or differs from the run that it would continue.
        BadData: if the corpus has no text to train or to evaluate on.
        RunFailed: if a loss is not a finite number.
    """
    together = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes that torchrun has started on this machine
    torch.set_num_threads(run.threads or max(1, (os.cpu_count() or 1) // together))
    transformers.utils.logging.disable_progress_bar()
    corpus = Corpus.open(run.corpus if run.corpus is not None else embedded())
    if run.fingerprint not in (None, corpus.fingerprint):
        raise BadData(
            f"{corpus.folder} has the fingerprint {corpus.fingerprint}, not {run.fingerprint}", "give --corpus"
        )
    feed, held_out, steps = _feeds(run, corpus)
    family = run.family or default_family(run.objective)
    model = _model(run, family, corpus)
    accelerator = _accelerator(run)
    main = accelerator.is_main_process
    if main and progress is None:
        print(_summary(run, family, model, steps, corpus), flush=True)
    if run.dry_run:
        return run.out
    found = _claim(run, corpus, main)
    accelerator.wait_for_everyone()
    learner = Learner(model, FAMILIES[family]).to(accelerator.device)
    optimizer = _optimizer(run, family, model)
    done = checkpoint.restore(found, model, optimizer, accelerator.device) if found else {}
    learner.train()
    wrapped, optimizer = accelerator.prepare(learner, optimizer)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"]
    session = Session(run, family, corpus, held_out, steps, learner, optimizer, accelerator, progress, done)
    cut = Steps(done.get("step", 0), steps, lambda _: run.rows, run.micro, run.objective.weights, run.clip, run.seed)
    supply = supplied(lambda step, rows: feed.at(step * run.rows + rows), cut, accelerator)
    try:
        train(wrapped, optimizer, accelerator, supply, session.share, cut, session.due, session.after)
    finally:
        session.log.close()
    accelerator.wait_for_everyone()
    last, _ = checkpoint.newest(run.out)
    assert last is not None
    if main and (cut.first < steps or not (run.out / "summary.json").is_file()):
        session.summarise(last)
    if main and progress is None:
        print(session.verdict(), flush=True)
    return last


def _feeds(run: Run, corpus: Corpus) -> tuple[Feed, Feed, int]:
    block = run.block_tokens
    run.objective.check(corpus.vocabulary, block)
    train_part, held_out = corpus.part("train"), corpus.part("held-out")
    if len(train_part) == 0:
        raise BadData(f"{corpus.folder} has no text to train on", "build it from more text")
    if len(held_out) == 0:
        raise BadData(f"{corpus.folder} has no held-out text", "build it with a larger --held-out")
    steps = run.steps_for(len(train_part))
    feed = Feed(train_part, corpus.vocabulary, run.objective, block, run.seed, steps * run.rows)
    return feed, Feed(held_out, corpus.vocabulary, run.objective, block, _HELD_OUT), steps


def _model(run: Run, family: str, corpus: Corpus) -> Any:
    config = configure(family, run.size, run.objective, run.block_tokens, corpus.vocabulary, run.dropout)
    config.objective = {"name": name_of(run), **request.to_dict(run.objective)}
    if run.objective.shape == "decoder":
        config.reads = run.objective.reads  # fine-tuning reads a text as it was read here
    config.first_weights = run.first_weights
    if "sentinels" in run.objective.needs:
        config.sentinels = corpus.vocabulary.sentinels.tolist()
    model = models.fresh(config, run.seed)
    if run.first_weights == "near":
        weights.begin_at(model, _frequencies(corpus))
    return model.double() if run.precision == "fp64" else model


def _frequencies(corpus: Corpus) -> torch.Tensor:
    """Return the shares of the pieces in (the first 10 M tokens of) the training text, none of them zero."""
    tokens = corpus.part("train").tokens[:10_000_000]
    counts = np.bincount(tokens, minlength=corpus.vocabulary.size) + 0.1
    return torch.from_numpy(counts / counts.sum()).float()


def _accelerator(run: Run) -> Accelerator:
    """Return the accelerator; on a machine without one, CPU processes started by torchrun find each other by gloo."""
    cpu = not torch.cuda.is_available()
    accelerator = Accelerator(cpu=cpu, mixed_precision="bf16" if run.precision == "bf16" else "no")
    expected = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != expected:
        raise BadUsage(
            f"{expected} processes were started, {accelerator.num_processes} found each other", "use torchrun"
        )
    if run.rows < accelerator.num_processes:
        raise BadUsage(f"--rows {run.rows} for {accelerator.num_processes} processes", "give at least one row each")
    return accelerator


def _optimizer(run: Run, family: str, model: Any) -> torch.optim.AdamW:
    """Return AdamW with weight decay on matrices only."""
    peak = run.rate or FAMILIES[family].rate
    words = run.embedding_rate or (FAMILIES[family].embedding_rate if run.rate is None else peak)
    embedded = {id(model.get_input_embeddings().weight)}
    matrices = [p for p in model.parameters() if p.ndim >= 2 and id(p) not in embedded]
    groups = [
        {"params": matrices, "weight_decay": run.weight_decay, "peak": peak},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0, "peak": peak},
        {"params": [model.get_input_embeddings().weight], "weight_decay": run.weight_decay, "peak": words},
    ]
    return torch.optim.AdamW(groups, lr=peak, betas=(0.9, run.beta2), fused=True)


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


def _summary(run: Run, family: str, model: Any, steps: int, corpus: Corpus) -> str:
    everything, inner = models.parameters(model)
    block = run.block_tokens
    return (
        f"{name_of(run)} · {model.config.architectures[0]} ({family}, {run.size}): {everything:,} parameters,"
        f" {inner:,} outside the embeddings\n"
        f"{steps:,} steps of {run.rows} × {block} corpus tokens = {steps * run.rows * block:,},"
        f" {steps * run.rows * block / len(corpus.part('train')):.2f} passes over {len(corpus.part('train')):,}"
        f" · peak rate {run.rate or FAMILIES[family].rate:g} · {torch.get_num_threads()} threads"
    )
