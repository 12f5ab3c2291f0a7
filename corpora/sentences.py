"""Where sentences start, by a splitter that is chosen by name; a new line always begins one.

    Use it, e.g. with pi = 3.14. Then call it.  Done!
    ^                            ^              ^

    sentencex[:LANGUAGE]   Wikimedia's library, with the abbreviations of some 300 languages; English by default
    rule                   the rule below, for prose in European languages, Chinese and Japanese
    my.module:function     your own: text → offsets at which sentences start, ascending

Why sentencex is the default: on hard cases in English it and the rule are right about equally often, in other languages
it far more often; and it is quicker than the rule, and a hundred times and more quicker than pysbd. The rule knows what
sentencex does not (a full stop in "file.txt. and", an ellipsis, "It was I."), and needs no compiled library.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from foundation.refusal import BadData, BadUsage, unknown
from foundation.request import own

DEFAULT = "sentencex"
Splitter = Callable[[str], Sequence[int]]
_WINDOW = 1000
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]+)*")
# White space of several bytes: in front of some full stops sentencex 1.0.32 cuts it in two, and dies.
_SPACES = re.compile("[\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")


def splitter(name: str = DEFAULT) -> Splitter:
    """Return what gives the offsets of a text's characters at which sentences start.

    Raises:
        BadUsage: for a name that is none of those above.
    """
    kind, _, rest = name.partition(":")
    if name == "rule":
        return starts
    if kind == DEFAULT and _LANGUAGE.fullmatch(rest or "en"):
        return _library(rest or "en")
    if kind == DEFAULT:
        raise BadUsage(f"--sentences {name}: {rest!r} is no code of a language", "for example sentencex:de")
    if ":" in name:
        return _checked(name, own("sentences", name))
    raise unknown("splitter of sentences", name, (DEFAULT, f"{DEFAULT}:LANGUAGE", "rule", "my.module:function"))


def _checked(name: str, function: Callable[[str], Sequence[int]]) -> Splitter:
    def checked(text: str) -> list[int]:
        found = [int(place) for place in function(text)]
        if any(after <= before for before, after in pairwise([-1, *found, max(1, len(text))])):
            raise BadData(f"--sentences {name} gives {found[:5]}… of {text[:40]!r}", "ascending offsets are needed")
        return found

    return checked


def _library(language: str) -> Splitter:
    from sentencex import segment  # pyright: ignore[reportAttributeAccessIssue]  compiled, without stubs

    def lines(text: str) -> list[int]:
        found: list[int] = []
        plain = text if text.isascii() else _SPACES.sub(" ", text)
        base = 0
        for line in plain.split("\n"):
            for part in _parts(line, language, segment):
                inner = part.lstrip()
                if inner:
                    found.append(base + len(part) - len(inner))
                base += len(part)
            base += 1
        return found

    return lines


def _parts(line: str, language: str, segment: Callable[[str, str], list[str]]) -> Iterator[str]:
    """Yield the sentences of a line, looking at some of it at a time: in some languages the library is quadratic."""
    begin, size = 0, _WINDOW
    while begin < len(line):
        found = segment(language, line[begin : begin + size])
        if begin + size < len(line):
            found.pop()  # it may go on behind the window
        size = _WINDOW if found else 2 * size
        for part in found:
            yield part
            begin += len(part)


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
