"""Worker processes: each imports once, does one step after another and says how far it is.

Parent and worker speak over one pipe each. The parent sends a step; the worker answers with any number of
``("progress", at, of, numbers)`` and one ``("finished", record)`` or ``("failed", message, trace)``. What the worker
prints goes to its log file, so that the progress bars of the parent stay whole.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from foundation import request
from foundation.memory import keep_pages
from foundation.refusal import Refusal
from tournament.schedule import Step

Progress = Callable[[int, int, dict[str, Any]], None]
PATIENCE = 10.0
"""Seconds that a worker is given to end on its own."""
_PAUSE = 0.2


class Worker:
    """One worker process as its parent sees it."""

    def __init__(self, number: int, log: Path, threads: int) -> None:
        self.number, self.log = number, log
        self.step: Step | None = None
        self.began = 0.0
        # spawned, not forked: a fork would copy the threads of libraries half-way through their work
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, log, threads), name=f"worker {number}")
        with _threads(threads):
            self.process.start()
        theirs.close()

    def give(self, step: Step, needs: dict[str, dict[str, Any]], out: Path) -> None:
        """Send a step, with the records of the steps it needs."""
        self.step, self.began = step, time.monotonic()
        self.connection.send((step, needs, out))

    def take(self) -> tuple[Any, ...]:
        """Return the next message; a worker that has died answers as if its step had failed."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join(PATIENCE)
            code = self.process.exitcode
            cause = "killed, perhaps for want of memory" if code == -signal.SIGKILL else f"exit code {code}"
            return ("died", f"the worker process ended ({cause}); its last words are in {self.log}", "")

    def stop(self) -> None:
        """End the process, gently first."""
        with contextlib.suppress(OSError):
            self.connection.close()
        if self.process.is_alive() and self.step is not None:
            self.process.terminate()
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@contextlib.contextmanager
def _threads(threads: int) -> Any:
    """Set the variables that OpenMP and BLAS read once, while a process that inherits them starts."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def serve(connection: Connection, log: Path, threads: int) -> None:
    """Do the steps that arrive until the parent closes the pipe (the main function of a worker)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that a step's own processes end too
    _write_to(log)
    keep_pages()
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    with contextlib.suppress(EOFError, OSError):
        while True:
            step, needs, out = connection.recv()
            connection.send(_do(step, needs, out, threads, _Reporter(connection)))


def _do(step: Step, needs: dict[str, Any], out: Path, threads: int, progress: Progress) -> tuple[Any, ...]:
    print(f"\n=== {step.name}", flush=True)
    try:
        action = request.load(step.action)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        return ("finished", action(step.request, needs, out, progress))
    except OSError as error:
        if isinstance(error, (BrokenPipeError, EOFError)):
            raise  # the parent has gone
        traceback.print_exc()
        return ("failed", f"{type(error).__name__}: {error}", traceback.format_exc())
    except Refusal as refusal:
        print(refusal, flush=True)
        return ("failed", str(refusal), "")
    except Exception as error:  # a step is anything: whatever goes wrong in it is that step's failure
        traceback.print_exc()
        return ("failed", f"{type(error).__name__}: {error}", traceback.format_exc())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


class _Reporter:
    """Sends progress to the parent, a few times a second at most."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.last = connection, 0.0

    def __call__(self, at: int, of: int, numbers: dict[str, Any]) -> None:
        now = time.monotonic()
        if now - self.last >= _PAUSE or at >= of:
            self.last = now
            self.connection.send(("progress", at, of, numbers))


def _write_to(log: Path) -> None:
    """Send everything this process and its children print to a file, C libraries included."""
    log.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
