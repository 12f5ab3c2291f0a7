"""Data sets of the hub, by a local folder in its layout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from corpora import hub
from corpora.documents import Reading
from corpora.sources import sources
from foundation.refusal import BadData, BadUsage
from tests.corpora.test_streams import check_places

CARD = """---
configs:
- config_name: prose
  data_files:
  - split: train
    path: prose/train-*.parquet
  - split: test
    path: prose/test.parquet
- config_name: verse
  data_files: verse/*.parquet
---
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(hub, "_ROWS", 4)
    monkeypatch.setattr(hub, "PIECE", 200)
    folder = tmp_path / "data"
    (folder / "prose").mkdir(parents=True)
    (folder / "README.md").write_text(CARD)
    for part in range(2):
        rows = {"id": range(15), "text": [f"Part {part}, row {row}.\n\n Ünd more" for row in range(15)]}
        parquet.write_table(pyarrow.table({name: list(values) for name, values in rows.items()}),
                            folder / "prose" / f"train-{part}.parquet")  # fmt: skip
    parquet.write_table(pyarrow.table({"text": ["test", None]}), folder / "prose" / "test.parquet")
    (folder / "verse").mkdir()
    verse = pyarrow.table({"n": [1, 2, 3], "line": ["line 0", "line 1", "line 2"]})
    parquet.write_table(verse, folder / "verse" / "all.parquet")
    return folder


def read(data: Path, rest: str, spool: Path, reading: Reading | None = None) -> hub.Hub:
    (source,) = sources([f"hub:{data}{rest}"], reading or Reading(), spool)
    assert isinstance(source, hub.Hub)
    return source


def pieces(spool: Path) -> list[str]:
    return sorted(path.name for path in spool.rglob("*.jsonl"))


def test_a_split_is_read_in_order_and_goes_on_where_told(data: Path, tmp_path: Path) -> None:
    expected = [f"Part {part}, row {row}.\nÜnd more" for part in range(2) for row in range(15)]
    source = read(data, ":prose", tmp_path / "spool")
    assert check_places(source) == expected
    assert check_places(read(data, ":prose:train:text", tmp_path / "other")) == expected
    copied = pieces(tmp_path / "spool")
    assert len(copied) > 3
    assert copied[-1] == "000000000030.jsonl"
    shutil.move(data, data.with_name("away"))  # all of it is read from the copy
    assert [text for text, _ in source.read()] == expected


def test_configurations_splits_and_columns_may_be_left_out(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_places(read(data, ":prose:test", tmp_path / "a")) == ["test", ""]
    assert check_places(read(data, ":verse", tmp_path / "b")) == ["line 0", "line 1", "line 2"]
    assert 'verse: the text is the column "line"' in capsys.readouterr().err
    assert check_places(read(data, ":verse:train:line", tmp_path / "b")) == ["line 0", "line 1", "line 2"]
    assert "column" not in capsys.readouterr().err
    assert check_places(read(data, ":verse", tmp_path / "b", Reading(column="line"))) == ["line 0", "line 1", "line 2"]
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "test.txt").write_text("one\ntwo\n")
    assert check_places(read(tmp_path / "plain", "", tmp_path / "c")) == ["one", "two"]
    assert check_places(read(tmp_path / "plain", "::test", tmp_path / "c")) == ["one", "two"]


def test_no_more_is_fetched_than_is_read_and_nothing_twice(data: Path, tmp_path: Path) -> None:
    source = read(data, ":prose", tmp_path / "spool")
    stream = source.read()
    first = [next(stream) for _ in range(3)]
    stream.close()
    assert pieces(tmp_path / "spool") == ["000000000000.jsonl"]
    behind = list(source.read(first[-1][1]))  # goes on after the piece that is there
    assert first + behind == list(source.read())


def test_a_piece_that_was_lost_is_fetched_again(data: Path, tmp_path: Path) -> None:
    source = read(data, ":prose", tmp_path / "spool")
    found = list(source.read())
    for lost in [*(tmp_path / "spool").rglob("*.jsonl")][1:]:
        lost.unlink()
        assert list(source.read(17)) == found[17:]
        assert list(source.read()) == found


def test_processes_that_read_at_once_find_the_same(data: Path, tmp_path: Path) -> None:
    source = read(data, ":prose", tmp_path / "spool")
    one, other = source.read(), source.read()
    pairs = list(zip(one, other, strict=True))
    assert len(pairs) == 30
    assert all(first == second for first, second in pairs)


def test_a_changed_data_set_is_another_version(data: Path, tmp_path: Path) -> None:
    before = read(data, ":verse", tmp_path).identity()
    assert read(data, ":verse", tmp_path).identity() == before
    os.utime(data / "verse" / "all.parquet", (1, 1))
    assert read(data, ":verse", tmp_path).identity() != before


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        (":prosa", r"BuilderConfig 'prosa' not found. Available: \['prose', 'verse'\]\n  hub:NAME"),
        ("", r"Config name is missing"),
        (":prose:dev", "no split dev; found: train, test\n  hub:NAME:CONFIG:SPLIT"),
        (":prose:train:body", 'no column "body"; found: id, text'),
        (":prose:train:id", 'column "id" holds no text'),
        ("/nowhere", "not to be had from the hub: Couldn't find any data"),
    ],
)
def test_what_the_data_set_lacks_is_told(data: Path, tmp_path: Path, rest: str, told: str) -> None:
    with pytest.raises(BadData, match=told):
        read(data, rest, tmp_path)


def test_rows_that_turn_out_to_hold_no_text_are_refused(data: Path, tmp_path: Path) -> None:
    shutil.rmtree(data)
    data.mkdir()
    parquet.write_table(pyarrow.table({"text": [None, 3]}), data / "train.parquet")
    with pytest.raises(BadData, match='row 1: column "text" holds no text'):
        list(read(data, "", tmp_path).read())
    assert not pieces(tmp_path)


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    for name in ("hub:", "hub:a:b:c:d:e"):
        with pytest.raises(BadUsage, match=f"{name}: no name of a data set"):
            sources([name], Reading(), tmp_path)


def test_without_a_network_the_hub_is_one_message(tmp_path: Path) -> None:
    code = "from corpora.__main__ import main; import sys; sys.exit(main())"
    words = ["build", "hub:no/such-data", "--out", str(tmp_path / "out")]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=offline, check=False
    )
    assert done.returncode == 3
    assert "hub:no/such-data: the hub cannot be reached: " in done.stderr
    assert "is there a network?" in done.stderr
    assert "Traceback" not in done.stderr
