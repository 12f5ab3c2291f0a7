"""The vocabulary: a view of any fast tokenizer that objectives can use; ``corpora/kinds.py`` trains our own.

Every vocabulary that we train reserves the same special tokens first, in the same order, so that one corpus
serves all objectives: an id at or above ``FIRST`` is an ordinary token. Nothing is added around a text here;
how a finished model frames it is the business of its own tokenizer's post-processor.

Text stays text: a document that says ``<mask>`` is read as the characters, never as the special token.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, Integer, UInt16
from tokenizers import Regex, Tokenizer, pre_tokenizers

from corpora import pieces, words
from corpora.kinds import SMALLEST, save, train
from corpora.specials import FIRST, MARKS, ROLES, SPECIALS
from foundation.refusal import BadData

__all__ = ["FIRST", "SMALLEST", "SPECIALS", "Vocabulary", "save", "train"]


class Vocabulary:
    """What objectives need to know of a tokenizer, as numpy arrays over its ids.

    ``ordinary[id]`` says that the piece is no special token; ``draw`` lists those ids (random replacements come
    from it). ``word_start[id]`` says that a word can begin only here by the piece's own look: it opens with
    white space ("Ġ…", "▁…"), is no "##…", or is special. In running text a word also begins after a special
    token, after a new line, and where letters, digits and other marks meet, which the piece alone cannot show:
    ``word_starts`` tells these too. ``sentinels`` are in the order of their names
    (``<extra_id_0>`` first), whatever their ids. A role that the tokenizer does not have is None; ``end`` is what
    closes a document, ``</s>`` or, where a tokenizer has none, its [SEP].

    ``lossless`` says that text → ids → text gives every byte back, which every kind of ours promises.
    """

    pad: int | None
    unk: int | None
    bos: int | None
    eos: int | None
    mask: int | None
    sep: int | None
    cls: int | None
    fim_prefix: int | None
    fim_suffix: int | None
    fim_middle: int | None
    nlu: int | None
    nlg: int | None
    s2s: int | None

    def __init__(self, tokenizer: Tokenizer, names: dict[str, str], folder: Path | None = None) -> None:
        content = tokenizer.to_str()
        self.tokenizer = Tokenizer.from_str(content)  # our own: the switch below must not reach the caller's
        self.tokenizer.encode_special_tokens = True
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.folder = folder
        self.sha256 = hashlib.sha256(content.encode()).hexdigest()
        ids = self.tokenizer.get_vocab(with_added_tokens=True)
        self.size = max(ids.values()) + 1
        for role, known in (ROLES | MARKS).items():
            tried = [names[role]] if role in names else known
            setattr(self, role, next((ids[name] for name in tried if name in ids), None))
        self.pieces: list[str] = [""] * self.size
        for piece, number in ids.items():
            self.pieces[number] = piece
        special = {number for number, token in self.tokenizer.get_added_tokens_decoder().items() if token.special}
        special |= {number for role in (*ROLES, *MARKS) if (number := getattr(self, role)) is not None}
        self.sentinels: Int64[np.ndarray, " sentinels"] = _sentinels(ids)
        special |= set(self.sentinels.tolist())
        self.ordinary: Bool[np.ndarray, " size"] = np.array(
            [bool(piece) and number not in special for number, piece in enumerate(self.pieces)]
        )
        self.draw: Int64[np.ndarray, " ordinary"] = np.flatnonzero(self.ordinary).astype(np.int64)
        self.end = self.sep if self.eos is None else self.eos
        first = self.size - len(self.draw)
        self._first: int | None = first if self.ordinary[first:].all() else None  # special tokens all come first
        self.content = parsed = json.loads(content)
        self.byte_level = pieces.is_byte_level(parsed)
        self.lossless = pieces.is_lossless(parsed, self.pieces)
        self.says_bytes = self.byte_level or self.lossless
        if parsed["model"]["type"] != "BPE":  # BPE reaches a piece by merges alone, and special tokens have none
            _never_whole(
                self.tokenizer, [piece for piece, kept in zip(self.pieces, self.ordinary, strict=True) if not kept]
            )

    @classmethod
    def open(cls, folder: Path | str) -> Vocabulary:
        """Open the tokenizer.json of a folder (a corpus, a checkpoint, any model of the hub).

        Raises:
            BadData: if there is none, or it cannot be read.
        """
        folder = Path(folder)
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise BadData(f"{folder} has no tokenizer.json", "give a corpus, a checkpoint or a tokenizer's folder")
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the binding raises bare Exception for anything that it cannot read
            raise BadData(f"{path} cannot be read as a tokenizer: {error}") from error
        names: dict[str, str] = {}
        for file in ("special_tokens_map.json", "tokenizer_config.json"):
            if (folder / file).is_file():
                names |= _names(json.loads((folder / file).read_text(encoding="utf-8")))
        return cls(tokenizer, names, folder)

    @classmethod
    def of(cls, tokenizer: Any) -> Vocabulary:
        """View a `tokenizers.Tokenizer`, or a fast tokenizer of transformers with the roles that it declares."""
        if isinstance(tokenizer, Tokenizer):
            return cls(tokenizer, {})
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise BadData(f"{type(tokenizer).__name__} is no fast tokenizer", "objectives need tokenizer.json")
        roles = {f"{role}_token": getattr(tokenizer, f"{role}_token", None) for role in ROLES}
        return cls(backend, _names(roles))

    @cached_property
    def _words(self) -> UInt16[np.ndarray, " size"]:
        return words.tables(self.content, self.pieces, self.ordinary)

    @cached_property
    def said(self) -> list[bytes]:
        """The bytes of text that each piece stands for, where ``says_bytes``."""
        return pieces.said(self.content, self.pieces)

    @cached_property
    def byte_lengths(self) -> Int64[np.ndarray, " size"]:
        """How many these are; none for special tokens."""
        return np.where(self.ordinary, [len(text) for text in self.said], 0).astype(np.int64)

    @cached_property
    def word_start(self) -> Bool[np.ndarray, " size"]:
        """Which pieces start a word wherever they stand, by their own look, or are special."""
        return ~self.ordinary | words.opening(self._words)

    def word_starts(
        self, ids: Int64[np.ndarray, "rows width"], inside: Bool[np.ndarray, "rows width"]
    ) -> Bool[np.ndarray, "rows width"]:
        """Return where words start in rows of running text; never at a special token, nor where nothing is `inside`."""
        return words.starts(self._words, ids, inside)

    def is_ordinary(self, ids: Integer[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
        """Return ``ordinary[ids]``, by a comparison where all special tokens come first."""
        return self.ordinary.take(ids) if self._first is None else np.greater_equal(ids, self._first)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, with no special token in it or around it."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return what ``encode`` gives for each text, in parallel where TOKENIZERS_PARALLELISM allows it."""
        return [found.ids for found in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, ids: Iterable[int] | Integer[np.ndarray, " tokens"]) -> str:
        """Return the text of ids, special tokens written as their names."""
        return self.tokenizer.decode([int(number) for number in ids], skip_special_tokens=False)


