"""How fast each format is read into cleaned documents: MB of text a second of processor time, on one core.

python -m benchmarks.reading words-10m.txt.gz
"""

from __future__ import annotations

import argparse
import bz2
import csv
import gzip
import json
import lzma
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow
from pyarrow import parquet

from corpora.documents import Reading, Source
from corpora.formats import zstd
from corpora.sources import sources


def csv_file(path: Path, texts: list[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])


def lines(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def plain(texts: list[str]) -> bytes:
    return "\n\n".join(texts).encode()


WRITE: dict[str, Callable[[Path, list[str]], object]] = {
    ".txt": lambda path, texts: path.write_bytes(plain(texts)),
    ".txt in UTF-16": lambda path, texts: path.write_bytes("\n\n".join(texts).encode("utf-16")),
    ".txt.gz": lambda path, texts: path.write_bytes(gzip.compress(plain(texts), 6)),
    ".txt.bz2": lambda path, texts: path.write_bytes(bz2.compress(plain(texts))),
    ".txt.xz": lambda path, texts: path.write_bytes(lzma.compress(plain(texts), preset=1)),
    ".txt.zst": lambda path, texts: path.write_bytes(zstd.compress(plain(texts))),
    ".jsonl": lambda path, texts: path.write_bytes(lines(texts)),
    ".jsonl.zst": lambda path, texts: path.write_bytes(zstd.compress(lines(texts))),
    ".csv": csv_file,
    ".parquet": lambda path, texts: parquet.write_table(pyarrow.table({"text": texts}), path),
}


def opened(path: Path, reading: Reading | None = None) -> Source:
    (source,) = sources([str(path)], reading or Reading(), path.parent)
    return source


def seconds(source: Source, rounds: int) -> float:
    """The least processor time of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for _ in source.read():
            pass
        best = min(best, time.process_time() - began)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path, help="a text file, documents between blank lines")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    texts = [text for text, _ in opened(asked.text).read()]
    size = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{asked.text.name}: {len(texts):,} documents, {size:,.1f} MB\n")
    print("| format | reading | MB/s a core |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for format_, write in WRITE.items():
            path = Path(folder, f"text{format_.split()[0]}")
            write(path, texts)
            print(f"| {format_} | documents | {size / seconds(opened(path), asked.rounds):,.0f} |", flush=True)
            if format_ == ".txt":
                for reading in (Reading(documents_by="record"), Reading(normalise="NFC")):
                    told = "--documents-by record" if reading.documents_by == "record" else "--normalise NFC"
                    print(f"| {format_} | {told} | {size / seconds(opened(path, reading), asked.rounds):,.0f} |")
            path.unlink()
    print(f"\nmemory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB, the text itself included")


if __name__ == "__main__":
    main()
