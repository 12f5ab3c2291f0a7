"""Steps for the runner's tests: they are named in the tests and done by real worker processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from foundation.refusal import BadData
from tournament.workers import Progress

Values = dict[str, Any]


def write(request: Values, needs: dict[str, Values], out: Path, progress: Progress) -> Values:
    """Write a file that holds the numbers of the needs and one's own."""
    for at in range(request.get("turns", 1)):
        progress(at + 1, request.get("turns", 1), {"loss": 1.0 / (at + 1)})
        time.sleep(request.get("sleep", 0.0))
    total = request["number"] + sum(record["total"] for record in needs.values())
    path = out / request["file"]
    path.write_text(f"{total}", encoding="utf-8")
    with (out / "order.txt").open("a", encoding="utf-8") as file:
        file.write(f"{request['file']}\n")
    return {"total": total, "file": request["file"], "identity": f"{total}", "process": os.getpid()}


def whole(record: Values, out: Path) -> str:
    """Say whether the file is still there with its number."""
    path = out / record["file"]
    right = path.is_file() and path.read_text(encoding="utf-8") == record["identity"]
    return "" if right else f"{record['file']} is gone or changed"


def refuse(request: Values, needs: dict[str, Values], out: Path, progress: Progress) -> Values:
    """Refuse as a room refuses."""
    raise BadData("the corpus is empty", "give a longer one")


def stumble(request: Values, needs: dict[str, Values], out: Path, progress: Progress) -> Values:
    """Fail as a bug fails."""
    print("some words before the fall", file=sys.stderr)
    raise ZeroDivisionError("by zero")


def die(request: Values, needs: dict[str, Values], out: Path, progress: Progress) -> Values:
    """Be killed as the kernel kills for want of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return {}
