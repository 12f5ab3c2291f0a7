"""What happens between the steps of one run: the log, evaluations, checkpoints, the summary."""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from corpora.store import Corpus
from foundation import durable, request
from objectives import IGNORED
from objectives.feed import Feed
from objectives.stages import Plan
from pretrain import averaging, checkpoint, device, estimate, evaluation, milestones, models, schedule, tracking
from pretrain.card import card
from pretrain.faults import refuse_unfinite
from pretrain.framing import tokenizer
from pretrain.learner import Learner
from pretrain.log import Log, Progress
from pretrain.peak import peak
from pretrain.recipes import Recipe
from pretrain.run import Run, name_of

NOT_LEARNED = 0.1
"""A held-out loss that is not below the unigram entropy by this many nats counts as not learned."""


class Session:
    """One run while it trains."""

    def __init__(
        self,
        run: Run,
        family: str,
        corpus: Corpus,
        held_out: Feed,
        plan: Plan,
        learner: Learner,
        optimizer: Any,
        accelerator: Accelerator,
        progress: Progress | None,
        done: dict[str, Any],
        recipe: Recipe,
    ) -> None:
        self.run, self.family, self.corpus, self.held_out = run, family, corpus, held_out
        self.plan, self.steps, self.skipped = plan, plan.steps, done.get("skipped", 0)
        self.learner, self.optimizer, self.accelerator = learner, optimizer, accelerator
        self.main, self.recipe = accelerator.is_main_process, recipe
        self.found: tuple[int, dict[str, float]] | None = None
        self.evaluate_at = {round(plan.steps * (i + 1) / run.evaluations) for i in range(run.evaluations)}
        self._plan_checkpoints(done.get("step", 0))
        self.log = Log(
            run.out,
            plan.steps,
            self.tokens_at,
            done,
            progress,
            self.main,
            self._trackers(progress, done.get("step", 0)),
        )

    @functools.cached_property
    def unigram(self) -> dict[str, float]:
        """The unigram entropies of the held-out targets, found when they are first asked for: the first step is not."""
        return evaluation.unigram(self.held_out, self.run.eval_tokens)

    def tokens_at(self, done: int) -> int:
        """Return the corpus tokens read when so many steps are done."""
        return self.plan.tokens(done)

    def words_at(self, done: int) -> float:
        """Return the corpus words read when so many steps are done, at the corpus's words per token."""
        part = self.corpus.meta["parts"]["train"]
        return self.tokens_at(done) * part["words"] / part["tokens"]

    @functools.cached_property
    def used(self) -> list[float]:
        """The share of the machine's peak that one token per second takes, by stage; to look is to measure the peak."""
        whole = peak(self.accelerator.device, self.run.precision) * self.accelerator.num_processes
        feeds = [(dataclasses.replace(self.held_out, block=stage.block), stage.rows) for stage in self.plan.stages]
        return [flops_per_token(self.learner, feed, rows) / whole for feed, rows in feeds]

    def _plan_checkpoints(self, first: int) -> None:
        """Find the steps that are saved, and link the milestones that an interruption has left without their name."""
        run = self.run
        self.milestones: dict[int, list[str]] = {}
        if run.milestones:
            self.milestones = milestones.at_steps(run.milestone_words, self.steps, self.words_at)
        self.save_at = {self.steps, *self.milestones}
        if run.checkpoint_tokens:
            self.save_at |= set(milestones.spaced(run.checkpoint_tokens, self.steps, self.tokens_at))
        self.saved = time.monotonic()
        for done in (done for done in self.milestones if self.main and done <= first):
            checkpoint.mark(run.out, done, self.milestones[done])

    def _trackers(self, progress: Progress | None, first: int) -> tracking.Trackers | None:
        """Return the trackers; a caller who follows the progress himself gets those that he names."""
        if not self.main or (progress is not None and not self.run.track):
            return None
        config = tracking.flat(request.to_dict(self.run), every=True)
        return tracking.Trackers(self.run.out, tracking.chosen(self.run.track), config, first)

    def share(self, step: int) -> float:
        """Return the share of the peak rate at a step."""
        recipe = self.recipe
        return schedule.share(step, self.steps, recipe.warmup, recipe.decay, recipe.cooldown)

    def due(self, done: int) -> bool:
        """Return whether a finished step is evaluated or saved."""
        minutes = self.run.checkpoint_minutes
        if minutes is not None and time.monotonic() - self.saved >= 60 * minutes:
            self.save_at.add(done)
        return done in self.evaluate_at or done in self.save_at

    def after(self, done: int, losses: dict[str, float]) -> None:
        """Log a finished step; evaluate and save where it is due."""
        if not self.main:
            return
        self.log.step(done, losses, self.optimizer.param_groups[0]["peak"] * self.share(done - 1))
        with self.log.pause():
            self.log.used = self.used[self.plan.at(done).stage]  # of the next step: the first waits for no matmul
        if not self.due(done):
            return
        with self.log.pause(), averaging.in_place(self.optimizer):
            if done in self.evaluate_at:
                self._evaluate(done)
            if done in self.save_at:
                self._save(done)

    def left_out(self, step: int, told: dict[str, float]) -> None:
        """Count and log a step whose update is left out because its numbers are not finite."""
        self.skipped += 1
        words = ", ".join(f"{name} {value:g}" for name, value in told.items())
        self.log.record(step + 1, {"skipped": self.skipped, "because": words})
        self.log.say(f"step {step + 1:,}/{self.steps:,}  left out: {words} ({self.skipped} of {self.run.nan_limit})")

    def _evaluate(self, done: int) -> None:
        with device.as_written(self.learner):
            found = evaluation.evaluate(self.learner, self.held_out, self.run.eval_tokens, self.accelerator.device)
        self.found = done, found
        self.log.record(done, {"held_out": found, "unigram": self.unigram})
        if done < self.steps:  # the last one is the verdict
            self.log.say(f"step {done:,}/{self.steps:,}  {evaluation.words(found, self.unigram)}")

    def _save(self, done: int) -> None:
        refuse_unfinite(self.learner.model, done)
        model, frame = self.learner.model, self.run.objective.frame
        positions = getattr(model.config, "max_position_embeddings", None)
        types = bool(getattr(model.config, "type_vocab_size", 0))
        framed = tokenizer(self.corpus.folder, self.corpus.vocabulary, frame, positions, types)
        words = round(self.words_at(done))
        state = {"step": done, "tokens": self.tokens_at(done), "words": words, "seconds": self.log.seconds}
        state |= {"skipped": self.skipped} if self.skipped else {}
        found = self.found[1] if self.found and self.found[0] == done else {}
        told = evaluation.words(found, self.unigram) if found else ""
        checkpoint.save(
            self.run.out,
            done,
            model,
            framed,
            lambda sha256: card(self.run, self.recipe, model.config, self.corpus, state, told, sha256),
            {"optimizer": self.optimizer.state_dict()},
            state,
            self.run.keep,
            self.milestones.get(done, ()),
        )
        self.saved = time.monotonic()

    def summarise(self, last: Path) -> None:
        """Write summary.json from the last evaluation."""
        records = [r for r in durable.read_json_lines(self.run.out / "metrics.jsonl") if "held_out" in r]
        everything, inner = models.parameters(self.learner.model)
        found = records[-1]
        below = min(self.unigram[name] - found["held_out"][name] for name in self.unigram if name != "order")
        durable.write_json(
            self.run.out / "summary.json",
            {
                "objective": name_of(self.run),
                "family": self.family,
                "size": self.run.size,
                "parameters": everything,
                "non_embedding": inner,
                "checkpoint": last.name,
                "recipe": dataclasses.asdict(self.recipe),
                **{key: found[key] for key in ("step", "tokens", "seconds", "held_out", "unigram")},
                "tokens_per_second": found["tokens"] / found["seconds"],
                "learned": below >= NOT_LEARNED,
            },
        )

    def verdict(self) -> str:
        """Return the last line of the command: what was learned, and where it lies."""
        told = json.loads((self.run.out / "summary.json").read_text(encoding="utf-8"))
        state = "" if told["learned"] else " — not learned in this budget"
        return (
            f"{evaluation.words(told['held_out'], told['unigram'])}{state}\n"
            f"{self.run.out}/{told['checkpoint']} · next: finetune --checkpoint {self.run.out} --task library"
            f" --strategy full --out DIR"
        )


def flops_per_token(learner: Learner, feed: Feed, rows: int) -> float:
    """Return the operations of training per corpus token, with the shapes that a batch of some rows of `feed` has."""
    rows = min(feed.blocks, rows)
    blocks = feed.read(np.arange(rows))
    batch = feed.objective.collate(blocks, feed.vocabulary)
    model, inputs = learner.model, batch.inputs
    decoder = inputs["decoder_input_ids"].shape[1] if "decoder_input_ids" in inputs else 0
    asked = int((batch.targets["tokens"] != IGNORED).sum())
    shape, positions = learner.family.shape, inputs["input_ids"].shape[1]
    whole = estimate.flops(estimate.work(model), model.config, shape, rows, positions, decoder, asked)
    return whole / blocks.lengths.sum()
