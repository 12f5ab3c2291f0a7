"""What an objective is: a frozen dataclass of numbers with pure methods.

An objective is *arrangement ∘ noise ∘ two projections*: the tokens of a block are put in some order, some are hit,
and two projections of the result are what the model is given (*asked*) and what it must say (*answer*). The
dataclass is its own configuration: its numbers are the flags of the command and what a checkpoint records.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Int

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from foundation.refusal import BadUsage
from objectives.batch import IGNORED, Batch, merge
from objectives.noise import Grid, Rows, Text, within
from objectives.weaving import Side

Shape = Literal["encoder", "decoder", "encoder-decoder"]
Ids = Int[np.ndarray, " _"]
Mode = Literal["", "nlu", "nlg", "s2s"]
"""One of UL2's mode tokens, or none."""


@dataclass(frozen=True)
class Frame:
    """The special tokens around a text, by their role in the vocabulary (``cls``, ``bos``, …)."""

    before: str | None = None
    """In front of the text."""
    between: str | None = None
    """Between the two texts of a pair."""
    after: str | None = None
    """Behind the text, and behind both texts of a pair."""
    start: str | None = None
    """What the decoder of an encoder-decoder begins with."""


@dataclass(frozen=True, kw_only=True)
class Objective(ABC):
    """The protocol of all objectives; a subclass adds its numbers and says how rows become batches."""

    shape: ClassVar[Shape]
    """The shape of the models that can learn it."""
    weights: ClassVar[dict[str, float]] = {"tokens": 1.0}
    """The roles of its targets, and the weight of each in the loss."""
    needs: ClassVar[tuple[str, ...]]
    """What it needs from a vocabulary: ``mask``, ``sentinels``, ``cls`` …"""
    frame: ClassVar[Frame]
    """How it frames a text; fine-tuning frames texts alike."""
    strangers: ClassVar[bool] = False
    """Whether each row needs a block from elsewhere beside it (``Blocks.others``)."""
    reads: ClassVar[Literal["forward", "both"]] = "forward"
    """For decoders: whether a finished model reads a text from left to right, or all of it at once."""

    isolated: bool = False
    """Hide the documents of a block from each other."""

    @abstractmethod
    def positions(self, block: int) -> int:
        """Return the model positions of an example of `block` corpus tokens without special tokens inside."""

    def reach(self, block: int) -> int:
        """Return the most positions that either side of an example of `block` corpus tokens can take."""
        return self.positions(block)

    def span(self, length: int) -> int:
        """Return the corpus tokens behind an example that fills `length` positions, the inverse of ``positions``.

        Raises:
            BadUsage: if not even one corpus token fits.
        """
        if self.positions(1) > length:
            raise BadUsage(f"--length {length} holds no example", f"the least is {self.positions(1)}")
        fits, beyond = 1, 2
        while self.positions(beyond) <= length:
            fits, beyond = beyond, 2 * beyond
        while beyond - fits > 1:
            middle = (fits + beyond) // 2
            fits, beyond = (middle, beyond) if self.positions(middle) <= length else (fits, middle)
        return fits

    @abstractmethod
    def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return what the rows of `blocks` ask and answer; row i depends on nothing but row i."""

    @classmethod
    def together(cls, members: Sequence[Any], which: Rows, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return one batch in which row i is asked by ``members[which[i]]``: what mixtures are made of.

        An objective that can draw for rows of different numbers at once overrides it, and is as fast as alone.
        """
        parts = [(np.flatnonzero(which == number), member) for number, member in enumerate(members)]
        batches = [(rows, member.collate(blocks.take(rows), vocabulary)) for rows, member in parts if len(rows)]
        return merge(batches, token(vocabulary, "pad"))

    @abstractmethod
    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return the corpus tokens of each row, read from the inputs and targets alone: nothing is lost."""

    @abstractmethod
    def pose(self, ids: Ids, noise: Bool[np.ndarray, " tokens"], vocabulary: Vocabulary) -> tuple[Ids, Ids]:
        """Return, unframed, what is asked and answered of one row when exactly the tokens in `noise` are hit."""

    def check(self, vocabulary: Vocabulary, block: int) -> None:
        """Refuse a vocabulary or a block that this objective cannot work with.

        Raises:
            BadUsage: naming what is missing, or the number, its limit and the remedy.
        """
        for need in self.needs:
            found = getattr(vocabulary, need)
            if found is None or (need == "sentinels" and len(found) == 0):
                raise BadUsage(
                    f"the vocabulary has no {need} token, which {type(self).__name__} needs",
                    "use a vocabulary made by `corpora build`, which reserves all special tokens",
                )
        if block < 2:
            raise BadUsage(f"--block {block} is too short", "give at least 2 corpus tokens per example")


def check_rates(objective: Objective, **rates: float) -> None:
    """Refuse rates outside [0, 1].

    Raises:
        BadUsage: naming the field, the value and the limits.
    """
    for name, value in rates.items():
        if not 0 <= value <= 1:
            raise BadUsage(
                f"{type(objective).__name__}: {name} = {value} is not a share", "give a number between 0 and 1"
            )


def check_mode(mode: Mode, vocabulary: Vocabulary) -> None:
    """Refuse a vocabulary without the mode token that is named.

    Raises:
        BadUsage: naming the token.
    """
    if mode and getattr(vocabulary, mode) is None:
        raise BadUsage(
            f"the vocabulary has no <{mode}> token, which mode = {mode!r} needs",
            "use a vocabulary made by `corpora build`, which reserves all special tokens, or leave the mode out",
        )


def token(vocabulary: Vocabulary, role: str) -> int:
    """Return the id of the special token with this role, which ``check`` has found to be there."""
    return int(getattr(vocabulary, role))


def ids_of(vocabulary: Vocabulary, *roles: str | None) -> list[int]:
    """Return the ids of the special tokens with these roles; a role that is None gives nothing."""
    return [token(vocabulary, role) for role in roles if role is not None]


def text_of(blocks: Blocks, vocabulary: Vocabulary) -> Text:
    """Return the ordinary tokens of blocks."""
    ordinary = vocabulary.is_ordinary(blocks.ids)
    if blocks.lengths.min(initial=ordinary.shape[1]) < ordinary.shape[1]:
        ordinary &= within(blocks.lengths, ordinary.shape[1])
    return Text(ordinary)


def with_attention(inputs: dict[str, np.ndarray], rows: Side | Rows) -> dict[str, np.ndarray]:
    """Return the inputs of rows (or of their lengths), with an attention mask where some row is padded."""
    width, lengths = inputs["input_ids"].shape[1], rows.lengths if isinstance(rows, Side) else rows
    if lengths.min(initial=width) < width:
        inside = rows.inside if isinstance(rows, Side) else within(rows, width)
        inputs["attention_mask"] = inside.astype(np.int64)
    return inputs


def answered(labels: Grid, start: int, pad: int) -> Grid:
    """Return what is known when each label is asked: `start`, then the labels up to the one before."""
    given = np.empty_like(labels)
    given[:, 0:1] = start
    given[:, 1:] = labels[:, :-1]
    given[given == IGNORED] = pad
    return given


def numbers(blocks: Blocks) -> Grid:
    """Return the number of the document of each place of blocks."""
    return np.cumsum(blocks.documents, axis=1)


def framed_numbers(blocks: Blocks, before: int, after: int) -> Grid:
    """Return the number of the document of each position of blocks that are framed by so many marks, −1 at padding.

    A mark of the frame belongs to the document that it stands beside.
    """
    framed = blocks.lengths + before + after
    width = int(framed.max(initial=0))
    places = np.clip(np.arange(width) - before, 0, np.maximum(blocks.lengths - 1, 0)[:, None])
    return np.where(within(framed, width), np.take_along_axis(numbers(blocks), places, axis=1), -1)


def numbers_of(side: Side, numbers: Grid) -> Grid:
    """Return the number of the document of each position of new rows, −1 at padding, from those of the old rows."""
    return np.where(side.inside, numbers.ravel().take(side.places, mode="clip"), -1)
