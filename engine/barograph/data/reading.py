"""From a table as somebody saved it to columns of numbers and moments: names, number formats, time stamps.

Nothing is judged here but what cannot be read at all; whether the numbers can be *true* is the work of `checks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from barograph.data import stamps
from barograph.data.actions import counted_once, declared
from barograph.data.calendars import Times
from barograph.data.shapes import marks
from barograph.data.shapes.known import recognised
from barograph.data.shapes.words import called, some
from barograph.data.table import SYMBOLS, Reading, Table, one_currency, plain
from barograph.data.times import Note, are_clocks
from barograph.errors import DataError, nearest
from barograph.types import Floats

__all__ = ["COLUMNS", "NoColumn", "read", "understood"]

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "time": ("time", "date", "datetime", "timestamp", "gmt_time"),
    "clock": (),
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
    "symbol": (),
}
"""What each column may be called when no mapping is given; case, spaces, underscores and <> do not count.

A `clock` is the time of day where it has a column of its own: one called time, beside one called date. A `symbol` is
found by the names in `SYMBOLS` where none is told.
"""
_TEXTS: Final = ("time", "clock", "currency", "symbol")


class NoColumn(DataError):
    """A part that no column plays; `columns` are those that are called so in other languages, or by terminals."""

    def __init__(self, told: str, columns: Mapping[str, str]) -> None:
        super().__init__(told)
        self.columns = dict(columns)


def read(frame: pd.DataFrame, how: Reading) -> Table:
    """Read one asset's table.

    Raises `DataError` naming what cannot be read: no such column, no number, no time, an unknown calendar.
    """
    flat, how, names = understood(frame, how)
    ts, days, notes = stamps.closes(flat, names, how)
    column, said = _numbers({name: flat[names[name]] for name in names if name not in _TEXTS}, how)
    close = column["close"]
    price = {name: column.get(name, close) for name in ("open", "high", "low", "close")}
    actions = declared(column, how)
    if how.adjusted:
        price = _rescaled(price, column["adj_close"])
        counted_once(actions, names, how)
    return Table(
        source=how.source,
        symbol=how.symbol or how.fallback,
        place=how.place,
        rows=(np.arange(len(flat), dtype=np.int64) if how.kept is None else how.kept) + how.first_row,
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
        notes=(*how.notes, *said, *notes),
        marked_open=how.bars_mark == "open",
        apart=_apart(flat, ts, names),
    )


def understood(frame: pd.DataFrame, how: Reading) -> tuple[pd.DataFrame, Reading, dict[str, str]]:
    """Return the rows and columns of one asset, how they are read with all that is known, and which column is what.

    Raises `DataError` for no rows, no such asset, no such column.
    """
    flat, ticker = _one_ticker(frame, how)
    flat, how = _one_symbol(flat, how)
    if len(flat) == 0:
        raise DataError(f"{how.source}: no rows; wanted at least one bar")
    how = recognised(flat, how._replace(fallback=ticker or how.fallback))
    how = how._replace(calendar=how.calendar or "XNYS", bars_mark=how.bars_mark or "close")
    return flat, how, _names(flat, how)


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


def _one_symbol(frame: pd.DataFrame, how: Reading) -> tuple[pd.DataFrame, Reading]:
    """Keep the rows of the asset that is told where a column names several."""
    told = (how.columns or {}).get("symbol")
    columns = [at for at, name in enumerate(frame.columns) if (name == told if told else plain(name) in SYMBOLS)]
    if told == "":
        return frame, how
    symbols = frame.iloc[:, columns[0]].astype("str").str.strip() if columns else pd.Series([], dtype="str")
    empty = (symbols.isna() | (symbols == "")).to_numpy(dtype=bool)
    if empty.any() and not empty.all():
        told = f"no symbol in column {frame.columns[columns[0]]!r}, and other rows have one: write it"
        raise DataError(f"{how.source}: {how.at(int(np.argmax(empty)))}: {told}")
    known = [str(name) for name in symbols[~empty].unique()]
    if len(known) < 2:
        return frame, how._replace(fallback=known[0] if known else how.fallback)
    if how.symbol not in known:
        some = ", ".join(known[:5]) + (", ..." if len(known) > 5 else "")
        near = nearest(how.symbol, known) if how.symbol else ""
        column = frame.columns[columns[0]]
        raise DataError(f"{how.source}: column {column!r} holds the symbols {some}{near}; choose one with symbol=")
    kept = np.flatnonzero((symbols == how.symbol).to_numpy(dtype=bool))
    return frame.iloc[kept], how._replace(kept=kept)


def _apart(frame: pd.DataFrame, ts: Times, names: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Return what tells rows of one moment apart: the part that it may play, the column, and some of its words."""
    if "symbol" in names or len(np.unique(ts)) == len(ts):
        return None
    for name in frame.columns:
        if name in names.values() or pd.api.types.is_numeric_dtype(frame[name]):
            continue
        words = frame[name].astype("str").to_numpy(dtype=object)
        if len(set(zip(ts.tolist(), words, strict=True))) == len(ts) > len(set(words)):
            return "clock" if are_clocks(words) else "symbol", str(name), ", ".join(sorted(set(words))[:3])
    return None


