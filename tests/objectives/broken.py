"""Objectives that are broken on purpose, as somebody once broke one: ``test_broken`` shows that laws catch them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from corpora.blocks import Blocks
from objectives import IGNORED, Batch, Objective


def spoiled(objective: Objective, collate: Callable[..., Batch], **methods: Any) -> Any:
    """The objective with batches made by `collate(proper, blocks, vocabulary)`; `proper` is how it should be."""
    kind = type(objective)

    def wrong(self, blocks, vocabulary):
        return collate(lambda given=blocks: kind.collate(self, given, vocabulary), blocks, vocabulary)

    broken = type(f"Broken{kind.__name__}", (kind,), {"collate": wrong, **methods})
    return broken(**{field.name: getattr(objective, field.name) for field in fields(objective)})


def doing(objective: Objective, other: Objective) -> Any:
    """An objective that has some numbers and does what others say."""
    return spoiled(objective, lambda proper, blocks, vocabulary: other.collate(blocks, vocabulary))


def keyed(objective: Objective, keys: Callable[[Blocks], np.ndarray]) -> Any:
    """An objective whose noise does not follow the keys of its rows."""

    def collate(proper, blocks, vocabulary):
        whole = blocks.take(np.arange(len(blocks)))
        whole.keys = keys(blocks).astype(np.uint64)
        return proper(whole)

    return spoiled(objective, collate)


def of_few_keys(objective: Objective, number: int) -> Any:
    """Randomness folded to a few values, so that most of what can be is never drawn."""
    return keyed(objective, lambda blocks: blocks.keys % np.uint64(number))


def by_batch(objective: Objective) -> Any:
    """The noise of a row depends on how many rows stand beside it."""
    return keyed(objective, lambda blocks: blocks.keys + np.uint64(len(blocks.keys)))


def by_width(objective: Objective) -> Any:
    """The noise of a row depends on how long its longest neighbour is."""
    return keyed(objective, lambda blocks: blocks.keys + np.uint64(blocks.lengths.max(initial=0)))


def deaf(objective: Objective) -> Any:
    """The noise of every row is the same."""
    return keyed(objective, lambda blocks: np.zeros(len(blocks)))


def after(objective: Objective, change: Callable[[Batch, Blocks, Any], Batch | None], **methods: Any) -> Any:
    """An objective whose finished batches are changed (copies of them, unless `change` returns others)."""

    def collate(proper, blocks, vocabulary):
        batch = proper()
        origin, hidden = batch.origin, batch.hidden
        inputs = {name: array.copy() for name, array in batch.inputs.items()}
        targets = {role: array.copy() for role, array in batch.targets.items()}
        whole = replace(
            batch,
            inputs=inputs,
            targets=targets,
            origins=None if origin is None else lambda: origin,
            hides=None if hidden is None else lambda: hidden,
        )
        return change(whole, blocks, vocabulary) or whole

    return spoiled(objective, collate, **methods)


def before(objective: Objective, change: Callable[[Blocks, Any], None]) -> Any:
    """An objective that is given other rows than it is asked about."""

    def collate(proper, blocks, vocabulary):
        whole = blocks.take(np.arange(len(blocks)))
        change(whole, vocabulary)
        return proper(whole)

    return spoiled(objective, collate)


def forgets_the_last(batch, blocks, vocabulary):
    """The last token of every answer is another."""
    tokens = batch.targets["tokens"]
    for row in tokens:
        asked = np.flatnonzero(row != IGNORED)
        asked = asked[vocabulary.ordinary[row[asked]]]
        if len(asked):
            row[asked[-1]] = vocabulary.draw[0]


def closes_no_document(whole, vocabulary):
    """The end of a document is a word like any other."""
    whole.ids[whole.ids == vocabulary.eos] = vocabulary.draw[0]


def is_silent_on_short_rows(batch, blocks, vocabulary):
    batch.targets["tokens"][blocks.lengths < 7] = IGNORED


def asks_the_start(batch, blocks, vocabulary):
    """As many tokens as should be are hit, but always the first ones behind the frame."""
    ids, tokens = batch.inputs["input_ids"], batch.targets["tokens"]
    text = np.where(tokens == IGNORED, ids, tokens)
    number = (tokens != IGNORED).sum(axis=1)
    hit = np.arange(tokens.shape[1]) < number[:, None] + 1
    hit[:, 0] = False
    tokens[:] = np.where(hit, text, IGNORED)
    ids[:] = np.where(hit, vocabulary.mask, text)


def spares_the_end(batch, blocks, vocabulary):
    """The last token is never hit (a random number below n − 1 where n was meant)."""
    tokens, last = batch.targets["tokens"], batch.lengths - 2
    for row, place in zip(tokens, last, strict=True):
        if row[place] != IGNORED:
            free = np.flatnonzero(row[1:place] == IGNORED) + 1
            row[free[0]], row[place] = row[place], IGNORED


def draws_half_of_the_words(batch, blocks, vocabulary):
    ids, told = batch.inputs["input_ids"], batch.targets["tokens"] != IGNORED
    half = vocabulary.draw[: len(vocabulary.draw) // 2]
    ids[told] = half[ids[told] % len(half)]


def swaps_marks(batch, blocks, vocabulary):
    """The first two sentinels have changed their names, on both sides."""
    for array in (batch.inputs["input_ids"], batch.targets["tokens"]):
        first, second = (array == mark for mark in vocabulary.sentinels[:2])
        array[first], array[second] = vocabulary.sentinels[1], vocabulary.sentinels[0]


def answers_the_hidden_only(batch, blocks, vocabulary):
    batch.targets["tokens"][~batch.hidden] = IGNORED


def hides_nothing(batch, blocks, vocabulary):
    nothing = np.zeros_like(batch.targets["tokens"], dtype=bool)
    return replace(batch, hides=lambda: nothing)


def turns_the_order(batch, blocks, vocabulary):
    """0 is what 1 should be."""
    order = batch.targets["order"]
    order[order != IGNORED] = 1 - order[order != IGNORED]


def always_asks_an_order(batch, blocks, vocabulary):
    """A text without a place to cut is called swapped, as in the released ALBERT."""
    order = batch.targets["order"]
    order[order == IGNORED] = 1


def cuts_one_order_short(batch, blocks, vocabulary):
    """Swapped rows are asked only if their first segment is short."""
    order, seam = batch.targets["order"], batch.inputs["token_type_ids"].argmax(axis=1)
    order[(order == 1) & (seam > 40)] = IGNORED


def asks_the_frame(batch, blocks, vocabulary):
    batch.targets["tokens"][:, 0] = batch.inputs["input_ids"][:, 0]


def says_what_it_sees(batch, blocks, vocabulary):
    """The labels are shifted once too little."""
    tokens = batch.targets["tokens"]
    tokens[tokens != IGNORED] = batch.inputs["input_ids"][tokens != IGNORED]


def says_too_late(batch, blocks, vocabulary):
    """The labels stand where the hidden tokens stand, as masking for encoders has them."""
    tokens = batch.targets["tokens"]
    tokens[:, 1:], tokens[:, 0] = tokens[:, :-1].copy(), IGNORED


def sees_too_far(batch, blocks, vocabulary):
    batch.inputs["prefix"] += 2


def knows_no_documents(batch, blocks, vocabulary):
    for name in ("segment", "decoder_segment"):
        if name in batch.inputs:
            batch.inputs[name][batch.inputs[name] >= 0] = 0


def counts_documents_late(batch, blocks, vocabulary):
    """Each number stands one position too far on the right."""
    numbers = batch.inputs["segment"]
    real = numbers >= 0
    moved = np.where(real, np.concatenate([numbers[:, :1], numbers[:, :-1]], axis=1), -1)
    batch.inputs["segment"] = moved


def pads_with_ends(batch, blocks, vocabulary):
    ids = batch.inputs["input_ids"]
    ids[np.arange(ids.shape[1]) >= batch.lengths[:, None]] = vocabulary.eos
