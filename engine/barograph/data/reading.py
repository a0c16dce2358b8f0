"""From a table as somebody saved it to columns of numbers and moments: names, number formats, time stamps.

Nothing is judged here but what cannot be read at all; whether the numbers can be *true* is the work of `checks`.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import pandas as pd

from barograph.data import calendars
from barograph.data.actions import counted_once, declared
from barograph.data.calendars import ALWAYS, DAY, Days, Times
from barograph.data.table import Reading, Table, one_currency, spacing
from barograph.epoch import HOUR
from barograph.errors import DataError, nearest
from barograph.types import Floats

__all__ = ["COLUMNS", "read"]

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "time": ("time", "date", "datetime", "timestamp"),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "adj_close": ("adj_close", "adjclose"),
    "volume": ("volume",),
    "quote_volume": ("quote_volume",),
    "dividend": ("dividend", "dividends"),
    "split": ("split", "splits", "stock_split", "stock_splits"),
    "final": ("final",),
    "currency": ("currency",),
}
"""What each column may be called when no mapping is given; case, spaces and underscores do not count."""
_SUFFIXES: Final = {"K": "e3", "M": "e6", "B": "e9"}
_FIRST, _LAST = 1700, 2250


def read(frame: pd.DataFrame, how: Reading) -> Table:
    """Read one asset's table.

    Raises `DataError` naming what cannot be read: no such column, no number, no time, an unknown calendar.
    """
    flat, ticker = _one_ticker(frame, how)
    if len(flat) == 0:
        raise DataError(f"{how.source}: no rows; wanted at least one bar")
    names = _names(flat, how)
    ts, days = _closes(_stamps(flat, names, how), how)
    column = {name: _numbers(flat[names[name]], how) for name in names if name not in ("time", "currency")}
    close = column["close"]
    price = {name: column.get(name, close) for name in ("open", "high", "low", "close")}
    actions = declared(column, how)
    if how.adjusted:
        price = _rescaled(price, column["adj_close"])
        counted_once(actions, names, how)
    return Table(
        source=how.source,
        symbol=how.symbol or ticker or how.fallback,
        place=how.place,
        rows=np.arange(len(flat), dtype=np.int64) + how.first_row,
        ts=ts,
        days=days,
        open=price["open"],
        high=price["high"],
        low=price["low"],
        close=price["close"],
        volume=column.get("volume", np.full(len(flat), np.nan)),
        quote_volume=column.get("quote_volume"),
        has_volume="volume" in column,
        close_only="open" not in column,
        calendar=how.calendar,
        traded=how.traded,
        currency=_currency(flat, names, how),
        dividends=actions.get("dividends"),
        splits=actions.get("splits"),
        final=actions.get("final"),
    )


def _currency(frame: pd.DataFrame, names: dict[str, str], how: Reading) -> str:
    found = [how.currency]
    if "currency" in names:
        found += [str(name) for name in frame[names["currency"]].dropna().unique()]
    return one_currency(how.source, found)


def _one_ticker(frame: pd.DataFrame, how: Reading) -> tuple[pd.DataFrame, str | None]:
    """Reduce the two-level columns of downloaded tables (field, ticker) to one asset's plain columns."""
    if frame.columns.nlevels == 1:
        return frame, None
    levels = [frame.columns.get_level_values(i).astype(str) for i in range(2)]
    fields, tickers = levels if "close" in _plain_all(levels[0]) else levels[::-1]
    known = [name for name in dict.fromkeys(tickers) if name]
    chosen = how.symbol if how.symbol in known else (known[0] if len(known) == 1 else None)
    if chosen is None:
        raise DataError(f"{how.source}: holds the assets {', '.join(known)}; choose one with symbol=")
    keep = (tickers == chosen) | (tickers == "")
    return frame.loc[:, keep].set_axis(fields[keep], axis=1), chosen


def _plain(name: object) -> str:
    return re.sub(r"[\s_]+", "_", str(name).strip()).lower()


def _plain_all(names: pd.Index) -> list[str]:
    return [_plain(name) for name in names]


