"""The picture: held-out loss by corpus tokens, and scores as dots with their intervals.

Colours are those of Okabe & Ito (2008), which stay apart for colour-blind eyes; names stand beside their lines, and
pretrained and random differ by filling as well, so that nothing hangs on colour alone.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tournament.meeting import Meeting, meeting
from tournament.outcomes import LEARNED, Entry, Outcomes

_LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#6b4fa0", "#555555")
_DARK = ("#5AB4E5", "#F08A4B", "#35C69A", "#E6A5C8", "#E6B93C", "#A5D8F7", "#B5A3E0", "#BBBBBB")


@dataclass(frozen=True)
class Theme:
    """Colours of a picture on light or on dark paper."""

    paper: str
    ink: str
    soft: str
    line: str
    colours: tuple[str, ...]

    def colour(self, place: int) -> str:
        """Return the colour of the arm at this place of the plan."""
        return self.colours[place % len(self.colours)]


LIGHT = Theme("#ffffff", "#1c2430", "#5b6675", "#d9dee5", _LIGHT)
DARK = Theme("#14181d", "#e4e8ee", "#9fabb9", "#333c47", _DARK)


def losses(outcomes: Outcomes, theme: Theme = LIGHT) -> bytes:
    """Return the PNG of the held-out losses."""
    figure = _figure((8.4, 4.0), theme)
    _losses(figure, outcomes, theme)
    return _png(figure)


def scores(outcomes: Outcomes, task: str, theme: Theme = LIGHT) -> bytes:
    """Return the PNG of the scores on one task, one panel for each strategy."""
    met = [meeting(outcomes, *pair) for pair in outcomes.meetings if pair[0] == task]
    figure = _figure((1.6 + 3.6 * len(met), 1.3 + 0.36 * max(1, len(outcomes.entries))), theme)
    _scores(figure, outcomes, [met], theme)
    return _png(figure)


def whole(outcomes: Outcomes, theme: Theme = LIGHT) -> bytes:
    """Return the PNG of both panels, one above the other."""
    rows = _by_task(outcomes)
    height = sum(1.0 + 0.34 * max(1, len(outcomes.entries)) for _ in rows)
    if not rows:
        return losses(outcomes, theme)
    width = max(9.0, 1.8 + 3.7 * max(map(len, rows)))
    figure = _figure((width, 4.4 + height), theme)
    upper, lower = figure.subfigures(2, 1, height_ratios=[4.4, height])
    for part in (upper, lower):
        part.set_facecolor(theme.paper)
    _losses(upper, outcomes, theme)
    _scores(lower, outcomes, rows, theme)
    return _png(figure)


def _by_task(outcomes: Outcomes) -> list[list[Meeting]]:
    return [[meeting(outcomes, *pair) for pair in outcomes.meetings if pair[0] == task] for task in outcomes.tasks]


def _figure(size: tuple[float, float], theme: Theme) -> Any:
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    return Figure(size, dpi=150, facecolor=theme.paper, layout="constrained")


def _png(figure: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor=figure.get_facecolor(), metadata={"Software": None})
    return file.getvalue()


def _bare(axes: Any, theme: Theme) -> None:
    """Take away what says nothing: the box, the heavy grid."""
    axes.set_facecolor(theme.paper)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(theme.line)
    axes.tick_params(colors=theme.soft, labelsize=9, length=0)
    axes.grid(visible=True, color=theme.line, linewidth=0.6, alpha=0.7)
    axes.set_axisbelow(True)


def _losses(figure: Any, outcomes: Outcomes, theme: Theme) -> None:
    axes = figure.subplots()
    _bare(axes, theme)
    ends = []
    for place, entry in enumerate(outcomes.entries):
        curves = [curve for run in entry.runs if (curve := _curve(run))]
        for curve in curves:
            faint = 0.35 if len(curves) > 1 else 0.0
            axes.plot(*zip(*curve, strict=True), color=theme.colour(place), linewidth=0.8, alpha=faint)
        mean = _mean(curves)
        if mean:
            axes.plot(*zip(*mean, strict=True), color=theme.colour(place), linewidth=2.0, marker="o", markersize=3.5)
            mark = "" if entry.learned else ", not learned in this budget"
            ends.append((mean[-1], f"{entry.name} {_signed(mean[-1][1])}{mark}", theme.colour(place)))
    axes.axhline(0, color=theme.ink, linewidth=1.2)
    axes.axhspan(-LEARNED, 0, color=theme.soft, alpha=0.18, linewidth=0)
    axes.set_title(
        "Held-out loss, less the unigram entropy of the arm's own targets (nats per target; lower is better)",
        loc="left", fontsize=10, color=theme.ink,
    )  # fmt: skip
    axes.set_xlabel("corpus tokens read", color=theme.soft, fontsize=9)
    if not ends:
        axes.text(0.5, 0.5, "no arm has finished", transform=axes.transAxes, ha="center", color=theme.soft)
        return
    right = max(point[0] for point, *_ in ends)
    axes.set_xlim(0, right * 1.02)
    axes.xaxis.set_major_formatter(_tokens)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.3), high)
    _beside(axes, [*ends, ((right, 0.0), "0 = knows only how frequent targets are", theme.ink)])


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _curve(run: dict[str, Any]) -> list[tuple[float, float]]:
    """Return (tokens, held-out loss − unigram entropy) of one pretraining."""
    unigram = run.get("unigram", {}).get("tokens")
    lines = [line for line in run.get("curve", []) if "tokens" in line.get("held_out", {})]
    return [] if unigram is None else [(line["tokens"], line["held_out"]["tokens"] - unigram) for line in lines]


def _mean(curves: Sequence[list[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Return the mean of curves over the tokens that all of them have."""
    if not curves:
        return []
    shared = set.intersection(*({tokens for tokens, _ in curve} for curve in curves))
    return [(tokens, float(np.mean([dict(curve)[tokens] for curve in curves]))) for tokens in sorted(shared)]


