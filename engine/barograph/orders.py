"""Explicit orders: a slip to write them on, one kernel a kind, and kernels that say more about a row.

>>> import math
>>> order = slip(2)
>>> entry = limit(order, 0, 10.0, 95.0)
>>> day(order, entry)
>>> bracket(order, entry, 90.0, math.nan)
>>> requests(order)
1

Assets are columns of the history, quantities signed units (positive buys), prices those of the bars. An order rests
until it fills or is cancelled (GTC) unless `day` or `until` says otherwise. The answer of a strategy is the slip.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from barograph.jit.kernel import kernel
from barograph.types import Orders

__all__ = ["bracket", "cancel", "cancel_all", "day", "do_not_reduce", "limit", "market", "market_on_close",
           "one_cancels_other", "reduce_only", "requests", "slip", "stop", "stop_limit", "tag", "trail",
           "trailing_percent", "trailing_stop", "until"]  # fmt: skip

# These numbers stand in journals that exist, and never change (see `execution/events.py`).
MARKET: Final = 0
LIMIT: Final = 1
STOP: Final = 2
STOP_LIMIT: Final = 3
TRAILING: Final = 4
ON_CLOSE: Final = 5

KINDS: Final = {
    MARKET: "market",
    LIMIT: "limit",
    STOP: "stop",
    STOP_LIMIT: "stop_limit",
    TRAILING: "trailing_stop",
    ON_CLOSE: "market_on_close",
}

GTC: Final = 0
FOR_DAY: Final = 1
GTD: Final = 2

LIVES: Final = {GTC: "GTC", FOR_DAY: "DAY", GTD: "GTD"}

# Columns of a slip's rows. Row 0 is the heading: how many rows are written, and 1 when one found no room, 2 when a
# pair was of two assets.
(ACTION, ASSET, KIND_OF, AMOUNT, LIMIT_PRICE, STOP_PRICE, DISTANCE, PERCENTAGE, LIFETIME, MOMENT, REDUCES, TAGGED,
 PAIR, LOSS_PRICE, PROFIT_PRICE, LOSS_DISTANCE, KEEPS) = range(17)  # fmt: skip
WIDTH: Final = 17
NEW, CANCEL, CANCEL_ALL = range(3)


@kernel
def slip(size: int) -> Orders:
    """Return an empty slip with room for `size` requests."""
    rows = np.zeros((size + 1, WIDTH))
    return Orders(rows)


@kernel
def requests(orders: Orders) -> int:
    """Return how many requests are on the slip."""
    return int(orders.rows[0, 0])


@kernel
def _next(orders: Orders, action: int, asset: int, kind: int, quantity: float) -> int:
    r = int(orders.rows[0, 0]) + 1
    if r >= orders.rows.shape[0]:
        orders.rows[0, 1] = 1.0
        return 0
    orders.rows[0, 0] = r
    row = orders.rows[r]
    row[ACTION], row[ASSET], row[KIND_OF], row[AMOUNT], row[LIFETIME] = action, asset, kind, quantity, GTC
    row[LIMIT_PRICE], row[STOP_PRICE], row[DISTANCE], row[MOMENT] = math.nan, math.nan, math.nan, math.inf
    row[LOSS_PRICE], row[PROFIT_PRICE], row[LOSS_DISTANCE] = math.nan, math.nan, math.nan
    return r


@kernel
def market(orders: Orders, asset: int, quantity: float) -> int:
    """Ask for a fill at the next open (or at the close that `fill` names); return the row."""
    return _next(orders, NEW, asset, MARKET, quantity)


@kernel
def market_on_close(orders: Orders, asset: int, quantity: float) -> int:
    """Ask for a fill at the next bar's close; return the row."""
    return _next(orders, NEW, asset, ON_CLOSE, quantity)


@kernel
def limit(orders: Orders, asset: int, quantity: float, price: float) -> int:
    """Ask for a fill at `price` or better; return the row."""
    r = _next(orders, NEW, asset, LIMIT, quantity)
    if r > 0:
        orders.rows[r, LIMIT_PRICE] = price
    return r


