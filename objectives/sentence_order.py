"""ALBERT's sentence order with token masking inside it (Lan et al. 2020, §3.1; masking: Devlin et al. 2019, §3.1).

    text     One end. | Two begins, and ends. | Three is whole. | And four …
    swapped  <cls> One end. Three is whole. <sep> Two begins, and ends. And four … <sep>
    answer   order: 1 (swapped; 0 is the original order), and the hidden tokens at their places

A block is cut at a sentence boundary inside one of its documents, chosen uniformly among those with a whole
sentence of that document on both sides; the whole sentences before and after it are the two segments, swapped with
probability ½. What stands outside (the fragments at the block's edges, other documents) stays where it is, so the
same text is read as under every other objective, and a sentence that the block's edge cuts off cannot betray the
order. A row without such a boundary is asked no order, only its hidden tokens; a text is never paired with itself
or with a stranger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Int

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from foundation.keys import bits, fold
from objectives import noise as grammar
from objectives.batch import IGNORED, Batch
from objectives.masking import Masking
from objectives.objective import Ids, token, with_attention

Rows = Int[np.ndarray, " rows"]


@dataclass(frozen=True, kw_only=True)
class SentenceOrder(Masking):
    """Were two neighbouring pieces of text swapped? And hide single tokens, ask for each at its place."""

    weights: ClassVar[dict[str, float]] = {"tokens": 1.0, "order": 1.0}

    def positions(self, block: int) -> int:
        """Return block + 3: ``<cls> segment <sep> segment <sep>``."""
        return block + 3

    def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return ``<cls> … <sep> … <sep>``, segment ids, the order and the hidden tokens at their places."""
        width = blocks.ids.shape[1]
        found, left, cut, right = _segments(blocks, vocabulary)
        swapped = found & (bits(fold(blocks.keys, "order"), 1)[:, 0] >> np.uint64(63) == 1)
        origin = _swap(width, left, cut, right, swapped)
        ids = grammar.arrange(blocks.ids, origin)
        inside = grammar.within(blocks.lengths, width)
        asked, noise = self.hide(blocks.keys, ids, inside, vocabulary)
        middle = np.where(swapped, left + right - cut, cut)
        seam = (np.arange(width) == middle[:, None]) & found[:, None]
        sep, cls = token(vocabulary, "sep"), token(vocabulary, "cls")

        def framed(values: np.ndarray, first: int, between: int, pad: int) -> tuple[np.ndarray, np.ndarray]:
            rows, lengths = grammar.emit((seam, between), (inside, values))
            return grammar.frame(rows, lengths, [first], [between], pad)

        inputs, lengths = framed(asked, cls, sep, token(vocabulary, "pad"))
        second = (np.arange(width) >= middle[:, None]) & found[:, None]
        types, _ = grammar.emit((seam, 0), (inside, second.astype(np.int64)))
        types, _ = grammar.frame(types, lengths - 2, [0], [0], 0)
        types[np.arange(len(types)), lengths - 1] = found
        labels, _ = framed(np.where(noise, ids, IGNORED), IGNORED, IGNORED, IGNORED)
        order = np.where(found, swapped.astype(np.int64), IGNORED)
        return Batch(
            with_attention({"input_ids": inputs, "token_type_ids": types}, lengths),
            {"tokens": labels, "order": order},
            framed(origin, -1, -1, -1)[0],
        )

    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return the inputs with each answer in its place, in the order they came from, without the frame."""
        assert batch.origin is not None
        labels = batch.targets["tokens"]
        whole = np.where(labels == IGNORED, batch.inputs["input_ids"], labels)
        rows = []
        for tokens, origin in zip(whole, batch.origin, strict=True):
            shown = origin >= 0
            row = np.empty(int(shown.sum()), dtype=np.int64)
            row[origin[shown]] = tokens[shown]
            rows.append(row)
        return rows


def _segments(blocks: Blocks, vocabulary: Vocabulary) -> tuple[Bool[np.ndarray, " rows"], Rows, Rows, Rows]:
    """Return which rows have a boundary to cut at, and the places left ≤ cut ≤ right of the two segments.

    The segments are ``[left, cut)`` and ``[cut, right)``: the whole sentences around the cut that lie in the block
    and in one document.
    """
    ids, lengths, begins, documents = blocks.ids, blocks.lengths, blocks.sentences, blocks.documents
    rows, width = ids.shape
    place = np.arange(width)
    later = np.where(begins, place, width)
    following = np.full((rows, width), width, dtype=np.int64)  # the next sentence start after each place
    following[:, :-1] = np.minimum.accumulate(later[:, ::-1], axis=1)[:, ::-1][:, 1:]
    final = ids[np.arange(rows), np.maximum(lengths - 1, 0)]
    closed = ~vocabulary.ordinary[final] & (lengths > 0)  # the row's last document ends in the block
    whole = begins & ((following < width) | closed[:, None])
    candidates = whole & ~documents & (np.cumsum(begins, axis=1) >= 2)
    found = candidates.any(axis=1)
    chosen = grammar.choose(fold(blocks.keys, "cut"), candidates, found.astype(np.int64))
    cut = np.argmax(chosen, axis=1)
    upto = place <= cut[:, None]
    document = np.max(np.where(documents & upto, place, -1), axis=1)
    left = np.maximum(document, np.argmax(begins, axis=1))
    beyond = np.min(np.where(documents & ~upto, place, width), axis=1)
    last_start = width - 1 - np.argmax(begins[:, ::-1], axis=1)
    right = np.where(beyond < width, beyond - 1, np.where(closed, lengths - 1, last_start))
    nowhere = np.where(found, 0, 1)
    return found, left * (1 - nowhere), cut * (1 - nowhere), right * (1 - nowhere)


def _swap(
    width: int, left: Rows, cut: Rows, right: Rows, swapped: Bool[np.ndarray, " rows"]
) -> Int[np.ndarray, "rows width"]:
    """Return the place that each place shows after the segments of the swapped rows have changed sides."""
    place = np.arange(width)[None, :].repeat(len(left), axis=0)
    left, cut, right = left[:, None], cut[:, None], right[:, None]
    middle = left + right - cut
    moved = np.where(place < middle, place - left + cut, place - middle + left)
    return np.where(swapped[:, None] & (place >= left) & (place < right), moved, place)
