"""Where words start in running text, told from pieces alone, for the objectives that hide whole words.

A word is a run of letters, of digits or of other marks, together with the one space before it, as GPT-2's
pre-tokenizer cuts text (Radford et al. 2019, §2.2):

    text      The fox,  2 of them\\ndon't
    pieces    The Ġfox , Ġ Ġ 2 Ġof Ġthem Ċ don 't
    starts    ^   ^    ^ ^ ^   ^   ^     ^ ^   ^

White space opens a word; a new line or a tab also ends one, while a space that stands as a piece of its own belongs
to the word behind it. A combining mark, and a character that the vocabulary cuts into bytes, belong to the words on
both sides: its pieces do not show what it is. A contraction is cut at its apostrophe, and behind it too where the
apostrophe is a piece of its own: "don" "'t", or "don" "'" "t". A special token is no part of a word, and the token
behind it starts one.

Vocabularies that mark the inside of words (WordPiece's "##", "</w>" at the end of a word), or whose pieces are
words, are taken at their word: there BERT's "abc123" is one word, and each punctuation mark another.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, UInt16

from corpora.pieces import by_bytes, by_text, is_byte_level

# What a piece ends with, one bit each; END is all that ends a word whatever follows.
_LETTER, _DIGIT, _MARK, _OPEN, _END = 1, 2, 4, 8, 16
_ANY = _LETTER | _DIGIT | _MARK | _OPEN | _END
# By what it begins with: the endings of the piece before, after which this one starts a word.
_AFTER = {" ": _ANY, "\n": _ANY, "?": _END}
_AFTER |= {kind: _END | (_LETTER | _DIGIT | _MARK) & ~bit for kind, bit in (("L", 1), ("N", 2), ("P", 4))}
_ENDING = {"L": _LETTER, "N": _DIGIT, "P": _MARK, " ": _OPEN, "?": _OPEN, "\n": _END}
_SHIFT = 8


def tables(
    content: dict[str, Any], pieces: Sequence[str], ordinary: Bool[np.ndarray, " size"]
) -> UInt16[np.ndarray, " size"]:
    """Return a code for each piece: after which endings it starts a word, and above 8 bits its own ending.

    A special token starts none after anything, and ends whatever came before.
    """
    look = _look(content)
    codes = np.full(len(pieces), _END << _SHIFT, dtype=np.uint16)
    for number in np.flatnonzero(ordinary).tolist():
        after, ending = look(pieces[number])
        codes[number] = after | ending << _SHIFT
    return codes


def opening(codes: UInt16[np.ndarray, " size"]) -> Bool[np.ndarray, " size"]:
    """Return which pieces start a word whatever is before them."""
    return (codes & _OPEN) != 0


def starts(
    codes: UInt16[np.ndarray, " size"],
    ids: Int64[np.ndarray, "rows width"],
    inside: Bool[np.ndarray, "rows width"],
) -> Bool[np.ndarray, "rows width"]:
    """Return where words start, in one look-up and four passes over small integers."""
    code = codes.take(ids)
    hit = code >> _SHIFT  # as the ending of the piece before, once it is moved by one
    flat = hit.ravel()
    np.bitwise_and(code.ravel()[1:], flat[:-1], out=flat[:-1])
    found = np.empty(ids.shape, dtype=bool)
    np.not_equal(flat[:-1], 0, out=found.ravel()[1:])
    if ids.shape[1]:
        np.not_equal(code[:, 0] & _END, 0, out=found[:, 0])  # a row begins as if behind an end
    found &= inside
    return found


def _look(content: dict[str, Any]) -> Callable[[str], tuple[int, int]]:
    """Return what tells after which endings a piece starts a word, and its own ending."""
    model = content["model"]
    if model["type"] == "WordLevel":
        return lambda piece: (_ANY, _OPEN)
    if suffix := model.get("end_of_word_suffix"):
        return lambda piece: (_END, _END if piece.endswith(suffix) else _OPEN)
    byte_level, prefix = is_byte_level(content), model.get("continuing_subword_prefix") or ""
    if prefix and not byte_level:
        return lambda piece: (_END if piece.startswith(prefix) else _ANY, _OPEN)
    read = by_bytes() if byte_level else by_text(bool(model.get("byte_fallback")))

    def look(piece: str) -> tuple[int, int]:
        text = read(piece.removeprefix(prefix)).decode("utf-8", "surrogateescape")  # half a character: a lone surrogate
        kinds = [_kind(character) for character in text] or ["?"]
        known = [kind for kind in kinds if kind != "M"]
        first = "?" if kinds[0] == "M" else kinds[0]
        return _AFTER[first], _ENDING[known[-1] if known else "?"]

    return look


def _kind(character: str) -> str:
    """Return L, N or P (all other marks), a space, a new line for all that ends a word, M (combining), ? (a byte)."""
    if character in " ▁":
        return " "
    if character.isspace() and not "\x1c" <= character <= "\x1f":  # which Unicode does not count as white space
        return "\n"
    category = unicodedata.category(character)
    return "?" if category == "Cs" else category[0] if category[0] in "LNM" else "P"
