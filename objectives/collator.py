"""The collator: the same questions for ``transformers.Trainer`` and a plain ``DataLoader``.

    collator = Collator(SpanCorruption(density=0.15), tokenizer, length=512, seed=0)
    dataset = dataset.map(group_texts, batched=True)          # into examples of collator.block tokens
    Trainer(model, args, train_dataset=dataset, data_collator=collator)

Examples are rows of token ids. The objective frames them, so the special tokens that the tokenizer puts around a
text by itself are taken off. Out come tensors under the names that stock models take, ``labels`` among them, such
that the loss they compute is the mean over the objective's targets.

The noise of an example is looked up, not drawn from a state: it is a function of the seed and of the example's
``id`` (or ``idx``, ``index``, ``example_id``: the first of these that it has), or, if it has none, of its tokens. So
no batch depends on the number of workers, on what else is in it, or on a resume. In the next pass the noise is
another if ids run on over the passes, as those of ``objectives.examples.Examples`` do, or else if ``collator.epoch``
is set before it. The Trainer removes the columns that the model does not take, ``id`` and ``sentences`` too: where
they matter, give it ``remove_unused_columns=False``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from foundation.keys import below, bits, fold
from foundation.refusal import BadData, BadUsage
from objectives import examples as rows_of
from objectives.attention import NAMES, visible
from objectives.batch import IGNORED, Batch
from objectives.examples import Shelf
from objectives.objective import Objective, token

_LENGTH = 512
_DRAWS = 16
_STOPS = (".", "!", "?", "。", "！", "？")
_CLOSING = "\"'”’)]»」』）"
_SPACES = ("Ġ", "▁")
_LOWEST = float(np.finfo(np.float32).min)

Marks = Bool[np.ndarray, "rows _"]
Pieces = Bool[np.ndarray, " size"]


@dataclass(eq=False)
class Collator:
    """Turns examples into what a stock model takes: a list of dicts in, a dict of tensors out.

    An example needs ``input_ids``: a list, an array or a tensor. Where its ``attention_mask`` is 0 at either end is
    padding, which is dropped. ``sentences`` and ``documents`` list where they start, as offsets into ``input_ids``;
    without them a sentence starts behind . ! ? and a document behind ``</s>``, and both where the row does. A document
    that starts with none of the sentences told is the rest of one.
    ``document`` is the number (or the name) of the document that a row begins in; those behind it count on (an
    array: the number at each token). Beside these and its id (see above) nothing is looked at.
    """

    objective: Objective
    """What the model is asked."""
    tokenizer: InitVar[Any]
    """A fast tokenizer of transformers, a tokenizers.Tokenizer or a Vocabulary."""
    length: int | None = None
    """Model positions of the tensors, 512 by default; those of a decoder spend one, because it shifts the labels by
    itself. A special token inside a text can cost one more: `positions` is what the model must have."""
    seed: int = 0
    """Key of the noise."""
    block: int = field(default=0, kw_only=True)
    """Corpus tokens that an example may have, instead of `length`, which by default says them."""
    others: Shelf | None = field(default=None, kw_only=True)
    """Where strangers come from, for objectives that set one beside each text: a list or a dataset of examples."""
    epoch: int = field(default=0, kw_only=True)
    """The pass over the data; set it between passes that should differ in their noise."""
    progress: float = field(default=1.0, kw_only=True)
    """The share of the run that is done, which schedules of noise look at; may be set on the way."""
    order_label: str = field(default="next_sentence_label", kw_only=True)
    """What the model calls the target "order": BERT's name; ALBERT's is sentence_order_label. If a batch holds no
    text that can be asked its order, the stock mean over nothing would be no number; there each text, which stands
    in its own order, is asked to say so (0)."""
    window: int | None = field(default=None, kw_only=True)
    """``config.sliding_window`` of a model with local layers (ModernBERT), for objectives that say who sees whom:
    such a model no longer cuts its window out of a mask that it is given."""
    additive: bool = field(default=False, kw_only=True)
    """Say who sees whom in floats that are added to the scores, as ``attn_implementation="eager"`` needs, and not
    in booleans, which sdpa takes in any precision."""
    vocabulary: Vocabulary = field(init=False)

    def __post_init__(self, tokenizer: Any) -> None:
        """Refuse what does not go together: the numbers, the vocabulary, what a stock model can be given."""
        self.vocabulary = tokenizer if isinstance(tokenizer, Vocabulary) else Vocabulary.of(tokenizer)
        if self.block and self.length is not None:
            raise BadUsage(f"both length {self.length} and block {self.block} are given", "give one of them")
        self._shifted = int(self.objective.shape == "decoder")
        if not self.block:
            self.length = _LENGTH if self.length is None else self.length
            self.block = self.objective.span(self.length - self._shifted)
        self.objective.check(self.vocabulary, self.block)
        name = type(self.objective).__name__
        if self.objective.shape == "encoder-decoder" and self.objective.isolated:
            raise self._one_mask()
        if len(set(self.objective.weights.values())) > 1:
            raise BadUsage(
                f"{name} weighs its targets {self.objective.weights}, stock models weigh them alike",
                "give equal weights, or use the pretrain command, which honours them",
            )
        if self.objective.strangers and (self.others is None or len(self.others) == 0):
            raise BadUsage(f"{name} sets a stranger beside each text", "give others=, a list or a dataset of examples")
        self._frame = rows_of.Frame.of(self.vocabulary)
        self._stops, self._glued, self._closing = _stops(self.vocabulary)
        spaced = np.array([piece[:1] in _SPACES for piece in self.vocabulary.pieces])  # as a quotation mark can be
        self._opens = self.vocabulary.word_start | spaced

    @property
    def positions(self) -> int:
        """The most positions that a tensor can have, whatever stands in the examples."""
        return self.objective.reach(self.block) + self._shifted

    def __call__(self, features: Sequence[Any]) -> dict[str, Any]:
        """Return the inputs of the model and its ``labels`` for some examples.

        Raises:
            BadData: naming the example that is too long, or holds what is no id of the vocabulary, or is none.
        """
        import torch

        if len(features) == 0:
            raise BadData("a batch without examples", "give at least one")
        if not 0 <= self.progress <= 1:
            raise BadUsage(f"progress {self.progress} is no share of a run", "set a number between 0 and 1")
        blocks, said = self._blocks(features, "example")
        if self.objective.strangers:
            free = np.array([feature.get("document") is None for feature in features])
            blocks.others = self._strangers(blocks.keys, said, free)
        batch = self.objective.collate(blocks, self.vocabulary)
        if (batch.targets["tokens"] == IGNORED).all():
            raise BadData(f"{len(features)} examples hold no word to ask for", "leave out examples without words")
        arrays = self._arrays(batch)
        tensors: dict[str, Any] = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
        seen = tensors["attention_mask"]
        if self.window is not None and seen.ndim == 4:
            places = torch.arange(seen.shape[-1])
            far = (places[:, None] - places).abs() > self.window
            near = seen.masked_fill(far, _LOWEST if self.additive else False)
            tensors["attention_mask"] = {"full_attention": seen, "sliding_attention": near}
        return tensors

    def _blocks(self, features: Sequence[Any], what: str) -> tuple[Blocks, UInt64[np.ndarray, " rows"]]:
        """Return the examples as an objective reads them, and a number for what each says."""
        rows = [rows_of.read(feature, f"{what} {i}", self._frame) for i, feature in enumerate(features)]
        lengths = np.array([len(row.ids) for row in rows], dtype=np.int64)
        if lengths.max() > self.block:
            long = int(np.argmax(lengths > self.block))
            raise BadData(
                f"{what} {long} has {lengths[long]} tokens, the limit is {self.block}",
                "cut the texts into examples of collator.block tokens",
            )
        width = self.block if self.objective.strangers else max(1, int(lengths.max()))  # strangers are as wide
        inside = np.arange(width) < lengths[:, None]
        ids = np.full(inside.shape, token(self.vocabulary, "pad"), dtype=np.int64)
        ids[inside] = np.concatenate([row.ids for row in rows])
        if ids.min() < 0 or ids.max() >= self.vocabulary.size:
            row, place = np.argwhere((ids < 0) | (ids >= self.vocabulary.size))[0]
            raise BadData(
                f"{what} {row} holds the id {ids[row, place]}, the vocabulary ends at {self.vocabulary.size - 1}",
                "give the tokenizer that made the ids",
            )
        said = rows_of.contents(ids, inside)
        blocks = Blocks(
            ids,
            lengths,
            lambda: rows_of.marks("sentences", features, rows, inside, lambda: self._sentences(ids) | blocks.documents),
            lambda: rows_of.marks("documents", features, rows, inside, lambda: self._documents(ids)),
            rows_of.keys(self.seed, self.epoch, features, said),
            progress=np.full(len(rows), float(self.progress)),
            texts=rows_of.documents(features, said, width),
        )
        return blocks, said

    def _strangers(
        self, keys: UInt64[np.ndarray, " rows"], said: UInt64[np.ndarray, " rows"], free: Bool[np.ndarray, " rows"]
    ) -> Blocks:
        """Return for each row an example from elsewhere, drawn by its key; again, if a free one says the same.

        The others tell their document, by which the objective knows a stranger that is none.
        """
        assert self.others is not None
        first = fold(keys, "others")  # as a run draws it
        drawn = below(len(self.others), np.concatenate([first[:, None], bits(first, _DRAWS - 1)], axis=1))
        chosen = drawn[:, 0]
        for turn in range(1, _DRAWS + 1):
            found, says = self._blocks([self.others[int(number)] for number in chosen], "stranger")
            same = (says == said) & free
            if turn == _DRAWS or not same.any():
                return found
            chosen = np.where(same, drawn[:, turn], chosen)
        raise AssertionError

    def _sentences(self, ids: Int64[np.ndarray, "rows _"]) -> Marks:
        """Return where sentences start as far as the tokens tell: behind a stop, where a word begins."""
        found = np.ones(ids.shape, dtype=bool)
        here, ordinary = ids[:, 1:], self.vocabulary.ordinary[ids]
        stops, glued, closing = self._stops[ids], self._glued[ids], self._closing[here] & ordinary[:, :-1]
        stops[:, 1:] |= stops[:, :-1] & closing
        glued[:, 1:] |= glued[:, :-1] & closing
        found[:, 1:] = ((stops[:, :-1] & self._opens[here]) | glued[:, :-1]) & ordinary[:, 1:]
        return found

    def _documents(self, ids: Int64[np.ndarray, "rows _"]) -> Marks:
        """Return where documents start as far as the tokens tell: behind the end of another."""
        found = np.ones(ids.shape, dtype=bool)
        eos = self.vocabulary.eos
        found[:, 1:] = False if eos is None else ids[:, :-1] == eos
        return found

    def _arrays(self, batch: Batch) -> dict[str, np.ndarray]:
        """Return a batch under the names of transformers, who sees whom as one mask."""
        inputs: dict[str, np.ndarray] = dict(batch.inputs)
        labels = batch.targets["tokens"]
        inputs.setdefault("attention_mask", np.ones_like(inputs["input_ids"]))
        if self._shifted:  # these models compare what position t says with label t + 1, so padding follows
            pad = token(self.vocabulary, "pad")
            for name, array in inputs.items():
                if array.ndim == 2:
                    inputs[name] = np.pad(array, ((0, 0), (0, 1)), constant_values=pad if name == "input_ids" else 0)
            labels = np.pad(labels, ((0, 0), (1, 0)), constant_values=IGNORED)
        seen = visible(inputs, np.arange, shape=self.objective.shape)
        if "cross" in seen:
            raise self._one_mask()
        found = {name: array for name, array in inputs.items() if name not in NAMES}
        if seen:
            mask = seen["self"]
            found["attention_mask"] = np.where(mask, 0, _LOWEST).astype(np.float32) if self.additive else mask
        found["labels"] = labels
        if "order" in batch.targets:
            order = batch.targets["order"]
            found[self.order_label] = np.zeros_like(order) if (order == IGNORED).all() else order
        return found

    def _one_mask(self) -> BadUsage:
        return BadUsage(
            f"{type(self.objective).__name__}: a stock encoder-decoder takes one mask for what its encoder and its "
            "decoder see, so documents cannot be isolated",
            "give isolated=False, or use the pretrain command, which isolates them",
        )


def _stops(vocabulary: Vocabulary) -> tuple[Pieces, Pieces, Pieces]:
    """Return of each piece whether a sentence ends with it before a new word, before anything, and if it only closes.

    The second are special tokens that stand between texts, and stops of scripts that put no space behind them; the
    third are quotation marks and brackets, which belong to the sentence whose stop they follow.
    """
    shown = vocabulary.tokenizer.decode_batch([[number] for number in range(vocabulary.size)])
    ends = [text.rstrip().rstrip(_CLOSING)[-1:] for text in shown]
    stops = np.array([end in _STOPS[:3] for end in ends]) & vocabulary.ordinary
    glued = np.array([end in _STOPS[3:] for end in ends]) & vocabulary.ordinary
    inside = [number for number in (vocabulary.unk, vocabulary.mask) if number is not None]
    between = ~vocabulary.ordinary
    between[inside] = False
    closing = np.array([text != "" and not text.strip(_CLOSING) for text in shown]) & vocabulary.ordinary
    return stops, glued | between, closing
