"""Token ids as text that can be shown: one piece of text for each token, whatever the tokenizer cuts.

A byte-level token may be half a character: neighbouring tokens of one kind spell it together, and a half that
stands alone is drawn as �. New lines and tabs are drawn as ↵ and ⇥, and no control character of a text reaches
a terminal.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Sequence
from typing import Any

from corpora.vocabulary import Vocabulary

_TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_SHOWN = {"\n": "↵", "\t": "⇥"}

Spelled = tuple[bool, str]
"""Whether white space stands before a token, and its text without that space."""


def spell(ids: Sequence[int], vocabulary: Vocabulary, kinds: Sequence[Any] | None = None) -> list[Spelled]:
    """Return the text of each token; tokens of different `kinds` are spelled apart. Special tokens stand alone.

    A mark in place of hidden words says nothing of the white space behind it, so that the text behind it begins
    where its own token says.
    """
    marks = {vocabulary.mask, *vocabulary.sentinels.tolist()}
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    out: list[Spelled] = []
    before: int | None = None  # the last ordinary token, for tokenizers whose pieces need a neighbour to be read
    for place, number in enumerate(ids):
        ordinary = bool(vocabulary.ordinary[number])
        if place and (not ordinary or (kinds is not None and kinds[place] != kinds[place - 1])):
            _flush(decoder, out)
        if not ordinary:
            out.append((True, clean(vocabulary.pieces[number])))
            continue
        known = vocabulary.says_bytes
        text = decoder.decode(vocabulary.said[number]) if known else _beside(number, before, vocabulary)
        frame = place > 0 and not vocabulary.ordinary[ids[place - 1]] and ids[place - 1] not in marks
        gap = place == 0 or frame or text.startswith(" ")
        out.append((gap, clean(text.removeprefix(" "))))
        before = number
    _flush(decoder, out)
    return out


def _flush(decoder: codecs.IncrementalDecoder, out: list[Spelled]) -> None:
    """Add what is left of a character that no token ended to the last token."""
    rest = decoder.decode(b"", final=True)
    decoder.reset()
    if rest:
        out[-1] = (out[-1][0], out[-1][1] + rest)


def _beside(number: int, before: int | None, vocabulary: Vocabulary) -> str:
    """Return the text of a token behind another one: what the tokenizer writes for both, without the first."""
    first = int(vocabulary.draw[0]) if before is None else before
    alone, both = vocabulary.decode([first]), vocabulary.decode([first, number])
    return both[len(alone) :] if both.startswith(alone) else " " + vocabulary.decode([number])


def clean(text: str) -> str:
    """Return text in which everything that would move a cursor or turn the direction of writing is spelled out."""
    return "".join(_SHOWN.get(letter) or (_escape(letter) if _steers(letter) else letter) for letter in text)


def _steers(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs") or letter in _TURNS


def _escape(letter: str) -> str:
    return f"\\x{ord(letter):02x}" if ord(letter) < 256 else f"\\u{ord(letter):04x}"


def width(text: str) -> int:
    """Return the columns that a text takes in a terminal."""
    return sum(
        0 if unicodedata.category(letter) in ("Mn", "Me", "Cf") else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )
