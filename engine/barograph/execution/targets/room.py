"""How the increases of one moment share the room under the leverage limit (clause 2)."""

from __future__ import annotations

import math
from typing import Final

from barograph.execution import book as col
from barograph.execution.book import Book, Rules
from barograph.execution.grid import settled, toward_zero
from barograph.execution.sizes import ROUNDING, base_of, grows, shrunk
from barograph.jit.kernel import kernel
from barograph.types import Floats

__all__ = ["bar", "factor", "increases", "share_of", "share_room"]

# How often a share is worked out again while it decides who pays a minimum fee.
ROUNDS: Final = 64


@kernel
def increases(book: Book, a: int) -> bool:
    """Tell whether a target grows its position, and may: one that found no room at all is barred."""
    rows, flags = book.rows, book.flags
    return bool(
        flags[col.PENDING, a] > 0
        and rows[col.SIZE, a] == rows[col.SIZE, a]
        and flags[col.BARRED, a] == 0
        and grows(rows[col.QUANTITY, a], rows[col.SIZE, a])
    )


@kernel
def factor(headroom: float, need: float) -> float:
    """Return how much of what is needed has room: all of it, a part, or nothing."""
    return 1.0 if need <= 0.0 or headroom >= need * (1.0 - col.DUST) else float(max(0.0, headroom / need))


@kernel
def share_of(book: Book, prices: Floats, rules: Rules, taker: float) -> float:
    """Return the factor by which all increases shrink so that gross stays within leverage times equity.

    The half of a flip that closes the old side needs no room and is not shrunk; its cost comes first.
    """
    equity, gross = _after_reductions(book, prices, rules, taker)
    share = 1.0
    for _ in range(ROUNDS):
        before, share = share, _shared(book, prices, rules, taker, equity, gross, share)
        if rules.minimum_fee == 0.0 or share == before:
            break
    return share


@kernel
def _after_reductions(book: Book, prices: Floats, rules: Rules, taker: float) -> tuple[float, float]:
    """Return equity and gross; reductions that have not been filled yet count as if they were."""
    rows, flags = book.rows, book.flags
    equity, gross = book.money[col.CASH], 0.0
    for a in range(prices.size):
        p, held = prices[a] if prices[a] == prices[a] else rows[col.PRICE, a], rows[col.QUANTITY, a]
        if held != 0.0:
            equity += held * p
            gross += abs(held * p)
        sized = flags[col.PENDING, a] > 0 and rows[col.SIZE, a] == rows[col.SIZE, a]
        if sized and rows[col.SIZE, a] != held and not grows(held, rows[col.SIZE, a]):
            equity -= _paid(book, a, p, abs(rows[col.SIZE, a] - held), rules, taker)
            gross += abs(rows[col.SIZE, a] * p) - abs(held * p)
    return equity, gross


@kernel
def _shared(book: Book, prices: Floats, rules: Rules, taker: float, equity: float, gross: float,
            share: float) -> float:  # fmt: skip
    """Return the factor where each pays the minimum fee, or its rate, as it would at this share."""
    rows, wanted, costs, fixed = book.rows, 0.0, 0.0, 0.0
    for a in range(prices.size):
        if not increases(book, a):
            continue
        p, held, deal = prices[a], rows[col.QUANTITY, a], rows[col.DEAL, a]
        base = base_of(held, rows[col.SIZE, a])
        closed, opened = abs(held - base), abs(rows[col.SIZE, a] - base)
        cost, rate = abs(deal - p), taker * abs(deal) + rules.unit_fee
        if rows[col.DUE, a] + rate * (closed + share * opened) < rules.minimum_fee:
            fixed += rules.fixed_fee + rules.minimum_fee - rows[col.CHARGED, a]
        else:
            cost += rate
            fixed += rules.fixed_fee + (rows[col.DUE, a] - rows[col.CHARGED, a])
        wanted += opened * p
        costs += opened * cost
        fixed += closed * cost
        gross -= closed * p
    headroom = rules.leverage * (equity - fixed) - gross
    need = wanted + rules.leverage * costs
    return factor(headroom, need)


@kernel
def share_room(book: Book, prices: Floats, rules: Rules, share: float, taker: float) -> None:
    """Give every increase its share of the room; GOAL keeps what each wanted.

    What whole lots leave of the room goes to who misses most of its value, as many lots as fit, and so on. Left for the
    next bar, the same target would buy it then, lot by lot (`tests/execution/test_at_target.py`).
    """
    rows = book.rows
    for a in range(prices.size):
        if book.flags[col.BARRED, a] == 0:
            rows[col.GOAL, a] = math.nan
        if increases(book, a):
            held, goal = rows[col.QUANTITY, a], rows[col.SIZE, a]
            rows[col.GOAL, a] = goal
            rows[col.SIZE, a] = shrunk(held, base_of(held, goal), goal, share, rules.lot)
    if rules.lot.numerator > 0.0:
        _hand_out(book, prices, rules, taker)
    for a in range(prices.size):
        # Dust is no fill, unless it ends a position.
        size, held = rows[col.SIZE, a], rows[col.QUANTITY, a]
        if _shares(book, a) and size != 0.0 and abs((size - held) * prices[a]) <= col.DUST * book.money[col.WORTH]:
            rows[col.SIZE, a] = held


