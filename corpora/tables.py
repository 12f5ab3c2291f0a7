"""Tables as sources: .csv, .tsv (tabs alone, no quoting) and .parquet; each row is a document."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corpora.columns import missing
from corpora.documents import clean
from corpora.streams import File, unreadable
from foundation.refusal import BadData

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

FIELD = 1 << 28  # characters of one field: a quote that is never closed must not take the rest of the file
ROWS = 256  # of parquet in memory at once


@dataclass(frozen=True)
class Cells(File):
    """A table of lines, the first of which names the columns."""

    tabs: bool
    column: str = ""

    def read(self, place: int = 0) -> Iterator[tuple[str, int]]:
        """Yield the text of each row behind row `place`, with its number from 1."""
        rows = self.rows()
        header = next(rows, [self.column])
        if self.column not in header:
            raise missing(self.name, self.column, header)
        index = header.index(self.column)
        for number, row in enumerate(rows, 1):
            if number > place:
                yield self.reading.finish(clean(row[index])), number

    def rows(self) -> Iterator[list[str]]:
        """Yield the header and the rows, all of one width; empty lines are passed over."""
        lines = (line for _, text in self.blocks() for line in io.StringIO(text, newline=""))
        width = 0
        for number, row in self._split_at_tabs(lines) if self.tabs else self._parsed(lines):
            width = width or len(row)
            if len(row) != width:
                what = f"{self.name}:{number}: {len(row)} columns, the header has {width}"
                raise BadData(what, "a field that holds the delimiter or a line end must be quoted")
            yield row

    def _split_at_tabs(self, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
        for number, line in enumerate(lines, 1):
            if cells := line.rstrip("\r\n"):
                yield number, cells.split("\t")

    def _parsed(self, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
        csv.field_size_limit(FIELD)
        reader = csv.reader(lines, strict=True)
        try:
            for row in reader:
                if row:
                    yield reader.line_num, row
        except csv.Error as error:
            what = f"{self.name}:{reader.line_num}: not CSV: {error}"
            raise BadData(
                what, "quotation marks inside a quoted field are doubled; a table by tabs is a .tsv"
            ) from error


@dataclass(frozen=True)
class Parquet(File):
    """A parquet file; only the column of text is read."""

    column: str = ""

    def read(self, place: int = 0) -> Iterator[tuple[str, int]]:
        """Yield the text of each row behind row `place`, with its number from 1."""
        with self._opened() as file:
            groups, row = [], 0  # groups of rows that lie before the place are not touched
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if not groups and row + rows <= place:
                    row += rows
                else:
                    groups.append(group)
            for batch in file.iter_batches(ROWS, row_groups=groups, columns=[self.column], use_threads=False):
                for text in batch.column(0).to_pylist():
                    row += 1
                    if row > place:
                        yield self.reading.finish(clean(text or "")), row

    def columns(self) -> dict[str, bool]:
        """Return the names of the columns, each with whether it holds text."""
        with self._opened() as file:
            return {field.name: is_text(field.type) for field in file.schema_arrow}

    @contextmanager
    def _opened(self) -> Iterator[ParquetFile]:
        import pyarrow
        import pyarrow.parquet

        try:
            with pyarrow.parquet.ParquetFile(self.path, buffer_size=1 << 20, pre_buffer=False) as file:
                yield file
        except (pyarrow.ArrowException, UnicodeDecodeError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise unreadable(self.name, error) from error
            told = str(error).split("\n")[0]
            raise BadData(f"{self.name}: broken parquet: {told}", "fetch the file again") from error


def is_text(kind: Any) -> bool:
    """Say whether an Arrow type is text, plain or by dictionary."""
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
