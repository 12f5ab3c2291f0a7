"""The loss is the one that transformers computes where it defines one, at less cost; so are the gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from objectives import IGNORED, OBJECTIVES, Member
from objectives.feed import Feed
from objectives.mixture import Mixture
from objectives.prefix_language_model import PrefixLanguageModel
from objectives.sentence_order import SentenceOrder
from objectives.token_masking import TokenMasking
from pretrain import models
from pretrain.attention import prepared
from pretrain.families import FAMILIES, class_name, configure
from pretrain.learner import Learner
from pretrain.loop import backward
from pretrain.questions import ready, to_device

POSED = {name: kind() for name, kind in OBJECTIVES.items() if name != "mixture"} | {
    "mixture": Mixture(members=(Member(objective=SentenceOrder()), Member(objective=TokenMasking(unit="word")))),
    "prefix-language-model, two sides": PrefixLanguageModel(form="encoder-decoder"),
}
PAIRS = [
    (objective, family)
    for objective, posed in POSED.items()
    for family in FAMILIES
    if FAMILIES[family].shape == posed.shape and frozenset(posed.weights) in FAMILIES[family].classes
]


def made(objective: str, family: str, corpus, weights: str = "near"):
    posed = POSED[objective]
    config = configure(family, "tiny", posed, 32, corpus.vocabulary, 0.0)
    config.first_weights = weights
    model = models.fresh(config, 0)
    feed = Feed(corpus.part("train"), corpus.vocabulary, posed, 32, 0)
    return model, feed.at(np.arange(6)), posed


def stock_loss(model, family, batch) -> torch.Tensor:
    """The loss that transformers' own class computes on the batch; the sum of its parts, each over its own mean."""
    inputs = prepared(model, FAMILIES[family].shape, to_device(batch.inputs, torch.device("cpu")))
    targets = to_device(batch.targets, torch.device("cpu"))
    if "order" in targets:
        return model(**inputs, labels=targets["tokens"], next_sentence_label=targets["order"]).loss
    if FAMILIES[family].shape == "decoder":  # its loss shifts labels by itself, unless it is told that this was done
        return model(**inputs, labels=targets["tokens"], shift_labels=targets["tokens"], use_cache=False).loss
    return model(**inputs, labels=targets["tokens"]).loss


@pytest.mark.parametrize(("objective", "family"), PAIRS)
def test_loss_and_gradients_equal_those_of_transformers(objective, family, corpus):
    model, batch, posed = made(objective, family, corpus)
    model.double()
    stock = stock_loss(model, family, batch)
    stock.backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    learner, given = Learner(model, FAMILIES[family]), ready(batch, torch.device("cpu"))
    losses = backward(learner, Accelerator(cpu=True), [given], posed.weights)
    assert losses.sum().item() == pytest.approx(stock.item(), rel=1e-6)
    norm = sum((g**2).sum() for g in wanted.values()) ** 0.5
    off = sum(((p.grad - wanted[n]) ** 2).sum() for n, p in model.named_parameters() if n in wanted) ** 0.5
    assert off / norm < 1e-5


@pytest.mark.parametrize(("objective", "family"), PAIRS)
def test_logits_are_computed_only_where_they_are_asked(objective, family, corpus):
    model, batch, _ = made(objective, family, corpus)
    asked = (batch.targets["tokens"] != IGNORED).sum()
    given = ready(batch, torch.device("cpu"))
    logits = Learner(model, FAMILIES[family]).logits(given.inputs, given.questions)
    assert logits["tokens"].shape == (asked, corpus.vocabulary.size)


@pytest.mark.parametrize("size", ["tiny", "mini", "small", "base"])
def test_families_are_matched_outside_the_embeddings(size, corpus):
    counted = {}
    for objective, family in PAIRS:
        posed = POSED[objective]
        config = configure(family, size, posed, 32, corpus.vocabulary, 0.0)
        with torch.device("meta"):
            import transformers

            model = getattr(transformers, class_name(family, posed))(config)
        counted[objective, family] = models.parameters(model)[1]
    assert max(counted.values()) <= 1.1 * min(counted.values()), counted


def test_the_first_weights_are_a_function_of_the_seed(corpus):
    posed = OBJECTIVES["next-token"]()
    config = configure("gpt2", "tiny", posed, 32, corpus.vocabulary, 0.0)
    one, two, other = models.fresh(config, 3), models.fresh(config, 3), models.fresh(config, 4)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.transformer.wte.weight, other.transformer.wte.weight)
