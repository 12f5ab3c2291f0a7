"""What a second process buys: tokens/s of two processes (one thread each) over one (one thread), interleaved.

    python -m benchmarks.processes [--corpus CORPUS] [--size mini] [--rounds 9]

One process and a pair of them are started and stay; they take turns, so that both meet the same machine. Each turn is
some whole steps of the run's own loop (batches, forward, backward, exchange, clipping, optimizer), evaluations and
checkpoints left out. The pair is measured twice: with the same batch, half of it each (the same run in less time),
and with the same rows in each process. Prints a Markdown table of medians. Beside the ratio stands the processor time
of all processes per token over that of the one: what the exchange costs even where other work disturbs the clock.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from foundation.memory import keep_pages

NAMES = ("one process", "two, the same batch", "two, the same rows each")


def main() -> None:
    keep_pages()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="by default the embedded corpus")
    parser.add_argument("--objective", default="next-token")
    parser.add_argument("--family", default="")
    parser.add_argument("--size", default="mini")
    parser.add_argument("--optimizer", help="by default the recipe's")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--block", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=3, help="steps of a turn")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked)
        return
    one, pair = started(1), started(2)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    for turn in range(-1, asked.rounds):  # the first one warms up
        turns = [told(one, asked.rows), told(pair, asked.rows), told(pair, 2 * asked.rows)]
        for name, (seconds, used), rows in zip(NAMES, turns, (1, 1, 2), strict=True):
            if turn >= 0:
                tokens = asked.steps * rows * asked.rows * asked.block
                found[name].append((tokens / seconds, used / tokens))
    for process in one + pair:
        process.communicate("end\n")
    print(table(found, asked))


def started(processes: int) -> list[subprocess.Popen[str]]:
    """Start processes that know of each other and wait for their turns."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    known = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    known |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)} if processes > 1 else {}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.processes", *sys.argv[1:], "--work"],
            env={**os.environ, **known, **({"RANK": str(n), "LOCAL_RANK": str(n)} if processes > 1 else {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(processes)
    ]


def told(processes: list[subprocess.Popen[str]], rows: int) -> tuple[float, float]:
    """Let the processes take a turn with so many rows per step; return the seconds of the slowest, and the CPU's."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{rows}\n")
        process.stdin.flush()
    found = []
    for process in processes:
        assert process.stdout is not None
        line = ""
        while not line.startswith("{"):
            line = process.stdout.readline()
            if not line:
                raise SystemExit("a process has ended")
        found.append(json.loads(line))
    return max(each["seconds"] for each in found), sum(each["cpu"] for each in found)


def work(asked: argparse.Namespace) -> None:
    """Be one of the processes: take a turn for each line that is read, which says the rows."""
    import torch

    from corpora.store import Corpus, embedded
    from objectives import OBJECTIVES
    from objectives.stages import Stage, plan
    from pretrain import device, models, recipes, start
    from pretrain.loop import Steps, supplied, train
    from pretrain.run import Run

    torch.set_num_threads(1)
    corpus = Corpus.open(asked.corpus or embedded())
    run = Run(
        objective=OBJECTIVES[asked.objective](), out=Path("unused"), block=asked.block, rows=asked.rows,
        family=asked.family, optimizer=asked.optimizer, size=asked.size, steps=10**6,
    )  # fmt: skip
    accelerator = start._accelerator(run)
    feed, _, usual = start._feeds(run, corpus)
    begun = models.begin(run, corpus)
    recipe = recipes.chosen(run, begun.name, begun.model.config.hidden_size, usual.per_step)
    how = device.ways(run, accelerator.device, run.steps or 0)
    _, wrapped, optimizer, _ = start._ready(begun, recipe, accelerator, how)
    done = 0
    for line in sys.stdin:
        if line == "end\n":
            break
        steps = plan((Stage(asked.block, int(line), 1.0),), steps=10**6)
        cut = Steps(done, done + asked.steps, steps.rows, None, run.objective.weights, recipe.clip, 0)
        batch: Any = functools.partial(feed.step, steps)
        accelerator.wait_for_everyone()
        began, used = time.perf_counter(), time.process_time()
        supply = supplied(batch, cut, accelerator)
        train(wrapped, optimizer, accelerator, supply, lambda _: 0.1, cut, lambda _: False, lambda *_: None)
        print(json.dumps({"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}), flush=True)
        done += asked.steps
    if accelerator.num_processes > 1:
        torch.distributed.destroy_process_group()


def table(found: dict[str, list[tuple[float, float]]], asked: argparse.Namespace) -> str:
    first = found[NAMES[0]]
    lines = [
        f"{asked.objective}, {asked.size}, {asked.rows} × {asked.block}; {asked.rounds} rounds of {asked.steps} steps",
        "",
        "| | tokens/s | ratio, median of rounds | quartiles | processor time per token |",
        "|---|---|---|---|---|",
    ]
    for name, turns in found.items():
        ratios = sorted(speed / alone for (speed, _), (alone, _) in zip(turns, first, strict=True))
        costs = [used / alone for (_, used), (_, alone) in zip(turns, first, strict=True)]
        speed, low, high = (
            statistics.median(s for s, _ in turns),
            ratios[len(ratios) // 4],
            ratios[-1 - len(ratios) // 4],
        )
        lines.append(
            f"| {name} | {speed:,.0f} | ×{statistics.median(ratios):.2f} | {low:.2f} … {high:.2f} "
            f"| ×{statistics.median(costs):.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
