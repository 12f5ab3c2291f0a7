from __future__ import annotations

import pytest

from corpora.documents import Reading, clean, cut, within
from foundation.refusal import BadUsage


def test_paragraphs_stand_on_lines_of_their_own_whatever_ends_a_line() -> None:
    text = " one \r\ntwo\rthree\n\n\u00a0four\u2028five\u2029six\u0085\u3000\n"
    assert clean(text) == "one\ntwo\nthree\nfour\nfive\nsix"
    assert clean(" \n\r\n") == ""


def test_a_text_is_cut_behind_a_word() -> None:
    found = [cut("one  two\nthree ", words) for words in range(5)]
    assert found == ["", "one", "one  two", "one  two\nthree", "one  two\nthree"]


def test_a_budget_of_words_is_met_exactly() -> None:
    texts = ["a b\nc d", "", "e f g", "h"] * 2
    for words in range(1, 17):
        assert sum(len(text.split()) for text in within(texts, words)) == words
    assert list(within(texts, 3)) == ["a b\nc"]
    assert list(within(texts, 100)) == texts


def test_a_budget_of_documents_counts_those_that_are_not_empty() -> None:
    assert list(within(["", "a", "", "b", "c"], limit=2)) == ["", "a", "", "b"]


def test_normalised_text_is_clean() -> None:
    assert Reading(normalise="NFKC").finish("\u2460\ufb01ne\n\u00a8x") == "1fine\n\u0308x"
    assert Reading(normalise="NFD").finish("\u00e9") == "e\u0301"
    assert Reading(normalise="NFC").finish("e\u0301") == "\u00e9"
    assert Reading().finish("e\u0301") == "e\u0301"


@pytest.mark.parametrize(
    ("reading", "told"),
    [
        (Reading(documents_by="page"), "--documents-by page: unknown"),
        (Reading(documents_by="separator"), "no separator is given"),
        (Reading(documents_by="separator", separator="  "), "no separator is given"),
        (Reading(documents_by="file", separator="=="), "--separator does not go with --documents-by file"),
        (Reading(encoding="utf-99"), "--encoding utf-99: unknown"),
        (Reading(encoding="rot13"), "--encoding rot13: unknown"),
        (Reading(normalise="nfc"), "--normalise nfc: unknown"),
    ],
)
def test_a_reading_that_cannot_be_is_refused(reading: Reading, told: str) -> None:
    with pytest.raises(BadUsage, match=told):
        reading.check()
