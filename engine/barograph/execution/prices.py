"""What a fill costs beyond the bar's price: slippage, and the rounding to ticks."""

from __future__ import annotations

import math
from typing import Any

from barograph.execution import book as col
from barograph.execution.book import Rules
from barograph.execution.grid import Grid, above, below
from barograph.jit.kernel import kernel

__all__ = ["cheaper", "dearer", "slippage_of", "to_tick"]


@kernel
def slippage_of(rows: Any, a: int, q: float, volume: float, rules: Rules) -> float:
    """Return slippage as a fraction of the price: s + k sigma + y sigma sqrt(|q| / volume).

    The square-root law of impact: Almgren, Thum, Hauptmann and Li, "Direct estimation of equity market impact", 2005.
    """
    s = rules.slippage
    if rules.volatility_slippage > 0.0 or rules.impact > 0.0:
        sigma = math.sqrt(rows[col.VARIANCE, a]) if rows[col.VARIANCE, a] > 0.0 else 0.0
        s += rules.volatility_slippage * sigma
        if volume > 0.0:
            s += rules.impact * sigma * math.sqrt(abs(q) / volume)
    return s


@kernel
def dearer(p: float, s: float, high: float, tick: Grid) -> float:
    """Return a buyer's price after slippage, a fraction of |p|: up to the next tick, never above the bar."""
    x = p * (1.0 + s) if p > 0.0 else p * (1.0 - s)
    return max(p, min(above(x, abs(x), tick), high))


@kernel
def cheaper(p: float, s: float, low: float, tick: Grid) -> float:
    """Return a seller's price after slippage, a fraction of |p|: down to the next tick, never below the bar."""
    x = p * (1.0 - s) if p > 0.0 else p * (1.0 + s)
    return min(p, max(below(x, abs(x), tick), low))


@kernel
def to_tick(price: float, up: bool, tick: Grid) -> float:
    """Round a price to its tick, never to a worse bargain than was said."""
    if tick.numerator == 0.0 or price != price:
        return price
    return above(price, abs(price), tick) if up else below(price, abs(price), tick)
