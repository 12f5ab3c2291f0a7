"""What BART's objectives share: a noised text in, the whole text out (Lewis et al. 2020, §2.2).

Four noises in this order, each a number that is 0 where it is off: sentences change places, documents are rotated,
spans become one ``<mask>`` each, tokens are deleted without a trace. The objectives differ in which numbers are not
0, and any of them can be combined. The answer is always the whole text in its own order, so whatever the noise, a
corruption loses nothing.

Infilling hides exactly ⌈rate · m⌉ of the m ordinary tokens of a row: span lengths are drawn from a Poisson law until
they reach that sum, the last one is trimmed, and the spans go to different gaps between the kept tokens, all choices
alike, so they never touch or overlap; a span of length zero is a ``<mask>`` between two words. A row has no more spans
than hidden tokens, so that it never grows. ``overlap`` is the original's law (fairseq's denoising task): spans begin at
random tokens and may cover each other, so that a row loses 27 % instead of 30 %, and the masks of empty spans stand
anywhere.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from foundation.keys import bits, fold
from foundation.refusal import BadUsage
from objectives import arrangement
from objectives import noise as grammar
from objectives.batch import IGNORED, Batch
from objectives.noise import Grid, Keys, Mask, Rows, Text
from objectives.objective import (
    Frame,
    Ids,
    Objective,
    Shape,
    check_rates,
    framed_numbers,
    ids_of,
    numbers_of,
    text_of,
    token,
    with_attention,
)
from objectives.weaving import Side, frame, pack, starts


@dataclass(frozen=True, kw_only=True)
class Denoising(Objective):
    """The numbers of all noises, and what they make of a block."""

    shape: ClassVar[Shape] = "encoder-decoder"
    needs: ClassVar[tuple[str, ...]] = ("mask", "bos", "eos", "pad")
    frame: ClassVar[Frame] = Frame(before="bos", between="eos", after="eos", start="eos")

    rate: float = 0.0
    """Share of the ordinary tokens of a row that is hidden behind masks."""
    mean: float = 3.0
    """Mean of the Poisson law of the span lengths, in tokens."""
    overlap: bool = False
    """Let spans cover each other, as the original does."""
    deletion: float = 0.0
    """Share of the ordinary tokens of a row that is deleted."""
    permutation: float = 0.0
    """Share of the sentences of each document that change places."""
    rotation: float = 0.0
    """Probability with which a document begins at a random token of it."""

    def __post_init__(self) -> None:
        """Refuse shares that are none, and spans that are shorter than a token on average."""
        check_rates(self, rate=self.rate, deletion=self.deletion, permutation=self.permutation, rotation=self.rotation)
        if not 1 <= self.mean <= 100:
            raise BadUsage(
                f"{type(self).__name__}: mean = {self.mean} is outside [1, 100]", "give the mean length in tokens"
            )

    def positions(self, block: int) -> int:
        """Return block + 2, the decoder's ``<s> text </s>``; the asked side is never longer."""
        return block + 2

    def check(self, vocabulary: Vocabulary, block: int) -> None:
        """Refuse also spans that are longer than the row on average."""
        super().check(vocabulary, block)
        if self.rate and self.mean > block:
            raise BadUsage(
                f"{type(self).__name__}: mean = {self.mean:g} tokens is longer than the row, --block {block}",
                "give a larger --block or a smaller --objective.mean",
            )

    def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return ``<s> asked </s>`` for the encoder and ``<s> text </s>`` as the decoder's targets."""
        text = text_of(blocks, vocabulary)
        order = self._arranged(blocks, text.ordinary)
        ids = blocks.ids if order is None else blocks.ids.ravel()[order]
        bos, eos, pad = ids_of(vocabulary, "bos", "eos", "pad")
        grid, lengths = frame(ids, blocks.lengths, [bos], [eos], pad)
        if self.overlap and self.rate:
            asked, gone = self._overlapping(blocks, grid, lengths, text, vocabulary)
        else:
            asked, gone = self._infilled(blocks, grid, lengths, text, vocabulary)
        if self.deletion:
            asked, gone = self._deleted(blocks, asked, gone, vocabulary)
        labels, _ = frame(blocks.ids, blocks.lengths, [bos], [eos], IGNORED)
        given, _ = frame(blocks.ids, blocks.lengths, [token(vocabulary, self.frame.start or "eos"), bos], [], pad)
        inputs = with_attention({"input_ids": asked.ids, "decoder_input_ids": given}, asked)
        if self.isolated:
            inputs["decoder_segment"] = framed_numbers(blocks, 1, 1)
            inputs["segment"] = numbers_of(asked, inputs["decoder_segment"])

        def hidden() -> Mask:
            if order is None:
                return gone
            original = np.zeros_like(gone)
            place = np.zeros(blocks.ids.shape, dtype=bool)
            place.ravel()[order.ravel()] = np.pad(
                gone[:, 1:-1], ((0, 0), (0, order.shape[1] - gone.shape[1] + 2))
            ).ravel()
            original[:, 1:-1] = place[:, : gone.shape[1] - 2]
            return original

        return Batch(inputs, {"tokens": labels}, hides=hidden if self.rate or self.deletion else None)

    def _arranged(self, blocks: Blocks, ordinary: Mask) -> Grid | None:
        """Return the place that each place shows, or None where all stay."""
        order = arrangement.permute(blocks, ordinary, self.permutation) if self.permutation else None
        if not self.rotation:
            return order
        turned = arrangement.rotate(blocks, ordinary, self.rotation)
        return turned if order is None else order.ravel()[turned]

    def _infilled(
        self, blocks: Blocks, grid: Grid, lengths: Rows, text: Text, vocabulary: Vocabulary
    ) -> tuple[Side, Mask]:
        """Return ``<s> asked </s>``, and which places of the framed and arranged rows it does not show."""
        mask, pad = ids_of(vocabulary, "mask", "pad")
        hidden = np.ceil(self.rate * text.counts - 1e-9).astype(np.int64)
        begins, sizes, number = grammar.gaps(blocks.keys, text.counts, hidden, poisson(self.mean))
        width = grid.shape[1]
        hit = text.hit(begins, sizes, width)
        shown = ~hit
        if lengths.min(initial=width) < width:
            shown &= grammar.within(lengths, width)
        first = starts(hit)
        shown.ravel()[first] = True
        grid.ravel()[first] = mask
        empty = np.flatnonzero((sizes == 0) & grammar.within(number, sizes.shape[1]))
        if not len(empty):
            return pack(grid, shown, pad), hit
        return pack(grid, shown, pad, (text.behind(begins, empty, width), mask)), hit

    def _overlapping(
        self, blocks: Blocks, grid: Grid, lengths: Rows, text: Text, vocabulary: Vocabulary
    ) -> tuple[Side, Mask]:
        """Do as ``_infilled`` by the original's law."""
        mask, pad = ids_of(vocabulary, "mask", "pad")
        begun, covered, empty = _overlap(blocks.keys, text.counts, self.rate, poisson(self.mean))
        inside = grammar.within(text.counts, begun.shape[1])
        width = grid.shape[1]
        begun, covered = (text.framed(ranks[inside], width) for ranks in (begun, covered))
        grid[begun] = mask
        kept = pack(grid, ~covered & grammar.within(lengths, width), pad)
        number = np.minimum(empty, lengths - kept.lengths)
        total = kept.lengths - 2 + number
        slots = grammar.sample(fold(blocks.keys, "inserted"), total, number, total)
        real = grammar.within(number, slots.shape[1])
        behind = slots - np.arange(slots.shape[1]) + 1 + (np.arange(len(grid)) * kept.ids.shape[1])[:, None]
        asked = pack(kept.ids, kept.inside, pad, (behind[real], mask))
        return Side(asked.ids, asked.lengths, kept.places.ravel().take(asked.places, mode="clip")), begun | covered

    def _deleted(self, blocks: Blocks, asked: Side, gone: Mask, vocabulary: Vocabulary) -> tuple[Side, Mask]:
        """Return the asked side without the deleted tokens, and with them what it does not show."""
        ordinary = vocabulary.is_ordinary(asked.ids) & asked.inside
        number = np.ceil(self.deletion * ordinary.sum(axis=1) - 1e-9).astype(np.int64)
        deleted = grammar.choose(fold(blocks.keys, "deletion"), ordinary, number)
        side = pack(asked.ids, asked.inside & ~deleted, token(vocabulary, "pad"))
        gone = gone.copy()
        gone.ravel()[asked.places[deleted]] = True
        return Side(side.ids, side.lengths, asked.places.ravel().take(side.places, mode="clip")), gone

    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return the answers, which are the whole text."""
        return [row[row != IGNORED][1:-1] for row in batch.targets["tokens"]]

    def pose(self, ids: Ids, noise: np.ndarray, vocabulary: Vocabulary) -> tuple[Ids, Ids]:
        """Return the text with one mask for each run of hit tokens (without them, if it deletes), and the text."""
        if not (self.rate or self.deletion):
            return ids, ids
        hit = np.pad(noise, (1, 0))[None]
        row = np.append(token(vocabulary, "mask"), ids)[None].astype(np.int64)
        first = starts(hit)
        shown = ~hit
        shown[0, 0] = False
        if self.rate:
            row.ravel()[first] = token(vocabulary, "mask")
            shown.ravel()[first] = True
        return row[shown], ids


@functools.cache
def poisson(mean: float) -> grammar.Law:
    """Return the Poisson law, up to where its tail is below 10⁻⁹."""
    return grammar.Law([math.exp(n * math.log(mean) - mean - math.lgamma(n + 1)) for n in range(int(mean * 4) + 40)])


def _overlap(keys: Keys, tokens: Rows, rate: float, law: grammar.Law) -> tuple[Mask, Mask, Rows]:
    """Return by rank which tokens become a mask, which are deleted, and how many empty spans a row has."""
    budget = np.ceil(rate * tokens - 1e-9).astype(np.int64)
    draws = int(1.5 * int(budget.max(initial=0)) / law.mean) + 16
    reached = np.cumsum(law.draw(fold(keys, "spans"), draws), axis=1)
    upto = np.minimum(reached, budget[:, None])
    sizes = np.diff(upto, axis=1, prepend=0)
    spans = np.where(budget > 0, np.minimum((reached < budget[:, None]).sum(axis=1) + 1, draws), 0)
    number = (sizes > 0).sum(axis=1)
    turn = bits(fold(keys, "turn"), draws) >> np.uint64(1)
    order = np.argsort(np.where(sizes > 0, turn, np.uint64(1) << np.uint64(63)), axis=1)
    most = int(number.max(initial=0))
    sizes = np.take_along_axis(sizes, order, axis=1)[:, :most]  # the lengths in random order, the empty ones last
    width = int(tokens.max(initial=0)) + 1
    starts = grammar.sample(fold(keys, "starts"), tokens, number, np.full(len(tokens), width - 1))
    real = grammar.within(number, most)
    flips = np.zeros((len(tokens), width + 1), dtype=np.int64)
    rows = np.broadcast_to(np.arange(len(tokens))[:, None], starts.shape)[real]
    np.add.at(flips, (rows, starts[real] + 1), 1)
    np.add.at(flips, (rows, np.minimum(starts + sizes, tokens[:, None])[real]), -1)
    covered = np.cumsum(flips, axis=1)[:, :width] > 0
    begun = np.zeros_like(covered)
    begun[rows, starts[real]] = True
    return begun & ~covered, covered, spans - number
