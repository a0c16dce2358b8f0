"""What was understood of a file, for people: layout, columns, first and last bars, doubts, and words that say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from barograph.data import reading
from barograph.data.calendars import ALWAYS, CURRENCIES
from barograph.data.checks import check
from barograph.data.findings import Finding
from barograph.data.shapes.frames import by_symbol
from barograph.data.shapes.known import likely
from barograph.data.shapes.layout import SEPARATORS, Layout
from barograph.data.shapes.markets import homes_of
from barograph.data.table import Reading, Table, spacing
from barograph.data.times import TwoReadings
from barograph.epoch import DAY, HOUR
from barograph.errors import DataError

__all__ = ["Look", "looked"]

_ZONES: Final = ("UTC", "America/New_York", "Europe/London", "Europe/Berlin", "Europe/Athens")
_FEW: Final = 5
_ELSEWHERE: Final = "Etc/GMT-5"
_NEW_YORK: Final = "America/New_York"
_SHOWN: Final = ("open", "high", "low", "close", "volume")


class Look(NamedTuple):
    """What a look at a file saw: lines for people, the words of its ``[data]`` table with a remark each, and findings.

    `problem` is why it cannot be loaded so, "" where it can; `ways` are the words of which one has to be said.
    """

    lines: tuple[tuple[str, str], ...]
    words: tuple[tuple[str, Any, str], ...]
    findings: tuple[Finding, ...] = ()
    problem: str = ""
    ways: Mapping[str, Mapping[str, Any]] = {}


def looked(frame: pd.DataFrame, how: Reading, kind: str, layout: Layout | None, told: Mapping[str, Any]) -> Look:
    """Look at a file that has been opened: `told` are the words that were said of it.

    >>> frame = pd.DataFrame({"Date": ["2024-07-01", "2024-07-02"], "Close": [5.0, 6.0]})
    >>> looked(frame, Reading("a.csv", fallback="a"), "text", None, {}).words[0][:2]
    ('calendar', 'XNYS')
    """
    lines = [("file", kind), *_layout(layout)]
    try:
        flat, full, names = reading.understood(frame, how)
    except reading.NoColumn as error:
        if error.columns:
            return _proposed(frame, how, kind, layout, {**told, "columns": {**(how.columns or {}), **error.columns}})
        return Look(tuple(lines), _told(told), problem=str(error))
    except DataError as error:
        return Look(tuple(lines), _told(told), problem=str(error), ways=_choices(frame, how))
    lines += [("shape", f"{full.known}; prices {full.prices}")] if full.known else []
    if "adj_close" in names and not how.adjusted:
        lines += [("prices", f"{names['adj_close']!r} stands beside them; adjusted = true scales them by it")]
    lines += [("columns", ", ".join(f"{part} = {name!r}" for part, name in names.items()))]
    try:
        table, remark = reading.read(frame, how), ""
        if not how.calendar and full.calendar in ("", _USUAL):
            table, remark = _on_its_days(table, frame, how)
    except TwoReadings as error:
        return Look(tuple(lines), _words(told, full, layout, ""), problem=str(error), ways=error.ways)
    except DataError as error:
        ways = _clocks(flat, names, full) if full.clock and full.time_zone is None else {}
        words = _words(told, full, layout, CURRENCIES if ways else "")
        return Look(tuple(lines), words, problem=str(error), ways=ways)
    bare = not full.time_zone and _without_offset(table, frame, how)
    lines += _bars(table, full, "UTC, for want of an offset" if bare else full.time_zone or "the offsets beside them")
    words = _words(told, full, layout, table.calendar, bare, remark)
    return Look(tuple(lines), words, check(table), ways=_telling_apart(table, how))


def _telling_apart(table: Table, how: Reading) -> dict[str, dict[str, Any]]:
    if table.apart is None:
        return {}
    part, name, few = table.apart
    return {f"if that is what {few} are": {"columns": {**(how.columns or {}), part: name}}}


def _proposed(frame: pd.DataFrame, how: Reading, kind: str, layout: Layout | None, told: Mapping[str, Any]) -> Look:
    """Look at a file by what its columns are called elsewhere, and say that nobody has said so."""
    seen = looked(frame, how._replace(columns=told["columns"]), kind, layout, told)
    words = tuple((key, value, _CALLED if key == "columns" else remark) for key, value, remark in seen.words)
    return seen._replace(words=words)


def _without_offset(table: Table, frame: pd.DataFrame, how: Reading) -> bool:
    """Tell whether times of day are other moments when they are read in another zone."""
    if table.days is not None:
        return False
    there = reading.read(frame, how._replace(calendar=table.calendar, time_zone=_ELSEWHERE))
    return bool((there.ts != table.ts).any())


def _choices(frame: pd.DataFrame, how: Reading) -> dict[str, dict[str, str]]:
    """Return the words of which one chooses among several assets, or among several vendors."""
    named = frame.rename(columns={(how.columns or {}).get("symbol"): "symbol"}) if how.columns else frame
    assets = {f"the bars of {name}": {"symbol": name} for name in by_symbol(named, how.symbol)[:_FEW]}
    return assets | {f"if it is of {vendor}": {"shape": name} for name, vendor in likely(frame).items()}


def _layout(layout: Layout | None) -> list[tuple[str, str]]:
    if layout is None:
        return []
    header = f"lines {layout.before + 1} to {layout.first}" if layout.header > 1 else f"line {layout.first}"
    where = f"names in {header}" if layout.header else "no line of names"
    before = f", {layout.before} before it are skipped" if layout.before else ""
    return [("layout", f"{SEPARATORS.get(layout.separator, repr(layout.separator))} parts the cells, {where}{before}")]


def _on_its_days(table: Table, frame: pd.DataFrame, how: Reading) -> tuple[Table, str]:
    """Read again on the calendar that its days show, and say why: weekends, Sundays alone, another exchange's days."""
    days = table.ts.astype("M8[ns]").astype("M8[D]") if table.days is None else table.days
    weekday = (days.astype(np.int64) + 3) % 7
    calendar = ALWAYS if np.mean(weekday == 5) > 0.05 else CURRENCIES if np.mean(weekday == 6) > 0.01 else ""
    remark = _WHERE[calendar or _USUAL]
    if not calendar and table.days is not None and spacing(table.ts) <= 4 * DAY:
        calendar, remark = _at_home(days)
    return (reading.read(frame, how._replace(calendar=calendar)) if calendar else table), remark


