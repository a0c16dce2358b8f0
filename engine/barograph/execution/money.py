"""The account: splits and dividends, financing, fees, slippage, marking, margin and liquidation (clauses 0, 1, 4, 5).

Both books use these kernels, so every clause about money is written once.
"""

from __future__ import annotations

import math
from typing import Any, Final

from barograph.epoch import DAY, NEVER, YEAR
from barograph.execution import book as col
from barograph.execution import events
from barograph.execution.book import Account, Book, Rules, log_event
from barograph.execution.grid import Grid, above, settled, toward_zero
from barograph.execution.prices import cheaper, dearer, slippage_of
from barograph.execution.sizes import ROUNDING, gone, marked, ruin, value_of, volume_after
from barograph.jit import arithmetic
from barograph.jit.kernel import kernel, shared
from barograph.jit.periods import month_of
from barograph.jit.views import by_address, frozen
from barograph.types import Bars

__all__ = ["apply_actions", "charge", "finance", "interest_of", "liquidate", "open_account", "pay", "rates_of",
           "rebase", "settle"]  # fmt: skip

# Decay of the volatility that slippage models use (RiskMetrics, daily).
DECAY: Final = 0.94
# The variance of an asset whose last price is what was paid for it, before its first close.
UNCLOSED: Final = -1.0
COVERED, WARNED, CALLED = range(3)
FACTOR, PAID, RATIO, LAST = range(4)


@shared
def apply_actions(account: Account, actions: Any, t: int) -> None:
    """Clause 0: splits change quantities and prices, dividends are credited (a short owes them), the delisted pay out.

    `actions` (4, N) are this bar's factor, dividend a share (after the split), new shares for an old one, and the last
    price of an asset that ends here (NaN: it does not).
    """
    book, log, actions = account.book, account.log, frozen(actions)
    rows, flags = book.rows, book.flags
    for a in range(rows.shape[1]):
        dividend, ratio, last = actions[PAID, a], actions[RATIO, a], actions[LAST, a]
        if ratio != 1.0:
            rows[col.QUANTITY, a] *= ratio
            rows[col.PRICE, a] /= ratio
            rows[col.BASIS, a] /= ratio
            log_event(book, log, events.SPLIT, 0, t, a, 0.0, rows[col.QUANTITY, a], ratio, 0.0, 0.0, events.AS_WANTED)
        if dividend != 0.0 and rows[col.QUANTITY, a] != 0.0:
            book.money[col.CASH] += rows[col.QUANTITY, a] * dividend
            log_event(
                book, log, events.DIVIDEND, 0, t, a, 0.0, rows[col.QUANTITY, a], dividend, 0.0, 0.0, events.AS_WANTED
            )
        if last == last:
            book.money[col.CASH] += rows[col.QUANTITY, a] * last
            log_event(book, log, events.DELISTED, 0, t, a, 0.0, rows[col.QUANTITY, a], last, 0.0, 0.0, events.DELISTING)
            if flags[col.PENDING, a] > 0:
                log_event(book, log, events.CANCELLED, flags[col.PENDING, a], t, a, rows[col.WANTED, a], 0.0, 0.0, 0.0,
                          0.0, events.DELISTING)  # fmt: skip
                flags[col.PENDING, a] = 0
                book.counters[col.WAITING] -= 1
            rows[col.QUANTITY, a], rows[col.BASIS, a] = 0.0, 0.0
            flags[col.GONE, a] = 1


