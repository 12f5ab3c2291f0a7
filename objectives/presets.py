"""Mixtures with a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Suppress

from objectives.masked_next_token import MaskedNextToken
from objectives.mixture import Member, Mixture
from objectives.next_token import NextToken
from objectives.prefix_language_model import PrefixLanguageModel
from objectives.span_corruption import Mode, SpanCorruption


def _denoiser(mean: float, density: float, mode: Mode) -> Member:
    return Member(objective=SpanCorruption(mean=mean, density=density, mode=mode))


@dataclass(frozen=True, kw_only=True)
class UL2(Mixture):
    """UL2's seven denoisers, all alike in weight (Tay et al. 2023, §3.1).

    R (regular, ``<nlu>``): spans of mean 3 and 8, 15 % hidden. X (extreme, ``<nlg>``): long spans (64), or half of the
    text (3, 8, 64). S (sequential, ``<s2s>``): a prefix, and a quarter of the text behind it to be written.
    """

    members: Annotated[tuple[Member, ...], Suppress] = (
        _denoiser(3.0, 0.15, "nlu"),
        _denoiser(8.0, 0.15, "nlu"),
        Member(objective=PrefixLanguageModel(form="encoder-decoder", density=0.25, mode="s2s")),
        _denoiser(3.0, 0.5, "nlg"),
        _denoiser(8.0, 0.5, "nlg"),
        _denoiser(64.0, 0.15, "nlg"),
        _denoiser(64.0, 0.5, "nlg"),
    )


@dataclass(frozen=True, kw_only=True)
class GPTBERT(Mixture):
    """GPT-BERT's hybrid (Charpentier & Samuel 2024, §2.2): half of the rows causal, half masked.

    Masked rows hide 30 % of their tokens at the start of the run and 15 % at its end.
    """

    members: Annotated[tuple[Member, ...], Suppress] = (
        Member(objective=NextToken()),
        Member(objective=MaskedNextToken(rate=0.3, last_rate=0.15)),
    )
