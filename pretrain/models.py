"""Models: a configuration and a seed become a model with its first weights; parameters are counted."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers import PretrainedConfig, PreTrainedModel

from foundation.keys import number
from pretrain import weights


def fresh(config: PretrainedConfig, seed: int) -> PreTrainedModel:
    """Return a model of the configuration's class with first weights that are a function of (config, seed) alone.

    ``config.first_weights`` says which: "near" (pretrain.weights) or "stock" (transformers' own), the default.
    """
    kind = getattr(transformers, (config.architectures or [""])[0])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number(seed, "weights"))
        model = kind(config)
        if getattr(config, "first_weights", "stock") == "near":
            weights.near(model)
    model.eval()
    return model


def parameters(model: Any) -> tuple[int, int]:
    """Return the number of parameters, and of those outside the embeddings and the vocabulary-sized biases."""
    everything = {id(p): p for p in model.parameters()}
    embedded = {id(p) for m in model.modules() if isinstance(m, torch.nn.Embedding) for p in m.parameters()}
    size = model.config.vocab_size
    embedded |= {key for key, p in everything.items() if p.ndim == 1 and len(p) == size}
    return sum(p.numel() for p in everything.values()), sum(
        p.numel() for key, p in everything.items() if key not in embedded
    )
