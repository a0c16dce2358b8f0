"""Whose file is this? A known shape says what its columns are, what its times name, and is told at load."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import pandas as pd

from barograph.data.calendars import ALWAYS
from barograph.data.shapes.vendors import HEADERLESS, SHAPES, Shape
from barograph.data.table import SYMBOLS, Reading, plain
from barograph.data.times import Note
from barograph.errors import DataError, nearest

__all__ = ["TIMES", "likely", "recognised"]

_OWN: Final = ("date", "datetime", "time", "timestamp", "unix")
TIMES: Final = frozenset(_OWN) | {shape.columns.get("time", "time") for shape in SHAPES} | {"close_time"}
"""What columns of times are called by anybody that is known, as `plain` has names."""
_ROWS: Final = 50


def recognised(frame: pd.DataFrame, how: Reading) -> Reading:
    """Return how a frame is read when its shape is known: its columns, marks and zone, where nothing else is told.

    >>> frame = pd.DataFrame(columns=["Date", "Close/Last", "Volume", "Open", "High", "Low"])
    >>> recognised(frame, Reading()).columns
    {'close': 'Close/Last'}

    Raises `DataError` for a table without a header that nobody alone writes, and for a shape that is not known.
    """
    shape = _without_names(frame, how) if _is_numbered(frame) else _by_header(frame)
    if shape is None:
        return how
    columns = _columns(frame, shape)
    if shape.name == "CryptoDataDownload":
        columns |= _volumes(frame, shape)
    if shape.name == "MetaTrader 5" and not _counts(frame[columns["volume"]]):
        columns["volume"] = ""
    columns |= how.columns or {}
    note = Note("known_shape", how.first_row, _told(shape, columns))
    return how._replace(
        columns=columns,
        bars_mark=how.bars_mark or ("open" if shape.opens else ""),
        calendar=how.calendar or shape.calendar or "",
        time_zone=how.time_zone or shape.zone,
        decimal=how.decimal or shape.decimal,
        vendor=shape.dates and (shape.name, *shape.dates),
        clock=shape.clock and f"{shape.name} writes {shape.clock} clock",
        known=shape.name,
        prices=shape.prices,
        shape=next((name for name, one in HEADERLESS.items() if one.shape is shape), None),
        notes=(*how.notes, note),
    )


def likely(frame: pd.DataFrame) -> dict[str, str]:
    """Return whose a frame without names may be: vendors by the names of their shapes."""
    if not _is_numbered(frame):
        return {}
    return {name: one.shape.name for name, one in HEADERLESS.items() if _looks_so(frame, one.cells)}


def _is_numbered(frame: pd.DataFrame) -> bool:
    return len(frame.columns) > 0 and list(frame.columns) == [str(n + 1) for n in range(frame.shape[1])]


def _by_header(frame: pd.DataFrame) -> Shape | None:
    names = [str(name) for name in frame.columns]
    if isinstance(frame.index, pd.DatetimeIndex):
        names.insert(0, str(frame.index.name))
    plainly = {plain(name) for name in names}
    for shape in SHAPES:
        own = set(names).issuperset(shape.written) and tuple(names[: len(shape.first)]) == shape.first
        if own and plainly.issuperset(shape.header):
            never = shape.name in ("Alpaca", "Polygon") and _never_closes(frame)
            return shape._replace(zone="UTC", calendar=ALWAYS) if never else shape
    return None


def _never_closes(frame: pd.DataFrame) -> bool:
    """Tell whether rows are of currencies or coins: their days end at midnight UTC."""
    column = next((name for name in frame.columns if plain(name) in SYMBOLS), None)
    return column is not None and bool(frame[column].astype("str").str.contains("/|^[CX]:").any())


def _columns(frame: pd.DataFrame, shape: Shape) -> dict[str, str]:
    own = {plain(name): name for name in frame.columns}
    return {part: own.get(name, "") if name else "" for part, name in shape.columns.items() if _has(own, part, name)}


def _has(own: dict[str, str], part: str, name: str) -> bool:
    return not name or name in own


def _volumes(frame: pd.DataFrame, shape: Shape) -> dict[str, str]:
    """Return which volume is that of the coin: the one that bears its name."""
    named = [str(name) for name in frame.columns if plain(name).startswith("volume")]
    pairs = frame[next(name for name in frame.columns if plain(name) == "symbol")].dropna().astype("str")
    pair = pairs.iloc[0].upper() if len(pairs) else ""
    coin = [name for name in named if pair.startswith(name.split()[-1].upper())]
    money = [name for name in named if name not in coin]
    if len(coin) != 1:
        return {"volume": ""}
    return {"volume": coin[0], **({"quote_volume": money[0]} if len(money) == 1 else {})}


def _counts(column: pd.Series) -> bool:
    return bool((pd.to_numeric(column, errors="coerce").fillna(0.0) > 0.0).any())


def _without_names(frame: pd.DataFrame, how: Reading) -> Shape | None:
    if how.shape is not None:
        if how.shape not in HEADERLESS:
            known = ", ".join(HEADERLESS)
            raise DataError(f"{how.source}: shape = {how.shape!r}{nearest(how.shape, HEADERLESS)}; known: {known}")
        told = HEADERLESS[how.shape]
        if not _looks_so(frame, told.cells):
            raise DataError(f"{how.source}: {how.at(0)}: bars of {told.shape.name} are not written so; mend shape=")
        return told.shape
    found = likely(frame)
    # Names of columns are no clock: what nobody else writes stays known when they are told.
    if len(found) == 1 and HEADERLESS[next(iter(found))].alone:
        return HEADERLESS[next(iter(found))].shape
    if how.columns and "close" in how.columns:
        return None
    ways = "".join(f'if it is of {vendor}, say shape = "{name}", or ' for name, vendor in found.items())
    raise DataError(
        f"{how.source}: {how.at(0)} is a bar, and no line names the columns; {ways}number them: "
        f'header = false, columns = {{ time = "1", open = "2", high = "3", low = "4", close = "5" }}'
    )


def _looks_so(frame: pd.DataFrame, cells: tuple[str, ...]) -> bool:
    if frame.shape[1] != len(cells):
        return False
    head = frame.head(_ROWS)
    texts = [[_written(cell) for cell in head.iloc[:, n]] for n in range(len(cells))]
    return all(re.fullmatch(look, cell) for look, column in zip(cells, texts, strict=True) for cell in column)


def _written(cell: object) -> str:
    return np.format_float_positional(cell, trim="-") if isinstance(cell, float) else str(cell)


def _told(shape: Shape, columns: dict[str, str]) -> str:
    """Say in one line what a shape means for its bars."""
    mark = "times name a bar's open" if shape.opens else "times name a bar's close, dates its day"
    zone = f" ({shape.zone})" if shape.zone else ""
    named = ", ".join(f"{part} = {name!r}" for part, name in columns.items() if name)
    left = ", ".join(part for part, name in columns.items() if not name)
    parts = [f"known as {shape.name}'s: {mark}{zone}", f"prices {shape.prices}" if shape.prices else "", named]
    return "; ".join(filter(None, [*parts, f"left out: {left}" if left else ""]))
