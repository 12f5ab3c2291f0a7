"""The wheel builds and installs: every room, the plans and the typing marker are in it, and its commands answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = ["foundation", "corpora", "objectives", "pretrain", "finetune", "tournament"]


def test_the_wheel_builds_installs_and_its_commands_answer(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in [*ROOMS, "pyproject.toml", "README.md", "LICENSE"]:
        path = ROOT / name
        shutil.copytree(path, source / name) if path.is_dir() else shutil.copy(path, source)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    made = subprocess.run(build, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[-2000:]
    (wheel,) = tmp_path.glob("pretraining_objective_toolkit-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"{room}/py.typed" for room in ROOMS} <= set(names)
    assert "tournament/plans/demo.toml" in names
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]
    target = tmp_path / "installed"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        str(target),
        str(wheel),
    ]
    assert subprocess.run(install, check=False).returncode == 0
    env = {**os.environ, "PYTHONPATH": str(target)}
    for room in ROOMS[1:]:
        done = subprocess.run(
            [target / "bin" / room, "--help"], capture_output=True, text=True, env=env, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, done.stderr
        assert room in done.stdout
