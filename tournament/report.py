"""The report: every number in it is read from results.jsonl, and from nowhere else."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation import durable
from foundation.page import Cell, Page
from tournament import chart, results
from tournament.outcomes import LEARNED, Entry, Outcomes, Scores
from tournament.verdict import Meeting, meeting, verdict

NOT_LEARNED = "not learned in this budget"
WIDTH = 110


@dataclass(frozen=True)
class Written:
    """What a report says on the terminal, and the files that say more."""

    text: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Table:
    """A headed table; a cell is a text, or a text and the number it stands for."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def write(out: Path) -> Written:
    """Write report.md, report.html, report.png and results.csv from the results in a folder."""
    outcomes = Outcomes(results.read(out))
    tables, said = [pretraining(outcomes), *task_tables(outcomes)], verdict(outcomes)
    paths = {name: out / name for name in ("report.md", "results.csv", "report.png", "report.html")}
    durable.write_text(paths["report.md"], markdown(outcomes, tables, said))
    durable.write_text(paths["results.csv"], as_csv(outcomes))
    paths["report.png"].write_bytes(chart.whole(outcomes))
    page(outcomes, tables, said).write(paths["report.html"])
    text = "\n\n".join([*map(plain, tables), *(spoken(heading, lines) for heading, lines in said)])
    return Written(f"\n{text}\n", tuple(paths.values()))


def pretraining(outcomes: Outcomes) -> Table:
    """Return the table of what was pretrained and what it learned."""
    columns = ("arm", "family", "parameters*", "tokens", "seconds", "held-out loss", "its unigram", "below", "learned")
    rows = [_pretrained(entry) for entry in outcomes.entries]
    return Table("Pretraining", columns, tuple(rows))


def _pretrained(entry: Entry) -> tuple[Cell, ...]:
    if not entry.runs:
        return (entry.name, entry.family, *["–"] * 6, "failed")
    size, tokens, seconds = entry.mean("non_embedding"), entry.mean("tokens"), entry.mean("seconds")
    loss, unigram = entry.mean("held_out", "tokens"), entry.mean("unigram", "tokens")
    learned = "yes" if entry.learned else NOT_LEARNED
    order = entry.mean("held_out", "accuracy/order")
    if order is not None:
        learned += f"; order {_score(order)} right"
    if entry.failed:
        learned += f"; {len(entry.failed)} seeds failed"
    return (
        entry.name, entry.family, _counted(size), _counted(tokens), _number(seconds, 0), _number(loss, 3),
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
            rows.append((arm, *[cells] * (len(columns) - 1)) if len(columns) == 2 else _control_row(arm, cells, columns))
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


def _counted(value: float | None) -> Cell:
    if value is None:
        return "–"
    return (f"{value / 1e6:.2f} M" if value >= 1e6 else f"{value / 1e3:.0f} k", value)


def _shown(cell: Cell) -> str:
    return cell[0] if isinstance(cell, tuple) else str(cell)


def plain(table: Table) -> str:
    """Return a table for the terminal: the columns aligned, numbers to the right."""
    rows = [[_shown(cell) for cell in row] for row in table.rows]
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


def spoken(heading: str, lines: Sequence[str]) -> str:
    """Return a group of sentences for the terminal."""
    wrapped = [textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False) for line in lines]
    return "\n".join([heading, *wrapped])


def setting(outcomes: Outcomes) -> str:
    """Return the sentence that says what was compared on what."""
    corpus, plan = outcomes.corpus, outcomes.plan
    words = f"{corpus['words']:,} words" if "words" in corpus else "a corpus"
    tokens = ", ".join(sorted({_shown(_counted(entry.mean("tokens"))) for entry in outcomes.entries if entry.runs}))
    seeds, fine = len(plan.get("seeds", [0])), len(plan.get("fine_seeds", [0]))
    repeats = f"{_times(seeds, 'pretraining seed')}, {_times(fine, 'fine-tuning seed')}"
    return f"{len(outcomes.entries)} arms on the same blocks of {words}, {tokens or 'no'} corpus tokens each; {repeats}."


def _times(count: int, what: str) -> str:
    return f"one {what}" if count == 1 else f"{count} {what}s"


NOTES = (
    "* parameters outside the embeddings. Losses are in nats per target; each objective asks other targets, so they "
    "are compared with the unigram entropy of the same targets (the loss of knowing only how frequent each is), not with "
    f"each other. Learned: below it by {LEARNED} nat or more."
)
CONTROLS = (
    "random: the same architecture with fresh weights, its learning rate chosen on dev like that of the pretrained one. "
    "classical: TF-IDF, truncated SVD, logistic regression. constant: always the same answer."
)


