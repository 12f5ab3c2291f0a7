"""GPT next-token prediction (Radford et al. 2018, §3.1).

    asked    <s>   Thank you for inviting me to   your  party last
    answer   Thank you   for inviting me to your  party last  week.

Every token of the block is asked once, each from those before it; ``<s>`` begins the row, so the first one is too.
The ``</s>`` between documents is text like any other: the model learns where documents end. ``isolated`` documents
see only themselves: a position belongs to the document of its target, so the ``</s>`` before a document is its start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from objectives.batch import IGNORED, Batch
from objectives.noise import within
from objectives.objective import Frame, Ids, Objective, Shape, framed_numbers, token, with_attention


@dataclass(frozen=True, kw_only=True)
class NextToken(Objective):
    """Ask for every token, given those before it."""

    shape: ClassVar[Shape] = "decoder"
    needs: ClassVar[tuple[str, ...]] = ("bos", "eos", "pad")
    frame: ClassVar[Frame] = Frame(before="bos", between="eos")

    def positions(self, block: int) -> int:
        """Return block: ``<s>`` and all tokens but the last."""
        return block

    def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return ``<s>`` with the block but its last token, and the block as targets."""
        width = int(blocks.lengths.max(initial=0))
        labels = blocks.ids[:, :width]
        given = np.empty_like(labels)
        given[:, :1] = token(vocabulary, "bos")
        given[:, 1:] = labels[:, :-1]
        inputs = with_attention({"input_ids": given}, blocks.lengths)
        if "attention_mask" in inputs:
            labels = np.where(within(blocks.lengths, width), labels, IGNORED)
        if self.isolated:
            inputs["segment"] = framed_numbers(blocks, 0, 0)
        return Batch(inputs, {"tokens": labels})

    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return the answers, which are the whole text."""
        return [row[row != IGNORED] for row in batch.targets["tokens"]]

    def pose(self, ids: Ids, noise: np.ndarray, vocabulary: Vocabulary) -> tuple[Ids, Ids]:
        """Return all but the last token, and all but the first; what `noise` marks makes no difference."""
        return ids[:-1], ids[1:]