@kernel
def finance(book: Book, bars: Bars, rates: Any, rules: Rules) -> None:
    """Clause 1: interest for the calendar days (UTC) since the last bar, actual/365, on the cash as it stood.

    `rates` are the yearly rates on negative and on positive cash; `short_rate` is owed on the marked value of shorts,
    whatever the sign of their price.
    """
    money, counters = book.money, book.counters
    cash, last = money[col.CASH], counters[col.TS]
    rate = rates[0] if cash < 0.0 else rates[1]
    # Days are counted where something accrues: two divisions are a third of a quiet bar. Many assets are many to look
    # through for shorts.
    owes = rules.short_rate > 0.0 and (book.rows.shape[1] > 1 or book.rows[col.QUANTITY, 0] < 0.0)
    days = bars.ts // DAY - last // DAY if last != NEVER and (owes or rate != 0.0) else 0
    # Most bars of a minute begin no day.
    if days > 0:
        interest = interest_of(cash, rate, days)
        if rules.short_rate > 0.0:
            interest -= _shorts(book.rows) * rules.short_rate * days / YEAR
        money[col.CASH] = cash + interest
        money[col.FINANCING] -= interest
    if (
        (rules.tiers.shape[0] > 0 or rules.guards.shape[0] > 0)
        and last != NEVER
        and month_of(bars.ts - 1) != month_of(last - 1)
    ):
        money[col.TRADED] = 0.0
    counters[col.TS] = bars.ts


@kernel
def interest_of(cash: float, rate: float, days: int) -> float:
    """Return what cash earns, or a loan costs as a negative number, in so many days."""
    return cash * rate * days / YEAR


@kernel
def _shorts(rows: Any) -> float:
    value = 0.0
    for a in range(rows.shape[1]):
        if rows[col.QUANTITY, a] < 0.0:
            value += abs(rows[col.QUANTITY, a] * rows[col.PRICE, a])
    return value


@kernel
def open_account(account: Account, book: Book, rules: Rules, bars: Bars, t: int) -> None:
    """Clause 2, before anything fills: an account that this open has ruined is stopped, a called one reduced."""
    book.money[col.WORTH] = value_of(book.money[col.CASH], book.rows, bars.open)
    if gone(book.money[col.WORTH], book.money[col.EQUITY]):
        ruin(book, book.money[col.WORTH])
    elif book.counters[col.MARGIN] == CALLED:
        liquidate(account, by_address(bars), t)


@kernel
def rates_of(traded: float, rules: Rules) -> tuple[float, float]:
    """Return the taker's and the maker's fee at this value traded since the month began."""
    taker, maker = rules.fee, rules.maker_fee
    for j in range(rules.tiers.shape[0]):
        if traded >= rules.tiers[j, 0]:
            taker, maker = rules.tiers[j, 1], rules.tiers[j, 2]
    return taker, maker


@kernel
def charge(q: float, deal: float, rate: float, rules: Rules, due: float, charged: float) -> tuple[float, float, float]:
    """Return a fill's fee, and what its order's fills come to so far without a minimum, and what they were charged.

    fee = max(minimum, due + |q| price rate + |q| per unit) - charged + fixed: an order pays its minimum once. Where the
    minimum is every fill's, none has a past. A maker may be paid.
    """
    due += abs(q * deal) * rate + abs(q) * rules.unit_fee
    if rules.minimum_fee == 0.0:
        return due + rules.fixed_fee, 0.0, 0.0
    fee = max(rules.minimum_fee, due) - charged
    if rules.minimum_by_order == 0:
        return fee + rules.fixed_fee, 0.0, 0.0
    return fee + rules.fixed_fee, due, charged + fee


@kernel
def pay(book: Book, a: int, q: float, p: float, deal: float, fee: float, rules: Rules) -> None:
    """Move the money and the units of one fill at `deal`, where the price is p; equity that is gone ends the run."""
    rows, money = book.rows, book.money
    money[col.CASH] -= q * deal + fee
    money[col.FEES] += fee
    money[col.TRADED] += abs(q * deal)
    rebase(rows, a, q, deal)
    # What rounding leaves of a position that was closed is nothing, and what it adds to whole lots too.
    held = rows[col.QUANTITY, a]
    left = settled(held + q, max(abs(held), abs(q)), rules.lot)
    rows[col.QUANTITY, a] = left if abs(left) > ROUNDING * abs(q) else 0.0
    # A bar may have an open and no close: the position is then worth what was paid. No return begins from that.
    if rows[col.PRICE, a] != rows[col.PRICE, a]:
        rows[col.PRICE, a], rows[col.VARIANCE, a] = deal, UNCLOSED
    money[col.WORTH] -= fee + abs(q) * abs(deal - p)
    if gone(money[col.WORTH], money[col.EQUITY]):
        ruin(book, money[col.WORTH])


