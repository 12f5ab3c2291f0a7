"""Trackers: what Accelerate can send a run's numbers to, beside metrics.jsonl.

A tracker never decides about a run: whatever it raises becomes one warning line, and it is off from then on. A run
that goes on after an interruption goes on in the same tracker run: ``RUN/trackers.json`` keeps an id, and what a
tracker has named its run itself. Steps between the checkpoint and the interruption are sent again; they are the same
numbers, because a continued run is the same run.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation import durable, request
from foundation.refusal import BadUsage, unknown

NONE = "none"
PROJECT = "pretraining"
_FILE = "trackers.json"


@dataclass(frozen=True)
class Known:
    """How a tracker of Accelerate is begun so that it can be gone on with."""

    package: str
    """What has to be installed."""
    arguments: Callable[[dict[str, Any], Path, int], dict[str, Any]]
    """(its memory, the run's folder, steps done) → what its class is given."""
    named: Callable[[Any], str] | None = None
    """The name that a begun tracker has given to its run, where it takes none from us."""
    project: str = PROJECT
    """The project of its runs; of TensorBoard, the folder inside RUN."""


TRACKERS: dict[str, Known] = {
    "tensorboard": Known(
        "tensorboard",  # events behind the checkpoint are hidden
        lambda memory, run, done: {"logging_dir": str(run), **({"purge_step": done + 1} if done else {})},
        project="tensorboard",
    ),
    "wandb": Known(
        "wandb",
        lambda memory, run, done: {"id": memory["id"], "resume": "allow", "name": run.name, "dir": str(run)},
    ),
    "trackio": Known("trackio", lambda memory, run, done: {"name": f"{run.name}-{memory['id']}", "resume": "allow"}),
    "mlflow": Known(
        "mlflow",
        lambda memory, run, done: {"run_id": memory.get("named"), "run_name": run.name},
        lambda tracker: tracker.tracker.info.run_id,
    ),
    "swanlab": Known(
        "swanlab",
        lambda memory, run, done: {"id": memory["id"], "resume": "allow", "experiment_name": run.name},
    ),
    "comet_ml": Known(
        "comet_ml", lambda memory, run, done: {"experiment_key": memory["id"] * 2, "mode": "get_or_create"}
    ),
    "aim": Known(
        "aim",
        lambda memory, run, done: {"logging_dir": str(run), "run_hash": memory.get("named")},
        lambda tracker: tracker.tracker.hash,
    ),
    "clearml": Known(
        "clearml",
        lambda memory, run, done: {"continue_last_task": memory["named"]} if "named" in memory else {},
        lambda tracker: tracker.tracker.id,
    ),
    "dvclive": Known("dvclive", lambda memory, run, done: {"dir": str(run / "dvclive"), "resume": True}),
}
"""The trackers of Accelerate by name."""


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """Return the trackers that are asked for; without a name, TensorBoard where it is installed.

    Raises:
        BadUsage: for a name that is none, or a tracker that is not installed.
    """
    if not names:
        return ("tensorboard",) if _installed("tensorboard") else ()
    if NONE in names:
        if len(names) > 1:
            raise BadUsage(f"--track {' '.join(names)}: {NONE} stands alone", f"leave out {NONE}, or the others")
        return ()
    for name in dict.fromkeys(names):
        if ":" in name:
            _own(name)
        elif name not in TRACKERS:
            raise unknown("tracker", name, [*TRACKERS, NONE])
        elif not _installed(TRACKERS[name].package):
            raise BadUsage(f"--track {name}: {name} is not installed", f"pip install {TRACKERS[name].package}")
    return tuple(dict.fromkeys(names))


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _own(name: str) -> Any:
    """Return the user's own tracker class, module:Class."""
    try:
        return request.load(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadUsage(f"--track {name}: {error}", "give MODULE:CLASS importable from here") from error


class Trackers:
    """The trackers of one run, on its main process; they begin when there is something to log."""

    def __init__(self, run: Path, names: Sequence[str], config: dict[str, Any], done: int) -> None:
        """Remember what to begin, or behind `done` > 0 steps to go on with; `config` is shown beside a run."""
        self.run, self.names, self.config, self.done = run, list(names), config, done
        self.live: dict[str, Any] = {}

    def begin(self) -> None:
        """Begin the trackers that have not begun; TensorBoard alone takes more than a second to import."""
        if not self.names:
            return
        path = self.run / _FILE
        memory: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            memory = json.loads(path.read_text(encoding="utf-8"))
        for name in self.names:
            fresh = name not in memory
            mine = memory.setdefault(name, {"id": secrets.token_hex(10)})
            self._safely(name, lambda name=name, mine=mine: self._begin(name, mine))
            if fresh and name in self.live:
                self._safely(name, lambda name=name: _introduce(name, self.live[name], self.config))
        self.names = []
        self.run.mkdir(parents=True, exist_ok=True)
        durable.write_json(path, memory)

    def _begin(self, name: str, mine: dict[str, Any]) -> None:
        from accelerate import tracking

        if name in TRACKERS:
            known = TRACKERS[name]
            kind = tracking.LOGGER_TYPE_TO_CLASS[name]
            tracker = kind(known.project, **known.arguments(mine, self.run, self.done))
        else:
            known, tracker = None, _own(name)(PROJECT)
        tracker.start()
        if known is not None and known.named is not None:
            mine["named"] = known.named(tracker)
        self.live[name] = tracker

    def log(self, step: int, values: dict[str, Any]) -> None:
        """Send the numbers of a step; those in a dictionary are named after it, ``held_out/tokens``."""
        self.begin()
        if self.live:
            numbers = flat(values)
            for name, tracker in list(self.live.items()):
                self._safely(name, lambda tracker=tracker: tracker.log(numbers, step=step))

    def close(self) -> None:
        """Let the trackers write what they hold."""
        for name, tracker in list(self.live.items()):
            self._safely(name, tracker.finish)
        self.live.clear()

    def _safely(self, name: str, does: Callable[[], Any]) -> None:
        """Do it; if it fails, say so in one line and leave the tracker off from then on."""
        try:
            does()
        except Exception as error:  # whatever a tracker raises, the run goes on
            self.live.pop(name, None)
            said = " ".join(str(error).split()) or type(error).__name__
            line = f"pretrain: the tracker {name} is off, training goes on: {type(error).__name__}: {said:.200}"
            print(line, file=sys.stderr, flush=True)


def _introduce(name: str, tracker: Any, config: dict[str, Any]) -> None:
    """Show what the run is. TensorBoard gets a text: its own table of settings would open a second run."""
    if name == "tensorboard":
        tracker.log({"run": "\n".join(f"    {key}: {value}" for key, value in config.items())}, step=0)
    else:
        tracker.store_init_configuration(config)


def flat(values: dict[str, Any], *, every: bool = False) -> dict[str, Any]:
    """Return the numbers of nested dictionaries under names joined by slashes; with `every`, texts and the like too."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= {f"{key}/{inner}": number for inner, number in flat(value, every=every).items()}
        elif isinstance(value, (int, float)):
            found[key] = value
        elif every:
            found[key] = None if value is None else str(value)
    return found
