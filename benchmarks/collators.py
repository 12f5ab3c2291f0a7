"""How fast batches are made: raw input tokens per second of one thread, beside the collator of transformers 5.

    python -m benchmarks.collators [--corpus DIR] [--slope]

Prints Markdown tables. *Alone* is ``objective.collate`` on blocks that lie ready, *whole* is ``Feed.at``: the order of
the run, the gather from the corpus mapped into memory (its pages in the cache of the system) and collate. Both count
corpus tokens: 16,384 a batch, as 32 rows of 512 and as 128 of 128. The contestants of a table take turns in each
round, and the median of all rounds counts, by the clock and by the processor time of the process, which other work on
the machine disturbs less. Freed memory is kept, as the commands keep it (``foundation.memory.keep_pages``).

transformers' DataCollatorForLanguageModeling is given what its scripts give it: dicts of equally long rows, framed
already, each with its attention mask and its special tokens mask (for whole words its offsets, too). Our Collator is
given the same rows without the frame, which it adds. Neither reads them from anywhere. A ready batch is what comes
between: one tensor for ``torch_mask_tokens``, blocks for ``collate``. With whole words transformers masks all, and
replaces and keeps none.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before numpy is loaded

import numpy as np
import torch
import transformers

from corpora.blocks import Blocks
from corpora.store import Corpus, embedded
from foundation import compiled
from foundation.memory import keep_pages
from objectives import OBJECTIVES, Collator, Objective
from objectives.feed import Feed
from objectives.objective import ids_of

SHAPES = ((32, 512), (128, 128))
LENGTHS = tuple(2**power for power in range(7, 14))
SLOPE = 1.1
FORMS = ("dicts of lists", "dicts of tensors", "a ready batch")


@dataclass(frozen=True)
class Case:
    """An objective, the Mtokens/s that it must reach and aims at, and what transformers has beside it."""

    name: str
    objective: Objective
    must: float = 0
    aim: float = 0
    twin: dict[str, Any] | None = None
    """How transformers' collator is told to do the same; None if it cannot."""


def _case(shown: str, name: str, must: float = 0, aim: float = 0, twin: Any = None, **numbers: Any) -> Case:
    return Case(shown, OBJECTIVES[name](**numbers), must, aim, twin)


CASES = (
    _case("token-masking, exact", "token-masking", 70, 120, {}),
    _case("token-masking, independent", "token-masking", 130, 200, {}, independent=True),
    _case("token-masking, whole words", "token-masking", 40, 100, {"whole_word_mask": True}, unit="word"),
    _case("token-masking, n-grams", "token-masking", unit="n-gram"),
    _case("token-masking, spans", "token-masking", unit="span"),
    _case("sentence-order", "sentence-order", 30, 60),
    _case("next-sentence", "next-sentence"),
    _case("span-corruption", "span-corruption", 50, 80),
    _case("text-infilling, permutation off", "text-infilling", 40, 80, permutation=0.0),
    _case("text-infilling, with permutation", "text-infilling", 30, 50),
    _case("token-deletion", "token-deletion"),
    _case("sentence-permutation", "sentence-permutation"),
    _case("document-rotation", "document-rotation"),
    _case("deshuffling", "deshuffling"),
    _case("next-token", "next-token", 300, 800, {"mlm": False}),
    _case("prefix-language-model", "prefix-language-model"),
    _case("fill-in-the-middle", "fill-in-the-middle"),
    _case("masked-next-token", "masked-next-token"),
    _case("ul2", "ul2", 30, 60),
    _case("gpt-bert", "gpt-bert"),
)


@dataclass
class Contestant:
    """Something to time: what it does with batch i, and what it took, in seconds a call."""

    name: tuple[str, str]
    run: Callable[[int], Any]
    tokens: int
    calls: int = 1
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    done: int = 0

    def calibrate(self, least: float) -> None:
        """Find how many calls take so many seconds."""
        self.run(0)
        while self._time(self.calls)[0] * self.calls < least:
            self.calls *= 2

    def measure(self) -> None:
        """Add one measurement, after a call that brings its code and data back."""
        self._time(1)
        for times, took in zip((self.wall, self.cpu), self._time(self.calls), strict=True):
            times.append(took)

    def speed(self, *, cpu: bool = False) -> float:
        """Return Mtokens/s."""
        return self.tokens / statistics.median(self.cpu if cpu else self.wall) / 1e6

    def _time(self, calls: int) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        for turn in range(self.done, self.done + calls):
            self.run(turn)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        self.done += calls
        return wall / calls, cpu / calls


