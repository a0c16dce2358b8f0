"""When exchanges are open: a thin edge over `exchange_calendars`.

A daily bar is stamped with the moment its session closed, so that half-days and daylight saving are right and two
assets of one exchange share their time stamps. The calendars are imported at the first question only (0.2 s), built
for whole years around the dates asked about (0.15 s for 35 years of New York), and remembered. So is pandas (another
quarter of a second): moments that come as numbers need neither.
"""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.epoch import FIRST, HOUR, LAST
from barograph.errors import DataError, nearest, nearest_zone

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ALWAYS", "CURRENCIES", "DAY", "Days", "Sessions", "Times", "apart", "bars_a_session", "check_times",
           "closes", "horizon", "nanoseconds", "opened", "placed", "sessions", "sessions_a_bar", "span_of", "together",
           "utc", "wall_of"]  # fmt: skip

Times = NDArray[np.int64]
Days = NDArray[np.datetime64]

ALWAYS: Final = "24/7"
"""The calendar of markets that never close: every day is a session, from midnight to midnight UTC."""

CURRENCIES: Final = "FX"
"""The calendar of the currency week: from Sunday 17:00 to Friday 17:00 New York, five days that end at 17:00."""

DAY: Final = 24 * HOUR
_NEW_YORK: Final = "America/New_York"

_AND: Final = "+"
_OURS: Final = (ALWAYS, CURRENCIES)


def together(codes: Iterable[str]) -> str:
    """Return the calendars as one word, each once and in the order of the alphabet; two names of one are one.

    >>> together(["XTKS", "XNYS", "XTKS"]), together(["NYSE", "XNYS"]), together(["XTKS+XNYS", "24/7"])
    ('XNYS+XTKS', 'XNYS', '24/7+XNYS+XTKS')
    """
    named = {one for code in codes for one in apart(code)}
    return _AND.join(sorted(named if len(named) < 2 else {_own_name(one) for one in named}))


def _own_name(code: str) -> str:
    from exchange_calendars import errors, resolve_alias

    try:
        return code if code in _OURS else str(resolve_alias(code))
    except errors.InvalidCalendarName:
        return code


def apart(code: str) -> tuple[str, ...]:
    """Return the calendars that one word names.

    >>> apart("XNYS+XTKS")
    ('XNYS', 'XTKS')
    """
    return tuple(code.split(_AND))


class Sessions(NamedTuple):
    """Trading sessions in order: date (S,), open and close (S,) in int64 ns UTC, and the exchange's time zone.

    `pauses` (S, 2) is when the midday break begins and ends; both are the close where there is none.
    """

    days: Days
    opens: Times
    closes: Times
    time_zone: str
    pauses: Times


def sessions(code: str, first: np.datetime64, last: np.datetime64) -> Sessions:
    """Return the sessions from one date to another, both included.

    Dates before or after what the exchange's calendar records are left out.

    >>> import pandas as pd
    >>> half_day = np.datetime64("2023-11-24")
    >>> found = sessions("XNYS", np.datetime64("2023-11-23"), half_day)  # Thanksgiving has no session
    >>> found.days == half_day, pd.Timestamp(found.closes[0]).hour
    (array([ True]), 18)

    Raises `DataError` for a calendar nobody knows.
    """
    if len(apart(code)) > 1:
        raise DataError(f"calendar = {code!r} names {len(apart(code))} markets; wanted one, such as {apart(code)[0]!r}")
    first, last = first.astype("M8[D]"), last.astype("M8[D]")
    if code == ALWAYS:
        days = np.arange(first, last + 1)
        opens = days.astype("M8[ns]").astype(np.int64)
        return Sessions(days, opens, opens + DAY, "UTC", np.stack([opens + DAY] * 2, axis=1))
    if code == CURRENCIES:
        return _currency_days(first, last)
    whole = _built(code, int(str(first)[:4]), int(str(last)[:4]))
    inside = slice(int(np.searchsorted(whole.days, first)), int(np.searchsorted(whole.days, last, side="right")))
    columns = (whole.days[inside], whole.opens[inside], whole.closes[inside], whole.time_zone, whole.pauses[inside])
    return Sessions(*columns)


