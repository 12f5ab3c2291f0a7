"""T5 span corruption (Raffel et al. 2020, §3.1.4; counts and masks as in the released preprocessors).

    text     Thank you for inviting me to your party last week.
    noise              ^^^ ^^^^^^^^                  ^^^^
    asked    Thank you <extra_id_0> me to your party <extra_id_1> week.
    answer   <extra_id_0> for inviting <extra_id_1> last

A run of hidden words becomes one sentinel, whatever its length; the answer names each sentinel and what it hides.
Of m ordinary tokens N = round(density · m) are hidden in S = round(N / mean) spans, at least one of each, and every
mask of S non-touching spans that begins kept and ends hidden is equally likely. Both sides end with ``</s>``. A span
that would cross the end of a document inside the block becomes two.

``rolled`` turns the mask by a random number of tokens, so that the first token may be hidden and the last kept; a
span that the turn cuts in two has two sentinels. ``mode`` puts one of UL2's mode tokens in front of the asked side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from foundation.keys import below, fold
from foundation.refusal import BadUsage
from objectives import noise as grammar
from objectives.batch import IGNORED, Batch
from objectives.noise import Flat, Grid, Mask, Rows, within
from objectives.objective import (
    Frame,
    Ids,
    Mode,
    Objective,
    Shape,
    answered,
    check_mode,
    check_rates,
    framed_numbers,
    numbers_of,
    text_of,
    token,
    with_attention,
)
from objectives.weaving import Side, frame, pack, starts


@dataclass(frozen=True, kw_only=True)
class SpanCorruption(Objective):
    """Hide runs of tokens behind sentinels, ask what each sentinel hides."""

    shape: ClassVar[Shape] = "encoder-decoder"
    needs: ClassVar[tuple[str, ...]] = ("sentinels", "eos", "pad")
    frame: ClassVar[Frame] = Frame(between="eos", after="eos", start="pad")

    density: float = 0.15
    """Share of the ordinary tokens of a row that is hidden."""
    mean: float = 3.0
    """Mean length of a hidden span, in tokens."""
    rolled: bool = False
    """Turn the mask by a random number of tokens, so that a row may begin hidden and end kept."""
    mode: Mode = ""
    """UL2's mode token in front of the asked side, or none."""

    def __post_init__(self) -> None:
        """Refuse numbers that no text has."""
        check_rates(self, density=self.density)
        if self.mean < 1:
            raise BadUsage(f"SpanCorruption: mean = {self.mean} is below 1", "give the mean span length in tokens")

    def counts(self, lengths: Rows) -> tuple[Rows, Rows]:
        """Return the hidden tokens and the spans of rows with so many ordinary tokens."""
        return _counts(np.full(len(lengths), self.density), np.full(len(lengths), self.mean), lengths)

    def positions(self, block: int) -> int:
        """Return the length of the asked side with its ``</s>``: block − hidden + spans + 1, one more with a mode.

        One more also if ``rolled``, where the turn may cut a span in two; or the length of the answer, hidden +
        spans + 1, if so much is hidden that it is the longer side.
        """
        hidden, spans = (int(found[0]) for found in self.counts(np.array([block])))
        return max(block - hidden + bool(self.mode), hidden) + spans + 1 + self.rolled

    def reach(self, block: int) -> int:
        """Return block + 1: ends of documents inside a block cut spans in two, but a sentinel hides one token at least.

        The answer is bounded likewise, by two positions for each hidden token.
        """
        return max(block + bool(self.mode), 2 * int(self.counts(np.array([block]))[0][0])) + 1

    def check(self, vocabulary: Vocabulary, block: int) -> None:
        """Refuse also a mean longer than what can be hidden, and more spans than there are sentinels."""
        super().check(vocabulary, block)
        hidden, spans = (int(found[0]) for found in self.counts(np.array([block])))
        if self.mean > block:
            raise BadUsage(
                f"SpanCorruption: mean = {self.mean:g} tokens is longer than the row, --block {block}",
                f"give a larger --block, or a mean of at most {hidden}",
            )
        if spans + self.rolled > len(vocabulary.sentinels):
            raise _too_many(f"--block {block} gives {spans + self.rolled} spans", vocabulary)
        check_mode(self.mode, vocabulary)

    def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return ``asked </s>`` for the encoder and ``answer </s>`` as the decoder's targets."""
        return self.together([self], np.zeros(len(blocks), dtype=np.int64), blocks, vocabulary)

    @classmethod
    def together(cls, members: Sequence[Any], which: Rows, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return what rows with different densities, means and modes ask, drawn at once."""
        text = text_of(blocks, vocabulary)
        density, mean, rolled = (
            np.array([getattr(m, n) for m in members])[which] for n in ("density", "mean", "rolled")
        )
        tokens, number = _counts(density, mean, text.counts)
        begins, sizes = grammar.scatter(blocks.keys, text.counts, tokens, number)
        if rolled.any():
            begins, sizes = _roll(blocks.keys, text.counts, rolled, begins, sizes)
        hit = text.hit(begins, sizes, int(blocks.lengths.max(initial=0)) + 2)
        modes = None
        if any(member.mode for member in members):
            modes = np.array([token(vocabulary, member.mode) if member.mode else -1 for member in members])[which]
        asked, answer, numbers = _project(blocks, hit, vocabulary, modes, members[0].isolated)
        pad = token(vocabulary, "pad")
        given = answered(answer.ids, pad, pad)
        inputs = with_attention({"input_ids": asked.ids, "decoder_input_ids": given}, asked)
        inputs |= numbers

        def hidden() -> np.ndarray:
            said = answer.ids != IGNORED
            return said & vocabulary.ordinary[np.where(said, answer.ids, pad)]

        return Batch(inputs, {"tokens": answer.ids}, hides=hidden)

    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return the asked side with each sentinel replaced by what the answer says it hides."""
        asks, answers = batch.inputs["input_ids"], batch.targets["tokens"]
        marks = set(vocabulary.sentinels.tolist())
        rows = []
        for asked, length, answer in zip(asks, batch.lengths, answers, strict=True):
            said: dict[int, list[int]] = {}
            span: list[int] = []
            for word in answer[answer != IGNORED][:-1].tolist():
                if word in marks:
                    said[word] = span = []
                else:
                    span.append(word)
            kept = asked[bool(self.mode) : length - 1].tolist()
            rows.append(np.array([word for shown in kept for word in said.get(shown, [shown])], dtype=np.int64))
        return rows

    def pose(self, ids: Ids, noise: np.ndarray, vocabulary: Vocabulary) -> tuple[Ids, Ids]:
        """Return the text with a sentinel for each run of hit tokens, and the sentinels with what they hide."""
        none = np.zeros((1, len(ids)), dtype=bool)
        row = Blocks(ids[None], np.array([len(ids)]), none, none, np.zeros(1, dtype=np.uint64))
        asked, answer, _ = _project(row, np.pad(noise, 1)[None], vocabulary, None, isolated=False)
        return asked.ids[0, :-1], answer.ids[0, :-1]


def _counts(density: np.ndarray, mean: np.ndarray, lengths: Rows) -> tuple[Rows, Rows]:
    hidden = np.minimum(grammar.count(density, lengths), np.maximum(lengths - 1, np.minimum(lengths, 1)))
    spans = np.maximum(np.rint(hidden / mean).astype(np.int64), 1)
    return hidden, np.maximum(np.minimum(spans, np.minimum(hidden, lengths - hidden)), np.minimum(hidden, 1))


def _roll(keys: grammar.Keys, tokens: Rows, rolled: np.ndarray, starts: Grid, sizes: Grid) -> tuple[Grid, Grid]:
    """Turn the spans of the rolled rows; one that is turned over the end of its row goes on at its start."""
    turn = below(np.maximum(tokens, 1), fold(keys, "roll")) * rolled
    limit = tokens[:, None]
    starts = np.where(sizes > 0, (starts + turn[:, None]) % np.maximum(limit, 1), limit)
    rest = np.maximum(starts + sizes - limit, 0).sum(axis=1)  # of one span at most
    sizes = np.concatenate([rest[:, None], np.minimum(sizes, limit - starts)], axis=1)
    starts = np.concatenate([np.where(rest > 0, 0, tokens)[:, None], starts], axis=1)
    order = np.argsort(starts, axis=1, kind="stable")
    return np.take_along_axis(starts, order, 1), np.take_along_axis(sizes, order, 1)


def _project(
    blocks: Blocks, hit: Mask, vocabulary: Vocabulary, modes: Rows | None, isolated: bool
) -> tuple[Side, Side, dict[str, Grid]]:
    """Return both sides of framed rows with hit tokens, and the documents of their positions if they are isolated.

    Each hidden run has one sentinel: over its first token on the asked side, over the place in front of it (which
    is never hidden) on the other.
    """
    eos, pad = token(vocabulary, "eos"), token(vocabulary, "pad")
    grid, lengths = frame(blocks.ids, blocks.lengths, [pad if modes is None else modes], [eos], pad)
    width = grid.shape[1]
    begins = starts(hit)
    rows = begins // width
    number = np.bincount(rows, minlength=len(grid))
    most = int(number.max(initial=0))
    if most > len(vocabulary.sentinels):
        raise _too_many(f"a row has {most} spans", vocabulary)
    marks = vocabulary.sentinels[np.arange(len(rows)) - (np.cumsum(number) - number)[rows]]
    kept = ~hit
    kept[:, 0] = False if modes is None else modes >= 0
    hit.ravel()[begins - 1] = True
    hit[np.arange(len(grid)), lengths - 1] = True
    if lengths.min(initial=width) < width:
        kept &= within(lengths, width)
    kept.ravel()[begins] = True
    answer = pack(_written(grid, begins - 1, marks), hit, IGNORED)
    asked = pack(_written(grid, begins, marks), kept, pad)
    if not isolated:
        return asked, answer, {}
    numbers = framed_numbers(blocks, 1, 1)
    said = _written(numbers, begins - 1, numbers.ravel()[begins])
    return asked, answer, {"segment": numbers_of(asked, numbers), "decoder_segment": numbers_of(answer, said)}


def _written(grid: Grid, places: Flat, tokens: Flat) -> Grid:
    """Return the rows with tokens written at places."""
    grid = grid.copy()
    grid.ravel()[places] = tokens
    return grid


def _too_many(found: str, vocabulary: Vocabulary) -> BadUsage:
    return BadUsage(
        f"{found}, the vocabulary has {len(vocabulary.sentinels)} sentinels",
        "use a shorter --block, a lower --objective.density or a larger --objective.mean",
    )
