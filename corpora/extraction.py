"""Docstrings of many files, by two processes that import nothing but the standard library.

Each process is asked for some files in one line of JSON and answers in one line. They are plain child processes,
not ``multiprocessing``: that starts by importing the caller's main module, which may be slow (torch) or none (a
notebook), and forking is unsafe once a library has started threads. Answers come in the order of the files, so
the result does not depend on the processes.
"""

from __future__ import annotations

import ast
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from corpora import prose
from foundation.refusal import RunFailed

PROCESSES = 2
CHUNK = 24
LARGEST = 3_000_000  # bytes of a file: what is larger is a table

File = tuple[str, str, str]
Found = list[Sequence[Any]]  # of a file: a row for each docstring, as JSON brings it
_DOCUMENTED = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def extract(files: Sequence[File]) -> Iterator[tuple[str, str, Found]]:
    """Yield (library, module, docstrings) for each (library, module, path), in the same order.

    A docstring is (name, paragraphs with their folds, whether the first of them is its summary line).
    """
    chunks = [files[begin : begin + CHUNK] for begin in range(0, len(files), CHUNK)]
    local = threading.local()
    children: list[_Child] = []

    def ask(chunk: Sequence[File]) -> list[Found]:
        if not hasattr(local, "child"):
            local.child = _Child()
            children.append(local.child)
        return local.child.ask([path for _, _, path in chunk])

    ahead: deque[tuple[Sequence[File], Future[list[Found]]]] = deque()
    with ThreadPoolExecutor(PROCESSES) as pool:
        try:
            for chunk in [*chunks, *[()] * 2 * PROCESSES]:
                if chunk:
                    ahead.append((chunk, pool.submit(ask, chunk)))
                if ahead and (len(ahead) > 2 * PROCESSES or not chunk):
                    done, answer = ahead.popleft()
                    for (library, name, _), found in zip(done, answer.result(), strict=True):
                        yield library, name, found
        finally:
            for _, waiting in ahead:
                waiting.cancel()
            pool.shutdown()
            for child in children:
                child.close()


class _Child:
    """One process that reads files for us."""

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parent.parent)
        code = f"import sys; sys.path.insert(0, {root!r}); from corpora.extraction import answer; answer()"
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "-P", "-c", code]  # nothing of the current folder
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", env=environment
        )

    def ask(self, paths: list[str]) -> list[Found]:
        """Return what the files hold."""
        asked, answered = self.process.stdin, self.process.stdout
        assert asked is not None
        assert answered is not None
        try:
            asked.write(json.dumps(paths) + "\n")
            asked.flush()
            return json.loads(answered.readline())
        except (OSError, ValueError) as error:
            raise RunFailed(f"a process that reads docstrings has ended ({self.process.poll()})") from error

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def answer() -> None:
    """Serve one process: a line with paths in, a line with what they hold out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started us was interrupted too, and will close our input
    gc.disable()  # a tree is garbage only by count of references; the collector would walk it many times over
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        print(json.dumps([docstrings(Path(path)) for path in json.loads(line)]), flush=True)


def docstrings(path: Path) -> Found:
    """Return the docstrings of a file that hold prose; a file that Python cannot parse has none."""
    try:
        source = path.read_bytes()
        if len(source) > LARGEST or (b'"""' not in source and b"'''" not in source):
            return []
        tree = ast.parse(source)
        return list(_walk(tree, ""))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _walk(node: ast.AST, name: str) -> Iterator[tuple[str, list[tuple[str, int]], bool]]:
    """Yield the prose of the docstring of `node` and of what is defined in it, function bodies left aside."""
    if isinstance(node, (ast.Module, *_DOCUMENTED)):
        text = ast.get_docstring(node, clean=True)
        if text:
            paragraphs, summary = prose.paragraphs(text)
            if paragraphs:
                yield name, [(paragraph, prose.fold(paragraph)) for paragraph in paragraphs], summary
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return
    for field in ("body", "orelse", "handlers", "finalbody"):
        for child in getattr(node, field, ()):
            if isinstance(child, _DOCUMENTED):
                yield from _walk(child, f"{name}.{child.name}" if name else child.name)
            elif isinstance(child, (ast.If, ast.Try, ast.With, ast.ExceptHandler)):
                yield from _walk(child, name)
