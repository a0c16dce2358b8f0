"""The account and its orders as the step remembers them; what happens to them is written into the log (`events`).

A handful of arrays with named columns, written in place: a tuple of 35 arrays, moved, took 100 s to compile. A light
book has no slots for resting orders, a full one has; everything else is the same, and so is every clause that reads it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from barograph.epoch import NEVER
from barograph.execution.events import WIDEST, write, write_birth
from barograph.execution.grid import Grid
from barograph.jit.kernel import kernel
from barograph.types import Bars

__all__ = ["FAULTS", "Account", "Book", "Rules", "log_birth", "log_event", "open_book", "requests_a_bar", "taken",
           "words_a_bar"]  # fmt: skip

# A target closer than this to the weight held is the same position: closed forms leave 1e-16 of rounding behind.
DUST: Final = 1e-9

# Columns of `Book.money`: the cash, what was marked at the last close (gross and net as fractions of equity), charges
# since the last row, value traded this calendar month, the fees in force, the equity before this day and before
# this bar, the equity at this moment's prices.
CASH, EQUITY, GROSS, NET, FEES, FINANCING, TRADED, TAKER, MAKER, OPENING, PREVIOUS, WORTH = range(12)
# Columns of `Book.counters`: the next order's id, targets waiting, words logged, what went wrong with which asset, the
# margin's state, the last bar's close, its day, stop-outs in this bar, whether any order that may expire was ever born,
# orders resting for this bar's close.
NEXT_ID, WAITING, LOGGED, FAULT, CULPRIT, MARGIN, TS, TODAY, STOPS, DATED, CLOSERS = range(11)
# Rows of `Book.rows`: units, last price, average cost, variance of returns, the waiting target's weight; the position
# and the price it would fill at; volume left in this bar; the levels a `Protected` answer wants; a buyer's and a
# seller's price; of the waiting target what its fills come to without a minimum, and what they were charged; what it
# costs at this moment; the position an increase wanted before room was shared.
(QUANTITY, PRICE, BASIS, VARIANCE, WANTED, SIZE, DEAL, VOLUME_LEFT, STOP_LEVEL, TAKE_LEVEL, TRAIL_LEVEL, DEAR, CHEAP,
 DUE, CHARGED, OWN, GOAL) = range(17)  # fmt: skip
# Rows of `Book.flags`: the waiting target's id (0 = none), 1 once delisted, resting orders, whether a target is capped,
# whether this bar's range touches an order, one more than the bar in which a part of the target last filled (0: in
# none), how many of the orders have ended, why the target may only reduce (0: it may do all), the day since which it
# waits for the reductions of others (NEVER: it does not), 1 where this moment has no room for it at all.
PENDING, GONE, LIVE, CAPPED, REACHED, PARTLY, ENDED, CURBED, SINCE, BARRED = range(10)
# Rows of `Book.guard_state`: bars left (-1: it holds no more, ever), whether it holds, the equity that its drawdown is
# counted from.
UNTIL_BAR, ACTIVE, HIGHEST = range(3)
# Columns of `Book.order_codes`; ID 0 is an order that has ended, HELD the bar on which it last acted, KEEPS 1 where no
# dividend lowers it, WAITS the day since which it waits for the reductions of others.
ID, KIND, LIFE, ROLE, PARENT, GROUP, TAG, REDUCE, PERCENT, FIRST_DAY, HELD, KEEPS, WAITS = range(13)
# Columns of `Book.order_values`: signed quantities, prices, distances, a moment (ns); ASK and OFFER are scratch; what
# its fills come to without a minimum, and what they were charged.
(LEFT, ASKED, LIMIT_AT, STOP_AT, TRAIL_BY, UNTIL, LOSS_AT, PROFIT_AT, LOSS_TRAIL, ASK, OFFER, FEES_DUE,
 FEES_CHARGED) = range(13)  # fmt: skip

FAULTS: Final = ("fine", "not a number", "ruined", "no slot", "no slip", "bad order", "log full", "bad pair",
                 "too many")  # fmt: skip
FINE, NOT_A_NUMBER, RUINED, NO_SLOT, NO_SLIP, BAD_ORDER, LOG_FULL, BAD_PAIR, TOO_MANY = range(9)
# An order that ends keeps its place until the bar is over: each may leave three legs, and they may end too.
PLACES: Final = 4


class Rules(NamedTuple):
    """What trading costs and what is allowed.

    Fractions of value: `fee` (taker), `maker_fee`, `slippage` (half the spread included). `tiers` (J, 3): value traded
    this month, taker and maker fee from there on. `minimum_by_order` is 1 where the minimum is an order's, 0 where
    it is every fill's; `participation` 0 means no cap; `traded` (N,) is 1 or 0; `guards` (G, 4): what, limit, mode,
    cool-down in bars.
    """

    fee: float
    maker_fee: float
    unit_fee: float
    fixed_fee: float
    minimum_fee: float
    minimum_by_order: int
    tiers: Any
    slippage: float
    volatility_slippage: float
    impact: float
    lot: Grid
    tick: Grid
    min_notional: float
    leverage: float
    shorts: int
    maintenance: float
    warning: float
    short_rate: float
    participation: float
    path: int
    band: float
    fill: int
    traded: Any
    guards: Any


class Book(NamedTuple):
    """Everything the engine remembers of the account and its orders, in arrays that are written in place.

    `money` and `counters` hold what there is one of, `rows` (17, N) and `flags` (10, N) what each asset has,
    `guard_state` (3, G) what each guard remembers. `order_codes` and `order_values` (N, 4 S, 13), integers and floats,
    are the resting orders, at most S an asset at a time, in order of birth; a light book has none. The columns of each
    are named above.
    """

    money: Any
    counters: Any
    rows: Any
    flags: Any
    guard_state: Any
    order_codes: Any
    order_values: Any


class Account(NamedTuple):
    """What every clause works on, from the first bar to the last; kernels that are called get it lent."""

    book: Book
    rules: Rules
    log: Any


def open_book(cash: float, assets: int, guards: int = 0, resting: int = 0) -> Book:
    """Return a book that holds only cash; with `resting` slots an asset it is a full one.

    >>> float(open_book(1000.0, assets=2).money[CASH])
    1000.0
    """
    money = np.zeros(12)
    for column in (CASH, EQUITY, OPENING, PREVIOUS):
        money[column] = cash
    counters = np.zeros(11, dtype=np.int64)
    counters[NEXT_ID], counters[CULPRIT], counters[TS], counters[TODAY] = 1, -1, NEVER, NEVER
    rows = np.zeros((17, assets))
    for column in (PRICE, VARIANCE, STOP_LEVEL, TAKE_LEVEL, TRAIL_LEVEL):
        rows[column] = np.nan
    return Book(
        money,
        counters,
        rows,
        flags=np.zeros((10, assets), dtype=np.int64),
        guard_state=np.array([[0.0], [0.0], [cash]]).repeat(guards, axis=1),
        order_codes=np.zeros((assets, PLACES * resting, 13), dtype=np.int64),
        order_values=np.zeros((assets, PLACES * resting, 13)),
    )


def words_a_bar(assets: int, resting: int) -> int:
    """Return how many words of the log one bar can fill at most: events, all as long as the longest.

    An asset: a split, a dividend, a delisting, a liquidation (born, ended), a target that ends, and another one born
    that ends at the same close: 9. A slot of its table: what it held is triggered, fills in part on each of the three
    legs and at the close, ends; and another order is born and ends: 8; and 16 for the three legs it may bring.
    A request: what it replaces ends, it is born, it ends: 3. The account: margin and guards, 40.
    """
    return WIDEST * (40 + assets * (9 + 24 * resting) + 3 * requests_a_bar(assets, resting))


@kernel
def requests_a_bar(assets: int, resting: int) -> int:
    """Return how many rows of a slip one close takes."""
    return 8 + 2 * assets * resting


@kernel
def taken(bars: Bars) -> Bars:
    """Take lent bars at hand: where their arrays are is read once, not at every use."""
    return Bars(bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.factor)


@kernel
def log_event(book: Book, log: Any, event: int, order: int, t: int, a: int, weight: float, q: float, price: float,
         fee: float, slippage: float, reason: int) -> None:  # fmt: skip
    """Write the next event; a log that is full is a fault, never an overrun."""
    at = book.counters[LOGGED]
    if at + WIDEST > log.size:
        book.counters[FAULT] = LOG_FULL
        return
    book.counters[LOGGED] = write(log, at, event, order, t, a, weight, q, price, fee, slippage, reason)


@kernel
def log_birth(book: Book, log: Any, order: int, t: int, a: int, asked: float, limit: float, stop: float, trail: float,
              packed: int, until: float, parent: float, group: float, tag: float) -> None:  # fmt: skip
    """Write the birth of an order with terms, under the same fault."""
    at = book.counters[LOGGED]
    if at + WIDEST > log.size:
        book.counters[FAULT] = LOG_FULL
        return
    book.counters[LOGGED] = write_birth(log, at, order, t, a, asked, limit, stop, trail, packed, until, parent, group,
                                        tag)  # fmt: skip
