"""From the request to the report: read the plan, run its steps, print what came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from foundation import durable
from foundation import request as requests
from foundation.refusal import RunFailed
from tournament import results
from tournament.plan import FREE, Plan
from tournament.plan_file import read
from tournament.request import Tournament
from tournament.run import freeze, run
from tournament.schedule import Step
from tournament.steps import group, steps


def tournament(request: Tournament) -> None:
    """Run a plan and report.

    Raises:
        RunFailed: after the report, if a step failed; what did not need it was run.
    """
    if request.report_only:
        _report(request.out)
        return
    plan = read(request.plan)
    found = steps(plan)
    workers = request.workers or plan.workers
    if request.dry_run:
        print(listing(found, workers))
        return
    freeze(request.out, requests.to_dict(plan), FREE)
    _record_plan(request.out, plan)
    failed = run(found, request.out, workers=workers, threads=plan.threads)
    _report(request.out)
    if failed:
        lines = [
            f"{name}: {reason.splitlines()[0] if reason else 'no reason recorded'}" for name, reason in failed.items()
        ]
        what = f"{len(failed)} of {len(found)} steps failed or could not run:\n  " + "\n  ".join(lines)
        raise RunFailed(what, f"see {request.out / 'logs'}; the same command tries them again")


def listing(found: list[Step], workers: int) -> str:
    """Return the steps with about how long each takes on one core."""
    lines = [f"{step.seconds:7.0f} s  {step.name}" for step in found]
    total = sum(step.seconds for step in found)
    share = max(total / workers, max(step.seconds for step in found))
    lines.append(f"{len(found)} steps, about {total:.0f} core-seconds, {share / 60:.1f} minutes with {workers} workers")
    return "\n".join(lines)


def _record_plan(out: Path, plan: Plan) -> None:
    """Write the plan into the results, where the report finds the order of arms, tasks and strategies."""
    named: dict[str, Any] = {
        "names": [arm.name for arm in plan.arms],
        "task_names": [trial.name for trial in plan.tasks],
        "strategy_names": [way.name for way in plan.strategies],
    }
    said = requests.to_dict(plan)
    said["arms"] = [{**said_arm, "group": group(arm)} for said_arm, arm in zip(said["arms"], plan.arms, strict=True)]
    record = {"step": "plan", "kind": "plan", "status": "finished", "plan": {**said, **named}}
    if results.latest(out).get("plan") != record:
        durable.append_json(out / results.FILE, record)


def _report(out: Path) -> None:
    from tournament import report

    written = report.write(out)
    print(written.text)
    for path in written.files:
        print(f"wrote {path}")
    sys.stdout.flush()
