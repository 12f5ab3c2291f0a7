"""What BART's objectives share: a noised text in, the whole text out (Lewis et al. 2020, §2.2).

Five noises in this order, each a number that is 0 where it is off: sentences change places, documents are rotated,
spans become one ``<mask>`` each, tokens are deleted without a trace. The objectives differ in which numbers are not
0, and any of them can be combined. The answer is always the whole text in its own order, so whatever the noise, a
corruption loses nothing.

Infilling hides exactly ⌈rate · m⌉ of the m ordinary tokens of a row: span lengths are drawn from a Poisson law until
they reach that sum, the last one is trimmed, and the spans go to different gaps between the kept tokens, all choices
alike, so they never touch or overlap; a span of length zero is a ``<mask>`` between two words. ``overlap`` is the
original's law (fairseq's denoising task): spans begin at random tokens and may cover each other, so that a row loses
27 % instead of 30 %, and the masks of empty spans stand anywhere.
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
from objectives.noise import Flat, Grid, Keys, Mask, Rows, Spans, Text
from objectives.objective import (
    Frame,
    Ids,
    Objective,
    Shape,
    answered,
    check_rates,
    framed_numbers,
    ids_of,
    numbers_of,
    text_of,
    token,
    with_attention,
)
from objectives.weaving import Side, collapse, frame


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
        ids = blocks.ids if order is None else blocks.ids.ravel().take(order)
        bos, eos, pad = ids_of(vocabulary, "bos", "eos", "pad")
        if self.overlap and self.rate:
            asked, gone = self._overlapping(blocks, ids, text, vocabulary)
        else:
            asked, gone = self._infilled(blocks, ids, text, vocabulary)
        if self.deletion:
            asked, gone = self._deleted(blocks, asked, gone, vocabulary)
        labels, _ = frame(blocks.ids, blocks.lengths, [bos], [eos], IGNORED)
        given = answered(labels, token(vocabulary, self.frame.start or "eos"), pad)
        inputs = with_attention({"input_ids": asked.ids, "decoder_input_ids": given}, asked.lengths)
        if self.isolated:
            inputs["segment"] = numbers_of(asked, blocks, order)
            inputs["decoder_segment"] = framed_numbers(blocks, 1, 1)
        hidden = np.zeros_like(labels, dtype=bool)
        gone = gone if order is None else order.ravel()[gone]
        rows = gone // ids.shape[1]
        hidden.ravel()[gone + rows * (hidden.shape[1] - ids.shape[1]) + 1] = True
        return Batch(inputs, {"tokens": labels}, hidden=hidden)

    def _arranged(self, blocks: Blocks, ordinary: Mask) -> Grid | None:
        """Return the place that each place shows, or None where all stay."""
        order = arrangement.permute(blocks, ordinary, self.permutation) if self.permutation else None
        if not self.rotation:
            return order
        turned = arrangement.rotate(blocks, ordinary, self.rotation)
        return turned if order is None else order.ravel()[turned]

    def _infilled(self, blocks: Blocks, ids: Grid, text: Text, vocabulary: Vocabulary) -> tuple[Side, Flat]:
        """Return ``<s> asked </s>`` and the places of the arranged row that are hidden."""
        bos, eos, mask, pad = ids_of(vocabulary, "bos", "eos", "mask", "pad")
        hidden = np.ceil(self.rate * text.counts - 1e-9).astype(np.int64)
        starts, sizes, number = grammar.gaps(blocks.keys, text.counts, hidden, poisson(self.mean))
        spans = text.locate(starts, sizes, number)
        asked = collapse(ids, blocks.lengths, spans, mask, before=bos, after=eos, pad=pad)
        return asked, grammar.laid_out(spans.begins.ravel(), (spans.ends - spans.begins).ravel())

    def _overlapping(self, blocks: Blocks, ids: Grid, text: Text, vocabulary: Vocabulary) -> tuple[Side, Flat]:
        """Do as ``_infilled`` by the original's law."""
        bos, eos, mask, pad = ids_of(vocabulary, "bos", "eos", "mask", "pad")
        begun, covered, empty = _overlap(blocks.keys, text.counts, self.rate, poisson(self.mean))
        inside = grammar.within(text.counts, begun.shape[1])
        begun, covered = (text.places[np.flatnonzero(ranks[inside])] for ranks in (begun, covered))
        shown = ids.copy()
        shown.ravel()[begun] = mask
        keep = grammar.within(blocks.lengths, ids.shape[1])
        keep.ravel()[covered] = False
        kept, lengths, places = _packed(shown, keep, pad)
        number = np.minimum(empty, blocks.lengths - lengths)
        slots = grammar.sample(fold(blocks.keys, "inserted"), lengths + number, number, lengths + number)
        row = np.arange(len(ids))[:, None] * kept.shape[1]
        real = grammar.within(number, slots.shape[1])
        behind = row + np.where(real, slots - np.arange(slots.shape[1]), lengths[:, None])
        asked = collapse(kept, lengths, Spans(behind, behind, number), mask, before=bos, after=eos, pad=pad)
        where = places.ravel().take(asked.places, mode="clip")
        return Side(asked.ids, asked.lengths, where), np.concatenate([begun, covered])

    def _deleted(self, blocks: Blocks, asked: Side, gone: Flat, vocabulary: Vocabulary) -> tuple[Side, Flat]:
        """Return the asked side without the deleted tokens, and with them the places that are hidden."""
        ordinary = vocabulary.is_ordinary(asked.ids) & asked.inside
        number = np.ceil(self.deletion * ordinary.sum(axis=1) - 1e-9).astype(np.int64)
        deleted = grammar.choose(fold(blocks.keys, "deletion"), ordinary, number)
        ids, lengths, places = _packed(asked.ids, asked.inside & ~deleted, token(vocabulary, "pad"))
        gone = np.concatenate([gone, asked.places.ravel()[np.flatnonzero(deleted)]])
        return Side(ids, lengths, asked.places.ravel()[places]), gone

    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return the answers, which are the whole text."""
        return [row[row != IGNORED][1:-1] for row in batch.targets["tokens"]]

    def pose(self, ids: Ids, noise: np.ndarray, vocabulary: Vocabulary) -> tuple[Ids, Ids]:
        """Return the text with one mask token for each run of hit tokens, or without them, and the text."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], noise, [False]])))
        spans = Spans(edges[None, ::2], edges[None, 1::2], np.array([len(edges) // 2]))
        mark = token(vocabulary, "mask") if self.rate or not self.deletion else None
        return collapse(ids[None], np.array([len(ids)]), spans, mark, pad=0).ids[0], ids


@functools.cache
def poisson(mean: float) -> grammar.Law:
    """Return the Poisson law, up to where its tail is below 10⁻⁹."""
    return grammar.Law([math.exp(n * math.log(mean) - mean - math.lgamma(n + 1)) for n in range(int(mean * 4) + 40)])


def _packed(ids: Grid, keep: Mask, pad: int) -> tuple[Grid, Rows, Grid]:
    """Return the kept positions of rows side by side, their numbers, and the place that each comes from."""
    lengths = keep.sum(axis=1)
    width = int(lengths.max(initial=0))
    out, places = np.full((len(ids), width), pad, dtype=np.int64), np.zeros((len(ids), width), dtype=np.int64)
    to, source = np.flatnonzero(grammar.within(lengths, width)), np.flatnonzero(keep)
    out.ravel()[to] = ids.ravel()[source]
    places.ravel()[to] = source
    return out, lengths, places


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
