from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from foundation.refusal import BadData, BadUsage
from tournament import plan_file as plans
from tournament.plan import Plan
from tournament.steps import steps
from tournament.tournament import listing

LEAST = 'tokens = 1000\ntasks = ["library"]\nstrategies = ["probe"]\n'
ARM = '[[arms]]\nobjective = "token-masking"\n'


def read(folder: Path, text: str) -> Plan:
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return plans.read(str(path))


@pytest.mark.parametrize("name", ["smoke", "demo", "full"])
def test_the_built_in_plans_are_whole(name):
    plan = plans.read(name)
    assert plan.called == name
    assert steps(plan)


def test_the_demo_compares_five_objectives_of_one_size_on_the_same_tokens():
    plan = plans.read("demo")
    assert len({arm.called for arm in plan.arms}) == 5
    assert len({(arm.size, arm.tokens) for arm in plan.arms}) == 1


def test_defaults_are_written_out(tmp_path):
    plan = read(tmp_path, LEAST + "train = 50\n[recipe]\nrows = 8\n" + ARM + "rate = 1e-2\n")
    (arm,) = plan.arms
    assert (arm.name, arm.family, arm.size, arm.tokens) == ("token-masking", "bert", "tiny", 1000)
    assert arm.recipe == {"rows": 8, "rate": 1e-2}
    assert plan.tasks[0].columns.train == 50


def test_an_objective_and_a_strategy_take_numbers(tmp_path):
    text = LEAST.replace('["probe"]', '["full", {name = "full", label = "short", epochs = 1}]')
    plan = read(tmp_path, text + '[[arms]]\nobjective = {name = "token-masking", rate = 0.4}\n')
    assert plan.arms[0].objective.rate == 0.4
    assert [way.name for way in plan.strategies] == ["full", "short"]
    assert plan.strategies[1].strategy.epochs == 1


