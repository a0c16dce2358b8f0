"""What all the targets that fill at one moment cost together, and the position each comes to (clause 2).

Each is worth exactly w of the equity that is left when all have paid: with n units held, price p, price P after
slippage, fee rate f, unit fee u, fixed fee F, and E the equity less what the *others* pay,

    buy q = (w (E - F) - n p) / (p + w (P (1 + f) + u - p)),  sell |q| = (n p - w (E - F)) / (p - w (p - P + f |P| + u))

What the others pay is what they paid the round before, until nobody pays anything else. Sizing each off its own costs
alone traded the same target again and again (11 fills on flat prices; the law is `tests/execution/test_at_target.py`).
"""

from __future__ import annotations

import math
from typing import Final

from barograph.execution import book as col
from barograph.execution.book import Book, Rules
from barograph.execution.sizes import moved, reduced
from barograph.execution.targets.room import bar, share_of, share_room
from barograph.jit.kernel import kernel
from barograph.types import Floats

__all__ = ["size_together", "weight_of"]

# A round leaves of what is missing what trading costs, a thousandth or less; costs of a tenth want a dozen.
ROUNDS: Final = 64
SOLVED: Final = 1e-13


@kernel
def weight_of(w: float, rules: Rules) -> float:
    """Return the weight that a wanted one can be: a cash account's is not below zero."""
    return w if rules.shorts == 1 or w > 0.0 else 0.0


@kernel
def size_together(book: Book, prices: Floats, rules: Rules, equity: float, taker: float) -> bool:
    """Write the position that every target which can trade (its SIZE is a number) wants, and its price.

    Return whether each then is its weight of what is left, to the last bit but one.
    """
    even = rules.lot.numerator == 0.0 and rules.fixed_fee + rules.minimum_fee + rules.min_notional == 0.0
    if even and book.counters[col.WAITING] > 1 and _size_in_proportion(book, prices, rules, equity, taker):
        return True
    # What finds no room pays nothing, and what it would have paid is nobody's reason to sell.
    for _ in range(ROUNDS):
        _go_round(book, prices, rules, equity, taker)
        share = 1.0 if even else share_of(book, prices, rules, taker)
        if share == 1.0:
            break
        share_room(book, prices, rules, share, taker)
        if not bar(book):
            break
    return False


@kernel
def _go_round(book: Book, prices: Floats, rules: Rules, equity: float, taker: float) -> None:
    """Size each off what the others paid the round before, until nobody pays anything else."""
    rows, flags, paid = book.rows, book.flags, 0.0
    for a in range(prices.size):
        rows[col.OWN, a] = 0.0
    for _ in range(ROUNDS):
        total, changed, sized = 0.0, 0.0, 0
        for a in range(prices.size):
            if flags[col.PENDING, a] > 0 and rows[col.SIZE, a] == rows[col.SIZE, a]:
                before = rows[col.OWN, a]
                _size(book, a, prices[a], rules, equity - (paid - before), taker)
                total += rows[col.OWN, a]
                changed += abs(rows[col.OWN, a] - before)
                sized += 1
        # One alone has nobody else to pay for. That one pays more and another as much less is no end.
        if sized == 1 or changed <= SOLVED * equity:
            break
        paid = total


@kernel
def _size_in_proportion(book: Book, prices: Floats, rules: Rules, equity: float, taker: float) -> bool:
    """Size several targets whose costs are all in proportion to what trades; return False where they are not.

    Then what all pay, C, is linear in itself: the sum of k |w (E - C) - n p| / p, k what a unit costs. One look at each
    to solve it and one to see that no side has changed; a hundred assets took four dear ones going round.
    """
    paid = 0.0
    for _ in range(ROUNDS):
        fixed, slope = _sum_costs(book, prices, rules, equity, paid, taker)
        if not 0.0 <= fixed < slope * equity:
            return False
        paid = fixed / slope
        if _sides_stay(book, prices, rules, equity, paid):
            return True
    return False


@kernel
def _sum_costs(book: Book, prices: Floats, rules: Rules, equity: float, paid: float,
               taker: float) -> tuple[float, float]:  # fmt: skip
    """Return what all would pay were nothing paid before, and one more than by how much less each unit paid makes it.

    The sides, left in OWN, are those at `paid`. A guard that cuts a position makes costs that are in no proportion;
    so do fees beyond all bounds.
    """
    rows, flags, fixed, slope, beyond = book.rows, book.flags, 0.0, 1.0, False
    for a in range(prices.size):
        if flags[col.PENDING, a] == 0 or rows[col.SIZE, a] != rows[col.SIZE, a]:
            continue
        if flags[col.CURBED, a] > 0:
            return math.nan, 1.0
        p, n, w = prices[a], rows[col.QUANTITY, a], weight_of(rows[col.WANTED, a], rules)
        dear, cheap, gap = rows[col.DEAR, a], rows[col.CHEAP, a], w * equity - n * p
        buys = gap > w * paid if w != 0.0 else n < 0.0
        deal, side = dear if buys else cheap, 1.0 if buys else -1.0
        unit = abs(deal - p) + (taker * abs(deal) + rules.unit_fee)
        rows[col.OWN, a] = side
        beyond = beyond | (unit >= p)
        if w == 0.0:
            fixed += unit * abs(n)
        else:
            share = side * unit / p
            fixed += share * gap
            slope += share * w
    return math.nan if beyond else fixed, slope


