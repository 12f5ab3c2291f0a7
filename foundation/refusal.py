"""Refusals: one message that says what is wrong, where, what the limit is and what to do about it.

Every error that a user can cause is a ``Refusal``; a command prints it without a traceback and leaves with its
exit code. Anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class Refusal(Exception):
    """A request that is refused; `what` holds what, where and the limit, `remedy` what the user can do."""

    code: ClassVar[int] = 1

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what if not remedy else f"{what}\n  {remedy}")
        self.what, self.remedy = what, remedy


class RunFailed(Refusal):
    """The run itself failed: not a number, out of memory, disk full (exit code 1)."""

    code = 1


class BadUsage(Refusal):
    """A flag, a name or a number that cannot be (exit code 2)."""

    code = 2


class BadData(Refusal):
    """Text or a task that cannot be read or used (exit code 3)."""

    code = 3


class BadCheckpoint(Refusal):
    """A folder that is no checkpoint, is damaged, or does not fit the request (exit code 4)."""

    code = 4


def unknown(kind: str, name: str, choices: Iterable[str], *, error: type[Refusal] = BadUsage) -> Refusal:
    """Return the refusal of a name that is none of `choices`, with the nearest of them."""
    known = sorted(choices)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]}? " if near else ""
    return error(f"unknown {kind}: {name!r}", f"{guess}known: {', '.join(known)}")
