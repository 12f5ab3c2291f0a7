"""What a run shows while it trains: records always, a bar on a terminal, about ten lines elsewhere."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from foundation import durable
from objectives import IGNORED
from objectives.feed import Feed
from objectives.next_token import NextToken
from objectives.token_masking import TokenMasking
from pretrain import models
from pretrain.__main__ import main
from pretrain.families import FAMILIES, configure
from pretrain.learner import Learner
from pretrain.log import Log, duration
from pretrain.peak import CARDS, measured, peak
from pretrain.session import flops_per_token

COMMON = ["--block", "32", "--rows", "6", "--eval-tokens", "320", "--threads", "1", "--track", "none"]
LINE = re.compile(r"step ([\d,]+)/([\d,]+)  tokens \d+\.\d{3}  [\d,]+ tokens/s  MFU \d+%  .+ (left|in all)")


def pretrain(corpus: Path, out: Path, *flags: str) -> int:
    return main(["--corpus", str(corpus), "--out", str(out), *COMMON, *flags])


def log(folder: Path, steps: int, **changed) -> Log:
    done, main = changed.pop("done", {}), changed.pop("main", True)
    return Log(folder, steps, lambda step: 192 * step, done, None, main, **changed)


def test_away_from_a_terminal_a_run_is_ten_lines_and_its_evaluations(corpus_folder, tmp_path, capsys):
    assert pretrain(corpus_folder, tmp_path / "run", "--steps", "24", "--evaluations", "2") == 0
    out, err = capsys.readouterr()
    shown = [LINE.fullmatch(line) for line in out.splitlines()]
    assert [found[1] for found in shown if found] == ["3", "6", "9", "12", "15", "18", "21", "24"]
    assert [found[3] for found in shown if found] == ["left"] * 7 + ["in all"]
    evaluated = [line for line in out.splitlines() if "held-out loss" in line]
    assert evaluated[0].startswith("step 12/24  held-out loss")
    assert evaluated[1].startswith("held-out loss")
    assert len(evaluated) == 2
    assert err == ""


def test_records_hold_losses_rate_speed_and_use(corpus_folder, tmp_path):
    flags = ["--steps", "4", "--objective", "sentence-order", "--evaluations", "1"]
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 0
    records = durable.read_json_lines(tmp_path / "run" / "metrics.jsonl")
    steps = [record for record in records if "loss/tokens" in record]
    assert [record["step"] for record in steps] == [1, 2, 3, 4]
    assert [record["tokens"] for record in steps] == [192, 384, 576, 768]
    known = {"step", "tokens", "seconds", "loss/tokens", "loss/order", "rate", "tokens_per_second"}
    assert set(steps[0]) == known  # the peak is measured behind the first step
    assert all(set(record) == known | {"mfu"} for record in steps[1:])
    seconds = [record["seconds"] for record in records]
    assert seconds == sorted(seconds)
    found = records[-1]
    assert set(found["held_out"]) == {"tokens", "order", "accuracy/tokens", "accuracy/order", "chance/order"}
    told = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert told["held_out"] == found["held_out"]


def test_a_rate_is_that_of_its_step(corpus_folder, tmp_path):
    flags = ["--steps", "4", "--rate", "0.004", "--warmup", "0.5", "--decay", "linear", "--evaluations", "1"]
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 0
    records = durable.read_json_lines(tmp_path / "run" / "metrics.jsonl")
    assert [r["rate"] for r in records if "rate" in r] == pytest.approx([0.002, 0.004, 0.004, 0.002])


def shown_on_a_terminal(command: list[str], columns: int) -> tuple[str, str]:
    """What a command writes to standard output, and to standard error as a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True) as running:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # which says that the other end is closed
            while part := os.read(ours, 65536):
                shown += part
        assert running.stdout
        out = running.stdout.read()
    os.close(ours)
    assert running.returncode == 0, shown[-2000:]
    return out, shown.decode().replace("\r", "\n")


SCRIPT = """
import sys
from pathlib import Path
from pretrain.log import Log
log = Log(Path(sys.argv[1]), 3, lambda step: 192 * step, {}, None, True)
log.used = 1e-9
for done in (1, 2, 3):
    log.step(done, {"tokens": 4.5 - done, "order": 0.7}, 0.1)
    log.say(f"evaluated {done}")
log.close()
assert "torch" not in sys.modules
"""


