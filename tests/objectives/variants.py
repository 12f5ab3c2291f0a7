"""Every objective under which the laws must hold: all that have a name, and their numbers that change the way."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from corpora.vocabulary import Vocabulary
from foundation.refusal import BadUsage
from objectives import OBJECTIVES, Member, Objective
from objectives.fill_in_the_middle import FillInTheMiddle
from objectives.masked_next_token import MaskedNextToken
from objectives.mixture import Mixture
from objectives.next_sentence import NextSentence
from objectives.next_token import NextToken
from objectives.prefix_language_model import PrefixLanguageModel
from objectives.sentence_order import SentenceOrder
from objectives.span_corruption import SpanCorruption
from objectives.text_infilling import TextInfilling
from objectives.token_masking import TokenMasking

from .kinds import kinds


def _mixture(*objectives: Objective) -> Mixture:
    members = (Member(objective=one, weight=float(len(objectives) - n)) for n, one in enumerate(objectives))
    return Mixture(members=tuple(members))


NAMED: dict[str, Objective] = {name: kind() for name, kind in OBJECTIVES.items() if name != "mixture"}
NAMED["mixture"] = _mixture(SpanCorruption(), TextInfilling())
VARIANTS: dict[str, Objective] = NAMED | {
    "words": TokenMasking(unit="word"),
    "words-alike": TokenMasking(unit="word", alike=True, masked=0.5, random=0.25),
    "n-grams": TokenMasking(unit="n-gram"),
    "spans-alike": TokenMasking(unit="span", alike=True),
    "independent": TokenMasking(independent=True),
    "independent-words": TokenMasking(independent=True, unit="word"),
    "order-of-words": SentenceOrder(unit="word"),
    "masked-next-words": MaskedNextToken(unit="span", rate=0.3),
    "rolled": SpanCorruption(rolled=True),
    "dense": SpanCorruption(density=0.9, mean=1.0, rolled=True, mode="nlg"),
    "long-spans": SpanCorruption(mean=64.0, mode="nlu"),
    "prefix-in-encoder": PrefixLanguageModel(form="encoder-decoder"),
    "prefix-with-mode": PrefixLanguageModel(form="encoder-decoder", density=0.25, mode="s2s"),
    "overlap": TextInfilling(overlap=True),
    "all-noises": TextInfilling(deletion=0.1, rotation=0.5, permutation=0.5),
    "all-noises-overlap": TextInfilling(rate=0.5, deletion=0.3, rotation=1.0, overlap=True),
    "prefix-first": FillInTheMiddle(rate=1.0, spm=0.0),
    "suffix-first": FillInTheMiddle(rate=1.0, spm=1.0),
    "mixed-encoders": _mixture(TokenMasking(), NextSentence(), SentenceOrder(unit="word")),
    "mixed-decoders": _mixture(NextToken(), FillInTheMiddle(), PrefixLanguageModel(), MaskedNextToken()),
}
OPEN = {"prefix-in-encoder", "prefix-with-mode", "ul2"}  # a document behind the split would have nothing to read
ISOLATED: dict[str, Objective] = {
    f"{name}-isolated": replace(one, isolated=True) for name, one in VARIANTS.items() if name not in OPEN
}
ALL: dict[str, Objective] = VARIANTS | ISOLATED
BLOCK = 512  # room for UL2's longest spans


@cache
def accepted(name: str) -> tuple[str, ...]:
    """The kinds of vocabulary that an objective takes."""
    return tuple(kind for kind, vocabulary in kinds().items() if _takes(ALL[name], vocabulary))


def _takes(objective: Objective, vocabulary: Vocabulary) -> bool:
    try:
        objective.check(vocabulary, BLOCK)
    except BadUsage:
        return False
    return True
