"""A run is a function of its record: interrupted or not, cut into micro-batches or processes, it is the same run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from foundation import durable
from foundation.refusal import BadCheckpoint
from objectives import OBJECTIVES
from pretrain import checkpoint
from pretrain.__main__ import main
from pretrain.session import Session

COMMON = ["--block", "32", "--rows", "6", "--eval-tokens", "640", "--evaluations", "2", "--threads", "1"]


def pretrain(corpus: Path, out: Path, *flags: str) -> int:
    return main(["--corpus", str(corpus), "--out", str(out), *COMMON, *flags])


def weights(run: Path) -> dict[str, torch.Tensor]:
    return {name: w.clone() for name, w in load_file(checkpoint.resolve(run) / "model.safetensors").items()}


def losses(run: Path) -> list[float]:
    return [r["loss/tokens"] for r in durable.read_json_lines(run / "metrics.jsonl") if "loss/tokens" in r]


@pytest.mark.parametrize(
    ("objective", "family"),
    [
        ("token-masking", "bert"),
        ("sentence-order", "bert"),
        ("next-token", "gpt2"),
        ("span-corruption", "t5"),
        ("text-infilling", "bart"),
    ],
)
def test_an_interrupted_run_ends_with_the_same_bits(objective, family, corpus_folder, tmp_path, monkeypatch):
    flags = [
        "--objective",
        objective,
        "--family",
        family,
        "--steps",
        "8",
        "--dropout",
        "0.1",
        "--checkpoint-tokens",
        "576",
    ]
    assert pretrain(corpus_folder, tmp_path / "whole", *flags) == 0
    ordinary = Session.after

    def dies(session, done, losses):
        if done == 5:
            raise KeyboardInterrupt
        ordinary(session, done, losses)

    monkeypatch.setattr(Session, "after", dies)
    assert pretrain(corpus_folder, tmp_path / "cut", *flags) == 130
    monkeypatch.setattr(Session, "after", ordinary)
    assert checkpoint.resolve(tmp_path / "cut").name == "step-00000003"
    assert pretrain(corpus_folder, tmp_path / "cut", *flags) == 0
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert losses(tmp_path / "whole") == losses(tmp_path / "cut")


@pytest.mark.parametrize("objective", ["token-masking", "sentence-order", "next-token", "span-corruption"])
def test_the_micro_batch_changes_nothing(objective, corpus_folder, tmp_path):
    for name, micro in (("whole", "6"), ("pieces", "4")):
        flags = ["--objective", objective, "--steps", "4", "--precision", "fp64", "--micro", micro]
        assert pretrain(corpus_folder, tmp_path / name, *flags) == 0
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "pieces")
    assert max((one[n] - two[n]).abs().max().item() for n in one) < 1e-9
    for name, micro in (("whole32", "6"), ("pieces32", "4")):
        assert pretrain(corpus_folder, tmp_path / name, "--objective", objective, "--steps", "4", "--micro", micro) == 0
    assert losses(tmp_path / "whole32") == pytest.approx(losses(tmp_path / "pieces32"), abs=1e-5)


@pytest.mark.parametrize("precision", ["fp64", "fp32"])
def test_two_processes_are_one(precision, corpus_folder, tmp_path):
    flags = [
        "--corpus",
        str(corpus_folder),
        *COMMON,
        "--objective",
        "sentence-order",
        "--steps",
        "4",
        "--precision",
        precision,
    ]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    launch += ["--master-port", str(port), "-m", "pretrain", "--out", str(tmp_path / "two"), *flags]
    done = subprocess.run(
        launch, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert main(["--out", str(tmp_path / "one"), *flags]) == 0
    if precision == "fp64":
        one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
        assert max((one[n] - two[n]).abs().max().item() for n in one) < 1e-9
    assert losses(tmp_path / "one") == pytest.approx(losses(tmp_path / "two"), abs=1e-5)


def test_a_model_learns_what_its_text_repeats(corpus_folder, tmp_path):
    assert pretrain(corpus_folder, tmp_path / "run", "--objective", "next-token", "--steps", "120") == 0
    told = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert told["learned"]
    assert told["held_out"]["tokens"] < told["unigram"]["tokens"] - 1


def test_another_request_into_the_same_folder_is_refused(corpus_folder, tmp_path, capsys):
    assert pretrain(corpus_folder, tmp_path / "run", "--steps", "2") == 0
    assert pretrain(corpus_folder, tmp_path / "run", "--steps", "2", "--rate", "0.5") == 2
    assert "rate: None there, 0.5 asked" in capsys.readouterr().err
    assert pretrain(corpus_folder, tmp_path / "run", "--steps", "2", "--micro", "2") == 0
    assert pretrain(corpus_folder, tmp_path / "run", "--steps", "2", "--rate", "0.5", "--allow-change", "rate") == 0


def test_a_run_that_is_made_longer_goes_on_and_says_so(corpus_folder, tmp_path):
    flags = ["--decay", "constant", "--evaluations", "1"]
    assert pretrain(corpus_folder, tmp_path / "run", "--steps", "2", *flags) == 0
    assert pretrain(corpus_folder, tmp_path / "run", "--steps", "4", "--allow-change", "steps", *flags) == 0
    told = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (told["step"], told["checkpoint"]) == (4, "step-00000004")


@pytest.mark.parametrize(
    ("objective", "family"), [("text-infilling", "bart"), ("span-corruption", "t5"), ("sentence-order", "bert")]
)
def test_an_objective_takes_the_family_that_it_comes_from(objective, family, corpus_folder, tmp_path, capsys):
    assert pretrain(corpus_folder, tmp_path / "run", "--objective", objective, "--steps", "1", "--dry-run") == 0
    assert f"({family}, tiny)" in capsys.readouterr().out


def test_a_run_is_repeated_from_its_own_record(corpus_folder, tmp_path, capsys):
    assert pretrain(corpus_folder, tmp_path / "one", "--steps", "2", "--objective", "next-token") == 0
    record = str(tmp_path / "one" / "run.json")
    assert main(["--config", record, "--out", str(tmp_path / "two")]) == 0
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert main(["--config", record, "--out", str(tmp_path / "three"), "--fingerprint", "another"]) == 3
    assert "not another" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_skipped_for_the_one_before(corpus_folder, tmp_path, capsys):
    flags = ["--steps", "6", "--checkpoint-tokens", "576"]
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 0
    final = weights(tmp_path / "run")
    broken = tmp_path / "run" / "step-00000006" / "model.safetensors"
    broken.write_bytes(broken.read_bytes()[:-1])
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 0
    assert "skipping step-00000006 is damaged" in capsys.readouterr().out
    assert all(torch.equal(final[n], w) for n, w in weights(tmp_path / "run").items())


def test_a_checkpoint_opens_with_transformers_alone_and_says_what_it_is(corpus_folder, tmp_path):
    flags = ["--objective", "span-corruption", "--objective.density", "0.2", "--steps", "2"]
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 0
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    folder = tmp_path / "run" / "latest"
    model, told = AutoModelForSeq2SeqLM.from_pretrained(folder, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert model.config.objective == {"name": "span-corruption", **vars(OBJECTIVES["span-corruption"](density=0.2))}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.decode(tokenizer("The cat")["input_ids"]) == "The cat</s>"


@pytest.mark.parametrize(
    ("objective", "family", "text"),
    [
        ("token-masking", "bert", "<cls>The cat<sep>The dog<sep>"),
        ("next-token", "gpt2", "<s>The cat</s>The dog"),
        ("text-infilling", "bart", "<s>The cat</s>The dog</s>"),
    ],
)
def test_a_checkpoint_frames_pairs_as_its_objective_frames_text(objective, family, text, corpus_folder, tmp_path):
    flags = ["--objective", objective, "--family", family, "--steps", "1"]
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == 0
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "latest")
    assert tokenizer.decode(tokenizer("The cat", "The dog")["input_ids"]) == text


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--objective", "span-coruption"], 2, "did you mean span-corruption?"),
        (["--family", "gtp2"], 2, "did you mean gpt2?"),
        (["--objective", "next-token", "--family", "bert"], 2, "family bert cannot learn NextToken"),
        (["--objective", "sentence-order", "--family", "modernbert"], 2, "give --family bert"),
        (["--size", "huge"], 2, "unknown size"),
        (["--rows", "0"], 2, "--rows 0 is below 1"),
        (["--objective.rate", "1.5"], 2, "is not a share"),
        (["--length", "2"], 2, "the least is 3"),
        (["--config", "nowhere.toml"], 2, "nowhere.toml"),
        (["--steps", "many"], 2, "many"),
    ],
)
def test_a_bad_request_gets_one_message_and_its_code(flags, code, words, corpus_folder, tmp_path, capsys):
    assert pretrain(corpus_folder, tmp_path / "run", *flags) == code
    shown = capsys.readouterr().err
    assert words in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_corpus_is_refused(tmp_path, capsys):
    assert pretrain(tmp_path, tmp_path / "run", "--steps", "1") == 3
    assert "is no corpus" in capsys.readouterr().err


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(BadCheckpoint, match="is no checkpoint"):
        checkpoint.resolve(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadCheckpoint, match=r"no model\.safetensors"):
        checkpoint.resolve(tmp_path)


def test_an_infinite_loss_stops_the_run_and_keeps_the_last_checkpoint(corpus_folder, tmp_path, capsys):
    assert pretrain(corpus_folder, tmp_path / "run", "--steps", "30", "--rate", "1e30", "--checkpoint-tokens", "1") == 1
    assert "is not a finite number" in capsys.readouterr().err
    assert checkpoint.resolve(tmp_path / "run").name.startswith("step-")


def test_a_configuration_file_holds_the_same_flags_and_flags_win(corpus_folder, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('steps = 2\nrows = 4\n[objective]\nname = "span-corruption"\ndensity = 0.25\n')
    assert pretrain(corpus_folder, tmp_path / "run", "--config", str(file), "--steps", "1") == 0
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    asked = {"name": "span-corruption", **vars(OBJECTIVES["span-corruption"](density=0.25))}
    assert (told["steps"], told["objective"]) == (1, asked)


def test_help_is_quick_and_ends_with_an_example(capsys):
    probe = "import sys, pretrain.__main__ as m; sys.argv = ['x', '--help']; m.main(); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().splitlines()[-1].startswith("  pretrain --objective")
