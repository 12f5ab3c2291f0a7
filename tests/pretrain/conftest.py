from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpora.requests import Build
from corpora.store import Corpus, build

WORDS = ["cat", "dog", "bird", "fish", "tree", "house", "river", "road", "sings", "runs", "sleeps", "falls", "green"]


def sentences(count: int, seed: int) -> str:
    """Small English-like documents: a word is often followed by the one that it always goes with."""
    rng = np.random.default_rng(seed)
    documents = []
    for _ in range(count):
        lines = []
        for _ in range(rng.integers(3, 8)):
            first = int(rng.integers(len(WORDS)))
            words = [WORDS[(first + i * 3) % len(WORDS)] for i in range(int(rng.integers(4, 9)))]
            lines.append(f"The {' '.join(words)}.")
        documents.append(" ".join(lines))
    return "\n\n".join(documents) + "\n"


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "text.txt").write_text(sentences(300, 0), encoding="utf-8")
    request = Build(sources=(str(folder / "text.txt"),), out=folder / "built", vocabulary=600, held_out=0.1)
    return build(request)


@pytest.fixture(scope="session")
def corpus(corpus_folder) -> Corpus:
    return Corpus.open(corpus_folder)
