"""Orders of two segments: they are what they are said to be, and nothing but their text tells which."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.blocks import Blocks
from objectives import IGNORED
from objectives.next_sentence import NextSentence
from objectives.sentence_order import SentenceOrder

from .chances import happens, is_uniform, same_law
from .conftest import blocks, plain, with_starts

ROWS = 3000


def pairs(vocabulary, rows: int = ROWS, seed: int = 4) -> Blocks:
    return blocks(vocabulary, rows, 64, seed=seed)


def is_a_fair_coin(objective, vocabulary) -> bool:
    """Both orders are asked alike, whatever the length of the row."""
    for seed, ragged in ((4, False), (5, True)):
        order = objective.collate(blocks(vocabulary, ROWS, 64, ragged=ragged, seed=seed), vocabulary).targets["order"]
        asked = order[order != IGNORED]
        if len(asked) < ROWS / 4 or not happens((asked == 1).sum(), len(asked), 0.5):
            return False
    return True


def seams(objective, whole: Blocks, vocabulary) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order of each row that is asked one, and where its second segment begins and ends, counted from <cls>."""
    batch = objective.collate(whole, vocabulary)
    asked = batch.targets["order"] != IGNORED
    types = batch.inputs["token_type_ids"][asked]
    return batch.targets["order"][asked], types.argmax(axis=1), batch.lengths[asked]


def betrays_nothing_by_length(objective, vocabulary) -> bool:
    """First segments are as long under both orders, and second ones, and rows."""
    order, seam, length = seams(objective, pairs(vocabulary, 2 * ROWS, seed=6), vocabulary)
    return all(same_law(found[order == 0], found[order == 1]) for found in (seam, length - seam, length))


@pytest.mark.parametrize("objective", [SentenceOrder(), NextSentence()])
def test_both_orders_are_asked_alike(objective, vocabulary):
    assert is_a_fair_coin(objective, vocabulary)


@pytest.mark.parametrize("objective", [SentenceOrder(), NextSentence()])
def test_lengths_do_not_tell_the_order(objective, vocabulary):
    assert betrays_nothing_by_length(objective, vocabulary)


def swaps_sentences_of_one_document(objective, vocabulary) -> bool:
    """Order 0 is the block as it stands; order 1 has two runs of whole sentences of one document swapped."""
    whole = blocks(vocabulary, 600, 64, ragged=True, seed=7)
    batch = objective.collate(whole, vocabulary)
    for row, order in enumerate(batch.targets["order"].tolist()):
        length = int(whole.lengths[row])
        origin = [place for place in batch.origin[row].tolist() if place >= 0]
        if order != 1:
            if origin != list(range(length)):
                return False
            continue
        left = next(place for place, source in enumerate(origin) if source != place)
        right = length - next(n for n, source in enumerate(reversed(origin)) if source != length - 1 - n)
        cut = origin[left]
        if origin != [*range(left), *range(cut, right), *range(left, cut), *range(right, length)]:
            return False
        if (
            not (whole.sentences[row, left] and whole.sentences[row, cut])
            or whole.documents[row, left + 1 : right].any()
        ):
            return False
        behind = right < length and (whole.sentences[row, right] or not vocabulary.ordinary[whole.ids[row, right]])
        if not behind and right != length:
            return False
    return True


def test_two_pieces_of_one_document_are_swapped_at_sentences(vocabulary):
    assert swaps_sentences_of_one_document(SentenceOrder(), vocabulary)


def cuts_at_any_sentence_alike(objective, vocabulary) -> bool:
    """Four sentences of one document: the three places between them."""
    whole = plain(vocabulary, ROWS, 17)
    whole.ids[:, 16] = vocabulary.eos
    whole = with_starts(whole, [0, 4, 8, 12], [0])
    whole.others = plain(vocabulary, ROWS, 17, seed=1)
    whole.others = with_starts(whole.others, [1, 2, 3, 4, 5], [0])
    order, seam, _ = seams(objective, whole, vocabulary)
    sizes = np.where((order == 1) & isinstance(objective, SentenceOrder), 16 - (seam - 2), seam - 2)
    return len(order) == ROWS and is_uniform(sizes.tolist(), [4, 8, 12])


@pytest.mark.parametrize("objective", [SentenceOrder(), NextSentence()])
def test_all_cuts_are_alike(objective, vocabulary):
    assert cuts_at_any_sentence_alike(objective, vocabulary)


