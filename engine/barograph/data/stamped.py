"""Are bars stamped with their closes? A day that is known before it began sees the future.

Sources that stamp a bar with its beginning write a day's midnight, in UTC or in an exchange's time, a week's Monday and
a month's first. Read as closes they are the most profitable mistake there is, so they are errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from barograph.data import calendars
from barograph.data.calendars import ALWAYS, DAY, Days, Sessions, Times
from barograph.data.findings import CODES, Finding, Mask, finding
from barograph.data.table import Table, spacing
from barograph.epoch import HOUR

__all__ = ["beyond", "early_stamps"]

_STRAY: Final = 0.05
"""The share of bars on closed days above which they are no strays: the evening is when their day begins."""
_MONDAYS: Final = 0.75
"""The share of Mondays above which weeks are named by their first day: the others are holidays."""
_WEEK: Final = 7 * DAY


def early_stamps(table: Table) -> Iterator[Finding]:
    """Days that close before their session opens or on a closed day; weeks, months and hours named by their first."""
    step = spacing(table.ts)
    if step > 4 * DAY and not table.marked_open:
        yield from _coarse(table, step)
    elif table.days is None and 12 * HOUR < step <= 4 * DAY and table.calendar != ALWAYS:
        yield from _daily(table)
    elif table.days is None and 0 < step <= 12 * HOUR and table.calendar != ALWAYS and not table.marked_open:
        yield from _within(table)


def _within(table: Table) -> Iterator[Finding]:
    """Bars within a day of which one ends just when its session opens, in most sessions, and none with its close."""
    known = _around(table)
    if len(known.days) == 0:
        return
    opening, closing = np.isin(table.ts, known.opens), np.isin(table.ts, known.closes)
    held = len(np.unique(table.ts.astype("M8[ns]").astype("M8[D]")))
    if held >= 3 and opening.sum() > 0.5 * held and not closing.any():
        text = (
            'bars end when the session opens, none with its close: they are named by their open; set bars_mark = "open"'
        )
        yield from finding(table, "early_stamp", opening, "time", None, text)


def _coarse(table: Table, step: int) -> Iterator[Finding]:
    dates = (_dates(table) if table.days is None else table.days).astype("M8[D]")
    if len(dates) < 3:
        return
    weekday = (dates.astype(np.int64) + 3) % 7
    of_month = (dates - dates.astype("M8[M]").astype("M8[D]")).astype(np.int64) + 1
    # A holiday moves a week's first day by one, and a month's by up to three.
    begins = of_month <= 4 if step > 20 * DAY else (weekday <= 1) & (abs(step - _WEEK) < DAY)
    if step <= 20 * DAY and np.mean(weekday == 0) < _MONDAYS:
        return
    if begins.mean() > 1.0 - _STRAY:
        what = "months are named by their first day" if step > 20 * DAY else "weeks are named by their first day"
        text = f'{what}, and would be known before they are over: set bars_mark = "open"'
        yield from finding(table, "early_stamp", begins, "time", None, text)


def _around(table: Table) -> Sessions:
    days = np.array([table.ts.min(), table.ts.max()]).astype("M8[ns]").astype("M8[D]")
    return calendars.sessions(table.calendar, days[0] - np.timedelta64(7, "D"), days[1] + np.timedelta64(7, "D"))


def _dates(table: Table) -> Days:
    """Return the dates of the moments in the market's own time."""
    return calendars.wall_of(table.ts, _around(table).time_zone).astype("M8[ns]").astype("M8[D]")


def _daily(table: Table) -> Iterator[Finding]:
    known = _around(table)
    if len(known.days) == 0:
        return
    wall = calendars.wall_of(table.ts, known.time_zone)
    dates = wall.astype("M8[ns]").astype("M8[D]")
    at = np.minimum(np.searchsorted(known.days, dates), len(known.days) - 1)
    here, inside = known.days[at] == dates, _inside(table.ts, known)
    early = here & (table.ts <= known.opens[at]) & ~inside
    late = here & (table.ts > known.closes[at])
    closed = ~here & ~inside & ~_in_hours(wall, known)
    if early.any() or closed.mean() > _STRAY or _unproved(late, at, known):
        where = early if early.any() else closed if closed.mean() > _STRAY else late
        yield from finding(table, "early_stamp", where, "time", None, _told(table, wall, where, known))


def _in_hours(wall: Times, known: Sessions) -> Mask:
    """Tell which wall clocks show an hour of trading, if there are others: a stray day is stamped with such a one."""
    begin, end = (calendars.wall_of(ns, known.time_zone) - known.days.astype("M8[ns]").astype(np.int64)
                  for ns in (known.opens, known.closes))  # fmt: skip
    first, last = int(np.median(begin)), int(np.median(end))
    return np.asarray((wall % DAY > first) & (wall % DAY <= last) & (last - first < 20 * HOUR))


def _inside(ts: Times, known: Sessions) -> Mask:
    at = np.minimum(np.searchsorted(known.closes, ts), len(known.closes) - 1)
    return np.asarray((known.opens[at] < ts) & (ts <= known.closes[at]))


def _unproved(late: Mask, at: Times, known: Sessions) -> bool:
    """Tell whether bars after the close may be the evening on which the next day begins: no last day of a week is."""
    if late.mean() < 0.5:
        return False
    gap = np.diff(known.days.astype(np.int64), append=known.days[-1].astype(np.int64) + 3) > 1
    return not bool((late & gap[at]).any())


def _told(table: Table, wall: Times, where: Mask, known: Sessions) -> str:
    row = int(np.argmax(where))
    clock = str((wall[row] % DAY).astype("M8[ns]").astype("M8[m]"))[11:]
    zone = known.time_zone
    near = int(np.argmin(np.abs(known.opens - table.ts[row])))
    opened = str(known.opens[near].astype("M8[ns]").astype("M8[m]")).replace("T", " ")
    text = f"a daily bar at {clock} in {zone}, outside its session of {table.calendar} (open {opened} UTC)"
    if bool((wall[where] % DAY == 0).all()):
        return f'{text}: it names its day; set time_zone = "{zone}"'
    if bool((table.ts[where] == known.opens[np.searchsorted(known.opens, table.ts[where])]).all()):
        return f'{text}: it is stamped with its open; set bars_mark = "open"'
    return f"{text}: set the time_zone in which it is midnight, or bars_mark"


def beyond(source: str, ts: Times, now: int) -> str:
    """Return what is wrong with bars that close after `now`, "" for none; the bar that is running is no such bar.

    >>> beyond("a.csv", DAY * np.arange(1, 5), 4 * DAY), beyond("a.csv", DAY * np.arange(1, 5), 3 * DAY)
    ('', '')
    >>> beyond("a.csv", DAY * np.arange(1, 5), DAY)
    'a.csv: beyond_clock: 3 bars close after 1970-01-02 00:00 UTC, the last 1970-01-05 00:00; check times and clock'
    """
    later = ts[ts > now]
    if len(later) == 0 or (len(later) == 1 and int(later[0]) - spacing(ts) <= now):
        return ""
    last, clock = (str(np.datetime64(int(t), "ns").astype("M8[m]")).replace("T", " ") for t in (later[-1], now))
    many = f"{len(later)} bars close" if len(later) > 1 else "a bar closes"
    told = f"{many} after {clock} UTC, the last {last}"
    return f"{source}: beyond_clock: {told}; {CODES['beyond_clock'].mend}"
