"""What the verbs of `objectives` ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Suppress, UseAppendAction

from objectives import Objective

TEXT = "Thank you for inviting me to your party last week."
OTHER = (
    "The library is small. It opens at nine and closes at six, and on Sundays it stays shut, "
    "so that those who look after its books can rest and read."
)


@dataclass(frozen=True, kw_only=True)
class Show:
    """Show what was written, what is asked and what is answered: of a text, a corpus, or a step of a run."""

    objective: Annotated[Objective | None, Suppress] = field(
        default=None, metadata={"choices": "objectives:OBJECTIVES"}
    )
    """Show only this objective; by default all that need no numbers of yours."""
    text: str | None = None
    """A text; without --corpus its words are the tokens. With no text, corpus or run, an example."""
    hide: Annotated[tuple[str, ...], UseAppendAction] = ()
    """Words of the text to hide (repeat the flag); without it each objective draws its own noise."""
    other: str = OTHER
    """A text from elsewhere, for objectives that pair a text with a stranger."""
    corpus: Path | None = None
    """Show its training text; with --text, cut that by its vocabulary; with --run, where the run's corpus is now."""
    block: int = 128
    """Corpus tokens per example of --corpus."""
    run: Path | None = None
    """The folder of a run: show what the model saw."""
    step: int = 0
    """The step of --run, from 0."""
    row: int = 0
    """The first block of --corpus, in the order of its text, or the first row of the step of --run."""
    rows: int | None = None
    """How many blocks of --corpus (1), or rows of the step of --run (4)."""
    seed: int = 0
    """Key of the noise of --text and --corpus; a run has its own."""
    html: Path | None = None
    """Write a page instead."""
