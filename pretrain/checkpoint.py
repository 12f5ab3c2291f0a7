"""Checkpoints: plain ``save_pretrained`` folders that say what they are, whole or absent.

    RUN/step-00001000/   config.json  model.safetensors  tokenizer.json  tokenizer_config.json  README.md
                         manifest.json (sha256 of every file)
                         training/    optimizer.pt  state.json
    RUN/latest           a relative link to the newest
    RUN/chck_1M          a milestone: a relative link to the first step behind so many words read

``AutoModel.from_pretrained`` opens a step folder with no code of ours; ``config.objective`` names the objective and
its numbers, and the tokenizer frames texts as pretraining did. The newest steps are kept, and those that milestones
link to.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from foundation import durable
from foundation.refusal import BadCheckpoint

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
MILESTONE = "chck_"


def step_folders(run: Path) -> list[Path]:
    """Return the step folders of a run, newest first."""
    return sorted((path for path in run.glob("step-*") if path.is_dir()), reverse=True)


def newest(run: Path) -> tuple[Path | None, list[str]]:
    """Return the newest whole checkpoint of a run, and what is wrong with each newer one."""
    damaged = []
    for folder in step_folders(run):
        found = durable.problems(folder)
        if not found:
            return folder, damaged
        damaged.append(f"{folder.name} is damaged: {found[0]}")
    return None, damaged


def resolve(path: Path) -> Path:
    """Return the checkpoint folder that a run, a step folder or any transformers folder stands for.

    Raises:
        BadCheckpoint: if it is none of these, or no checkpoint of the run is whole.
    """
    path = Path(path)
    if not path.exists():
        raise BadCheckpoint(
            f"{path} does not exist", "give a run (pretrain --out RUN), one of its steps, or a model folder"
        )
    if (path / "config.json").is_file():
        if not any((path / name).is_file() for name in WEIGHTS):
            raise BadCheckpoint(
                f"{path} has a config.json but no {WEIGHTS[0]}", "the folder is not whole; copy it again"
            )
        if (path / durable.MANIFEST).is_file() and (found := durable.problems(path)):
            raise BadCheckpoint(f"{path} is damaged: {found[0]}", "take another step of the run")
        return path
    found, damaged = newest(path)
    if found is None:
        what = "; ".join(damaged) or f"{path} is no checkpoint: it holds no step-… folder and no config.json"
        raise BadCheckpoint(what, "give a run (pretrain --out RUN), one of its steps, or a model folder")
    return found


def save(
    run: Path,
    step: int,
    model: Any,
    tokenizer: Any,
    card: Callable[[str], str],
    training: dict[str, Any],
    state: dict[str, Any],
    keep: int,
    milestones: Iterable[str] = (),
) -> Path:
    """Write the checkpoint of a step as a whole, and point ``latest`` and its `milestones` to it.

    `card` is given the sha256 of the weights; `training` holds by name what only the run itself reads again, such as
    the optimizer's state. Then all but the newest `keep` steps are removed, and never a milestone's.
    """
    import torch

    folder = run / step_name(step)
    with durable.new_folder(folder) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        first = next(temporary / name for name in WEIGHTS if (temporary / name).is_file())
        (temporary / "README.md").write_text(card(durable.sha256(first)), encoding="utf-8")
        (temporary / "training").mkdir()
        for name, value in training.items():
            torch.save(value, temporary / "training" / f"{name}.pt")
        (temporary / "training" / "state.json").write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    durable.point(run / "latest", folder.name)
    mark(run, step, milestones)
    marked = {link.readlink().name for link in run.glob(f"{MILESTONE}*") if link.is_symlink()}
    for old in step_folders(run)[keep:]:
        if old.name not in marked:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def mark(run: Path, step: int, milestones: Iterable[str]) -> None:
    """Point milestones to the checkpoint of a step, if it is there."""
    for name in milestones:
        if (run / step_name(step)).is_dir():
            durable.point(run / name, step_name(step))


def step_name(step: int) -> str:
    """Return the name of a step's folder; names sort as steps do."""
    return f"step-{step:08d}"


def restore(folder: Path, model: Any, optimizer: Any, device: Any) -> dict[str, Any]:
    """Load weights and optimizer of a checkpoint into place; return its state (step, tokens, seconds)."""
    import torch
    from safetensors.torch import load_model

    # one of several processes on a CPU is on cpu:0, which neither safetensors nor torch.load knows
    where = "cpu" if torch.device(device).type == "cpu" else str(device)
    load_model(model, str(folder / WEIGHTS[0]), device=where)
    optimizer.load_state_dict(torch.load(folder / "training" / "optimizer.pt", map_location=where, weights_only=True))
    return json.loads((folder / "training" / "state.json").read_text(encoding="utf-8"))
