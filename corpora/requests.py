"""What the verbs of `corpora` ask for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from corpora.documents import Reading

Packed = Literal["stream", "document", "best-fit"]


@dataclass(frozen=True, kw_only=True)
class Build(Reading):
    """Build a corpus: documents, a vocabulary, and tokens with their boundaries in a memory-mapped store."""

    sources: Positional[tuple[str, ...]]
    """Text, JSON lines and tables, also compressed; folders and patterns of these; `installed`; `-` is standard input;
    `hub:NAME[:CONFIG][:SPLIT][:COLUMN]`."""
    out: Path
    """The folder of the corpus; the same request again re-uses it, or continues it if it is unfinished."""
    weights: tuple[float, ...] = ()
    """One for each source: the proportions of words in which they are mixed. A source is repeated or cut to fit."""
    words: int | None = None
    """Stop after exactly so many words, counted between white space; the last document is cut."""
    documents: int | None = None
    """Stop after so many documents that are not empty."""
    keep_duplicates: bool = False
    """Keep documents that have stood before; by default the first of them is kept."""
    against: tuple[Path, ...] = ()
    """Evaluation files: documents that share 13 words in a row with them are reported."""
    drop_overlap: bool = False
    """Leave out the documents that --against finds."""
    kind: str = "bpe"
    """The kind of vocabulary to train: bpe (of bytes), wordpiece, unigram, characters or bytes."""
    vocabulary: int = 8192
    """Pieces of the vocabulary, 269 special tokens and 256 bytes included."""
    tokenizer: Path | None = None
    """Take the tokenizer of a corpus, a checkpoint, a model folder or a model of the hub instead of training one."""
    add_special: bool = False
    """Add to a tokenizer that is taken the special tokens that objectives need and it has not."""
    sentences: str = "sentencex"
    """What finds sentences: sentencex[:LANGUAGE], rule, or a function of your own, module:function."""
    held_out: float = 0.01
    """Share of the documents set aside for evaluation, chosen by a key of their content."""
    seed: int = 0
    """Key of the choice of held-out documents and of the vocabulary's sample."""
    shard_bytes: int = 1 << 26
    """Bytes of text after which the files of the corpus are cut, between documents."""
    shard: str = ""
    """i/n: make only part i of n, in this process or on this machine; `corpora join` then finishes the corpus."""
    processes: int | None = None
    """Processes that encode; by default as many as there are cores, fewer for a small corpus."""
    overwrite: bool = False
    """Replace a corpus, or an unfinished one, that another request has left."""

    @property
    def reading(self) -> Reading:
        """How text becomes documents."""
        return Reading(**{field.name: getattr(self, field.name) for field in fields(Reading)})


ELSEWHERE = ("out", "shard", "processes", "overwrite")
"""Fields of Build that change nothing in the corpus."""


@dataclass(frozen=True, kw_only=True)
class Join:
    """Finish a corpus whose shards several processes or machines have made."""

    corpus: Positional[Path]
    """The folder that was given to --out."""
    overwrite: bool = False
    """Replace a corpus that another request has left there."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Say what a corpus was made from, what was left out and why, and how long its texts are."""

    corpus: Positional[Path]
    """The folder of the corpus."""
    html: Path | None = None
    """Write the report as a page too."""


@dataclass(frozen=True, kw_only=True)
class Show:
    """Print what a corpus holds, and a few of its blocks with the boundaries visible."""

    corpus: Positional[Path]
    """The folder of the corpus."""
    blocks: int = 3
    """Blocks to print."""
    block: int = 128
    """Tokens of a block."""
    packing: Packed = "stream"
    """How documents stand in blocks: concatenated and cut, each in blocks of its own, or as whole as can be."""
    seed: int = 0
    """Key of the choice of blocks."""
