"""Whole optimizer steps, ours and transformers' Trainer: tokens per second, MFU, memory.

    python -m benchmarks.step TEXT_OR_FOLDER… [--only 2x128] [--rounds 5]

Each case starts four processes on one core, ours and the Trainer's with dropout and without, which train the same
architecture from the same weights (compared by hash) on the same blocks of the same text (compared by hash of what each
read), and which agree on the loss of one common batch. Then they take turns, a step and a matmul each, so that a noisy
machine troubles all alike. Ours is compared with the Trainer's default, dropout 0.1, and at equal dropout. The
Trainer is transformers' own with its defaults and its own collator; for T5 and BART, for which transformers has none,
it is given the examples that our objective makes, and pads them itself. Our side is `pretrain.loop.train` with the
recipe's AdamW. All are timed between the ends of steps.

MFU is the arithmetic of the model as it is defined (pretrain/estimate.py), forward and backward, by the fastest
matmul of the same run: work that our side spares (the last layer where nothing is asked) counts as done, and is told
beside it. Memory is the peak resident size less that before the first step.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    name: str
    objective: str
    family: str
    layers: tuple[int, ...]
    width: int
    vocabulary: int
    must: tuple[float, float]
    """Ratio of tokens/s with dropout 0.1 and without."""
    aim: tuple[float, float]
    mfu: float
    memory: float
    rows: int = 32
    length: int = 128


CASES = (
    Case("masked 2x128, 30k", "token-masking", "bert", (2,), 128, 30522, (6, 8), (9, 10), 0.52, 0.6),
    Case("masked 2x128, 8k", "token-masking", "bert", (2,), 128, 8192, (3, 4.3), (5, 6), 0.52, 0.6),
    Case("masked 4x256, 8k", "token-masking", "bert", (4,), 256, 8192, (1.9, 2.3), (2.5, 3), 0.62, 0.6),
    Case("causal 2x128, 8k", "next-token", "gpt2", (2,), 128, 8192, (1.6, 1.8), (2, 2.2), 0.52, 0.6),
    Case("causal 4x256, 8k", "next-token", "gpt2", (4,), 256, 8192, (1.25, 1.5), (1.6, 2), 0.62, 0.6),
    Case("T5 4+4x256, 8k", "span-corruption", "t5", (4, 4), 256, 8192, (1.05, 1.4), (1.3, 1.8), 0.52, 0.7),
    Case("BART 3+3x256, 8k", "text-infilling", "bart", (3, 3), 256, 8192, (1.15, 1.5), (1.5, 1.8), 0.62, 0.6),
    Case("T5 4+4x256, 30k", "span-corruption", "t5", (4, 4), 256, 30522, (1.05, 1.4), (1.3, 1.8), 0.52, 0.7),
    Case("BART 3+3x256, 30k", "text-infilling", "bart", (3, 3), 256, 30522, (1.15, 1.5), (1.5, 1.8), 0.62, 0.6),
    Case("T5, 8x512", "span-corruption", "t5", (4, 4), 256, 8192, (1.05, 1.4), (1.3, 1.8), 0.52, 0.7, 8, 512),
    Case("BART, 8x512", "text-infilling", "bart", (3, 3), 256, 8192, (1.15, 1.5), (1.5, 1.8), 0.62, 0.6, 8, 512),
)
TOY = Case("toy 1x32", "token-masking", "bert", (1,), 32, 700, (0.0, 0.0), (9, 9), 0.0, 9.0, rows=4, length=32)


class Side:
    """One of the two processes of a case; it does what it is told, a line at a time."""

    def __init__(self, side: str, case: Case, dropout: float, folder: Path, corpus: Path, steps: int) -> None:
        told = {"case": dataclasses.asdict(case), "dropout": dropout, "folder": str(folder), "corpus": str(corpus)}
        words = [sys.executable, "-m", "benchmarks.sides", side, json.dumps({**told, "steps": steps})]
        alone = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **alone}
        )

    def ask(self, word: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("@"):
                return json.loads(line[1:])
        raise SystemExit(f"the process ended with {self.process.wait()} instead of an answer to {word!r}")

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measured(case: Case, dropouts: list[float], corpus: Path, rounds: int) -> dict[tuple[str, float], dict[str, Any]]:
    """Return the medians of one case, by side and dropout."""
    with tempfile.TemporaryDirectory() as name:
        steps = rounds + 2  # the first two of each are not counted
        sides: dict[tuple[str, float], Side] = {}
        for dropout in dropouts:
            folder = Path(name) / f"{dropout:g}"
            folder.mkdir()
            sides["ours", dropout] = Side("ours", case, dropout, folder, corpus, steps)
            sides["ours", dropout].ask("save")
            sides["trainer", dropout] = Side("trainer", case, dropout, folder, corpus, steps)
        try:
            said = {key: side.ask("begin") for key, side in sides.items()}
            assert len({one["weights"] for one in said.values()}) == 1, "other first weights"
            losses = [one["loss"] for one in said.values()]
            assert max(losses) - min(losses) < 1e-5 * min(losses), losses
            took: dict[tuple[str, float], list[dict[str, float]]] = {key: [] for key in sides}
            for turn in range(steps):
                for key, side in list(sides.items())[:: 1 if turn % 2 else -1]:
                    took[key].append(side.ask("step"))
            ends = {key: side.ask("end") for key, side in sides.items()}
            assert len({one["text"] for one in ends.values()}) == 1, "other text was read"
        finally:
            for side in sides.values():
                side.close()
    speed = max(one["flops"] for all_ in took.values() for one in all_)
    work, spared = ends["ours", dropouts[0]]["work"], ends["ours", dropouts[0]]["spared"]
    found = {}
    for key, every in took.items():
        middle = {name: statistics.median(one[name] for one in every[2:]) for name in ("ms", "host", "faults")}
        done = {"mfu": work / middle["ms"] * 1e3 / speed, "spared": spared / middle["ms"] * 1e3 / speed}
        found[key] = {**middle, **done, "memory": ends[key]["peak"], "gemm": speed}
        found[key]["tokens"] = case.rows * said["ours", key[1]]["block"] / middle["ms"] * 1e3
    return found


def started(case: Case, corpus: Path) -> float:
    """Return the seconds from the imports of the command to the end of its first step."""
    with tempfile.TemporaryDirectory() as folder:
        side = Side("first", case, 0.0, Path(folder), corpus, 1)
        took = side.ask("first")
        side.close()
    return took


HEAD = (
    *("case", "dropout", "Trainer ms", "ours ms", "ratio", "to the Trainer's default", "must (aim)", "reaches"),
    *("ours tok/s", "MFU Trainer", "MFU ours", "without what it spares", "least MFU", "MB Trainer", "MB ours", "share"),
    *("of its default", "at most", "host", "faults a step", "first step s"),
)


def lines(case: Case, found: dict[tuple[str, float], dict[str, Any]], first: float) -> list[list[str]]:
    """Return the cells of a case, a line for each dropout, the Trainer's default of 0.1 first."""
    told = []
    default = found.get(("trainer", 0.1)) or found["trainer", 0.0]
    for dropout in dict.fromkeys(key[1] for key in found):
        ours, stock = found["ours", dropout], found["trainer", dropout]
        must, aim = (case.must[0], case.aim[0]) if dropout else (case.must[1], case.aim[1])
        ratio = default["ms"] / ours["ms"]
        told.append(
            [
                case.name,
                f"{dropout:g}",
                f"{stock['ms']:.0f}",
                f"{ours['ms']:.0f}",
                f"{stock['ms'] / ours['ms']:.2f}",
                f"{ratio:.2f}",
                f"{must:g} ({aim:g})",
                "the aim" if ratio >= aim else "the must" if ratio >= must else f"**{ratio / must:.0%}**",
                f"{ours['tokens']:,.0f}",
                f"{stock['mfu']:.2f}",
                f"{ours['mfu']:.2f}",
                f"{ours['spared']:.2f}",
                "" if dropout else f"{case.mfu:.2f}",
                f"{stock['memory']:.0f}",
                f"{ours['memory']:.0f}",
                f"{ours['memory'] / stock['memory']:.0%}",
                f"{ours['memory'] / default['memory']:.0%}",
                f"{case.memory:.0%}",
                f"{ours['host'] / ours['ms']:.2%}",
                f"{ours['faults']:,.0f}",
                "" if dropout else f"{first:.2f}",
            ]
        )
    return told


