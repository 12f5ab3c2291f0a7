"""Tables of text: .tsv (no quoting), .csv, .jsonl, .parquet, the first three also with .gz, as lists of rows."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from foundation.refusal import BadData

FORMATS = (".tsv", ".csv", ".jsonl", ".parquet")
Row = dict[str, Any]


def format_of(path: Path) -> str | None:
    """Return the format that a file's name says (without .gz), or None if it is no table."""
    name = path.name.removesuffix(".gz")
    return next((ending for ending in FORMATS if name.endswith(ending)), None)


def find(folder: Path, part: str) -> Path | None:
    """Return the table of a folder that is named `part`, or None.

    Raises:
        BadData: if there are two.
    """
    stems = {path: path.name.removesuffix(".gz").rpartition(".")[0] for path in folder.iterdir() if format_of(path)}
    found = sorted(path for path, stem in stems.items() if stem == part)
    if len(found) > 1:
        raise BadData(f"{folder}: two tables are named {part}: {found[0].name}, {found[1].name}", "keep one of them")
    return found[0] if found else None


def read(path: Path) -> list[Row]:
    """Return the rows of a table.

    Raises:
        BadData: if it cannot be read, is empty, or is not what its name says; with the line where that is known.
    """
    kind = format_of(path)
    if kind is None:
        raise BadData(f"{path} is no table", f"known: {', '.join(FORMATS)}, the first three also with .gz")
    try:
        rows = _parquet(path) if kind == ".parquet" else _text(path, kind)
    except (OSError, EOFError) as error:
        raise BadData(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    except UnicodeDecodeError as error:
        raise BadData(f"{path} is not UTF-8: byte {error.start} ({error.reason})") from error
    if not rows:
        raise BadData(f"{path} holds no examples")
    return rows


def _text(path: Path, kind: str) -> list[Row]:
    with (
        gzip.open(path, "rt", encoding="utf-8-sig", newline="")
        if path.suffix == ".gz"
        else path.open(encoding="utf-8-sig", newline="") as file
    ):
        return list({".tsv": _tsv, ".csv": _csv, ".jsonl": _json_lines}[kind](path, file))


def _tsv(path: Path, file: TextIO) -> Iterator[Row]:
    """Yield rows by tabs alone: a quotation mark is a character like others, as GLUE's files need it."""
    header: list[str] | None = None
    for number, line in enumerate(file, 1):
        cells = line.rstrip("\r\n").split("\t")
        if header is None:
            header = cells
        elif len(cells) == len(header):
            yield dict(zip(header, cells, strict=True))
        elif cells != [""]:
            raise BadData(f"{path}, line {number}: {len(cells)} columns, the header has {len(header)}")


def _csv(path: Path, file: TextIO) -> Iterator[Row]:
    reader = csv.DictReader(file, strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise BadData(f"{path}, line {reader.line_num}: not as many columns as the header")
            yield row
    except csv.Error as error:
        raise BadData(f"{path}, line {reader.line_num}: {error}") from error


def _json_lines(path: Path, file: TextIO) -> Iterator[Row]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise BadData(f"{path}, line {number}: {error}") from error
            if not isinstance(row, dict):
                raise BadData(f"{path}, line {number}: not an object of columns")
            yield row


def _parquet(path: Path) -> list[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise BadData(f"{path}: {error}") from error