def _names(frame: pd.DataFrame, how: Reading) -> dict[str, str]:
    """Return which of the frame's columns plays which part."""
    given = dict(how.columns or {})
    left_out = {part for part, name in given.items() if name == ""}
    for part, name in given.items():
        if part not in COLUMNS:
            raise DataError(
                f"{how.source}: columns has no part {part!r}{nearest(part, COLUMNS)}; wanted {', '.join(COLUMNS)}"
            )
        if part not in left_out and name not in frame.columns:
            raise DataError(
                f"{how.source}: no column {name!r} for {part!r}"
                f"{nearest(name, map(str, frame.columns))}; the file has {', '.join(map(str, frame.columns))}"
            )
    found = {part: name for part, aliases in COLUMNS.items() for name in frame.columns if _plain(name) in aliases}
    names = {part: name for part, name in {**found, **given}.items() if part not in left_out}
    if "quote_volume" not in left_out:
        _also_by_name(frame, names)
    _require(frame, names, how)
    return names


def _also_by_name(frame: pd.DataFrame, names: dict[str, str]) -> None:
    others = [name for name in frame.columns if _plain(name).startswith("volume") and name not in names.values()]
    if "volume" in names and "quote_volume" not in names and others:
        names["quote_volume"] = others[0]


def _require(frame: pd.DataFrame, names: dict[str, str], how: Reading) -> None:
    wanted = ["close", "adj_close"] if how.adjusted else ["close"]
    if any(part in names for part in ("open", "high", "low")):
        wanted += ["open", "high", "low"]
    missing = [part for part in wanted if part not in names]
    if "time" not in names and not isinstance(frame.index, pd.DatetimeIndex):
        missing.insert(0, "time")
    if missing:
        raise DataError(
            f"{how.source}: no column for {', '.join(missing)}; the file has {', '.join(map(str, frame.columns))}; "
            f'name them with columns = {{{missing[0]} = "..."}}'
        )


