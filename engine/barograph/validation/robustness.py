"""How little it takes: the cost at which an edge dies, and what is left of it one step aside."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from barograph.types import Floats
from barograph.validation.sharpe import probabilistic_sharpe, shape

__all__ = ["BreakEven", "Neighbourhood", "break_even", "neighbourhood"]

_HALVINGS: Final = 60


class BreakEven(NamedTuple):
    """Costs as shares of traded value: where nothing is proven any more, and where nothing is earned."""

    unproven: float
    nothing: float


def break_even(returns: Floats, turnover: Floats, level: float = 0.95) -> BreakEven:
    """Return the costs at which the edge of returns (T,) before costs dies; `turnover` (T,) is traded value / equity.

    `nothing` is Σ r / Σ turnover, the cost that takes the whole mean; `unproven` the one beyond which P(Sharpe > 0)
    (PSR) is below `level`. Both are 0 where that holds without costs, infinite where nothing is traded.

    >>> returns = np.random.default_rng(0).normal(0.001, 0.01, 2000)
    >>> [round(cost, 5) for cost in break_even(returns, np.full(2000, 0.5))]
    [0.0007, 0.00144]

    Raises `ValueError` when the two are not of one length.
    """
    if returns.shape != turnover.shape:
        raise ValueError(
            f"break-even: found {returns.size} returns and {turnover.size} turnovers, wanted as many of each"
        )
    earned, traded = float(np.sum(returns)), float(np.sum(turnover))
    if earned <= 0.0:
        return BreakEven(0.0, 0.0)
    if traded <= 0.0:
        return BreakEven(math.inf, math.inf)
    nothing = earned / traded
    return BreakEven(_last_proven(returns, turnover, nothing, level), nothing)


def _last_proven(returns: Floats, turnover: Floats, most: float, level: float) -> float:
    def proven(cost: float) -> bool:
        found = shape(returns - cost * turnover)
        return probabilistic_sharpe(*found) >= level

    if not proven(0.0):
        return 0.0
    low, high = 0.0, most
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if proven(middle) else (low, middle)
    return low


class Neighbourhood(NamedTuple):
    """The best point of a grid, its figure, and what its neighbours have: their mean, the worst, and the share kept.

    `kept` is mean / value: near 1 on a plateau, near 0 or below on a needle; NaN where the best is not above 0.
    """

    best: tuple[int, ...]
    value: float
    mean: float
    worst: float
    kept: float


def neighbourhood(figures: Floats) -> Neighbourhood:
    """Return what the neighbours of the best point of a grid have, one axis a key; NaN points are left out.

    Neighbours are one step away along one axis. Where the keys have no order, as names have not, "one step" says
    nothing.

    >>> neighbourhood(np.array([[0.1, 0.5, 0.2], [0.5, 1.0, 0.75], [0.0, 0.25, 0.5]]))
    Neighbourhood(best=(1, 1), value=1.0, mean=0.5, worst=0.25, kept=0.5)

    Raises `ValueError` when no point has a figure.
    """
    if np.isnan(figures).all():
        raise ValueError("neighbourhood: no point of the grid has a figure")
    best = np.unravel_index(int(np.nanargmax(figures)), figures.shape)
    around = []
    for axis, at in enumerate(best):
        for step in (int(at) - 1, int(at) + 1):
            if 0 <= step < figures.shape[axis]:
                around.append(float(figures[(*best[:axis], step, *best[axis + 1 :])]))
    known = [x for x in around if not math.isnan(x)]
    value = float(figures[best])
    mean = float(np.mean(known)) if known else math.nan
    worst = min(known, default=math.nan)
    return Neighbourhood(tuple(int(i) for i in best), value, mean, worst, mean / value if value > 0.0 else math.nan)
