"""What a device does best: precision, compilation, who judges the answers, and how batches get there.

A CPU is left alone: compiling gains it 0 to 2 % after half a minute, and bf16 halves its speed. On a GPU:

- **bf16 by autocast**: matrix products in bf16, while weights, norms, the residual stream and losses stay float32.
  Forward passes on bf16 copies of the weights would move fewer bytes, but their gradients are further from float32:
  masked 4 × 256, post-norm, 4.4 % of the norm instead of 0.4 %. benchmarks/gpu.py --ablate times both.
- **Each layer is compiled, not the model.** One layer's code serves all layers of its kind, so it takes seconds; with
  several processes the gradients of a layer travel while those of the next are computed; and the masks are made
  outside, where transformers can see that there is nothing to hide. Under torch before 2.14 it cannot see that inside
  a compiled model, and a causal model pays for a mask in place of flash attention.
- **Judged in one piece.** The output layer and the cross-entropy are compiled together. liger-kernel's, which never
  holds all logits, is taken where they would fill a quarter of the memory, and only there: it waits for the device
  once in every pass, and so does that of cut-cross-entropy where some answers are padding.
- **Batches are made ahead** and sent on a stream of their own (pretrain/prefetch.py), in few shapes (shapes.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from torch.nn import functional

from foundation import compiled
from foundation.refusal import BadUsage
from objectives import IGNORED
from pretrain.loop import Steps, supplied
from pretrain.prefetch import sent
from pretrain.questions import Asks, Ready
from pretrain.run import Run
from pretrain.shapes import host, steady

Judge = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor], torch.Tensor]
LONG = 500
"""Steps from which on compiling, some twenty seconds, is worth its time."""
POSITIONS = 2560
"""Corpus tokens of a forward pass for each thread of a CPU."""
BACKEND = "inductor"
"""Who compiles."""
_SHAPES = 32
"""Versions of one layer that may be compiled: training, stages of other lengths, with and without padding."""


@dataclass(frozen=True)
class Ways:
    """How a step is done on a device; what is done is the run's."""

    half: Literal["no", "autocast", "copies"] = "no"
    """bf16 by autocast, or by a forward pass on bf16 copies of the weights."""
    compile: Literal["no", "layers", "model"] = "no"
    judge: Literal["auto", "plain", "liger"] = "auto"

    def __str__(self) -> str:
        """Return the ways in words, for the start lines of a run."""
        half = {"no": "", "autocast": "bf16", "copies": "bf16 copies"}[self.half]
        made = {"no": "", "layers": "compiled layers", "model": "compiled"}[self.compile]
        return ", ".join(word for word in (half, made) if word)


def settled(run: Run) -> Run:
    """Return the run with a precision in place of "auto", and on a CPU with a `micro`.

    The precision is that of the run it continues, else the device's best.
    """
    if run.micro is None and not torch.cuda.is_available():
        run = dataclasses.replace(run, micro=piece(run.block_tokens))
    if run.precision != "auto":
        return run
    found: Any = "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported(False) else "fp32"
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((run.out / "run.json").read_text(encoding="utf-8")).get("precision", found)
    return dataclasses.replace(run, precision=found)


