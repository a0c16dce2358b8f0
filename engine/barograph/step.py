"""One bar: match, settle, place. The execution contract, clause by clause (docs/execution.md numbers them).

Pure functions of numbers: no clock, no files, no chance. `history`, `scan` and a live loop call exactly these.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.compiling import kernel
from barograph.types import Bars, Floats

__all__ = [
    "BORN",
    "CANCELLED",
    "DUST",
    "EVENTS_A_BAR",
    "FILLED",
    "FILLS",
    "LOG_COLUMNS",
    "NOT_A_NUMBER",
    "REASONS",
    "REJECTED",
    "RUINED",
    "Book",
    "Rules",
    "finance",
    "match",
    "open_book",
    "place",
    "record",
    "settle",
]

DAY: Final = 86_400_000_000_000
NEVER: Final = -(2**63)
YEAR: Final = 365.0

FILLS: Final = ("next_open", "next_close", "same_close")
NEXT_OPEN, NEXT_CLOSE, SAME_CLOSE = range(3)

# A target closer than this to the weight held is the same position: closed forms leave 1e-16 of rounding behind.
DUST: Final = 1e-9

BORN, FILLED, CANCELLED, REJECTED = range(4)
REASONS: Final = (
    "as wanted",
    "shrunk: no room under the leverage limit",
    "no room under the leverage limit",
    "replaced by a newer target",
    "less than one lot",
    "already at the target",
)
AS_WANTED, SHRUNK, NO_ROOM, REPLACED, NO_LOT, THERE = range(6)

FINE, NOT_A_NUMBER, RUINED = range(3)

# One row an event: what, order, bar, asset, weight, quantity, price, fee, slippage, reason.
LOG_COLUMNS: Final = 10
# An order a bar and asset can end, and another be born and (same close) end as well.
EVENTS_A_BAR: Final = 3


class Rules(NamedTuple):
    """What trading costs and what is allowed; rates are a year, `lot` 0 means any quantity, `traded` is 1 or 0 (N,)."""

    fee: float
    fixed_fee: float
    slippage: float
    lot: float
    leverage: float
    borrow_rate: float
    cash_rate: float
    band: float
    fill: int
    traded: Any


class Account(NamedTuple):
    """The money; `gross`, `net` are fractions of equity, `fees`, `financing` were charged since the last row."""

    cash: float
    equity: float
    gross: float
    net: float
    fees: float
    financing: float
    ts: int


class Desk(NamedTuple):
    """The counters: the next order's id, orders waiting, events logged, and what went wrong with which asset."""

    next_id: int
    waiting: int
    logged: int
    fault: int
    culprit: int


class Rows(NamedTuple):
    """One row an asset: units held, last price, the waiting order's weight and id (0 = none), and scratch."""

    quantity: Floats
    price: Floats
    wanted: Floats
    pending: Any
    size: Floats
    deal: Floats


class Book(NamedTuple):
    """Everything the engine remembers of the account. The rows are written in place; money and counters move."""

    account: Account
    desk: Desk
    rows: Rows


def open_book(cash: float, assets: int) -> Book:
    """Return a book that holds only cash."""
    rows = Rows(
        quantity=np.zeros(assets),
        price=np.full(assets, np.nan),
        wanted=np.zeros(assets),
        pending=np.zeros(assets, dtype=np.int64),
        size=np.zeros(assets),
        deal=np.zeros(assets),
    )
    return Book(Account(cash, cash, 0.0, 0.0, 0.0, 0.0, NEVER), Desk(1, 0, 0, FINE, -1), rows)


@kernel
def finance(book: Book, bars: Bars, rules: Rules) -> Book:
    """Clause 1: interest for the calendar days (UTC) since the last bar, actual/365, on the cash as it stood."""
    c = book.account
    days = bars.ts // DAY - c.ts // DAY if c.ts != NEVER else 0
    rate = rules.borrow_rate if c.cash < 0.0 else rules.cash_rate
    interest = c.cash * rate * days / YEAR
    account = Account(c.cash + interest, c.equity, c.gross, c.net, c.fees, c.financing - interest, bars.ts)
    return Book(account, book.desk, book.rows)


@kernel
def match(book: Book, bars: Bars, rules: Rules, log: Any, t: int, closing: bool) -> Book:
    """Clause 2: waiting orders fill at the open (or at the close), reductions before increases.

    The book is valued at these very prices, once, before the first fill: weights become units off one equity.
    Increases that together ask for more than the leverage limit allows shrink by one common factor, so that the
    order of the columns decides nothing.
    """
    if book.desk.waiting == 0:
        return book
    prices = bars.close if closing else bars.open
    _size(book.rows, bars, prices, rules, _value(book, prices))
    book = _fill_all(book, prices, rules, log, t, False, 1.0)
    return _fill_all(book, prices, rules, log, t, True, _share(book, prices, rules))


