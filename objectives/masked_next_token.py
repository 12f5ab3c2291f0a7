"""Masked next-token prediction (Charpentier & Samuel 2024, GPT or BERT: why not both?, §2.1).

    text     Thank you for inviting me to your party last week.
    noise              ^^^ ^^^^^^^^                  ^^^^
    asked    <s> Thank you <mask> <mask>   me to your party <mask> week.
    answer             for inviting                    last

Masking for a decoder: every position sees every other, and a hidden token is answered by the position in front of
it, as in next-token prediction. So one model can learn both, row by row (``gpt-bert``). Which tokens are hit and
what they become is as in token masking (``objectives/masking.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from objectives.batch import IGNORED, Batch
from objectives.masking import Masking
from objectives.objective import Frame, Ids, Shape, framed_numbers, ids_of, with_attention
from objectives.weaving import frame


@dataclass(frozen=True, kw_only=True)
class MaskedNextToken(Masking):
    """Hide tokens, ask for each at the position in front of it."""

    shape: ClassVar[Shape] = "decoder"
    needs: ClassVar[tuple[str, ...]] = ("mask", "bos", "eos", "pad")
    frame: ClassVar[Frame] = Frame(before="bos", between="eos")
    reads: ClassVar[Literal["forward", "both"]] = "both"

    def positions(self, block: int) -> int:
        """Return block + 1: ``<s> text``."""
        return block + 1

    def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return ``<s> asked``, seen as a whole, and the hidden tokens as targets one place further left."""
        bos, pad = ids_of(vocabulary, "bos", "pad")
        framed, lengths = frame(blocks.ids, blocks.lengths, [bos], [], pad)
        asked, hidden = self.hide(blocks.keys, framed, lengths, vocabulary, blocks.progress)
        labels = np.full_like(hidden, IGNORED)
        labels[:, :-1] = hidden[:, 1:]
        inputs = with_attention({"input_ids": asked}, lengths)
        inputs["prefix"] = lengths
        if self.isolated:  # a position belongs to the document of the token behind it, as in next-token
            inputs["segment"] = framed_numbers(blocks, 0, 1)
        return Batch(inputs, {"tokens": labels})

    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return the inputs with each answer in its place, without the frame."""
        labels, whole = batch.targets["tokens"], batch.inputs["input_ids"].copy()
        whole[:, 1:] = np.where(labels[:, :-1] == IGNORED, whole[:, 1:], labels[:, :-1])
        return [row[1:length] for row, length in zip(whole, batch.lengths, strict=True)]
