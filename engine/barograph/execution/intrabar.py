"""Fills on the way through a bar, from its open to its close (clause 3)."""

from __future__ import annotations

import math
from typing import Any

from barograph import orders
from barograph.epoch import NEVER
from barograph.execution import book as col
from barograph.execution import options
from barograph.execution.book import Account, Book, Rules
from barograph.execution.grid import Grid
from barograph.execution.resting import fill, tidy
from barograph.execution.sizes import ROUNDING
from barograph.execution.targets.room_of_orders import share_of_orders
from barograph.execution.touch import REACHING, after_slippage, follow, reached, touch, trigger
from barograph.jit.kernel import kernel
from barograph.types import Bars

__all__ = ["fill_inside_bars"]


@kernel
def fill_inside_bars(account: Account, book: Book, rules: Rules, bars: Bars, t: int) -> None:
    """Clause 3: let every asset go through its bar, if that can touch any of its orders."""
    rows, share, stakes, stake = book.rows, 1.0, 0.0, 0.0
    if _mark_reached(book, bars, rules, t):
        share = share_of_orders(book, bars, bars.open, rules, REACHING, t)
    for a in range(rows.shape[1]):
        stakes += _stake(rows, a, bars)
    for a in range(rows.shape[1]):
        if book.flags[col.REACHED, a] == 1 and book.counters[col.FAULT] == col.FINE:
            stake = _stake(rows, a, bars)
            _walk(account, book, rules, a, bars, share, stakes - stake, t)
            stakes += _stake(rows, a, bars) - stake


@kernel
def _stake(rows: Any, a: int, bars: Bars) -> float:
    """Return what a position is worth at its open, or at its last price."""
    held = rows[col.QUANTITY, a]
    if held == 0.0:
        return 0.0
    return float(held * (bars.open[a] if bars.open[a] == bars.open[a] else rows[col.PRICE, a]))


@kernel
def _mark_reached(book: Book, bars: Bars, rules: Rules, t: int) -> bool:
    """Mark the assets whose range touches an order; tell whether any of those may add to a position."""
    rows, flags, grows = book.rows, book.flags, False
    for a in range(rows.shape[1]):
        flags[col.REACHED, a] = 0
        low, high, p = bars.low[a], bars.high[a], bars.open[a]
        sound = low <= p <= high and low <= bars.close[a] <= high and bars.volume[a] != 0.0
        if flags[col.LIVE, a] == 0 or not sound:
            continue
        for s in range(flags[col.LIVE, a]):
            codes, values = book.order_codes[a, s], book.order_values[a, s]
            if reached(codes, values, low, high, rules.tick):
                flags[col.REACHED, a] = 1
                grows = grows or (codes[col.REDUCE] == 0 and codes[col.HELD] != t)
            elif codes[col.KIND] == orders.TRAILING:
                values[col.STOP_AT] = follow(codes, values, high if values[col.LEFT] < 0.0 else low, rules.tick)
    return grows


@kernel
def _low_first(book: Book, a: int, bars: Bars, rules: Rules, t: int) -> bool:
    """Choose the path. Pessimistic: a position meets its bad extreme first; an entry meets it last, once it is in."""
    if rules.path == options.NEAREST:
        return bool(bars.open[a] - bars.low[a] <= bars.high[a] - bars.open[a])
    side = book.rows[col.QUANTITY, a]
    for s in range(book.flags[col.LIVE, a]):
        codes = book.order_codes[a, s]
        # One that waits for the close would turn the pessimist's path into the better one.
        acts = codes[col.ID] > 0 and codes[col.HELD] != t and codes[col.KIND] not in (orders.MARKET, orders.ON_CLOSE)
        if side == 0.0 and acts:
            side = -book.order_values[a, s, col.LEFT]
    return bool((side > 0.0) == (rules.path == options.PESSIMISTIC))


@kernel
def _walk(account: Account, book: Book, rules: Rules, a: int, bars: Bars, share: float, elsewhere: float,
          t: int) -> None:  # fmt: skip
    """Go through the bar on three legs, open to extreme to extreme to close, and fill what each touches."""
    at, begun = bars.open[a], bars.open[a]
    for s in range(book.flags[col.LIVE, a]):
        book.order_values[a, s, col.OFFER] = math.nan
    low_first = _low_first(book, a, bars, rules, t)
    _trail(book, a, at, rules.tick)
    for leg in range(3):
        to = bars.close[a]
        if leg < 2:
            to = bars.low[a] if (leg == 0) == low_first else bars.high[a]
        going = True
        while going:
            s, x = _nearest(book, a, at, to, t)
            going = s >= 0 and book.counters[col.FAULT] == col.FINE
            if going:
                # Whoever waited at a limit makes the market; who is through it at once, or woke there, takes.
                values = book.order_values[a, s]
                woke = values[col.STOP_AT] == values[col.STOP_AT] and x == values[col.OFFER]
                waited = x == values[col.LIMIT_AT] and x != begun and not woke
                book.money[col.WORTH] = book.money[col.CASH] + elsewhere + book.rows[col.QUANTITY, a] * x
                _meet(account, book, rules, a, s, x, waited, bars, share, t)
                at = x
        _trail(book, a, to, rules.tick)
        at, begun = to, to
    tidy(book, a)


@kernel
def _nearest(book: Book, a: int, at: float, to: float, t: int) -> tuple[int, float]:
    """Return the order that this leg touches first, and where; of two at one price, up to rounding, the older."""
    first, where, least = -1, at, math.inf
    for s in range(book.flags[col.LIVE, a]):
        codes, values = book.order_codes[a, s], book.order_values[a, s]
        if codes[col.ID] == 0 or codes[col.HELD] == t:
            continue
        x = touch(codes[col.KIND], values[col.LEFT], values[col.LIMIT_AT], values[col.STOP_AT], at, to)
        if x == x and abs(x - at) < least - ROUNDING * abs(x):
            first, where, least = s, x, abs(x - at)
    return first, where


@kernel
def _meet(account: Account, book: Book, rules: Rules, a: int, s: int, x: float, waited: bool, bars: Bars, share: float,
          t: int) -> None:  # fmt: skip
    """Let a touched order act: a stop-limit becomes a limit, all others fill."""
    codes, values = book.order_codes[a, s], book.order_values[a, s]
    if codes[col.KIND] == orders.STOP_LIMIT:
        values[col.OFFER] = x
        trigger(book, account.log, a, s, x, t)
        return
    limit = codes[col.KIND] == orders.LIMIT
    deal = x if limit else after_slippage(book.rows, a, values[col.LEFT], x, bars, rules)
    fill(account, a, s, x, deal, share, NEVER, limit and waited, t)


@kernel
def _trail(book: Book, a: int, to: float, tick: Grid) -> None:
    """Move trailing stops after a leg."""
    for s in range(book.flags[col.LIVE, a]):
        codes, values = book.order_codes[a, s], book.order_values[a, s]
        if codes[col.ID] > 0 and codes[col.KIND] == orders.TRAILING:
            values[col.STOP_AT] = follow(codes, values, to, tick)
