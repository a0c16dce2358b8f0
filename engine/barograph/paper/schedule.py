"""When a deployment looks: after the closes of its source's bars, and again while one that is due has not come.

All arithmetic is on moments in UTC, where no hour is missing and none comes twice; when bars close is `data.closes`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from barograph.config.paper import seconds
from barograph.data.calendars import DAY, span_of
from barograph.data.closes import SECOND, STEPS, Closes, Timetable, clocked, duration
from barograph.data.learning import agreeing, learned

if TYPE_CHECKING:
    from barograph.config.paper import PaperPlan
    from barograph.data.calendars import Times
    from barograph.data.history import History

__all__ = ["SECOND", "late", "longest_closure", "next_look", "said", "silence", "stale", "timetable"]

# How long a silence is remembered: an exchange that stood still for a week, long ago, says nothing of this month.
_YEAR: Final = 366 * DAY


def timetable(plan: PaperPlan, history: History) -> Timetable:
    """Return when the bars of a source close: as the config says, or as the bars so far show.

    Raises `DataError` when the bars do not agree with what is told, or with any way that is known.
    """
    told, history = plan.closes, history.at(np.flatnonzero(history.deciding))
    if told is None:
        return learned(history.calendar, history.ts, plan.every, history.source)
    times, hours = tuple(map(clocked, told.times)), told.hours
    within = None if hours is None else (clocked(hours[:5]), clocked(hours[6:]))
    one = Closes(
        "", plan.every, told.anchor, told.time_zone, clocked(told.begin), told.breaks, told.over, within, times
    )
    every = tuple(one._replace(calendar=code) for code in history.calendars)
    return agreeing(Timetable(every), history.ts, history.source)


def silence(due: Timetable, ts: Times) -> int:
    """Return how many closes in a row this source was proved to leave without a bar, in the last year of its bars."""
    return due.silence(ts[ts >= int(ts[-1]) - _YEAR])


def stale(plan: PaperPlan, missing: int, longest: int) -> bool:
    """Tell whether so many closes without a bar are more than twice the longest silence that was proved.

    Of bars shorter than a day a single one never is: the next one can prove it empty.
    """
    return missing > max(2 * longest, 0 if plan.every in STEPS or duration(plan.every) >= DAY else 1)


def late(plan: PaperPlan) -> int:
    """Return how long after its close a bar is late, ns."""
    return (seconds(plan.delay) + seconds(plan.patience)) * SECOND


@lru_cache(maxsize=32)
def longest_closure(due: Timetable, year: int) -> int:
    """Return the longest time from one close to the next in ten years up to a year's beginning, ns.

    >>> of = lambda code: Timetable((Closes(code, "session"),))
    >>> longest_closure(of("XNYS"), 2024) // DAY, longest_closure(of("24/7"), 2024) // DAY
    (4, 1)
    """
    days = Timetable(tuple(one if one.step in STEPS else Closes(one.calendar, "session") for one in due.markets))
    found = days.between(*span_of(f"{year - 10}-01-01", f"{year}-01-01"))
    return int(np.diff(found).max()) if len(found) > 1 else 32 * DAY


def next_look(plan: PaperPlan, due: Timetable, last: int, now: int) -> int:
    """Return when to look for bars next, after a look at `now` that left the bar closed at `last` as the newest.

    A delay after the next close; while a bar that is due has not come, again and again, until it is so late that only
    the next close is worth a look. Where the calendar knows no next close, a day later.
    """
    delay, retry = (seconds(text) * SECOND for text in (plan.delay, plan.retry))
    missing = due.between(max(last, now - late(plan)), now - delay)
    following = due.next(max(last, now - delay))
    upcoming = now + DAY if following is None else following + delay
    return min(now + retry, upcoming) if len(missing) else upcoming


def said(ts: int) -> str:
    """Return a moment as sentences spell it, to the second.

    >>> said(1_719_864_000_000_000_000)
    '2024-07-01 20:00:00Z'
    """
    return f"{np.datetime64(int(ts), 'ns').astype('M8[s]')}Z".replace("T", " ")
