"""Whole optimizer steps, ours and transformers' Trainer: tokens per second, MFU, memory.

    python -m benchmarks.step TEXT_OR_FOLDER… [--only 2x128] [--rounds 5]

Each case starts two processes on one core, which train the same architecture from the same weights (saved once,
compared by hash) on the same blocks of the same text (compared by hash of what each read), and which agree on the
loss of one common batch. Then they take turns: one step of one, one step of the other, and a matmul, so that a noisy
machine troubles both. The Trainer is transformers' own with its defaults and its own collator; for T5 and BART, for
which transformers has none, it is given the examples that our objective makes, and pads them itself. Our side is
`pretrain.loop.train` with the recipe's optimizer. Both are timed between the ends of steps.

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


def measured(case: Case, dropout: float, corpus: Path, rounds: int) -> dict[str, Any]:
    """Return the medians of one case under one dropout."""
    with tempfile.TemporaryDirectory() as folder:
        steps = rounds + 2  # the first two of each are not counted
        sides = {"ours": Side("ours", case, dropout, Path(folder), corpus, steps)}
        sides["ours"].ask("save")
        sides["trainer"] = Side("trainer", case, dropout, Path(folder), corpus, steps)
        try:
            said = {name: side.ask("begin") for name, side in sides.items()}
            assert said["ours"]["weights"] == said["trainer"]["weights"], "other first weights"
            apart = abs(said["ours"]["loss"] - said["trainer"]["loss"])
            assert apart < 1e-5 * said["trainer"]["loss"], (said["ours"]["loss"], said["trainer"]["loss"])
            took: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
            for turn in range(steps):
                for name, side in list(sides.items())[:: 1 if turn % 2 else -1]:
                    took[name].append(side.ask("step"))
            ends = {name: side.ask("end") for name, side in sides.items()}
            assert ends["ours"]["text"] == ends["trainer"]["text"], "other text was read"
        finally:
            for side in sides.values():
                side.close()
    ms = {name: statistics.median(one["ms"] for one in found[2:]) for name, found in took.items()}
    speed = max(one["flops"] for found in took.values() for one in found)
    ours = {key: statistics.median(one[key] for one in took["ours"][2:]) for key in ("host", "faults")}
    return {
        "ms": ms,
        "ratio": ms["trainer"] / ms["ours"],
        "tokens": case.rows * said["ours"]["block"] / ms["ours"] * 1e3,
        "mfu": {name: ends["ours"]["work"] / (ms[name] / 1e3) / speed for name in ms},
        "spared": ends["ours"]["spared"] / (ms["ours"] / 1e3) / speed,
        "memory": {name: ends[name]["peak"] for name in ms},
        "host": ours["host"] / ms["ours"],
        "faults": ours["faults"],
        "first": started(case, corpus) if not dropout else None,
        "gemm": speed,
    }


def started(case: Case, corpus: Path) -> float:
    """Return the seconds from the imports of the command to the end of its first step."""
    with tempfile.TemporaryDirectory() as folder:
        side = Side("first", case, 0.0, Path(folder), corpus, 1)
        took = side.ask("first")
        side.close()
    return took


def table(found: list[tuple[Case, float, dict[str, Any]]]) -> str:
    """Return the results as a Markdown table, with what reaches its must and its aim."""
    head = (
        *("case", "dropout", "Trainer ms", "ours ms", "ratio", "must (aim)", "reaches", "ours tok/s", "MFU Trainer"),
        *("MFU ours", "without what it spares", "least MFU", "MB Trainer", "MB ours", "share", "at most", "host"),
        *("faults a step", "first step s"),
    )
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for case, dropout, one in found:
        must, aim = (case.must[0], case.aim[0]) if dropout else (case.must[1], case.aim[1])
        ratio, mfu, memory = one["ratio"], one["mfu"], one["memory"]
        cells = [
            case.name,
            f"{dropout:g}",
            f"{one['ms']['trainer']:.0f}",
            f"{one['ms']['ours']:.0f}",
            f"{ratio:.2f}",
            f"{must:g} ({aim:g})",
            "the aim" if ratio >= aim else "the must" if ratio >= must else f"**{ratio / must:.0%}**",
            f"{one['tokens']:,.0f}",
            f"{mfu['trainer']:.2f}",
            f"{mfu['ours']:.2f}",
            f"{one['spared']:.2f}",
            "" if dropout else f"{case.mfu:.2f}",
            f"{memory['trainer']:.0f}",
            f"{memory['ours']:.0f}",
            f"{memory['ours'] / memory['trainer']:.0%}",
            f"{case.memory:.0%}",
            f"{one['host']:.2%}",
            f"{one['faults']:,.0f}",
            f"{one['first']:.2f}" if one["first"] else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


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
        found = []
        for case in cases:
            for dropout in asked.dropout:
                found.append((case, dropout, measured(case, dropout, built[case.vocabulary], asked.rounds)))
                print(f"{case.name}, dropout {dropout:g}: x{found[-1][2]['ratio']:.2f}", file=sys.stderr, flush=True)
    names = ("torch", "transformers", "accelerate")
    gemm = max(one["gemm"] for _, _, one in found)
    print(f"One core of {platform.processor() or platform.machine()}, sgemm {gemm / 1e9:.0f} GF/s, Python"
          f" {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in names)}; medians of"
          f" {asked.rounds} steps\n\n{table(found)}")  # fmt: skip


if __name__ == "__main__":
    main()
