"""Time and tokens to a held-out loss: this loop and transformers' Trainer, at one recipe and at the Trainer's own.

    corpora build wikitext2/train.txt.gz --vocabulary 8192 --held-out 0.02 --out CORPUS
    python -m benchmarks.learning CORPUS OUT --task causal
    python -m benchmarks.learning CORPUS OUT --task masked --tokens 5000000 --arms muon,adamw,trainer-curve,stock-curve

Arms (``--arms``): `muon` and `adamw` are this loop with the family's rows of pretrain/recipes.py; `trainer` is the
real Trainer (its loop, its loss, its collator) with the weights, the optimizer groups and the schedule of `adamw`,
reading the same blocks in the same order; `stock` is the Trainer as its scripts leave it: AdamW 5e-5 linear, first
weights and dropout 0.1 of transformers. For long runs, `stock-curve` learns by that recipe in this loop, whose
gradients are those of the Trainer (tests/pretrain/test_loss.py), and `trainer-curve` takes the curve of `adamw`; both
are timed in the Trainer itself.

Two things are measured apart and multiplied. How many tokens a held-out loss takes does not depend on the machine: it
is read from each arm's curve, every arm judged by the same function on the same held-out questions. How long a step
takes does: the loops are timed at the end, in turns, a few steps each, the median of all; only that needs a quiet
machine. Each loop has a process of its own, because ours tells malloc to keep pages and the Trainer does not. Arms
whose curve stands in OUT are not trained again (``--timing-only`` for no training at all).
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import shutil
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

TASKS = {"causal": ("next-token", "gpt2", "mini"), "masked": ("token-masking", "bert", "tiny")}
STOCK = {"recipe": "stock", "first_weights": "stock", "dropout": 0.1}
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "muon": ("ours", {"optimizer": "muon"}),
    "adamw": ("ours", {"optimizer": "adamw"}),
    "trainer": ("trainer", {"optimizer": "adamw"}),
    "trainer-muon": ("trainer", {"optimizer": "muon"}),
    "stock": ("trainer", STOCK),
    "stock-curve": ("ours", STOCK),
    "trainer-curve": ("ours", {"optimizer": "adamw"}),
}
MARGIN = 0.01
"""Nats of the target above the last loss of the reference, so that a difference in the last digit decides nothing."""
TIMED_AS = {"stock-curve": "stock", "trainer-curve": "trainer"}


def run_of(asked: argparse.Namespace, arm: str, out: Path, **more: Any) -> Any:
    """Return the record of an arm's run."""
    from objectives import OBJECTIVES
    from pretrain.run import Run

    objective, family, size = TASKS[asked.task]
    return Run(
        objective=OBJECTIVES[objective](), family=family, size=asked.size or size, corpus=asked.corpus, out=out,
        rows=asked.rows, threads=asked.threads, track=("none",),
        **{"tokens": asked.tokens, "evaluations": asked.evaluations, "eval_tokens": asked.eval_tokens,
           **ARMS[arm][1], **more},
    )  # fmt: skip


def ours(run: Any, timed: bool = False) -> Any:
    """Return the curve of a run of this loop ``[[tokens, nats], …]``, or if `timed` the seconds of its steps."""
    from foundation import durable
    from foundation.memory import keep_pages
    from pretrain.start import pretrain

    keep_pages()
    ends: list[float] = []
    pretrain(run, lambda *_: ends.append(time.perf_counter()))
    if timed:
        shutil.rmtree(run.out)
        return [later - earlier for earlier, later in itertools.pairwise(ends)]
    records = [r for r in durable.read_json_lines(run.out / "metrics.jsonl") if "held_out" in r]
    return [[record["tokens"], record["held_out"]["tokens"]] for record in records]


