"""The tables of the report: what was pretrained and learned, and what each task said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foundation.page import Cell
from tournament.meeting import Meeting, meeting
from tournament.outcomes import Entry, Outcomes, Scores

NOT_LEARNED = "not learned in this budget"


@dataclass(frozen=True)
class Table:
    """A headed table; a cell is a text, or a text and the number it stands for."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def pretraining(outcomes: Outcomes) -> Table:
    """Return the table of what was pretrained and what it learned."""
    columns = ("arm", "family", "parameters*", "tokens", "seconds", "held-out loss", "its unigram", "below", "learned")
    rows = [_pretrained(entry) for entry in outcomes.entries]
    return Table("Pretraining", columns, tuple(rows))


def _pretrained(entry: Entry) -> tuple[Cell, ...]:
    if not entry.runs:
        return (entry.name, entry.family, *["–"] * 6, "failed" if entry.failed else "not run")
    size, tokens, seconds = entry.mean("non_embedding"), entry.mean("tokens"), entry.mean("seconds")
    loss, unigram = entry.mean("held_out", "tokens"), entry.mean("unigram", "tokens")
    learned = "yes" if entry.learned else NOT_LEARNED
    order = entry.mean("held_out", "accuracy/order")
    if order is not None:
        learned += f"; order {_score(order)} right"
    hidden, mark = entry.hidden
    if hidden is not None and mark is not None:
        learned += f"; hidden words {hidden:.3f} against {mark:.3f}"
    if entry.failed:
        learned += f"; {len(entry.failed)} seeds failed"
    return (
        entry.name, entry.family, counted(size), counted(tokens), _number(seconds, 0), _number(loss, 3),
        _number(unigram, 3), _number(entry.below, 3), learned,
    )  # fmt: skip


def task_tables(outcomes: Outcomes) -> list[Table]:
    """Return one table for each task: pretrained with random weights beside it, then the controls."""
    found = []
    for task in outcomes.tasks:
        met = [meeting(outcomes, *pair) for pair in outcomes.meetings if pair[0] == task]
        columns = ["arm"]
        for each in met:
            if each.strategy:
                columns += [f"{each.strategy}: pretrained", f"{each.strategy}: random"]
        if len(columns) == 1:
            columns += ["score"]
        rows = [_judged(outcomes, entry, met) for entry in outcomes.entries if met[0].strategy]
        for arm in ("classical", "constant"):
            cells = _cell(met[0].controls.get(arm), met[0], failed=outcomes.failed("control", arm=arm, task=task))
            rows.append(
                (arm, *[cells] * (len(columns) - 1)) if len(columns) == 2 else _control_row(arm, cells, columns)
            )
        metric = next((s.metric for each in met for s in [*each.pretrained.values(), *each.controls.values()]), "score")
        tests = next((s.correct.shape[1] for each in met for s in each.controls.values()), None)
        words = f"Task {task}: {metric}" + (f" on {tests:,} test examples" if tests else "")
        found.append(Table(f"{words}, 95 % intervals", tuple(columns), tuple(rows)))
    return found


def _control_row(arm: str, cell: Cell, columns: Sequence[str]) -> tuple[Cell, ...]:
    return (arm, cell, *[""] * (len(columns) - 2))


def _judged(outcomes: Outcomes, entry: Entry, met: list[Meeting]) -> tuple[Cell, ...]:
    cells: list[Cell] = [entry.name]
    for each in met:
        labels = {"task": each.task, "strategy": each.strategy}
        lost = not entry.runs and bool(entry.failed)
        failed = lost or outcomes.failed("finetune", arm="pretrained", name=entry.name, **labels)
        cells.append(_cell(each.pretrained.get(entry.name), each, failed=failed))
        failed = outcomes.failed("finetune", arm="random", group=entry.group, **labels)
        cells.append(_cell(each.random.get(entry.name), each, failed=failed))
    return tuple(cells)


def _cell(scores: Scores | None, met: Meeting, *, failed: bool) -> Cell:
    if scores is None:
        return "failed" if failed else "–"
    found = met.interval(scores)
    low, high = (_score(min(1.0, max(0.0, end))) for end in (found.low, found.high))
    return (f"{_score(found.estimate)} [{low}, {high}]", found.estimate)


def _score(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _number(value: float | None, digits: int) -> Cell:
    return "–" if value is None else (f"{value:,.{digits}f}", value)


def counted(value: float | None) -> Cell:
    """Return a count in thousands or millions."""
    if value is None:
        return "–"
    return (f"{value / 1e6:.2f} M" if value >= 1e6 else f"{value / 1e3:.0f} k", value)


def shown(cell: Cell) -> str:
    """Return the text of a cell."""
    return cell[0] if isinstance(cell, tuple) else str(cell)


def plain(table: Table) -> str:
    """Return a table for the terminal: the columns aligned, numbers to the right."""
    rows = [[shown(cell) for cell in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(table.columns, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        last = len(cells) - 1
        sides = (
            cell.ljust(width) if not place or (place == last and table.title == "Pretraining") else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(sides).rstrip()

    rule = "─" * len(line(table.columns))
    return "\n".join([table.title, rule, line(table.columns), rule, *map(line, rows)])
