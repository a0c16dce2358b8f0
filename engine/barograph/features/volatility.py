"""Features of volatility over a year, of how it moves, and of the risk on one side."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from barograph.errors import PartError
from barograph.features.averages import deviation, rolling_deviation
from barograph.features.combine import Transform, chain, named_of
from barograph.features.prices import CLOSE
from barograph.features.returns import on_returns, rolling_volatility, total_return
from barograph.features.shared import called, empty_ring, push, window_of
from barograph.jit.kernel import kernel
from barograph.types import Feature

__all__ = ["downside_deviation", "realised_volatility", "vol_acceleration", "vol_of_vol"]


class Wanted(NamedTuple):
    """How many returns are looked back on, and the return below which one counts."""

    window: int
    target: float


class Yearly(NamedTuple):
    """How many returns are looked back on, and what one bar's deviation is multiplied by."""

    window: int
    root: float


@kernel
def _over_a_year(ring: Any, value: float, params: Any) -> Any:
    ring, one_bar = deviation(ring, value, params)
    return ring, one_bar * params.root


def realised_volatility(window: int = 20, bars_a_year: float = 252.0, of: Feature = CLOSE) -> Feature:
    """The sample standard deviation (ddof = 1) of the last `window` simple returns, over a year. Warm after window + 1.

    ``sqrt(bars_a_year)`` times `rolling_deviation` of ``total_return(1)``; 252 for days, 52 for weeks.
    `rolling_volatility` is of log returns and per bar. Raises `PartError` where `bars_a_year` is not a positive number.

    >>> realised_volatility(5).name
    'realised_volatility(5)'
    """
    if not 0.0 < bars_a_year < math.inf:
        raise PartError(f"realised_volatility: bars_a_year={bars_a_year}; wanted a number above 0, such as 252")
    params = Yearly(window_of("realised_volatility", window, 2).window, math.sqrt(bars_a_year))
    feature = chain(total_return(1, of), Transform(empty_ring, _over_a_year, params, ""))
    numbers = (window,) if bars_a_year == 252.0 else (window, bars_a_year)
    return feature._replace(name=named_of(called("realised_volatility", *numbers), of))


def vol_of_vol(window: int = 60, volatility_window: int = 20, of: Feature = CLOSE) -> Feature:
    """The standard deviation of the last `window` volatilities, per bar. Warm after window + volatility_window bars.

    Volatility is `rolling_volatility` over `volatility_window` returns; ddof = 1 in both.

    >>> vol_of_vol().name
    'vol_of_vol(60, 20)'
    """
    window_of("vol_of_vol", window, 2)
    window_of("vol_of_vol", volatility_window, 2, "volatility_window")
    feature = rolling_deviation(window, of=rolling_volatility(volatility_window, of))
    return feature._replace(name=named_of(called("vol_of_vol", window, volatility_window), of))


@kernel
def _change(ring: Any, value: float, _params: Any) -> Any:
    change = value - ring.values[ring.position] if ring.seen == ring.values.size else math.nan
    return push(ring, value), change


def vol_acceleration(window: int = 20, lag: int = 5, of: Feature = CLOSE) -> Feature:
    """How much volatility has changed in `lag` bars, per bar: ``s_t - s_{t-lag}``. Warm after window + lag + 1 bars.

    s is `rolling_volatility` over `window` returns.

    >>> vol_acceleration(20, 5).name
    'vol_acceleration(20, 5)'
    """
    window_of("vol_acceleration", window, 2)
    params = window_of("vol_acceleration", lag, 1, "lag")
    feature = chain(rolling_volatility(window, of), Transform(empty_ring, _change, params, ""))
    return feature._replace(name=named_of(called("vol_acceleration", window, lag), of))


@kernel
def _downside(ring: Any, value: float, params: Any) -> Any:
    ring = push(ring, value)
    if ring.seen < params.window:
        return ring, math.nan
    total = 0.0
    for i in range(ring.values.size):
        short = ring.values[i] - params.target
        total += short * short if short < 0.0 else 0.0
    return ring, math.sqrt(total / params.window)


def downside_deviation(window: int = 20, target: float = 0.0, of: Feature = CLOSE) -> Feature:
    """The root mean square of what the last `window` log returns fell short of `target`, per bar.

    Warm after window + 1 bars. ``sqrt(mean of min(r - target, 0)^2)`` over all of them, also those above the
    target, which is a log return a bar (Sortino and van der Meer, *Downside Risk*, Journal of Portfolio Management 17,
    1991). Raises `PartError` where the target is not finite.

    >>> downside_deviation(20).name
    'downside_deviation(20, 0)'
    """
    if not -math.inf < target < math.inf:
        raise PartError(f"downside_deviation: target={target}; wanted a log return a bar, such as 0")
    params = Wanted(window_of("downside_deviation", window, 1).window, float(target))
    return on_returns(of, Transform(empty_ring, _downside, params, called("downside_deviation", window, target)))
