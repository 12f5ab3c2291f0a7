"""First weights that look near: attention begins at neighbouring tokens, the output at the frequencies of words.

A small model on little text spends most of a short budget on a plateau at the unigram entropy: it has to discover
that *position* matters before anything else can be learned. These weights begin behind that discovery. They change
nothing about the architecture, the loss or the checkpoint, only where training starts (docs/recipes.md has the
figures with each part and without it). ``--first-weights stock`` begins as transformers does.

1. Word embeddings get a standard deviation of 0.08 instead of 0.02, so that words can be told apart at once.
2. The last dimensions of the width belong to position: words are zero there, positions are sinusoids
   (Vaswani et al. 2017, §3.5). The query of a first-layer head is the position turned by an offset, its key the
   position itself, so that head h looks at the token at offset h: −1, +1, −2, +2 in an encoder, −1, −2, −3, 0 in a
   decoder. T5 has relative positions: there the bias of the offset's bucket is raised.
3. Values and outputs of attention begin at 1/√width, large enough to be heard beside the words.
4. In BART, whose answer is mostly the text that it was given, the last cross-attention begins as an induction head
   (Olsson et al. 2022): it looks where the encoder saw the words that the decoder has just said, and copies.
5. The output bias begins at the log frequency of each word in the corpus (Karpathy 2019, "init well").
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

WORD = 0.08
SHARPNESS = 10.0
"""Logit by which a head prefers its offset at the start."""
BOTH_SIDES = (-1, 1, -2, 2)
BEFORE = (-1, -2, -3, 0)


@torch.no_grad()
def near(model: Any) -> None:
    """Give a model of a known family first weights that look near, from torch's current random state."""
    kind = model.config.model_type
    if kind == "bert":
        _bert(model)
    elif kind == "gpt2":
        _gpt2(model)
    elif kind in ("bart", "mbart"):
        _bart(model)
    elif kind == "t5":
        _t5(model)


@torch.no_grad()
def begin_at(model: Any, frequencies: Tensor) -> None:
    """Make a model's first answer the frequencies of words ``[vocabulary]``, where its class has a place for it."""
    log = torch.log(frequencies)
    kind = model.config.model_type
    if kind == "bert":
        model.cls.predictions.bias.copy_(log)
        model.cls.predictions.decoder.bias.copy_(log)
    elif kind == "modernbert":
        model.decoder.bias.copy_(log)
    elif kind in ("bart", "mbart"):
        model.final_logits_bias.copy_(log[None])
    elif kind == "gpt2":  # no bias: one constant dimension of the last norm reads the first embedding column
        centred, constant = log - log.mean(), 11.0
        model.transformer.wte.weight[:, 0] = centred / constant
        model.transformer.ln_f.weight[0] = 0
        model.transformer.ln_f.bias[0] = constant


