"""Products by either library are the layers' own, and so are their gradients; what they cannot do is left to torch."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import T5Config
from transformers.models.t5.modeling_t5 import T5DenseActDense
from transformers.pytorch_utils import Conv1D

from pretrain import judging, products
from pretrain.layers import quickened

LIBRARIES = [
    pytest.param(False, id="MKL"),
    pytest.param(
        True,
        id="oneDNN",
        marks=pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN"),
    ),
]


@pytest.fixture(params=LIBRARIES)
def library(request, monkeypatch):
    monkeypatch.setattr(products, "by_onednn", lambda: request.param)


def near(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    return bool((found - wanted).norm() <= 1e-5 * wanted.norm())


def gradients(module: nn.Module, states: torch.Tensor, slope: torch.Tensor) -> list[torch.Tensor]:
    said = module(states)
    return [said.detach(), *torch.autograd.grad(said, [states, *module.parameters()], slope)]


def held(module: nn.Module) -> nn.Module:
    """A model that has the module, as models have layers."""
    return nn.ModuleDict({"layer": module})


@pytest.mark.parametrize(
    "make", [lambda: nn.Linear(24, 40), lambda: nn.Linear(24, 40, bias=False), lambda: Conv1D(40, 24)]
)
@pytest.mark.parametrize("shape", [(24,), (7, 24), (3, 700, 24)])
def test_a_linear_layer_is_itself(make, shape, library):
    torch.manual_seed(0)
    module, states = make(), torch.randn(shape, requires_grad=True)
    slope = torch.randn(*shape[:-1], 40)
    if len(shape) == 1 and isinstance(module, Conv1D):
        states, slope = states.detach()[None].requires_grad_(), slope[None]  # the stock one takes no single row
    wanted = gradients(module, states, slope)
    quickened(held(module))
    assert all(map(near, gradients(module, states, slope), wanted))


def feed_forward(dropout: float = 0.0) -> T5DenseActDense:
    return T5DenseActDense(T5Config(d_model=24, d_ff=40, dropout_rate=dropout, feed_forward_proj="relu"))


def test_t5s_feed_forward_is_itself(library):
    torch.manual_seed(0)
    module, states, slope = feed_forward(), torch.randn(3, 700, 24, requires_grad=True), torch.randn(3, 700, 24)
    wanted = gradients(module, states, slope)
    quickened(held(module))
    assert type(module).forward is products.feed_forward
    found = gradients(module, states, slope)
    assert all((mine - theirs).norm() <= 2e-3 * theirs.norm() for mine, theirs in zip(found, wanted, strict=True))
    assert near(found[0], wanted[0])  # a hidden value next to 0 may fall on either side of it, in the gradients alone


def test_a_feed_forward_that_drops_is_torchs(library):
    module, states = feed_forward(dropout=0.5), torch.randn(4, 24)
    torch.manual_seed(1)
    wanted = module(states)
    quickened(held(module))
    torch.manual_seed(1)
    assert near(module(states), wanted)
    assert not torch.equal(wanted, module.eval()(states))


def test_float64_and_autocast_are_left_to_torch(monkeypatch):
    monkeypatch.setattr(products, "by_onednn", lambda: True)
    module, states = nn.Linear(24, 40).double(), torch.randn(7, 24, dtype=torch.float64)
    wanted = module(states)
    quickened(held(module))
    assert torch.equal(module(states), wanted)
    module = nn.Linear(24, 40)
    quickened(held(module))
    with torch.autocast("cpu", torch.bfloat16):
        assert module(states.float()).dtype == torch.bfloat16


def test_frozen_weights_and_inputs_get_no_gradient(library):
    module = nn.Linear(24, 40)
    module.weight.requires_grad_(False)
    quickened(held(module))
    module(torch.randn(7, 24)).sum().backward()
    assert module.weight.grad is None
    assert module.bias.grad is not None


@pytest.mark.parametrize("bias", [True, False])
def test_the_loss_is_that_of_torch(bias, library):
    torch.manual_seed(0)
    given = [torch.randn(600, 24), torch.randn(50, 24), torch.randn(50) if bias else None]
    answers = torch.randint(0, 50, (600,))
    answers[::7] = judging.IGNORED
    leaves = [tensor.requires_grad_() for tensor in given if tensor is not None]
    states, weight, other = given
    mine, theirs = (
        judging.summed(states, weight, other, answers),
        judging.plain(nn.functional.linear(states, weight, other), answers),
    )
    assert near(mine, theirs)
    assert all(map(near, torch.autograd.grad(mine, leaves), torch.autograd.grad(theirs, leaves)))
