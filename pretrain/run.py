"""A run: everything that decides what a pretraining does, as one frozen record.

The fields named in ``MACHINE`` say how it is done on this machine and may change when a run is continued; all
others say what is done: they are compared with ``run.json`` and refused if they differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from foundation.refusal import BadUsage
from objectives import OBJECTIVES, Objective
from objectives.denoising import Denoising
from objectives.token_masking import TokenMasking

MACHINE = frozenset({"out", "corpus", "micro", "threads", "keep", "checkpoint_tokens", "allow_change", "dry_run"})
_FAMILIES = {"encoder": "bert", "decoder": "gpt2", "encoder-decoder": "t5"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """Pretrain one model with one objective on one corpus; the same command continues an interrupted run."""

    objective: Objective = field(default=TokenMasking(), metadata={"choices": "objectives:OBJECTIVES"})
    """What the model is asked."""
    family: str = ""
    """bert, modernbert, gpt2, t5, bart or mbart; by default the one that the objective comes from."""
    size: str = "tiny"
    """tiny (2 layers of width 128), mini (4 × 256), small (4 × 512) or base (12 × 768)."""
    corpus: Path | None = None
    """A folder made by `corpora build`; without it the embedded corpus is built and cached."""
    fingerprint: str | None = None
    """Refuse a corpus with another fingerprint; run.json records the one that was read."""
    out: Path
    """The folder of the run."""
    block: int = 128
    """Corpus tokens per example, the same for all objectives."""
    length: int | None = None
    """Model positions per example instead of --block; the block is what the objective fits into them."""
    rows: int = 16
    """Examples per optimizer step, over all processes."""
    micro: int | None = None
    """Examples per forward pass and process; a smaller number needs less memory and changes nothing else."""
    tokens: int | None = None
    """Corpus tokens to read; by default one pass over the corpus."""
    steps: int | None = None
    """Optimizer steps, instead of --tokens."""
    rate: float | None = None
    """Peak learning rate; by default the family's recipe."""
    embedding_rate: float | None = None
    """Peak learning rate of the word embeddings; by default the family's recipe, or --rate where that is given."""
    warmup: float = 0.05
    """Share of the steps over which the rate rises."""
    decay: Literal["linear", "cosine", "constant"] = "linear"
    """How the rate falls after the warm-up."""
    weight_decay: float = 0.05
    """AdamW's decoupled weight decay on matrices."""
    beta2: float = 0.98
    """AdamW's second-moment decay."""
    clip: float = 1.0
    """Largest global norm of the gradient."""
    dropout: float = 0.0
    """Dropout everywhere the architecture has it; a pass or few over the data needs none."""
    first_weights: Literal["near", "stock"] = "near"
    """near: attention begins by looking at neighbouring tokens (docs/recipes.md); stock: as transformers does."""
    precision: Literal["fp32", "bf16", "fp64"] = "fp32"
    """Arithmetic: bf16 for GPUs that have it, fp64 for proofs."""
    seed: int = 0
    """Key of the order of blocks, the noise, the first weights and dropout."""
    eval_tokens: int = 65_536
    """Corpus tokens of the held-out part behind each evaluation."""
    evaluations: int = 8
    """Evaluations on held-out text, evenly spaced, the last one at the end."""
    checkpoint_tokens: int | None = None
    """Corpus tokens between checkpoints; by default only the last step is saved."""
    keep: int = 2
    """Checkpoints to keep; the newest whole one is never removed."""
    threads: int | None = None
    """CPU threads; by default all cores."""
    allow_change: tuple[str, ...] = ()
    """Fields that may differ from the run that is continued."""
    dry_run: bool = False
    """Print the model's size, the steps and the batch, then stop."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be."""
        for name in ("rows", "micro", "tokens", "steps", "eval_tokens", "evaluations", "keep", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise BadUsage(f"--{name.replace('_', '-')} {value} is below 1")
        for name in ("warmup", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise BadUsage(f"--{name} {getattr(self, name)} is outside [0, 1)")
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise BadUsage(f"--rate {self.rate} is not a learning rate", "give a number above 0, such as 1e-3")

    @property
    def block_tokens(self) -> int:
        """Corpus tokens per example, from --block or --length."""
        return self.block if self.length is None else self.objective.span(self.length)

    def steps_for(self, corpus_tokens: int) -> int:
        """Return the optimizer steps of the run on a corpus of so many training tokens."""
        if self.steps is not None:
            return self.steps
        tokens = corpus_tokens if self.tokens is None else self.tokens
        return max(1, math.ceil(tokens / (self.rows * self.block_tokens)))


def default_family(objective: Objective) -> str:
    """Return the family that an objective comes from; for a user's own one, the first that has its shape."""
    return "bart" if isinstance(objective, Denoising) else _FAMILIES[objective.shape]


def name_of(run: Run) -> str:
    """Return the name of the run's objective, as ``--objective`` takes it."""
    return next(
        (name for name, kind in OBJECTIVES.items() if kind is type(run.objective)), type(run.objective).__name__
    )
