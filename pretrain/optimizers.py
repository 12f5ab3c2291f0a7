"""Optimizers: AdamW, and Muon for the hidden matrices with AdamW for everything else.

AdamW moves each number of a matrix by its own history. Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon)
moves a matrix as a whole: its momentum is replaced by the nearest orthogonal matrix, so that all directions are
learned at one speed, the rare ones too. Embeddings, heads over the vocabulary, norms and biases keep AdamW.

The orthogonal matrix is found by five Newton-Schulz steps X ← aX + b(XXᵀ)X + c(XXᵀ)²X. Here all of them are done on
the small square G = XXᵀ: each is a polynomial of G, polynomials of one matrix commute, so their product P is
collected and X is multiplied once, P·X. For a matrix four times as long as wide that is just over half the arithmetic.
Square ones take the textbook form, which is less there. Matrices of one shape go together, in float32 on a CPU (whose
bfloat16 is slow) and float64 in proofs; on a GPU the textbook form runs in bfloat16, where G, with the square of X's
condition, would lose the few digits that there are.

An update is scaled to the root mean square that AdamW's have, 0.2 √max(rows, columns) (Liu et al. 2025, "Muon is
scalable", §2.2), so one learning rate and one weight decay serve both halves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from pretrain.recipes import Recipe

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Chosen by Jordan et al. for the steepest rise at zero; the values end between 0.7 and 1.2, not at 1."""
STEPS = 5
MOMENTUM = 0.95
_LEAST = 1e-7
_MOST = torch.finfo(torch.float32).max
"""Longest update: a rate beyond it makes weights that are no numbers, which are refused; torch would raise."""
_STATED = ("weight_decay", "peak", "muon", "betas", "eps", "momentum")


class Muon(torch.optim.Optimizer):
    """Muon for the groups that say ``muon``, fused AdamW for the others, as one optimizer with one state."""

    def __init__(self, groups: list[dict[str, Any]], lr: float, betas: tuple[float, float] = (0.9, 0.98)) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": 1e-8, "weight_decay": 0.0, "momentum": MOMENTUM, "muon": False}
        super().__init__(groups, {**defaults, "fused": True})  # "fused": loading a state keeps its counts in float32
        for group in self.param_groups:
            if group["muon"] and any(weight.ndim != 2 for weight in group["params"]):
                raise ValueError("Muon moves matrices; give other weights to a group without it")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do one step; the closure is called first, as everywhere in torch."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                (self._turn if group["muon"] else self._adapt)(group, weights)
        return loss

    def _turn(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        """Move matrices along their orthogonalised momentum, shape by shape."""
        shapes: dict[tuple[int, ...], list[Tensor]] = {}
        for weight in weights:
            shapes.setdefault(tuple(weight.shape), []).append(weight)
        for shape, alike in shapes.items():
            ahead = torch.stack([self._ahead(weight, group["momentum"]) for weight in alike])
            length = min(group["lr"] * 0.2 * math.sqrt(max(shape)), _MOST)
            for weight, move in zip(alike, orthogonal(ahead), strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(move.to(weight.dtype), alpha=-length)

    def _ahead(self, weight: Tensor, momentum: float) -> Tensor:
        """Return the momentum of a matrix with this step's gradient, and by Nesterov one step ahead."""
        grad, state = weight.grad, self.state[weight]
        assert grad is not None
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        return grad.lerp(state["momentum"].lerp_(grad, 1 - momentum), momentum)

    def _adapt(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        for weight in weights:
            state = self.state[weight]
            if "step" not in state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=weight.device)
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        states = [self.state[weight] for weight in weights]
        adamw(
            weights,
            [weight.grad for weight in weights if weight.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def orthogonal(stacked: Tensor) -> Tensor:
    """Return the (nearly) orthogonal matrix nearest to each of a stack ``[matrices, rows, columns]``."""
    turned = stacked.shape[-2] > stacked.shape[-1]
    wide = stacked.mT if turned else stacked
    wide = wide / wide.norm(dim=(-2, -1), keepdim=True).clamp(min=_LEAST)
    if stacked.is_cuda and stacked.dtype != torch.float64:
        found = _textbook(wide.bfloat16())
    else:
        found = _collected(wide) if wide.shape[-1] >= 2 * wide.shape[-2] else _textbook(wide)
    return found.mT if turned else found


def _textbook(wide: Tensor) -> Tensor:
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        square = wide @ wide.mT
        wide = torch.baddbmm(wide, torch.baddbmm(square, square, square, beta=b, alpha=c), wide, beta=a)
    return wide


def _collected(wide: Tensor) -> Tensor:
    """Return what `_textbook` does by way of P, the product of all its polynomials in G."""
    a, b, c = COEFFICIENTS
    square = wide @ wide.mT
    whole: Tensor | None = None
    for number in range(STEPS):
        one = torch.baddbmm(square, square, square, beta=b, alpha=c)
        one.diagonal(dim1=-2, dim2=-1).add_(a)
        whole = one if whole is None else one @ whole
        if number < STEPS - 1:  # the G of P X is P G P = P² G
            square = one @ (one @ square)
    assert whole is not None
    return whole @ wide


def build(model: Any, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer over a model's weights, with weight decay on matrices only.

    Each group carries ``peak``, its rate at the top of the schedule.
    """
    words = model.get_input_embeddings().weight
    hidden = {id(weight) for weight in _hidden(model)}
    matrices = [w for w in model.parameters() if w.ndim >= 2 and w is not words]
    chosen = [w for w in matrices if id(w) in hidden] if recipe.optimizer == "muon" else []
    taken = {id(weight) for weight in chosen}
    decayed = {"weight_decay": recipe.weight_decay, "peak": recipe.rate}
    groups = [
        {"params": [w for w in matrices if id(w) not in taken], **decayed},
        {"params": [w for w in model.parameters() if w.ndim < 2], "weight_decay": 0.0, "peak": recipe.rate},
        {"params": [words], "weight_decay": recipe.weight_decay, "peak": recipe.embedding_rate},
    ]
    if recipe.optimizer == "muon":
        groups.insert(0, {"params": chosen, **decayed, "muon": True})
    groups = [group for group in groups if group["params"]]
    betas = (0.9, recipe.beta2)
    if recipe.optimizer == "muon":
        return Muon(groups, lr=recipe.rate, betas=betas)
    return torch.optim.AdamW(groups, lr=recipe.rate, betas=betas, fused=True)


def restate(optimizer: torch.optim.Optimizer, settings: list[dict[str, Any]]) -> None:
    """Give groups the settings that they were built with; loading a state brings those of the run it was saved in."""
    for group, stated in zip(optimizer.param_groups, settings, strict=True):
        group.update({name: value for name, value in stated.items() if name in _STATED})


def _hidden(model: Any) -> list[Tensor]:
    """Return the matrices between the embeddings and the heads: no table of words, positions or offsets, no answer."""
    tables = {id(w) for m in model.modules() if isinstance(m, torch.nn.Embedding) for w in m.parameters()}
    size = model.config.vocab_size
    matrices = [weight for weight in model.parameters() if weight.ndim == 2 and id(weight) not in tables]
    return [weight for weight in matrices if size not in weight.shape and min(weight.shape) > 2]
