from __future__ import annotations

import itertools

import pytest

from corpora.sentences import starts


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
