"""The protocol of a strategy: tasks come one after another, and each leaves a predictor behind.

``learn`` yields one predictor per stage of learning. A predictor answers for every task learned so far, so that
what a later task does to an earlier one can be read off; it is valid until the next one is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from foundation.keys import Keys

if TYPE_CHECKING:
    from finetune.checkpoint import Checkpoint
    from finetune.tasks import Examples, Task

Progress = Callable[[int, int, dict[str, Any]], None]
"""Called with the steps done, the steps in all, and what can be shown beside them."""


def silent(step: int, steps: int, shown: dict[str, Any]) -> None:
    """Show no progress."""


class Predictor(Protocol):
    """What has been learned so far; how it was chosen; how many texts were cut to the positions of the model."""

    rate: float
    tried: dict[float, float]
    parameters_trained: int
    truncated: int

    def predict(self, task: Task, examples: Examples) -> list[str]:
        """Return one class or one answer for each example."""
        ...


@runtime_checkable
class Strategy(Protocol):
    """One way of adapting a checkpoint: a frozen dataclass of numbers."""

    def learn(
        self, checkpoint: Checkpoint, tasks: Sequence[Task], key: Keys, progress: Progress = silent
    ) -> Iterator[Predictor]:
        """Learn the tasks in their order and yield a predictor after each."""
        ...
