"""What the bars so far say about when their source's bars close.

Every way that vendors have is tried on the newest sessions; one must explain (nearly) every bar, and of those that do
the one that leaves the fewest closes without a bar is taken. Two that explain all alike are told apart by later bars:
whoever meets a bar off its closes learns again with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from barograph.data.calendars import ALWAYS, DAY, Sessions, Times, apart, placed, sessions
from barograph.data.closes import OVER, SECOND, STEPS, Closes, Timetable, duration
from barograph.epoch import HOUR
from barograph.errors import DataError

__all__ = ["agreeing", "learned"]

# Bars that are looked at: hours of half a year, a week of minutes. Before that a vendor may have had other hours.
_NEWEST: Final = 2_000
# One bar of so many may be off its closes: a correction, a bar of a moment when the exchange halted.
_ODD: Final = 100
_MINUTE: Final = 60 * SECOND
_CURE: Final = "mend calendar, bars_mark or every, or say when they close with [paper.closes]"


def learned(calendar: str, ts: Times, step: str, source: str = "bars") -> Timetable:
    """Return when the bars with these closes are due; bars of several markets are due by one rule in each.

    >>> import numpy as np
    >>> hours = np.array(["2024-07-01T14:00", "2024-07-01T15:00", "2024-07-01T16:00"], "M8[ns]").astype(np.int64)
    >>> learned("XNYS", hours, "1h")
    every 1h on the clock of XNYS

    Raises `DataError` when no way that is known explains the bars.
    """
    ts = ts[-_NEWEST:]
    shift, codes = _shift(ts), apart(calendar)
    best: tuple[tuple[int, int], Timetable] | None = None
    for candidate in _candidates(codes, ts - shift, step):
        table = Timetable(tuple(candidate._replace(calendar=code, shift=shift) for code in codes))
        stray, due = len(table.off(ts)), len(table.between(int(ts[0]) - 1, int(ts[-1])))
        # A bar off its closes costs as much as a close without a bar: an odd one is no reason for many that never come.
        rank = (stray + due, stray)
        if _agrees(stray, ts) and (best is None or rank < best[0]):
            best = (rank, table)
    if best is None:
        raise DataError(_refused(Timetable(tuple(Closes(code, step) for code in codes)), ts, source, _CURE))
    return best[1]


def agreeing(told: Timetable, ts: Times, source: str) -> Timetable:
    """Return what was told of the closes, once the bars agree with it; raises `DataError` when they do not."""
    ts = ts[-_NEWEST:]
    told = Timetable(tuple(one._replace(shift=_shift(ts)) for one in told.markets))
    if not _agrees(len(told.off(ts)), ts):
        raise DataError(_refused(told, ts, source, "mend [paper.closes], or leave it out and it is learned"))
    return told


def _agrees(stray: int, ts: Times) -> bool:
    return stray * _ODD <= len(ts)


def _shift(ts: Times) -> int:
    """Return what all moments are off a whole minute, if nearly all are off by the same."""
    rest = ts % _MINUTE
    values, counts = np.unique(rest, return_counts=True)
    most = int(values[np.argmax(counts)])
    if most == 0 or counts.max() * _ODD < len(ts) * (_ODD - 1):
        return 0
    return most if most <= _MINUTE // 2 else most - _MINUTE


def _candidates(codes: tuple[str, ...], ts: Times, step: str) -> Iterator[Closes]:
    """Yield all ways of one market; of several those that need no look at which bar is whose."""
    calendar = codes[0]
    if len(codes) > 1:
        yield from _of_several(step)
    elif calendar == ALWAYS and step != "month":
        yield from _always(ts, step)
    elif step in STEPS:
        yield Closes(calendar, step)
        yield from _daily(calendar, ts, step)
    else:
        yield from _of_sessions(calendar, ts, step)


def _of_several(step: str) -> Iterator[Closes]:
    if step in STEPS:
        yield Closes("", step)
        return
    for anchor, zone in (("open", ""), ("clock", ""), ("clock", "UTC")):
        for over in OVER:
            yield Closes("", step, anchor, zone, over=over)
        yield Closes("", step, anchor, zone, breaks=False)


def _always(ts: Times, step: str) -> Iterator[Closes]:
    base = Closes(ALWAYS, step)
    length = {"session": DAY, "week": 7 * DAY}.get(step) or duration(step)
    yield base
    yield base._replace(phase=_usual((ts - base.origin) % length))


def _daily(calendar: str, ts: Times, step: str) -> Iterator[Closes]:
    """Bars that do not close with the session, but at a time of day."""
    known, at = _day_of(calendar, ts)
    for zone in ("", "UTC"):
        base = Closes(calendar, step, zone=zone)
        yield base._replace(times=(_usual(ts - base.midnights(known)[at]),))


def _usual(values: Times) -> int:
    """Return the value that comes most often."""
    found, counts = np.unique(values, return_counts=True)
    return int(found[np.argmax(counts)])


def _day_of(calendar: str, ts: Times) -> tuple[Sessions, Times]:
    """Return the sessions around these moments, and the last one that had opened before each."""
    known = placed(calendar, ts)[0]
    return known, np.maximum(np.searchsorted(known.opens, ts, side="left") - 1, 0)


def _of_sessions(calendar: str, ts: Times, step: str) -> Iterator[Closes]:
    known, _, inside = placed(calendar, ts)
    if len(known.days) == 0:
        return
    paused = bool((known.pauses[:, 0] < known.pauses[:, 1]).any())
    hours = None if inside.all() else _hours(calendar, ts)
    length = duration(step)
    for anchor, zone, phase in _anchors(calendar, ts, length):
        for breaks in (True, False) if paused else (True,):
            for over in OVER if paused and breaks else ("nothing", "all"):
                base = Closes(calendar, step, anchor, zone, phase, breaks, over)
                yield base
                if hours is not None and anchor == "clock":
                    yield base._replace(hours=hours)
    yield from _by_the_times(calendar, ts, step)


def _anchors(calendar: str, ts: Times, length: int) -> Iterator[tuple[str, str, int]]:
    """The opening, the full hour there and in UTC, and whatever time of day most bars keep."""
    yield "open", "", 0
    known, at, _ = placed(calendar, ts)
    for zone in ("", "UTC"):
        yield "clock", zone, 0
        if most := _usual((ts - Closes(calendar, "1h", zone=zone).midnights(known)[at]) % length):
            yield "clock", zone, most


def _hours(calendar: str, ts: Times) -> tuple[int, int]:
    """Return the hours of a vendor who has more than the session: from the full hour before the first close on."""
    known = sessions(calendar, *np.array([ts[0] - 4 * DAY, ts[-1] + 4 * DAY]).astype("M8[ns]").astype("M8[D]"))
    midnight = Closes(calendar, "1h").midnights(known)
    rest = ts - midnight[np.maximum(np.searchsorted(midnight, ts - 1, side="right") - 1, 0)]
    return (int(rest.min()) - 1) // HOUR * HOUR, int(rest.max())


def _by_the_times(calendar: str, ts: Times, step: str) -> Iterator[Closes]:
    """The times of day that at least half of the sessions keep."""
    known, at = _day_of(calendar, ts)
    base = Closes(calendar, step)
    values, counts = np.unique(ts - base.midnights(known)[at], return_counts=True)
    kept = values[2 * counts >= len(np.unique(at))]
    if 0 < len(kept) <= DAY // duration(step) + 1:
        yield base._replace(times=tuple(int(value) for value in kept))


def _refused(wanted: Timetable, ts: Times, source: str, cure: str) -> str:
    stray = wanted.off(ts)
    first = np.datetime64(int(stray[0]), "ns").astype("M8[s]")
    return f"{source}: {len(stray)} of {len(ts)} bars do not close {wanted!r}, such as that of {first}Z; {cure}"