@kernel
def rebase(rows: Any, a: int, q: float, deal: float) -> None:
    """Move a position by q, and its average cost with it: an increase averages, a reduction keeps, a flip begins."""
    held = rows[col.QUANTITY, a]
    now = held + q
    if held * now <= 0.0:
        rows[col.BASIS, a] = deal if now != 0.0 else 0.0
    elif abs(now) > abs(held):
        rows[col.BASIS, a] = (rows[col.BASIS, a] * abs(held) + deal * abs(q)) / abs(now)


@kernel
def settle(account: Account, book: Book, rules: Rules, bars: Bars, t: int, decides: bool) -> None:
    """Clause 5: mark every position at its last known close; exposures are fractions of that equity.

    An account whose equity is below `maintenance` times its gross exposure is called: at the next open positions are
    closed. Equity that is gone ends the run: nobody trades below zero unnoticed. A late row that does not decide calls
    nobody: the next open lies before the moment at which it is known.
    """
    money, rows = book.money, book.rows
    equity, gross, net = money[col.CASH], 0.0, 0.0
    watched = rules.volatility_slippage > 0.0 or rules.impact > 0.0
    for a in range(rows.shape[1]):
        p = bars.close[a]
        if p == p:
            if watched:
                _learn(rows, a, p)
            rows[col.PRICE, a] = p
        held, p = rows[col.QUANTITY, a], rows[col.PRICE, a]
        equity, net = marked(equity, held, p), marked(net, held, p)
        gross = marked(gross, abs(held), abs(p))
    ruined = gone(equity, money[col.EQUITY])
    money[col.EQUITY], money[col.GROSS], money[col.NET] = equity, 0.0, 0.0
    if ruined:
        book.counters[col.FAULT] = col.RUINED
        return
    money[col.GROSS], money[col.NET] = gross / equity, net / equity
    if decides and (equity < rules.warning * gross or book.counters[col.MARGIN] != COVERED):
        _margin(account, equity, gross, t)


@shared
def _margin(account: Account, equity: float, gross: float, t: int) -> None:
    """Test the margin, and say so when it has become worse."""
    book, rules, log = account.book, account.rules, account.log
    # A margin that is met exactly is met: rounding calls nobody.
    kept = equity * (1.0 + col.DUST)
    margin = CALLED if kept < rules.maintenance * gross else WARNED if kept < rules.warning * gross else COVERED
    if margin > book.counters[col.MARGIN]:
        event = events.MARGIN_CALL if margin == CALLED else events.MARGIN_WARNING
        log_event(book, log, event, 0, t, -1, 0.0, gross / equity, equity, 0.0, 0.0, events.CALLED_IN)
    book.counters[col.MARGIN] = margin


@kernel
def _learn(rows: Any, a: int, p: float) -> None:
    """Take a close into the exponentially weighted variance of log returns; the first return begins it."""
    if rows[col.VARIANCE, a] == UNCLOSED:
        rows[col.VARIANCE, a] = math.nan
    elif p > 0.0 and rows[col.PRICE, a] > 0.0:
        r = arithmetic.log(p / rows[col.PRICE, a])
        v = rows[col.VARIANCE, a]
        rows[col.VARIANCE, a] = DECAY * v + (1.0 - DECAY) * r * r if v == v else r * r


