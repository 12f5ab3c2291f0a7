"""Which step comes next: the longest of those whose needs are finished.

A step is plain values and the name of the function that does it, so that it can be sent to another process and
its request can be compared with the one a record was made from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """One independent piece of work."""

    name: str
    """Unique, and the path of its folder: ``pretrain/next-token/seed-0``."""
    kind: str
    """corpus, tasks, pretrain, finetune or control."""
    action: str
    """``module:function`` that does it."""
    request: dict[str, Any]
    """Plain values; equal requests give equal results."""
    labels: dict[str, Any] = field(default_factory=dict)
    """What it is called in the report; goes into its record as it is."""
    needs: tuple[str, ...] = ()
    """Names of the steps whose records it is given."""
    seconds: float = 1.0
    """About how long it takes on one core: only for the order and the time left."""
    check: str = ""
    """``module:function`` of (record, out) that says what is wrong with its artefacts, or nothing."""

    @property
    def digest(self) -> str:
        """The hash of what is asked: of the function's name and its request."""
        text = json.dumps([self.action, self.request], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Schedule:
    """The steps that are left, in the order in which workers may take them."""

    def __init__(self, steps: Sequence[Step], finished: Iterable[str] = ()) -> None:
        self.steps = {step.name: step for step in steps}
        self.finished = set(finished)
        self.failed: set[str] = set()
        self.skipped: dict[str, str] = {}
        self._waiting = [step for step in steps if step.name not in self.finished]
        self._running: set[str] = set()

    def take(self) -> Step | None:
        """Return the longest step whose needs are finished, now running; None while there is none."""
        ready = [step for step in self._waiting if self.finished.issuperset(step.needs)]
        if not ready:
            return None
        step = max(ready, key=lambda step: step.seconds)  # the first of equals: the order of the plan
        self._waiting.remove(step)
        self._running.add(step.name)
        return step

    def finish(self, name: str) -> None:
        """Mark a running step as finished."""
        self._running.remove(name)
        self.finished.add(name)

    def fail(self, name: str) -> list[str]:
        """Mark a running step as failed; return the steps that can no longer run because they need it."""
        self._running.remove(name)
        self.failed.add(name)
        lost = [step for step in self._waiting if self._cause(step)]
        while lost:
            for step in lost:
                self._waiting.remove(step)
                self.skipped[step.name] = self._cause(step)
            lost = [step for step in self._waiting if self._cause(step)]
        return [name for name in self.skipped if name not in self.failed]

    def _cause(self, step: Step) -> str:
        for need in step.needs:
            if need in self.failed:
                return need
            if need in self.skipped:
                return self.skipped[need]
        return ""

    @property
    def left(self) -> list[Step]:
        """The steps that wait for a worker."""
        return list(self._waiting)

    @property
    def running(self) -> bool:
        """Whether a worker holds a step."""
        return bool(self._running)
