"""Attention as data is honoured by every family: documents of a row are strangers, prefixes are read both ways."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from objectives import OBJECTIVES
from objectives.attention import visible
from pretrain import models
from pretrain.attention import prepared
from pretrain.families import FAMILIES, configure
from pretrain.learner import Learner
from pretrain.questions import question

LEARNED = {
    "bert": "token-masking",
    "modernbert": "token-masking",
    "gpt2": "next-token",
    "llama": "next-token",
    "t5": "span-corruption",
    "t5-v1.1": "span-corruption",
    "bart": "text-infilling",
    "mbart": "text-infilling",
}
WRITERS = ["t5", "t5-v1.1", "bart", "mbart"]
DECODERS = ["gpt2", "llama"]
KINDS = ["sdpa", "eager"]
SAME = 5e-7
"""Largest difference of equal logits in float64: the eager attention of ModernBERT and Llama takes its softmax in
float32."""


@pytest.fixture(scope="module")
def learners(corpus) -> Any:
    """(family, implementation of attention) → a tiny learner in float64; every call gives the same weights."""
    made: dict[tuple[str, str], Learner] = {}

    def learner(family: str, kind: str = "sdpa") -> Learner:
        if (family, kind) not in made:
            config = configure(family, "tiny", OBJECTIVES[LEARNED[family]](), 64, corpus.vocabulary, 0.0)
            config._attn_implementation = kind
            made[family, kind] = Learner(models.fresh(config, 0).double(), FAMILIES[family])
        return made[family, kind]

    return learner


def said(learner: Learner, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The logits of every position ``[rows, positions, vocabulary]``."""
    places = inputs.get("decoder_input_ids", inputs["input_ids"])
    with torch.no_grad():
        everywhere = {"tokens": question(np.zeros(places.shape, dtype=np.int64))[0]}
        return learner.logits(inputs, everywhere)["tokens"].reshape(*places.shape, -1)


