"""Which Python files stand beside this interpreter, and what each is for.

A *module* here is a file with its dotted name and its library (the top-level package, or "stdlib"). Nothing is
imported. Tests, vendored copies and packaging tools are passed over, and so is this project itself.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from foundation import keys

STDLIB = "stdlib"
RESERVED = 0.3
# The libraries with the most prose: of each, some modules are reserved for tasks.
LARGEST = (
    "torch", "transformers", "scipy", "sympy", STDLIB, "sklearn", "matplotlib", "pandas", "networkx", "numpy",
    "huggingface_hub", "peft", "datasets",
)  # fmt: skip
_OURS = {"foundation", "corpora", "objectives", "pretrain", "finetune", "tournament"}
_PACKAGING = {"pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel", "ensurepip", "distutils"}
_SKIPPED = {
    "test", "tests", "idlelib", "lib2to3", "turtledemo", "pydoc_data", "benchmarks", "node_modules", "__pycache__",
    "site-packages", "dist-packages", "vendor", "vendored", "_vendor", "_vendored", "extern", "externals",
    "third_party", "_externals",
}  # fmt: skip


class Module(NamedTuple):
    """One Python file: the library that it belongs to, its dotted name, and where it is."""

    library: str
    name: str
    path: str


@cache
def modules() -> tuple[Module, ...]:
    """Return the modules of this environment, sorted by library and name."""
    roots = {sysconfig.get_path("stdlib"): STDLIB, sysconfig.get_path("platlib"): "", sysconfig.get_path("purelib"): ""}
    found = {module.name: module for root, library in roots.items() for module in under(Path(root), library)}
    return tuple(sorted(found.values()))


def under(root: Path, library: str = "") -> Iterator[Module]:
    """Yield the modules below one folder; without a library's name, each top-level package is its own."""
    if not root.is_dir():
        return
    for top in root.iterdir():
        name = top.stem if top.suffix == ".py" else top.name
        if not name.isidentifier() or name in _OURS | _PACKAGING or _skipped(name):
            continue
        for path in top.rglob("*.py") if top.is_dir() else [top] if top.suffix == ".py" else []:
            parts = path.relative_to(root).with_suffix("").parts
            if not any(_skipped(part) for part in parts):
                dotted = ".".join(parts).removesuffix(".__init__")
                yield Module(library or name, dotted, str(path))


def _skipped(part: str) -> bool:
    return part in _SKIPPED or part.startswith("test_") or part.endswith("_test") or part in ("conftest", "__main__")


def keyed(names: Iterable[str], word: str) -> np.ndarray:
    """Return a number in [0, 1) for each name, looked up by `word`."""
    return np.array([keys.uniform(keys.fold(0, word, name), 1)[0] for name in names], dtype=np.float64)


@cache
def split() -> tuple[tuple[Module, ...], tuple[Module, ...]]:
    """Return the modules for pretraining and those reserved for tasks, each in the order of a key."""
    known = modules()
    names = [module.name for module in known]
    apart = keyed(names, "reserved") < RESERVED
    order = np.argsort(keyed(names, "order"), kind="stable")
    chosen = [(known[place], bool(apart[place]) and known[place].library in LARGEST) for place in order]
    return tuple(m for m, reserved in chosen if not reserved), tuple(m for m, reserved in chosen if reserved)


@cache
def packages() -> dict[str, str]:
    """Return the version of each distribution that the modules come from, Python's own under "python"."""
    import importlib.metadata

    owners = importlib.metadata.packages_distributions()
    libraries = {module.library for module in modules()} - {STDLIB}
    names = sorted({name for library in libraries for name in owners.get(library, ())}, key=str.lower)
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    return found | {name: importlib.metadata.version(name) for name in names}
