"""Volatility from a bar's range: the same figure as from closes, from fewer bars.

All are standard deviations of a log return, per bar. They take prices as if traded all the time and without jumps:
a high that nobody saw between two trades makes them too small (Garman and Klass 1980, table 1).
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

from barograph.features.combine import Transform, chain
from barograph.features.shared import (
    OnAsset,
    Ring,
    called,
    empty_ring,
    mean_and_squares,
    mean_of,
    nothing,
    push,
    window_of,
)
from barograph.jit.arithmetic import log
from barograph.jit.kernel import kernel
from barograph.types import Asset, Feature

__all__ = ["garman_klass", "parkinson", "yang_zhang"]

_LN2: Final = log(2.0)


class Weighed(NamedTuple):
    """The column that is read, how many of its bars are looked back on, and the weight of moves from open to close."""

    asset: Any
    window: int
    weight: float


class Moves(NamedTuple):
    """The last close, and the last moves over night, from open to close, and by Rogers and Satchell."""

    close: float
    night: Ring
    day: Ring
    both: Ring


@kernel
def _root_mean(ring: Any, value: float, _params: Any) -> Any:
    ring = push(ring, value)
    if ring.seen < ring.values.size:
        return ring, math.nan
    mean = mean_of(ring.values)
    return ring, math.sqrt(mean) if mean > 0.0 else 0.0


def _averaged(feature: str, step: Any, window: int, asset: str) -> Feature:
    source = Feature(nothing, step, OnAsset(Asset(asset)), feature)
    averaged = chain(source, Transform(empty_ring, _root_mean, window_of(feature, window, 1), feature))
    return averaged._replace(name=called(feature, window, asset=asset))


@kernel
def _parkinson(state: Any, bars: Any, params: Any) -> Any:
    high, low = bars.high[params.asset], bars.low[params.asset]
    if not (high > 0.0 and low > 0.0):
        return state, math.nan
    span = log(high / low)
    return state, span * span / (4.0 * _LN2)


def parkinson(window: int = 20, asset: str = "") -> Feature:
    """Volatility from the last `window` ranges: ``sqrt(mean of ln(H/L)^2 / (4 ln 2))``, per bar. Warm after window.

    Parkinson, *The Extreme Value Method for Estimating the Variance of the Rate of Return*, Journal of Business 53,
    1980: a fifth of the variance of an estimate from closes, for a price that neither drifts nor jumps. A bar whose
    prices are not positive counts as missing.

    >>> parkinson(20).name
    'parkinson(20)'
    """
    return _averaged("parkinson", _parkinson, window, asset)


@kernel
def _garman_klass(state: Any, bars: Any, params: Any) -> Any:
    a = params.asset
    if not (bars.open[a] > 0.0 and bars.high[a] > 0.0 and bars.low[a] > 0.0 and bars.close[a] > 0.0):
        return state, math.nan
    span, day = log(bars.high[a] / bars.low[a]), log(bars.close[a] / bars.open[a])
    return state, 0.5 * span * span - (2.0 * _LN2 - 1.0) * day * day


def garman_klass(window: int = 20, asset: str = "") -> Feature:
    """Volatility from the last `window` ranges and days: per bar. Warm after window bars.

    ``sqrt(mean of 0.5 ln(H/L)^2 - (2 ln 2 - 1) ln(C/O)^2)``: Garman and Klass, *On the Estimation of Security Price
    Volatilities from Historical Data*, Journal of Business 53, 1980. What happens between a close and the next open is
    not in it. A bar whose prices are not positive counts as missing.

    >>> garman_klass(20, "SPY").name
    'garman_klass(20, SPY)'
    """
    return _averaged("garman_klass", _garman_klass, window, asset)


@kernel
def _no_moves(params: Any) -> Moves:
    return Moves(math.nan, empty_ring(params), empty_ring(params), empty_ring(params))


@kernel
def _spread_out(ring: Any) -> float:
    _, squares = mean_and_squares(ring.values, ring.values[0])
    return float(squares / (ring.values.size - 1))


@kernel
def _yang_zhang(state: Any, bars: Any, params: Any) -> Any:
    a = params.asset
    first, high, low, now = bars.open[a], bars.high[a], bars.low[a], bars.close[a]
    if not (first > 0.0 and high > 0.0 and low > 0.0 and now > 0.0):
        return state, math.nan
    if math.isnan(state.close):
        return Moves(now, state.night, state.day, state.both), math.nan
    up, down, day = log(high / first), log(low / first), log(now / first)
    night, days = push(state.night, log(first / state.close)), push(state.day, day)
    both = push(state.both, up * (up - day) + down * (down - day))
    state = Moves(now, night, days, both)
    if both.seen < params.window:
        return state, math.nan
    square = _spread_out(night) + params.weight * _spread_out(days) + (1.0 - params.weight) * mean_of(both.values)
    return state, math.sqrt(square) if square > 0.0 else 0.0


def yang_zhang(window: int = 20, asset: str = "") -> Feature:
    """Volatility from nights, days and ranges of the last `window` bars: per bar. Warm after window + 1 bars.

    ``sqrt(V(ln O/C') + k V(ln C/O) + (1 - k) mean of (u (u - c) + d (d - c)))``, with V the variance (ddof = 1), C' the
    close before, u, d and c the logarithms of H/O, L/O and C/O, and k = 0.34 / (1.34 + (n + 1) / (n - 1)). Yang and
    Zhang, *Drift-Independent Volatility Estimation Based on High, Low, Open, and Close Prices*, Journal of Business 73,
    2000; the last term is Rogers and Satchell's (1991). A bar whose prices are not positive counts as missing.

    >>> yang_zhang(20).name
    'yang_zhang(20)'
    """
    n = window_of("yang_zhang", window, 2).window
    params = Weighed(Asset(asset), n, 0.34 / (1.34 + (n + 1) / (n - 1)))
    return Feature(_no_moves, _yang_zhang, params, called("yang_zhang", window, asset=asset))
