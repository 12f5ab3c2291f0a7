"""The log of a run: metrics.jsonl and the trackers always, a bar on a terminal, about ten plain lines elsewhere.

A record has the step, the corpus tokens and the seconds behind it (evaluations and checkpoints included). Speed is
that of the last steps alone, without what happens between them; MFU is the share of the machine's peak that the
model's own arithmetic takes up (Chowdhery et al. 2022, appendix B).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foundation import durable
from pretrain.tracking import Trackers

Progress = Callable[[int, int, dict[str, float]], None]

_LINES = 10
_RECORDS = 200
_WINDOW = 32
_BAR = "{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} steps{postfix}"


class Log:
    """Writes the records of a run, on its main process only."""

    def __init__(
        self,
        folder: Path,
        steps: int,
        tokens_at: Callable[[int], int],
        done: dict[str, Any],
        progress: Progress | None,
        main: bool,
        trackers: Trackers | None = None,
    ):
        """Open the log; `tokens_at` gives the tokens behind so many steps."""
        self.path = folder / "metrics.jsonl"
        self.steps, self.tokens_at, self.main, self.progress = steps, tokens_at, main, progress
        self.used, self.trackers = 0.0, trackers
        """The share of the machine's peak that one token per second takes; 0 while it is not known."""
        self.first, self.every = done.get("step", 0), max(1, steps // _RECORDS)
        self.bar: Any = None
        now = time.perf_counter()
        self.began, self.paused = now - done.get("seconds", 0.0), 0.0
        self.window: deque[tuple[float, int]] = deque([(now, tokens_at(self.first))], maxlen=_WINDOW)
        self.speed = 0.0
        if main:
            self._cut(self.first)
            if progress is None and sys.stderr.isatty():
                from tqdm import tqdm

                wide = None if _columns() else 100  # a terminal that does not say is taken to be so wide
                self.bar = tqdm(total=steps, initial=self.first, bar_format=_BAR, ncols=wide, dynamic_ncols=not wide)

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those before an interruption included."""
        return time.perf_counter() - self.began

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Keep what is done inside out of the speed; a pause inside a pause is part of it."""
        began, before = time.perf_counter(), self.paused
        yield
        self.paused = before + time.perf_counter() - began

    def _cut(self, step: int) -> None:
        """Drop the records behind the checkpoint that the run goes on from."""
        records = [record for record in durable.read_json_lines(self.path) if record["step"] <= step]
        durable.write_text(self.path, "".join(json.dumps(record) + "\n" for record in records))

    def step(self, done: int, losses: dict[str, float], rate: float) -> None:
        """Record the losses of a step (every 1/200 of the run), and show them."""
        if not self.main:
            return
        self._measure(done)
        if done % self.every == 0 or done == self.steps:
            shown = {f"loss/{role}": loss for role, loss in losses.items()}
            found = {"tokens_per_second": round(self.speed, 1), **({"mfu": round(self.mfu, 4)} if self.used else {})}
            self.record(done, {**shown, "rate": rate, **found})
        if self.progress is not None:
            self.progress(done, self.steps, losses)
        elif self.bar is not None:
            self.bar.update(1)
            self.bar.set_postfix_str(self._state(done, losses), refresh=False)
        elif done % -(-self.steps // _LINES) == 0 or done == self.steps:
            print(f"step {done:,}/{self.steps:,}  {self._state(done, losses)}", flush=True)

    @property
    def mfu(self) -> float:
        """The share of the machine's peak that the last steps' arithmetic took up; 0 where the peak is not known."""
        return self.used * self.speed

    def _measure(self, done: int) -> None:
        """Take the speed over the last steps; the first one, which also warms up, counts only until the next."""
        now, tokens = time.perf_counter() - self.paused, self.tokens_at(done)
        began, before = self.window[0]
        self.speed = (tokens - before) / max(1e-9, now - began)
        if done == self.first + 1:
            self.window.clear()
        self.window.append((now, tokens))

    def _state(self, done: int, losses: dict[str, float]) -> str:
        words = ", ".join(f"{role} {loss:.3f}" for role, loss in losses.items())
        used = f"  MFU {self.mfu:.0%}" if self.used else ""
        left = (self.tokens_at(self.steps) - self.tokens_at(done)) / max(1e-9, self.speed)
        ahead = f"  {duration(left)} left" if done < self.steps else f"  {duration(self.seconds)} in all"
        return f"{words}  {self.speed:,.0f} tokens/s{used}{ahead}"

    def say(self, line: str) -> None:
        """Show a line, above the bar where there is one; whoever follows the progress himself sees none."""
        if not self.main or self.progress is not None:
            return
        if self.bar is None:
            print(line, flush=True)
        else:
            self.bar.write(line)

    def record(self, done: int, values: dict[str, Any]) -> None:
        """Append a record of a step, and give it to the trackers."""
        if not self.main:
            return
        behind = {"tokens": self.tokens_at(done), "seconds": round(self.seconds, 3)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": done, **behind, **values}) + "\n")
        if self.trackers is not None:
            with self.pause():
                self.trackers.log(done, {**behind, **values})

    def close(self) -> None:
        """Leave the terminal as it was, and let the trackers write what they hold."""
        if self.bar is not None:
            self.bar.close()
        if self.trackers is not None:
            self.trackers.close()


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:
        return 0


def duration(seconds: float) -> str:
    """Return a length of time in the two units that say most: 42 s, 3 min 05 s, 2 h 40 min, 4 d 3 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole // 60 % 60:02} min"
    return f"{whole // 86_400} d {whole // 3600 % 24} h"
