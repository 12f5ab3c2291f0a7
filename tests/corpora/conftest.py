from __future__ import annotations

from pathlib import Path

import pytest

from corpora.requests import Build
from corpora.store import Corpus, build

SENTENCES = (
    "The river rose in the night.",
    "Nobody had seen it so high, e.g. at the mill.",
    "Did the bridge hold?",
    "Mr. Brown said that it did not!",
    "Café owners carried chairs upstairs… and waited.",
)


def prose(documents: int) -> list[str]:
    """Documents of one to four paragraphs, no two equal."""
    texts = []
    for number in range(documents):
        told = [" ".join([*SENTENCES[(number + p) % 5 :], f"It was day {number}."]) for p in range(1 + number % 4)]
        texts.append("\n".join(told))
    return texts


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("notes") / "notes.txt"
    path.write_text("\n\n".join(prose(60)) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def corpus(notes: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    out = tmp_path_factory.mktemp("corpora") / "little"
    return Corpus.open(build(Build(sources=(str(notes),), out=out, vocabulary=700, held_out=0.1)))
