from __future__ import annotations

import json

import pytest

from foundation import durable


def made(folder):
    with durable.new_folder(folder) as inside:
        (inside / "a.txt").write_text("a")
        (inside / "deep").mkdir()
        (inside / "deep" / "b.txt").write_text("bb")
    return folder


def test_a_folder_appears_whole_with_a_manifest_of_every_file(tmp_path):
    folder = made(tmp_path / "x")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert {name: entry["bytes"] for name, entry in files.items()} == {"a.txt": 1, "deep/b.txt": 2}
    assert durable.problems(folder) == []
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_an_error_leaves_nothing_and_the_old_folder_untouched(tmp_path):
    folder = made(tmp_path / "x")
    with pytest.raises(RuntimeError), durable.new_folder(folder) as inside:
        (inside / "a.txt").write_text("new")
        raise RuntimeError
    assert (folder / "a.txt").read_text() == "a"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda f: (f / "a.txt").unlink(), "is missing"),
        (lambda f: (f / "a.txt").write_text("aa"), "has 2 bytes, not 1"),
        (lambda f: (f / "a.txt").write_text("b"), "has changed"),
        (lambda f: (f / "manifest.json").unlink(), "has no manifest.json"),
        (lambda f: (f / "manifest.json").write_text("{"), "is damaged"),
        (lambda f: (f / "manifest.json").write_text('{"files": {"../y": {"bytes": 1, "sha256": ""}}}'), "outside"),
    ],
)
def test_every_damage_is_seen(harm, words, tmp_path):
    folder = made(tmp_path / "x")
    harm(folder)
    assert words in durable.problems(folder)[0]


def test_records_are_appended_and_a_torn_line_is_left_out(tmp_path):
    path = tmp_path / "r.jsonl"
    durable.append_json(path, {"a": 1})
    with path.open("a") as file:
        file.write('{"b": ')
    durable.append_json(path, {"c": 3})
    assert durable.read_json_lines(path) == [{"a": 1}, {"c": 3}]


def test_a_link_is_replaced_in_one_step(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        durable.point(tmp_path / "latest", name)
        assert (tmp_path / "latest").readlink().name == name
