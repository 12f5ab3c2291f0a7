"""The learner: a model and what a batch asks of it, in one module, so that every wrapper sees one forward.

The model never judges itself. transformers' own losses differ in their reductions, and ``num_items_in_batch`` is
honoured by GPT-2 but silently ignored by BertForMaskedLM and T5. Here the loss of each role is summed over its
targets and divided once, by the caller, by the global count. Logits are computed only at asked positions.
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch.nn import functional

from pretrain.attention import prepared
from pretrain.families import Family
from pretrain.judging import marked, plain, summed
from pretrain.layers import quickened
from pretrain.questions import Question
from pretrain.quick import Quick, gains


class Learner(torch.nn.Module):
    """A model of one family, answering the roles of a batch."""

    def __init__(self, model: Any, family: Family) -> None:
        super().__init__()
        self.model, self.family = model, family
        quickened(model)
        self.judge = summed  # pretrain.device gives a GPU another
        self.quick = gains(model)

    def wanted(self, inputs: dict[str, torch.Tensor], questions: dict[str, Question]) -> dict[str, torch.Tensor]:
        """Return by role what the last linear layer reads where it is asked: ``[asked, width]``."""
        given = prepared(self.model, self.family.shape, inputs)
        states = self.family.asked and self.family.asked(self.model, given, questions)
        if states is None:
            found = self.family.hidden(self.model, given)
            states = {role: _at(found[role], asked.places) for role, asked in questions.items()}
        return {role: self.family.heads[role].transform(self.model, states[role]) for role in questions}

    def logits(self, inputs: dict[str, torch.Tensor], questions: dict[str, Question]) -> dict[str, torch.Tensor]:
        """Return by role the logits where it is asked: ``[asked, classes]``."""
        return {
            role: _said(states, self.family.heads[role].output(self.model))
            for role, states in self.wanted(inputs, questions).items()
        }

    def forward(self, inputs: dict[str, torch.Tensor], questions: dict[str, Question]) -> dict[str, torch.Tensor]:
        """Return by role the cross-entropy in nats, summed over its targets."""
        here = inputs["input_ids"].device.type
        with Quick() if self.quick and here == "cpu" else contextlib.nullcontext():
            wanted = self.wanted(inputs, questions)
        return {
            role: self._judged(states, self.family.heads[role].output(self.model), questions[role].answers)
            for role, states in wanted.items()
        }

    def _judged(self, states: torch.Tensor, output: Any, answers: torch.Tensor) -> torch.Tensor:
        if output is None:
            return plain(states, answers)
        weight, bias = output
        return self.judge(states, weight, bias, answers)

    def marks(
        self, inputs: dict[str, torch.Tensor], questions: dict[str, Question]
    ) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Return by role the summed cross-entropy in nats, and how many targets are answered right; no gradient."""
        return {
            role: marked(states, self.family.heads[role].output(self.model), questions[role].answers)
            for role, states in self.wanted(inputs, questions).items()
        }


def _said(states: torch.Tensor, output: Any) -> torch.Tensor:
    """Return the logits; a head without a linear layer of its own is given them."""
    return states if output is None else functional.linear(states, *output)


def _at(states: torch.Tensor, places: torch.Tensor | None) -> torch.Tensor:
    rows = states.reshape(-1, states.shape[-1])
    return rows if places is None else rows.index_select(0, places)
