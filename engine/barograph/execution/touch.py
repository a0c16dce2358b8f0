"""Where a bar's prices touch an order, and at what price it then trades.

One rule matches every kind: `touch` on a leg from one price to the next; the open is a leg of no length.
"""

from __future__ import annotations

import math
from typing import Any, Final

from barograph import orders
from barograph.execution import book as col
from barograph.execution import events
from barograph.execution.book import Book, Rules, log_event
from barograph.execution.grid import Grid
from barograph.execution.prices import cheaper, dearer, slippage_of, to_tick
from barograph.jit.kernel import kernel
from barograph.types import Bars

__all__ = ["ANY_PRICE", "ASKING", "EVER", "REACHING", "after_slippage", "dearest", "dominated", "follow", "level_of",
           "reached", "touch", "trigger"]  # fmt: skip

# Above every price, and yet a number one can subtract from.
ANY_PRICE: Final = 1e100
ASKING, REACHING, EVER = range(3)


@kernel
def touch(kind: int, q: float, limit: float, stop: float, at: float, to: float) -> float:
    """Return the price at which a leg from `at` to `to` touches an order to trade q, or NaN.

    >>> touch(1, 10.0, 95.0, math.nan, 100.0, 90.0)     # a buy limit, on the way down
    95.0
    >>> touch(2, -10.0, math.nan, 97.0, 94.0, 94.0)     # a sell stop that the open has passed
    94.0
    """
    if kind in (orders.MARKET, orders.ON_CLOSE):
        return math.nan
    level = limit if kind == orders.LIMIT else stop
    # What is bought at a limit and what is sold at a stop is touched from above.
    falling = (q > 0.0) == (kind == orders.LIMIT)
    if falling:
        return at if at <= level else level if to <= level else math.nan
    return at if at >= level else level if to >= level else math.nan


@kernel
def trigger(book: Book, log: Any, a: int, s: int, at: float, t: int) -> None:
    """Turn a touched stop-limit into a limit."""
    book.order_codes[a, s, col.KIND] = orders.LIMIT
    log_event(
        book, log, events.TRIGGERED, book.order_codes[a, s, col.ID], t, a, math.nan, 0.0, at, 0.0, 0.0, events.AS_WANTED
    )


@kernel
def after_slippage(rows: Any, a: int, q: float, p: float, bars: Bars, rules: Rules) -> float:
    """Return the price of trading q at p, after slippage, inside the bar."""
    s = slippage_of(rows, a, q, bars.volume[a], rules)
    return dearer(p, s, bars.high[a], rules.tick) if q > 0.0 else cheaper(p, s, bars.low[a], rules.tick)


@kernel
def level_of(codes: Any, values: Any, otherwise: float) -> float:
    """Return an order's own price: its limit, or else its stop, or another where only the market will tell.

    A trailing stop only comes nearer: the dearer of its own and the other counts.
    """
    if codes[col.KIND] in (orders.MARKET, orders.ON_CLOSE):
        return otherwise
    if codes[col.KIND] == orders.TRAILING and values[col.STOP_AT] == values[col.STOP_AT]:
        return dearest(values[col.STOP_AT], otherwise)
    level = values[col.STOP_AT] if codes[col.KIND] == orders.STOP else values[col.LIMIT_AT]
    return float(level if level == level else otherwise)


@kernel
def dearest(low: float, high: float) -> float:
    """Return the dearer end of a bar's range: a trailing stop may be touched anywhere in it."""
    return low if abs(low) > abs(high) else high


@kernel
def follow(codes: Any, values: Any, to: float, tick: Grid) -> float:
    """Return a trailing stop's level once the price has been at `to`: up for a seller, down for a buyer, never back."""
    by, stop = abs(to) * values[col.TRAIL_BY] if codes[col.PERCENT] == 1 else values[col.TRAIL_BY], values[col.STOP_AT]
    level = to_tick(to - by, False, tick) if values[col.LEFT] < 0.0 else to_tick(to + by, True, tick)
    # One that was asked for before its asset had a price begins here.
    return float(level if stop != stop or (level - stop) * values[col.LEFT] < 0.0 else stop)


@kernel
def reached(codes: Any, values: Any, low: float, high: float, tick: Grid) -> bool:
    """Tell whether a bar's range can touch an order; a trailing stop at its furthest."""
    if codes[col.KIND] == orders.TRAILING:
        if values[col.LEFT] < 0.0:
            return bool(low <= follow(codes, values, high, tick))
        return bool(high >= follow(codes, values, low, tick))
    x = touch(codes[col.KIND], values[col.LEFT], values[col.LIMIT_AT], values[col.STOP_AT], low, high)
    return bool(x == x)


@kernel
def dominated(book: Book, a: int, s: int, low: float, high: float, p: float, tick: Grid, when: int,
            t: int) -> bool:  # fmt: skip
    """Tell whether another of the same pair and side stands for this order: a dearer one, or an older one as dear.

    It must be one that can fill: of those that ask at this moment, that the bar's range reaches, or that rest at all.
    """
    codes, values = book.order_codes[a, s], book.order_values[a, s]
    if codes[col.GROUP] == 0:
        return False
    mine = _worth(codes, values, low, high, p, when)
    for other in range(book.flags[col.LIVE, a]):
        mate, they = book.order_codes[a, other], book.order_values[a, other]
        theirs = _worth(mate, they, low, high, p, when)
        across = they[col.LEFT] * values[col.LEFT] < 0.0
        if mate[col.GROUP] != codes[col.GROUP] or across or mate[col.ID] == 0 or mate[col.REDUCE] > 0:
            continue
        can = when == EVER
        if when == ASKING:
            can = they[col.ASK] != 0.0
        elif when == REACHING:
            can = mate[col.HELD] != t and reached(mate, they, low, high, tick)
        if can and (theirs > mine or (theirs == mine and other < s)):
            return True
    return False


@kernel
def _worth(codes: Any, values: Any, low: float, high: float, p: float, when: int) -> float:
    """Return what an order is worth: at this moment's price, or at its own."""
    level = p if when == ASKING else level_of(codes, values, p)
    if when == REACHING and codes[col.KIND] == orders.TRAILING:
        level = dearest(low, high)
    return float(abs(values[col.LEFT] * level))
