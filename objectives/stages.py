"""Stages: how a run is cut into steps, when batches and blocks may grow on the way, as a pure function of the step.

A run reads the blocks of an epoch one after the other. A stage of shorter blocks reads each of them as consecutive
pieces, so that every token of an epoch is read exactly once, whatever the stages are:

    --stages 64x4@0.5 128x2    position    0      1      2      3
                               step 0    [a][b] [a][b]                  4 rows of 64
                               step 1                  [  a  ][  a  ]   2 rows of 128

Shorter blocks at the start cost less attention and give more steps for the same text (Devlin et al. 2019, §A.2; Li et
al. 2022, "The stability-efficiency dilemma", §4).
"""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, Integer

from corpora.blocks import Blocks
from foundation.refusal import BadUsage

_FORM = re.compile(r"(\d+)x(\d+)(?:@(\d*\.?\d+))?")


@dataclass(frozen=True)
class Stage:
    """Steps of one shape."""

    block: int
    """Corpus tokens per example."""
    rows: int
    """Examples per step, over all processes."""
    share: float
    """Its part of the tokens of the run."""

    @property
    def tokens(self) -> int:
        """Corpus tokens per step."""
        return self.block * self.rows


@dataclass(frozen=True)
class Place:
    """What a step reads."""

    stage: int
    """The number of its stage, from 0."""
    rows: int
    """Its examples, over all processes."""
    block: int
    """Corpus tokens of each."""
    first: int
    """The number of its first example, counted in examples of this size from the start of the run."""
    pieces: int
    """Examples of this size in one of the largest: example n is piece n mod pieces of position n div pieces."""


