"""Recipes: how a family is trained, one row each, in numbers that were measured (docs/recipes.md has the curves).

A row's rates hold at the width and the batch where they were found, 128 dimensions and 2,048 corpus tokens a step.
Elsewhere they follow two powers, stated in the row: rate · (width / 128)^by_width · (tokens / 2,048)^by_batch. The word
embeddings follow the second alone. Measured is a power of −½ of the width (under which Muon's updates keep one spectral
norm) and none of the batch, between 2,048 and 4,096 tokens. Rates that are given (``--rate``, ``--embedding-rate``) are
taken as they are.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from foundation.refusal import unknown
from pretrain.schedule import Decay

WIDTH = 128
TOKENS = 2_048
Method = Literal["adamw", "muon"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the weights are moved."""

    optimizer: Method = "adamw"
    """AdamW for all weights, or Muon for the hidden matrices and AdamW for the rest (pretrain/optimizers.py)."""
    rate: float
    """Peak learning rate at the width and the batch of this table."""
    embedding_rate: float
    """Peak learning rate of the word embeddings there."""
    by_width: float = -0.5
    """Power of the width by which the rate goes."""
    by_batch: float = 0.0
    """Power of the corpus tokens per step by which both rates go."""
    warmup: float = 0.05
    """Share of the steps over which the rate rises."""
    decay: Decay = "linear"
    """How the rate falls after the warm-up (pretrain/schedule.py)."""
    cooldown: float = 0.3
    """Share of the steps over which ``wsd`` falls."""
    weight_decay: float = 0.05
    """Decoupled weight decay of matrices."""
    beta2: float = 0.98
    """AdamW's second-moment decay."""
    clip: float = 1.0
    """Largest global norm of the gradient."""
    average: float = 0.0
    """Decay of the average of the weights that is judged and saved; 0 is none."""


RECIPES: dict[str, Recipe] = {
    "bert": Recipe(optimizer="muon", rate=6e-3, embedding_rate=1e-2, decay="wsd"),
    "bert-adamw": Recipe(rate=3e-3, embedding_rate=1e-2, decay="wsd"),
    "modernbert": Recipe(optimizer="muon", rate=6e-3, embedding_rate=1e-2),
    "modernbert-adamw": Recipe(rate=3e-3, embedding_rate=3e-3),
    "gpt2": Recipe(optimizer="muon", rate=4e-3, embedding_rate=1.2e-2, decay="wsd"),
    "gpt2-adamw": Recipe(rate=1e-3, embedding_rate=1.2e-2, decay="wsd"),
    "llama": Recipe(optimizer="muon", rate=4e-3, embedding_rate=6e-3),
    "llama-adamw": Recipe(rate=1e-3, embedding_rate=6e-3),
    "t5": Recipe(optimizer="muon", rate=4e-3, embedding_rate=3e-2),
    "t5-adamw": Recipe(rate=1e-3, embedding_rate=3e-2),
    "t5-v1.1": Recipe(optimizer="muon", rate=4e-3, embedding_rate=3e-2),
    "t5-v1.1-adamw": Recipe(rate=1e-3, embedding_rate=3e-2),
    "bart": Recipe(rate=5e-3, embedding_rate=5e-3),
    "mbart": Recipe(rate=3e-3, embedding_rate=3e-3),
    "other": Recipe(rate=1e-3, embedding_rate=3e-3),
    "stock": Recipe(rate=5e-5, embedding_rate=5e-5, by_width=0.0, warmup=0.0, weight_decay=0.0, beta2=0.999),
}
"""By family, and by family and optimizer where both are measured; "other" stands for families without a row, "stock" is
what run_mlm.py and run_clm.py do by default."""


def row(name: str, family: str, optimizer: str | None = None) -> Recipe:
    """Return the row of a name, or if that is empty, of a family (under an optimizer, where it has such a row).

    Raises:
        BadUsage: for an unknown name.
    """
    if name and name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    names = [name] if name else [f"{family}-{optimizer}", family, "other"]
    return next(RECIPES[known] for known in names if known in RECIPES)


def chosen(run: Any, family: str, width: int, tokens: float) -> Recipe:
    """Return the recipe of a run: the row that it names, at its width and corpus tokens per step, with what it sets.

    Fields of `run` that are named as fields of a recipe win where they are not None. A given rate without one for
    the embeddings is theirs too.

    Raises:
        BadUsage: for an unknown recipe.
    """
    found = scaled(row(run.recipe, family, run.optimizer), width, tokens)
    names = [field.name for field in dataclasses.fields(Recipe)]
    given = {name: getattr(run, name) for name in names if getattr(run, name, None) is not None}
    if "rate" in given:
        given = {"embedding_rate": given["rate"], **given}
    return dataclasses.replace(found, **given)


def scaled(recipe: Recipe, width: int, tokens: float) -> Recipe:
    """Return a row at another width and other corpus tokens per step."""
    batch = (tokens / TOKENS) ** recipe.by_batch
    rate = recipe.rate * batch * (width / WIDTH) ** recipe.by_width
    return dataclasses.replace(recipe, rate=rate, embedding_rate=recipe.embedding_rate * batch)


def told(recipe: Recipe) -> str:
    """Return a recipe in a few words, for the start lines of a run."""
    words = "" if recipe.embedding_rate == recipe.rate else f" (words {recipe.embedding_rate:.3g})"
    average = f", average {recipe.average:g}" if recipe.average else ""
    return f"{recipe.optimizer}, peak rate {recipe.rate:.3g}{words}, {recipe.decay}{average}"