def table(rows: list[list[str]]) -> str:
    """Return rows of cells under the head, as Markdown."""
    return "\n".join(["| " + " | ".join(cells) + " |" for cells in (HEAD, ["---", *["---:"] * (len(HEAD) - 1)], *rows)])


def corpora(texts: list[str], sizes: set[int], folder: Path) -> dict[int, Path]:
    """Return a corpus of the texts for each size of vocabulary; a single folder that is a corpus serves all."""
    from corpora.requests import Build
    from corpora.store import build

    if len(texts) == 1 and (Path(texts[0]) / "meta.json").is_file():
        return dict.fromkeys(sizes, Path(texts[0]))
    return {
        size: build(Build(sources=tuple(texts), out=folder / str(size), vocabulary=size, held_out=0.02))
        for size in sizes
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=__doc__)
    parser.add_argument("texts", nargs="+", help="text files, or one folder that is a corpus")
    parser.add_argument("--only", default="", help="cases whose names hold this")
    parser.add_argument("--rounds", type=int, default=5, help="counted steps of each side")
    parser.add_argument("--dropout", type=float, nargs="+", default=[0.1, 0.0])
    parser.add_argument("--toy", action="store_true", help="one case of no size, to see that the script runs")
    asked = parser.parse_args(argv)
    cases = [TOY] if asked.toy else [case for case in CASES if asked.only in case.name]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        built = corpora(asked.texts, {case.vocabulary for case in cases}, Path(folder))
        rows: list[list[str]] = []
        for case in cases:
            found = measured(case, asked.dropout, built[case.vocabulary], asked.rounds)
            rows += lines(case, found, started(case, built[case.vocabulary]))
            speed = next(iter(found.values()))["gemm"]
            print(f"{case.name}: x{', x'.join(row[5] for row in rows[-len(asked.dropout) :])}", file=sys.stderr)
    names = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "accelerate"))
    print(
        f"One core of {platform.machine()}, sgemm {speed / 1e9:.0f} GF/s, Python {platform.python_version()}, {names};"
        f" medians of {asked.rounds} steps\n\n{table(rows)}"
    )


if __name__ == "__main__":
    main()
