"""The processes of `benchmarks.step`; each does what it is told on standard input and answers on standard output."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from accelerate import Accelerator

from corpora.store import Corpus
from foundation.memory import keep_pages
from objectives import IGNORED, OBJECTIVES
from objectives.feed import Feed
from pretrain import estimate, models, optimizers, recipes
from pretrain.configs import Size
from pretrain.device import piece
from pretrain.families import FAMILIES, class_name
from pretrain.learner import Learner
from pretrain.loop import Steps, pieces, train
from pretrain.questions import ready


def say(answer: Any) -> None:
    print("@" + json.dumps(answer), flush=True)


def wait(word: str) -> None:
    """Read the next order, which has to be this one."""
    said = sys.stdin.readline().strip()
    if said != word:
        sys.exit(f"expected {word!r}, was told {said!r}" if said else 0)


def speed() -> float:
    """Return the floating-point operations per second of a matmul, the best of some."""
    one, other = torch.randn(1024, 1024), torch.randn(1024, 1024)
    best = np.inf
    for _ in range(6):
        began = time.perf_counter()
        torch.mm(one, other)
        best = min(best, time.perf_counter() - began)
    return 2 * 1024**3 / best


def resident(name: str = "VmRSS") -> float:
    """Return the resident megabytes of this process, or its peak (VmHWM)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


