"""T5's deshuffling (Raffel et al. 2020, §3.3.1, after Liu et al. 2019).

    text     Thank you for inviting me to your party last week.
    asked    party me for your to last you inviting week. Thank
    answer   Thank you for inviting me to your party last week.

The tokens of each document in a block are shown in a random order, all alike; its ``</s>`` stays its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from objectives import arrangement
from objectives.batch import IGNORED, Batch
from objectives.objective import (
    Frame,
    Ids,
    Objective,
    Shape,
    answered,
    framed_numbers,
    ids_of,
    text_of,
    with_attention,
)
from objectives.weaving import frame


@dataclass(frozen=True, kw_only=True)
class Deshuffling(Objective):
    """Shuffle the tokens, ask for the whole text."""

    shape: ClassVar[Shape] = "encoder-decoder"
    needs: ClassVar[tuple[str, ...]] = ("eos", "pad")
    frame: ClassVar[Frame] = Frame(between="eos", after="eos", start="pad")

    def positions(self, block: int) -> int:
        """Return block + 1: ``text </s>``."""
        return block + 1

    def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return ``asked </s>`` for the encoder and ``text </s>`` as the decoder's targets."""
        eos, pad = ids_of(vocabulary, "eos", "pad")
        order = arrangement.shuffle(blocks, text_of(blocks, vocabulary).ordinary)
        asked, lengths = frame(blocks.ids.ravel()[order], blocks.lengths, [], [eos], pad)
        labels, _ = frame(blocks.ids, blocks.lengths, [], [eos], IGNORED)
        inputs = with_attention({"input_ids": asked, "decoder_input_ids": answered(labels, pad, pad)}, lengths)
        if self.isolated:
            inputs["segment"] = inputs["decoder_segment"] = framed_numbers(blocks, 0, 1)
        return Batch(inputs, {"tokens": labels})

    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return the answers, which are the whole text."""
        return [row[row != IGNORED][:-1] for row in batch.targets["tokens"]]

    def pose(self, ids: Ids, noise: np.ndarray, vocabulary: Vocabulary) -> tuple[Ids, Ids]:
        """Return the text with the hit tokens in reverse order, and the text."""
        asked = ids.copy()
        asked[noise] = ids[noise][::-1]
        return asked, ids
