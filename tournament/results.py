"""OUT/results.jsonl: one record for each finished or failed step, and one for the plan; the last of a step counts.

A record holds the hash of the step's request and the identities of what it was made from (a checkpoint's weights, a
corpus), so that it can be seen later whether it still stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from foundation import durable, request
from foundation.refusal import BadData
from tournament.schedule import Step

FILE = "results.jsonl"
Record = dict[str, Any]


def read(out: Path) -> dict[str, Record]:
    """Return the records that a report may show, in the order in which the steps were first recorded.

    A record made from something that has been made anew since, or has failed, is left out.

    Raises:
        BadData: if there is none.
    """
    records = latest(out)
    while fallen := [name for name, record in records.items() if not _current(record, records)]:
        for name in fallen:
            del records[name]
    if not records:
        raise BadData(f"{out / FILE} holds no result", "run the tournament first, or name the folder of one that ran")
    return records


def _current(record: Record, records: Mapping[str, Record]) -> bool:
    made_from = record.get("inputs", {}).items()
    return all(need in records and records[need].get("identity") == identity for need, identity in made_from)


def latest(out: Path) -> dict[str, Record]:
    """Return the last record of each step; an empty dictionary if there is no file."""
    path = out / FILE
    records: dict[str, Record] = {}
    for record in durable.read_json_lines(path) if path.exists() else []:
        if isinstance(record, dict) and "step" in record:
            records[record["step"]] = record
    return records


def reason(step: Step, records: Mapping[str, Record], out: Path) -> str:
    """Return why the record of a step does not stand, its needs being as recorded; nothing if it stands.

    A record stands if it was made from the same request and the same inputs, and its artefacts are whole.
    """
    record = records.get(step.name)
    if record is None:
        return "it has not run"
    if record.get("status") != "finished":
        return "it failed"
    if record.get("request") != step.digest:
        return "its request has changed"
    for need in step.needs:
        if record.get("inputs", {}).get(need) != records.get(need, {}).get("identity"):
            return f"it was made from another {need}"
    return request.load(step.check)(record, out) if step.check else ""


def standing(steps: Iterable[Step], records: Mapping[str, Record], out: Path) -> tuple[set[str], dict[str, str]]:
    """Return the steps that stand together with all they need, and for recorded ones that fell by themselves, why.

    Steps come after their needs. One whose need has fallen is in neither: it stands or falls with what the need
    becomes.
    """
    stand: set[str] = set()
    fell: dict[str, str] = {}
    for step in steps:
        found = reason(step, records, out)
        if not found and stand.issuperset(step.needs):
            stand.add(step.name)
        elif found and step.name in records:
            fell[step.name] = found
    return stand, fell


def record_of(step: Step, needs: Mapping[str, Record], status: str, wall: float, found: Record) -> Record:
    """Return what is written down of a step."""
    inputs = {name: record.get("identity") for name, record in needs.items()}
    head = {"step": step.name, "kind": step.kind, "status": status, "wall": round(wall, 2), **step.labels}
    return {**head, **found, **head, "request": step.digest, "inputs": inputs}
