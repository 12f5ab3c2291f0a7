"""The command ``tournament``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from foundation.command import Verb, main as command

VERBS = {
    "": Verb(
        "tournament.request:Tournament",
        "tournament.tournament:tournament",
        "Pretrain with each objective, fine-tune every checkpoint, compare them with what they must beat.",
        "tournament --plan demo --out out/demo",
    )
}
_SWITCHES = ("--report-only", "--dry-run")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    return command("tournament", VERBS, _switched(words))


def _switched(words: list[str]) -> list[str]:
    """Return the words with "True" behind a switch that stands alone, as the flags of a request want it."""
    found = []
    for word, after in zip(words, [*words[1:], ""], strict=True):
        found += [word, "True"] if word in _SWITCHES and after not in ("True", "False") else [word]
    return found


if __name__ == "__main__":
    raise SystemExit(main())
