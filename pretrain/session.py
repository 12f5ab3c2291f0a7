"""What happens between the steps of one run: the log, evaluations, checkpoints, the summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from corpora.store import Corpus
from foundation import durable, request
from objectives.feed import Feed
from pretrain import checkpoint, evaluation, models, schedule
from pretrain.card import card
from pretrain.framing import tokenizer
from pretrain.learner import Learner
from pretrain.log import Log, Progress
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
        steps: int,
        learner: Learner,
        optimizer: Any,
        accelerator: Accelerator,
        progress: Progress | None,
        done: dict[str, Any],
    ) -> None:
        self.run, self.family, self.corpus, self.held_out = run, family, corpus, held_out
        self.steps, self.learner, self.optimizer, self.accelerator = steps, learner, optimizer, accelerator
        self.per_step = run.rows * run.block_tokens
        self.log = Log(run.out, steps, self.per_step, done, progress, accelerator.is_main_process)
        self.unigram = evaluation.unigram(held_out, run.eval_tokens) if accelerator.is_main_process else {}
        self.evaluate_at = {round(steps * (i + 1) / run.evaluations) for i in range(run.evaluations)}
        every = run.checkpoint_tokens and max(1, run.checkpoint_tokens // self.per_step)
        self.save_at = {steps, *(range(every, steps, every) if every else ())}

    def share(self, step: int) -> float:
        """Return the share of the peak rate at a step."""
        return schedule.share(step, self.steps, self.run.warmup, self.run.decay)

    def due(self, done: int) -> bool:
        """Return whether a finished step is evaluated or saved."""
        return done in self.evaluate_at or done in self.save_at

    def after(self, done: int, losses: dict[str, float]) -> None:
        """Log a finished step; evaluate and save where it is due."""
        if not self.accelerator.is_main_process:
            return
        self.log.step(done, losses, self.optimizer.param_groups[0]["lr"])
        if done in self.evaluate_at:
            found = evaluation.evaluate(self.learner, self.held_out, self.run.eval_tokens, self.accelerator.device)
            self.log.record(done, {"held_out": found, "unigram": self.unigram})
        if done in self.save_at:
            self._save(done)

    def _save(self, done: int) -> None:
        model, frame = self.learner.model, self.run.objective.frame
        positions = getattr(model.config, "max_position_embeddings", None)
        types = bool(getattr(model.config, "type_vocab_size", 0))
        framed = tokenizer(self.corpus.folder, self.corpus.vocabulary, frame, positions, types)
        state = {"step": done, "tokens": done * self.per_step, "seconds": self.log.seconds}
        text = card(name_of(self.run), self.family, self.corpus, request.to_dict(self.run), state)
        checkpoint.save(self.run.out, done, model, framed, text, self.optimizer, state, self.run.keep)

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
                **{key: found[key] for key in ("step", "tokens", "seconds", "held_out", "unigram")},
                "tokens_per_second": found["tokens"] / found["seconds"],
                "learned": below >= NOT_LEARNED,
            },
        )

    def verdict(self) -> str:
        """Return the last line of the command: what was learned, and where it lies."""
        told = json.loads((self.run.out / "summary.json").read_text(encoding="utf-8"))
        loss, mark = told["held_out"]["tokens"], told["unigram"]["tokens"]
        hidden = told["held_out"].get("hidden")
        copied = "" if hidden is None else f"; on hidden words alone {hidden:.3f} ({told['unigram']['hidden']:.3f})"
        order = f", order accuracy {told['held_out']['accuracy/order']:.3f}" if "order" in told["held_out"] else ""
        state = "" if told["learned"] else " — not learned in this budget"
        return (
            f"held-out loss {loss:.3f} nats per target (unigram entropy {mark:.3f}){copied}{order}{state}\n"
            f"{self.run.out}/{told['checkpoint']} · next: finetune --checkpoint {self.run.out} --task library"
            f" --strategy full --out DIR"
        )
