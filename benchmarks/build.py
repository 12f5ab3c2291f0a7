"""What a build costs: tokens/s per core beside `datasets.map` and `tokenizers.encode_batch`, interleaved; its memory.

    python -m benchmarks.build TEXT.txt [--words 10000000] [--processes N] [--rounds 5]
    python -m benchmarks.build TEXT.txt --memory [--bytes 1000000000]

Three sides, the same text and vocabulary, a process of its own for each turn; the starts of these are not counted:

    ours          the whole build behind survey and vocabulary: reading, encoding, boundaries, files on disk, manifest
    encode_batch  `tokenizers` alone on texts that are in memory, nothing kept
    datasets.map  what run_clm.py of transformers does: lines tokenised in batches by the fast tokenizer, then
                  group_texts into blocks; the text is loaded before

Prints a Markdown table of medians, by the clock and by processor time, which other work disturbs less.

With --memory a text of so many bytes is made of variations of TEXT.txt in a temporary folder and built by the command
under a limit (RLIMIT_DATA) of 700 MB for each process; the peak of the resident memory of all its processes together,
looked at every 50 ms, is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path

SIDES = ("ours", "encode_batch", "datasets.map")
LIMIT = 700 << 20
BLOCK = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--words", type=int, default=10_000_000)
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--bytes", type=int, default=10**9)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        took, used = turn(asked)
        print(json.dumps([took, used]))
        return
    with tempfile.TemporaryDirectory() as name:
        if asked.memory:
            memory(asked, Path(name))
        else:
            speed(asked, Path(name))


def request(asked: argparse.Namespace, folder: Path):
    from corpora.requests import Build

    return Build(
        sources=(str(asked.text),), out=folder / "corpus", words=asked.words, vocabulary=asked.vocabulary,
        processes=asked.processes,
    )  # fmt: skip


def speed(asked: argparse.Namespace, folder: Path) -> None:
    from corpora import joining, preparing
    from corpora.store import Corpus, build

    made = request(asked, folder)
    work = joining.unfinished(made.out)
    preparing.prepare(made, work)
    shutil.copytree(work, folder / "prepared")
    tokens = Corpus.open(build(made)).meta["tokens"]
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    words = [sys.executable, "-m", "benchmarks.build", *sys.argv[1:], "--folder", str(folder)]
    for _ in range(asked.rounds):
        for side in SIDES:
            said = subprocess.run([*words, "--side", side], stdout=subprocess.PIPE, text=True, check=True).stdout
            found[side].append(tuple(json.loads(said.splitlines()[-1])))
    print(table(found, tokens, asked))


def turn(asked: argparse.Namespace) -> tuple[float, float]:
    """Return the seconds of a turn by the clock and of all processors."""
    work = {"ours": ours, "encode_batch": alone, "datasets.map": mapped}[asked.side](asked)
    began, used = time.perf_counter(), processors()
    work()
    return time.perf_counter() - began, processors() - used


def processors() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(told.ru_utime + told.ru_stime for told in map(resource.getrusage, kinds))


def ours(asked: argparse.Namespace):
    from corpora import joining
    from corpora.store import build

    made = request(asked, asked.folder)
    shutil.rmtree(made.out, ignore_errors=True)
    shutil.copytree(asked.folder / "prepared", joining.unfinished(made.out))
    return lambda: build(made)


def alone(asked: argparse.Namespace):
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if asked.processes > 1 else "false"
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(asked.folder / "corpus" / "tokenizer.json"))
    batches, size = [[]], 0
    for text in texts(asked):
        batches[-1].append(text)
        size += len(text)
        if size >= 1_000_000:
            batches.append([])
            size = 0
    return lambda: [len(tokenizer.encode_batch(batch, add_special_tokens=False)) for batch in batches]


def mapped(asked: argparse.Namespace):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_DATASETS_CACHE"] = str(asked.folder / "cache")
    import datasets
    from transformers import AutoTokenizer

    datasets.disable_caching()
    datasets.disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(asked.folder / "corpus")
    path = asked.folder / "lines.txt"
    path.write_text("\n\n".join(texts(asked)), encoding="utf-8")
    raw = datasets.load_dataset("text", data_files=str(path), split="train")
    processes = asked.processes if asked.processes > 1 else None

    def tokenise(rows):
        return tokenizer(rows["text"])

    def grouped(rows):
        joined = {name: list(chain(*rows[name])) for name in rows}
        total = len(next(iter(joined.values()))) // BLOCK * BLOCK
        found = {name: [ids[i : i + BLOCK] for i in range(0, total, BLOCK)] for name, ids in joined.items()}
        found["labels"] = found["input_ids"].copy()
        return found

    def work():
        tokens = raw.map(tokenise, batched=True, num_proc=processes, remove_columns=["text"])
        tokens.map(grouped, batched=True, num_proc=processes)

    return work


def texts(asked: argparse.Namespace) -> list[str]:
    from corpora.documents import Reading, within
    from corpora.sources import sources

    (source,) = sources([str(asked.text)], Reading(), asked.folder)
    return [text for text in within((text for text, _ in source.read()), asked.words) if text]


def table(found: dict[str, list[tuple[float, float]]], tokens: int, asked: argparse.Namespace) -> str:
    lines = [
        f"{tokens:,} tokens of {asked.text.name}, {asked.processes} processes, {asked.rounds} rounds",
        "",
        "| | tokens/s per core | our time over its time, by the clock | by processor time |",
        "|---|---|---|---|",
    ]
    for side, turns in found.items():
        rate = tokens / statistics.median(took for took, _ in turns) / asked.processes
        ratios = [
            statistics.median(mine[way] / other[way] for mine, other in zip(found["ours"], turns, strict=True))
            for way in (0, 1)
        ]
        lines.append(f"| {side} | {rate:,.0f} | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    return "\n".join(lines)


def memory(asked: argparse.Namespace, folder: Path) -> None:
    large = folder / "large.txt"
    written(asked.text, large, asked.bytes)
    words = [sys.executable, "-m", "corpora", "build", str(large), "--out", str(folder / "corpus")]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*words, "--processes", str(asked.processes)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT)),
        stdout=subprocess.DEVNULL,
    )
    peak, most = 0, 0
    while process.poll() is None:
        sizes = resident(process.pid)
        peak, most = max(peak, sum(sizes)), max(most, len(sizes))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"the build has failed: exit code {process.returncode}")
    meta = json.loads((folder / "corpus" / "meta.json").read_text(encoding="utf-8"))
    disk = sum(path.stat().st_size for path in (folder / "corpus").glob("*.tokens"))
    print(
        f"{large.stat().st_size:,} bytes of text, {meta['tokens']:,} tokens, {len(meta['parts']['train']['shards'])} "
        f"shards, {time.perf_counter() - began:,.0f} s; {most} processes, each limited to {LIMIT >> 20} MB of data: "
        f"{peak / 1e6:,.0f} MB resident together at the peak; {disk / meta['tokens']:.2f} bytes of tokens a token"
    )


def resident(process: int) -> list[int]:
    """Return the resident memory of a process and of all below it."""
    try:
        status = Path(f"/proc/{process}/status").read_text().split("VmRSS:")
        below = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        own = [int(status[1].split()[0]) * 1024] if len(status) > 1 else []
        return [*own, *chain.from_iterable(resident(int(child)) for child in below)]
    except (FileNotFoundError, ProcessLookupError):
        return []


def written(text: Path, large: Path, size: int) -> None:
    """Write variations of a text, no two of its documents equal: each turn begins documents with its number."""
    given = [one for one in text.read_text(encoding="utf-8").split("\n\n") if one.strip()]
    done, turned = 0, 0
    with large.open("w", encoding="utf-8") as file:
        while done < size:
            turned += 1
            for one in given:
                done += len(piece := f"Turn {turned}.\n{one}\n\n".encode())
                file.write(piece.decode())
                if done >= size:
                    break


if __name__ == "__main__":
    main()
