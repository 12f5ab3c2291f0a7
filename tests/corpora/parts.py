"""Parts of a corpus whose tokens are their own places, so that what is read says where it stood."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corpora.part import Part, Starts


def numbered(lengths: Sequence[int], cuts: Sequence[int] = (), seed: int = 0) -> Part:
    """A part of documents so long; `cuts` are the documents that begin another shard."""
    bounds = np.concatenate([[0], np.cumsum(np.array(lengths, dtype=np.int64))])
    inside = np.flatnonzero(np.random.default_rng(seed).random(bounds[-1]) < 0.1)
    sentences = np.union1d(bounds[:-1], inside)
    return Part.of("train", np.arange(bounds[-1], dtype=np.uint32), bounds, sentences, cuts)


def every(starts: Starts) -> list[int]:
    return starts.at(np.arange(len(starts))).tolist()
