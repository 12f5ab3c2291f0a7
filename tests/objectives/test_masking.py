"""Masking: how many tokens are hit, which, in what units, and what becomes of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from corpora.blocks import Blocks
from objectives import IGNORED
from objectives.masked_next_token import MaskedNextToken
from objectives.masking import Masking
from objectives.next_sentence import NextSentence
from objectives.sentence_order import SentenceOrder
from objectives.token_masking import TokenMasking

from .chances import alike, follows, is_uniform, lengths_until, one_of_each, runs
from .conftest import blocks, keys, plain
from .kinds import kinds

FAMILY = [TokenMasking, SentenceOrder, NextSentence, MaskedNextToken]
N_GRAM = {1: 1.0, 2: 1 / 2, 3: 1 / 3}
SPAN = {length: 0.2 * 0.8 ** (length - 1) for length in range(1, 11)}


def asked(objective, whole: Blocks, vocabulary) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is shown, what is asked (IGNORED where nothing is), and the whole rows, place by place."""
    batch = objective.collate(whole, vocabulary)
    labels, given = batch.targets["tokens"], batch.inputs["input_ids"]
    if isinstance(objective, MaskedNextToken):
        labels = np.concatenate([np.full_like(labels[:, :1], IGNORED), labels[:, :-1]], axis=1)
    return given, labels, np.where(labels == IGNORED, given, labels)


def paired(vocabulary, rows: int, width: int, seed: int) -> Blocks:
    return blocks(vocabulary, rows, width, ragged=True, seed=seed)


def hits_the_exact_share(objective, vocabulary) -> bool:
    """round(rate · m) of the m ordinary tokens that a row shows, at least one, none twice, no special token."""
    for width in (5, 40, 120):
        _, labels, text = asked(objective, paired(vocabulary, 60, width, width), vocabulary)
        ordinary = vocabulary.ordinary[text]
        for row, words in zip(labels, ordinary, strict=True):
            number, hit = int(words.sum()), int((row != IGNORED).sum())
            if hit != min(number, max(1, round(objective.rate * number))) or (row[~words] != IGNORED).any():
                return False
    return True


@pytest.mark.parametrize("kind", FAMILY)
@pytest.mark.parametrize("rate", [0.15, 0.3, 1.0])
def test_the_share_of_a_row_is_exact(kind, rate, vocabulary):
    assert hits_the_exact_share(kind(rate=rate), vocabulary)


def disguises(objective, vocabulary) -> bool:
    """Of the asked tokens 80 % become the mask, 10 % a random word, which may be the word itself, 10 % stay."""
    whole = plain(vocabulary, 600, 100)
    whole.others = plain(vocabulary, 600, 100, seed=1)
    given, labels, _ = asked(objective, whole, vocabulary)
    shown, said = given[labels != IGNORED], labels[labels != IGNORED]
    fates = np.where(shown == vocabulary.mask, "mask", np.where(shown == said, "stays", "word"))
    same = 1 / len(vocabulary.draw)
    rest = 1 - objective.masked - objective.random
    law = {"mask": objective.masked, "word": objective.random * (1 - same), "stays": rest + objective.random * same}
    return follows(Counter(fates.tolist()), law) and (given[labels == IGNORED] != vocabulary.mask).all()


@pytest.mark.parametrize("kind", FAMILY)
def test_asked_tokens_become_masks_random_words_or_themselves(kind, vocabulary):
    assert disguises(kind(), vocabulary)
    assert disguises(kind(masked=0.25, random=0.5, rate=0.5), vocabulary)


def draws_all_words_alike(objective, vocabulary) -> bool:
    """Random words are uniform over the ordinary ids, and no special token is among them."""
    given, labels, _ = asked(objective, plain(vocabulary, 400, 60, seed=2), vocabulary)
    return is_uniform(given[labels != IGNORED].tolist(), vocabulary.draw.tolist())


@pytest.mark.parametrize("kind", ["bytes", "wordpiece", "unigram"])
def test_random_words_are_uniform_over_ordinary_ids(kind):
    for objective in (
        TokenMasking(rate=0.5, masked=0.0, random=1.0),
        MaskedNextToken(rate=0.5, masked=0.0, random=1.0),
    ):
        assert draws_all_words_alike(objective, kinds()[kind])


def hits_all_places_alike(objective, vocabulary) -> bool:
    _, labels, _ = asked(objective, plain(vocabulary, 3000, 40, seed=3), vocabulary)
    hit = (labels != IGNORED)[:, 1:41]
    return is_uniform(one_of_each(hit), range(40)) and is_uniform(one_of_each(~hit, seed=1), range(40))


