from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.reading import WRITE
from tests.corpora.conftest import prose

ROOT = Path(__file__).parents[1]


def test_every_format_is_timed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("\n\n".join(prose(60)), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.reading", str(tmp_path / "notes.txt"), "--rounds", "1"]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "60 documents" in told
    assert all(f"| {name} | documents |" in told for name in WRITE)
