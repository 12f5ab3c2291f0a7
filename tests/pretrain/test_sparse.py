"""The last layer where it is asked is the stock layer, read there; questions are found on the host."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from transformers.models.bert.modeling_bert import BertLayer

from objectives import IGNORED, OBJECTIVES
from objectives.feed import Feed
from pretrain import models
from pretrain.attention import prepared
from pretrain.families import FAMILIES, configure
from pretrain.learner import Learner
from pretrain.questions import question, ready
from pretrain.sparse import AskedLayer, bert

CPU = torch.device("cpu")


def made(objective: str, corpus, kind: str = "sdpa", **numbers):
    posed = OBJECTIVES[objective](**numbers)
    config = configure("bert", "tiny", posed, 32, corpus.vocabulary, 0.0)
    config._attn_implementation = kind
    model = models.fresh(config, 0).double()
    feed = Feed(corpus.part("train"), corpus.vocabulary, posed, 32, 0)
    return model, feed.at(np.arange(7))


@pytest.mark.parametrize("kind", ["sdpa", "eager"])
@pytest.mark.parametrize(
    ("objective", "numbers"),
    [
        ("token-masking", {}),
        ("token-masking", {"independent": True}),
        ("token-masking", {"isolated": True}),
        ("sentence-order", {}),
        ("sentence-order", {"isolated": True}),
        ("next-sentence", {}),
    ],
)
def test_states_and_gradients_are_those_of_the_stock_layer(objective, numbers, kind, corpus):
    model, batch = made(objective, corpus, kind, **numbers)
    stock, given = copy.deepcopy(model), ready(batch, CPU)
    inputs = prepared(model, "encoder", given.inputs)
    found = bert(model, inputs, given.questions)
    assert found is not None
    assert type(model.bert.encoder.layer[-1]) is AskedLayer
    assert type(stock.bert.encoder.layer[-1]) is BertLayer
    everything = FAMILIES["bert"].hidden(stock, inputs)
    mine = theirs = torch.zeros((), dtype=torch.float64)
    for role, asked in given.questions.items():
        rows = everything[role].reshape(-1, everything[role].shape[-1])
        wanted = rows if asked.places is None else rows[asked.places]
        assert torch.allclose(found[role], wanted, atol=1e-12)
        weights = torch.randn(wanted.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        mine, theirs = mine + (found[role] * weights).sum(), theirs + (wanted * weights).sum()
    mine.backward()
    theirs.backward()
    for (name, one), other in zip(model.named_parameters(), stock.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), name
        assert one.grad is None or torch.allclose(one.grad, other.grad, atol=1e-9), name


def test_the_last_layer_computes_only_what_is_asked(corpus):
    model, batch = made("token-masking", corpus)
    given, sizes = ready(batch, CPU), []
    learner = Learner(model, FAMILIES["bert"])
    layers = model.bert.encoder.layer
    for layer in (layers[0], layers[-1]):
        layer.output.register_forward_hook(lambda _, __, out: sizes.append(out.shape[0] * out.shape[1]))
    learner(given.inputs, given.questions)
    everything, few = sizes
    assert everything == batch.inputs["input_ids"].size
    most = (batch.targets["tokens"] != IGNORED).sum(1).max()
    assert few == len(batch.inputs["input_ids"]) * most < everything / 4


def test_a_model_that_has_answered_so_is_saved_and_called_as_ever(corpus, tmp_path):
    model, batch = made("token-masking", corpus)
    inputs = {name: torch.from_numpy(array) for name, array in batch.inputs.items()}
    before, names = model(**inputs).logits, list(model.state_dict())
    given = ready(batch, CPU)
    Learner(model, FAMILIES["bert"])(given.inputs, given.questions)
    assert torch.equal(model(**inputs).logits, before)
    assert list(model.state_dict()) == names
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert torch.allclose(again(**inputs).logits, before)


TARGETS = np.array([[IGNORED, 5, IGNORED, 7], [IGNORED] * 4, [1, 2, 3, IGNORED]])


def test_a_question_says_where_and_what_and_in_which_cell_of_the_table():
    asked, count = question(TARGETS)
    assert count == 5
    assert asked.places.tolist() == [1, 3, 8, 9, 10]
    assert asked.answers.tolist() == [5, 7, 1, 2, 3]
    assert asked.table.tolist() == [[1, 3, 0], [4, 4, 4], [8, 9, 10]]
    assert asked.table.flatten()[asked.cells].tolist() == asked.places.tolist()


def test_padding_of_a_question_repeats_its_first_place_and_is_ignored():
    asked, count = question(TARGETS, fixed=8)
    assert count == 5
    assert asked.places.tolist() == [1, 3, 8, 9, 10, 1, 1, 1]
    assert asked.answers.tolist() == [5, 7, 1, 2, 3] + [IGNORED] * 3
    assert asked.table.flatten()[asked.cells].tolist() == asked.places.tolist()


def test_where_everything_is_asked_nothing_is_looked_up_and_nothing_is_no_question():
    asked, count = question(np.array([[3, 4], [5, 6]]))
    assert (asked.places, count) == (None, 4)
    asked, count = question(np.full((2, 3), IGNORED), fixed=2)
    assert count == 0
    assert asked.answers.tolist() == [IGNORED, IGNORED]
