"""Orders to a target weight, in the light book: one waiting order an asset, proportional and fixed fees (clauses 2, 6).

The closed forms live here. `crossing` fills the same orders under every other rule, to the same bits where both apply.
"""

from __future__ import annotations

import math
from typing import Any

from barograph.execution import book as col
from barograph.execution import events, options
from barograph.execution.book import Book, Rules
from barograph.execution.events import write
from barograph.execution.money import rebase
from barograph.execution.sizes import base_of, lots, moved, reduced, ruin, shrunk, value_of, why_none
from barograph.jit.kernel import kernel
from barograph.types import Bars, Floats

__all__ = ["fill_targets", "place_targets", "share_of", "write_equity_row"]


@kernel
def fill_targets(book: Book, bars: Bars, rules: Rules, log: Any, t: int, closing: bool) -> None:
    """Clause 2: waiting orders fill at the open (or at the close), reductions before increases.

    The book is valued at these very prices, once, before the first fill: weights become units off one equity.
    Increases that together ask for more than the leverage limit allows shrink by one common factor, so that the
    order of the columns decides nothing.
    """
    if book.counters[col.WAITING] == 0:
        return
    prices = bars.close if closing else bars.open
    equity = value_of(book.money[col.CASH], book.rows, prices)
    if equity <= 0.0:
        ruin(book, equity)
        return
    _size(book, bars, prices, rules, equity)
    _fill_all(book, prices, rules, log, t, False, 1.0)
    _fill_all(book, prices, rules, log, t, True, share_of(book, prices, rules))


@kernel
def write_equity_row(book: Book, equity: Any, weights: Any) -> None:
    """Write the equity point, before the decision (clause 6), and begin the next row's charges at nothing."""
    money, rows = book.money, book.rows
    equity[0], equity[1], equity[2] = money[col.EQUITY], money[col.CASH], money[col.GROSS]
    equity[3], equity[4], equity[5] = money[col.NET], money[col.FEES], money[col.FINANCING]
    worth = money[col.EQUITY]
    for a in range(weights.size):
        held = rows[col.QUANTITY, a]
        weights[a] = held * rows[col.PRICE, a] / worth if held != 0.0 and worth > 0.0 else 0.0
    money[col.FEES], money[col.FINANCING] = 0.0, 0.0


@kernel
def place_targets(book: Book, weights: Floats, rules: Rules, log: Any, t: int, curbed: int) -> None:
    """Clause 6: turn weights into waiting orders; the same target twice is one order, HOLD touches nothing.

    `curbed` is the reason of a guard in force, or 0: what is decided under it may only reduce a position.
    """
    counters, rows, flags = book.counters, book.rows, book.flags
    n, waiting, logged, equity = (
        counters[col.NEXT_ID],
        counters[col.WAITING],
        counters[col.LOGGED],
        book.money[col.EQUITY],
    )
    for a in range(rows.shape[1]):
        w = weights[a]
        if rules.traded[a] == 0 or w == math.inf or flags[col.GONE, a] == 1:
            continue
        if not w > -math.inf:
            counters[col.FAULT], counters[col.CULPRIT] = col.NOT_A_NUMBER, a
            break
        if flags[col.PENDING, a] > 0:
            if rows[col.WANTED, a] == w:
                flags[col.CURBED, a] = curbed
                continue
            logged = write(log, logged, events.CANCELLED, flags[col.PENDING, a], t, a, rows[col.WANTED, a], 0.0, 0.0,
                           0.0, 0.0, events.REPLACED)  # fmt: skip
            flags[col.PENDING, a] = 0
            waiting -= 1
        if _moves(rows, a, w, equity, rules, curbed):
            logged = write(log, logged, events.BORN, n, t, a, w, 0.0, 0.0, 0.0, 0.0, events.AS_WANTED)
            rows[col.WANTED, a] = w
            flags[col.PENDING, a], flags[col.PARTLY, a], flags[col.CURBED, a] = n, 0, curbed
            n += 1
            waiting += 1
    counters[col.NEXT_ID], counters[col.WAITING], counters[col.LOGGED] = n, waiting, logged


@kernel
def _moves(rows: Any, a: int, w: float, equity: float, rules: Rules, curbed: int) -> bool:
    """Tell whether target w deserves an order: outside the drift band, and something to move.

    Without a band, a weight that is met at this close may be off at the next open: only 0 and 1 stay what they are
    while prices move.
    """
    held, p = rows[col.QUANTITY, a], rows[col.PRICE, a]
    gap = abs(w - (held * p / equity if held != 0.0 else 0.0))
    # A guard that flattens asks nobody whether it is worth it.
    if gap < rules.band and not (curbed > 0 and w == 0.0 and held != 0.0):
        return False
    if rules.lot > 0.0 and p > 0.0:
        return bool(lots(w * equity / p, rules.lot) != held)
    return bool(gap > col.DUST or (rules.fill != options.SAME_CLOSE and abs(w) > col.DUST and abs(w - 1.0) > col.DUST))


