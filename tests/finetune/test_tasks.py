from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from finetune.reading import Reading
from finetune.tasks import load
from foundation.refusal import BadData, BadUsage

ROWS = [(f"text number {number}", ("good", "bad")[number % 2]) for number in range(40)]


def write(path: Path, rows: list[tuple[str, ...]] = ROWS, header: tuple[str, ...] = ("sentence", "label")) -> Path:
    name = path.name.removesuffix(".gz")
    if name.endswith(".jsonl"):
        text = "".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows)
    else:
        mark = "\t" if name.endswith(".tsv") else ","
        text = "".join(mark.join(row) + "\n" for row in [header, *rows])
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["t.tsv", "t.csv", "t.jsonl", "t.tsv.gz", "t.jsonl.gz"])
def test_every_format_gives_the_same_task(tmp_path: Path, name: str):
    task = load(write(tmp_path / name))
    assert (task.name, task.kind, task.classes) == ("t", "classification", ("bad", "good"))
    everything = zip(task.train.texts + task.dev.texts + task.test.texts, range(99), strict=False)
    assert sorted(text for text, _ in everything) == sorted(text for text, _ in ROWS)
    (tmp_path / "again").mkdir()
    assert load(write(tmp_path / "again" / "t.tsv")).sha256 == task.sha256


def test_parquet_is_read(tmp_path: Path):
    pandas = pytest.importorskip("pandas")
    pandas.DataFrame(ROWS, columns=["text", "class"]).to_parquet(tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").classes == ("bad", "good")


def test_a_quotation_mark_in_a_tsv_is_a_character(tmp_path: Path):
    rows = [*ROWS, ('an "open quote', "good"), ('another " one', "bad")]
    task = load(write(tmp_path / "t.tsv", rows))
    assert sum(len(task.part(part)) for part in ("train", "dev", "test")) == 42


def test_a_folder_may_name_its_parts(tmp_path: Path):
    for part in ("train", "dev", "test"):
        write(tmp_path / f"{part}.tsv", [(f"{part} {text}", label) for text, label in ROWS])
    task = load(tmp_path)
    assert [len(task.train), len(task.dev), len(task.test)] == [40, 40, 40]
    assert all(text.startswith("dev") for text in task.dev.texts)


def test_absent_parts_are_keyed_shares_of_train(tmp_path: Path):
    task = load(write(tmp_path / "train.csv"))
    assert (len(task.train), len(task.dev), len(task.test)) == (29, 3, 8)
    assert not set(task.train.texts) & set(task.test.texts)
    assert load(tmp_path).test == task.test


def test_caps_give_subsets(tmp_path: Path):
    path = write(tmp_path / "t.tsv")
    whole, part = load(path), load(path, Reading(train=10, test=4))
    assert (len(part.train), len(part.test)) == (10, 4)
    assert set(part.train.texts) <= set(whole.train.texts)


def test_columns_are_guessed_or_given(tmp_path: Path):
    rows = [(str(n), f"premise {n}", f"second {n}", ("0", "1")[n % 2]) for n in range(40)]
    path = write(tmp_path / "t.tsv", rows, ("index", "sentence1", "sentence2", "label"))
    task = load(path)
    assert task.kind == "pair"
    assert task.note.startswith("pair: text = sentence1, pair = sentence2, label = label")
    single = load(path, Reading(text="sentence2", label="label", kind="classification"))
    assert single.train.pairs is None
    assert single.train.texts[0].startswith("second")


def test_labels_that_hardly_repeat_are_answers(tmp_path: Path):
    rows = [(f"name[{n}], food[{n}]", f"The place number {n} has food.") for n in range(40)]
    task = load(write(tmp_path / "t.tsv", rows, ("mr", "ref")))
    assert (task.kind, task.classes) == ("sequence", ())


BAD = {
    "missing column": (("text", "labels_"), ROWS, "found: text, labels_"),
    "one class": (("text", "label"), [(text, "good") for text, _ in ROWS], "one class only"),
    "empty": (("text", "label"), [], "holds no examples"),
    "scores": (("text", "label"), [(text, f"{n}.25") for n, (text, _) in enumerate(ROWS)], "scores"),
    "ragged": (("text", "label"), [*ROWS, ("only one",)], "line 42: 1 columns, the header has 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused_with_what_and_where(tmp_path: Path, case: str):
    header, rows, said = BAD[case]
    path = write(tmp_path / "t.tsv", rows, header)
    with pytest.raises(BadData, match=said) as refusal:
        load(path)
    assert "t.tsv" in str(refusal.value) or "task t" in str(refusal.value)


def test_the_nearest_column_is_named(tmp_path: Path):
    with pytest.raises(BadData, match="did you mean sentence"):
        load(write(tmp_path / "t.tsv"), Reading(text="sentense"))


def test_a_class_that_train_has_not_is_refused(tmp_path: Path):
    write(tmp_path / "train.tsv")
    write(tmp_path / "test.tsv", [("what", "ugly"), *ROWS])
    with pytest.raises(BadData, match="test has a class that train has not: 'ugly'"):
        load(tmp_path)


def test_an_absent_value_is_refused_with_its_row(tmp_path: Path):
    (tmp_path / "t.jsonl").write_text('{"text": "a", "label": "x"}\n{"text": null, "label": "y"}\n')
    with pytest.raises(BadData, match="row 2: text is None"):
        load(tmp_path / "t.jsonl")


def test_broken_files_are_refused(tmp_path: Path):
    (tmp_path / "t.jsonl").write_text('{"text": "a", "label": "x"}\n{oh\n')
    (tmp_path / "t.tsv").write_bytes(b"text\tlabel\n\xff\xfe\tx\n")
    (tmp_path / "t.csv.gz").write_bytes(b"not gzip")
    (tmp_path / "t.txt").write_text("text")
    for name, said in {"t.jsonl": "line 2", "t.tsv": "not UTF-8", "t.csv.gz": "t.csv.gz", "t.txt": "no table"}.items():
        with pytest.raises(BadData, match=said):
            load(tmp_path / name)


def test_a_folder_without_train_says_what_it_holds(tmp_path: Path):
    write(tmp_path / "test.tsv")
    with pytest.raises(BadData, match=r"no table named train \(found: test.tsv\)"):
        load(tmp_path)


def test_an_unknown_task_is_refused_with_the_nearest():
    with pytest.raises(BadUsage, match="did you mean library"):
        load("librari")
    with pytest.raises(BadUsage, match="is for tables"):
        load("library", Reading(text="sentence"))
