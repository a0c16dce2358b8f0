"""Buy once and leave it alone: the benchmark every other strategy must answer to."""

from __future__ import annotations

from typing import Any, NamedTuple

from barograph.jit.kernel import kernel
from barograph.types import HOLD, Strategy, Target

__all__ = ["buy_and_hold"]


class Params(NamedTuple):
    """The weight bought, once."""

    weight: float


@kernel
def _begin(_params: Any) -> tuple[()]:
    return ()


@kernel
def _step(state: Any, _bars: Any, _belief: Any, portfolio: Any, params: Any) -> Any:
    for a in range(portfolio.quantity.size):
        if portfolio.quantity[a] != 0.0:
            return state, Target(HOLD)
    return state, Target(params.weight)


def buy_and_hold(weight: float = 1.0) -> Strategy:
    """Ask for `weight` of equity, shared equally by the traded assets, until there is a position; then never trade.

    What fills is what is held: the account itself is the memory, so an order that could not fill is asked for again.

    >>> buy_and_hold().name
    'buy_and_hold'
    """
    return Strategy(_begin, _step, Params(float(weight)), "buy_and_hold", reads="none")
