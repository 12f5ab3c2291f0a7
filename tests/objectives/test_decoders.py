"""Decoders: each position says the next token; prefixes, middles and hidden tokens are where they are said to be."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from corpora.blocks import Blocks
from objectives import IGNORED
from objectives.fill_in_the_middle import FillInTheMiddle
from objectives.masked_next_token import MaskedNextToken
from objectives.next_token import NextToken
from objectives.prefix_language_model import PrefixLanguageModel

from .chances import follows, happens, is_uniform
from .conftest import blocks, plain, with_starts
from .rows import read

HALVES = (PrefixLanguageModel(), PrefixLanguageModel(form="encoder-decoder"))


def says_what_comes_next(objective, vocabulary) -> bool:
    """Each target is the token that stands at the next position: one answer for each token of the text."""
    whole = blocks(vocabulary, 60, 50, ragged=True, seed=1)
    rows = read(objective.collate(whole, vocabulary), objective, vocabulary)
    for row, length in zip(rows, whole.lengths.tolist(), strict=True):
        given, said = row["input_ids"], row["tokens"]
        if length and given[0] != vocabulary.bos:
            return False
        if any(answer not in (IGNORED, token) for answer, token in zip(said, given[1:], strict=False)):
            return False
        if isinstance(objective, NextToken) and IGNORED in said:
            return False
    return True


def test_each_position_says_the_next_token(vocabulary):
    for objective in (NextToken(), PrefixLanguageModel(), FillInTheMiddle()):
        assert says_what_comes_next(objective, vocabulary)


def hides_the_next_token(objective, vocabulary) -> bool:
    """Target t is the token at t + 1 of <s> text, and where nothing is asked that token is shown as it is."""
    whole = blocks(vocabulary, 60, 50, ragged=True, seed=2)
    batch = objective.collate(whole, vocabulary)
    for index, row in enumerate(read(batch, objective, vocabulary)):
        text = [vocabulary.bos, *whole.ids[index, : whole.lengths[index]].tolist()]
        for place, said in enumerate(row["tokens"][:-1]):
            shown = row["input_ids"][place + 1]
            if (said if said != IGNORED else shown) != text[place + 1]:
                return False
        if row["prefix"] != len(text) or row["tokens"][-1] != IGNORED or row["input_ids"][0] != vocabulary.bos:
            return False
    return True


def test_a_hidden_token_is_said_by_the_position_before_it(vocabulary):
    for objective in (MaskedNextToken(), MaskedNextToken(unit="word", rate=0.5)):
        assert hides_the_next_token(objective, vocabulary)


def asked_of(objective, whole: Blocks, vocabulary) -> np.ndarray:
    """How many tokens of the text are asked."""
    number = (objective.collate(whole, vocabulary).targets["tokens"] != IGNORED).sum(axis=1)
    return number - (objective.shape == "encoder-decoder")


def splits_alike(objective, vocabulary) -> bool:
    """Between 1 and 2 · density · (L − 1) tokens are asked, all numbers alike."""
    length = 21
    number = asked_of(objective, plain(vocabulary, 4000, length), vocabulary)
    return is_uniform(number.tolist(), range(1, round(2 * objective.density * (length - 1)) + 1))


@pytest.mark.parametrize("form", ["decoder", "encoder-decoder"])
@pytest.mark.parametrize("density", [0.5, 0.25])
def test_a_row_is_split_anywhere_alike(form, density, vocabulary):
    assert splits_alike(PrefixLanguageModel(form=form, density=density), vocabulary)


def asks_nothing_of_the_prefix(objective, vocabulary) -> bool:
    """The positions of the prefix are asked nothing but the last, which says the first token behind it."""
    whole = blocks(vocabulary, 80, 40, ragged=True, seed=3)
    batch = objective.collate(whole, vocabulary)
    for index, row in enumerate(read(batch, objective, vocabulary)):
        asked = [place for place, said in enumerate(row["tokens"]) if said != IGNORED]
        text = whole.ids[index, : whole.lengths[index]].tolist()
        if asked != list(range(row["prefix"] - 1, len(text))):
            return False
        if row["input_ids"] != [vocabulary.bos, *text][: len(text)]:
            return False
    return True


def test_the_prefix_is_asked_nothing_but_at_its_end(vocabulary):
    assert asks_nothing_of_the_prefix(PrefixLanguageModel(), vocabulary)
    assert asks_nothing_of_the_prefix(PrefixLanguageModel(density=0.2), vocabulary)


def test_both_forms_split_a_row_at_the_same_token(vocabulary):
    whole = blocks(vocabulary, 60, 40, ragged=True, seed=4)
    decoder, both = (asked_of(form, whole, vocabulary) for form in HALVES)
    assert (decoder == both).all()


def test_the_encoder_reads_the_prefix_and_the_decoder_says_the_rest(vocabulary):
    objective = PrefixLanguageModel(form="encoder-decoder", mode="s2s")
    whole = blocks(vocabulary, 60, 40, ragged=True, seed=5)
    for index, row in enumerate(read(objective.collate(whole, vocabulary), objective, vocabulary)):
        text = whole.ids[index, : whole.lengths[index]].tolist()
        assert row["input_ids"][0] == vocabulary.s2s
        assert row["input_ids"][-1] == row["tokens"][-1] == vocabulary.eos
        assert row["input_ids"][1:-1] + row["tokens"][:-1] == text
        assert row["decoder_input_ids"] == [vocabulary.pad, *row["tokens"][:-1]]


def parts(answer: list[int], vocabulary) -> tuple[str, list[int], list[int], list[int]]:
    """Kind, prefix, middle and suffix of a rearranged text of one document."""
    marks = [vocabulary.fim_prefix, vocabulary.fim_suffix, vocabulary.fim_middle]
    if not set(marks) & set(answer):
        return "none", [], [], answer
    pre, suf, mid = (answer.index(mark) for mark in marks)
    assert pre == 0
    assert pre < suf < mid
    return "three", answer[1:suf], answer[mid + 1 :], answer[suf + 1 : mid]


def fills_middles(objective, vocabulary) -> bool:
    """Shares of rows left alone, of PSM and of SPM; both cuts anywhere, alike; every part in its place."""
    size, rows = 5, 6000
    answers = objective.collate(plain(vocabulary, rows, size, same=True), vocabulary).targets["tokens"]
    kinds_, cuts = Counter(), Counter()
    for row in answers:
        answer = row[row != IGNORED].tolist()
        kind, first, middle, suffix = parts(answer, vocabulary)
        start = vocabulary.draw[0]
        if kind == "none":
            kinds_["none"] += 1
            if answer != list(range(start, start + size)):
                return False
            continue
        second = size - len(suffix)
        if first + middle + suffix != list(range(start, start + size)):
            return False
        kinds_["psm" if first else "either"] += 1
        if first:
            cuts[len(first), second] += 1
    rate, spm, ways = objective.rate, objective.spm, (size + 1) ** 2
    pairs = {(a, b): 2.0 - (a == b) for b in range(size + 1) for a in range(b + 1)}
    starts = sum(share for (a, _), share in pairs.items() if a) / ways
    law = {"none": 1 - rate, "psm": rate * (1 - spm) * starts}
    law["either"] = 1 - law["none"] - law["psm"]
    if not follows(kinds_, law):
        return False
    return spm == 1 or follows(cuts, {pair: share for pair, share in pairs.items() if pair[0]})


@pytest.mark.parametrize("objective", [FillInTheMiddle(), FillInTheMiddle(rate=0.9, spm=0.2)])
def test_middles_are_cut_anywhere_alike_and_shown_both_ways(objective, vocabulary):
    assert fills_middles(objective, vocabulary)


def suffix_first_cuts_alike(objective, vocabulary) -> bool:
    """With the suffix first the prefix and the middle are one run, and the second cut is the larger of two."""
    size = 6
    answers = objective.collate(plain(vocabulary, 4000, size, same=True), vocabulary).targets["tokens"]
    found = Counter()
    for row in answers:
        kind, first, middle, suffix = parts(row[row != IGNORED].tolist(), vocabulary)
        if kind == "none" or first or middle + suffix != list(range(vocabulary.draw[0], vocabulary.draw[0] + size)):
            return False
        found[len(middle)] += 1
    return follows(found, {cut: 2 * cut + 1 for cut in range(size + 1)})


def test_the_suffix_can_come_first(vocabulary):
    assert suffix_first_cuts_alike(FillInTheMiddle(rate=1.0, spm=1.0), vocabulary)


def takes_the_document_of_a_random_token(objective, vocabulary) -> bool:
    """Of documents of two, three and five tokens one is cut, in proportion to its tokens; the rest stays as it is."""
    whole = plain(vocabulary, 3000, 12, same=True)
    whole.ids[:, [2, 6]] = vocabulary.eos
    whole = with_starts(whole, [0, 3, 7], [0, 3, 7])
    found = Counter()
    for row, ids in zip(objective.collate(whole, vocabulary).targets["tokens"], whole.ids, strict=True):
        answer = row[row != IGNORED].tolist()
        if len(answer) != 15:
            return False
        begin = answer.index(vocabulary.fim_prefix)
        end = {0: 2, 3: 6, 7: 12}.get(begin)
        if end is None or answer[:begin] != ids[:begin].tolist() or answer[end + 3 :] != ids[end:].tolist():
            return False
        found[begin] += 1
    return follows(found, {0: 2.0, 3: 3.0, 7: 5.0})


def test_one_document_of_a_row_is_cut_that_of_a_random_token(vocabulary):
    assert takes_the_document_of_a_random_token(FillInTheMiddle(rate=1.0), vocabulary)


def test_half_of_the_rows_are_rearranged(vocabulary):
    answers = FillInTheMiddle().collate(plain(vocabulary, 3000, 20), vocabulary).targets["tokens"]
    assert happens((answers == vocabulary.fim_middle).sum(), 3000, 0.5)
