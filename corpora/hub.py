"""Data sets of the Hugging Face hub as sources, or folders in its layout: ``hub:NAME[:CONFIG][:SPLIT][:COLUMN]``.

    stream ─▶ pieces of whole rows, copied once ─▶ documents
              000000000000.jsonl                    rows 0 … 4710
              000000004711.jsonl                    no rows: the stream ends here

Nothing is fetched that is not read: who stops early (``--words``) has fetched a piece more, and who comes back finds
the pieces there. Parts left empty have their default: ``hub:NAME::test``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpora import columns, spool
from corpora.cache import alone
from corpora.documents import Reading
from corpora.texts import Records
from foundation.refusal import BadData, BadUsage, Refusal

PREFIX = "hub:"
PIECE = 1 << 24  # bytes of text of a piece
_ROWS = 256  # fetched at once


@dataclass(frozen=True)
class Hub:
    """A split of a data set."""

    name: str
    reading: Reading
    dataset: str
    config: str | None
    split: str
    column: str
    version: str
    folder: Path

    def identity(self) -> dict[str, Any]:
        """Return what tells the version of its files."""
        return {"version": self.version, "split": self.split, "column": self.column}

    def read(self, place: int = 0) -> Iterator[tuple[str, int]]:
        """Yield the text of each row behind row `place`, with its number from 1."""
        there = [int(path.stem) for path in self.folder.glob("*.jsonl")]
        row = max((begin for begin in there if begin <= place), default=0)
        rows: Iterator[list[Any]] | None = None
        while True:
            begin, path = row, self.folder / f"{row:012d}.jsonl"
            with alone(self.folder / "pieces"):
                if path.exists():
                    rows = None
                else:
                    rows = self._rows(row) if rows is None else rows
                    self._copy(rows, row, path)
            for text, _ in Records(self.name, path, self.reading, columns.USUAL).read():
                row += 1
                if row > place:
                    yield text, row
            if row == begin:
                return

    def _copy(self, rows: Iterator[list[Any]], row: int, path: Path) -> None:
        lines, size = [], 0
        for texts in rows:
            for text in texts:
                if not isinstance(text, str | None):
                    what = f'{self.name}, row {row + len(lines)}: column "{self.column}" holds no text'
                    raise BadData(what, "name another column at the end: hub:NAME:CONFIG:SPLIT:COLUMN")
                lines.append(json.dumps({columns.USUAL: text}).encode() + b"\n")
                size += len(lines[-1])
            if size >= PIECE:
                break
        spool.write(path, lines)

    def _rows(self, row: int) -> Iterator[list[Any]]:
        with _told(self.name):
            stream = _builder(self.dataset, self.config).as_streaming_dataset(self.split).select_columns([self.column])
            for batch in stream.skip(row).iter(_ROWS):
                yield batch[self.column]


def source(name: str, reading: Reading, folder: Path) -> Hub:
    """Return the source of a data set; only what describes it is fetched, and a first row where that says too little.

    Raises:
        BadUsage: for a name that is none.
        BadData: if the hub cannot be reached, or there is no such data set, configuration, split or column.
    """
    dataset, *rest = name.removeprefix(PREFIX).split(":")
    if not dataset or len(rest) > 3:
        raise BadUsage(f"{name}: no name of a data set", "hub:NAME[:CONFIG][:SPLIT][:COLUMN]")
    config, split, column = [*rest, "", "", ""][:3]
    with _told(name):
        builder = _builder(dataset, config or None)
        files = builder.config.data_files or {}
        split = _split(name, split, [str(known) for known in files])
        stream = builder.as_streaming_dataset(split)
        first = next(iter(stream), {})
    texts = {key: isinstance(value, str | None) for key, value in first.items()}
    column = columns.chosen(name, column or reading.column, texts) if texts else ""
    version = _digest([files[split], files[split].origin_metadata])
    part = _digest([dataset, builder.config.name, split, column, version])
    return Hub(name, reading, dataset, config or None, split, column, version, folder / f"hub-{part}")


def _builder(dataset: str, config: str | None) -> Any:
    import datasets

    return datasets.load_dataset_builder(dataset, config)


def _split(name: str, asked: str, found: list[str]) -> str:
    split = asked or ("train" if "train" in found or len(found) != 1 else found[0])
    if split not in found:
        raise BadData(f"{name}: no split {split}; found: {', '.join(found) or 'none'}", "hub:NAME:CONFIG:SPLIT")
    return split


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest()[:16]


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Say in one message what the hub's libraries raise, of whatever type."""
    try:
        yield
    except Refusal:
        raise
    except ConnectionError as error:
        remedy = "is there a network? a data set on disk is hub:FOLDER, its files are sources as well"
        raise BadData(f"{name}: the hub cannot be reached: {_first_line(error)}", remedy) from error
    except Exception as error:
        remedy = "hub:NAME[:CONFIG][:SPLIT][:COLUMN]; for a private data set: hf auth login"
        raise BadData(f"{name}: not to be had from the hub: {_first_line(error)}", remedy) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]
