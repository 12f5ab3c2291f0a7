"""Every law has an objective that breaks it, and catches it."""

from __future__ import annotations

import inspect
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from objectives.deshuffling import Deshuffling
from objectives.document_rotation import DocumentRotation
from objectives.fill_in_the_middle import FillInTheMiddle
from objectives.masked_next_token import MaskedNextToken
from objectives.mixture import Mixture
from objectives.next_sentence import NextSentence
from objectives.next_token import NextToken
from objectives.prefix_language_model import PrefixLanguageModel
from objectives.presets import UL2
from objectives.sentence_order import SentenceOrder
from objectives.sentence_permutation import SentencePermutation
from objectives.span_corruption import SpanCorruption
from objectives.text_infilling import TextInfilling
from objectives.token_deletion import TokenDeletion
from objectives.token_masking import TokenMasking

from . import broken as b
from . import test_arrangement as arrangement
from . import test_decoders as decoders
from . import test_denoising as denoising
from . import test_isolation as isolation
from . import test_laws as laws
from . import test_masking as masking
from . import test_mixtures as mixtures
from . import test_pairs as pairs
from . import test_positions as positions
from . import test_spans as spans
from . import test_worked_example as worked_example
from .digests import digest
from .variants import VARIANTS

ROOMS = (arrangement, decoders, denoising, isolation, laws, masking, mixtures, pairs, positions, spans, worked_example)
EVEN = PrefixLanguageModel()
TURNED = TextInfilling(rate=0.0)


def scribbles(whole, vocabulary):
    whole.ids[:, :1] = vocabulary.mask


def scribbling(objective, at=lambda blocks: blocks):
    """The masks are written into the rows themselves, or into those beside them."""

    def collate(proper, blocks, vocabulary):
        scribbles(at(blocks), vocabulary)
        return proper()

    return b.spoiled(objective, collate)


def said(objective, **methods: Any):
    """An objective that says wrong things of itself."""
    return b.after(objective, lambda *_: None, **methods)


def of_one_document(blocks, vocabulary):
    blocks.texts = blocks.others.texts = None


def at_the_start(blocks, vocabulary):
    blocks.progress = np.zeros(len(blocks))


def short(self, length):
    return type(self).__mro__[1].span(self, length) - 1


def bare(mixture):
    """The same members without their mode tokens."""
    return Mixture(members=tuple(replace(m, objective=replace(m.objective, mode="")) for m in mixture.members))


def infilled(**numbers):
    return TextInfilling(permutation=0.0, **numbers)


def isolated(kind, **numbers):
    return kind(isolated=True, **numbers)


