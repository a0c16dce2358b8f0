"""A classifier's answer as evidence: its probability over the share of its class is in proportion to a density."""

from __future__ import annotations

from typing import Any

from barograph.jit.arithmetic import power
from barograph.jit.kernel import kernel

__all__ = ["believe"]


@kernel
def believe(there: Any, said: Any, start: Any, weight: Any, ahead: Any, probs: Any) -> None:
    """Fill `probs` (K,) with what is believed where the chain moves, `ahead`, and a classifier's `said`, if `there`."""
    whole = 0.0
    for k in range(probs.size):
        if there:
            ahead[k] *= power(said[k] / start[k], weight)
        whole += ahead[k]
    for k in range(probs.size):
        # Evidence against every regime that is in reach says nothing.
        probs[k] = ahead[k] / whole if whole > 0.0 else said[k]
