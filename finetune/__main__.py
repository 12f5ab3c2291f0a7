"""The command ``finetune``: adapt a checkpoint to a task and say how well it went."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from foundation import command
from foundation.memory import keep_pages

VERBS = {
    "": command.Verb(
        "finetune.request:Adaptation",
        "finetune.adapt:main",
        "Adapt a checkpoint to a task.",
        "finetune --checkpoint runs/bert --task library --strategy probe --out out/bert-library",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    keep_pages()
    return command.main("finetune", VERBS, argv)


if __name__ == "__main__":
    sys.exit(main())
