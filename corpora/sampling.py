"""A sample of the documents in bounded memory: those with the smallest draws, whatever order they come in."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt64

from corpora.catalogue import draws

_OBJECT = 128  # bytes that a text takes beside its own


class Sample:
    """Texts, no two equal, of about `limit` bytes at most; three quarters of it if there is more text."""

    def __init__(self, seed: int, limit: int) -> None:
        self.seed, self.limit = seed, limit
        self.held: dict[float, bytes] = {}
        self.size, self.share = 0, 1.0

    def add(self, digests: UInt64[np.ndarray, "documents 2"], texts: Iterable[bytes]) -> None:
        """Take those of the texts whose draws are small enough."""
        for drawn, text in zip(draws(self.seed, "vocabulary", digests).tolist(), texts, strict=True):
            if drawn < self.share and drawn not in self.held:
                self.held[drawn] = text
                self.size += len(text) + _OBJECT
                if self.size > self.limit and len(self.held) > 1:
                    self._shrink()

    def _shrink(self) -> None:
        """Keep the smallest draws up to three quarters of the limit, one at least."""
        ordered = sorted(self.held)
        sizes = np.cumsum([len(self.held[drawn]) + _OBJECT for drawn in ordered])
        count = max(1, int(np.searchsorted(sizes, self.limit * 3 // 4, side="right")))
        self.held = {drawn: self.held[drawn] for drawn in ordered[:count]}
        self.size, self.share = int(sizes[count - 1]), ordered[count] if count < len(ordered) else self.share

    def texts(self) -> list[bytes]:
        """Return the texts in the order of their draws."""
        if self.share < 1.0:  # the same whatever the order: what came after the last cut goes as well
            self._shrink()
        return [self.held[drawn] for drawn in sorted(self.held)]
