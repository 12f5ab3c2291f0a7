"""The plan of a tournament: every choice in one frozen request, refused whole if a part of it cannot be."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune.reading import Reading
from foundation import request
from foundation.refusal import BadUsage
from tournament import choices

FREE = ("workers", "threads", "called")
"""Fields that may change between two runs into one folder: they do not change the result."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way of pretraining; with each seed of the plan it becomes a checkpoint."""

    objective: Any = field(metadata={"choices": "objectives:OBJECTIVES"})
    """What is asked of the text."""
    family: str = ""
    """Architecture (default: the objective's)."""
    name: str = ""
    """How the report calls it (default: the objective, with the family where that is needed)."""
    size: str = ""
    """Size of the model (default: the plan's)."""
    tokens: int | None = None
    """Corpus tokens it reads (default: the plan's)."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """Other fields of pretrain's Run."""

    @property
    def called(self) -> str:
        """The name of the objective."""
        return request.to_dict(self)["objective"]["name"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One task: embedded, a table or a folder of tables, and how it is read."""

    task: str
    """As `finetune --task` takes it."""
    name: str = ""
    """How the report calls it."""
    columns: Reading = field(default_factory=Reading)
    """Which columns are what, and how many rows are used."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One strategy with its numbers."""

    strategy: Any = field(metadata={"choices": "finetune:STRATEGIES"})
    """As `finetune --strategy` takes it."""
    name: str = ""
    """How the report calls it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is compared, on what, and how often."""

    arms: tuple[Arm, ...]
    """The ways of pretraining."""
    tokens: int
    """Corpus tokens that each arm reads."""
    tasks: tuple[Trial, ...] = ()
    """What the checkpoints are judged on."""
    strategies: tuple[Way, ...] = ()
    """How they are adapted."""
    corpus: Path | None = None
    """A corpus made by `corpora build` (default: the embedded one)."""
    words: int | None = None
    """Words of the embedded corpus (default: all)."""
    vocabulary: int = 4096
    """Pieces of the vocabulary of the embedded corpus."""
    held_out: float = 0.02
    """Share of the embedded corpus set aside for evaluation."""
    size: str = "tiny"
    """Size of the models."""
    block: int = 128
    """Corpus tokens of an example."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """Fields of pretrain's Run, for all arms."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of the pretraining: each arm is pretrained with each."""
    fine_seeds: tuple[int, ...] = (0,)
    """Seeds of the fine-tuning: each checkpoint learns each task with each, and so do fresh weights."""
    paired: bool = False
    """Whether the i-th pretraining seed meets the i-th fine-tuning seed only: a third of the work, and the spread
    between runs is still that of both."""
    train: int | None = None
    """At most so many training examples of a task."""
    dev: int | None = None
    """At most so many dev examples."""
    test: int | None = None
    """At most so many test examples."""
    workers: int = 2
    """Processes that take steps side by side."""
    threads: int = 1
    """Threads of each."""
    called: str = ""
    """Name of the plan."""


def check(plan: Plan) -> Plan:
    """Return the plan with defaults and names written out.

    Raises:
        BadUsage: for a name, a number or a combination that cannot be.
    """
    for name in ("tokens", "vocabulary", "block", "workers", "threads"):
        _positive(name, getattr(plan, name))
    for name in ("words", "train", "dev", "test"):
        _positive(name, getattr(plan, name) or 1)
    for name in ("seeds", "fine_seeds"):
        values = getattr(plan, name)
        if not values or len(set(values)) < len(values):
            raise BadUsage(f"{name} = {list(values)}", "give at least one seed, each once")
    if plan.paired and len(plan.seeds) != len(plan.fine_seeds):
        raise BadUsage(
            f"paired = true with {len(plan.seeds)} seeds and {len(plan.fine_seeds)} fine_seeds", "give as many of both"
        )
    if not 0 < plan.held_out < 1:
        raise BadUsage(f"held_out = {plan.held_out}", "give a share between 0 and 1, such as 0.02")
    if not plan.arms:
        raise BadUsage("the plan has no arms", 'write [[arms]] objective = "token-masking"')
    if plan.tasks and not plan.strategies:
        raise BadUsage("the plan has tasks but no strategies", 'write strategies = ["probe", "full"]')
    choices.check_recipe(plan.recipe, "recipe")
    checked = _named_arms(tuple(_whole(arm, plan) for arm in plan.arms))
    trials = tuple(_caps(trial, plan) for trial in plan.tasks)
    ways = tuple(
        dataclasses.replace(way, name=way.name or choices.name_of_strategy(way.strategy)) for way in plan.strategies
    )
    plan = dataclasses.replace(plan, arms=checked, tasks=trials, strategies=ways)
    for kind, names in (("task", [t.name for t in trials]), ("strategy", [w.name for w in ways])):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            key = "name" if kind == "task" else "label"
            raise BadUsage(f"two entries of the plan are the {kind} {twice[0]!r}", f'tell them apart: {key} = "…"')
    choices.check_corpus(plan.corpus)
    return plan


def _positive(name: str, value: int) -> None:
    if value < 1:
        raise BadUsage(f"{name} = {value}", "give 1 or more")


def _whole(arm: Arm, plan: Plan) -> Arm:
    """Return an arm with its defaults from the plan, checked."""
    choices.check_recipe(arm.recipe, f"arm {arm.name or arm.called}")
    family = arm.family or choices.default_family(arm.objective)
    size = arm.size or plan.size
    tokens = plan.tokens if arm.tokens is None else arm.tokens
    _positive(f"arm {arm.called}: tokens", tokens)
    recipe = {**plan.recipe, **arm.recipe}
    choices.check_arm(arm.objective, family, size, recipe, plan.block)
    return dataclasses.replace(arm, family=family, size=size, tokens=tokens, recipe=recipe)


def _named_arms(found: tuple[Arm, ...]) -> tuple[Arm, ...]:
    counts = Counter(arm.name or arm.called for arm in found)
    named = [
        dataclasses.replace(
            arm, name=arm.name or (arm.called if counts[arm.called] < 2 else f"{arm.called} {arm.family}")
        )
        for arm in found
    ]
    for place, arm in enumerate(named):
        for other in named[:place]:
            if dataclasses.replace(arm, name="") == dataclasses.replace(other, name=""):
                what = f"the arms {other.name!r} and {arm.name!r} are the same"
                raise BadUsage(what, "to repeat an arm give the plan more seeds = [0, 1, …]")
            if slug(arm.name) == slug(other.name):
                raise BadUsage(f"two arms are called {arm.name!r}", 'give them names: name = "…"')
    return tuple(named)


def _caps(trial: Trial, plan: Plan) -> Trial:
    """Return a task with its name and the plan's limits where it has none of its own."""
    caps = {part: getattr(trial.columns, part) or getattr(plan, part) for part in ("train", "dev", "test")}
    columns = dataclasses.replace(trial.columns, **caps)
    choices.check_task(trial.task, columns)
    return dataclasses.replace(trial, name=trial.name or Path(trial.task).name.split(".")[0], columns=columns)


def slug(name: str) -> str:
    """Return a name as part of a path."""
    return re.sub(r"[^\w.-]+", "-", name)