def _at_home(days: Any) -> tuple[str, str]:
    """Return the one exchange that has these days, or "", and a remark."""
    there, found = homes_of(days)
    if not found:
        return "", _WHERE[_USUAL]
    if len(found) > 1:
        return "", f"{_WHERE[_USUAL]}; these are the days of {' or '.join(one.calendar for one in found)}"
    but = f" but for {found[0].off}" if found[0].off else ""
    return found[
        0
    ].calendar, f"its days{but}; {_USUAL} was closed on {there.closed} of them and open on {there.missing} others"


def _bars(table: Table, how: Reading, zone: str) -> list[tuple[str, str]]:
    first, last = (int(np.argmin(table.ts)), int(np.argmax(table.ts)))
    step = spacing(table.ts)
    every = "days" if table.days is not None and step <= 4 * DAY else str(pd.Timedelta(step)).removeprefix("0 days ")
    kind = "days of their sessions" if table.days is not None else f"times of day in {zone}"
    mark = "open" if how.bars_mark == "open" else "close"
    return [
        ("times", f"{kind}; they name the {mark}"),
        ("span", f"{len(table.ts)} bars, {every} apart"),
        ("first", _bar(table, first)),
        ("last", _bar(table, last)),
    ]


def _bar(table: Table, row: int) -> str:
    closes = str(table.ts[row].astype("M8[ns]").astype("M8[s]")).replace("T", " ")
    numbers = ", ".join(f"{name} {getattr(table, name)[row]:.10g}" for name in _SHOWN)
    return f"{table.place} {table.rows[row]}: closes {closes} UTC: {numbers}"


def _told(told: Mapping[str, Any]) -> tuple[tuple[str, Any, str], ...]:
    return tuple((key, value, "") for key, value in told.items())


def _words(
    told: Mapping[str, Any], how: Reading, layout: Layout | None, calendar: str, bare: bool = False, remark: str = ""
) -> tuple[tuple[str, Any, str], ...]:
    """Return the words that say what was understood, each with a remark where no file says it."""
    words: dict[str, tuple[Any, str]] = {key: (value, "") for key, value in told.items()}
    own = how.known and how.calendar == ALWAYS
    remark = remark or _WHERE.get(calendar or _USUAL, "")
    words.setdefault("calendar", (calendar or how.calendar, "" if own else remark))
    if how.bars_mark == "open":
        words.setdefault("bars_mark", ("open", ""))
    if how.time_zone or bare:
        words.setdefault("time_zone", (how.time_zone or "UTC", "" if how.time_zone else "of times without an offset"))
    if how.known and how.shape:
        words.setdefault("shape", (how.shape, ""))
        return tuple((key, *value) for key, value in words.items())
    if how.columns:
        words.setdefault("columns", (dict(how.columns), ""))
    if layout is not None and not layout.header:
        words.setdefault("header", (False, ""))
    return tuple((key, *value) for key, value in words.items())


_USUAL: Final = "XNYS"
_CALLED: Final = "by what they are called; look at the bars above"
_WHERE: Final = {
    _USUAL: "the exchange, which no file names",
    ALWAYS: "there are bars on weekends",
    CURRENCIES: "there are bars on Sundays",
}


def _clocks(frame: pd.DataFrame, names: Mapping[str, str], how: Reading) -> dict[str, dict[str, str]]:
    """Return the zones in which the weeks of a currency begin on Sunday at 17:00 in New York."""
    from barograph.data.stamps import closes

    ts, _, _ = closes(frame, names, how._replace(time_zone="UTC", bars_mark="close", calendar=ALWAYS))
    begins = ts[1:][np.diff(ts) > 36 * HOUR]
    wall = pd.DatetimeIndex(begins.astype("M8[ns]"))
    found = {}
    for zone in _ZONES if len(begins) else ():
        moments = wall.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").tz_convert(_NEW_YORK)
        fits = (moments.day_of_week == 6) & (moments.hour == 17)
        if np.mean(fits) > 0.9:
            but = "" if fits.all() else f" (but for {int((~fits).sum())} of {len(fits)} weeks)"
            meaning = f"weeks begin on Sunday at 17:00 in New York, if times are in {zone}{but}"
            found[meaning] = {"time_zone": zone}
    return found