CASES: list[tuple[Any, Any, tuple]] = [
    (laws.is_pure, b.by_batch(TokenMasking()), ()),
    (laws.is_pure, b.by_width(SpanCorruption()), ()),
    (laws.is_pure, b.by_width(NextSentence()), ()),
    (laws.restores, b.after(SpanCorruption(), b.forgets_the_last), ()),
    (laws.restores, b.after(NextSentence(), b.forgets_the_last), ()),
    (laws.is_innocent, b.before(TextInfilling(), b.closes_no_document), ()),
    (laws.is_innocent, b.before(TokenMasking(rate=0.5), b.closes_no_document), ()),
    (laws.asks_everyone, b.after(TokenMasking(), b.is_silent_on_short_rows), ()),
    (laws.asks_everyone, b.after(SpanCorruption(), b.is_silent_on_short_rows), ()),
    (laws.leaves_its_input_alone, scribbling(TokenMasking()), ()),
    (laws.leaves_its_input_alone, scribbling(NextSentence(), lambda blocks: blocks.others), ()),
    (laws.follows_its_key, b.deaf(TokenMasking()), ()),
    (laws.follows_its_key, NextToken(), ()),
    (positions.fits_its_positions, said(SpanCorruption(), reach=lambda self, block: self.positions(block)), ()),
    (positions.fits_its_positions, said(NextToken(isolated=True), positions=lambda self, block: block - 1), ()),
    (laws.pads, b.after(TokenMasking(), b.pads_with_ends), ()),
    (positions.is_a_function_of_its_positions, b.by_batch(TextInfilling()), ()),
    (positions.fills, said(SpanCorruption(), span=short), (range(8, 100),)),
    (isolation.numbers_documents, b.after(isolated(TokenMasking), b.knows_no_documents), ()),
    (isolation.numbers_documents, b.after(isolated(SpanCorruption), b.counts_documents_late), ()),
    (isolation.numbers_documents, b.after(isolated(NextToken), b.counts_documents_late), ()),
    (isolation.keeps_documents_apart, b.after(isolated(TokenMasking), b.knows_no_documents), ()),
    (isolation.keeps_documents_apart, b.after(isolated(TextInfilling), b.counts_documents_late), ()),
    (isolation.hides_what_it_asks, b.after(EVEN, b.sees_too_far), ()),
    (isolation.hides_what_it_asks, MaskedNextToken(masked=0.0), ()),
    (masking.hits_the_exact_share, b.doing(TokenMasking(), TokenMasking(independent=True)), ()),
    (masking.hits_the_exact_share, b.doing(TokenMasking(rate=0.3), TokenMasking(rate=0.31)), ()),
    (masking.disguises, b.doing(TokenMasking(), TokenMasking(masked=1.0, random=0.0)), ()),
    (masking.disguises, b.doing(TokenMasking(), TokenMasking(masked=0.85, random=0.05)), ()),
    (masking.draws_all_words_alike, b.after(TokenMasking(random=1.0, masked=0.0), b.draws_half_of_the_words), ()),
    (masking.hits_all_places_alike, b.after(TokenMasking(), b.asks_the_start), ()),
    (masking.hits_all_places_alike, b.after(TokenMasking(), b.spares_the_end), ()),
    (masking.hits_all_sets_alike, b.after(TokenMasking(rate=1 / 3), b.spares_the_end), ()),
    (masking.hits_all_sets_alike, b.of_few_keys(TokenMasking(rate=1 / 3), 40), ()),
    (masking.draws_independently, b.doing(TokenMasking(independent=True), TokenMasking()), ()),
    (masking.hits_words_as_wholes, b.doing(TokenMasking(unit="word"), TokenMasking()), ("bytes",)),
    (masking.hits_words_as_wholes, b.doing(TokenMasking(unit="word"), TokenMasking(unit="word", rate=0.2)), ("bytes",)),
    (masking.hits_all_words_alike, b.after(TokenMasking(unit="word"), b.asks_the_start), ()),
    (masking.has_lengths, b.doing(TokenMasking(), TokenMasking(unit="n-gram")), (masking.SPAN,)),
    (masking.has_lengths, b.doing(TokenMasking(), TokenMasking(unit="span")), (masking.N_GRAM,)),
    (masking.treats_units_alike, b.doing(TokenMasking(alike=True), TokenMasking(unit="word")), ()),
    (masking.follows_its_schedule, b.before(TokenMasking(rate=0.3, last_rate=0.15), at_the_start), ()),
    (spans.counts_as_the_reference, b.doing(SpanCorruption(), SpanCorruption(density=0.16)), ()),
    (spans.counts_as_the_reference, b.doing(SpanCorruption(), SpanCorruption(mean=2.9)), ()),
    (spans.marks_in_order, b.after(SpanCorruption(), b.swaps_marks), ()),
    (spans.marks_in_order, b.doing(SpanCorruption(), SpanCorruption(rolled=True)), ()),
    (spans.draws_all_masks_alike, b.of_few_keys(SpanCorruption(density=0.5, mean=2.0), 1000), (12,)),
    (spans.draws_all_masks_alike, b.doing(SpanCorruption(), SpanCorruption(rolled=True)), (12,)),
    (spans.hides_all_places_alike, b.doing(SpanCorruption(rolled=True), SpanCorruption()), ()),
    (spans.turns_all_masks_alike, b.doing(SpanCorruption(), SpanCorruption(density=0.4, mean=1.5)), ()),
    (spans.fills_exactly, said(SpanCorruption(), span=short), (8, 60)),
    (spans.collates_as_it_poses, b.after(SpanCorruption(), b.forgets_the_last), ()),
    (denoising.hides_an_exact_share, b.doing(TextInfilling(), TextInfilling(overlap=True)), (30,)),
    (denoising.hides_poisson_spans, b.doing(infilled(), infilled(mean=3.5)), ()),
    (denoising.hides_poisson_spans, b.doing(infilled(), infilled(overlap=True)), ()),
    (denoising.places_spans_alike, b.of_few_keys(TextInfilling(rate=0.1), 30), ()),
    (denoising.overlaps_as_the_original, b.doing(infilled(overlap=True), infilled()), ()),
    (denoising.deletes_an_exact_share, b.doing(TokenDeletion(), TokenDeletion(deletion=0.16)), (15,)),
    (denoising.deletes_an_exact_share, b.doing(TokenDeletion(), infilled(rate=0.15)), (15,)),
    (denoising.deletes_all_places_alike, b.of_few_keys(TokenDeletion(), 100), ()),
    (denoising.tells_what_it_hid, b.after(TextInfilling(), b.hides_nothing), ()),
    (denoising.answers_the_whole_text, b.after(TextInfilling(), b.answers_the_hidden_only), ()),
    (arrangement.keeps_sentences, b.doing(SentencePermutation(), DocumentRotation()), ()),
    (arrangement.keeps_sentences, b.doing(SentencePermutation(permutation=0.3), SentencePermutation()), ()),
    (arrangement.shows_all_orders_alike, b.of_few_keys(SentencePermutation(), 20), (3,)),
    (arrangement.shows_all_orders_alike, b.doing(TURNED, SentencePermutation(permutation=0.7)), (4,)),
    (arrangement.permutes_a_share, b.doing(TURNED, SentencePermutation(permutation=0.7)), ()),
    (arrangement.rotates_documents, b.doing(DocumentRotation(), SentencePermutation()), ()),
    (arrangement.begins_with_any_token_alike, b.doing(DocumentRotation(), DocumentRotation(rotation=0.8)), ()),
    (arrangement.keeps_the_words_of_documents, b.before(Deshuffling(), b.closes_no_document), ()),
    (arrangement.shuffles_alike, b.of_few_keys(Deshuffling(), 1000), ()),
    (pairs.is_a_fair_coin, b.after(SentenceOrder(), b.always_asks_an_order), ()),
    (pairs.is_a_fair_coin, b.after(NextSentence(), b.cuts_one_order_short), ()),
    (pairs.betrays_nothing_by_length, b.after(SentenceOrder(), b.cuts_one_order_short), ()),
    (pairs.no_length_predicts, b.after(NextSentence(), b.cuts_one_order_short), ()),
    (pairs.swaps_sentences_of_one_document, b.after(SentenceOrder(), b.turns_the_order), ()),
    (pairs.cuts_at_any_sentence_alike, b.of_few_keys(SentenceOrder(), 20), ()),
    (pairs.follows_or_comes_from_elsewhere, b.after(NextSentence(), b.turns_the_order), ()),
    (pairs.follows_or_comes_from_elsewhere, b.before(NextSentence(), of_one_document), ()),
    (pairs.frames_its_pair, b.after(SentenceOrder(), b.asks_the_frame), ()),
    (decoders.says_what_comes_next, b.after(NextToken(), b.says_what_it_sees), ()),
    (decoders.hides_the_next_token, b.after(MaskedNextToken(), b.says_too_late), ()),
    (decoders.splits_alike, b.doing(EVEN, PrefixLanguageModel(density=0.45)), ()),
    (decoders.splits_alike, b.of_few_keys(EVEN, 100), ()),
    (decoders.asks_nothing_of_the_prefix, b.after(EVEN, b.sees_too_far), ()),
    (decoders.fills_middles, b.doing(FillInTheMiddle(), FillInTheMiddle(rate=0.6)), ()),
    (decoders.fills_middles, b.of_few_keys(FillInTheMiddle(), 100), ()),
    (decoders.suffix_first_cuts_alike, b.doing(FillInTheMiddle(), FillInTheMiddle(rate=1.0)), ()),
    (decoders.takes_the_document_of_a_random_token, b.of_few_keys(FillInTheMiddle(rate=1.0), 10), ()),
    (mixtures.follows_its_weights, b.before(mixtures.MOVING, at_the_start), ()),
    (mixtures.asks_as_its_members, b.by_batch(mixtures.MIXTURES[3]), ()),
    (mixtures.is_level, b.after(mixtures.MIXTURES[3], b.pads_with_ends), ()),
    (mixtures.names_its_modes, b.doing(UL2(), bare(UL2())), ()),
    (
        worked_example.poses,
        said(SpanCorruption(), pose=lambda self, *rest: TextInfilling().pose(*rest)),
        worked_example.POSED["span-corruption"],
    ),
]


