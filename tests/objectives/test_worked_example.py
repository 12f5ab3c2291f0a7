"""One sentence, three answers: "for", "inviting" and "last" hidden as BERT, T5 and BART hide them."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from corpora.vocabulary import SPECIALS, Vocabulary
from objectives import OBJECTIVES

SENTENCE = "Thank you for inviting me to your party last week."
NOISE = ("for", "inviting", "last")
POSED = {
    "token-masking": ("Thank you <mask> <mask> me to your party <mask> week.", "for inviting last"),
    "sentence-order": ("Thank you <mask> <mask> me to your party <mask> week.", "for inviting last"),
    "next-sentence": ("Thank you <mask> <mask> me to your party <mask> week.", "for inviting last"),
    "masked-next-token": ("Thank you <mask> <mask> me to your party <mask> week.", "for inviting last"),
    "span-corruption": (
        "Thank you <extra_id_0> me to your party <extra_id_1> week.",
        "<extra_id_0> for inviting <extra_id_1> last",
    ),
    "text-infilling": ("Thank you <mask> me to your party <mask> week.", SENTENCE),
    "token-deletion": ("Thank you me to your party week.", SENTENCE),
    "deshuffling": ("Thank you last inviting me to your party for week.", SENTENCE),
    "prefix-language-model": ("Thank you", "for inviting me to your party last week."),
    "fill-in-the-middle": (
        "<fim_prefix> Thank you <fim_suffix> me to your party last week. <fim_middle>",
        "for inviting",
    ),
    "next-token": ("Thank you for inviting me to your party last", "you for inviting me to your party last week."),
}
POSED["ul2"], POSED["gpt-bert"] = POSED["span-corruption"], POSED["next-token"]


def words() -> Vocabulary:
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordLevelTrainer(special_tokens=list(SPECIALS), show_progress=False)
    tokenizer.train_from_iterator([SENTENCE], trainer)
    return Vocabulary.of(tokenizer)


def poses(objective, asked: str, answer: str) -> bool:
    vocabulary = words()
    ids = np.array(vocabulary.encode(SENTENCE))
    noise = np.isin([vocabulary.pieces[one] for one in ids], NOISE)
    posed = objective.pose(ids, noise, vocabulary)
    return tuple(" ".join(vocabulary.pieces[one] for one in side) for side in posed) == (asked, answer)


@pytest.mark.parametrize("name", POSED)
def test_the_sentence_is_posed_word_for_word(name):
    assert poses(OBJECTIVES[name](), *POSED[name])


def test_nothing_hidden_is_nothing_asked():
    vocabulary = words()
    ids = np.array(vocabulary.encode(SENTENCE))
    none = np.zeros(len(ids), dtype=bool)
    for name in ("token-masking", "span-corruption", "text-infilling", "token-deletion", "deshuffling"):
        asked, _ = OBJECTIVES[name]().pose(ids, none, vocabulary)
        assert asked.tolist() == ids.tolist()


def test_everything_hidden_is_one_span():
    vocabulary = words()
    ids = np.array(vocabulary.encode(SENTENCE))
    every = np.ones(len(ids), dtype=bool)
    asked, answer = OBJECTIVES["span-corruption"]().pose(ids, every, vocabulary)
    assert asked.tolist() == [vocabulary.sentinels[0]]
    assert answer.tolist() == [vocabulary.sentinels[0], *ids]
    assert OBJECTIVES["text-infilling"]().pose(ids, every, vocabulary)[0].tolist() == [vocabulary.mask]
    assert OBJECTIVES["token-deletion"]().pose(ids, every, vocabulary)[0].tolist() == []
