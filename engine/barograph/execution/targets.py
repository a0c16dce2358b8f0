"""Orders to a target weight, in the light book: one waiting order an asset, proportional and fixed fees (clauses 2, 6).

The closed forms live here. `crossing` fills the same orders under every other rule, to the same bits where both apply.
"""

from __future__ import annotations

import math
from typing import Any

from barograph.execution.book import (
    CASH,
    CULPRIT,
    CURBED,
    DEAL,
    DUST,
    EQUITY,
    FAULT,
    FEES,
    FINANCING,
    GONE,
    GROSS,
    LOGGED,
    NET,
    NEXT_ID,
    NOT_A_NUMBER,
    PARTLY,
    PENDING,
    PRICE,
    QUANTITY,
    SAME_CLOSE,
    SIZE,
    TRADED,
    WAITING,
    WANTED,
    Book,
    Rules,
)
from barograph.execution.events import (
    AS_WANTED,
    BORN,
    CANCELLED,
    FILLED,
    NO_HEADROOM,
    REJECTED,
    REPLACED,
    SHRUNK,
    write,
)
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
    if book.counters[WAITING] == 0:
        return
    prices = bars.close if closing else bars.open
    equity = value_of(book.money[CASH], book.rows, prices)
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
    equity[0], equity[1], equity[2] = money[EQUITY], money[CASH], money[GROSS]
    equity[3], equity[4], equity[5] = money[NET], money[FEES], money[FINANCING]
    worth = money[EQUITY]
    for a in range(weights.size):
        held = rows[QUANTITY, a]
        weights[a] = held * rows[PRICE, a] / worth if held != 0.0 and worth > 0.0 else 0.0
    money[FEES], money[FINANCING] = 0.0, 0.0


@kernel
def place_targets(book: Book, weights: Floats, rules: Rules, log: Any, t: int, curbed: int) -> None:
    """Clause 6: turn weights into waiting orders; the same target twice is one order, HOLD touches nothing.

    `curbed` is the reason of a guard in force, or 0: what is decided under it may only reduce a position.
    """
    counters, rows, flags = book.counters, book.rows, book.flags
    n, waiting, logged, equity = counters[NEXT_ID], counters[WAITING], counters[LOGGED], book.money[EQUITY]
    for a in range(rows.shape[1]):
        w = weights[a]
        if rules.traded[a] == 0 or w == math.inf or flags[GONE, a] == 1:
            continue
        if not w > -math.inf:
            counters[FAULT], counters[CULPRIT] = NOT_A_NUMBER, a
            break
        if flags[PENDING, a] > 0:
            if rows[WANTED, a] == w:
                flags[CURBED, a] = curbed
                continue
            write(log, logged, CANCELLED, flags[PENDING, a], t, a, rows[WANTED, a], 0.0, 0.0, 0.0, 0.0, REPLACED)
            flags[PENDING, a] = 0
            logged += 1
            waiting -= 1
        if _moves(rows, a, w, equity, rules, curbed):
            write(log, logged, BORN, n, t, a, w, 0.0, 0.0, 0.0, 0.0, AS_WANTED)
            rows[WANTED, a] = w
            flags[PENDING, a], flags[PARTLY, a], flags[CURBED, a] = n, 0, curbed
            n += 1
            logged += 1
            waiting += 1
    counters[NEXT_ID], counters[WAITING], counters[LOGGED] = n, waiting, logged


@kernel
def _moves(rows: Any, a: int, w: float, equity: float, rules: Rules, curbed: int) -> bool:
    """Tell whether target w deserves an order: outside the drift band, and something to move.

    Without a band, a weight that is met at this close may be off at the next open: only 0 and 1 stay what they are
    while prices move.
    """
    held, p = rows[QUANTITY, a], rows[PRICE, a]
    gap = abs(w - (held * p / equity if held != 0.0 else 0.0))
    # A guard that flattens asks nobody whether it is worth it.
    if gap < rules.band and not (curbed > 0 and w == 0.0 and held != 0.0):
        return False
    if rules.lot > 0.0 and p > 0.0:
        return bool(lots(w * equity / p, rules.lot) != held)
    return bool(gap > DUST or (rules.fill != SAME_CLOSE and abs(w) > DUST and abs(w - 1.0) > DUST))


