from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import order
from benchmarks.collators import CASES, SHAPES
from corpora.requests import Build
from corpora.store import build
from objectives import OBJECTIVES

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmarks")
    texts = [" ".join(f"Day {n} of {day} came, and the mill stood." for n in range(30)) for day in range(60)]
    (folder / "days.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return build(Build(sources=(str(folder / "days.txt"),), out=folder / "days", vocabulary=700, held_out=0.1))


def printed(*words: str) -> str:
    command = [sys.executable, "-m", "benchmarks.collators", "--quick", *words]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120).stdout


def tables(text: str) -> Iterator[list[dict[str, str]]]:
    """Each Markdown table as its rows, by column; a row of another width than its heading is refused."""
    for part in text.split("\n\n"):
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:1] == "|"]
        if lines:
            yield [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_every_objective_but_the_bare_mixture_is_timed() -> None:
    assert {type(case.objective) for case in CASES} == set(OBJECTIVES.values()) - {OBJECTIVES["mixture"]}


def test_the_tables_hold_every_objective_in_both_shapes_and_the_twins_of_transformers(corpus: Path) -> None:
    found = list(tables(printed("--corpus", str(corpus))))
    assert len(found) == 2 * len(SHAPES)
    for ours, beside in zip(found[::2], found[1::2], strict=True):
        assert [row["objective"] for row in ours] == [case.name for case in CASES]
        assert all(float(row[column]) > 0 for row in ours for column in ("alone", "whole", "alone, CPU", "whole, CPU"))
        assert all(bool(row["must (aim)"]) == bool(row["whole reaches"]) for row in ours)
        assert [row["given"] for row in beside] == [*["dicts of lists", "dicts of tensors", "a ready batch"] * 4][:11]
        for row in beside:
            assert float(row["ratio"]) == pytest.approx(
                float(row["ours"]) / float(row["transformers"]), rel=0.1, abs=0.06
            )


def test_the_slope_is_told_of_every_objective(corpus: Path) -> None:
    (found,) = tables(printed("--corpus", str(corpus), "--slope"))
    assert [row["objective"] for row in found] == [case.name for case in CASES]
    for row in found:
        assert (row["under 1.1"] == "yes") == (float(row["slope"]) < 1.1)


def test_a_step_of_ours_and_of_the_trainer_are_timed_on_the_same_weights_text_and_loss(corpus: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.step", str(corpus), "--toy", "--rounds", "1", "--dropout", "0"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300)
    (((row,),)) = tables(done.stdout)
    assert float(row["ratio"]) == pytest.approx(float(row["Trainer ms"]) / float(row["ours ms"]), rel=0.1)
    assert 0 <= float(row["without what it spares"]) <= float(row["MFU ours"]) < 1
    assert all(float(row[column].replace(",", "")) > 0 for column in ("MB Trainer", "MB ours", "first step s"))


def test_orders_of_all_sizes_and_first_batches_are_timed() -> None:
    command = [sys.executable, "-m", "benchmarks.order", "--quick"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300)
    orders, batches = tables(done.stdout)
    assert [float(row["blocks"]) for row in orders] == [float(count) for count in order.COUNTS]
    assert all(float(row["numpy alone"]) > 0 for row in orders)
    assert {row["step"] for row in batches} == {"0", "1,000,000"}
