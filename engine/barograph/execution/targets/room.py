"""How the increases of one moment share the room under the leverage limit (clause 2)."""

from __future__ import annotations

import math
from typing import Any, Final

from barograph.execution import book as col
from barograph.execution.book import Book, Rules
from barograph.execution.grid import settled
from barograph.execution.sizes import base_of, grows, shrunk
from barograph.jit.kernel import kernel
from barograph.types import Floats

__all__ = ["bar", "factor", "increases", "share_of", "share_room"]

# How often a share is worked out again while it decides who pays a minimum fee, and what lots leave is shared again.
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

    Reductions that have not been filled yet count as if they were. The half of a flip that closes the old side needs no
    room and is not shrunk; its cost comes first.
    """
    rows, flags = book.rows, book.flags
    equity, gross = book.money[col.CASH], 0.0
    for a in range(prices.size):
        p, held = prices[a] if prices[a] == prices[a] else rows[col.PRICE, a], rows[col.QUANTITY, a]
        if held != 0.0:
            equity += held * p
            gross += abs(held * p)
        sized = flags[col.PENDING, a] > 0 and rows[col.SIZE, a] == rows[col.SIZE, a]
        if sized and rows[col.SIZE, a] != held and not grows(held, rows[col.SIZE, a]):
            equity -= rows[col.OWN, a]
            gross += abs(rows[col.SIZE, a] * p) - abs(held * p)
    share = 1.0
    for _ in range(ROUNDS):
        before, share = share, _shared(book, prices, rules, taker, equity, gross, share)
        if rules.minimum_fee == 0.0 or share == before:
            break
    return share


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
    """Give every increase its share of the room; what lots leave of it is shared again, until no lot more fits.

    Left for the next bar, the same target would buy it then, lot by lot (`tests/execution/test_at_target.py`). GOAL
    keeps what each wanted.
    """
    rows, room = book.rows, 0.0
    for a in range(prices.size):
        if book.flags[col.BARRED, a] == 0:
            rows[col.GOAL, a] = math.nan
        if increases(book, a):
            rows[col.GOAL, a], rows[col.SIZE, a] = rows[col.SIZE, a], rows[col.QUANTITY, a]
            room += share * _missing(rows, a, prices[a], rules, taker)
    for turn in range(ROUNDS):
        missing, spent = 0.0, 0.0
        for a in range(prices.size):
            missing += (
                _missing(rows, a, prices[a], rules, taker) if _fits(book, a, prices[a], rules, taker, room) else 0.0
            )
        if missing == 0.0:
            break
        # Nothing is worked out twice where it is shared once.
        share = min(1.0, room / missing) if turn > 0 or rules.lot.numerator > 0.0 else share
        for a in range(prices.size):
            if _fits(book, a, prices[a], rules, taker, room):
                spent += _grant(book, a, prices[a], rules, share, taker)
        if rules.lot.numerator == 0.0:
            break
        if spent == 0.0:
            spent = _hand_out(book, prices, rules, taker, room)
        if spent == 0.0:
            break
        room -= spent


@kernel
def _fits(book: Book, a: int, p: float, rules: Rules, taker: float, room: float) -> bool:
    """Tell whether an increase still misses something, and one lot of it would fit."""
    rows, lot = book.rows, rules.lot.numerator / rules.lot.denominator
    misses = _shares(book, a) and rows[col.SIZE, a] != rows[col.GOAL, a]
    return bool(misses and lot * _unit(rows, a, p, rules, taker) <= room)


@kernel
def _hand_out(book: Book, prices: Floats, rules: Rules, taker: float, room: float) -> float:
    """Give one lot to whoever misses most, where all the shares are less than one; of two alike neither gets it."""
    rows, lot, first, most, alike = book.rows, rules.lot.numerator / rules.lot.denominator, -1, 0.0, False
    for a in range(prices.size):
        if _fits(book, a, prices[a], rules, taker, room):
            missing = _missing(rows, a, prices[a], rules, taker)
            alike = missing == most or (alike and missing < most)
            first, most = (a, missing) if missing > most else (first, most)
    if first < 0 or alike:
        return 0.0
    goal, start = rows[col.GOAL, first], base_of(rows[col.SIZE, first], rows[col.GOAL, first])
    rows[col.SIZE, first] = settled(start + math.copysign(lot, goal - start), abs(goal), rules.lot)
    return lot * _unit(rows, first, prices[first], rules, taker)


@kernel
def _shares(book: Book, a: int) -> bool:
    return bool(book.flags[col.BARRED, a] == 0 and book.rows[col.GOAL, a] == book.rows[col.GOAL, a])


@kernel
def _unit(rows: Any, a: int, p: float, rules: Rules, taker: float) -> float:
    """Return how much room one unit more takes."""
    deal = rows[col.DEAL, a]
    return float(abs(p) + rules.leverage * (abs(deal - p) + (taker * abs(deal) + rules.unit_fee)))


@kernel
def _missing(rows: Any, a: int, p: float, rules: Rules, taker: float) -> float:
    """Return how much room the rest of an increase takes."""
    goal = rows[col.GOAL, a]
    return float(abs(goal - base_of(rows[col.SIZE, a], goal)) * _unit(rows, a, p, rules, taker))


@kernel
def _grant(book: Book, a: int, p: float, rules: Rules, share: float, taker: float) -> float:
    """Write an increase's position with its share of what is missing; return how much room that took."""
    rows, held = book.rows, book.rows[col.QUANTITY, a]
    before, goal = _missing(rows, a, p, rules, taker), rows[col.GOAL, a]
    start = rows[col.SIZE, a]
    size = shrunk(held, base_of(start, goal), goal, share, rules.lot) if share < 1.0 else goal
    # Dust is no fill, unless it ends a position.
    dust = size != 0.0 and abs((size - held) * p) <= col.DUST * book.money[col.WORTH]
    rows[col.SIZE, a] = held if dust else size
    return before - _missing(rows, a, p, rules, taker)


@kernel
def bar(book: Book) -> bool:
    """Bar the increases that no room was found for, give the others their goals back; tell whether any was barred."""
    rows, flags, barred = book.rows, book.flags, False
    for a in range(rows.shape[1]):
        if not _shares(book, a) or flags[col.PENDING, a] == 0:
            continue
        if rows[col.SIZE, a] == rows[col.QUANTITY, a]:
            flags[col.BARRED, a], barred = 1, True
        else:
            rows[col.SIZE, a] = rows[col.GOAL, a]
    return barred
