"""A part of a corpus: tokens in shards, one behind the other, that are looked up and never loaded.

    shard      0           1       2
    tokens     ...........|.......|.............     place 11 is the first of shard 1
    documents  0    5      0       0       8         offsets in the shard, and at last its end

A *place* counts the tokens of the whole part. Documents lie in one shard each; what is read may cross any number of
them. In memory stay three numbers for each shard.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, Integer, UInt

from foundation.refusal import BadData

Places = Int64[np.ndarray, " places"]


@dataclass(frozen=True, eq=False)
class Arrays:
    """A shard in memory."""

    tokens: UInt[np.ndarray, " tokens"]
    documents: UInt[np.ndarray, " bounds"]
    sentences: UInt[np.ndarray, " sentences"]


@dataclass(frozen=True, eq=False)
class Files:
    """A shard in files, each of them mapped into memory when it is first looked at."""

    stem: Path
    dtype: str

    @cached_property
    def tokens(self) -> np.ndarray:
        """The token ids."""
        return self._map("tokens", self.dtype)

    @cached_property
    def documents(self) -> np.ndarray:
        """Where documents begin, and at last where the shard ends."""
        return self._map("documents", "<u4")

    @cached_property
    def sentences(self) -> np.ndarray:
        """Where sentences begin."""
        return self._map("sentences", "<u4")

    def _map(self, kind: str, dtype: str) -> np.ndarray:
        path = self.stem.with_name(f"{self.stem.name}.{kind}")
        try:
            if path.stat().st_size == 0:  # nothing can be mapped
                return np.empty(0, dtype=dtype)
            return np.asarray(np.memmap(path, dtype=dtype, mode="r"))  # a plain view: a slice of a memmap is slow
        except OSError as error:
            raise BadData(f"{path} cannot be read: {error.strerror}", "build the corpus again") from error


Shard = Arrays | Files


class Starts:
    """Where documents or sentences of a part start, in order, looked up shard by shard."""

    def __init__(self, shards: Sequence[Shard], kind: str, tokens: Places, counts: Places) -> None:
        self._shards, self._kind, self._tokens, self._counts = shards, kind, tokens, counts

    def __len__(self) -> int:
        return int(self._counts[-1])

    def _of(self, shard: int) -> np.ndarray:
        found = getattr(self._shards[shard], self._kind)
        return found[:-1] if self._kind == "documents" else found

    def before(self, places: Integer[np.ndarray, " places"]) -> Places:
        """Return how many starts lie before each place."""
        found = np.empty(len(places), dtype=np.int64)
        for shard, here in by_shard(self._tokens, places):
            # of the type of the array, or numpy would make all of that into another one
            inside = (places[here] - self._tokens[shard]).astype(np.uint32)
            found[here] = self._of(shard).searchsorted(inside) + self._counts[shard]
        return found

    def at(self, numbers: Integer[np.ndarray, " numbers"]) -> Places:
        """Return the places of some of the starts, by their numbers."""
        if len(self._shards) == 1:
            return self._of(0)[numbers].astype(np.int64)
        found = np.empty(len(numbers), dtype=np.int64)
        for shard, here in by_shard(self._counts, numbers):
            found[here] = self._of(shard)[numbers[here] - self._counts[shard]]
            found[here] += self._tokens[shard]
        return found


class Part:
    """One part of a corpus, over all of its shards."""

    def __init__(
        self, name: str, shards: Sequence[Shard], sizes: Sequence[tuple[int, int, int]], mark: str = ""
    ) -> None:
        """Take the shards with the numbers of their tokens, documents and sentences.

        `mark` is the same for parts that hold the same, as far as tables beside them may be kept by it.
        """
        self.name, self.shards, self.mark = name, shards, mark
        ends = np.cumsum(np.array(sizes, dtype=np.int64).reshape(-1, 3), axis=0)
        self.bounds: Places
        self.bounds, documents, sentences = np.concatenate([np.zeros((1, 3), dtype=np.int64), ends]).T.copy()
        self.documents = Starts(shards, "documents", self.bounds, documents)
        self.sentences = Starts(shards, "sentences", self.bounds, sentences)

    @classmethod
    def of(cls, name: str, tokens: Any, documents: Any, sentences: Any, cuts: Sequence[int] = ()) -> Part:
        """Return a part in memory: `documents` has the end of the tokens at last, `cuts` the documents that begin
        another shard.
        """
        tokens, documents, sentences = np.asarray(tokens), np.asarray(documents), np.asarray(sentences)
        shards, sizes = [], []
        for first, last in zip([0, *cuts], [*cuts, len(documents) - 1], strict=True):
            begin, end = documents[first], documents[last]
            inside = sentences[(sentences >= begin) & (sentences < end)]
            own = (tokens[begin:end], documents[first : last + 1] - begin, inside - begin)
            shards.append(Arrays(own[0], own[1].astype(np.uint32), own[2].astype(np.uint32)))
            sizes.append((int(end - begin), last - first, len(inside)))
        return cls(name, shards, sizes)

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def tokens(self, begin: int = 0, end: int | None = None) -> UInt[np.ndarray, " tokens"]:
        """Return the tokens from one place to another: a view where they lie in one shard, else a copy."""
        end = len(self) if end is None else min(end, len(self))
        first = int(np.searchsorted(self.bounds[1:-1], begin, side="right"))
        runs = []
        for shard in range(first, len(self.shards)):
            base = int(self.bounds[shard])
            if base >= end and runs:
                break
            runs.append(self.shards[shard].tokens[max(0, begin - base) : max(0, end - base)])
        return runs[0] if len(runs) == 1 else np.concatenate(runs)

    def document_of(self, places: Integer[np.ndarray, " places"]) -> Places:
        """Return the number of the document that each place lies in."""
        return self.documents.before(places + 1) - 1


def by_shard(bounds: Places, values: Integer[np.ndarray, " values"]) -> Iterator[tuple[int, Any]]:
    """Yield each shard with which of the values are its own, by where the shards begin."""
    if len(bounds) == 2:
        yield 0, slice(None)
        return
    owners = np.searchsorted(bounds[1:-1], values, side="right")
    order = np.argsort(owners, kind="stable")
    ordered = owners[order]
    cuts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    for here in np.split(order, cuts) if len(order) else ():
        yield int(owners[here[0]]), here


def laid_out(begins: Int64[np.ndarray, " runs"], sizes: Int64[np.ndarray, " runs"]) -> Places:
    """Return the numbers of runs, one run behind the other."""
    stops = np.cumsum(sizes)
    found = np.repeat(begins - (stops - sizes), sizes)
    found += np.arange(len(found))
    return found
