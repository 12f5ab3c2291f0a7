"""Families: architectures of transformers, with what the loop must know of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corpora.vocabulary import Vocabulary
from foundation.refusal import BadUsage, unknown
from objectives import Objective
from objectives.objective import Shape
from pretrain import configs
from pretrain.configs import SIZES, Size

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class Family:
    """One architecture."""

    shape: Shape
    classes: dict[frozenset[str], str]
    """The transformers class for each set of roles that it can answer."""
    config: Callable[[Size, int, dict[str, int], float], PretrainedConfig]
    """(size, positions, special ids and vocabulary size, dropout) → configuration."""
    hidden: Callable[[Any, dict[str, torch.Tensor]], dict[str, torch.Tensor]]
    """(model, inputs) → by role, the states its head reads: ``[rows, positions, width]`` or ``[rows, width]``."""
    heads: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]]
    """By role: (model, states) → logits; called only with the states of asked positions."""
    rate: float
    """Peak learning rate of the recipe (docs/recipes.md)."""
    embedding_rate: float
    """Peak learning rate of the word embeddings."""


def _encoder_decoder(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the states of the decoder; what it sees of the encoder may be other than what the encoder sees."""
    padding = inputs.get("attention_mask")
    encoded = model.get_encoder()(input_ids=inputs["input_ids"], attention_mask=padding)
    return model.get_decoder()(
        input_ids=inputs["decoder_input_ids"],
        attention_mask=inputs.get("decoder_attention_mask"),
        encoder_hidden_states=encoded.last_hidden_state,
        encoder_attention_mask=inputs.get("cross_attention_mask", padding),
        use_cache=False,
    ).last_hidden_state


def _t5_hidden(model: Any, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    states = _encoder_decoder(model, inputs)
    return {"tokens": states * model.model_dim**-0.5 if model.config.scale_decoder_outputs else states}


def _bart_hidden(model: Any, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {"tokens": _encoder_decoder(model, inputs)}


def _bert_hidden(model: Any, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    out = model.bert(**inputs)
    states = {"tokens": out.last_hidden_state}
    return states if out.pooler_output is None else {**states, "order": out.pooler_output}


_BART_HEADS: dict[str, Callable[[Any, Any], Any]] = {
    "tokens": lambda model, states: model.lm_head(states) + model.final_logits_bias
}

FAMILIES: dict[str, Family] = {
    "bert": Family(
        "encoder",
        {frozenset({"tokens"}): "BertForMaskedLM", frozenset({"tokens", "order"}): "BertForPreTraining"},
        configs.bert,
        _bert_hidden,
        {
            "tokens": lambda model, states: model.cls.predictions(states),
            "order": lambda model, states: model.cls.seq_relationship(states),
        },
        rate=1.5e-3,
        embedding_rate=1e-2,
    ),
    "modernbert": Family(
        "encoder",
        {frozenset({"tokens"}): "ModernBertForMaskedLM"},
        configs.modernbert,
        lambda model, inputs: {"tokens": model.model(**inputs).last_hidden_state},
        {"tokens": lambda model, states: model.decoder(model.head(states))},
        rate=3e-3,
        embedding_rate=3e-3,
    ),
    "gpt2": Family(
        "decoder",
        {frozenset({"tokens"}): "GPT2LMHeadModel"},
        configs.gpt2,
        lambda model, inputs: {"tokens": model.transformer(**inputs, use_cache=False).last_hidden_state},
        {"tokens": lambda model, states: model.lm_head(states)},
        rate=1e-3,
        embedding_rate=6e-3,
    ),
    "t5": Family(
        "encoder-decoder",
        {frozenset({"tokens"}): "T5ForConditionalGeneration"},
        configs.t5,
        _t5_hidden,
        {"tokens": lambda model, states: model.lm_head(states)},
        rate=1e-3,
        embedding_rate=3e-2,
    ),
    "bart": Family(
        "encoder-decoder",
        {frozenset({"tokens"}): "BartForConditionalGeneration"},
        configs.bart("BartConfig"),
        _bart_hidden,
        _BART_HEADS,
        rate=5e-3,
        embedding_rate=5e-3,
    ),
    "mbart": Family(
        "encoder-decoder",
        {frozenset({"tokens"}): "MBartForConditionalGeneration"},
        configs.bart("MBartConfig"),
        _bart_hidden,
        _BART_HEADS,
        rate=3e-3,
        embedding_rate=3e-3,
    ),
}


def class_name(family: str, objective: Objective) -> str:
    """Return the transformers class with which `family` learns `objective`.

    Raises:
        BadUsage: for an unknown family, or one that cannot learn the objective, with those that can.
    """
    if family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    found = _class(FAMILIES[family], objective)
    if found is None:
        able = [name for name, known in FAMILIES.items() if _class(known, objective)]
        roles = " and ".join(objective.weights)
        raise BadUsage(
            f"family {family} cannot learn {type(objective).__name__}: it needs an {objective.shape} with {roles}",
            f"give --family {' or '.join(able)}",
        )
    return found


def _class(family: Family, objective: Objective) -> str | None:
    return family.classes.get(frozenset(objective.weights)) if family.shape == objective.shape else None


def configure(
    family: str, size: str, objective: Objective, block: int, vocabulary: Vocabulary, dropout: float
) -> PretrainedConfig:
    """Return the configuration of a model that learns `objective` on blocks of `block` corpus tokens.

    Raises:
        BadUsage: for an unknown family or size, or a family that cannot learn the objective.
    """
    architecture = class_name(family, objective)
    if size not in SIZES:
        raise unknown("size", size, SIZES)
    start = objective.frame.start
    ids = {role: getattr(vocabulary, role) for role in ("pad", "bos", "eos", "cls", "sep")}
    ids |= {"vocab_size": vocabulary.size, "start": getattr(vocabulary, start) if start else None}
    config = FAMILIES[family].config(SIZES[size], objective.reach(block), ids, dropout)
    config.architectures = [architecture]
    beyond = {k: v for k, v in config.to_dict().items() if k.endswith("_token_id") and isinstance(v, int)}
    assert all(0 <= value < vocabulary.size for value in beyond.values()), beyond
    return config
