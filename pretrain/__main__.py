"""The command `pretrain`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from foundation.command import Verb
from foundation.command import main as command
from foundation.memory import keep_pages

VERBS = {
    "": Verb(
        "pretrain.run:Run",
        "pretrain.start:pretrain",
        "Pretrain one model with one objective on one corpus; the same command continues an interrupted run.",
        "pretrain --objective span-corruption --family t5 --corpus CORPUS --tokens 2000000 --out RUN",
    ),
    "plot": Verb(
        "pretrain.plot:Plot",
        "pretrain.plot:plot",
        "Draw the loss curves of runs by seconds and by tokens.",
        "pretrain plot RUN OTHER_RUN --out losses.png",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    keep_pages()
    return command("pretrain", VERBS, argv)


if __name__ == "__main__":
    sys.exit(main())
