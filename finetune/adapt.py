"""One adaptation from request to result: checkpoint + task + strategy → OUT/result.json, OUT/predictions.jsonl.

OUT/request.json holds the request and the fingerprints of what it was about. The same request finds its result and
returns it; another request, another task text or other weights under the same name are refused, never overwritten.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from finetune.checkpoint import Checkpoint
from finetune.controls import constant
from finetune.request import Adaptation
from finetune.results import record
from finetune.strategy import Progress, silent
from finetune.tasks import PARTS, Task, load
from foundation import durable, keys
from foundation import request as requests
from foundation.refusal import BadUsage

PLACES = ("out", "threads")
"""Fields that say where and how fast, not what: they may differ between a request and the result that it finds."""


def adapt(request: Adaptation, progress: Progress | None = None) -> dict[str, Any]:
    """Return the result record of a request, from OUT if it is there already."""
    checkpoint = Checkpoint.open(request.checkpoint, fresh=request.random_init)
    task = load(request.task, request.columns)
    known = _known(request, checkpoint, task)
    if known is not None:
        return known
    with _threads(request.threads):
        result, predictions = run(request, checkpoint, task, progress or silent)
    _write(request.out, task, result, predictions)
    return result


def run(
    request: Adaptation, checkpoint: Checkpoint, task: Task, progress: Progress
) -> tuple[dict[str, Any], list[str]]:
    """Return the record of an adaptation, and the predictions for the test part; nothing is written."""
    began = time.perf_counter()
    key = keys.fold(request.seed, "finetune")
    predictor = next(iter(request.strategy.learn(checkpoint, [task], key, progress)))
    rows = _train_rows(task)
    asked = {"train": task.train if rows is None else task.train.take(rows), "dev": task.dev, "test": task.test}
    predictor.truncated = 0
    predictions = {part: predictor.predict(task, examples) for part, examples in asked.items()}
    field = next(f for f in request.__dataclass_fields__.values() if f.name == "strategy")
    result = record(
        task,
        predictions,
        seed=request.seed,
        arm="random" if request.random_init else "pretrained",
        checkpoint=str(request.checkpoint),
        objective=checkpoint.objective,
        family=checkpoint.family,
        strategy=requests.name_of(field, request.strategy),
        rate=predictor.rate,
        tried=predictor.tried,
        parameters_trained=predictor.parameters_trained,
        truncated=predictor.truncated,
        seconds=time.perf_counter() - began,
        train_rows=rows,
    )
    control = constant(task, request.seed)
    result["constant"] = {part: control[part] for part in PARTS}
    return result, predictions["test"]


def _train_rows(task: Task) -> list[int] | None:
    """Return which training examples are scored: all, or as many as dev has where answers must be written."""
    if task.kind != "sequence" or len(task.train) <= len(task.dev):
        return None
    order = keys.order(keys.fold(0, "scored training examples"), len(task.train), np.arange(len(task.dev)))
    return sorted(order.tolist())


def _asked(request: Adaptation, checkpoint: Checkpoint, task: Task) -> dict[str, Any]:
    asked = {name: value for name, value in requests.to_dict(request).items() if name not in PLACES}
    return json.loads(json.dumps({**asked, "checkpoint_sha256": checkpoint.sha256, "task_sha256": task.sha256}))


def _known(request: Adaptation, checkpoint: Checkpoint, task: Task) -> dict[str, Any] | None:
    """Return the result that OUT holds for this very request, or None after writing the request there.

    Raises:
        BadUsage: if OUT belongs to another request.
    """
    asked, out = _asked(request, checkpoint, task), request.out
    if out.exists() and not out.is_dir():
        raise BadUsage(f"--out {out} is a file", "give a folder")
    old_path = out / "request.json"
    if old_path.is_file():
        old = json.loads(old_path.read_text(encoding="utf-8"))
        changed = [name for name in asked if old.get(name) != asked[name]]
        if changed:
            shown = "; ".join(f"{name}: {_short(old.get(name))}, now {_short(asked[name])}" for name in changed)
            raise BadUsage(f"{out} holds the result of another request ({shown})", "give another --out")
        if (out / "result.json").is_file():
            return json.loads((out / "result.json").read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    durable.write_json(old_path, asked)
    return None


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 60 else f"{text[:40]}…"


def _write(out: Path, task: Task, result: dict[str, Any], predictions: list[str]) -> None:
    """Write predictions first: a result.json says that everything is there."""
    lines = []
    for row, prediction in enumerate(predictions):
        line = {"text": task.test.texts[row], "label": task.test.labels[row], "prediction": prediction}
        if task.test.pairs is not None:
            line["pair"] = task.test.pairs[row]
        lines.append(json.dumps({**line, "correct": result["correct"][row]}, ensure_ascii=False))
    durable.write_text(out / "predictions.jsonl", "\n".join(lines) + "\n")
    durable.write_json(out / "result.json", result)


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    if count is not None:
        if count < 1:
            raise BadUsage(f"--threads {count}: one is the least")
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def main(request: Adaptation) -> None:
    """Do what the command line asks: say what is adapted to what, show a bar, and end with the scores."""
    from tqdm import tqdm

    known = (request.out / "result.json").is_file()
    task = load(request.task, request.columns)
    sizes = ", ".join(f"{len(task.part(part)):,} {part}" for part in PARTS)
    classes = f", {len(task.classes)} classes" if task.classes else ""
    print(f"task {task.name}: {sizes}{classes} ({task.note})")
    with tqdm(disable=None if sys.stderr.isatty() else True, leave=False, unit="step") as bar:

        def show(step: int, steps: int, shown: dict[str, Any]) -> None:
            bar.total = steps
            bar.set_postfix({name: f"{value:.3g}" for name, value in shown.items()}, refresh=False)
            bar.update(step - bar.n)

        result = adapt(request, show)
    if known:
        print(f"{request.out} holds this result already; nothing was computed")
    print(describe(result))


def describe(result: dict[str, Any]) -> str:
    """Return the lines that a result ends with."""
    arm = "fresh weights" if result["arm"] == "random" else result["objective"] or "no objective named"
    tried = ", ".join(f"{name}: {score:.3f}" for name, score in result["tried"].items())
    lines = [
        f"{result['family']} ({arm}), {result['strategy']}: {result['parameters_trained']:,} parameters trained"
        f" in {result['seconds']:.1f} s",
        f"chosen on dev: {result['rate']:g} ({tried})",
    ]
    if result["truncated"]:
        lines.append(f"{result['truncated']} texts were cut to the length")
    low, high = result["interval"]
    scores = f"train {result['train']:.3f}, dev {result['dev']:.3f}, test {result['test']:.3f} [{low:.3f}, {high:.3f}]"
    lines.append(f"{result['metric']}: {scores}; constant prediction {result['constant']['test']:.3f}")
    return "\n".join(lines)
