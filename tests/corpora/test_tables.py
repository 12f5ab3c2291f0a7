"""JSON lines, tables by lines, parquet: the column of text, what is refused; and that reading goes on where told."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from corpora import streams
from corpora.documents import Reading, clean
from corpora.formats import zstd
from corpora.sources import sources
from foundation.refusal import BadData
from tests.corpora.test_streams import PACK, check_places, opened, texts

TEXTS = ["one\n\n two", "", 'th"ree', "vier, fünf", "\u2028six\u2029", "x" * 300]


def table(path: Path, rows: list[str], column: str = "text") -> Path:
    """Write rows in the format that the name of the path says."""
    records = [{"id": number, column: text} for number, text in enumerate(rows)]
    kind = path.name.split(".")[1]
    if kind == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(records), path, row_group_size=4)
        return path
    if kind == "jsonl":
        content = "".join(json.dumps(record, ensure_ascii=bool(record["id"] % 2)) + "\n" for record in records)
    elif kind == "tsv":
        content = f"id\t{column}\n" + "".join(f"{r['id']}\t{clean(r[column]).replace(chr(10), ' ')}\n" for r in records)
    else:
        file = io.StringIO()
        csv.writer(file).writerows([["id", column], *(r.values() for r in records)])
        content = file.getvalue()
    path.write_bytes(PACK.get(path.suffix, bytes)(content.encode()))
    return path


@pytest.mark.parametrize("packed", ["", *PACK])
@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv"])
def test_each_record_of_a_table_is_a_document(tmp_path: Path, kind: str, packed: str) -> None:
    found = check_places(opened(table(tmp_path / f"a.{kind}{packed}", TEXTS)))
    assert found == [clean(text).replace("\n", " " if kind == "tsv" else "\n") for text in TEXTS]


def test_each_row_of_parquet_is_a_document_whatever_the_groups(tmp_path: Path) -> None:
    rows = TEXTS * 3
    assert check_places(opened(table(tmp_path / "a.parquet", rows))) == [clean(text) for text in rows]


@pytest.mark.parametrize("kind", [pyarrow.large_string(), pyarrow.dictionary(pyarrow.int8(), pyarrow.string())])
def test_text_of_other_types_and_missing_values_are_read_from_parquet(tmp_path: Path, kind: Any) -> None:
    column = pyarrow.array(["a", None, "b", "a"]).cast(kind)
    parquet.write_table(pyarrow.table({"text": column}), tmp_path / "a.parquet")
    assert check_places(opened(tmp_path / "a.parquet")) == ["a", "", "b", "a"]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))), block=st.integers(3, 99)
)
def test_any_text_survives_json_lines_and_csv(
    rows: list[str], block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK", block)
        for name in ("a.jsonl", "b.csv"):
            path = table(folder / name, rows)
            assert check_places(opened(path)) == [clean(text) for text in rows]


def test_a_field_may_be_larger_than_csv_takes_by_itself(tmp_path: Path) -> None:
    assert texts(table(tmp_path / "a.csv", ["word " * 100_000])) == ["word " * 99_999 + "word"]


def test_a_quotation_mark_is_a_character_like_others_between_tabs(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b'text\tn\r\n"One\t1\r\n\r\ntwo" three\t2\r\n')
    assert check_places(opened(tmp_path / "a.tsv")) == ['"One', 'two" three']


def test_blank_lines_and_lone_surrogates_of_json_lines(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text('\n{"text": "a\\ud83d"}\n \n{"text": "\\ud83d\\ude00"}\n{"text": null}')
    assert check_places(opened(tmp_path / "a.ndjson")) == ["a\ufffd", "😀", ""]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv", "parquet"])
def test_the_only_column_of_text_is_guessed_and_echoed_once(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        table(tmp_path / f"{name}.{kind}", ["one"], column="body")
    assert [list(source.read()) for source in sources([str(tmp_path)], Reading(), tmp_path)]
    told = capsys.readouterr().err
    assert told == f'{tmp_path}/a.{kind} and 2 more: the text is the column "body" (--column names another)\n'
    assert texts(tmp_path / f"a.{kind}", Reading(column="body")) == ["one"]
    assert capsys.readouterr().err == ""
    with pytest.raises(BadData, match=rf'a\.{kind}(:1)?: no column "boddy"; found: id, body\n  --column NAME'):
        texts(tmp_path / f"a.{kind}", Reading(column="boddy"))
    if kind in ("jsonl", "parquet"):
        with pytest.raises(BadData, match='column "id" holds no text'):
            texts(tmp_path / f"a.{kind}", Reading(column="id"))


def test_the_column_text_goes_before_others_and_two_others_are_not_guessed_between(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("title,text\nT,one\n")
    (tmp_path / "b.csv").write_text("title,body\nT,one\n")
    (tmp_path / "c.csv").write_text("a,b\n1,2\n")
    assert texts(tmp_path / "a.csv") == ["one"]
    assert texts(tmp_path / "a.csv", Reading(column="title")) == ["T"]
    for name, found in (("b", "title, body"), ("c", "a, b")):
        with pytest.raises(BadData, match=f'no column "text"; found: {found}\n  --column NAME'):
            texts(tmp_path / f"{name}.csv")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv"])
def test_an_empty_table_holds_no_documents(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    assert texts(tmp_path / name) == []


LONG = b'{"text": "x"}\n' * 9


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", LONG + b'{"body": 1, "id": 2}\n', r'a\.jsonl:10: no column "text"; found: body, id\n  --col'),
        ("b.jsonl", b'["text"]\n', r"b\.jsonl:1: no object but list\n  each line must be one JSON object"),
        ("c.jsonl", LONG + b'\n{"text": "x"\n', r"c\.jsonl:11: not JSON: Expecting"),
        ("d.jsonl", LONG + b'{"text": 3}\n', r'd\.jsonl:10: "text" is no text but int'),
        ("e.jsonl", b"[" * 100_000, r"e\.jsonl:1: not JSON"),
        ("f.jsonl.gz", gzip.compress(LONG + b"caf\xe9"), r"f\.jsonl\.gz: not UTF-8 at byte 129 \(e9\)"),
        ("g.jsonl.zst", zstd.compress(LONG)[:-3], r"g\.jsonl\.zst: broken zstd"),
        ("a.csv", b"id,text\n1,a\n2\n", r"a\.csv:3: 1 columns, the header has 2\n"),
        ("b.csv", b'id,text\n1,"a\n2,b\n', r"b\.csv:3: not CSV: unexpected end of data\n  quotation marks"),
        ("c.csv", b'id,text\n1,"a"b\n', r"c\.csv:2: not CSV: ',' expected after '\"'"),
        ("d.csv", b"id,text\n1,\xff\n", r"d\.csv: not UTF-8 at byte 10 \(ff 0a\)"),
        ("a.tsv", b"id\ttext\n1\ta\tb\n", r"a\.tsv:2: 3 columns, the header has 2"),
        ("a.parquet", b"PAR1" + b"\0" * 50 + b"PAR1", r"a\.parquet: broken parquet: "),
        ("b.parquet", b"", r"b\.parquet: broken parquet: "),
        ("c.parquet", b"text", r"c\.parquet: broken parquet: "),
    ],
)  # fmt: skip
def test_bad_tables_are_one_message_with_the_line(
    tmp_path: Path, name: str, content: bytes, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BLOCK", 20)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadData, match=told):
        texts(tmp_path / name)


def test_parquet_broken_inside_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", [f"word {number}" for number in range(50)])
    content = path.read_bytes()
    footer = content[-8 - int.from_bytes(content[-8:-4], "little") :]
    path.write_bytes(b"PAR1" + b"\xff" * (len(content) - 4 - len(footer)) + footer)
    with pytest.raises(BadData, match=r"a\.parquet: broken parquet: "):
        texts(path)
    parquet.write_table(pyarrow.table({"text": pyarrow.array([b"a", b"\xff"]).view(pyarrow.string())}), path)
    with pytest.raises(BadData, match=r"a\.parquet: broken parquet: .*utf-8"):
        texts(path)
