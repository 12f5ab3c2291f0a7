"""What is computed quicker is the same function; where it is random, it has the law that it states."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from objectives import OBJECTIVES
from objectives.feed import Feed
from pretrain import models
from pretrain.families import FAMILIES, configure
from pretrain.layers import quickened
from pretrain.learner import Learner
from pretrain.questions import ready
from pretrain.quick import Quick, gains, rate

PAIRS = [
    ("token-masking", "bert"),
    ("next-token", "gpt2"),
    ("next-token", "llama"),
    ("span-corruption", "t5"),
    ("span-corruption", "t5-v1.1"),
    ("text-infilling", "bart"),
]
CPU = torch.device("cpu")


def tensors(rows: int = 5, heads: int = 3, asked: int = 7, keys: int = 9) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(rows, heads, n, 8, generator=generator, dtype=torch.float64).requires_grad_()
        for n in (asked, keys, keys)
    ]


def both(given, mask, **more):
    stock = functional.scaled_dot_product_attention(*given, attn_mask=mask, **more)
    with Quick():
        ours = functional.scaled_dot_product_attention(*given, attn_mask=mask, **more)
    return stock, ours


@pytest.mark.parametrize("shape", [(1, 3, 7, 9), (5, 3, 7, 9), (5, 1, 7, 9), (1, 1, 7, 9)])
def test_attention_with_a_bias_that_learns_is_that_of_torch(shape):
    bias = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    given = tensors()
    stock, ours = both(given, bias)
    assert type(ours.grad_fn).__name__ != type(stock.grad_fn).__name__
    slope = torch.randn(stock.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    wanted = torch.autograd.grad(stock, [*given, bias], slope)
    found = torch.autograd.grad(ours, [*given, bias], slope)
    assert torch.allclose(ours, stock, atol=1e-12)
    assert all(torch.allclose(mine, theirs, atol=1e-12) for mine, theirs in zip(found, wanted, strict=True))


def test_attention_without_dropout_or_a_learned_bias_is_left_to_torch():
    given = tensors()
    stock, ours = both(given, None)
    assert type(ours.grad_fn) is type(stock.grad_fn)
    assert torch.equal(ours, stock)


@pytest.mark.parametrize("kind", ["causal", "boolean", "none"])
def test_attention_with_dropout_has_the_gradient_of_what_it_computed(kind):
    given = tensors(2, 2, 5, 5)
    mask = torch.ones(2, 1, 5, 5, dtype=torch.bool).tril() if kind == "boolean" else None

    def attended(*given: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        with Quick():
            return functional.scaled_dot_product_attention(
                *given, attn_mask=mask, dropout_p=0.3, is_causal=kind == "causal"
            )

    assert torch.autograd.gradcheck(attended, given)
    if kind != "none":  # nothing of a later key reaches an earlier query
        (to_values,) = torch.autograd.grad(attended(*given)[:, :, 0].sum(), [given[2]])
        assert to_values[:, :, 1:].abs().max() == 0


def test_attention_with_dropout_is_right_in_the_mean():
    given = [tensor.detach() for tensor in tensors(1, 1, 4, 6)]
    wanted = functional.scaled_dot_product_attention(*given)
    many = [tensor.expand(8_000, -1, -1, -1).contiguous() for tensor in given]
    torch.manual_seed(0)
    with Quick():
        found = functional.scaled_dot_product_attention(*many, dropout_p=0.1)
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - wanted[0]).abs() / error).max() < 5


@pytest.mark.parametrize("p", [0.1, 0.25, 0.9])
def test_dropout_keeps_what_its_stated_rate_says_and_scales_it(p):
    values = torch.rand(1_000_003, dtype=torch.float64) + 1
    values.requires_grad_()
    torch.manual_seed(0)
    with Quick():
        dropped = functional.dropout(values, p)
    share, stated = (dropped == 0).double().mean().item(), rate(p)
    assert abs(stated - p) <= 1 / 512
    assert abs(share - stated) < 5 * (stated * (1 - stated) / len(values)) ** 0.5
    kept = dropped != 0
    assert torch.allclose(dropped[kept], values[kept] / (1 - stated))
    (slope,) = torch.autograd.grad(dropped.sum(), [values])
    assert torch.equal(slope != 0, kept)
    assert torch.allclose(slope[kept], torch.full_like(slope[kept], 1 / (1 - stated)))


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    with Quick():
        gone = (functional.dropout(torch.ones(1 << 20), 0.5) == 0).double() - 0.5
    for distance in (1, 2, 3, 4, 5, 6, 7, 8, 16, 64):
        alike = (gone[:-distance] * gone[distance:]).mean().item() * 4
        assert abs(alike) < 5 / 2**10


def test_dropout_is_a_function_of_the_seed_and_nothing_in_evaluation():
    def dropped(seed: int, training: bool = True) -> torch.Tensor:
        torch.manual_seed(seed)
        with Quick():
            return functional.dropout(torch.ones(1000), 0.1, training)

    assert torch.equal(dropped(1), dropped(1))
    assert not torch.equal(dropped(1), dropped(2))
    assert torch.equal(dropped(1, training=False), torch.ones(1000))


def made(objective: str, family: str, corpus, dropout: float):
    posed = OBJECTIVES[objective]()
    config = configure(family, "tiny", posed, 32, corpus.vocabulary, dropout)
    if getattr(config, "activation_function", "").startswith("gelu"):
        config.activation_function = "gelu_new"
    model = models.fresh(config, 0).double()
    feed = Feed(corpus.part("train"), corpus.vocabulary, posed, 32, 0)
    return model, ready(feed.at(np.arange(6)), CPU)


@pytest.mark.parametrize(("objective", "family"), PAIRS)
def test_a_quickened_model_has_the_loss_and_the_gradients_of_the_stock_one(objective, family, corpus):
    model, given = made(objective, family, corpus, 0.0)
    stock = copy.deepcopy(model)
    names = [name for name, _ in model.named_parameters()]
    learner = Learner(model, FAMILIES[family])
    learner.train()
    learner.quick = True
    ours = learner(given.inputs, given.questions)["tokens"]
    ours.backward()
    assert [name for name, _ in model.named_parameters()] == names
    hidden = FAMILIES[family].hidden(stock, dict(given.inputs))["tokens"]
    head, question = FAMILIES[family].heads["tokens"], given.questions["tokens"]
    rows = hidden.reshape(-1, hidden.shape[-1])
    rows = rows if question.places is None else rows[question.places]
    logits = functional.linear(head.transform(stock, rows), *head.output(stock))
    wanted = functional.cross_entropy(logits, question.answers, reduction="sum")
    wanted.backward()
    assert ours.item() == pytest.approx(wanted.item(), rel=1e-7)  # T5's own norm is in float32 always
    norm = sum((p.grad**2).sum() for p in stock.parameters() if p.grad is not None) ** 0.5
    for (name, mine), theirs in zip(model.named_parameters(), stock.parameters(), strict=True):
        if theirs.grad is not None:
            assert (mine.grad - theirs.grad).norm() / norm < 1e-6, name


@pytest.mark.parametrize(("objective", "family"), PAIRS)
def test_a_step_with_dropout_is_a_function_of_the_seed(objective, family, corpus):
    model, given = made(objective, family, corpus, 0.1)
    assert gains(model)
    learner = Learner(model, FAMILIES[family])
    learner.train()

    def loss(seed: int) -> float:
        torch.manual_seed(seed)
        return learner(given.inputs, given.questions)["tokens"].item()

    assert loss(1) == loss(1) != loss(2)
    learner.eval()
    assert loss(1) == loss(2)


def test_only_models_with_something_to_gain_are_watched(corpus):
    assert not gains(made("token-masking", "bert", corpus, 0.0)[0])
    assert gains(made("span-corruption", "t5", corpus, 0.0)[0])


@pytest.mark.parametrize("nothing", [False, True])
def test_a_quickened_norm_is_the_stock_norm_with_the_stock_weights(nothing):
    from transformers.models.t5.modeling_t5 import T5LayerNorm

    norm = T5LayerNorm(16).double()
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2.0)
        norm.weight[3] *= 0 if nothing else -1
    states = torch.randn(3, 5, 16, dtype=torch.float64, requires_grad=True)
    wanted = norm(states)
    slopes = torch.autograd.grad(wanted.square().sum(), [states, norm.weight])
    holder = torch.nn.Sequential(norm)
    quickened(holder)
    found = holder(states)
    assert found.grad_fn.name() != wanted.grad_fn.name()
    assert torch.allclose(found, functional.rms_norm(states, (16,), norm.weight, norm.variance_epsilon), atol=1e-12)
    assert torch.allclose(found, wanted, atol=1e-6)  # the stock one takes its mean in float32
    for mine, theirs in zip(torch.autograd.grad(found.square().sum(), [states, norm.weight]), slopes, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-5, atol=1e-5)
    assert list(holder.state_dict()) == ["0.weight"]
