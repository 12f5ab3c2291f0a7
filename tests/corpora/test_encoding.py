"""What is stored of a text: its ids, where documents and sentences begin among them, and what was counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers

from corpora.encoding import Encoder, token_kind
from corpora.kinds import KINDS, train
from corpora.sentences import splitter
from corpora.vocabulary import Vocabulary
from foundation.refusal import BadData
from tests.corpora.conftest import prose
from tests.corpora.test_kinds import made
from tests.corpora.test_vocabulary import of_transformers
from tests.objectives.kinds import TEXTS, kinds

OWN = {f"own {kind}": kind for kind in KINDS}
GIVEN = [*prose(5), *TEXTS, "One line.\nA second. Über alles!  End", "早安。你好！"]


def vocabulary(name: str) -> Vocabulary:
    return made(OWN[name]) if name in OWN else kinds()[name]


def first_letters(view: Vocabulary, text: str, name: str = "sentencex") -> list[int]:
    """The tokens that hold a sentence's first letter, by the tokenizer's own offsets; the first is always one."""
    spans = view.tokenizer.encode(text, add_special_tokens=False).offsets
    return sorted({0, *(next(n for n, (_, end) in enumerate(spans) if end > at) for at in splitter(name)(text))})


@pytest.mark.parametrize("name", [*OWN, *sorted(kinds())])
def test_ids_documents_sentences_and_counts_are_those_of_the_texts(name: str) -> None:
    view = vocabulary(name)
    found = Encoder(view)(GIVEN)
    bounds = [*found.documents.tolist(), len(found.ids)]
    sentences: list[int] = []
    for text, begin, end in zip(GIVEN, bounds[:-1], bounds[1:], strict=True):
        assert found.ids[begin:end].tolist() == [*view.encode(text), view.end]
        sentences += [begin + place for place in first_letters(view, text)]
    assert found.sentences.tolist() == sentences
    assert found.unknown == sum(view.encode(text).count(view.unk) for text in GIVEN if view.unk is not None)
    assert (found.unknown > 0) == (name in ("wordpiece", "unigram", "t5", "words"))
    assert found.ids.dtype == np.dtype("<u2")


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from(". \nAéz!我。")), min_size=1), max_size=4)
)
def test_texts_together_are_encoded_as_each_by_itself(kind: str, texts: list[str]) -> None:
    encode = Encoder(made(kind), "rule")
    whole, parts = encode(texts), [encode([text]) for text in texts]
    bases = np.cumsum([0, *(len(part.ids) for part in parts)])
    assert whole.ids.tolist() == [number for part in parts for number in part.ids.tolist()]
    assert whole.documents.tolist() == bases[:-1].tolist()
    assert whole.sentences.tolist() == [int(b) + n for b, p in zip(bases, parts, strict=False) for n in p.sentences]


def test_no_texts_are_no_tokens() -> None:
    found = Encoder(made("bpe"))([])
    assert (len(found.ids), len(found.documents), len(found.sentences)) == (0, 0, 0)


def test_a_tokenizer_that_changes_the_text_is_asked_for_offsets() -> None:
    changed = made("bpe").tokenizer
    lower = Vocabulary.of(type(changed).from_str(changed.to_str()))
    assert lower.lossless
    lower.tokenizer.normalizer = normalizers.Replace("ü", "ue")  # behind its back: the bytes no longer add up
    text = "ü ist ü. Ja. Übel."
    assert Encoder(lower)([text]).sentences.tolist() == first_letters(lower, text)


def test_a_text_of_which_nothing_is_left_is_its_end() -> None:
    view = Vocabulary.of(of_transformers("Bert"))
    assert view.eos is None
    found = Encoder(view)(["the fox", "\u200b", "the"])
    assert found.ids.tolist() == [5, 6, view.sep, view.sep, 5, view.sep]
    assert (found.documents.tolist(), found.sentences.tolist()) == ([0, 3, 4], [0, 3, 4])


def test_an_end_that_is_also_the_unknown_token_is_not_counted_as_unknown() -> None:
    view = Vocabulary.of(of_transformers("GPT2"))
    assert view.unk == view.end
    assert Encoder(view)(["a b", "b"]).unknown == 0


def test_a_tokenizer_without_an_end_is_refused() -> None:
    plain = kinds()["words"]
    view = Vocabulary(plain.tokenizer, {"eos": "none", "sep": "none"})
    with pytest.raises(BadData, match="--add-special"):
        Encoder(view)


def test_ids_take_four_bytes_where_two_do_not_hold_them() -> None:
    assert [token_kind(size).itemsize for size in (600, 1 << 16, (1 << 16) + 1)] == [2, 2, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_vocabularies_are_encoded_as_the_tokenizer_does(kind: str) -> None:
    view = Vocabulary.of(train([], 781, kind))
    assert Encoder(view)(["Ab é 我."]).ids.tolist() == [*view.encode("Ab é 我."), view.end]
