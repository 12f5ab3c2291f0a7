"""What each part of a recipe buys: one factor at a time, everything else equal, on a text of yours.

    corpora build TEXT.txt.gz --vocabulary 4096 --held-out 0.02 --out CORPUS
    python -m benchmarks.recipes CORPUS OUT [--tokens 600000] [--only bert]

Prints a Markdown table: the held-out loss and the unigram entropy of the same targets, in nats. Choose recipes on a
text that you do not report on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from foundation.memory import keep_pages
from objectives import OBJECTIVES
from pretrain.run import Run
from pretrain.start import pretrain

Variant = tuple[str, dict[str, Any]]
ADAMW = {"optimizer": "adamw", "decay": "linear"}
BERT = {**ADAMW, "rate": 1.5e-3, "embedding_rate": 1e-2}
GPT2 = {**ADAMW, "rate": 1e-3, "embedding_rate": 6e-3}
ARMS: dict[tuple[str, str], list[Variant]] = {
    ("token-masking", "bert"): [
        ("Muon (the recipe)", {}),
        ("AdamW (1.5e-3, words 1e-2)", BERT),
        ("AdamW, stock first weights", {**BERT, "first_weights": "stock"}),
        ("AdamW, stock first weights, rate 1e-3", {**ADAMW, "first_weights": "stock", "rate": 1e-3}),
        ("AdamW, one rate, 1.5e-3", {**ADAMW, "rate": 1.5e-3}),
        ("AdamW, one rate, 3e-3", {**ADAMW, "rate": 3e-3}),
        ("AdamW, 32 rows a step", {**BERT, "rows": 32}),
        ("AdamW, beta2 0.999", {**BERT, "beta2": 0.999}),
        ("AdamW, modernbert", {**ADAMW, "family": "modernbert"}),
        ("Muon, stock first weights", {"first_weights": "stock"}),
        ("constant rate", {"decay": "constant"}),
        ("constant rate, average 0.98", {"decay": "constant", "average": 0.98}),
    ],
    ("span-corruption", "t5"): [
        ("AdamW (1e-3, words 3e-2)", ADAMW),
        ("AdamW, stock first weights", {**ADAMW, "first_weights": "stock"}),
        ("AdamW, stock first weights, rate 3e-3", {**ADAMW, "first_weights": "stock", "rate": 3e-3}),
        ("AdamW, one rate, 1e-3", {**ADAMW, "rate": 1e-3}),
        ("by bart instead of t5", {**ADAMW, "family": "bart"}),
    ],
    ("text-infilling", "bart"): [
        ("AdamW (5e-3)", ADAMW),
        ("AdamW, stock first weights", {**ADAMW, "first_weights": "stock"}),
        ("AdamW, stock first weights, rate 1e-3", {**ADAMW, "first_weights": "stock", "rate": 1e-3}),
        ("AdamW, rate 2e-3", {**ADAMW, "rate": 2e-3}),
    ],
    ("next-token", "gpt2"): [
        ("Muon (the recipe)", {}),
        ("AdamW (1e-3, words 6e-3)", GPT2),
        ("AdamW, stock first weights", {**GPT2, "first_weights": "stock"}),
        ("AdamW, stock first weights, rate 2e-3", {**ADAMW, "first_weights": "stock", "rate": 2e-3}),
        ("AdamW, one rate, 1e-3", {**ADAMW, "rate": 1e-3}),
        ("Muon, stock first weights", {"first_weights": "stock"}),
    ],
}


def main() -> None:
    keep_pages()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokens", type=int, default=600_000)
    parser.add_argument("--only", default="", help="a family")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    print("| objective, family | varied | held-out loss | unigram | below | hidden words |\n|---|---|---|---|---|---|")
    for (objective, family), variants in ARMS.items():
        for number, (name, fields) in enumerate(variants):
            if asked.only not in ("", family):
                continue
            values = {"family": family, **fields}
            run = Run(
                objective=OBJECTIVES[objective](), corpus=asked.corpus, out=asked.out / f"{objective}-{number}",
                tokens=asked.tokens, threads=asked.threads, evaluations=1, eval_tokens=32_768, track=("none",),
                **values,
            )  # fmt: skip
            pretrain(run, lambda *_: None)
            told = json.loads((run.out / "summary.json").read_text(encoding="utf-8"))
            loss, mark = told["held_out"], told["unigram"]
            hidden = f"{loss['hidden']:.3f} ({mark['hidden']:.3f})" if "hidden" in loss else ""
            below = mark["tokens"] - loss["tokens"]
            row = f"{loss['tokens']:.3f} | {mark['tokens']:.3f} | {below:+.3f} | {hidden}"
            print(f"| {objective}, {family} | {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
