"""BERT token masking (Devlin et al. 2019, §3.1, Task #1).

    text     Thank you for inviting me to your party last week.
    noise              ^^^ ^^^^^^^^                  ^^^^
    asked    Thank you <mask> <mask> me to your party <mask> week.
    answer             for    inviting                last

Every hidden word keeps its place, so the model is told how many are hidden. ``objectives/masking.py`` says which
words are hit, one by one or in units, and what they become.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from objectives.batch import IGNORED, Batch
from objectives.masking import Masking
from objectives.objective import Ids, framed_numbers, ids_of, with_attention
from objectives.weaving import frame


@dataclass(frozen=True, kw_only=True)
class TokenMasking(Masking):
    """Hide tokens, ask for each at its place."""

    def positions(self, block: int) -> int:
        """Return block + 2: ``<cls> text <sep>``."""
        return block + 2

    def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return ``<cls> asked <sep>`` and the hidden tokens as targets at their places."""
        cls, sep, pad = ids_of(vocabulary, "cls", "sep", "pad")
        framed, lengths = frame(blocks.ids, blocks.lengths, [cls], [sep], pad)
        asked, labels = self.hide(blocks.keys, framed, lengths, vocabulary, blocks.progress)
        inputs = with_attention({"input_ids": asked}, lengths)
        if self.isolated:
            inputs["segment"] = framed_numbers(blocks, 1, 1)
        return Batch(inputs, {"tokens": labels})

    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return the inputs with each answer in its place, without the frame."""
        labels = batch.targets["tokens"]
        whole = np.where(labels == IGNORED, batch.inputs["input_ids"], labels)
        return [row[1 : length - 1] for row, length in zip(whole, batch.lengths, strict=True)]
