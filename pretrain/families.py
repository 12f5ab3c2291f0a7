"""Families: architectures of transformers, with what the loop must know of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corpora.vocabulary import Vocabulary
from foundation.refusal import BadUsage, unknown
from objectives import Objective
from objectives.objective import Shape
from pretrain import configs, generic
from pretrain.configs import SIZES, Size

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from pretrain.questions import Question


@dataclass(frozen=True)
class Head:
    """What turns the states where a role is asked into logits: a transform, then one linear layer.

    They stand apart so that the linear layer and the loss can be computed together, without an array of all logits.
    """

    transform: Callable[[Any, torch.Tensor], torch.Tensor]
    """(model, states ``[asked, width]``) → what the linear layer reads."""
    output: Callable[[Any], tuple[torch.Tensor, torch.Tensor | None] | None]
    """model → weight ``[classes, width]`` and bias ``[classes]`` or None; None: the states are logits already."""


def _as_is(model: Any, states: torch.Tensor) -> torch.Tensor:
    return states


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
    heads: dict[str, Head]
    """The head of each role; it reads only the states of asked positions."""
    asked: Callable[[Any, dict[str, Any], dict[str, Question]], dict[str, torch.Tensor] | None] | None = None
    """(model, inputs, questions) → by role, the states only where it is asked ``[asked, width]``, for families that
    can spare work so; None where there is nothing to spare."""


def encoder_decoder(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
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
    states = encoder_decoder(model, inputs)
    return {"tokens": states * model.model_dim**-0.5 if model.config.scale_decoder_outputs else states}


def _bart_hidden(model: Any, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {"tokens": encoder_decoder(model, inputs)}


def _bert_hidden(model: Any, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    out = model.bert(**inputs)
    states = {"tokens": out.last_hidden_state}
    return states if out.pooler_output is None else {**states, "order": out.pooler_output}


def _bert_asked(model: Any, inputs: dict[str, Any], questions: dict[str, Question]) -> dict[str, torch.Tensor] | None:
    from pretrain.sparse import bert

    return bert(model, inputs, questions)


_BART_HEADS = {"tokens": Head(_as_is, lambda model: (model.lm_head.weight, model.final_logits_bias[0]))}
_LM_HEAD = {"tokens": Head(_as_is, lambda model: (model.lm_head.weight, None))}

FAMILIES: dict[str, Family] = {
    "bert": Family(
        "encoder",
        {frozenset({"tokens"}): "BertForMaskedLM", frozenset({"tokens", "order"}): "BertForPreTraining"},
        configs.bert,
        _bert_hidden,
        {
            "tokens": Head(
                lambda model, states: model.cls.predictions.transform(states),
                lambda model: (model.cls.predictions.decoder.weight, model.cls.predictions.decoder.bias),
            ),
            "order": Head(_as_is, lambda model: (model.cls.seq_relationship.weight, model.cls.seq_relationship.bias)),
        },
        asked=_bert_asked,
    ),
    "modernbert": Family(
        "encoder",
        {frozenset({"tokens"}): "ModernBertForMaskedLM"},
        configs.modernbert,
        lambda model, inputs: {"tokens": model.model(**inputs).last_hidden_state},
        {
            "tokens": Head(
                lambda model, states: model.head(states), lambda model: (model.decoder.weight, model.decoder.bias)
            )
        },
    ),
    "gpt2": Family(
        "decoder",
        {frozenset({"tokens"}): "GPT2LMHeadModel"},
        configs.gpt2,
        lambda model, inputs: {"tokens": model.transformer(**inputs, use_cache=False).last_hidden_state},
        _LM_HEAD,
    ),
    "llama": Family(
        "decoder",
        {frozenset({"tokens"}): "LlamaForCausalLM"},
        configs.llama,
        lambda model, inputs: {"tokens": model.model(**inputs, use_cache=False).last_hidden_state},
        _LM_HEAD,
    ),
    "t5": Family(
        "encoder-decoder",
        {frozenset({"tokens"}): "T5ForConditionalGeneration"},
        configs.t5(gated=False),
        _t5_hidden,
        _LM_HEAD,
    ),
    "t5-v1.1": Family(
        "encoder-decoder",
        {frozenset({"tokens"}): "T5ForConditionalGeneration"},
        configs.t5(gated=True),
        _t5_hidden,
        _LM_HEAD,
    ),
    "bart": Family(
        "encoder-decoder",
        {frozenset({"tokens"}): "BartForConditionalGeneration"},
        configs.bart("BartConfig"),
        _bart_hidden,
        _BART_HEADS,
    ),
    "mbart": Family(
        "encoder-decoder",
        {frozenset({"tokens"}): "MBartForConditionalGeneration"},
        configs.bart("MBartConfig"),
        _bart_hidden,
        _BART_HEADS,
    ),
}


def class_name(family: str, objective: Objective) -> str:
    """Return the transformers class with which `family` learns `objective`.

    Raises:
        BadUsage: for an unknown family, or one that cannot learn the objective, with those that can.
    """
    if family not in FAMILIES:
        return _other_class(family, objective)
    found = _class(FAMILIES[family], objective)
    if found is None:
        raise _unable(family, objective)
    return found


def _class(family: Family, objective: Objective) -> str | None:
    return family.classes.get(frozenset(objective.weights)) if family.shape == objective.shape else None


def _other_class(family: str, objective: Objective) -> str:
    """Return the class of a model type that has no entry here, or of a config.json."""
    kind = generic.model_type(family)
    found = _class(FAMILIES[kind], objective) if kind in FAMILIES else None
    if found is None and frozenset(objective.weights) == {"tokens"}:
        found = generic.class_name(family, objective.shape)
    if found is None:
        raise _unable(family, objective)
    return found


def _unable(family: str, objective: Objective) -> BadUsage:
    able = [name for name, known in FAMILIES.items() if _class(known, objective)]
    article = "a" if objective.shape == "decoder" else "an"
    return BadUsage(
        f"family {family} cannot learn {type(objective).__name__}: it needs {article} {objective.shape} with"
        f" {' and '.join(objective.weights)}",
        f"give --family {' or '.join(able)}",
    )


def fit(model: Any, objective: Objective) -> tuple[Family, list[str]]:
    """Return what the loop must know of a model, and in lines for the reader what had to be found out.

    Raises:
        BadUsage: if its class is none of FAMILIES and cannot learn the objective.
    """
    for known in FAMILIES.values():
        if known.shape == objective.shape and type(model).__name__ in known.classes.values():
            return known, []
    from pretrain import proofs

    return proofs.family(model, objective)


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
    if family in FAMILIES:
        config = FAMILIES[family].config(SIZES[size], objective.reach(block), ids, dropout)
    else:
        given = (SIZES[size], objective.reach(block), ids, dropout)
        config = generic.configure(family, architecture, objective.shape, *given)
    config.architectures = [architecture]
    beyond = {k: v for k, v in config.to_dict().items() if k.endswith("_token_id") and isinstance(v, int)}
    assert all(0 <= value < vocabulary.size for value in beyond.values()), beyond
    return config
