"""How many bars a year has: by the calendar, and by the time between two of them."""

from __future__ import annotations

from typing import Final

from barograph.data.calendars import ALWAYS, Times, bars_a_session, sessions_a_bar
from barograph.data.table import spacing
from barograph.epoch import CALENDAR_YEAR, DAY, HOUR

__all__ = ["bars_a_year"]

_WEEK: Final = 7
_MONTH: Final = CALENDAR_YEAR / 12.0
# Months end on business days: 28 to 33 days apart, quarters 89 to 94.
_NEARLY: Final = 3.0


def bars_a_year(code: str, ts: Times) -> float:
    """Return the bars a year of one calendar: 252 days (365 on "24/7"), 52 weeks, 12 months, others by their step.

    >>> import numpy as np
    >>> days = 86_400_000_000_000 * np.arange(40)
    >>> [bars_a_year("24/7", n * days) for n in (1, 2, 7, 14, 91)]
    [365.0, 182.5, 52.0, 26.0, 4.0]
    """
    step = spacing(ts)
    open_days = 365.0 if code == ALWAYS else 252.0
    if step > 12 * HOUR:
        return _of_days(code, ts, step, open_days)
    if step == 0:
        return open_days
    return open_days * (DAY / step if code == ALWAYS else bars_a_session(code, ts))


def _of_days(code: str, ts: Times, step: int, open_days: float) -> float:
    days = round(step / DAY)
    if days >= _WEEK and days % _WEEK == 0:
        return 52.0 * _WEEK / days
    months = round(days / _MONTH)
    if months > 0 and abs(days - months * _MONTH) <= _NEARLY:
        return 12.0 / months
    if code == ALWAYS:
        return open_days * DAY / step
    return open_days / (sessions_a_bar(code, ts) if days > 1 else 1.0)
