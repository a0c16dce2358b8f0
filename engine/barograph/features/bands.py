"""Features of how far a number is from its average, measured in how far its last ones were."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from barograph.errors import PartError
from barograph.features.combine import Transform, chain
from barograph.features.prices import CLOSE
from barograph.features.shared import OnAsset, called, empty_ring, mean_and_squares, nothing, push, window_of
from barograph.jit.kernel import kernel
from barograph.types import Asset, Feature

__all__ = ["bollinger_percent_b", "bollinger_width", "cci"]


class Band(NamedTuple):
    """How many numbers a band looks back on, and how many standard deviations its lines are from its middle."""

    window: int
    deviations: float


def _band(feature: str, window: int, deviations: float) -> Band:
    if not 0.0 < deviations < math.inf:
        raise PartError(f"{feature}: deviations={deviations}; wanted a number above 0, such as 2")
    return Band(window_of(feature, window, 2).window, float(deviations))


@kernel
def _half(squares: float, params: Any) -> float:
    """Return half the width of the bands."""
    return float(params.deviations * math.sqrt(squares / params.window)) if squares > 0.0 else 0.0


@kernel
def _width(ring: Any, value: float, params: Any) -> Any:
    ring = push(ring, value)
    if ring.seen < params.window:
        return ring, math.nan
    above, squares = mean_and_squares(ring.values, value)
    half = _half(squares, params)
    return ring, 2.0 * half / (value + above) if value + above > 0.0 else math.nan


def bollinger_width(window: int = 20, deviations: float = 2.0, of: Feature = CLOSE) -> Feature:
    """The width of Bollinger's bands over their middle: ``2 k sigma / mean``, a pure number. Warm after window bars.

    The mean and the deviation sigma (ddof = 0, as Bollinger's and TA-Lib BBANDS') are of the last `window` numbers, k
    is `deviations`. NaN where the mean is not positive. Bollinger, *Bollinger on Bollinger Bands*, 2001. Raises
    `PartError` where `deviations` is not a positive number.

    >>> bollinger_width().name
    'bollinger_width(20, 2)'
    """
    name = called("bollinger_width", window, deviations)
    return chain(of, Transform(empty_ring, _width, _band("bollinger_width", window, deviations), name))


@kernel
def _percent_b(ring: Any, value: float, params: Any) -> Any:
    ring = push(ring, value)
    if ring.seen < params.window:
        return ring, math.nan
    above, squares = mean_and_squares(ring.values, value)
    half = _half(squares, params)
    return ring, 0.5 - 0.5 * above / half if half > 0.0 else 0.5


def bollinger_percent_b(window: int = 20, deviations: float = 2.0, of: Feature = CLOSE) -> Feature:
    """Where the number stands in Bollinger's bands: 0 on the lower, 1 on the upper one. Warm after window bars.

    ``(x - lower) / (upper - lower)`` with the bands of `bollinger_width`; 0.5 where all numbers are equal.
    Raises `PartError` where `deviations` is not a positive number.

    >>> bollinger_percent_b(20, 2.5).name
    'bollinger_percent_b(20, 2.5)'
    """
    name = called("bollinger_percent_b", window, deviations)
    return chain(of, Transform(empty_ring, _percent_b, _band("bollinger_percent_b", window, deviations), name))


@kernel
def _typical(state: Any, bars: Any, params: Any) -> Any:
    return state, (bars.high[params.asset] + bars.low[params.asset] + bars.close[params.asset]) / 3.0


@kernel
def _cci(ring: Any, value: float, params: Any) -> Any:
    ring = push(ring, value)
    if ring.seen < params.window:
        return ring, math.nan
    above, _ = mean_and_squares(ring.values, value)
    away = 0.0
    for i in range(ring.values.size):
        away += abs(ring.values[i] - value - above)
    return ring, -above / (0.015 * away / params.window) if away > 0.0 else 0.0


def cci(window: int = 20, asset: str = "") -> Feature:
    """Lambert's commodity channel index: ``(p - mean) / (0.015 mean |p - mean|)``, a pure number. Warm after window.

    p is the typical price ``(high + low + close) / 3``, the means are over the last `window` bars (TA-Lib CCI). 0.015
    was chosen so that most values lie within 100 of 0 (Lambert, *Commodities*, October 1980); 0 where all p are equal.

    >>> cci(20).name
    'cci(20)'
    """
    typical = Feature(nothing, _typical, OnAsset(Asset(asset)), "typical price")
    feature = chain(typical, Transform(empty_ring, _cci, window_of("cci", window, 2), "cci"))
    return feature._replace(name=called("cci", window, asset=asset))