def test_a_terminal_has_a_bar_with_loss_speed_use_and_time_left(tmp_path):
    out, bar = shown_on_a_terminal([sys.executable, "-c", SCRIPT, str(tmp_path)], 160)
    number = r"[\d,]+ tokens/s  MFU \d+%"
    assert re.search(rf"3/3 steps, tokens 1\.500, order 0\.700  {number}  \d+ s in all", bar)
    assert re.search(rf"[12]/3 steps, tokens .* {number}  \d+ s left", bar)
    assert out.splitlines() == ["evaluated 1", "evaluated 2", "evaluated 3"]


def test_a_terminal_that_does_not_say_how_wide_it_is_has_a_bar_too(tmp_path):
    _, bar = shown_on_a_terminal([sys.executable, "-c", SCRIPT, str(tmp_path)], 0)
    assert "3/3 steps, tokens 1.500" in bar


def test_only_the_main_process_writes_and_shows(tmp_path, capsys):
    quiet = log(tmp_path, 2, main=False)
    quiet.step(1, {"tokens": 1.0}, 0.1)
    quiet.record(1, {"held_out": {}})
    quiet.say("something")
    quiet.close()
    assert capsys.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_who_follows_the_progress_himself_is_shown_nothing(tmp_path, capsys):
    told = []
    followed = Log(tmp_path, 2, lambda done: 192 * done, {}, lambda *what: told.append(what), True)
    followed.step(1, {"tokens": 1.5}, 0.1)
    followed.say("something")
    followed.close()
    assert told == [(1, 2, {"tokens": 1.5})]
    assert capsys.readouterr() == ("", "")


def test_records_behind_the_checkpoint_are_dropped_and_a_torn_line_with_them(tmp_path):
    first = log(tmp_path, 8)
    for done in range(1, 6):
        first.step(done, {"tokens": float(done)}, 0.1)
    with first.path.open("a") as file:
        file.write('{"step": 6, "tok')
    again = log(tmp_path, 8, done={"step": 3, "seconds": 40.0})
    again.step(4, {"tokens": 9.0}, 0.1)
    records = durable.read_json_lines(tmp_path / "metrics.jsonl")
    assert [(r["step"], r["loss/tokens"]) for r in records] == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 9.0)]
    assert records[-1]["seconds"] >= 40


def test_what_happens_between_steps_is_no_part_of_the_speed(tmp_path):
    working = log(tmp_path, 9)
    working.used = 1e-9
    began = time.perf_counter()
    working.step(1, {"tokens": 1.0}, 0.1)
    with working.pause(), working.pause():
        time.sleep(0.2)
    assert 0.2 <= working.paused <= time.perf_counter() - began
    working.step(2, {"tokens": 1.0}, 0.1)
    whole = time.perf_counter() - began
    assert 192 / working.speed <= whole - 0.2
    assert working.seconds >= 0.2
    assert working.mfu == 1e-9 * working.speed


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (9600, "2 h 40 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_length_of_time_is_said_in_two_units(seconds, words):
    assert duration(seconds) == words


def test_the_peak_is_that_of_a_matrix_product():
    cpu = torch.device("cpu")
    found = [peak(cpu, precision) for precision in ("fp32", "fp64")]
    assert all(1e8 < rate < 1e15 for rate in found)
    assert measured(cpu, torch.float32, seconds=0.0) > 0


def test_cards_are_told_apart_by_the_longer_name_first():
    seen: list[str] = []
    for part in CARDS:
        assert not any(earlier in part for earlier in seen), f"{part} would be taken for another"
        seen.append(part)


def test_the_work_of_a_token_is_counted_from_what_a_batch_asks(corpus):
    for objective, family in ((NextToken(), "gpt2"), (TokenMasking(), "bert")):
        config = configure(family, "tiny", objective, 32, corpus.vocabulary, 0.0)
        learner = Learner(models.fresh(config, 0), FAMILIES[family])
        feed = Feed(corpus.part("held-out"), corpus.vocabulary, objective, 32, 0)
        batch = feed.at(np.arange(6))
        positions = batch.inputs["input_ids"].shape[1]
        asked = (batch.targets["tokens"] != IGNORED).sum() / 6
        assert asked == 32 if family == "gpt2" else 0 < asked < 8
        size, width, layers = corpus.vocabulary.size, 128, 2
        by_hand = 6 * layers * 12 * width**2 * positions  # attention 4, feed-forward 8
        by_hand += 12 * layers * width * positions * positions
        by_hand += 6 * (size * width + (width**2 if family == "bert" else 0)) * asked  # BERT's transform
        assert flops_per_token(learner, feed, 6) == pytest.approx(by_hand / 32)
