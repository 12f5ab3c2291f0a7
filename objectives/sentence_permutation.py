"""BART sentence permutation (Lewis et al. 2020, §2.2).

    text     One end. Two begins. Three.
    asked    Three. One end. Two begins.
    answer   One end. Two begins. Three.

The sentences of each document in a block change places, all orders alike; its ``</s>`` stays its end.
``objectives/denoising.py`` has the laws.
"""

from __future__ import annotations

from dataclasses import dataclass

from objectives.denoising import Denoising


@dataclass(frozen=True, kw_only=True)
class SentencePermutation(Denoising):
    """Permute sentences, ask for the whole text."""

    permutation: float = 1.0
    """Share of the sentences of each document that change places."""