def piece(block: int) -> int:
    """Return the rows of a forward pass on a CPU: so few need less memory, and more are no quicker."""
    return max(1, POSITIONS * torch.get_num_threads() // block)


def ways(run: Run, device: torch.device, steps: int) -> Ways:
    """Return how a run of so many steps is best done on a device.

    Raises:
        BadUsage: if --compile on asks for what cannot be here.
    """
    able = device.type != "cuda" or _there("triton")
    if run.compile == "on" and not able:
        raise BadUsage("--compile on needs triton, which is not installed", "pip install triton, or leave it out")
    worth = device.type == "cuda" and steps >= LONG and able
    made = "layers" if run.compile == "on" or (run.compile == "auto" and worth) else "no"
    return Ways("autocast" if run.precision == "bf16" else "no", made)


def _there(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def fitted(learner: Any, chosen: Ways, device: torch.device) -> torch.nn.Module:
    """Return the learner as the device does it best; weights and their names stay the learner's own."""
    if device.type == "cuda":
        double = any(p.dtype == torch.float64 for p in learner.parameters())
        torch.set_float32_matmul_precision("highest" if double else "high")  # TF32
    if chosen.compile != "no":
        from torch._dynamo import config

        config.recompile_limit = max(_SHAPES, config.recompile_limit)
        for part in layers(learner.model) if chosen.compile == "layers" else [learner.model]:
            part.compile(dynamic=False, backend=BACKEND)
    if device.type == "cuda" or chosen != Ways():
        learner.judge = judge(chosen, device)
    return learner if chosen.half == "no" else Halved(learner, chosen.half, device.type)


def judge(chosen: Ways, device: torch.device) -> Judge:
    """Return what judges answers: summed cross-entropy of (states, weight, bias, answers)."""
    plain = torch.compile(_plainly, dynamic=False, backend=BACKEND) if chosen.compile != "no" else _plainly
    if chosen.judge == "plain" or device.type != "cuda" or not _there("liger_kernel"):
        return plain
    room = torch.cuda.get_device_properties(device).total_memory // 4 if chosen.judge == "auto" else 0
    each = 4 if chosen.compile != "no" else 16  # bytes of a logit and its gradient; uncompiled, of float32 copies too

    def either(
        states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, answers: torch.Tensor
    ) -> torch.Tensor:
        return (_by_liger if len(answers) * len(weight) * each > room else plain)(states, weight, bias, answers)

    return either


def layers(model: Any) -> list[torch.nn.Module]:
    """Return the layers of a model: the members of its outermost lists of modules."""
    found: list[torch.nn.Module] = []
    inside: set[int] = set()
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and id(module) not in inside:
            found += module
            inside |= {id(part) for part in module.modules()}
    return found


@contextlib.contextmanager
def as_written(learner: torch.nn.Module) -> Generator[None]:
    """Run what is inside uncompiled: an evaluation has other shapes, and too few batches to compile for."""
    compiled = any(part._compiled_call_impl is not None for part in learner.modules())
    with torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext():
        yield


class Halved(torch.nn.Module):
    """A learner whose forward pass multiplies in bf16, on weights that stay float32 (Micikevicius et al. 2018, §3.1).

    Accelerate's own mixed precision is one for a whole process, which may do several runs.
    """

    def __init__(self, learner: Any, half: Literal["autocast", "copies"], kind: str) -> None:
        super().__init__()
        self.learner, self.way, self.kind = learner, half, kind
        stored = learner.state_dict()
        self.exact = [name for name, _ in learner.named_buffers() if name not in stored]
        """Tables of positions, which are not stored, and stay float32."""

    def forward(self, inputs: dict[str, torch.Tensor], questions: Any) -> dict[str, torch.Tensor]:
        """Return the losses of the learner, in float32."""
        if self.way == "autocast":
            with torch.autocast(self.kind, torch.bfloat16):
                return self.learner(inputs, questions)
        named = [*self.learner.named_parameters(), *self.learner.named_buffers()]
        floats = [(name, weight) for name, weight in named if weight.is_floating_point() and name not in self.exact]
        copies = {name: weight.to(torch.bfloat16) for name, weight in floats}
        return torch.func.functional_call(self.learner, copies, (inputs, questions))


class Watched(Protocol):
    """Who makes the batches and wants to know how far the run is."""

    step: int

    @property
    def batch(self) -> Callable[[int, np.ndarray], Asks]:
        """Gives some rows of a step."""
        ...

    def watched(self, step: int, rows: np.ndarray) -> Asks:
        """Give the same, and remember the step."""
        ...


def supply(
    watch: Watched, steps: Steps, accelerator: Accelerator, chosen: Ways, pad: int, most: int | None
) -> Generator[list[Ready]]:
    """Yield the micro-batches of each step; on a GPU they are made ahead.

    `pad` is the id of padding, `most` the positions that the model has, None without a limit.
    """
    make = functools.partial(steady, pad=pad, most=most) if chosen.compile != "no" else host
    if accelerator.device.type == "cpu":
        yield from supplied(watch.watched, steps, accelerator, make)
        return
    compiled.at_once()
    made = supplied(watch.batch, steps, accelerator, make)
    with contextlib.closing(sent(made, accelerator.device)) as coming:
        for step, batches in enumerate(coming, steps.first):
            watch.step = step  # the batches of later ones are being made already
            yield batches


def _plainly(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, answers: torch.Tensor
) -> torch.Tensor:
    logits = functional.linear(states, weight, bias)
    precise = logits if logits.dtype == torch.float64 else logits.float()
    return functional.cross_entropy(precise, answers, reduction="sum", ignore_index=IGNORED)


def _by_liger(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, answers: torch.Tensor
) -> torch.Tensor:
    from liger_kernel.transformers.functional import (  # type: ignore[import-not-found]
        liger_fused_linear_cross_entropy,
    )

    return liger_fused_linear_cross_entropy(
        states, weight, answers, bias, ignore_index=IGNORED, reduction="sum", accum_dtype=torch.float32
    )
