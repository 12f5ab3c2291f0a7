"""First weights of T5 that look near: its decoder begins by finding what stood around each sentinel.

The width is cut into words, a code for sentinels, and two slots: what is left, what is right. Encoder heads write the
neighbours of each position into the slots. Cross-attention heads look where the sentinel's code is the same, for the
first hidden word by its own input, for later ones by the code that self-attention carries on, and read the slots. One
map from "the word before" to "the word to say" is shared by the encoder's left slot and the decoder's last word, so
that what either learns serves both. Positions are relative: the bias of an offset's bucket is raised.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

BOTH_SIDES = (-1, 1, -2, 2)


def near(model: Any) -> None:
    """Give a T5 such weights, from torch's current random state."""
    width, head, heads = model.config.d_model, model.config.d_kv, model.config.num_heads
    code, slot = min(width // 8, head // 2), min(3 * width // 16, head)
    words = width - code - 2 * slot
    left, right = words + code, words + code + slot
    table, scale = model.shared.weight, 0.5
    table.normal_(0, scale)
    table[:, words:] = 0
    sentinels = torch.tensor(getattr(model.config, "sentinels", []), dtype=torch.long)
    table[sentinels, :words] = 0.3 * scale * torch.randn(len(sentinels), words)
    table[sentinels, words:left] = 2 * scale * torch.randn(len(sentinels), code)
    model.decoder.final_layer_norm.weight.fill_(0.6 / scale)
    shared = torch.randn(slot, words) / math.sqrt(words)
    say, say_right = (scale * torch.randn(words, slot) / math.sqrt(slot) for _ in range(2))
    for side in (model.encoder, model.decoder):
        for block in side.block:
            block.layer[-1].DenseReluDense.wo.weight.mul_(0.1 * scale)
    encoder = _quiet(model.encoder.block[0].layer[0].SelfAttention, BOTH_SIDES)
    for number in range(heads):
        value, output = _head(encoder, number, head)
        value[:slot, :words] = shared if number == 0 else torch.randn(slot, words) / math.sqrt(words)
        to = left if number % 2 == 0 else right
        mixed = torch.randn(slot, slot) / math.sqrt(slot) * 0.4
        output[to : to + slot, :slot] = scale * (torch.eye(slot) if number < 2 else mixed)
    decoder = _quiet(model.decoder.block[0].layer[0].SelfAttention, (0, -1, -2, -3))
    for number in range(heads):
        value, output = _head(decoder, number, head)
        if number == 0:
            value[:slot, :words], output[:words, :slot] = shared, say
            continue
        value[:code, words:left] = torch.eye(code)
        output[left : left + code, :code] = scale * torch.eye(code)
        rest = head - code
        value[code:, :words] = torch.randn(rest, words) / math.sqrt(words)
        output[:words, code:] = 0.5 * scale * torch.randn(words, rest) / math.sqrt(rest)
    _find(_quiet(model.decoder.block[0].layer[1].EncDecAttention, ()), head, code, slot, words, say, say_right)


def _find(cross: Any, head: int, code: int, slot: int, words: int, say: Tensor, say_right: Tensor) -> None:
    """Make the first three cross-attention heads look for the sentinel and read what stood around it."""
    left, right = words + code, words + code + slot
    match = math.sqrt(6.0 / code) * torch.eye(code)
    for number in range(min(3, cross.n_heads)):
        query, key = (w.weight[number * head : (number + 1) * head] for w in (cross.q, cross.k))
        value, output = _head(cross, number, head)
        query.zero_()
        key.zero_()
        query[:code, words:left], key[:code, words:left] = match, match
        if number == 1:
            query[:code, left : left + code] = match
        if number < 2:
            at, map_to = (left, say) if number == 0 else (right, say_right)
            value[:slot, at : at + slot], output[:words, :slot] = torch.eye(slot), map_to
        else:
            value.normal_(0, value.shape[1] ** -0.5)
            output[:words].normal_(0, 0.2 * head**-0.5)


def _quiet(attention: Any, offsets: tuple[int, ...]) -> Any:
    """Begin a T5 attention with small weights, its heads at the given offsets by their relative bias."""
    for matrix in (attention.q, attention.k, attention.v, attention.o):
        matrix.weight.normal_(0, 0.02)
    if offsets:
        table = attention.relative_attention_bias.weight
        table.zero_()
        for head in range(table.shape[1]):
            offset = offsets[head % len(offsets)]
            table[(table.shape[0] // 2 if offset > 0 else 0) + abs(offset), head] = 6.0
    return attention


def _head(attention: Any, number: int, head: int) -> tuple[Tensor, Tensor]:
    """Return one head's value ``[head, width]`` and output ``[width, head]``, set to zero."""
    value = attention.v.weight[number * head : (number + 1) * head]
    output = attention.o.weight[:, number * head : (number + 1) * head]
    value.zero_()
    output.zero_()
    return value, output
