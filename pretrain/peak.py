"""The rate at which a machine multiplies matrices: what model FLOP utilisation (MFU) is a share of.

Of a known card it is the vendor's figure for dense arithmetic, as everybody reports it; of any other device a matrix
product is timed, once, in about a tenth of a second.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

CARDS: dict[str, tuple[float, float]] = {
    "H200": (989.4e12, 494.7e12),
    "H100 PCIe": (756e12, 378e12),
    "H100": (989.4e12, 494.7e12),
    "A100": (312e12, 156e12),
    "L40S": (362.05e12, 183e12),
    "L4": (121e12, 60e12),
    "RTX A6000": (154.8e12, 77.4e12),
    "RTX 4090": (165.2e12, 82.6e12),
    "RTX 3090": (71e12, 35.6e12),
}
"""By a part of the card's name: operations per second in bf16 and in TF32, dense, from the vendor's data sheets."""


def peak(device: torch.device, precision: str) -> float:
    """Return the floating-point operations per second that `device` can do at a precision."""
    import torch

    if device.type == "cuda" and precision != "fp64":
        name = torch.cuda.get_device_name(device)
        for part, (bf16, tf32) in CARDS.items():
            if part in name:
                return bf16 if precision == "bf16" else tf32
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp64": torch.float64}
    return measured(device, kinds[precision])


def measured(device: torch.device, kind: torch.dtype, seconds: float = 0.1) -> float:
    """Return the operations per second of the fastest of some products of square matrices, timed here."""
    import torch

    size = 8192 if device.type == "cuda" else 1024
    one = torch.ones(size, size, dtype=kind, device=device)
    out = one @ one  # the first product also loads the library
    best, ends = float("inf"), time.perf_counter() + seconds
    for turn in range(50):
        began = time.perf_counter()
        torch.mm(one, one, out=out)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
        if turn and time.perf_counter() > ends:
            break
    return 2.0 * size**3 / best
