"""Objectives: what a model is asked about text. ``OBJECTIVES`` is the whole choice, by name."""

from __future__ import annotations

from objectives.batch import IGNORED, Batch
from objectives.collator import Collator
from objectives.deshuffling import Deshuffling
from objectives.document_rotation import DocumentRotation
from objectives.fill_in_the_middle import FillInTheMiddle
from objectives.masked_next_token import MaskedNextToken
from objectives.mixture import Member, Mixture
from objectives.next_sentence import NextSentence
from objectives.next_token import NextToken
from objectives.objective import Frame, Objective
from objectives.prefix_language_model import PrefixLanguageModel
from objectives.presets import GPTBERT, UL2
from objectives.sentence_order import SentenceOrder
from objectives.sentence_permutation import SentencePermutation
from objectives.span_corruption import SpanCorruption
from objectives.text_infilling import TextInfilling
from objectives.token_deletion import TokenDeletion
from objectives.token_masking import TokenMasking

OBJECTIVES: dict[str, type[Objective]] = {
    "token-masking": TokenMasking,
    "sentence-order": SentenceOrder,
    "next-sentence": NextSentence,
    "span-corruption": SpanCorruption,
    "text-infilling": TextInfilling,
    "token-deletion": TokenDeletion,
    "sentence-permutation": SentencePermutation,
    "document-rotation": DocumentRotation,
    "deshuffling": Deshuffling,
    "next-token": NextToken,
    "prefix-language-model": PrefixLanguageModel,
    "fill-in-the-middle": FillInTheMiddle,
    "masked-next-token": MaskedNextToken,
    "mixture": Mixture,
    "ul2": UL2,
    "gpt-bert": GPTBERT,
}

__all__ = ["IGNORED", "OBJECTIVES", "Batch", "Collator", "Frame", "Member", "Objective"]