def follows_or_comes_from_elsewhere(objective, vocabulary) -> bool:
    """Order 0: the block goes on. Order 1: as many tokens from a sentence inside another document of the stranger."""
    whole = blocks(vocabulary, 800, 64, ragged=True, seed=8)
    batch = objective.collate(whole, vocabulary)
    for row, order in enumerate(batch.targets["order"].tolist()):
        length, width = int(whole.lengths[row]), whole.ids.shape[1]
        origin = [place for place in batch.origin[row].tolist() if place >= 0]
        if order != 1:
            if origin != list(range(length)):
                return False
            continue
        cut = next(place for place, source in enumerate(origin) if source >= width)
        start = origin[cut] - width
        if origin != [*range(cut), *range(width + start, width + start + length - cut)] or not 0 < cut < length:
            return False
        if not whole.sentences[row, cut] or whole.documents[row, cut]:
            return False
        other = whole.others
        if not other.sentences[row, start] or other.documents[row, start] or start + length - cut > other.lengths[row]:
            return False
        if other.texts[row] == whole.texts[row] and count(other, row, start) == count(whole, row, cut - 1):
            return False
    return True


def count(whole: Blocks, row: int, place: int) -> int:
    """How many documents begin in a row up to a place, behind its first one."""
    return int(whole.documents[row, 1 : place + 1].sum())


def test_the_second_text_follows_or_comes_from_another_document(vocabulary):
    assert follows_or_comes_from_elsewhere(NextSentence(), vocabulary)


def test_a_text_is_never_paired_with_itself(vocabulary):
    whole = with_starts(plain(vocabulary, 50, 40), [0, 8, 16, 24, 32])
    whole.texts = np.arange(50)
    whole.others = whole.take(np.arange(50))
    assert (NextSentence().collate(whole, vocabulary).targets["order"] == IGNORED).all()
    whole.others.texts = whole.texts + 1
    assert (NextSentence().collate(whole, vocabulary).targets["order"] != IGNORED).all()


def test_a_row_without_a_place_to_cut_is_asked_no_order(vocabulary):
    whole = plain(vocabulary, 20, 32)
    whole.others = plain(vocabulary, 20, 32, seed=1)
    for objective in (SentenceOrder(), NextSentence()):
        batch = objective.collate(whole, vocabulary)
        assert (batch.targets["order"] == IGNORED).all()
        assert (batch.inputs["token_type_ids"] == 0).all()
        assert (batch.targets["tokens"] != IGNORED).any(axis=1).all()


def frames_its_pair(objective, vocabulary) -> bool:
    """<cls> A <sep> B <sep>, both at least one token, the second of type 1; no mark is hidden or asked."""
    batch = objective.collate(blocks(vocabulary, 400, 40, ragged=True, seed=9), vocabulary)
    for row, order in enumerate(batch.targets["order"].tolist()):
        length = int(batch.lengths[row])
        ids, types = batch.inputs["input_ids"][row, :length], batch.inputs["token_type_ids"][row, :length]
        seps = np.flatnonzero(ids == vocabulary.sep).tolist()
        wanted = 1 if order == IGNORED else 2
        if ids[0] != vocabulary.cls or len(seps) != wanted or seps[-1] != length - 1:
            return False
        if (batch.targets["tokens"][row, [0, *seps]] != IGNORED).any():
            return False
        if order != IGNORED:
            begin = int(types.argmax())
            if (types != (np.arange(length) >= begin)).any() or begin < 2 or begin > length - 2:
                return False
            if isinstance(objective, NextSentence) and seps[0] != begin - 1:
                return False
    return True


@pytest.mark.parametrize("objective", [SentenceOrder(), NextSentence(), SentenceOrder(unit="word")])
def test_a_pair_is_framed_and_its_marks_are_never_asked(objective, vocabulary):
    assert frames_its_pair(objective, vocabulary)


def no_length_predicts(objective, vocabulary) -> bool:
    """The best guess by the lengths of half of the rows is right for half of the others."""
    order, seam, length = seams(objective, pairs(vocabulary, 2 * ROWS, seed=10), vocabulary)
    half, right = len(order) // 2, 0
    features = np.stack([seam, length - seam, length], axis=1)
    for column in features.T:
        mean = [np.bincount(column[:half][order[:half] == label], minlength=80) for label in (0, 1)]
        guess = (mean[1] > mean[0]).astype(int)[column[half:]]
        right = int((guess == order[half:]).sum())
        if not happens(right, len(order) - half, 0.5):
            return False
    return True


@pytest.mark.parametrize("objective", [SentenceOrder(), NextSentence()])
def test_no_guess_by_lengths_is_better_than_a_coin(objective, vocabulary):
    assert no_length_predicts(objective, vocabulary)
