"""The full book's fills: at the open and at the close (clauses 2 and 4), around the way through the bar (clause 3)."""

from __future__ import annotations

import math
from typing import Any

from barograph import orders
from barograph.epoch import DAY, NEVER
from barograph.execution import book as col
from barograph.execution import events, options
from barograph.execution.book import Account, Book, Rules, log_event, taken
from barograph.execution.grid import settled, toward_zero
from barograph.execution.intrabar import fill_inside_bars
from barograph.execution.money import CALLED, charge, pay, rates_of
from barograph.execution.prices import cheaper, dearer, slippage_of
from barograph.execution.resting import expire, fill, guarded, tidy
from barograph.execution.sizes import ROUNDING, allowed, gone, grows, ruin, value_of, volume_after
from barograph.execution.targets.costs import size_together, weight_of
from barograph.execution.targets.light import (
    granted_of,
    outcome,
    reductions_wait,
    tradable,
    unfilled,
    wait_for_reductions,
)
from barograph.execution.targets.room import share_of, share_room
from barograph.execution.targets.room_of_orders import share_of_orders
from barograph.execution.touch import ASKING, after_slippage, touch, trigger
from barograph.jit.kernel import kernel, shared
from barograph.types import Bars, Floats

__all__ = ["fill_at_close", "fill_bar", "set_fees_and_volume"]


@kernel
def set_fees_and_volume(book: Book, bars: Bars, rules: Rules) -> None:
    """Say what fees are in force, and how much volume each asset may take from this bar (clause 4)."""
    money, rows = book.money, book.rows
    money[col.TAKER], money[col.MAKER] = rates_of(money[col.TRADED], rules)
    for a in range(rows.shape[1]):
        v = bars.volume[a]
        rows[col.VOLUME_LEFT, a] = math.inf
        if v > 0.0 and rules.participation > 0.0:
            rows[col.VOLUME_LEFT, a] = rules.participation * v


@shared
def fill_bar(account: Account, bars: Bars, t: int) -> None:
    """Clauses 2 to 4: everything that fills between this bar's open and its close."""
    book, rules, bars = account.book, account.rules, taken(bars)
    rows = book.rows
    expire(book, bars, account.log, t)
    # A liquidation moves positions under their protection; where it moved none, no leg is born.
    if book.counters[col.MARGIN] == CALLED:
        for a in range(rows.shape[1]):
            if rows[col.SIZE, a] == rows[col.SIZE, a] != rows[col.QUANTITY, a]:
                guarded(account, a, rows[col.PRICE, a], t)
                tidy(book, a)
    _cross(account, book, rules, bars, bars.open, t, options.NEXT_OPEN)
    if book.counters[col.FAULT] != col.FINE:
        return
    fill_inside_bars(account, book, rules, bars, t)
    if book.counters[col.FAULT] != col.FINE:
        return
    if rules.fill == options.NEXT_CLOSE or book.counters[col.CLOSERS] > 0:
        fill_at_close(account, bars, t, options.NEXT_CLOSE)


@shared
def fill_at_close(account: Account, bars: Bars, t: int, moment: int) -> None:
    """Fill at the close what was decided before, or at this very close."""
    bars = taken(bars)
    _cross(account, account.book, account.rules, bars, bars.close, t, moment)


@kernel
def _cross(account: Account, book: Book, rules: Rules, bars: Bars, prices: Floats, t: int,
           moment: int) -> None:  # fmt: skip
    """Fill what this one moment fills: reductions first, then increases, which share what room there is.

    The moment is the one that a `fill` is named after: the open, the close, the close after the decision.
    """
    targets = book.counters[col.WAITING] > 0 and moment == rules.fill
    asked = _ask_all(book, rules, account.log, bars, prices, t, moment)
    if not targets and not asked:
        return
    equity = value_of(book.money[col.CASH], book.rows, prices)
    book.money[col.WORTH] = equity
    if gone(equity, book.money[col.EQUITY]):
        ruin(book, equity)
        return
    share, waits = 1.0, NEVER
    for growing in (False, True):
        # Resting orders that reduced a position before its target's turn leave another gap to it, and less equity.
        if targets and (asked or not growing):
            _size_all(book, bars, prices, rules, book.money[col.WORTH])
        if growing:
            share = share_of(book, prices, rules, book.money[col.TAKER]) if targets else 1.0
            share = min(share, share_of_orders(book, bars, prices, rules, ASKING, t)) if asked else share
            if (targets and reductions_wait(book, book.money[col.WORTH])) or _orders_wait(book, bars, prices):
                waits = (bars.ts - 1) // DAY
            if waits != NEVER and targets:
                wait_for_reductions(book, share, waits)
            if waits != NEVER and share < 1.0:
                _wait(book, rules, waits)
            if targets and share < 1.0:
                share_room(book, prices, rules, share, book.money[col.TAKER])
        _fill_all(account, book, rules, bars, prices, t, targets, asked, growing, share, waits)
    for a in range(prices.size):
        tidy(book, a)


