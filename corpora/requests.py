"""What the verbs of `corpora` ask for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

Packed = Literal["stream", "document", "best-fit"]


@dataclass(frozen=True, kw_only=True)
class Build:
    """Build a corpus: documents, a vocabulary, and tokens with their boundaries in a memory-mapped store."""

    sources: Positional[tuple[str, ...]]
    """Text files, gzip, JSON lines with a "text" key, folders of these, or `installed`."""
    out: Path
    """The folder of the corpus; the same request again re-uses it."""
    vocabulary: int = 8192
    """Pieces of the byte-level BPE vocabulary, 269 special tokens and 256 bytes included."""
    tokenizer: Path | None = None
    """Take the byte-level tokenizer of a corpus, a checkpoint or a model folder instead of training a vocabulary."""
    words: int | None = None
    """Stop after exactly so many words, counted between white space; the last document is cut."""
    documents: int | None = None
    """Stop after so many documents that are not empty."""
    held_out: float = 0.01
    """Share of the documents set aside for evaluation, chosen by a key of their content."""
    seed: int = 0
    """Key of the choice of held-out documents and of the vocabulary's sample."""
    separator: str = ""
    """A line that stands between the documents of a text file; by default a blank line."""
    overwrite: bool = False
    """Replace a corpus that another request has left in the folder."""


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
