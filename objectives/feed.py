"""The feed: which examples stand at which positions of a run, as a pure function of the position.

Position p of a run is block ``order(key of the epoch, blocks, p mod blocks)`` with the noise key of p. The order does
not depend on the objective, so all objectives read the same text in the same order.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from corpora import blocks
from corpora.blocks import Blocks
from corpora.store import Part
from corpora.vocabulary import Vocabulary
from foundation.keys import Keys, below, fold, order
from objectives import Batch, Objective

_SHELF = 4096


@dataclass(frozen=True, eq=False)
class Feed:
    """The examples of one objective on one part of a corpus."""

    part: Part
    vocabulary: Vocabulary
    objective: Objective
    block: int
    seed: int
    total: int | None = None
    """Examples of the whole run, by which schedules of noise go; without it every row is read as at the run's end."""

    @property
    def blocks(self) -> int:
        """Blocks in one pass."""
        return blocks.count(self.part, self.block)

    def indices(self, positions: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
        """Return the block at each position; a run reads on from position to position, so they are found in shelves."""
        if not positions.size:
            return positions.astype(np.int64)
        first, last = int(positions.min()) // _SHELF, int(positions.max()) // _SHELF
        if last - first > 1:
            return _indices(self.seed, self.blocks, positions)
        shelf = _shelf(self.seed, self.blocks, first)
        if last > first:
            shelf = np.concatenate([shelf, _shelf(self.seed, self.blocks, last)])
        return shelf[positions - first * _SHELF]

    def at(self, positions: Int[np.ndarray, " rows"]) -> Batch:
        """Return the batch of the examples at `positions`."""
        return self.objective.collate(self.read(positions), self.vocabulary)

    def read(self, positions: Int[np.ndarray, " rows"]) -> Blocks:
        """Return the blocks behind the examples at `positions`, as the objective is given them."""
        keys = fold(_noise(self.seed), positions)
        progress = np.minimum(positions / self.total, 1.0) if self.total else np.ones(len(positions))
        others = below(self.blocks, fold(keys, "others")) if self.objective.strangers else None
        pad = self.vocabulary.pad or 0
        return blocks.gather(self.part, self.block, self.indices(positions), keys, pad, progress, others)


@functools.lru_cache(maxsize=16)
def _shelf(seed: int, blocks: int, number: int) -> Int[np.ndarray, " rows"]:
    """Return the blocks at the positions of one shelf; the same few are asked for batch after batch."""
    return _indices(seed, blocks, np.arange(number * _SHELF, (number + 1) * _SHELF))


@functools.lru_cache(maxsize=16)
def _noise(seed: int) -> Keys:
    return fold(seed, "noise")


def _indices(seed: int, blocks: int, positions: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
    epochs, within = np.divmod(positions, blocks)
    found = np.empty_like(within)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        found[here] = order(fold(seed, "order", int(epoch)), blocks, within[here])
    return found
