from __future__ import annotations

import numpy as np
import pytest

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary, train
from foundation.keys import fold

TEXT = "The cat sat on the mat. A dog ran over the hill and far away. Birds fly, and fish swim in the deep sea. "


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary.of(train([TEXT * 20], 600))


def blocks(vocabulary: Vocabulary, rows: int, width: int, *, ragged: bool = False, seed: int = 0) -> Blocks:
    """Random blocks of sentences and documents, each document closed by </s>; a ragged row may be empty."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(vocabulary.draw, size=(rows, width))
    sentences = rng.random((rows, width)) < 0.1
    ends = rng.random((rows, width)) < 0.03
    documents = np.zeros_like(ends)
    documents[:, 1:] = ends[:, :-1]
    documents[:, 0] = rng.random(rows) < 0.5
    ends &= ~documents
    documents[:, 1:] &= ends[:, :-1]
    ids[ends] = vocabulary.eos
    sentences = (sentences | documents) & ~ends
    lengths = rng.integers(0, width + 1, size=rows) if ragged else np.full(rows, width)
    inside = np.arange(width) < lengths[:, None]
    ids[~inside] = vocabulary.pad
    return Blocks(ids, lengths, sentences & inside, documents & inside, fold(seed, "test", np.arange(rows)))


def row(whole: Blocks, index: int) -> Blocks:
    """One row of a batch, alone."""
    here = slice(index, index + 1)
    return Blocks(whole.ids[here], whole.lengths[here], whole.sentences[here], whole.documents[here], whole.keys[here])
