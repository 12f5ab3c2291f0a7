"""Tasks: named examples in three parts, read from tables or made from the embedded documentation.

Three kinds. ``classification``: a text has a class. ``pair``: two texts have a class. ``sequence``: a text is
answered by a text. Labels are strings throughout: class names, or the answers themselves.

The parts of a task never depend on the seed of a run: a missing dev part is a keyed 10 % of train, a missing test
part a keyed 20 %, by a key of their own, so that all runs are judged on the same examples.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from finetune import tables
from finetune.reading import Reading
from foundation import keys
from foundation.refusal import BadData, BadUsage, unknown

PARTS = ("train", "dev", "test")
KINDS = ("classification", "pair", "sequence")
TEXTS = ("text", "sentence", "sentence1", "question1", "question", "premise", "body", "document", "article", "input")
TEXTS += ("mr", "command", "source")
PAIRS = ("sentence2", "pair", "text2", "text_pair", "hypothesis", "question2", "second", "answer")
LABELS = (
    "label",
    "class",
    "target",
    "intent",
    "category",
    "gold_label",
    "summary",
    "output",
    "ref",
    "actions",
    "answer",
)
_KEY = keys.fold(0, "parts of a task")


@dataclass(frozen=True)
class Examples:
    """Texts, second texts where the task is a pair, and labels, one for each example."""

    texts: list[str]
    pairs: list[str] | None
    labels: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Iterable[int]) -> Examples:
        """Return the examples at these positions, in this order."""
        rows = list(rows)
        pairs = None if self.pairs is None else [self.pairs[row] for row in rows]
        return Examples([self.texts[row] for row in rows], pairs, [self.labels[row] for row in rows])


@dataclass(frozen=True)
class Task:
    """A task of one of the three kinds; `classes` is empty where the answer is a text."""

    name: str
    kind: str
    train: Examples
    dev: Examples
    test: Examples
    classes: tuple[str, ...] = ()
    note: str = ""

    def part(self, name: str) -> Examples:
        """Return the part called train, dev or test."""
        return {"train": self.train, "dev": self.dev, "test": self.test}[name]

    @property
    def sha256(self) -> str:
        """The fingerprint of everything in the task."""
        parts = [[part.texts, part.pairs, part.labels] for part in (self.train, self.dev, self.test)]
        return hashlib.sha256(json.dumps([self.kind, parts]).encode()).hexdigest()


def load(spec: str | Path, reading: Reading | None = None) -> Task:
    """Return the task that a name or a path stands for, checked.

    Raises:
        BadUsage: if it is neither an embedded task nor an existing path.
        BadData: if the tables cannot be used.
    """
    from finetune import embedded

    reading = reading or Reading()
    if str(spec) in embedded.NAMES and not Path(spec).is_dir():
        given = [name for name in ("text", "pair", "label", "kind") if getattr(reading, name) is not None]
        if given:
            raise BadUsage(f"--task.{given[0]} is for tables; {spec!r} is an embedded task", "leave it out")
        train, dev, test = (getattr(reading, part) or embedded.SIZES[part] for part in PARTS)
        return check(embedded.make(str(spec), train=train, dev=dev, test=test))
    path = Path(spec)
    if not path.exists():
        refusal = unknown("task", str(spec), embedded.NAMES)
        raise BadUsage(refusal.what, f"{refusal.remedy}; or give a table or a folder of tables")
    rows = _rows(path)
    task = _task(path, rows, reading)
    return check(_cap(_split(task), reading))


def check(task: Task) -> Task:
    """Return the task itself if it can be learned and judged.

    Raises:
        BadData: for an empty part, one class only, or a class that dev or test has and train has not.
    """
    for name in PARTS:
        if not len(task.part(name)):
            raise BadData(f"task {task.name}: no examples in {name}", "give more rows, or a table for this part")
    if task.kind == "sequence":
        return task
    counts = Counter(task.train.labels)
    if len(counts) < 2:
        raise BadData(f"task {task.name}: train has one class only ({next(iter(counts))!r})", "two are the least")
    for name in ("dev", "test"):
        strange = sorted(set(task.part(name).labels) - set(counts))
        if strange:
            row = task.part(name).labels.index(strange[0]) + 1
            known = ", ".join(sorted(counts)[:12])
            what = f"task {task.name}: {name} has a class that train has not: {strange[0]!r} (example {row})"
            raise BadData(what, f"train has: {known}; a part without labels cannot be judged")
    return task


def _rows(path: Path) -> dict[str, list[tables.Row]]:
    """Return the rows of each part that is there; a single file is all train."""
    if path.is_file():
        return {"train": tables.read(path)}
    found = {part: tables.find(path, part) for part in PARTS}
    if found["dev"] is None:
        found["dev"] = tables.find(path, "validation") or tables.find(path, "valid")
    if found["train"] is None:
        there = ", ".join(sorted(file.name for file in path.iterdir())[:12]) or "nothing"
        raise BadData(f"{path} has no table named train (found: {there})", f"known: {', '.join(tables.FORMATS)}")
    return {part: tables.read(file) for part, file in found.items() if file is not None}


def _task(path: Path, rows: dict[str, list[tables.Row]], reading: Reading) -> Task:
    columns = list(rows["train"][0])
    text = _column(path, columns, reading.text, TEXTS, "text")
    pair = reading.pair and _column(path, columns, reading.pair, (), "pair", text)
    rest = [column for column in columns if column != text]
    if pair is None and reading.kind in (None, "pair"):
        pair = next((name for name in PAIRS if name in rest and name != reading.label), None)
    label = _column(path, columns, reading.label, LABELS, "label", text, pair)
    if reading.kind == "pair" and pair is None:
        raise BadData(f"{path}: no column of second texts (found: {', '.join(columns)})", "give --task.pair COLUMN")
    parts = {name: _examples(f"{path} {name}", part, text, pair, label) for name, part in rows.items()}
    kind = reading.kind or ("pair" if pair else _guess(parts["train"].labels))
    if kind != "sequence":
        _refuse_scores(path, label, parts["train"].labels)
    classes = () if kind == "sequence" else tuple(sorted(set(parts["train"].labels), key=_natural))
    name = path.name.removesuffix(".gz").rpartition(".")[0] if path.is_file() else path.resolve().name
    note = f"{kind}: text = {text}" + (f", pair = {pair}" if pair else "") + f", label = {label}"
    empty = Examples([], [] if pair else None, [])
    return Task(name, kind, parts["train"], parts.get("dev", empty), parts.get("test", empty), classes, note)


def _column(
    path: Path, columns: list[str], given: str | None, guesses: Sequence[str], role: str, *taken: str | None
) -> str:
    """Return the column of a role: the given one, or the first of the guesses that is there and not yet taken."""
    free = [column for column in columns if column not in taken]
    found = given if given is not None else next((name for name in guesses if name in free), None)
    if found in free and found is not None:
        return found
    near = difflib.get_close_matches(given or role, free, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]}? " if near else ""
    what = f"{path}: no column {given!r}" if given else f"{path}: no column looks like the {role}"
    raise BadData(f"{what} (found: {', '.join(map(str, columns))})", f"{guess}give --task.{role} COLUMN")


def _examples(where: str, rows: list[tables.Row], text: str, pair: str | None, label: str) -> Examples:
    def cells(column: str) -> list[str]:
        values = []
        for number, row in enumerate(rows, 1):
            if column not in row:
                raise BadData(f"{where}: no column {column!r} (found: {', '.join(map(str, row))}; row {number})")
            value = row[column]
            if value is None or isinstance(value, (list, dict)) or value != value:  # NaN is not itself
                raise BadData(f"{where}, row {number}: {column} is {value!r}, not a text or a class")
            values.append(str(value))
        return values

    return Examples(cells(text), cells(pair) if pair else None, cells(label))


def _guess(labels: list[str]) -> str:
    """Return the kind that labels speak of: answers hardly repeat and have several words."""
    several = sum(len(label.split()) > 2 for label in labels) / len(labels)
    return "sequence" if several > 0.5 and len(set(labels)) > len(labels) / 2 else "classification"


def _refuse_scores(path: Path, label: str, labels: list[str]) -> None:
    values = set(labels)
    if len(values) > 12 and any("." in value for value in values):
        try:
            [float(value) for value in values]
        except ValueError:
            return
        raise BadData(
            f"{path}: {label} holds scores ({len(values)} different numbers), not classes", "name a class column"
        )


def _natural(label: str) -> tuple[int, int | str]:
    return (0, int(label)) if label.lstrip("-").isdecimal() else (1, label)


def _split(task: Task) -> Task:
    """Return the task with the parts that were absent set aside from train."""
    note = task.note
    for name, share in (("test", 0.2), ("dev", 0.1)):
        if not len(task.part(name)):
            order = keys.order(keys.fold(_KEY, name), len(task.train), np.arange(len(task.train)))
            cut = round(len(task.train) * share)
            aside, rest = sorted(order[:cut].tolist()), sorted(order[cut:].tolist())
            task = replace(task, train=task.train.take(rest), **{name: task.train.take(aside)})
            note += f"; {name} is a keyed {share:.0%} of train"
    return replace(task, note=note)


def _cap(task: Task, reading: Reading) -> Task:
    for name in PARTS:
        limit, part = getattr(reading, name), task.part(name)
        if limit is not None and limit < len(part):
            order = keys.order(keys.fold(_KEY, "cap", name), len(part), np.arange(limit))
            task = replace(task, **{name: part.take(sorted(order.tolist()))})
    return task
