"""Processes that encode: each takes pickled texts from its standard input and gives their ids back on its output.

They are started by name (``python -m corpora.workers``), so nothing of the process that asks is copied or imported
again, and a script needs no guard around its main part. When that process ends, however it ends, their input ends, and
so do they.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from corpora.encoding import Encoded, Encoder
from corpora.memo import LIMIT
from corpora.vocabulary import Vocabulary
from foundation.refusal import Refusal, RunFailed

Job = TypeVar("Job")
Texts = Sequence[Sequence[str]]
_REMEMBERED = 1 << 20  # pieces of text in all processes together, about 240 MB, while these are not too many
_AHEAD = 2  # jobs that a process has beside the one that it is at


class Pool:
    """Encoders in processes of their own, or in this one if it is to be only one."""

    def __init__(self, folder: Path, sentences: str, processes: int) -> None:
        self.processes = processes
        if processes == 1:
            self.encoder = Encoder(Vocabulary.open(folder), sentences)
            return
        self.free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self.started = [
            _start(folder, sentences, max(1 << 16, min(LIMIT, _REMEMBERED // processes))) for _ in range(processes)
        ]
        for worker in self.started:
            self.free.put(worker)
        self.threads = ThreadPoolExecutor(processes)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        if self.processes > 1:
            for worker in self.started:
                worker.kill()
            self.threads.shutdown(cancel_futures=True)
            for worker in self.started:
                worker.communicate()

    def map(self, jobs: Iterable[tuple[Job, Texts]]) -> Iterator[tuple[Job, list[Encoded | None]]]:
        """Yield each job with its texts encoded, in the order of the jobs; a few are read ahead.

        Raises:
            RunFailed: if a process dies.
        """
        if self.processes == 1:
            yield from ((job, _encoded(self.encoder, texts)) for job, texts in jobs)
            return
        waiting: deque[tuple[Job, Future[list[Encoded | None]]]] = deque()
        for job, texts in jobs:
            waiting.append((job, self.threads.submit(self._ask, texts)))
            if len(waiting) > self.processes * _AHEAD:
                yield _finished(waiting)
        while waiting:
            yield _finished(waiting)

    def _ask(self, texts: Texts) -> list[Encoded | None]:
        worker = self.free.get()
        try:
            assert worker.stdin is not None
            assert worker.stdout is not None
            pickle.dump(texts, worker.stdin, pickle.HIGHEST_PROTOCOL)
            worker.stdin.flush()
            found = pickle.load(worker.stdout)  # noqa: S301  # from a process of our own
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise RunFailed(f"a process that encodes has died (exit code {worker.wait()})", _REMEDY) from error
        finally:
            self.free.put(worker)
        if isinstance(found, Refusal):
            raise found
        return found


def _encoded(encoder: Encoder, texts: Texts) -> list[Encoded | None]:
    return [encoder(own) if own else None for own in texts]


_REMEDY = "out of memory? the same command continues, also with fewer --processes"


def _finished(waiting: deque[tuple[Job, Future[list[Encoded | None]]]]) -> tuple[Job, list[Encoded | None]]:
    job, future = waiting.popleft()
    return job, future.result()


def _start(folder: Path, sentences: str, remember: int) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(dict.fromkeys(entry or os.getcwd() for entry in sys.path))
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-m", "corpora.workers", str(folder), sentences, str(remember)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **one, "PYTHONPATH": path, "TOKENIZERS_PARALLELISM": "false"},
    )


def main(folder: str, sentences: str, remember: str) -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first decides
    asked, told = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not stand among the answers
    try:
        encoder = Encoder(Vocabulary.open(Path(folder)), sentences, int(remember))
        while True:
            texts = pickle.load(asked)  # noqa: S301
            try:
                found: Any = _encoded(encoder, texts)
            except Refusal as refusal:
                found = refusal
            pickle.dump(found, told, pickle.HIGHEST_PROTOCOL)
            told.flush()
    except (EOFError, BrokenPipeError):
        os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
