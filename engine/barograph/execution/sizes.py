"""From what is wanted to a quantity: weights, lots, reductions, and why nothing is left."""

from __future__ import annotations

import math
from typing import Any, Final

from barograph.execution import book as col
from barograph.execution import events
from barograph.execution.book import Book
from barograph.execution.grid import FEW, Grid, above, below, settled, toward_zero
from barograph.jit.kernel import kernel
from barograph.types import Floats

__all__ = ["ROUNDING", "allowed", "base_of", "ends", "gone", "grows", "marked", "moved", "reduced", "ruin", "shrunk",
           "units_of", "value_of", "volume_after", "why_none"]  # fmt: skip


# What rounding leaves of a number that would be nothing, or the same.
ROUNDING: Final = 1e-12


@kernel
def marked(cash: float, held: float, price: float) -> float:
    """Return what cash and a position are worth together: one that is not held has no price."""
    return cash + held * price if held != 0.0 else cash


@kernel
def value_of(cash: float, rows: Any, prices: Floats) -> float:
    """Return the equity at these prices; an asset without one is worth its last."""
    equity = cash
    for a in range(prices.size):
        price = prices[a] if prices[a] == prices[a] else rows[col.PRICE, a]
        equity = marked(equity, rows[col.QUANTITY, a], price)
    return equity


@kernel
def ends(held: float, q: float) -> bool:
    """Tell whether trading q leaves nothing of a position, but for rounding."""
    return bool(held != 0.0 and abs(held + q) <= FEW * abs(held))


@kernel
def grows(held: float, size: float) -> bool:
    """Tell whether a position becomes larger; its mirror image is not, whatever its last bit."""
    return bool(abs(size) > abs(held) * (1.0 + ROUNDING))


@kernel
def units_of(q: float, held: float, lot: Grid) -> float:
    """Return an order's quantity in whole lots, rounded toward zero; what ends a position may be odd."""
    return -held if ends(held, q) else toward_zero(q, lot)


@kernel
def moved(held: float, size: float, lot: Grid) -> float:
    """Return the position that whole lots lead to from `held`: the largest within `size`, nothing for nothing.

    A position on the other side is counted in lots from nothing. A split may leave a part of a lot, which stays until
    the position ends.
    """
    if lot.numerator == 0.0:
        return size
    if held * size <= 0.0:
        return toward_zero(size, lot)
    scale = max(abs(held), abs(size))
    step = below(size - held, scale, lot) if size > 0.0 else above(size - held, scale, lot)
    # Where no lot moves nothing does: what a split left of a last digit is no reason for an order.
    left = held if step == 0.0 else settled(held + step, scale, lot)
    return left if left * size > 0.0 else 0.0


@kernel
def reduced(held: float, size: float) -> float:
    """Return the position nearest to the wanted one that is no larger than what is held, and on its side."""
    return max(0.0, min(size, held)) if held > 0.0 else min(0.0, max(size, held))


@kernel
def allowed(held: float, q: float, reduce: int, shorts: int) -> float:
    """Return how much of q may trade: reduce-only never passes zero, a cash account sells only what it holds."""
    if reduce > 0:
        return math.copysign(min(abs(q), abs(held)), q) if held * q < 0.0 else 0.0
    if shorts == 0 and q < 0.0:
        return -min(-q, max(held, 0.0))
    return q


@kernel
def volume_after(left: float, q: float, lot: Grid) -> float:
    """Return what a fill leaves of the volume that an asset may take: whole lots stay whole."""
    return left if left == math.inf else max(0.0, settled(left - abs(q), left, lot))


@kernel
def why_none(curbed: int, lot: Grid) -> int:
    """Return why a target moves nothing: a guard, less than a lot, nothing to do."""
    return curbed if curbed > 0 else events.NO_LOT if lot.numerator > 0.0 else events.THERE


@kernel
def gone(equity: float, before: float) -> bool:
    """Tell whether nothing is left of an equity, but for rounding."""
    return bool(equity <= ROUNDING * before)


@kernel
def ruin(book: Book, equity: float) -> None:
    """End the run: there is no equity left."""
    book.money[col.EQUITY], book.counters[col.FAULT] = equity, col.RUINED


@kernel
def shrunk(held: float, base: float, size: float, share: float, lot: Grid) -> float:
    """Return the position when only a share of the increase from `base` to `size` has room; dust is no increase."""
    q = share * (size - base)
    if abs(q) <= col.DUST * abs(size - base):
        q = 0.0
    return moved(held, base + q, lot)


@kernel
def base_of(held: float, size: float) -> float:
    """Return the position from which an increase begins: what is held, or nothing where the order flips its side."""
    return held if held * size >= 0.0 else 0.0
