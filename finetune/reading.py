"""How a table becomes a task: which columns are what, and how many rows of it are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Columns and sizes; what is not given is guessed from the header and printed."""

    text: str | None = None
    """Column of the text (guessed: text, sentence, sentence1, question, premise …)."""
    pair: str | None = None
    """Column of the second text of a pair (guessed: sentence2, hypothesis, pair …)."""
    label: str | None = None
    """Column of the label or of the text to write (guessed: label, class, target, summary …)."""
    kind: Literal["classification", "pair", "sequence"] | None = None
    """Kind of task (guessed: a second text makes a pair, labels that hardly repeat make a sequence task)."""
    train: int | None = None
    """At most so many training examples (default: all of a table, 1,000 of an embedded task)."""
    dev: int | None = None
    """At most so many dev examples (default: all of a table, 300 of an embedded task)."""
    test: int | None = None
    """At most so many test examples (default: all of a table, 600 of an embedded task)."""