def _currency_days(first: np.datetime64, last: np.datetime64) -> Sessions:
    """Return the days of the currency week: each begins at 17:00 New York of the day before, Monday's on Sunday."""
    days = np.arange(first, last + 1)
    days = days[np.is_busday(days)]
    opens, ends = (_moments(each, "17:00", _NEW_YORK) for each in (days - 1, days))
    return Sessions(days, opens, ends, _NEW_YORK, np.stack([ends, ends], axis=1))


def horizon(code: str) -> int:
    """Return until when a calendar is known, ns UTC: `LAST` where no end is recorded; of several markets the nearest.

    Some holidays are announced a year ahead. After the last of them nobody can tell a day without trading from a day
    without a bar.

    >>> horizon("24/7") == LAST, horizon("XNYS+24/7") == LAST
    (True, True)

    Raises `DataError` for a calendar that nobody knows, or that cannot be built.
    """
    return min(LAST if one in _OURS else _recorded_until(one) for one in apart(code))


def _recorded_until(code: str) -> int:
    if code not in _UNTIL:
        _calendar(code, "2020-01-01", "2020-12-31")
    return _UNTIL[code]


_UNTIL: Final[dict[str, int]] = {}
"""Where the calendars end that were built so far: to build one for that alone would take its time."""


def closes(code: str, days: Days, closes_at: str = "16:00", time_zone: str | None = None) -> Times:
    """Return the moment each date's session closes, int64 ns UTC.

    A date that is no session closes at `closes_at` in `time_zone` (default: the exchange's own). On the calendar
    "24/7" a day ends at the next midnight of `time_zone` (default: UTC).

    >>> import pandas as pd
    >>> summer_and_winter = np.array(["2024-07-01", "2024-12-02"], "M8[D]")
    >>> [str(pd.Timestamp(t)) for t in closes("XNYS", summer_and_winter)]
    ['2024-07-01 20:00:00', '2024-12-02 21:00:00']
    """
    days = days.astype("M8[D]")
    if code == ALWAYS:
        return _moments(days + 1, "00:00", time_zone or "UTC")
    known = sessions(code, days.min(), days.max())
    at = np.minimum(np.searchsorted(known.days, days), len(known.days) - 1)
    found = known.days[at] == days if len(known.days) else np.zeros(len(days), dtype=bool)
    result = np.empty(len(days), dtype=np.int64)
    result[found] = known.closes[at[found]]
    if not found.all():
        result[~found] = _moments(days[~found], closes_at, time_zone or known.time_zone)
    return result


def placed(code: str, ts: Times) -> tuple[Sessions, Times, NDArray[np.bool_]]:
    """Return the sessions around these moments, each moment's place among them, and whether it is in trading hours.

    A bar's close belongs to the session whose open lies before it and whose close does not.
    """
    days = np.array([ts.min(), ts.max()]).astype("M8[ns]").astype("M8[D]")
    known = sessions(code, days[0] - np.timedelta64(2, "D"), days[1] + np.timedelta64(2, "D"))
    if len(known.days) == 0:
        return known, np.zeros(len(ts), dtype=np.int64), np.zeros(len(ts), dtype=bool)
    at = np.minimum(np.searchsorted(known.closes, ts), len(known.closes) - 1)
    return known, at, (known.opens[at] < ts) & (ts <= known.closes[at])


def _moments(days: Days, clock: str, time_zone: str) -> Times:
    import pandas as pd

    try:
        hour, minute = (int(part) for part in clock.split(":"))
        local = pd.DatetimeIndex(days.astype("M8[ns]")) + pd.Timedelta(hours=hour, minutes=minute)
    except ValueError:
        raise DataError(f"closes_at = {clock!r} is not a time of day; write it like '16:00'") from None
    return utc(local, time_zone).asi8


