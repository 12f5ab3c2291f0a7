"""Muon is what its authors say, in every precision, and one optimizer like any other."""

from __future__ import annotations

import pytest
import torch

from objectives import OBJECTIVES
from pretrain import models, optimizers
from pretrain.families import FAMILIES, configure
from pretrain.optimizers import Muon, orthogonal
from pretrain.recipes import RECIPES, Recipe

RECIPE = Recipe(optimizer="muon", rate=1e-3, embedding_rate=1e-2)
LEARNS = {
    "bert": "token-masking",
    "modernbert": "token-masking",
    "gpt2": "next-token",
    "llama": "next-token",
    "t5": "span-corruption",
    "bart": "text-infilling",
    "mbart": "text-infilling",
}


def fresh(family, corpus):
    return models.fresh(configure(family, "tiny", OBJECTIVES[LEARNS[family]](), 32, corpus.vocabulary, 0.0), 0)


def gradients(model, key):
    torch.manual_seed(key)
    for weight in model.parameters():
        weight.grad = torch.randn_like(weight)


@pytest.mark.parametrize("shape", [(64, 64), (96, 64), (32, 128), (128, 32), (3, 48)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_orthogonalised_matrix_has_the_same_directions_and_singular_values_near_one(shape, dtype):
    torch.manual_seed(1)
    rank = min(shape)
    left, _ = torch.linalg.qr(torch.randn(shape[0], rank, dtype=dtype))
    right, _ = torch.linalg.qr(torch.randn(shape[1], rank, dtype=dtype))
    values = torch.linspace(0.1, 1.0, rank, dtype=dtype)
    found = orthogonal((left * values @ right.mT)[None])[0]
    inside = left.mT @ found @ right
    assert 0.6 < inside.diagonal().min()
    assert inside.diagonal().max() < 1.3
    assert (found - left * inside.diagonal() @ right.mT).abs().max() < (1e-4 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("shape", [(3, 64, 64), (2, 64, 256), (2, 256, 64), (2, 64, 96)])
def test_both_ways_through_the_polynomials_are_one(shape):
    torch.manual_seed(2)
    stacked = torch.randn(shape, dtype=torch.float64)
    wide = stacked.mT if shape[1] > shape[2] else stacked
    wide = wide / wide.norm(dim=(-2, -1), keepdim=True)
    textbook, collected = optimizers._textbook(wide), optimizers._collected(wide)
    assert (textbook - collected).abs().max() < 1e-12
    assert (orthogonal(stacked.float()).double() - orthogonal(stacked)).abs().max() < 1e-4


def test_a_matrix_of_low_rank_or_of_zeros_stays_finite():
    torch.manual_seed(3)
    low = torch.randn(1, 64, 2) @ torch.randn(1, 2, 256)
    assert orthogonal(low).isfinite().all()
    assert torch.equal(orthogonal(torch.zeros(1, 8, 32)), torch.zeros(1, 8, 32))


def test_steps_are_those_of_torchs_own_muon_up_to_its_bfloat16():
    torch.manual_seed(4)
    first = [torch.randn(64, 64), torch.randn(64, 64), torch.randn(64, 256), torch.randn(256, 64)]
    ours, theirs = [[torch.nn.Parameter(w.clone()) for w in first] for _ in range(2)]
    mine = Muon([{"params": ours, "muon": True, "weight_decay": 0.1}], lr=0.02)
    known = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        mine.step()
        known.step()
    for one, other, begun in zip(ours, theirs, first, strict=True):
        moved, expected = one.detach() - begun, other.detach() - begun
        assert (moved - expected).norm() < 0.02 * expected.norm()


def test_an_update_has_the_size_of_adams_whatever_the_shape_and_the_gradient():
    torch.manual_seed(5)
    for shape in ((64, 64), (64, 256), (256, 64)):
        weight = torch.nn.Parameter(torch.zeros(shape))
        weight.grad = 1e-6 * torch.randn(shape)
        Muon([{"params": [weight], "muon": True}], lr=1.0).step()
        assert 0.14 < weight.detach().square().mean().sqrt() < 0.24


@pytest.mark.parametrize("family", LEARNS)
def test_every_weight_has_one_group_and_muon_only_hidden_matrices(family, corpus):
    model = fresh(family, corpus)
    for name in ("adamw", "muon"):
        recipe = Recipe(optimizer=name, rate=1e-3, embedding_rate=1e-2)
        groups = optimizers.build(model, recipe).param_groups
        held = [id(weight) for group in groups for weight in group["params"]]
        assert sorted(held) == sorted(id(weight) for weight in model.parameters())
        decayed = {id(w) for group in groups for w in group["params"] if group["weight_decay"]}
        assert decayed == {id(w) for w in model.parameters() if w.ndim >= 2}
    turned = {id(weight) for group in groups for weight in group["params"] if group.get("muon")}
    names = {name for name, weight in model.named_parameters() if id(weight) in turned}
    assert len(names) >= 4 * model.config.num_hidden_layers
    assert not any("embed" in name or "shared" in name or "wte" in name or "wpe" in name for name in names)
    assert not any("relative_attention_bias" in name or "lm_head" in name for name in names)


def test_the_rest_moves_as_adamw_moves_it(corpus):
    mixed, plain = fresh("gpt2", corpus), fresh("gpt2", corpus)
    one = optimizers.build(mixed, RECIPE)
    other = optimizers.build(plain, Recipe(rate=1e-3, embedding_rate=1e-2))
    turned = {id(weight) for group in one.param_groups for weight in group["params"] if group["muon"]}
    for step in range(3):
        for optimizer, model in ((one, mixed), (other, plain)):
            gradients(model, step)
            for group in optimizer.param_groups:
                group["lr"] = group["peak"]
            optimizer.step()
    for mine, theirs in zip(mixed.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, theirs) == (id(mine) not in turned)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_state_that_is_saved_and_loaded_goes_on_to_the_same_bits(dtype, corpus, tmp_path):
    models_ = [fresh("bert", corpus).to(dtype) for _ in range(2)]
    one, two = (optimizers.build(model, RECIPE) for model in models_)
    for step in range(2):
        gradients(models_[0], step)
        one.step()
    torch.save(one.state_dict(), tmp_path / "state.pt")
    models_[1].load_state_dict(models_[0].state_dict())
    two.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for step in range(2, 4):
        for model, optimizer in zip(models_, (one, two), strict=True):
            gradients(model, step)
            optimizer.step()
    for mine, theirs in zip(models_[0].parameters(), models_[1].parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_muon_refuses_what_is_no_matrix():
    with pytest.raises(ValueError, match="matrices"):
        Muon([{"params": [torch.nn.Parameter(torch.zeros(3))], "muon": True}], lr=1e-3)


def test_every_family_has_a_recipe():
    assert set(FAMILIES) <= set(RECIPES)
