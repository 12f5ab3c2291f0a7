"""Rows that laws are tried on, made with numpy's own randomness: no law trusts ours."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary, train

TEXT = "The cat sat on the mat. A dog ran over the hill and far away. Birds fly, and fish swim in the deep sea. "


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary.of(train([TEXT * 20], 600))


def keys(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, 1]).integers(0, 2**64, size=rows, dtype=np.uint64)


def blocks(
    vocabulary: Vocabulary, rows: int, width: int, *, ragged: bool = False, seed: int = 0, progress: float = 0.0
) -> Blocks:
    """Random blocks of sentences and documents beside others; a ragged row may be empty.

    Most documents are closed by </s>, a few by nothing, and a few tokens are <unk>; every tenth row has a stranger
    that may come from the same document.
    """
    own, other = _some(vocabulary, rows, width, ragged, seed), _some(vocabulary, rows, width, ragged, seed + 10_000)
    own.texts = np.arange(rows) * 1000
    other.texts = np.where(np.arange(rows) % 10 == 9, own.texts, own.texts + 10**9)
    own.others = other
    own.progress = np.full(rows, progress)
    return own


def _some(vocabulary: Vocabulary, rows: int, width: int, ragged: bool, seed: int) -> Blocks:
    rng = np.random.default_rng(seed)
    ids = rng.choice(vocabulary.draw, size=(rows, width))
    sentences = rng.random((rows, width)) < 0.1
    ends = rng.random((rows, width)) < 0.03
    documents = np.zeros_like(ends)
    documents[:, 1:] = ends[:, :-1]
    documents[:, 0] = rng.random(rows) < 0.5
    ends &= ~documents
    documents[:, 1:] &= ends[:, :-1]
    documents |= rng.random((rows, width)) < 0.005
    ids[rng.random((rows, width)) < 0.01] = vocabulary.unk
    ids[ends] = vocabulary.eos
    sentences = (sentences | documents) & ~ends
    lengths = rng.integers(0, width + 1, size=rows) if ragged else np.full(rows, width)
    inside = np.arange(width) < lengths[:, None]
    ids[~inside] = vocabulary.pad
    return Blocks(ids, lengths, sentences & inside, documents & inside, keys(rows, seed))


def made(vocabulary: Vocabulary, rows: list[str], seed: int = 0) -> Blocks:
    """Blocks as they are drawn: "w" is a word, "S" one that begins a sentence, "D" a document, "." is </s>, "?" <unk>.

    A document that begins with a special token is written "|" in front of it. Beside each row stands the next one.
    """
    texts = [row.replace("|", "") for row in rows]
    width = max(map(len, texts))
    rng = np.random.default_rng(seed)
    ids = np.full((len(rows), width), vocabulary.pad, dtype=np.int64)
    sentences, documents = np.zeros((2, len(rows), width), dtype=bool)
    for row, drawn in enumerate(rows):
        place = 0
        for sign in drawn:
            if sign == "|":
                documents[row, place] = sentences[row, place] = True
                continue
            special = {".": vocabulary.eos, "?": vocabulary.unk}
            ids[row, place] = special[sign] if sign in special else rng.choice(vocabulary.draw)
            documents[row, place] |= sign == "D"
            sentences[row, place] |= sign in "SD"
            place += 1
    whole = Blocks(ids, np.array(list(map(len, texts))), sentences, documents, keys(len(rows), seed))
    whole.texts = np.arange(len(rows)) * 1000
    whole.others = whole.take(np.roll(np.arange(len(rows)), -1))
    return whole


EDGES = [
    "",
    "w",
    "D",
    ".",
    "?",
    "....",
    "?.?.",
    "ww",
    "w.",
    ".w",
    "|.Dw",
    "DwwSwww..DwSww",
    "wwwww??wwwwwww",
    "DwwwDwwwwDw",
    "DwwSwwwDwwSwww.Dww.Dw.D.D",
    "SwSwSwSwSwSwSw",
    ".D.D.D.D.",
    "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww",
]
"""Rows of nothing, of one token, of specials only, specials side by side, documents that nothing closes."""


def edges(vocabulary: Vocabulary) -> Blocks:
    return made(vocabulary, EDGES)


def plain(vocabulary: Vocabulary, rows: int, width: int, seed: int = 0, *, same: bool = False) -> Blocks:
    """Blocks of ordinary tokens only, one sentence each; with `same` every row is draw[0], draw[1], draw[2] …"""
    rng = np.random.default_rng(seed)
    ids = rng.choice(vocabulary.draw, size=(rows, width))
    if same:
        ids[:] = vocabulary.draw[:width]
    none = np.zeros((rows, width), dtype=bool)
    return Blocks(ids, np.full(rows, width), none, none, keys(rows, seed))


def with_starts(whole: Blocks, sentences: list[int], documents: list[int] | None = None) -> Blocks:
    """The same rows with sentences and documents that begin at these columns."""
    starts, opens = np.zeros((2, *whole.ids.shape), dtype=bool)
    opens[:, documents or []] = True
    starts[:, sentences] = True
    return Blocks(whole.ids, whole.lengths, starts | opens, opens, whole.keys, texts=whole.texts, others=whole.others)
