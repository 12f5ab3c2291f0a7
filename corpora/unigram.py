"""A Unigram vocabulary from counted words: the pieces under which the words are likeliest (Kudo 2018, §3.2).

    word      Ġ m i l l e r          a lattice: every piece that could stand there is an edge,
    edges     Ġ-mill, m-ill, er, …   and a way from one end to the other is a way to cut the word

All that occurs twice is a piece at first. Then, in turn: how often each piece is expected, over all ways to cut all
words (EM: forward, backward), and out goes the quarter that the text would miss least, until the size is reached. A
piece is missed by as much as its occurrences lose when the likeliest other way to cut it takes its place.

The library's trainer does the same, but its sums depend on a hash table's order, which changes from run to run. Here
everything is added in the order of the words, in numpy: as fast, and the same always. Memory is bounded: the words that
count most are taken, up to LETTERS in sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NEVER = -1000.0
"""A score with which no piece is ever likely."""
LONGEST, LETTERS = 16, 2_000_000
_WORD = 24
_KEPT = 0.75
Ints, Floats = NDArray[np.integer], NDArray[np.float64]


def fit(counts: Mapping[str, int], alphabet: Sequence[str], size: int) -> list[tuple[str, float]]:
    """Return at most `size` pieces with the logarithms of their probabilities, likely ones first.

    The `alphabet` is always among them, and holds every letter of the words.
    """
    words, weights = _words(counts)
    longer = sorted(_seeds(words, weights, alphabet, 16 * size), key=len, reverse=True)
    pieces = [*alphabet, *longer]
    numbers = {piece: number for number, piece in enumerate(pieces)}
    lattice = _lattice(words, alphabet, numbers)
    inner = _lattice(longer, alphabet, numbers, whole=False)
    lengths = np.array([len(piece) for piece in pieces])
    alive = np.ones(len(pieces), dtype=bool)
    expected = 1.0 / lengths
    while True:
        for _ in range(2):
            expected = _expected(lattice, weights, _shares(expected, alive, lengths))
            alive &= (expected >= 0.5) | (lengths == 1)
            lattice = lattice.only(alive)
        over = int(alive.sum()) - size
        if over <= 0:
            break
        shares = _shares(expected, alive, lengths)
        inner = inner.only(alive)
        out = len(alphabet) + np.flatnonzero(alive[len(alphabet) :])
        missed = expected[out] * np.log(shares[out] / _likeliest(inner, shares)[out - len(alphabet)])
        out = out[np.argsort(missed, kind="stable")]
        alive[out[: min(over, max(1, int((1 - _KEPT) * alive.sum())))]] = False
        lattice = lattice.only(alive)
    scores = np.log(_shares(expected, alive, lengths), where=alive, out=np.full(len(pieces), NEVER))
    found = [(pieces[number], round(float(scores[number]), 6)) for number in np.flatnonzero(alive)]
    return sorted(found, key=lambda one: (-one[1], one[0]))


def _words(counts: Mapping[str, int]) -> tuple[list[str], Floats]:
    """Return the words that count most, none longer than _WORD, longest first, and how often each is there."""
    cut: Counter[str] = Counter()
    for word, count in counts.items():
        for begin in range(0, len(word), _WORD):
            cut[word[begin : begin + _WORD]] += count
    words = sorted(cut, key=lambda word: (-cut[word], word))
    held = np.searchsorted(list(accumulate(map(len, words))), LETTERS, side="right")
    words = sorted(words[: int(held)], key=len, reverse=True)
    return words, np.array([cut[word] for word in words], dtype=np.float64)


class _Edges(NamedTuple):
    """Pieces where they could stand: edges between nodes, which are numbered by depth in the word, then by word."""

    base: Ints  # the first node of each depth
    ends: Ints  # the last node of each word
    source: Ints
    target: Ints
    piece: Ints  # all three sorted by target

    def only(self, alive: NDArray[np.bool_]) -> _Edges:
        kept = alive[self.piece]
        return self._replace(source=self.source[kept], target=self.target[kept], piece=self.piece[kept])

    def depths(self) -> Iterator[tuple[int, slice]]:
        """Yield each depth from 1, and the edges that end there."""
        cuts = np.searchsorted(self.target, self.base)
        for depth in range(1, len(self.base) - 1):
            yield depth, slice(int(cuts[depth]), int(cuts[depth + 1]))


def _walk(
    words: list[str], alphabet: Sequence[str], visit: Callable[[list[str], Ints, Ints, Ints], NDArray[np.bool_]]
) -> None:
    """Visit all spans of one letter, then of two, and so on.

    ``visit(spans, number, depth, word)`` gets the different ones, and for each place that holds one its number, and
    where it is; it says which of the spans may be longer.
    """
    letters = {letter: number for number, letter in enumerate(alphabet)}
    sizes = np.array([len(word) for word in words], dtype=np.int64)
    codes = np.zeros((len(words), int(sizes.max(initial=0))), dtype=np.int16)
    for row, text in zip(codes, words, strict=True):
        row[: len(text)] = [letters[letter] for letter in text]
    word, depth = np.nonzero(np.arange(codes.shape[1]) < sizes[:, None])
    number = np.zeros(len(word), dtype=np.int64)
    for length in range(1, LONGEST + 1):
        pair = number * len(alphabet) + codes[word, depth + length - 1]
        _, first, number = np.unique(pair, return_index=True, return_inverse=True)
        spans = [words[w][d : d + length] for w, d in zip(word[first].tolist(), depth[first].tolist(), strict=True)]
        kept = visit(spans, number, depth, word)[number] & (depth + length < sizes[word])
        word, depth, number = word[kept], depth[kept], number[kept]
        if not len(word):
            return


def _seeds(words: list[str], weights: Floats, alphabet: Sequence[str], most: int) -> list[str]:
    """Return the spans of two letters and more that occur twice and more, those first that cover most."""
    found: list[tuple[float, str]] = []

    def visit(spans: list[str], number: Ints, depth: Ints, word: Ints) -> NDArray[np.bool_]:
        counts = np.bincount(number, weights[word], len(spans))
        if len(spans[0]) > 1:
            found.extend((-len(spans[n]) * counts[n], spans[n]) for n in np.flatnonzero(counts >= 2).tolist())
        return counts >= 2

    if words:
        _walk(words, alphabet, visit)
    return [span for _, span in sorted(found)[:most]]


def _lattice(words: list[str], alphabet: Sequence[str], numbers: dict[str, int], whole: bool = True) -> _Edges:
    """Return the lattice of words, longest first; without pieces that are whole words, if these are not wanted."""
    sizes = np.array([len(word) for word in words], dtype=np.int64)
    layers = np.bincount(sizes, minlength=1)[::-1].cumsum()[::-1]  # a word of n letters has n + 1 nodes
    base = np.concatenate(([0], np.cumsum(layers)))
    begun = {piece[:length] for piece in numbers for length in range(1, len(piece) + 1)}
    parts: list[Ints] = [np.zeros((3, 0), dtype=np.int64)]

    def visit(spans: list[str], number: Ints, depth: Ints, word: Ints) -> NDArray[np.bool_]:
        known = np.array([numbers.get(span, -1) for span in spans])[number]
        length = len(spans[0])
        kept = (known >= 0) & (whole | (length < sizes[word]))
        begin, here = depth[kept], word[kept]
        parts.append(np.stack([base[begin] + here, base[begin + length] + here, known[kept]]))
        return np.array([span in begun for span in spans])

    if words:
        _walk(words, alphabet, visit)
    edges = np.concatenate(parts, axis=1)
    source, target, piece = edges[:, np.argsort(edges[1], kind="stable")].astype(np.int32)
    return _Edges(base, base[sizes] + np.arange(len(words)), source, target, piece)


def _shares(expected: Floats, alive: NDArray[np.bool_], lengths: Ints) -> Floats:
    """Return the probabilities of the pieces; a letter always has a little."""
    counted = np.where(alive, np.maximum(expected, np.where(lengths == 1, 1e-3, 0.0)), 0.0)
    return counted / np.cumsum(counted)[-1]


def _expected(edges: _Edges, weights: Floats, shares: Floats) -> Floats:
    """Return how often each piece is expected in the words."""
    ahead, behind = np.zeros(edges.base[-1]), np.zeros(edges.base[-1])
    ahead[: edges.base[1]] = 1.0
    behind[edges.ends] = 1.0
    share = shares[edges.piece]
    walk = list(edges.depths())
    for depth, here in walk:
        first, stop = int(edges.base[depth]), int(edges.base[depth + 1])
        through = ahead[edges.source[here]] * share[here]
        ahead[first:stop] = np.bincount(edges.target[here] - first, through, stop - first)
    for depth, here in reversed(walk):
        first, stop = int(edges.base[max(0, depth - LONGEST)]), int(edges.base[depth])
        through = behind[edges.target[here]] * share[here]
        behind[first:stop] += np.bincount(edges.source[here] - first, through, stop - first)
    scale = np.zeros(edges.base[-1])
    for depth, _ in walk:  # the words of a depth are the first ones
        first, stop = int(edges.base[depth]), int(edges.base[depth + 1])
        scale[first:stop] = (weights / ahead[edges.ends])[: stop - first]
    passed = ahead[edges.source] * share * behind[edges.target] * scale[edges.target]
    return np.bincount(edges.piece, passed, len(shares)).astype(np.float64)


def _likeliest(inner: _Edges, shares: Floats) -> Floats:
    """Return the probability of the likeliest way to cut each word."""
    best = np.zeros(inner.base[-1])
    best[: inner.base[1]] = 1.0
    for _, here in inner.depths():
        np.maximum.at(best, inner.target[here], best[inner.source[here]] * shares[inner.piece[here]])
    return best[inner.ends]
