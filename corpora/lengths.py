"""How long the documents and sentences of a corpus are, counted by powers of two, and drawn."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from jaxtyping import Int64

from corpora.store import PARTS, Corpus

Counts = Int64[np.ndarray, " bins"]
LIGHT, DARK = ("#ffffff", "#5b6675", "#d9dee5", "#0072B2"), ("#14181d", "#9fabb9", "#333c47", "#5AB4E5")


def counted(corpus: Corpus) -> tuple[Counts, Counts]:
    """Return how many documents, and how many sentences, have 0, 1, 2–3, 4–7 … tokens, a document's end not counted.

    One shard is looked at after the other.
    """
    found = np.zeros((2, 33), dtype=np.int64)
    for part in PARTS:
        for shard in corpus.part(part).shards:
            bounds = shard.documents.astype(np.int64)
            begins = np.append(shard.sentences.astype(np.int64), bounds[-1])
            ends = begins[1:] - np.isin(begins[1:], bounds)  # a document's end is no token of its last sentence
            for row, lengths in enumerate((np.diff(bounds) - 1, ends - begins[:-1])):
                found[row] += np.bincount(np.frexp(lengths)[1], minlength=33)
    return found[0], found[1]


def bins(counts: Counts) -> list[tuple[str, int]]:
    """Return (lengths, count) from the first to the last length that there is."""
    used = np.flatnonzero(counts)
    if not len(used):
        return []
    return [(_span(power), int(counts[power])) for power in range(used[0], used[-1] + 1)]


def _span(power: int) -> str:
    low, high = 1 << power >> 1, (1 << power) - 1
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def drawn(counts: Counts, what: str, colours: tuple[str, ...]) -> bytes:
    """Return the PNG of a histogram."""
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    paper, soft, line, mark = colours
    figure = Figure((8.4, 2.8), dpi=150, facecolor=paper, layout="constrained")
    axes: Any = figure.subplots()
    shown = bins(counts)
    axes.bar([name for name, _ in shown], [count for _, count in shown], color=mark, width=0.85)
    axes.set_facecolor(paper)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(line)
    axes.tick_params(colors=soft, labelsize=8, length=0)
    axes.tick_params(axis="x", rotation=35 if len(shown) > 8 else 0)
    axes.grid(axis="y", color=line, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel("tokens", color=soft, fontsize=9)
    axes.set_ylabel(what, color=soft, fontsize=9)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def told(counts: Counts, what: str) -> str:
    """Return in words what a histogram shows: below which bin half of all lies, and the longest."""
    ends = np.cumsum(counts)
    if not ends[-1]:
        return f"no {what}"
    half, last = (1 << int(np.searchsorted(ends, share * int(ends[-1]))) for share in (0.5, 1.0))
    return f"{int(ends[-1]):,} {what}: half of them shorter than {half:,} tokens, all of them shorter than {last:,}"
