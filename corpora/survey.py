"""The survey: one pass over the sources, in constant memory, that finds all that a build has to know.

    sources ─▶ catalogue (a row for each document) ─▶ duplicates marked ─▶ plan (which documents, in which shards)
            └▶ sample for the vocabulary

With a budget the reading stops as soon as enough has been read. Only then is it known how many of the documents are
duplicates; so the reading goes on where it stopped until enough is left.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from corpora import catalogue, duplicates
from corpora.catalogue import DUPLICATE, OVERLAP
from corpora.documents import Source
from corpora.overlap import Against
from corpora.progress import Progress
from corpora.requests import Build
from corpora.sampling import Sample
from foundation import durable

CATALOGUE, SAMPLE, TOLD = "documents", "sample.jsonl", "survey.json"
LIMIT = 32_000_000
"""Bytes of the vocabulary's sample."""
BATCH = 1_000_000


@dataclass
class Argument:
    """What has been read for one of the sources on the command line, which may be many files."""

    name: str
    sources: Sequence[Source]
    firsts: list[int] = field(default_factory=list)
    """The number of the first document of each source."""
    empty: int = 0
    whole: bool = False
    """Whether it was read to its end."""


class Survey:
    """The pass over the sources, which fills a folder."""

    def __init__(self, request: Build, arguments: Sequence[Argument], against: Against, folder: Path) -> None:
        self.request, self.arguments, self.against, self.folder = request, arguments, against, folder
        self.path = folder / CATALOGUE
        self.rows = 0
        shares = request.weights or (1.0,)
        self.samples = [Sample(request.seed, int(LIMIT * share / sum(shares))) for share in shares]

    def read(self) -> None:
        """Read what is needed."""
        self.path.touch()
        groups = [[argument] for argument in self.arguments] if self.request.weights else [self.arguments]
        with Progress("reading", unit="words") as progress:
            for number, group in enumerate(groups):
                self._group(group, self.samples[number], self._goal(number), progress)
        if not self.request.keep_duplicates:
            duplicates.mark(self.path)
        lines = (json.dumps(text.decode()).encode() + b"\n" for sample in self.samples for text in sample.texts())
        durable.write_bytes(self.folder / SAMPLE, lines)

    def _goal(self, group: int) -> tuple[float, float]:
        """Return how many words and documents of a group can be used."""
        words, documents = (
            float("inf") if limit is None else float(limit) for limit in (self.request.words, self.request.documents)
        )
        if self.request.weights:
            words *= self.request.weights[group] / sum(self.request.weights)
        return words, documents

    def _group(self, group: Sequence[Argument], sample: Sample, goal: tuple[float, float], progress: Progress) -> None:
        begin = self.rows
        batches = _batches(self._texts(group))
        words, documents = goal
        while words > 0 and documents > 0:
            for batch in batches:
                found = self._add(batch, sample)
                progress.add(found)
                words -= found
                documents -= len(batch)
                if words <= 0 or documents <= 0:
                    break
            else:
                return
            if not self.request.keep_duplicates:
                duplicates.mark(self.path)
            words, documents = (left - kept for left, kept in zip(goal, self._kept(begin), strict=True))

    def _kept(self, begin: int) -> tuple[int, int]:
        words = documents = 0
        for _, rows in catalogue.pieces(self.path, begin):
            kept = rows["mark"] & left_out(self.request) == 0
            words += int(rows["words"][kept].sum(dtype=np.int64))
            documents += int(kept.sum())
        return words, documents

    def _texts(self, group: Sequence[Argument]) -> Iterator[tuple[str, int]]:
        """Yield the documents that are not empty, each with the place before it."""
        number = self.rows
        for argument in group:
            for source in argument.sources:
                argument.firsts.append(number)
                begin = 0
                for text, place in source.read():
                    if text:
                        number += 1
                        yield text, begin
                    else:
                        argument.empty += 1
                    begin = place
            argument.whole = True

    def _add(self, batch: list[tuple[str, int]], sample: Sample) -> int:
        rows = np.zeros(len(batch), dtype=catalogue.ROW)
        data = [text.encode() for text, _ in batch]
        digests = b"".join(map(catalogue.digest, data))
        rows["digest"] = np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
        rows["place"] = [place for _, place in batch]
        rows["words"] = [len(text.split()) for text, _ in batch]
        rows["bytes"] = list(map(len, data))
        if len(self.against.runs):
            rows["mark"] = [OVERLAP * self.against.meets(text) for text, _ in batch]
        with self.path.open("ab") as file:
            file.write(rows.data)
        self.rows += len(rows)
        kept = rows["mark"] & left_out(self.request) == 0
        sample.add(rows["digest"][kept], (text for text, here in zip(data, kept, strict=True) if here))
        return int(rows["words"].sum(dtype=np.int64))

    def told(self) -> dict[str, Any]:
        """Return what is known of the sources; what their documents come to is in the catalogue."""
        following = self.rows
        for argument in reversed(self.arguments):  # sources that were not begun have no documents
            argument.firsts += [following] * (len(argument.sources) - len(argument.firsts))
            following = argument.firsts[0]
        return {
            "rows": self.rows,
            "arguments": [
                {"name": a.name, "sources": len(a.sources), "firsts": a.firsts, "empty": a.empty, "whole": a.whole}
                for a in self.arguments
            ],
            "overlap": self.against.report(),
        }


def left_out(request: Build) -> int:
    """Return the marks of documents that are left out."""
    return DUPLICATE | (OVERLAP if request.drop_overlap else 0)


def sample(folder: Path) -> Iterator[str]:
    """Yield the texts of the vocabulary's sample."""
    with (folder / SAMPLE).open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _batches(texts: Iterable[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    """Yield documents in lists of about BATCH characters."""
    batch: list[tuple[str, int]] = []
    size = 0
    for text, place in texts:
        batch.append((text, place))
        size += len(text)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def first_numbers(told: dict[str, Any]) -> list[int]:
    """Return the number of the first document of each source, in the order of the sources."""
    return [first for argument in told["arguments"] for first in argument["firsts"]]


def offsets(told: dict[str, Any]) -> list[int]:
    """Return for each argument how many sources are before it."""
    return [0, *accumulate(argument["sources"] for argument in told["arguments"])]
