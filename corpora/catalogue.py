"""The catalogue of a build: a row on disk for each document that is not empty, in the order of the sources.

    number   digest      place   words   bytes   mark
    0        9f31…       0       812     4,711   kept
    1        07aa…       4,713   12      70      OVERLAP
    2        9f31…       4,785   812     4,711   DUPLICATE

Memory never grows with it: it is written in pieces and looked at in pieces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt64

from foundation import keys

ROW = np.dtype([("digest", "<u8", 2), ("place", "<u8"), ("words", "<u4"), ("bytes", "<u4"), ("mark", "u1")])
DUPLICATE, OVERLAP = 1, 2
PIECE = 1 << 18  # rows looked at together
_MAPPED = 1 << 14


def digest(data: bytes) -> bytes:
    """Return the 128 bits by which a document is known; equal texts are equal documents."""
    return hashlib.blake2b(data, digest_size=16).digest()


def draws(seed: int, name: str, digests: UInt64[np.ndarray, "documents 2"]) -> Float64[np.ndarray, " documents"]:
    """Return one number in [0, 1) for each document, looked up by its content."""
    return keys.uniform(keys.fold(seed, name, digests[:, 0]), 1)[:, 0]


def rows(path: Path) -> np.ndarray:
    """Return the rows of a catalogue, mapped and not loaded; what was looked at stays in memory until it is dropped."""
    return np.memmap(path, dtype=ROW, mode="r") if path.stat().st_size else np.empty(0, dtype=ROW)


def pieces(path: Path, begin: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rows from number `begin` on in pieces, each with the number of its first row."""
    with path.open("rb") as file:
        file.seek(begin * ROW.itemsize)
        while len(data := file.read(PIECE * ROW.itemsize)):
            found = np.frombuffer(data, dtype=ROW)
            yield begin, found
            begin += len(found)


def set_mark(path: Path, numbers: UInt64[np.ndarray, " documents"], mark: int) -> None:
    """Add a mark to documents, whose numbers ascend."""
    for begin in range(0, len(numbers), _MAPPED):  # mapped anew each time, or the whole file would stay in memory
        found = np.memmap(path, dtype=ROW, mode="r+")
        found["mark"][numbers[begin : begin + _MAPPED]] |= mark
        found.flush()
