"""Texts → framed ids → padded batches → one vector for each text, the same way for every family.

The tokenizer of the checkpoint frames the texts (``<cls> A <sep> B <sep>``, ``A </s>`` …). Batches are padded on
the right whatever the tokenizer says, attention masks say what is padding, and nothing is pooled that is not
attended to, so neither padding nor the other rows of a batch can change a vector. A text is read in the direction
in which the checkpoint learned to read: a language model whose ``config.reads`` is "both" gets it as one prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from foundation.refusal import BadUsage
from pretrain.attention import prepared

Pooling = Literal["mean", "last", "first"]
Side = Literal["encoder", "decoder", "both"]


@dataclass(frozen=True)
class Framed:
    """Framed texts: ids and segments (None where the model knows none), and how many texts were cut."""

    ids: list[list[int]]
    segments: list[list[int]] | None
    truncated: int

    def __len__(self) -> int:
        return len(self.ids)


def budget(config: PreTrainedConfig, length: int) -> int:
    """Return how many positions a text may fill: as asked, but no more than the model has."""
    limit = getattr(config, "max_position_embeddings", None)
    if isinstance(limit, int) and config.model_type in ("roberta", "xlm-roberta", "camembert"):
        limit -= (config.pad_token_id or 0) + 1  # these count positions from the padding id on
    return min(length, limit) if isinstance(limit, int) and limit > 0 else length


def frame(tokenizer: PreTrainedTokenizerBase, texts: list[str], pairs: list[str] | None, length: int) -> Framed:
    """Return the texts (or pairs of texts) as the tokenizer frames them, none longer than `length`."""
    if length <= tokenizer.num_special_tokens_to_add(pair=pairs is not None):
        raise BadUsage(f"{length} positions hold no text beside the special tokens", "give a larger --strategy.length")
    # A text that says "</s>" means the characters, never the special token.
    options: dict[str, Any] = {"padding": False, "split_special_tokens": True, "verbose": False}
    whole = tokenizer(texts, pairs, truncation=False, **options)["input_ids"]
    cut = tokenizer(texts, pairs, truncation=True, max_length=length, **options)
    segments = cut.get("token_type_ids") if "token_type_ids" in tokenizer.model_input_names else None
    truncated = sum(len(row) > length for row in whole)
    return Framed([list(row) for row in cut["input_ids"]], segments, truncated)


def pad(rows: Sequence[Sequence[int]], value: int, *, left: bool = False) -> tuple[Tensor, Tensor]:
    """Return rows of different lengths as ids and a mask of what is attended to, both ``[rows, longest]``."""
    longest = max(len(row) for row in rows)
    ids = np.full((len(rows), longest), value, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for place, row in enumerate(rows):
        cells = slice(longest - len(row), None) if left else slice(0, len(row))
        ids[place, cells] = row
        mask[place, cells] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def pool(states: Tensor, mask: Tensor, how: Pooling) -> Tensor:
    """Return one vector for each row of ``[rows, positions, width]`` from the positions attended to."""
    if how == "mean":
        weight = mask.unsqueeze(-1).to(states.dtype)
        return (states * weight).sum(1) / weight.sum(1)
    places = torch.arange(mask.shape[1], device=mask.device)
    place = (places * mask).argmax(1) if how == "last" else mask.argmax(1)
    return states[torch.arange(len(states), device=mask.device), place]


class Backbone(nn.Module):
    """The part of a model that turns framed texts into vectors, without its pretraining heads."""

    def __init__(self, model: PreTrainedModel, pad_id: int, pooling: Pooling = "mean", side: Side = "encoder") -> None:
        super().__init__()
        config = model.config
        self.pad_id, self.side = pad_id, side
        self.pooling: Pooling = pooling
        self.causal = is_causal(model)
        self.whole = reads_whole(model)
        self.decoder: nn.Module | None = None
        self.start = 0
        if config.is_encoder_decoder:
            self.body: Any = model.get_encoder()
            if side != "encoder":
                self.decoder, self.start = model.get_decoder(), _start(config)
        else:
            self.body = model.base_model
            if getattr(self.body, "pooler", None) is not None:
                self.body.pooler = None  # nothing here asks for it, and where it was never trained it is noise
        if pooling == "first" and self.causal and not self.whole:
            raise BadUsage(
                "the first token of a left-to-right model sees nothing of the text",
                "take --strategy.pooling mean or last",
            )
        self.segments = getattr(config, "type_vocab_size", 0) > 1
        self.width = int(config.hidden_size) * (2 if self.decoder is not None and side == "both" else 1)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.body.parameters()).device

    def forward(self, framed: Framed, rows: Sequence[int]) -> Tensor:
        """Return the vectors ``[rows, width]`` of these rows."""
        ids, mask = (t.to(self.device) for t in pad([framed.ids[row] for row in rows], self.pad_id))
        more: dict[str, Any] = {"attention_mask": mask}
        if self.segments and framed.segments is not None:
            more["token_type_ids"] = pad([framed.segments[row] for row in rows], 0)[0].to(self.device)
        if self.causal:
            more["use_cache"] = False
        if self.whole:
            more["prefix"] = mask.sum(1)
        states = self.body(**prepared(self.body, "decoder", {"input_ids": ids, **more})).last_hidden_state
        if self.decoder is None:
            return pool(states, mask, self.pooling)
        fed = torch.cat([torch.full_like(ids[:, :1], self.start), ids[:, :-1]], dim=1)
        written = self.decoder(
            input_ids=fed,
            attention_mask=mask,
            encoder_hidden_states=states,
            encoder_attention_mask=mask,
            use_cache=False,
        ).last_hidden_state
        vectors = pool(written, mask, self.pooling)
        return torch.cat([pool(states, mask, self.pooling), vectors], dim=1) if self.side == "both" else vectors


def _start(config: PreTrainedConfig) -> int:
    found = getattr(config, "decoder_start_token_id", None)
    return int(found if found is not None else config.pad_token_id or 0)


def is_causal(model: PreTrainedModel) -> bool:
    """Say whether a model is a language model that reads from left to right only."""
    name = type(model).__name__
    return name.endswith(("LMHeadModel", "ForCausalLM")) and not model.config.is_encoder_decoder and "Bert" not in name


def reads_whole(model: PreTrainedModel) -> bool:
    """Say whether a language model learned to read a given text in both directions (``config.reads``)."""
    return is_causal(model) and getattr(model.config, "reads", "forward") == "both"


def by_length(lengths: Sequence[int], rows: int) -> Iterator[list[int]]:
    """Yield all places in batches of similar length, longest first: an out-of-memory comes at once or never."""
    places = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    for begin in range(0, len(places), rows):
        yield places[begin : begin + rows]


@torch.inference_mode()
def over(framed: Framed, rows: int, function: Callable[[Framed, Sequence[int]], Tensor]) -> np.ndarray:
    """Return what `function` gives for each framed text, in the order of the texts."""
    found: np.ndarray | None = None
    for places in by_length([len(row) for row in framed.ids], rows):
        values = function(framed, places).float().cpu().numpy()
        if found is None:
            found = np.empty((len(framed), *values.shape[1:]), dtype=values.dtype)
        found[places] = values
    if found is None:
        raise ValueError("no texts")
    return found