@dataclass(frozen=True, eq=False)
class Table:
    """A corpus, read in so many rows of so many tokens."""

    corpus: Corpus
    rows: int
    block: int
    batches: int

    def feed(self, objective: Objective) -> Feed:
        return Feed(self.corpus.part("train"), self.corpus.vocabulary, objective, self.block, seed=0)

    def positions(self, turn: int) -> np.ndarray:
        return np.arange(self.rows) + self.rows * turn

    def ours(self, case: Case) -> Iterator[Contestant]:
        """Return collate on ready blocks, and Feed.at."""
        feed, count = self.feed(case.objective), self.rows * self.block
        ready = [feed.read(self.positions(turn)) for turn in range(self.batches)]
        for blocks in ready:
            _ = blocks.sentences, blocks.documents
        alone = partial(_turn, lambda blocks: case.objective.collate(blocks, self.corpus.vocabulary), ready)
        yield Contestant((case.name, "alone"), alone, count)
        yield Contestant((case.name, "whole"), lambda i: feed.at(self.positions(i)), count)

    def beside(self, case: Case) -> Iterator[Contestant]:
        """Return our Collator and transformers' on the same examples, form by form."""
        blocks = [self.feed(case.objective).read(self.positions(turn)) for turn in range(self.batches)]
        tokenizer = transformers.AutoTokenizer.from_pretrained(self.corpus.folder)
        theirs = transformers.DataCollatorForLanguageModeling(tokenizer, **case.twin or {})
        ours, count = Collator(case.objective, tokenizer, block=self.block), self.rows * self.block
        frame = case.twin != {"mlm": False}
        bare, framed = ([self.examples(one, theirs, frame=side) for one in blocks] for side in (False, frame))
        for form, shaped in zip(FORMS, (np.ndarray.tolist, torch.tensor), strict=False):
            for who, run, given in (("Collator", ours, bare), ("transformers", theirs, framed)):
                batches = [[{k: shaped(v) for k, v in one.items()} for one in batch] for batch in given]
                yield Contestant((case.name, f"{form}, {who}"), partial(_turn, run, batches), count)
        if theirs.mlm:
            ready = [_stacked(batch) for batch in framed]
            asked = partial(_turn, lambda batch: theirs.torch_mask_tokens(batch["input_ids"].clone(), *batch["marks"]))
            yield Contestant((case.name, f"{FORMS[2]}, transformers"), partial(asked, ready), count)

    def examples(self, blocks: Blocks, theirs: Any, *, frame: bool) -> list[dict[str, np.ndarray]]:
        """Return rows as dicts of arrays, with what transformers' collator wants to be told beside them."""
        vocabulary = self.corpus.vocabulary
        ids = blocks.ids
        if frame:
            cls, sep = ids_of(vocabulary, "cls", "sep")
            ids = np.pad(ids, ((0, 0), (1, 1)), constant_values=((0, 0), (cls, sep)))
        marks = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        if theirs.mlm:
            marks["special_tokens_mask"] = (~vocabulary.is_ordinary(ids)).astype(np.int64)
        if theirs.whole_word_mask:  # pieces of a word touch, words and special tokens stand apart
            apart = vocabulary.word_starts(ids, np.ones(ids.shape, dtype=bool)) | ~vocabulary.is_ordinary(ids)
            begins = np.cumsum(1 + apart, axis=1)
            marks["offset_mapping"] = np.stack([begins, begins + 1], axis=-1)
        return [{name: array[row] for name, array in marks.items()} for row in range(len(ids))]


def _turn(run: Callable[[Any], Any], batches: Sequence[Any], turn: int) -> Any:
    return run(batches[turn % len(batches)])