class _Waves:
    """Sinusoids of geometric frequencies over some dimensions, and the turn that moves them by an offset."""

    def __init__(self, dimensions: int, amplitude: float) -> None:
        fastest, slowest = math.log(0.9 * math.pi), math.log(2 * math.pi / 260)
        self.frequencies = torch.exp(torch.linspace(fastest, slowest, dimensions // 2))
        self.amplitude = amplitude

    def table(self, positions: int) -> Tensor:
        angles = torch.arange(positions)[:, None].float() * self.frequencies
        return self.amplitude * torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)

    def turn(self, offset: int) -> Tensor:
        """Return R with R · p[i] = p[i + offset]."""
        cosine, sine = torch.cos(self.frequencies * offset), torch.sin(self.frequencies * offset)
        half = torch.diag(cosine)
        return torch.cat([torch.cat([half, -torch.diag(sine)], 1), torch.cat([torch.diag(sine), half], 1)])


def _look(query: Tensor, key: Tensor, offsets: tuple[int, ...], head: int, at: int, waves: _Waves, norm: float) -> None:
    """Make head h look at offset h. `query` and `key` are ``[width out, width in]``; the waves stand from
    dimension `at`, and the norm in front of the attention multiplies them by `norm`."""
    size = 2 * len(waves.frequencies)
    power = size / 2 * (waves.amplitude * norm) ** 2
    scale = math.sqrt(SHARPNESS * math.sqrt(head) / power)
    for number in range(query.shape[0] // head):
        here = slice(number * head, number * head + size)
        whole = slice(number * head, (number + 1) * head)
        query[whole], key[whole] = 0, 0
        query[here, at : at + size] = scale * waves.turn(offsets[number % len(offsets)])
        key[here, at : at + size] = scale * torch.eye(size)


def _words(words: Tensor, positions: list[Tensor], width: int, place: slice) -> tuple[_Waves, float]:
    """Fill word and position embeddings; return the waves, and by how much a norm multiplies the sum of both."""
    size = place.stop - place.start
    waves = _Waves(size, WORD * math.sqrt(2))
    words.normal_(0, WORD)
    words[:, place.start :] = 0
    for table in positions:
        table.zero_()
        table[:, place] = waves.table(len(table))
    return waves, math.sqrt(width / (place.start * WORD**2 + size / 2 * waves.amplitude**2))


def _heard(value: Tensor, output: Tensor, width: int, at: int, gain: float = 1.0) -> None:
    """Give values and outputs their size; what they write leaves the position dimensions alone."""
    value.normal_(0, width**-0.5)
    output.normal_(0, gain * width**-0.5)
    output[at:] = 0


def _bert(model: Any) -> None:
    width, head = model.config.hidden_size, model.config.hidden_size // model.config.num_attention_heads
    at, embeddings = width - head, model.bert.embeddings
    tables = [embeddings.position_embeddings.weight]
    waves, norm = _words(embeddings.word_embeddings.weight, tables, width, slice(at, width))
    for number, layer in enumerate(model.bert.encoder.layer):
        attention = layer.attention.self
        if number == 0:
            _look(attention.query.weight, attention.key.weight, BOTH_SIDES, head, at, waves, norm)
        _heard(attention.value.weight, layer.attention.output.dense.weight, width, at)


def _gpt2(model: Any) -> None:
    width, head = model.config.n_embd, model.config.n_embd // model.config.n_head
    at, trunk = width - head, model.transformer
    waves, norm = _words(trunk.wte.weight, [trunk.wpe.weight], width, slice(at, width))
    for number, layer in enumerate(trunk.h):
        query, key, value = layer.attn.c_attn.weight.t().split(width)  # Conv1D keeps [in, out]
        if number == 0:
            _look(query, key, BEFORE, head, at, waves, norm)
        _heard(value, layer.attn.c_proj.weight.t(), width, at, gain=WORD)


def _bart(model: Any) -> None:
    """As above, with dimensions for *signatures*: a fixed random projection of a neighbour's word."""
    config, trunk = model.config, model.model
    width, head = config.d_model, config.d_model // config.encoder_attention_heads
    signature, size = head // 2, 3 * head // 4 // 2 * 2
    signed, at = width - head, width - head - size
    tables = [side.embed_positions.weight[2:] for side in (trunk.encoder, trunk.decoder)]
    waves, norm = _words(trunk.shared.weight, tables, width, slice(at, signed))
    first, second = (torch.randn(signature, at) / (math.sqrt(at) * WORD * norm) for _ in range(2))
    for side, offsets in ((trunk.encoder, BOTH_SIDES), (trunk.decoder, BEFORE)):
        for number, layer in enumerate(side.layers):
            attention = layer.self_attn
            if number == 0:
                _look(attention.q_proj.weight, attention.k_proj.weight, offsets, head, at, waves, norm)
            _heard(attention.v_proj.weight, attention.out_proj.weight, width, at)
            layer.fc2.weight[at:] = 0
            if side is trunk.decoder:
                _heard(layer.encoder_attn.v_proj.weight, layer.encoder_attn.out_proj.weight, width, at)
            elif number == 0:  # the words before and behind sign each position of the encoder
                _sign(attention, 0, head, first, signed)
                _sign(attention, 1, head, second, signed + signature)
    # A word that the decoder said signs as "before" (head 0 looks at −1), as the encoder's words do: where the two
    # words said last stand one after the other in the given text, the word behind them is the one to say.
    _sign(trunk.decoder.layers[0].self_attn, 0, head, second, signed + signature)
    _copy(trunk.decoder.layers[-1].encoder_attn, head, first, signed, at)


def _sign(attention: Any, number: int, head: int, signature: Tensor, to: int) -> None:
    """Make a head write the signature of what it looks at into the dimensions from `to`."""
    size, words = signature.shape
    attention.v_proj.weight[number * head : number * head + size] = 0
    attention.v_proj.weight[number * head : number * head + size, :words] = signature
    attention.out_proj.weight[:, number * head : number * head + size] = 0
    attention.out_proj.weight[to : to + size, number * head : number * head + size] = torch.eye(size)


def _copy(attention: Any, head: int, first: Tensor, signed: int, words: int) -> None:
    """Make all heads but the last look where the signatures agree, and copy the word that stands there."""
    half = len(first)
    scale = math.sqrt(9.0 * math.sqrt(head) / (2 * half))
    for number in range(attention.num_heads - 1):
        rows = slice(number * head, (number + 1) * head)
        query, key = attention.q_proj.weight[rows], attention.k_proj.weight[rows]
        query.zero_()
        key.zero_()
        query[:half, :words] = first * scale
        query[half : 2 * half, signed + half : signed + 2 * half] = torch.eye(half) * scale
        key[: 2 * half, signed : signed + 2 * half] = torch.eye(2 * half) * scale
        count = min(head, words - number * head)
        if count > 0:
            place = slice(number * head, number * head + count)
            attention.v_proj.weight[place] = 0
            attention.v_proj.weight[place, place] = torch.eye(count)
            attention.out_proj.weight[:, place] = 0
            attention.out_proj.weight[place, place] = torch.eye(count)


def _t5(model: Any) -> None:
    """Make the decoder find, behind each sentinel, what stood around it in the given text.

    The width is cut into words, a code for sentinels, and two slots: what is left, what is right. Encoder heads
    write the neighbours of each position into the slots. Cross-attention heads look where the sentinel's code is
    the same, for the first hidden word by its own input, for later ones by the code that self-attention carries
    on, and read the slots. One map from "the word before" to "the word to say" is shared by the encoder's left slot
    and the decoder's last word, so that what either learns serves both.
    """
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
