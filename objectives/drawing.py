"""Pictures on a terminal and on a page.

In a terminal lines are cut at its width between words; words beneath a token stand under its first letter, and a
word that has to make room for them is stretched with dots::

    asked     <cls> Thank you <mask> my·····self <mask>
    answer                    for    ≠inviting   me

Without colours carets stand beneath the tokens that were hit; with colours the tokens themselves are coloured. All
else is the same.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from foundation.page import Page, Piece
from objectives.picture import Line, Picture, Token
from objectives.spelling import width

_INDENT = 2
_LABEL = 10
_NARROWEST = 30
_TINTS = ("36", "33", "35", "32", "34", "96", "93", "95", "92", "94")
_LOOKS = {"special": "2", "border": "2", "random": "31;1", "kept": "4", "label": "2", "title": "1"}
TINTS = 10
"""Colours before they begin again."""


def coloured(terminal: bool, environment: Mapping[str, str]) -> bool:
    """Say whether to write colours: NO_COLOR forbids, FORCE_COLOR demands, else only a terminal has them."""
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR", "0") != "0":
        return True
    return terminal and environment.get("TERM") != "dumb"


def columns() -> int:
    """Return the width to write in: the terminal's, or COLUMNS, or 100 where nobody says."""
    return max(_NARROWEST, shutil.get_terminal_size((100, 24)).columns)


@dataclass
class _Strip:
    """One line of a terminal while it is filled, and the words beneath it."""

    above: list[str] = field(default_factory=list)
    beneath: list[str] = field(default_factory=list)
    column: int = 0
    under: int = 0
    """Where the words beneath end."""


class Terminal:
    """Turns pictures into lines of text."""

    def __init__(self, columns: int, *, colours: bool) -> None:
        self.room, self.colours = columns - _INDENT - _LABEL, colours

    def lines(self, picture: Picture) -> Iterator[str]:
        """Return the lines of a picture, its title first."""
        yield self._ink(picture.title, _LOOKS["title"])
        for line in picture.lines:
            yield from self._line(line)

    def words(self, text: str) -> Iterator[str]:
        """Return words in lines that fit."""
        yield from textwrap.wrap(text, self.room + _INDENT + _LABEL, break_long_words=False, break_on_hyphens=False)

    def _line(self, line: Line) -> Iterator[str]:
        strips = self._strips(line)
        for number, strip in enumerate(strips):
            repeated = line.below and strip.beneath
            yield self._labelled(line.label if number == 0 or repeated else "", strip.above)
            if strip.beneath:
                yield self._labelled(line.below, strip.beneath)

    def _labelled(self, label: str, parts: list[str]) -> str:
        padded = label.ljust(_LABEL)
        return (" " * _INDENT + (self._ink(padded, _LOOKS["label"]) if label else padded) + "".join(parts)).rstrip()

    def _strips(self, line: Line) -> list[_Strip]:
        strips = [_Strip()]
        for word in _words(line.tokens):
            if strips[-1].column and self._after(strips[-1], word) > self.room:
                strips.append(_Strip())
            for token in word:
                if strips[-1].column and self._after(strips[-1], [token]) > self.room:
                    strips.append(_Strip())
                self._put(strips[-1], token)
        return strips

    def _beneath(self, token: Token) -> str:
        if token.below or token.look != "hit" or self.colours:
            return token.below
        return "^" * width(token.text)

    def _start(self, strip: _Strip, token: Token) -> tuple[int, str]:
        """Return the column at which a token would begin, and the words beneath it."""
        start = strip.column + (token.gap and strip.column > 0)
        below = self._beneath(token)
        carets = below and below != token.below
        return (max(start, strip.under + 1) if below and strip.under and not carets else start), below

    def _after(self, strip: _Strip, word: list[Token]) -> int:
        """Return the column that would be reached if a word were put."""
        column, under = strip.column, strip.under
        reached = column
        for token in word:
            start, below = self._start(_Strip(column=column, under=under), token)
            column = start + width(token.text)
            under = start + width(below) if below else under
            reached = max(column, under if below else 0, reached)
        return reached

    def _put(self, strip: _Strip, token: Token) -> None:
        start, below = self._start(strip, token)
        space = start - strip.column
        if space:
            dots = strip.column > 0 and not token.gap
            strip.above.append(self._ink("·" * space, _LOOKS["border"]) if dots else " " * space)
        strip.above.append(self._ink(token.text, self._style(token)))
        strip.column = start + width(token.text)
        if below:
            strip.beneath.append(" " * (start - strip.under) + self._ink(below, self._style(token, below=True)))
            strip.under = start + width(below)

    def _style(self, token: Token, *, below: bool = False) -> str:
        if token.look in ("random", "kept") and (not below or token.look == "random"):
            return _LOOKS[token.look]
        if token.tint is not None:
            return _TINTS[token.tint % TINTS] + (";1" if token.look == "mark" else "")
        if token.look in ("hit", "said", "mark") or below:
            return _TINTS[0] + (";1" if token.look == "mark" and not below else "")
        return _LOOKS.get(token.look, "")

    def _ink(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self.colours and style and text.strip() else text


def _words(tokens: list[Token]) -> Iterator[list[Token]]:
    """Return tokens in runs that only a line too narrow for them may cut."""
    word: list[Token] = []
    for token in tokens:
        if token.gap and word:
            yield word
            word = []
        word.append(token)
    if word:
        yield word


def put(page: Page, picture: Picture) -> None:
    """Add a picture to a page."""
    page.heading(picture.title)
    for line in picture.lines:
        page.line(line.label, [_piece(token) for token in line.tokens], below=line.below)


def _piece(token: Token) -> Piece:
    look = token.look
    if token.tint is not None or look in ("hit", "said", "mark"):
        look = f"{look} tint-{(token.tint or 0) % TINTS}".strip()
    return Piece(token.text, look=look, title=token.title, below=token.below, gap=token.gap)