def markdown(outcomes: Outcomes, tables: Sequence[Table], said: Sequence[tuple[str, list[str]]]) -> str:
    """Return the report as Markdown."""
    pieces = ["# Tournament", setting(outcomes), "![losses and scores](report.png)"]
    for table in tables:
        head = "| " + " | ".join(map(_escaped, table.columns)) + " |"
        marks = "|---|" + "---:|" * (len(table.columns) - 1)
        rows = ["| " + " | ".join(_escaped(_shown(cell)) for cell in row) + " |" for row in table.rows]
        pieces += [f"## {table.title}", "\n".join([head, marks, *rows])]
    pieces += [NOTES.replace("*", "\\*"), CONTROLS, "# Verdict"]
    for heading, lines in said:
        pieces += [f"## {heading}", "\n".join(f"- {_escaped(line)}" for line in lines)]
    return "\n\n".join(pieces) + "\n"


def _escaped(text: str) -> str:
    for mark in "\\|*<_`":
        text = text.replace(mark, "&lt;" if mark == "<" else f"\\{mark}")
    return text


def page(outcomes: Outcomes, tables: Sequence[Table], said: Sequence[tuple[str, list[str]]]) -> Page:
    """Return the report as a page."""
    name = outcomes.plan.get("called", "")
    made = Page("Tournament" + (f": {name}" if name else ""), lead=setting(outcomes))
    groups = dict(said)
    made.heading("Verdict")
    for heading, lines in groups.items():
        made.heading(heading, level=3).points(lines)
    first, *rest = tables
    made.heading("Pretraining")
    made.picture(
        chart.losses(outcomes), dark=chart.losses(outcomes, chart.DARK), says=_losses_said(outcomes),
        caption="Means over seeds, each seed as a thin line. In the grey band an arm has not learned more than frequencies.",
    )  # fmt: skip
    made.table(first.columns, first.rows).paragraph(NOTES, soft=True)
    made.heading("Tasks").paragraph(CONTROLS, soft=True)
    for task, table in zip(outcomes.tasks, rest, strict=True):
        made.heading(table.title.removeprefix("Task ").partition(",")[0], level=3)
        made.picture(
            chart.scores(outcomes, task), dark=chart.scores(outcomes, task, chart.DARK), says=_scores_said(table)
        )
        made.table(table.columns, table.rows, caption=table.title)
        made.folded_table("all comparisons", *comparisons(outcomes, task))
    made.heading("How it was made")
    made.paragraph("Every number is from results.jsonl. The plan, with defaults written out:")
    return made.folded("plan", durable_plan(outcomes.plan))


def comparisons(outcomes: Outcomes, task: str) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
    """Return columns and rows of all comparisons on one task."""
    rows: list[tuple[Cell, ...]] = []
    for each in (meeting(outcomes, *pair) for pair in outcomes.meetings if pair[0] == task):
        for one in each.comparisons():
            low, high = (f"{end:+.3f}" for end in (one.found.low, one.found.high))
            difference = (f"{one.found.estimate:+.3f} [{low}, {high}]", one.found.estimate)
            rows.append((one.arm, one.words, one.other, each.strategy, difference))
    return ("arm", "is", "other arm", "strategy", "difference [95 %]"), rows


def durable_plan(plan: dict[str, Any]) -> str:
    """Return the plan as it was recorded, indented."""
    import json

    return json.dumps(plan, indent=2, ensure_ascii=False)


def _losses_said(outcomes: Outcomes) -> str:
    parts = [f"{e.name} {e.below:.2f} nats below" for e in outcomes.entries if e.below is not None]
    return "Lines of held-out loss less unigram entropy by corpus tokens; at the end: " + ", ".join(parts)


def _scores_said(table: Table) -> str:
    rows = ["; ".join([_shown(row[0]), *map(_shown, row[1:])]) for row in table.rows]
    return f"Dots with intervals, {table.title}: {', '.join(table.columns[1:])}: " + ". ".join(rows)


_COLUMNS = (
    "step", "kind", "status", "name", "arm", "objective", "family", "size", "group", "pretraining_seed", "seed", "task",
    "strategy", "metric", "test", "low", "high", "train", "dev", "rate", "parameters", "non_embedding", "tokens",
    "held_out", "unigram", "seconds", "error",
)  # fmt: skip


def as_csv(outcomes: Outcomes) -> str:
    """Return one line for each record, single numbers only."""
    file = io.StringIO()
    writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for record in outcomes.records.values():
        if record["kind"] in ("plan", "corpus", "tasks"):
            continue
        line = {name: value for name, value in record.items() if not isinstance(value, (dict, list))}
        for name in ("held_out", "unigram"):
            if isinstance(record.get(name), dict):
                line[name] = record[name].get("tokens")
        line["low"], line["high"] = record.get("interval", (None, None))
        writer.writerow(line)
    return file.getvalue()
