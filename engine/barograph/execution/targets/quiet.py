"""Bars at which nothing happens to an account, passed many at a time where its targets are known before.

Nothing waits, nothing accrues, nobody is called, and no target deserves an order: such a bar marks the position and no
more. What that is worth, when it is gone and what deserves an order is asked of the kernels that ask it at every bar;
a bar that is not quiet is left to them.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from barograph.execution import book as col
from barograph.execution.book import Account, Book, Rules
from barograph.execution.money import COVERED
from barograph.execution.sizes import gone, marked
from barograph.execution.targets.light import deserves
from barograph.jit.kernel import kernel, shared
from barograph.jit.reach import floats1, ints1

__all__ = ["Page", "pass_quiet_bars"]

# How many bars are looked at together: few at first, as the next order may be near.
_FEW: Final = 16
_MANY: Final = 256


class Page(NamedTuple):
    """Where a run of one asset reads and writes, as addresses; rates on negative and positive cash, the same each bar.

    `ts`, `open`, `close` and `decided` begin at bar 0; the columns of equity and the weights at bar `start`, `bars`
    numbers each.
    """

    ts: int
    open: int
    close: int
    decided: int
    equity: int
    weights: int
    start: int
    bars: int
    negative: float
    positive: float


@kernel
def _calm(book: Book, rules: Rules, page: Page) -> bool:
    """Tell whether nothing waits, accrues or watches, so that only prices move."""
    money, counters, held = book.money, book.counters, book.rows[col.QUANTITY, 0]
    idle = counters[col.WAITING] == 0 and counters[col.FAULT] == col.FINE and counters[col.MARGIN] == COVERED
    free = (page.negative if money[col.CASH] < 0.0 else page.positive) == 0.0 and not (
        rules.short_rate > 0.0 and held < 0.0
    )
    plain = rules.guards.shape[0] == 0 and rules.tiers.shape[0] == 0
    still = rules.volatility_slippage == 0.0 and rules.impact == 0.0
    return bool(idle and free and plain and still and money[col.FEES] == 0.0 and money[col.FINANCING] == 0.0)


@kernel
def _stirs(held: float, cash: float, before: float, opened: float, price: float, equity: float, w: float,
           rules: Rules, trades: bool) -> bool:  # fmt: skip
    """Tell whether a bar is not quiet: an unknown price, an account that is gone or warned, a target worth an order."""
    lost = gone(marked(cash, held, opened), before) or gone(equity, before)
    warned = equity < rules.warning * abs(held * price)
    order = trades and w != math.inf and (not w > -math.inf or deserves(held, price, w, equity, rules, False))
    unknown = opened != opened or price != price
    return bool(unknown or lost or warned or order)


@shared
def pass_quiet_bars(account: Account, page: Page, t: int, last: int) -> int:
    """Go over the quiet bars from `t` on and write their rows; return the first that is not, or `last`."""
    book, rules = account.book, account.rules
    if not _calm(book, rules, page):
        return t
    money, rows, n, start = book.money, book.rows, page.bars, page.start
    held, cash, before, trades = rows[col.QUANTITY, 0], money[col.CASH], money[col.EQUITY], rules.traded[0] > 0
    first, size, going = t, _FEW, True
    while going and t < last:
        count = min(size, last - t)
        opened, price, w = floats1(page.open, t, count), floats1(page.close, t, count), floats1(page.decided, t, count)
        equity = floats1(page.equity, t - start, count)
        for k in range(count):
            equity[k] = marked(cash, held, price[k])
        quiet = 0 if _stirs(held, cash, before, opened[0], price[0], equity[0], w[0], rules, trades) else count
        for k in range(1, count):
            stirs = _stirs(held, cash, equity[k - 1], opened[k], price[k], equity[k], w[k], rules, trades)
            quiet = min(quiet, k if stirs else count)
        _write(page, t - start, quiet, held, cash)
        going, t, size = quiet == count, t + quiet, min(2 * size, _MANY)
        before = equity[max(quiet - 1, 0)]
    if t > first:
        _arrive(book, page, t - 1, n)
    return t


@kernel
def _write(page: Page, at: int, count: int, held: float, cash: float) -> None:
    """Write the other columns of `count` rows: cash, exposures, no charges; and the weights."""
    n, equity, price = page.bars, floats1(page.equity, at, count), floats1(page.close, at + page.start, count)
    gross, net = floats1(page.equity, 2 * n + at, count), floats1(page.equity, 3 * n + at, count)
    weights = floats1(page.weights, at, count)
    for k in range(count):
        net[k] = marked(0.0, held, price[k]) / equity[k]
    for k in range(count):
        gross[k] = abs(net[k])
    for k in range(count):
        weights[k] = held * price[k] / equity[k] if held != 0.0 else 0.0
    for column, value in ((1, cash), (4, 0.0), (5, 0.0)):
        of = floats1(page.equity, column * n + at, count)
        for k in range(count):
            of[k] = value


@kernel
def _arrive(book: Book, page: Page, t: int, n: int) -> None:
    """Leave the account as bar `t` leaves it."""
    money, rows, at = book.money, book.rows, t - page.start
    row = floats1(page.equity, at, 3 * n + 1)
    money[col.EQUITY], money[col.GROSS], money[col.NET] = row[0], row[2 * n], row[3 * n]
    rows[col.PRICE, 0] = floats1(page.close, t, 1)[0]
    money[col.WORTH] = marked(money[col.CASH], rows[col.QUANTITY, 0], floats1(page.open, t, 1)[0])
    book.counters[col.TS] = ints1(page.ts, t, 1)[0]
