"""The steps that worker processes do: every call into the rooms below that does work, and nothing else.

Each takes (request, records of its needs, output folder, progress) and returns plain values for its record, with
``identity`` (what other steps depend on) and ``says`` (its line of progress). Beside it stands the check by which the
runner sees whether the record's artefacts are still there. What a plan may ask for is in ``choices``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foundation import durable, keys
from foundation import request as requests
from foundation.refusal import BadCheckpoint, BadUsage
from tournament.workers import Progress

Values = dict[str, Any]


def corpus(request: Values, needs: Mapping[str, Values], out: Path, progress: Progress) -> Values:
    """Build the embedded corpus, or find it, or open the one that the plan names."""
    from corpora.store import Corpus, embedded

    progress(0, 1, {"": "reading the documentation installed here" if request["corpus"] is None else "opening"})
    if request["corpus"] is None:
        folder = embedded(request["words"], request["vocabulary"], held_out=request["held_out"])
    else:
        folder = Path(request["corpus"])
    found = Corpus.open(folder)
    meta = {name: found.meta[name] for name in ("words", "documents", "tokens", "bytes") if name in found.meta}
    parts = {name: len(found.part(name)) for name in ("train", "held-out")}
    says = f"{meta.get('words', 0):,} words, {parts['train']:,} training tokens"
    return {"folder": str(folder.absolute()), **meta, "parts": parts, "identity": found.fingerprint, "says": says}


def corpus_stands(record: Values, out: Path) -> str:
    """Return what is wrong with a corpus, or nothing."""
    folder = Path(record["folder"])
    try:
        found = json.loads((folder / "meta.json").read_text(encoding="utf-8"))["fingerprint"]
    except (OSError, ValueError, KeyError):
        return f"the corpus is gone from {folder}"
    return "" if found == record["identity"] else f"the corpus in {folder} has changed"


def task(request: Values, needs: Mapping[str, Values], out: Path, progress: Progress) -> Values:
    """Make a task once and write it as tables, so that every fine-tuning reads the same examples at once."""
    from finetune.reading import Reading
    from finetune.tasks import PARTS, load

    progress(0, 1, {})
    made = load(request["task"], requests.from_dict(Reading, request["columns"]))
    folder = out / "tasks" / request["name"]
    folder.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        part = made.part(name)
        pairs = part.pairs or [None] * len(part)
        rows = [
            {"text": text, **({} if pair is None else {"pair": pair}), "label": label}
            for text, pair, label in zip(part.texts, pairs, part.labels, strict=True)
        ]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        durable.write_text(folder / f"{name}.jsonl", text)
    sizes = {name: len(made.part(name)) for name in PARTS}
    says = ", ".join(f"{count:,} {name}" for name, count in sizes.items())
    head = {"folder": f"tasks/{request['name']}", "task_kind": made.kind, "examples": sizes}
    return {**head, "classes": list(made.classes), "identity": _tables(folder), "says": says}


def _tables(folder: Path) -> str:
    return " ".join(durable.sha256(folder / f"{name}.jsonl")[:16] for name in ("train", "dev", "test"))


def task_stands(record: Values, out: Path) -> str:
    """Return what is wrong with a task's tables, or nothing."""
    try:
        same = _tables(out / record["folder"]) == record["identity"]
    except OSError:
        return f"{out / record['folder']} is gone"
    return "" if same else f"{out / record['folder']} has changed"


