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

from pretrain import weights_t5

WORD = 0.08
SHARPNESS = 10.0
"""Logit by which a head prefers its offset at the start."""
BOTH_SIDES = weights_t5.BOTH_SIDES
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
    elif kind == "llama":
        _llama(model)
    elif kind == "t5":
        weights_t5.near(model)


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
    elif kind == "llama":
        _begin_llama(model, log)
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


def _llama(model: Any) -> None:
    """As GPT-2. Rotations know distances only: a query and a key that are the same everywhere, one turned by an
    offset, prefer that distance. What is the same everywhere is one dimension of all word embeddings."""
    config, trunk = model.config, model.model
    width, head = config.hidden_size, config.head_dim
    same = width - 1
    words = trunk.embed_tokens.weight
    words.normal_(0, WORD)
    words[:, same] = WORD * math.sqrt(width)
    fast = min(head // 2, 6)  # slow rotations tell near from far, not one neighbour from the next
    frequencies = trunk.rotary_emb.inv_freq[:fast].float().cpu()
    told = (1 - torch.cos(frequencies)).sum().item()
    scale = math.sqrt(SHARPNESS / 2 * math.sqrt(head) / told) / math.sqrt(width / 2)
    for number, layer in enumerate(trunk.layers):
        attention = layer.self_attn
        if number == 0:
            query, key = attention.q_proj.weight, attention.k_proj.weight
            query.zero_()
            key.zero_()
            for place in range(config.num_attention_heads):
                offset, at = BEFORE[place % len(BEFORE)], place * head
                key[at : at + fast, same] = scale
                query[at : at + fast, same] = scale * torch.cos(frequencies * offset)
                query[at + head // 2 : at + head // 2 + fast, same] = scale * torch.sin(frequencies * offset)
        _heard(attention.v_proj.weight, attention.o_proj.weight, width, same, gain=WORD)
        layer.mlp.down_proj.weight[same] = 0


def _begin_llama(model: Any, log: Tensor) -> None:
    """Nothing adds a constant to the output: the last attention carries one to a dimension that is the first column
    of the embeddings, where it is read against the frequencies."""
    attention, same = model.model.layers[-1].self_attn, model.config.hidden_size - 1
    attention.v_proj.weight[0] = 0
    attention.v_proj.weight[0, same] = 1.0
    attention.o_proj.weight[:, 0] = 0
    attention.o_proj.weight[0] = 0
    attention.o_proj.weight[0, 0] = 0.5
    words, norm = model.model.embed_tokens.weight, model.model.norm.weight
    norm[0] = 8.0  # so that small numbers do in the column
    words[:, 0] = 0
    level = model.model(torch.arange(8)[None]).last_hidden_state[..., 0].mean()
    words[:, 0] = (log - log.mean()) / level


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