@pytest.mark.parametrize("objective", [TokenMasking(), MaskedNextToken(), TokenMasking(independent=True)])
def test_all_places_are_hit_alike(objective, vocabulary):
    assert hits_all_places_alike(objective, vocabulary)


def hits_all_sets_alike(objective, vocabulary) -> bool:
    """Two of six tokens: all fifteen pairs."""
    _, labels, _ = asked(objective, plain(vocabulary, 3000, 6, seed=4), vocabulary)
    pairs = [tuple(np.flatnonzero(row != IGNORED).tolist()) for row in labels]
    return is_uniform(pairs, [(a, b) for b in range(1, 7) for a in range(1, b)])


def test_all_sets_of_tokens_are_hit_alike(vocabulary):
    assert hits_all_sets_alike(TokenMasking(rate=1 / 3), vocabulary)


def draws_independently(objective, vocabulary) -> bool:
    """The number of a row is binomial; where it would be none it is one."""
    width = 12
    _, labels, _ = asked(objective, plain(vocabulary, 4000, width, seed=5), vocabulary)
    law = {k: float(stats.binom.pmf(k, width, objective.rate)) for k in range(width + 1)}
    law[1] += law.pop(0)
    return follows(Counter((labels != IGNORED).sum(axis=1).tolist()), law)


def test_independent_draws_are_binomial_and_never_none(vocabulary):
    assert draws_independently(TokenMasking(independent=True), vocabulary)
    assert draws_independently(MaskedNextToken(independent=True, rate=0.4), vocabulary)


MARKS = {"bytes": "Ġ", "bytes-prefix": "Ġ", "unigram": "▁", "t5": "▁"}


def of_words(kind: str, rows: int, width: int, *, specials: bool, seed: int = 0) -> tuple[Blocks, np.ndarray]:
    """Rows of words of one to three pieces, all letters, and the number of the word of each place (−1: none)."""
    vocabulary, rng = kinds()[kind], np.random.default_rng(seed)
    pieces = np.array(vocabulary.pieces, dtype=object)
    if kind == "wordpiece":
        opens = [n for n in vocabulary.draw if pieces[n].isascii() and pieces[n].isalpha()]
        inner = [n for n in vocabulary.draw if pieces[n].startswith("##") and pieces[n][2:].isalpha()]
    else:
        mark = MARKS[kind]
        opens = [
            n for n in vocabulary.draw if pieces[n][0] == mark and pieces[n][1:].isascii() and pieces[n][1:].isalpha()
        ]
        inner = [n for n in vocabulary.draw if pieces[n].isascii() and pieces[n].isalpha()]
    assert min(len(opens), len(inner)) > 20
    ids, owner = np.zeros((2, rows, width), dtype=np.int64)
    for row in range(rows):
        place = number = 0
        while place < width:
            if specials and place and rng.random() < 0.08:
                ids[row, place], owner[row, place] = vocabulary.eos, -1
                place += 1
                continue
            size = min(int(rng.integers(1, 4)), width - place)
            ids[row, place : place + size] = [rng.choice(opens), *rng.choice(inner, size - 1)]
            owner[row, place : place + size] = number
            place, number = place + size, number + 1
    none = np.zeros((rows, width), dtype=bool)
    return Blocks(ids, np.full(rows, width), none, none, keys(rows, seed)), owner


def hits_words_as_wholes(objective, kind: str) -> bool:
    """A word is hit wholly or not at all, and of w words exactly round(rate · w) are, at least one."""
    whole, owner = of_words(kind, 60, 70, specials=True)
    _, labels, _ = asked(objective, whole, kinds()[kind])
    for row, words in zip(labels[:, 1 : 1 + owner.shape[1]] != IGNORED, owner, strict=True):
        hit, kept = set(words[row].tolist()), set(words[~row].tolist())
        number = int(words.max()) + 1
        if (
            hit & kept
            or -1 in hit
            or (not objective.independent and len(hit) != max(1, round(objective.rate * number)))
        ):
            return False
    return True


@pytest.mark.parametrize("kind", ["bytes", "bytes-prefix", "wordpiece", "unigram"])
@pytest.mark.parametrize("unit", ["word", "n-gram", "span"])
def test_words_are_hit_as_wholes_and_their_share_is_exact(kind, unit):
    for family in (TokenMasking, MaskedNextToken):
        assert hits_words_as_wholes(family(unit=unit), kind)
        assert hits_words_as_wholes(family(unit=unit, alike=True, rate=0.4), kind)
    assert hits_words_as_wholes(TokenMasking(unit="word", independent=True), kind)


