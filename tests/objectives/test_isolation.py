"""Attention as data says the truth: equal numbers are one document, and nobody is asked what can be seen."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from corpora.blocks import Blocks
from objectives import IGNORED
from objectives.attention import visible
from objectives.masking import Masking
from objectives.mixture import Mixture

from .conftest import keys
from .kinds import kinds
from .rows import answers, read
from .variants import ISOLATED, VARIANTS, accepted

KINDS = 8


def told_apart(vocabulary, rows: int, width: int, *, ragged: bool = True, seed: int = 0) -> Blocks:
    """Rows whose documents can be told by their words: document n of a row is made of words n, n + 8, n + 16 …"""
    rng = np.random.default_rng(seed)
    ids, lengths = np.full((rows, width), vocabulary.pad), np.full(rows, width)
    sentences, documents = np.zeros((2, rows, width), dtype=bool)
    for row in range(rows):
        place, number = 0, 0
        while place < width and number < KINDS:
            size = min(int(rng.integers(2, 14)), width - place)
            ids[row, place : place + size] = rng.choice(vocabulary.draw[number::KINDS], size)
            documents[row, place] = place > 0 or rng.random() < 0.5
            sentences[row, place] = documents[row, place]
            sentences[row, place + 1 : place + size] = rng.random(size - 1) < 0.25
            place += size
            if place < width:
                ids[row, place - 1], sentences[row, place - 1] = vocabulary.eos, False
            number += 1
        lengths[row] = rng.integers(0, place + 1) if ragged else place
        ids[row, lengths[row] :] = vocabulary.pad
        sentences[row, lengths[row] :] = documents[row, lengths[row] :] = False
    return Blocks(ids, lengths, sentences, documents, keys(rows, seed))


def stranger(vocabulary, rows: int, width: int, seed: int) -> Blocks:
    whole = told_apart(vocabulary, rows, width, seed=seed)
    whole.others = told_apart(vocabulary, rows, width, ragged=False, seed=seed + 1)
    whole.texts, whole.others.texts = np.arange(rows) * 100, np.arange(rows) * 100 + 10**6
    return whole


def document_of(vocabulary) -> np.ndarray:
    """By id: the document that a word tells, −1 for a special token."""
    found = np.full(vocabulary.size, -1)
    found[vocabulary.draw] = np.arange(len(vocabulary.draw)) % KINDS
    return found


def shown(row: dict, objective, vocabulary) -> list[int]:
    """The word that each position of a row stands for, on its first side, where it is known (else −1)."""
    ids, labels = row["input_ids"], row["tokens"]
    if objective.shape == "encoder":
        return [label if label != IGNORED else word for word, label in zip(ids, labels, strict=True)]
    if objective.shape == "decoder":  # a position is of the document of what comes next
        behind = [*ids, -1][1:]
        return [label if label != IGNORED else word for word, label in zip(behind, labels, strict=True)]
    hides = {mark: word for mark, word in pairwise(labels) if mark in vocabulary.sentinels}
    return [hides.get(word, word) for word in ids]


def numbers_documents(objective, vocabulary, make=stranger) -> bool:
    """Two positions have one number if and only if they are of one document, on both sides alike."""
    document = document_of(vocabulary)
    whole = make(vocabulary, 40, 48, seed=3)
    for row in read(objective.collate(whole, vocabulary), objective, vocabulary):
        words, numbers = shown(row, objective, vocabulary), row["segment"]
        pairs = {(document[word], number) for word, number in zip(words, numbers, strict=True) if word >= 0}
        if objective.shape == "encoder-decoder":
            said = zip(row["tokens"], row["decoder_segment"], strict=True)
            pairs |= {(document[word], number) for word, number in said if word >= 0}
        known = {pair for pair in pairs if pair[0] >= 0}
        if not objective.strangers and len({one for one, _ in known}) != len(known):
            return False
        if len({number for _, number in known}) != len(known) - (
            objective.strangers and len(known) > 0 and repeats(known)
        ):
            return False
        if known and not {number for _, number in pairs} <= {number for _, number in known} | {0, *numbers}:
            return False
    return True


def repeats(known: set[tuple[int, int]]) -> int:
    """A stranger goes on with the number of the document that it is paired with, whatever its own words are."""
    return len(known) - len({number for _, number in known})


def keeps_documents_apart(objective, vocabulary, make=told_apart) -> bool:
    """By the rule of attention no position sees a position of another document."""
    batch = objective.collate(make(vocabulary, 30, 48, seed=4), vocabulary)
    document = document_of(vocabulary)
    sees = {part: seen[:, 0] for part, seen in visible(batch.inputs, np.arange, shape=objective.shape).items()}
    said = answers(batch)
    for index, row in enumerate(read(batch, objective, vocabulary)):
        own = np.array([document[word] if word >= 0 else -1 for word in shown(row, objective, vocabulary)], dtype=int)
        answer = np.array([document[word] if word >= 0 else -1 for word in row["tokens"]], dtype=int)
        sides = {"self": (own, own)}
        if objective.shape == "encoder-decoder":
            sides |= {"decoder": (answer, answer), "cross": (answer, own)}
            assert len(answer) == said[index]
        for part, (queries, seen) in sides.items():
            apart = (queries[:, None] != seen) & (queries[:, None] >= 0) & (seen >= 0)
            if (sees[part][index, : len(queries), : len(seen)] & apart).any():
                return False
    return True


PLAIN = [name for name in ISOLATED if not ISOLATED[name].strangers and not isinstance(ISOLATED[name], Mixture)]


@pytest.mark.parametrize("name", [name for name in ISOLATED if not isinstance(ISOLATED[name], Mixture)])
def test_equal_numbers_are_one_document(name):
    assert numbers_documents(ISOLATED[name], kinds()[accepted(name)[0]])


@pytest.mark.parametrize("name", PLAIN)
def test_isolated_documents_do_not_see_each_other(name):
    assert keeps_documents_apart(ISOLATED[name], kinds()[accepted(name)[0]])


def hides_what_it_asks(objective, vocabulary) -> bool:
    """A decoder's answer is never before its eyes: what it may see of the places behind is disguised."""
    whole = told_apart(vocabulary, 60, 40, seed=5)
    batch = objective.collate(whole, vocabulary)
    prefix = batch.inputs.get("prefix", np.zeros(60, dtype=np.int64))
    for row, before in zip(read(batch, objective, vocabulary), prefix.tolist(), strict=True):
        for place, label in enumerate(row["tokens"]):
            seen = place + 1 < before  # and so, by `prefix`, from every position of it
            if label != IGNORED and seen and row["input_ids"][place + 1] == label:
                return False
    return True


@pytest.mark.parametrize("name", [name for name in VARIANTS if VARIANTS[name].shape == "decoder"])
def test_no_decoder_sees_what_it_is_asked(name):
    objective = VARIANTS[name]
    if isinstance(objective, Masking):  # else it keeps or draws the word itself now and then, as it should
        objective = replace(objective, masked=1.0, random=0.0)
    if not isinstance(objective, Mixture):
        assert hides_what_it_asks(objective, kinds()["bytes"])