@kernel
def settle(book: Book, bars: Bars) -> Book:
    """Clause 5: mark every position at its last known close; exposures are fractions of that equity."""
    c, d, rows = book.account, book.desk, book.rows
    equity, gross, net = c.cash, 0.0, 0.0
    for a in range(rows.quantity.size):
        p = bars.close[a]
        if p == p:
            rows.price[a] = p
        if rows.quantity[a] != 0.0:
            v = rows.quantity[a] * rows.price[a]
            equity += v
            gross += abs(v)
            net += v
    if equity > 0.0:
        account = Account(c.cash, equity, gross / equity, net / equity, c.fees, c.financing, c.ts)
        return Book(account, d, rows)
    account = Account(c.cash, equity, 0.0, 0.0, c.fees, c.financing, c.ts)
    return Book(account, Desk(d.next_id, d.waiting, d.logged, RUINED, d.culprit), rows)


@kernel
def record(book: Book, equity: Any, weights: Any) -> Book:
    """Write the equity point, before the decision (clause 6), and begin the next row's charges at nothing."""
    c = book.account
    equity[0] = c.equity
    equity[1] = c.cash
    equity[2] = c.gross
    equity[3] = c.net
    equity[4] = c.fees
    equity[5] = c.financing
    for a in range(weights.size):
        held = book.rows.quantity[a]
        weights[a] = held * book.rows.price[a] / c.equity if held != 0.0 else 0.0
    return Book(Account(c.cash, c.equity, c.gross, c.net, 0.0, 0.0, c.ts), book.desk, book.rows)


@kernel
def place(book: Book, weights: Floats, rules: Rules, log: Any, t: int) -> Book:
    """Clause 6: turn weights into waiting orders; the same target twice is one order, HOLD touches nothing."""
    d, rows = book.desk, book.rows
    n, waiting, logged, fault, culprit = d.next_id, d.waiting, d.logged, d.fault, d.culprit
    for a in range(rows.quantity.size):
        w = weights[a]
        if rules.traded[a] == 0 or w == math.inf:
            continue
        if not -math.inf < w < math.inf:
            fault, culprit = NOT_A_NUMBER, a
            break
        if rows.pending[a] > 0:
            if rows.wanted[a] == w:
                continue
            _write(log, logged, CANCELLED, rows.pending[a], t, a, rows.wanted[a], 0.0, 0.0, 0.0, 0.0, REPLACED)
            rows.pending[a] = 0
            logged += 1
            waiting -= 1
        if _moves(rows, a, w, book.account.equity, rules):
            _write(log, logged, BORN, n, t, a, w, 0.0, 0.0, 0.0, 0.0, AS_WANTED)
            rows.wanted[a] = w
            rows.pending[a] = n
            n += 1
            logged += 1
            waiting += 1
    return Book(book.account, Desk(n, waiting, logged, fault, culprit), rows)


@kernel
def _moves(rows: Rows, a: int, w: float, equity: float, rules: Rules) -> bool:
    """Tell whether target w deserves an order: outside the drift band, and something to move.

    Without a band, a weight that is met at this close may be off at the next open: only 0 and 1 stay what they are
    while prices move.
    """
    held, p = rows.quantity[a], rows.price[a]
    gap = abs(w - (held * p / equity if held != 0.0 else 0.0))
    if gap < rules.band:
        return False
    if rules.lot > 0.0 and p > 0.0:
        return bool(_lots(w * equity / p, rules.lot) != held)
    return bool(gap > DUST or (rules.fill != SAME_CLOSE and abs(w) > DUST and abs(w - 1.0) > DUST))


@kernel
def _value(book: Book, prices: Floats) -> float:
    equity = book.account.cash
    for a in range(prices.size):
        held = book.rows.quantity[a]
        if held != 0.0:
            equity += held * (prices[a] if prices[a] == prices[a] else book.rows.price[a])
    return equity


@kernel
def _lots(position: float, lot: float) -> float:
    """Round a position toward zero to whole lots."""
    return float(math.trunc(position / lot)) * lot if lot > 0.0 else position