def _plain_all(names: pd.Index) -> list[str]:
    return [plain(name) for name in names]


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
                f"{nearest(name, map(str, frame.columns))}; the file has {some(frame.columns)}"
            )
    found = _found(frame, how.source, given)
    names = {part: name for part, name in {**found, **given}.items() if part not in left_out}
    if "quote_volume" not in left_out:
        _also_by_name(frame, names)
    _require(frame, names, how)
    return names


def _found(frame: pd.DataFrame, source: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return the parts that columns play by their names; two for one part are an error."""
    columns = list(frame.columns)
    plainly = [plain(name) for name in columns]
    twice = {name for name in columns if columns.count(name) > 1}
    found: dict[str, str] = {}
    for part, aliases in COLUMNS.items():
        own = [name for name, alias in zip(columns, plainly, strict=True) if alias in aliases]
        if wrong := [name for name in (*own, given.get(part)) if name in twice]:
            raise DataError(f"{source}: two columns are called {wrong[0]!r}; wanted one: rename or remove the other")
        if part == "time" and part not in given:
            found |= stamps.parts(frame, own, source)
        elif own and part not in given:
            found[part] = _one(part, own, source)
    if "time" not in {**found, **given} and _is_index(frame):
        found["time"] = columns[0]
    return found


def _is_index(frame: pd.DataFrame) -> bool:
    """Tell whether the first column has no name and holds texts, as an index does that was saved without one."""
    first = frame.columns[0]
    return first in ("", "Unnamed: 0") and not pd.api.types.is_numeric_dtype(frame[first])


def _one(part: str, own: list[str], source: str) -> str:
    if len(own) > 1:
        told = " and ".join(map(repr, own))
        raise DataError(f"{source}: {told} are both {part}; say which with columns = {{{part} = {own[0]!r}}}")
    return own[0]


def _also_by_name(frame: pd.DataFrame, names: dict[str, str]) -> None:
    others = [name for name in frame.columns if plain(name).startswith("volume") and name not in names.values()]
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
        proposed = called(frame.columns, names)
        way = ", ".join(f'{part} = "{name}"' for part, name in proposed.items()) or f'{missing[0]} = "..."'
        raise NoColumn(
            f"{how.source}: no column for {', '.join(missing)}; the file has {some(frame.columns)}; "
            f"name them with columns = {{{way}}}",
            proposed,
        )


def _numbers(columns: Mapping[str, pd.Series], how: Reading) -> tuple[dict[str, Floats], list[Note]]:
    """Return columns as float64, and what has to be said of how their texts were read."""
    written = {name: one for name, one in columns.items() if not pd.api.types.is_numeric_dtype(one)}
    texts = {name: _texts(one.reset_index(drop=True)) for name, one in written.items()}
    read = {
        name: np.array(one.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
        for name, one in columns.items()
        if name not in texts
    }
    if not texts:
        return read, []
    found = marks.proved(list(texts.values()), how)
    read |= {name: marks.numbers(one, found, how) for name, one in texts.items()}
    return {name: read[name] for name in columns}, list(marks.noted(found, how))


def _texts(column: pd.Series) -> pd.Series:
    """Return a column as texts; a number among them is written as Python has it."""
    if isinstance(column.dtype, pd.StringDtype):
        return column
    return column.map(lambda cell: cell if pd.isna(cell) else str(cell)).astype("str")


def _rescaled(price: dict[str, Floats], adjusted: Floats) -> dict[str, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = adjusted / price["close"]
    return {**{name: value * ratio for name, value in price.items()}, "close": adjusted}
