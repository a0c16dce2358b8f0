"""What several strategies share: when to change one's mind, and when a change is too small to bother."""

from __future__ import annotations

import math
from typing import Any

from barograph.errors import ConfigError
from barograph.jit.kernel import kernel
from barograph.regimes.dwelling import UNDECIDED, Choice, switch

__all__ = ["UNDECIDED", "Choice", "bounded", "check_bounds", "check_dwell", "known", "steady", "switch", "undecided"]


@kernel
def undecided(_params: Any) -> Choice:
    """Begin without a choice."""
    return Choice(UNDECIDED, 0)


@kernel
def known(probs: Any) -> bool:
    """Tell whether a belief is one: before the model is warm its probabilities are NaN."""
    total = 0.0
    for k in range(probs.size):
        total += probs[k]
    return not math.isnan(total)


@kernel
def bounded(weight: float, floor: float, cap: float) -> float:
    """Keep a weight between floor and cap; NaN stays NaN, for the engine to refuse."""
    if weight > cap:
        return cap
    return floor if weight < floor else weight


@kernel
def steady(last: float, wanted: float, band: float) -> float:
    """Keep the last weight while the wanted one is less than `band` away."""
    return last if abs(wanted - last) < band else wanted


def check_dwell(strategy: str, dwell: int) -> int:
    """Return `dwell`; raises `ConfigError` unless it is at least 1 bar."""
    if dwell < 1:
        raise ConfigError(f"{strategy}: dwell={dwell} is no time; wanted at least 1 bar")
    return int(dwell)


def check_bounds(strategy: str, floor: float, cap: float, band: float) -> tuple[float, float, float]:
    """Return the three as floats; raises `ConfigError` when nothing lies between floor and cap, or band is negative."""
    if not floor <= cap or not band >= 0.0:
        raise ConfigError(f"{strategy}: floor={floor}, cap={cap}, band={band}; wanted floor <= cap and band >= 0")
    return float(floor), float(cap), float(band)
