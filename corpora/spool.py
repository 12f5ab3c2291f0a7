"""Copies of what can be read only once: a pipe, standard input. A copy is whole or absent."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpora.documents import Reading
from corpora.streams import BLOCK, unreadable
from corpora.texts import TextFile
from foundation import durable
from foundation.refusal import RunFailed


@dataclass(frozen=True)
class Once(TextFile):
    """The text of what could be read once, in its copy."""

    def identity(self) -> dict[str, Any]:
        """Return the digest of the text: its time says nothing."""
        return {"bytes": self.path.stat().st_size, "sha256": durable.sha256(self.path)}


def once(name: str, reading: Reading, folder: Path) -> Once:
    """Return the source of a pipe, or of standard input for "-"; a whole copy in the folder is taken instead.

    Raises:
        BadData: if it cannot be read.
        RunFailed: if the copy cannot be written.
    """
    label = "standard input" if name == "-" else name
    path = folder / f"once-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    if path.exists():
        print(f"{label}: its copy is read, {path}; delete it to read anew", file=sys.stderr)
    else:
        write(path, _pieces(label, name))
    return Once(label, path, reading)


def write(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a copy, whole or not at all.

    Raises:
        RunFailed: if the disk does not take it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_bytes(path, pieces)
    except OSError as error:
        raise RunFailed(f"{path}: {error.strerror or error}", "nothing of it is left there") from error


def _pieces(label: str, name: str) -> Iterator[bytes]:
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as file:
            while piece := file.read(BLOCK):
                yield piece
    except OSError as error:
        raise unreadable(label, error) from error
