"""The report: every number in it is read from results.jsonl, and from nowhere else."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation import durable
from foundation.page import Cell, Page
from tournament import chart, results
from tournament.meeting import meeting
from tournament.outcomes import LEARNED, Outcomes
from tournament.tables import Table, counted, plain, pretraining, shown, task_tables
from tournament.verdict import LIMITS, NEXT, SHORT, Group, verdict

WIDTH = 110


@dataclass(frozen=True)
class Written:
    """What a report says on the terminal, and the files that say more."""

    text: str
    files: tuple[Path, ...]


def write(out: Path) -> Written:
    """Write report.md, report.html, report.png and results.csv from the results in a folder."""
    outcomes = Outcomes(results.read(out))
    tables, said = [pretraining(outcomes), *task_tables(outcomes)], verdict(outcomes)
    paths = {name: out / name for name in ("report.md", "results.csv", "report.png", "report.html")}
    durable.write_text(paths["report.md"], markdown(outcomes, tables, said))
    durable.write_text(paths["results.csv"], as_csv(outcomes))
    paths["report.png"].write_bytes(chart.whole(outcomes))
    page(outcomes, tables, said).write(paths["report.html"])
    text = "\n\n".join([*map(plain, tables), *(spoken(group) for group in said)])
    return Written(f"\n{text}\n", tuple(paths.values()))


def spoken(group: Group) -> str:
    """Return a group of sentences for the terminal."""
    wrapped = [
        textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
        for line in group.lines
    ]
    return "\n".join([group.heading, *wrapped])


def setting(outcomes: Outcomes) -> str:
    """Return the sentence that says what was compared on what."""
    corpus, plan = outcomes.corpus, outcomes.plan
    words = f"{corpus['words']:,} words" if "words" in corpus else "a corpus"
    tokens = ", ".join(sorted({shown(counted(entry.mean("tokens"))) for entry in outcomes.entries if entry.runs}))
    seeds, fine = len(plan.get("seeds", [0])), len(plan.get("fine_seeds", [0]))
    repeats = f"{_times(seeds, 'pretraining seed')}, {_times(fine, 'fine-tuning seed')}"
    return (
        f"{len(outcomes.entries)} arms on the same blocks of {words}, {tokens or 'no'} corpus tokens each; {repeats}."
    )


def _times(count: int, what: str) -> str:
    return f"one {what}" if count == 1 else f"{count} {what}s"


NOTES = (
    "* parameters outside the embeddings. Losses are in nats per target; each objective asks other targets, so they "
    "are compared with the unigram entropy of the same targets (the loss of knowing only how frequent each is), not "
    f"with each other. Learned: below it by {LEARNED} nat or more."
)
CONTROLS = (
    "random: the same architecture with fresh weights, its learning rate chosen on dev as for the pretrained one. "
    "classical: TF-IDF, truncated SVD, logistic regression (where the answer is a text: that of the nearest training "
    "text). constant: the most frequent class (a text: one fixed answer, or the first words). –: the arm cannot do "
    "the task, as an encoder cannot write."
)


def markdown(outcomes: Outcomes, tables: Sequence[Table], said: Sequence[Group]) -> str:
    """Return the report as Markdown."""
    pieces = ["# Tournament", setting(outcomes), "![losses and scores](report.png)"]
    for table in tables:
        head = "| " + " | ".join(map(_escaped, table.columns)) + " |"
        marks = "|---|" + "---:|" * (len(table.columns) - 1)
        rows = ["| " + " | ".join(_escaped(shown(cell)) for cell in row) + " |" for row in table.rows]
        pieces += [f"## {table.title}", "\n".join([head, marks, *rows])]
    pieces += [NOTES.replace("*", "\\*"), CONTROLS, "# Verdict"]
    for group in said:
        pieces += [f"## {group.heading}", "\n".join(f"- {_escaped(line)}" for line in group.lines)]
    return "\n\n".join(pieces) + "\n"


def _escaped(text: str) -> str:
    for mark in "\\|*<_`":
        text = text.replace(mark, "&lt;" if mark == "<" else f"\\{mark}")
    return text


def page(outcomes: Outcomes, tables: Sequence[Table], said: Sequence[Group]) -> Page:
    """Return the report as a page."""
    name = outcomes.plan.get("called", "")
    made = Page("Tournament" + (f": {name}" if name else ""), lead=setting(outcomes))
    _points(made, said, SHORT)
    first, *rest = tables
    made.heading("Pretraining")
    made.picture(
        chart.losses(outcomes), dark=chart.losses(outcomes, chart.DARK), says=_losses_said(outcomes),
        caption="Means over seeds, each seed a thin line. In the grey band an arm has learned frequencies at most.",
    )  # fmt: skip
    made.table(first.columns, first.rows).paragraph(NOTES, soft=True)
    made.heading("Tasks").paragraph(CONTROLS, soft=True)
    for task, table in zip(outcomes.tasks, rest, strict=True):
        made.heading(table.title.removeprefix("Task "), level=3)
        made.picture(
            chart.scores(outcomes, task), dark=chart.scores(outcomes, task, chart.DARK), says=_scores_said(table)
        )
        made.table(table.columns, table.rows)
        for group in said:
            if group.task == task:
                made.heading(group.heading.removeprefix("Task "), level=4).points(group.lines)
        made.folded_table("all comparisons", *comparisons(outcomes, task))
    _points(made, said, LIMITS)
    _points(made, said, NEXT)
    made.heading("How it was made")
    made.paragraph("Every number is from results.jsonl. The plan, with defaults written out:")
    return made.folded("plan", _indented(outcomes.plan))


def _points(made: Page, said: Sequence[Group], heading: str) -> None:
    for group in said:
        if group.heading == heading:
            made.heading(heading).points(group.lines)


def comparisons(outcomes: Outcomes, task: str) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
    """Return columns and rows of all comparisons on one task."""
    rows: list[tuple[Cell, ...]] = []
    for each in (meeting(outcomes, *pair) for pair in outcomes.meetings if pair[0] == task):
        for one in each.comparisons():
            low, high = (f"{end:+.3f}" for end in (one.found.low, one.found.high))
            difference = (f"{one.found.estimate:+.3f} [{low}, {high}]", one.found.estimate)
            rows.append((one.arm, one.words, one.other, each.strategy, difference))
    return ("arm", "is", "other arm", "strategy", "difference [95 %]"), rows


def _indented(plan: dict[str, Any]) -> str:
    """Return the plan as it was recorded, indented."""
    return json.dumps(plan, indent=2, ensure_ascii=False)


def _losses_said(outcomes: Outcomes) -> str:
    parts = [f"{e.name} {e.below:.2f} nats below" for e in outcomes.entries if e.below is not None]
    return "Lines of held-out loss less unigram entropy by corpus tokens; at the end: " + ", ".join(parts)


def _scores_said(table: Table) -> str:
    rows = ["; ".join([shown(row[0]), *map(shown, row[1:])]) for row in table.rows]
    return f"Dots with intervals, {table.title}: {', '.join(table.columns[1:])}: " + ". ".join(rows)


_COLUMNS = (
    "step", "kind", "status", "name", "arm", "objective", "family", "size", "group", "pretraining_seed", "seed", "task",
    "strategy", "metric", "test", "low", "high", "train", "dev", "rate", "parameters", "non_embedding", "tokens",
    "held_out", "unigram", "seconds", "error",
)  # fmt: skip


def as_csv(outcomes: Outcomes) -> str:
    """Return one line for each record, single numbers only."""
    file = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(file, _COLUMNS, extrasaction="ignore", lineterminator="\n")
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