def side(documents: list[list[int]], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random ids, and the document of each position, of rows that hold documents of these lengths."""
    width = max(map(sum, documents))
    segment = torch.full((len(documents), width), -1)
    for row, lengths in enumerate(documents):
        segment[row, : sum(lengths)] = torch.repeat_interleave(torch.tensor(lengths))
    ids = torch.randint(300, 500, segment.shape, generator=torch.Generator().manual_seed(seed))
    return ids * (segment >= 0), segment


def packed(family: str, documents: list[list[int]], written: list[list[int]]) -> dict[str, torch.Tensor]:
    """A batch of such rows; `written` is what the decoder of an encoder-decoder holds of the same documents."""
    ids, segment = side(documents, 1)
    inputs = {"input_ids": ids, "segment": segment}
    if (segment < 0).any():
        inputs["attention_mask"] = (segment >= 0).long()
    if FAMILIES[family].shape == "encoder-decoder":
        inputs["decoder_input_ids"], inputs["decoder_segment"] = side(written, 2)
    return inputs


def real(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The document of each position that the model answers at."""
    return inputs.get("decoder_segment", inputs["segment"])


def without(inputs: dict[str, torch.Tensor], *names: str) -> dict[str, torch.Tensor]:
    return {name: value for name, value in inputs.items() if name not in names}


def changed(inputs: dict[str, torch.Tensor], document: int, ids: str) -> dict[str, torch.Tensor]:
    """The inputs with other tokens in one document of each row."""
    hit = inputs[ids.replace("input_ids", "segment")] == document
    return {**inputs, ids: torch.where(hit, inputs[ids] + 37, inputs[ids])}


def off(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


TWO = [[5, 6], [8, 3]], [[4, 5], [3, 6]]
RAGGED = [[3, 2], [9, 8]], [[6, 5], [2, 1]]  # where the encoder's row is short the decoder's is long


@pytest.mark.parametrize("document", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", LEARNED)
def test_a_document_says_nothing_to_another(learners, family, kind, document):
    learner, inputs = learners(family, kind), packed(family, *TWO)
    for ids in [name for name in inputs if name.endswith("input_ids")]:
        hit = real(inputs) == document
        apart = said(learner, inputs) - said(learner, changed(inputs, document, ids))
        assert apart[~hit].abs().max() < SAME
        assert apart[hit].abs().max() > 1e-3
        bare = [without(x, "segment", "decoder_segment") for x in (inputs, changed(inputs, document, ids))]
        apart = said(learner, bare[0]) - said(learner, bare[1])
        behind = document == 1 and (FAMILIES[family].shape == "decoder" or ids == "decoder_input_ids")
        assert (apart[~hit].abs().max() > 1e-5) != behind  # what stands behind is hidden from a decoder anyway


@pytest.mark.parametrize("part", ["attention_mask", "decoder_attention_mask", "cross_attention_mask"])
@pytest.mark.parametrize("family", WRITERS)
def test_all_three_parts_of_an_encoder_decoder_are_needed(learners, family, part):
    model, inputs = learners(family).model, packed(family, *TWO)
    ids = "decoder_input_ids" if part.startswith("decoder") else "input_ids"

    def states(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        together = {**inputs, **{name: inputs[name] * 0 for name in ("segment", "decoder_segment")}}
        masks = [prepared(model, "encoder-decoder", x) for x in (inputs, together)]
        with torch.no_grad():
            return FAMILIES[family].hidden(model, {**masks[0], part: masks[1][part]})["tokens"]

    apart = states(inputs) - states(changed(inputs, 0, ids))
    assert apart[real(inputs) == 1].abs().max() > 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", LEARNED)
def test_a_row_of_one_document_is_read_as_without_any_mask(learners, family, kind):
    # Longer than the window of ModernBERT, which must stay; in the last rows one of the two sides is padded.
    inputs = packed(family, [[40], [40], [25]], [[30], [11], [30]])
    masked = said(learners(family, kind), inputs)
    plain = said(learners(family), without(inputs, "segment", "decoder_segment"))
    assert off(masked[real(inputs) >= 0], plain[real(inputs) >= 0]) < SAME


def test_the_window_of_modernbert_stays(learners):
    inputs = packed("modernbert", [[40]], [])
    far = {**inputs, "input_ids": inputs["input_ids"].clone()}
    far["input_ids"][0, -1] += 1
    apart = (said(learners("modernbert"), inputs) - said(learners("modernbert"), far))[0].abs().amax(-1)
    assert (apart > 1e-6).nonzero().min() == 39 - 2 * 8  # two layers of 8 positions to each side


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", LEARNED)
def test_padding_changes_no_row_and_nothing_is_nan(learners, family, kind):
    learner, inputs = learners(family, kind), packed(family, *RAGGED)
    together = said(learner, inputs)
    assert torch.isfinite(together).all()
    for row, (lengths, written) in enumerate(zip(*RAGGED, strict=True)):
        alone = {name: value[row : row + 1, : sum(lengths)] for name, value in inputs.items()}
        alone |= {n: v[row : row + 1, : sum(written)] for n, v in inputs.items() if n.startswith("decoder")}
        kept = real(inputs)[row] >= 0
        assert off(together[row][kept], said(learner, alone)[0]) < SAME


@pytest.mark.parametrize("family", LEARNED)
def test_eager_and_sdpa_say_the_same(learners, family):
    inputs = packed(family, *RAGGED)
    kept = real(inputs) >= 0
    sdpa, eager = (learners(family, kind) for kind in KINDS)
    assert [learner.model.config._attn_implementation for learner in (sdpa, eager)] == KINDS
    assert off(said(sdpa, inputs)[kept], said(eager, inputs)[kept]) < SAME


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", LEARNED)
def test_gradients_flow_and_are_finite(learners, family, kind):
    inputs = packed(family, *RAGGED)
    targets = {"tokens": torch.where(real(inputs) >= 0, real(inputs) + 300, -100)}
    moved = []
    plain = without(inputs, "segment", "decoder_segment")
    for learner, given in ((learners(family, kind), inputs), (learners(family), plain)):
        learner.zero_grad()
        learner(given, {"tokens": question(targets["tokens"].numpy())[0]})["tokens"].backward()
        gradients = {name: weight.grad for name, weight in learner.named_parameters() if weight.grad is not None}
        assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
        moved.append({name for name, gradient in gradients.items() if gradient.abs().max() > 1e-9})
    assert moved[0] == moved[1]
    assert len(moved[0]) > 15


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", LEARNED)
def test_mixed_precision_takes_the_masks_too(learners, family, kind):
    inputs = packed(family, *RAGGED)
    learner = copy.deepcopy(learners(family, kind)).float()
    with torch.autocast("cpu", torch.bfloat16):
        one, other = said(learner, inputs), said(learner, changed(inputs, 1, "input_ids"))
    assert torch.isfinite(one).all()
    assert off(one[real(inputs) == 0], other[real(inputs) == 0]) == 0


def prefixed(prefix: list[int], lengths: list[int]) -> dict[str, torch.Tensor]:
    inputs = packed("gpt2", [[length] for length in lengths], [])
    return {**without(inputs, "segment"), "prefix": torch.tensor(prefix)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", DECODERS)
def test_a_prefix_is_read_both_ways_and_the_rest_from_left_to_right(learners, family, kind):
    learner, inputs = learners(family, kind), prefixed([6], [12])
    plain = said(learner, inputs)
    for place in range(12):
        other = {**inputs, "input_ids": inputs["input_ids"].clone()}
        other["input_ids"][0, place] += 1
        apart = (said(learner, other) - plain)[0].abs().amax(-1)
        first = 0 if place < 6 else place
        assert (apart[first:] > 1e-6).all()
        assert (apart[:first] < SAME).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", DECODERS)
def test_no_prefix_is_the_plain_causal_forward(learners, family, kind):
    learner, inputs = learners(family, kind), prefixed([0, 0], [12, 7])
    plain = said(learner, without(inputs, "prefix", "attention_mask"))
    kept = inputs["attention_mask"].bool()
    assert off(said(learner, inputs)[kept], plain[kept]) < SAME
    whole = {**inputs, "prefix": torch.tensor([12, 7])}
    assert off(said(learner, whole)[kept], plain[kept]) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", DECODERS)
def test_rows_of_different_prefixes_in_one_batch_are_the_rows_alone(learners, family, kind):
    prefix, lengths = [0, 12, 7, 3, 99], [12, 12, 7, 9, 5]  # the last one says more than the row has
    learner, inputs = learners(family, kind), prefixed(prefix, lengths)
    together = said(learner, inputs)
    assert torch.isfinite(together).all()
    for row, length in enumerate(lengths):
        alone = {n: v[row : row + 1, :length] for n, v in without(inputs, "prefix").items()}
        alone["prefix"] = inputs["prefix"][row : row + 1]
        assert off(together[row, :length], said(learner, alone)[0]) < SAME


@pytest.mark.parametrize("family", DECODERS)
def test_a_prefix_does_not_reach_into_another_document(learners, family):
    learner, inputs = learners(family), {**packed("gpt2", *TWO), "prefix": torch.tensor([11, 11])}
    apart = said(learner, inputs) - said(learner, changed(inputs, 1, "input_ids"))
    assert apart[real(inputs) == 0].abs().max() < SAME
    later = {**inputs, "input_ids": inputs["input_ids"].clone()}
    later["input_ids"][:, -1] += 1
    apart = (said(learner, inputs) - said(learner, later)).abs().amax(-1)
    assert (apart[real(inputs) == 1] > 1e-6).all()


@pytest.mark.parametrize("family", LEARNED)
def test_a_batch_without_attention_as_data_goes_to_the_model_as_it_is(learners, family):
    learner, inputs = learners(family), without(packed(family, *TWO), "segment", "decoder_segment")
    assert prepared(learner.model, learner.family.shape, inputs) is inputs


@pytest.mark.parametrize("family", LEARNED)
def test_the_rule_is_one_for_arrays_and_tensors(family):
    inputs = packed(family, *RAGGED)
    if FAMILIES[family].shape == "decoder":
        inputs["prefix"] = torch.tensor([4, 12])
    shape = FAMILIES[family].shape
    arrays = visible({name: value.numpy() for name, value in inputs.items()}, np.arange, shape=shape)
    tensors = visible(inputs, torch.arange, shape=shape)
    assert list(arrays) == list(tensors) == (["self", "decoder", "cross"] if family in WRITERS else ["self"])
    for part, seen in tensors.items():
        assert arrays[part].dtype == bool
        assert seen.any(-1).all()  # nobody sees nothing
        np.testing.assert_array_equal(arrays[part], seen.numpy())


def test_an_encoder_decoder_needs_the_documents_of_both_sides():
    with pytest.raises(KeyError, match="decoder_segment"):
        visible(without(packed("t5", *TWO), "decoder_segment"), torch.arange, shape="encoder-decoder")
