"""Training steps on a GPU, ours and transformers' Trainer at its strongest: tokens per second, MFU, memory.

    python -m benchmarks.gpu [--only bert-128] [--corpus DIR] [--micro 64] [--ablate]
    python -m benchmarks.gpu --device cpu --tiny          the same script on a CPU, as a toy

Each case starts two processes on the card, each of which may use 48 % of its memory. They train the same architecture
from the same weights on the blocks of the same text (both compared by hash) and take turns of some steps. The Trainer
has bf16, TF32, torch_compile, the fused AdamW, loader workers, pinned memory, and liger-kernel where it knows the
model; there is no dropout. For T5, which has no collator in transformers, it is given the examples that our objective
makes. Our side is `pretrain.loop.train` with what `pretrain.device` chooses. Each side takes the batch that is best
for it: doubled until the memory is full or nothing is gained. The first two turns are for compiling and do not count;
behind them, anything on our side that waits for the device inside a step is an error, and is told.

Tokens are those of the corpus. MFU is the arithmetic of the model as it is defined (pretrain/estimate.py) by the
vendor's figure for the card (pretrain/peak.py), and by a bf16 matmul timed in front of each turn. Vocabularies are
padded to a multiple of 64 for both. --ablate measures our side beside variants of itself, each pair in turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

GAIN = 1.02
"""What twice the batch has to bring, or it is not doubled again."""


@dataclass(frozen=True)
class Case:
    name: str
    objective: str
    family: str
    layers: tuple[int, ...]
    vocabulary: int
    length: int
    goal: float
    """MFU by the card's peak."""
    micro: int
    """The first batch that is tried."""
    width: int = 768
    rows: int = 0


CASES = (
    Case("bert-128", "token-masking", "bert", (12,), 30_528, 128, 0.5, 128),
    Case("bert-512", "token-masking", "bert", (12,), 30_528, 512, 0.5, 32),
    Case("gpt2-512", "next-token", "gpt2", (12,), 50_304, 512, 0.5, 32),
    Case("t5-512", "span-corruption", "t5", (12, 12), 32_128, 512, 0.4, 32),
)
BEST = {"half": "autocast", "compile": "layers", "judge": "auto"}
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("not compiled", {"ways": {**BEST, "compile": "no"}, "steady": False}),
    ("compiled as one", {"ways": {**BEST, "compile": "model"}}),
    ("shapes as they come", {"steady": False}),
    ("judged by liger-kernel", {"ways": {**BEST, "judge": "liger"}, "strict": False}),
    ("bf16 copies", {"ways": {**BEST, "half": "copies"}}),
)


class Full(Exception):
    """The memory is full."""


class Side:
    """One process."""

    def __init__(self, side: str, told: dict[str, Any]) -> None:
        words = [sys.executable, "-m", "benchmarks.gpu_sides", side, json.dumps(told)]
        quiet = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet)
        self.said: dict[str, Any] = {}

    def begin(self) -> None:
        self.said = self._answer()

    def turn(self) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("@"):
                found = json.loads(line[1:])
                if "full" in found:
                    raise Full
                if "waits" in found:
                    raise SystemExit(f"our side waits for the device inside a step: {found['waits']}")
                return found
        raise SystemExit(f"a process ended with {self.process.wait()} instead of an answer")

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def told(case: Case, asked: argparse.Namespace, folder: str, micro: int, **more: Any) -> dict[str, Any]:
    """Return what a process has to know."""
    cuda = asked.device == "cuda"
    common = {"case": dataclasses.asdict(case), "folder": folder, "corpus": str(asked.corpus), "device": asked.device}
    ways = BEST if cuda else {**BEST, "compile": "no"}
    return {
        **common,
        "micro": micro,
        "turn": asked.turn,
        "pool": 64 if asked.tiny else 16_384,
        "ways": ways,
        "steady": True,
        "strict": True,
        **more,
    }


def compared(one: tuple[str, dict[str, Any]], other: tuple[str, dict[str, Any]], rounds: int) -> list[dict[str, Any]]:
    """Return the medians of two processes that take turns, after comparing what they train and read."""
    both: list[Side] = []
    try:
        both += [Side(*what) for what in (one, other)]
        for side in both:
            side.begin()
        first, second = (side.said for side in both)
        assert first["weights"] == second["weights"], "other first weights"
        assert first["text"] == second["text"], "other text"
        took: list[list[dict[str, float]]] = [[], []]
        for turn in range(rounds + 2):
            for number in (0, 1) if turn % 2 else (1, 0):
                took[number].append(both[number].turn())
    finally:
        for side in both:
            side.close()
    flops = statistics.median(turn["flops"] for turns in took for turn in turns[2:])
    return [medians(side.said, turns[2:], flops) for side, turns in zip(both, took, strict=True)]


