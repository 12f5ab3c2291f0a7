"""Texts as token ids, with the places where documents and sentences begin among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from jaxtyping import Int64, UInt

from corpora.sentences import starts
from corpora.vocabulary import Vocabulary


@dataclass(frozen=True)
class Encoded:
    """Some documents as they are stored, one after the other."""

    ids: UInt[np.ndarray, " tokens"]
    """Each document followed by its end token."""
    documents: Int64[np.ndarray, " documents"]
    """Where each document begins."""
    sentences: Int64[np.ndarray, " sentences"]
    """Where sentences begin, sorted; a document's first token is one."""
    words: int
    """Words between white space."""
    unknown: int
    """Ids that are ``<unk>``."""


class Encoder:
    """Texts to what is stored of them."""

    def __init__(self, vocabulary: Vocabulary, sentences: str = "rule") -> None:
        self.vocabulary = vocabulary

    def __call__(self, texts: Sequence[str]) -> Encoded:
        """Encode documents."""
        return _encoded(list(texts), self.vocabulary)


def _encoded(texts: list[str], view: Vocabulary) -> Encoded:
    """Return texts as they are stored.

    A byte-level piece is as many bytes long as it has letters, and encoding loses no byte: so the offset of every
    token is a cumulative sum, and sentence starts are found among them without asking the tokenizer for offsets.
    """
    encoded = view.encode_batch(texts)
    sizes = np.array([len(ids) for ids in encoded], dtype=np.int64)
    ids = np.fromiter(chain.from_iterable(encoded), dtype=np.int64, count=int(sizes.sum()))
    bounds = np.concatenate(([0], np.cumsum(sizes)))
    lengths = np.array([len(piece) for piece in view.pieces], dtype=np.int64)
    sentences = sentence_tokens(texts, lengths[ids], bounds)
    closed = np.insert(ids, bounds[1:], view.eos or 0)  # </s> after each document
    shift = np.searchsorted(bounds, sentences, side="right") - 1  # one more token for each document before
    words = sum(len(text.split()) for text in texts)
    unknown = int((ids == view.unk).sum())
    return Encoded(
        closed.astype(np.dtype("<u2" if view.size <= 1 << 16 else "<u4")),
        bounds[:-1] + np.arange(len(texts)),
        sentences + shift,
        words,
        unknown,
    )


def sentence_tokens(
    texts: Sequence[str],
    lengths: Int64[np.ndarray, " tokens"],
    bounds: Int64[np.ndarray, " documents_and_1"],
) -> Int64[np.ndarray, " sentences"]:
    """Return the sorted places among the tokens of `texts` that hold a sentence's first letter.

    `lengths` are the bytes of each token of all texts, `bounds` where each text's tokens begin. A document's
    first token is always one.
    """
    ends = np.cumsum(lengths)
    begins: list[int] = []
    base = 0
    for text in texts:
        found = starts(text)
        if text.isascii():
            begins += [base + place for place in found]
            base += len(text)
            continue
        last = 0
        for place in found:
            base += len(text[last:place].encode())
            begins.append(base)
            last = place
        base += len(text[last:].encode())
    inside = np.searchsorted(ends, np.array(begins, dtype=np.int64), side="right")
    return np.union1d(inside, bounds[:-1])