@shared
def liquidate(account: Account, bars: Bars, t: int) -> None:
    """Clause 5, at the open after a margin call: close the largest unrealised loss first, and no more than is needed.

    A unit closed frees `maintenance` times its price and costs k: with equity E, gross G and m = maintenance, as long
    as E < m G close x = (m G - E) / (m p - k) units, or all there are.
    """
    book, rules, log = account.book, account.rules, account.log
    rows = book.rows
    taker, _ = rates_of(book.money[col.TRADED], rules)
    for a in range(rows.shape[1]):
        rows[col.SIZE, a] = rows[col.QUANTITY, a]
    for _ in range(rows.shape[1]):
        equity, gross = _worth(rows, bars, book.money[col.CASH])
        a = _worst(rows, bars)
        if a < 0 or equity * (1.0 + col.DUST) >= rules.maintenance * gross:
            break
        # One that was looked at is not looked at again.
        rows[col.SIZE, a] = math.nan
        held, p = rows[col.QUANTITY, a], bars.open[a]
        s = slippage_of(rows, a, held, bars.volume[a], rules)
        deal = cheaper(p, s, bars.low[a], rules.tick) if held > 0.0 else dearer(p, s, bars.high[a], rules.tick)
        k = abs(deal - p) + abs(deal) * taker + rules.unit_fee
        need = rules.maintenance * gross - equity + rules.fixed_fee
        x = _enough(abs(held), need, rules.maintenance * abs(p) - k, rules.lot)
        if x * (abs(deal) * taker + rules.unit_fee) < rules.minimum_fee:
            x = _enough(abs(held), need + rules.minimum_fee, rules.maintenance * abs(p) - abs(deal - p), rules.lot)
        if rules.participation > 0.0 and x > rows[col.VOLUME_LEFT, a]:
            x = toward_zero(rows[col.VOLUME_LEFT, a], rules.lot)
        if x == 0.0:
            continue
        q = -x if held > 0.0 else x
        fee, _, _ = charge(q, deal, taker, rules, 0.0, 0.0)
        pay(book, a, q, p, deal, fee, rules)
        # What was held stays in SIZE: who looks after protection sees which positions have moved.
        rows[col.SIZE, a] = held
        rows[col.VOLUME_LEFT, a] = volume_after(rows[col.VOLUME_LEFT, a], x, rules.lot)
        order = book.counters[col.NEXT_ID]
        book.counters[col.NEXT_ID] = order + 1
        log_event(book, log, events.BORN, order, t, a, 0.0, 0.0, 0.0, 0.0, 0.0, events.CALLED_IN)
        log_event(book, log, events.FILLED, order, t, a, 0.0, q, deal, fee, x * abs(deal - p), events.CALLED_IN)
        if book.counters[col.FAULT] != col.FINE:
            break


@kernel
def _enough(held: float, need: float, freed: float, lot: Grid) -> float:
    """Return how many units to close, whole lots and at most all."""
    return held if freed <= 0.0 else min(held, above(need / freed, need / freed, lot))


@kernel
def _worth(rows: Any, bars: Bars, cash: float) -> tuple[float, float]:
    """Return equity and gross exposure at this open."""
    equity, gross = cash, 0.0
    for a in range(rows.shape[1]):
        if rows[col.QUANTITY, a] != 0.0:
            p = bars.open[a] if bars.open[a] == bars.open[a] else rows[col.PRICE, a]
            equity += rows[col.QUANTITY, a] * p
            gross += abs(rows[col.QUANTITY, a] * p)
    return equity, gross


@kernel
def _worst(rows: Any, bars: Bars) -> int:
    """Return the position with the largest unrealised loss among those that can trade now, or -1."""
    worst, least = -1, math.inf
    for a in range(rows.shape[1]):
        p = bars.open[a]
        seen = rows[col.SIZE, a] != rows[col.QUANTITY, a]
        if rows[col.QUANTITY, a] == 0.0 or seen or p != p or bars.volume[a] == 0.0:
            continue
        gain = rows[col.QUANTITY, a] * (p - rows[col.BASIS, a])
        if gain < least:
            worst, least = a, gain
    return worst
