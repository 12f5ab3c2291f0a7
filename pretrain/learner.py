"""The learner: a model and what a batch asks of it, in one module, so that every wrapper sees one forward.

The model never judges itself. transformers' own losses differ in their reductions, and ``num_items_in_batch`` is
honoured by GPT-2 but silently ignored by BertForMaskedLM and T5. Here the loss of each role is summed over its
targets and divided once, by the caller, by the global count. Logits are computed only at asked positions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from objectives import IGNORED
from pretrain.attention import prepared
from pretrain.families import Family
from pretrain.questions import Question


class Learner(torch.nn.Module):
    """A model of one family, answering the roles of a batch."""

    def __init__(self, model: Any, family: Family) -> None:
        super().__init__()
        self.model, self.family = model, family

    def logits(self, inputs: dict[str, torch.Tensor], questions: dict[str, Question]) -> dict[str, torch.Tensor]:
        """Return by role the logits where it is asked: ``[asked, classes]``."""
        states = self.family.hidden(self.model, prepared(self.model, self.family.shape, inputs))
        found = {}
        for role, (places, _) in questions.items():
            wanted = states[role].reshape(-1, states[role].shape[-1])[places]
            found[role] = self.family.heads[role](self.model, wanted)
        return found

    def forward(self, inputs: dict[str, torch.Tensor], questions: dict[str, Question]) -> dict[str, torch.Tensor]:
        """Return by role the cross-entropy in nats, summed over its targets."""
        found = self.logits(inputs, questions)
        return {role: _summed(found[role], answers) for role, (_, answers) in questions.items()}

    def marks(
        self, inputs: dict[str, torch.Tensor], questions: dict[str, Question]
    ) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Return by role the summed cross-entropy in nats, and how many targets are answered right."""
        found = self.logits(inputs, questions)
        return {
            role: (_summed(found[role], answers), (found[role].argmax(-1) == answers).sum())
            for role, (_, answers) in questions.items()
        }


def _summed(logits: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    precise = logits if logits.dtype == torch.float64 else logits.float()
    return functional.cross_entropy(precise, answers, reduction="sum", ignore_index=IGNORED)
