"""Any architecture of transformers: by the name of its model type, or by a config.json.

A name gets its numbers from the size, under whatever names its configuration gives to them; the feed-forward is made
as wide as the matrices outside the embeddings may be in that size, so that what is gated, or has fewer matrices, has
no more and no less than the other families. A config.json keeps its numbers; vocabulary, special ids and dropout are
those of the run.

What the loop must know of it is not looked up but proven (``pretrain.proofs``).
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.refusal import BadUsage
from objectives.objective import Shape
from pretrain.configs import Size

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_LAYERS = ("num_hidden_layers", "num_layers", "num_decoder_layers", "encoder_layers", "decoder_layers")
_HEADS = ("num_attention_heads", "num_key_value_heads", "encoder_attention_heads", "decoder_attention_heads")
_HEAD_SIZES = ("head_dim", "d_kv", "d_head", "rotary_dim")
_INNER = ("intermediate_size", "ffn_dim", "hidden_dim", "n_inner", "d_inner", "d_ff", "encoder_ffn_dim")
_INNER = (*_INNER, "decoder_ffn_dim")
_WIDTHS = ("hidden_size", "word_embed_proj_dim", "pooler_hidden_size")
_ROLES = ("pad", "bos", "eos", "cls", "sep")
_OTHER_DROPOUT = ("classifier", "summary", "qa_", "seq_classif", "pooler")


def is_path(family: str) -> bool:
    """Say whether `family` means a config.json, or a folder that holds one."""
    return family.endswith(".json") or "/" in family or (Path(family) / "config.json").is_file()


def model_type(family: str) -> str:
    """Return the model type that a name or a config.json stands for.

    Raises:
        BadUsage: if it is neither.
    """
    if is_path(family):
        return str(_read(family)["model_type"])
    from transformers.models.auto import configuration_auto

    known: Any = vars(configuration_auto)["CONFIG_MAPPING_NAMES"]
    if family not in known:
        from pretrain.families import FAMILIES

        near = difflib.get_close_matches(family, [*FAMILIES, *known], n=1, cutoff=0.5)
        guess = f"did you mean {near[0]}? " if near else ""
        raise BadUsage(
            f"unknown family: {family!r}",
            f"{guess}known: {', '.join(sorted(FAMILIES))}; any other model type of transformers (roberta, opt …);"
            " or a config.json by its path",
        )
    return family


def class_name(family: str, shape: Shape) -> str | None:
    """Return the class of transformers that is a family's model of a shape; None where it has none."""
    from transformers.models.auto import modeling_auto as auto

    names: dict[Shape, Any] = {
        "encoder": auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        "decoder": auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        "encoder-decoder": auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    }
    kind = model_type(family)
    if shape == "encoder" and kind in names["encoder-decoder"]:
        return None  # transformers would have it answer masks as an encoder-decoder
    return names[shape].get(kind)


def _read(family: str) -> dict[str, Any]:
    path = Path(family)
    path = path / "config.json" if path.is_dir() else path
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values.get("model_type"), str):
            raise ValueError("it names no model_type")
    except (OSError, ValueError, AttributeError) as error:
        said = getattr(error, "strerror", None) or error
        raise BadUsage(f"--family {family}: {said}", "give the path of a config.json of transformers") from error
    return values


def configure(
    family: str, kind: str, shape: Shape, size: Size, positions: int, ids: dict[str, int], dropout: float
) -> PretrainedConfig:
    """Return the configuration of class `kind` for a family's name and size, or as its config.json says.

    Raises:
        BadUsage: if it cannot be built so, or has fewer positions than an example needs.
    """
    from transformers import AutoConfig

    try:
        if is_path(family):
            values = {name: value for name, value in _read(family).items() if name != "architectures"}
            config = AutoConfig.for_model(**values)
            set_run(config, shape, ids, dropout)
        else:
            config = _sized(family, kind, shape, size, positions, ids, dropout)
        config.architectures = [kind]
        limit = room(config)
    except BadUsage:
        raise
    except Exception as error:  # each architecture refuses numbers in its own way
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadUsage(
            f"--family {family} cannot be built: {said}",
            "give a config.json of your own: --family PATH/config.json" if not is_path(family) else "see its numbers",
        ) from error
    if limit is not None and limit < positions:
        raise BadUsage(
            f"--family {family} has {limit} positions, an example takes up to {positions}",
            "give a smaller --block (or --length), or a config.json with more positions",
        )
    return config


