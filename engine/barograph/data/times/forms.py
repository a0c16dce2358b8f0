"""What is written: a column of texts is split into numbers and words, all rows of one shape at a time.

Which of three numbers is the day is not asked here but in `readings`. English words are known, whatever the machine's
language, and no zone but an offset, UTC and GMT: EST is five hours here and ten there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import DataError

__all__ = [
    "TIME_OF_DAY",
    "Form",
    "Place",
    "Shapes",
    "Written",
    "matrix_of",
    "numeric",
    "shapes",
    "stripped",
    "text_at",
    "written",
]

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Shapes = list[tuple[str, Ints]]
Place = Callable[[int], str]
"""Where a row stands, for people: "line 3"."""

_SECOND: Final = 1_000_000_000
_LONGEST: Final = 200
_WEEK: Final = re.compile(r"D{4}-?LDD?")
_CLASSES: Final = np.arange(256, dtype=np.uint8)
_CLASSES[ord("0") : ord("9") + 1] = ord("D")
for _first, _last in (("a", "z"), ("A", "Z")):
    _CLASSES[ord(_first) : ord(_last) + 1] = ord("L")

_MONTH_NAMES: Final = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
                       "november", "december")  # fmt: skip
_DAY_NAMES: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS: Final = {name[:k]: n for n, name in enumerate(_MONTH_NAMES, 1) for k in (3, len(name))} | {"sept": 9}
_WORDS: Final[dict[str, dict[str, int]]] = {
    "b": _MONTHS,
    "wd": {name[:k]: n for n, name in enumerate(_DAY_NAMES) for k in (3, len(name))},
    "ap": {"am": 0, "pm": 12},
    "z": {"z": 0, "utc": 0, "gmt": 0},
    "t": {"t": 0, " ": 0, ", ": 0},
}

_CLOCK: Final = (
    r"(?P<H>D{1,2}):(?P<M>DD)(?::(?P<S>DD)(?:[.,](?P<f>D{1,9}))?)?(?: ?(?P<ap>LL)(?!L))?"
    r"|(?P<H_>DD)(?P<M_>DD)(?P<S_>DD)?(?:\.(?P<f_>D{1,9}))?"
)
_ZONE: Final = r"(?: ?(?P<z>L(?:LL)?))?(?: ?(?P<sign>[-+])(?P<oh>DD):?(?P<om>DD)?)?"
_REST: Final = rf"(?:(?P<t>L| |, )(?:{_CLOCK}){_ZONE})?"
_DATES: Final = {
    "year first": r"(?P<Y>D{4})(?P<s>[-/.])(?P<m>D{1,2})(?P=s)(?P<d>D{1,2})",
    "eight digits": r"(?P<Y>D{4})(?P<m>DD)(?P<d>DD)",
    "year, word": r"(?P<Y>D{4})(?P<s>[-/. ]?)(?P<b>L{3,9})(?P=s)(?P<d>D{1,2})",
    "day, word": r"(?P<d>D{1,2})(?P<s>[-/. ]?)(?P<b>L{3,9})\.?,?(?P=s)(?P<Y>D{4})",
    "word first": r"(?P<b>L{3,9})\.?[- ](?P<d>D{1,2}),?[- ](?P<Y>D{4})",
    "word between": r"(?P<one>D{1,2})(?P<s>[-/. ]?)(?P<b>L{3,9})\.?,?(?P=s)(?P<three>DD)",
    "three numbers": r"(?P<one>D{1,2})(?P<s>[-/. ])(?P<two>D{1,2})(?P=s)(?P<three>D{4}|DD)",
    "six digits": r"(?P<one>DD)(?P<two>DD)(?P<three>DD)",
}
_GRAMMAR: Final = {name: re.compile(rf"(?:(?P<wd>L{{3,9}})\.?,? )?{date}{_REST}") for name, date in _DATES.items()}
TIME_OF_DAY: Final = re.compile(f"(?:{_CLOCK}){_ZONE}")
_NUMBER: Final = re.compile(r"-?D+(\.D*)?")


class Form(NamedTuple):
    """One way of writing a date: its grammar, its separator, the orders that it may have, and the row that shows it."""

    name: str
    separator: str
    orders: tuple[str, ...]
    short: bool
    row: int
    match: re.Match[str]


class Written(NamedTuple):
    """A column taken apart: `parts` (3, T) as `orders` read them, ns of the day, ns of the offset, and what there is.

    `form` (T,) numbers `forms`; `whole` says that there is no time of day, `aware` that an offset stands there;
    `weekday` is -1 where none is named.
    """

    parts: Ints
    form: Ints
    forms: tuple[Form, ...]
    clock: Ints
    whole: Mask
    offset: Ints
    aware: Mask
    weekday: Ints


def matrix_of(texts: Any, place: Place) -> Bytes:
    """Return texts as rows of bytes, padded with zeros, without spaces around them."""
    array = np.asarray(texts, dtype=object)
    try:
        flat = array.astype("S")
    except UnicodeEncodeError:
        row = next(n for n, text in enumerate(array) if not str(text).isascii())
        raise DataError(f"{place(row)}: {str(array[row])!r} is no time; wanted digits, and English words") from None
    if flat.dtype.itemsize == 0:
        raise DataError(f"{place(0)}: '' is no time")
    if flat.dtype.itemsize > _LONGEST:
        row = next(n for n, text in enumerate(array) if len(str(text)) > _LONGEST)
        raise DataError(
            f"{place(row)}: {str(array[row])[:40]!r} and so on is no time; it has {len(str(array[row]))} letters"
        )
    return np.asarray(flat.view(np.uint8).reshape(len(flat), flat.dtype.itemsize))


def stripped(matrix: Bytes) -> Bytes:
    """Return rows of bytes without the spaces around them."""
    flat = np.char.strip(np.ascontiguousarray(matrix).view(f"S{matrix.shape[1]}").ravel())
    return np.asarray(np.ascontiguousarray(flat).view(np.uint8).reshape(len(flat), flat.dtype.itemsize))


def text_at(matrix: Bytes, row: int) -> str:
    """Return a row as it is written."""
    return bytes(matrix[row].tobytes()).rstrip(b"\0").decode("ascii")


def shapes(matrix: Bytes) -> list[tuple[str, Ints]]:
    """Return each shape (D for a digit, L for a letter, the rest as it is) and its rows, in the order of the rows.

    >>> [(shape, rows.tolist()) for shape, rows in shapes(matrix_of(["1 Jul", "2-7", "3 May"], str))]
    [('D LLL', [0, 2]), ('D-D', [1])]
    """
    left, classes, found = np.arange(len(matrix)), _CLASSES[matrix], []
    while len(left):
        first = classes[0]
        same = (classes == first).all(axis=1)
        found.append((first.tobytes().rstrip(b"\0").decode("ascii"), left[same]))
        left, classes = left[~same], classes[~same]
    return found


def numeric(split: Shapes) -> bool:
    """Return whether all rows are plain numbers."""
    return all(_NUMBER.fullmatch(shape) for shape, _ in split)


def written(matrix: Bytes, split: Shapes, place: Place, told: re.Pattern[str] | None = None) -> Written:
    """Take a column apart by its own shapes, or by the one form that is told.

    Raises `DataError` naming the first row that is written like no time.
    """
    n = len(matrix)
    parts, form, clock, offset = (
        np.zeros((3, n), np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
    )
    whole, aware, weekday = np.zeros(n, bool), np.zeros(n, bool), np.full(n, -1)
    forms: list[Form] = []
    for shape, rows in split:
        found = _form(shape, int(rows[0]), told)
        if found is None:
            raise DataError(_no_time(shape, matrix, int(rows[0]), place))
        form[rows] = _numbered(forms, found)
        fields = _fields(found.match, matrix, rows, place)
        parts[:, rows] = _parts(fields)
        clock[rows] = _clock(fields, matrix, rows, place)
        offset[rows] = _offset(fields, matrix, rows, place)
        whole[rows], aware[rows] = "H" not in fields, "z" in fields or "oh" in fields
        weekday[rows] = fields.get("wd", -1)
    return Written(parts, form, tuple(forms), clock, whole, offset, aware, weekday)


def _no_time(shape: str, matrix: Bytes, row: int, place: Place) -> str:
    text = text_at(matrix, row)
    if TIME_OF_DAY.fullmatch(shape):
        return f"{place(row)}: {text!r} is a time of day without a date; wanted a date beside it"
    if _WEEK.fullmatch(shape):
        return f"{place(row)}: {text!r} is a week; wanted the date of its last session"
    digits = (matrix >= ord("0")) & (matrix <= ord("9"))
    if "D" not in shape and digits.any(axis=1).sum() > len(matrix) // 2:
        return f"{place(row)}: {text!r} is no time, and a line without one is no bar: remove it"
    return f"{place(row)}: {text!r} is no time; say how times are written with date_format="


def _form(shape: str, row: int, told: re.Pattern[str] | None) -> Form | None:
    if told is not None:
        match = told.fullmatch(shape)
        return match and Form("told", "", ("YMD",), False, row, match)
    for name, pattern in _GRAMMAR.items():
        match = pattern.fullmatch(shape)
        if match:
            groups = match.groupdict()
            return Form(name, groups.get("s") or "", *_orders(name, groups), row, match)
    return None


def _orders(name: str, groups: dict[str, str | None]) -> tuple[tuple[str, ...], bool]:
    """Return the orders in which a date may be meant, and whether its year has two digits."""
    if groups.get("three") is None:
        return ("YMD",), False
    short = groups["three"] == "DD"
    if name == "word between":
        orders: tuple[str, ...] = ("DMY", "YMD")
    else:
        orders = ("DMY", "MDY", "YMD") if short else ("DMY", "MDY")
    # A year of two digits is never written with one.
    return tuple(order for order in orders if order[0] != "Y" or groups["one"] == "DD"), short


def _numbered(forms: list[Form], found: Form) -> int:
    """Return the number of a form; one that is written in several widths has the orders that fit them all."""
    for n, one in enumerate(forms):
        if (one.name, one.separator, one.short) == (found.name, found.separator, found.short):
            forms[n] = one._replace(orders=tuple(order for order in one.orders if order in found.orders))
            return n
    forms.append(found)
    return len(forms) - 1


def _fields(match: re.Match[str], matrix: Bytes, rows: Ints, place: Place) -> dict[str, Any]:
    """Return the numbers and words of rows of one shape, each (n,)."""
    found: dict[str, Any] = {}
    for name, text in match.groupdict().items():
        if text is None or name == "s":
            continue
        start, stop = match.span(name)
        block = matrix[rows, start:stop] if len(rows) < len(matrix) else matrix[:, start:stop]
        plain = name.rstrip("_")
        if plain in _WORDS:
            found[plain] = _words(block, plain, matrix, rows, place)
        elif plain == "sign":
            found[plain] = np.where(block[:, 0] == ord("-"), -1, 1)
        else:
            number = _number(block)
            found[plain] = number * 10 ** (9 - (stop - start)) if plain == "f" else number
    return found


def _number(block: Bytes) -> Ints:
    total = np.zeros(len(block), dtype=np.int64)
    for column in block.T:
        total = 10 * total + (column - np.uint8(48))
    return total


def _words(block: Bytes, kind: str, matrix: Bytes, rows: Ints, place: Place) -> Ints:
    if kind == "t" and block.shape[1] == 1 and bool(((block == ord("T")) | (block == 32)).all()):
        return np.zeros(len(block), dtype=np.int64)
    flat = np.ascontiguousarray(block).view(f"S{block.shape[1]}").ravel()
    words, at = np.unique(flat, return_inverse=True)
    known = np.array([_WORDS[kind].get(word.decode("ascii").lower(), -1) for word in words])[at]
    _refuse(known < 0, matrix, rows, place)
    return np.asarray(known, dtype=np.int64)


def _refuse(wrong: Mask, matrix: Bytes, rows: Ints, place: Place) -> None:
    if wrong.any():
        row = int(rows[np.argmax(wrong)])
        raise DataError(
            f"{place(row)}: {text_at(matrix, row)!r} is no time; say how times are written with date_format="
        )


def _parts(fields: dict[str, Any]) -> Ints:
    if "three" in fields:
        return np.stack([fields["one"], fields["b"] if "b" in fields else fields["two"], fields["three"]])
    return np.stack([_year(fields), fields["b"] if "b" in fields else fields["m"], fields["d"]])


def _year(fields: dict[str, Any]) -> Any:
    return fields["Y"] if "Y" in fields else fields["y"] + np.where(fields["y"] < 69, 2000, 1900)


def _clock(fields: dict[str, Any], matrix: Bytes, rows: Ints, place: Place) -> Any:
    if "H" not in fields:
        return 0
    hour, minute, second = fields["H"], fields.get("M", 0), fields.get("S", 0)
    wrong = (hour > 23) | (minute > 59) | (second > 59)
    if "ap" in fields:
        wrong = wrong | (hour < 1) | (hour > 12)
        hour = hour % 12 + fields["ap"]
    _refuse(np.broadcast_to(wrong, rows.shape), matrix, rows, place)
    return ((hour * 60 + minute) * 60 + second) * _SECOND + fields.get("f", 0)


def _offset(fields: dict[str, Any], matrix: Bytes, rows: Ints, place: Place) -> Any:
    if "oh" not in fields:
        return 0
    minutes = fields.get("om", 0)
    _refuse(np.broadcast_to((fields["oh"] > 15) | (minutes > 59), rows.shape), matrix, rows, place)
    return fields["sign"] * (fields["oh"] * 60 + minutes) * 60 * _SECOND