@dataclass(frozen=True)
class Plan:
    """All steps of a run."""

    stages: tuple[Stage, ...]
    steps_of: tuple[int, ...]
    """Steps of each stage."""
    fill: Fraction = Fraction(1)
    """The share of a block that holds corpus tokens, in the mean over a pass."""

    @property
    def block(self) -> int:
        """Corpus tokens of the largest examples, which the model has the positions for."""
        return max(stage.block for stage in self.stages)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return sum(self.steps_of)

    @property
    def per_step(self) -> int:
        """Corpus tokens of a step, in the mean over all steps."""
        return self.tokens(self.steps) // self.steps

    @property
    def positions(self) -> int:
        """Positions that the whole run reads, blocks of the largest size."""
        place = self.at(self.steps)
        return -(-place.first // place.pieces)

    def at(self, step: int) -> Place:
        """Return what a step reads; steps behind the last one go on as it does."""
        number, begun, tokens = 0, 0, 0
        while number < len(self.stages) - 1 and step >= begun + self.steps_of[number]:
            tokens += self.steps_of[number] * self.stages[number].tokens
            begun += self.steps_of[number]
            number += 1
        stage = self.stages[number]
        first = tokens // stage.block + (step - begun) * stage.rows
        return Place(number, stage.rows, stage.block, first, self.block // stage.block)

    def rows(self, step: int) -> int:
        """Return the examples of a step over all processes."""
        return self.at(step).rows

    def tokens(self, done: int) -> int:
        """Return the corpus tokens read when so many steps are done."""
        place = self.at(done)
        return int(place.first * place.block * self.fill)

    def steps_to(self, tokens: int) -> int:
        """Return the steps after which at least so many corpus tokens are read, however many the run has."""
        behind = [sum(self.steps_of[:number]) for number in range(len(self.stages))]
        number = max(0, bisect.bisect_left([self.tokens(step) for step in behind], tokens) - 1)
        left = tokens - self.tokens(behind[number])
        return max(0, behind[number] + math.ceil(left / (self.stages[number].tokens * self.fill)))

    def __str__(self) -> str:
        """Return the plan in words: ``500 steps of 64 × 64, then 250 of 32 × 128``."""
        parts = [
            f"{steps:,} of {stage.rows} × {stage.block}"
            for stage, steps in zip(self.stages, self.steps_of, strict=True)
        ]
        return ", then ".join([parts[0].replace(" of ", " steps of ", 1), *parts[1:]])


def read(texts: Sequence[str]) -> tuple[Stage, ...]:
    """Return the stages that texts like ``64x64@0.5`` describe; the last one takes the share that is left.

    Raises:
        BadUsage: for a text of another form, shares that are not those of a whole, or blocks that do not divide.
    """
    found = [_FORM.fullmatch(text) for text in texts]
    for text, match in zip(texts, found, strict=True):
        if match is None or not int(match[1]) or not int(match[2]):
            raise BadUsage(f"--stages {text!r} is no stage", "write BLOCKxROWS@SHARE, such as 64x64@0.5 128x32")
    matches = [match for match in found if match]
    if any(match[3] is None for match in matches[:-1]):
        raise BadUsage("only the last of the --stages takes what is left", "give the others a share: 64x64@0.5 128x32")
    shares = [float(match[3]) for match in matches if match[3]]
    if len(shares) < len(matches):
        shares.append(1.0 - sum(shares))
    if not math.isclose(sum(shares), 1) or min(shares) <= 0:
        raise BadUsage(f"the shares of --stages {' '.join(texts)} are not those of a whole", "let them add up to 1")
    stages = tuple(Stage(int(match[1]), int(match[2]), share) for match, share in zip(matches, shares, strict=True))
    largest = max(stage.block for stage in stages)
    for stage in stages:
        if largest % stage.block:
            raise BadUsage(
                f"--stages: blocks of {stage.block} do not divide those of {largest}",
                f"take a divisor of {largest}, so that each of them is read as whole pieces",
            )
    return stages


@runtime_checkable
class Asked(Protocol):
    """What a request says of its steps."""

    @property
    def stages(self) -> tuple[str, ...]:
        """BLOCKxROWS@SHARE of each stage; none: one stage."""
        ...

    @property
    def rows(self) -> int:
        """Examples per step where there are no stages."""
        ...

    @property
    def tokens(self) -> int | None:
        """Corpus tokens to read."""
        ...

    @property
    def words(self) -> int | None:
        """Corpus words to read."""
        ...

    @property
    def steps(self) -> int | None:
        """Steps to do."""
        ...

    @property
    def measured_steps(self) -> int | None:
        """The steps that a budget in minutes came to."""
        ...


def stages_of(asked: Asked, block: int) -> tuple[Stage, ...]:
    """Return the stages of a request; one, of blocks of that size, where it names none."""
    return read(asked.stages) if asked.stages else (Stage(block, asked.rows, 1.0),)


def planned(asked: Asked, block: int, tokens: int, words: int, fill: Fraction = Fraction(1)) -> Plan:
    """Return the steps of a request on a training part of so many tokens and words; one pass where nothing is said.

    `fill` is the share of a block that holds tokens, in the mean.
    """
    stages = stages_of(asked, block)
    if asked.words is not None:
        return plan(stages, tokens=math.ceil(asked.words * tokens / max(1, words)), fill=fill)
    steps = asked.measured_steps if asked.steps is None else asked.steps
    return plan(stages, steps=steps, tokens=tokens if asked.tokens is None else asked.tokens, fill=fill)


def plan(
    stages: tuple[Stage, ...],
    *,
    steps: int | None = None,
    tokens: int | None = None,
    fill: Fraction = Fraction(1),
) -> Plan:
    """Return the plan that has so many steps, or the fewest that read so many tokens.

    A stage ends where a block of the largest size ends, so its share is met to within one of them (or one step).

    Raises:
        BadUsage: if the steps are fewer than the stages.
    """
    if steps is not None and steps < len(stages):
        raise BadUsage(f"--steps {steps} is not enough for {len(stages)} stages", "give at least one step each")
    per_token = sum(stage.share / stage.tokens for stage in stages)
    places = (tokens or 0) / fill  # of blocks, full or not
    whole = steps / per_token if steps is not None else float(places)
    largest = max(stage.block for stage in stages)
    counts: list[int] = []
    for stage in stages[:-1]:
        pieces = largest // stage.block
        granule = pieces // math.gcd(pieces, stage.rows)
        counts.append(max(1, round(stage.share * whole / stage.tokens / granule)) * granule)
    if steps is not None:
        last = steps - sum(counts)
    else:
        last = math.ceil(
            (places - sum(n * stage.tokens for n, stage in zip(counts, stages[:-1], strict=True))) / stages[-1].tokens
        )
    if steps is not None and last < 1:
        raise BadUsage(
            f"--steps {steps} is not enough: the stages before the last take {sum(counts)}, to end with a whole block",
            "give more steps, or stages whose rows are a multiple of the pieces of a block",
        )
    return Plan(stages, (*counts, max(1, last)), fill)


def cut(large: Blocks, pieces: int, which: Integer[np.ndarray, " rows"]) -> Blocks:
    """Return of row i of `large` piece ``which[i]`` of `pieces`, without keys of its own.

    A row that is not full is cut into as many, of lengths that differ by one at most. One with fewer tokens than
    pieces cannot be: some of its tokens stand in two pieces, because no row is empty.
    """
    block = large.ids.shape[1] // pieces
    starts, lengths = bounds(large.lengths, large.ids.shape[1], pieces, which)
    columns = starts[:, None] + np.arange(block)
    outside = np.arange(block) >= lengths[:, None]
    rows = np.arange(len(large))[:, None]
    columns[outside] = large.ids.shape[1] - 1  # of a row that is cut short this is padding, which has no start
    return Blocks(
        large.ids[rows, columns],
        lengths,
        lambda: large.sentences[rows, columns] & ~outside,
        lambda: large.documents[rows, columns] & ~outside,
        large.keys,
        progress=large.progress,
    )


def bounds(
    lengths: Int[np.ndarray, " rows"], block: int, pieces: int, which: Integer[np.ndarray, " rows"]
) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"]]:
    """Return where piece ``which[i]`` of a row of ``lengths[i]`` tokens begins, and how long it is."""
    whole = np.where(lengths == block, block, lengths)
    starts = which * whole // pieces
    return starts, np.maximum((which + 1) * whole // pieces - starts, 1)
