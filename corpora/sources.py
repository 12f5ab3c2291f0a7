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
