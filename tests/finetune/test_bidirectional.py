"""A language model that learned to read in both directions is read so: its features, its training, its prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from finetune.backbone import Backbone, frame, over
from finetune.checkpoint import Checkpoint
from finetune.full import Full
from finetune.metrics import correct, metric_of
from finetune.probe import Probe
from finetune.writing import Writer
from foundation import keys
from foundation.refusal import BadUsage
from pretrain.attention import prepared
from tests.finetune.toys import save, toy

KEY = keys.fold(0, "test")
FULL = Full(rates=(3e-3,), epochs=6, rows=8, length=32, answer=8, pooling="first")
READS = ["forward", "both"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One checkpoint, once as it is and once saying that it learned to read in both directions."""
    made = {}
    for reads in READS:
        made[reads] = save(tmp_path_factory.mktemp(reads) / "model", "gpt2")
        said = json.loads((made[reads] / "config.json").read_text())
        (made[reads] / "config.json").write_text(json.dumps(said | ({"reads": reads} if reads == "both" else {})))
    return made


def first_vectors(folder: Path, texts: list[str], rows: int, *, fresh: bool = False) -> np.ndarray:
    """The state of the first position of each text, read in batches of so many rows."""
    checkpoint = Checkpoint.open(folder, fresh=fresh)
    tokenizer = checkpoint.tokenizer()
    backbone = Backbone(checkpoint.model(0), tokenizer.pad_token_id).train(False)
    backbone.pooling = "first"
    return over(frame(tokenizer, texts, None, 64), rows, backbone)


@pytest.mark.parametrize("fresh", [False, True], ids=["pretrained", "fresh"])
@pytest.mark.parametrize("reads", READS)
def test_the_first_word_knows_the_last_only_where_both_directions_were_learned(folders, reads, fresh):
    one, other = first_vectors(folders[reads], ["the cat sees a dog", "the cat sees a bird"], 2, fresh=fresh)
    assert (np.abs(one - other).max() > 1e-4) == (reads == "both")


@pytest.mark.parametrize("pooling", ["mean", "last", "first"])
def test_batch_size_and_order_change_no_vector(folders, pooling):
    checkpoint = Checkpoint.open(folders["both"])
    tokenizer = checkpoint.tokenizer()
    backbone = Backbone(checkpoint.model(0), tokenizer.pad_token_id, pooling).train(False)
    texts = toy().test.texts
    whole = over(frame(tokenizer, texts, None, 64), 48, backbone)
    single = over(frame(tokenizer, texts[::-1], None, 64), 1, backbone)[::-1]
    np.testing.assert_allclose(whole, single, atol=1e-5)
    assert np.ptp(whole, axis=0).max() > 1e-3  # else nothing would have been shown


def test_what_a_checkpoint_reads_survives_being_saved_again(folders, tmp_path):
    checkpoint = Checkpoint.open(folders["both"])
    checkpoint.model(0).save_pretrained(tmp_path)
    checkpoint.tokenizer().save_pretrained(tmp_path)
    texts = ["the cat sees a dog"]
    again = first_vectors(tmp_path, texts, 1)
    np.testing.assert_array_equal(again, first_vectors(folders["both"], texts, 1))
    assert not np.allclose(again, first_vectors(folders["forward"], texts, 1), atol=1e-4)


@pytest.mark.parametrize("strategy", [Probe(pooling="first"), FULL], ids=["probe", "full"])
def test_the_first_token_learns_a_task_where_it_sees_the_text(folders, strategy):
    task = toy(train=192)
    learned: Any = next(iter(strategy.learn(Checkpoint.open(folders["both"]), [task], KEY)))
    assert correct(metric_of(task.kind), learned.predict(task, task.test), task.test.labels).mean() > 0.7
    with pytest.raises(BadUsage, match="left-to-right"):
        next(iter(strategy.learn(Checkpoint.open(folders["forward"]), [task], KEY)))


def test_what_is_asked_is_read_both_ways_before_an_answer_is_written(folders):
    writer = Writer(FULL, Checkpoint.open(folders["both"]), KEY)
    exercise, model = writer.exercise(toy("sequence", others=12).test), writer.model.train(False).double()
    generator = torch.Generator().manual_seed(0)
    for weight in model.parameters():  # large ones, so that every word read matters to every word written
        weight.data = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    texts = []
    for asked in exercise.asked:
        ids = list(asked)
        while len(ids) < len(asked) + 8 and ids[len(asked) :][-1:] != [writer.end]:
            given = {"input_ids": torch.tensor([ids]), "prefix": torch.tensor([len(asked) - 1])}
            with torch.no_grad():
                ids.append(int(model(**prepared(model, "decoder", given), use_cache=False).logits[0, -1].argmax()))
        texts.append(" ".join(writer.tokenizer.decode(ids[len(asked) :], skip_special_tokens=True).split()))
    assert writer.write(model, exercise) == texts
    writer.whole = False
    assert writer.write(model, exercise) != texts  # else nothing would have been shown


def test_the_loss_of_an_answer_knows_the_prefix_and_not_its_company(folders):
    losses = {}
    for reads in READS:
        writer = Writer(FULL, Checkpoint.open(folders[reads]), KEY)
        exercise, model = writer.exercise(toy("sequence", others=12).test), writer.model.train(False)
        with torch.no_grad():
            alone = [writer.loss(model, exercise, [row])[0].item() for row in range(12)]
            together = writer.loss(model, exercise, range(12))[0].item()
        assert together == pytest.approx(sum(alone), rel=1e-5)
        losses[reads] = np.array(alone)
    assert np.abs(losses["both"] - losses["forward"]).max() > 1e-3
