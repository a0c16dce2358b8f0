"""How long a trade was held, what it returned, and how far it was up and down on the way.

Only prices that were certainly seen while it was held count: the entry's, the close of the entry's bar, the highs and
lows of the bars between, the exit's. What the bar of an entry or of an exit touched before or after it is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.types import Floats

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EXCURSIONS", "Seen", "with_excursions"]

EXCURSIONS = ("bars", "return", "worst", "best")


class Seen(NamedTuple):
    """The bars of a run: closes `ts` (T,) datetime64[us], and `high`, `low`, `close` (T, N), a column a symbol."""

    ts: NDArray[np.datetime64]
    symbols: tuple[str, ...]
    high: Floats
    low: Floats
    close: Floats


class _Held(NamedTuple):
    """One trade's rows, first and last, its column, and the average price that it was entered and left at.

    Prices are of the shares that there are at the end of all of the trip that it is a part of, in row `until`.
    """

    first: int
    last: int
    until: int
    column: int
    entry: float
    leave: float
    still: bool


def with_excursions(trades: pd.DataFrame, splits: pd.DataFrame, seen: Seen) -> pd.DataFrame:
    """Return the trades of `round_trips` with `bars`, `return`, `worst` and `best` added.

    `bars` lie from the entry's to the exit's, or to the last one; `return` is the profit as a share of what was paid at
    the entry; `worst` (≤ 0) and `best` (≥ 0) are the furthest that the price went against and with the position, from
    its average entry. `splits` are the rows of events (`ts`, `asset`, `price`) by which prices before them are divided.

    >>> import pandas as pd
    >>> ts = pd.date_range("2024-01-02", periods=4, tz="UTC").as_unit("us")
    >>> trade = {"asset": "A", "entry_ts": ts[0], "exit_ts": ts[3], "quantity": 2.0, "entry_price": 100.0,
    ...          "exit_price": 104.0, "profit": 8.0, "open": False}
    >>> column = lambda *values: np.array(values, dtype=np.float64)[:, None]
    >>> seen = Seen(ts.tz_localize(None).to_numpy(), ("A",), column(300, 102, 110, 300), column(1, 97, 99, 1),
    ...             column(101, 100, 105, 104))
    >>> found = with_excursions(pd.DataFrame([trade]), pd.DataFrame({"ts": [], "asset": [], "price": []}), seen)
    >>> found[["bars", "return", "worst", "best"]].to_numpy().round(4).tolist()
    [[3.0, 0.04, -0.03, 0.1]]
    """
    ratios, held = _ratios(splits, seen), _held(trades, seen)
    rows = [_excursion(one, side, seen, ratios.get(one.column, [])) for one, side in held]
    lengths, ways = [one.last - one.first for one, _ in held], np.array(rows, dtype=np.float64).reshape(-1, 2)
    paid = trades["quantity"].abs() * trades["entry_price"]
    told: dict[str, Any] = {
        "bars": np.array(lengths, dtype=np.int64),
        "return": (trades["profit"] / paid).where(paid > 0),
    }
    return trades.assign(**told, worst=ways[:, 0], best=ways[:, 1])


def _held(trades: pd.DataFrame, seen: Seen) -> list[tuple[_Held, int]]:
    """Return each trade by rows and column, with its side."""
    begin, end = (_rows(trades[name], seen) for name in ("entry_ts", "exit_ts"))
    last = np.where(trades["open"].to_numpy(bool), len(seen.ts) - 1, end)
    columns = {symbol: a for a, symbol in enumerate(seen.symbols)}
    whole: dict[tuple[Any, int], int] = {}
    for asset, first, row in zip(trades["asset"], begin.tolist(), last.tolist(), strict=True):
        whole[asset, first] = max(row, whole.get((asset, first), 0))
    names = ("asset", "entry_price", "exit_price", "open", "quantity")
    told = zip(begin.tolist(), last.tolist(), *(trades[name].tolist() for name in names), strict=True)
    return [
        (
            _Held(first, row, whole[asset, first], columns[asset], entry, leave, bool(still)),
            1 if quantity > 0 else -1,
        )
        for first, row, asset, entry, leave, still, quantity in told
    ]


def _rows(moments: Any, seen: Seen) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.searchsorted(
        seen.ts, moments.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    )
    return found


def _ratios(splits: pd.DataFrame, seen: Seen) -> dict[int, list[tuple[int, float]]]:
    """Return the splits of each column, as (row, new shares for an old one)."""
    found: dict[int, list[tuple[int, float]]] = {}
    if len(splits):
        told = zip(_rows(splits["ts"], seen).tolist(), splits["asset"], splits["price"].tolist(), strict=True)
        for row, asset, ratio in told:
            found.setdefault(seen.symbols.index(asset), []).append((row, ratio))
    return found


def _excursion(one: _Held, side: int, seen: Seen, ratios: list[tuple[int, float]]) -> tuple[float, float]:
    """Return the furthest against and with the position, as shares of its entry price."""
    if not one.entry > 0:
        return np.nan, np.nan
    rows = slice(one.first, one.last + 1)
    high, low = seen.high[rows, one.column].copy(), seen.low[rows, one.column].copy()
    high[0] = low[0] = seen.close[one.first, one.column]
    if not one.still:
        high[-1] = low[-1] = np.nan
    for row, ratio in ratios:
        if one.first < row <= one.until:
            high[: row - one.first] /= ratio
            low[: row - one.first] /= ratio
    # Where a bar has no price it says nothing.
    top, bottom = np.fmax(one.entry, one.leave), np.fmin(one.entry, one.leave)
    up = float(np.fmax.reduce(high, initial=top)) / one.entry - 1.0
    down = float(np.fmin.reduce(low, initial=bottom)) / one.entry - 1.0
    return (down, up) if side > 0 else (-up, -down)