def pretrain(request: Values, needs: Mapping[str, Values], out: Path, progress: Progress) -> Values:
    """Pretrain one arm; what a killed run has saved is continued."""
    from pretrain.run import Run
    from pretrain.start import pretrain as run_pretraining

    folder = out / request["folder"]
    asked = {name: request[name] for name in ("objective", "family", "size", "block", "tokens", "seed")}
    asked |= {**request["recipe"], "corpus": needs["corpus"]["folder"], "out": str(folder), "threads": _threads()}
    (folder / "summary.json").unlink(missing_ok=True)  # of a checkpoint that is gone; it is written anew at the end
    run_pretraining(requests.from_dict(Run, asked), _losses(progress))
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    kept = ("parameters", "non_embedding", "tokens", "step", "seconds", "tokens_per_second", "held_out", "unigram")
    curve = [
        {name: line[name] for name in ("step", "tokens", "seconds", "held_out") if name in line}
        for line in durable.read_json_lines(folder / "metrics.jsonl")
        if "held_out" in line
    ]
    found = {name: summary[name] for name in kept if name in summary}
    says = f"held-out loss {found['held_out']['tokens']:.2f}, unigram {found['unigram']['tokens']:.2f}"
    step = (folder / "latest").resolve()
    head = {
        "folder": request["folder"],
        "checkpoint": step.name,
        "identity": durable.sha256(step / "model.safetensors"),
    }
    return {**head, **found, "curve": curve, "says": says}


def _threads() -> int:
    """Return the threads that this worker was started with."""
    return int(os.environ.get("OMP_NUM_THREADS", "1"))


def _losses(progress: Progress) -> Progress:
    """Return a progress function that is told only what fits on a line."""

    def tell(step: int, steps: int, losses: Values) -> None:
        progress(step, steps, {"loss": losses["tokens"]} if "tokens" in losses else {})

    return tell


def checkpoint_stands(record: Values, out: Path) -> str:
    """Return what is wrong with a checkpoint, or nothing."""
    folder = out / record["folder"] / record["checkpoint"]
    if not folder.is_dir():
        return f"the checkpoint {folder} is gone"
    if damage := durable.problems(folder):
        return damage[0]
    same = durable.sha256(folder / "model.safetensors") == record["identity"]
    return "" if same else f"the checkpoint {folder} has other weights than when it was recorded"


def adapt(request: Values, needs: Mapping[str, Values], out: Path, progress: Progress) -> Values:
    """Fine-tune a checkpoint, or fresh weights of its shape, on one task."""
    from finetune.adapt import adapt as run_adaptation
    from finetune.request import Adaptation

    made, learned = needs[request["task"]], needs[request["checkpoint"]]
    checkpoint = out / learned["folder"] / learned["checkpoint"]
    if wrong := checkpoint_stands(learned, out):
        raise BadCheckpoint(wrong, "run the same command again: it pretrains the arm anew")
    folder = out / request["folder"]
    asked = {
        "checkpoint": str(checkpoint), "task": str(out / made["folder"]), "strategy": request["strategy"],
        "out": str(folder), "seed": request["seed"], "random_init": request["random_init"], "threads": _threads(),
        "columns": {"text": "text", "label": "label", "kind": made["task_kind"]},
    }  # fmt: skip
    try:
        found = run_adaptation(requests.from_dict(Adaptation, asked), progress)
    except BadUsage:  # the folder holds a result of other weights: ours, and no longer asked for
        _empty(folder)
        found = run_adaptation(requests.from_dict(Adaptation, asked), progress)
    return {**found, "folder": request["folder"], "identity": request["folder"], "says": _score(found)}


def _empty(folder: Path) -> None:
    for name in ("result.json", "request.json", "predictions.jsonl"):
        (folder / name).unlink(missing_ok=True)


def result_stands(record: Values, out: Path) -> str:
    """Return what is wrong with the files of a fine-tuning, or nothing."""
    path = out / record["folder"] / "result.json"
    return "" if path.is_file() else f"{path} is gone"


def control(request: Values, needs: Mapping[str, Values], out: Path, progress: Progress) -> Values:
    """Judge the constant or the classical arm on a task."""
    from finetune import controls
    from finetune.reading import Reading
    from finetune.tasks import load

    progress(0, 1, {})
    made = needs[request["task"]]
    columns = Reading(text="text", label="label", kind=made["task_kind"])
    judge = {"constant": controls.constant, "classical": controls.classical}[request["kind"]]
    found = judge(load(out / made["folder"], columns), keys.number(0, "control", request["kind"]))
    return {**found, "says": _score(found)}


def _score(found: Values) -> str:
    low, high = found["interval"]
    return f"{found['metric']} {found['test']:.3f} [{low:.3f}, {high:.3f}]"
