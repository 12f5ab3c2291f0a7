"""Mixtures: several objectives in one batch, chosen row by row.

    member            weight     row 0   row 1   row 2   row 3   …
    next-token        1 → 0.2      ×               ×
    masked-next-token 1 → 1.8              ×               ×

Each row is asked by one member, drawn by the row's key in proportion to the weights, which may move in a straight line
from the start of the run to its end. All rows stand in one batch on one device, as UL2 (Tay et al. 2023, §3.1) and
GPT-BERT (Charpentier & Samuel 2024, §2.2) ask, and the loss is the mean over all targets: the gradient of a mixed
batch is the sum of its members' gradients, each weighted by its share of the targets. All members must have one shape;
its block is the smallest that one of them needs, so nothing is cut off.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from tyro.conf import Suppress

from corpora.blocks import Blocks
from corpora.vocabulary import Vocabulary
from foundation.keys import fold
from foundation.refusal import BadUsage
from objectives.batch import IGNORED, Batch, merge
from objectives.noise import Rows
from objectives.objective import Frame, Ids, Objective, Shape, token


@dataclass(frozen=True, kw_only=True)
class Member:
    """One objective of a mixture."""

    objective: Objective = field(metadata={"choices": "objectives:OBJECTIVES"})
    """What it asks."""
    weight: float = 1.0
    """Its share of the rows, relative to the other weights."""
    last_weight: float | None = None
    """Its weight at the end of the run, reached in a straight line; by default it stays."""


@dataclass(frozen=True, kw_only=True)
class Mixture(Objective):
    """Ask each row by one of several objectives."""

    members: Annotated[tuple[Member, ...], Suppress] = ()
    """The objectives with their weights; in a --config file: [[objective.members]]."""

    def __post_init__(self) -> None:
        """Refuse mixtures of nothing, of different shapes, and weights that are none."""
        name = type(self).__name__
        if not self.members:
            raise BadUsage(
                f"{name} has no members",
                "give them in a --config file ([[objective.members]] objective = …, weight = …), or take --objective"
                " ul2 or gpt-bert, which have theirs",
            )
        shapes = {type(member.objective).__name__: member.objective.shape for member in self.members}
        if len(set(shapes.values())) > 1:
            said = ", ".join(f"{one} an {shape}" for one, shape in shapes.items())
            raise BadUsage(
                f"{name}: one model cannot learn all members ({said})",
                "masked-next-token is masking for decoders, prefix-language-model has both forms",
            )
        weights = [w for m in self.members for w in (m.weight, m.weight if m.last_weight is None else m.last_weight)]
        finite = all(0 <= weight < math.inf for weight in weights)
        if not (finite and sum(weights[::2]) and sum(weights[1::2])):
            raise BadUsage(f"{name}: the weights are {weights}", "give weights of at least 0, not all of them 0")
        if any(member.objective.isolated != self.isolated for member in self.members):
            alike = [
                dataclasses.replace(m, objective=dataclasses.replace(m.objective, isolated=True)) for m in self.members
            ]
            object.__setattr__(self, "isolated", True)
            object.__setattr__(self, "members", tuple(alike))

    @property
    def shape(self) -> Shape:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of all members."""
        return self.members[0].objective.shape

    @property
    def weights(self) -> dict[str, float]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The roles of all members."""
        return {role: weight for member in self.members for role, weight in member.objective.weights.items()}

    @property
    def needs(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What any member needs."""
        return tuple(dict.fromkeys(need for member in self.members for need in member.objective.needs))

    @property
    def frame(self) -> Frame:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the first member."""
        return self.members[0].objective.frame

    @property
    def strangers(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether any member needs a block from elsewhere."""
        return any(member.objective.strangers for member in self.members)

    @property
    def reads(self) -> Literal["forward", "both"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Both ways, if any member does."""
        return "both" if any(member.objective.reads == "both" for member in self.members) else "forward"

    def positions(self, block: int) -> int:
        """Return the most positions that a member takes."""
        return max(member.objective.positions(block) for member in self.members)

    def reach(self, block: int) -> int:
        """Return the most positions that a member can take."""
        return max(member.objective.reach(block) for member in self.members)

    def check(self, vocabulary: Vocabulary, block: int) -> None:
        """Refuse what any member refuses."""
        for member in self.members:
            member.objective.check(vocabulary, block)

    @cached_property
    def _weights(self) -> tuple[np.ndarray, np.ndarray]:
        """The weights at the start of the run and at its end."""
        start = np.array([member.weight for member in self.members])
        return start, np.array([m.weight if m.last_weight is None else m.last_weight for m in self.members])

    @cached_property
    def _kinds(self) -> list[tuple[type[Objective], list[Objective], Rows]]:
        """The classes of the members, the members of each, and the number that each member has among them."""
        kinds = []
        for kind in dict.fromkeys(type(member.objective) for member in self.members):
            mine = [place for place, member in enumerate(self.members) if type(member.objective) is kind]
            number = np.full(len(self.members), -1)
            number[mine] = np.arange(len(mine))
            kinds.append((kind, [self.members[place].objective for place in mine], number))
        return kinds

    def draw(self, blocks: Blocks) -> Rows:
        """Return which member asks each row."""
        start, end = self._weights
        turn = (fold(blocks.keys, "member") >> np.uint64(11)) * 2.0**-53
        if (start == end).all():
            weights = np.cumsum(start)
            return np.searchsorted(weights[:-1], turn * weights[-1], side="right")
        weights = np.cumsum(start + (end - start) * blocks.progress[:, None], axis=1)
        return (turn[:, None] * weights[:, -1:] >= weights[:, :-1]).sum(axis=1)

    def collate(self, blocks: Blocks, vocabulary: Vocabulary) -> Batch:
        """Return one batch of rows that different members ask."""
        which = self.draw(blocks)
        parts = []
        for kind, objectives, number in self._kinds:
            mine = number[which]
            rows = np.flatnonzero(mine >= 0)
            if len(rows):
                taken = blocks if len(rows) == len(blocks) else blocks.take(rows)
                parts.append((rows, kind.together(objectives, mine[rows], taken, vocabulary)))
        if not parts:
            return dataclasses.replace(self.members[0].objective.collate(blocks, vocabulary), members=which)
        batch = merge(parts, token(vocabulary, "pad"))
        for role in self.weights.keys() - batch.targets.keys():  # nobody here was asked it
            batch.targets[role] = np.full(len(blocks), IGNORED, dtype=np.int64)
        return dataclasses.replace(batch, members=which)

    def restore(self, batch: Batch, vocabulary: Vocabulary) -> list[Ids]:
        """Return what each row's member restores."""
        assert batch.members is not None
        rows: list[Ids] = [np.zeros(0, dtype=np.int64)] * len(batch.members)
        for number, member in enumerate(self.members):
            mine = np.flatnonzero(batch.members == number)
            if len(mine):
                for row, ids in zip(mine, member.objective.restore(batch.take(mine), vocabulary), strict=True):
                    rows[row] = ids
        return rows

    def pose(self, ids: Ids, noise: np.ndarray, vocabulary: Vocabulary) -> tuple[Ids, Ids]:
        """Return what the first member makes of the text."""
        return self.members[0].objective.pose(ids, noise, vocabulary)
