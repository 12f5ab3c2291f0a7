"""What tests of the collator share: every objective that can be made without being told anything, and its rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from corpora.part import Part
from corpora.store import Corpus
from foundation.refusal import BadUsage
from objectives import IGNORED, OBJECTIVES, Batch, Objective
from objectives.collator import Collator
from objectives.examples import Examples
from objectives.feed import Feed

BLOCKS = (48, 448)


def _whole(kind: type[Objective]) -> bool:
    """Is nothing to be told to make one? (A mixture must be told its members.)"""
    try:
        kind()
    except (TypeError, BadUsage):
        return False
    return True


NAMES = [name for name, kind in OBJECTIVES.items() if _whole(kind)]


def block_of(objective: Objective, corpus: Corpus) -> int:
    """The smaller block, if the objective's spans fit into it."""
    try:
        objective.check(corpus.vocabulary, BLOCKS[0])
    except BadUsage:
        return BLOCKS[1]
    return BLOCKS[0]


def collator(objective: Objective, corpus: Corpus, packing: str = "stream", **fields: Any) -> Collator:
    block = block_of(objective, corpus)
    others = Examples(corpus.part("train"), block, seed=None, packing=packing) if objective.strangers else None
    return Collator(objective, corpus.vocabulary, block=block, others=others, **fields)


def items(part: Part, rows: int, block: int = BLOCKS[0]) -> list[Any]:
    """Some examples and, as the last of them, the short one at the end of the part."""
    examples = Examples(part, block, seed=3)
    found = examples.__getitems__(range(len(examples)))
    (short,) = [item for item in found if len(item["input_ids"]) < block]
    return [*[item for item in found if item is not short][: rows - 1], short]


def plain(features: list[Any]) -> list[dict[str, Any]]:
    return [{"input_ids": item["input_ids"].tolist()} for item in features]


def rows_of_a_run(objective: Objective, corpus: Corpus, positions: list[int], packing: str = "stream") -> Batch:
    feed = Feed(corpus.part("train"), corpus.vocabulary, objective, block_of(objective, corpus), 3, packing=packing)
    return feed.at(np.array(positions))


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def unshifted(arrays: dict[str, torch.Tensor], objective: Objective) -> dict[str, np.ndarray]:
    """What came out of the collator without the column that decoders' own shift of the labels costs."""
    found = {name: tensor.numpy() for name, tensor in arrays.items()}
    if objective.shape == "decoder":
        assert (found["labels"][:, 0] == IGNORED).all()
        found["labels"] = found["labels"][:, 1:]
        found["input_ids"] = found["input_ids"][:, :-1]
    return found


def trimmed(batch: dict[str, Any], row: int, objective: Objective, pad: int) -> dict[str, list[int]]:
    """A row up to the last thing that it is asked, or where it is read in both directions up to its padding."""
    labels, ids = batch["labels"][row], batch["input_ids"][row]
    asked = int(np.flatnonzero(labels.numpy() != IGNORED)[-1])
    reads = asked if objective.shape == "decoder" else int(np.flatnonzero(ids.numpy() != pad)[-1]) + 1
    found = {"labels": labels[: asked + 1].tolist(), "input_ids": ids[:reads].tolist()}
    mask = batch["attention_mask"][row]
    if mask.ndim == 1:
        found["attention_mask"] = mask[:reads].tolist()
    if "decoder_input_ids" in batch:
        found["decoder_input_ids"] = batch["decoder_input_ids"][row, : asked + 1].tolist()
    if "token_type_ids" in batch:
        found["token_type_ids"] = batch["token_type_ids"][row, :reads].tolist()
    return found
