"""Times that are numbers: what they count since 1970 is told by their size, row by row, or they are dates in digits."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from barograph.data.times.forms import Ints, Mask, Place
from barograph.data.times.readings import Note, civil
from barograph.epoch import FIRST, LAST
from barograph.errors import DataError

__all__ = ["UNITS", "counted", "digits"]

UNITS: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""What numbers may count, and how many nanoseconds that is."""
_NAMES: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_EARLIEST: Final = 10**17
"""3 March 1973 in ns. From there to 2250 a number of each unit has digits of its own: no other unit reaches it."""

_CLOCKS: Final = {8: "", 10: "%H", 12: "%H%M", 14: "%H%M%S"}
_SECOND: Final = 1_000_000_000
_SERIAL: Final = (20_000, 80_000)
"""The days that spreadsheets count from 1954 to 2119."""


def counted(values: Any, told: str | None, place: Place) -> tuple[Ints, list[Note]]:
    """Return what numbers count since 1970 in ns (T,), each row in the unit that its size tells.

    A unit that is told serves the rows whose size tells none: those before 1973. Raises `DataError` for a number that
    counts nothing between 1700 and 2250, and for a told unit that not one row has.

    >>> counted(np.array([1735689599000, 1735689600000000]), None, "row {}".format)[0].tolist()
    [1735689599000000000, 1735689600000000000]
    """
    unit = _units(values)
    own = 0 if told is None else UNITS[told]
    if own and not (unit == own).any() and (unit > 0).any():
        row = int(np.argmax(unit > 0))
        counts, date = int(unit[row]), _as_date(values[row], int(unit[row]))
        raise DataError(
            f"{place(row)}: date_format = {told!r}, and {_number(values[row])} counts {_name(counts)} ({date}); wanted "
            f"date_format = {_short(counts)!r}"
        )
    unit = np.where(unit == 0, own, unit)
    inside = _fits(values, unit)
    if not inside.all():
        row = int(np.argmin(inside))
        raise DataError(
            f"{place(row)}: {_number(values[row])} is no time; wanted seconds, milli-, micro- or nanoseconds of 1970; "
            f"before 1973 say which with date_format = 's', 'ms', 'us' or 'ns'{_as_serial(values)}"
        )
    return _moments(values, unit), _changes(values, unit, place)


def _as_serial(values: Any) -> str:
    """Return what numbers are as days of a spreadsheet, where all may be some."""
    if not ((values >= _SERIAL[0]) & (values < _SERIAL[1])).all():
        return ""
    date = np.datetime64("1899-12-30", "D") + int(values[0])
    return f" (if a spreadsheet counts days so, {_number(values[0])} is {date}: save dates as they are shown)"


def _units(values: Any) -> Ints:
    """Return the ns of each row's unit by its size, 0 where no unit puts it between 1973 and 2250."""
    unit = np.zeros(len(values), dtype=np.int64)
    for one in UNITS.values():
        unit[(values >= -(-_EARLIEST // one)) & (values < -(-LAST // one))] = one
    return unit


def _fits(values: Any, unit: Ints) -> Mask:
    safe = np.maximum(unit, 1)
    return np.asarray((unit > 0) & (values >= FIRST / safe) & (values < LAST / safe))


def _moments(values: Any, unit: Ints) -> Ints:
    if values.dtype.kind in "iu":
        return np.asarray(values.astype(np.int64) * unit)
    # Beyond the microsecond a float64 of our days has no digits left.
    return np.asarray(np.round(values * (unit / 1000.0)).astype(np.int64) * 1000)


def _changes(values: Any, unit: Ints, place: Place) -> list[Note]:
    rows = np.flatnonzero(np.diff(unit)) + 1
    if len(rows) == 0:
        return []
    row = int(rows[0])
    text = (
        f"times count {_name(int(unit[row - 1]))} up to here and {_name(int(unit[row]))} from {_number(values[row])} on"
    )
    return [Note("unit_changes", row, text)]


def _name(unit: int) -> str:
    return _NAMES[_short(unit)]


def _short(unit: int) -> str:
    return next(name for name, ns in UNITS.items() if ns == unit)


def _number(value: Any) -> str:
    return str(int(value)) if float(value).is_integer() else str(float(value))


def _as_date(value: Any, unit: int) -> str:
    return str(np.datetime64(int(_moments(np.array([value]), np.array([unit]))[0]), "ns").astype("M8[s]"))


def digits(values: Any) -> tuple[Ints, Mask] | None:
    """Return numbers read as dates in digits, ns (T,) and which have no time of day; None when one is no such date.

    They are YYYYMMDD with nothing, HH, HHMM or HHMMSS after it.

    >>> digits(np.array([20240701, 20240702]))[0].astype("M8[ns]").astype("M8[D]")
    array(['2024-07-01', '2024-07-02'], dtype='datetime64[D]')
    """
    if values.dtype.kind not in "iu":
        return None
    moments, whole, left = np.zeros(len(values), np.int64), np.zeros(len(values), bool), np.ones(len(values), bool)
    for width in _CLOCKS:
        rows = (values >= 10 ** (width - 1)) & (values < 10**width)
        if rows.any():
            read, real = _taken_apart(values[rows].astype(np.int64), width)
            if not real.all():
                return None
            moments[rows], whole[rows], left[rows] = read, width == 8, False
    return None if left.any() else (moments, whole)


def _taken_apart(values: Ints, width: int) -> tuple[Ints, Mask]:
    clock = values % 10 ** (width - 8) * 10 ** (14 - width)
    date = values // 10 ** (width - 8)
    days, real = civil(date // 10_000, date // 100 % 100, date % 100)
    hour, minute, second = clock // 10_000, clock // 100 % 100, clock % 100
    years = (date // 10_000 >= 1700) & (date // 10_000 < 2250)
    real = real & years & (hour < 24) & (minute < 60) & (second < 60)
    days = np.where(real, days, 0)
    return ((days * 24 + hour) * 60 + minute) * 60 * _SECOND + second * _SECOND, real
