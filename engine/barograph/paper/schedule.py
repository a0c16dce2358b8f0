"""When bars are due: at the closes of sessions, or by a clock inside them and on markets that never close.

Daylight saving, half-days and holidays stand in the closes themselves, which come from the exchange's calendar; all
arithmetic is on moments in UTC, where no hour is missing and none comes twice.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from barograph.config.paper import seconds
from barograph.data.calendars import ALWAYS, DAY, Times, apart, sessions, span_of

if TYPE_CHECKING:
    from barograph.config.paper import PaperPlan

__all__ = ["SECOND", "closes_between", "longest_closure", "next_close", "next_look", "said"]

SECOND: Final = 1_000_000_000
# The longest time without a session that any calendar knows is some two weeks; a month is searched at a time.
_REACH: Final = 32 * DAY


def closes_between(calendar: str, every: str, after: int, until: int) -> Times:
    """Return the closes of the bars due in (after, until], ns UTC; of several markets those of each.

    >>> from barograph.data.calendars import span_of
    >>> thanksgiving = span_of("2023-11-23", "2023-11-24")  # Thursday has no session, Friday ends early
    >>> closes_between("XNYS", "session", *thanksgiving).astype("M8[ns]").astype("M8[h]")
    array(['2023-11-24T18'], dtype='datetime64[h]')
    >>> len(closes_between("XNYS", "1h", *thanksgiving)), len(closes_between("24/7", "1h", *thanksgiving))
    (4, 48)
    """
    if until <= after:
        return np.zeros(0, dtype=np.int64)
    if len(apart(calendar)) > 1:
        return np.unique(np.concatenate([closes_between(one, every, after, until) for one in apart(calendar)]))
    if calendar == ALWAYS:
        step = DAY if every == "session" else seconds(every) * SECOND
        # np.arange(first, last, step) counts in floating point, which forgets the last close of a long span.
        return np.arange(after // step + 1, until // step + 1, dtype=np.int64) * step
    days = np.array([after - DAY, until + DAY]).astype("M8[ns]").astype("M8[D]")
    known = sessions(calendar, days[0], days[1])
    found = known.closes if every == "session" else _inside(known.opens, known.closes, seconds(every) * SECOND)
    return found[(found > after) & (found <= until)]


def _inside(opens: Times, closes: Times, step: int) -> Times:
    """Return the closes of the bars inside sessions; the last one of a session ends with it."""
    bars = [np.append(np.arange(o + step, c, step), c) for o, c in zip(opens, closes, strict=True)]
    return np.concatenate(bars) if bars else np.zeros(0, dtype=np.int64)


def next_close(calendar: str, every: str, after: int) -> int | None:
    """Return the first close after a moment, or None where the calendar knows none any more."""
    for reach in (_REACH, 12 * _REACH):
        found = closes_between(calendar, every, after, after + reach)
        if len(found):
            return int(found[0])
    return None


@lru_cache(maxsize=32)
def longest_closure(calendar: str, year: int) -> int:
    """Return the longest time from one session's close to the next in ten years up to a year's beginning, ns.

    >>> longest_closure("XNYS", 2024) // DAY, longest_closure("24/7", 2024) // DAY
    (4, 1)
    """
    first, last = span_of(f"{year - 10}-01-01", f"{year}-01-01")
    found = closes_between(calendar, "session", first, last)
    return int(np.diff(found).max()) if len(found) > 1 else _REACH


def next_look(plan: PaperPlan, calendar: str, last: int, now: int) -> int:
    """Return when to look for bars next, after a look at `now` that left the bar closed at `last` as the newest.

    A delay after the next close; while a bar that is due has not come, again and again, until it is so late that only
    the next close is worth a look. Where the calendar knows no next close, a day later.
    """
    delay, retry, patience = (seconds(text) * SECOND for text in (plan.delay, plan.retry, plan.patience))
    missing = closes_between(calendar, plan.every, max(last, now - delay - patience), now - delay)
    following = next_close(calendar, plan.every, max(last, now - delay))
    upcoming = now + DAY if following is None else following + delay
    return min(now + retry, upcoming) if len(missing) else upcoming


def said(ts: int) -> str:
    """Return a moment as sentences spell it, to the second.

    >>> said(1_719_864_000_000_000_000)
    '2024-07-01 20:00:00Z'
    """
    return f"{np.datetime64(int(ts), 'ns').astype('M8[s]')}Z".replace("T", " ")
