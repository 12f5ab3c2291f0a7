"""Small vocabularies of every kind that objectives must take, trained on a text that looks like English."""

from __future__ import annotations

from functools import cache

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from corpora.vocabulary import SPECIALS, Vocabulary, train

TEXTS: tuple[str, ...] = (
    "The river rose in the night, and nobody had seen it so high.",
    "Did the bridge hold? Mr. Brown said that it didn't!\nThe miller (he is 74) counted 1203 sacks: 3.5 kg each.",
    "Café owners carried their naïve guests upstairs… and waited;\n\n\tthe façade was wet.",
    "“It's late,” she wrote — “don't wait for us 🌊 until we're there.”",
    "A  dog ran   over the hill, far away.\r\nBirds fly; fish swim in the deep sea - at 10:45, e.g. in May 2031.",
    "Zürich, Łódź and São Tomé: the déjà-vu of someone's well-known 2nd life?!",
)
_STEMS = ("walk", "talk", "wait", "paint", "open", "climb", "water", "garden", "letter", "winter", "number", "mother")
_ENDS = ("", "s", "ed", "ing", "er", "ers", "ly", "less", "ful", "ness")
_BEFORE = ("", "re", "un", "over", "out")


def _training() -> list[str]:
    made = [before + stem + end for stem in _STEMS for end in _ENDS for before in _BEFORE]
    lines = [
        f"The {a} of {n} {b}s, {c}!" for n, (a, b, c) in enumerate(zip(made[::3], made[1::3], made[2::3], strict=False))
    ]
    return [*TEXTS * 3, *lines]


def _byte_prefix() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True, trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=800, special_tokens=list(SPECIALS), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_training(), trainer)
    return tokenizer


def _word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=list(SPECIALS), show_progress=False)
    tokenizer.train_from_iterator(_training(), trainer)
    return tokenizer


def _pieces(first: list[str], last: list[str]) -> Tokenizer:
    """A Unigram vocabulary as sentencepiece cuts text: white space is one space, marks and digits are by themselves."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits()]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=500, special_tokens=first, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(_training(), trainer)
    tokenizer.add_special_tokens(last)
    return tokenizer


def _whole_words() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(vocab_size=900, special_tokens=list(SPECIALS), show_progress=False)
    tokenizer.train_from_iterator(_training(), trainer)
    return tokenizer


@cache
def kinds() -> dict[str, Vocabulary]:
    """Return the vocabularies by name; the specials of "t5" are pad, end, unknown and sentinels, else all of ours."""
    marks = [f"<extra_id_{number}>" for number in range(99, -1, -1)]  # T5's files number them backwards
    made = {
        "bytes": train(_training(), 800),
        "bytes-prefix": _byte_prefix(),
        "wordpiece": _word_piece(),
        "unigram": _pieces(["<unk>"], [name for name in SPECIALS if name != "<unk>"]),
        "t5": _pieces(["<pad>", "</s>", "<unk>"], marks),
        "words": _whole_words(),
    }
    return {name: Vocabulary.of(tokenizer) for name, tokenizer in made.items()}


def encode(vocabulary: Vocabulary, text: str) -> np.ndarray:
    """Return the ids of a text as an array of int64."""
    return np.array(vocabulary.encode(text), dtype=np.int64)
