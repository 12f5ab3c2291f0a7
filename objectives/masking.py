"""What the masking objectives share: which tokens are hit, and BERT's 80/10/10 (Devlin et al. 2019, §3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from corpora.vocabulary import Vocabulary
from foundation.keys import fold
from objectives import noise as grammar
from objectives.objective import Frame, Ids, Objective, Shape, check_rates, token


@dataclass(frozen=True, kw_only=True)
class Masking(Objective):
    """The numbers of token masking, and the noise they describe."""

    shape: ClassVar[Shape] = "encoder"
    needs: ClassVar[tuple[str, ...]] = ("mask", "cls", "sep", "pad")
    frame: ClassVar[Frame] = Frame(before="cls", between="sep", after="sep")

    rate: float = 0.15
    """Share of the ordinary tokens of a row that is asked."""
    masked: float = 0.8
    """Share of the asked tokens that becomes the mask token."""
    random: float = 0.1
    """Share of the asked tokens that becomes a random word; the rest stays as it is."""

    def __post_init__(self) -> None:
        """Refuse shares that are none, or that sum to more than everything."""
        check_rates(self, rate=self.rate, masked=self.masked, random=self.random)
        check_rates(self, **{"masked + random": self.masked + self.random})

    def hide(
        self, keys: grammar.Keys, ids: grammar.Grid, inside: grammar.Mask, vocabulary: Vocabulary
    ) -> tuple[grammar.Grid, grammar.Mask]:
        """Return the rows with their hit tokens disguised, and which tokens were hit."""
        maskable = vocabulary.ordinary[ids] & inside
        noise = grammar.choose(fold(keys, "noise"), maskable, grammar.count(self.rate, maskable.sum(axis=1)))
        mask = token(vocabulary, "mask")
        return grammar.disguise(keys, ids, noise, mask, vocabulary.draw, self.masked, self.random), noise

    def pose(self, ids: Ids, noise: np.ndarray, vocabulary: Vocabulary) -> tuple[Ids, Ids]:
        """Return the text with a mask token for each hit token, and the hit tokens (one text has no order to ask)."""
        return np.where(noise, token(vocabulary, "mask"), ids), ids[noise]
