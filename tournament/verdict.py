"""The verdict in plain words, from the intervals alone.

"better" and "worse" are said only where the interval of the paired difference excludes 0; otherwise two arms
cannot be told apart. Nothing here looks at which arm one would like to win.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

from tournament import intervals
from tournament.intervals import Interval, Spread
from tournament.outcomes import Entry, Outcomes, Scores

RANDOM = "its own random initialisation"
CONTROLS = {"classical": "TF-IDF with logistic regression", "constant": "always the same answer"}


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
        pairs += [(name, arm, self.controls[arm]) for arm in CONTROLS if arm in self.controls for name in self.pretrained]
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
    return Meeting(task, strategy, pretrained, random, controls, spreads)


def verdict(outcomes: Outcomes) -> list[tuple[str, list[str]]]:
    """Return headed groups of sentences: what was learned, each task under each strategy, what the intervals cover."""
    met = [meeting(outcomes, task, strategy) for task, strategy in outcomes.meetings]
    groups = [("What the pretraining learned", learned(outcomes.entries))]
    groups += [(f"Task {each.task}" + (f", {each.strategy}" if each.strategy else ""), judged(each)) for each in met]
    groups.append(("How far this goes", limits(outcomes, met)))
    groups.append(("What to try next", advice(outcomes)))
    return [(heading, lines) for heading, lines in groups if lines]


def learned(entries: Sequence[Entry]) -> list[str]:
    """Return a sentence for each arm about its own held-out loss."""
    lines = []
    for entry in entries:
        loss, unigram = entry.mean("held_out", "tokens"), entry.mean("unigram", "tokens")
        if not entry.runs:
            lines.append(f"{entry.name} failed: {entry.failed[0].splitlines()[0] if entry.failed else 'no record'}")
        elif loss is None or unigram is None:
            lines.append(f"{entry.name} has no held-out loss in its record.")
        else:
            gap = f"held-out loss {loss:.2f}, word frequencies alone {unigram:.2f} nats"
            below = unigram - loss
            if entry.learned:
                lines.append(f"{entry.name} learned: {gap}, {below:.2f} below.")
            else:
                lines.append(f"{entry.name} was not learned in this budget: {gap}.")
        if entry.failed and entry.runs:
            lines.append(f"{entry.name}: {len(entry.failed)} of its seeds failed.")
    return lines


def judged(met: Meeting) -> list[str]:
    """Return the sentences about one task under one strategy."""
    lines = []
    for other, words in (("random", RANDOM), *CONTROLS.items()):
        compared = [comparison for comparison in met.comparisons() if comparison.other == other]
        level = f" ({_share(met.controls[other].score)})" if other in met.controls else ""
        if compared:
            lines.append(f"Against {words}{level}: {'; '.join(_sorted(compared))}.")
    between = [comparison for comparison in met.comparisons() if comparison.other in met.pretrained]
    if between:
        lines.append(f"Between objectives: {_pairs(between)}")
    return lines


def _sorted(compared: list[Comparison]) -> list[str]:
    """Return the parts of a sentence: who is better, who is worse, who cannot be told apart."""
    parts = []
    for sign, words in ((1, "better"), (-1, "worse")):
        signed = [comparison for comparison in compared if comparison.found.sign == sign]
        if len(signed) == len(compared) > 2:
            size = sorted((comparison.found.estimate for comparison in signed), key=abs)
            parts.append(f"{words}: all {len(signed)} ({_signed(size[0])} to {_signed(size[-1])})")
        elif signed:
            parts.append(f"{words}: " + ", ".join(f"{c.arm} ({_signed(c.found.estimate)})" for c in signed))
    same = [comparison.arm for comparison in compared if comparison.found.sign == 0]
    if len(same) == len(compared) > 2:
        return ["none can be told apart from it"]
    return [*parts, *([f"cannot be told apart: {', '.join(same)}"] if same else [])]


def _pairs(between: list[Comparison]) -> str:
    """Return the sentence about all pairs of objectives: each winner with those it is better than."""
    beaten: dict[str, list[str]] = {}
    for each in between:
        if each.found.sign:
            winner, loser = (each.arm, each.other) if each.found.sign > 0 else (each.other, each.arm)
            beaten.setdefault(winner, []).append(loser)
    if not beaten:
        return "none of them can be told apart." if len(between) > 1 else "they cannot be told apart."
    order = sorted(beaten, key=lambda name: -len(beaten[name]))
    parts = [f"{name} is better than {_and(beaten[name])}" for name in order]
    same = sum(each.found.sign == 0 for each in between)
    rest = f"; {same} of the {len(between)} pairs cannot be told apart" if same else ""
    return "; ".join(parts) + rest + "."


def limits(outcomes: Outcomes, met: Sequence[Meeting]) -> list[str]:
    """Return what the intervals cover and what they do not."""
    lines = []
    count = sum(len(each.comparisons()) for each in met)
    known = any(spread.known for each in met for spread in each.spreads.values())
    if met and not known:
        cover = "One seed of everything: the intervals cover the choice of test examples only, not that of the seed."
        lines.append(f"{cover} Another seed may well turn a difference round.")
    elif met and max((len(entry.runs) for entry in outcomes.entries), default=0) <= 1:
        cover = "The intervals cover test examples and fine-tuning seeds. There is one pretraining seed:"
        lines.append(f"{cover} what is said holds for these checkpoints, not yet for the objectives.")
    elif met:
        lines.append("The intervals cover test examples and seeds, those of the pretraining included.")
    if count:
        chance = f"{count} comparisons at 95 %: about {max(1, round(count / 20))} of them would look like a difference"
        lines.append(f"{chance} if there were none at all.")
    lines.append("Losses of different objectives are about different targets and are not compared with each other.")
    return lines


def advice(outcomes: Outcomes) -> list[str]:
    """Return what would tell more."""
    lines = []
    weak = [entry.name for entry in outcomes.entries if entry.runs and not entry.learned]
    name = outcomes.plan.get("called", "")
    if weak:
        lines.append(f"{_and(weak)}: more tokens (tokens = … in the plan) before judging what the objective is worth.")
    if any(entry.failed for entry in outcomes.entries):
        lines.append("Failed arms: the same command tries them again; logs/ in the output folder says what happened.")
    if name == "smoke":
        lines.append("make demo compares all five objectives in ten minutes.")
    if name in ("smoke", "demo"):
        lines.append("make demo PLAN=full takes an hour and has three seeds of everything.")
    own = "corpora build TEXT.txt --out CORPUS, then corpus = \"CORPUS\" and tasks = [\"TABLE.csv\"] in a plan"
    lines.append(f"Your own text and task: {own}: tournament --plan PLAN.toml --out DIR.")
    return lines


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("0.", ".").replace("-", "−")
