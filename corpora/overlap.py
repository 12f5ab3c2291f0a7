"""Overlap with evaluation files: 13 words in a row that both have (Brown et al. 2020, appendix C).

Words are runs of letters and digits in small letters; punctuation and white space do not count. A text of fewer than
13 words has no such run and overlaps with nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt64

from corpora.documents import Reading
from corpora.sources import sources

WIDTH = 13
_WORD = re.compile(r"\w+")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def runs(text: str) -> UInt64[np.ndarray, " runs"]:
    """Return a hash of each run of 13 words; it holds within this process, as Python's hash of a word does."""
    words = _WORD.findall(text.lower())
    if len(words) < WIDTH:
        return np.empty(0, dtype=np.uint64)
    hashed = np.fromiter(map(hash, words), dtype=np.int64, count=len(words)).view(np.uint64)
    found = np.zeros(len(words) - WIDTH + 1, dtype=np.uint64)
    for place in range(WIDTH):
        found = found * _FACTOR + hashed[place : place + len(found)]
    return found


class Against:
    """The runs of evaluation files, and which of them have been met."""

    def __init__(self, paths: Sequence[Path], reading: Reading, spool: Path) -> None:
        texts = {str(path): sources([str(path)], reading, spool) for path in paths}
        self.identity = {source.name: source.identity() for found in texts.values() for source in found}
        self.files = {
            name: np.unique(np.concatenate([runs(text) for source in found for text, _ in source.read()] or [_NONE]))
            for name, found in texts.items()
        }
        self.runs = np.unique(np.concatenate([*self.files.values(), _NONE]))
        self.met = np.zeros(len(self.runs), dtype=bool)

    def meets(self, text: str) -> bool:
        """Say whether a text has a run of one of the files, and remember which."""
        if not len(self.runs):
            return False
        found = runs(text)
        places = np.searchsorted(self.runs, found)
        places[places == len(self.runs)] = 0
        hits = places[self.runs[places] == found]
        self.met[hits] = True
        return len(hits) > 0

    def report(self) -> dict[str, dict[str, int]]:
        """Return for each file how many different runs it has, and how many of them were met."""
        return {
            name: {"runs": len(own), "met": int(self.met[np.searchsorted(self.runs, own)].sum())}
            for name, own in self.files.items()
        }


_NONE = np.empty(0, dtype=np.uint64)