def hits_all_words_alike(objective) -> bool:
    whole, owner = of_words("bytes", 800, 40, specials=False)
    _, labels, _ = asked(objective, whole, kinds()["bytes"])
    places = []
    rng = np.random.default_rng(1)
    for row, words in zip(labels[:, 1:41] != IGNORED, owner, strict=True):
        hit = np.unique(words[row])
        places.append((rng.choice(hit) + rng.random()) / (words.max() + 1))
    return bool(stats.kstest(places, "uniform").pvalue > 1e-4)


@pytest.mark.parametrize("unit", ["word", "n-gram", "span"])
def test_words_of_all_places_are_hit_alike(unit):
    assert hits_all_words_alike(TokenMasking(unit=unit, rate=0.3))


def has_lengths(objective, law: dict[int, float]) -> bool:
    """Runs of hit words have lengths of a law, drawn until the share is reached, the last one trimmed."""
    vocabulary = kinds()["words"]  # whose every token is a word
    _, labels, _ = asked(objective, plain(vocabulary, 300, 400, seed=6), vocabulary)
    found = [end - begin for row in labels[:, 1:401] != IGNORED for begin, end in runs(row)]
    return alike(found, lengths_until(law, round(400 * objective.rate), 3000))


def test_n_grams_are_drawn_in_inverse_proportion_to_their_length():
    assert has_lengths(TokenMasking(unit="n-gram"), N_GRAM)
    assert has_lengths(MaskedNextToken(unit="n-gram"), N_GRAM)


def test_spans_are_geometric_cut_off_at_ten_words_and_not_clipped_there():
    mean = sum(length * share for length, share in SPAN.items()) / sum(SPAN.values())
    assert round(mean, 3) == 3.797
    assert has_lengths(TokenMasking(unit="span"), SPAN)
    clipped = {**SPAN, 10: SPAN[10] + 0.8**10}
    assert not has_lengths(TokenMasking(unit="span"), clipped)


def treats_units_alike(objective) -> bool:
    """All tokens of a unit are masked, all replaced, or all kept."""
    whole, owner = of_words("bytes", 200, 60, specials=True)
    vocabulary = kinds()["bytes"]
    given, labels, _ = asked(objective, whole, vocabulary)
    hit, masked = (labels != IGNORED)[:, 1:61], (given == vocabulary.mask)[:, 1:61]
    units = [masked[row, words == word] for row, words in enumerate(owner) for word in set(words[hit[row]].tolist())]
    return all(unit.all() or not unit.any() for unit in units)


@pytest.mark.parametrize("unit", ["word", "n-gram", "span"])
def test_tokens_of_a_unit_share_their_fate_only_if_asked_to(unit):
    assert treats_units_alike(TokenMasking(unit=unit, alike=True, masked=0.5, random=0.25))
    assert not treats_units_alike(TokenMasking(unit=unit, masked=0.5, random=0.25))
    assert disguises(TokenMasking(unit=unit, alike=True), kinds()["words"])


def follows_its_schedule(objective: Masking, vocabulary) -> bool:
    """The share moves in a straight line from the start of the run to its end, row by row."""
    whole = plain(vocabulary, 101, 200, seed=7)
    whole.progress = np.arange(101) / 100
    _, labels, _ = asked(objective, whole, vocabulary)
    last = objective.rate if objective.last_rate is None else objective.last_rate
    wanted = [(objective.rate + (last - objective.rate) * step / 100) * 200 for step in range(101)]
    return bool((abs((labels != IGNORED).sum(axis=1) - np.array(wanted)) <= 0.5 + 1e-6).all())


@pytest.mark.parametrize("kind", [TokenMasking, MaskedNextToken])
def test_the_share_follows_its_schedule(kind, vocabulary):
    assert follows_its_schedule(kind(rate=0.3, last_rate=0.15), vocabulary)
    assert follows_its_schedule(kind(rate=0.15, last_rate=0.5), vocabulary)
    assert follows_its_schedule(kind(), vocabulary)


def test_the_first_and_last_rate_of_a_run_are_those_that_are_named(vocabulary):
    moving = TokenMasking(rate=0.3, last_rate=0.15)
    for progress, rate in ((0.0, 0.3), (0.5, 0.225), (1.0, 0.15)):
        whole = plain(vocabulary, 20, 200)
        whole.progress[:] = progress
        wanted = replace(moving, rate=rate, last_rate=None).collate(whole, vocabulary)
        assert (moving.collate(whole, vocabulary).targets["tokens"] == wanted.targets["tokens"]).all()