def medians(said: dict[str, Any], turns: list[dict[str, float]], flops: float) -> dict[str, Any]:
    """Return the speed of one process, from its turns."""
    ms = statistics.median(turn["ms"] for turn in turns)
    done = said["work"] / ms * 1e3
    memory = max(turn["memory"] for turn in turns)
    speeds = {"tokens": said["tokens"] / ms * 1e3, "mfu": done / said["peak"], "by matmul": done / flops}
    return {**said, **speeds, "ms": ms, "memory": memory}


def best(side: str, case: Case, asked: argparse.Namespace, folder: str) -> int:
    """Return the batch at which a side alone is fastest: doubled until nothing is gained or the memory is full."""
    if asked.micro:
        return asked.micro
    micro, fastest, found = case.micro, 0.0, 0
    while True:
        process = Side(side, told(case, asked, folder, micro, strict=False))
        try:
            process.begin()
            ms = [process.turn()["ms"] for _ in range(4)][2:]
        except Full:
            break
        finally:
            process.close()
        speed = process.said["tokens"] / min(ms)
        if speed > fastest:
            found = micro
        if speed < GAIN * fastest:
            break
        micro, fastest = 2 * micro, speed
    if not found:
        raise SystemExit(f"{case.name}: {case.micro} rows do not fit {side}'s part of the memory; give --micro")
    return found


def measure(case: Case, asked: argparse.Namespace) -> str:
    """Return a row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        micros = [best(side, case, asked, folder) for side in ("ours", "trainer")]
        sides = [
            (side, told(case, asked, folder, micro)) for side, micro in zip(("ours", "trainer"), micros, strict=True)
        ]
        ours, trainer = compared(sides[0], sides[1], asked.rounds)
    ratio = ours["tokens"] / trainer["tokens"]
    cells = [
        f"{case.name}, {ours['parameters'] / 1e6:.1f} M",
        f"{micros[0]} / {micros[1]}",
        f"{ours['tokens']:,.0f}",
        f"{trainer['tokens']:,.0f}",
        f"×{ratio:.2f}",
        f"{ours['mfu']:.1%} / {trainer['mfu']:.1%} ({case.goal:.0%})",
        f"{ours['by matmul']:.1%} / {trainer['by matmul']:.1%}",
        f"{ours['memory']:.1f} / {trainer['memory']:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def ablate(case: Case, asked: argparse.Namespace) -> list[str]:
    """Return a row for each variant of our side."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        micro = best("ours", case, asked, folder)
        for name, change in VARIANTS:
            pair = (("ours", told(case, asked, folder, micro)), ("ours", told(case, asked, folder, micro, **change)))
            try:
                usual, other = compared(*pair, asked.rounds)
            except Full:
                rows.append(f"| {case.name} | {name} | memory full | | |")
                continue
            ratio, memory = other["tokens"] / usual["tokens"], f"{other['memory']:.1f} ({usual['memory']:.1f})"
            rows.append(f"| {case.name} | {name} | {other['tokens']:,.0f} | ×{ratio:.3f} | {memory} |")
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def toy(case: Case) -> Case:
    """Return a case that a CPU can do."""
    return dataclasses.replace(case, layers=tuple(1 for _ in case.layers), length=32, micro=2, width=64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a part of a case's name")
    parser.add_argument("--corpus", type=Path, help="by default the embedded one")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--micro", type=int, default=0, help="rows of a batch, instead of the best")
    parser.add_argument("--turn", type=int, default=20, help="steps of a turn")
    parser.add_argument("--rounds", type=int, default=7, help="turns that count")
    parser.add_argument("--ablate", action="store_true", help="our side beside variants of itself")
    parser.add_argument("--tiny", action="store_true", help="toy sizes")
    asked = parser.parse_args()
    cases = [case for case in CASES if asked.only in case.name]
    import torch

    from corpora.store import Corpus, embedded

    asked.corpus = (asked.corpus or embedded()).absolute()
    size = Corpus.open(asked.corpus).vocabulary.size
    if asked.tiny:
        asked.turn, asked.rounds, asked.micro = 1, 1, asked.micro or 2
        cases = [dataclasses.replace(toy(case), vocabulary=-(-size // 64) * 64) for case in cases]
    if asked.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU is here; --device cpu --tiny runs the script as a toy")
    card = torch.cuda.get_device_name() if asked.device == "cuda" else "CPU"
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "accelerate"))
    print(f"{card} · {versions} · medians of {asked.rounds} turns of {asked.turn} steps\n")
    if asked.ablate:
        print("| case | our side, but | tokens/s | of the usual | GiB (usual) |\n|---|---|---|---|---|")
        for case in cases:
            print("\n".join(ablate(case, asked)), flush=True)
        return
    heads = ["case", "rows, ours / Trainer", "tokens/s", "Trainer", "ratio", "MFU by peak (goal)", "by matmul", "GiB"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for case in cases:
        print(measure(case, asked), flush=True)


if __name__ == "__main__":
    main()
