"""Texts as token ids, with the places where documents and sentences begin among them.

    texts      Fine.  It holds!       |  Not so.
    ids        Fine .  ĠIt Ġholds !  </s>  Not Ġso .  </s>
    documents  ^                           ^
    sentences  ^        ^                  ^

Where no byte of a text is lost, the offset of every token is a cumulative sum of the bytes that each piece stands for,
and sentence starts are found among these without asking the tokenizer for offsets, which would cost it a third more.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt, UInt32

from corpora.memo import LIMIT, Memo
from corpora.sentences import DEFAULT, splitter
from corpora.vocabulary import Vocabulary
from foundation.refusal import BadData

Ids = UInt32[np.ndarray, " _"]
Places = Int64[np.ndarray, " _"]


@dataclass(frozen=True)
class Encoded:
    """Some documents as they are stored, one after the other."""

    ids: UInt[np.ndarray, " tokens"]
    """Each document followed by its end token."""
    documents: Int64[np.ndarray, " documents"]
    """Where each document begins."""
    sentences: Int64[np.ndarray, " sentences"]
    """Where sentences begin, sorted; a document's first token is one."""
    unknown: int
    """Ids that are ``<unk>``."""


class Encoder:
    """Encodes texts in a vocabulary, with sentences by the splitter of that name (``corpora/sentences.py``)."""

    def __init__(self, vocabulary: Vocabulary, sentences: str = DEFAULT, remember: int = LIMIT) -> None:
        if vocabulary.end is None:
            raise BadData("the tokenizer has no token that ends a text", "give --add-special, or another tokenizer")
        self.vocabulary, self.end = vocabulary, vocabulary.end
        self.memo, self.starts = Memo(vocabulary, remember), splitter(sentences)
        self.dtype = token_kind(vocabulary.size)
        self.table = _letters(vocabulary) if vocabulary.lossless else None
        self.codec = ("utf-8", np.uint8) if vocabulary.byte_level else ("utf-32-le", np.uint32)

    def __call__(self, texts: Sequence[str]) -> Encoded:
        """Encode documents, on as many threads as TOKENIZERS_PARALLELISM allows."""
        texts = list(texts)
        starts = [self.starts(text) for text in texts]
        found = self._summed(texts, starts) if self.vocabulary.lossless else None
        ids, documents, sentences = self._asked(texts, starts) if found is None else found
        unknown = 0 if self.vocabulary.unk is None else int(np.count_nonzero(ids == self.vocabulary.unk))
        return Encoded(
            ids=ids.astype(self.dtype),
            documents=documents,
            sentences=np.union1d(sentences, documents),
            unknown=unknown - len(texts) * (self.vocabulary.unk == self.end),  # as GPT-2's end is
        )

    def _summed(self, texts: list[str], starts: Sequence[Sequence[int]]) -> tuple[Ids, Places, Places] | None:
        """Return the ids, and the places of documents and sentences, told from the bytes of the pieces.

        None if these are not the bytes of the texts, where a tokenizer does not keep what its parts promise.
        """
        table = self.table
        told = self.memo(texts) if table is None else [self._looked_up(text, table) for text in texts]
        ids, documents = self._closed(told)
        ends = np.cumsum(self.vocabulary.byte_lengths.take(ids))
        places, total = _bytes(texts, starts)
        if (ends[-1] if len(ends) else 0) != total:
            return None
        return ids, documents, np.searchsorted(ends, places, side="right")

    def _asked(self, texts: list[str], starts: Sequence[Sequence[int]]) -> tuple[Ids, Places, Places]:
        """Return the same, told from the offsets that the tokenizer gives."""
        encodings = self.vocabulary.tokenizer.encode_batch(texts, add_special_tokens=False)
        ids, documents = self._closed([array("I", one.ids).tobytes() for one in encodings])
        sentences: list[int] = []
        for first, encoding, begins in zip(documents.tolist(), encodings, starts, strict=True):
            ends = [end for _, end in encoding.offsets]
            places = (bisect_right(ends, begin) for begin in begins)
            sentences += [first + place for place in places if place < len(ends)]
        return ids, documents, np.array(sentences, dtype=np.int64)

    def _looked_up(self, text: str, table: Ids) -> bytes:
        """Return the ids of a text whose bytes or characters are the pieces; rare characters are tokenized."""
        codec, kind = self.codec
        ids = table[np.frombuffer(text.encode(codec), dtype=kind)]
        return ids.tobytes() if ids.all() else array("I", self.vocabulary.encode(text)).tobytes()

    def _closed(self, told: Sequence[bytes]) -> tuple[Ids, Places]:
        """Return the ids of all documents, each followed by its end, and where each begins."""
        end = array("I", [self.end]).tobytes()
        sizes = np.array([len(ids) // len(end) + 1 for ids in told], dtype=np.int64)
        return np.frombuffer(end.join([*told, b""]), dtype=np.uint32), np.cumsum(sizes) - sizes


def _letters(vocabulary: Vocabulary) -> Ids | None:
    """Return the id of each byte or character, 0 if it has none, where no piece is longer; else None."""
    told = [(number, vocabulary.pieces[number], vocabulary.said[number]) for number in vocabulary.draw.tolist()]
    level = vocabulary.byte_level
    if vocabulary.pad != 0 or any(len(piece) > 1 and (level or len(text) > 1) for _, piece, text in told):
        return None
    table = np.zeros(256 if level else 0x110000, dtype=np.uint32)
    for number, piece, text in told:
        if len(piece) == 1:
            table[text[0] if level else ord(piece)] = number
    return table


def token_kind(size: int) -> np.dtype[np.unsignedinteger]:
    """Return the smallest type that holds every id of a vocabulary of `size` pieces."""
    return np.dtype("<u2" if size <= 1 << 16 else "<u4")


def _bytes(texts: list[str], starts: Sequence[Sequence[int]]) -> tuple[Places, int]:
    """Return character offsets in each text as offsets in the bytes of all of them, and how many these are."""
    found: list[int] = []
    base = 0
    for text, places in zip(texts, starts, strict=True):
        if text.isascii():
            found += [base + place for place in places]
            base += len(text)
            continue
        last = 0
        for place in places:
            base += len(text[last:place].encode())
            found.append(base)
            last = place
        base += len(text[last:].encode())
    return np.array(found, dtype=np.int64), base
