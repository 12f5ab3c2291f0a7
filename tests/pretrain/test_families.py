"""Any architecture of transformers learns as the known ones do, or is refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from foundation.refusal import BadUsage
from objectives import OBJECTIVES
from objectives.feed import Feed
from pretrain import checkpoint, families, models, proofs, weights
from pretrain.__main__ import main
from pretrain.attention import prepared
from pretrain.families import FAMILIES
from pretrain.learner import Learner
from pretrain.questions import ready, to_device

CPU = torch.device("cpu")
LEARNED = {
    "roberta": "token-masking",
    "electra": "token-masking",
    "distilbert": "token-masking",
    "opt": "next-token",
    "mistral": "next-token",
    "gemma2": "next-token",
    "mt5": "span-corruption",
    "pegasus": "span-corruption",
}
WHOLE = {"distilbert", "gemma2"}
"""Families whose head cannot be taken apart: their own logits are taken."""


def made(family: str, corpus, **numbers):
    objective = OBJECTIVES[LEARNED[family]](**numbers)
    config = families.configure(family, "tiny", objective, 32, corpus.vocabulary, 0.0)
    return models.fresh(config, 0), objective


@pytest.mark.parametrize("family", LEARNED)
def test_loss_and_gradients_are_those_of_its_own_class(family, corpus):
    model, objective = made(family, corpus)
    learned, said = families.fit(model, objective)
    assert bool(said) == (family in WHOLE)
    model.double()
    batch = Feed(corpus.part("train"), corpus.vocabulary, objective, 32, 0).at(np.arange(4))
    labels = torch.from_numpy(batch.targets["tokens"])
    inputs = prepared(model, objective.shape, to_device(batch.inputs, CPU))
    logits = model(**inputs).logits
    stock = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
    stock.backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    given = ready(batch, CPU)
    loss = Learner(model, learned)(given.inputs, given.questions)["tokens"]
    loss.backward()
    assert loss.item() == pytest.approx(stock.item(), rel=1e-6)
    off = sum(((p.grad - wanted[n]) ** 2).sum() for n, p in model.named_parameters() if n in wanted) ** 0.5
    assert off / sum((g**2).sum() for g in wanted.values()) ** 0.5 < 1e-5


@pytest.mark.parametrize("family", sorted(set(LEARNED) - WHOLE))
def test_its_head_reads_asked_positions_only(family, corpus):
    model, objective = made(family, corpus)
    learned, _ = families.fit(model, objective)
    batch = Feed(corpus.part("train"), corpus.vocabulary, objective, 32, 0).at(np.arange(4))
    given = ready(batch, CPU)
    asked = int((batch.targets["tokens"] != -100).sum())
    assert Learner(model, learned).wanted(given.inputs, given.questions)["tokens"].shape[0] == asked


@pytest.mark.parametrize("family", ["roberta", "opt", "mt5"])
def test_it_learns_from_the_command_and_its_checkpoint_opens(family, corpus_folder, tmp_path):
    flags = ["--objective", LEARNED[family], "--family", family, "--steps", "12", "--block", "32", "--rows", "8"]
    flags += ["--eval-tokens", "640", "--evaluations", "2", "--threads", "1", "--track", "none"]
    assert main(["--corpus", str(corpus_folder), "--out", str(tmp_path / "run"), *flags]) == 0
    evaluated = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    first, last = [r["held_out"]["tokens"] for r in evaluated if "held_out" in r]
    assert last < first
    import transformers

    folder = checkpoint.resolve(tmp_path / "run")
    kind = getattr(transformers, json.loads((folder / "config.json").read_text())["architectures"][0])
    model, told = kind.from_pretrained(folder, output_loading_info=True)
    assert not told["missing_keys"]
    assert model.config.objective["name"] == LEARNED[family]


@pytest.mark.parametrize("family", ["roberta", "opt", "mt5", "t5-v1.1", "llama"])
def test_a_saved_model_answers_as_before(family, corpus, tmp_path):
    objective = OBJECTIVES[{"t5-v1.1": "span-corruption", "llama": "next-token"}.get(family) or LEARNED[family]]()
    model = models.fresh(families.configure(family, "tiny", objective, 32, corpus.vocabulary, 0.0), 0)
    model.save_pretrained(tmp_path)
    inputs = proofs._sample(model, objective.shape)
    again = type(model).from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, again(**inputs).logits)


@pytest.mark.parametrize("family", ["roberta", "mistral", "mt5"])
@pytest.mark.parametrize("size", ["tiny", "base"])
def test_a_size_has_as_many_weights_as_the_known_families(family, size, corpus):
    from pretrain import estimate

    def weights_of(name: str) -> int:
        config = families.configure(name, size, objective, 32, corpus.vocabulary, 0.0)
        return estimate.matmul_parameters(estimate.outline(config))

    objective = OBJECTIVES[LEARNED[family]]()
    known = {"encoder": "bert", "decoder": "gpt2", "encoder-decoder": "bart"}[objective.shape]
    assert weights_of(family) == pytest.approx(weights_of(known), rel=0.1)


def test_documents_are_isolated_where_that_is_proven_and_refused_elsewhere(corpus):
    model, objective = made("mistral", corpus, isolated=True)
    learned, _ = families.fit(model, objective)
    ids = torch.randint(300, 500, (1, 12), generator=torch.Generator().manual_seed(0))
    inputs = {"input_ids": ids, "segment": (torch.arange(12) >= 6).long()[None]}
    changed = {**inputs, "input_ids": torch.where(inputs["segment"] == 0, ids + 1, ids)}
    with torch.no_grad():
        one, other = (learned.hidden(model, prepared(model, "decoder", x))["tokens"] for x in (inputs, changed))
    assert torch.equal(one[:, 6:], other[:, 6:])
    assert not torch.equal(one[:, :6], other[:, :6])
    model, objective = made("opt", corpus, isolated=True)
    with pytest.raises(BadUsage, match="OPTForCausalLM does not honour masks"):
        families.fit(model, objective)
    plain, _ = families.fit(model, OBJECTIVES["next-token"]())
    with pytest.raises(BadUsage, match="does not honour masks"):
        plain.hidden(model, prepared(model, "decoder", inputs))


def test_a_model_that_sees_what_it_has_to_say_is_refused(corpus):
    objective = OBJECTIVES["next-token"]()
    config = families.configure("xlnet", "tiny", objective, 32, corpus.vocabulary, 0.0)
    with pytest.raises(BadUsage, match="sees what stands behind a position"):
        families.fit(models.fresh(config, 0), objective)


def written(folder: Path, **numbers) -> Path:
    values = {"model_type": "bert", "hidden_size": 40, "num_hidden_layers": 3, "num_attention_heads": 2}
    values |= {"intermediate_size": 56, "max_position_embeddings": 34, "vocab_size": 7, "pad_token_id": 99999}
    (folder / "config.json").write_text(json.dumps(values | numbers))
    return folder / "config.json"


@pytest.mark.parametrize(("kind", "honours"), [("gemma3_text", True), ("mistral", False)])
def test_a_window_that_a_mask_would_lift_is_noticed(kind, honours, corpus, tmp_path):
    numbers = {"num_key_value_heads": 2, "head_dim": 20, "max_position_embeddings": 64, "sliding_window": 8}
    objective = OBJECTIVES["next-token"](isolated=True)
    path = str(written(tmp_path, model_type=kind, **numbers))
    model = models.fresh(families.configure(path, "tiny", objective, 32, corpus.vocabulary, 0.0), 0)
    if honours:
        families.fit(model, objective)
    else:
        with pytest.raises(BadUsage, match="does not honour"):
            families.fit(model, objective)


def test_a_config_file_keeps_its_numbers_and_takes_the_vocabulary_of_the_run(corpus, tmp_path):
    path = str(written(tmp_path))
    config = families.configure(path, "tiny", OBJECTIVES["token-masking"](), 32, corpus.vocabulary, 0.0)
    assert (config.hidden_size, config.num_hidden_layers, config.intermediate_size) == (40, 3, 56)
    assert (config.vocab_size, config.pad_token_id) == (corpus.vocabulary.size, corpus.vocabulary.pad)
    model = models.fresh(config, 0)
    assert families.fit(model, OBJECTIVES["token-masking"]()) == (FAMILIES["bert"], [])
    assert families.class_name(path, OBJECTIVES["sentence-order"]()) == "BertForPreTraining"


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("robreta", "did you mean roberta?"),
        ("NUMBERS/config.json", "has 20 positions, an example takes up to 34"),
        ("BROKEN/config.json", "cannot be built"),
        ("nowhere/config.json", "No such file"),
        ("bart", "family bart cannot learn TokenMasking: it needs an encoder"),
        ("t5gemma", "cannot learn TokenMasking"),
        ("clip", "cannot learn TokenMasking"),
    ],
)
def test_a_family_that_cannot_be_is_refused_by_the_command(family, words, corpus_folder, tmp_path, capsys):
    for name, numbers in (("NUMBERS", {"max_position_embeddings": 20}), ("BROKEN", {"num_attention_heads": 3})):
        (tmp_path / name).mkdir()
        written(tmp_path / name, **numbers)
        family = family.replace(name, str(tmp_path / name))
    flags = ["--family", family, "--block", "32", "--steps", "1"]
    assert main(["--corpus", str(corpus_folder), "--out", str(tmp_path / "run"), *flags]) == 2
    shown = capsys.readouterr().err
    assert words in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "run").exists()


def test_llama_begins_by_looking_at_its_neighbours_and_saying_the_frequencies(corpus):
    config = families.configure("llama", "tiny", OBJECTIVES["next-token"](), 64, corpus.vocabulary, 0.0)
    config.first_weights, config._attn_implementation = "near", "eager"
    model = models.fresh(config, 0)
    shares = models._frequencies(corpus)
    weights.begin_at(model, shares)
    ids = torch.from_numpy(corpus.part("train").tokens(0, 64).astype(np.int64))[None]
    with torch.no_grad():
        out = model(ids, output_attentions=True)
    for head, offset in enumerate(weights.BEFORE):
        assert (out.attentions[0][0, head, 10:].argmax(-1) == torch.arange(10, 64) + offset).float().mean() > 0.9
    said = out.logits[0].log_softmax(-1)
    apart = (shares * (shares.log() - said)).sum(-1).mean()
    assert apart < 0.2 * (shares * (shares * len(shares)).log()).sum()


def test_fine_tuning_reads_llama_as_a_decoder(corpus, tmp_path):
    from finetune.backbone import Backbone, Framed, is_causal

    config = families.configure("llama", "tiny", OBJECTIVES["next-token"](), 32, corpus.vocabulary, 0.0)
    model = models.fresh(config, 0).train(False)
    assert is_causal(model)
    backbone = Backbone(model, corpus.vocabulary.pad, "mean")
    rows = [[300, 301, 302, 303, 304], [305, 306]]
    together = backbone(Framed(rows, None, 0), [0, 1])
    alone = backbone(Framed(rows, None, 0), [1])
    assert torch.allclose(together[1], alone[0], atol=1e-5)
