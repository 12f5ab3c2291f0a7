"""BART's noises: spans behind masks, deleted tokens, and the law of the original."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from corpora.blocks import Blocks
from objectives.span_corruption import SpanCorruption
from objectives.text_infilling import TextInfilling
from objectives.token_deletion import TokenDeletion

from .chances import alike, is_uniform, lengths_until, one_of_each, poisson
from .conftest import blocks, plain


def gaps_of(asked: np.ndarray, text: np.ndarray, mask: int) -> list[list[int]]:
    """How many tokens each mask of a row hides, where all its words differ; masks that touch share what is missing."""
    place = {word: rank for rank, word in enumerate(text.tolist())}
    found, masks, before = [], 0, -1
    for word in [*asked.tolist(), None]:
        if word == mask:
            masks += 1
            continue
        here = len(text) if word is None else place[word]
        if masks or here - before > 1:
            found.append([masks, here - before - 1])
        masks, before = 0, here
    return found


def different(vocabulary, rows: int, width: int, seed: int = 0) -> Blocks:
    """Rows of words that all differ."""
    whole, rng = plain(vocabulary, rows, width, seed), np.random.default_rng(seed)
    whole.ids[:] = [rng.permutation(vocabulary.draw)[:width] for _ in range(rows)]
    return whole


def ceiling(percent: int, tokens: int) -> int:
    return -(-percent * tokens // 100)


def hides_an_exact_share(objective, percent: int, vocabulary) -> bool:
    """Exactly ⌈rate · m⌉ of the ordinary tokens of each row are missing, and no two masks touch."""
    for seed, width in enumerate((1, 2, 7, 50, 200)):
        whole = blocks(vocabulary, 40, width, ragged=True, seed=seed)
        batch = objective.collate(whole, vocabulary)
        for ids, length, asked in zip(whole.ids, whole.lengths, batch.inputs["input_ids"], strict=True):
            tokens = int(vocabulary.ordinary[ids[:length]].sum())
            if tokens - vocabulary.ordinary[asked].sum() != ceiling(percent, tokens):
                return False
    bare = different(vocabulary, 50, 200)
    shown = objective.collate(bare, vocabulary).inputs["input_ids"]
    return not ((shown[:, 1:] == vocabulary.mask) & (shown[:, :-1] == vocabulary.mask)).any()


@pytest.mark.parametrize("percent", [15, 30, 50])
def test_infilling_hides_an_exact_share_behind_masks_that_never_touch(percent, vocabulary):
    assert hides_an_exact_share(TextInfilling(rate=percent / 100), percent, vocabulary)
    assert hides_an_exact_share(TextInfilling(rate=percent / 100, permutation=0.0, mean=8.0), percent, vocabulary)


def hides_poisson_spans(objective, vocabulary) -> bool:
    """The lengths behind the masks, empty ones included, are drawn from the law until the share is reached."""
    whole = different(vocabulary, 400, 240)
    batch = objective.collate(whole, vocabulary)
    asked = [row[1 : length - 1] for row, length in zip(batch.inputs["input_ids"], batch.lengths, strict=True)]
    found = [pair for row, text in zip(asked, whole.ids, strict=True) for pair in gaps_of(row, text, vocabulary.mask)]
    if any(masks != 1 for masks, _ in found):
        return False
    return alike((size for _, size in found), lengths_until(poisson(objective.mean), round(240 * objective.rate), 4000))


def test_span_lengths_are_poisson_empty_ones_included(vocabulary):
    assert hides_poisson_spans(TextInfilling(permutation=0.0), vocabulary)
    assert hides_poisson_spans(TextInfilling(permutation=0.0, mean=6.0, rate=0.5), vocabulary)


def places_spans_alike(objective, vocabulary) -> bool:
    """One token behind one mask: any of them; two, behind two masks that stand apart: any such two."""
    whole = different(vocabulary, 4000, 6)
    asked = objective.collate(whole, vocabulary).inputs["input_ids"]
    hit = np.array([~np.isin(text, row) for row, text in zip(asked, whole.ids, strict=True)])
    pairs = [tuple(np.flatnonzero(row).tolist()) for row in hit]
    if hit[0].sum() == 1:
        return is_uniform(pairs, [(place,) for place in range(6)])
    masks = (asked == vocabulary.mask).sum(axis=1)
    apart = [pair for pair, number in zip(pairs, masks, strict=True) if number == 2 and pair[1] - pair[0] > 1]
    return is_uniform(apart, [(a, b) for b in range(6) for a in range(b - 1)])


def test_spans_stand_in_any_gap_alike(vocabulary):
    assert places_spans_alike(TextInfilling(rate=0.1), vocabulary)
    assert places_spans_alike(TextInfilling(rate=0.3, mean=1.0), vocabulary)


def overlaps_as_the_original(objective, vocabulary) -> bool:
    """512 tokens, 30 %, mean 3: 26.76 % are gone, behind 42.6 masks."""
    asked = objective.collate(plain(vocabulary, 500, 512), vocabulary).inputs["input_ids"]
    gone = 1 - vocabulary.ordinary[asked].sum(axis=1).mean() / 512
    masks = (asked == vocabulary.mask).sum(axis=1).mean()
    return bool(abs(gone - 0.2676) < 0.01 and abs(masks - 42.6) < 1)


def test_overlapping_spans_hide_what_the_originals_do(vocabulary):
    assert overlaps_as_the_original(TextInfilling(overlap=True, permutation=0.0), vocabulary)
    assert not overlaps_as_the_original(TextInfilling(permutation=0.0), vocabulary)


def deletes_an_exact_share(objective, percent: int, vocabulary) -> bool:
    """⌈deletion · m⌉ tokens are gone without a mark, the others stand in their order, specials among them."""
    for width in (1, 3, 40, 120):
        whole = blocks(vocabulary, 40, width, ragged=True, seed=width)
        batch = objective.collate(whole, vocabulary)
        for row, length in enumerate(whole.lengths):
            text, asked = whole.ids[row, :length], batch.inputs["input_ids"][row, 1 : batch.lengths[row] - 1]
            tokens = int(vocabulary.ordinary[text].sum())
            if len(asked) != length - ceiling(percent, tokens) or not is_part(asked.tolist(), text.tolist()):
                return False
            specials = text[~vocabulary.ordinary[text]].tolist()
            if asked[~vocabulary.ordinary[asked]].tolist() != specials:
                return False
    return True


def is_part(shown: list[int], text: list[int]) -> bool:
    """Does one sequence stand in another, in order?"""
    rest = iter(text)
    return all(any(word == other for other in rest) for word in shown)


@pytest.mark.parametrize("percent", [15, 40, 100])
def test_deletion_takes_an_exact_share_and_leaves_the_rest_in_order(percent, vocabulary):
    assert deletes_an_exact_share(TokenDeletion(deletion=percent / 100), percent, vocabulary)


def deletes_all_places_alike(objective, vocabulary) -> bool:
    whole = plain(vocabulary, 3000, 8, same=True)
    asked = objective.collate(whole, vocabulary).inputs["input_ids"]
    hit = np.array([~np.isin(whole.ids[0], row) for row in asked])
    pairs = [tuple(np.flatnonzero(row).tolist()) for row in hit]
    every = [(a, b) for b in range(8) for a in range(b)]
    assert len(every) == comb(8, 2)
    return is_uniform(pairs, every) and is_uniform(one_of_each(hit), range(8))


def test_deletion_takes_any_tokens_alike(vocabulary):
    assert deletes_all_places_alike(TokenDeletion(), vocabulary)


def tells_what_it_hid(objective, vocabulary) -> bool:
    """``hidden`` marks exactly the answers that the asked side does not show, and only words."""
    for ragged in (False, True):
        whole = blocks(vocabulary, 60, 50, ragged=ragged, seed=8)
        batch = objective.collate(whole, vocabulary)
        for index in range(60):
            answer, given = batch.targets["tokens"][index], batch.inputs["input_ids"][index]
            hidden, shown = answer[batch.hidden[index]], given[vocabulary.ordinary[given]]
            text = whole.ids[index, : whole.lengths[index]]
            if sorted([*hidden, *shown]) != sorted(text[vocabulary.ordinary[text]]):
                return False
    return True


def test_hidden_marks_the_answers_that_the_asked_side_does_not_show(vocabulary):
    noises = TextInfilling(deletion=0.2, rotation=0.5, permutation=0.5)
    for objective in (
        TextInfilling(),
        TextInfilling(overlap=True),
        TokenDeletion(),
        noises,
        SpanCorruption(rolled=True),
    ):
        assert tells_what_it_hid(objective, vocabulary)


def answers_the_whole_text(objective, vocabulary) -> bool:
    """<s> text </s> is said, and the decoder is told </s>, then what has been said."""
    whole = blocks(vocabulary, 30, 40, ragged=True, seed=3)
    batch = objective.collate(whole, vocabulary)
    for row, length in enumerate(whole.lengths):
        said = [vocabulary.bos, *whole.ids[row, :length], vocabulary.eos]
        if batch.targets["tokens"][row, : length + 2].tolist() != said:
            return False
        if batch.inputs["decoder_input_ids"][row, : length + 2].tolist() != [vocabulary.eos, *said[:-1]]:
            return False
        given = batch.inputs["input_ids"][row, : batch.lengths[row]]
        if given[0] != vocabulary.bos or given[-1] != vocabulary.eos:
            return False
    return True


def test_the_answer_is_the_whole_text(vocabulary):
    for objective in (TextInfilling(), TextInfilling(overlap=True, deletion=0.3, rotation=1.0), TokenDeletion()):
        assert answers_the_whole_text(objective, vocabulary)
