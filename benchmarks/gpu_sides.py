"""The two processes of `benchmarks.gpu`; each trains until it is told no more, some steps whenever it is told so."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
import transformers
from accelerate import Accelerator

from benchmarks import sides
from benchmarks.sides import hashed, say, text, wait
from foundation.memory import keep_pages
from objectives import IGNORED
from pretrain import estimate, models, optimizers, recipes
from pretrain.device import Ways, fitted
from pretrain.learner import Learner
from pretrain.loop import Steps, supplied, train
from pretrain.peak import measured, peak
from pretrain.prefetch import sent
from pretrain.shapes import host, steady

ENDLESS = 10**9
PART = 0.48
"""Of the card's memory, that each of the two processes may use."""


class Work(sides.Work):
    """A case on a device."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__({**told, "dropout": 0.0, "steps": 1})
        self.told, self.device = told, torch.device(told["device"])
        self.micro = told["micro"]
        self.rows = min(self.feed.blocks, told["pool"])  # what the Trainer draws from
        if self.device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(PART)
        else:
            torch.set_num_threads(1)

    def config(self) -> Any:
        made = super().config()
        made.vocab_size = self.case["vocabulary"]
        if self.case["family"].startswith("t5") and self.case["width"] == 768:
            made.d_ff = 2048
        return made

    def begin(self) -> Any:
        """Return the model with its first weights, and tell what it and the text are."""
        model = models.fresh(self.config(), 0)
        batch = self.feed.at(np.arange(self.micro))
        written = batch.inputs["decoder_input_ids"].shape[1] if "decoder_input_ids" in batch.inputs else 0
        asked, positions = int((batch.targets["tokens"] != IGNORED).sum()), batch.inputs["input_ids"].shape[1]
        blocks = self.feed.read(np.arange(min(self.feed.blocks, 512))).ids
        card = torch.cuda.get_device_name() if self.device.type == "cuda" else "CPU"
        said = {
            "weights": hashed(model),
            "parameters": models.parameters(model)[0],
            "text": text([row.tobytes() for row in blocks]),
            "tokens": self.micro * self.block,
            "work": estimate.flops_per_step(model.config, self.family.shape, self.micro, positions, written, asked),
            "peak": peak(self.device, "bf16"),
            "card": card,
        }
        say(said)
        return model.to(self.device).train()


class Clock:
    """Times turns of some steps; called in front of every step."""

    def __init__(self, work: Work, strict: bool) -> None:
        self.turn, self.device, self.strict, self.left, self.began = work.told["turn"], work.device, strict, 0, 0.0
        self.turns = 0

    def tick(self) -> None:
        if not self.left:
            self._alarm(False)
            if self.began:
                self._settle()
                cuda = self.device.type == "cuda"
                memory = torch.cuda.max_memory_allocated() if cuda else 0
                ms = (time.perf_counter() - self.began) / self.turn * 1e3
                say({"ms": ms, "memory": memory / 2**30, "flops": self.flops})
                self.turns += 1
            wait("go")
            self.flops = measured(self.device, torch.bfloat16, 0.05) if self.device.type == "cuda" else 1e12
            self.left, self.began = self.turn, time.perf_counter()
            self._alarm(self.strict and self.turns > 1)
        self.left -= 1

    def _settle(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _alarm(self, on: bool) -> None:
        """Make every wait for the device inside a step an error."""
        if self.device.type == "cuda":
            torch.cuda.set_sync_debug_mode("error" if on else "default")


def ours(work: Work) -> None:
    """Train in our loop, as the commands do on a GPU."""
    keep_pages()
    chosen = Ways(**work.told["ways"])
    accelerator = Accelerator(cpu=work.device.type == "cpu", mixed_precision="no")
    model = work.begin()
    recipe = recipes.scaled(recipes.row("", work.case["family"]), work.case["width"], work.micro * work.block)
    optimizer = optimizers.build(model, recipe)
    learner = Learner(model, work.family)
    wrapped, optimizer = accelerator.prepare(fitted(learner, chosen, work.device), optimizer)
    cut = Steps(0, ENDLESS, lambda _: work.micro, None, work.objective.weights, recipe.clip, 0)
    pad, most = work.corpus.vocabulary.pad or 0, getattr(model.config, "max_position_embeddings", None)
    make = partial(steady, pad=pad, most=most) if work.told["steady"] else host
    made = supplied(lambda step, rows: work.feed.at(step * work.micro + rows), cut, accelerator, make)
    clock = Clock(work, work.told["strict"])

    def supply() -> Iterator[Any]:
        with contextlib.closing(sent(made, work.device)) as coming:
            for batches in coming:
                clock.tick()
                yield batches

    train(wrapped, optimizer, accelerator, supply(), lambda _: 0.1, cut, lambda _: False, lambda *_: None)


class Pool(torch.utils.data.Dataset):
    """The same examples again and again, so that no epoch ends while the clock runs."""

    def __init__(self, examples: list[Any]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, number: int) -> Any:
        example = self.examples[number % len(self.examples)]
        return {name: value for name, value in example.items() if name != "text"}


def trainer(work: Work) -> None:
    """Train in transformers' Trainer, with all that it has for speed."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(work.corpus.folder)
    examples, collate = sides._examples(work, tokenizer)
    model = work.begin()
    cuda = work.device.type == "cuda"
    clock = Clock(work, strict=False)

    class Turns(transformers.TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            clock.tick()

    workers = 4 if cuda else 0
    settings = transformers.TrainingArguments(
        output_dir=str(work.folder / "trainer"),
        per_device_train_batch_size=work.micro,
        max_steps=10**6,
        learning_rate=1e-4,
        bf16=True,
        tf32=True if cuda else None,
        torch_compile=cuda,
        optim="adamw_torch_fused",
        use_liger_kernel=cuda and _liger_knows(model.config.model_type),
        dataloader_num_workers=workers,
        dataloader_persistent_workers=workers > 0,
        dataloader_pin_memory=cuda,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        use_cpu=not cuda,
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    transformers.Trainer(
        model=model, args=settings, train_dataset=Pool(examples), data_collator=collate, callbacks=[Turns()]
    ).train()


def _liger_knows(kind: str) -> bool:
    try:
        from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN
    except ImportError:
        return False
    return kind in MODEL_TYPE_TO_APPLY_LIGER_FN


def main() -> None:
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    told = json.loads(sys.argv[2])
    try:
        {"ours": ours, "trainer": trainer}[sys.argv[1]](Work(told))
    except torch.OutOfMemoryError:
        say({"full": True})
    except RuntimeError as error:
        if "synchronizing" not in str(error):
            raise
        say({"waits": str(error)})
    except SystemExit:
        pass
    sys.stdout.flush()
    os._exit(0)  # loader workers and compiler processes go with it


if __name__ == "__main__":
    main()
