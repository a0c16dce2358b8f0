"""When the bars of a source close: one noun that schedule, service, status and checks ask.

An exchange's calendar says when it is open; it does not say when a *vendor's* bars end. One counts hours from the
opening bell, another from the full hour; one begins again after the midday break, another runs through it; one cuts its
last bar at the close, another lets it run over. All of that is a choice of `Closes`: told in a config, or learned from
the bars so far (`barograph.data.learning`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.data import calendars
from barograph.data.calendars import ALWAYS, DAY, Sessions, Times
from barograph.epoch import HOUR

Flags = NDArray[np.bool_]

__all__ = ["OVER", "SECOND", "STEPS", "Closes", "Timetable", "clock", "clocked", "duration"]

SECOND: Final = 1_000_000_000
STEPS: Final = ("session", "week", "month")
"""Steps that follow the calendar; any other is a duration, such as "30m"."""

OVER: Final = ("nothing", "breaks", "all")
_UNITS: Final = {"s": SECOND, "m": 60 * SECOND, "h": HOUR, "d": DAY}
# The longest time without a session that any calendar knows is some two weeks; a month is searched at a time.
_REACH: Final = 32 * DAY
_ROOM: Final = 8 * DAY
# Closes are computed and remembered by so many days at a time: a schedule asks for the next one again and again.
_BLOCK: Final = 64 * DAY


def duration(text: str) -> int:
    """Return a duration's nanoseconds.

    >>> duration("90s") // SECOND, duration("2h") // SECOND
    (90, 7200)
    """
    return int(text[:-1]) * _UNITS[text[-1]]


class Closes(NamedTuple):
    """When the bars of one market's source close.

    `step` is "session", "week", "month" or a duration ("30m"). Bars of a duration are counted from the opening, anew
    after the midday break unless `breaks` is False (`anchor` "open"), or on the wall clock of `zone` ("clock", "" is
    the exchange's), `phase` ns from its midnight. The last bar of a stretch ends with it, unless it runs `over`
    "breaks" or "all". `hours` (first, last) in ns from midnight are the day of a vendor who also has what is traded
    before and after the session. `times` are ns from midnight at which bars close whatever the step; a session that
    ends early ends the last of them. Bars of a session, week or month close with the session, or at the one of `times`.
    On markets that never close bars are counted from `phase` ns after 1970 on, weeks after a Monday. `shift` is added
    to all: -1,000,000 for a vendor whose bars end a millisecond early.

    >>> hours = Closes("XNYS", "1h", "clock")
    >>> half_day = calendars.span_of("2023-11-24", "2023-11-24")
    >>> hours.between(*half_day).astype("M8[ns]").astype("M8[m]").tolist()[:2]
    [datetime.datetime(2023, 11, 24, 15, 0), datetime.datetime(2023, 11, 24, 16, 0)]
    >>> hours
    every 1h on the clock of XNYS
    """

    calendar: str
    step: str
    anchor: str = "open"
    zone: str = ""
    phase: int = 0
    breaks: bool = True
    over: str = "nothing"
    hours: tuple[int, int] | None = None
    times: tuple[int, ...] = ()
    shift: int = 0

    def __repr__(self) -> str:
        return _described(self)

    def between(self, after: int, until: int) -> Times:
        """Return the closes in (after, until], ns UTC, in order."""
        if until <= after:
            return np.zeros(0, dtype=np.int64)
        if self.calendar == ALWAYS and self.step != "month" and not self.times:
            found = _counted(after - self.shift, until - self.shift, self._always(), self.origin + self.phase)
        else:
            blocks = range((after - self.shift) // _BLOCK, (until - self.shift) // _BLOCK + 1)
            found = np.concatenate([_of_block(self, n) for n in blocks])
        found = np.asarray(found + self.shift, dtype=np.int64)
        return found[np.searchsorted(found, after, side="right") : np.searchsorted(found, until, side="right")]

    def _all(self, after: int, until: int) -> Times:
        """Return the closes of all sessions that touch the span, before they are shifted."""
        room = _ROOM if self.step in ("week", "month") else 2 * DAY
        days = np.array([after - room, until + room + (_REACH if self.step == "month" else 0)])
        known = calendars.sessions(self.calendar, *days.astype("M8[ns]").astype("M8[D]"))
        if len(known.days) == 0:
            return np.zeros(0, dtype=np.int64)
        if self.step in STEPS:
            return self._of_days(known, min(int(days[1]), calendars.horizon(self.calendar)))
        return self._at_times(known) if self.times else self._inside(known)

    @property
    def origin(self) -> int:
        """What bars of a market that never closes are counted from: 1970, but weeks from a Monday."""
        return 4 * DAY if self.step == "week" else 0

    def _always(self) -> int:
        return {"session": DAY, "week": 7 * DAY}.get(self.step) or duration(self.step)

    def _of_days(self, known: Sessions, until: int) -> Times:
        """Return the closes of the sessions, or of the last ones of weeks and months that are over by `until`."""
        ends = np.asarray(known.closes if not self.times else self.midnights(known) + self.times[0])
        if self.step == "session":
            return ends
        # A week begins on Monday; the epoch was a Thursday.
        week = (known.days.astype(np.int64) + 3) // 7
        period = week if self.step == "week" else known.days.astype("M8[M]").astype(np.int64)
        last = np.append(period[1:] != period[:-1], True)
        # Of a period that reaches beyond what is known, the last session is not known either.
        month = (known.days[-1:].astype("M8[M]") + 1).astype("M8[D]").astype(np.int64)
        over = 7 * (week[-1] + 1) - 3 if self.step == "week" else month[0]
        last[-1] = int(over) * DAY <= until
        return np.asarray(ends[last])

    def midnights(self, known: Sessions) -> Times:
        """Return midnight of each session's date, by the offset that the clock has when the session opens."""
        zone = self.zone or known.time_zone
        days = known.days.astype("M8[ns]").astype(np.int64)
        midnight: Times = days - _offsets(known.opens, zone)
        return midnight

    def _at_times(self, known: Sessions) -> Times:
        """Return the told times of every date; of those after an early end one, at that end."""
        at = self.midnights(known)[:, None] + np.array(self.times)[None, :]
        # Whether a day is short is told by the exchange's own clock, whatever clock the bars stand on.
        length = known.closes - self._replace(zone="").midnights(known)
        early = (length < np.median(length))[:, None] & (at > known.closes[:, None])
        return np.unique(np.where(early, known.closes[:, None], at))

    def _inside(self, known: Sessions) -> Times:
        begins, ends, runs_over = self._stretches(known)
        step = duration(self.step)
        first = begins + step if self.anchor == "open" else self._next_mark(known, begins, step)
        # As many as are needed for the first that does not lie before the end.
        count = np.maximum(0, -((first - ends) // step)) + 1
        row = np.repeat(np.arange(len(begins)), count)
        number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        marks = first[row] + number * step
        return np.unique(np.where(runs_over[row], marks, np.minimum(marks, ends[row])))

    def _next_mark(self, known: Sessions, begins: Times, step: int) -> Times:
        """Return the first mark of the clock after each stretch began."""
        midnight = np.repeat(self.midnights(known), len(begins) // len(known.days)) + self.phase
        return midnight + ((begins - midnight) // step + 1) * step

    def _stretches(self, known: Sessions) -> tuple[Times, Times, Flags]:
        """Return begin and end of every time without a pause, and whether its last bar runs over its end."""
        if self.hours is not None:
            midnight = self.midnights(known)
            begins, ends = (midnight + hour for hour in self.hours)
            return begins, ends, np.full(len(begins), self.over == "all")
        if not self.breaks or self._goes_on(known).any():
            return known.opens, known.closes, self._goes_on(known) | (self.over == "all")
        begins = np.stack([known.opens, known.pauses[:, 1]], axis=1).ravel()
        ends = np.stack([known.pauses[:, 0], known.closes], axis=1).ravel()
        paused = np.stack([known.pauses[:, 0] < known.pauses[:, 1], np.zeros(len(known.days), bool)], axis=1).ravel()
        over = np.where(paused, self.over != "nothing", self.over == "all")
        return begins, ends, over

    def _goes_on(self, known: Sessions) -> Flags:
        """Tell where the next session opens as this one closes: a bar of the clock runs from one into the other."""
        return np.append(known.opens[1:] <= known.closes[:-1], False) & (self.anchor == "clock")


class Timetable(NamedTuple):
    """When the bars of a source close: those of each of its markets.

    >>> both = Timetable((Closes("XNYS", "session"), Closes("XTKS", "session")))
    >>> both.between(*calendars.span_of("2024-07-01", "2024-07-01")).astype("M8[ns]").astype("M8[h]").tolist()
    [datetime.datetime(2024, 7, 1, 6, 0), datetime.datetime(2024, 7, 1, 20, 0)]
    """

    markets: tuple[Closes, ...]

    def __repr__(self) -> str:
        return "; ".join(map(repr, self.markets))

    def between(self, after: int, until: int) -> Times:
        """Return the closes in (after, until], ns UTC, in order and each once."""
        found = [one.between(after, until) for one in self.markets]
        return found[0] if len(found) == 1 else np.unique(np.concatenate(found))

    def next(self, after: int) -> int | None:
        """Return the first close after a moment, or None where the calendars know none any more."""
        for reach in (_REACH, 12 * _REACH):
            found = self.between(after, after + reach)
            if len(found):
                return int(found[0])
        return None

    def off(self, ts: Times) -> Times:
        """Return those of the moments at which no bar closes."""
        return ts[~np.isin(ts, self.between(int(ts[0]) - 1, int(ts[-1])))] if len(ts) else ts

    def silence(self, ts: Times) -> int:
        """Return how many closes in a row had no bar at most, between two bars.

        >>> hours = Timetable((Closes("24/7", "1h"),))
        >>> hours.silence(HOUR * np.array([1, 2, 5, 6]))
        2
        """
        if not len(ts):
            return 0
        at = np.searchsorted(self.between(int(ts[0]) - 1, int(ts[-1])), ts)
        return int(np.max(np.diff(at), initial=1)) - 1


@lru_cache(maxsize=256)
def _of_block(of: Closes, number: int) -> Times:
    """Return the closes of some weeks, unshifted; nobody writes into what is remembered."""
    first = number * _BLOCK
    found = np.sort(of._all(first, first + _BLOCK))
    found = found[(found >= first) & (found < first + _BLOCK)]
    found.flags.writeable = False
    return found


def _counted(after: int, until: int, step: int, phase: int) -> Times:
    # np.arange(first, last, step) counts in floating point, which forgets the last close of a long span.
    return np.arange((after - phase) // step + 1, (until - phase) // step + 1, dtype=np.int64) * step + phase


def _offsets(ts: Times, zone: str) -> Times:
    """Return what the clocks of a zone are ahead of UTC at these moments, ns."""
    import pandas as pd

    local = pd.DatetimeIndex(ts.astype("M8[ns]"), tz="UTC").tz_convert(zone).tz_localize(None)
    return np.asarray(local.as_unit("ns").asi8 - ts, dtype=np.int64)


def clock(ns: int) -> str:
    """Return ns from midnight as a time of day.

    >>> clock(int(9.5 * HOUR))
    '09:30'
    """
    return f"{ns // HOUR:02d}:{ns % HOUR // (60 * SECOND):02d}"


def clocked(text: str) -> int:
    """Return a time of day as ns from midnight.

    >>> clocked("09:30") == 9.5 * HOUR
    True
    """
    hour, minute = re.fullmatch(r"(\d\d):(\d\d)", text).groups()  # type: ignore[union-attr]
    return (int(hour) * 60 + int(minute)) * 60 * SECOND


def _described(of: Closes) -> str:
    where = of.zone or of.calendar
    if of.step in STEPS:
        told = f"every {of.step} of {of.calendar}" + (f" at {clock(of.times[0])}" if of.times else "")
    elif of.times:
        told = f"at {', '.join(map(clock, of.times))} of {where}"
    elif of.anchor == "open" and of.calendar != ALWAYS:
        told = f"every {of.step} from the opening of {of.calendar}"
    else:
        told = f"every {of.step} on the clock of {where}"
    if of.phase:
        told += f" from {np.timedelta64(of.phase // SECOND, 's').item()}"
    if of.hours is not None:
        told += f", {clock(of.hours[0])} to {clock(of.hours[1])}"
    told += "" if of.breaks else ", through the break"
    told += {"nothing": "", "breaks": ", over the break", "all": ", over the end"}[of.over]
    return told + (f", {of.shift / 1e9:+g} s" if of.shift else "")
