from __future__ import annotations

from pathlib import Path

import pytest

from tests.finetune.toys import FAMILIES, save


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An untrained tiny checkpoint of each family."""
    return {family: save(tmp_path_factory.mktemp(family) / "model", family) for family in FAMILIES}
