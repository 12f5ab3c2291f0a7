"""Plans as TOML files, with the short forms that one writes by hand.

words = 1_000_000            # of the embedded corpus; or corpus = "DIR", made by `corpora build`
tokens = 1_200_000           # corpus tokens that each arm reads
tasks = ["library", "shuffled-words", "my-table.csv"]
strategies = ["probe", {name = "full", epochs = 3}]

[recipe]                     # for all arms, any field of pretrain's Run
rows = 16

[[arms]]
objective = "token-masking"  # or {name = "token-masking", rate = 0.3}
rate = 3e-3                  # any other key belongs to the recipe of this arm alone
"""

from __future__ import annotations

import dataclasses
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from foundation import request
from foundation.refusal import BadUsage, unknown
from tournament import choices
from tournament.plan import Arm, Plan, check


def built_in() -> dict[str, Path]:
    """Return the plans inside the package, by name."""
    folder = Path(str(resources.files("tournament") / "plans"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read(name: str) -> Plan:
    """Return a plan, checked, from a built-in name or a TOML file; its paths are relative to the file.

    Raises:
        BadUsage: naming the first thing in it that cannot be.
    """
    path = built_in().get(name, Path(name))
    if not path.is_file():
        refusal = unknown("plan", name, built_in())
        raise BadUsage(refusal.what, f"{refusal.remedy}; or give a TOML file")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadUsage(f"--plan {path}: {error}") from error
    return check(from_values({"called": path.stem, **values}, path))


def from_values(values: dict[str, Any], path: Path) -> Plan:
    """Return the plan that the values of a TOML file say, short forms written out."""
    values = dict(values)
    for name in ("arms", "tasks", "strategies"):
        if not isinstance(values.get(name, []), list):
            raise BadUsage(f"{path}: {name} is not a list", f"write [[{name}]] or {name} = […]")
    values["arms"] = [_arm(item) for item in values.get("arms", [])]
    values["tasks"] = [_trial(item, path.parent) for item in values.get("tasks", [])]
    values["strategies"] = [_way(item) for item in values.get("strategies", [])]
    if "corpus" in values:
        values["corpus"] = str(_beside(path.parent, values["corpus"]))
    return request.from_dict(Plan, values, where=str(path))


def _arm(item: Any) -> dict[str, Any]:
    values = dict(item) if isinstance(item, dict) else {"objective": item}
    own = {entry.name for entry in dataclasses.fields(Arm)}
    rest = {name: value for name, value in values.items() if name not in own}
    return {name: value for name, value in values.items() if name in own} | {"recipe": values.get("recipe", {}) | rest}


def _trial(item: Any, folder: Path) -> dict[str, Any]:
    values = dict(item) if isinstance(item, dict) else {"task": item}
    own = {name: values.pop(name) for name in ("task", "name", "columns") if name in values}
    task = str(own.get("task", ""))
    if task not in choices.embedded_tasks():
        own["task"] = str(_beside(folder, task))
    return own | {"columns": own.get("columns", {}) | values}


def _way(item: Any) -> dict[str, Any]:
    if isinstance(item, dict) and "strategy" in item:
        return item
    values = dict(item) if isinstance(item, dict) else {"name": item}
    return {"strategy": values, "name": values.pop("label", "")}


def _beside(folder: Path, path: str) -> Path:
    """Return a path of a plan: beside the plan's file if something is there, else as it is."""
    return folder / path if (folder / path).exists() else Path(path)
