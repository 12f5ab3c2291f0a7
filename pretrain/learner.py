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


class Learner(torch.nn.Module):
    """A model of one family, answering the roles of a batch."""

    def __init__(self, model: Any, family: Family) -> None:
        super().__init__()
        self.model, self.family = model, family

    def logits(self, inputs: dict[str, torch.Tensor], targets: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return by role the logits at its asked positions: ``[asked, classes]``, rows in the order of the targets."""
        states = self.family.hidden(self.model, prepared(self.model, self.family.shape, inputs))
        found = {}
        for role, labels in targets.items():
            wanted = states[role].reshape(-1, states[role].shape[-1])[labels.reshape(-1) != IGNORED]
            found[role] = self.family.heads[role](self.model, wanted)
        return found

    def forward(
        self, inputs: dict[str, torch.Tensor], targets: dict[str, torch.Tensor]
    ) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Return by role the cross-entropy in nats, summed over its targets, and how many it gets right."""
        answers = {}
        for role, logits in self.logits(inputs, targets).items():
            asked = targets[role].reshape(-1)
            asked = asked[asked != IGNORED]
            summed = functional.cross_entropy(
                logits if logits.dtype == torch.float64 else logits.float(), asked, reduction="sum"
            )
            answers[role] = summed, (logits.detach().argmax(-1) == asked).sum()
        return answers
