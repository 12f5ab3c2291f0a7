"""The embedded corpus, read in an environment of its own: the standard library and two little packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import corpora
from corpora import extraction
from corpora.modules import under
from corpora.store import Corpus

LITTLE = '''"""A package that shows how a docstring becomes a document.

The paragraph that both of the packages have is this one.
"""
def outer(x):
    """Return the thing that was asked for by x.

    Args:
        x (`int`): The number of things that are wanted here.
    """
    def inner():
        """This docstring stands inside a function and is not read."""
class Thing:
    """A thing that can be asked for by its number."""
    if True:
        def method(self):
            """Return the number by which it was asked for."""
'''
OTHER = '''"""Another package which has a paragraph in common.

The paragraph that both of the packages have is this one.
"""
raise SystemExit("it was imported")
'''


class Environment:
    """A Python of its own with an empty site-packages, and our code on its path."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "env", with_pip=False)
        self.python = folder / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.packages = Path(self.run("import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        for name, text in {"little": LITTLE, "other": OTHER, "little/tests": OTHER, "little/_vendor": OTHER}.items():
            (self.packages / name).mkdir(parents=True)
            (self.packages / name / "__init__.py").write_text(text)
        (self.packages / "little" / "broken.py").write_text('"""A module that Python cannot read at all.""" def')
        (self.packages / "corpora").mkdir()
        (self.packages / "corpora" / "mine.py").write_text('"""The project itself is no part of its corpus."""')
        self.cache = folder / "cache"

    def run(self, code: str, **environment: str) -> str:
        import numpy

        roots = [Path(corpora.__file__).parent.parent, Path(numpy.__file__).parent.parent]
        path = os.pathsep.join(map(str, roots))
        done = subprocess.run(
            [self.python, "-c", code],
            env={**os.environ, "PYTHONPATH": path, **environment}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def read(self, call: str) -> list[list[str]]:
        code = f"import json; from corpora import installed; print(json.dumps(list(installed.{call})))"
        return json.loads(self.run(code, PRETRAINING_OBJECTIVES_CACHE=str(self.cache)))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("installed"))


def test_docstrings_of_a_package_become_documents(environment: Environment) -> None:
    found = {(library, module, name): text for library, module, name, text, _ in environment.read("documents()")}
    assert found["little", "little", "outer"] == (
        "Return the thing that was asked for by x.\nThe number of things that are wanted here."
    )
    assert found["little", "little", "Thing"] == "A thing that can be asked for by its number."
    assert found["little", "little", "Thing.method"] == "Return the number by which it was asked for."
    assert not any("inside a function" in text or "cannot read" in text for text in found.values())
    common = [text for text in found.values() if "both of the packages" in text]
    assert len(common) == 1
    assert {library for library, _, _ in found} == {"little", "other", "stdlib"}
    assert all(module != "little.tests" and "_vendor" not in module for _, module, _ in found)


def test_a_budget_is_exact_and_a_smaller_one_gives_the_first_documents(environment: Environment) -> None:
    large, small = environment.read("documents(3000)"), environment.read("documents(1234)")
    assert sum(len(text.split()) for *_, text, _ in large) == 3000
    assert sum(len(text.split()) for *_, text, _ in small) == 1234
    assert small[:-1] == large[: len(small) - 1]
    assert large[len(small) - 1][3].startswith(small[-1][3])


def test_reserved_modules_share_no_module_and_no_paragraph_with_the_text(environment: Environment) -> None:
    text, apart = environment.read("documents()"), environment.read("reserved()")
    assert {row[1] for row in text}.isdisjoint(row[1] for row in apart)
    paragraphs = [line for row in text + apart for line in row[3].split("\n")]
    assert len(paragraphs) == len(set(paragraphs))
    assert {row[0] for row in apart} == {"stdlib"}
    words = [sum(len(row[3].split()) for row in rows) for rows in (text, apart)]
    assert 0.15 < words[1] / sum(words) < 0.45


def test_it_is_prose(environment: Environment) -> None:
    for *_, text, _ in environment.read("documents(20000)")[:-1]:
        for line in text.split("\n"):
            assert len(line.split()) >= 6
            assert not line.endswith(":")
            assert ">>>" not in line
            assert "``" not in line


def test_the_cache_and_a_fresh_extraction_are_equal(environment: Environment, tmp_path: Path) -> None:
    kept = environment.read("documents(3000)")
    environment.cache, before = tmp_path / "another", environment.cache
    try:
        assert environment.read("documents(3000)") == kept
    finally:
        environment.cache = before


def test_a_cache_that_cannot_be_written_costs_only_time(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environment.cache, before = tmp_path / "file" / "cache", environment.cache
    try:
        assert len(environment.read("documents(500)")) > 3
    finally:
        environment.cache = before


def test_the_embedded_corpus_names_what_it_was_made_from(environment: Environment) -> None:
    code = "from corpora.store import embedded; print(embedded(5000, 1024)); print(embedded(5000, 1024))"
    first, second = environment.run(code, PRETRAINING_OBJECTIVES_CACHE=str(environment.cache)).split()
    assert first == second
    meta = json.loads((Path(first) / "meta.json").read_text())
    assert meta["words"] == 5000
    assert meta["packages"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert len(meta["sources"]["installed"]["fingerprint"]) == 64


def test_as_a_source_it_goes_on_where_told(environment: Environment) -> None:
    code = (
        "import json; from pathlib import Path; from corpora.documents import Reading; from corpora.sources import *;"
        "(source,) = sources(['installed'], Reading(), Path(), words=1234); found = list(source.read());"
        "print(json.dumps([found, *(list(source.read(place)) for _, place in found)]))"
    )
    found, *rest = json.loads(environment.run(code, PRETRAINING_OBJECTIVES_CACHE=str(environment.cache)))
    assert sum(len(text.split()) for text, _ in found) == 1234
    assert rest == [found[number:] for number in range(1, len(found) + 1)]


def test_processes_that_ask_at_once_build_once(environment: Environment) -> None:
    code = "from corpora.store import embedded; print(embedded(4000, 1024))"
    ask = partial(environment.run, code, PRETRAINING_OBJECTIVES_CACHE=str(environment.cache))
    with ThreadPoolExecutor(3) as pool:
        found = {asked.result() for asked in [pool.submit(ask) for _ in range(3)]}
    assert len(found) == 1
    assert Corpus.open(found.pop().strip()).meta["words"] == 4000


def test_answers_come_in_the_order_of_the_files(tmp_path: Path) -> None:
    files = []
    for number in range(3 * extraction.CHUNK + 1):
        path = tmp_path / f"m{number}.py"
        path.write_text(f'"""This is the module number {number} of them all."""')
        files.append(("little", f"m{number}", str(path)))
    found = list(extraction.extract([*files, ("little", "missing", str(tmp_path / "missing.py"))]))
    assert [name for _, name, _ in found] == [*(name for _, name, _ in files), "missing"]
    assert all(docstrings for _, _, docstrings in found[:-1])
    assert found[-1][2] == []


def test_leaving_early_ends_the_processes(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text('"""This is a module with some words in it."""')
    files = [("little", f"m{number}", str(tmp_path / "m.py")) for number in range(500)]
    reading = extraction.extract(files)
    next(reading)
    reading.close()


def test_modules_are_named_by_their_path(tmp_path: Path) -> None:
    for name in ("a/__init__.py", "a/b.py", "a/tests/c.py", "test_d.py", "e.py", "pip/f.py", "a-b/g.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = sorted((module.library, module.name) for module in under(tmp_path))
    assert found == [("a", "a"), ("a", "a.b"), ("e", "e")]
