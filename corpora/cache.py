"""The folder in which what was costly to make is kept between runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "PRETRAINING_OBJECTIVES_CACHE"


def cache_folder() -> Path:
    """Return $PRETRAINING_OBJECTIVES_CACHE, or ~/.cache/pretraining-objectives; nothing is created."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given else Path.home() / ".cache" / "pretraining-objectives"


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process at a time make `path`; the others wait, and should then look whether it is there.

    The ranks of one training ask for the same corpus at once. The system takes the lock back from a process that
    dies. Where there are no such locks, or nothing can be written, the work is merely done more than once.
    """
    try:
        import fcntl

        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            os.close(handle)
            raise
    except (ImportError, OSError):
        yield
        return
    try:
        yield
    finally:
        os.close(handle)
