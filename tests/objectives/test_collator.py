"""The collator: stock models of transformers learn from it what the pretrain command teaches them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from corpora.packing import PACKINGS
from corpora.part import Part
from corpora.requests import Build
from corpora.store import Corpus, build
from corpora.vocabulary import Vocabulary
from foundation.refusal import BadData
from objectives import IGNORED, OBJECTIVES, Batch, Objective
from objectives.collator import Collator
from objectives.examples import Examples
from objectives.sentence_order import SentenceOrder
from objectives.text_infilling import TextInfilling
from objectives.token_masking import TokenMasking
from pretrain import models as pretrained
from pretrain.families import FAMILIES, configure
from pretrain.learner import Learner
from pretrain.questions import ready
from pretrain.run import default_family
from tests.pretrain.conftest import sentences

from .collated import BLOCKS, NAMES, block_of, collator, items, plain, rows_of_a_run, same, trimmed, unshifted

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "text.txt").write_text(sentences(40, 0), encoding="utf-8")
    return Corpus.open(build(Build(sources=(str(folder / "text.txt"),), out=folder / "built", vocabulary=560)))


@pytest.fixture(scope="module")
def part(corpus) -> Part:
    return corpus.part("train")


@pytest.fixture(scope="module")
def vocabulary(corpus) -> Vocabulary:
    return corpus.vocabulary


def model_for(objective: Objective, corpus: Corpus) -> tuple[Any, str]:
    family = default_family(objective)
    config = configure(family, "tiny", objective, block_of(objective, corpus), corpus.vocabulary, 0.0)
    if family == "gpt2":
        config.n_positions += 1  # what the models that shift the labels themselves cost
    return sharp(pretrained.fresh(config, 0)), family


def sharp(model: Any) -> Any:
    """The model with weights so large that it attends to some positions and not to others, in float64."""
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 3 if weight.ndim > 1 else 1
    return model.double()


def mean_loss(learner: Learner, batch: Batch) -> float:
    given = ready(batch, CPU)
    losses = learner(given.inputs, given.questions)
    return sum(loss.item() / max(1, given.counts[role]) for role, loss in losses.items())


@pytest.mark.parametrize("name", NAMES)
def test_a_trainer_takes_steps(name, corpus, part, tmp_path):
    objective = OBJECTIVES[name]()
    model, _ = model_for(objective, corpus)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=3,
        per_device_train_batch_size=4,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        use_cpu=True,
        disable_tqdm=True,
    )
    given = collator(objective, corpus)
    dataset: Any = Examples(part, given.block)
    trainer = Trainer(model, arguments, train_dataset=dataset, data_collator=given)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 3
    assert np.isfinite(losses).all()
    assert all(p.isfinite().all() for p in model.parameters())
    assert not all(torch.equal(p, before[name]) for name, p in model.named_parameters())


@pytest.mark.parametrize("name", NAMES)
def test_the_stock_loss_is_the_mean_over_the_objective_s_targets(name, corpus, part):
    made = OBJECTIVES[name]()
    alone = made.shape != "encoder-decoder"
    for objective in [made, replace(made, isolated=True)] if alone else [made]:
        model, family = model_for(objective, corpus)
        features = items(part, 6, block_of(objective, corpus))
        wanted = rows_of_a_run(objective, corpus, [item["id"] for item in features])
        stock = model(**collator(objective, corpus, seed=3)(features)).loss
        assert stock.item() == pytest.approx(mean_loss(Learner(model, FAMILIES[family]), wanted), rel=1e-6)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_isolated_documents_are_so_in_models_with_windows_and_in_eager_ones(family, attention, corpus, part):
    objective = TokenMasking(isolated=True)
    config = configure(family, "tiny", objective, block_of(objective, corpus), corpus.vocabulary, 0.0)
    config.local_attention = 8
    if family == "modernbert":
        config.layer_types = ["sliding_attention", "full_attention"]
    config._attn_implementation = attention
    model = sharp(pretrained.fresh(config, 0))
    features = items(part, 7)[:-1]
    wanted = rows_of_a_run(objective, corpus, [item["id"] for item in features])
    loss = mean_loss(Learner(model, FAMILIES[family]), wanted)

    def stock(objective: Objective, window: int | None) -> float:
        given = collator(objective, corpus, seed=3, window=window, additive=attention == "eager")
        return model(**given(features)).loss.item()

    window = config.sliding_window if family == "modernbert" else None
    assert stock(objective, window) == pytest.approx(loss, rel=1e-6)
    assert abs(stock(TokenMasking(), window) - loss) > 1e-3
    if window:
        assert abs(stock(objective, None) - loss) > 1e-3


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("name", NAMES)
def test_examples_of_a_corpus_are_the_rows_of_a_run(name, packing, corpus, part):
    objective = OBJECTIVES[name]()
    examples = Examples(part, block_of(objective, corpus), seed=3, passes=2, packing=packing)
    one_pass = len(examples) // 2
    positions = [*range(one_pass), one_pass, one_pass + 1, len(examples) - 1]
    batch = rows_of_a_run(objective, corpus, positions, packing)
    found = unshifted(collator(objective, corpus, packing, seed=3)(examples.__getitems__(positions)), objective)
    wanted = {name: array for name, array in batch.inputs.items() if name in found} | {
        "labels": batch.targets["tokens"]
    }
    if "order" in batch.targets:
        wanted["next_sentence_label"] = batch.targets["order"]
    if found["attention_mask"].ndim == 4:
        wanted.pop("attention_mask", None)
    assert {"input_ids", "labels"} <= wanted.keys()
    for key, array in wanted.items():
        seen = found[key][:, : array.shape[1]] if key == "attention_mask" else found[key]
        assert (seen == array).all(), key


@pytest.mark.parametrize("name", NAMES)
def test_a_row_of_a_batch_is_the_row_alone(name, corpus, part):
    objective = OBJECTIVES[name]()
    given, pad = collator(objective, corpus), corpus.vocabulary.pad
    six = items(part, 6, given.block)
    for features in (six, plain(six)):
        whole, turned = given(features), given(features[::-1])
        for row, feature in enumerate(features):
            alone = trimmed(given([feature]), 0, objective, pad)
            for batch, place in ((whole, row), (turned, 5 - row)):
                found = trimmed(batch, place, objective, pad)
                both = found.keys() & alone.keys()  # a row alone may have a mask of other dimensions
                assert {key: found[key] for key in both} == {key: alone[key] for key in both}


@pytest.mark.parametrize("name", NAMES)
def test_workers_change_nothing(name, corpus, part):
    given = collator(OBJECTIVES[name](), corpus)
    examples: Any = Examples(part, given.block)
    none, two = (DataLoader(examples, 3, collate_fn=given, num_workers=workers) for workers in (0, 2))
    batches = list(none)
    assert len(batches) > 2
    assert all(same(one, other) for one, other in zip(batches, two, strict=True))


def test_workers_that_are_started_afresh_change_nothing(corpus, part):
    given = collator(TokenMasking(), corpus)
    features: Any = plain(items(part, 8))
    (spawned,) = DataLoader(features, 8, collate_fn=given, num_workers=1, multiprocessing_context="spawn")
    assert same(spawned, given(features))


@pytest.mark.parametrize("name", NAMES)
def test_a_collator_survives_pickling(name, corpus, part):
    given = collator(OBJECTIVES[name](), corpus)
    again = pickle.loads(pickle.dumps(given))  # noqa: S301
    assert same(again(items(part, 4, given.block)), given(items(part, 4, given.block)))


def first_batch(dataset: Any, given: Collator, corpus: Corpus, folder: Path) -> dict[str, Any]:
    """The first batch of a Trainer that reads the dataset in its order and has no special setting."""
    arguments = TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=8, use_cpu=True, report_to="none",
        train_sampling_strategy="sequential",
    )  # fmt: skip
    model, _ = model_for(given.objective, corpus)
    trainer = Trainer(model, arguments, train_dataset=dataset, data_collator=given)
    return dict(next(iter(trainer.get_train_dataloader())))


def test_the_trainer_passes_everything_of_a_corpus_on(corpus, part, tmp_path):
    """Columns that the model does not take are removed from dicts: ids, sentences and documents must survive it."""
    objective = SentenceOrder()
    found = first_batch(Examples(part, BLOCKS[0], seed=3), collator(objective, corpus, seed=3), corpus, tmp_path)
    wanted = rows_of_a_run(objective, corpus, list(range(8)))
    assert (found["input_ids"].numpy() == wanted.inputs["input_ids"]).all()
    assert (found["next_sentence_label"].numpy() == wanted.targets["order"]).all()
    assert (wanted.targets["order"] != IGNORED).any()


def test_a_dataset_of_the_hub_needs_ids_alone(corpus, part, tmp_path):
    rows = [{**row, "text": "as it was", "tags": [1, 2]} for row in plain(items(part, 8))]
    given = collator(TextInfilling(), corpus)
    assert same(first_batch(Dataset.from_list(rows), given, corpus, tmp_path), given(rows))


@pytest.mark.parametrize("name", NAMES)
def test_padding_decides_over_no_key(name, corpus, part):
    given = collator(OBJECTIVES[name](), corpus)
    features = items(part, 6, given.block)
    assert given(features[:5]).keys() == given(features).keys()


def test_a_batch_that_can_be_asked_no_order_has_a_loss(corpus, vocabulary):
    given = collator(SentenceOrder(), corpus)
    batch = given([{"input_ids": vocabulary.encode("The cat dog bird fish")}])
    assert batch["next_sentence_label"].tolist() == [0]
    assert model_for(SentenceOrder(), corpus)[0](**batch).loss.isfinite()


def test_albert_learns_the_order_under_its_own_name(corpus, part):
    config = transformers.AlbertConfig(
        vocab_size=corpus.vocabulary.size, embedding_size=16, hidden_size=32, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=64, pad_token_id=corpus.vocabulary.pad, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    batch = collator(SentenceOrder(), corpus, order_label="sentence_order_label")(items(part, 8))
    assert (batch["sentence_order_label"] != IGNORED).any()
    assert transformers.AlbertForPreTraining(config)(**batch).loss.isfinite()


@pytest.mark.parametrize("name", NAMES)
def test_tensors_are_as_long_as_asked(name, corpus):
    objective = OBJECTIVES[name]()
    length = 40 if block_of(objective, corpus) == BLOCKS[0] else 600
    row = np.resize(corpus.vocabulary.draw, 2 * length)
    given = Collator(objective, corpus.vocabulary, length, others=[{"input_ids": row[:8]}])
    batch = given([{"input_ids": row[: given.block], "id": number} for number in range(20)])
    assert max(tensor.shape[-1] for tensor in batch.values() if tensor.ndim > 1) <= min(length, given.positions)
    with pytest.raises(BadData, match=f"example 0 has {given.block + 1} tokens, the limit is {given.block}"):
        given([{"input_ids": row[: given.block + 1]}])
