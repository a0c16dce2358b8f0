"""Candles of an exchange: which are over, which cannot be true, and how they become bars.

An exchange names a candle by its *open*, in ms; here a candle is ``[open time, open, high, low, close, volume]``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from barograph.data.calendars import ALWAYS
from barograph.data.history import History
from barograph.epoch import LAST
from barograph.errors import ConfigError, FeedError, nearest

__all__ = ["MS", "Prices", "Rows", "bars", "checked", "closes", "grid", "step_of"]

MS: Final = 1_000_000
"""Nanoseconds of a millisecond."""

DAY: Final = 86_400_000

ROUNDING: Final = 1e-9
_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY, "w": 7 * DAY}
Prices = tuple[float, float, float, float, float]
"""Open, high, low, close, volume."""
Rows = dict[int, Prices]
"""Candles by their open, ms."""


def step_of(source: str, interval: str, known: Iterable[str]) -> int:
    """Return an interval's length in ms; raises `ConfigError` when the exchange has no such interval.

    >>> step_of("binance", "4h", ["1h", "4h"])
    14400000
    """
    known = [name for name in known if re.fullmatch(r"[1-9]\d*[smhdw]", name)]
    if interval not in known:
        has = ", ".join(known)
        raise ConfigError(f"{source}: interval = {interval!r}{nearest(interval, known)}; the exchange has {has}")
    return int(interval[:-1]) * _UNITS[interval[-1]]


def grid(step: int) -> int:
    """Return the spacing of the moments at which a candle may open: a week may begin on any day."""
    return min(step, DAY)


def closes(after: int, until: int, step: int) -> range:
    """Return the opens, ms, of the candles that close in (after, until], ns, on the plain grid.

    >>> list(closes(0, 2 * 3_600_000 * MS, 3_600_000))
    [0, 3600000]
    """
    first = (after // MS - step) // step + 1
    return range(max(0, first) * step, until // MS // step * step, step)


def checked(source: str, symbol: str, rows: Sequence[Any], step: int, now: int, final: int) -> Rows:
    """Return the candles that open until `final`, ms; one that lacks a price is none, what cannot be true is an error.

    A candle that opens a whole interval after `now`, ms, is from the future. Raises
    `FeedError` naming the candle: not on the grid, from the future, impossible prices, twice with different numbers.
    """
    found: Rows = {}
    for row in rows:
        opened, prices = _numbers(source, symbol, row)
        if opened % grid(step):
            raise FeedError(f"{source}: {symbol}: a candle opens at {_when(opened)}; wanted whole {_spelled(step)}")
        if opened > now + step:
            raise FeedError(
                f"{source}: {symbol}: a candle of the future: it opens at {_when(opened)}, and it is {_when(now)}; one "
                f"of the two clocks is wrong"
            )
        if opened > final or any(math.isnan(price) for price in prices[:4]):
            continue
        _possible(source, symbol, opened, prices)
        if not _same(found.setdefault(opened, prices), prices):
            raise FeedError(
                f"{source}: {symbol}: two candles open at {_when(opened)}: {found[opened]} and {prices}; wanted one"
            )
    return found


def _numbers(source: str, symbol: str, row: Any) -> tuple[int, Prices]:
    try:
        opened, *prices = row[:6]
        numbers = [math.nan if value is None else float(value) for value in prices]
        if len(numbers) != 5 or not 0 < int(opened) < LAST // MS or any(map(math.isinf, numbers)):
            raise ValueError
    except (TypeError, ValueError, LookupError):
        raise FeedError(f"{source}: {symbol}: {str(row)[:80]} is no candle; wanted time and five numbers") from None
    return int(opened), (numbers[0], numbers[1], numbers[2], numbers[3], numbers[4])


def _possible(source: str, symbol: str, opened: int, prices: Prices) -> None:
    first, high, low, last, volume = prices
    slack = ROUNDING * abs(high)
    if not 0.0 < low <= min(first, last) + slack or max(first, last) > high + slack or volume < 0.0:
        raise FeedError(
            f"{source}: {symbol}: the candle of {_when(opened)} cannot be true: open {first}, high {high}, low {low}, "
            f"close {last}, volume {volume}"
        )


def _same(one: Prices, other: Prices) -> bool:
    return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(one, other, strict=True))


def bars(source: str, candles: Mapping[str, Rows], step: int, traded: Sequence[bool]) -> History | None:
    """Join the candles of several symbols into bars stamped with their close, NaN where one has none.

    >>> bars("source", {"A": {0: (1.0, 2.0, 1.0, 2.0, 9.0)}, "B": {}}, 86_400_000, [True, True])
    History(A, B: 1 bars, 1970-01-02 00:00:00 .. 1970-01-02 00:00:00 UTC, source)
    """
    opens = sorted({opened for rows in candles.values() for opened in rows})
    if not opens:
        return None
    empty = (math.nan,) * 5
    table = np.array([[rows.get(opened, empty) for rows in candles.values()] for opened in opens])
    first, high, low, last, volume = np.moveaxis(table, 2, 0)
    ts = (np.array(opens, dtype=np.int64) + step) * MS
    prices = (last, first, high, low, volume)
    return History.from_arrays(ts, *prices, list(candles), calendar=ALWAYS, traded=traded, source=source)


def _when(moment: int) -> str:
    return pd.Timestamp(moment, unit="ms").strftime("%Y-%m-%d %H:%M:%SZ")


def _spelled(step: int) -> str:
    return f"intervals of {grid(step) // 1000} s"
