"""`pretrain plot`: the loss curves of runs, by the seconds of training and by the corpus tokens read.

The training loss is faint, the held-out loss strong, the unigram entropy of the held-out targets dashed: a model
below it has used its input. Runs of different objectives are asked different questions, so that only their distances
from their dashed lines compare. Colours are those of Okabe & Ito (2008), which stay apart for colour-blind eyes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional

from foundation import durable
from foundation.refusal import BadCheckpoint, BadUsage, RunFailed

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#6b4fa0", "#555555")
_INK, _SOFT, _GRID = "#1c2430", "#5b6675", "#d9dee5"
_STYLES = ("-", "--", "-.", ":")
_KINDS = (".png", ".svg", ".pdf")
_UNITS = ((7200, 3600, "hours"), (180, 60, "minutes"), (0, 1, "seconds"))
_LETTERS = ((1e9, "B"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Draw the loss curves of runs by seconds and by tokens."""

    runs: Annotated[tuple[Path, ...], Positional]
    """Folders of runs, finished or not."""
    out: Path | None = None
    """The picture (.png, .svg or .pdf); by default losses.png, in the run's folder if there is only one."""


@dataclass(frozen=True)
class Curve:
    """What one run has logged: each point is (corpus tokens, seconds, nats per target)."""

    name: str
    train: list[tuple[float, float, float]]
    held_out: list[tuple[float, float, float]]
    unigram: float | None

    @property
    def last(self) -> tuple[float, float, float]:
        """The last point of the held-out loss, or of the training loss where there is none yet."""
        return (self.held_out or self.train)[-1]


def plot(request: Plot) -> Path:
    """Draw the picture and return where it is.

    Raises:
        BadUsage: if no run is named, or the picture cannot be of the kind that is asked for.
        BadCheckpoint: if a folder holds no run, or a run without a finished step.
    """
    if not request.runs:
        raise BadUsage("no run is named", "example: pretrain plot RUN OTHER_RUN --out losses.png")
    out = request.out or (request.runs[0] if len(request.runs) == 1 else Path()) / "losses.png"
    if out.suffix not in _KINDS:
        raise BadUsage(f"--out {out} is no picture", f"give a name that ends in {', '.join(_KINDS)}")
    curves = [read(run, name) for run, name in zip(request.runs, names(request.runs), strict=True)]
    try:
        draw(curves).savefig(out, metadata={"Software": None} if out.suffix == ".png" else None)
    except OSError as error:
        raise RunFailed(f"--out {out}: {error.strerror or error}", "name a place that can be written") from error
    print(out)
    return out


def names(runs: Sequence[Path]) -> list[str]:
    """Return what tells the runs apart: the end of each path, with as many folders before it as that takes."""
    parts = [Path(os.path.abspath(run)).parts for run in runs]
    found: list[str] = []
    for depth in range(1, max(map(len, parts)) + 1):
        found = ["/".join(part[-depth:]) for part in parts]
        if len(set(found)) == len(set(parts)):
            break
    return found


def read(run: Path, name: str) -> Curve:
    """Return the losses that a run has logged."""
    path = run / "metrics.jsonl"
    if not path.is_file():
        raise BadCheckpoint(f"{run} is no run: it has no metrics.jsonl", "give what pretrain was told by --out")
    records = durable.read_json_lines(path)
    train = [(r["tokens"], r["seconds"], r["loss/tokens"]) for r in records if "loss/tokens" in r]
    evaluated = [r for r in records if "held_out" in r]
    held_out = [(r["tokens"], r["seconds"], r["held_out"]["tokens"]) for r in evaluated]
    if not train and not held_out:
        raise BadCheckpoint(f"{run} has not logged a step yet", "look again when it has")
    return Curve(name, train, held_out, evaluated[-1]["unigram"]["tokens"] if evaluated else None)


