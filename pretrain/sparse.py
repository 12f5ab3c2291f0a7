"""The last encoder layer only where something is asked.

Behind the last layer nobody reads a position that is not asked, so there only the asked positions need a query, an
attention output and a feed-forward; keys and values need all. With 15 % asked that spares most of a layer. The layer
is transformers' own with another forward: its weights, names and every call without ``asked`` are the stock layer's.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.bert.modeling_bert import BertLayer, eager_attention_forward

from pretrain.questions import Question


class AskedLayer(BertLayer):
    """A BertLayer that answers only at some positions, where it is told which."""

    def forward(self, hidden_states: torch.Tensor, attention_mask: Any = None, *rest: Any, **more: Any) -> torch.Tensor:
        """Return the states at the positions ``asked [rows, few]`` (of all rows one after the other), else at all."""
        asked = more.pop("asked", None)
        if asked is None:
            return super().forward(hidden_states, attention_mask, *rest, **more)
        rows, positions, width = hidden_states.shape
        few = hidden_states.reshape(-1, width).index_select(0, asked.reshape(-1)).view(rows, -1, width)
        if attention_mask is not None and attention_mask.shape[-2] > 1:
            seen = attention_mask.expand(rows, -1, -1, -1)
            places = (asked % positions)[:, None, :, None].expand(-1, seen.shape[1], -1, positions)
            attention_mask = seen.gather(2, places)
        own: Any = self.attention.self
        query, key, value = (
            linear(states).view(rows, -1, own.num_attention_heads, own.attention_head_size).transpose(1, 2)
            for linear, states in ((own.query, few), (own.key, hidden_states), (own.value, hidden_states))
        )
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(own.config._attn_implementation, eager_attention_forward)
        dropout = own.dropout.p if self.training else 0.0
        found, _ = attend(own, query, key, value, attention_mask, dropout=dropout, scaling=own.scaling)
        return self.feed_forward_chunk(self.attention.output(found.reshape(rows, -1, width), few))


def bert(model: Any, inputs: dict[str, Any], questions: dict[str, Question]) -> dict[str, torch.Tensor] | None:
    """Return by role BERT's states where they are asked ``[asked, width]``; None where every position is.

    "order" reads the pooler, which reads the first position of what the last layer returns.
    """
    tokens, order = questions["tokens"], questions.get("order")
    if tokens.table is None or tokens.cells is None:
        return None
    last = model.bert.encoder.layer[-1]
    if type(last) is BertLayer:
        last.__class__ = AskedLayer
    table, cells = tokens.table, tokens.cells
    if order is not None:
        rows, positions = inputs["input_ids"].shape
        first = torch.arange(0, rows * positions, positions, device=table.device)
        cells = cells + cells // table.shape[1] + 1
        table = torch.cat([first[:, None], table], dim=1)
    out = model.bert(**inputs, asked=table)
    states = {"tokens": out.last_hidden_state.flatten(0, 1).index_select(0, cells)}
    if order is not None:
        pooled = out.pooler_output
        states["order"] = pooled if order.places is None else pooled.index_select(0, order.places)
    return states