def theirs(run: Any, timed: bool = False) -> Any:
    """Return the same of transformers' Trainer with the recipe, the first weights and the text of `run`."""
    import torch
    from torch.utils.data import SequentialSampler
    from transformers import Trainer, TrainerCallback, TrainingArguments, default_data_collator, logging

    logging.set_verbosity_error()
    torch.set_num_threads(run.threads)
    model, rows, mask, judge, steps = _parts(run)
    points = {round(steps * (i + 1) / run.evaluations) for i in range(run.evaluations)}
    curve: list[list[float]] = []
    began: list[float] = []
    seconds: list[float] = []

    class Watch(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            began.append(time.perf_counter())

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            seconds.append(time.perf_counter() - began[-1])
            if not timed and state.global_step in points:
                curve.append([state.global_step * run.rows * run.block_tokens, judge()])

    class InOrder(Trainer):
        def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
            return SequentialSampler(rows)

    arguments = TrainingArguments(
        output_dir=str(run.out), max_steps=steps, per_device_train_batch_size=run.rows, use_cpu=True,
        report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    optimizers = (None, None) if run.recipe == "stock" else _tuned(run, model, steps)
    InOrder(
        model=model, args=arguments, train_dataset=rows, data_collator=mask or default_data_collator,
        optimizers=optimizers, callbacks=[Watch()],
    ).train()  # fmt: skip
    shutil.rmtree(run.out, ignore_errors=True)
    return seconds[1:] if timed else curve


def _parts(run: Any) -> tuple[Any, Any, Any, Any, int]:
    """Return the model, the rows of the whole run, the collator if it is not the plain one, the judge, the steps."""
    import numpy as np
    import torch
    from transformers import DataCollatorForLanguageModeling

    from corpora.store import Corpus
    from pretrain import evaluation, models
    from pretrain.framing import tokenizer
    from pretrain.learner import Learner
    from pretrain.start import _feeds

    corpus = Corpus.open(run.corpus)
    begun = models.begin(run, corpus)
    feed, held_out, plan = _feeds(run, corpus)
    words, causal = corpus.vocabulary, run.objective.shape == "decoder"

    class Rows(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return plan.steps * run.rows

        def __getitem__(self, position: int) -> dict[str, Any]:
            block = feed.read(np.array([position])).ids[0]
            if causal:  # what our model reads; shifted inside, so without our last target
                ids = [words.bos, *block[:-1].tolist()]
                return {"input_ids": ids, "labels": ids}
            special = (~words.is_ordinary(block)).astype(int).tolist()
            ids = [words.cls, *block.tolist(), words.sep]
            return {"input_ids": ids, "special_tokens_mask": [1, *special, 1]}

    learner = Learner(begun.model, begun.family)

    def judge() -> float:
        return evaluation.evaluate(learner, held_out, run.eval_tokens, torch.device("cpu"))["tokens"]

    mask = None
    if not causal:
        framed = tokenizer(corpus.folder, words, run.objective.frame, None, True)
        mask = DataCollatorForLanguageModeling(framed, mlm_probability=run.objective.rate)
    return begun.model, Rows(), mask, judge, plan.steps


def _tuned(run: Any, model: Any, steps: int) -> tuple[Any, Any]:
    """Return the optimizer of the recipe and its schedule as torch has it."""
    import torch

    from pretrain import optimizers, recipes, schedule

    recipe = recipes.chosen(run, run.family, model.config.hidden_size, run.rows * run.block_tokens)
    optimizer = optimizers.build(model, recipe)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"]

    def share(step: int) -> float:
        return schedule.share(min(step, steps - 1), steps, recipe.warmup, recipe.decay, recipe.cooldown)

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def tokens_to(curve: list[list[float]], target: float) -> float | None:
    """Return the tokens at which a curve first reaches a loss, linear between its points; None if it never does."""
    for (before, high), (after, low) in itertools.pairwise(curve):
        if low <= target < high:
            return before + (after - before) * (high - target) / (high - low)
    return curve[0][0] if curve[0][1] <= target else None


def curves(asked: argparse.Namespace, arms: list[str], workers: dict[str, ProcessPoolExecutor]) -> dict[str, Any]:
    """Train the arms that have no curve yet; return all curves."""
    found = {}
    for arm in arms:
        path = asked.out / f"{asked.task}-{'adamw' if arm == 'trainer-curve' else arm}.json"
        if not path.is_file() and not asked.timing_only:
            began = time.perf_counter()
            loop = ARMS[arm][0]
            shutil.rmtree(asked.out / arm, ignore_errors=True)
            curve = workers[loop].submit(LOOPS[loop], run_of(asked, arm, asked.out / arm)).result()
            path.write_text(json.dumps({"arguments": vars(asked), "curve": curve}, default=str), encoding="utf-8")
            print(f"{arm}: {time.perf_counter() - began:.0f} s", flush=True)
        if path.is_file():
            found[arm] = json.loads(path.read_text(encoding="utf-8"))["curve"]
    return found


def timings(asked: argparse.Namespace, arms: list[str], workers: dict[str, ProcessPoolExecutor]) -> dict[str, float]:
    """Return the median seconds of a step of each arm, timed in turns."""
    seconds: dict[str, list[float]] = {TIMED_AS.get(arm, arm): [] for arm in arms}
    for turn in range(asked.turns):
        for arm in seconds:
            loop, out = ARMS[arm][0], asked.out / f"timing-{turn}"
            shutil.rmtree(out, ignore_errors=True)
            run = run_of(asked, arm, out, tokens=None, steps=5, evaluations=1, eval_tokens=1024)
            seconds[arm] += workers[loop].submit(LOOPS[loop], run, True).result()
    return {arm: statistics.median(seconds[TIMED_AS.get(arm, arm)]) for arm in arms}


LOOPS = {"ours": ours, "trainer": theirs}


def report(asked: argparse.Namespace, found: dict[str, Any], steps: dict[str, float]) -> None:
    """Print the curves, then tokens and time to the target beside the Trainer's."""
    print(f"\nheld-out nats per target by corpus tokens ({asked.task}, {asked.rows} rows a step)\n")
    for arm, curve in found.items():
        print(f"- {arm}: " + ", ".join(f"{int(tokens) // 1000}k {loss:.3f}" for tokens, loss in curve))
    reference = next(arm for arm in ("trainer", "trainer-curve", "adamw", *found) if arm in found)
    target = asked.target or found[reference][-1][1] + MARGIN
    print(f"\ntarget {target:.3f} nats; tokens from the curves, ms per step interleaved at the end, time = product\n")
    print("| arm | last loss | tokens to target | ms per step | seconds to target | tokens | time |")
    print("|---|---|---|---|---|---|---|")
    per_step, needs = asked.rows * 128, {arm: tokens_to(curve, target) for arm, curve in found.items()}
    base = needs[reference]
    for arm, curve in found.items():
        need, ms = needs[arm], 1000 * steps.get(arm, float("nan"))
        if need is None or base is None:
            print(f"| {arm} | {curve[-1][1]:.3f} | not in {int(curve[-1][0]):,} | {ms:.0f} | | | |")
            continue
        took, other = need / per_step * ms / 1000, base / per_step * steps.get(reference, float("nan"))
        ratios = f"x{base / need:.2f} | x{other / took:.2f}"
        print(f"| {arm} | {curve[-1][1]:.3f} | {int(need):,} | {ms:.0f} | {took:.0f} | {ratios} |")
    print(f"\nratios: how many times fewer than {reference}, the same target")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--task", choices=TASKS, default="causal")
    parser.add_argument("--tokens", type=int, default=500_000)
    parser.add_argument("--arms", default="muon,adamw,trainer,stock")
    parser.add_argument("--size", default="")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument(
        "--target", type=float, default=None, help="nats; by default 0.01 above the last of the Trainer"
    )
    parser.add_argument("--evaluations", type=int, default=10)
    parser.add_argument("--eval-tokens", type=int, default=32_768)
    parser.add_argument("--turns", type=int, default=6, help="rounds of five timed steps of each arm; 0: no timing")
    parser.add_argument("--timing-only", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    arms = asked.arms.split(",")
    started = multiprocessing.get_context("spawn")
    workers = {loop: ProcessPoolExecutor(1, mp_context=started) for loop in LOOPS}
    found = curves(asked, arms, workers)
    steps = timings(asked, arms, workers) if asked.turns else {}
    if found:
        report(asked, found, steps)
    else:
        print({arm: round(1000 * seconds, 1) for arm, seconds in steps.items()})


if __name__ == "__main__":
    main()
