"""What a run costs, before it is paid: parameters, floating-point operations, disk, memory, time.

Operations are those of the model as it is defined, forward and backward, a multiplication and an addition being two
(Kaplan et al. 2020, §2.1; Chowdhery et al. 2022, appendix B), whatever a machine saves of them or does twice::

    6 · matrix weights · tokens                each weight meets each token of its side, once forward, twice backward
    + 12 · layers · width · positions seen · tokens      scores and mixtures; a causal row counts as a full one
    + 6 · vocabulary · width · asked           the output, where it is asked and nowhere else

A window of attention counts as far as it sees. Cross-attention meets its keys and values once for each token of the
encoder, the rest of it once for each of the decoder; a masked head's own matrices meet the asked positions only.
Norms, biases, softmax and the optimizer (about 10 operations per weight) are left out; of a mixture of experts every
expert counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from objectives.objective import Shape

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_CROSS = ("encoder_attn", "EncDecAttention", "crossattention", "encoder_attention", "cross_attn")
_KEYS = ("k", "v", "key", "value", "k_proj", "v_proj")


@dataclass(frozen=True)
class Work:
    """How many weights of matrices meet each kind of token."""

    body: int
    """Weights that each position of the (first) input meets."""
    decoder: int
    """Weights that each position of an encoder-decoder's decoder meets."""
    head: int
    """Weights, besides the output to the vocabulary, that each asked position meets."""
    pooler: int
    """Weights that each row meets once."""
    output: int
    """Weights of the output to the vocabulary, shared with the word embeddings or not."""


def matmul_parameters(model: Any) -> int:
    """Return the number of weights that are multiplied with states: all matrices but embeddings and the output."""
    found = work(model)
    return found.body + found.decoder + found.head + found.pooler


def work(model: Any) -> Work:
    """Return which weights of a model meet which tokens, from its modules' names and shapes."""
    import torch

    output = model.get_output_embeddings()
    skipped = {id(p) for m in model.modules() if isinstance(m, torch.nn.Embedding) for p in m.parameters()}
    vocabulary = model.config.vocab_size
    width = getattr(model.config, "embedding_size", None) or model.config.hidden_size
    counts: dict[str, int] = dict.fromkeys(("body", "decoder", "head", "pooler"), 0)
    for name, weight in model.named_parameters():
        if weight.ndim < 2 or id(weight) in skipped or (output is not None and weight is output.weight):
            continue
        if weight.shape[0] == vocabulary or name == "final_logits_bias":  # an output under another name; a bias
            continue
        counts[_meets(name, model)] += weight.numel()
    return Work(**counts, output=vocabulary * (width if output is None else output.weight.shape[-1]))


def _meets(name: str, model: Any) -> str:
    """Return which tokens the weight of this name meets."""
    parts = name.split(".")
    inside = parts[1:] if parts[0] == model.base_model_prefix else parts
    if "pooler" in parts:
        return "pooler"
    if model.config.is_encoder_decoder:
        if inside[0] != "decoder":
            return "body" if inside[0] == "encoder" else "head"
        of_encoder = any(part in _CROSS for part in parts) and parts[-2] in _KEYS
        return "body" if of_encoder else "decoder"
    return "body" if parts[0] == model.base_model_prefix else "head"


def flops_per_step(
    config: PretrainedConfig, shape: Shape, rows: int, positions: int, decoder_positions: int, asked: float
) -> float:
    """Return the floating-point operations of one optimizer step, forward and backward.

    `positions` and `decoder_positions` (0 where there is no decoder of its own) are those of one row; `asked` is the
    number of asked positions of all `rows` together.
    """
    return flops(work(outline(config)), config, shape, rows, positions, decoder_positions, asked)


def flops(
    met: Work,
    config: PretrainedConfig,
    shape: Shape,
    rows: int,
    positions: int,
    decoder_positions: int,
    asked: float,
) -> float:
    """Return the same from weights that are counted already."""
    tokens, written = rows * positions, rows * decoder_positions
    total = 6.0 * (met.body * tokens + met.decoder * written + (met.head + met.output) * asked + met.pooler * rows)
    width, wide = _attention_width(config), 12.0
    if shape != "encoder-decoder":
        return total + wide * width * tokens * sum(_seen(config, shape, positions))
    encoder, decoder = _sides(config)
    return total + wide * width * (encoder * positions * tokens + decoder * (decoder_positions + positions) * written)


def outline(config: PretrainedConfig) -> Any:
    """Return a model of the configuration's class without memory behind its weights."""
    import torch
    import transformers

    with torch.device("meta"):
        return getattr(transformers, (config.architectures or [""])[0])(config)


def _attention_width(config: PretrainedConfig) -> int:
    """Return heads times the size of a head, which is not the model's width in every architecture."""
    head = getattr(config, "d_kv", None) or getattr(config, "head_dim", None)
    return head * config.num_attention_heads if head else config.hidden_size


def _sides(config: PretrainedConfig) -> tuple[int, int]:
    """Return the layers of the encoder and of the decoder."""
    encoder = getattr(config, "encoder_layers", None) or config.num_hidden_layers
    decoder = getattr(config, "decoder_layers", None) or getattr(config, "num_decoder_layers", None) or encoder
    return encoder, decoder


def _seen(config: PretrainedConfig, shape: Shape, positions: int) -> list[int]:
    """Return by layer how many positions one position sees; all of a causal row, as is the custom."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    if window is None:
        return [positions] * len(kinds)
    near = min(positions, 2 * window + 1 if shape == "encoder" else window)  # to both sides; backwards
    return [near if kind == "sliding_attention" else positions for kind in kinds]
