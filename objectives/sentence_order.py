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
from foundation.keys import below, fold
from objectives.batch import IGNORED, Batch
from objectives.masking import Masking
from objectives.noise import Grid, within
from objectives.objective import Ids, numbers, numbers_of, token, with_attention
from objectives.weaving import weave

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
        found, left, cut, right = _segments(blocks, vocabulary)
        swapped = found & (fold(blocks.keys, "order") >> np.uint64(63) == 1)
        row = np.arange(len(blocks)) * blocks.ids.shape[1]
        first, second = (left, cut), (cut, right)
        runs = [  # <cls>, what stands before, two segments with <sep> between them, what stands behind, <sep>
            (row, 1),
            (row, left),
            tuple(np.where(swapped, b, a) for a, b in zip(first, second, strict=True)),
            (row + cut, found),
            tuple(np.where(swapped, a, b) for a, b in zip(first, second, strict=True)),
            (row + right, blocks.lengths - right),
            (row + np.maximum(blocks.lengths - 1, 0), 1),
        ]
        begins, sizes = np.empty((2, len(row), len(runs)), dtype=np.int64)
        for slot, (begin, size) in enumerate(runs):
            begins[:, slot], sizes[:, slot] = begin, size
        for slot in (2, 4):
            sizes[:, slot] -= begins[:, slot]
            begins[:, slot] += row
        side, starts = weave(blocks.ids, begins, sizes, token(vocabulary, "pad"))
        flat = side.ids.ravel()
        flat[starts[:, 0]] = token(vocabulary, "cls")
        flat[starts[found, 3]] = flat[starts[:, 6]] = token(vocabulary, "sep")
        asked, labels = self.hide(blocks.keys, side.ids, side.lengths, vocabulary, blocks.progress)
        seam = np.where(found, starts[:, 4] - starts[:, 0], side.ids.shape[1])
        types = (side.inside & ~within(seam, side.ids.shape[1])).astype(np.int64)
        inputs = with_attention({"input_ids": asked, "token_type_ids": types}, side)
        if self.isolated:
            inputs["segment"] = numbers_of(side, numbers(blocks))
        order = np.where(found, swapped.astype(np.int64), IGNORED)

        def origin() -> Grid:
            shown = np.where(side.inside, side.places - row[:, None], -1)
            shown.ravel()[np.concatenate([starts[:, 0], starts[found, 3], starts[:, 6]])] = -1
            return shown

        return Batch(inputs, {"tokens": labels, "order": order}, origins=origin)

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
    and in one document. Sentences are few, so everything happens on the list of them.
    """
    rows, width = blocks.ids.shape
    row_end = np.arange(1, rows + 1) * width
    begins = np.flatnonzero(blocks.sentences | blocks.documents)
    begins = begins[vocabulary.is_ordinary(blocks.ids.ravel()[begins])]
    owner = begins // width
    stands = blocks.documents.ravel()[begins]  # a sentence that begins a document, or the rest of one
    rest = ~blocks.sentences.ravel()[begins]  # begins in the middle of a sentence, so it is no whole one
    final = blocks.ids[np.arange(rows), np.maximum(blocks.lengths - 1, 0)]
    closed = ~vocabulary.is_ordinary(final) & (blocks.lengths > 0)  # the row's last document ends in the block
    follows = np.zeros(len(begins), dtype=bool)  # another sentence of the row comes behind
    follows[:-1] = owner[1:] == owner[:-1]
    preceded = np.zeros(len(begins), dtype=bool)
    preceded[1:] = follows[:-1] & ~rest[:-1]
    candidates = np.flatnonzero((follows | closed[owner]) & ~stands & preceded)
    number = np.bincount(owner[candidates], minlength=rows)
    found = number > 0
    first = np.cumsum(number) - number
    drawn = below(np.maximum(number, 1), fold(blocks.keys, "cut"))
    chosen = candidates[np.minimum(first + drawn, max(len(candidates) - 1, 0))[found]]
    edge = stands | ~preceded  # the first sentence of a document or of the row
    place = np.arange(len(begins))
    opening = np.maximum.accumulate(np.where(edge, place, 0))[chosen]
    over = np.minimum.accumulate(np.where(edge, place, len(begins))[::-1])[::-1]  # the first such sentence from here
    behind = np.append(over, len(begins))[chosen + 1]
    last = np.append(begins, rows * width)[behind]
    mine = owner[chosen]
    inner = last < row_end[mine]  # a document begins behind, in this row: the token before it may be its </s>
    mark = ~vocabulary.is_ordinary(blocks.ids.ravel()[last - 1])
    final_start = begins[behind - 1]  # the row's last sentence, whole only if its document ends in the block
    right = np.where(inner, last - mark, np.where(closed[mine], mine * width + blocks.lengths[mine] - 1, final_start))
    places = np.zeros((3, rows), dtype=np.int64)
    places[:, mine] = np.stack([begins[opening], begins[chosen], right]) - mine * width
    return found, places[0], places[1], places[2]
