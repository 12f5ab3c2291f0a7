"""A meeting: one task under one strategy, every arm that met there, and all comparisons between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

from tournament import intervals
from tournament.intervals import Interval, Spread
from tournament.outcomes import Outcomes, Scores

CONTROLS = ("classical", "constant")


@dataclass(frozen=True)
class Comparison:
    """A pretrained arm against another one on the same test examples."""

    arm: str
    other: str
    """random, classical, constant, or the name of a pretrained arm."""
    found: Interval
    """The paired difference of their scores, arm − other."""

    @property
    def words(self) -> str:
        """What may be said."""
        return {1: "better than", -1: "worse than", 0: "cannot be told apart from"}[self.found.sign]


@dataclass(frozen=True, eq=False)
class Meeting:
    """One task under one strategy: the scores that met there, and the spread between their seeds."""

    task: str
    strategy: str
    pretrained: dict[str, Scores]
    random: dict[str, Scores]
    controls: dict[str, Scores]
    spreads: dict[str, Spread]

    def spread(self, scores: Scores) -> Spread:
        """Return the spread between seeds of the arms of this sort; controls have none."""
        return self.spreads.get(scores.arm, Spread())

    @lru_cache(maxsize=4096)  # noqa: B019  (a report is one short process)
    def interval(self, scores: Scores) -> Interval:
        """Return the interval of one score."""
        return intervals.of(scores, self.spread(scores))

    @lru_cache(maxsize=4096)  # noqa: B019
    def comparisons(self) -> tuple[Comparison, ...]:
        """Return all comparisons: with random weights, with the controls, between objectives."""
        pairs = [(name, "random", self.random[name]) for name in self.pretrained if name in self.random]
        pairs += [
            (name, arm, self.controls[arm]) for arm in CONTROLS if arm in self.controls for name in self.pretrained
        ]
        pairs += [(one, other, self.pretrained[other]) for one, other in combinations(self.pretrained, 2)]
        return tuple(self._compared(name, other, right) for name, other, right in pairs)

    def _compared(self, name: str, other: str, right: Scores) -> Comparison:
        left = self.pretrained[name]
        return Comparison(name, other, intervals.difference(left, right, self.spread(left), self.spread(right)))


@lru_cache(maxsize=256)
def meeting(outcomes: Outcomes, task: str, strategy: str) -> Meeting:
    """Return what met on a task under a strategy."""
    pretrained, random, groups = {}, {}, {}
    for entry in outcomes.entries:
        if (scores := outcomes.pretrained(entry, task, strategy)) is not None:
            pretrained[entry.name] = scores
        if entry.group not in groups and (scores := outcomes.random(entry, task, strategy)) is not None:
            groups[entry.group] = scores
        if entry.group in groups:
            random[entry.name] = groups[entry.group]
    controls = {arm: s for arm in ("constant", "classical") if (s := outcomes.control(arm, task)) is not None}
    spreads = {"pretrained": intervals.spread(pretrained.values()), "random": intervals.spread(groups.values())}
    measured = [spread for spread in spreads.values() if spread.known]
    if len(measured) == 1:  # the other sort has one seed of each: what is measured stands in for what is not
        spreads = dict.fromkeys(spreads, measured[0])
    return Meeting(task, strategy, pretrained, random, controls, spreads)
