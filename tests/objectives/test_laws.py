"""Laws that every objective obeys, and for each law an objective that breaks it and is caught."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from objectives import IGNORED, OBJECTIVES, Batch
from objectives.span_corruption import SpanCorruption
from objectives.text_infilling import TextInfilling
from objectives.token_masking import TokenMasking

from .conftest import blocks, row

SHAPES = [(8, 128, False), (40, 33, True), (60, 4, True), (5, 1, True)]
ALL = [pytest.param(OBJECTIVES[name](), id=name) for name in ("token-masking", "sentence-order", "span-corruption", "text-infilling", "next-token")]
NOISY = [one for one in ALL if one.id != "next-token"]  # which hides nothing and asks everything


def trimmed(batch: Batch, index: int) -> dict[str, list[int]]:
    found = {"input_ids": batch.inputs["input_ids"][index, : batch.lengths[index]].tolist()}
    labels = batch.targets["tokens"][index]
    asked = np.flatnonzero(labels != IGNORED)
    found["answers"] = labels[asked].tolist()
    if "decoder_input_ids" in batch.inputs:
        found["given"] = batch.inputs["decoder_input_ids"][index, : len(asked)].tolist()
    else:
        found["where"] = asked.tolist()
    if "token_type_ids" in batch.inputs:
        found["types"] = batch.inputs["token_type_ids"][index, : batch.lengths[index]].tolist()
    if "order" in batch.targets:
        found["order"] = [int(batch.targets["order"][index])]
    return found


def is_pure(objective, vocabulary) -> bool:
    for rows, width, ragged in SHAPES:
        whole = blocks(vocabulary, rows, width, ragged=ragged, seed=width)
        batch = objective.collate(whole, vocabulary)
        alone = [trimmed(objective.collate(row(whole, i), vocabulary), 0) for i in range(rows)]
        if alone != [trimmed(batch, i) for i in range(rows)]:
            return False
    return True


def restores(objective, vocabulary) -> bool:
    for rows, width, ragged in SHAPES:
        whole = blocks(vocabulary, rows, width, ragged=ragged, seed=width + 1)
        back = objective.restore(objective.collate(whole, vocabulary), vocabulary)
        if [r.tolist() for r in back] != [whole.ids[i, : whole.lengths[i]].tolist() for i in range(rows)]:
            return False
    return True


def is_innocent(objective, vocabulary) -> bool:
    """Special tokens of the text stay: none is hidden, and none is drawn as a word."""
    whole = blocks(vocabulary, 200, 64, seed=5)
    asked = objective.collate(whole, vocabulary).inputs["input_ids"]
    kept = [np.count_nonzero(one[one == vocabulary.eos]) for one in (asked, whole.ids)]
    framed = [objective.frame.before, objective.frame.after].count("eos") * len(asked)
    known = {vocabulary.pad, vocabulary.bos, vocabulary.eos, vocabulary.mask, vocabulary.sep, vocabulary.cls}
    special = set(asked[~vocabulary.ordinary[asked]].tolist()) - known - set(vocabulary.sentinels.tolist())
    return kept[0] == kept[1] + framed and not special


@pytest.mark.parametrize("objective", ALL)
def test_a_row_of_a_batch_is_the_row_alone(objective, vocabulary):
    assert is_pure(objective, vocabulary)


@pytest.mark.parametrize("objective", ALL)
def test_a_corruption_loses_nothing(objective, vocabulary):
    assert restores(objective, vocabulary)


@pytest.mark.parametrize("objective", NOISY)
def test_special_tokens_are_never_hidden_nor_drawn(objective, vocabulary):
    assert is_innocent(objective, vocabulary)


def asks_everyone(objective, vocabulary) -> bool:
    """Every row with an ordinary token has a target, so that no batch of text has a loss over nothing."""
    whole = blocks(vocabulary, 60, 20, ragged=True, seed=9)
    targets = objective.collate(whole, vocabulary).targets["tokens"]
    ordinary = (vocabulary.ordinary[whole.ids] & (np.arange(20) < whole.lengths[:, None])).any(axis=1)
    return bool(((targets != IGNORED).any(axis=1) | ~ordinary).all())


def leaves_its_input_alone(objective, vocabulary) -> bool:
    whole = blocks(vocabulary, 60, 20, ragged=True, seed=9)
    arrays = [whole.ids, whole.lengths, whole.sentences, whole.documents, whole.keys]
    copies = [array.copy() for array in arrays]
    objective.collate(whole, vocabulary)
    return all((array == copy).all() for array, copy in zip(arrays, copies, strict=True))


def follows_its_key(objective, vocabulary) -> bool:
    one, other = blocks(vocabulary, 8, 64, seed=1), blocks(vocabulary, 8, 64, seed=1)
    other.keys = other.keys + np.uint64(1)
    return trimmed(objective.collate(one, vocabulary), 0) != trimmed(objective.collate(other, vocabulary), 0)


def fits_its_positions(objective, vocabulary) -> bool:
    inputs = objective.collate(blocks(vocabulary, 200, 64, seed=3), vocabulary).inputs
    return max(array.shape[1] for array in inputs.values()) <= objective.reach(64)


@pytest.mark.parametrize("objective", ALL)
def test_every_row_with_text_has_a_target(objective, vocabulary):
    assert asks_everyone(objective, vocabulary)


@pytest.mark.parametrize("objective", ALL)
def test_blocks_are_not_written_to(objective, vocabulary):
    assert leaves_its_input_alone(objective, vocabulary)


@pytest.mark.parametrize("objective", NOISY)
def test_other_keys_give_other_noise(objective, vocabulary):
    assert follows_its_key(objective, vocabulary)


@pytest.mark.parametrize("objective", ALL)
def test_the_span_fills_the_length_and_positions_bound_the_inputs(objective, vocabulary):
    for length in range(8, 200, 7):
        block = objective.span(length)
        assert objective.positions(block) <= length < objective.positions(block + 1)
    assert fits_its_positions(objective, vocabulary)


DIGESTS = {
    "token-masking": "65ce67bb8d161483",
    "sentence-order": "9df624b4d0637480",
    "span-corruption": "b8ac8ef910439253",
    "text-infilling": "43eeb4d9249c152a",
    "next-token": "c3c6593b3528b1ee",
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_first_batch_is_the_same_on_every_machine(name, vocabulary):
    ids = (np.arange(8 * 64).reshape(8, 64) * 7919) % len(vocabulary.draw) + vocabulary.draw[0]
    ids[:, 30] = vocabulary.eos
    whole = blocks(vocabulary, 8, 64)
    starts = np.zeros((8, 64), dtype=bool)
    starts[:, [0, 9, 20, 31, 40, 52]] = True
    documents = np.zeros_like(starts)
    documents[:, 31] = True
    fixed = type(whole)(ids, np.full(8, 64), starts, documents, whole.keys)
    batch = OBJECTIVES[name]().collate(fixed, vocabulary)
    digest = hashlib.sha256()
    for arrays in (batch.inputs, batch.targets):
        for key in sorted(arrays):
            digest.update(key.encode() + np.ascontiguousarray(arrays[key]).astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == DIGESTS[name]


class Impure(TokenMasking):
    """Broken: the noise of a row depends on the batch it stands in."""

    def collate(self, blocks, vocabulary):
        blocks.keys = blocks.keys + np.uint64(len(blocks.keys))
        return super().collate(blocks, vocabulary)


class Lossy(SpanCorruption):
    """Broken: the last token of every answer is lost."""

    def collate(self, blocks, vocabulary):
        batch = super().collate(blocks, vocabulary)
        labels = batch.targets["tokens"]
        last = (labels != IGNORED).sum(axis=1) - 2
        labels[np.arange(len(labels)), last] = vocabulary.draw[0]
        return batch


class Guilty(TextInfilling):
    """Broken: the end of a document is a word like any other."""

    def collate(self, blocks, vocabulary):
        ids = np.where(blocks.ids == vocabulary.eos, vocabulary.draw[0], blocks.ids)
        return super().collate(
            type(blocks)(ids, blocks.lengths, blocks.sentences, blocks.documents, blocks.keys), vocabulary
        )


class Silent(TokenMasking):
    """Broken: short rows are asked nothing."""

    def collate(self, blocks, vocabulary):
        batch = super().collate(blocks, vocabulary)
        batch.targets["tokens"][blocks.lengths < 7] = IGNORED
        return batch


class Scribbling(TokenMasking):
    """Broken: the masks are written into the block itself."""

    def collate(self, blocks, vocabulary):
        blocks.ids[:, 0] = vocabulary.mask
        return super().collate(blocks, vocabulary)


class Deaf(TokenMasking):
    """Broken: the noise of every row is the same."""

    def collate(self, blocks, vocabulary):
        keys = np.zeros_like(blocks.keys)
        same = type(blocks)(blocks.ids, blocks.lengths, blocks.sentences, blocks.documents, keys)
        return super().collate(same, vocabulary)


class Sprawling(SpanCorruption):
    """Broken: it promises the length of a block without ends of documents, where no span is cut in two."""

    def reach(self, block):
        return self.positions(block)


def test_the_laws_catch_broken_objectives(vocabulary):
    assert not asks_everyone(Silent(), vocabulary)
    assert not leaves_its_input_alone(Scribbling(), vocabulary)
    assert not follows_its_key(Deaf(), vocabulary)
    assert not fits_its_positions(Sprawling(), vocabulary)
    assert not is_pure(Impure(), vocabulary)
    assert not restores(Lossy(), vocabulary)
    assert not is_innocent(Guilty(), vocabulary)
