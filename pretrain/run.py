"""A run: everything that decides what a pretraining does, as one frozen record.

The fields named in ``MACHINE`` say how it is done on this machine and may change when a run is continued; all
others say what is done: they are compared with ``run.json`` and refused if they differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Suppress, arg

from corpora.requests import Packed
from foundation.refusal import BadUsage
from objectives import OBJECTIVES, Objective
from objectives.denoising import Denoising
from objectives.stages import Plan, planned
from objectives.stages import read as read_stages
from objectives.token_masking import TokenMasking
from pretrain.recipes import row
from pretrain.schedule import Decay

MACHINE = frozenset(
    {"out", "corpus", "micro", "threads", "keep", "checkpoint_tokens", "checkpoint_minutes", "milestones"}
    | {"milestone_words", "track", "allow_change", "dry_run"}
)
MACHINE |= {"on_nan", "nan_limit", "compile"}
BUDGETS = ("tokens", "words", "steps", "minutes")
_FAMILIES = {"encoder": "bert", "decoder": "gpt2", "encoder-decoder": "t5"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """Pretrain one model with one objective on one corpus; the same command continues an interrupted run."""

    objective: Objective = field(default=TokenMasking(), metadata={"choices": "objectives:OBJECTIVES"})
    """What the model is asked."""
    family: str = ""
    """bert, modernbert, gpt2, llama, t5, t5-v1.1, bart, mbart; by default the one that the objective comes from. Or any
    model type of transformers (roberta, opt …), or the path of a config.json."""
    from_: Annotated[str | None, arg(name="from")] = None
    """Begin with the weights, the shape and the vocabulary of a run, a step, a model folder or hub:NAME[@REVISION]."""
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
    packing: Packed = "stream"
    """How documents stand in blocks: stream (concatenated and cut), document (none holds two of them) or best-fit
    (packed whole, cut only where one is longer than a block)."""
    rows: int = 16
    """Examples per optimizer step, over all processes."""
    micro: int | None = None
    """Examples per forward pass and process; fewer need less memory and change nothing else. By default a CPU takes
    2,560 tokens a thread, a GPU all."""
    tokens: int | None = None
    """Corpus tokens to read; by default one pass over the corpus. Give one of --tokens, --words, --steps, --minutes."""
    words: int | None = None
    """Corpus words to read, as white space separates them."""
    steps: int | None = None
    """Optimizer steps to do."""
    minutes: float | None = None
    """Minutes of training and evaluation: steps are timed at the start, and the run has as many as fit."""
    measured_steps: Annotated[int | None, Suppress] = None
    """The steps that --minutes came to, as run.json records them."""
    stages: tuple[str, ...] = ()
    """Stages BLOCKxROWS@SHARE instead of --block and --rows, such as 64x64@0.5 128x32 (SHARE: of the tokens)."""
    on_nan: Literal["stop", "skip"] = "stop"
    """What to do at a step whose loss or gradient is not a finite number: stop, or skip its update."""
    nan_limit: int = 10
    """Updates that --on-nan skip may leave out before the run stops after all."""
    recipe: str = ""
    """The row of pretrain/recipes.py behind every field that says "the recipe's": a family, or stock (AdamW at 5e-5
    as run_mlm.py and run_clm.py have it); by default the family's own."""
    optimizer: Literal["adamw", "muon"] | None = None
    """AdamW, or Muon for the hidden matrices with AdamW for the rest; by default the recipe's."""
    rate: float | None = None
    """Peak learning rate; by default the recipe's at this width and batch."""
    embedding_rate: float | None = None
    """Peak learning rate of the word embeddings; by default the recipe's, or --rate where that is given."""
    warmup: float | None = None
    """Share of the steps over which the rate rises; by default the recipe's."""
    decay: Decay | None = None
    """How the rate falls after the warm-up (wsd: late, see --cooldown); by default the recipe's."""
    cooldown: float | None = None
    """Share of the steps over which --decay wsd falls; by default the recipe's."""
    weight_decay: float | None = None
    """Decoupled weight decay on matrices; by default the recipe's."""
    beta2: float | None = None
    """AdamW's second-moment decay; by default the recipe's."""
    clip: float | None = None
    """Largest global norm of the gradient; by default the recipe's."""
    average: float | None = None
    """Judge and save an average of the weights over the steps that forgets by this much, such as 0.99; 0 is none;
    by default the recipe's."""
    dropout: float = 0.0
    """Dropout everywhere the architecture has it; a pass or few over the data needs none."""
    first_weights: Literal["near", "stock"] = "near"
    """near: attention begins by looking at neighbouring tokens (docs/recipes.md); stock: as transformers does."""
    precision: Literal["auto", "fp32", "bf16", "fp64"] = "auto"
    """Arithmetic: fp32, bf16 (products in bf16, weights and losses in fp32) or fp64 (for proofs); auto: bf16 on GPUs
    that have it, fp32 elsewhere; a run that is continued keeps its own."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the layers of the model; auto: on GPUs, for runs of 500 steps and more."""
    seed: int = 0
    """Key of the order of blocks, the noise, the first weights and dropout."""
    eval_tokens: int = 65_536
    """Corpus tokens of the held-out part behind each evaluation."""
    evaluations: int = 8
    """Evaluations on held-out text, evenly spaced, the last one at the end."""
    checkpoint_tokens: int | None = None
    """Corpus tokens between checkpoints; by default only the last step is saved."""
    checkpoint_minutes: float | None = None
    """Minutes between checkpoints, instead of or beside --checkpoint-tokens."""
    milestones: bool = False
    """Save at 1M, 2M … 10M, 20M … 100M, 200M … words read too, and link each from OUT/chck_1M …; they are all kept."""
    milestone_words: int = 1_000_000
    """Words of the first milestone."""
    keep: int = 2
    """Checkpoints to keep besides milestones; the newest whole one is never removed."""
    track: tuple[str, ...] = ()
    """Where the numbers go beside metrics.jsonl: tensorboard (by default, where installed), wandb, trackio, mlflow,
    swanlab, comet_ml, aim, clearml, dvclive, your own MODULE:CLASS, or none."""
    threads: int | None = None
    """CPU threads; by default all cores."""
    allow_change: tuple[str, ...] = ()
    """Fields that may differ from the run that is continued."""
    dry_run: bool = False
    """Print the model's size, the steps and the batch, then stop."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be."""
        for name in (
            "rows",
            "micro",
            *BUDGETS,
            "eval_tokens",
            "evaluations",
            "keep",
            "threads",
            "nan_limit",
            "milestone_words",
        ):
            value = getattr(self, name)
            if value is not None and (value < 1 if name != "minutes" else not 0 < value < math.inf):
                raise BadUsage(f"--{name.replace('_', '-')} {value} is {'no time' if name == 'minutes' else 'below 1'}")
        given = [f"--{name} {getattr(self, name)}" for name in BUDGETS if getattr(self, name) is not None]
        if len(given) > 1:
            raise BadUsage(f"{' and '.join(given)} are two budgets", "give one of them")
        if self.measured_steps is not None and self.minutes is None:
            raise BadUsage("measured_steps says what --minutes came to", "give --steps instead")
        if self.stages:
            self._check_stages()
        for name in ("warmup", "dropout", "average", "beta2", "cooldown"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise BadUsage(f"--{name} {value} is outside [0, 1)")
        if self.checkpoint_minutes is not None and not 0 < self.checkpoint_minutes < math.inf:
            raise BadUsage(f"--checkpoint-minutes {self.checkpoint_minutes} is no length of time", "give e.g. 30")
        for name in ("rate", "embedding_rate", "clip"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                what = "a norm" if name == "clip" else "a learning rate"
                flag = name.replace("_", "-")
                raise BadUsage(f"--{flag} {value} is not {what}", "give a number above 0, such as 1e-3")
        row(self.recipe, self.family)

    def _check_stages(self) -> None:
        """Refuse stages beside other words for the same, so that nothing said is ignored."""
        blocks = {stage.block for stage in read_stages(self.stages)}
        largest = max(blocks)
        if self.packing != "stream" and len(blocks) > 1:
            raise BadUsage(
                f"--packing {self.packing} beside --stages of different blocks: a short row is not cut into pieces",
                "give stages of one block, or --packing stream",
            )
        usual = {f.name: f.default for f in fields(self)}
        for name, meant in (("block", largest), ("length", None), ("rows", None)):
            if getattr(self, name) not in (usual[name], meant):
                raise BadUsage(f"--{name} {getattr(self, name)} beside --stages {' '.join(self.stages)}", "give one")

    @property
    def block_tokens(self) -> int:
        """Corpus tokens of the largest examples, from --stages, --block or --length."""
        if self.stages:
            return max(stage.block for stage in read_stages(self.stages))
        return self.block if self.length is None else self.objective.span(self.length)

    def plan(self, tokens: int, words: int, fill: Fraction = Fraction(1)) -> Plan:
        """Return the steps of the run on a training part of so many tokens and words in blocks that are so full.

        Raises:
            BadUsage: if the budget is not enough for the stages, or is one in minutes that nobody has measured yet.
        """
        if self.minutes is not None and self.measured_steps is None:
            raise BadUsage(f"--minutes {self.minutes:g} is no number of steps yet", "give --steps or --tokens")
        return planned(self, self.block_tokens, tokens, words, fill)

    def steps_for(self, tokens: int, words: int = 0) -> int:
        """Return the optimizer steps of the run on a training part of so many tokens and words."""
        return self.plan(tokens, words).steps


def default_family(objective: Objective) -> str:
    """Return the family that an objective comes from; for a user's own one, the first that has its shape."""
    return "bart" if isinstance(objective, Denoising) else _FAMILIES[objective.shape]


def name_of(run: Run) -> str:
    """Return the name of the run's objective, as ``--objective`` takes it."""
    return next(
        (name for name, kind in OBJECTIVES.items() if kind is type(run.objective)), type(run.objective).__name__
    )
