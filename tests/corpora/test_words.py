"""Words found from pieces are the words of the text."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from corpora.kinds import KINDS as TRAINED
from corpora.kinds import train
from corpora.vocabulary import Vocabulary
from tests.objectives.kinds import TEXTS, kinds

# What a word is in the text itself, with the one space before it where the pieces carry it.
RUNS = r"[ ]?(?:[^\W\d_]+|\d+|[^\w\s]+)|\s"
OWN = re.escape(string.punctuation + "…“”’—–")
WORDS = {
    "bytes": RUNS,
    "bytes-prefix": RUNS,
    "unigram": RUNS,
    "t5": RUNS,
    "wordpiece": rf"[{OWN}]|[^\s{OWN}]+",
    "words": r"\w+|[^\w\s]+",
}
KINDS = sorted(WORDS)


def cut(vocabulary: Vocabulary, text: str) -> list[tuple[int, int]]:
    return vocabulary.tokenizer.encode(text, add_special_tokens=False).offsets


def broken(vocabulary: Vocabulary, text: str) -> set[int]:
    """The characters that bytes of several pieces make up."""
    if not vocabulary.byte_level:
        return set()
    covered = Counter(place for span in cut(vocabulary, text) for place in range(*span))
    return {place for place, pieces in covered.items() if pieces > 1}


def expected(kind: str, text: str) -> list[bool]:
    """Where words start, from the text; a character that is cut joins the words on both sides."""
    words = {found.start() for found in re.finditer(WORDS[kind], text)}
    cuts, found, stop = broken(kinds()[kind], text), [], 0
    for begin, end in cut(kinds()[kind], text):
        joined = {begin, begin - 1} & cuts and begin and text[begin] not in " \n" and text[begin - 1] != "\n"
        found.append(begin in words and begin >= stop and not joined)
        stop = end
    return found


def starts(vocabulary: Vocabulary, *rows: list[int]) -> list[list[bool]]:
    """What word_starts says of rows, padded to the longest and two more."""
    width = max(len(row) for row in rows) + 2
    ids = (
        np.zeros((len(rows), width), dtype=np.int64)
        if vocabulary.pad is None
        else np.full((len(rows), width), vocabulary.pad)
    )
    inside = np.arange(width) < np.array([[len(row)] for row in rows])
    for row, here in zip(rows, ids, strict=True):
        here[: len(row)] = row
    found = vocabulary.word_starts(ids, inside)
    assert not found[~inside].any()
    return [one[: len(row)].tolist() for one, row in zip(found, rows, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_words_start_where_the_text_says(kind: str) -> None:
    vocabulary = kinds()[kind]
    for text in TEXTS:
        assert starts(vocabulary, vocabulary.encode(text)) == [expected(kind, text)], text


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_apart_and_a_special_token_stands_between_words(kind: str) -> None:
    vocabulary, end = kinds()[kind], kinds()[kind].eos
    assert end is not None
    whole, answers = [vocabulary.encode(text) for text in TEXTS], [expected(kind, text) for text in TEXTS]
    rows = [whole[0], [], [*whole[1], end, *whole[2][3:]], [end], [end, *whole[3][1:]], whole[4][2:]]
    inner, behind, row = answers[2][3:], answers[3][1:], answers[4][2:]
    inner[0] = behind[0] = row[0] = True
    assert starts(vocabulary, *rows) == [answers[0], [], [*answers[1], False, *inner], [False], [False, *behind], row]


def test_no_rows_and_no_width_have_no_words() -> None:
    for shape in ((0, 7), (3, 0), (0, 0)):
        assert kinds()["bytes"].word_starts(np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)).shape == shape


WHITE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
WHITE += "\u2028\u2029\u202f\u205f\u3000"


def kind_of(character: str) -> str:
    """L, N or P, or nothing for a combining mark."""
    kind = unicodedata.category(character)[0]
    return "" if kind == "M" else kind if kind in "LN" else "P"


def meet(text: str, before: range, begin: int, cuts: set[int]) -> bool:
    """Whether a word starts at `begin`, behind the piece of the characters `before`."""
    if begin in before:
        return False
    if text[begin] in WHITE and begin not in cuts:
        return True
    if text[before[-1]] in WHITE and before[-1] not in cuts:
        return text[before[-1]] != " "
    known = [place for place in before if kind_of(text[place])][-1:]
    if not known or not kind_of(text[begin]) or {begin, before[-1], *known} & cuts:
        return False
    return kind_of(text[known[0]]) != kind_of(text[begin])


@settings(deadline=None, max_examples=200)
@given(st.text(st.one_of(st.sampled_from("ab1,.' \n\té́🌊"), st.characters(codec="utf-8")), min_size=1))
def test_words_of_any_text_start_where_kinds_of_characters_meet(text: str) -> None:
    vocabulary = kinds()["bytes"]
    spans, cuts = [range(*span) for span in cut(vocabulary, text)], broken(vocabulary, text)
    told = [meet(text, before, after[0], cuts) for before, after in pairwise(spans)]
    assert starts(vocabulary, vocabulary.encode(text)) == [[True, *told]]


def test_pieces_that_end_words_and_bytes_among_pieces_are_understood() -> None:
    ended = Tokenizer(models.BPE({"f": 0, "ox</w>": 1, ",</w>": 2}, [], end_of_word_suffix="</w>"))
    assert starts(Vocabulary.of(ended), [0, 1, 2, 0, 1]) == [[True, False, True, True, False]]
    pieces = {"▁fox": 0, "<0x0A>": 1, "<0xF0>": 2, "<0x9F>": 3, "es": 4, "▁": 5, "<0x21>": 6}
    fallen = Tokenizer(models.BPE(pieces, [], byte_fallback=True))
    fallen.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    row = [0, 4, 1, 4, 2, 3, 5, 4, 6, 0]
    told = [True, False, True, True, False, False, True, False, True, True]
    assert starts(Vocabulary.of(fallen), row) == [told]


def test_a_combining_mark_belongs_to_the_words_on_both_sides() -> None:
    pieces = ["▁cafe", "\u0301", "s", "se\u0301", ",", "1", "\u0301s"]
    view = Vocabulary.of(Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], None, False)))
    assert starts(view, [0, 1, 2]) == [[True, False, False]]
    assert starts(view, [0, 6, 1, 4]) == [[True, False, False, False]]
    assert starts(view, [3, 4, 3, 2, 5, 6, 5]) == [[True, True, True, False, True, False, True]]


@pytest.mark.parametrize("kind", TRAINED)
def test_words_start_where_the_text_says_in_every_kind_that_we_train(kind: str) -> None:
    vocabulary = Vocabulary.of(train(TEXTS * 9, 900, kind))
    text = "The fox,  2 of them\nwent (abc123) to the internationalisation: 1203 sacks - so far... Yes!"
    ids = vocabulary.encode(text)
    begins = np.cumsum([0, *vocabulary.byte_lengths[ids]])
    found = {int(begin) for begin, start in zip(begins, starts(vocabulary, ids)[0], strict=False) if start}
    assert found == {word.start() for word in re.finditer(RUNS, text)}
