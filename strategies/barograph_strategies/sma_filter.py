"""Invested above the moving average: the oldest regime model, and a hard one to beat."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from barograph.features import CLOSE, sma
from barograph.features.combine import adjusted, stack
from barograph.jit.kernel import Kernel, kernel
from barograph.types import Feature, Strategy, Target

__all__ = ["sma_filter"]


class Params(NamedTuple):
    """The params of the number and of its average, and the two weights."""

    features: Any
    weight: float
    otherwise: float


class Seen(NamedTuple):
    """What the features remember, and the last weight given."""

    features: Any
    weight: float


@functools.cache
def _kernels(begin: Callable[..., Any], observe: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def init(params: Any) -> Any:
        return Seen(begin(params.features), params.otherwise)

    def step(state: Any, bars: Any, _belief: Any, _portfolio: Any, params: Any) -> Any:
        features, values = observe(state.features, bars, params.features)
        weight = state.weight
        if not math.isnan(values[1]):
            weight = params.weight if values[0] > values[1] else params.otherwise
        return Seen(features, weight), Target(weight)

    if isinstance(begin, Kernel) and isinstance(observe, Kernel):
        return kernel(init), kernel(step)
    return init, step


def sma_filter(window: int = 200, weight: float = 1.0, otherwise: float = 0.0, of: Feature = CLOSE) -> Strategy:
    """Hold `weight` while the number `of` (the first asset's close) is above its mean of `window` bars.

    Equal is not above; prices are compared across splits and dividends. Until the mean is warm the weight is
    `otherwise`; on a bar that is missing the last one stands.
    Source: Faber, *A Quantitative Approach to Tactical Asset Allocation*, Journal of Wealth Management, 2007.

    >>> sma_filter(100).name
    'sma_filter'
    """
    pair = adjusted(stack([of, sma(window, of)]))
    init, step = _kernels(pair.init, pair.step)
    return Strategy(init, step, Params(pair.params, float(weight), float(otherwise)), "sma_filter", reads="own")
