"""Models: what a run begins with, first weights that are a function of the seed, and counts of parameters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import PretrainedConfig, PreTrainedModel

from corpora.store import Corpus
from foundation import request
from foundation.keys import number
from pretrain import checkpoint, families, inheritance, weights
from pretrain.families import FAMILIES, Family
from pretrain.run import Run, default_family, name_of


@dataclass(frozen=True)
class Begun:
    """A model as a run begins with it."""

    name: str
    """The family, as it is named in recipes and records."""
    model: Any
    family: Family
    """What the loop must know of it."""
    said: list[str]
    """Lines for the reader."""
    source: Path | None = None
    """The folder whose weights it has."""
    taken: dict[str, Any] | None = None
    """Which weights are the source's."""


def begin(run: Run, corpus: Corpus) -> Begun:
    """Return the model of a run before its first step.

    A run with ``--from`` that is continued needs its source no longer: its own newest checkpoint has all.

    Raises:
        BadUsage: if the request cannot be.
        BadCheckpoint: if what ``--from`` names is no checkpoint, or does not fit.
    """
    if run.from_ is None:
        name = run.family or default_family(run.objective)
        config = families.configure(name, run.size, run.objective, run.block_tokens, corpus.vocabulary, run.dropout)
        config.first_weights = run.first_weights if name in FAMILIES else "stock"
        return _ready(run, corpus, name, config, [], None)
    own = checkpoint.newest(run.out)[0]
    source = own or inheritance.find(run.from_)
    given = (run.objective, run.block_tokens, corpus.vocabulary, run.dropout)
    config, said = inheritance.configure(source, run.family, *given)
    config.first_weights = getattr(config, "first_weights", "stock")
    name = run.family or config.model_type
    return _ready(run, corpus, name, config, said, source if own is None else None)


def _ready(
    run: Run, corpus: Corpus, name: str, config: PretrainedConfig, said: list[str], source: Path | None
) -> Begun:
    objective = run.objective
    config.objective = {"name": name_of(run), **request.to_dict(objective)}
    if objective.shape == "decoder":
        config.reads = objective.reads  # fine-tuning reads a text as it was read here
    if "sentinels" in objective.needs:
        config.sentinels = corpus.vocabulary.sentinels.tolist()
    model, taken = fresh(config, run.seed), None
    if source is not None and run.from_ is not None:
        taken = inheritance.take(model, source)
        said = [*said, *inheritance.lines(run.from_, source, taken)]
    elif run.first_weights == "near" and run.from_ is None:
        weights.begin_at(model, _frequencies(corpus))
    family, found = families.fit(model, objective)
    model = model.double() if run.precision == "fp64" else model
    return Begun(name, model, family, [*said, *found], source, taken)


def _frequencies(corpus: Corpus) -> torch.Tensor:
    """Return the shares of the pieces in (the first 10 M tokens of) the training text, none of them zero."""
    tokens = corpus.part("train").tokens(0, 10_000_000)
    counts = np.bincount(tokens, minlength=corpus.vocabulary.size) + 0.1
    return torch.from_numpy(counts / counts.sum()).float()


def fresh(config: PretrainedConfig, seed: int) -> PreTrainedModel:
    """Return a model of the configuration's class with first weights that are a function of (config, seed) alone.

    ``config.first_weights`` says which: "near" (pretrain.weights) or "stock" (transformers' own), the default.
    """
    kind = getattr(transformers, (config.architectures or [""])[0])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number(seed, "weights"))
        model = kind(config)
        if getattr(config, "first_weights", "stock") == "near":
            weights.near(model)
    model.eval()
    return model


def parameters(model: Any) -> tuple[int, int]:
    """Return the number of parameters, and of those outside the embeddings and the vocabulary-sized biases."""
    everything = {id(p): p for p in model.parameters()}
    embedded = {id(p) for m in model.modules() if isinstance(m, torch.nn.Embedding) for p in m.parameters()}
    size = model.config.vocab_size
    embedded |= {key for key, p in everything.items() if p.ndim == 1 and len(p) == size}
    return sum(p.numel() for p in everything.values()), sum(
        p.numel() for key, p in everything.items() if key not in embedded
    )
