"""The request of the command ``tournament``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Tournament:
    """Run a plan and report; the same command continues an interrupted one and re-uses what is finished."""

    plan: str = "demo"
    """A TOML file, or smoke (a minute), demo (ten minutes), full (an hour, three seeds of everything)."""
    out: Path
    """The folder of the results: results.jsonl, report.md, report.html, report.png, results.csv, checkpoints."""
    workers: int | None = None
    """Processes that work side by side (default: the plan's)."""
    report_only: bool = False
    """Make the report anew from results.jsonl; run nothing."""
    dry_run: bool = False
    """Print the steps with about how long each takes; run nothing."""