@kernel
def _size(book: Book, bars: Bars, prices: Floats, rules: Rules, equity: float) -> None:
    """Write, for every order that can fill, the position it wants (`size`) and its price (`deal`); NaN = no fill.

    Closed form, costs included, with E equity, p price, P price after slippage, n held, f fee rate, F fixed fee:
    buy q = (w(E-F) - n p) / (p + w(P(1+f) - p)), sell |q| = (n p - w(E-F)) / (p - w(p - P(1-f))).
    """
    rows, flags = book.rows, book.flags
    for a in range(prices.size):
        if flags[col.PENDING, a] == 0:
            continue
        p = prices[a]
        # Clause 4: zero volume or no price fills nothing and loses nothing; unknown (NaN) volume is unlimited.
        if not p > 0.0 or bars.volume[a] == 0.0:
            rows[col.SIZE, a] = math.nan
            continue
        w, n = rows[col.WANTED, a], rows[col.QUANTITY, a]
        gap = w * (equity - rules.fixed_fee) - n * p
        # Both sides are worked out and one is taken: over many assets the guess which one it is costs more.
        dear = max(p, min(p * (1.0 + rules.slippage), bars.high[a]))
        cheap = min(p, max(p * (1.0 - rules.slippage), bars.low[a]))
        buy, sell = p + w * (dear * (1.0 + rules.fee) - p), p - w * (p - cheap * (1.0 - rules.fee))
        deal = dear if gap > 0.0 else cheap
        q = gap / (buy if gap > 0.0 else sell)
        if abs(gap) <= col.DUST * equity:
            q = 0.0
        size = 0.0 if w == 0.0 else moved(n, q, rules.lot)
        rows[col.SIZE, a] = size if flags[col.CURBED, a] == 0 else reduced(n, size)
        rows[col.DEAL, a] = deal


@kernel
def _grows(rows: Any, a: int) -> bool:
    return bool(abs(rows[col.SIZE, a]) > abs(rows[col.QUANTITY, a]))


@kernel
def share_of(book: Book, prices: Floats, rules: Rules) -> float:
    """Return the factor by which all increases shrink so that gross stays within leverage times equity.

    The half of a flip that closes the old side needs no room and is not shrunk; its cost comes first.
    """
    rows, flags = book.rows, book.flags
    equity, gross, wanted, costs, fixed = book.money[col.CASH], 0.0, 0.0, 0.0, 0.0
    for a in range(prices.size):
        p = prices[a] if prices[a] == prices[a] else rows[col.PRICE, a]
        if rows[col.QUANTITY, a] != 0.0:
            equity += rows[col.QUANTITY, a] * p
            gross += abs(rows[col.QUANTITY, a] * p)
        if flags[col.PENDING, a] > 0 and rows[col.SIZE, a] == rows[col.SIZE, a] and _grows(rows, a):
            cost = abs(rows[col.DEAL, a] - p) + rules.fee * rows[col.DEAL, a]
            base = base_of(rows[col.QUANTITY, a], rows[col.SIZE, a])
            wanted += abs(rows[col.SIZE, a] - base) * p
            costs += abs(rows[col.SIZE, a] - base) * cost
            fixed += rules.fixed_fee + abs(rows[col.QUANTITY, a] - base) * cost
            gross -= abs(rows[col.QUANTITY, a] - base) * p
    headroom = rules.leverage * (equity - fixed) - gross
    need = wanted + rules.leverage * costs
    if need <= 0.0 or headroom >= need * (1.0 - col.DUST):
        return 1.0
    return float(max(0.0, headroom / need))


@kernel
def _fill_all(book: Book, prices: Floats, rules: Rules, log: Any, t: int, growing: bool, share: float) -> None:
    """Fill the orders that grow their position, or those that do not; each ends here, with a reason."""
    money, counters, rows, flags = book.money, book.counters, book.rows, book.flags
    cash, fees, traded, waiting, logged = (
        money[col.CASH],
        money[col.FEES],
        money[col.TRADED],
        counters[col.WAITING],
        counters[col.LOGGED],
    )
    for a in range(prices.size):
        if flags[col.PENDING, a] == 0 or rows[col.SIZE, a] != rows[col.SIZE, a] or _grows(rows, a) != growing:
            continue
        size, deal = rows[col.SIZE, a], rows[col.DEAL, a]
        if share < 1.0:
            base = base_of(rows[col.QUANTITY, a], rows[col.SIZE, a])
            size = shrunk(rows[col.QUANTITY, a], base, size, share, rules.lot)
        q = size - rows[col.QUANTITY, a]
        event, fee, reason = events.FILLED, 0.0, (events.SHRUNK if share < 1.0 else events.AS_WANTED)
        if q == 0.0:
            event, reason = events.REJECTED, events.NO_HEADROOM
            if share == 1.0:
                event, reason = events.CANCELLED, why_none(flags[col.CURBED, a], rules.lot)
        else:
            fee = abs(q) * deal * rules.fee + rules.fixed_fee
            cash -= q * deal + fee
            fees += fee
            traded += abs(q) * deal
            rebase(rows, a, q, deal)
            rows[col.QUANTITY, a] = size
            # A bar may have an open and no close: the position is then worth what was paid.
            rows[col.PRICE, a] = rows[col.PRICE, a] if rows[col.PRICE, a] == rows[col.PRICE, a] else deal
        slippage = abs(q) * abs(deal - prices[a])
        logged = write(log, logged, event, flags[col.PENDING, a], t, a, rows[col.WANTED, a], q, deal, fee, slippage,
                       reason)  # fmt: skip
        flags[col.PENDING, a] = 0
        waiting -= 1
    money[col.CASH], money[col.FEES], money[col.TRADED], counters[col.WAITING], counters[col.LOGGED] = (
        cash,
        fees,
        traded,
        waiting,
        logged,
    )
