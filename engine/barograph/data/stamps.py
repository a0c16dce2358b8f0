"""From a table's column of times to the moments its bars closed: dates, times of day, zones, marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from barograph.data import calendars, times
from barograph.data.calendars import ALWAYS, DAY, Days, Times
from barograph.data.table import Reading, plain, spacing
from barograph.data.times import Note, Stamps, TwoReadings
from barograph.epoch import HOUR
from barograph.errors import DataError, nearest_zone

__all__ = ["closes", "instants", "parts"]

_FIRST, _LAST = 1700, 2250
_MINUTE: Final = 60_000_000_000
_MONTH: Final = 365.25 / 12 * DAY


def parts(frame: pd.DataFrame, named: Sequence[str], source: str) -> dict[str, str]:
    """Return which of the columns called like a time is the time, and which the clock beside it.

    Raises `DataError` when several are whole times.
    """
    clock = [n for n in named if plain(n) == "time" and len(named) > 1 and times.are_clocks(_texts(frame[n].dropna()))]
    dates = [name for name in named if name not in clock]
    if len(dates) > 1:
        told = " and ".join(map(repr, dates))
        raise DataError(f"{source}: {told} are both times; say which with columns = {{time = {dates[0]!r}}}")
    return ({"time": dates[0]} if dates else {}) | ({"clock": clock[0]} if clock else {})


def closes(frame: pd.DataFrame, names: Mapping[str, str], how: Reading) -> tuple[Times, Days | None, tuple[Note, ...]]:
    """Return each row's close in ns UTC, its date where the file gives dates, and notes on how times were read."""
    if how.bars_mark not in ("close", "open"):
        raise DataError(f"{how.source}: bars_mark = {how.bars_mark!r}; wanted 'close' or 'open'")
    stamps, zone = _stamps(frame, names, how)
    notes = tuple(note._replace(row=how.row(note.row)) for note in stamps.notes)
    local = _local(stamps, how)
    lengths = _lengths(how)
    if bool((local % DAY == 0).all()) and (lengths is None or bool((lengths % DAY == 0).all())):
        _days_without_end(stamps, how)
        return *_of_dates((local // DAY).astype("M8[D]"), how, zone), notes
    _refuse_mixed(stamps, how)
    moments = _moments(stamps, how)
    return (_ends(moments, how) if how.bars_mark == "open" else moments), None, notes


def instants(column: pd.Series, how: Reading) -> Times:
    """Return a column of times as moments in ns UTC: a date is its midnight, and without an offset times are UTC."""
    if len(column) == 0:
        return np.array([], dtype=np.int64)
    stamps, _ = _read(column, None, how, None)
    return np.asarray(stamps.wall - stamps.offset)


def _stamps(frame: pd.DataFrame, names: Mapping[str, str], how: Reading) -> tuple[Stamps, str | None]:
    raw = pd.Series(frame.index) if "time" not in names else frame[names["time"]].reset_index(drop=True)
    clock = frame[names["clock"]].reset_index(drop=True) if "clock" in names else None
    return _read(raw, clock, how, how.vendor)


def _read(raw: pd.Series, clock: pd.Series | None, how: Reading, vendor: Any) -> tuple[Stamps, str | None]:
    """Return a column of times as it is written, and the zone that it names itself."""
    for column in (raw,) if clock is None else (raw, clock):
        if bool(column.isna().any()):
            row = int(np.argmax(column.isna().to_numpy()))
            told = "there is no time, and a line without one is no bar: remove it, or say which column is the time"
            raise DataError(f"{how.source}: {how.at(row)}: {told}")
    if clock is None and (isinstance(raw.dtype, pd.DatetimeTZDtype) or raw.dtype.kind == "M"):
        return _of_moments(pd.DatetimeIndex(raw), how)
    try:
        last = raw if clock is None else clock
        plainly, zone = times.without_zone(last, how.at) if how.date_format is None else (last, None)
        raw, clock = (plainly, None) if clock is None else (raw, plainly)
        found = _of_column(raw, clock, how, vendor)
    except TwoReadings as error:
        raise error.of(how.source) from None
    except DataError as error:
        raise DataError(f"{how.source}: {error}") from None
    return (found, _zone(found)) if zone is None else (_there(found, zone, how), zone)


def _there(stamps: Stamps, zone: str, how: Reading) -> Stamps:
    """Return times beside which a zone is written, with the offset that it has then."""
    if stamps.aware.any():
        return stamps
    moments = _localized(stamps.wall, how._replace(time_zone=zone))
    return stamps._replace(offset=stamps.wall - moments, aware=~stamps.whole)


def _of_column(raw: pd.Series, clock: pd.Series | None, how: Reading, vendor: Any) -> Stamps:
    told = how.date_format
    if clock is None:
        if pd.api.types.is_numeric_dtype(raw) and (told is None or "%" not in told):
            return times.from_numbers(raw.to_numpy(), how.at, told)
        return times.from_texts(_texts(raw), how.at, told, vendor)
    dates = _texts(raw)
    if told is not None and not ("%H" in told or "%I" in told):
        days = times.from_texts(dates, how.at, told, vendor).wall // DAY
        dates, told = days.astype("M8[D]").astype("str").astype(object), None
    return times.from_texts(dates + " " + _texts(clock), how.at, told, vendor)


def _texts(column: pd.Series) -> Any:
    """Return a column as texts (T,); dates and times that are objects are written as ISO has them."""
    if pd.api.types.is_numeric_dtype(column):
        return column.astype("int64").astype("str").to_numpy(dtype=object)
    if isinstance(column.dtype, pd.StringDtype):
        return column.to_numpy(dtype=object)
    written = [one.isoformat() if hasattr(one, "isoformat") else str(one) for one in column]
    return np.array(written, dtype=object)


def _of_moments(index: pd.DatetimeIndex, how: Reading) -> tuple[Stamps, str | None]:
    outside = np.asarray((index.year < _FIRST) | (index.year >= _LAST))
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(
            f"{how.source}: {how.at(row)}: {index[row]} lies outside {_FIRST}..{_LAST}, the years that 64-bit "
            f"nanoseconds can hold"
        )
    wall = index.tz_localize(None).as_unit("ns").asi8
    offset = wall - index.as_unit("ns").asi8
    none = np.zeros(len(wall), dtype=bool)
    return Stamps(wall, offset, none | (index.tz is not None), none), None if index.tz is None else str(index.tz)


def _zone(stamps: Stamps) -> str | None:
    """Return the one offset that is written beside all times, as a zone."""
    offset = int(stamps.offset[0])
    if not stamps.aware.all() or bool((stamps.offset != offset).any()):
        return None
    minutes = abs(offset) // _MINUTE
    return f"UTC{'-' if offset < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}" if offset else "UTC"


def _local(stamps: Stamps, how: Reading) -> Times:
    """Return wall clocks: those that were written, or those of a zone that is told."""
    if how.time_zone is None or not stamps.aware.any():
        return stamps.wall
    try:
        local = _utc(stamps).tz_convert(how.time_zone).tz_localize(None).as_unit("ns").asi8
    except (KeyError, ValueError) as error:
        raise _unknown_zone(how, error) from None
    return np.where(stamps.aware, local, stamps.wall)


def _utc(stamps: Stamps) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(stamps.wall - stamps.offset, tz="UTC")


def _unknown_zone(how: Reading, error: Exception) -> DataError:
    told = f"times do not fit time_zone = {how.time_zone!r}: {error}; use 'UTC' if that is what they are"
    if isinstance(error, KeyError):
        told = (
            f"time_zone = {how.time_zone!r} is unknown{nearest_zone(str(how.time_zone))}; write it like 'Europe/Berlin'"
        )
    return DataError(f"{how.source}: {told}")


def _refuse_mixed(stamps: Stamps, how: Reading) -> None:
    """Refuse dates among times of day, times without an offset among others, and a clock that nobody can know."""
    if how.clock and how.time_zone is None and not stamps.aware.all():
        told = (
            f"{how.clock}, and no file says which that is; say it with time_zone= (barograph data look shows what fits)"
        )
        raise DataError(f"{how.source}: {how.at(0)}: {told}")
    if stamps.whole.any():
        row = int(np.argmax(stamps.whole))
        date = stamps.wall[row].astype("M8[ns]").astype("M8[D]")
        told = f"{date} is a date among times of day: its midnight, or the close of its session? write the time"
        raise DataError(f"{how.source}: {how.at(row)}: {told}")
    if stamps.aware.any() and not stamps.aware.all() and how.time_zone is None:
        row = int(np.argmin(stamps.aware))
        other = int(np.argmax(stamps.aware))
        told = f"a time without an offset, and {how.at(other)} has one; say where it is meant with time_zone="
        raise DataError(f"{how.source}: {how.at(row)}: {told}")


def _moments(stamps: Stamps, how: Reading) -> Times:
    moments = stamps.wall - stamps.offset
    if not stamps.aware.all() and how.time_zone is not None:
        moments = np.where(stamps.aware, moments, 0)
        moments[~stamps.aware] = _localized(stamps.wall[~stamps.aware], how)
    return np.array(moments)


def _localized(wall: Times, how: Reading) -> Times:
    # Which of two equal autumn hours is meant is told by their order: newest first is turned round to be asked.
    back = bool(wall[0] > wall[-1])
    local = pd.DatetimeIndex(wall[::-1] if back else wall)
    try:
        found = local.tz_localize(how.time_zone or "UTC", ambiguous="infer").as_unit("ns").asi8
    except (KeyError, ValueError) as error:
        raise _unknown_zone(how, error) from None
    return np.asarray(found[::-1] if back else found)


def _days_without_end(stamps: Stamps, how: Reading) -> None:
    """Refuse days whose offset changes where no session says when they end."""
    changed = np.flatnonzero(np.diff(stamps.offset))
    if how.calendar == ALWAYS and how.time_zone is None and len(changed) and stamps.aware.all():
        row = int(changed[0]) + 1
        told = "midnights whose offset changes here end at no one hour; say where they are with time_zone="
        raise DataError(f"{how.source}: {how.at(row)}: {told}")


def _of_dates(days: Days, how: Reading, zone: str | None) -> tuple[Times, Days]:
    if how.bars_mark == "open":
        days = _last_days(days, how)
    return calendars.closes(how.calendar, days, how.closes_at, how.time_zone or zone), days


def _last_days(starts: Days, how: Reading) -> Days:
    """Bars stamped with their first day close on the last session before the next one starts."""
    lengths = _lengths(how)
    ends = _before_the_next(starts, how.calendar) if lengths is None else starts + (lengths // DAY - 1)
    if how.calendar == ALWAYS:
        return ends
    known = calendars.sessions(how.calendar, starts.min(), ends.max()).days
    if len(known) == 0:
        return ends
    last = known[np.maximum(np.searchsorted(known, ends, side="right") - 1, 0)]
    return np.where((starts <= last) & (last <= ends), last, ends)


def _before_the_next(starts: Days, calendar: str) -> Days:
    """Return the day before the next bar starts: a session, some days, weeks or months later, by the usual step."""
    step = spacing(starts.astype("M8[ns]").astype(np.int64))
    if step <= (DAY if calendar == ALWAYS else 4 * DAY):
        return starts
    # The first of several months may begin within one; more such are of so many days.
    begun = starts.astype("M8[M]")
    if step >= 20 * DAY and np.count_nonzero((starts - begun.astype("M8[D]")).astype(np.int64) >= 10) <= 1:
        return (begun + max(round(step / _MONTH), 1)).astype("M8[D]") - 1
    days = -(-step // DAY)
    return starts + (max(days, 7) if step > 4 * DAY else days) - 1


def _lengths(how: Reading) -> Times | None:
    """Return how long each row lasts where that is told, of the rows that are read."""
    return how.lengths if how.lengths is None or how.kept is None else how.lengths[how.kept]


def _ends(opens: Times, how: Reading) -> Times:
    """Return when bars stamped with their opens end: one length later, or at the session's close if that is sooner.

    Where the next session opens at that very close, a bar may run over it: nothing is known of it before its end.
    """
    lengths = _lengths(how)
    ends = opens + (_length(opens) if lengths is None else lengths)
    if how.calendar == ALWAYS:
        return ends
    known, at, inside = calendars.placed(how.calendar, opens + 1)  # a bar that opens at the close is not inside
    if len(known.days) == 0:
        return ends
    goes_on = np.append(known.opens[1:] <= known.closes[:-1], False)[at]
    return np.where(inside & ~goes_on, np.minimum(ends, known.closes[at]), ends)


def _length(opens: Times) -> int:
    """Return how long a bar is: the usual step inside a day, if there is one; two bars a session are a night apart."""
    steps = np.diff(np.unique(opens))
    inside = steps[steps < 12 * HOUR]
    return int(np.median(inside)) if 4 * len(inside) >= len(steps) > 0 else spacing(opens)
