"""Every call from the tournament into the rooms below, and nothing else.

The upper half is asked while a plan is read and must be quick: it imports neither torch nor transformers. The lower
half are the steps that worker processes do; each takes (request, records of its needs, output folder, progress)
and returns plain values for its record, with ``identity`` (what others depend on) and ``says`` (its progress line).
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foundation import durable, keys, request as requests
from foundation.refusal import BadCheckpoint, BadUsage, unknown
from tournament.workers import Progress

Values = dict[str, Any]
RECIPE_BY_PLAN = frozenset({"objective", "family", "size", "corpus", "out", "block", "tokens", "seed", "threads"})
"""Fields of pretrain's Run that the plan has under a name of its own."""


# --- asked while a plan is read ------------------------------------------------------------------------------


def default_family(objective: Any) -> str:
    """Return the family that pretrain takes for an objective if none is named."""
    from pretrain.run import DEFAULT_FAMILY

    return DEFAULT_FAMILY[objective.shape]


def check_arm(objective: Any, family: str, size: str, recipe: Values, block: int) -> None:
    """Refuse an unknown family or size, a family that cannot learn the objective, numbers that cannot be.

    Raises:
        BadUsage: naming what can be.
    """
    from pretrain.families import SIZES, class_name
    from pretrain.run import Run

    class_name(family, objective)
    if size not in SIZES:
        raise unknown("size", size, SIZES)
    if block < 2:
        raise BadUsage(f"block = {block} is too short", "give at least 2 corpus tokens per example")
    known = {"family": family, "size": size, "block": block, "out": "out"}
    dataclasses.replace(requests.from_dict(Run, {**recipe, **known}, where="recipe"), objective=objective)


def check_recipe(recipe: Values, where: str) -> None:
    """Refuse names in a recipe that are no fields of pretrain's Run, and those that the plan itself has.

    Raises:
        BadUsage: with the nearest name.
    """
    from pretrain.run import Run

    known = {field.name for field in dataclasses.fields(Run)}
    for name in recipe:
        if name == "seed":
            raise BadUsage(f"{where}: an arm has no seed of its own", "the plan has: seeds = [0, 1]")
        if name in RECIPE_BY_PLAN and known:
            raise BadUsage(f"{where}: {name} belongs to the plan or the arm, not to the recipe")
        if name not in known:
            raise unknown(f"key in {where}", name, known - RECIPE_BY_PLAN)


def group(objective: Any, family: str, size: str, recipe: Values) -> str:
    """Return what arms share whose fresh weights stand for each other: the model's shape and the framing of texts."""
    shaping = {name: recipe[name] for name in ("first_weights", "dropout") if name in recipe}
    frame = objective.frame
    framing = "+".join(part or "-" for part in (frame.before, frame.between, frame.after))
    return " ".join([family, size, framing, *(f"{name}={value}" for name, value in shaping.items())])


def embedded_tasks() -> tuple[str, ...]:
    """Return the names of the embedded tasks."""
    from finetune.embedded import NAMES

    return NAMES


def check_task(task: str, columns: Any) -> None:
    """Refuse a task that is neither embedded nor a path, and tables that cannot be read.

    Raises:
        BadUsage: with the nearest name.
        BadData: if a table cannot be used.
    """
    if task not in embedded_tasks():
        _table(task, columns)


@functools.cache
def _table(task: str, columns: Any) -> str:
    from finetune.tasks import load

    return load(task, columns).kind


def fits(strategy: Any, task: str, columns: Any) -> bool:
    """Return whether a strategy can learn a task: a probe reads classes and cannot write an answer."""
    kind = {"summary": "sequence"}.get(task, "") if task in embedded_tasks() else _table(task, columns)
    return not (kind == "sequence" and name_of_strategy(strategy) == "probe")


def name_of_strategy(strategy: Any) -> str:
    """Return the name of a strategy."""
    from finetune import STRATEGIES

    return next((name for name, kind in STRATEGIES.items() if kind is type(strategy)), type(strategy).__name__.lower())


def check_corpus(folder: Path | None) -> None:
    """Refuse a folder that is no corpus.

    Raises:
        BadData: naming the command that makes one.
    """
    if folder is not None:
        from corpora.store import Corpus

        Corpus.open(folder)


# --- steps that workers do -----------------------------------------------------------------------------------


def corpus(request: Values, needs: Mapping[str, Values], out: Path, progress: Progress) -> Values:  # noqa: ARG001
    """Build the embedded corpus, or find it, or open the one that the plan names."""
    from corpora.store import Corpus, embedded

    progress(0, 1, {"": "reading the documentation installed here" if request["corpus"] is None else "opening"})
    if request["corpus"] is None:
        folder = embedded(request["words"], request["vocabulary"])
    else:
        folder = Path(request["corpus"])
    found = Corpus.open(folder)
    meta = {name: found.meta[name] for name in ("words", "documents", "tokens", "bytes") if name in found.meta}
    parts = {name: len(found.part(name)) for name in ("train", "held-out")}
    says = f"{meta.get('words', 0):,} words, {parts['train']:,} training tokens"
    return {"folder": str(folder.absolute()), **meta, "parts": parts, "identity": found.fingerprint, "says": says}


def corpus_stands(record: Values, out: Path) -> str:  # noqa: ARG001
    """Return what is wrong with a corpus, or nothing."""
    folder = Path(record["folder"])
    try:
        found = json.loads((folder / "meta.json").read_text(encoding="utf-8"))["fingerprint"]
    except (OSError, ValueError, KeyError):
        return f"the corpus is gone from {folder}"
    return "" if found == record["identity"] else f"the corpus in {folder} has changed"


def task(request: Values, needs: Mapping[str, Values], out: Path, progress: Progress) -> Values:  # noqa: ARG001
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
    from pretrain.start import pretrain as run_pretraining
    from pretrain.run import Run

    folder = out / request["folder"]
    asked = {name: request[name] for name in ("objective", "family", "size", "block", "tokens", "seed")}
    asked |= {**request["recipe"], "corpus": needs["corpus"]["folder"], "out": str(folder), "threads": 1}
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
    head = {"folder": request["folder"], "checkpoint": step.name, "identity": durable.sha256(step / "model.safetensors")}
    return {**head, **found, "curve": curve, "says": says}


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
        "out": str(folder), "seed": request["seed"], "random_init": request["random_init"], "threads": 1,
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
