"""The log of a run: metrics.jsonl always, a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foundation import durable

Progress = Callable[[int, int, dict[str, float]], None]


class Log:
    """Writes the records of a run, on its main process only."""

    def __init__(
        self,
        folder: Path,
        steps: int,
        tokens_per_step: int,
        done: dict[str, Any],
        progress: Progress | None,
        main: bool,
    ):
        self.path = folder / "metrics.jsonl"
        self.steps, self.tokens, self.main, self.progress = steps, tokens_per_step, main, progress
        self.began = time.perf_counter() - done.get("seconds", 0.0)
        self.first, self.every = done.get("step", 0), max(1, steps // 200)
        self.bar: Any = None
        self.told = time.perf_counter()
        if main:
            self._cut(done.get("step", 0))
            if progress is None and sys.stderr.isatty():
                from tqdm import tqdm

                self.bar = tqdm(total=steps, initial=self.first, unit="step", dynamic_ncols=True)

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those before an interruption included."""
        return time.perf_counter() - self.began

    def _cut(self, step: int) -> None:
        """Drop the records behind the checkpoint that the run goes on from."""
        records = [record for record in durable.read_json_lines(self.path) if record["step"] <= step]
        durable.write_text(self.path, "".join(json.dumps(record) + "\n" for record in records))

    def step(self, done: int, losses: dict[str, float], rate: float) -> None:
        """Record the losses of a step (every 1/200 of the run), and show them."""
        if not self.main:
            return
        shown = {f"loss/{role}": loss for role, loss in losses.items()}
        if done % self.every == 0 or done == self.steps:
            self.record(done, {**shown, "rate": rate})
        if self.progress is not None:
            self.progress(done, self.steps, losses)
        speed = (done - self.first) * self.tokens / max(1e-9, time.perf_counter() - self.told)
        words = ", ".join(f"{role} {loss:.3f}" for role, loss in losses.items())
        if self.bar is not None:
            self.bar.update(1)
            self.bar.set_postfix_str(words, refresh=False)
        elif self.progress is None and done % max(1, self.steps // 10) == 0:
            print(f"step {done}/{self.steps}  {words}  {speed:,.0f} tokens/s", flush=True)

    def record(self, done: int, values: dict[str, Any]) -> None:
        """Append a record of a step."""
        if self.main:
            line = {"step": done, "tokens": done * self.tokens, "seconds": round(self.seconds, 3), **values}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.close()
