from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from finetune.__main__ import main
from finetune.adapt import adapt
from finetune.checkpoint import Checkpoint
from finetune.full import Full
from finetune.probe import Probe
from finetune.request import Adaptation
from foundation import keys
from foundation.refusal import BadCheckpoint, BadUsage
from tests.finetune.toys import save, toy

Checkpoints = dict[str, Path]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = toy(train=80).train
    path = tmp_path / "animals.tsv"
    path.write_text("text\tlabel\n" + "".join(f"{t}\t{c}\n" for t, c in zip(rows.texts, rows.labels, strict=True)))
    return path


def asked(checkpoints: Checkpoints, table: Path, **changed: Any) -> Adaptation:
    given: dict[str, Any] = {"checkpoint": checkpoints["bert"], "task": str(table), "out": table.parent / "out"}
    return Adaptation(**{**given, "strategy": Probe(), "seed": 3, **changed})


def test_a_result_has_every_field_and_its_predictions(checkpoints: Checkpoints, table: Path):
    told: list[int] = []
    result = adapt(asked(checkpoints, table), lambda step, steps, shown: told.append(step))
    assert result == json.loads((table.parent / "out" / "result.json").read_text())
    assert (result["arm"], result["objective"], result["family"]) == ("pretrained", "a-test", "bert")
    assert (result["task"], result["strategy"], result["metric"]) == ("animals", "probe", "accuracy")
    assert result["interval"][0] <= result["test"] <= result["interval"][1]
    assert result["constant"]["test"] <= 0.75
    lines = [json.loads(line) for line in (table.parent / "out" / "predictions.jsonl").read_text().splitlines()]
    assert [line["correct"] for line in lines] == result["correct"]
    assert sum(result["correct"]) / len(lines) == pytest.approx(result["test"])
    assert told == [1]


def test_the_same_request_finds_its_result_and_another_is_refused(checkpoints: Checkpoints, table: Path, capsys: Any):
    first = adapt(asked(checkpoints, table))
    assert adapt(asked(checkpoints, table, threads=1)) == first  # even the seconds: nothing was computed
    with pytest.raises(BadUsage, match="seed: 3, now 4"):
        adapt(asked(checkpoints, table, seed=4))
    table.write_text(table.read_text().replace("cat", "cow"))
    with pytest.raises(BadUsage, match="task_sha256"):
        adapt(asked(checkpoints, table))


def test_other_weights_under_the_same_name_are_refused(checkpoints: Checkpoints, table: Path):
    copy = table.parent / "model"
    shutil.copytree(checkpoints["gpt2"], copy)
    adapt(asked(checkpoints, table, checkpoint=copy))
    model: Any = Checkpoint(copy).model(0)
    model.get_input_embeddings().weight.data += 1
    model.save_pretrained(copy)
    with pytest.raises(BadUsage, match="checkpoint_sha256"):
        adapt(asked(checkpoints, table, checkpoint=copy))


def test_fresh_weights_are_another_arm_of_the_same_shape(checkpoints: Checkpoints, table: Path):
    result = adapt(asked(checkpoints, table, random_init=True))
    assert result["arm"] == "random"
    checkpoint = Checkpoint.open(checkpoints["bert"], fresh=True)
    first, second, other = (dict(checkpoint.model(keys.fold(seed)).named_parameters()) for seed in (0, 0, 1))
    known = dict(Checkpoint.open(checkpoints["bert"]).model(0).named_parameters())
    assert first.keys() == known.keys()
    name = "bert.encoder.layer.0.attention.self.query.weight"
    assert torch.equal(first[name], second[name])
    assert not torch.equal(first[name], other[name])
    assert not torch.equal(first[name], known[name])


def test_parameters_trained_are_those_of_backbone_and_head(checkpoints: Checkpoints, table: Path):
    result = adapt(asked(checkpoints, table, strategy=Full(rates=(1e-3,), epochs=1)))
    body = Checkpoint.open(checkpoints["bert"]).model(0).base_model
    pooler = 32 * 32 + 32
    assert result["parameters_trained"] == sum(p.numel() for p in body.parameters()) - pooler + 2 * 32 + 2


def test_a_missing_layer_is_refused(checkpoints: Checkpoints, tmp_path: Path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(checkpoints["bert"], tmp_path / "model")
    weights = load_file(tmp_path / "model" / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "layer.1." not in name}
    save_file(kept, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadCheckpoint, match=r"weights are missing or do not fit \(bert.encoder.layer.1"):
        Checkpoint.open(tmp_path / "model").model(0)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path):
    folder = save(tmp_path / "model", "bert")
    settings = json.loads((folder / "tokenizer.json").read_text())
    pattern = settings["added_tokens"][0]
    settings["added_tokens"] += [{**pattern, "id": 5000 + n, "content": f"<more_{n}>"} for n in range(99)]
    (folder / "tokenizer.json").write_text(json.dumps(settings))
    with pytest.raises(BadCheckpoint, match=r"the tokenizer has \d+ tokens, the model"):
        Checkpoint.open(folder).tokenizer()


def test_damaged_weights_are_refused(tmp_path: Path):
    folder = save(tmp_path / "model", "gpt2")
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(BadCheckpoint, match="cannot be opened"):
        Checkpoint.open(folder).model(0)


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_the_command_ends_with_the_scores(checkpoints: Checkpoints, table: Path, capsys: Any):
    words = ("--checkpoint", checkpoints["gpt2"], "--task", table, "--strategy", "probe", "--out", table.parent / "o")
    assert run(*words) == 0
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith("accuracy: train ")
    assert "constant prediction" in last
    assert run(*words) == 0
    assert "nothing was computed" in capsys.readouterr().out
    assert run(*words, "--seed", 1) == 2
    assert "another request" in capsys.readouterr().err


def test_columns_are_flags_of_the_task(checkpoints: Checkpoints, table: Path, capsys: Any):
    table.write_text(table.read_text().replace("text\tlabel", "what\tanimal"))
    words = ("--checkpoint", checkpoints["t5"], "--task", table, "--strategy", "probe", "--out", table.parent / "o")
    assert run(*words) == 3
    assert "found: what, animal" in capsys.readouterr().err
    assert run(*words, "--task.text", "what", "--task.label", "animal", "--strategy.length", 16) == 0


def test_exit_codes(checkpoints: Checkpoints, table: Path, capsys: Any):
    out = ("--out", table.parent / "o")
    there = ("--checkpoint", checkpoints["bert"])
    assert run("--checkpoint", table.parent / "nowhere", "--task", table, *out) == 4
    assert run("--checkpoint", table.parent, "--task", table, *out) == 4
    assert run(*there, "--task", "librarry", *out) == 2
    assert run(*there, "--task", table, "--strategy", "prob", *out) == 2
    (table.parent / "empty.tsv").write_text("text\tlabel\n")
    assert run(*there, "--task", table.parent / "empty.tsv", *out) == 3
    said = capsys.readouterr().err
    for words in ("nowhere", "did you mean library", "did you mean probe", "holds no examples"):
        assert words in said
    assert "Traceback" not in said


def test_help_needs_no_torch():
    code = "import sys, finetune.__main__ as m; m.main(['--help']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--strategy.rates" in done.stdout
