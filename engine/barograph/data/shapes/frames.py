"""Frames as libraries hand them over become plain ones: a column of times, one level of rows, assets apart."""

from __future__ import annotations

import pandas as pd

from barograph.data.calendars import Times
from barograph.data.shapes.known import TIMES
from barograph.data.table import SYMBOLS, plain

__all__ = ["by_symbol", "tidied"]


def tidied(frame: pd.DataFrame | pd.Series) -> tuple[pd.DataFrame, Times | None]:
    """Return a frame with times as its index or a column, and how long in ns rows last that begin then: periods.

    A series is closes; an index of texts or of several levels becomes columns.

    >>> tidied(pd.Series([5.0], index=["2024-07-01"]))[0].to_dict("list")
    {'time': ['2024-07-01'], 'close': [5.0]}
    """
    if isinstance(frame, pd.Series):
        frame = frame.to_frame("close")
    index = frame.index
    if isinstance(index, pd.PeriodIndex):
        lengths = (index + 1).start_time - index.start_time
        return frame.set_axis(index.start_time, axis=0), lengths.as_unit("ns").asi8
    if index.nlevels > 1:
        return frame.reset_index(names=[_called(index, level) for level in range(index.nlevels)]), None
    timed = frame.columns.nlevels == 1 and any(plain(name) in TIMES for name in frame.columns)
    if timed or isinstance(index, pd.DatetimeIndex | pd.RangeIndex):
        return frame, None
    return frame.rename_axis(columns=None).reset_index(names="time"), None


def _called(index: pd.Index, level: int) -> str:
    """Return what a level of rows is called: by its own name where that says it, else by what it holds."""
    name = str(index.names[level])
    if plain(name) in (*TIMES, *SYMBOLS):
        return name
    return "time" if index.get_level_values(level).dtype.kind == "M" else "symbol"


def by_symbol(frame: pd.DataFrame, symbol: str | None) -> list[str]:
    """Return the assets of a frame that holds several, where none of them is chosen; else none.

    >>> by_symbol(pd.DataFrame({"symbol": ["A", "B"], "close": [1.0, 2.0]}), None)
    ['A', 'B']
    """
    if symbol is not None:
        return []
    if frame.columns.nlevels > 1:
        levels = [[str(name) for name in frame.columns.get_level_values(n)] for n in range(2)]
        tickers = levels[1] if "close" in map(plain, levels[0]) else levels[0]
        found = [name for name in dict.fromkeys(tickers) if name]
    else:
        columns = [n for n, name in enumerate(frame.columns) if plain(name) in SYMBOLS]
        found = [str(name) for name in frame.iloc[:, columns[0]].dropna().unique()] if columns else []
    return found if len(found) > 1 else []
