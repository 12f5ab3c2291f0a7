"""What embedded tasks do to a text: identifiers hidden behind one word, a window of words shuffled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np

from foundation import keys

HIDDEN = "name"
WINDOW = 6
_KEY = keys.fold(0, "disguise")
_IDENTIFIER = re.compile(
    r"""(?<![\w.])(?:
      [A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\(\)                # a call
    | (?:
        (?:[A-Za-z_]\w+\.\w+|\w\.\w\w+)(?:\.\w+)*        # a dotted path, not e.g. or i.e.
      | \w*_\w*                                          # snake_case
      | \w*[a-z0-9][A-Z]\w* | \w*[A-Z]{2}[a-z]{2}\w*     # CamelCase, HTMLParser
      ) (?:\([^()\s]*\))?
    )""",
    re.VERBOSE,
)
_REPEATED = re.compile(rf"\b{HIDDEN}(?:[\s,/|()]+{HIDDEN}\b)+")


def hide(text: str, names: Sequence[str]) -> str:
    """Return the text with every identifier and every word that holds one of `names` replaced by the word "name"."""
    text = _IDENTIFIER.sub(HIDDEN, text)
    if names:
        text = _words_with(tuple(names)).sub(HIDDEN, text)
    return _REPEATED.sub(HIDDEN, text)


@cache
def _words_with(names: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern of words that hold one of the names; short names only as whole words."""
    long = "|".join(re.escape(name) for name in names if len(name) > 4) or r"(?!)"
    short = "|".join(re.escape(name) for name in names if len(name) <= 4) or r"(?!)"
    return re.compile(rf"(?<![\w-])(?:[\w-]*?(?:{long})[\w-]*|(?:{short})(?!\w))", re.IGNORECASE)


def shuffle(sentence: str) -> str:
    """Return the sentence with a window of six words shuffled; the first and the last word keep their places.

    So neither a capital inside nor a full stop inside gives the shuffled ones away. The order is really another
    one: at least four of the six places hold a different word.
    """
    words = sentence.split()
    key = keys.fold(_KEY, "shuffle", sentence)
    begin = 1 + int(keys.below(len(words) - WINDOW - 1, keys.bits(key, 1))[0])
    window = words[begin : begin + WINDOW]
    best = window
    for turn in range(64):
        order = np.argsort(keys.bits(keys.fold(key, turn), WINDOW), kind="stable")
        tried = [window[place] for place in order]
        if _differ(tried, window) > _differ(best, window):
            best = tried
        if _differ(best, window) >= 4:
            break
    return " ".join(words[:begin] + best + words[begin + WINDOW :])


def _differ(left: Sequence[str], right: Sequence[str]) -> int:
    return sum(a.lower() != b.lower() for a, b in zip(left, right, strict=True))
