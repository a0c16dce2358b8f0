"""What a fill costs beyond the bar's price: slippage, and the rounding to ticks."""

from __future__ import annotations

import math
from typing import Any, Final

from barograph.execution import book as col
from barograph.execution.book import Rules
from barograph.jit.kernel import kernel

__all__ = ["ROUNDING", "cheaper", "dearer", "slippage_of", "to_tick"]

ROUNDING: Final = 1e-12


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
def dearer(p: float, s: float, high: float, tick: float) -> float:
    """Return a buyer's price after slippage: up to the next tick, never above the bar."""
    x = p * (1.0 + s)
    if tick > 0.0:
        x = math.ceil(x / tick - col.DUST) * tick
    return max(p, min(x, high))


@kernel
def cheaper(p: float, s: float, low: float, tick: float) -> float:
    """Return a seller's price after slippage: down to the next tick, never below the bar."""
    x = p * (1.0 - s)
    if tick > 0.0:
        x = math.floor(x / tick + col.DUST) * tick
    return min(p, max(x, low))


@kernel
def to_tick(price: float, up: bool, tick: float) -> float:
    """Round a price to its tick, never to a worse bargain than was said."""
    if tick <= 0.0 or price != price:
        return price
    return (math.ceil(price / tick - col.DUST) if up else math.floor(price / tick + col.DUST)) * tick
