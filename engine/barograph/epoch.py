"""A moment is int64 nanoseconds UTC: how long a day and a year are, and which moments are accepted."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["CALENDAR_YEAR", "DAY", "FIRST", "HOUR", "LAST", "NEVER", "YEAR", "day_of", "days_a_year", "years_of"]

HOUR: Final = 3_600_000_000_000
DAY: Final = 86_400_000_000_000
YEAR: Final = 365.0
"""Days of a year, as interest counts them."""

CALENDAR_YEAR: Final = 365.25
"""Days of a year, as a history of several markets counts them: leap days are days."""

NEVER: Final = -(2**63)
"""A moment that has not been: the smallest number of nanoseconds, which numpy also reads as no time at all."""

FIRST: Final = int(np.datetime64("1700-01-01", "ns").astype(np.int64))
LAST: Final = int(np.datetime64("2250-01-01", "ns").astype(np.int64))
"""The years that are accepted: 64-bit nanoseconds would wrap in 2262."""


def day_of(ts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the UTC day of each close; one at midnight belongs to the day that ends there.

    >>> day_of(np.array([1, DAY, DAY + 1])).tolist()
    [0, 0, 1]
    """
    return np.asarray((ts - 1) // DAY, dtype=np.int64)


def years_of(ts: NDArray[np.int64]) -> float:
    """Return the calendar years from the first close to the last."""
    return float(ts[-1] - ts[0]) / (CALENDAR_YEAR * DAY)


def days_a_year(ts: NDArray[np.int64]) -> float:
    """Return how many days of a calendar year have a close, the first day not counted; 365.25 when there is but one.

    >>> twice_a_day = np.arange(2, 2 * 1461 + 3) * (DAY // 2)
    >>> days_a_year(twice_a_day)
    365.25
    """
    days = len(np.unique(day_of(ts))) - 1
    return days / years_of(ts) if days else CALENDAR_YEAR
