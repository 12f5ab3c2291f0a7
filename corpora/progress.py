"""Progress of a long step: a bar on a terminal, one plain line at the end elsewhere. All of it on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType


class Progress:
    """Counts what is done between entering and leaving; nothing is printed for a step that took no time."""

    def __init__(self, label: str, total: int | None = None, unit: str = "") -> None:
        self.label, self.total, self.unit, self.done = label, total, unit, 0

    def __enter__(self) -> Progress:
        from tqdm import tqdm

        self.began = time.perf_counter()
        self.bar = tqdm(
            total=self.total, desc=self.label, unit=f" {self.unit}", unit_scale=True, mininterval=0.5, leave=False,
            disable=None, dynamic_ncols=True,
        )  # fmt: skip
        return self

    def add(self, count: int) -> None:
        """Count `count` more as done."""
        self.done += count
        self.bar.update(count)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
        seconds = time.perf_counter() - self.began
        if kind is None and (seconds >= 0.5 or not self.bar.disable):
            print(f"{self.label}: {self.done:,} {self.unit} in {seconds:.1f} s", file=sys.stderr, flush=True)
