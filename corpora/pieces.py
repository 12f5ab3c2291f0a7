"""What pieces of a vocabulary say, as bytes, and whether a tokenizer loses none of a text.

byte-level        Ġthe → " the"     each character stands for a byte (Radford et al. 2019, §2.2)
  … with marks    ##er → "er"       WordPiece's, inside of words
characters        é → "é"           <0xC3> → the byte, of a character that has no piece
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def is_byte_level(content: dict[str, Any]) -> bool:
    """Return whether each character of a piece stands for a byte."""
    parts = (content.get(part) for part in ("pre_tokenizer", "normalizer", "decoder"))
    return "ByteLevel" in {one["type"] for part in parts for one in _all(part)}


def is_lossless(content: dict[str, Any], pieces: Sequence[str]) -> bool:
    """Return whether the pieces of any text say each of its bytes, one after the other."""
    model, known = content["model"], set(pieces)
    cuts = [one for one in _all(content.get("pre_tokenizer")) if one["type"] != "Sequence"]
    if content.get("normalizer") is not None:
        return False
    if model["type"] == "BPE" and model.get("byte_fallback"):
        return not cuts and all(f"<0x{byte:02X}>" in known for byte in range(256))
    prefix = model.get("continuing_subword_prefix") or ""
    levels = [one for one in cuts if one["type"] == "ByteLevel"]
    kept = all(one in levels or (one["type"] == "Split" and one["behavior"] != "Removed") for one in cuts)
    return (
        len(levels) == 1
        and kept
        and not levels[0]["add_prefix_space"]
        and not model.get("end_of_word_suffix")
        and all(letter in known and prefix + letter in known for letter in letters())
    )


def said(content: dict[str, Any], pieces: Sequence[str]) -> list[bytes]:
    """Return the bytes that each piece of a byte-level or lossless vocabulary says."""
    prefix = content["model"].get("continuing_subword_prefix") or ""
    read = by_bytes() if is_byte_level(content) else by_text(True)
    return [read(piece.removeprefix(prefix)) for piece in pieces]


@cache
def letters() -> dict[str, int]:
    """Return the byte that each letter of byte-level pieces stands for."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(hidden)}


def by_bytes() -> Callable[[str], bytes]:
    """Return the reader of byte-level pieces."""
    values = letters()

    def read(piece: str) -> bytes:
        if all(letter in values for letter in piece):
            return bytes(values[letter] for letter in piece)
        return piece.encode()  # added by hand, and so written as it is

    return read


def by_text(fallback: bool) -> Callable[[str], bytes]:
    """Return the reader of pieces that are text, where `fallback` allows bytes such as <0x0A>."""

    def read(piece: str) -> bytes:
        found = _BYTE.fullmatch(piece) if fallback else None
        return bytes([int(found[1], 16)]) if found else piece.encode()

    return read


def _all(part: Any) -> list[dict[str, Any]]:
    """Return a tokenizer's part and all that it is made of."""
    if isinstance(part, dict):
        own = [part] if "type" in part else []  # a pattern has none
        return own + [one for value in part.values() for one in _all(value)]
    return [one for value in part for one in _all(value)] if isinstance(part, list) else []