def _sized(
    family: str, kind: str, shape: Shape, size: Size, positions: int, ids: dict[str, int], dropout: float
) -> PretrainedConfig:
    from transformers import AutoConfig

    usual = AutoConfig.for_model(family)
    known, mapped = usual.to_dict(), usual.attribute_map
    layers = size.layers // 2 if shape == "encoder-decoder" else size.layers
    given: dict[str, Any] = {**dict.fromkeys(_LAYERS, layers), **dict.fromkeys(_HEADS, size.heads)}
    given |= dict.fromkeys(_HEAD_SIZES, size.width // size.heads) | dict.fromkeys(_WIDTHS, size.width)
    given |= {"vocab_size": ids["vocab_size"], "max_position_embeddings": positions + max(ids["pad"], 1) + 1}
    values = {mapped.get(name, name): value for name, value in given.items() if mapped.get(name, name) in known}
    if mapped.get("hidden_size", "hidden_size") not in values:
        raise BadUsage(
            f"--family {family}: its configuration has no width of its own that a size could set",
            "give a config.json of your own: --family PATH/config.json",
        )
    inner = [mapped.get(name, name) for name in _INNER if mapped.get(name, name) in known]

    def of(feed_forward: int) -> PretrainedConfig:
        numbers: dict[str, Any] = {**values, **dict.fromkeys(inner, feed_forward)}
        config = type(usual)(**numbers)
        config.architectures = [kind]
        set_run(config, shape, ids, dropout)
        return config

    widest = (3 if shape == "encoder-decoder" else 4) * size.width
    if not inner:
        return of(widest)
    return of(_fitting(of, widest, 12 * size.width**2 * size.layers))


def _fitting(of: Any, widest: int, wanted: int) -> int:
    """Return the width of feed-forward, up to `widest`, with which the matrices have about `wanted` weights."""
    from pretrain import estimate

    half, whole = (estimate.matmul_parameters(estimate.outline(of(inner))) for inner in (widest // 2, widest))
    if whole <= half:
        return widest
    fitting = widest // 2 + (wanted - half) * (widest - widest // 2) / (whole - half)
    return max(8, min(widest, round(fitting / 8) * 8))


def set_run(config: PretrainedConfig, shape: Shape, ids: dict[str, int], dropout: float) -> None:
    """Set what a run says whatever the architecture: vocabulary, special ids, dropout, the direction of reading."""
    config.vocab_size = ids["vocab_size"]
    for name, value in config.to_dict().items():
        if name.endswith("_token_id") and isinstance(value, int):
            _set(config, name, None, ids["pad"])  # of another vocabulary, until it is said below
        drops = isinstance(value, float) and ("drop" in name) and not name.startswith(_OTHER_DROPOUT)
        if drops:
            setattr(config, name, 0.0 if "layerdrop" in name else dropout)
    for role in _ROLES:
        _set(config, f"{role}_token_id", ids[role], ids["pad"])
    if shape == "encoder-decoder":
        config.decoder_start_token_id = ids["start"]
    elif shape == "decoder" and hasattr(config, "is_decoder"):
        config.is_decoder = True


def _set(config: PretrainedConfig, name: str, value: int | None, otherwise: int) -> None:
    """Set a special id; some configurations must have one."""
    try:
        setattr(config, name, value)
    except Exception:  # a strict configuration's own error
        setattr(config, name, otherwise)


def room(config: PretrainedConfig) -> int | None:
    """Return how many positions a row may have; None where there is no limit."""
    import torch

    from pretrain import estimate

    limit = getattr(config, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit <= 0:
        return None
    for name, module in estimate.outline(config).named_modules():
        if "position" in name and isinstance(module, torch.nn.Embedding) and module.padding_idx is not None:
            return limit - module.padding_idx - 1  # RoBERTa and its kin count from the padding id on
    return limit
