"""The feed: which examples stand at which positions of a run, as a pure function of the position.

Position p of a run is block ``order(key of the epoch, blocks, p mod blocks)`` with the noise key of p. The order does
not depend on the objective, so all objectives read the same text in the same order. Where a run reads blocks in
pieces (``objectives.stages``), example n is piece n mod pieces of position n div pieces, with a noise key of its own.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from corpora import blocks
from corpora.blocks import Blocks
from corpora.packing import Packing, packed
from corpora.part import Part
from corpora.vocabulary import Vocabulary
from foundation.keys import Keys, below, fold, order
from objectives import Batch, Objective
from objectives.stages import Plan, bounds, cut

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
    """Positions of the whole run, by which schedules of noise go; without it every row is read as at the run's end."""
    packing: str = "stream"
    """How documents stand in blocks (``corpora.packing``)."""

    @functools.cached_property
    def table(self) -> Packing:
        """Which pieces of the part stand in which block."""
        return packed(self.part, self.block, self.packing)

    @property
    def blocks(self) -> int:
        """Blocks in one pass."""
        return len(self.table)

    def worth(self, tokens: int) -> int:
        """Return how many blocks hold about so many tokens: at least one, at most one pass."""
        return min(self.blocks, max(1, int(tokens / (self.block * self.table.fill))))

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

    def at(self, examples: Int[np.ndarray, " rows"], pieces: int = 1) -> Batch:
        """Return the batch of these examples; their numbers are positions where blocks are not read in pieces."""
        return self.objective.collate(self.read(examples, pieces), self.vocabulary)

    def step(self, plan: Plan, step: int, rows: Int[np.ndarray, " rows"]) -> Batch:
        """Return some rows of a step of a run, numbered from 0."""
        place = plan.at(step)
        return self.at(place.first + rows, place.pieces)

    def read(self, examples: Int[np.ndarray, " rows"], pieces: int = 1) -> Blocks:
        """Return the blocks, or the pieces of blocks, behind these examples, as the objective is given them."""
        return self._whole(examples) if pieces == 1 else self._pieces(*np.divmod(examples, pieces), pieces)

    def _whole(self, positions: Int[np.ndarray, " rows"]) -> Blocks:
        keys = fold(_noise(self.seed), positions)
        progress = np.minimum(positions / self.total, 1.0) if self.total else np.ones(len(positions))
        others = below(self.blocks, fold(keys, "others")) if self.objective.strangers else None
        pad = self.vocabulary.pad or 0
        return blocks.gather(self.part, self.table, self.indices(positions), keys, pad, progress, others)

    def _pieces(self, positions: np.ndarray, which: np.ndarray, pieces: int) -> Blocks:
        """Return piece ``which[i]`` of the block at ``positions[i]``."""
        pad, block = self.vocabulary.pad or 0, self.block // pieces
        keys = fold(_noise(self.seed), positions, "piece", which)
        indices = self.indices(positions)
        whole = blocks.gather(self.part, self.table, indices, keys, pad)
        found = cut(whole, pieces, which)
        found.progress = (
            np.minimum((positions + which / pieces) / self.total, 1.0) if self.total else np.ones(len(keys))
        )
        if self.objective.strangers:
            rows = packed(self.part, block)
            others = below(len(rows), fold(keys, "others"))
            found.others = blocks.gather(self.part, rows, others, keys, pad)
            begins = indices * self.block + bounds(whole.lengths, self.block, pieces, which)[0]
            found.texts = self.part.document_of(begins)
        return found


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
