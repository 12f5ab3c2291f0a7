"""Exact duplicates in bounded memory: digests are dealt to files by their value, and each file is sorted by itself.

    digests of all documents ─ value % files ─▶ file 0 … file n ─ sort ─▶ numbers of all but the first of each

Equal digests fall into the same file, so nothing is missed, however many documents there are.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import UInt64

from corpora import catalogue

LIMIT = 1 << 20
"""Documents of one file, about; 60 MB while they are sorted."""
_ENTRY = np.dtype([("digest", "<u8", 2), ("number", "<u8")])


def mark(path: Path) -> None:
    """Mark the documents of a catalogue that have stood before."""
    total = path.stat().st_size // catalogue.ROW.itemsize
    files = -(-total // LIMIT) or 1
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="duplicates-") as folder:
        for first, rows in catalogue.pieces(path):
            entries = np.empty(len(rows), dtype=_ENTRY)
            entries["digest"], entries["number"] = rows["digest"], np.arange(first, first + len(rows))
            where = entries["digest"][:, 0] % np.uint64(files)
            for number in range(files):
                with Path(folder, str(number)).open("ab") as file:
                    file.write(entries[where == number].data)
        for number in range(files):
            entries = np.fromfile(Path(folder, str(number)), dtype=_ENTRY) if total else np.empty(0, dtype=_ENTRY)
            catalogue.set_mark(path, repeated(entries["digest"], entries["number"]), catalogue.DUPLICATE)


def repeated(
    digests: UInt64[np.ndarray, "documents 2"], numbers: UInt64[np.ndarray, " documents"]
) -> UInt64[np.ndarray, " repeated"]:
    """Return the numbers, ascending, of documents whose digest stands before them."""
    order = np.lexsort((numbers, digests[:, 1], digests[:, 0]))
    ordered = digests[order]
    again = np.flatnonzero((ordered[1:] == ordered[:-1]).all(axis=1)) + 1
    return np.sort(numbers[order[again]])
