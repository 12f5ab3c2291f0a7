"""Arrangements: the order in which the tokens of a block are shown, before noise hides some of them.

    sentences   One end. | Two begins. | Three.        permute      Three. | One end. | Two begins.
    document    One end. Two begins. Three.            rotate       begins. Three. One end. Two
    tokens      One end. Two begins. Three.            shuffle      Two Three. end. begins. One

Everything happens inside one document of a block; a special token keeps its place, the end of a document too. An
arrangement is the place in the block that each place shows ``[rows, block]``.
"""

from __future__ import annotations

import math

import numpy as np

from corpora.blocks import Blocks
from foundation.keys import at, below, bits, fold
from objectives.noise import Flat, Grid, Mask, laid_out

_LOW = 20
"""Bits for the index of a run among those of a batch; what stands above orders the runs."""


def permute(blocks: Blocks, ordinary: Mask, share: float) -> Grid:
    """Return the places when ⌈share · n⌉ of the n sentences of each document change places among themselves."""
    opens = _opens(blocks, ordinary)
    starts = np.flatnonzero(blocks.sentences | opens)
    sizes = np.append(starts[1:], opens.size) - starts
    group = np.cumsum(opens.ravel()[starts])
    drawn = _drawn(blocks, "permutation", starts) >> np.uint64(44)
    movable = np.flatnonzero(ordinary.ravel()[starts])
    packed = (group[movable] << (_LOW + 20)) | (drawn[movable].astype(np.int64) << _LOW) | movable
    packed.sort()
    contents = packed & ((1 << _LOW) - 1)
    slots = movable
    if share < 1:
        group = packed >> (_LOW + 20)
        first = np.searchsorted(group, group)
        number = np.searchsorted(group, group, side="right") - first
        moves = np.arange(len(group)) - first < np.ceil(share * number - 1e-9)
        contents = contents[moves]
        slots = np.sort(contents)
    order = np.arange(len(starts))
    order[slots] = contents
    return laid_out(starts[order], sizes[order]).reshape(opens.shape)


def rotate(blocks: Blocks, ordinary: Mask, probability: float) -> Grid:
    """Return the places when each document, with a probability, begins with a uniformly drawn one of its tokens."""
    opens = _opens(blocks, ordinary)
    starts = np.flatnonzero(opens)
    sizes = np.append(starts[1:], opens.size) - starts
    turned = _drawn(blocks, "whether", starts) >> np.uint64(11) < np.uint64(math.ceil(probability * 2.0**53))
    by = below(sizes, _drawn(blocks, "rotation", starts)) * turned
    begins, parts = np.stack([starts + by, starts], axis=1), np.stack([sizes - by, by], axis=1)
    return laid_out(begins.ravel(), parts.ravel()).reshape(opens.shape)


def shuffle(blocks: Blocks, ordinary: Mask) -> Grid:
    """Return the places when all tokens of each document are put in a random order."""
    rows, width = ordinary.shape
    group = np.cumsum(_opens(blocks, ordinary), axis=1).astype(np.uint64)
    drawn = bits(fold(blocks.keys, "shuffle"), width) >> np.uint64(32)
    order = np.argsort((group << np.uint64(32)) | drawn, axis=1, kind="stable")
    return order + (np.arange(rows) * width)[:, None]


def _opens(blocks: Blocks, ordinary: Mask) -> Mask:
    """Return where a document or a special token begins, or a row; padding, if any, is special."""
    special = ~ordinary
    opens = blocks.documents | special
    opens.ravel()[1:] |= special.ravel()[:-1]
    opens[:, :1] = True
    return opens


def _drawn(blocks: Blocks, word: str, places: Flat) -> np.ndarray:
    """Return 64 random bits for each place of the batch, a function of its row's key and its column."""
    rows = places // blocks.ids.shape[1]
    return at(fold(blocks.keys, word)[rows], places - rows * blocks.ids.shape[1])
