"""What a fit sees: cells in robust units, missing where they are missing, and where one table of several ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import FitError
from barograph.jit.ordered import logarithms, mean, total
from barograph.regimes.window import table
from barograph.types import Floats
from barograph_models._fit.data import refuse_infinite

__all__ = ["Cells", "cells", "spread"]

NORMAL: Final = 1.482602218505602  # over the median distance from the median, a normal's deviation


class Cells(NamedTuple):
    """Rows `Z` (T, d), NaN where missing, ``X = centre + unit * Z``; table s has the rows ends[s] to ends[s + 1]."""

    Z: Floats
    centre: Floats
    unit: Floats
    ends: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """How many rows have a cell that is observed."""
        return int(np.count_nonzero(np.isfinite(self.Z).any(axis=1)))

    @property
    def log_volume(self) -> float:
        """What standardising adds to the data's log-likelihood."""
        counts = np.array([np.count_nonzero(c) for c in np.isfinite(self.Z).T], dtype=np.float64)
        return float(total(counts * logarithms(self.unit)))


def cells(X: Any, states: int, name: str) -> Cells:
    """Bring the cells of `X` (T, d) to median 0 and, by the median distance from it, deviation 1.

    Medians, because one jump of twenty deviations moves a window's deviation by half and its median distance by
    nothing. Raises `FitError` for infinite values, a constant column, or fewer than d+1 rows a state.
    """
    X = table(X)
    refuse_infinite(X, name)
    T, d = X.shape
    seen = int(np.count_nonzero(np.isfinite(X).any(axis=1)))
    if seen < states * (d + 1):
        raise FitError(f"{name}: {seen} of {T} rows are observed, {states} states need at least {states * (d + 1)}")
    centre, unit = np.array([_scale(column, j, name) for j, column in enumerate(X.T)]).T
    return Cells(np.ascontiguousarray((X - centre) / unit), centre.copy(), unit.copy(), np.array([0, T]))


def _scale(column: Floats, j: int, name: str) -> tuple[float, float]:
    seen = column[np.isfinite(column)]
    middle, unit = spread(seen) if len(seen) else (0.0, 0.0)
    # A constant's computed deviation is rounding, not zero.
    if not len(seen) or unit <= 1e-13 * float(np.abs(seen).max()):
        raise FitError(f"{name}: feature {j} is constant over the {len(seen)} observed rows; drop it")
    return middle, unit


def spread(values: Floats) -> tuple[float, float]:
    """Return the median, and the median distance from it as a normal's deviation.

    Where more than half of the values are one and the same, the root mean square distance.

    >>> spread(np.array([1.0, 2.0, 3.0, 4.0, 1000.0]))[0]
    3.0
    """
    middle = float(np.median(values))
    away = np.abs(values - middle)
    unit = NORMAL * float(np.median(away))
    return middle, unit if unit > 1e-9 * float(away.max()) else float(np.sqrt(mean(away * away)))


def joined(parts: Sequence[Floats]) -> tuple[Floats, NDArray[np.int64]]:
    """Put tables one below the other; return the rows and where each ends."""
    return np.vstack(parts), np.array([0, *np.cumsum([len(p) for p in parts])], dtype=np.int64)
