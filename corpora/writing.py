"""Writing one part of a store: documents in, three growing files out, and a digest of what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from corpora.sentences import starts
from corpora.vocabulary import Vocabulary


class Writer:
    """Appends encoded documents to ``NAME.tokens``, ``NAME.documents`` and ``NAME.sentences`` of a folder.

    A byte-level piece is as many bytes long as it has letters, and encoding loses no byte: so the offset of every
    token is a cumulative sum, and sentence starts are found among them without asking the tokenizer for offsets.
    """

    def __init__(self, folder: Path, name: str, vocabulary: Vocabulary) -> None:
        self.vocabulary, self.name = vocabulary, name
        self.kind = token_kind(vocabulary.size)
        self.lengths: Int64[np.ndarray, " size"] = np.array([len(piece) for piece in vocabulary.pieces], dtype=np.int64)
        self.counts = {"documents": 0, "words": 0, "tokens": 0, "sentences": 0}
        self.files = {key: (folder / f"{name}.{key}").open("wb") for key in ("tokens", "documents", "sentences")}
        self.digests = {key: hashlib.sha256() for key in self.files}

    def add(self, texts: Sequence[str]) -> None:
        """Append documents that are not empty."""
        if not texts:
            return
        encoded = self.vocabulary.encode_batch(texts)
        sizes = np.array([len(ids) for ids in encoded], dtype=np.int64)
        ids = np.fromiter(chain.from_iterable(encoded), dtype=np.int64, count=int(sizes.sum()))
        bounds = np.concatenate(([0], np.cumsum(sizes)))
        sentences = sentence_tokens(texts, self.lengths[ids], bounds)
        closed = np.insert(ids, bounds[1:], self.vocabulary.eos or 0)  # </s> after each document
        shift = np.searchsorted(bounds, sentences, side="right") - 1  # one more token for each document before
        base = self.counts["tokens"]
        self._append("tokens", closed.astype(self.kind))
        self._append("documents", base + bounds[:-1] + np.arange(len(texts)))
        self._append("sentences", base + sentences + shift)
        self.counts["documents"] += len(texts)
        self.counts["words"] += sum(len(text.split()) for text in texts)
        self.counts["tokens"] += len(closed)
        self.counts["sentences"] += len(sentences)

    def _append(self, key: str, values: np.ndarray) -> None:
        data = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
        self.files[key].write(data)
        self.digests[key].update(data)

    def close(self) -> dict[str, Any]:
        """Write where the last document ends, close the files and return the counts."""
        self._append("documents", np.array([self.counts["tokens"]], dtype=np.int64))
        for file in self.files.values():
            file.close()
        return dict(self.counts)

    @property
    def digest(self) -> str:
        """The sha256 of each file, one after the other."""
        return " ".join(f"{self.name}.{key} {digest.hexdigest()}" for key, digest in self.digests.items())


def token_kind(size: int) -> np.dtype[np.unsignedinteger]:
    """Return the smallest type that holds every id of a vocabulary of `size` pieces."""
    return np.dtype("<u2" if size <= 1 << 16 else "<u4")


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
