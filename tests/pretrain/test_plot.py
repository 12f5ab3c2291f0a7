"""`pretrain plot` draws what metrics.jsonl holds, and says what it cannot draw."""

from __future__ import annotations

import itertools
import json
import struct
from pathlib import Path

import pytest

from pretrain.__main__ import main
from pretrain.plot import draw, names, read, short


def run(folder: Path, tokens: int = 40_000, last: float = 4.0, unigram: float | None = 6.5) -> Path:
    """A run with forty logged steps and, if there is a unigram entropy, four evaluations."""
    folder.mkdir(parents=True)
    lines = []
    for step in range(1, 41):
        head = {"step": step, "tokens": tokens * step // 40, "seconds": 3.0 * step}
        loss = last + 5 * (1 - step / 40) ** 4
        lines.append({**head, "loss/tokens": loss + 0.1, "rate": 1e-3})
        if unigram is not None and step % 10 == 0:
            lines.append({**head, "held_out": {"tokens": loss}, "unigram": {"tokens": unigram}})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def size(picture: Path) -> tuple[int, int]:
    data = picture.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def test_runs_are_drawn_by_seconds_and_by_tokens(tmp_path, capsys):
    one, two = run(tmp_path / "one"), run(tmp_path / "two", 80_000, 3.0, 5.5)
    out = tmp_path / "losses.png"
    assert main(["plot", str(one), str(two), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    width, height = size(out)
    assert width == 1650
    assert height >= 630
    first = out.read_bytes()
    assert main(["plot", str(one), str(two), "--out", str(out)]) == 0
    assert out.read_bytes() == first


def test_a_single_run_keeps_its_picture_in_its_folder(tmp_path):
    assert main(["plot", str(run(tmp_path / "one"))]) == 0
    assert size(tmp_path / "one" / "losses.png")[0] == 1650


def test_the_lines_of_the_picture_are_the_logged_losses(tmp_path):
    curves = [read(run(tmp_path / "one"), "one"), read(run(tmp_path / "two", 80_000, 3.0, 5.5), "two")]
    figure = draw(curves)
    by_seconds, by_tokens = figure.axes
    for axes, column, scale in ((by_seconds, 1, 1.0), (by_tokens, 0, 1.0)):
        drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()]
        for curve in curves:
            for points in (curve.train, curve.held_out):
                assert ([p[column] / scale for p in points], [p[2] for p in points]) in drawn
        dashed = [line.get_ydata()[0] for line in axes.get_lines() if list(line.get_xdata()) == [0, 1]]
        assert dashed == [6.5, 5.5]
    assert by_seconds.get_xlabel() == "seconds of training, evaluations included"
    assert by_tokens.get_xlabel() == "corpus tokens read"
    said = [text.get_text() for text in by_tokens.texts if text.get_text()]
    assert said == ["one  4.00 (6.50)", "two  3.00 (5.50)"]


def test_names_at_one_height_are_written_one_under_the_other(tmp_path):
    curves = [read(run(tmp_path / f"run{n}", last=4.0 + n / 1000), f"run{n}") for n in range(12)]
    axes = draw(curves).axes[1]
    heights = [text.xyann[1] for text in axes.texts if text.get_text()]
    low, high = axes.get_ylim()
    line = (high - low) * 9 / 72 / (axes.figure.get_size_inches()[1] - 1.0)  # text of 9 points
    assert all(above - below >= line for above, below in itertools.pairwise(heights))
    assert min(heights) >= low


def test_a_run_that_is_not_evaluated_yet_is_drawn_by_its_training_loss(tmp_path):
    curve = read(run(tmp_path / "one", unigram=None), "one")
    assert curve.unigram is None
    assert curve.last == (40_000, 120.0, 4.1)
    assert len(draw([curve]).axes) == 2


def test_the_unit_of_time_suits_the_longest_run(tmp_path):
    folder = run(tmp_path / "one")
    text = (folder / "metrics.jsonl").read_text().splitlines()
    slow = [json.loads(line) for line in text]
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps({**r, "seconds": r["seconds"] * 100}) + "\n" for r in slow)
    )
    assert draw([read(folder, "one")]).axes[0].get_xlabel() == "hours of training, evaluations included"


def test_runs_are_named_by_what_tells_them_apart():
    assert names([Path("a/x"), Path("a/y")]) == ["x", "y"]
    assert names([Path("a/x"), Path("b/x"), Path("b/y")]) == ["a/x", "b/x", "b/y"]
    assert names([Path("a/x"), Path("a/x")])[0].endswith("x")


@pytest.mark.parametrize(("value", "words"), [(950, "950"), (20_000, "20 k"), (1.5e6, "1.5 M"), (1e9, "1 B")])
def test_large_numbers_are_said_in_short(value, words):
    assert short(value) == words


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        ([], 2, "no run is named"),
        (["nowhere"], 4, "nowhere is no run: it has no metrics.jsonl"),
        (["EMPTY"], 4, "has not logged a step yet"),
        (["ONE", "--out", "losses.txt"], 2, "give a name that ends in .png"),
        (["ONE", "--out", "nowhere/losses.png"], 1, "No such file or directory"),
    ],
)
def test_what_cannot_be_drawn_is_refused(flags, code, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run(tmp_path / "ONE")
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "EMPTY" / "metrics.jsonl").touch()
    assert main(["plot", *flags]) == code
    shown = capsys.readouterr().err
    assert words in shown
    assert "Traceback" not in shown


def test_the_help_of_the_command_names_the_verb(capsys):
    assert main(["--help"]) == 0
    assert "pretrain plot  Draw the loss curves of runs" in capsys.readouterr().out
