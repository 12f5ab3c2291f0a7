"""What may stand in a plan: asked of the rooms below, quickly, importing neither torch nor transformers."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

from foundation import request as requests
from foundation.refusal import BadUsage, unknown

Values = dict[str, Any]
BY_PLAN = frozenset({"objective", "family", "size", "corpus", "out", "block", "tokens", "seed", "threads"})
"""Fields of pretrain's Run that the plan has under a name of its own."""


def default_family(objective: Any) -> str:
    """Return the family that pretrain takes for an objective if none is named."""
    from pretrain import run

    return run.default_family(objective)


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
        if name in BY_PLAN:
            raise BadUsage(f"{where}: {name} belongs to the plan or the arm, not to the recipe")
        if name not in known:
            raise unknown(f"key in {where}", name, known - BY_PLAN)


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


def fits(objective: Any, strategy: Any, task: str, columns: Any) -> bool:
    """Return whether an arm can meet a task by a strategy.

    An answer in words is written by a decoder: an encoder has none, and a probe reads classes only.
    """
    kind = {"summary": "sequence"}.get(task, "") if task in embedded_tasks() else _table(task, columns)
    return kind != "sequence" or (objective.shape != "encoder" and name_of_strategy(strategy) != "probe")


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
