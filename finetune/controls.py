"""Two arms without any checkpoint, beside which every score is shown.

``constant`` knows the labels only: the most frequent class; for answers in words, the one training answer, or the
first words of the text itself, whichever dev likes better.
``classical`` is what one did before: TF-IDF, truncated SVD, logistic regression, n-grams, size and penalty chosen on
dev; a pair is read as |a − b| and a·b of its two vectors; an answer in words is that of the nearest training text.
Both are chosen on dev with the same care as the arms that they stand beside.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from finetune.logistic import fit
from finetune.metrics import correct, metric_of, rouge_l, words
from finetune.results import record
from finetune.tasks import Examples, Task
from foundation import keys

SIZES = (50, 100, 200, 400, 800, 1600)
EXACT = 4000
"""Up to so many texts the SVD is computed exactly, from their products with each other."""
PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
LEADS = (5, 8, 10, 12, 15, 20)

Answer = Callable[[Examples], list[str]]


def constant(task: Task, seed: int = 0) -> dict[str, Any]:
    """Return the result record of the best prediction that looks at no text (or only copies its first words)."""
    began = time.perf_counter()
    if task.kind != "sequence":
        common = Counter(sorted(task.train.labels)).most_common(1)[0][0]
        answers: dict[str, Answer] = {repr(common): lambda examples: [common] * len(examples)}
    else:
        best = _best_answer(task)
        answers = {repr(best): lambda examples: [best] * len(examples)}
        for count in LEADS:
            answers[f"first {count} words"] = lambda examples, count=count: [_lead(t, count) for t in examples.texts]
    return _chosen(task, "constant", answers, seed, began)


def classical(task: Task, seed: int = 0) -> dict[str, Any]:
    """Return the result record of TF-IDF → truncated SVD → logistic regression (or nearest neighbour)."""
    began = time.perf_counter()
    draw = keys.number(seed, "classical") % 2**32
    answers: dict[str, Answer] = {}
    for name, space in _spaces(task, draw):
        if task.kind == "sequence":
            answers[name] = _nearest(task, space)
            continue
        train, dev = _vectors(space, task.train), _vectors(space, task.dev)
        for penalty in PENALTIES:
            model, _ = fit(train, task.train.labels, dev, task.dev.labels, penalty, draw, standardise=False)
            answers[f"{name}, C = {penalty:g}"] = lambda examples, model=model, space=space: [
                str(label) for label in model.predict(_vectors(space, examples))
            ]
    return _chosen(task, "classical", answers, seed, began)


def _chosen(task: Task, arm: str, answers: dict[str, Answer], seed: int, began: float) -> dict[str, Any]:
    """Return the record of the answers that dev likes best (of equals, the first)."""
    metric = metric_of(task.kind)
    tried = {name: float(correct(metric, answer(task.dev), task.dev.labels).mean()) for name, answer in answers.items()}
    chosen = max(tried, key=lambda name: tried[name])
    return record(
        task,
        {part: answers[chosen](task.part(part)) for part in ("train", "dev", "test")},
        seed=seed,
        arm=arm,
        rate=chosen,
        tried=tried,
        seconds=time.perf_counter() - began,
    )


def _best_answer(task: Task) -> str:
    """Return the training answer that is nearest to all the answers of dev."""
    wanted = [words(label) for label in task.dev.labels]
    candidates = sorted(set(task.train.labels))
    totals = [sum(rouge_l(tried, label) for label in wanted) for tried in map(words, candidates)]
    return candidates[int(np.argmax(totals))]


def _lead(text: str, count: int) -> str:
    return " ".join(text.split()[:count])


@dataclass(frozen=True)
class Space:
    """TF-IDF and SVD fitted on the training texts, cut to the first `size` directions: texts → unit vectors."""

    steps: Any
    size: int

    def __call__(self, texts: list[str]) -> np.ndarray:
        """Return one vector of length 1 (or 0, for a text without a known word) for each text."""
        vectors = self.steps(tuple(texts))[:, : self.size]
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _spaces(task: Task, seed: int) -> Iterator[tuple[str, Space]]:
    """Yield the spaces from which dev chooses; the directions of a small one are the first of the largest."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = task.train.texts + (task.train.pairs or [])
    for longest in (1, 2):
        counts = TfidfVectorizer(ngram_range=(1, longest), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b").fit(texts)
        sparse = counts.transform(texts)
        sizes = sorted({min(size, min(sparse.shape) - 1) for size in SIZES})
        reduce = _svd(sparse, sizes[-1], seed)

        def steps(texts: tuple[str, ...], counts: Any = counts, reduce: Any = reduce) -> np.ndarray:
            return reduce(counts.transform(texts))

        cached = lru_cache(maxsize=6)(steps)
        for size in sizes:
            yield f"{longest}-grams, SVD {size}", Space(cached, size)


def _svd(sparse: Any, size: int, seed: int) -> Callable[[Any], np.ndarray]:
    """Return the projection onto the `size` leading right singular vectors, the first of them first."""
    if sparse.shape[0] > EXACT:
        from sklearn.decomposition import TruncatedSVD

        return TruncatedSVD(size, random_state=seed).fit(sparse).transform
    squares, left = np.linalg.eigh((sparse @ sparse.T).toarray())
    leading = [place for place in np.argsort(-squares)[:size] if squares[place] > 1e-6 * squares.max()]
    back = left[:, leading] / np.sqrt(squares[leading])
    return lambda more: (more @ sparse.T) @ back


def _vectors(space: Space, examples: Examples) -> np.ndarray:
    left = space(examples.texts)
    if examples.pairs is None:
        return left
    right = space(examples.pairs)
    return np.concatenate([np.abs(left - right), left * right], axis=1)


def _nearest(task: Task, space: Space) -> Answer:
    known = space(task.train.texts)

    def answer(examples: Examples) -> list[str]:
        return [task.train.labels[place] for place in (space(examples.texts) @ known.T).argmax(1)]

    return answer