@kernel
def _size_all(book: Book, bars: Bars, prices: Floats, rules: Rules, equity: float) -> None:
    """Write the position that every target wants which can trade now, and its price; NaN = no fill."""
    rows, flags = book.rows, book.flags
    for a in range(prices.size):
        if flags[col.PENDING, a] == 0:
            continue
        p, w, n = prices[a], weight_of(rows[col.WANTED, a], rules), rows[col.QUANTITY, a]
        flags[col.CAPPED, a], flags[col.BARRED, a] = 0 if w == rows[col.WANTED, a] else 3, 0
        if not tradable(p, bars.volume[a], w):
            rows[col.SIZE, a] = math.nan
            continue
        gap = w * equity - n * p
        # The square root would make a price of what rounding leaves of a target that is met.
        asked = n if p == 0.0 else gap / p if abs(gap) > col.DUST * equity else 0.0
        s = slippage_of(rows, a, asked, bars.volume[a], rules)
        rows[col.DEAR, a] = dearer(p, s, bars.high[a], rules.tick)
        rows[col.CHEAP, a] = cheaper(p, s, bars.low[a], rules.tick)
        rows[col.SIZE, a] = 0.0
    size_together(book, prices, rules, equity, book.money[col.TAKER])
    for a in range(prices.size):
        if flags[col.PENDING, a] > 0 and rows[col.SIZE, a] == rows[col.SIZE, a]:
            _limit(book, a, prices[a], rules)


@kernel
def _limit(book: Book, a: int, p: float, rules: Rules) -> None:
    """Keep a target's fill to what the bar's volume leaves."""
    rows, n, size = book.rows, book.rows[col.QUANTITY, a], book.rows[col.SIZE, a]
    barred = book.flags[col.BARRED, a] == 1
    size = rows[col.GOAL, a] if barred else size
    if abs(size - n) > rows[col.VOLUME_LEFT, a] * (1.0 + ROUNDING):
        volume = toward_zero(rows[col.VOLUME_LEFT, a], rules.lot)
        # Below the resolution it waits for a bar with more.
        volume = volume if abs(volume * p) > col.DUST * book.money[col.WORTH] else 0.0
        # Where no lot moves nothing does: what a split left of a last digit is no fill.
        rows[col.SIZE, a], book.flags[col.CAPPED, a] = (
            n
            if barred or volume == 0.0
            else settled(n + math.copysign(volume, size - n), max(abs(n), abs(size)), rules.lot),
            1,
        )


@kernel
def _orders_wait(book: Book, bars: Bars, prices: Floats) -> bool:
    """Tell whether a market order that cannot trade now would reduce what is held."""
    rows, flags = book.rows, book.flags
    for a in range(prices.size):
        if flags[col.LIVE, a] == 0 or (prices[a] == prices[a] and bars.volume[a] != 0.0):
            continue
        for s in range(flags[col.LIVE, a]):
            codes, left = book.order_codes[a, s], book.order_values[a, s, col.LEFT]
            if codes[col.ID] > 0 and codes[col.KIND] == orders.MARKET and left * rows[col.QUANTITY, a] < 0.0:
                return True
    return False


@kernel
def _wait(book: Book, rules: Rules, today: int) -> None:
    """Let the rest of market orders wait for reductions, as that of targets does."""
    rows, flags = book.rows, book.flags
    for a in range(rows.shape[1]):
        held = rows[col.QUANTITY, a]
        for s in range(flags[col.LIVE, a]):
            codes, values = book.order_codes[a, s], book.order_values[a, s]
            # What volume has left of a stop is at the market, and waits for nobody.
            market = codes[col.KIND] == orders.MARKET and values[col.STOP_AT] != values[col.STOP_AT]
            if codes[col.ID] == 0 or values[col.ASK] == 0.0 or not market or codes[col.WAITS] != NEVER:
                continue
            if grows(held, held + allowed(held, values[col.ASK], codes[col.REDUCE], rules.shorts)):
                codes[col.WAITS] = today


@kernel
def _ask_all(book: Book, rules: Rules, log: Any, bars: Bars, prices: Floats, t: int,
             moment: int) -> bool:  # fmt: skip
    """Write into ASK and OFFER what every resting order would trade at this moment, and tell whether any would."""
    rows, flags, any_asked, closers = book.rows, book.flags, False, 0
    for a in range(prices.size):
        p = prices[a]
        for s in range(flags[col.LIVE, a]):
            codes, values = book.order_codes[a, s], book.order_values[a, s]
            values[col.ASK] = 0.0
            closers += 1 if codes[col.KIND] == orders.ON_CLOSE else 0
            if codes[col.ID] == 0 or p != p or bars.volume[a] == 0.0 or not _timely(codes, values, rules, moment):
                continue
            kind, q = codes[col.KIND], values[col.LEFT]
            if kind not in (orders.MARKET, orders.ON_CLOSE):
                if touch(kind, q, values[col.LIMIT_AT], values[col.STOP_AT], p, p) != p:
                    continue
                if kind == orders.STOP_LIMIT:
                    trigger(book, log, a, s, p, t)
                    if touch(orders.LIMIT, q, values[col.LIMIT_AT], values[col.STOP_AT], p, p) != p:
                        continue
            values[col.ASK] = q
            values[col.OFFER] = p if codes[col.KIND] == orders.LIMIT else after_slippage(rows, a, q, p, bars, rules)
            any_asked = True
    book.counters[col.CLOSERS] = closers
    return any_asked


