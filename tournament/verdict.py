"""The verdict in plain words, from the intervals alone.

"better" and "worse" are said only where the interval of the paired difference excludes 0; otherwise two arms
cannot be told apart. Nothing here looks at which arm one would like to win.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tournament.intervals import ASSUMED
from tournament.meeting import Comparison, Meeting, meeting
from tournament.outcomes import Entry, Outcomes

LIMITS, SHORT, NEXT = "How far this goes", "In short", "What to try next"
RANDOM = "its own random initialisation"
CONTROLS = {"classical": "TF-IDF", "constant": "the constant prediction"}


@dataclass(frozen=True)
class Group:
    """Sentences under a heading; `task` is the task that they are about, if any."""

    heading: str
    lines: tuple[str, ...]
    task: str = ""


def verdict(outcomes: Outcomes) -> list[Group]:
    """Return the sentences: each task under each strategy, what the intervals cover, the short of it, what next."""
    met = [meeting(outcomes, task, strategy) for task, strategy in outcomes.meetings]
    groups = [
        Group(f"Task {each.task}" + (f", {each.strategy}" if each.strategy else ""), tuple(judged(each)), each.task)
        for each in met
    ]
    groups.append(Group(LIMITS, tuple(limits(outcomes, met))))
    groups.append(Group(SHORT, (*learned(outcomes.entries), *short(met))))
    groups.append(Group(NEXT, tuple(advice(outcomes))))
    return [group for group in groups if group.lines]


def learned(entries: Sequence[Entry]) -> list[str]:
    """Return what the arms learned of their own objective, by held-out loss."""
    lines = []
    for words, wanted in (("Learned", True), ("Not learned in this budget", False)):
        names = [_gap(entry) for entry in entries if entry.runs and entry.learned is wanted]
        if names:
            lines.append(f"{words}: {', '.join(names)}.")
    if lines:
        lines.append("In brackets: held-out loss, against knowing only how frequent the targets are, in nats.")
    for entry in entries:
        if entry.failed:
            why = entry.failed[0].splitlines()[0] if entry.failed[0] else "no reason recorded"
            share = (
                "" if not entry.runs else f" with {len(entry.failed)} of {len(entry.failed) + len(entry.runs)} seeds"
            )
            lines.append(f"{entry.name} failed{share}: {why}")
    return lines


def _gap(entry: Entry) -> str:
    loss, unigram = entry.mean("held_out", "tokens"), entry.mean("unigram", "tokens")
    if loss is None or unigram is None:
        return f"{entry.name} (no held-out loss)"
    hidden, mark = entry.hidden
    words = "" if hidden is None or mark is None else f"; on hidden words alone {hidden:.2f} against {mark:.2f}"
    return f"{entry.name} ({loss:.2f} against {unigram:.2f}{words})"


def short(met: Sequence[Meeting]) -> list[str]:
    """Return one sentence for each task and strategy: where pretraining helped, and what it takes to beat."""
    lines = []
    for each in met:
        count = len(each.pretrained)
        if not count:
            continue
        better, worse = _won(each, "random", 1), _won(each, "random", -1)
        words = f"{each.task}, {each.strategy}: pretraining beats random weights for {_arms(better, count)}"
        words += f" and is worse than them for {_arms(worse, count)}" if worse else ""
        if each.controls:
            name = max(each.controls, key=lambda name: each.controls[name].score)
            winners = _won(each, name, 1)
            words += f"; {_arms(winners, count)} beat{'s' * (len(winners) < 2)} {CONTROLS[name]}"
            words += f" ({_share(each.controls[name].score)})"
        lines.append(f"{words}.")
    return lines


def _won(met: Meeting, other: str, sign: int) -> list[str]:
    """Return the arms that are better (1) or worse (−1) than another arm."""
    return [each.arm for each in met.comparisons() if each.other == other and each.found.sign == sign]


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
        cover = "There is one seed of everything, so that the spread between seeds is not measured:"
        lines.append(f"{cover} a standard deviation of {_share(ASSUMED)} is assumed in all intervals.")
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
        lines.append("make demo (tournament --plan demo --out out/demo) compares five objectives in ten minutes.")
    if name in ("smoke", "demo"):
        lines.append(
            "make demo PLAN=full (tournament --plan full --out out/full) takes an hour: three seeds of everything."
        )
    own = 'corpora build TEXT.txt --out CORPUS, then corpus = "CORPUS" and tasks = ["TABLE.csv"] in a plan'
    lines.append(f"Your own text and task: {own}: tournament --plan PLAN.toml --out DIR.")
    return lines


def _arms(names: Sequence[str], count: int) -> str:
    """Return the names of some of `count` arms."""
    if not names:
        return "no arm"
    return f"all {count} arms" if len(names) == count > 2 else _and(names)


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("0.", ".").replace("-", "−")