def utc(local: pd.DatetimeIndex, time_zone: str) -> pd.DatetimeIndex:
    """Return local wall-clock times as UTC; of two equal autumn hours the second, a spring hour that is none moves on.

    Raises `DataError` for a time zone nobody knows.
    """
    try:
        aware = local.tz_localize(time_zone, ambiguous=np.zeros(len(local), dtype=bool), nonexistent="shift_forward")
    except (KeyError, ValueError) as error:
        near = nearest_zone(time_zone) if isinstance(error, KeyError) else f" ({error})"
        raise DataError(f"time_zone = {time_zone!r} is unknown{near}; write it like 'Europe/Berlin'") from None
    return aware.tz_convert("UTC").as_unit("ns")


def wall_of(ts: Times, time_zone: str) -> Times:
    """Return what the clocks of a time zone show at these moments, in ns since their 1970.

    >>> wall_of(np.array([0]), "Asia/Tokyo") // HOUR
    array([9])
    """
    import pandas as pd

    local = pd.DatetimeIndex(ts, tz="UTC").tz_convert(time_zone).tz_localize(None)
    return np.asarray(local.as_unit("ns").asi8)


@lru_cache(maxsize=32)
def _built(code: str, first_year: int, last_year: int) -> Sessions:
    import pandas as pd

    found = _calendar(code, f"{first_year}-01-01", f"{last_year}-12-31")
    days = found.sessions.to_numpy().astype("M8[D]")
    opens, ends = (pd.DatetimeIndex(column).as_unit("ns").asi8 for column in (found.opens, found.closes))
    breaks = (pd.DatetimeIndex(column).as_unit("ns") for column in (found.break_starts, found.break_ends))
    pauses = np.stack([np.where(column.isna(), ends, column.asi8) for column in breaks], axis=1)
    return Sessions(days, opens, ends, str(found.tz), pauses)


def _calendar(code: str, start: str, end: str) -> Any:
    """Return the library's calendar, and remember where it ends."""
    import pandas as pd

    found = _from_library(code, start, end)
    last = type(found).bound_max()
    _UNTIL[code] = LAST if last is None else pd.Timestamp(last).as_unit("ns").value + DAY
    return found


def _from_library(code: str, start: str, end: str) -> Any:
    """Return the library's calendar; what it raises for one that it knows and cannot build may be as long as a book."""
    import exchange_calendars

    try:
        return _quietly(exchange_calendars.get_calendar, code, start, end)
    except exchange_calendars.errors.InvalidCalendarName:
        known = [*_OURS, *exchange_calendars.get_calendar_names()]
        raise DataError(
            f"calendar = {code!r} is unknown{nearest(code, known)}; wanted an exchange's code (XNYS), {ALWAYS!r} or "
            f"{CURRENCIES!r}"
        ) from None
    except ValueError:  # some holidays are recorded for part of the years only
        try:
            return _within_bounds(exchange_calendars, code, start, end)
        except Exception as error:
            raise _unbuildable(code, error) from error
    except Exception as error:
        raise _unbuildable(code, error) from error


def _unbuildable(code: str, error: Exception) -> DataError:
    import exchange_calendars
    import pandas as pd

    versions = f"exchange_calendars {exchange_calendars.__version__} cannot build it with pandas {pd.__version__}"
    said = " ".join(str(error).split())[:60]
    return DataError(
        f"calendar = {code!r}: {versions} ({type(error).__name__}: {said}); use releases of the two that can, or, for "
        f"a backtest, {ALWAYS!r} with the exchange's time_zone"
    )


def _quietly(get_calendar: Callable[..., Any], code: str, start: Any, end: Any) -> Any:
    with warnings.catch_warnings():
        # The library's quarrel with the next pandas is not the user's.
        warnings.simplefilter("ignore", DeprecationWarning)
        return get_calendar(code, start=start, end=end)


def _within_bounds(library: Any, code: str, start: str, end: str) -> Any:
    import pandas as pd

    recorded = _quietly(library.get_calendar, code, None, None)
    earliest, latest = type(recorded).bound_min(), type(recorded).bound_max()
    first = max(pd.Timestamp(start), earliest) if earliest is not None else pd.Timestamp(start)
    last = min(pd.Timestamp(end), latest) if latest is not None else pd.Timestamp(end)
    return _quietly(library.get_calendar, code, first, last) if first < last else recorded


