"""The prose of a docstring: its paragraphs as plain text, without markup, formulas and what is left of code.

A block is kept if it reads as prose: six words or more, seven in ten of them made of letters, not broken off
before something that was dropped, brackets closed. A formula makes the whole paragraph worthless, a link only its
sentence.
"""

from __future__ import annotations

import hashlib
import re

from corpora.docstrings import blocks

SHORTEST = 6
LETTERED = 0.7

# Markup and what is left of it; each rule is tried only where its letter occurs. A citation that a sentence cannot do
# without becomes a mark by which the sentence is dropped as if it held a link.
_MARKUP: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (letter, re.compile(pattern), replacement)
    for letter, pattern, replacement in (
        ("`", r":math:`([^`\\^_{}]*)`", r"\1"),
        ("`", r":[a-zA-Z:+.-]+:`([^`<]*?)\s*<[^`]*>`", r"\1"),
        ("`", r":[a-zA-Z:+.-]+:`[~!.]*([^`]*)`", r"\1"),
        ("[", r"\[\[?`[~!.]*([^`\]]*)`\]?\](?:\([^)]*\))?", r"\1"),
        ("[", r"!?\[([^\]]*)\]\((?:[^()]|\([^()]*\))*\)", r"\1"),
        ("`", r"`([^`<]+?)\s*<[^`>]*>`__?", r"\1"),
        ("[", r"\b(from|in|by|of|see|and|to|with|than|as)\s+\[(?:\d+|[A-Z][\w+-]*\d\w*|#\w*)\]_?", r"\1 doi:"),
        ("[", r"\s*\[(?:\d+|[A-Z][\w+-]*\d\w*)\]_?", ""),
        ("[", r"\s*\[[#\w]*\]_", ""),
        ("|", r"\|(\w+)\|", r"\1"),
        ("<", r"</?[a-zA-Z][^<>]*>", ""),
        ("`", r"``+(.*?)``+", r"\1"),
        ("`", r"`(?:[~!]|\.(?=[A-Z]))?([^`]*)`_{0,2}", r"\1"),
        ("*", r"\*\*(\S(?:[^*]*\S)?)\*\*", r"\1"),
        ("*", r"(?<![\w*])\*(\S(?:[^*]*\S)?)\*(?![\w*])", r"\1"),
        ("__", r"(?<!\w)__(\S(?:[^_]*\S)?)__(?=\s)", r"\1"),
        ("_", r"(?<=[a-z])_{1,2}(?=[\s.,;:)]|$)", ""),
        (" ", r"\s+", " "),
        (" ", r" ([.,;:)])(?=\s|$)", r"\1"),
        ("( ", r"\( ", "("),
    )
)
_FORMULA = re.compile(r"\\[a-zA-Z({\[|]|[_^]\{|\$[^$]+\$|\^|=[^=]*=[^=]*=[^=]|[∑∫∂√∏]")
_LINKED = re.compile(r"https?:/|www\.|arxiv[.:]|doi[.:]", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z(\"'])")
_HANGING = re.compile(
    r"(?:^|[\s(])(?:the|a|an|is|are|of|as|and|or|with|by|to|in|for|like|e\.g\.?|i\.e\.?|that|from|on|at|be|see|than|via|"
    r"follows|following|where|if|when|such as|include|includes|using|use|example|below|see also),?$|[,(=\[{/]$|\s-$",
    re.IGNORECASE,
)
_LEGAL = re.compile(r"copyright|\blicen[sc]ed? |warrant(?:y|ies)\b|all rights reserved", re.IGNORECASE)
_IDENTIFIER = re.compile(r"\S*[A-Za-z]\.[A-Za-z]\S*|\S*_\S*|\S*\d\S*|\S*[a-z][A-Z]\S*")
_LETTERS = re.compile(r"[^\W\d_]+")


def paragraphs(docstring: str) -> tuple[list[str], bool]:
    """Return the paragraphs that are prose, and whether the first of them is the docstring's first block."""
    texts = [clean(block) for block in blocks(docstring)]
    return [text for text in texts if text], bool(texts and texts[0])


def clean(block: str) -> str:
    """Return a block as plain text, or nothing if it is not prose."""
    if len(block.split()) < SHORTEST or "\\" in block or _LEGAL.search(block):
        return ""
    text = block
    for letter, pattern, replacement in _MARKUP:
        if letter in text:
            text = pattern.sub(replacement, text)
    text = text.strip(" *")
    if _FORMULA.search(text) or "`" in text or not _closed(text):
        return ""
    if _LINKED.search(text):
        text = " ".join(sentence for sentence in _SENTENCE.split(text) if not _LINKED.search(sentence))
    while text and (text.endswith(":") or _HANGING.search(text)):  # broken off before what was dropped
        text = " ".join(_SENTENCE.split(text)[:-1])
    words = text.split()
    if len(words) < SHORTEST or sum(map(_lettered, words)) < LETTERED * len(words):
        return ""
    return text


def fold(paragraph: str) -> int:
    """Return a number that is equal for paragraphs that differ only in identifiers, numbers, case and marks."""
    plain = " ".join(_LETTERS.findall(_IDENTIFIER.sub(" ", paragraph).lower()))
    return int.from_bytes(hashlib.blake2b(plain.encode(), digest_size=8).digest(), "little")


def _lettered(word: str) -> bool:
    return word.strip(".,;:!?()\"'[]").replace("-", "").replace("'", "").replace("’", "").isalpha()


def _closed(text: str) -> bool:
    return all(text.count(begin) == text.count(end) for begin, end in ("()", "[]", "{}"))
