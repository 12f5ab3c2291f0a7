"""The command `corpora`: build a corpus, show one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from foundation import command

VERBS = {
    "build": command.Verb(
        "corpora.requests:Build",
        "corpora.actions:build",
        "Build a corpus and its vocabulary from text.",
        "corpora build notes.txt more/ --vocabulary 8192 --out corpus",
    ),
    "show": command.Verb(
        "corpora.requests:Show",
        "corpora.actions:show",
        "Print what a corpus holds.",
        "corpora show corpus",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return command.main("corpora", VERBS, argv)


if __name__ == "__main__":
    sys.exit(main())
