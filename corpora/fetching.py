"""Texts of a plan, fetched from the sources by their numbers: read on where numbers ascend, opened anew where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpora import catalogue, planning
from corpora.documents import Source, cut
from corpora.store import PARTS
from corpora.survey import CATALOGUE, first_numbers, offsets
from foundation.refusal import RunFailed

BATCH = 2_000_000
"""Characters of a batch: in half of it fewer of the words stand twice, in twice of it more memory is taken."""
_ROWS = 1 << 12


@dataclass
class _Reader:
    texts: Iterator[tuple[str, int]]
    at: int
    end: int


@dataclass
class Batch:
    """Texts of one shard, by part."""

    shard: int
    texts: tuple[list[str], ...]
    words: list[int]
    """By part, as the survey has counted them."""
    bytes: int = 0
    last: bool = False


class Fetch:
    """The texts of the shards that a survey has planned."""

    def __init__(self, told: dict[str, Any], sources: Sequence[Source], seed: int, folder: Path) -> None:
        self.plan, self.sources, self.seed = told["plan"], sources, seed
        self.folder = folder
        self.firsts = np.array([*first_numbers(told), told["rows"]])
        self.offsets = offsets(told)
        self.cuts = dict(self.plan["cuts"])
        self.readers: dict[int, _Reader] = {}

    def shards(self, numbers: Sequence[int]) -> Iterator[Batch]:
        """Yield the texts of shards in batches of about BATCH characters.

        Raises:
            RunFailed: if a text is not the one that was surveyed.
        """
        for shard in numbers:
            batch, size = _begun(shard), 0
            for text, words, apart in self._texts(*self.plan["shards"][shard : shard + 2]):
                if size >= BATCH:
                    yield batch
                    batch, size = _begun(shard), 0
                batch.texts[apart].append(text)
                batch.words[apart] += words
                batch.bytes += len(text) if text.isascii() else len(text.encode())
                size += len(text)
            batch.last = True
            yield batch

    def _texts(self, begin: int, end: int) -> Iterator[tuple[str, int, bool]]:
        for first in range(begin, end, _ROWS):
            numbers = planning.order(self.folder)[first : min(end, first + _ROWS)].astype(np.int64)
            rows = catalogue.rows(self.folder / CATALOGUE)[numbers]
            apart = catalogue.draws(self.seed, "held-out", rows["digest"]) < self.plan["held_out"]
            found = zip(
                numbers.tolist(),
                rows["place"].tolist(),
                rows["words"].tolist(),
                rows["digest"],
                apart.tolist(),
                strict=True,
            )
            for place, (number, at, words, digest, held) in enumerate(found, start=first):
                text = self._text(number, at)
                if catalogue.digest(text.encode()) != digest.tobytes():
                    raise changed()
                if place in self.cuts:
                    words = self.cuts[place]
                    text = cut(text, words)
                yield text, words, held

    def _text(self, number: int, place: int) -> str:
        source = int(np.searchsorted(self.firsts, number, side="right")) - 1
        argument = int(np.searchsorted(self.offsets, source, side="right")) - 1
        reader = self.readers.get(argument)
        if reader is None or not reader.at <= number < reader.end:
            texts = self.sources[source].read(place)
            reader = self.readers[argument] = _Reader(texts, number, int(self.firsts[source + 1]))
        while True:
            text = next(reader.texts, (None, 0))[0]
            if text is None:
                raise changed()
            if text:
                reader.at += 1
                if reader.at > number:
                    return text


def _begun(shard: int) -> Batch:
    return Batch(shard, tuple([] for _ in PARTS), [0 for _ in PARTS])


def changed() -> RunFailed:
    """Return the refusal of sources that no longer are what they were."""
    return RunFailed("the sources have changed while they were read", "build again")