def test_two_families_of_one_objective_are_told_apart_by_name(tmp_path):
    plan = read(tmp_path, LEAST + ARM + ARM + 'family = "modernbert"\n')
    assert [arm.name for arm in plan.arms] == ["token-masking bert", "token-masking modernbert"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('"token-masking"', '"token-maskin"'), "did you mean token-masking?"),
        (('"token-masking"\n', '"token-masking"\nfamily = "gpt2"\n'), "gpt2 cannot learn TokenMasking"),
        (('"token-masking"\n', '"token-masking"\nfamily = "bart-large"\n'), "unknown family"),
        (('"token-masking"\n', '"token-masking"\nsize = "tinny"\n'), "did you mean tiny?"),
        (('"token-masking"\n', '"token-masking"\nrat = 1.0\n'), "did you mean rate?"),
        (('"token-masking"\n', '"token-masking"\nrate = -1.0\n'), "rate -1.0 is not"),
        (('"token-masking"\n', '"token-masking"\nseed = 3\n'), "no seed of its own"),
        (('"token-masking"\n', '"token-masking"\ntokens = 0\n'), "tokens = 0"),
        (('"library"', '"libary"'), "did you mean library?"),
        (('"probe"', '"prob"'), "did you mean probe?"),
        (('"probe"', '"probe", "probe"'), "two entries of the plan are the strategy 'probe'"),
        (("tokens = 1000", 'tokens = "many"'), "tokens = 'many' is not int"),
        (("tokens = 1000\n", ""), "tokens"),
        (("tokens = 1000", "tokens = 1000\ntoken = 5"), "did you mean tokens?"),
        (("tokens = 1000", "tokens = 1000\nseeds = [1, 1]"), "each once"),
        (("tokens = 1000", "tokens = 1000\nseeds = []"), "at least one seed"),
        (("tokens = 1000", "tokens = 1000 2"), "plan.toml"),
        (("[[arms]]", "[arms]"), "arms is not a list"),
        ((ARM, ""), "has no arms"),
        ((ARM, ARM + ARM), "are the same"),
        ((ARM, '[[arms]]\nfamily = "bert"\n'), "objective"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(tmp_path, change, words):
    with pytest.raises(BadUsage) as refused:
        read(tmp_path, (LEAST + ARM).replace(*change))
    assert words in str(refused.value)


def test_a_folder_that_is_no_corpus_is_refused(tmp_path):
    with pytest.raises(BadData, match="corpora build"):
        read(tmp_path, f'corpus = "{tmp_path}"\n' + LEAST + ARM)


def test_an_unknown_plan_is_refused_with_the_nearest():
    with pytest.raises(BadUsage, match="did you mean smoke"):
        plans.read("smok")


def test_a_table_beside_the_plan_is_found(tmp_path):
    rows = "".join(f"{label}\ttext {at} of {label}\n" for at in range(20) for label in ("a", "b"))
    (tmp_path / "mine.tsv").write_text("label\ttext\n" + rows, encoding="utf-8")
    plan = read(tmp_path, LEAST.replace('"library"', '"mine.tsv"') + ARM)
    assert plan.tasks[0].name == "mine"
    assert Path(plan.tasks[0].task).is_file()


def test_every_step_comes_after_what_it_needs():
    seen: set[str] = set()
    for step in steps(plans.read("full")):
        assert seen.issuperset(step.needs)
        assert step.name not in seen
        seen.add(step.name)


def test_random_weights_meet_each_task_once_for_each_shape():
    found = steps(plans.read("demo"))
    random = {step.name.split("/")[1] for step in found if step.labels.get("arm") == "random"}
    assert len(random) == 4  # token masking and sentence order are one shape
    assert {step.request["random_init"] for step in found if step.labels.get("arm") == "pretrained"} == {False}


def test_paired_seeds_meet_only_their_like(tmp_path):
    text = (
        'tokens = 1000\ntasks = ["library"]\nstrategies = ["probe"]\nseeds = [3, 4]\nfine_seeds = [5, 6]\n'
        'paired = true\n[[arms]]\nobjective = "next-token"\n'
    )
    names = {step.name for step in steps(read(tmp_path, text)) if step.kind == "finetune"}
    made = {name.rsplit("/", 1)[1] for name in names if "random" not in name}
    assert made == {"seed-3-5", "seed-4-6"}
    with pytest.raises(BadUsage, match="as many of both"):
        read(tmp_path, text.replace("[5, 6]", "[5]"))


def test_a_probe_does_not_meet_a_task_that_asks_for_text():
    names = [step.name for step in steps(plans.read("full")) if "/summary/" in step.name]
    assert any("/full/" in name for name in names)
    assert not any("/probe/" in name for name in names)


def test_an_encoder_does_not_meet_a_task_that_asks_for_text():
    names = {step.labels["name"] for step in steps(plans.read("full")) if "/summary/full/" in step.name}
    wanted = {"span-corruption", "text-infilling", "next-token", "random t5", "random bart", "random gpt2"}
    assert names == wanted


def test_seeds_and_threads_do_not_change_what_a_step_asks_and_tokens_do(tmp_path):
    one, more, other = (
        {step.name: step.digest for step in steps(read(tmp_path, text + ARM))}
        for text in (LEAST, LEAST + "seeds = [0, 1]\nthreads = 2\n", LEAST.replace("1000", "2000"))
    )
    assert one.items() <= more.items()
    assert one["pretrain/token-masking/seed-0"] != other["pretrain/token-masking/seed-0"]


def test_a_dry_run_lists_the_steps_with_their_time():
    found = steps(plans.read("smoke"))
    text = listing(found, 2)
    assert all(step.name in text for step in found)
    assert "minutes with 2 workers" in text


def test_reading_a_plan_imports_no_torch():
    code = "import sys; from tournament import plan_file as file, steps; steps.steps(file.read('demo'))"
    code += "; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_example_that_needs_nothing_is_a_whole_plan():
    assert len(plans.read(str(EXAMPLES / "families.toml")).arms) == 4


def test_the_example_for_ones_own_text_says_what_is_missing():
    with pytest.raises((BadData, BadUsage), match=r"my-(task|corpus)"):
        plans.read(str(EXAMPLES / "own-text.toml"))
