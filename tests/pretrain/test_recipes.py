"""A recipe is a row of one table, moved to the model's width and batch, with what the run sets itself."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from foundation import durable
from foundation.refusal import BadUsage
from objectives import OBJECTIVES
from pretrain import recipes, schedule
from pretrain.__main__ import main
from pretrain.recipes import RECIPES, Recipe
from pretrain.run import Run

COMMON = ["--block", "32", "--rows", "6", "--eval-tokens", "640", "--evaluations", "1", "--threads", "1"]


def asked(**given):
    return Run(objective=OBJECTIVES["next-token"](), out=Path("out"), **given)


@pytest.mark.parametrize("decay", schedule.DECAYS)
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.05), (2, 0.0), (50, 0.1), (200, 0.0), (37, 0.5)])
def test_a_rate_rises_falls_and_never_stops_moving(decay, steps, warmup):
    shares = [schedule.share(step, steps, warmup, decay) for step in range(steps)]
    rise = max(1, round(warmup * steps))
    assert all(0 < share <= 1 for share in shares)
    assert shares[:rise] == pytest.approx([(step + 1) / rise for step in range(rise)])
    assert all(later <= earlier for earlier, later in zip(shares[rise:], shares[rise + 1 :], strict=False))
    if decay == "constant":
        assert set(shares[rise:]) <= {1.0}


def test_the_shapes_are_those_that_they_are_named_for():
    steps = 1000
    linear, cosine, late = (
        [schedule.share(step, steps, 0.0, decay, 0.25) for step in range(steps)]
        for decay in ("linear", "cosine", "wsd")
    )
    assert linear[500] == pytest.approx(0.5, abs=1e-2)
    assert cosine[250] == pytest.approx(0.8536, abs=1e-2)
    assert late[:751] == [1.0] * 751
    assert late[750 + 62] == pytest.approx(1 - 0.248**0.5, abs=1e-6)
    assert max(linear[-1], cosine[-1], late[-1]) < 0.01


def test_a_stable_part_serves_every_budget():
    short = [schedule.share(step, 100, 0.0, "wsd", 0.2) for step in range(80)]
    long = [schedule.share(step, 400, 0.0, "wsd", 0.05) for step in range(80)]
    assert short == long


def test_a_row_holds_at_its_own_width_and_batch_and_follows_its_powers_elsewhere():
    recipe = Recipe(rate=1e-3, embedding_rate=1e-2, by_width=-0.5, by_batch=0.5)
    assert recipes.scaled(recipe, recipes.WIDTH, recipes.TOKENS) == recipe
    wider = recipes.scaled(recipe, 4 * recipes.WIDTH, recipes.TOKENS)
    assert (wider.rate, wider.embedding_rate) == pytest.approx((5e-4, 1e-2))
    larger = recipes.scaled(recipe, recipes.WIDTH, 4 * recipes.TOKENS)
    assert (larger.rate, larger.embedding_rate) == pytest.approx((2e-3, 2e-2))


def test_what_a_run_sets_wins_over_its_row():
    row = RECIPES["gpt2"]
    plain = recipes.chosen(asked(), "gpt2", recipes.WIDTH, recipes.TOKENS)
    assert plain == row
    given = {"optimizer": "muon", "warmup": 0.0, "decay": "wsd", "cooldown": 0.1, "weight_decay": 0.0, "beta2": 0.9}
    given |= {"clip": 2.0, "average": 0.5}
    found = recipes.chosen(asked(**given), "gpt2", recipes.WIDTH, recipes.TOKENS)
    assert found == dataclasses.replace(row, **given)
    one = recipes.chosen(asked(rate=0.5), "gpt2", 999, 77)
    assert (one.rate, one.embedding_rate) == (0.5, 0.5)
    two = recipes.chosen(asked(rate=0.5, embedding_rate=0.25), "gpt2", 999, 77)
    assert (two.rate, two.embedding_rate) == (0.5, 0.25)


def test_another_row_is_taken_by_its_name_and_a_family_without_one_gets_the_common_one():
    assert recipes.chosen(asked(recipe="stock"), "bert", 768, 1) == RECIPES["stock"]
    common = recipes.chosen(asked(), "never-heard-of", recipes.WIDTH, recipes.TOKENS)
    assert common == RECIPES["other"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"recipe": "stok"}, "did you mean stock?"),
        ({"average": 1.0}, "--average 1.0 is outside"),
        ({"cooldown": -0.1}, "--cooldown -0.1 is outside"),
        ({"beta2": 1.0}, "--beta2 1.0 is outside"),
        ({"embedding_rate": 0.0}, "--embedding-rate 0.0 is not a learning rate"),
        ({"clip": 0.0}, "--clip 0.0 is not a norm"),
    ],
)
def test_numbers_that_cannot_be_are_refused(given, words):
    with pytest.raises(BadUsage) as refused:
        asked(**given)
    assert words in str(refused.value)


def test_the_stock_row_is_what_the_scripts_of_transformers_do():
    from transformers import TrainingArguments

    stock, theirs = RECIPES["stock"], TrainingArguments(output_dir="out", use_cpu=True)
    assert stock.rate == stock.embedding_rate == theirs.learning_rate
    assert (stock.weight_decay, stock.beta2, stock.clip) == (
        theirs.weight_decay,
        theirs.adam_beta2,
        theirs.max_grad_norm,
    )
    assert (stock.decay, stock.warmup) == (theirs.lr_scheduler_type, theirs.warmup_steps)
    assert (stock.by_width, stock.by_batch, stock.average) == (0, 0, 0)


def test_a_run_follows_its_recipe_and_says_which(corpus_folder, tmp_path, capsys):
    flags = ["--corpus", str(corpus_folder), "--out", str(tmp_path / "run"), *COMMON, "--objective", "next-token"]
    flags += ["--optimizer", "muon", "--rate", "2e-3", "--embedding-rate", "4e-3", "--decay", "wsd", "--steps", "10"]
    flags += ["--cooldown", "0.5", "--warmup", "0.2"]
    assert main(flags) == 0
    assert "muon, peak rate 0.002 (words 0.004), wsd" in capsys.readouterr().out
    seen = [r["rate"] for r in durable.read_json_lines(tmp_path / "run" / "metrics.jsonl") if "rate" in r]
    expected = [2e-3 * schedule.share(step, 10, 0.2, "wsd", 0.5) for step in range(10)]
    assert seen == pytest.approx(expected)
    told = json.loads((tmp_path / "run" / "summary.json").read_text())["recipe"]
    assert (told["optimizer"], told["rate"], told["embedding_rate"]) == ("muon", 2e-3, 4e-3)
    state = torch.load(next((tmp_path / "run").glob("step-*")) / "training" / "optimizer.pt", weights_only=True)
    peaks = {group["peak"] for group in state.get("optimizer", state)["param_groups"]}
    assert peaks == {2e-3, 4e-3}


def test_a_rate_that_is_changed_on_the_way_holds_from_there(corpus_folder, tmp_path):
    flags = ["--corpus", str(corpus_folder), "--out", str(tmp_path / "run"), *COMMON, "--objective", "next-token"]
    flags += ["--decay", "constant", "--warmup", "0"]
    assert main([*flags, "--steps", "2", "--rate", "1e-3"]) == 0
    assert main([*flags, "--steps", "4", "--rate", "2e-3", "--allow-change", "rate", "steps"]) == 0
    records = durable.read_json_lines(tmp_path / "run" / "metrics.jsonl")
    assert [record["rate"] for record in records if "rate" in record] == [1e-3, 1e-3, 2e-3, 2e-3]


def test_another_optimizer_cannot_go_on_from_a_state_that_is_not_its_own(corpus_folder, tmp_path, capsys):
    flags = ["--corpus", str(corpus_folder), "--out", str(tmp_path / "run"), *COMMON, "--objective", "next-token"]
    assert main([*flags, "--steps", "2", "--optimizer", "adamw"]) == 0
    more = ["--steps", "4", "--optimizer", "muon", "--allow-change", "steps", "optimizer"]
    assert main([*flags, *more]) == 2
    assert "was saved under another optimizer than muon" in capsys.readouterr().err


def test_the_documentation_has_every_row_as_it_is():
    page = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    for name, recipe in RECIPES.items():
        numbers = [f"{number:g}" for number in (recipe.rate, recipe.embedding_rate, recipe.by_width)]
        assert f"| {' | '.join([name, recipe.optimizer, *numbers, recipe.decay])} |" in page
