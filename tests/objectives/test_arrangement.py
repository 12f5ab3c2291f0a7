"""Sentences, documents and tokens change places: all orders alike, inside their document, its end at its place."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, permutations
from math import factorial

import numpy as np
import pytest

from corpora.blocks import Blocks
from objectives.deshuffling import Deshuffling
from objectives.document_rotation import DocumentRotation
from objectives.sentence_permutation import SentencePermutation
from objectives.text_infilling import TextInfilling

from .chances import follows, is_uniform
from .conftest import blocks, plain, with_starts


def asked(objective, whole: Blocks, vocabulary) -> list[list[int]]:
    """The asked side of each row without its frame."""
    batch = objective.collate(whole, vocabulary)
    first = objective.frame.before is not None
    return [row[first : n - 1].tolist() for row, n in zip(batch.inputs["input_ids"], batch.lengths, strict=True)]


def documents_of(whole: Blocks, row: int, vocabulary) -> list[tuple[int, int]]:
    """Where the texts between special tokens and starts of documents begin and end, found by walking."""
    found, begin = [], None
    for place in range(int(whole.lengths[row]) + 1):
        inside = place < whole.lengths[row] and vocabulary.ordinary[whole.ids[row, place]]
        if begin is not None and (not inside or whole.documents[row, place]):
            found.append((begin, place))
            begin = None
        if inside and begin is None:
            begin = place
    return found


def sentences_of(whole: Blocks, row: int, begin: int, end: int) -> list[list[int]]:
    starts = [begin, *(place for place in range(begin + 1, end) if whole.sentences[row, place]), end]
    return [whole.ids[row, a:b].tolist() for a, b in pairwise(starts)]


def keeps_sentences(objective, vocabulary) -> bool:
    """Each document shows the same sentences, no special token has moved, and ⌈share · n⌉ sentences can have."""
    whole = blocks(vocabulary, 80, 70, ragged=True, seed=2)
    for row, shown in enumerate(asked(objective, whole, vocabulary)):
        text = whole.ids[row, : whole.lengths[row]]
        special = ~vocabulary.ordinary[text]
        if len(shown) != len(text) or (np.array(shown, dtype=int)[special] != text[special]).any():
            return False
        for begin, end in documents_of(whole, row, vocabulary):
            there = sentences_of(whole, row, begin, end)
            found = cut_up(shown[begin:end], there)
            moving = -(-Fraction(str(objective.permutation)) * len(there) // 1)
            if found is None or sum(rank != place for place, rank in enumerate(found)) > moving:
                return False
    return True


def cut_up(shown: list[int], there: list[list[int]]) -> list[int] | None:
    """The order in which some sentences stand, if they do, found by trying."""
    if not there and not shown:
        return []
    left = list(range(len(there)))
    order: list[int] = []
    while left:
        rank = next((n for n in left if shown[: len(there[n])] == there[n]), None)
        if rank is None:
            return None
        left.remove(rank)
        order.append(rank)
        shown = shown[len(there[rank]) :]
    return order if not shown else None


@pytest.mark.parametrize("share", [1.0, 0.5, 0.3])
def test_sentences_stay_whole_and_in_their_document(share, vocabulary):
    assert keeps_sentences(SentencePermutation(permutation=share), vocabulary)
    assert keeps_sentences(TextInfilling(rate=0.0, permutation=share), vocabulary)


def orders(objective, vocabulary, sentences: int, rows: int = 4000) -> list[tuple[int, ...]]:
    """In which order rows of a few sentences, two documents of them, are shown: both documents' orders."""
    size = sentences * 3 + 1
    whole = plain(vocabulary, rows, 2 * size, same=True)
    whole.ids[:, [size - 1, -1]] = vocabulary.eos
    whole = with_starts(whole, [d * size + 3 * s for d in (0, 1) for s in range(sentences)], [0, size])
    found = []
    for row in asked(objective, whole, vocabulary):
        ranks = np.array(row) - vocabulary.draw[0]
        assert row[size - 1] == row[-1] == vocabulary.eos
        firsts = [ranks[d * size + 3 * s] - d * size for d in (0, 1) for s in range(sentences)]
        found += [tuple(int(n) // 3 for n in firsts[:sentences]), tuple(int(n) // 3 for n in firsts[sentences:])]
    return found


def shows_all_orders_alike(objective, vocabulary, sentences: int) -> bool:
    return is_uniform(orders(objective, vocabulary, sentences), permutations(range(sentences)))


def test_all_orders_of_sentences_are_alike(vocabulary):
    for objective in (SentencePermutation(), TextInfilling(rate=0.0)):
        assert shows_all_orders_alike(objective, vocabulary, 3)
        assert shows_all_orders_alike(objective, vocabulary, 4)
    assert not shows_all_orders_alike(SentencePermutation(permutation=0.5), vocabulary, 3)


def permutes_a_share(objective, vocabulary) -> bool:
    """Of four sentences two change places among themselves: half of the rows stay, each pair is swapped alike."""
    law = {(0, 1, 2, 3): 0.5}
    for a in range(4):
        for b in range(a):
            order = [0, 1, 2, 3]
            order[a], order[b] = b, a
            law[tuple(order)] = 1 / 12
    return follows(Counter(orders(objective, vocabulary, 4)), law)


def test_a_share_of_the_sentences_changes_places(vocabulary):
    assert permutes_a_share(SentencePermutation(permutation=0.5), vocabulary)
    assert permutes_a_share(SentencePermutation(permutation=0.3), vocabulary)  # ⌈1.2⌉ = 2
    assert not permutes_a_share(SentencePermutation(), vocabulary)


def rotates_documents(objective, vocabulary) -> bool:
    """Each document of a row is shown from one of its tokens on, and round to it; special tokens stay."""
    whole = blocks(vocabulary, 80, 70, ragged=True, seed=3)
    for row, shown in enumerate(asked(objective, whole, vocabulary)):
        text = whole.ids[row, : whole.lengths[row]].tolist()
        for begin, end in documents_of(whole, row, vocabulary):
            own = text[begin:end]
            turns = [own[by:] + own[:by] for by in range(len(own))]
            if shown[begin:end] not in turns:
                return False
            shown[begin:end] = own
        if shown != text:
            return False
    return True


def begins_with_any_token_alike(objective, vocabulary) -> bool:
    whole = plain(vocabulary, 4000, 9, same=True)
    whole.ids[:, 4] = vocabulary.eos
    shown = np.array(asked(objective, with_starts(whole, [0, 5], [0, 5]), vocabulary)) - vocabulary.draw[0]
    law = {(a, b): 1 / 16 for a in range(4) for b in range(5, 9)}
    if objective.rotation < 1:
        stays = 1 - objective.rotation
        law = {
            (a, b): (objective.rotation / 4 + stays * (a == 0)) * (objective.rotation / 4 + stays * (b == 5))
            for a, b in law
        }
    return follows(Counter((int(row[0]), int(row[5])) for row in shown), law)


@pytest.mark.parametrize("objective", [DocumentRotation(), DocumentRotation(rotation=0.5)])
def test_documents_begin_with_any_of_their_tokens_alike(objective, vocabulary):
    assert rotates_documents(objective, vocabulary)
    assert begins_with_any_token_alike(objective, vocabulary)


def keeps_the_words_of_documents(objective, vocabulary) -> bool:
    """Each document shows its own words, special tokens at their places."""
    whole = blocks(vocabulary, 80, 70, ragged=True, seed=4)
    for row, shown in enumerate(asked(objective, whole, vocabulary)):
        text = whole.ids[row, : whole.lengths[row]].tolist()
        for begin, end in documents_of(whole, row, vocabulary):
            if Counter(shown[begin:end]) != Counter(text[begin:end]):
                return False
            shown[begin:end] = text[begin:end]
        if shown != text:
            return False
    return True


def shuffles_alike(objective, vocabulary) -> bool:
    """All orders of four tokens, beside a second document that has its own order."""
    whole = plain(vocabulary, 9000, 8, same=True)
    whole.ids[:, 4] = vocabulary.eos
    shown = np.array(asked(objective, with_starts(whole, [0, 5], [0, 5]), vocabulary)) - vocabulary.draw[0]
    first, second = ([tuple(row) for row in part.tolist()] for part in (shown[:, :4], shown[:, 5:]))
    both = [(one, two) for one in permutations(range(4)) for two in permutations(range(5, 8))]
    assert len(both) == factorial(4) * factorial(3)
    return is_uniform(zip(first, second, strict=True), both)


def test_all_orders_of_tokens_are_alike(vocabulary):
    assert keeps_the_words_of_documents(Deshuffling(), vocabulary)
    assert shuffles_alike(Deshuffling(), vocabulary)


def test_arrangements_come_before_the_noise_and_do_not_change_it(vocabulary):
    """The number of hidden tokens and of masks is the same whether sentences move or not."""
    whole = blocks(vocabulary, 40, 60, seed=5)
    still, moved = TextInfilling(permutation=0.0), replace(TextInfilling(), rotation=1.0)
    counts = [
        [(len(row), sum(word == vocabulary.mask for word in row)) for row in asked(one, whole, vocabulary)]
        for one in (still, moved)
    ]
    hidden = [[length - masks for length, masks in side] for side in counts]
    assert hidden[0] == hidden[1]


def test_nothing_moves_where_nothing_can(vocabulary):
    whole = plain(vocabulary, 10, 12)
    lone = with_starts(whole, [0], [0])
    assert asked(SentencePermutation(), lone, vocabulary) == whole.ids.tolist()
    for objective in (SentencePermutation(permutation=0.0), DocumentRotation(rotation=0.0)):
        text = blocks(vocabulary, 10, 30)
        assert asked(objective, text, vocabulary) == text.ids.tolist()