@kernel
def _size(book: Book, bars: Bars, prices: Floats, rules: Rules, equity: float) -> None:
    """Write, for every order that can fill, the position it wants (`size`) and its price (`deal`); NaN = no fill.

    Closed form, costs included, with E equity, p price, P price after slippage, n held, f fee rate, F fixed fee:
    buy q = (w(E-F) - n p) / (p + w(P(1+f) - p)), sell |q| = (n p - w(E-F)) / (p - w(p - P(1-f))).
    """
    rows, flags = book.rows, book.flags
    for a in range(prices.size):
        if flags[PENDING, a] == 0:
            continue
        p = prices[a]
        # Clause 4: zero volume or no price fills nothing and loses nothing; unknown (NaN) volume is unlimited.
        if not p > 0.0 or bars.volume[a] == 0.0:
            rows[SIZE, a] = math.nan
            continue
        w, n = rows[WANTED, a], rows[QUANTITY, a]
        gap = w * (equity - rules.fixed_fee) - n * p
        # Both sides are worked out and one is taken: over many assets the guess which one it is costs more.
        dear = max(p, min(p * (1.0 + rules.slippage), bars.high[a]))
        cheap = min(p, max(p * (1.0 - rules.slippage), bars.low[a]))
        buy, sell = p + w * (dear * (1.0 + rules.fee) - p), p - w * (p - cheap * (1.0 - rules.fee))
        deal = dear if gap > 0.0 else cheap
        q = gap / (buy if gap > 0.0 else sell)
        if abs(gap) <= DUST * equity:
            q = 0.0
        size = 0.0 if w == 0.0 else moved(n, q, rules.lot)
        rows[SIZE, a] = size if flags[CURBED, a] == 0 else reduced(n, size)
        rows[DEAL, a] = deal


@kernel
def _grows(rows: Any, a: int) -> bool:
    return bool(abs(rows[SIZE, a]) > abs(rows[QUANTITY, a]))


@kernel
def share_of(book: Book, prices: Floats, rules: Rules) -> float:
    """Return the factor by which all increases shrink so that gross stays within leverage times equity.

    The half of a flip that closes the old side needs no room and is not shrunk; its cost comes first.
    """
    rows, flags = book.rows, book.flags
    equity, gross, wanted, costs, fixed = book.money[CASH], 0.0, 0.0, 0.0, 0.0
    for a in range(prices.size):
        p = prices[a] if prices[a] == prices[a] else rows[PRICE, a]
        if rows[QUANTITY, a] != 0.0:
            equity += rows[QUANTITY, a] * p
            gross += abs(rows[QUANTITY, a] * p)
        if flags[PENDING, a] > 0 and rows[SIZE, a] == rows[SIZE, a] and _grows(rows, a):
            cost = abs(rows[DEAL, a] - p) + rules.fee * rows[DEAL, a]
            base = base_of(rows[QUANTITY, a], rows[SIZE, a])
            wanted += abs(rows[SIZE, a] - base) * p
            costs += abs(rows[SIZE, a] - base) * cost
            fixed += rules.fixed_fee + abs(rows[QUANTITY, a] - base) * cost
            gross -= abs(rows[QUANTITY, a] - base) * p
    headroom = rules.leverage * (equity - fixed) - gross
    need = wanted + rules.leverage * costs
    if need <= 0.0 or headroom >= need * (1.0 - DUST):
        return 1.0
    return float(max(0.0, headroom / need))


@kernel
def _fill_all(book: Book, prices: Floats, rules: Rules, log: Any, t: int, growing: bool, share: float) -> None:
    """Fill the orders that grow their position, or those that do not; each ends here, with a reason."""
    money, counters, rows, flags = book.money, book.counters, book.rows, book.flags
    cash, fees, traded, waiting, logged = money[CASH], money[FEES], money[TRADED], counters[WAITING], counters[LOGGED]
    for a in range(prices.size):
        if flags[PENDING, a] == 0 or rows[SIZE, a] != rows[SIZE, a] or _grows(rows, a) != growing:
            continue
        size, deal = rows[SIZE, a], rows[DEAL, a]
        if share < 1.0:
            base = base_of(rows[QUANTITY, a], rows[SIZE, a])
            size = shrunk(rows[QUANTITY, a], base, size, share, rules.lot)
        q = size - rows[QUANTITY, a]
        event, fee, reason = FILLED, 0.0, (SHRUNK if share < 1.0 else AS_WANTED)
        if q == 0.0:
            event, reason = REJECTED, NO_HEADROOM
            if share == 1.0:
                event, reason = CANCELLED, why_none(flags[CURBED, a], rules.lot)
        else:
            fee = abs(q) * deal * rules.fee + rules.fixed_fee
            cash -= q * deal + fee
            fees += fee
            traded += abs(q) * deal
            rebase(rows, a, q, deal)
            rows[QUANTITY, a] = size
            # A bar may have an open and no close: the position is then worth what was paid.
            rows[PRICE, a] = rows[PRICE, a] if rows[PRICE, a] == rows[PRICE, a] else deal
        slip = abs(q) * abs(deal - prices[a])
        write(log, logged, event, flags[PENDING, a], t, a, rows[WANTED, a], q, deal, fee, slip, reason)
        flags[PENDING, a] = 0
        logged += 1
        waiting -= 1
    money[CASH], money[FEES], money[TRADED], counters[WAITING], counters[LOGGED] = cash, fees, traded, waiting, logged
