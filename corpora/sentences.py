"""Where sentences start: a rule for prose, and a new line always begins one.

    Use it, e.g. with pi = 3.14. Then call it.  Done!
    ^                            ^              ^

A full stop, question or exclamation mark ends a sentence when white space and something that is not a small
letter follow; not after an abbreviation, an initial ("J. Smith") or the number of a list item at the start of
its line.
"""

from __future__ import annotations

import re

_END = re.compile(
    r"""[.!?…]+["'”’)\]]*[^\S\n]+(?=["'“‘(\[]*[^\W_a-z])"""  # a mark, then white space, then no small letter
    r"|[。！？]+[”’」』）]*(?=[^\s])"  # no white space between sentences in Chinese and Japanese
    r"|\s*\n\s*(?=\S)"
)
_LETTERS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_ABBREVIATIONS = {
    "e.g", "i.e", "cf", "vs", "viz", "resp", "approx", "incl", "al", "fig", "figs", "eq", "eqs", "sec", "ch", "ref",
    "refs", "no", "nos", "vol", "pp", "p", "ed", "eds", "dr", "mr", "mrs", "ms", "prof", "st", "sr", "jr", "inc", "ltd",
    "co", "corp", "dept", "univ", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
    "ca", "op", "def", "thm", "prop", "lem", "messrs", "rev", "hon", "gen", "col", "capt", "lt", "mme", "mlle",
}  # fmt: skip


def starts(text: str) -> list[int]:
    """Return the character offsets at which sentences start; the first is the first that is not white space."""
    first = len(text) - len(text.lstrip())
    if first == len(text):
        return []
    ends = _END.finditer(text, first)
    return [first, *(end.end() for end in ends if "\n" in end[0] or not _abbreviated(text, end.start()))]


def _abbreviated(text: str, stop: int) -> bool:
    """Say whether the full stop at `stop` belongs to the word before it."""
    if text[stop] != "." or text.startswith("..", stop):
        return False
    line = text.rfind("\n", 0, stop) + 1
    begin = max(text.rfind(" ", line, stop) + 1, line)
    word = text[begin:stop].lstrip("([{\"'“‘")
    if word.isdigit():
        return begin == line
    return word.lower() in _ABBREVIATIONS or (word != "I" and _LETTERS.fullmatch(word) is not None)
