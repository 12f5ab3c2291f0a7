"""The command `objectives`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from foundation.command import Verb
from foundation.command import main as command

VERBS = {
    "show": Verb(
        "objectives.requests:Show",
        "objectives.show:show",
        "Show what was written, what is asked and what is answered: of a text, a corpus, or a step of a run.",
        'objectives show --text "Thank you for inviting me to your party last week." --hide "for inviting" --hide last',
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return command("objectives", VERBS, argv)


if __name__ == "__main__":
    sys.exit(main())
