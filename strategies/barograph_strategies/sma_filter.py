"""Invested above the moving average: the oldest regime model, and a hard one to beat."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from barograph.features import CLOSE, sma
from barograph.jit.kernel import kernel
from barograph.types import Feature, Strategy, Target

__all__ = ["sma_filter"]


class Params(NamedTuple):
    """The two weights."""

    weight: float
    otherwise: float


class Held(NamedTuple):
    """The last weight given."""

    weight: float


@kernel
def _begin(params: Any) -> Held:
    return Held(params.otherwise)


@kernel
def _step(held: Any, _bars: Any, belief: Any, _portfolio: Any, params: Any) -> Any:
    number, mean = belief.features[0], belief.features[1]
    weight = held.weight if math.isnan(mean) else params.weight if number > mean else params.otherwise
    return Held(weight), Target(weight)


def sma_filter(window: int = 200, weight: float = 1.0, otherwise: float = 0.0, of: Feature = CLOSE) -> Strategy:
    """Hold `weight` while the number `of` (the first asset's close) is above its mean of `window` bars.

    Equal is not above; prices are compared across splits and dividends. Until the mean is warm the weight is
    `otherwise`; on a bar that is missing the last one stands. Both numbers are declared, so that a sweep over windows
    computes each mean once.
    Source: Faber, *A Quantitative Approach to Tactical Asset Allocation*, Journal of Wealth Management, 2007.

    >>> [of.name for of in sma_filter(100).features]
    ['close', 'sma(100)']
    """
    params = Params(float(weight), float(otherwise))
    return Strategy(_begin, _step, params, "sma_filter", reads="own", features=(of, sma(window, of)))