@kernel
def _shares(book: Book, a: int) -> bool:
    """Tell whether room is shared with this target."""
    flags, goal = book.flags, book.rows[col.GOAL, a]
    return bool(flags[col.PENDING, a] > 0 and flags[col.BARRED, a] == 0 and goal == goal)


@kernel
def _hand_out(book: Book, prices: Floats, rules: Rules, taker: float) -> None:
    """Give the lots that still fit to who misses most; of two that miss the same neither gets any."""
    rows, room = book.rows, _room_left(book, prices, rules, taker)
    for a in range(prices.size):
        if _shares(book, a):
            rows[col.OWN, a] = abs((rows[col.GOAL, a] - rows[col.SIZE, a]) * prices[a])
    least = math.inf
    for _ in range(prices.size):
        first, most, alike = -1, 0.0, False
        for a in range(prices.size):
            own = rows[col.OWN, a] if _shares(book, a) else 0.0
            if most * (1.0 + ROUNDING) < own < least:
                first, most, alike = a, own, False
            elif 0.0 < own < least and own >= most * (1.0 - ROUNDING):
                most, alike = max(most, own), True
        if first < 0:
            break
        least = most * (1.0 - ROUNDING)
        room -= 0.0 if alike else _grant(book, first, prices[first], rules, taker, room)


@kernel
def _room_left(book: Book, prices: Floats, rules: Rules, taker: float) -> float:
    """Return how much room is left once all have what they were given; rounding is room too."""
    rows, (equity, gross) = book.rows, _after_reductions(book, prices, rules, taker)
    slack = ROUNDING * equity
    for a in range(prices.size):
        held, size = rows[col.QUANTITY, a], rows[col.SIZE, a]
        # One that only closes for want of room has been counted as a reduction.
        if _shares(book, a) and grows(held, size):
            gross += abs(size * prices[a]) - abs(held * prices[a])
            equity -= _paid(book, a, prices[a], abs(size - held), rules, taker)
    return rules.leverage * equity - gross + slack


@kernel
def _paid(book: Book, a: int, p: float, q: float, rules: Rules, taker: float) -> float:
    """Return what trading q units at this moment costs."""
    rows, deal = book.rows, book.rows[col.DEAL, a]
    due = rows[col.DUE, a] + q * (taker * abs(deal) + rules.unit_fee)
    return float(q * abs(deal - p) + max(rules.minimum_fee, due) - rows[col.CHARGED, a] + rules.fixed_fee)


@kernel
def _grant(book: Book, a: int, p: float, rules: Rules, taker: float, room: float) -> float:
    """Give an increase as many more lots as there is room for; return how much room they take."""
    rows, held, size, goal = book.rows, book.rows[col.QUANTITY, a], book.rows[col.SIZE, a], book.rows[col.GOAL, a]
    deal, done = rows[col.DEAL, a], abs(size - held)
    before = _paid(book, a, p, done, rules, taker) if done > 0.0 else 0.0
    base, rate = rules.fixed_fee - rows[col.CHARGED, a] + done * abs(deal - p) - before, taker * abs(deal)
    rate += rules.unit_fee
    # It pays the minimum or its rate, whichever is more: what fits under both fits.
    least = (room - rules.leverage * (base + rules.minimum_fee)) / (abs(p) + rules.leverage * abs(deal - p))
    own = room - rules.leverage * (base + rows[col.DUE, a] + done * rate)
    own /= abs(p) + rules.leverage * (abs(deal - p) + rate)
    q = min(toward_zero(max(0.0, min(least, own)), rules.lot), abs(goal - base_of(size, goal)))
    if q == 0.0:
        return 0.0
    start = base_of(size, goal)
    rows[col.SIZE, a] = settled(start + math.copysign(q, goal - start), abs(goal), rules.lot)
    return float(q * abs(p) + rules.leverage * (_paid(book, a, p, done + q, rules, taker) - before))


@kernel
def bar(book: Book) -> bool:
    """Bar the increases that no room was found for, give the others their goals back; tell whether any was barred."""
    rows, flags, barred = book.rows, book.flags, False
    for a in range(rows.shape[1]):
        if not _shares(book, a):
            continue
        if rows[col.SIZE, a] == rows[col.QUANTITY, a]:
            flags[col.BARRED, a], barred = 1, True
        else:
            rows[col.SIZE, a] = rows[col.GOAL, a]
    return barred
