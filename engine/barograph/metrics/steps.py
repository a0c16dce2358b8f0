"""What a return is: one a bar, or over several markets one a day."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.epoch import day_of, days_a_year, years_of
from barograph.types import Floats

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Steps", "compounded", "stamps", "steps"]


class Steps(NamedTuple):
    """The rows between which the returns lie, (T + 1,), how many of these steps a year has, and how many bars."""

    rows: NDArray[np.intp]
    periods: float
    bars: float


def steps(ts: NDArray[np.int64], periods: float, by_day: bool = False) -> Steps:
    """Return every row and the bars a year; by day the first row, the last of every later day, and the days a year.

    A day is one of UTC, and a close at midnight belongs to the day that ends there.

    >>> six_hours = 6 * 3_600_000_000_000
    >>> steps(six_hours * np.array([1, 3, 5, 7, 8, 10]), 252.0, by_day=True).rows.tolist()
    [0, 4, 5]
    """
    if not by_day:
        return Steps(np.arange(len(ts)), periods, periods)
    days = day_of(ts)
    rows = np.flatnonzero(np.append(days[1:] != days[:-1], True))
    # What follows the first row on its own day is no day of its own.
    rows[0] = 0
    # Closes of one day alone tell nothing of a year.
    years = years_of(ts) if rows.size > 1 else 0.0
    return Steps(rows, days_a_year(ts), (len(ts) - 1) / years if years > 0.0 else math.nan)


def compounded(returns: Floats, step: NDArray[np.intp]) -> Floats:
    """Return the returns of bars as one for each step that they belong to, in order.

    >>> compounded(np.array([0.1, 0.1, 0.5]), np.array([1, 1, 4])).round(2).tolist()
    [0.21, 0.5]
    """
    if not returns.size:
        return returns
    first = np.flatnonzero(np.append(True, step[1:] != step[:-1]))
    growth: Floats = np.multiply.reduceat(1.0 + returns, first) - 1.0
    return growth


def stamps(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return the closes of a table in ns UTC."""
    import pandas as pd

    return np.asarray(pd.DatetimeIndex(table["ts"]).as_unit("ns").asi8)
