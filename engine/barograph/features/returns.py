"""Features of how a number changes: returns, their volatility, the loss since the top."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from barograph.errors import PartError
from barograph.features.averages import deviation
from barograph.features.combine import Transform, chain, named_of
from barograph.features.prices import CLOSE
from barograph.features.shared import Last, empty_ring, no_last, push, window_of
from barograph.jit.arithmetic import exp, log
from barograph.jit.kernel import kernel
from barograph.types import Feature

__all__ = ["drawdown", "ewm_volatility", "log_return", "on_returns", "rolling_volatility", "total_return"]


class Decay(NamedTuple):
    """What a weight is multiplied by at every bar, and how many numbers make the average warm."""

    decay: float
    warm: int


class Weighted(NamedTuple):
    """A sum whose terms fade, the sum of their weights, and how many numbers came so far."""

    total: float
    weight: float
    seen: int


@kernel
def _log_return(last: Any, value: float, _params: Any) -> Any:
    if last.value > 0.0 and value > 0.0:
        return Last(value), log(value / last.value)
    return Last(value), math.nan


def log_return(of: Feature = CLOSE) -> Feature:
    """``ln(x_t / x_{t-1})``, a pure number; NaN where either is not positive. Warm after 2 bars.

    >>> log_return().name
    'log_return'
    """
    return chain(of, Transform(no_last, _log_return, (), "log_return"))


def on_returns(of: Feature, transform: Transform) -> Feature:
    """Feed a stream's log returns to a transform, and name the result by the stream."""
    return chain(log_return(of), transform)._replace(name=named_of(transform.name, of))


@kernel
def _total_return(ring: Any, value: float, _params: Any) -> Any:
    old = ring.values[ring.position]
    full = ring.seen == ring.values.size
    result = (value - old) / old if full and old > 0.0 and value > 0.0 else math.nan
    return push(ring, value), result


def total_return(window: int, of: Feature = CLOSE) -> Feature:
    """``x_t / x_{t-window} - 1``, a pure number; NaN where either is not positive. Warm after window + 1 bars.

    TA-Lib ROCP.

    >>> total_return(5).name
    'total_return(5)'
    """
    params = window_of("total_return", window, 1)
    return chain(of, Transform(empty_ring, _total_return, params, f"total_return({window})"))


def rolling_volatility(window: int = 20, of: Feature = CLOSE) -> Feature:
    """The sample standard deviation (ddof = 1) of the last `window` log returns, per bar. Warm after window + 1 bars.

    Times sqrt(252) for daily bars is the annual figure.

    >>> rolling_volatility(20).name
    'rolling_volatility(20)'
    """
    params = window_of("rolling_volatility", window, 2)
    return on_returns(of, Transform(empty_ring, deviation, params, f"rolling_volatility({window})"))


@kernel
def _no_weight(_params: Any) -> Weighted:
    return Weighted(0.0, 0.0, 0)


@kernel
def _ewm(state: Any, value: float, params: Any) -> Any:
    total = params.decay * state.total + value * value
    weight = params.decay * state.weight + 1.0
    count = state.seen + 1 if state.seen < params.warm else params.warm
    result = math.sqrt(total / weight) if count == params.warm else math.nan
    return Weighted(total, weight, count), result


def ewm_volatility(half_life: float = 20.0, of: Feature = CLOSE) -> Feature:
    """The root of the exponentially weighted mean of squared log returns, per bar. Warm after ceil(half_life) + 1 bars.

    A return `half_life` bars old counts half; the mean of returns is taken as zero (J.P. Morgan/Reuters, RiskMetrics
    Technical Document, 1996) and weights are normalised by their sum, so that the first bars are not favoured.

    >>> ewm_volatility(20).name
    'ewm_volatility(20)'
    """
    if not 0.0 < half_life < math.inf:
        raise PartError(f"ewm_volatility: half_life={half_life} is not a number of bars; wanted more than 0")
    params = Decay(exp(-log(2.0) / half_life), math.ceil(half_life))
    return on_returns(of, Transform(_no_weight, _ewm, params, f"ewm_volatility({half_life:g})"))


@kernel
def _drawdown(peak: Any, value: float, _params: Any) -> Any:
    highest = peak.value if peak.value > value else value
    return Last(highest), value / highest - 1.0 if highest > 0.0 else math.nan


def drawdown(of: Feature = CLOSE) -> Feature:
    """How far the number is below its highest so far: ``x_t / max(x_0..x_t) - 1``, at most 0. Warm after 1 bar.

    >>> drawdown().name
    'drawdown'
    """
    return chain(of, Transform(no_last, _drawdown, (), "drawdown"))
