"""Columns of times with their truth: how they are written, what they mean, and whether they prove it.

What proves is asked of `datetime.strptime`, format by format, which knows nothing of the reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from barograph.data.reading import read
from barograph.data.table import Reading
from barograph.errors import DataError

ZONES = ("UTC", "America/New_York", "Asia/Tokyo", "Asia/Kolkata", "Europe/London")
SEPARATORS = "-/."
ORDERS = {"DMY": ("%d", "%m"), "MDY": ("%m", "%d")}
UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Column(NamedTuple):
    """One column: the table, how it is to be read, its moments in UTC or its dates, and whether it proves them."""

    kind: str
    frame: pd.DataFrame
    how: dict[str, Any]
    moments: tuple[datetime, ...]
    dates: bool
    proves: bool


class Outcome(NamedTuple):
    """What became of a column: "right", "wrong" or "refused", and what was said."""

    word: str
    said: str


def column(seed: int) -> Column:
    """Draw a column."""
    rng = np.random.default_rng(seed)
    return KINDS[seed % len(KINDS)](rng)


def _moments(rng: Any, zone: tzinfo, daily: bool) -> list[datetime]:
    """Draw moments a step apart, in a zone; dates are its midnights."""
    count = int(rng.integers(2, 40))
    first = datetime(int(rng.integers(1974, 2049)), int(rng.integers(1, 13)), int(rng.integers(1, 29)))
    if daily:
        step = timedelta(days=int(rng.choice([1, 1, 1, 7])))
        return [(first + n * step).replace(tzinfo=zone) for n in range(count)]
    step = timedelta(minutes=int(rng.choice([1, 5, 30, 60, 240])))
    begin = first.replace(tzinfo=UTC) + timedelta(minutes=int(rng.integers(1, 1440)))
    return [(begin + n * step).astimezone(zone) for n in range(count)]


def _turned(rng: Any, moments: list[datetime]) -> list[datetime]:
    return moments[::-1] if rng.random() < 0.2 else moments


def _table(texts: Sequence[Any], **others: Sequence[Any]) -> pd.DataFrame:
    return pd.DataFrame({"date": list(texts), **others, "close": np.arange(len(texts)) + 1.0})


def _plainly(moments: Sequence[datetime]) -> bool:
    """Tell whether wall clocks alone name the moments: no clock change lies among them."""
    return len({one.utcoffset() for one in moments}) == 1


def iso(rng: Any) -> Column:
    """Write the year first, with or without time, fraction and offset, also one that changes."""
    zone = ZoneInfo(str(rng.choice(ZONES)))
    daily = bool(rng.random() < 0.4)
    moments = _turned(rng, _moments(rng, zone, daily))
    aware = bool(rng.random() < 0.5)
    mark, between = str(rng.choice(list(SEPARATORS), p=[0.8, 0.1, 0.1])), str(rng.choice([" ", "T"]))
    date = mark.join(("%Y", "%m", "%d"))
    clock = between + str(rng.choice(["%H:%M", "%H:%M:%S", "%H:%M:%S.%f"]))
    bare = daily and not aware and bool(rng.random() < 0.6)
    texts = [one.strftime(date if bare else date + clock) + (_offset(rng, one) if aware else "") for one in moments]
    if daily and not aware and rng.random() < 0.2:
        texts = [one.strftime(date if n % 2 else f"{date}{clock}") for n, one in enumerate(moments)]
    # A day of a market that never closes ends at one hour only where its zone is known.
    how = {"time_zone": str(zone)} if (not daily and not aware) or (aware and daily) else {}
    return Column("iso", _table(texts), how, tuple(moments), daily, aware or daily or _plainly(moments))


def _offset(rng: Any, moment: datetime) -> str:
    told = moment.strftime("%z")
    if told == "+0000" and rng.random() < 0.5:
        return "Z"
    return told if rng.random() < 0.3 else f"{told[:3]}:{told[3:]}"


def numbers(rng: Any) -> Column:
    """Write day, month and year in one of their orders, the year with four digits or two, told or not."""
    daily = bool(rng.random() < 0.7)
    moments = _turned(rng, _moments(rng, UTC, daily))
    short = bool(rng.random() < 0.4)
    orders = {**ORDERS, "YMD": ("%y", "%m")} if short else ORDERS
    mark, order = str(rng.choice(list("-/."))), str(rng.choice(list(orders)))
    year = "%y" if short else "%Y"
    shown = {"DMY": ("%d", "%m", year), "MDY": ("%m", "%d", year), "YMD": ("%y", "%m", "%d")}
    clock = "" if daily else str(rng.choice([" %H:%M", " %H:%M:%S", " %I:%M %p"]))
    formats = {name: mark.join(parts) + clock for name, parts in shown.items() if name in orders}
    texts = [one.strftime(formats[order]) for one in moments]
    if order != "YMD" and rng.random() < 0.3:
        texts = [re.sub(r"(?<!\d)0(\d)(?=[-/.]\d)", r"\1", text, count=2) for text in texts]
    told = bool(rng.random() < 0.3)
    how = {"date_format": formats[order]} if told else {}
    century = short and any(50 <= one.year % 100 <= 68 or not 1969 <= one.year <= 2068 for one in moments)
    proves = (told and not (short and any(not 1969 <= one.year <= 2068 for one in moments))) or (
        not century and _one_reading(texts, list(formats.values()))
    )
    return Column("numbers", _table(texts), how, tuple(moments), daily, proves)


def _one_reading(texts: Sequence[str], formats: Sequence[str]) -> bool:
    """Tell whether all formats that fit a whole column read the same from it."""
    found = {tuple(read) for read in (_parsed(texts, one) for one in formats) if read is not None}
    return len(found) == 1


def _parsed(texts: Sequence[str], form: str) -> list[datetime] | None:
    try:
        return [datetime.strptime(text, form) for text in texts]
    except ValueError:
        return None


def words(rng: Any) -> Column:
    """Write the month as a word."""
    daily = bool(rng.random() < 0.6)
    moments = _turned(rng, _moments(rng, UTC, daily))
    form = str(rng.choice(["%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%Y-%b-%d", "%a, %d %b %Y", "%d%b%Y"]))
    clock = "" if daily else str(rng.choice([" %H:%M", " %H:%M:%S", " %I:%M %p"]))
    return Column("words", _table([one.strftime(form + clock) for one in moments]), {}, tuple(moments), daily, True)


def counted(rng: Any) -> Column:
    """Count since 1970 in one unit, or in a finer one from some row on; as numbers or as text."""
    moments = _moments(rng, UTC, False)
    units = list(UNITS)
    first = int(rng.integers(0, 4))
    change = int(rng.integers(1, len(moments))) if rng.random() < 0.3 and first < 3 else len(moments)
    own = [units[first] if n < change else units[first + 1] for n in range(len(moments))]
    values: list[Any] = [_ns(one) // UNITS[unit] for one, unit in zip(moments, own, strict=True)]
    twice = _one_reading([str(v) for v in values], ["%Y%m%d%H%M", "%Y%m%d%H"])
    if rng.random() < 0.5:
        values = [str(value) for value in values]
    how = {"date_format": units[first]} if rng.random() < 0.3 else {}
    return Column("counted", _table(values), how, tuple(moments), False, bool(how) or not twice)


def _ns(moment: datetime) -> int:
    return round((moment - EPOCH) / timedelta(microseconds=1)) * 1000


def digits(rng: Any) -> Column:
    """Write dates in digits alone, with or without a time."""
    daily = bool(rng.random() < 0.6)
    moments = _turned(rng, _moments(rng, UTC, daily))
    form = "%Y%m%d" if daily else str(rng.choice(["%Y%m%d%H%M", "%Y%m%d%H%M%S", "%Y%m%d %H%M%S", "%Y%m%dT%H%M%SZ"]))
    texts: list[Any] = [one.strftime(form) for one in moments]
    # Twelve digits are milliseconds of 1976 as well.
    proves = form != "%Y%m%d%H%M" or not all(10**11 <= int(text) < 88 * 10**11 for text in texts)
    if texts[0].isdigit() and rng.random() < 0.5:
        texts = [int(text) for text in texts]
    return Column("digits", _table(texts), {}, tuple(moments), daily, proves)


def two_columns(rng: Any) -> Column:
    """Write date and time of day in columns of their own."""
    moments = _turned(rng, _moments(rng, UTC, False))
    shown = {"DMY": "%d/%m/%Y", "MDY": "%m/%d/%Y", "YMD": str(rng.choice(["%Y-%m-%d", "%Y.%m.%d", "%Y%m%d"]))}
    order = str(rng.choice(list(shown), p=[0.25, 0.25, 0.5]))
    clock = str(rng.choice(["%H:%M", "%H:%M:%S", "%H%M%S", "%I:%M %p"]))
    dates = [one.strftime(shown[order]) for one in moments]
    proves = order == "YMD" or _one_reading(dates, [shown["DMY"], shown["MDY"]])
    how = {"date_format": shown[order]} if order != "YMD" and rng.random() < 0.3 else {}
    frame = _table(dates, time=[one.strftime(clock) for one in moments])
    return Column("two columns", frame, how, tuple(moments), False, proves or bool(how))


def in_a_zone(rng: Any) -> Column:
    """Write wall clocks of a zone that is told, or moments of it as UTC midnights."""
    zone = ZoneInfo(str(rng.choice(ZONES)))
    daily = bool(rng.random() < 0.5)
    moments = _moments(rng, zone, daily)
    if daily:
        texts = [one.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for one in moments]
    else:
        texts = [one.strftime("%Y-%m-%d %H:%M:%S") for one in moments]
    return Column(
        "in a zone", _table(texts), {"time_zone": str(zone)}, tuple(moments), daily, daily or _plainly(moments)
    )


def shifted(rng: Any) -> Column:
    """Write moments with offsets of several zones, row by row."""
    moments = _moments(rng, UTC, False)
    hours = rng.integers(-12, 14, len(moments))
    own = [one.astimezone(timezone(timedelta(hours=int(h)))) for one, h in zip(moments, hours, strict=True)]
    return Column("shifted", _table([one.isoformat() for one in own]), {}, tuple(moments), False, True)


KINDS: tuple[Callable[[Any], Column], ...] = (
    iso, numbers, words, counted, digits, two_columns, in_a_zone, shifted, numbers, iso,
)  # fmt: skip


def outcome(one: Column) -> Outcome:
    """Read a column and hold it to its truth; what is refused as ambiguous has to name the truth and how to say it."""
    how = Reading(source="a.csv", calendar="24/7", place="line", first_row=2, **one.how)
    try:
        table = read(one.frame, how)
    except DataError as error:
        return Outcome("refused", str(error))
    wanted = [m.date() for m in one.moments] if one.dates else [_ns(m.astimezone(UTC)) for m in one.moments]
    got: list[Any] = table.ts.tolist()
    midnights = all(m.time() == m.min.time() for m in one.moments)
    if one.dates or (table.days is not None and midnights):
        got = [] if table.days is None else table.days.astype("M8[D]").tolist()
        wanted = [m.date() for m in one.moments]
    return Outcome("right", "") if got == wanted else Outcome("wrong", f"{got[:3]} for {wanted[:3]}")


def names_both(one: Column, said: str) -> bool:
    """Tell whether a refusal names several readings, of which one is the truth when it is told."""
    forms = re.findall(r"date_format = '([^']+)'", said)
    told = [outcome(one._replace(how={**one.how, "date_format": form})).word for form in forms]
    return len(forms) > 1 and told.count("right") == 1
