"""A plan as steps: corpus, tasks, pretraining, fine-tuning, controls, with what each needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from foundation import request
from tournament import choices
from tournament.plan import Arm, Plan, Trial, Way, slug
from tournament.schedule import Step

# About how fast one core is with a tiny model: for the order of the steps and the time left, nothing else. The
# estimate is corrected while the tournament runs.
_TOKENS = {"bert": 19e3, "modernbert": 12e3, "gpt2": 11e3, "t5": 25e3, "bart": 10e3, "mbart": 10e3}
_FACTOR = {"tiny": 1.0, "mini": 4.0, "small": 25.0, "base": 100.0}
_EXAMPLES = 400.0


def steps(plan: Plan) -> list[Step]:
    """Return the steps of a plan, each after those it needs."""
    corpus = _corpus(plan)
    tasks = [_task(trial, corpus) for trial in plan.tasks]
    pretraining = [_pretrain(plan, arm, seed, corpus) for arm in plan.arms for seed in plan.seeds]
    found = [corpus, *tasks, *pretraining]
    for trial, task in zip(plan.tasks, tasks, strict=True):
        found += [_control(kind, trial, task) for kind in ("constant", "classical")]
        for way in plan.strategies:
            found += _fine(plan, trial, task, way)
    return found


def _corpus(plan: Plan) -> Step:
    asked: dict[str, Any] = {"corpus": plan.corpus and str(plan.corpus)}
    if plan.corpus is None:
        asked |= {"words": plan.words, "vocabulary": plan.vocabulary, "held_out": plan.held_out}
    seconds = 1.0 if plan.corpus else 40.0
    return Step(
        "corpus", "corpus", "tournament.arms:corpus", asked, seconds=seconds, check="tournament.arms:corpus_stands"
    )


def _task(trial: Trial, corpus: Step) -> Step:
    asked = {"task": trial.task, "name": slug(trial.name), "columns": request.to_dict(trial.columns)}
    # embedded tasks and corpus are made from one extraction: whoever comes second finds it in the cache
    return Step(
        f"tasks/{slug(trial.name)}", "tasks", "tournament.arms:task", asked, {"task": trial.name},
        (corpus.name,) if trial.task in choices.embedded_tasks() else (), 5.0, "tournament.arms:task_stands",
    )  # fmt: skip


def _pretrain(plan: Plan, arm: Arm, seed: int, corpus: Step) -> Step:
    objective = request.to_dict(arm)["objective"]
    asked = {
        "objective": objective, "family": arm.family, "size": arm.size, "block": plan.block, "tokens": arm.tokens,
        "seed": seed, "recipe": arm.recipe, "folder": f"pretrain/{slug(arm.name)}/seed-{seed}",
    }  # fmt: skip
    labels = {
        "name": arm.name, "objective": arm.called, "numbers": objective, "family": arm.family, "size": arm.size,
        "group": group(arm), "pretraining_seed": seed,
    }  # fmt: skip
    seconds = (arm.tokens or 0) / _TOKENS.get(arm.family, 1e4) * _FACTOR.get(arm.size, 1.0)
    return Step(
        asked["folder"], "pretrain", "tournament.arms:pretrain", asked, labels, (corpus.name,), seconds,
        "tournament.arms:checkpoint_stands",
    )  # fmt: skip


def group(arm: Arm) -> str:
    """Return what arms share whose fresh weights stand for each other."""
    return choices.group(arm.objective, arm.family, arm.size, arm.recipe)


def random_names(plan: Plan) -> dict[str, str]:
    """Return what the random arm of each group is called: by its family, numbered where one has several shapes."""
    families: dict[str, list[str]] = {}
    for arm in plan.arms:
        known = families.setdefault(arm.family, [])
        if group(arm) not in known:
            known.append(group(arm))
    return {
        name: f"random {family}" + (f" {place}" if place else "")
        for family, known in families.items()
        for place, name in enumerate(known)
    }


def _fine(plan: Plan, trial: Trial, task: Step, way: Way) -> Iterator[Step]:
    """Yield the fine-tunings of one task by one strategy: each checkpoint, and fresh weights once for each shape."""
    seen: set[str] = set()
    able = [arm for arm in plan.arms if choices.fits(arm.objective, way.strategy, trial.task, trial.columns)]
    for arm in able:
        for place, seed in enumerate(plan.fine_seeds):
            for pretraining in plan.seeds[place : place + 1] if plan.paired else plan.seeds:
                labels = {
                    "name": arm.name,
                    "objective": arm.called,
                    "arm": "pretrained",
                    "pretraining_seed": pretraining,
                }
                yield _adapt(arm, trial, task, way, seed, pretraining, labels)
            if group(arm) not in seen:
                labels = {"name": random_names(plan)[group(arm)], "arm": "random"}
                yield _adapt(arm, trial, task, way, seed, plan.seeds[0], labels)
        seen.add(group(arm))


def _adapt(arm: Arm, trial: Trial, task: Step, way: Way, seed: int, pretraining: int, labels: dict[str, Any]) -> Step:
    checkpoint = f"pretrain/{slug(arm.name)}/seed-{pretraining}"
    fresh = labels["arm"] == "random"
    runs = f"seed-{seed}" if fresh else f"seed-{pretraining}-{seed}"
    name = "/".join(["finetune", slug(labels["name"]), slug(trial.name), slug(way.name), runs])
    asked = {
        "checkpoint": checkpoint, "task": task.name, "strategy": request.to_dict(way)["strategy"],
        "seed": seed, "random_init": fresh, "folder": name,
    }  # fmt: skip
    labels = {
        **labels,
        "family": arm.family,
        "group": group(arm),
        "task": trial.name,
        "strategy": way.name,
        "seed": seed,
    }
    return Step(
        name, "finetune", "tournament.arms:adapt", asked, labels, (checkpoint, task.name), _seconds(way, trial),
        "tournament.arms:result_stands",
    )  # fmt: skip


def _seconds(way: Way, trial: Trial) -> float:
    train, dev, test = trial.columns.train or 1000, trial.columns.dev or 300, trial.columns.test or 600
    passes = len(getattr(way.strategy, "rates", ())) * getattr(way.strategy, "epochs", 1)
    if not passes:
        return 2.0 + (train + dev + test) / (4 * _EXAMPLES)
    return 2.0 + (passes * (train + dev / 3) + test / 3) / _EXAMPLES


def _control(kind: str, trial: Trial, task: Step) -> Step:
    asked = {"kind": kind, "task": task.name}
    labels = {"name": kind, "arm": kind, "task": trial.name}
    return Step(
        f"control/{kind}/{slug(trial.name)}", "control", "tournament.arms:control", asked, labels, (task.name,), 2.0
    )
