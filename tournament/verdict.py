"""The verdict in plain words, from the intervals alone.

"better" and "worse" are said only where the interval of the paired difference excludes 0; otherwise two arms
cannot be told apart. Nothing here looks at which arm one would like to win.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from tournament import intervals
from tournament.intervals import Interval, Spread
from tournament.outcomes import Entry, Outcomes, Scores

Compared = tuple[str, Interval]


@dataclass(frozen=True)
class Meeting:
    """One task under one strategy: the scores that met there, and the spread between their seeds."""

    task: str
    strategy: str
    pretrained: dict[str, Scores]
    random: dict[str, Scores]
    controls: dict[str, Scores]
    spreads: dict[str, Spread]

    def interval(self, scores: Scores) -> Interval:
        """Return the interval of one score."""
        return intervals.of(scores, self.spreads.get(scores.arm, Spread()))

    def difference(self, left: Scores, right: Scores) -> Interval:
        """Return the interval of a paired difference."""
        none = Spread()
        return intervals.difference(left, right, self.spreads.get(left.arm, none), self.spreads.get(right.arm, none))


def meeting(outcomes: Outcomes, task: str, strategy: str) -> Meeting:
    """Return what met on a task under a strategy."""
    pretrained, random, groups = {}, {}, {}
    for entry in outcomes.entries:
        if (scores := outcomes.pretrained(entry, task, strategy)) is not None:
            pretrained[entry.name] = scores
        if (scores := outcomes.random(entry, task, strategy)) is not None:
            random[entry.name] = groups[entry.group] = scores
    controls = {arm: s for arm in ("constant", "classical") if (s := outcomes.control(arm, task)) is not None}
    spreads = {"pretrained": intervals.spread(pretrained.values()), "random": intervals.spread(groups.values())}
    return Meeting(task, strategy, pretrained, random, controls, spreads)


def verdict(outcomes: Outcomes) -> list[tuple[str, list[str]]]:
    """Return headed groups of sentences: what was learned, each task under each strategy, what the intervals cover."""
    groups = [("What the pretraining learned", learned(outcomes.entries))]
    count = 0
    for task, strategy in outcomes.meetings:
        met = meeting(outcomes, task, strategy)
        lines, compared = judged(met)
        count += compared
        if lines:
            groups.append((f"Task {task}" + (f", {strategy} fine-tuning" if strategy else ""), lines))
    groups.append(("How far this goes", limits(outcomes, count)))
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


def judged(met: Meeting) -> tuple[list[str], int]:
    """Return the sentences about one task under one strategy, and the number of comparisons behind them."""
    lines, count = [], 0
    against = [("its own random initialisation", met.random.get)]
    for arm, words in (("classical", "TF-IDF with logistic regression"), ("constant", "always the same answer")):
        if arm in met.controls:
            against.append((f"{words} ({_share(met.controls[arm].score)})", _always(met.controls[arm])))
    for words, other in against:
        compared = [
            (name, met.difference(scores, right))
            for name, scores in met.pretrained.items()
            if (right := other(name)) is not None
        ]
        count += len(compared)
        if compared:
            lines.append(f"Against {words}: " + "; ".join(_sorted(compared)) + ".")
    between = [
        (a, b, met.difference(met.pretrained[a], met.pretrained[b])) for a, b in combinations(met.pretrained, 2)
    ]
    if between:
        lines.append("Between objectives: " + _pairs(between))
    return lines, count + len(between)


def _always(scores: Scores) -> Callable[[str], Scores | None]:
    return lambda _: scores


def _sorted(compared: list[Compared]) -> list[str]:
    """Return the parts of a sentence: who is better, who is worse, who cannot be told apart."""
    parts = []
    for sign, words in ((1, "better"), (-1, "worse")):
        names = [f"{name} ({_signed(found)})" for name, found in compared if found.sign == sign]
        if names:
            parts.append(f"{words}: {', '.join(names)}")
    same = [name for name, found in compared if found.sign == 0]
    if same:
        parts.append("cannot be told apart: " + ", ".join(same))
    return parts


def _pairs(between: list[tuple[str, str, Interval]]) -> str:
    """Return the sentence about all pairs of objectives: each winner with those it is better than."""
    beaten: dict[str, list[str]] = {}
    for a, b, found in between:
        if found.sign:
            winner, loser = (a, b) if found.sign > 0 else (b, a)
            beaten.setdefault(winner, []).append(loser)
    if not beaten:
        return "none of them can be told apart." if len(between) > 1 else "they cannot be told apart."
    order = sorted(beaten, key=lambda name: -len(beaten[name]))
    parts = [f"{name} is better than {_and(beaten[name])}" for name in order]
    same = sum(found.sign == 0 for *_, found in between)
    rest = f"; the other {same} of {len(between)} pairs cannot be told apart" if same else ""
    return "; ".join(parts) + rest + "."


def limits(outcomes: Outcomes, count: int) -> list[str]:
    """Return what the intervals cover and what they do not."""
    lines = []
    single = max((len(entry.runs) for entry in outcomes.entries), default=0) <= 1
    known = [
        any(spread.known for spread in meeting(outcomes, task, strategy).spreads.values())
        for task, strategy in outcomes.meetings
    ]
    if not any(known):
        cover = "One seed of everything: the intervals cover the choice of test examples only, not that of the seed."
        lines.append(f"{cover} Another seed may well turn a difference round.")
    elif single:
        cover = "The intervals cover test examples and fine-tuning seeds. There is one pretraining seed:"
        lines.append(f"{cover} what is said holds for these checkpoints, not yet for the objectives.")
    else:
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


def _signed(found: Interval) -> str:
    ends = f"[{found.low:+.3f}, {found.high:+.3f}]".replace("0.", ".")
    return f"{found.estimate:+.3f} ".replace("0.", ".") + ends
