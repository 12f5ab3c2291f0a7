"""What the verbs of `objectives` ask for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import UseAppendAction


@dataclass(frozen=True, kw_only=True)
class Show:
    """Print what each objective asks about a text, and what it wants to hear."""

    text: str = "Thank you for inviting me to your party last week."
    """The text; without --corpus each word, as white space separates them, is one token."""
    hide: Annotated[tuple[str, ...], UseAppendAction] = ()
    """Words to hide (repeat the flag); without it each objective draws its own noise."""
    name: str = ""
    """Show only this objective."""
    corpus: Path | None = None
    """A corpus or checkpoint whose vocabulary cuts the text into tokens."""
    seed: int = 0
    """Key of the noise where nothing is given to hide."""
