"""Which mark is the decimal one and which parts thousands: what all cells of a table prove, together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from barograph.data.shapes.cells import MONEY
from barograph.data.table import Reading
from barograph.data.times import Note, undecided
from barograph.errors import DataError
from barograph.types import Floats

__all__ = ["SPACES", "Marks", "noted", "numbers", "proved"]

_SUFFIXES: Final = {ord("K"): "e3", ord("M"): "e6", ord("B"): "e9"}
_NONE: Final = frozenset({"", "-", "--", ".", "nan", "na", "n/a", "#n/a", "null", "none"})
_AROUND: Final = re.compile(rf"^[-+]?(?:R?[{MONEY}] ?)?[-+]?|\s?[KMB]?$")
SPACES: Final = "'’ \u00a0\u202f"
"""What parts thousands and is no mark of decimals."""
_NINES: Final = dict.fromkeys(map(ord, "012345678"), "9")
# No text has it between its cells; where a cell has one, cells are looked at one by one.
_BETWEEN: Final = "\x1f"
_WORDS: Final = re.compile(r"[^\W\d_]{3}")
_GROUPS: Final = re.compile(rf"\d{{1,3}}([.,{SPACES}])\d{{3}}(?:\1\d{{3}})*")


class Marks(NamedTuple):
    """The decimal mark, those that may part thousands, the row that proves them (-1: nothing had to) and its text."""

    decimal: str
    thousands: str
    row: int = -1
    text: str = ""


def proved(columns: Sequence[pd.Series], how: Reading) -> Marks:
    """Return the marks that the texts of several columns prove, together with what is told.

    >>> proved([pd.Series(["1.234,5", "1.300"])], Reading()).decimal
    ','
    >>> proved([pd.Series(["15.259", "15.300"])], Reading("a.csv"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    barograph.data.times.readings.TwoReadings: a.csv: row 0: '15.259' is 15.259 (decimal = '.') or 15259 (decimal = ...

    Raises `DataError` for cells that contradict each other, and `TwoReadings` where two readings fit them all.
    """
    if how.decimal is not None:
        return Marks(how.decimal, how.thousands if how.thousands is not None else _others(how.decimal))
    shown: dict[str, tuple[int, str]] = {}
    for column in columns:
        _see(column, shown)
    sure = {mark: shown[mark] for mark in ".," if mark in shown}
    if how.thousands in (".", ","):
        return Marks("," if how.thousands == "." else ".", how.thousands)
    if len(sure) > 1:
        (one, (at, text)), (other, (there, says)) = sorted(sure.items(), key=lambda item: item[1][0])
        raise DataError(
            f"{how.source}: {how.at(there)}: {says!r} has the decimal mark {other!r}, and {text!r} of {how.at(at)} has "
            f"{one!r}; one file has one: say it with decimal="
        )
    doubt = [mark for mark in ".," if f"{mark}?" in shown]
    if not sure and doubt:
        _refuse(doubt, shown, how)
    mark = next(iter(sure), ".")
    row, text = sure.get(mark, (-1, ""))
    plain = mark == "." and not doubt
    return Marks(mark, _others(mark), -1 if plain else row, text)


def _others(decimal: str) -> str:
    """Return what may part thousands beside a decimal mark."""
    return SPACES + {".": ",", ",": "."}.get(decimal, ".,")


def _see(column: pd.Series, shown: dict[str, tuple[int, str]]) -> None:
    """Note the first row of all that cells show: "," and "." as decimal marks, ",?" and ".?" as that or thousands."""
    looks = _translated(column, _NINES)
    for row in np.flatnonzero((~looks.duplicated() & looks.notna()).to_numpy(dtype=bool)):
        seen = _shown(str(column.iloc[row]))
        if seen and (seen not in shown or row < shown[seen][0]):
            shown[seen] = int(row), str(column.iloc[row])
    # A zero before the only mark is seen in no shape: 0.123 has three digits after it and is no 123.
    small = column.str.match(r"^\D*0[.,]\d")
    for row in np.flatnonzero(small.fillna(False).to_numpy(dtype=bool))[:1]:
        text = str(column.iloc[row])
        shown.setdefault(next(mark for mark in text if mark in ".,"), (int(row), text))


def _shown(cell: str) -> str:
    """Return the decimal mark that a cell proves, with a question mark the mark that may be either, "" for neither."""
    text = _AROUND.sub("", cell.strip())
    marks = [mark for mark in text if mark in ".,"]
    if not marks:
        return ""
    last = marks[-1]
    if len(set(marks)) == 2:
        return last if marks.count(last) == 1 else ""
    if any(mark in text for mark in SPACES):
        return last
    if not _GROUPS.fullmatch(text):
        return last if len(marks) == 1 else ""
    return {".": ",", ",": "."}[last] if len(marks) > 1 else f"{last}?"


def _refuse(doubt: list[str], shown: dict[str, tuple[int, str]], how: Reading) -> None:
    row, text = shown[f"{doubt[0]}?"]
    plain = _AROUND.sub("", text.strip())
    one, other = doubt[0], {".": ",", ",": "."}[doubt[0]]
    ways = {
        plain.replace(one, "."): {"decimal": one},
        plain.replace(one, ""): {"decimal": other, "thousands": one},
    }
    raise undecided(text, ways, how.at(row)).of(how.source)


def numbers(column: pd.Series, marks: Marks, how: Reading) -> Floats:
    """Return texts as float64, NaN where a cell says that there is none; K, M and B at the end are read.

    Raises `DataError` naming the first cell that is no number.
    """
    text = column.str.strip()
    text = text.mask(text.str.lower().isin(_NONE))
    looks = _translated(text, _NINES)
    for row in np.flatnonzero((~looks.duplicated() & looks.notna()).to_numpy(dtype=bool)):
        if not _fits(str(looks.iloc[row]), marks):
            cell = str(column.iloc[row])[:60]
            told = "say how numbers are written with decimal= and thousands="
            if _WORDS.search(cell):
                told = "a line of words is no bar: remove it, or map the column with columns="
            raise DataError(f"{how.source}: {how.at(int(row))}, column {column.name!r}: {cell!r} is no number; {told}")
    left_out = dict.fromkeys(map(ord, f"{MONEY}R{marks.thousands} "), None)
    plain = _translated(text, {**left_out, **_SUFFIXES, ord(marks.decimal): "."})
    return np.array(pd.to_numeric(plain, errors="raise"), dtype=np.float64)


def _translated(column: pd.Series, table: Mapping[int, str | None]) -> pd.Series:
    """Return cells with characters for others: a million at once takes a tenth of what it takes cell by cell."""
    whole = _BETWEEN.join(column.fillna("").tolist()).translate(table)
    parts = whole.split(_BETWEEN)
    if len(parts) != len(column):
        return column.str.translate(table)
    return pd.Series(parts, index=column.index, name=column.name, dtype=column.dtype).where(column.notna())


def _fits(look: str, marks: Marks) -> bool:
    """Tell whether what looks so, with a 9 for each digit, is a number by these marks."""
    text = _AROUND.sub("", look)
    whole, _, rest = text.partition(marks.decimal)
    parting = {one for one in whole if one in marks.thousands}
    if parting:
        grouped = re.fullmatch(f"9{{1,3}}(?:{re.escape(min(parting))}999)+", whole)
        return len(parting) == 1 and grouped is not None and not rest.strip("9")
    return bool(re.fullmatch(r"(?:9+|(?=\.9))(?:\.9*)?(?:[eE][-+]?9+)?", text.replace(marks.decimal, ".")))


def noted(marks: Marks, how: Reading) -> Iterator[Note]:
    """Return what has to be said of the marks: nothing where numbers are plain."""
    if marks.row >= 0:
        told = f"numbers are read with decimal = {marks.decimal!r}: {marks.text!r} fits no other reading"
        yield Note("proved_marks", how.row(marks.row), told)
