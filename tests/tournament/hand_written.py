"""Results written by hand: what a runner would have recorded, with scores that are known."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from foundation import durable, keys
from tournament import results

Record = dict[str, Any]
FAMILIES = {
    "token-masking": "bert",
    "sentence-order": "bert",
    "span-corruption": "t5",
    "text-infilling": "bart",
    "next-token": "gpt2",
}
ENDS = {
    "token-masking": 5.3,
    "sentence-order": 5.5,
    "span-corruption": 6.69,
    "text-infilling": 5.6,
    "next-token": 5.2,
}
UNIGRAM = 6.72


def correct(score: float, *words: str | int, count: int = 400) -> list[float]:
    """Return ones and zeros with exactly this mean (to a part of `count`), in an order of their own."""
    order = keys.order(keys.fold(0, *words), count, np.arange(count))
    return [float(place < round(score * count)) for place in order.tolist()]


def plan(names: Iterable[str], called: str = "demo", seeds: int = 1, fine_seeds: int = 2) -> Record:
    """Return the record of the plan."""
    said = {"called": called, "names": list(names), "task_names": ["library", "shuffled-words"]}
    said |= {"strategy_names": ["probe", "full"], "seeds": [*range(seeds)], "fine_seeds": [*range(fine_seeds)]}
    return {"step": "plan", "kind": "plan", "status": "finished", "plan": said}


def corpus() -> Record:
    """Return the record of the corpus."""
    return {"step": "corpus", "kind": "corpus", "status": "finished", "words": 1_000_000, "identity": "corpus"}


def pretrained(name: str, family: str, end: float, seed: int = 0) -> Record:
    """Return the record of a pretraining whose loss falls to `end`."""
    curve = [
        {"tokens": 150_000 * at, "held_out": {"tokens": end + (8.3 - end) * 0.55**at}, "seconds": 10.0 * at}
        for at in range(1, 9)
    ]
    curve[-1]["held_out"] = {"tokens": end}
    return {
        "step": f"pretrain/{name}/seed-{seed}", "kind": "pretrain", "status": "finished", "name": name,
        "objective": name, "family": family, "group": family, "pretraining_seed": seed, "non_embedding": 396_800,
        "parameters": 900_000, "tokens": 1_200_000, "seconds": 91.4, "held_out": {"tokens": end},
        "unigram": {"tokens": UNIGRAM}, "curve": curve, "identity": f"{name} {seed}",
    }  # fmt: skip


def adapted(
    name: str, family: str, arm: str, task: str, strategy: str, score: float, seed: int = 0, pretraining: int = 0
) -> Record:
    """Return the record of a fine-tuning with this score."""
    shown = name if arm == "pretrained" else f"random {family}"
    record = {
        "step": f"finetune/{shown}/{task}/{strategy}/{pretraining}-{seed}", "kind": "finetune", "status": "finished",
        "name": shown, "family": family, "group": family, "arm": arm, "task": task, "strategy": strategy,
        "seed": seed, "metric": "accuracy", "correct": correct(score, shown, task, strategy, seed, pretraining),
        "test": score, "interval": [score - 0.05, score + 0.05],
    }  # fmt: skip
    return record | ({"pretraining_seed": pretraining} if arm == "pretrained" else {})


def control(arm: str, task: str, score: float) -> Record:
    """Return the record of a control with this score."""
    return {
        "step": f"control/{arm}/{task}", "kind": "control", "status": "finished", "name": arm, "arm": arm, "task": task,
        "metric": "accuracy", "correct": correct(score, arm, task), "test": score, "interval": [score, score],
    }  # fmt: skip


def tournament(tasks: Iterable[str] = ("library", "shuffled-words")) -> list[Record]:
    """Return the records of a whole tournament: five objectives, two strategies, two seeds."""
    records = [plan(FAMILIES), corpus()]
    records += [pretrained(name, family, ENDS[name]) for name, family in FAMILIES.items()]
    for place, task in enumerate(tasks):
        records += [
            control("constant", task, (0.125, 0.5)[place % 2]),
            control("classical", task, (0.58, 0.55)[place % 2]),
        ]
        for strategy in ("probe", "full"):
            for seed in (0, 1):
                for at, (name, family) in enumerate(FAMILIES.items()):
                    score = 0.35 + 0.2 * (place % 2) + 0.03 * at + 0.01 * seed
                    records.append(adapted(name, family, "pretrained", task, strategy, score, seed))
                    if name != "sentence-order":  # it shares the fresh weights of token-masking
                        low = 0.33 + 0.16 * (place % 2) + 0.01 * seed
                        records.append(adapted(name, family, "random", task, strategy, low, seed))
    return records


def write(out: Path, records: Iterable[Record]) -> Path:
    """Write records as a runner would."""
    out.mkdir(parents=True, exist_ok=True)
    for record in records:
        durable.append_json(out / results.FILE, record)
    return out
