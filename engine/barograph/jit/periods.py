"""UTC days, ISO weeks and calendar months of a moment, as kernels."""

from __future__ import annotations

from typing import Final

from barograph.epoch import DAY
from barograph.jit.kernel import kernel

__all__ = ["BY_DAY", "BY_MONTH", "BY_WEEK", "EVERY", "NO_PERIOD", "month_of", "period_of"]

EVERY: Final = ("day", "week", "month")
BY_DAY, BY_WEEK, BY_MONTH = range(3)
NO_PERIOD: Final = -(1 << 62)


@kernel
def period_of(ts: int, every: int) -> int:
    """Number the UTC day, ISO week or calendar month of a bar by its close (int64 ns); later periods, larger numbers.

    A bar that closes at midnight is the last of the day that ends there.
    """
    days = (ts - 1) // DAY
    if every == BY_DAY:
        return days
    if every == BY_WEEK:
        return (days + 3) // 7  # day 0 was a Thursday, weeks begin on Monday
    return month_of(ts - 1)


@kernel
def month_of(ts: int) -> int:
    """Number the calendar month (UTC) of a moment, by years that begin in March: the leap day ends them.

    >>> month_of(31 * DAY) - month_of(31 * DAY - 1)
    1
    """
    # The Gregorian calendar repeats every 146,097 days.
    days = ts // DAY + 719_468
    cycle = days // 146_097
    day = days - 146_097 * cycle
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day_of_year = day - (365 * year + year // 4 - year // 100)
    return 12 * (400 * cycle + year) + (5 * day_of_year + 2) // 153
