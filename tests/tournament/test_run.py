from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foundation.refusal import BadUsage, RunFailed
from tournament import results, run
from tournament.progress import Board
from tournament.schedule import Step


def step(name: str, *needs: str, action: str = "write", seconds: float = 1.0, **numbers: float) -> Step:
    request = {"file": f"{name}.txt", "number": 1, **numbers}
    check = "tests.tournament.little_steps:whole" if action == "write" else ""
    return Step(name, "kind", f"tests.tournament.little_steps:{action}", request, {"name": name}, needs, seconds, check)


def order(out: Path) -> list[str]:
    return (out / "order.txt").read_text(encoding="utf-8").replace(".txt", "").split()


@pytest.fixture
def chain() -> list[Step]:
    return [step("a"), step("b", "a", number=10), step("c", "b", number=100)]


def test_steps_run_after_their_needs_and_are_given_their_records(tmp_path, chain):
    assert run.run(chain, tmp_path, workers=2, threads=1) == {}
    assert order(tmp_path) == ["a", "b", "c"]
    assert results.read(tmp_path)["c"]["total"] == 111


def test_two_workers_share_independent_steps(tmp_path):
    steps = [step(name, sleep=0.3, turns=4) for name in "abcd"]
    run.run(steps, tmp_path, workers=2, threads=1)
    assert len({record["process"] for record in results.read(tmp_path).values()}) == 2


def test_finished_steps_are_not_run_again(tmp_path, chain):
    run.run(chain[:2], tmp_path, workers=1, threads=1)
    run.run(chain, tmp_path, workers=1, threads=1)
    assert order(tmp_path) == ["a", "b", "c"]


def test_a_deleted_artefact_is_made_again_and_nothing_that_still_fits_it(tmp_path, chain):
    run.run(chain, tmp_path, workers=1, threads=1)
    (tmp_path / "b.txt").unlink()
    run.run(chain, tmp_path, workers=1, threads=1)
    assert order(tmp_path) == ["a", "b", "c", "b"]  # b came out as before, so c still stands


def test_what_was_made_from_an_older_artefact_is_made_again(tmp_path, chain):
    run.run(chain, tmp_path, workers=1, threads=1)
    changed = [chain[0], step("b", "a", number=20), chain[2]]
    run.run(changed, tmp_path, workers=1, threads=1)
    assert results.read(tmp_path)["b"]["total"] == 21
    assert results.read(tmp_path)["c"]["total"] == 121


@pytest.mark.parametrize(
    ("action", "words"),
    [("refuse", "the corpus is empty\n  give"), ("stumble", "ZeroDivisionError: by zero"), ("die", "want of memory")],
)
def test_a_failed_step_is_recorded_and_the_others_go_on(tmp_path, action, words):
    steps = [step("bad", action=action, seconds=9), step("after", "bad"), step("other"), step("last", "other")]
    failed = run.run(steps, tmp_path, workers=1, threads=1)
    assert words in failed["bad"]
    assert failed["after"] == "needs bad, which failed"
    records = results.read(tmp_path)
    assert records["bad"]["status"] == "failed"
    assert "after" not in records
    assert order(tmp_path) == ["other", "last"]


def test_a_failed_step_is_tried_again(tmp_path):
    run.run([step("a", action="refuse")], tmp_path, workers=1, threads=1)
    assert run.run([step("a")], tmp_path, workers=1, threads=1) == {}
    assert results.read(tmp_path)["a"]["status"] == "finished"


def test_a_result_made_from_a_step_that_failed_since_is_not_shown(tmp_path, chain):
    run.run(chain, tmp_path, workers=1, threads=1)
    run.run([step("a", action="refuse"), *chain[1:]], tmp_path, workers=1, threads=1)
    assert set(results.read(tmp_path)) == {"a"}


def test_a_second_tournament_in_the_same_folder_is_refused(tmp_path):
    with run._alone(tmp_path), pytest.raises(RunFailed, match="another tournament"):
        run.run([step("a")], tmp_path, workers=1, threads=1)


def test_a_changed_plan_is_refused_with_the_fields_that_differ(tmp_path):
    run.freeze(tmp_path, {"tokens": 1, "workers": 1, "arms": [{"rate": 0.1, "family": "t5"}]}, ["workers"])
    run.freeze(tmp_path, {"tokens": 1, "workers": 2, "arms": [{"rate": 0.1, "family": "t5"}]}, ["workers"])
    with pytest.raises(BadUsage, match=r"arms\.0\.rate: there 0\.1, here 0\.2") as refused:
        run.freeze(tmp_path, {"tokens": 1, "workers": 2, "arms": [{"rate": 0.2, "family": "t5"}]}, ["workers"])
    assert "family" not in str(refused.value)


def test_plain_lines_are_few_and_one_for_each_finished_step(tmp_path):
    stream = io.StringIO()
    steps = [step("a"), step("b")]
    board = Board(steps, set(), 2, stream)
    board.start(0, steps[0])
    for at in range(1000):
        board.advance(0, at, 1000, {"loss": 6.5})
    board.close(0, steps[0], 63.0, "loss 5.1")
    board.end()
    assert stream.getvalue() == "[0:00] a: loss 5.1 (1:03)\n"


def test_the_time_left_is_corrected_by_the_steps_that_are_finished():
    steps = [step("a", seconds=10), step("b", seconds=10), step("c", seconds=10)]
    board = Board(steps, set(), 1, io.StringIO())
    board.close(0, steps[0], 20.0, "done")
    share, seconds = board.left()
    assert share == pytest.approx(1 / 3)
    assert seconds == pytest.approx(40)


def soon_gone(group: int) -> bool:
    """Say whether nobody of a process group is left after a while."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins deaf to it
sys.path[:0] = {path!r}
from pathlib import Path
from tournament import run
from tests.tournament.test_run import step
if __name__ == "__main__":
    run.run([step("quick"), step("slow", "quick", turns=600, sleep=0.1)], Path({out!r}), workers=2, threads=1)
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_workers_and_the_same_command_continues(tmp_path, sent):
    script = tmp_path / "script.py"
    out = tmp_path / "out"
    script.write_text(
        INTERRUPTED.format(path=[str(Path(__file__).parents[2]), *sys.path], out=str(out)), encoding="utf-8"
    )
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, start_new_session=True)
    until = time.monotonic() + 30
    while not (out / "quick.txt").exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(sent)
    process.communicate(timeout=20)
    assert soon_gone(process.pid)
    assert [record["step"] for record in map(json.loads, (out / results.FILE).open(encoding="utf-8"))] == ["quick"]
    assert run.run([step("quick"), step("slow", "quick")], out, workers=1, threads=1) == {}
    assert order(out) == ["quick", "slow"]
