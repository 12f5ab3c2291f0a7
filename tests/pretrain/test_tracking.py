"""Trackers get the numbers of metrics.jsonl, go on with a run where it goes on, and never stop it."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import tracking as accelerates
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from foundation import durable
from foundation.refusal import BadUsage
from pretrain import checkpoint
from pretrain.__main__ import main
from pretrain.session import Session
from pretrain.tracking import TRACKERS, Trackers, chosen, flat

COMMON = ["--block", "32", "--rows", "6", "--eval-tokens", "320", "--evaluations", "2", "--threads", "1"]


def pretrain(corpus: Path, out: Path, *flags: str) -> int:
    return main(["--corpus", str(corpus), "--out", str(out), *COMMON, *flags])


def records(run: Path, key: str) -> list[dict[str, Any]]:
    return [record for record in durable.read_json_lines(run / "metrics.jsonl") if key in record]


class Own(accelerates.GeneralTracker):
    """A user's own tracker, which breaks where its attribute says."""

    name = "own"
    requires_logging_directory = False
    breaks = ""
    told: tuple[Any, ...] = ()

    def __init__(self, run_name: str) -> None:
        super().__init__()

    @property
    def tracker(self) -> None:
        return None

    def _tell(self, what: str, *more: Any) -> None:
        Own.told += ((what, *more),)
        if what == self.breaks:
            raise ConnectionError("the server\nhas gone")

    def start(self) -> None:
        self._tell("start")

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self._tell("store", values)

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self._tell("log", step, values)

    def finish(self) -> None:
        self._tell("finish")


OWN = "tests.pretrain.test_tracking:Own"


def test_tensorboard_is_one_run_with_each_step_once_after_an_interruption(corpus_folder, tmp_path, monkeypatch):
    flags = ["--steps", "8", "--checkpoint-tokens", "576"]
    ordinary = Session.after

    def dies(session, done, losses):
        ordinary(session, done, losses)
        if done == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(Session, "after", dies)
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 130
    memory = (tmp_path / "run" / "trackers.json").read_text()
    monkeypatch.setattr(Session, "after", ordinary)
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 0
    assert (tmp_path / "run" / "trackers.json").read_text() == memory
    shown = tmp_path / "run" / "tensorboard"
    assert not [path for path in shown.iterdir() if path.is_dir()]  # a folder inside it would be a second run
    assert len(list(shown.glob("events.*"))) == 2
    events = EventAccumulator(str(shown))
    events.Reload()
    for name, key in (("loss/tokens", None), ("held_out/tokens", "held_out"), ("rate", None)):
        told = [(event.step, event.value) for event in events.Scalars(name)]
        said = [(r["step"], (r[key]["tokens"] if key else r[name])) for r in records(tmp_path / "run", key or name)]
        assert [step for step, _ in told] == [step for step, _ in said]
        assert [value for _, value in told] == pytest.approx([value for _, value in said], rel=1e-6)
    assert "run/text_summary" in events.Tags()["tensors"]


def test_a_run_is_the_same_with_a_tracker_and_without(corpus_folder, tmp_path):
    for name, track in (("with", "tensorboard"), ("without", "none")):
        assert pretrain(corpus_folder, tmp_path / name, "--steps", "3", "--dropout", "0.1", "--track", track) == 0
    one, two = (load_file(checkpoint.resolve(tmp_path / n) / "model.safetensors") for n in ("with", "without"))
    assert all(torch.equal(one[n], two[n]) for n in one)
    assert (tmp_path / "with" / "tensorboard").is_dir()
    assert not (tmp_path / "without" / "tensorboard").exists()
    assert not (tmp_path / "without" / "trackers.json").exists()


@pytest.mark.parametrize("breaks", ["start", "store", "log", "finish"])
def test_a_tracker_that_breaks_is_off_and_training_goes_on(breaks, corpus_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Own, "breaks", breaks)
    monkeypatch.setattr(Own, "told", ())
    assert pretrain(corpus_folder, tmp_path / "run", "--steps", "3", "--track", "tensorboard", OWN) == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if "tracker" in line]
    assert warned == [f"pretrain: the tracker {OWN} is off, training goes on: ConnectionError: the server has gone"]
    assert [what for what, *_ in Own.told].count(breaks) == 1
    assert Own.told[-1][0] == breaks
    assert [r["step"] for r in records(tmp_path / "run", "loss/tokens")] == [1, 2, 3]
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss/tokens")] == [1, 2, 3]


