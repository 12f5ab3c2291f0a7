from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from corpora import memo
from corpora.kinds import KINDS
from corpora.memo import Memo
from corpora.vocabulary import Vocabulary
from tests.corpora.conftest import prose
from tests.corpora.test_kinds import made
from tests.objectives.kinds import kinds

SPACES = st.sampled_from(
    [" ", "  ", "   ", "\n", "\n\n", "\t", " \n", "\n ", "\u00a0", "\u3000", "\x1c", "\x85", "\r\n"]
)
BITS = st.one_of(
    SPACES, st.text(max_size=3), st.sampled_from(["The", "don't", "'s", "12", "é", "<mask>", "#", "!?", "…", "我"])
)
TEXTS = st.lists(st.lists(BITS, max_size=12).map("".join), max_size=4)


def same(view: Vocabulary, remember: Memo, texts: list[str]) -> None:
    told = [encoding.ids for encoding in view.tokenizer.encode_batch(texts, add_special_tokens=False)]
    assert [np.frombuffer(ids, dtype=np.uint32).tolist() for ids in remember(texts)] == told


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=150)
@given(texts=TEXTS)
def test_what_is_looked_up_is_what_the_tokenizer_gives(kind: str, texts: list[str]) -> None:
    view = made(kind)
    remember = Memo(view)
    assert remember.cuttable
    for _ in range(2):
        same(view, remember, texts)


def test_a_full_memory_is_begun_anew_and_long_pieces_are_not_kept() -> None:
    view = made("bpe")
    remember = Memo(view, 50)
    for text in prose(40):
        same(view, remember, [text, "a" * 100])
    assert 0 < len(remember.known) < 200
    assert max(len(piece[0] if isinstance(piece, tuple) else piece) for piece in remember.known) <= 64


def test_only_tokenizers_that_cut_words_at_spaces_are_cut() -> None:
    found = {name: memo.cuttable(view.content) for name, view in kinds().items()}
    assert not any(found[name] for name in ("t5", "wordpiece", "unigram", "words") if name in found)
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    assert not memo.cuttable(Vocabulary.of(tokenizer).content)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert memo.cuttable(Vocabulary.of(tokenizer).content)
    tokenizer.normalizer = normalizers.NFC()
    assert not memo.cuttable(Vocabulary.of(tokenizer).content)
    tokenizer.normalizer = None  # type: ignore[assignment]
    tokenizer.add_tokens(["New York"])
    assert not memo.cuttable(Vocabulary.of(tokenizer).content)
