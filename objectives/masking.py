"""What the masking objectives share: which tokens are hit, and what they become.

    unit      token      word          n-gram (ALBERT)    span (SpanBERT)
    hit       inviting   inviting me   1 to 3 words       1 to 10 words

Single tokens (Devlin et al. 2019, §3.1, Task #1), whole words (the BERT authors' later release), n-grams of
p(n) ∝ 1/n, n ≤ 3 (Lan et al. 2020, §4.1), spans of geometric length, p = 0.2, truncated at 10 and renormalised to a
mean of 3.8 (Joshi et al. 2020, §3.1). Each hit token becomes the mask with 80 %, a random ordinary token with 10 %,
and stays with 10 %; all are asked.

The share is exact in each row: of its m tokens (or w words) exactly round(rate · m) are hit, at least one, all
choices alike, as in the original and unlike an independent draw, which leaves a row of eight words without any
target in 0.85⁸ = 27 % of cases. ``independent`` draws so nevertheless, and hits one where none was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from corpora.vocabulary import Vocabulary
from foundation.keys import at, below, fold
from foundation.refusal import BadUsage
from objectives import noise as grammar
from objectives.batch import IGNORED
from objectives.noise import Flat, Grid, Keys, Mask, Rows
from objectives.objective import Frame, Ids, Objective, Shape, check_rates, token

_NGRAM = grammar.Law([0.0, 1.0, 1 / 2, 1 / 3])
_SPAN = grammar.Law([0.0, *(0.2 * 0.8**n for n in range(10))])


@dataclass(frozen=True, kw_only=True)
class Masking(Objective):
    """The numbers of token masking, and the noise they describe."""

    shape: ClassVar[Shape] = "encoder"
    needs: ClassVar[tuple[str, ...]] = ("mask", "cls", "sep", "pad")
    frame: ClassVar[Frame] = Frame(before="cls", between="sep", after="sep")

    rate: float = 0.15
    """Share of the ordinary tokens of a row (of its words, where the unit is made of words) that is asked."""
    last_rate: float | None = None
    """The share at the end of the run, reached in a straight line; by default the rate stays."""
    unit: Literal["token", "word", "n-gram", "span"] = "token"
    """What is hit as one: a token, a whole word, 1 to 3 words, or 1 to 10 words."""
    independent: bool = False
    """Draw each token or word by itself instead of hitting an exact number in each row."""
    masked: float = 0.8
    """Share of the asked tokens that becomes the mask token."""
    random: float = 0.1
    """Share of the asked tokens that becomes a random word; the rest stays as it is."""
    alike: bool = False
    """Mask, replace or keep all tokens of a unit alike (SpanBERT's spans), instead of each token by itself."""

    def __post_init__(self) -> None:
        """Refuse shares that are none, or that sum to more than everything."""
        check_rates(self, rate=self.rate, masked=self.masked, random=self.random)
        check_rates(self, **{"masked + random": self.masked + self.random})
        if self.last_rate is not None:
            check_rates(self, last_rate=self.last_rate)
        if self.independent and self.unit in ("n-gram", "span"):
            raise BadUsage(
                f"{type(self).__name__}: {self.unit}s cannot be drawn independently of each other",
                "leave --objective.independent out, or give --objective.unit token or word",
            )

    def hide(
        self,
        keys: Keys,
        ids: Grid,
        lengths: Rows,
        vocabulary: Vocabulary,
        progress: np.ndarray,
    ) -> tuple[Grid, Grid]:
        """Disguise the hit tokens of the rows, framed already, in place; return them, and the targets."""
        last = self.rate if self.last_rate is None else self.last_rate
        rates = self.rate + (last - self.rate) * progress
        ordinary, noise = vocabulary.is_ordinary(ids), fold(keys, "noise")
        if self.unit == "token":
            places = self._draw(noise, ordinary, rates)
            units = places
        else:
            places, units = self._words(noise, ids, lengths, ordinary, rates, vocabulary)
        labels = np.full(ids.shape, IGNORED, dtype=np.int64)
        hit = ids.ravel()[places]
        labels.ravel()[places] = hit
        ids.ravel()[places] = self._disguise(~noise, places, units, ids.shape[1], hit, vocabulary)
        return ids, labels

    def _draw(self, keys: Keys, marked: Mask, rates: np.ndarray) -> Flat:
        """Return the places of the marked tokens that are drawn."""
        if not self.independent:
            return np.flatnonzero(grammar.choose(keys, marked, grammar.count(rates, marked.sum(axis=1))))
        places, width = grammar.flip(keys, marked, rates), marked.shape[1]
        none = np.flatnonzero(np.bincount(places // max(width, 1), minlength=len(keys)) == 0)
        if not len(none):
            return places
        rows, columns = np.nonzero(grammar.choose(~keys[none], marked[none], np.minimum(marked[none].sum(axis=1), 1)))
        return np.sort(np.concatenate([places, none[rows] * width + columns]))

    def _words(
        self, keys: Keys, ids: Grid, lengths: Rows, ordinary: Mask, rates: np.ndarray, vocabulary: Vocabulary
    ) -> tuple[Flat, Flat]:
        """Return the places of hit tokens, and of the first token of the unit that each belongs to."""
        starts = vocabulary.word_starts(ids, grammar.within(lengths, ids.shape[1]))
        edges = np.append(np.flatnonzero(starts | ~ordinary), ordinary.size)
        if self.unit == "word":
            owner = begins = self._draw(keys, starts, rates)
            chosen = np.zeros(ordinary.size, dtype=bool)
            chosen[begins] = True
            word = np.flatnonzero(chosen.take(edges[:-1]))
        else:
            text = grammar.Text(starts)
            hidden = grammar.count(rates, text.counts)
            first, number, _ = grammar.gaps(keys, text.counts, hidden, _NGRAM if self.unit == "n-gram" else _SPAN)
            first, number = (first + text.first[:, None])[number > 0], number[number > 0]
            word = np.searchsorted(edges, text.places(grammar.laid_out(first, number)))
            begins, owner = edges[word], np.repeat(text.places(first), number)
        sizes = edges[word + 1] - begins
        return grammar.laid_out(begins, sizes), np.repeat(owner, sizes)

    def _disguise(self, keys: Keys, places: Flat, units: Flat, width: int, hit: Ids, vocabulary: Vocabulary) -> Ids:
        """Return what each hit token becomes: the mask, a uniformly drawn ordinary token, or itself."""
        masks, swaps = (np.uint64(round(share * 2**32)) for share in (self.masked, self.masked + self.random))
        mask = token(vocabulary, "mask")
        if fast := grammar.compiled():
            units = units if self.alike else places
            return fast.disguised(keys, places, units, width, hit, vocabulary.draw, mask, masks, swaps)
        rows = places // width
        row_keys, begins = keys[rows], rows * width
        drawn = at(row_keys, places - begins)
        fates = at(row_keys, units - begins) if self.alike else drawn
        turn = fates & np.uint64(0xFFFF_FFFF)
        words = vocabulary.draw[below(len(vocabulary.draw), drawn)]
        return np.where(turn < masks, mask, np.where(turn < swaps, words, hit))

    def pose(self, ids: Ids, noise: np.ndarray, vocabulary: Vocabulary) -> tuple[Ids, Ids]:
        """Return the text with a mask token for each hit token, and the hit tokens (one text has no order to ask)."""
        return np.where(noise, token(vocabulary, "mask"), ids), ids[noise]
