"""What several strategies share: when to change one's mind, and when a change is too small to bother."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from barograph.errors import ConfigError
from barograph.jit.kernel import kernel

__all__ = ["Choice", "bounded", "check_bounds", "check_dwell", "known", "steady", "switch", "undecided"]

UNDECIDED = -1


class Choice(NamedTuple):
    """What is chosen (-1 before the first choice) and for how many bars it has been, its own bar included."""

    current: int
    age: int


@kernel
def undecided(_params: Any) -> Choice:
    """Begin without a choice."""
    return Choice(UNDECIDED, 0)


@kernel
def switch(choice: Any, wanted: int, dwell: int) -> Choice:
    """Choose what is wanted, unless the present choice is younger than `dwell` bars; -1 wants nothing new.

    >>> from barograph_strategies._switch import undecided
    >>> switch(Choice(0, 2), 1, 3), switch(Choice(0, 3), 1, 3)
    (Choice(current=0, age=3), Choice(current=1, age=1))
    """
    if wanted in (UNDECIDED, choice.current) or (choice.current != UNDECIDED and choice.age < dwell):
        return Choice(choice.current, choice.age + 1)
    return Choice(wanted, 1)


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
