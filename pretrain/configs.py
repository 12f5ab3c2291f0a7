"""Configurations: sizes, and each architecture in them, with every special id set.

Sizes are matched in parameters outside the embeddings: a layer of an encoder or a decoder costs 12 d², and an
encoder-decoder has half the layers on each side and a feed-forward of 3 d instead of 4 d, which pays for its
cross-attention ((4 + 6) d² + (8 + 6) d² = 2 · 12 d²). Embeddings are tied. Special ids are set explicitly, because
configurations silently keep those of other vocabularies (GPT-2's 50256, BART's forced 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class Size:
    """Layers (of an encoder or a decoder alone), width and attention heads."""

    layers: int
    width: int
    heads: int


SIZES = {"tiny": Size(2, 128, 4), "mini": Size(4, 256, 4), "small": Size(4, 512, 8), "base": Size(12, 768, 12)}


def bert(size: Size, positions: int, ids: dict[str, int], dropout: float) -> PretrainedConfig:
    """Return the configuration of BERT (Devlin et al. 2019, §3)."""
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


def modernbert(size: Size, positions: int, ids: dict[str, int], dropout: float) -> PretrainedConfig:
    """Return the configuration of ModernBERT (Warner et al. 2024, §2), a window of 16 tokens in every layer."""
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


def gpt2(size: Size, positions: int, ids: dict[str, int], dropout: float) -> PretrainedConfig:
    """Return the configuration of GPT-2 (Radford et al. 2019, §2.3)."""
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


def llama(size: Size, positions: int, ids: dict[str, int], dropout: float) -> PretrainedConfig:
    """Return the configuration of Llama (Touvron et al. 2023, §2.2), its embeddings tied as in its small models."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=ids["vocab_size"],
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        intermediate_size=round(size.width / 3) * 8,  # three matrices instead of two: 3 · 8/3 d² = 8 d²
        max_position_embeddings=positions,
        attention_dropout=dropout,
        bos_token_id=ids["bos"],
        eos_token_id=ids["eos"],
        pad_token_id=ids["pad"],
        tie_word_embeddings=True,
    )


def t5(gated: bool) -> Callable[[Size, int, dict[str, int], float], PretrainedConfig]:
    """Return a function that makes the configuration of T5 (Raffel et al. 2020, §2.1), or `gated`, of its version 1.1.

    The version 1.1 has a gated feed-forward (Shazeer 2020, §2) of as many weights. Its papers' outputs are not shared
    with the word embeddings; transformers ties those of every T5, so they are here.
    """

    def config(size: Size, positions: int, ids: dict[str, int], dropout: float) -> PretrainedConfig:
        from transformers import T5Config

        del positions  # relative positions have no limit
        made = T5Config(
            vocab_size=ids["vocab_size"],
            d_model=size.width,
            d_kv=size.width // size.heads,
            num_heads=size.heads,
            d_ff=(2 if gated else 3) * size.width,  # 3 matrices of 2 d² or 2 of 3 d²
            num_layers=size.layers // 2,
            num_decoder_layers=size.layers // 2,
            dropout_rate=dropout,
            feed_forward_proj="gated-gelu_pytorch_tanh" if gated else "relu",  # the function of gated-gelu, fused
            pad_token_id=ids["pad"],
            eos_token_id=ids["eos"],
        )
        made.decoder_start_token_id = ids["start"]
        return made

    return config


def bart(kind: str) -> Callable[[Size, int, dict[str, int], float], PretrainedConfig]:
    """Return a function that makes BART's (Lewis et al. 2020, §2.1) or mBART's configuration: `kind` is its class."""

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
