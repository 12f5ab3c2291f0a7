"""BART text infilling with sentence permutation (Lewis et al. 2020, §2.2, §5.1).

    text     Thank you for inviting me to your party last week.
    noise              ^^^ ^^^^^^^^                  ^^^^
    asked    Thank you <mask> me to your party <mask> week.
    answer   Thank you for inviting me to your party last week.

Sentences change places inside their document; then spans, their lengths drawn from a Poisson law, become one
``<mask>`` each, a span of length zero a ``<mask>`` between two words. The answer is the whole text in its order.
Exactly ⌈rate · m⌉ of the m ordinary tokens of a row are hidden: lengths are drawn until they reach that sum, the last
one is trimmed, and the spans go to different gaps between the kept tokens, all choices alike, so they never touch
or overlap (in the original they do, and 27 % instead of 30 % is hidden). A span that would cross the end of a
document inside the block becomes two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from foundation.keys import bits, fold, uniform
from foundation.refusal import BadUsage
from objectives import noise as grammar
from objectives.batch import IGNORED, Batch
from objectives.objective import Frame, Ids, Objective, Shape, answered, check_rates, ids_of, token, with_attention


@dataclass(frozen=True, kw_only=True)
class TextInfilling(Objective):
    """Hide spans behind one mask each and permute sentences, ask for the whole text."""

    shape: ClassVar[Shape] = "encoder-decoder"
    needs: ClassVar[tuple[str, ...]] = ("mask", "bos", "eos", "pad")
    frame: ClassVar[Frame] = Frame(before="bos", between="eos", after="eos", start="eos")

    rate: float = 0.3
    """Share of the ordinary tokens of a row that is hidden."""
    mean: float = 3.0
    """Mean of the Poisson law of the span lengths, in tokens."""
    permutation: bool = True
    """Whether the sentences of each document in the block change places."""

    def __post_init__(self) -> None:
        check_rates(self, rate=self.rate)
        if not 0 < self.mean <= 100:
            raise BadUsage(f"TextInfilling: mean = {self.mean} is outside (0, 100]", "give the mean length in tokens")

    def positions(self, block: int) -> int:
        """Return block + 2, the decoder's ``<s> text </s>``; the asked side is never longer."""
        return block + 2

    def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return ``<s> asked </s>`` for the encoder and ``<s> text </s>`` as the decoder's targets."""
        lengths, width = blocks.lengths, blocks.ids.shape[1]
        still = np.broadcast_to(np.arange(width), blocks.ids.shape)
        places = _permute(blocks, vocabulary) if self.permutation else still
        ids, inside = grammar.arrange(blocks.ids, places), grammar.within(lengths, width)
        asked, kept, noise = self._infill(blocks.keys, ids, inside, vocabulary)
        before, after = ids_of(vocabulary, self.frame.before), ids_of(vocabulary, self.frame.after)
        pad = token(vocabulary, "pad")
        inputs, framed = grammar.frame(asked, kept, before, after, pad)
        labels, _ = grammar.frame(blocks.ids, lengths, before, after, IGNORED)
        given = answered(labels, token(vocabulary, self.frame.start or "eos"), pad)
        hidden = np.zeros(labels.shape, dtype=bool)
        longest = int(lengths.max(initial=0))
        original = hidden[:, len(before) : len(before) + longest]
        np.put_along_axis(original, places[:, :longest], noise[:, :longest], axis=1)
        inputs = with_attention({"input_ids": inputs, "decoder_input_ids": given}, framed)
        return Batch(inputs, {"tokens": labels}, hidden=hidden)

    def _infill(
        self, keys: grammar.Keys, ids: grammar.Grid, inside: grammar.Mask, vocabulary: Vocabulary
    ) -> tuple[grammar.Grid, grammar.Rows, grammar.Mask]:
        ordinary = vocabulary.ordinary[ids] & inside
        compact, inserted = _spans(keys, ordinary.sum(axis=1), ids.shape[1], self.rate, self.mean)
        noise = grammar.spread(compact, ordinary)
        runs = grammar.starts(noise)
        room = (noise.sum(axis=1) - runs.sum(axis=1))[:, None]  # more masks than hidden tokens would lengthen the row
        inserted &= np.cumsum(inserted, axis=1) <= room
        before = grammar.spread(inserted[:, :-1], ordinary)
        final = ordinary & (np.cumsum(ordinary, axis=1) == ordinary.sum(axis=1)[:, None])
        behind = final & np.take_along_axis(inserted, ordinary.sum(axis=1)[:, None], axis=1)
        mask = token(vocabulary, "mask")
        asked, kept = grammar.emit((before, mask), (runs, mask), (inside & ~noise, ids), (behind, mask))
        return asked, kept, noise

    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return the answers, which are the whole text."""
        return [row[row != IGNORED][1:-1] for row in batch.targets["tokens"]]

    def pose(self, ids: Ids, noise: np.ndarray, vocabulary: Vocabulary) -> tuple[Ids, Ids]:
        """Return the text with one mask token for each run of hit tokens, and the text."""
        asked, _ = grammar.emit((grammar.starts(noise[None]), token(vocabulary, "mask")), (~noise[None], ids[None]))
        return asked[0], ids


def _permute(blocks: Blocks, vocabulary: Vocabulary) -> grammar.Grid:
    """Return the place that each place shows when the sentences of each document are put in a random order."""
    width = blocks.ids.shape[1]
    document = np.cumsum(blocks.documents, axis=1).astype(np.uint64)
    sentence = np.cumsum(blocks.sentences, axis=1)
    drawn = bits(fold(blocks.keys, "permutation"), width + 1) >> np.uint64(24)
    rank = np.take_along_axis(drawn, sentence, axis=1)
    fixed = ~vocabulary.ordinary[blocks.ids]  # the end of a document stays its end
    rank[fixed] = (np.uint64(1) << np.uint64(40)) - np.uint64(1)
    document[~grammar.within(blocks.lengths, width)] = np.uint64(1) << np.uint64(23)
    return np.argsort((document << np.uint64(40)) | rank, axis=1, kind="stable")


def _spans(
    keys: grammar.Keys, tokens: grammar.Rows, width: int, rate: float, mean: float
) -> tuple[grammar.Mask, grammar.Mask]:
    """Return which of the ordinary tokens of each row are hidden, and before which a zero-length span stands.

    The second has one place more than the row: behind the last token.
    """
    rows = np.arange(len(tokens))[:, None]
    budget = np.ceil(rate * tokens - 1e-9).astype(np.int64)
    lengths, spans = _lengths(keys, budget, tokens - budget + 1, mean)
    gaps = width + 1
    chosen = grammar.choose(fold(keys, "gaps"), grammar.within(tokens - budget + 1, gaps), spans)
    number = np.clip(np.cumsum(chosen, axis=1) - 1, 0, lengths.shape[1] - 1)
    sizes = np.where(chosen, np.take_along_axis(lengths, number, axis=1), 0)
    place = np.arange(gaps) + np.cumsum(sizes, axis=1)  # where the kept token behind each gap stands
    hidden = grammar.within(tokens, gaps)
    real = grammar.within(tokens - budget, gaps)
    hidden[np.broadcast_to(rows, real.shape)[real], place[real]] = False
    inserted = np.zeros((len(tokens), gaps), dtype=bool)
    empty = chosen & (sizes == 0)
    inserted[np.broadcast_to(rows, empty.shape)[empty], place[empty]] = True
    return hidden[:, :-1], inserted


def _lengths(
    keys: grammar.Keys, budget: grammar.Rows, gaps: grammar.Rows, mean: float
) -> tuple[grammar.Grid, grammar.Rows]:
    """Return the span lengths of each row, which sum to its budget, and their number, at most its gaps."""
    law = np.cumsum([math.exp(n * math.log(mean) - mean - math.lgamma(n + 1)) for n in range(int(mean * 4) + 40)])
    most = int(budget.max(initial=0))
    draws = int(1.5 * most / mean) + 16
    drawn = np.searchsorted(law, uniform(fold(keys, "spans"), draws), side="right")
    reached = np.cumsum(drawn, axis=1)
    enough = reached >= budget[:, None]
    spans = np.where(enough.any(axis=1), np.argmax(enough, axis=1) + 1, draws)
    spans = np.where(budget > 0, np.minimum(spans, gaps), 0)
    last = np.arange(draws) == spans[:, None] - 1
    lengths = np.where(grammar.within(spans, draws), drawn, 0)
    lengths = np.where(last, 0, lengths)
    return np.where(last, budget[:, None] - lengths.sum(axis=1)[:, None], lengths), spans