def _numbers(column: pd.Series, how: Reading) -> Floats:
    """Return a column as float64; text is read with the decimal and thousands marks given, and K, M, B at its end."""
    if pd.api.types.is_numeric_dtype(column):
        return np.array(column.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
    text = column.astype("object").map(lambda value: "" if pd.isna(value) else str(value).strip())
    plain = [_plain_number(value, how) for value in text]
    numbers = np.array(pd.to_numeric(pd.Series(plain, dtype="object"), errors="coerce"), dtype=np.float64)
    broken = np.isnan(numbers) & ~text.str.lower().isin(["", "-", "nan", "na", "n/a", "null"]).to_numpy(dtype=bool)
    if broken.any():
        row = int(np.argmax(broken))
        raise DataError(
            f"{how.source}: {how.place} {row + how.first_row}, column {column.name!r}: {text.iloc[row]!r} is no "
            f"number; say how numbers are written with decimal= and thousands="
        )
    return numbers


def _plain_number(text: str, how: Reading) -> str:
    if how.thousands:
        text = text.replace(how.thousands, "")
    text = text.replace(how.decimal, ".")
    return text[:-1] + _SUFFIXES[text[-1]] if text[-1:] in _SUFFIXES else text


def _rescaled(price: dict[str, Floats], adjusted: Floats) -> dict[str, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = adjusted / price["close"]
    return {**{name: value * ratio for name, value in price.items()}, "close": adjusted}


def _stamps(frame: pd.DataFrame, names: dict[str, str], how: Reading) -> pd.DatetimeIndex:
    raw = pd.Series(frame.index) if "time" not in names else frame[names["time"]].reset_index(drop=True)
    stamps = raw if isinstance(raw.dtype, pd.DatetimeTZDtype) or raw.dtype.kind == "M" else _parsed(raw, how)
    if bool(stamps.isna().any()):
        row = int(np.argmax(stamps.isna().to_numpy()))
        raise DataError(
            f"{how.source}: {how.place} {row + how.first_row}: {raw.iloc[row]!r} is no time; "
            f"say how times are written with date_format="
        )
    index = pd.DatetimeIndex(stamps)
    outside = np.asarray((index.year < _FIRST) | (index.year >= _LAST))
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(
            f"{how.source}: {how.place} {row + how.first_row}: {index[row]} lies outside {_FIRST}..{_LAST}, "
            f"the years that 64-bit nanoseconds can hold"
        )
    return index


def _parsed(raw: pd.Series, how: Reading) -> pd.Series:
    kind = how.date_format
    if pd.api.types.is_numeric_dtype(raw) and kind in ("s", "ms", "us", "ns"):
        counted: pd.Series = pd.to_datetime(raw, unit=kind, utc=True, errors="coerce")  # type: ignore[call-overload]
        return counted
    if pd.api.types.is_numeric_dtype(raw) and kind is None:
        raise DataError(
            f"{how.source}: times are numbers ({raw.iloc[0]}); say what they count with date_format = 's', 'ms', 'us', "
            f"'ns', or how they are written, such as '%Y%m%d'"
        )
    try:
        parsed: pd.Series = pd.to_datetime(raw.astype("str"), format=kind, errors="coerce")
        return parsed
    except ValueError as error:
        raise DataError(f"{how.source}: times cannot be read: {error}".splitlines()[0]) from None


def _closes(stamps: pd.DatetimeIndex, how: Reading) -> tuple[Times, Days | None]:
    """Turn the file's stamps into closes, and say which are whole dates."""
    if how.bars_mark not in ("close", "open"):
        raise DataError(f"{how.source}: bars_mark = {how.bars_mark!r}; wanted 'close' or 'open'")
    if stamps.tz is not None and how.time_zone is not None:
        stamps = stamps.tz_convert(how.time_zone)
    local = stamps.tz_localize(None)
    if bool((local == local.normalize()).all()):
        return _of_dates(local.to_numpy().astype("M8[D]"), how, None if stamps.tz is None else str(stamps.tz))
    moments = _instants(stamps, how).as_unit("ns").asi8
    return (_ends(moments, how.calendar) if how.bars_mark == "open" else np.array(moments)), None


def _instants(stamps: pd.DatetimeIndex, how: Reading) -> pd.DatetimeIndex:
    if stamps.tz is not None:
        return stamps.tz_convert("UTC")
    try:
        return stamps.tz_localize(how.time_zone or "UTC", ambiguous="infer").tz_convert("UTC")
    except (KeyError, ValueError) as error:
        raise DataError(
            f"{how.source}: times do not fit time_zone = {how.time_zone!r}: {error}; use 'UTC' if that is what they are"
        ) from None


def _of_dates(days: Days, how: Reading, zone: str | None) -> tuple[Times, Days]:
    step = spacing(days.astype("M8[ns]").astype(np.int64))
    if how.bars_mark == "open" and step > 4 * DAY:
        days = _last_days(days, step, how.calendar)
    return calendars.closes(how.calendar, days, how.closes_at, how.time_zone or zone), days


def _last_days(starts: Days, step: int, calendar: str) -> Days:
    """Weeks and months stamped with their first day close on the last session before the next one starts."""
    if step < 20 * DAY:
        ends = starts + 6
    else:
        ends = (starts.astype("M8[M]") + 1).astype("M8[D]") - 1
    if calendar == ALWAYS:
        return ends
    known = calendars.sessions(calendar, starts.min(), ends.max()).days
    at = np.searchsorted(known, ends, side="right") - 1
    return np.where(at >= 0, known[np.maximum(at, 0)], ends) if len(known) else ends


def _ends(opens: Times, calendar: str) -> Times:
    """A bar stamped with its open ends one length later, or at the session's close if that is sooner.

    Where the next session opens at that very close, a bar may run over it: nothing is known of it before its end.
    """
    ends = opens + _length(opens)
    if calendar == ALWAYS:
        return ends
    known, at, inside = calendars.placed(calendar, opens + 1)  # a bar that opens at the close is not inside
    if len(known.days) == 0:
        return ends
    goes_on = np.append(known.opens[1:] <= known.closes[:-1], False)[at]
    return np.where(inside & ~goes_on, np.minimum(ends, known.closes[at]), ends)


def _length(opens: Times) -> int:
    """Return how long a bar is: the usual step inside a day, if there is one; two bars a session are a night apart."""
    steps = np.diff(np.unique(opens))
    inside = steps[steps < 12 * HOUR]
    return int(np.median(inside)) if 4 * len(inside) >= len(steps) > 0 else spacing(opens)
