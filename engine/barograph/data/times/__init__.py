"""Times as people write them become moments, or are refused with what they may mean.

No clock is asked and nothing is guessed: ISO, a format that is told, a form that the whole column proves. What two
readings fit is an error that names both. The machine's language and its TZ change nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.data.times import epochs
from barograph.data.times.forms import (
    TIME_OF_DAY,
    Bytes,
    Ints,
    Mask,
    Place,
    matrix_of,
    numeric,
    shapes,
    stripped,
    text_at,
    written,
)
from barograph.data.times.readings import Note, TwoReadings, days_of, two_fit, undecided
from barograph.data.times.told import told_form
from barograph.epoch import DAY, FIRST, LAST
from barograph.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Note",
    "Place",
    "Stamps",
    "TwoReadings",
    "are_clocks",
    "from_numbers",
    "from_texts",
    "moment",
    "undecided",
    "without_zone",
]

_ZONE: Final = re.compile(r" ?\[?((?:[A-Z][A-Za-z_]+/)+[A-Z][A-Za-z_+\-0-9]+)\]?$")
"""A zone by its name, such as America/New_York: it is known everywhere, other than EST."""
_YEARS: Final = "1700..2250, the years that 64-bit nanoseconds can hold"


class Stamps(NamedTuple):
    """A column of times (T,): `wall` as written in ns, the `offset` from UTC that stands beside it in ns, and notes.

    `aware` says where there is an offset, `whole` where there is a date and no time of day.
    """

    wall: Ints
    offset: Ints
    aware: Mask
    whole: Mask
    notes: tuple[Note, ...] = ()


def from_texts(
    texts: Any, place: Place, date_format: str | None = None, vendor: tuple[str, str, str] | None = None
) -> Stamps:
    """Read a column of texts.

    `place` says where a row stands; `date_format` is a strptime format, or "s", "ms", "us", "ns" for numbers; `vendor`
    is the name, the separator and the order of one whose files these are.

    >>> stamps = from_texts(["27.12.2000", "28.12.2000"], "line {}".format)
    >>> stamps.wall.astype("M8[ns]").astype("M8[D]"), stamps.notes[0].row
    (array(['2000-12-27', '2000-12-28'], dtype='datetime64[D]'), 0)
    >>> from_texts(["01/07/2024", "02/07/2024"], "line {}".format)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    barograph.data.times.readings.TwoReadings: line 0: '01/07/2024' is 2024-07-01 with the day first (date_format = ...

    Raises `DataError` naming the first row that is no time, or what it may be.
    """
    told = None if date_format is None or date_format in epochs.UNITS else told_form(date_format)
    matrix = matrix_of(texts, place)
    split = shapes(matrix)
    if any(shape != shape.strip() for shape, _ in split):
        matrix = stripped(matrix)
        split = shapes(matrix)
    if told is None and numeric(split) and not (date_format is None and all(shape == "DDDDDD" for shape, _ in split)):
        return _in_digits(matrix, date_format, place)
    if date_format in epochs.UNITS:
        row = next(int(rows[0]) for shape, rows in split if not numeric([(shape, rows)]))
        text = text_at(matrix, row)
        raise DataError(f"{place(row)}: {text!r} is no number; date_format = {date_format!r} counts since 1970")
    column = written(matrix, split, place, told)
    days, notes = days_of(column, matrix, place, vendor)
    outside = (days < FIRST // DAY) | (days >= LAST // DAY)
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(f"{place(row)}: {text_at(matrix, row)} lies outside {_YEARS}")
    return Stamps(days * DAY + column.clock, column.offset, column.aware, column.whole, tuple(notes))


def _in_digits(matrix: Bytes, unit: str | None, place: Place) -> Stamps:
    lengths = (matrix != 0).sum(axis=1)
    if int(lengths.max()) > 19:
        row = int(np.argmax(lengths))
        raise DataError(f"{place(row)}: {text_at(matrix, row)!r} is no time")
    flat = np.ascontiguousarray(matrix).view(f"S{matrix.shape[1]}").ravel()
    return from_numbers(flat.astype(np.float64 if (matrix == ord(".")).any() else np.int64), place, unit)


def from_numbers(values: Any, place: Place, unit: str | None = None) -> Stamps:
    """Read a column of numbers: what they count since 1970, or dates in digits (20240701).

    `unit` is one of "s", "ms", "us", "ns" where it is told. Raises `DataError` for what is neither, or may be both.

    >>> from_numbers(np.array([20240701]), "row {}".format).whole
    array([ True])
    """
    if values.dtype.kind == "f" and bool((values == np.floor(values)).all()) and bool((np.abs(values) < 2**53).all()):
        values = values.astype(np.int64)
    dates = None if unit is not None else epochs.digits(values)
    try:
        moments, notes = epochs.counted(values, unit, place)
    except DataError:
        if dates is None:
            raise
    else:
        aware = np.ones(len(values), bool)
        if dates is None:
            return Stamps(moments, np.zeros_like(moments), aware, ~aware, tuple(notes))
        raise _two_fit(values, moments, dates[0], place)
    none = np.zeros(len(values), bool)
    return Stamps(dates[0], np.zeros(len(values), np.int64), none, dates[1])


def _two_fit(values: Any, counted: Ints, dated: Ints, place: Place) -> TwoReadings:
    first = int(values[0])
    one, other = (str(np.datetime64(int(ns[0]), "ns").astype("M8[s]")) for ns in (counted, dated))
    unit = next(name for name, ns in epochs.UNITS.items() if first * ns == int(counted[0]))
    form = "%Y%m%d%H%M%S"[: len(str(first)) - 2]
    return two_fit(str(first), {one: unit, other: form}, place(0))


def without_zone(column: pd.Series, place: Place) -> tuple[pd.Series, str | None]:
    """Return a column of texts without the zone that stands behind each of them, and that zone.

    >>> import pandas as pd
    >>> without_zone(pd.Series(["20240701 10:30:00 US/Eastern"]), str)
    (0    20240701 10:30:00
    dtype: str, 'US/Eastern')

    Raises `DataError` for two zones in one column.
    """
    found = _ZONE.search(str(column.iloc[0])) if len(column) and column.dtype.kind not in "iufM" else None
    if found is None:
        return column, None
    texts = column.astype("str")
    other = ~texts.str.endswith(found[0])
    if other.any():
        row = int(np.argmax(other.to_numpy()))
        raise DataError(
            f"{place(row)}: {texts.iloc[row]!r} is of another zone than {found[1]!r} of {place(0)}; wanted one"
        )
    return texts.str.slice(stop=-len(found[0])), found[1]


def are_clocks(texts: Any) -> bool:
    """Return whether texts are times of day and no more.

    >>> are_clocks(["09:30", "4:00 PM"]), are_clocks(["093000"]), are_clocks(["2024-07-01"])
    (True, True, False)
    """
    return all(TIME_OF_DAY.fullmatch(shape.strip()) for shape, _ in shapes(matrix_of(texts, "row {}".format)))


def moment(text: str) -> tuple[int, bool]:
    """Return the ns UTC of one time, and whether it is a date and no more; without an offset it is UTC.

    >>> moment("2024-07-01"), moment("1970-01-01T02:00+02:00")
    ((1719792000000000000, True), (0, False))

    Raises `DataError` for what is no time, or several.
    """
    found = from_texts([text.strip()], lambda _: "it")
    return int(found.wall[0] - found.offset[0]), bool(found.whole[0])