@kernel
def _sides_stay(book: Book, prices: Floats, rules: Rules, equity: float, paid: float) -> bool:
    """Write every position and its price when so much is paid; tell whether all are on the side they were taken for."""
    rows, flags, stay, left = book.rows, book.flags, True, equity - paid
    for a in range(prices.size):
        if flags[col.PENDING, a] == 0 or rows[col.SIZE, a] != rows[col.SIZE, a]:
            continue
        p, n, w = prices[a], rows[col.QUANTITY, a], weight_of(rows[col.WANTED, a], rules)
        missing = w * equity - n * p - w * paid
        buys = missing > 0.0 if w != 0.0 else n < 0.0
        # Both are worked out and one is taken: over many assets the guess which one it is costs more.
        still, size, dear, cheap = (
            abs(missing) <= col.DUST * equity,
            w * left / (p if w != 0.0 else 1.0),
            rows[col.DEAR, a],
            rows[col.CHEAP, a],
        )
        stay = stay & (still | (buys == (rows[col.OWN, a] > 0.0)))
        rows[col.SIZE, a] = 0.0 if w == 0.0 else n if still else size
        rows[col.DEAL, a] = dear if buys else cheap
    return stay


@kernel
def _size(book: Book, a: int, p: float, rules: Rules, equity: float, taker: float) -> None:
    """Write one target's position, price and costs, off the equity that the others leave."""
    rows, curbed = book.rows, book.flags[col.CURBED, a] > 0
    w, n = weight_of(rows[col.WANTED, a], rules), rows[col.QUANTITY, a]
    book.flags[col.CAPPED, a], size = 0 if book.flags[col.CAPPED, a] == 2 else book.flags[col.CAPPED, a], 0.0
    if w != 0.0:
        gap = w * equity - n * p
        q = 0.0 if abs(gap) <= col.DUST * abs(equity) else _units(book, a, p, w, gap, rules, taker)
        # Fees beyond all bounds leave nothing to hold, and never the other side.
        size = n if q == 0.0 else moved(n, n + q, rules.lot) if (n + q) * w > 0.0 else 0.0
    size = reduced(n, size) if curbed else size
    size = n if size != 0.0 and abs((size - n) * p) <= col.DUST * abs(equity) else size
    if size not in (0.0, n) and abs((size - n) * p) < rules.min_notional:
        size, book.flags[col.CAPPED, a] = n, 2
    size = n if book.flags[col.BARRED, a] == 1 else size
    deal = rows[col.DEAR, a] if size > n else rows[col.CHEAP, a]
    rows[col.SIZE, a], rows[col.DEAL, a], rows[col.OWN, a] = size, deal, 0.0
    if size != n:
        q = abs(size - n)
        due = rows[col.DUE, a] + q * (taker * abs(deal) + rules.unit_fee)
        rows[col.OWN, a] = q * abs(deal - p) + max(rules.minimum_fee, due) - rows[col.CHARGED, a] + rules.fixed_fee


@kernel
def _units(book: Book, a: int, p: float, w: float, gap: float, rules: Rules, taker: float) -> float:
    """Return how many units close the gap, costs included; none where the fees alone would carry it past.

    Where the minimum is what is charged, it stands beside the fixed fee and the rate is nothing.
    """
    rows, paid = book.rows, rules.fixed_fee - book.rows[col.CHARGED, a]
    # A correction that is worth less than its fees is wanted by nobody, and what it moves would start the next one.
    if abs(gap) <= max(1.0, abs(w)) * (rules.fixed_fee + max(0.0, rules.minimum_fee - rows[col.CHARGED, a])):
        return 0.0
    deal = rows[col.DEAR, a] if gap > 0.0 else rows[col.CHEAP, a]
    q = _closed(gap, w * (paid + rows[col.DUE, a]), p, w, deal, taker, rules.unit_fee)
    if rows[col.DUE, a] + abs(q) * (taker * abs(deal) + rules.unit_fee) < rules.minimum_fee:
        q = _closed(gap, w * (paid + rules.minimum_fee), p, w, deal, 0.0, 0.0)
    return q


@kernel
def _closed(gap: float, least: float, p: float, w: float, deal: float, f: float, u: float) -> float:
    slope = p + w * (deal * (1.0 + f) + u - p) if gap > 0.0 else p - w * (p - (deal - abs(deal) * f - u))
    # Where costs grow faster than the gap shrinks, no sale is enough.
    return (gap - least) / slope if slope > 0.0 else -math.copysign(math.inf, w)
