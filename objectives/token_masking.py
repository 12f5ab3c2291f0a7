"""BERT token masking (Devlin et al. 2019, §3.1, Task #1).

    text     Thank you for inviting me to your party last week.
    noise              ^^^ ^^^^^^^^                  ^^^^
    asked    Thank you <mask> <mask> me to your party <mask> week.
    answer             for    inviting                last

Every hidden word keeps its place, so the model is told how many are hidden. In training 80 % of the hit tokens
become ``<mask>``, 10 % a random word and 10 % stay, all of them asked. The number of hit tokens is exact in each
row, as in the original and unlike an independent draw, which leaves a row of eight words without any target
in 0.85⁸ = 27 % of cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from objectives import noise as grammar
from objectives.batch import IGNORED, Batch
from objectives.masking import Masking
from objectives.objective import Ids, token, with_attention


@dataclass(frozen=True, kw_only=True)
class TokenMasking(Masking):
    """Hide single tokens, ask for each at its place."""

    def positions(self, block: int) -> int:
        """Return block + 2: ``<cls> text <sep>``."""
        return block + 2

    def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return ``<cls> asked <sep>`` and the hidden tokens as targets at their places."""
        ids, lengths = blocks.ids, blocks.lengths
        asked, noise = self.hide(blocks.keys, ids, grammar.within(lengths, ids.shape[1]), vocabulary)
        cls, sep, pad = (token(vocabulary, role) for role in ("cls", "sep", "pad"))
        inputs, framed = grammar.frame(asked, lengths, [cls], [sep], pad)
        labels, _ = grammar.frame(np.where(noise, ids, IGNORED), lengths, [IGNORED], [IGNORED], IGNORED)
        return Batch(with_attention({"input_ids": inputs}, framed), {"tokens": labels})

    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return the inputs with each answer in its place, without the frame."""
        labels = batch.targets["tokens"]
        whole = np.where(labels == IGNORED, batch.inputs["input_ids"], labels)
        return [row[1 : length - 1] for row, length in zip(whole, batch.lengths, strict=True)]
