"""From the names on a command line to sources of documents.

notes.txt, notes.md.zst     text (corpora/texts.py); a name with an unknown suffix is read as text too
records.jsonl.gz            JSON lines, a record each
table.csv, .tsv, .parquet   a row each (corpora/tables.py)
FOLDER, "data/**/*.txt"     all files of these kinds in it, in the order of their paths
hub:NAME:CONFIG:SPLIT       a data set of the Hugging Face hub, or a folder in its layout (corpora/hub.py)
installed                   the documentation installed beside Python (corpora/installed.py)
-                           standard input
"""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from corpora import columns, formats, hub, spool
from corpora.documents import Reading, Source
from corpora.streams import unreadable
from corpora.tables import Cells, Parquet
from corpora.texts import Records, TextFile
from foundation.refusal import BadData

INSTALLED = "installed"
STDIN = "-"


def sources(names: Sequence[str], reading: Reading, folder: Path, words: int | None = None) -> list[Source]:
    """Return the sources that the names stand for, in that order; those of folders by their paths.

    What cannot be read twice is copied into `folder`, once: it must live as long as the unfinished build. Of the
    installed documentation no more than `words` words will be read. A column that was guessed is echoed.

    Raises:
        BadUsage: for a reading that cannot be.
        BadData: for a source that does not exist, cannot be read, or has no column of text.
    """
    reading.check()
    found: list[Source] = []
    for name in names:
        if name == INSTALLED:
            found.append(Installed(INSTALLED, reading, words))
        elif name.startswith(hub.PREFIX):
            found.append(hub.source(name, reading, folder))
        elif name == STDIN or _passes_by(Path(name)):
            found.append(spool.once(name, reading, folder))
        else:
            found += [_opened(path, reading) for path in files(name)]
    _echo(found, reading)
    return found


def files(name: str | Path) -> list[Path]:
    """Return the files that a name stands for: itself, those of a folder, or the matches of a pattern.

    Hidden files and those of unknown kinds are passed over in folders.

    Raises:
        BadData: if there is no such file or folder, or no file in it is text.
    """
    if str(name) in (INSTALLED, STDIN) or str(name).startswith(hub.PREFIX):
        return []
    found, passed = _found(str(name))
    if not found:
        what = "no file matches" if _is_pattern(str(name)) else "the folder holds no text files"
        aside = f" ({len(passed):,} others)" if passed else ""
        raise BadData(f"{name}: {what}{aside}", f"looked for {formats.KNOWN}")
    return found


def passed_over(names: Sequence[str]) -> list[Path]:
    """Return the files that lie in the folders and match the patterns but are no kind of text."""
    return [path for name in names if name != STDIN and _is_many(name) for path in _found(name)[1]]


@dataclass(frozen=True)
class Installed:
    """The documentation installed beside Python."""

    name: str
    reading: Reading
    words: int | None = None

    def identity(self) -> dict[str, Any]:
        """Return what the text is made from."""
        from corpora import installed

        return {"fingerprint": installed.fingerprint(), "packages": installed.packages()}

    def read(self, place: int = 0) -> Iterator[tuple[str, int]]:
        """Yield the documents behind number `place`."""
        from corpora import installed

        for number, docstring in enumerate(islice(installed.documents(self.words), place, None), place + 1):
            yield self.reading.finish(docstring.text), number


def _is_pattern(name: str) -> bool:
    return glob.has_magic(name) and not os.path.lexists(name)


def _is_many(name: str) -> bool:
    return _is_pattern(name) or os.path.isdir(name)


def _found(name: str) -> tuple[list[Path], list[Path]]:
    """Return the files that are taken and those passed over, each in the order of their paths."""
    path = Path(name)
    try:
        if _is_pattern(name):
            matches = sorted(path for path in map(Path, glob.glob(name, recursive=True)) if path.is_file())
            taken = [path for path in matches if formats.known(path) or path.suffix == Path(name).suffix]
        elif path.is_dir():
            matches = sorted(_inside(path))
            taken = [path for path in matches if formats.known(path) and not path.name.startswith(".")]
        elif path.exists() or path.is_symlink():
            matches = taken = [path]
        else:
            raise BadData(f"{name}: no such file or folder", "give text files, folders, hub:NAME, - or installed")
    except OSError as error:  # a folder on the way is closed, or the name is too long
        raise unreadable(name, error) from error
    chosen = set(taken)
    return taken, [path for path in matches if path not in chosen]


def _inside(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; links to folders are followed, once, hidden folders are not entered."""

    def refuse(error: OSError) -> None:
        raise unreadable(str(error.filename), error)

    seen = set()
    for root, below, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(root)
        below[:] = [] if real in seen else [name for name in below if not name.startswith(".")]
        if real not in seen:
            yield from (path for name in names if (path := Path(root, name)).is_file())
        seen.add(real)


def _passes_by(path: Path) -> bool:
    """Say whether a file is a pipe or the like, which gives its bytes only once."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def _opened(path: Path, reading: Reading) -> Source:
    """Return the source of a file, its column of text chosen."""
    name, kind = str(path), formats.kind(path)
    if kind in formats.RECORDS:
        records = Records(name, path, reading)
        first = {key: isinstance(value, str | None) for key, value in records.first().items()}
        return Records(name, path, reading, columns.chosen(f"{name}:1", reading.column, first) if first else "")
    if kind in formats.CELLS:
        tabs = kind == ".tsv"
        header, first, *_ = [*islice(Cells(name, path, reading, tabs).rows(), 2), [], []]
        found = columns.prose(reading.column, header, first)
        return Cells(name, path, reading, tabs, columns.chosen(name, reading.column, found) if found else "")
    if kind == formats.PARQUET and path.suffix.lower() == kind:
        found = Parquet(name, path, reading).columns()
        return Parquet(name, path, reading, columns.chosen(name, reading.column, found))
    return TextFile(name, path, reading)


def _echo(found: Sequence[Source], reading: Reading) -> None:
    """Say which columns were guessed, in one line for all files that have the same."""
    guessed: dict[str, list[str]] = {}
    for source in found:
        column = getattr(source, "column", columns.USUAL)
        if column not in ("", columns.USUAL, reading.column) and not source.name.endswith(f":{column}"):
            guessed.setdefault(column, []).append(source.name)
    for column, names in guessed.items():
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        print(f'{names[0]}{more}: the text is the column "{column}" (--column names another)', file=sys.stderr)