class Work:
    """What both sides have in common: the case, its blocks, its model."""

    def __init__(self, told: dict[str, Any]) -> None:
        case = told["case"]
        self.case, self.dropout, self.steps, self.folder = case, told["dropout"], told["steps"], Path(told["folder"])
        self.corpus = Corpus.open(told["corpus"])
        vocabulary = self.corpus.vocabulary
        self.objective = OBJECTIVES[case["objective"]]()
        self.family = FAMILIES[case["family"]]
        self.block = self.objective.span(case["length"])
        self.objective.check(vocabulary, self.block)
        self.feed = Feed(self.corpus.part("train"), vocabulary, self.objective, self.block, 0)
        self.rows = case["rows"]

    def config(self) -> Any:
        """Return the configuration; GPT-2's activation is the stock one, which our side computes quicker."""
        case, vocabulary = self.case, self.corpus.vocabulary
        size = Size(sum(case["layers"]), case["width"], max(2, case["width"] // 64))
        start = self.objective.frame.start
        ids = {role: getattr(vocabulary, role) for role in ("pad", "bos", "eos", "cls", "sep")}
        ids |= {"vocab_size": vocabulary.size, "start": getattr(vocabulary, start) if start else None}
        config = self.family.config(size, self.objective.reach(self.block), ids, self.dropout)
        config.architectures = [class_name(case["family"], self.objective)]
        if getattr(config, "activation_function", "").startswith("gelu_"):
            config.activation_function = "gelu_new"
        return config

    def model(self) -> Any:
        folder = self.folder / "model"
        kind = json.loads((folder / "config.json").read_text())["architectures"][0]
        return getattr(transformers, kind).from_pretrained(folder)

    def batch(self, step: int) -> Any:
        return self.feed.at(np.arange(step * self.rows, (step + 1) * self.rows))

    def common(self, model: Any, loss: Callable[[Any, Any], float]) -> float:
        """Return the loss of the first batch without dropout, found in a process of its own that leaves no trace."""
        reader, writer = os.pipe()
        if os.fork() == 0:
            model.eval()
            with torch.no_grad():
                os.write(writer, repr(loss(model, self.batch(0))).encode())
            os._exit(0)
        os.wait()
        return float(os.read(reader, 100))


def hashed(model: Any) -> str:
    found = hashlib.sha256()
    for name, weight in sorted(model.named_parameters()):
        found.update(name.encode() + weight.detach().numpy().tobytes())
    return found.hexdigest()


def text(rows: list[bytes]) -> str:
    """Return a hash of what was read, whatever its order."""
    return hashlib.sha256(b"".join(sorted(hashlib.sha256(row).digest() for row in rows))).hexdigest()


class Clock:
    """Tells of each step, between the ends of two; stands still while the other side has its turn."""

    def __init__(self, steps: int) -> None:
        self.left, self.host = steps, 0.0
        self.before = 0.0
        self.peak = 0.0

    def start(self) -> None:
        self.before = self.before or self._level()
        wait("step")
        self.host, self.flops = 0.0, speed()
        self.faults, self.began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()

    def _level(self) -> float:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins again from here
        return resident()

    def stop(self) -> None:
        took = time.perf_counter() - self.began
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - self.faults
        self.left -= 1
        self.peak = resident("VmHWM") - self.before
        say({"ms": took * 1e3, "host": self.host * 1e3, "flops": self.flops, "faults": faults})
        if self.left:
            self.start()


def ours(work: Work) -> None:
    """Save the first weights, then train in our loop."""
    keep_pages()
    wait("save")
    models.fresh(work.config(), 0).save_pretrained(work.folder / "model")
    say("saved")
    wait("begin")
    model = work.model()
    learner = Learner(model, work.family)
    recipe = recipes.scaled(recipes.row("", work.case["family"], "adamw"), work.case["width"], work.rows * work.block)
    optimizer, accelerator = optimizers.build(model, recipe), Accelerator(cpu=True)
    clock = Clock(work.steps)
    rows: list[bytes] = []

    def mean(_: Any, batch: Any) -> float:
        given = ready(batch, accelerator.device)
        found = learner(given.inputs, given.questions)
        return sum((found[role] / given.counts[role]).item() for role in found)

    micro = piece(work.block)
    cut = Steps(0, work.steps, lambda _: work.rows, micro, work.objective.weights, recipe.clip, 0)

    def supply() -> Iterator[Any]:
        for step in range(work.steps):
            since = time.perf_counter()
            cuts = [step * work.rows + rows for rows in pieces(step, cut, 0, 1)]
            given = [ready(work.feed.at(rows), accelerator.device) for rows in cuts]
            clock.host += time.perf_counter() - since
            yield given

    loss = work.common(model, mean)
    weights = hashed(model)
    learner.train()
    say({"loss": loss, "weights": weights, "block": work.block})
    clock.start()
    train(learner, optimizer, accelerator, supply(), lambda _: 1.0, cut, lambda _: False, lambda *_: clock.stop(), None)
    wait("end")
    for step in range(work.steps):
        rows += [row.tobytes() for row in work.feed.read(np.arange(step * work.rows, (step + 1) * work.rows)).ids]
    done = work.batch(0)
    asked = int((done.targets["tokens"] != IGNORED).sum())
    positions, width = done.inputs["input_ids"].shape[1], work.case["width"]
    written = done.inputs["decoder_input_ids"].shape[1] if "decoder_input_ids" in done.inputs else 0
    whole = estimate.flops_per_step(model.config, work.family.shape, work.rows, positions, written, asked)
    idle = work.rows * positions - asked if work.family.asked else 0
    spared = whole - idle * (6 * 10 * width**2 + 12 * width * positions)  # query, output, feed-forward; scores
    say({"text": text(rows), "peak": clock.peak, "work": whole, "spared": spared})


def trainer(work: Work) -> None:
    """Train in transformers' Trainer, by its defaults."""
    wait("begin")
    model = work.model()
    tokenizer = transformers.AutoTokenizer.from_pretrained(work.corpus.folder)
    read: list[bytes] = []

    def mean(model: Any, batch: Any) -> float:
        given = {name: torch.from_numpy(array) for name, array in batch.inputs.items()}
        labels = torch.from_numpy(batch.targets["tokens"])
        shifted = {"shift_labels": labels, "use_cache": False} if work.family.shape == "decoder" else {}
        return model(**given, labels=labels, **shifted).loss.item()

    examples, collate = _examples(work, tokenizer)
    clock = Clock(work.steps)

    class Turns(transformers.TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock.start()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.stop()

    def collated(features: list[dict[str, Any]]) -> Any:
        read.extend(feature.pop("text") for feature in features)
        return collate(features)

    settings = transformers.TrainingArguments(
        output_dir=str(work.folder / "trainer"),
        per_device_train_batch_size=work.rows,
        max_steps=work.steps,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    say({"loss": work.common(model, mean), "weights": hashed(model)})
    transformers.Trainer(
        model=model, args=settings, train_dataset=examples, data_collator=collated, callbacks=[Turns()]
    ).train()
    wait("end")
    say({"text": text(read), "peak": clock.peak})


def _examples(work: Work, tokenizer: Any) -> tuple[Any, Any]:
    """Return what run_mlm.py and run_clm.py would have of the same blocks, and their collator."""
    blocks = work.feed.read(np.arange(work.steps * work.rows))
    vocabulary, texts = work.corpus.vocabulary, [row.tobytes() for row in blocks.ids]
    if work.family.shape == "encoder":
        framed = [[vocabulary.cls, *row, vocabulary.sep] for row in blocks.ids.tolist()]
        collate = transformers.DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    elif work.family.shape == "decoder":
        framed = [[vocabulary.bos, *row[:-1]] for row in blocks.ids.tolist()]
        collate = transformers.DataCollatorForLanguageModeling(tokenizer, mlm=False)
    else:
        batch = work.objective.collate(blocks, vocabulary)
        given, wanted = batch.inputs["input_ids"], batch.targets["tokens"]
        lengths, asked = batch.lengths, (wanted != IGNORED).sum(1)
        examples = [
            {"input_ids": given[i, : lengths[i]].tolist(), "labels": wanted[i, : asked[i]].tolist(), "text": texts[i]}
            for i in range(len(given))
        ]
        return examples, transformers.DataCollatorForSeq2Seq(tokenizer, model=None, padding=True)
    return [{"input_ids": row, "text": one} for row, one in zip(framed, texts, strict=True)], collate


def first(told: dict[str, Any]) -> None:
    """Tell how long `pretrain` takes from its imports to the end of its first step."""
    from pretrain.run import Run
    from pretrain.start import pretrain

    keep_pages()
    case, began = told["case"], time.perf_counter()

    def after(done: int, *_: Any) -> None:
        if done == 1:
            say(time.perf_counter() - began)

    objective = OBJECTIVES[case["objective"]]()
    size = "tiny" if case["width"] == 128 else "mini"
    shape: dict[str, Any] = {"rows": case["rows"], "length": case["length"]}
    out, corpus = Path(told["folder"]) / "run", Path(told["corpus"])
    wait("first")
    pretrain(
        Run(objective=objective, family=case["family"], size=size, corpus=corpus, out=out, steps=1, threads=1, **shape),
        after,
    )


def main() -> None:
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    told = json.loads(sys.argv[2])
    if sys.argv[1] == "first":
        first(told)
    else:
        {"ours": ours, "trainer": trainer}[sys.argv[1]](Work(told))


if __name__ == "__main__":
    main()
