"""The store: a corpus as token files that are mapped into memory, never loaded.

DIR/meta.json                      words, documents, tokens, sources, request, fingerprint
DIR/train.tokens                   uint16 or uint32, little-endian; each document followed by </s>
DIR/train.documents                int64: where document i begins, and at last where the tokens end
DIR/train.sentences                int64: where sentences begin; each document's first token is one
DIR/held-out.…                     the same of the documents set aside
DIR/tokenizer.json …               the vocabulary, as transformers opens it
DIR/manifest.json                  size and sha256 of every file
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt

from corpora.cache import alone, cache_folder
from corpora.requests import Build
from corpora.vocabulary import Vocabulary
from foundation.refusal import BadData, unknown

META = "meta.json"
FORMAT = 1
PARTS = ("train", "held-out")

__all__ = ["META", "PARTS", "Build", "Corpus", "Part", "build", "cache_folder", "embedded"]


@dataclass(frozen=True, eq=False)
class Part:
    """The tokens of one part of a corpus with the places where its documents and sentences begin."""

    name: str
    tokens: UInt[np.ndarray, " tokens"]
    documents: Int64[np.ndarray, " bounds"]
    sentences: Int64[np.ndarray, " sentences"]

    def __len__(self) -> int:
        return len(self.tokens)


class Corpus:
    """A finished corpus, opened for reading."""

    def __init__(self, folder: Path, meta: dict[str, Any], vocabulary: Vocabulary) -> None:
        self.folder, self.meta, self.vocabulary = folder, meta, vocabulary
        self.fingerprint: str = meta["fingerprint"]

    @classmethod
    def open(cls, folder: Path | str) -> Corpus:
        """Open the corpus in a folder; the sizes of its files are compared with what its builder wrote.

        Raises:
            BadData: if the folder is no corpus, is of another format, or a file of it has another size.
        """
        folder = Path(folder)
        meta = read_meta(folder)
        corpus = cls(folder, meta, Vocabulary.open(folder))
        for name in PARTS:
            part = corpus.part(name)
            told = meta["parts"][name]
            if len(part) != told["tokens"] or len(part.documents) != told["documents"] + 1:
                raise BadData(f"{folder}: the files of {name} do not have the size that {META} tells", "build it again")
        return corpus

    def part(self, name: str) -> Part:
        """Return the part "train" or "held-out"."""
        if name not in PARTS:
            raise unknown("part of a corpus", name, PARTS)
        return Part(
            name,
            _map(self.folder / f"{name}.tokens", self.meta["dtype"]),
            _map(self.folder / f"{name}.documents", "<i8"),
            _map(self.folder / f"{name}.sentences", "<i8"),
        )


def read_meta(folder: Path) -> dict[str, Any]:
    """Return what a corpus says of itself.

    Raises:
        BadData: if the folder is no corpus or of a format that this version does not read.
    """
    path = folder / META
    if not path.is_file():
        raise BadData(f"{folder} is no corpus: it has no {META}", f"make one: corpora build FILE.txt --out {folder}")
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        found = meta["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadData(f"{path} cannot be read: {error!r}", "build the corpus again") from error
    if found != FORMAT:
        raise BadData(f"{folder}: a corpus of format {found}; this version reads {FORMAT}", "build it again")
    return meta


def _map(path: Path, kind: str) -> np.ndarray:
    if not path.is_file():
        raise BadData(f"{path} is missing", "build the corpus again")
    if path.stat().st_size == 0:  # nothing can be mapped
        return np.empty(0, dtype=kind)
    return np.memmap(path, dtype=kind, mode="r")


def build(request: Build) -> Path:
    """Build the corpus that is asked for, or find it finished; return its folder."""
    from corpora import building

    return building.build(request)


def embedded(words: int | None = None, vocabulary: int = 8192, *, held_out: float = 0.01, seed: int = 0) -> Path:
    """Return the folder of the embedded corpus of this environment, built on the first call and kept in the cache.

    Another set of installed packages, or another request, has another folder.
    """
    from corpora import installed
    from foundation.keys import number

    size = "all" if words is None else str(words)
    mark = f"{number(seed, installed.fingerprint(), repr(held_out)):016x}"
    out = cache_folder() / "corpora" / f"installed-{size}-{vocabulary}-{mark}"
    asked = Build(
        sources=("installed",), out=out, vocabulary=vocabulary, words=words, held_out=held_out, seed=seed,
        overwrite=True,
    )  # fmt: skip
    with alone(out):
        return build(asked)
