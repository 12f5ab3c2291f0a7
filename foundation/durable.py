"""Files that are whole or absent: temporary → fsync → manifest → rename.

A folder made by ``new_folder`` appears under its name only after every file in it has reached the disk and
``manifest.json`` holds the size and sha256 of each; ``problems`` says later whether it is still so.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """Return the hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never a part."""
    write_bytes(path, [text.encode()])


def write_bytes(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file of many pieces as ``write_text`` does."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.writelines(pieces)
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write one JSON value as ``write_text`` does, indented, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def append_json(path: Path, record: Any) -> None:
    """Append one record to a JSON-lines file in a single write that has reached the disk on return."""
    line = (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode()
    with path.open("a+b") as file:
        if file.tell() and not _ends_line(file):
            line = b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _ends_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def read_json_lines(path: Path) -> list[Any]:
    """Return the whole records of a JSON-lines file; a torn line (a crash while appending) is left out."""
    records = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return records


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; when the block ends without an error it becomes `path`, with a manifest.

    A folder already at `path` is replaced only then. On an error the temporary is removed and `path` untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        seal(temporary)
        publish(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def publish(folder: Path, path: Path) -> None:
    """Give a sealed folder its name; a folder that has it already is replaced."""
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    if path.exists():
        path.rename(old)
    folder.rename(path)
    shutil.rmtree(old, ignore_errors=True)
    sync(path.parent)


def seal(folder: Path, known: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> None:
    """Write the manifest of a finished folder and bring every file and folder in it to the disk.

    `known` are entries of files that have been synced, by their names: those are not read again.
    """
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files.pop(MANIFEST, None)
    manifest = {
        name: known.get(name) or {"bytes": path.stat().st_size, "sha256": sha256(path)} for name, path in files.items()
    }
    for path in (path for name, path in files.items() if name not in known):
        sync(path)
    write_json(folder / MANIFEST, {"files": manifest})
    for path in [*(p for p in folder.rglob("*") if p.is_dir()), folder]:
        sync(path)


def problems(folder: Path) -> list[str]:
    """Return what is wrong with a folder made by ``new_folder``, one line each; an empty list means it is whole."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return [f"{folder} has no {MANIFEST}"]
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    except (ValueError, KeyError, TypeError):
        return [f"{manifest} is damaged"]
    found = []
    for name, entry in files.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            found.append(f"{manifest} names a file outside its folder: {name}")
        elif not path.is_file():
            found.append(f"{path} is missing")
        elif path.stat().st_size != entry["bytes"]:
            found.append(f"{path} has {path.stat().st_size} bytes, not {entry['bytes']}")
        elif sha256(path) != entry["sha256"]:
            found.append(f"{path} has changed since it was written (sha256)")
    return found


def point(link: Path, target: str) -> None:
    """Make `link` a relative symbolic link to its sibling `target`, replacing an older one in one step."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)
    sync(link.parent)
