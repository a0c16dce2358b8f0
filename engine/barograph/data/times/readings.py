"""What is meant: which order of day, month and year a whole column proves, and which two fit it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from barograph.data.times.forms import Bytes, Form, Ints, Mask, Place, Written, text_at
from barograph.data.times.told import spelled
from barograph.errors import DataError

__all__ = ["Note", "TwoReadings", "civil", "days_of", "two_fit", "undecided"]

_ORDER: Final = {"DMY": "the day first", "MDY": "the month first", "YMD": "the year first"}
_CENTURY: Final = (50, 68)
"""The years of two digits that may be of either century: those before are 20xx, those after 19xx."""


class TwoReadings(DataError):
    """What several readings fit; `ways` maps what each would mean to the options that tell it."""

    def __init__(self, told: str, ways: Mapping[str, Mapping[str, str]] | None = None) -> None:
        super().__init__(told)
        self.ways = dict(ways or {})

    def of(self, source: str) -> TwoReadings:
        """Return it with the file it belongs to."""
        return TwoReadings(f"{source}: {self}", self.ways)


class Note(NamedTuple):
    """What was found out about a column: the code of its finding, the row that shows it, and a text."""

    code: str
    row: int
    text: str


def civil(year: Ints, month: Ints, day: Ints) -> tuple[Ints, Mask]:
    """Return days since 1970 (n,), and which of the dates there are.

    >>> civil(np.array([2024, 2023]), np.array([2, 2]), np.array([29, 29]))
    (array([19782, 19417]), array([ True, False]))
    """
    known = (month >= 1) & (month <= 12)
    months = (year - 1970) * 12 + np.where(known, month - 1, 0)
    first, following = (m.astype("M8[M]").astype("M8[D]").astype(np.int64) for m in (months, months + 1))
    return first + day - 1, known & (day >= 1) & (day <= following - first)


def days_of(
    column: Written, matrix: Bytes, place: Place, vendor: tuple[str, str, str] | None
) -> tuple[Ints, list[Note]]:
    """Return the dates of a column in days since 1970 (T,), and what was noted on the way.

    `vendor` is a known vendor's name, its separator and its order, for what the column itself does not prove. Raises
    `DataError` for what is no date, for two forms of which one wants a proof, and for what two orders fit.
    """
    if not any(form.name in _DOUBTFUL for form in column.forms):
        days, real = civil(*column.parts)
        _all_real(real & _weekdays(column, days), matrix, place)
        return days, []
    if len(column.forms) > 1:
        one, other = sorted(form.row for form in column.forms)[:2]
        raise DataError(
            f"{place(other)}: {text_at(matrix, other)!r} is written otherwise than {text_at(matrix, one)!r} of "
            f"{place(one)}; day and month are told by a column that is written in one way: write 2024-07-01"
        )
    return _proved(column, column.forms[0], matrix, place, vendor)


_DOUBTFUL: Final = ("three numbers", "six digits", "word between")


def _proved(
    column: Written, form: Form, matrix: Bytes, place: Place, vendor: tuple[str, str, str] | None
) -> tuple[Ints, list[Note]]:
    orders = ("DMY", "MDY", "YMD") if form.short else ("DMY", "MDY")
    read = {order: _read(column, order) for order in orders if order in form.orders}
    fits = [order for order, (_, real) in read.items() if real.all()]
    if not fits:
        raise DataError(_none_fits(read, matrix, place))
    # Two orders that read every row alike, as 07/07/2024, are one reading.
    apart = [o for n, o in enumerate(fits) if all((read[o][0] != read[p][0]).any() for p in fits[:n])]
    if len(apart) == 1:
        order, why = fits[0], "fits no other reading" if len(fits) == 1 else "and the others read alike in every order"
        row = max((int(np.argmin(real)) for _, real in read.values() if not real.all()), default=form.row)
    elif vendor is not None and vendor[1] == form.separator and vendor[2] in fits:
        order, row, why = vendor[2], form.row, f"is how {vendor[0]} writes"
    else:
        raise _two_fit({order: read[order] for order in apart}, form, matrix, place)
    days = read[order][0]
    _refuse_century(column, order, form, days, matrix, place)
    text = text_at(matrix, row)
    told = f"times are read with {_ORDER[order]}, as date_format = {spelled(form, order, _shown(form, matrix))!r}: "
    return days, [Note("proved_order", row, f"{told}{text!r} {why}")] if form.short or len(form.orders) > 1 else []


def _shown(form: Form, matrix: Bytes) -> str:
    """Return the text from whose shape a form was made."""
    return text_at(matrix, form.row)


def _read(column: Written, order: str) -> tuple[Ints, Mask]:
    parts = {letter: column.parts[n] for n, letter in enumerate(order)}
    year = parts["Y"]
    if (year < 100).all():
        year = year + np.where(year <= _CENTURY[1], 2000, 1900)
    days, real = civil(year, parts["M"], parts["D"])
    return days, real & _weekdays(column, days)


def _weekdays(column: Written, days: Ints) -> Mask:
    """Tell which dates fall on the day of the week that is named beside them; 1970 began on a Thursday."""
    return np.asarray((column.weekday < 0) | ((days + 3) % 7 == column.weekday))


def _all_real(real: Mask, matrix: Bytes, place: Place) -> None:
    if not real.all():
        row = int(np.argmin(real))
        raise DataError(f"{place(row)}: {text_at(matrix, row)!r} is no time: there is no such date")


def _none_fits(read: dict[str, tuple[Ints, Mask]], matrix: Bytes, place: Place) -> str:
    masks = [real for _, real in read.values()]
    row = int(np.argmin(np.logical_or.reduce(masks)))
    if not np.logical_or.reduce(masks).all():
        return f"{place(row)}: {text_at(matrix, row)!r} is no time: there is no such date"
    first = {order: int(np.argmin(real)) for order, (_, real) in read.items()}
    told = [f"{text_at(matrix, at)!r} of {place(at)} is no date with {_ORDER[order]}" for order, at in first.items()]
    return f"{place(max(first.values()))}: one column wants one order of day and month: {', '.join(told)}"


def _two_fit(read: dict[str, tuple[Ints, Mask]], form: Form, matrix: Bytes, place: Place) -> TwoReadings:
    one, *others = (days for days, _ in read.values())
    row = int(np.argmax(np.logical_or.reduce([one != other for other in others])))
    ways = {}
    for order, (days, _) in read.items():
        way = f"{np.datetime64(int(days[row]), 'D')} with {_ORDER[order]}"
        ways[way] = spelled(form, order, _shown(form, matrix))
    return two_fit(text_at(matrix, row), ways, place(row))


def two_fit(text: str, ways: dict[str, str], where: str) -> TwoReadings:
    """Return the error for a text that may be read in several ways, each with the format that tells it."""
    return undecided(text, {way: {"date_format": form} for way, form in ways.items()}, where)


def undecided(text: str, ways: Mapping[str, Mapping[str, str]], where: str) -> TwoReadings:
    """Return the error for a text that may be read in several ways, each with the options that tell it."""
    options = {way: ", ".join(f"{key} = {value!r}" for key, value in own.items()) for way, own in ways.items()}
    told = " or ".join(f"{way} ({option})" for way, option in options.items())
    thing = where.partition(" ")[0]
    return TwoReadings(f"{where}: {text!r} is {told}, and no {thing} proves which; say it", ways)


def _refuse_century(column: Written, order: str, form: Form, days: Ints, matrix: Bytes, place: Place) -> None:
    """Refuse a year of two digits that may be of either century: 55 is 1955 or 2055."""
    year = column.parts[order.index("Y")]
    either = (year >= _CENTURY[0]) & (year <= _CENTURY[1]) if form.short else np.zeros(len(year), dtype=bool)
    if either.any():
        row = int(np.argmax(either))
        found = str(np.datetime64(int(days[row]), "D"))
        raise DataError(
            f"{place(row)}: {text_at(matrix, row)!r} is {found} or 19{found[2:]}, and two digits do not say which; "
            f"write the year with four"
        )