def _stacked(batch: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    names = [name for name in ("special_tokens_mask", "offset_mapping") if name in batch[0]]
    marks = [torch.from_numpy(np.stack([row[name] for row in batch])) for name in names]
    return {"input_ids": torch.from_numpy(np.stack([row["input_ids"] for row in batch])), "marks": marks}


def race(contestants: list[Contestant], rounds: int, least: float) -> dict[tuple[str, str], Contestant]:
    """Let all take turns in each round; without garbage collections, as timeit does."""
    gc.collect()
    gc.disable()
    try:
        for one in contestants:
            one.calibrate(least)
        for _ in range(rounds):
            for one in contestants:
                one.measure()
    finally:
        gc.enable()
    return {one.name: one for one in contestants}


def compared(table: Table, rounds: int, least: float) -> Iterator[str]:
    """Return the lines of the two tables of one shape."""
    twins = [one for case in CASES if case.twin is not None for one in table.beside(case)]
    found = race([one for case in CASES for one in table.ours(case)] + twins, rounds, least)
    yield f"### {table.rows} rows of {table.block}: Mtokens/s\n"
    yield "| objective | alone | whole | alone, CPU | whole, CPU | must (aim) | alone reaches | whole reaches |"
    yield "|---|---:|---:|---:|---:|---:|---|---|"
    for case in CASES:
        alone, whole = (found[case.name, what] for what in ("alone", "whole"))
        speeds = [one.speed(cpu=cpu) for cpu in (False, True) for one in (alone, whole)]
        asked = f"{case.must:g} ({case.aim:g})" if case.must else ""
        reached = [_reached(case, speed) for speed in speeds[:2]]
        yield f"| {' | '.join([case.name, *map(_shown, speeds), asked, *reached])} |"
    yield f"\n### {table.rows} rows of {table.block}: beside transformers {transformers.__version__}, Mtokens/s\n"
    yield "| objective | given | ours | transformers | ratio | ratio, CPU |"
    yield "|---|---|---:|---:|---:|---:|"
    for case in CASES:
        for form in FORMS:
            theirs = found.get((case.name, f"{form}, transformers"))
            if theirs is not None:
                ours = found.get((case.name, f"{form}, Collator"), found[case.name, "alone"])
                ratios = [ours.speed(cpu=cpu) / theirs.speed(cpu=cpu) for cpu in (False, True)]
                shown = [_shown(ours.speed()), _shown(theirs.speed()), *(f"{ratio:.1f}" for ratio in ratios)]
                yield f"| {' | '.join([case.name, form, *shown])} |"
    yield f"\nNone in transformers 5: {'; '.join(case.name for case in CASES if case.twin is None)}.\n"


def _shown(speed: float) -> str:
    return f"{speed:.0f}" if speed >= 100 else f"{speed:.1f}" if speed >= 1 else f"{speed:.2f}"


def _reached(case: Case, speed: float) -> str:
    if not case.must:
        return ""
    return "the aim" if speed >= case.aim else "the must" if speed >= case.must else f"**{speed / case.must:.0%}**"


def sloped(corpus: Corpus, rows: int, lengths: Sequence[int], rounds: int, least: float) -> Iterator[str]:
    """Return the lines of the table of costs against lengths.

    Long rows have more spans than a vocabulary has sentinels; here it has its own over and over, which changes
    neither the work nor its cost.
    """
    corpus.vocabulary.sentinels = np.resize(corpus.vocabulary.sentinels, 2 * max(lengths))
    contestants = []
    for length in lengths:
        table = Table(corpus, rows, length, 1)
        for case in CASES:
            at = table.feed(case.objective).at
            contestants.append(Contestant((case.name, str(length)), lambda i, a=at, t=table: a(t.positions(i)), length))
    found = race(contestants, rounds, least)
    yield f"### Whole, {rows} rows: nanoseconds a token by length, and the log-log slope of time against length\n"
    yield f"| objective | {' | '.join(map(str, lengths))} | slope | under {SLOPE} |"
    yield f"|---{'|---:' * (len(lengths) + 1)}|---|"
    for case in CASES:
        times = [statistics.median(found[case.name, str(length)].wall) for length in lengths]
        slope = float(np.polyfit(np.log(lengths), np.log(times), 1)[0])
        shown = [f"{1e9 * time / rows / length:.1f}" for time, length in zip(times, lengths, strict=True)]
        yield f"| {' | '.join([case.name, *shown, f'{slope:.3f}', 'yes' if slope < SLOPE else '**no**'])} |"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="a corpus; by default a million words of the embedded one")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--least", type=float, default=0.01, help="seconds that a measurement takes at least")
    parser.add_argument("--slope", action="store_true", help="cost against length instead")
    parser.add_argument("--slope-rows", type=int, default=128, help="rows of a batch at each length")
    parser.add_argument("--quick", action="store_true", help="one hasty round; its times mean nothing")
    asked = parser.parse_args(words)
    if asked.quick:
        asked.rounds, asked.least, asked.slope_rows = 1, 0.0, 2
    keep_pages()
    compiled.at_once()
    torch.set_num_threads(1)
    corpus = Corpus.open(asked.corpus or embedded(words=1_000_000, vocabulary=8192))
    versions = f"numpy {np.__version__}, torch {torch.__version__}, transformers {transformers.__version__}"
    print(f"Python {platform.python_version()}, {versions}; {asked.rounds} rounds.\n", flush=True)
    if asked.slope:
        lengths = LENGTHS[:3] if asked.quick else LENGTHS
        print("\n".join(sloped(corpus, asked.slope_rows, lengths, asked.rounds, asked.least)))
        return
    for rows, block in SHAPES:
        table = Table(corpus, rows, block, batches=1 if asked.quick else 8)
        print("\n".join(compared(table, asked.rounds, asked.least)), flush=True)


if __name__ == "__main__":
    main()
