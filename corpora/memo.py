"""Ids of what has been encoded before, looked up: most of a text is words that have stood in it.

    text     The fox ate.\\nThe fox slept.
    looked   (The) fox ate. \\nThe fox slept.      a space belongs to what follows; the first piece has none
    up

Where a tokenizer cuts words as GPT-2 does (Radford et al. 2019, §2.2), no word goes on across a space or a new line
between two other characters, so a text may be cut there and its pieces encoded one by one, each once. A look-up costs
a hundredth of encoding. Where white space stands beside white space this does not hold, but for two spaces; such a text
is encoded as a whole.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt32

from corpora.kinds import WORDS
from corpora.vocabulary import Vocabulary

LIMIT = 1 << 18
"""Pieces that are remembered, about 60 MB; then it is begun anew."""
_LONGEST = 64
_RUN = re.compile(r"\s{3}|\s[^\S ]|[^\S ]\s|\s\s\Z")
Piece = str | tuple[str]  # a tuple holds a text to be encoded as it stands


class Memo:
    """Encodes as the tokenizer of a vocabulary does."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.tokenizer = vocabulary.tokenizer
        self.cuttable = cuttable(vocabulary.content)
        self.known: dict[Piece, bytes] = {}

    def __call__(self, texts: Sequence[str], end: int) -> tuple[UInt32[np.ndarray, " tokens"], Int64[np.ndarray, " _"]]:
        """Return the ids of all texts, each followed by the id `end`, and how many each text has with it."""
        cut = [self._cut(text) for text in texts]
        if len(self.known) > LIMIT:
            self.known.clear()
        missing = list(set().union(*cut) - self.known.keys())
        spelled = [piece[0] if isinstance(piece, tuple) else _spelled(piece) for piece in missing]
        encodings = self.tokenizer.encode_batch_fast(spelled, add_special_tokens=False)
        for piece, encoding in zip(missing, encodings, strict=True):
            self.known[piece] = array("I", encoding.ids).tobytes()
        closing = array("I", [end]).tobytes()
        parts = [b"".join(map(self.known.__getitem__, pieces)) + closing for pieces in cut]
        for piece, text in zip(missing, spelled, strict=True):
            if len(text) > _LONGEST:
                del self.known[piece]
        ids = np.frombuffer(b"".join(parts), dtype=np.uint32)
        return ids, np.array([len(part) // ids.itemsize for part in parts], dtype=np.int64)

    def _cut(self, text: str) -> list[Piece]:
        if not self.cuttable or _RUN.search(text):
            return [(text,)]
        pieces: list[Piece] = [*text.replace("\n", " \n").split(" ")]
        pieces[0] = (str(pieces[0]),)
        return pieces


def _spelled(piece: str) -> str:
    return piece if piece.startswith("\n") else f" {piece}"


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
