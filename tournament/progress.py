"""What is going on: an overall bar with the time left and one line per worker; plain lines into a file or pipe."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

from tqdm import tqdm

from tournament.schedule import Step

PAUSE = 10.0
"""Least seconds between two plain lines about the same state of things."""


class Board:
    """Shows the steps of a run; the estimates of the steps are corrected by those already finished, kind by kind."""

    def __init__(self, steps: Sequence[Step], finished: set[str], workers: int, stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.steps, self.workers = steps, workers
        self.closed = set(finished)
        self.began = self.spoken = time.monotonic()
        self.doing: dict[int, tuple[Step, float, str]] = {}
        self.spent: dict[str, tuple[float, float]] = {}
        self.drawn = self.stream.isatty()
        self.overall: Any = None
        self.lines: list[Any] = []
        if self.drawn:
            form = "{percentage:3.0f} % |{bar:30}| {desc}"
            self.overall = tqdm(total=100, file=self.stream, bar_format=form, dynamic_ncols=True, leave=False)
            self.lines = [
                tqdm(total=1, file=self.stream, bar_format="  {desc}", position=1 + place, leave=False)
                for place in range(workers)
            ]

    def start(self, worker: int, step: Step) -> None:
        """A worker has been given a step."""
        self.doing[worker] = (step, 0.0, "starts")
        self._show()

    def advance(self, worker: int, at: int, of: int, numbers: dict[str, Any]) -> None:
        """A worker has said how far it is."""
        step, _, _ = self.doing[worker]
        words = [f"{at}/{of}"] if of > 1 else []
        words += [f"{name} {value:.3g}" if isinstance(value, float) else f"{value}" for name, value in numbers.items()]
        self.doing[worker] = (step, min(1.0, at / max(1, of)), " ".join(words[:4]))
        self._show()

    def close(self, worker: int, step: Step, seconds: float, words: str) -> None:
        """A step has ended, well or not."""
        self.doing.pop(worker, None)
        self.closed.add(step.name)
        if not words.startswith("failed"):
            expected, took = self.spent.get(step.kind, (0.0, 0.0))
            self.spent[step.kind] = (expected + step.seconds, took + seconds)
        self.say(f"{step.name}: {words} ({_clock(seconds)})")
        self._show()

    def skip(self, names: Sequence[str]) -> None:
        """Steps will not be run."""
        self.closed.update(names)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self.drawn:
            tqdm.write(text, file=self.stream)
        else:
            print(f"[{_clock(time.monotonic() - self.began)}] {text}", file=self.stream, flush=True)
            self.spoken = time.monotonic()

    def end(self) -> None:
        """Take the bars away."""
        for bar in [*self.lines, self.overall] if self.drawn else []:
            bar.close()

    def left(self) -> tuple[float, float]:
        """Return the share of the work that is done and about how many seconds are left."""
        parts = {step.name: done for step, done, _ in self.doing.values()}
        total = done = 0.0
        longest = 0.0
        for step in self.steps:
            expected, took = self.spent.get(step.kind, (1.0, 1.0))
            seconds = step.seconds * (took / expected if expected else 1.0)
            share = 1.0 if step.name in self.closed else parts.get(step.name, 0.0)
            total, done = total + seconds, done + seconds * share
            longest = max(longest, seconds * (1 - share))
        return (done / total if total else 1.0), max(longest, (total - done) / self.workers)

    def _show(self) -> None:
        share, seconds = self.left()
        if self.drawn:
            self.overall.n = round(100 * share, 1)
            self.overall.set_description_str(f"{_clock(time.monotonic() - self.began)}, about {_clock(seconds)} left")
            for place, line in enumerate(self.lines):
                width = shutil.get_terminal_size().columns - 3  # a wrapped line would break the bars below it
                line.set_description_str((self._line(place) or "waits")[:width])
        elif time.monotonic() - self.spoken >= PAUSE:
            words = " | ".join(filter(None, (self._line(place) for place in range(self.workers))))
            self.say(f"{100 * share:.0f} %, about {_clock(seconds)} left: {words}")

    def _line(self, worker: int) -> str:
        if worker not in self.doing:
            return ""
        step, _, words = self.doing[worker]
        return f"{step.name} {words}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