def span_of(start: Any, end: Any) -> tuple[int, int]:
    """Return the first and last ns UTC of a span; a bare date means its whole day, open ends mean all time.

    >>> first, last = span_of("1970-01-02", "1970-01-02")
    >>> first - 86_400_000_000_000, last - first
    (1, 86399999999999)
    """
    first = FIRST if start is None else _moment(start, "start", 1)
    return first, LAST if end is None else _moment(end, "end", DAY)


def _moment(value: Any, name: str, of_day: int) -> int:
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, str):
        found, whole_day = _told_moment(value, name)
        return found + of_day if whole_day else found
    import pandas as pd

    try:
        stamp = pd.Timestamp(value)
        if pd.isna(stamp):
            raise ValueError("no moment")
        stamp = stamp.tz_localize("UTC") if stamp.tz is None else stamp.tz_convert("UTC")
        nanoseconds = int(stamp.as_unit("ns").value)
    except (ValueError, TypeError):
        raise DataError(f"{name} = {value!r} is no time; write it like '2024-07-01'") from None
    is_date = isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)
    return nanoseconds + of_day if is_date else nanoseconds


def _told_moment(text: str, name: str) -> tuple[int, bool]:
    from barograph.data.times import TwoReadings, moment

    try:
        return moment(text)
    except TwoReadings as error:
        raise DataError(f"{name} = {text!r} is {' or '.join(error.ways)}; write it like '2024-07-01'") from None
    except DataError:
        raise DataError(f"{name} = {text!r} is no time; write it like '2024-07-01'") from None


def nanoseconds(ts: Any) -> Times:
    """Return datetime64 or whole numbers as int64 ns; raises `DataError` for anything else."""
    array = np.asarray(ts)
    if array.dtype.kind == "M":
        import pandas as pd

        try:
            return np.asarray(pd.DatetimeIndex(array).as_unit("ns").asi8)
        except pd.errors.OutOfBoundsDatetime as error:
            raise DataError(f"ts: {error}; wanted the years 1700..2250") from None
    if array.dtype.kind not in "iu" and len(array):
        raise DataError(f"ts holds {array.dtype}; wanted int64 nanoseconds UTC or datetime64")
    return array.astype(np.int64)


def opened(code: str, ts: Times, step: int) -> Times:
    """Return the moment each bar opened: when its market did, after the bar before and at most a `step` before its end.

    A bar that ends outside the trading hours opened just then, without asking the calendar.

    >>> hours = 3_600_000_000_000 * np.array([14, 15, 39])  # an hour of trading at 13:30 to 14:00, and a day later
    >>> (opened("24/7", hours, hours[1] - hours[0]) // 3_600_000_000_000).tolist()
    [13, 14, 38]
    """
    begin = np.maximum(ts - step, np.concatenate((ts[:1] - step, ts[:-1])))
    if code == ALWAYS:
        return begin
    known, at, _ = placed(code, np.concatenate((begin + 1, ts)))
    if len(known.opens) == 0:
        return begin
    later = np.maximum(begin, known.opens[at[: len(ts)]])
    return np.where(later < ts, later, begin)


def bars_a_session(code: str, ts: Times) -> float:
    """Return the median number of bars that a session of a calendar holds."""
    return float(np.median(np.unique(placed(code, ts)[1], return_counts=True)[1]))


def sessions_a_bar(code: str, ts: Times) -> float:
    """Return the median number of sessions from one bar to the next, at least 1."""
    return max(1.0, float(np.median(np.diff(placed(code, ts)[1]))))


def check_times(source: str, ts: Times) -> None:
    """Raise `DataError` unless the moments increase and stay within the years that are accepted."""
    outside = (ts < FIRST) | (ts >= LAST)
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(
            f"{source}: row {row}: ts = {ts[row]} lies outside the years 1700..2250; wanted nanoseconds UTC"
        )
    back = np.diff(ts) <= 0
    if back.any():
        import pandas as pd

        row = int(np.argmax(back)) + 1
        raise DataError(
            f"{source}: row {row}: ts = {pd.Timestamp(ts[row])} does not follow {pd.Timestamp(ts[row - 1])}; "
            f"sort the bars and drop duplicates"
        )
