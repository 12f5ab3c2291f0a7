from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import CASES
from corpora.requests import Build
from corpora.store import build

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu")
    texts = [" ".join(f"Day {n} of {day} came, and the mill stood." for n in range(30)) for day in range(60)]
    (folder / "days.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return build(Build(sources=(str(folder / "days.txt"),), out=folder / "days", vocabulary=700, held_out=0.1))


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu", *words]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_every_case_is_trained_by_both_sides_as_a_toy(corpus: Path) -> None:
    done = run("--device", "cpu", "--tiny", "--corpus", str(corpus))
    assert done.returncode == 0, done.stderr
    heads, _, *found = rows(done.stdout)
    assert [row[0].split(",")[0] for row in found] == [case.name for case in CASES]
    for row in found:
        assert len(row) == len(heads)
        assert all(float(row[heads.index(name)].replace(",", "")) > 0 for name in ("tokens/s", "Trainer"))
        assert float(row[heads.index("ratio")].removeprefix("×")) > 0


def test_without_a_gpu_the_command_says_so(corpus: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = run("--corpus", str(corpus))
    assert done.returncode == 1
    assert "no GPU is here" in done.stderr
