"""Objectives: what a model is asked about text. ``OBJECTIVES`` is the whole choice, by name."""

from __future__ import annotations

from objectives.batch import IGNORED, Batch
from objectives.next_token import NextToken
from objectives.objective import Frame, Objective
from objectives.sentence_order import SentenceOrder
from objectives.span_corruption import SpanCorruption
from objectives.text_infilling import TextInfilling
from objectives.token_masking import TokenMasking

OBJECTIVES: dict[str, type[Objective]] = {
    "token-masking": TokenMasking,
    "sentence-order": SentenceOrder,
    "span-corruption": SpanCorruption,
    "text-infilling": TextInfilling,
    "next-token": NextToken,
}

__all__ = ["IGNORED", "OBJECTIVES", "Batch", "Frame", "Objective"]
