"""How far an account fell below its peak, and for how long."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from barograph.types import Floats

__all__ = ["Drawdown", "all_drawdowns", "deepest_drawdown", "drawdowns", "max_drawdown"]


def drawdowns(equity: Floats) -> Floats:
    """Return e_t / max(e_0 … e_t) − 1, shape (T + 1,): the starting point is a peak too.

    >>> drawdowns(np.array([100.0, 90.0, 120.0, 60.0])).round(4).tolist()
    [0.0, -0.1, 0.0, -0.5]
    """
    path: Floats = equity / np.maximum.accumulate(equity) - 1
    return path


class Drawdown(NamedTuple):
    """One fall: its depth (≤ 0) and the rows of its peak, its trough and its end (recovery, or the last row)."""

    depth: float
    peak: int
    trough: int
    end: int
    recovered: bool

    @property
    def bars(self) -> int:
        """How long it lasted, from the peak to the recovery or the end of the data."""
        return self.end - self.peak


def deepest_drawdown(equity: Floats) -> Drawdown:
    """Return the deepest fall from a peak; of equals the first, and the whole of nothing when there was none.

    >>> deepest_drawdown(np.array([100.0, 120.0, 60.0, 90.0, 130.0]))
    Drawdown(depth=-0.5, peak=1, trough=2, end=4, recovered=True)
    """
    path = drawdowns(equity)
    trough = int(np.argmin(path))
    if path[trough] >= 0:
        return Drawdown(0.0, 0, 0, 0, True)
    peak = int(np.flatnonzero(path[: trough + 1] >= 0)[-1])
    after = np.flatnonzero(path[trough:] >= 0)
    end = trough + int(after[0]) if after.size else equity.size - 1
    return Drawdown(float(path[trough]), peak, trough, end, bool(after.size))


def all_drawdowns(equity: Floats) -> list[Drawdown]:
    """Return every fall from a peak to its recovery, the deepest first; of equals the earlier.

    >>> [(fall.depth, fall.peak, fall.end) for fall in all_drawdowns(np.array([100.0, 75.0, 100.0, 50.0]))]
    [(-0.5, 2, 3), (-0.25, 0, 2)]
    """
    path = drawdowns(equity)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], path < 0, [0]))))
    found = [_fall(path, int(first), int(end)) for first, end in edges.reshape(-1, 2)]
    return sorted(found, key=lambda fall: (fall.depth, fall.peak))


def _fall(path: Floats, first: int, end: int) -> Drawdown:
    """Return the fall whose rows below the peak are [first, end)."""
    trough = first + int(np.argmin(path[first:end]))
    recovered = end < path.size
    return Drawdown(float(path[trough]), first - 1, trough, end if recovered else path.size - 1, recovered)


def max_drawdown(equity: Floats) -> float:
    """Return min over t of e_t / max(e_0 … e_t) − 1, at most 0."""
    return deepest_drawdown(equity).depth
