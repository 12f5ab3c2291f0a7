"""First weights: placeholder until the recipes are measured."""

from __future__ import annotations

from typing import Any


def near(model: Any) -> None:
    """Leave the stock weights."""
