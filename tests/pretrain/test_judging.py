"""The loss that never holds all logits is the loss."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from objectives import IGNORED
from pretrain.judging import CHUNK, marked, summed


def given(rows: int, bias: bool, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(rows)
    states = torch.randn(rows, 6, generator=generator, dtype=dtype).requires_grad_()
    weight = torch.randn(11, 6, generator=generator, dtype=dtype).requires_grad_()
    added = torch.randn(11, generator=generator, dtype=dtype).requires_grad_() if bias else None
    answers = torch.randint(11, (rows,), generator=generator)
    answers[::5] = IGNORED
    return states, weight, added, answers


def reference(states, weight, bias, answers) -> torch.Tensor:
    logits = functional.linear(states, weight, bias)
    return functional.cross_entropy(logits, answers, reduction="sum", ignore_index=IGNORED)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [0, 1, 7, CHUNK, CHUNK + 1, 3 * CHUNK - 2])
def test_values_and_gradients_are_those_of_linear_and_cross_entropy(rows, bias):
    states, weight, added, answers = given(rows, bias)
    leaves = [leaf for leaf in (states, weight, added) if leaf is not None]
    ours, wanted = summed(states, weight, added, answers), reference(states, weight, added, answers)
    assert ours.item() == pytest.approx(wanted.item(), rel=1e-12)
    found = torch.autograd.grad(ours * 0.3, leaves)
    for mine, stock in zip(found, torch.autograd.grad(wanted * 0.3, leaves), strict=True):
        assert torch.allclose(mine, stock, atol=1e-12)


def test_an_answer_that_is_ignored_moves_nothing():
    states, weight, _, answers = given(20, bias=False)
    (found,) = torch.autograd.grad(summed(states, weight, None, answers), [states])
    assert found[::5].abs().max() == 0
    assert found[1].abs().max() > 0
    nothing = torch.full_like(answers, IGNORED)
    assert summed(states, weight, None, nothing).item() == 0


def test_large_logits_neither_overflow_nor_vanish():
    states = torch.tensor([[300.0], [-300.0]]).requires_grad_()
    weight = torch.tensor([[1.0], [-1.0]])
    loss = summed(states, weight, None, torch.tensor([0, 0]))
    assert loss.item() == pytest.approx(600.0)  # the share of the second answer is 0 in float32
    assert torch.isfinite(torch.autograd.grad(loss, [states])[0]).all()


def test_a_number_that_is_not_one_stays_so():
    states, weight, _, answers = given(9, bias=False)
    with torch.no_grad():
        states[1, 0] = float("nan")
    assert torch.isnan(summed(states, weight, None, answers))


def test_frozen_weights_get_no_gradient():
    states, weight, _, answers = given(9, bias=False)
    loss = summed(states, weight.detach(), None, answers)
    loss.backward()
    assert states.grad is not None
    assert weight.grad is None


@pytest.mark.parametrize("rows", [3, CHUNK + 5])
def test_marks_are_the_loss_and_the_answers_that_are_likeliest(rows):
    states, weight, added, answers = given(rows, bias=True)
    loss, right = marked(states, (weight, added), answers)
    logits = functional.linear(states, weight, added)
    assert loss.item() == pytest.approx(reference(states, weight, added, answers).item(), rel=1e-12)
    assert right == (logits.argmax(-1) == answers).sum()
    again = marked(logits, None, answers)
    assert (again[0].item(), int(again[1])) == (pytest.approx(loss.item(), rel=1e-12), int(right))
