"""The kinds of vocabulary that we train, each from a sample of texts, the same for the same sample and size.

    text         The miller's mother, 74…
    bpe          The Ġmill er 's Ġmother , Ġ 74 âĢ¦       merges of frequent neighbours (Sennrich et al. 2016, §3.2)
    wordpiece    The Ġmill ##er 's Ġmother , Ġ74 âĢ¦      longest match, inside of words marked (Devlin et al. 2019, §3)
    unigram      The Ġmiller 's Ġmother , Ġ7 4 âĢ¦        the likeliest pieces (Kudo 2018, §3.2)
    characters   T h e ␣ m i l l e r …                    frequent ones, the others as the bytes of their UTF-8
    bytes        T h e Ġ m i l l e r …

All begin with the same special tokens, know every byte and change none, so that no text is unknown, and text → ids →
text gives the text back. Words are cut as GPT-2 cuts them, by which no text can say a special token.

WordPiece and Unigram have a way of their own to be the same in every run: the library's trainers walk through hash
tables with a seed of the process, by which WordPiece's order of equal pairs, and Unigram's sums, change.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from corpora import unigram
from corpora.pieces import letters
from corpora.specials import FIRST, ROLES, SPECIALS
from foundation.refusal import BadUsage, unknown

SMALLEST = FIRST + 256
INSIDE = "##"
# GPT-2's words, none longer than 32 characters, and each # by itself: a longest match looks at all of a word, and a
# word must not begin with the mark of what is inside.
WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}{1,32}| ?\p{N}{1,32}|#| ?[^\s\p{L}\p{N}#]{1,32}|\s{1,32}(?!\S)|\s{1,32}"


def train(texts: Iterable[str], size: int, kind: str = "bpe") -> Tokenizer:
    """Train a vocabulary of at most `size` pieces; a small text may not fill it.

    Raises:
        BadUsage: for an unknown kind, or if `size` leaves no room for the special tokens and the 256 bytes.
    """
    check(size, kind)
    return KINDS[kind](texts, size)


def check(size: int, kind: str = "bpe") -> None:
    """Refuse a vocabulary that cannot be.

    Raises:
        BadUsage: for an unknown kind, or if `size` leaves no room for the special tokens and the 256 bytes.
    """
    if kind not in KINDS:
        raise unknown("kind of vocabulary", kind, KINDS)
    least = SMALLEST + 256 * (kind == "wordpiece")
    if size < least:
        twice = ", each also as the inside of a word," if kind == "wordpiece" else ""
        raise BadUsage(
            f"--vocabulary {size} is too small: {FIRST} special tokens and 256 bytes{twice} come first",
            f"give at least {least}; 4096 to 32768 is usual",
        )


def _bpe(texts: Iterable[str], size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(iter(texts), trainer)
    return tokenizer


def _word_piece(texts: Iterable[str], size: int) -> Tokenizer:
    words = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(WORDS), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    first = [*SPECIALS, *sorted(letters()), *(INSIDE + letter for letter in sorted(letters()))]
    trained = Tokenizer(models.WordPiece())
    trained.pre_tokenizer = words
    trainer = trainers.WordPieceTrainer(  # every piece of one byte has its number, before the hash table gives it one
        vocab_size=size, min_frequency=2, special_tokens=first, show_progress=False
    )
    trained.train_from_iterator(iter(texts), trainer)
    tokenizer = Tokenizer(models.WordPiece(trained.get_vocab(), unk_token="<unk>", max_input_chars_per_word=1000))
    tokenizer.pre_tokenizer = words
    tokenizer.decoder = decoders.Sequence([decoders.Replace(Regex(f"^{INSIDE}"), ""), decoders.ByteLevel()])
    tokenizer.add_special_tokens(list(SPECIALS))
    return tokenizer


def _unigram(texts: Iterable[str], size: int) -> Tokenizer:
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in words.pre_tokenize_str(text))
    found = unigram.fit(counts, sorted(letters()), size - FIRST)
    tokenizer = Tokenizer(models.Unigram([*((name, unigram.NEVER) for name in SPECIALS), *found], 1, False))
    tokenizer.pre_tokenizer = words
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIALS))
    return tokenizer


def _characters(texts: Iterable[str], size: int) -> Tokenizer:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    first = [*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256))]
    frequent = sorted(counts, key=lambda one: (-counts[one], one))[: size - len(first)]
    vocabulary = {piece: number for number, piece in enumerate([*first, *frequent])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(list(SPECIALS))
    return tokenizer


def _bytes(texts: Iterable[str], size: int) -> Tokenizer:
    vocabulary = {piece: number for number, piece in enumerate([*SPECIALS, *sorted(letters())])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIALS))
    return tokenizer


KINDS: dict[str, Callable[[Iterable[str], int], Tokenizer]] = {
    "bpe": _bpe,
    "wordpiece": _word_piece,
    "unigram": _unigram,
    "characters": _characters,
    "bytes": _bytes,
}


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the three files with which ``transformers.AutoTokenizer.from_pretrained(folder)`` opens it."""
    named = {f"{role}_token": names[0] for role, names in ROLES.items()}
    extra = [name for name in SPECIALS if name not in named.values()]
    special = {**named, "extra_special_tokens": extra}
    config = {
        **special,
        "clean_up_tokenization_spaces": False,
        "model_max_length": int(1e30),
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    for name, value in (("tokenizer_config.json", config), ("special_tokens_map.json", special)):
        (folder / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
