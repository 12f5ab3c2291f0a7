"""Examples: rows of token ids as dicts, as a Trainer and a DataLoader pass them on.

``Examples`` are those of a corpus, in the order and with the noise of a run of the pretrain command: item i is what
stands at position i of the run. The rest of this module reads the examples of anyone: where an example begins and
ends, and the key of its noise.
"""

from __future__ import annotations

import functools
import operator
from collections import UserDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from corpora import blocks
from corpora.packing import Packing, packed
from corpora.part import Part
from corpora.vocabulary import Vocabulary
from foundation.keys import at, fold, order
from foundation.refusal import BadData, BadUsage

Example = Mapping[str, Any]
Ids = Int64[np.ndarray, " tokens"]

IDS = ("id", "idx", "index", "example_id")
"""The keys under which an example may carry the number or the name that its noise is looked up by; the first wins."""


@runtime_checkable
class Shelf(Protocol):
    """Examples by number: a list, a datasets.Dataset, ``Examples``."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Any: ...


class Item(UserDict[str, Any]):
    """An example that is a mapping, but no dict: from those the Trainer removes what the model does not take."""


@dataclass(frozen=True, eq=False)
class Examples:
    """The blocks of a part of a corpus as a map-style dataset: ``passes`` times all of them, each pass in its order.

    Ids run on over the passes, so each pass has other noise. Shuffled or not, an example is asked the same.
    """

    part: Part
    """What is read."""
    block: int
    """Corpus tokens per example."""
    seed: int | None = 0
    """Key of the order; None for the order of the corpus, in which strangers are drawn (``Collator.others``)."""
    passes: int = 1
    """How often each block is read."""
    packing: str = "stream"
    """How documents stand in blocks (``corpora.packing``)."""

    def __post_init__(self) -> None:
        """Refuse an empty part and numbers that cannot be."""
        if self.block < 1 or self.passes < 1:
            raise BadUsage(f"block {self.block}, passes {self.passes}: one of them is below 1")
        if not len(self.part):
            raise BadData(f"the part {self.part.name} of the corpus is empty", "build it with more documents in it")

    @functools.cached_property
    def table(self) -> Packing:
        """Which pieces of the part stand in which example."""
        return packed(self.part, self.block, self.packing)

    @property
    def blocks(self) -> int:
        """Blocks in one pass."""
        return len(self.table)

    def __len__(self) -> int:
        return self.passes * self.blocks

    def __getitem__(self, position: int) -> Item:
        """Return the example at a position, counted from the end if it is negative."""
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: Sequence[int]) -> list[Item]:
        """Return the examples at some positions: one look-up for all, which DataLoaders ask for.

        Raises:
            IndexError: if a position is outside the passes.
        """
        total = len(self)
        wanted = np.array([operator.index(position) for position in positions], dtype=np.int64)
        if wanted.size and (wanted.min() < -total or wanted.max() >= total):
            raise IndexError(f"a position outside [0, {total})")
        wanted %= total
        indices = self._indices(wanted)
        found = blocks.gather(self.part, self.table, indices, wanted.astype(np.uint64), 0)
        assert found.texts is not None
        return [
            Item(
                input_ids=found.ids[row, :length],
                id=position,
                document=found.texts[row, :length] if found.texts.ndim == 2 else int(found.texts[row]),
                sentences=np.flatnonzero(found.sentences[row]),
                documents=np.flatnonzero(found.documents[row]),
            )
            for row, (position, length) in enumerate(zip(wanted.tolist(), found.lengths.tolist(), strict=True))
        ]

    def _indices(self, positions: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
        epochs, within = np.divmod(positions, self.blocks)
        if self.seed is None:
            return within
        found = np.empty_like(within)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            found[here] = order(fold(self.seed, "order", int(epoch)), self.blocks, within[here])
        return found


class Row(NamedTuple):
    """The text of an example: its tokens, how many stood before them in ``input_ids``, and how many these are."""

    name: str
    ids: Ids
    cut: int
    given: int


class Frame(NamedTuple):
    """The ids that a tokenizer puts around a text by itself."""

    before: list[int]
    after: list[int]

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> Frame:
        """Find it out by looking at a text of one letter."""
        found = vocabulary.tokenizer.encode("a")
        text = [place for place, added in enumerate(found.special_tokens_mask) if not added]
        return cls(found.ids[: text[0]], found.ids[text[-1] + 1 :]) if text else cls([], [])


def read(example: Any, name: str, frame: Frame) -> Row:
    """Return the text of an example without padding, and without the frame if exactly that stands around it.

    Raises:
        BadData: naming the example and what is wrong with it.
    """
    if not isinstance(example, Mapping) or "input_ids" not in example:
        found = f"has {', '.join(map(str, example)) or 'nothing'}" if isinstance(example, Mapping) else "is no dict"
        raise BadData(f"{name} {found}: there are no input_ids", "tokenize the texts: tokenizer(text) gives input_ids")
    ids = _numbers(example["input_ids"], name, "input_ids")
    first, last = 0, len(ids)
    if example.get("attention_mask") is not None:
        mask = _numbers(example["attention_mask"], name, "attention_mask")
        if len(mask) != len(ids):
            raise BadData(f"{name} has {len(ids)} input_ids and an attention_mask of {len(mask)}", "tokenize it again")
        real = np.flatnonzero(mask)
        first, last = (int(real[0]), int(real[-1]) + 1) if real.size else (0, 0)
    row = ids[first:last]
    before, after = len(frame.before), len(frame.after)
    whole = row[: len(row) - after]
    if len(whole) >= before and row[:before].tolist() == frame.before and row[len(whole) :].tolist() == frame.after:
        return Row(name, whole[before:], first + before, len(ids))
    return Row(name, row, first, len(ids))


def _numbers(values: Any, name: str, key: str) -> Ids:
    """Return a list, an array or a tensor of whole numbers as an array."""
    found = np.asarray(values)
    if found.size == 0 and found.ndim == 1:
        return np.zeros(0, dtype=np.int64)
    if found.ndim != 1 or found.dtype.kind not in "iub":
        raise BadData(
            f"{name}: {key} of shape {list(found.shape)} and type {found.dtype} is no list of whole numbers",
            "give one row of token ids per example",
        )
    return found.astype(np.int64)


def marks(
    key: str,
    examples: Sequence[Example],
    rows: Sequence[Row],
    inside: Bool[np.ndarray, "rows width"],
    otherwise: Callable[[], Bool[np.ndarray, "rows width"]],
) -> Bool[np.ndarray, "rows width"]:
    """Return where something starts: as an example's list under `key` says, or by `otherwise` where it has none.

    Offsets count from the start of ``input_ids``; one before the text is its start, one behind it is nothing.

    Raises:
        BadData: if an offset is outside ``input_ids``.
    """
    listed = [number for number, example in enumerate(examples) if example.get(key) is not None]
    found = np.zeros_like(inside) if len(listed) == len(rows) else otherwise() & inside
    for number in listed:
        row, starts = rows[number], _numbers(examples[number][key], rows[number].name, key)
        if starts.size and (starts.min() < 0 or starts.max() >= row.given):
            wrong = starts[(starts < 0) | (starts >= row.given)][0]
            raise BadData(
                f"{row.name}: {key} names the offset {wrong}, the row has {row.given} tokens",
                "give offsets into input_ids",
            )
        starts = np.maximum(starts - row.cut, 0)
        found[number] = False
        found[number, starts[starts < len(row.ids)]] = True
    return found


def contents(
    ids: Int64[np.ndarray, "rows width"], inside: Bool[np.ndarray, "rows width"]
) -> UInt64[np.ndarray, " rows"]:
    """Return a number for what each row says: of its tokens and their places, not of padding or its neighbours."""
    said = at(fold("content", ids), np.broadcast_to(np.arange(ids.shape[1]), ids.shape))
    return fold("contents", inside.sum(axis=1), np.sum(said, axis=1, where=inside, dtype=np.uint64))


def keys(
    seed: int, epoch: int, examples: Sequence[Example], said: UInt64[np.ndarray, " rows"]
) -> UInt64[np.ndarray, " rows"]:
    """Return the key of the noise of each example: by its number or name, or by what it says if it has none.

    By its number it is that of a position of a run (``objectives.feed``), for epoch 0.
    """
    found = fold(seed, "content", said)
    for row, example in enumerate(examples):
        name = next((example[key] for key in IDS if example.get(key) is not None), None)
        if name is not None:
            found[row] = fold(seed, "noise", _word(name, row))
    return fold(found, "epoch", epoch) if epoch else found


def _word(name: Any, row: int) -> int:
    if isinstance(name, str):
        return int(fold("name", name))
    try:
        return operator.index(name)
    except TypeError:
        raise BadData(
            f"example {row}: the id {name!r} is neither a whole number nor a string", "number the examples"
        ) from None


def documents(
    examples: Sequence[Example], said: UInt64[np.ndarray, " rows"], width: int
) -> Int64[np.ndarray, "*shape"]:
    """Return a number for the document that each example begins in: what its ``document`` tells, or what it says.

    Where examples tell a number for each token, it is one for each place.
    """
    told = [numbers for example in examples if isinstance(numbers := example.get("document"), np.ndarray)]
    if told and len(told) == len(examples):
        places = np.zeros((len(told), width), dtype=np.int64)
        for row, numbers in zip(places, told, strict=True):
            row[: len(numbers)] = numbers
        return places
    found = (said >> np.uint64(2)).astype(np.int64)  # room to count on
    for row, example in enumerate(examples):
        if example.get("document") is not None:
            found[row] = _word(example["document"], row) >> 2 * isinstance(example["document"], str)
    return found
