from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

from foundation.refusal import BadData
from tests.tournament import hand_written as hand
from tournament import report


def text(out: Path) -> str:
    return report.write(out).text


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = hand.write(tmp_path_factory.mktemp("results"), hand.tournament(["library"]))
    report.write(out)
    return out


def test_the_numbers_of_the_table_are_those_of_the_file(folder):
    shown = (folder / "report.md").read_text(encoding="utf-8")
    assert "| token-masking | bert | 397 k | 1.20 M | 91 | 5.300 | 6.720 | 1.420 | yes |" in shown
    assert "| 6.690 | 6.720 | 0.030 | not learned in this budget |" in shown
    assert re.search(r"\| next-token \| \.475 \[\.4\d\d, \.5\d\d\] \| \.335 \[", shown)
    assert re.search(r"\| classical \| \.580 \[", shown)
    assert re.search(r"\| constant \| \.125 \[", shown)


def test_a_changed_result_changes_the_table(folder, tmp_path):
    records = hand.tournament(["library"])
    changed = [
        record | {"held_out": {"tokens": 4.44}} if record["step"].startswith("pretrain/next") else record
        for record in records
    ]
    assert "4.440" in text(hand.write(tmp_path, changed))
    assert "4.440" not in (folder / "report.md").read_text(encoding="utf-8")


def test_a_deleted_result_is_gone_from_the_table(tmp_path):
    records = [record for record in hand.tournament(["library"]) if "next-token" not in record["step"]]
    assert not re.search(r"^next-token", text(hand.write(tmp_path, records)), re.MULTILINE)


def test_failed_arms_are_shown_as_failed(tmp_path):
    records = hand.tournament(["library"])
    for record in records:
        if record["step"] == "pretrain/text-infilling/seed-0":
            record.update(status="failed", error="RunFailed: the loss of step 7 is not a finite number")
    records = [r for r in records if r["kind"] != "finetune" or r["name"] != "text-infilling"]
    shown = text(hand.write(tmp_path, records))
    assert re.search(r"^text-infilling +bart .* failed$", shown, re.MULTILINE)
    assert re.search(r"^text-infilling +failed", shown, re.MULTILINE)
    assert "text-infilling failed: RunFailed: the loss of step 7" in shown


def test_arms_that_have_not_run_are_shown_as_such(tmp_path):
    planned = hand.plan(["token-masking"])
    arm = {"name": "token-masking", "objective": {"name": "token-masking"}, "family": "bert", "group": "bert"}
    planned["plan"]["arms"] = [arm]
    failed = hand.corpus() | {"status": "failed", "error": "BadData: no text"}
    shown = text(hand.write(tmp_path, [planned, failed]))
    assert re.search(r"^token-masking +bert .* not run$", shown, re.MULTILINE)


def test_every_pretraining_may_have_failed(tmp_path):
    records = [hand.plan(hand.FAMILIES), hand.corpus()]
    records += [hand.pretrained(n, f, 5.0) | {"status": "failed", "error": "gone"} for n, f in hand.FAMILIES.items()]
    records += [hand.control("classical", "library", 0.5)]
    assert text(hand.write(tmp_path, records)).count(" failed: gone") == 5


def test_a_report_of_nothing_is_refused(tmp_path):
    with pytest.raises(BadData, match="holds no result"):
        report.write(tmp_path)


def test_pretraining_alone_makes_a_report(tmp_path):
    records = [record for record in hand.tournament() if record["kind"] in ("plan", "corpus", "pretrain")]
    assert "token-masking" in text(hand.write(tmp_path, records))


def test_runs_judged_on_different_tests_are_refused(tmp_path):
    records = hand.tournament(["library"])
    next(r for r in records if r.get("name") == "next-token" and r["kind"] == "finetune")["correct"].pop()
    with pytest.raises(BadData, match="different tests"):
        report.write(hand.write(tmp_path, records))


def test_the_picture_is_one(folder):
    from matplotlib.image import imread

    picture = imread(folder / "report.png")
    assert picture.shape[0] > 700
    assert picture.shape[1] > 900
    colours = {tuple(colour) for colour in (picture[::3, ::3, :3].reshape(-1, 3) * 255).astype(int).tolist()}
    assert {(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167)} <= colours  # the arms' colours are drawn


def test_the_page_stands_alone_and_escapes_every_text(tmp_path):
    evil = "<script>alert(1)</script>"
    records = hand.tournament(["library"])
    for record in records:
        if record.get("name") == "next-token":
            record["name"] = evil
    html = (report.write(hand.write(tmp_path, records)).files[-1]).read_text(encoding="utf-8")
    assert "alert(1)</script>" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert not re.search(r"""(src|srcset|href)=["'](?!data:)""", html)
    assert html.count("<img") == html.count("alt=") == 2
    assert html.count("prefers-color-scheme: dark") >= 3


def test_the_csv_has_one_line_for_each_result(folder):
    lines = list(csv.DictReader(io.StringIO((folder / "results.csv").read_text(encoding="utf-8"))))
    wanted = [record for record in hand.tournament(["library"]) if record["kind"] not in ("plan", "corpus")]
    assert [line["step"] for line in lines] == [record["step"] for record in wanted]
    assert lines[0]["held_out"] == "5.3"
