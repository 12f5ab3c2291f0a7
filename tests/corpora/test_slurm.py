from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from corpora.store import build
from tests.corpora.conftest import prose
from tests.corpora.test_building import asked, digests

SCRIPT = Path(__file__).parent.parent.parent / "examples" / "slurm_build.sh"


def test_the_tasks_of_the_array_make_the_corpus_of_one_build(tmp_path: Path) -> None:
    text, out = tmp_path / "text.txt", tmp_path / "corpus"
    text.write_text("\n\n".join(prose(200)), encoding="utf-8")
    words = [str(text), str(out), "--vocabulary", "600", "--held-out", "0.1", "--shard-bytes", "16000"]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    tasks = [
        subprocess.Popen(
            [str(SCRIPT), *words],
            env={**os.environ, "PATH": path, "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_ID": str(part)},
        )
        for part in (1, 2)
    ]
    assert [task.wait() for task in tasks] == [0, 0]
    assert subprocess.run(["corpora", "join", str(out)], env={**os.environ, "PATH": path}, check=False).returncode == 0
    assert digests(out) == digests(build(asked(text, tmp_path / "one")))