def test_a_tracker_is_told_once_what_the_run_is_and_then_its_numbers(corpus_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Own, "told", ())
    for _ in range(2):  # the second time nothing is left to do
        assert pretrain(corpus_folder, tmp_path / "run", "--steps", "2", "--track", OWN) == 0
    stored = [more[0] for what, *more in Own.told if what == "store"]
    assert len(stored) == 1
    assert (stored[0]["objective/name"], stored[0]["steps"]) == ("token-masking", 2)
    logged = [(step, values) for what, *more in Own.told if what == "log" for step, values in [more]]
    assert [step for step, values in logged if "loss/tokens" in values] == [1, 2]
    for step, values in logged:
        assert all(isinstance(value, (int, float)) for value in values.values())
        assert values["tokens"] == step * 192


def test_every_tracker_of_accelerate_is_known_and_takes_what_it_is_given(tmp_path):
    assert set(TRACKERS) == set(accelerates.LOGGER_TYPE_TO_CLASS)
    for name, known in TRACKERS.items():
        kind = accelerates.LOGGER_TYPE_TO_CLASS[name]
        for memory, done in (({"id": "0123456789abcdef0123"}, 0), ({"id": "0123456789abcdef0123", "named": "x"}, 5)):
            given = known.arguments(memory, tmp_path / "run", done)
            inspect.signature(kind).bind(known.project, **given)
            assert kind.requires_logging_directory <= ("logging_dir" in given)


@pytest.mark.parametrize("name", ["wandb", "trackio", "swanlab", "comet_ml"])
def test_a_tracker_that_takes_an_id_is_given_the_same_one_again(name, tmp_path):
    first, again = ({"id": "0123456789abcdef0123"},) * 2
    given = TRACKERS[name].arguments(first, tmp_path, 0)
    assert given == TRACKERS[name].arguments(again, tmp_path, 5)
    assert any("0123456789abcdef0123" in str(value) for value in given.values())


def test_ids_are_kept_in_the_run_and_differ_between_runs(tmp_path, capsys):
    ids = []
    for folder in ("one", "one", "two"):
        trackers = Trackers(tmp_path / folder, ["tensorboard"], {}, 0)
        trackers.begin()
        trackers.close()
        ids.append(json.loads((tmp_path / folder / "trackers.json").read_text())["tensorboard"]["id"])
    assert ids[0] == ids[1] != ids[2]


def test_what_is_tracked_by_default_is_tensorboard():
    assert chosen(()) == ("tensorboard",)
    assert chosen(("none",)) == ()
    assert chosen(("tensorboard", "tensorboard")) == ("tensorboard",)
    with pytest.raises(BadUsage, match="none stands alone"):
        chosen(("none", "tensorboard"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tensorbord", "did you mean tensorboard?"),
        ("tests.pretrain.test_tracking:Nobody", "give MODULE:CLASS importable from here"),
    ],
)
def test_a_tracker_that_does_not_exist_is_refused_before_anything_is_made(name, words, corpus_folder, tmp_path, capsys):
    assert pretrain(corpus_folder, tmp_path / "run", "--track", name) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_tracker_that_is_not_installed_is_refused_with_what_to_install():
    missing = [name for name in TRACKERS if name in ("clearml", "aim", "dvclive")]
    for name in missing:
        with pytest.raises(BadUsage, match=f"pip install {name}"):
            chosen((name,))


def test_a_tracker_begins_only_when_there_is_something_to_log(tmp_path):
    idle = Trackers(tmp_path / "run", ["tensorboard"], {}, 0)
    idle.close()
    assert not (tmp_path / "run").exists()
    idle.log(1, {"loss": 2.0})
    idle.close()
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))


def test_nested_numbers_are_named_by_their_way():
    values = {"a": 1, "b": {"c": 2.5, "d": {"e": 3}}, "f": "text", "g": None}
    assert flat(values) == {"a": 1, "b/c": 2.5, "b/d/e": 3}
    assert flat(values, every=True) == {"a": 1, "b/c": 2.5, "b/d/e": 3, "f": "text", "g": None}