def draw(curves: Sequence[Curve]) -> Any:
    """Return the figure: seconds on the left, tokens on the right, the names beside the ends of the curves."""
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    figure = Figure((11.0, max(4.2, 2.0 + 0.24 * len(curves))), dpi=150, facecolor="white", layout="constrained")
    by_seconds, by_tokens = figure.subplots(1, 2, sharey=True)
    longest = max(point[1] for curve in curves for point in (*curve.train, *curve.held_out))
    _, unit, unit_name = next(known for known in _UNITS if longest >= known[0])
    marks = sorted({round(curve.unigram, 3) for curve in curves if curve.unigram is not None})
    for axes, column, scale in ((by_seconds, 1, unit), (by_tokens, 0, 1)):
        _bare(axes)
        for place, curve in enumerate(curves):
            _curve(axes, curve, place, column, scale)
            if curve.unigram is not None:
                colour = _INK if len(marks) == 1 else _look(place)[0]
                axes.axhline(curve.unigram, color=colour, linewidth=1.0, linestyle=(0, (4, 3)), alpha=0.7)
        axes.set_xlim(left=0)
    by_seconds.set_xlabel(f"{unit_name} of training, evaluations included", color=_SOFT, fontsize=9)
    by_tokens.set_xlabel("corpus tokens read", color=_SOFT, fontsize=9)
    by_tokens.xaxis.set_major_formatter(lambda value, _: short(value))
    by_seconds.set_ylabel("loss, nats per target", color=_SOFT, fontsize=9)
    _limit(by_tokens, curves)
    _label(by_tokens, curves, len(marks) > 1)
    if len(marks) == 1:
        by_seconds.annotate(
            f"unigram entropy {marks[0]:.2f}", (1, marks[0]), (0, 3), by_seconds.get_yaxis_transform(),
            textcoords="offset points", ha="right", color=_SOFT, fontsize=8,
        )  # fmt: skip
    dashed = "dashed, and in brackets" if len(marks) > 1 else "dashed"
    title = f"Held-out loss (strong) and training loss (faint); {dashed}: the unigram entropy of the held-out targets"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=_INK)
    return figure


def _look(place: int) -> tuple[str, str]:
    """Return the colour and the style of the curve at a place; together they repeat late."""
    return _COLOURS[place % len(_COLOURS)], _STYLES[place // len(_COLOURS) % len(_STYLES)]


def _curve(axes: Any, curve: Curve, place: int, column: int, scale: float) -> None:
    colour, style = _look(place)
    for points, look in (
        (curve.train, {"linewidth": 0.7, "alpha": 0.3}),
        (curve.held_out, {"linewidth": 2.0, "marker": "o", "markersize": 3.5}),
    ):
        axes.plot([p[column] / scale for p in points], [p[2] for p in points], color=colour, linestyle=style, **look)


def _bare(axes: Any) -> None:
    """Take away what says nothing: the box, the heavy grid."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.tick_params(colors=_SOFT, labelsize=9, length=0)
    axes.grid(visible=True, color=_GRID, linewidth=0.6, alpha=0.7)
    axes.set_axisbelow(True)


def _limit(axes: Any, curves: Sequence[Curve]) -> None:
    """Leave out the first fall of the training loss, which would press all else together."""
    marks = [point[2] for curve in curves for point in curve.held_out]
    marks += [curve.unigram for curve in curves if curve.unigram is not None]
    low, high = axes.get_ylim()
    if marks:
        bottom = min(p[2] for curve in curves for p in (*curve.train, *curve.held_out))
        low, high = bottom, max(marks)
    room = 0.06 * max(high - low, 0.1)
    axes.set_ylim(low - room, high + room)


def _label(axes: Any, curves: Sequence[Curve], several: bool) -> None:
    """Write the names to the right of the axes, from high to low as the curves end, and not over each other."""
    low, high = axes.get_ylim()
    step = (high - low) * 0.24 / (axes.figure.get_size_inches()[1] - 1.0)  # the height of a line of text
    ranked = sorted(range(len(curves)), key=lambda place: -curves[place].last[2])
    heights = [min(max(curves[place].last[2], low), high) for place in ranked]
    for number in range(1, len(heights)):
        heights[number] = min(heights[number], heights[number - 1] - step)
    heights = [height + max(0.0, low - heights[-1]) for height in heights]  # lifted as a whole above the lower edge
    right = axes.get_xlim()[1]
    for place, height in zip(ranked, heights, strict=True):
        curve, colour = curves[place], _look(place)[0]
        mark = f" ({curve.unigram:.2f})" if several and curve.unigram is not None else ""
        axes.annotate("", (curve.last[0], curve.last[2]), (right * 1.02, height), annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.6})  # fmt: skip
        axes.annotate(f"{curve.name}  {curve.last[2]:.2f}{mark}", (right * 1.03, height), annotation_clip=False,
                      va="center", fontsize=9, color=colour)  # fmt: skip


def short(value: float) -> str:
    """Return a large number in short: 1.5 M."""
    for unit, letter in _LETTERS:
        if value >= unit:
            return f"{value / unit:.3g} {letter}"
    return f"{value:.3g}"
