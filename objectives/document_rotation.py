"""BART document rotation (Lewis et al. 2020, §2.2).

    text     Thank you for inviting me to your party last week.
    asked    your party last week. Thank you for inviting me to
    answer   Thank you for inviting me to your party last week.

Each document in a block begins with a uniformly drawn one of its tokens: the model has to find its beginning.
``objectives/denoising.py`` has the laws.
"""

from __future__ import annotations

from dataclasses import dataclass

from objectives.denoising import Denoising


@dataclass(frozen=True, kw_only=True)
class DocumentRotation(Denoising):
    """Rotate documents, ask for the whole text."""

    rotation: float = 1.0
    """Probability with which a document begins at a random token of it."""
