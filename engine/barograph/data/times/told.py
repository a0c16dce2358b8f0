"""The one form that a format tells, and the format that tells a form."""

from __future__ import annotations

import re
from typing import Final

from barograph.data.times.forms import Form
from barograph.errors import DataError

__all__ = ["spelled", "told_form"]

_DIRECTIVES: Final = {
    "Y": "(?P<Y>D{4})", "y": "(?P<y>DD)", "m": "(?P<m>D{1,2})", "d": "(?P<d>D{1,2})", "b": "(?P<b>L{3,9})",
    "B": "(?P<b>L{3,9})", "a": "(?P<wd>L{3,9})", "A": "(?P<wd>L{3,9})", "H": "(?P<H>D{1,2})", "I": "(?P<H>D{1,2})",
    "M": "(?P<M>D{1,2})", "S": "(?P<S>D{1,2})", "f": "(?P<f>D{1,9})", "p": "(?P<ap>LL)",
    "z": r"(?:(?P<z>L(?:LL)?)?(?: ?(?P<sign>[-+])(?P<oh>DD):?(?P<om>DD)?)?)", "%": "%",
}  # fmt: skip
_DIGITS: Final = frozenset("YymdHIMSf")


def told_form(date_format: str) -> re.Pattern[str]:
    """Return the one form that a format tells, as ``%d/%m/%Y %H:%M``.

    Raises `DataError` for a directive that is not known, and for a format that does not tell a whole date.
    """
    pieces: list[str] = []
    names: list[str] = []
    for mark, literal in re.findall(r"%(.)|([^%]+|%$)", date_format):
        if mark and (mark not in _DIRECTIVES or (mark in names and mark != "%")):
            known = ", ".join(f"%{one}" for one in _DIRECTIVES)
            raise DataError(f"date_format = {date_format!r}: %{mark} is not known, or comes twice; known: {known}")
        glued = mark in _DIGITS and names and names[-1] in _DIGITS
        if glued:
            pieces[-1] = _all_its_digits(pieces[-1])
        piece = _DIRECTIVES[mark] if mark else re.escape(re.sub(r"[A-Za-z]", "L", re.sub(r"\d", "D", literal)))
        pieces.append(_all_its_digits(piece) if glued else piece)
        names.append(mark)
    if "I" in names and "p" not in names:
        raise DataError(f"date_format = {date_format!r}: %I is an hour of twelve; wanted %p beside it, or %H")
    if not ({"Y", "y"} & {*names} and "d" in names and {"m", "b", "B"} & {*names}):
        raise DataError(
            f"date_format = {date_format!r} tells no whole date; wanted one like '%d/%m/%Y', or 's', 'ms', 'us', 'ns'"
        )
    return re.compile("".join(pieces))


def _all_its_digits(piece: str) -> str:
    """Of numbers that touch each has all its digits: nothing else says where one ends."""
    return piece.replace("D{1,2}", "DD")


_SPELLED: Final = {
    "Y": "%Y",
    "m": "%m",
    "d": "%d",
    "H": "%H",
    "M": "%M",
    "S": "%S",
    "f": "%f",
    "ap": "%p",
    "wd": "%a",
    "b": "%b",
}


def spelled(form: Form, order: str, text: str) -> str:
    """Return the format that tells an order of a form, spelled after a text of it.

    >>> from barograph.data.times.forms import matrix_of, shapes, written
    >>> matrix = matrix_of(["1/7/24 9:30 PM"], str)
    >>> spelled(written(matrix, shapes(matrix), str).forms[0], "MDY", "1/7/24 9:30 PM")
    '%m/%d/%y %I:%M %p'
    """
    digits = {"Y": "%y" if form.short else "%Y", "M": "%m", "D": "%d"}
    own = dict(zip(("one", "two", "three"), (digits[letter] for letter in order), strict=True))
    marks = []
    for name, found in form.match.groupdict().items():
        plain = name.rstrip("_")
        mark = {**_SPELLED, **own}.get(plain, "%z" if plain in ("z", "oh") else "")
        if found is not None and mark:
            marks.append((form.match.span(name), mark))
    if form.match.groupdict().get("ap"):
        marks = [(span, "%I" if mark == "%H" else mark) for span, mark in marks]
    return _filled(text, sorted(marks), form)


def _filled(text: str, marks: list[tuple[tuple[int, int], str]], form: Form) -> str:
    out, at = "", 0
    groups = form.match.groupdict()
    for (start, stop), mark in marks:
        if mark == "%z" and out.endswith("%z"):
            at = stop
            continue
        between = text[at:start]
        out += (between.rstrip("+-") if mark == "%z" else between) + mark
        at = max(stop, form.match.span("om")[1]) if mark == "%z" and groups.get("om") else stop
    return out + text[at:]
