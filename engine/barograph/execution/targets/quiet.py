"""Bars at which nothing happens to an account, passed many at a time where its targets are known before.

Nothing waits, nobody is called, and no target deserves an order: such a bar pays interest, marks the position and no
more. What that comes to, when an account is gone and what deserves an order is asked of the kernels that ask it at
every bar; a bar that is not quiet is left to them.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

from barograph.epoch import NEVER
from barograph.execution import book as col
from barograph.execution.book import Account, Book, Rules
from barograph.execution.grid import Grid
from barograph.execution.money import COVERED, interest_of
from barograph.execution.sizes import gone, marked
from barograph.execution.targets.light import deserves
from barograph.jit.kernel import kernel, shared
from barograph.jit.reach import floats1, ints1

__all__ = ["Page", "pass_quiet_bars"]

# How many bars are looked at together.
_MANY: Final = 256
# No lot: what asks for one is not in the loop over bars then, which is vectorised.
_ANY: Final = Grid(0.0, 1.0)


class Page(NamedTuple):
    """Where a run of one asset reads and writes, as addresses; rates on negative and positive cash, the same each bar.

    `ts`, `open`, `close`, `decided`, `days` and `turns` begin at bar 0; the columns of equity at bar `start`, `bars`
    numbers each. Weights are not written: whoever decides first wants none.
    """

    ts: int
    open: int
    close: int
    decided: int
    days: int
    turns: int
    equity: int
    start: int
    bars: int
    negative: float
    positive: float


@kernel
def _calm(book: Book, rules: Rules) -> bool:
    """Tell whether nothing waits or watches and no short accrues, so that only prices and interest move."""
    money, counters, held = book.money, book.counters, book.rows[col.QUANTITY, 0]
    idle = counters[col.WAITING] == 0 and counters[col.FAULT] == col.FINE and counters[col.MARGIN] == COVERED
    free = counters[col.TS] != NEVER and not (rules.short_rate > 0.0 and held < 0.0)
    plain = rules.guards.shape[0] == 0 and rules.tiers.shape[0] == 0
    still = rules.volatility_slippage == 0.0 and rules.impact == 0.0
    return bool(idle and free and plain and still and money[col.FEES] == 0.0 and money[col.FINANCING] == 0.0)


@kernel
def _stirs(held: float, cash: float, before: float, opened: float, price: float, equity: float, w: float,
           rules: Rules, lot: Grid, trades: bool) -> bool:  # fmt: skip
    """Tell whether a bar is not quiet: an unknown price, an account that is gone or warned, a target worth an order."""
    lost = gone(marked(cash, held, opened), before) or gone(equity, before)
    warned = equity < rules.warning * abs(held * price)
    order = trades and w != math.inf and (not w > -math.inf or deserves(held, price, w, equity, rules, lot, False))
    unknown = opened != opened or price != price
    return bool(unknown or lost or warned or order)


@shared
def pass_quiet_bars(account: Account, page: Page, t: int, last: int) -> int:
    """Go over the quiet bars from `t` on and write their rows; return the first that may not be, or `last`."""
    book, rules = account.book, account.rules
    if not _calm(book, rules):
        return t
    money, rows, n, start = book.money, book.rows, page.bars, page.start
    held, cash, before, trades = rows[col.QUANTITY, 0], money[col.CASH], money[col.EQUITY], rules.traded[0] > 0
    # Where the decision turns an order is likely.
    first, going, last = t, True, min(last, ints1(page.turns, t, 1)[0])
    while going and t < last:
        count = min(_MANY, last - t)
        opened, price, w = floats1(page.open, t, count), floats1(page.close, t, count), floats1(page.decided, t, count)
        equity, funds = floats1(page.equity, t - start, count), floats1(page.equity, n + t - start, count)
        _pay(page, t, count, cash)
        for k in range(count):
            equity[k] = marked(funds[k], held, price[k])
        if rules.lot.numerator == 0.0:
            quiet = _first_stir(held, funds, before, opened, price, equity, w, rules, _ANY, trades)
        else:
            quiet = _first_stir(held, funds, before, opened, price, equity, w, rules, rules.lot, trades)
        _write(page, t - start, quiet, held)
        going, t = quiet == count, t + quiet
        before, cash = equity[max(quiet - 1, 0)], funds[max(quiet - 1, 0)]
    if t > first:
        _arrive(book, page, t - 1)
    return t


@kernel
def _first_stir(held: float, funds: Any, before: float, opened: Any, price: Any, equity: Any, w: Any, rules: Rules,
                lot: Grid, trades: bool) -> int:  # fmt: skip
    """Return the first of these bars that is not quiet, or how many they are."""
    count = price.size
    quiet = 0 if _stirs(held, funds[0], before, opened[0], price[0], equity[0], w[0], rules, lot, trades) else count
    for k in range(1, count):
        stirs = _stirs(held, funds[k], equity[k - 1], opened[k], price[k], equity[k], w[k], rules, lot, trades)
        quiet = min(quiet, k if stirs else count)
    return quiet


@kernel
def _pay(page: Page, t: int, count: int, cash: float) -> None:
    """Write cash after interest, and what was paid of it, of `count` bars from `t` on."""
    at, days = t - page.start, ints1(page.days, t, count)
    funds, paid = floats1(page.equity, page.bars + at, count), floats1(page.equity, 5 * page.bars + at, count)
    if (page.negative if cash < 0.0 else page.positive) == 0.0:
        for k in range(count):
            funds[k] = cash
        for k in range(count):
            paid[k] = 0.0
        return
    for k in range(count):
        rate, paid[k] = page.negative if cash < 0.0 else page.positive, 0.0
        if days[k] > 0 and rate != 0.0:
            interest = interest_of(cash, rate, days[k])
            cash, paid[k] = cash + interest, 0.0 - interest
        funds[k] = cash


@kernel
def _write(page: Page, at: int, count: int, held: float) -> None:
    """Write the other columns of `count` rows: exposures, and no fees."""
    n, equity, price = page.bars, floats1(page.equity, at, count), floats1(page.close, at + page.start, count)
    gross, net = floats1(page.equity, 2 * n + at, count), floats1(page.equity, 3 * n + at, count)
    fees = floats1(page.equity, 4 * n + at, count)
    for k in range(count):
        net[k] = marked(0.0, held, price[k]) / equity[k]
    for k in range(count):
        gross[k] = abs(net[k])
    for k in range(count):
        fees[k] = 0.0


@kernel
def _arrive(book: Book, page: Page, t: int) -> None:
    """Leave the account as bar `t` leaves it."""
    money, rows, n, at = book.money, book.rows, page.bars, t - page.start
    row = floats1(page.equity, at, 3 * n + 1)
    money[col.EQUITY], money[col.CASH], money[col.GROSS], money[col.NET] = row[0], row[n], row[2 * n], row[3 * n]
    rows[col.PRICE, 0] = floats1(page.close, t, 1)[0]
    money[col.WORTH] = marked(money[col.CASH], rows[col.QUANTITY, 0], floats1(page.open, t, 1)[0])
    book.counters[col.TS] = ints1(page.ts, t, 1)[0]
