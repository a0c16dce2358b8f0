"""How much room resting orders ask for, at a moment and on the way through a bar (clauses 2 and 3)."""

from __future__ import annotations

import math

from barograph import orders
from barograph.execution import book as col
from barograph.execution.book import Book, Rules
from barograph.execution.grid import toward_zero
from barograph.execution.sizes import allowed, value_of
from barograph.execution.targets.room import ROUNDS, factor
from barograph.execution.touch import ASKING, REACHING, after_slippage, dearest, dominated, level_of, reached
from barograph.jit.kernel import kernel
from barograph.types import Bars, Floats

__all__ = ["share_of_orders"]


@kernel
def share_of_orders(book: Book, bars: Bars, prices: Floats, rules: Rules, when: int, t: int) -> float:
    """Return the factor by which the increases of orders shrink so that gross stays within leverage times equity.

    Who comes first inside a bar nobody knows: with one factor neither columns nor chance decide. Of an asset the side
    counts that adds more, the purchases or the sales.
    """
    equity, gross = value_of(book.money[col.CASH], book.rows, prices), 0.0
    for a in range(prices.size):
        held = book.rows[col.QUANTITY, a]
        if held != 0.0:
            gross += abs(held * (prices[a] if prices[a] == prices[a] else book.rows[col.PRICE, a]))
    share = 1.0
    for _ in range(ROUNDS):
        opened, closed, costs, fixed = 0.0, 0.0, 0.0, 0.0
        for a in range(prices.size):
            if book.flags[col.LIVE, a] > 0 and (when == ASKING or book.flags[col.REACHED, a] == 1):
                bought = _side(book, bars, a, prices[a], rules, when, share, 1.0, t)
                sold = _side(book, bars, a, prices[a], rules, when, share, -1.0, t)
                most = bought if bought[0] - bought[1] >= sold[0] - sold[1] else sold
                if most[0] > most[1]:
                    opened, closed = opened + most[0], closed + most[1]
                    costs, fixed = costs + most[2], fixed + most[3]
        before, need = share, opened + rules.leverage * costs
        share = factor(rules.leverage * (equity - fixed) - (gross - closed), need)
        if rules.minimum_fee == 0.0 or share == before:
            break
    return share


@kernel
def _side(book: Book, bars: Bars, a: int, p: float, rules: Rules, when: int, share: float, side: float,
          t: int) -> tuple[float, float, float, float]:  # fmt: skip
    """Return what an asset's purchases, or sales, open and close (values), and cost: in proportion to the share, fixed.

    Each order goes on from where the one before has led, and pays the minimum fee, or its rate, as at this share.
    """
    size, opened, closed, costs, fixed = book.rows[col.QUANTITY, a], 0.0, 0.0, 0.0, 0.0
    for s in range(book.flags[col.LIVE, a]):
        codes, values = book.order_codes[a, s], book.order_values[a, s]
        q = allowed(size, _asked(book, bars, a, s, p, rules, when, t), codes[col.REDUCE], rules.shorts)
        if not q * side > 0.0:
            continue
        # What volume holds back asks for no room.
        if abs(q) > book.rows[col.VOLUME_LEFT, a]:
            q = math.copysign(toward_zero(book.rows[col.VOLUME_LEFT, a], rules.lot), q)
        closes = min(abs(q), abs(size)) if q * size < 0.0 else 0.0
        opens, (level, deal) = abs(q) - closes, _met_at(book, bars, a, s, p, rules, when)
        size += q
        rate = abs(deal) * book.money[col.TAKER] + rules.unit_fee
        if when == REACHING and codes[col.KIND] == orders.LIMIT:
            rate += abs(deal) * max(0.0, book.money[col.MAKER] - book.money[col.TAKER])
        cost, due = abs(deal - level), values[col.FEES_DUE]
        if due + rate * (closes + share * opens) < rules.minimum_fee:
            due = rules.minimum_fee
        else:
            cost += rate
        opened, closed, costs = opened + opens * abs(level), closed + closes * abs(p), costs + opens * cost
        fixed += rules.fixed_fee + due - values[col.FEES_CHARGED] + closes * cost
    return opened, closed, costs, fixed


@kernel
def _asked(book: Book, bars: Bars, a: int, s: int, p: float, rules: Rules, when: int, t: int) -> float:
    """Return what an order asks for at this moment, or in this bar; nothing where another of its pair stands for it."""
    codes, values = book.order_codes[a, s], book.order_values[a, s]
    if codes[col.ID] == 0 or codes[col.REDUCE] > 0:
        return 0.0
    if when == ASKING:
        alone = values[col.ASK] != 0.0 and not dominated(book, a, s, p, p, p, rules.tick, ASKING, t)
        return float(values[col.ASK]) if alone else 0.0
    low, high = bars.low[a], bars.high[a]
    if codes[col.HELD] == t or not reached(codes, values, low, high, rules.tick):
        return 0.0
    return 0.0 if dominated(book, a, s, low, high, high, rules.tick, REACHING, t) else float(values[col.LEFT])


@kernel
def _met_at(book: Book, bars: Bars, a: int, s: int, p: float, rules: Rules, when: int) -> tuple[float, float]:
    """Return the price at which an order is met, and what it then trades at; a trailing stop's is the bar's dearest."""
    codes, values = book.order_codes[a, s], book.order_values[a, s]
    if when == ASKING:
        return p, values[col.OFFER]
    level = level_of(codes, values, p)
    if codes[col.KIND] == orders.TRAILING:
        level = dearest(bars.low[a], bars.high[a])
    if codes[col.KIND] in (orders.LIMIT, orders.STOP_LIMIT):
        return level, level
    return level, after_slippage(book.rows, a, values[col.LEFT], level, bars, rules)
