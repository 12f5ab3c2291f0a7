"""Families: architectures of transformers in matched sizes, with what the loop must know of each.

Sizes are matched in parameters outside the embeddings: a layer of an encoder or a decoder costs 12 d², and an
encoder-decoder has half the layers on each side and a feed-forward of 3 d instead of 4 d, which pays for its
cross-attention ((4 + 6) d² + (8 + 6) d² = 2 · 12 d²). Embeddings are tied. Every special id is set explicitly:
configurations silently keep ids of other vocabularies (GPT-2's 50256, BART's forced 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corpora.vocabulary import Vocabulary
from foundation.refusal import BadUsage, unknown
from objectives import Objective
from objectives.objective import Shape

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class Size:
    """Layers (of an encoder or a decoder alone), width and attention heads."""

    layers: int
    width: int
    heads: int


SIZES = {"tiny": Size(2, 128, 4), "mini": Size(4, 256, 4), "small": Size(4, 512, 8), "base": Size(12, 768, 12)}


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


def _bert(size: Size, positions: int, ids: dict[str, int], dropout: float) -> PretrainedConfig:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=ids["vocab_size"],
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.width,
        max_position_embeddings=positions,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        pad_token_id=ids["pad"],
        bos_token_id=ids["bos"],
        eos_token_id=ids["eos"],
        tie_word_embeddings=True,
    )


def _modernbert(size: Size, positions: int, ids: dict[str, int], dropout: float) -> PretrainedConfig:
    from transformers import ModernBertConfig

    return ModernBertConfig(
        vocab_size=ids["vocab_size"],
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=round(size.width / 3) * 8,  # three matrices instead of two: 3 · 8/3 d² = 8 d²
        max_position_embeddings=positions,
        local_attention=16,
        layer_types=["sliding_attention"] * size.layers,
        attention_dropout=dropout,
        embedding_dropout=dropout,
        mlp_dropout=dropout,
        pad_token_id=ids["pad"],
        bos_token_id=ids["bos"],
        eos_token_id=ids["eos"],
        cls_token_id=ids["cls"],
        sep_token_id=ids["sep"],
        tie_word_embeddings=True,
    )


def _gpt2(size: Size, positions: int, ids: dict[str, int], dropout: float) -> PretrainedConfig:
    from transformers import GPT2Config

    return GPT2Config(
        vocab_size=ids["vocab_size"],
        n_embd=size.width,
        n_layer=size.layers,
        n_head=size.heads,
        n_positions=positions,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        activation_function="gelu_pytorch_tanh",  # the same function as gelu_new, fused
        bos_token_id=ids["bos"],
        eos_token_id=ids["eos"],
        pad_token_id=ids["pad"],
        tie_word_embeddings=True,
    )


def _t5(size: Size, positions: int, ids: dict[str, int], dropout: float) -> PretrainedConfig:
    from transformers import T5Config

    del positions  # relative positions have no limit
    config = T5Config(
        vocab_size=ids["vocab_size"],
        d_model=size.width,
        d_kv=size.width // size.heads,
        num_heads=size.heads,
        d_ff=3 * size.width,
        num_layers=size.layers // 2,
        num_decoder_layers=size.layers // 2,
        dropout_rate=dropout,
        feed_forward_proj="relu",
        pad_token_id=ids["pad"],
        eos_token_id=ids["eos"],
    )
    config.decoder_start_token_id = ids["start"]
    return config


def _bart(kind: str) -> Callable[[Size, int, dict[str, int], float], PretrainedConfig]:
    def config(size: Size, positions: int, ids: dict[str, int], dropout: float) -> PretrainedConfig:
        import transformers

        return getattr(transformers, kind)(
            vocab_size=ids["vocab_size"],
            d_model=size.width,
            encoder_layers=size.layers // 2,
            decoder_layers=size.layers // 2,
            encoder_attention_heads=size.heads,
            decoder_attention_heads=size.heads,
            encoder_ffn_dim=3 * size.width,
            decoder_ffn_dim=3 * size.width,
            max_position_embeddings=positions,
            dropout=dropout,
            attention_dropout=dropout,
            activation_dropout=dropout,
            pad_token_id=ids["pad"],
            bos_token_id=ids["bos"],
            eos_token_id=ids["eos"],
            decoder_start_token_id=ids["start"],
            forced_eos_token_id=None,
            tie_word_embeddings=True,
        )

    return config


def _encoder_decoder(model: Any, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {"tokens": model.model(**inputs, use_cache=False).last_hidden_state}


def _t5_hidden(model: Any, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    encoded = model.encoder(input_ids=inputs["input_ids"], attention_mask=inputs.get("attention_mask"))
    states = model.decoder(
        input_ids=inputs["decoder_input_ids"],
        encoder_hidden_states=encoded.last_hidden_state,
        encoder_attention_mask=inputs.get("attention_mask"),
        use_cache=False,
    ).last_hidden_state
    return {"tokens": states * model.model_dim**-0.5 if model.config.scale_decoder_outputs else states}


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
        _bert,
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
        _modernbert,
        lambda model, inputs: {"tokens": model.model(**inputs).last_hidden_state},
        {"tokens": lambda model, states: model.decoder(model.head(states))},
        rate=3e-3,
        embedding_rate=3e-3,
    ),
    "gpt2": Family(
        "decoder",
        {frozenset({"tokens"}): "GPT2LMHeadModel"},
        _gpt2,
        lambda model, inputs: {"tokens": model.transformer(**inputs, use_cache=False).last_hidden_state},
        {"tokens": lambda model, states: model.lm_head(states)},
        rate=1e-3,
        embedding_rate=6e-3,
    ),
    "t5": Family(
        "encoder-decoder",
        {frozenset({"tokens"}): "T5ForConditionalGeneration"},
        _t5,
        _t5_hidden,
        {"tokens": lambda model, states: model.lm_head(states)},
        rate=1e-3,
        embedding_rate=3e-2,
    ),
    "bart": Family(
        "encoder-decoder",
        {frozenset({"tokens"}): "BartForConditionalGeneration"},
        _bart("BartConfig"),
        _encoder_decoder,
        _BART_HEADS,
        rate=5e-3,
        embedding_rate=5e-3,
    ),
    "mbart": Family(
        "encoder-decoder",
        {frozenset({"tokens"}): "MBartForConditionalGeneration"},
        _bart("MBartConfig"),
        _encoder_decoder,
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
