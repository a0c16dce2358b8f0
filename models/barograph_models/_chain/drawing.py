"""Paths drawn from a chain's own law, to bits that no library and no processor decides."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from barograph.jit.kernel import compiled
from barograph.types import Floats
from barograph_models._chain.chance import normal, uniform

__all__ = ["noise", "path"]


@compiled
def path(start: Any, transition: Any, bars: Any, chance: Any) -> NDArray[np.int64]:
    """Return the states (bars,) of a chain."""
    states = np.empty(bars, dtype=np.int64)
    now = start
    for t in range(bars):
        # Rounding may leave the probabilities of a row a bit short of 1: then the last one it is.
        left, k = uniform(chance), 0
        while k < now.size - 1 and left >= now[k]:
            left -= now[k]
            k += 1
        states[t] = k
        now = transition[k]
    return states


@compiled
def noise(rows: Any, columns: Any, chance: Any) -> Floats:
    """Return standard normal numbers (rows, columns)."""
    found = np.empty((rows, columns))
    for t in range(rows):
        for j in range(columns):
            found[t, j] = normal(chance)
    return found