def _tokens(value: float, _: Any = None) -> str:
    return f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k" if value else "0"


def _beside(axes: Any, ends: list[tuple[tuple[float, float], str, str]]) -> None:
    """Write each name at the end of its line, moved up or down where two would overlap."""
    low, high = axes.get_ylim()
    step = (high - low) / 17
    ordered = sorted(ends, key=lambda end: end[0][1])
    heights: list[float] = []
    for (_, height), _, _ in ordered:
        heights.append(height if not heights else max(height, heights[-1] + step))
    over = heights[-1] - max(high, ordered[-1][0][1])
    heights = [height - max(0.0, over) for height in heights]
    for ((tokens, height), words, colour), place in zip(ordered, heights, strict=True):
        line = {"arrowstyle": "-", "relpos": (0.0, 0.5), "shrinkA": 1, "color": colour, "linewidth": 0.7, "alpha": 0.6}
        axes.annotate(
            words, (tokens, height), xytext=(axes.get_xlim()[1] * 1.02, place), textcoords="data", va="center",
            fontsize=9, color=colour, annotation_clip=False,
            arrowprops=line if abs(place - height) > step / 3 else None,
        )  # fmt: skip


def _scores(figure: Any, outcomes: Outcomes, rows: list[list[Meeting]], theme: Theme) -> None:
    columns = max(map(len, rows))
    grid = figure.subplots(len(rows), columns, squeeze=False, sharex="row")
    for row, met in enumerate(rows):
        for column in range(columns):
            axes = grid[row][column]
            if column < len(met):
                _dots(axes, outcomes.entries, met[column], theme, named=column == 0)
            else:
                axes.set_visible(False)
    words = "Filled: pretrained, hollow: random weights of the same shape; bars: 95 % intervals"
    figure.supxlabel(words, fontsize=9, color=theme.soft, x=0.01, ha="left")


def _dots(axes: Any, entries: Sequence[Entry], met: Meeting, theme: Theme, *, named: bool) -> None:
    """Draw one row for each arm: its score, and above it that of random weights."""
    _bare(axes, theme)
    axes.grid(visible=False, axis="y")
    for place, entry in enumerate(entries):
        colour = theme.colour(place)
        for found, lift, fill in ((met.random, 0.17, theme.paper), (met.pretrained, -0.17, colour)):
            if entry.name in found:
                score = met.interval(found[entry.name])
                height = len(entries) - 1 - place + lift
                axes.plot(
                    [max(0.0, score.low), min(1.0, score.high)],
                    [height] * 2,
                    color=colour,
                    linewidth=1.6,
                    alpha=0.75,
                    zorder=2,
                )
                axes.plot(
                    score.estimate, height, "o", markersize=6, markeredgecolor=colour, markerfacecolor=fill, zorder=3
                )
    for name, style in (("constant", ":"), ("classical", "--")):
        if name in met.controls:
            value = met.controls[name].score
            axes.axvline(value, color=theme.ink, linestyle=style, linewidth=1.1, zorder=1)
    names = [entry.name if named else "" for entry in reversed(entries)]
    axes.set_yticks(range(len(entries)), names)
    for label, place in zip(axes.get_yticklabels(), reversed(range(len(entries))), strict=True):
        label.set_color(theme.colour(place))
    axes.set_ylim(-0.6, len(entries) - 0.1)
    _control_names(axes, met, theme)
    metric = next((scores.metric for scores in [*met.pretrained.values(), *met.controls.values()]), "score")
    words = f"{met.task}{', ' * bool(met.strategy)}{met.strategy} ({metric})"
    axes.set_title(words, loc="left", fontsize=10, color=theme.ink, pad=16)


def _control_names(axes: Any, met: Meeting, theme: Theme) -> None:
    """Write the names of the vertical lines above them, away from each other."""
    low, high = axes.get_xlim()
    there = sorted((scores.score, name) for name, scores in met.controls.items())
    close = len(there) == 2 and there[1][0] - there[0][0] < 0.3 * (high - low)
    for place, (value, name) in enumerate(there):
        side = ("right", "left")[place] if close else "center"
        axes.annotate(
            name, (value, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 2), textcoords="offset points",
            ha=side, va="bottom", fontsize=8, color=theme.ink,
        )  # fmt: skip
