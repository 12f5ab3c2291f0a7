"""The command ``tournament``."""

from __future__ import annotations

from collections.abc import Sequence

from foundation.command import Verb
from foundation.command import main as command

VERBS = {
    "": Verb(
        "tournament.request:Tournament",
        "tournament.tournament:tournament",
        "Pretrain with each objective, fine-tune every checkpoint, compare them with what they must beat.",
        "tournament --plan demo --out out/demo",
    )
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return command("tournament", VERBS, argv)


if __name__ == "__main__":
    raise SystemExit(main())
