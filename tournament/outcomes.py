"""The records of a tournament as the report sees them: entries, their curves, and scores by task and strategy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.refusal import BadData

Record = dict[str, Any]
LEARNED = 0.1
"""Nats by which held-out loss must be below the unigram entropy of the same targets to count as learned."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one arm on the test examples of a task: one row for each run, and what the runs have in common."""

    arm: str
    """pretrained, random, constant or classical."""
    correct: NDArray[np.float64]
    """``[runs, examples]``, each in [0, 1]."""
    clusters: NDArray[np.int64]
    """``[runs]``: runs with the same number share a checkpoint, where there are several checkpoints."""
    metric: str

    @cached_property
    def by_cluster(self) -> NDArray[np.float64]:
        """The mean over the runs of each cluster: ``[clusters, examples]``."""
        return np.stack([self.correct[self.clusters == cluster].mean(0) for cluster in np.unique(self.clusters)])

    @cached_property
    def examples(self) -> NDArray[np.float64]:
        """The mean score of each example, every cluster counting alike."""
        return self.by_cluster.mean(0)

    @property
    def score(self) -> float:
        """The mean score."""
        return float(self.examples.mean())


@dataclass(frozen=True)
class Entry:
    """One pretraining arm with all its seeds."""

    name: str
    objective: str
    family: str
    group: str
    runs: list[Record] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def mean(self, *path: str) -> float | None:
        """Return the mean over seeds of a number in the records, None where a seed has none."""
        values = [value for run in self.runs if (value := _at(run, path)) is not None]
        return float(np.mean(values)) if values and len(values) == len(self.runs) else None

    @property
    def below(self) -> float | None:
        """Nats by which held-out loss is below the unigram entropy of its own targets."""
        loss, unigram = self.mean("held_out", "tokens"), self.mean("unigram", "tokens")
        return None if loss is None or unigram is None else unigram - loss

    @property
    def learned(self) -> bool:
        """Whether the arm has learned more than how frequent its targets are, those it could not copy included."""
        loss, unigram = self.hidden
        hidden = loss is None or unigram is None or unigram - loss >= LEARNED
        return self.below is not None and self.below >= LEARNED and hidden

    @property
    def hidden(self) -> tuple[float | None, float | None]:
        """Held-out loss and unigram entropy of the hidden words alone, where they are not all that is asked."""
        return self.mean("held_out", "hidden"), self.mean("unigram", "hidden")


def _planned(arm: Record) -> Entry:
    return Entry(arm["name"], arm["objective"]["name"], arm["family"], arm.get("group", ""))


def _of_record(record: Record) -> Entry:
    return Entry(record["name"], record["objective"], record["family"], record["group"])


def _at(record: Record, path: tuple[str, ...]) -> float | None:
    value: Any = record
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Everything that is shown, from the records alone."""

    records: Mapping[str, Record]

    def of(self, kind: str, **labels: Any) -> list[Record]:
        """Return the records of a kind with these labels, finished or not."""
        wanted = {"kind": kind, **labels}
        return [r for r in self.records.values() if all(r.get(name) == value for name, value in wanted.items())]

    @cached_property
    def entries(self) -> list[Entry]:
        """The pretraining arms in the order of the plan, those that have not run included."""
        found = {arm["name"]: _planned(arm) for arm in self.plan.get("arms", [])}
        for record in self.of("pretrain"):
            entry = found.setdefault(record["name"], _of_record(record))
            if record["status"] == "finished":
                entry.runs.append(record)
            else:
                entry.failed.append(str(record.get("error", "")))
        order = {name: place for place, name in enumerate(self.plan.get("names", []))}
        return sorted(found.values(), key=lambda entry: order.get(entry.name, len(order)))

    @cached_property
    def plan(self) -> Record:
        """The plan as it was recorded at the start."""
        return next((record["plan"] for record in self.of("plan")), {})

    @cached_property
    def corpus(self) -> Record:
        """What the corpus says of itself."""
        return next((record for record in self.of("corpus") if record["status"] == "finished"), {})

    @cached_property
    def meetings(self) -> list[tuple[str, str]]:
        """The pairs of task and strategy in which anything was judged, tasks first."""
        found = [(r["task"], r["strategy"]) for r in self.of("finetune")]
        controls = [(r["task"], "") for r in self.of("control")]
        tasks = list(dict.fromkeys([*self.plan.get("task_names", []), *(task for task, _ in [*found, *controls])]))
        pairs = set(found) | {pair for pair in controls if pair[0] not in {task for task, _ in found}}
        order = list(dict.fromkeys([*self.plan.get("strategy_names", []), *(strategy for _, strategy in found), ""]))
        return sorted(pairs, key=lambda pair: (tasks.index(pair[0]), order.index(pair[1])))

    @property
    def tasks(self) -> list[str]:
        """The tasks, each once."""
        return list(dict.fromkeys(task for task, _ in self.meetings))

    def pretrained(self, entry: Entry, task: str, strategy: str) -> Scores | None:
        """Return the scores of an arm's checkpoints."""
        return _scores(self.of("finetune", arm="pretrained", name=entry.name, task=task, strategy=strategy))

    def random(self, entry: Entry, task: str, strategy: str) -> Scores | None:
        """Return the scores of fresh weights of the arm's shape."""
        return _scores(self.of("finetune", arm="random", group=entry.group, task=task, strategy=strategy))

    def control(self, arm: str, task: str) -> Scores | None:
        """Return the scores of the constant or the classical arm."""
        return _scores(self.of("control", arm=arm, task=task))

    def failed(self, kind: str, **labels: Any) -> bool:
        """Return whether a step with these labels failed."""
        return any(record["status"] != "finished" for record in self.of(kind, **labels))


def _scores(records: list[Record]) -> Scores | None:
    """Return the scores of runs of one arm; clusters are checkpoints if there are several, else the runs."""
    records = [record for record in records if record["status"] == "finished"]
    if not records:
        return None
    lengths = {len(record["correct"]) for record in records}
    if len(lengths) != 1:
        what = f"runs of one arm were judged on different tests: {', '.join(record['step'] for record in records)}"
        raise BadData(what, "the task has changed between them: run the tournament in a new folder")
    seeds = [record.get("pretraining_seed") for record in records]
    shared = {seed: place for place, seed in enumerate(dict.fromkeys(seeds))}
    clusters = [shared[seed] for seed in seeds] if len(shared) > 1 else list(range(len(records)))
    correct = np.array([record["correct"] for record in records], dtype=np.float64)
    return Scores(records[0]["arm"], correct, np.array(clusters), records[0].get("metric", "accuracy"))
