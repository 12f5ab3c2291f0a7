"""The command `corpora`: build a corpus, join its shards, report on it, show it."""

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
    "join": command.Verb(
        "corpora.requests:Join",
        "corpora.actions:join",
        "Finish a corpus whose shards have been made, on one machine or many.",
        "corpora join corpus",
    ),
    "report": command.Verb(
        "corpora.requests:Report",
        "corpora.actions:report",
        "Say what a corpus was made from, what was left out and why.",
        "corpora report corpus --html corpus.html",
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
