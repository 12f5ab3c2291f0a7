"""The matrix products of a layer by both libraries of torch's CPU build, in turns: what pretrain/products.py rests on.

    python -m benchmarks.products [--rows 4096] [--rounds 25]

One thread, float32; prints GF/s, the best of the rounds, as Markdown. *said* is states · weightᵀ + bias, *to states*
and *to weight* are the slopes on the way back.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional

from foundation.memory import keep_pages
from pretrain import products

SHAPES = ((128, 128), (128, 512), (512, 128), (256, 256), (256, 1024), (1024, 256), (256, 8192))


def best(ways: list[Callable[[], object]], rounds: int) -> list[float]:
    """Return the seconds of the fastest turn of each way."""
    found = [float("inf")] * len(ways)
    for turn in range(rounds + 1):  # the first one warms up
        for number, way in enumerate(ways):
            began = time.perf_counter()
            way()
            found[number] = min(found[number], time.perf_counter() - began if turn else float("inf"))
    return found


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4096, help="positions of a batch")
    parser.add_argument("--rounds", type=int, default=25)
    asked = parser.parse_args(words)
    keep_pages()
    torch.set_num_threads(1)
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    makers = sorted({line.split(":")[1].strip() for line in told.splitlines() if line.startswith("vendor_id")})
    chosen = "oneDNN" if products.by_onednn() else "MKL"
    print(f"{platform.machine()} {' '.join(makers)}, torch {torch.__version__}: {chosen} is taken here\n")
    print("| layer | said: MKL | oneDNN | to states: MKL | oneDNN | to weight: MKL | oneDNN |\n|---|" + "---:|" * 6)
    other = torch.ops.mkldnn._linear_pointwise
    for inputs, outputs in SHAPES:
        rows = asked.rows if outputs < 8192 else 256  # the loss takes that many at a time
        states, slope = torch.randn(rows, inputs), torch.randn(rows, outputs)
        weight, bias = torch.randn(outputs, inputs), torch.randn(outputs)
        ways: list[Callable[[], object]] = [
            lambda: functional.linear(states, weight, bias),  # noqa: B023 - called in this turn
            lambda: other(states, weight, bias, "none", [], ""),  # noqa: B023
            lambda: slope @ weight,  # noqa: B023
            lambda: other(slope, weight.t(), None, "none", [], ""),  # noqa: B023
            lambda: slope.t() @ states,  # noqa: B023
            lambda: other(slope.t(), states.t(), None, "none", [], ""),  # noqa: B023
        ]
        speeds = [f"{2 * rows * inputs * outputs / took / 1e9:.0f}" for took in best(ways, asked.rounds)]
        print(f"| {inputs} → {outputs}, {rows} rows | " + " | ".join(speeds) + " |", flush=True)


if __name__ == "__main__":
    main()
