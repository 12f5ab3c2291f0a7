"""The runner: takes the steps of a plan through worker processes, resumes, records, and never hides a failure.

The parent holds the schedule and is the only one who writes results; it imports neither torch nor transformers.
The same command continues: a step whose record still stands is not run again, a failed one is tried again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import signal
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from foundation import durable
from foundation.refusal import BadUsage, RunFailed
from tournament import results
from tournament.progress import Board
from tournament.schedule import Schedule, Step
from tournament.workers import Worker


def freeze(out: Path, plan: dict[str, Any], free: Sequence[str]) -> None:
    """Write OUT/plan.json, or compare the plan with the one there; the fields in `free` may change.

    Raises:
        BadUsage: showing the fields in which the plans differ.
    """
    path = out / "plan.json"
    out.mkdir(parents=True, exist_ok=True)
    if path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BadUsage(f"{path} is damaged: {error}", "give another --out") from error
        changed = [line for name in {**before, **plan} if name not in free for line in differing(name, before, plan)]
        if changed:
            what = f"{out} holds the results of another plan:\n  " + "\n  ".join(changed)
            raise BadUsage(what, "give another --out, or undo the change")
    durable.write_json(path, plan)


def differing(name: str, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the lines that show how a field differs, down to the innermost name; none if it does not."""
    old, new = before.get(name), after.get(name)
    if old == new:
        return []
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = ({str(place): item for place, item in enumerate(side)} for side in (old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        return [f"{name}.{line}" for key in {**old, **new} for line in differing(key, old, new)]
    return [f"{name}: there {json.dumps(old, ensure_ascii=False)}, here {json.dumps(new, ensure_ascii=False)}"]


def run(steps: Sequence[Step], out: Path, *, workers: int, threads: int) -> dict[str, str]:
    """Run the steps that are left; return those that failed or were skipped for it, with the reason."""
    with _alone(out), _stoppable():
        records = results.latest(out)
        stand, fell = results.standing(steps, records, out)
        schedule = Schedule(steps, stand)
        board = Board(steps, stand, workers)
        try:
            for name, reason in fell.items():
                board.say(f"{name}: again, because {reason}")
            if stand:
                board.say(f"{len(stand)} of {len(steps)} steps stand from before and are not run again")
            if schedule.left:
                _Runner(schedule, board, records, out, workers, threads).run()
        except KeyboardInterrupt:
            board.say("stopped; the same command continues")
            raise
        finally:
            board.end()
    failed = {name: str(records[name].get("error", "")) for name in schedule.failed}
    return failed | {name: f"needs {cause}, which failed" for name, cause in schedule.skipped.items()}


class _Runner:
    """Hands steps to workers and writes down what comes back."""

    def __init__(
        self, schedule: Schedule, board: Board, records: dict[str, Any], out: Path, workers: int, threads: int
    ) -> None:
        self.schedule, self.board, self.records = schedule, board, records
        self.out, self.threads = out, threads
        self.wanted = min(workers, len(schedule.left))
        self.workers: list[Worker] = []

    def run(self) -> None:
        try:
            self.workers = [self._worker(number) for number in range(self.wanted)]
            self._occupy()
            while self.schedule.running:
                busy = {worker.connection: worker for worker in self.workers if worker.step is not None}
                for ready in wait(list(busy), timeout=1.0):
                    self._hear(busy[ready])  # pyright: ignore[reportArgumentType]
        finally:
            for worker in self.workers:
                with contextlib.suppress(OSError):
                    if worker.step is not None:
                        worker.process.terminate()
            for worker in self.workers:
                worker.stop()

    def _worker(self, number: int) -> Worker:
        return Worker(number, self.out / "logs" / f"worker-{number}.log", self.threads)

    def _occupy(self) -> None:
        """Give every idle worker a step, if there is one."""
        for worker in self.workers:
            if worker.step is None and (step := self._take()) is not None:
                self.board.start(worker.number, step)
                worker.give(step, {name: self.records[name] for name in step.needs}, self.out)

    def _take(self) -> Step | None:
        """Return the next step that has to run, passing those that stand after all: their need came out as before."""
        while (step := self.schedule.take()) is not None:
            if results.reason(step, self.records, self.out):
                return step
            self.schedule.finish(step.name)
            self.board.skip([step.name])
        return None

    def _hear(self, worker: Worker) -> None:
        kind, *rest = worker.take()
        step = worker.step
        assert step is not None
        if kind == "progress":
            self.board.advance(worker.number, *rest)
            return
        wall = time.monotonic() - worker.began
        needs = {name: self.records[name] for name in step.needs}
        worker.step = None
        if kind == "finished":
            self._write(results.record_of(step, needs, "finished", wall, rest[0]))
            self.schedule.finish(step.name)
            self.board.close(worker.number, step, wall, str(rest[0].get("says", "finished")))
        else:
            error = {"error": rest[0], "trace": rest[1]}
            self._write(results.record_of(step, needs, "failed", wall, error))
            self.board.close(worker.number, step, wall, f"failed: {rest[0]}")
            self.board.skip(self.schedule.fail(step.name))
        if kind == "died":
            worker.stop()
            self.workers[worker.number] = self._worker(worker.number)
        self._occupy()

    def _write(self, record: dict[str, Any]) -> None:
        self.records[record["step"]] = record
        durable.append_json(self.out / results.FILE, record)


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the folder, so that a second tournament cannot write into it at the same time."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunFailed(
                f"another tournament is writing into {out}", "wait for it, or give another --out"
            ) from error
        yield


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Make SIGTERM what Ctrl-C is, so that both stop the workers; only the main thread may ask for it."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