def _names(config: dict[str, Any]) -> dict[str, str]:
    """Return role → piece from a tokenizer's configuration, where a piece is a string or an AddedToken's fields."""
    found = {}
    for role in ROLES:
        value = config.get(f"{role}_token")
        value = value.get("content") if isinstance(value, dict) else value
        if value is not None:
            found[role] = str(value)
    return found


def _never_whole(tokenizer: Tokenizer, names: Iterable[str]) -> None:
    """Cut special tokens that a text says behind their first character, or models find them as their own pieces.

    Most pre-tokenizers cut them anyway, between their letters and other marks.
    """
    rests: dict[str, list[str]] = {}
    cut = tokenizer.pre_tokenizer
    for name in names:
        if len(name) > 1 and not (cut is not None and len(cut.pre_tokenize_str(name)) > 1):
            rests.setdefault(re.escape(name[0]), []).append(re.escape(name[1:]))
    if rests:  # grouped by the first character, for which a search can skip ahead
        pattern = "|".join(f"{first}(?={'|'.join(rest)})" for first, rest in rests.items())
        parts = [cut] if cut is not None else []
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*parts, pre_tokenizers.Split(Regex(pattern), "isolated")])


def _sentinels(ids: dict[str, int]) -> Int64[np.ndarray, " sentinels"]:
    def numbered() -> Iterator[tuple[int, int]]:
        for piece, number in ids.items():
            inner = piece.removeprefix("<extra_id_").removesuffix(">")
            if piece == f"<extra_id_{inner}>" and inner.isdigit():
                yield int(inner), number

    return np.array([number for _, number in sorted(numbered())], dtype=np.int64)
