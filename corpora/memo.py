"""Ids of what has been encoded before, looked up: most of a text is words that have stood in it.

    text     The fox ate.\\nThe fox slept.
    looked   (The) fox ate. \\nThe fox slept.      a space belongs to what follows; the first piece has none
    up

Where a tokenizer cuts words as GPT-2 does (Radford et al. 2019, §2.2), no word goes on across a space or a new line
between two other characters, so a text may be cut there and its pieces encoded one by one, each once. A look-up costs
a thirtieth of encoding. Where white space stands beside white space this does not hold, two spaces aside; such a text
is encoded as a whole.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import chain, filterfalse
from typing import Any

import numpy as np

from corpora.kinds import WORDS
from corpora.vocabulary import Vocabulary

LIMIT = 1 << 19
"""Pieces that are remembered, about 120 MB; then it is begun anew."""
_LONGEST = 64
_RUNS = ("   ", "\n\n", " \n", "\n ")
Piece = str | tuple[str]  # a tuple holds a text to be encoded as it stands


class Memo:
    """Encodes as the tokenizer of a vocabulary does, whose pieces say their bytes."""

    def __init__(self, vocabulary: Vocabulary, limit: int = LIMIT) -> None:
        self.limit = limit
        self.tokenizer, self.lengths = vocabulary.tokenizer, vocabulary.byte_lengths
        self.cuttable = cuttable(vocabulary.content)
        self.known: dict[Piece, bytes | None] = {}
        """The ids of each piece; None where white space at its edge may belong to its neighbour's."""

    def __call__(self, texts: Sequence[str]) -> list[bytes]:
        """Return the ids of each text, as the bytes of uint32."""
        if len(self.known) > self.limit:
            self.known.clear()
        cut = [self._cut(text) for text in texts]
        missing = set(filterfalse(self.known.__contains__, chain.from_iterable(cut)))
        self._learn(missing)
        found = [self._joined(text, pieces) for text, pieces in zip(texts, cut, strict=True)]
        for piece in missing:
            if len(piece[0] if isinstance(piece, tuple) else piece) > _LONGEST:
                del self.known[piece]
        return found

    def _cut(self, text: str) -> list[Any]:
        if not self.cuttable or text[-1:].isspace() or any(run in text for run in _RUNS):
            return [(text,)]
        pieces: list[Any] = text.replace("\n", " \n").split(" ")
        pieces[0] = (pieces[0],)
        return pieces

    def _joined(self, text: str, pieces: list[Piece]) -> bytes:
        try:
            return b"".join(map(self.known.__getitem__, pieces))  # type: ignore[arg-type]
        except TypeError:  # None is among them
            return next(self._encoded([text]))

    def _learn(self, missing: Set[Piece]) -> None:
        """Encode pieces, those behind a space all at once, since they may stand behind each other."""
        words = [
            piece
            for piece in missing
            if isinstance(piece, str) and len(piece.strip()) == len(piece) - (piece[:1] == "\n")
        ]
        self.known |= dict.fromkeys(missing)  # None, until it is told
        firsts = [piece for piece in missing if isinstance(piece, tuple)]
        for piece, ids in zip(firsts, self._encoded(text for (text,) in firsts), strict=True):
            if not (self.cuttable and piece[0][-1:].isspace()):
                self.known[piece] = ids
        spelled = [piece if piece[:1] == "\n" else f" {piece}" for piece in words]
        bounds = np.cumsum([len(word.encode()) for word in spelled])
        data = next(self._encoded(["".join(spelled)]))
        ends = np.cumsum(self.lengths.take(np.frombuffer(data, dtype=np.uint32)))
        last = np.searchsorted(ends, bounds)
        if len(bounds) and (last[-1] >= len(ends) or (ends[last] != bounds).any()):  # its parts promise too much
            self.known |= zip(words, self._encoded(spelled), strict=True)
            return
        begin = 0
        for word, end in zip(words, ((last + 1) * 4).tolist(), strict=True):
            self.known[word] = data[begin:end]
            begin = end

    def _encoded(self, texts: Iterable[str]) -> Iterator[bytes]:
        for encoding in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False):
            yield array("I", encoding.ids).tobytes()


def cuttable(content: dict[str, Any]) -> bool:
    """Say whether a tokenizer gives the pieces of a text the ids that they have in it."""
    if content["normalizer"] is not None or any(not token["special"] for token in content["added_tokens"]):
        return False
    told = content["pre_tokenizer"] or {"type": "Sequence", "pretokenizers": []}
    parts = told["pretokenizers"] if told["type"] == "Sequence" else [told]
    kinds = [part["type"] for part in parts]
    if kinds == ["Split", "ByteLevel"]:
        first, second = parts
        return first["pattern"] == {"Regex": WORDS} and not second["use_regex"] and not second["add_prefix_space"]
    if kinds == ["ByteLevel"] and not parts[0]["add_prefix_space"] and parts[0]["use_regex"]:
        return True
    single = content["model"]["type"] == "BPE" and not content["model"]["merges"]  # each character by itself
    return single and (not kinds or (kinds == ["ByteLevel"] and not parts[0]["add_prefix_space"]))