@pytest.mark.parametrize(
    ("law", "objective", "rest"), CASES, ids=lambda one: getattr(one, "__name__", type(one).__name__)
)
def test_the_law_catches_it(law, objective, rest, vocabulary):
    needs = inspect.signature(law).parameters
    given = (vocabulary,) if "vocabulary" in needs and "percent" not in needs else ()
    given = (*rest, vocabulary) if "percent" in needs else (*given, *rest)
    assert not law(objective, *given)


def laws_of(room: ModuleType) -> set[str]:
    """The functions of a room that say of an objective whether it obeys."""
    found = {
        name: one for name, one in vars(room).items() if inspect.isfunction(one) and one.__module__ == room.__name__
    }
    return {
        name
        for name, one in found.items()
        if next(iter(inspect.signature(one).parameters), "") == "objective"
        and one.__annotations__.get("return") == "bool"
    }


def test_no_law_is_without_one():
    every = {f"{room.__name__}.{name}" for room in ROOMS for name in laws_of(room)}
    assert len(every) > 40
    assert every == {f"{law.__module__}.{law.__name__}" for law, _, _ in CASES}


def test_a_digest_tells_one_draw_from_another():
    for name in ("token-masking", "span-corruption", "deshuffling", "next-sentence", "mixture"):
        assert digest(b.of_few_keys(VARIANTS[name], 1000)) != digest(VARIANTS[name])
