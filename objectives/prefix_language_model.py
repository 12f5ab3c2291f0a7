"""The prefix language model (Raffel et al. 2020, §3.2.1; its S-denoiser form: Tay et al. 2023, §3.1).

    text     Thank you for inviting me to your party last week.
    prefix   Thank you for inviting me
    asked    <s> Thank you for inviting me | to   your  party last
    answer                            to   | your party last  week.

A row is split at a random token; the tokens in front of it all see each other, those behind are asked one by one. Of
L tokens between 1 and 2 · density · (L − 1) are asked, all numbers alike; with a density of ½ every split is equally
likely, as in T5. As a decoder the row is one text with a prefix (``Batch.inputs["prefix"]``); as an encoder-decoder
(``form``) the prefix is given to the encoder, with one of UL2's mode tokens in front of it if one is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from foundation.keys import below, fold
from foundation.refusal import BadUsage
from objectives.batch import IGNORED, Batch
from objectives.noise import Grid, Rows, within
from objectives.objective import (
    Frame,
    Ids,
    Mode,
    Objective,
    Shape,
    answered,
    check_mode,
    framed_numbers,
    ids_of,
    token,
    with_attention,
)
from objectives.weaving import frame


@dataclass(frozen=True, kw_only=True)
class PrefixLanguageModel(Objective):
    """Ask for the rest of a text whose beginning is seen as a whole."""

    reads: ClassVar[Literal["forward", "both"]] = "both"

    form: Literal["decoder", "encoder-decoder"] = "decoder"
    """Who reads the prefix: the decoder itself, or an encoder in front of it."""
    density: float = 0.5
    """Mean share of a row that is asked."""
    mode: Mode = ""
    """UL2's mode token in front of an encoder's prefix, or none."""

    def __post_init__(self) -> None:
        """Refuse shares that no split has, and a mode token that nobody reads."""
        if not 0 < self.density <= 0.5:
            raise BadUsage(
                f"PrefixLanguageModel: density = {self.density} is outside (0, 0.5]",
                "give the mean share of a row that is asked; 0.5 makes every split equally likely",
            )
        if self.isolated and self.form == "encoder-decoder":
            raise BadUsage(
                "PrefixLanguageModel: isolated documents behind the split would have no prefix to read",
                "give --objective.form decoder, or leave --objective.isolated out",
            )
        if self.mode and self.form == "decoder":
            raise BadUsage(
                f"PrefixLanguageModel: mode = {self.mode!r} stands in front of an encoder's text",
                "give --objective.form encoder-decoder",
            )

    @property
    def shape(self) -> Shape:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The form."""
        return self.form

    @property
    def needs(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What its frame is made of."""
        return ("bos", "eos", "pad") if self.form == "decoder" else ("eos", "pad")

    @property
    def frame(self) -> Frame:  # pyright: ignore[reportIncompatibleVariableOverride]
        """``<s> text`` for a decoder, ``text </s>`` for an encoder-decoder."""
        if self.form == "decoder":
            return Frame(before="bos", between="eos")
        return Frame(between="eos", after="eos", start="pad")

    def positions(self, block: int) -> int:
        """Return block, one more with a mode token: the longest prefix and the longest rest are block − 1 tokens."""
        return max(block + bool(self.mode), 2)

    def check(self, vocabulary: Vocabulary, block: int) -> None:
        """Refuse also a vocabulary without the mode token."""
        super().check(vocabulary, block)
        check_mode(self.mode, vocabulary)

    def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return the prefix and the rest, in one row or as the two sides of an encoder-decoder."""
        most = np.maximum(np.rint(2 * self.density * (blocks.lengths - 1)).astype(np.int64), 1)
        asked = below(most, fold(blocks.keys, "split")) + 1
        split = np.maximum(blocks.lengths - asked, 0)
        if self.form == "encoder-decoder":
            return self._two_sides(blocks, vocabulary, split)
        width = int(blocks.lengths.max(initial=0))
        text = np.where(within(blocks.lengths, width), blocks.ids[:, :width], IGNORED)
        given = answered(text, token(vocabulary, "bos"), token(vocabulary, "pad"))
        inputs = with_attention({"input_ids": given}, blocks.lengths)
        inputs["prefix"] = split + 1
        if self.isolated:
            inputs["segment"] = framed_numbers(blocks, 0, 0)
        return Batch(inputs, {"tokens": np.where(np.arange(text.shape[1]) >= split[:, None], text, IGNORED)})

    def _two_sides(self, blocks: Blocks, vocabulary: Vocabulary, split: Rows) -> Batch:
        eos, pad = ids_of(vocabulary, "eos", "pad")
        mode = [token(vocabulary, self.mode)] if self.mode else []
        asked, lengths = frame(blocks.ids, split, mode, [eos], pad)
        answer, _ = frame(_behind(blocks.ids, split), blocks.lengths - split, [], [eos], IGNORED)
        inputs = with_attention({"input_ids": asked, "decoder_input_ids": answered(answer, pad, pad)}, lengths)
        return Batch(inputs, {"tokens": answer})

    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return the prefix and the rest."""
        given, labels = batch.inputs["input_ids"], batch.targets["tokens"]
        rows = []
        for ids, length, answer in zip(given, batch.lengths, labels, strict=True):
            if self.form == "decoder":
                asked = int((answer != IGNORED).sum())
                rows.append(np.concatenate([ids[1 : length - asked + 1], answer[answer != IGNORED]]))
            else:
                rows.append(np.concatenate([ids[bool(self.mode) : length - 1], answer[answer != IGNORED][:-1]]))
        return rows

    def pose(self, ids: Ids, noise: np.ndarray, vocabulary: Vocabulary) -> tuple[Ids, Ids]:
        """Return the text in front of the first hit token, and the rest (without any, the last token is asked)."""
        split = int(np.argmax(noise)) if noise.any() else len(ids) - 1
        return ids[:split], ids[split:]


def _behind(grid: Grid, split: Rows) -> Grid:
    """Return what stands in each row from its split on."""
    places = np.arange(grid.shape[1]) + (np.arange(len(grid)) * grid.shape[1] + split)[:, None]
    return grid.ravel().take(places, mode="clip") if grid.size else grid
