"""From what is wanted to a quantity: weights, lots, reductions, and why nothing is left."""

from __future__ import annotations

import math
from typing import Any

from barograph.execution import book as col
from barograph.execution import events
from barograph.execution.book import Book
from barograph.jit.kernel import kernel
from barograph.types import Floats

__all__ = ["base_of", "lots", "moved", "reduced", "ruin", "shrunk", "value_of", "why_none"]


@kernel
def lots(position: float, lot: float) -> float:
    """Round a position toward zero to whole lots."""
    return float(math.trunc(position / lot)) * lot if lot > 0.0 else position


@kernel
def value_of(cash: float, rows: Any, prices: Floats) -> float:
    """Return the equity at these prices; an asset without one is worth its last."""
    equity = cash
    for a in range(prices.size):
        held = rows[col.QUANTITY, a]
        if held != 0.0:
            equity += held * (prices[a] if prices[a] == prices[a] else rows[col.PRICE, a])
    return equity


@kernel
def moved(held: float, q: float, lot: float) -> float:
    """Return the position after trading q, rounded toward zero to whole lots, but never across what is held.

    A split may leave a part of a lot; rounding it away would sell where a purchase was asked for.
    """
    size = lots(held + q, lot)
    return held if (size - held) * q <= 0.0 else size


@kernel
def reduced(held: float, size: float) -> float:
    """Return the position nearest to the wanted one that is no larger than what is held, and on its side."""
    return max(0.0, min(size, held)) if held > 0.0 else min(0.0, max(size, held))


@kernel
def why_none(curbed: int, lot: float) -> int:
    """Return why a target moves nothing: a guard, less than a lot, nothing to do."""
    return curbed if curbed > 0 else events.NO_LOT if lot > 0.0 else events.THERE


@kernel
def ruin(book: Book, equity: float) -> None:
    """End the run: there is no equity that a weight could be a part of."""
    book.money[col.EQUITY], book.counters[col.FAULT] = equity, col.RUINED


@kernel
def shrunk(held: float, base: float, size: float, share: float, lot: float) -> float:
    """Return the position when only a share of the increase from `base` to `size` has room; dust is no increase."""
    q = share * (size - base)
    if abs(q) <= col.DUST * abs(size - base):
        q = 0.0
    return moved(held, base + q - held, lot)


@kernel
def base_of(held: float, size: float) -> float:
    """Return the position from which an increase begins: what is held, or nothing where the order flips its side."""
    return held if held * size >= 0.0 else 0.0
