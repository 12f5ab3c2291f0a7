"""The shape of the house: imports run one way, choices are literal dicts, the project speaks of itself alone."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ["foundation", "corpora", "objectives", "pretrain", "finetune", "tournament"]
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """The modules that a file imports anywhere in it, functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    room = ROOMS.index(path.relative_to(ROOT).parts[0])
    used = {name.split(".")[0] for name in imported(path)}
    assert not used & set(ROOMS[room + 1 :])
    if room < 2:
        assert "torch" not in used


def test_the_check_of_imports_sees_an_import_that_runs_the_other_way(tmp_path):
    (tmp_path / "wrong.py").write_text("def late():\n    from tournament.plan import Plan\n")
    assert "tournament" in {name.split(".")[0] for name in imported(tmp_path / "wrong.py")}


def test_the_loop_knows_no_objective():
    names = imported(ROOT / "pretrain" / "loop.py")
    assert not {name for name in names if name.startswith(("objectives", "corpora"))}


def test_objectives_import_the_grammar_but_never_each_other():
    from objectives import OBJECTIVES

    files = {kind.__module__ for kind in OBJECTIVES.values()} - {"objectives.presets"}  # which are made of the others
    for module in files:
        names = imported(ROOT / f"{module.replace('.', '/')}.py")
        assert not names & (files - {module})


def test_no_module_has_the_name_of_a_library_that_it_would_hide():
    tops = {path.name for path in ROOT.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert not (tops - {"tests"}) & set(sys.stdlib_module_names)
