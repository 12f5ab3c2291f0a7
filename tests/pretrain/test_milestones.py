"""Checkpoints by tokens, by time and by words read; each says what it is and how it is made again."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from corpora.store import Corpus
from foundation import durable
from foundation.command import parse
from objectives import OBJECTIVES
from pretrain import checkpoint, milestones
from pretrain.__main__ import VERBS, main
from pretrain.card import command, public
from pretrain.run import Run
from pretrain.session import Session

COMMON = ["--block", "32", "--rows", "6", "--eval-tokens", "320", "--evaluations", "1", "--threads", "1"]
TOKENS = 192


def pretrain(corpus: Path, out: Path, *flags: str) -> int:
    return main(["--corpus", str(corpus), "--out", str(out), "--track", "none", *COMMON, *flags])


def names(run: Path) -> list[str]:
    return [folder.name for folder in reversed(checkpoint.step_folders(run))]


def links(run: Path) -> dict[str, str]:
    return {link.name: os.readlink(link) for link in sorted(run.glob("chck_*"))}


def test_the_ladder_of_milestones_is_that_of_babylm():
    marks = [milestones.name(words) for words in milestones.ladder(1_000_000, 1_000_000_000)]
    assert marks[:11] == [f"chck_{n}M" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20)]
    assert marks[17:20] == ["chck_90M", "chck_100M", "chck_200M"]
    assert marks[-1] == "chck_1000M"
    assert len(marks) == 28
    assert list(milestones.ladder(1000, 999)) == []
    assert milestones.name(20_000) == "chck_20K"
    assert milestones.name(1234) == "chck_1234"


def test_a_milestone_is_the_first_step_behind_its_words():
    assert milestones.at_steps(10, 7, lambda done: 4.5 * done) == {3: ["chck_10"], 5: ["chck_20"], 7: ["chck_30"]}
    assert milestones.at_steps(10, 2, lambda done: 20.0 * done) == {
        1: ["chck_10", "chck_20"],
        2: ["chck_30", "chck_40"],
    }
    assert milestones.at_steps(10, 1, lambda done: 9.9 * done) == {}


def test_steps_are_saved_when_so_many_tokens_lie_between_them():
    assert list(milestones.spaced(576, 8, lambda done: 192 * done)) == [3, 6]
    assert list(milestones.spaced(1, 4, lambda done: 192 * done)) == [1, 2, 3]
    assert list(milestones.spaced(100, 8, lambda done: 10 * done if done < 5 else 60 * done - 250)) == [6]


def test_rotation_never_removes_a_milestone(corpus_folder, tmp_path):
    flags = ["--steps", "14", "--milestones", "--milestone-words", "600", "--checkpoint-tokens", "384", "--keep", "1"]
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 0
    part = Corpus.open(corpus_folder).meta["parts"]["train"]
    found = links(tmp_path / "run")
    assert list(found) == ["chck_1200", "chck_1800", "chck_600"]
    per_step = TOKENS * part["words"] / part["tokens"]
    for name, step in found.items():
        done = int(step.removeprefix("step-"))
        assert (done - 1) * per_step < int(name.removeprefix("chck_")) <= done * per_step
        assert durable.problems(tmp_path / "run" / name) == []
    assert set(names(tmp_path / "run")) == {*found.values(), "step-00000014"}
    from transformers import AutoModelForMaskedLM

    assert (
        AutoModelForMaskedLM.from_pretrained(tmp_path / "run" / "chck_600").config.objective["name"] == "token-masking"
    )


def test_a_run_killed_between_a_milestone_and_its_name_gives_it_when_it_goes_on(corpus_folder, tmp_path, monkeypatch):
    flags = ["--steps", "6", "--milestones", "--milestone-words", "600"]
    ordinary = Session.after

    def dies(session, done, losses):
        ordinary(session, done, losses)
        if session.log.path.parent.joinpath("chck_600").is_symlink():
            raise KeyboardInterrupt

    monkeypatch.setattr(Session, "after", dies)
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 130
    monkeypatch.setattr(Session, "after", ordinary)
    was = links(tmp_path / "run")
    assert list(was) == ["chck_600"]
    (tmp_path / "run" / "chck_600").unlink()
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 0
    assert links(tmp_path / "run") == was


def test_steps_are_saved_by_the_clock_too(corpus_folder, tmp_path):
    assert pretrain(corpus_folder, tmp_path / "run", "--steps", "3", "--checkpoint-minutes", "1e-9", "--keep", "9") == 0
    assert names(tmp_path / "run") == ["step-00000001", "step-00000002", "step-00000003"]


def test_a_length_of_time_that_is_none_is_refused(corpus_folder, tmp_path, capsys):
    assert pretrain(corpus_folder, tmp_path / "run", "--steps", "3", "--checkpoint-minutes", "0") == 2
    assert "--checkpoint-minutes 0.0 is no length of time" in capsys.readouterr().err


def test_the_card_says_what_a_checkpoint_is_and_its_command_makes_it_again(corpus_folder, tmp_path):
    flags = ["--objective", "span-corruption", "--objective.density", "0.2", "--steps", "2", "--dropout", "0.1"]
    assert pretrain(corpus_folder, tmp_path / "run", *flags, "--milestones") == 0
    folder = tmp_path / "run" / "latest"
    card = (folder / "README.md").read_text(encoding="utf-8")
    corpus = Corpus.open(corpus_folder)
    for said in (
        corpus.fingerprint,
        corpus.vocabulary.sha256,
        durable.sha256(folder / "model.safetensors"),
        "`text.txt`",
        f"{corpus.meta['words']:,} words in 300 documents",
        "objective: span-corruption, isolated false",
        "density 0.2",
        "nats per target",
    ):
        assert said in card
    assert str(tmp_path) not in card
    assert str(corpus_folder.parent) not in card
    assert "corpora build text.txt --vocabulary 600 --held-out 0.1 --out CORPUS\n" in card
    words = shlex.split(re.search(r"^(pretrain .*)$", card, re.M)[1])
    assert words[:3] == ["pretrain", "--objective", "span-corruption"]
    places = {"CORPUS": str(corpus_folder), "RUN": str(tmp_path / "again")}
    assert main([places.get(word, word) for word in words[1:]]) == 0
    again = load_file(tmp_path / "again" / "latest" / "model.safetensors")
    assert all(torch.equal(w, again[n]) for n, w in load_file(folder / "model.safetensors").items())
    record = json.loads(re.search(r"```json\n(.*?)```", card, re.S)[1])
    assert record["steps"] == 2
    assert not {"out", "corpus"} & set(record)


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "mixture"])
def test_the_command_of_a_card_asks_for_the_run_that_it_describes(name, corpus):
    run = Run(
        objective=OBJECTIVES[name](isolated=name != "ul2"), out=Path("RUN"), corpus=Path("CORPUS"), seed=3,
        dropout=0.125, fingerprint=corpus.fingerprint, threads=2, milestones=True,
    )  # fmt: skip
    words = shlex.split(command(run, corpus))[1:]
    if name == "gpt-bert":  # isolating it changes its members, which are no flags
        assert words[:2] == ["--config", "run.json"]
    else:
        asked = parse("pretrain", VERBS[""], words)
        assert (asked.objective, asked.seed, asked.dropout, asked.threads) == (run.objective, 3, 0.125, 2)
        assert asked.fingerprint == corpus.fingerprint


def test_a_card_names_files_and_folders_without_the_way_to_them(corpus):
    run = Run(family="/home/someone/configs/config.json", corpus=Path("/data/CORPUS"), out=Path("/data/RUN"))
    assert "--family config.json" in command(run, corpus)
    assert public(run)["family"] == "config.json"
    assert not [value for value in public(run).values() if "/" in str(value)]


def test_the_page_on_checkpoints_names_flags_that_exist():
    page = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    flags = set(re.findall(r"`(--[a-z-]+[^`]*)`", page))
    told = "--block --checkpoint-minutes --checkpoint-tokens --keep --milestone-words --milestones --track"
    assert sorted({flag.split()[0] for flag in flags}) == told.split()
    for flag in flags - {"--track", "--block"}:
        parse("pretrain", VERBS[""], ["--out", "RUN", *flag.split()])
    assert '--revision chck_1M --exclude "training/*"' in page
    assert milestones.name(1_000_000) == "chck_1M"