@kernel
def stop(orders: Orders, asset: int, quantity: float, price: float) -> int:
    """Ask for a fill at the market once `price` trades, above for a buyer, below for a seller; return the row."""
    r = _next(orders, NEW, asset, STOP, quantity)
    if r > 0:
        orders.rows[r, STOP_PRICE] = price
    return r


@kernel
def stop_limit(orders: Orders, asset: int, quantity: float, price: float, limit_price: float) -> int:
    """Ask for a limit order at `limit_price` once `price` trades; return the row."""
    r = _next(orders, NEW, asset, STOP_LIMIT, quantity)
    if r > 0:
        orders.rows[r, STOP_PRICE] = price
        orders.rows[r, LIMIT_PRICE] = limit_price
    return r


@kernel
def trailing_stop(orders: Orders, asset: int, quantity: float, distance: float) -> int:
    """Ask for a stop that follows the price at `distance`, in money, and never steps back; return the row."""
    r = _next(orders, NEW, asset, TRAILING, quantity)
    if r > 0:
        orders.rows[r, DISTANCE] = distance
    return r


@kernel
def trailing_percent(orders: Orders, asset: int, quantity: float, fraction: float) -> int:
    """Ask for a stop that follows the price at a fraction of it; return the row."""
    r = trailing_stop(orders, asset, quantity, fraction)
    if r > 0:
        orders.rows[r, PERCENTAGE] = 1.0
    return r


@kernel
def cancel(orders: Orders, asset: int, number: int) -> int:
    """Cancel the asset's resting orders that carry this tag."""
    r = _next(orders, CANCEL, asset, MARKET, 0.0)
    if r > 0:
        orders.rows[r, TAGGED] = number
    return r


@kernel
def cancel_all(orders: Orders, asset: int) -> int:
    """Cancel all of the asset's resting orders, protective legs too."""
    return _next(orders, CANCEL_ALL, asset, MARKET, 0.0)


@kernel
def day(orders: Orders, row: int) -> None:
    """Let the order end with the day (UTC) of the first bar it can trade in."""
    if row > 0:
        orders.rows[row, LIFETIME] = FOR_DAY


@kernel
def until(orders: Orders, row: int, ts: int) -> None:
    """Let the order trade in bars that close at `ts` (int64 ns UTC) or before."""
    if row > 0:
        orders.rows[row, LIFETIME] = GTD
        orders.rows[row, MOMENT] = ts


@kernel
def reduce_only(orders: Orders, row: int) -> None:
    """Let the order make a position smaller, never larger nor of the other side."""
    if row > 0:
        orders.rows[row, REDUCES] = 1.0


@kernel
def do_not_reduce(orders: Orders, row: int) -> None:
    """Leave the order and its legs where they are on an ex-date, which lowers buy limits and sell stops."""
    if row > 0:
        orders.rows[row, KEEPS] = 1.0


@kernel
def tag(orders: Orders, row: int, number: int) -> None:
    """Give the order a number (0: none): a request with a resting order's tag is that order, or replaces it."""
    if row > 0:
        orders.rows[row, TAGGED] = number


@kernel
def bracket(orders: Orders, row: int, stop_loss: float, take_profit: float) -> None:
    """Give an entry a stop-loss and a take-profit (prices, NaN = none) that follow the part of it that has filled."""
    if row > 0:
        orders.rows[row, LOSS_PRICE] = stop_loss
        orders.rows[row, PROFIT_PRICE] = take_profit


@kernel
def trail(orders: Orders, row: int, fraction: float) -> None:
    """Give an entry a trailing stop-loss at this fraction of the price."""
    if row > 0:
        orders.rows[row, LOSS_DISTANCE] = fraction


@kernel
def one_cancels_other(orders: Orders, row: int, other: int) -> None:
    """Pair two orders of one asset: what one fills, the other fills no more."""
    if row > 0 and other > 0:
        if orders.rows[row, ASSET] != orders.rows[other, ASSET]:
            orders.rows[0, 1] = 2.0
        orders.rows[row, PAIR] = row
        orders.rows[other, PAIR] = row
