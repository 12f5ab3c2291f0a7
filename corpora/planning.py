"""The plan of a corpus: the numbers of its documents in their order on disk, and where the shards are cut.

    catalogue   0 1 2 3 4 5 6 7        one source after the other, without what is left out, up to the budget
    order       0 1   3 4   6
    shards      0·1 3·4 6

With ``--weights`` the sources are woven: the next document is of the source that is furthest behind its share. A source
that ends too early begins again. Shards are cut after so many bytes of text: nothing else decides where.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from corpora import catalogue
from corpora.requests import Build
from corpora.survey import CATALOGUE, left_out
from foundation.refusal import BadData

ORDER = "order"
_COUNTS = ("documents", "words", "bytes", "duplicates", "overlapping", "kept", "kept_words")


def order(folder: Path) -> np.ndarray:
    """Return the numbers of the documents of the corpus in their order, mapped and not loaded."""
    path = folder / ORDER
    return np.memmap(path, dtype="<u8", mode="r") if path.stat().st_size else np.empty(0, dtype="<u8")


class Plan:
    """Made from the catalogue in a folder; the order is written beside it."""

    def __init__(self, request: Build, told: dict[str, Any], folder: Path) -> None:
        self.request, self.path, self.folder = request, folder / CATALOGUE, folder
        self.names = [argument["name"] for argument in told["arguments"]]
        self.bounds = np.array(
            [*(argument["firsts"][0] for argument in told["arguments"]), told["rows"]], dtype=np.int64
        )
        self.counted = self._counted()
        self.cuts: dict[int, int] = {}
        """Documents that are cut, by their place in the order, and how many of their words are left."""
        self.shards: list[int] = []
        """The place in the order at which each shard begins."""
        self.documents = self.words = self.bytes = 0
        self.shard = -1
        self.smallest = 1.0
        self.taken = np.zeros((2, len(self.names)), dtype=np.int64)

    def _counted(self) -> dict[str, Int64[np.ndarray, " arguments"]]:
        found = {name: np.zeros(len(self.names), dtype=np.int64) for name in _COUNTS}
        for first, rows in catalogue.pieces(self.path):
            own = self._argument(np.arange(first, first + len(rows)))
            kept = rows["mark"] & left_out(self.request) == 0
            for name, values in (
                ("documents", np.ones(len(rows))), ("words", rows["words"]), ("bytes", rows["bytes"]),
                ("duplicates", rows["mark"] & catalogue.DUPLICATE != 0),
                ("overlapping", rows["mark"] & (catalogue.DUPLICATE | catalogue.OVERLAP) == catalogue.OVERLAP),
                ("kept", kept), ("kept_words", rows["words"] * kept.astype(np.int64)),
            ):  # fmt: skip
                found[name] += np.bincount(own, weights=values, minlength=len(self.names)).astype(np.int64)
        return found

    def _argument(self, numbers: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.bounds[1:], numbers, side="right")

    def write(self) -> dict[str, Any]:
        """Write the order and return the plan as it is kept."""
        with (self.folder / ORDER).open("wb") as file:
            for numbers, rows in self._woven() if self.request.weights else self._straight():
                file.write(numbers.astype("<u8").data)
                self._count(numbers, rows)
        held_out = 0.0
        if self.request.held_out and self.documents > 1:  # at least one document, however small the corpus
            held_out = max(self.request.held_out, float(np.nextafter(self.smallest, 1.0)))
        return {
            "documents": self.documents,
            "words": self.words,
            "bytes": self.bytes,
            "held_out": held_out,
            "shards": [*self.shards, self.documents],
            "cuts": [[place, words] for place, words in self.cuts.items()],
        }

    def _count(self, numbers: np.ndarray, rows: np.ndarray) -> None:
        """Add documents, where their shards begin, and the smallest draw among them."""
        if not len(rows):
            return
        sizes = rows["bytes"].astype(np.int64)
        shard = (self.bytes + np.cumsum(sizes) - sizes) // self.request.shard_bytes
        before = np.concatenate(([self.shard], shard[:-1]))
        self.shards += (self.documents + np.flatnonzero(shard != before)).tolist()
        self.shard = int(shard[-1])
        drawn = catalogue.draws(self.request.seed, "held-out", rows["digest"])
        self.smallest = min(self.smallest, float(drawn.min()))
        words = rows["words"].astype(np.int64)
        for place, left in self.cuts.items():
            if place >= self.documents:
                words[place - self.documents] = left
        own = self._argument(numbers)
        for row, values in enumerate((np.ones(len(rows)), words)):
            self.taken[row] += np.bincount(own, weights=values, minlength=len(self.names)).astype(np.int64)
        self.documents += len(rows)
        self.words += int(words.sum())
        self.bytes += int(sizes.sum())

    def _straight(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the documents that are kept, up to the budget."""
        words = self.request.words
        limit = self.request.documents
        for first, rows in catalogue.pieces(self.path):
            kept = np.flatnonzero(rows["mark"] & left_out(self.request) == 0)
            kept = kept[: None if limit is None else limit - self.documents]
            if words is not None:
                ends = self.words + np.cumsum(rows["words"][kept].astype(np.int64))
                kept = kept[: int(np.searchsorted(ends, words)) + 1]
                if len(kept) and ends[len(kept) - 1] > words:
                    over = int(ends[len(kept) - 1]) - words
                    self.cuts[self.documents + len(kept) - 1] = int(rows["words"][kept[-1]]) - over
            yield first + kept, rows[kept]
            if (words is not None and self.words >= words) or (limit is not None and self.documents >= limit):
                return

    def _woven(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the documents of all sources in their proportions, up to the budget."""
        if wanting := [name for name, kept in zip(self.names, self.counted["kept"], strict=True) if not kept]:
            raise BadData(f"{', '.join(wanting)}: no document to mix", "leave it out, or see --keep-duplicates")
        goals = _shares(self.request.words or int(self.counted["kept_words"].sum()), self.request.weights)
        woven = heapq.merge(*(self._repeated(number, goal) for number, goal in enumerate(goals)))
        while piece := list(islice(woven, 1 << 14)):
            numbers = np.array([number for _, _, number, _ in piece], dtype=np.int64)
            cut = {self.documents + place: words for place, (*_, words) in enumerate(piece) if words}
            self.cuts.update(cut)
            yield numbers, catalogue.rows(self.path)[numbers]

    def _repeated(self, group: int, goal: int) -> Iterator[tuple[float, int, int, int]]:
        """Yield (share done, group, number, words left or 0 if it is whole) until the goal is met exactly."""
        done = 0
        while done < goal:
            for number, words in self._kept(group):
                if done >= goal:
                    return
                yield done / goal, group, number, goal - done if words > goal - done else 0
                done += words

    def _kept(self, group: int) -> Iterator[tuple[int, int]]:
        begin, end = self.bounds[group : group + 2].tolist()
        for first, rows in catalogue.pieces(self.path, begin):
            kept = np.flatnonzero(rows["mark"][: end - first] & left_out(self.request) == 0)
            yield from zip((first + kept).tolist(), rows["words"][kept].tolist(), strict=True)
            if first + len(rows) >= end:
                return

    def report(self) -> list[dict[str, Any]]:
        """Return what became of each source."""
        found = []
        for number, name in enumerate(self.names):
            counts: dict[str, Any] = {key: int(values[number]) for key, values in self.counted.items()}
            documents, words = self.taken[:, number].tolist()
            passes = words / counts["kept_words"] if counts["kept_words"] else 0.0
            repeated = max(0, documents - counts["kept"])
            counts |= {"taken": documents, "taken_words": words, "repeated": repeated, "passes": round(passes, 4)}
            found.append({"name": name, **counts, "over_budget": counts["kept"] - (documents - repeated)})
        return found


def _shares(total: int, weights: Iterable[float]) -> list[int]:
    """Return whole numbers in the proportions of the weights whose sum is the total."""
    ends = np.cumsum(np.array(list(weights), dtype=np.float64))
    bounds = np.rint(ends / ends[-1] * total).astype(np.int64)
    return np.diff(bounds, prepend=0).tolist()
