"""Fill in the middle (Bavarian et al. 2022, §3), at the level of tokens.

    text     Thank you for | inviting me to | your party last week.
    PSM      <fim_prefix> Thank you for <fim_suffix> your party last week. <fim_middle> inviting me to
    SPM      <fim_prefix> <fim_suffix> your party last week. <fim_middle> Thank you for inviting me to
    answer   the same, each token from those before it

One document of a block (a text between special tokens) is cut in three at two uniformly drawn gaps between its tokens
(any part may be empty), and its parts change places, so that a model that reads from left to right learns to write
what stands between. The document is that of a uniformly drawn token, so that a row grows by three marks at most; the
others stay, and each ``</s>`` keeps its place behind its document. The released implementations cut in characters; a
cut in tokens never splits one, so a finished model is best asked at the borders of words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from foundation.keys import below, bits, fold, uniform
from objectives.batch import IGNORED, Batch
from objectives.noise import Flat, Rows
from objectives.objective import (
    Frame,
    Ids,
    Objective,
    Shape,
    answered,
    check_rates,
    ids_of,
    numbers,
    numbers_of,
    text_of,
    token,
    with_attention,
)
from objectives.weaving import weave


@dataclass(frozen=True, kw_only=True)
class FillInTheMiddle(Objective):
    """Ask for every token, the middle of a document after what stands behind it."""

    shape: ClassVar[Shape] = "decoder"
    needs: ClassVar[tuple[str, ...]] = ("bos", "eos", "pad", "fim_prefix", "fim_suffix", "fim_middle")
    frame: ClassVar[Frame] = Frame(before="bos", between="eos")

    rate: float = 0.5
    """Share of the rows in which a document is rearranged."""
    spm: float = 0.5
    """Share of these in which the suffix comes before the prefix."""

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        check_rates(self, rate=self.rate, spm=self.spm)

    def positions(self, block: int) -> int:
        """Return block + 3, for the three marks."""
        return block + 3

    def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return ``<s>`` with the rearranged block but its last token, and the rearranged block as targets."""
        begin, size = self._document(blocks, vocabulary)
        chance = uniform(fold(blocks.keys, "whether"), 2)
        moved = (chance[:, 0] < self.rate) & (size > 0)
        late = chance[:, 1] < self.spm
        gaps = np.sort(below(size[:, None] + 1, bits(fold(blocks.keys, "cuts"), 2)), axis=1)
        first, second = np.where(moved[:, None], gaps, 0).T
        size = np.where(moved, size, 0)
        row = np.arange(len(blocks)) * blocks.ids.shape[1]
        begin = np.where(moved, begin, row)
        begins, sizes = np.empty((2, len(row), 8), dtype=np.int64)
        prefix = np.where(late, 0, first)
        runs = [  # what stands before, <prefix> prefix <suffix> suffix <middle> middle, what stands behind
            (row, begin - row),
            (begin, moved),
            (begin, prefix),
            (begin + second, moved),
            (begin + second, size - second),
            (begin + prefix, moved),
            (begin + prefix, second - prefix),
            (begin + size, row + blocks.lengths - begin - size),
        ]
        for slot, (place, length) in enumerate(runs):
            begins[:, slot], sizes[:, slot] = place, length
        side, starts = weave(blocks.ids, begins, sizes, IGNORED)
        for slot, mark in zip((1, 3, 5), ids_of(vocabulary, "fim_prefix", "fim_suffix", "fim_middle"), strict=True):
            side.ids.ravel()[starts[moved, slot]] = mark
        given = answered(side.ids, token(vocabulary, "bos"), token(vocabulary, "pad"))
        inputs = with_attention({"input_ids": given}, side)
        if self.isolated:
            inputs["segment"] = numbers_of(side, numbers(blocks))
        return Batch(inputs, {"tokens": side.ids})

    def _document(self, blocks: Blocks, vocabulary: Vocabulary) -> tuple[Flat, Rows]:
        """Return where the document of a uniformly drawn token begins in each row, and how many tokens it has."""
        text = text_of(blocks, vocabulary)
        rows, width = text.ordinary.shape
        drawn = below(np.maximum(text.counts, 1), fold(blocks.keys, "document"))
        place = text.places(text.first + drawn)
        borders = ~text.ordinary
        borders[:, 1:] |= borders[:, :-1].copy()
        borders[:, :1] = True
        edges = np.append(np.flatnonzero(borders), rows * width)
        piece = np.searchsorted(edges, place, side="right") - 1
        end = np.minimum(edges[np.minimum(piece + 1, len(edges) - 1)], np.arange(rows) * width + blocks.lengths)
        return edges[piece], np.where(text.counts > 0, end - edges[piece], 0)

    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return the answers with prefix, middle and suffix in their places again."""
        marks = ids_of(vocabulary, "fim_prefix", "fim_suffix", "fim_middle")
        rows = []
        for answer in batch.targets["tokens"]:
            row = answer[answer != IGNORED]
            places = [np.flatnonzero(row == mark) for mark in marks]
            if not len(places[0]):
                rows.append(row)
                continue
            pre, suf, mid = (int(found[0]) for found in places)
            special = np.flatnonzero(~vocabulary.ordinary[row[mid + 1 :]])
            end = mid + 1 + int(special[0]) if len(special) else len(row)
            parts = (row[:pre], row[pre + 1 : suf], row[mid + 1 : end], row[suf + 1 : mid], row[end:])
            rows.append(np.concatenate(parts))
        return rows

    def pose(self, ids: Ids, noise: np.ndarray, vocabulary: Vocabulary) -> tuple[Ids, Ids]:
        """Return prefix and suffix of the first run of hit tokens behind their marks, and that run."""
        begin = int(np.argmax(noise)) if noise.any() else len(ids)
        kept = np.flatnonzero(~noise[begin:])
        end = begin + int(kept[0]) if len(kept) else len(ids)
        prefix, suffix, middle = ids_of(vocabulary, "fim_prefix", "fim_suffix", "fim_middle")
        asked = np.concatenate([[prefix], ids[:begin], [suffix], ids[end:], [middle]])
        return asked, ids[begin:end]
