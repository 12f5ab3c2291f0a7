"""Writing one shard of one part of a store: encoded documents in, three growing files out, and a digest of each."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from corpora.encoding import Encoded, token_kind
from corpora.store import KINDS, stem
from foundation.refusal import BadUsage

__all__ = ["Writer", "token_kind"]

_LIMIT = 1 << 32


class Writer:
    """Appends encoded documents to the files of a shard; a shard may stay empty."""

    def __init__(self, folder: Path, part: str, shard: int, dtype: np.dtype[Any] | str) -> None:
        self.name, self.dtype = stem(part, shard), np.dtype(dtype).newbyteorder("<")
        self.counts = {"documents": 0, "words": 0, "tokens": 0, "sentences": 0, "unknown": 0}
        self.files = {kind: (folder / f"{self.name}.{kind}").open("wb") for kind in KINDS}
        self.digests = {kind: hashlib.sha256() for kind in KINDS}

    def add(self, encoded: Encoded, words: int) -> None:
        """Append documents of so many words.

        Raises:
            BadUsage: if the shard would have more tokens than its offsets can count.
        """
        base = self.counts["tokens"]
        if base + len(encoded.ids) >= _LIMIT:
            raise BadUsage(f"shard {self.name} has {_LIMIT:,} tokens and more", "give smaller --shard-bytes")
        self._append("tokens", encoded.ids.astype(self.dtype, copy=False))
        self._append("documents", (base + encoded.documents).astype("<u4"))
        self._append("sentences", (base + encoded.sentences).astype("<u4"))
        for name in ("documents", "sentences"):
            self.counts[name] += len(getattr(encoded, name))
        self.counts["tokens"] += len(encoded.ids)
        self.counts["words"] += words
        self.counts["unknown"] += encoded.unknown

    def _append(self, kind: str, values: np.ndarray) -> None:
        data = np.ascontiguousarray(values).data
        self.files[kind].write(data)
        self.digests[kind].update(data)

    def close(self) -> dict[str, Any]:
        """Write where the last document ends, close the files and return the counts."""
        self._append("documents", np.array([self.counts["tokens"]], dtype="<u4"))
        for file in self.files.values():
            file.close()
        return dict(self.counts)

    @property
    def digest(self) -> str:
        """The sha256 of each file, one after the other."""
        return " ".join(f"{self.name}.{kind} {digest.hexdigest()}" for kind, digest in self.digests.items())
