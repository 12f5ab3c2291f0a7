"""``objectives show``: the original, what is asked and what is answered, on a terminal or a page."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from corpora.store import Corpus
from corpora.vocabulary import Vocabulary
from foundation.page import Page
from foundation.refusal import BadUsage, Refusal
from foundation.request import name_of
from objectives import OBJECTIVES, Objective, sources
from objectives.drawing import Terminal, coloured, columns, put
from objectives.feed import Feed
from objectives.picture import SIGNS, Picture, of_batch, of_pose
from objectives.requests import TEXT, Show
from objectives.spelling import clean


@dataclass
class _Shown:
    """What is shown: a heading, remarks, and a picture for each example."""

    heading: str
    remarks: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)


def show(asked: Show) -> None:
    """Draw each example, on the terminal or on the page that is asked for.

    Raises:
        BadUsage: for flags that do not go together, words to hide that are not in the text, a row or a step that
            is not there.
        BadData: for a corpus that cannot be read, or is not the run's.
        BadCheckpoint: for a folder that is no run.
    """
    _agree(asked)
    if asked.run is not None:
        shown = _run(asked, asked.run)
    elif asked.corpus is not None and asked.text is None:
        shown = _corpus(asked, asked.corpus)
    else:
        shown = _text(asked, TEXT if asked.text is None else asked.text)
    tokens = [token for picture in shown.pictures for line in picture.lines for token in line.tokens]
    if any(token.look in SIGNS for token in tokens):
        shown.remarks.append("beneath a word, = is the answer where the word was kept, ≠ where it was replaced")
    if any(token.look == "border" and token.text.startswith("[") for token in tokens):
        shown.remarks.append("[1], [2] …: where pieces of the text begin that have changed places, in its order")
    if asked.html is None:
        _print(shown)
    else:
        _write(shown, asked.html)


def _agree(asked: Show) -> None:
    """Refuse flags that say two things, or nothing."""
    if asked.run is not None and (asked.text is not None or asked.objective is not None):
        raise BadUsage(f"--run {asked.run} has its own text and objective", "leave out --text and --objective")
    if asked.hide and asked.text is None and (asked.run is not None or asked.corpus is not None):
        raise BadUsage("--hide hides words of a given text", "give --text")
    if asked.step and asked.run is None:
        raise BadUsage("--step is a step of a run", "give --run")


def _objectives(asked: Show, shown: _Shown) -> list[Objective]:
    """Return the objective that is asked for, or all that need nothing said."""
    if asked.objective is not None:
        return [asked.objective]
    found = []
    for name, kind in OBJECTIVES.items():
        try:
            found.append(kind())
        except (TypeError, Refusal):
            shown.remarks.append(f"{name} is not shown: say more of it, --objective {name} --objective.…")
    return found


def _name(objective: Objective) -> str:
    choice = next(field for field in fields(Show) if field.name == "objective")
    return name_of(choice, objective)


def _text(asked: Show, text: str) -> _Shown:
    """Return the text under each objective: with the given words hidden, or under noise that each draws itself."""
    vocabulary = Vocabulary.open(asked.corpus) if asked.corpus else sources.words(text, asked.other)
    ids, places = sources.encode(text, vocabulary)
    if len(ids) < 2:
        raise BadUsage("--text needs at least two words")
    noise = sources.find(text, asked.hide, places)
    shown = _Shown(f"text: {clean(text)}")

    def draw(objective: Objective) -> Picture:
        name = _name(objective)
        objective.check(vocabulary, len(ids))
        if asked.hide:
            return of_pose(name, ids, noise, *objective.pose(ids, noise, vocabulary), vocabulary)
        other = asked.other if objective.strangers else None
        blocks = sources.as_block(text, other, asked.seed, vocabulary)
        return of_batch(name, objective.collate(blocks, vocabulary), 0, blocks, vocabulary, objective.shape)

    for objective in _objectives(asked, shown):
        shown.pictures += _drawn(asked, objective, lambda objective=objective: [draw(objective)])
    return shown


def _drawn(asked: Show, objective: Objective, draw: Callable[[], list[Picture]]) -> list[Picture]:
    """Return the pictures of an objective; one of many that refuses says so and does not stop the others."""
    try:
        return draw()
    except Refusal as refusal:
        if asked.objective is not None:
            raise
        picture = Picture(_name(objective))
        picture.say("refused", refusal.what)
        return [picture]


def _corpus(asked: Show, folder: Path) -> _Shown:
    """Return blocks of a corpus under each objective."""
    corpus = Corpus.open(folder)
    rows, most = sources.blocks(asked, corpus)
    shown = _Shown(f"{folder} · train · {_range('block', rows)} of {most:,}, {asked.block} tokens each")

    def draw(objective: Objective) -> list[Picture]:
        objective.check(corpus.vocabulary, asked.block)
        feed = sources.Stream(corpus.part("train"), corpus.vocabulary, objective, asked.block, asked.seed)
        titles = [_name(objective) if len(rows) == 1 else f"{_name(objective)} · block {row}" for row in rows]
        return _pictures(feed, rows, np.arange(len(rows)), titles)

    for objective in _objectives(asked, shown):
        shown.pictures += _drawn(asked, objective, lambda objective=objective: draw(objective))
    return shown


def _run(asked: Show, folder: Path) -> _Shown:
    """Return rows of the batch that a run reads at a step."""
    told, feed, plan = sources.feed(folder, asked.step, asked.corpus)
    told.objective.check(feed.vocabulary, feed.block)
    place = plan.at(asked.step)
    rows = sources.chosen(asked.row, asked.rows, 4, place.rows, f"a step of {folder} has {place.rows} rows")
    examples = place.first + np.arange(place.rows)
    positions, which = np.divmod(examples, place.pieces)
    indices = feed.indices(positions)
    titles = [f"row {row} · position {positions[row]:,} · block {indices[row]:,} of {feed.blocks:,}" for row in rows]
    if place.pieces > 1:
        titles = [
            f"{title} · piece {which[row] + 1} of {place.pieces}" for title, row in zip(titles, rows, strict=True)
        ]
    heading = (
        f"{folder} · {_name(told.objective)} · step {asked.step:,} of {plan.steps:,} · "
        f"{_range('position', positions)} · {_range('row', rows)} of {place.rows} shown"
    )
    return _Shown(heading, pictures=_pictures(feed, examples, rows, titles, place.pieces))


def _range(what: str, numbers: np.ndarray) -> str:
    first, last = int(numbers[0]), int(numbers[-1])
    return f"{what} {first:,}" if first == last else f"{what}s {first:,} to {last:,}"


def _pictures(feed: Feed, examples: np.ndarray, rows: np.ndarray, titles: list[str], pieces: int = 1) -> list[Picture]:
    """Return the pictures of some rows of the batch of these examples."""
    blocks = feed.read(examples, pieces)
    batch = feed.objective.collate(blocks, feed.vocabulary)
    return [
        of_batch(title, batch, int(row), blocks, feed.vocabulary, feed.objective.shape)
        for title, row in zip(titles, rows, strict=True)
    ]


def _print(shown: _Shown) -> None:
    terminal = Terminal(columns(), colours=coloured(sys.stdout.isatty(), os.environ))
    lines = [*terminal.words(shown.heading)]
    for picture in shown.pictures:
        lines += ["", *terminal.lines(picture)]
    lines += ["", *(line for remark in shown.remarks for line in terminal.words(remark))] if shown.remarks else []
    encoding = sys.stdout.encoding or "utf-8"
    print("\n".join(lines).encode(encoding, "replace").decode(encoding))


def _write(shown: _Shown, path: Path) -> None:
    page = Page("What is asked, and what is answered", shown.heading)
    for picture in shown.pictures:
        put(page, picture)
    for remark in shown.remarks:
        page.paragraph(remark, soft=True)
    try:
        page.write(path)
    except OSError as error:
        raise BadUsage(f"--html {path}: {error.strerror}", "give a file in a folder that is there") from error
    print(path)