@kernel
def _size(rows: Rows, bars: Bars, prices: Floats, rules: Rules, equity: float) -> None:
    """Write, for every order that can fill, the position it wants (`size`) and its price (`deal`); NaN = no fill.

    Closed form, costs included, with E equity, p price, P price after slippage, n held, f fee rate, F fixed fee:
    buy q = (w(E-F) - n p) / (p + w(P(1+f) - p)), sell |q| = (n p - w(E-F)) / (p - w(p - P(1-f))).
    """
    for a in range(prices.size):
        if rows.pending[a] == 0:
            continue
        p = prices[a]
        # Clause 4: zero volume or no price fills nothing and loses nothing; unknown (NaN) volume is unlimited.
        if not p > 0.0 or bars.volume[a] == 0.0:
            rows.size[a] = math.nan
            continue
        w, n = rows.wanted[a], rows.quantity[a]
        gap = w * (equity - rules.fixed_fee) - n * p
        # Both sides are worked out and one is taken: over many assets the guess which one it is costs more.
        dear = max(p, min(p * (1.0 + rules.slippage), bars.high[a]))
        cheap = min(p, max(p * (1.0 - rules.slippage), bars.low[a]))
        buy, sell = p + w * (dear * (1.0 + rules.fee) - p), p - w * (p - cheap * (1.0 - rules.fee))
        deal = dear if gap > 0.0 else cheap
        q = gap / (buy if gap > 0.0 else sell)
        if abs(gap) <= DUST * equity:
            q = 0.0
        rows.size[a] = 0.0 if w == 0.0 else _lots(n + q, rules.lot)
        rows.deal[a] = deal


@kernel
def _grows(rows: Rows, a: int) -> bool:
    return bool(abs(rows.size[a]) > abs(rows.quantity[a]))


@kernel
def _base(rows: Rows, a: int) -> float:
    """Return the position from which an increase begins: what is held, or nothing where the order flips its side."""
    return rows.quantity[a] if rows.quantity[a] * rows.size[a] >= 0.0 else 0.0


@kernel
def _share(book: Book, prices: Floats, rules: Rules) -> float:
    """Return the factor by which all increases shrink so that gross stays within leverage times equity.

    The half of a flip that closes the old side needs no room and is not shrunk; its cost comes first.
    """
    rows = book.rows
    equity, gross, wanted, costs, fixed = book.account.cash, 0.0, 0.0, 0.0, 0.0
    for a in range(prices.size):
        p = prices[a] if prices[a] == prices[a] else rows.price[a]
        if rows.quantity[a] != 0.0:
            equity += rows.quantity[a] * p
            gross += abs(rows.quantity[a] * p)
        if rows.pending[a] > 0 and rows.size[a] == rows.size[a] and _grows(rows, a):
            cost = abs(rows.deal[a] - p) + rules.fee * rows.deal[a]
            base = _base(rows, a)
            wanted += abs(rows.size[a] - base) * p
            costs += abs(rows.size[a] - base) * cost
            fixed += rules.fixed_fee + abs(rows.quantity[a] - base) * cost
            gross -= abs(rows.quantity[a] - base) * p
    room = rules.leverage * (equity - fixed) - gross
    need = wanted + rules.leverage * costs
    if need <= 0.0 or room >= need * (1.0 - DUST):
        return 1.0
    return max(0.0, room / need)


@kernel
def _fill_all(book: Book, prices: Floats, rules: Rules, log: Any, t: int, growing: bool, share: float) -> Book:
    """Fill the orders that grow their position, or those that do not; each ends here, with a reason."""
    c, d, rows = book.account, book.desk, book.rows
    cash, fees, waiting, logged = c.cash, c.fees, d.waiting, d.logged
    for a in range(prices.size):
        if rows.pending[a] == 0 or rows.size[a] != rows.size[a] or _grows(rows, a) != growing:
            continue
        size, deal = rows.size[a], rows.deal[a]
        if share < 1.0:
            base = _base(rows, a)
            size = _lots(base + share * (size - base), rules.lot)
        q = size - rows.quantity[a]
        event, fee, reason = FILLED, 0.0, (SHRUNK if share < 1.0 else AS_WANTED)
        if q == 0.0:
            event, reason = REJECTED, NO_ROOM
            if share == 1.0:
                event, reason = CANCELLED, (NO_LOT if rules.lot > 0.0 else THERE)
        else:
            fee = abs(q) * deal * rules.fee + rules.fixed_fee
            cash -= q * deal + fee
            fees += fee
            rows.quantity[a] = size
            # A bar may have an open and no close: the position is then worth what was paid.
            rows.price[a] = rows.price[a] if rows.price[a] == rows.price[a] else deal
        slip = abs(q) * abs(deal - prices[a])
        _write(log, logged, event, rows.pending[a], t, a, rows.wanted[a], q, deal, fee, slip, reason)
        rows.pending[a] = 0
        logged += 1
        waiting -= 1
    account = Account(cash, c.equity, c.gross, c.net, fees, c.financing, c.ts)
    return Book(account, Desk(d.next_id, waiting, logged, d.fault, d.culprit), rows)


@kernel
def _write(log: Any, row: int, event: int, order: int, t: int, a: int, weight: float, q: float, price: float,
           fee: float, slip: float, reason: int) -> None:  # fmt: skip
    log[row, 0] = event
    log[row, 1] = order
    log[row, 2] = t
    log[row, 3] = a
    log[row, 4] = weight
    log[row, 5] = q
    log[row, 6] = price
    log[row, 7] = fee
    log[row, 8] = slip
    log[row, 9] = reason
