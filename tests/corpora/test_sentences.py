from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.sentences import splitter, starts
from foundation.refusal import BadData, BadUsage


def split(text: str) -> list[str]:
    bounds = [*starts(text), len(text)]
    return [text[begin:end].strip() for begin, end in itertools.pairwise(bounds)]


@pytest.mark.parametrize(
    "sentences",
    [
        ["One ends.", "Two begins!", "Does it?", "Yes."],
        ["Use it, e.g. with pi = 3.14.", "Then call it."],
        ["Mr. Brown met J. Smith, cf. Fig. 3, in the U.S. Senate.", '"Did he?"', "(He did.)", "So be it."],
        ["It returns x.y for file.txt. and goes on.", "Done."],
        ["Version 3.", "The next one."],
        ["He waited… and waited.", "Then…", "He left."],
        ["It was I.", "Nobody else."],
        ["早安。", "你好！", "再见"],
    ],
)
def test_a_sentence_ends_where_a_reader_would_say_so(sentences: list[str]) -> None:
    between = "" if sentences[0][0] > "\u3000" else " "
    assert split(between.join(sentences)) == sentences


def test_a_new_line_always_begins_a_sentence() -> None:
    assert split("a title\nthe text goes on\n\n  and on") == ["a title", "the text goes on", "and on"]


def test_the_number_of_a_list_item_is_no_sentence() -> None:
    assert split("1. First thing.\n2. Second thing.") == ["1. First thing.", "2. Second thing."]


def test_white_space_has_no_sentences_and_none_begins_with_it() -> None:
    assert starts("") == starts(" \n ") == []
    assert starts("  One. \n Two.") == [2, 9]


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("en", ["Mr. Brown met J. Smith, cf. Fig. 3.", "“Stop!” he cried.", "It cost $1.5 million."]),
        ("de", ["Am 3. Oktober 1990 kam die Einheit.", "Das war z. B. in Berlin."]),
        ("es", ["¿Qué pasa?", "¡Nada!"]),
        ("ru", ["Это А. С. Пушкин.", "Он поэт."]),
        ("hi", ["यह एक वाक्य है।", "यह दूसरा है।"]),
        ("am", ["ይህ መጽሐፍ ነው።", "ያ ብዕር ነው።"]),
    ],
)
def test_the_library_knows_languages(language: str, sentences: list[str]) -> None:
    text = " ".join(sentences)
    assert cut(text, f"sentencex:{language}") == sentences


def cut(text: str, name: str) -> list[str]:
    bounds = [*splitter(name)(text), len(text)]
    return [text[begin:end].strip() for begin, end in itertools.pairwise(bounds)]


def test_a_new_line_begins_a_sentence_for_the_library_too() -> None:
    assert cut("a title\nthe text goes on\n\n  and on", "sentencex") == ["a title", "the text goes on", "and on"]


def test_a_long_line_is_cut_as_if_it_were_seen_whole() -> None:
    sentences = [f"Sentence {number} is about {'very ' * (number % 400)}little." for number in range(900)]
    assert cut(" ".join(sentences), "sentencex") == sentences


@settings(deadline=None, max_examples=150)
@given(st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("A. \n\xa0\u2028。!?\"'(1")), max_size=80))
@pytest.mark.parametrize("name", ["rule", "sentencex", "sentencex:fr", "sentencex:zh"])
def test_any_text_has_sentences_that_begin_with_a_letter(name: str, text: str) -> None:
    found = list(splitter(name)(text))
    assert found == sorted(set(found))
    assert bool(found) == bool(text.strip())
    assert not any(text[place].isspace() for place in found)
    if found:
        assert found[0] == len(text) - len(text.lstrip())


def halves(text: str) -> list[int]:
    return [0, len(text) // 2] if len(text) > 1 else [3, 1]


def test_a_users_own_function_splits() -> None:
    own = splitter(f"{__name__}:halves")
    assert own("abcd") == [0, 2]
    with pytest.raises(BadData, match="ascending"):
        own("a")


@pytest.mark.parametrize("name", ["sentencey", "sentencex:German", "no.module:here", f"{__name__}:absent"])
def test_a_splitter_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(BadUsage):
        splitter(name)
