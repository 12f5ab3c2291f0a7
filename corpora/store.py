"""The store: a corpus as token files that are mapped into memory, never loaded.

DIR/meta.json                      words, documents, tokens, sources, request, fingerprint, the counts of each shard
DIR/train-00000.tokens             uint16 or uint32, little-endian; each document followed by its end token
DIR/train-00000.documents          uint32: where documents begin in the shard, and at last where its tokens end
DIR/train-00000.sentences          uint32: where sentences begin in the shard; each document's first token is one
DIR/train-00001.…                  the next shard
DIR/held-out-00000.…               the same of the documents set aside; a shard may be empty in one part
DIR/tokenizer.json …               the vocabulary, as transformers opens it
DIR/manifest.json                  size and sha256 of every file
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from corpora.cache import alone, cache_folder
from corpora.part import Files, Part
from corpora.requests import Build
from corpora.vocabulary import Vocabulary
from foundation.refusal import BadData, unknown

META = "meta.json"
FORMAT = 2
PARTS = ("train", "held-out")
KINDS = ("tokens", "documents", "sentences")

__all__ = ["META", "PARTS", "Build", "Corpus", "Part", "build", "cache_folder", "embedded"]


def stem(part: str, shard: int) -> str:
    """Return what the names of the files of a shard begin with."""
    return f"{part}-{shard:05}"


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
            corpus._check(name)
        return corpus

    def part(self, name: str) -> Part:
        """Return the part "train" or "held-out"."""
        if name not in PARTS:
            raise unknown("part of a corpus", name, PARTS)
        told = self.meta["parts"][name]["shards"]
        shards = [Files(self.folder / stem(name, number), self.meta["dtype"]) for number in range(len(told))]
        sizes = [(shard["tokens"], shard["documents"], shard["sentences"]) for shard in told]
        return Part(name, shards, sizes, f"{self.fingerprint[:32]}-{name}")

    def _check(self, part: str) -> None:
        token = np.dtype(self.meta["dtype"]).itemsize
        for number, told in enumerate(self.meta["parts"][part]["shards"]):
            sizes = (token * told["tokens"], 4 * told["documents"] + 4, 4 * told["sentences"])
            for kind, size in zip(KINDS, sizes, strict=True):
                path = self.folder / f"{stem(part, number)}.{kind}"
                if not path.is_file():
                    raise BadData(f"{path} is missing", "build the corpus again")
                if (found := path.stat().st_size) != size:
                    raise BadData(f"{path} has {found:,} bytes, {META} tells {size:,}", "build the corpus again")


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
