"""BERT's next sentence with token masking inside it (Devlin et al. 2019, §3.1, Tasks #1 and #2).

    text     … Two begins, and ends. | Three is whole. And four …
    next     <cls> … Two begins, and ends. <sep> Three is whole. And four … <sep>
    other    <cls> … Two begins, and ends. <sep> From elsewhere. Another text … <sep>
    answer   0 (B follows A) or 1 (B comes from another document), and the hidden tokens at their places

A block is cut at a uniformly chosen sentence inside one of its documents. With probability ½ what follows is replaced
by as many tokens of a block from elsewhere (``Blocks.others``, drawn by the row's key), from a sentence inside
another document on. Whether a row is asked, where it is cut and how long both segments are is decided before the
label is, so lengths cannot betray it; and no segment begins with a document, which would. A row without such a cut,
a stranger of the same document or too short a one is asked no order, only its hidden tokens: a text is never paired
with itself. Half of the rows leave the rest of their block unread (the original puts it back for a later row).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from foundation.keys import fold
from foundation.refusal import BadUsage
from objectives import noise as grammar
from objectives.batch import IGNORED, Batch
from objectives.masking import Masking
from objectives.noise import Grid, Mask, Rows
from objectives.objective import Ids, token, with_attention
from objectives.weaving import Side, weave


@dataclass(frozen=True, kw_only=True)
class NextSentence(Masking):
    """Does the second text follow the first? And hide tokens, ask for each at its place."""

    weights: ClassVar[dict[str, float]] = {"tokens": 1.0, "order": 1.0}
    strangers: ClassVar[bool] = True

    def positions(self, block: int) -> int:
        """Return block + 3: ``<cls> segment <sep> segment <sep>``."""
        return block + 3

    def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return ``<cls> A <sep> B <sep>``, segment ids, whether B follows and the hidden tokens at their places."""
        if blocks.others is None:
            raise BadUsage("NextSentence: the rows have no strangers", "give Blocks.others: a block from elsewhere")
        rows, width = blocks.ids.shape
        cut, start = _pair(blocks, blocks.others, vocabulary)
        found = cut > 0
        cut = np.where(found, cut, blocks.lengths)
        replaced = found & (fold(blocks.keys, "order") >> np.uint64(63) == 1)
        row = np.arange(rows) * width
        both = np.concatenate([blocks.ids, blocks.others.ids])
        begins, sizes = np.empty((2, rows, 5), dtype=np.int64)  # <cls>, A, <sep>, B, <sep>
        begins[:, 0] = begins[:, 1] = row
        begins[:, 2] = begins[:, 3] = row + cut
        begins[replaced, 3] = (row + start + rows * width)[replaced]
        begins[:, 4] = row + np.maximum(blocks.lengths - 1, 0)
        sizes[:, 0] = sizes[:, 4] = 1
        sizes[:, 1], sizes[:, 2], sizes[:, 3] = cut, found, blocks.lengths - cut
        side, starts = weave(both, begins, sizes, token(vocabulary, "pad"))
        flat = side.ids.ravel()
        flat[starts[:, 0]] = token(vocabulary, "cls")
        flat[starts[found, 2]] = flat[starts[:, 4]] = token(vocabulary, "sep")
        asked, labels = self.hide(blocks.keys, side.ids, side.lengths, vocabulary, blocks.progress)
        seam = np.where(found, starts[:, 3] - starts[:, 0], side.ids.shape[1])
        types = (side.inside & ~grammar.within(seam, side.ids.shape[1])).astype(np.int64)
        inputs = with_attention({"input_ids": asked, "token_type_ids": types}, side)
        if self.isolated:
            inputs["segment"] = _numbers(blocks, blocks.others, side, cut, start)
        order = np.where(found, replaced.astype(np.int64), IGNORED)

        def origin() -> Grid:
            shown = np.where(side.inside, side.places - row[:, None], -1)
            shown[shown >= width] -= (rows - 1) * width
            shown.ravel()[np.concatenate([starts[:, 0], starts[found, 2], starts[:, 4]])] = -1
            return shown

        return Batch(inputs, {"tokens": labels, "order": order}, origins=origin)

    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return what each row shows of its block and of its stranger, with each answer in its place.

        ``origin`` says where each token comes from: a place of the block, or block + a place of the stranger.
        """
        assert batch.origin is not None
        labels = batch.targets["tokens"]
        whole = np.where(labels == IGNORED, batch.inputs["input_ids"], labels)
        return [tokens[origin >= 0] for tokens, origin in zip(whole, batch.origin, strict=True)]


def _pair(blocks: Blocks, others: Blocks, vocabulary: Vocabulary) -> tuple[Rows, Rows]:
    """Return where each row is cut (0: nowhere), and where its stranger would begin."""
    inner = _inner(blocks, vocabulary)
    counts = np.minimum(inner.sum(axis=1), 1)
    cut = np.where(counts > 0, grammar.choose(fold(blocks.keys, "cut"), inner, counts).argmax(axis=1), 0)
    enough = others.lengths - (blocks.lengths - cut)
    fits = _inner(others, vocabulary) & (np.arange(others.ids.shape[1]) <= enough[:, None]) & (cut > 0)[:, None]
    if blocks.texts is not None and others.texts is not None:
        numbers = _absolute(others)
        fits &= numbers != _absolute(blocks)[np.arange(len(blocks)), np.maximum(cut - 1, 0)][:, None]
    fitting = np.minimum(fits.sum(axis=1), 1)
    start = grammar.choose(fold(blocks.keys, "stranger"), fits, fitting).argmax(axis=1)
    return cut * fitting, start * fitting


def _inner(blocks: Blocks, vocabulary: Vocabulary) -> Mask:
    """Return where sentences begin inside a document and inside the row."""
    inner = blocks.sentences & ~blocks.documents & vocabulary.is_ordinary(blocks.ids)
    inner[:, :1] = False
    return inner


def _absolute(blocks: Blocks) -> Grid:
    """Return the number of the document of each place in the whole part."""
    assert blocks.texts is not None
    if blocks.texts.ndim == 2:
        return blocks.texts
    within = np.cumsum(blocks.documents, axis=1) - blocks.documents[:, :1]
    return blocks.texts[:, None] + within


def _numbers(blocks: Blocks, others: Blocks, side: Side, cut: Rows, start: Rows) -> Grid:
    """Return the documents of positions, a stranger going on with the number of the document that it is paired with."""
    own, other = np.cumsum(blocks.documents, axis=1), np.cumsum(others.documents, axis=1)
    rows = np.arange(len(own))
    other += (own[rows, np.maximum(cut - 1, 0)] - other[rows, start])[:, None]
    found = np.concatenate([own, other]).ravel().take(side.places, mode="clip")
    return np.where(side.inside, found, -1)