@kernel
def _timely(codes: Any, values: Any, rules: Rules, moment: int) -> bool:
    """Tell whether this moment is one at which the order can fill."""
    # What volume has left of a stop does not wait for the moment at which decisions fill.
    if codes[col.KIND] == orders.MARKET and values[col.STOP_AT] != values[col.STOP_AT]:
        return bool(moment == rules.fill)
    return bool(moment == (options.NEXT_CLOSE if codes[col.KIND] == orders.ON_CLOSE else options.NEXT_OPEN))


@kernel
def _fill_all(account: Account, book: Book, rules: Rules, bars: Bars, prices: Floats, t: int, targets: bool,
              asked: bool, growing: bool, share: float, waits: int) -> None:  # fmt: skip
    """Fill what grows a position, or what does not; the oldest first."""
    rows, flags = book.rows, book.flags
    for a in range(prices.size):
        sized = targets and flags[col.PENDING, a] > 0 and rows[col.SIZE, a] == rows[col.SIZE, a]
        fine = book.counters[col.FAULT] == col.FINE
        later = sized and (grows(rows[col.QUANTITY, a], rows[col.SIZE, a]) or flags[col.BARRED, a] == 1)
        # One that volume has held back in the first pass has acted.
        if sized and fine and (growing or not later) and flags[col.PARTLY, a] != t + 1:
            _fill_target(account, book, rules, a, prices[a], share, waits, t)
        for s in range(flags[col.LIVE, a] if asked else 0):
            codes, values = book.order_codes[a, s], book.order_values[a, s]
            if values[col.ASK] == 0.0 or codes[col.ID] == 0 or book.counters[col.FAULT] != col.FINE:
                continue
            held = rows[col.QUANTITY, a]
            q = allowed(held, values[col.ASK], codes[col.REDUCE], rules.shorts)
            if abs(q) > rows[col.VOLUME_LEFT, a]:
                q = math.copysign(toward_zero(rows[col.VOLUME_LEFT, a], rules.lot), q)
            # What has nothing to reduce yet may have, once the increases are in.
            if growing or (q != 0.0 and not grows(held, held + q)):
                # A leg carries minus the position that an older order has moved meanwhile; so does its impact.
                if values[col.LEFT] != values[col.ASK] and codes[col.KIND] != orders.LIMIT:
                    values[col.OFFER] = after_slippage(rows, a, values[col.LEFT], prices[a], bars, rules)
                values[col.ASK] = 0.0
                fill(account, a, s, prices[a], values[col.OFFER], share, waits, False, t)


@kernel
def _fill_target(account: Account, book: Book, rules: Rules, a: int, p: float, share: float, waits: int,
                 t: int) -> None:  # fmt: skip
    """Fill an order to a target weight; one that wants more than the bar's volume waits with the rest."""
    rows, flags = book.rows, book.flags
    held, size, deal = rows[col.QUANTITY, a], rows[col.SIZE, a], rows[col.DEAL, a]
    q, capped = size - held, flags[col.CAPPED, a] == 1
    granted = granted_of(book, a, share)
    event, fee, reason = events.FILLED, 0.0, outcome(granted, flags[col.SINCE, a], waits)
    rests = reason == events.PAID_LATER and not capped
    if rests and q == 0.0:
        return
    if rests:
        event = events.PARTIAL
    if flags[col.CAPPED, a] == 3:
        reason = events.ALL_SOLD
    if capped:
        event, reason = events.PARTIAL, events.NO_VOLUME
        if q == 0.0:
            return
    if q == 0.0:
        deal, (event, reason) = 0.0, unfilled(book, a, granted, reason, rules)
    else:
        fee, rows[col.DUE, a], rows[col.CHARGED, a] = charge(
            q, deal, book.money[col.TAKER], rules, rows[col.DUE, a], rows[col.CHARGED, a]
        )
        pay(book, a, q, p, deal, fee, rules)
        rows[col.VOLUME_LEFT, a] = volume_after(rows[col.VOLUME_LEFT, a], q, rules.lot)
        rows[col.QUANTITY, a] = size
    slippage = abs(q) * abs(deal - p)
    log_event(
        book, account.log, event, flags[col.PENDING, a], t, a, rows[col.WANTED, a], q, deal, fee, slippage, reason
    )
    flags[col.PARTLY, a] = t + 1
    if event != events.PARTIAL:
        flags[col.PENDING, a] = 0
        book.counters[col.WAITING] -= 1
    if q != 0.0:
        guarded(account, a, deal, t)
