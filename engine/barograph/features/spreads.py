"""What a round trip costs, estimated from bars: the effective spread as a share of the price.

All three look for the bounce between bid and ask, which is small beside a day's moves: one window says little, and the
mean of many a good deal.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from barograph.features.averages import sma
from barograph.features.combine import Transform
from barograph.features.prices import CLOSE
from barograph.features.returns import on_returns
from barograph.features.shared import OnAsset, Ring, called, empty_ring, joint_squares, push, window_of
from barograph.jit.arithmetic import log, tanh
from barograph.jit.kernel import kernel
from barograph.types import Asset, Feature

__all__ = ["abdi_ranaldo", "corwin_schultz", "roll_spread"]


class Successive(NamedTuple):
    """The last return, and pairs of the last ones: each, and the one before it."""

    last: float
    now: Ring
    before: Ring


class Day(NamedTuple):
    """The last bar's high, low and close; NaN before the first."""

    high: float
    low: float
    close: float


class Close(NamedTuple):
    """The last close, and twice how far its logarithm was above the middle of its bar's; NaN before the first."""

    close: float
    above: float


@kernel
def _no_pairs(params: Any) -> Successive:
    return Successive(math.nan, empty_ring(params), empty_ring(params))


@kernel
def _roll(state: Any, value: float, params: Any) -> Any:
    if math.isnan(state.last):
        return Successive(value, state.now, state.before), math.nan
    now, before = push(state.now, value), push(state.before, state.last)
    state = Successive(value, now, before)
    if now.seen < params.window:
        return state, math.nan
    _, both, _ = joint_squares(now.values, before.values, value, value)
    return state, 2.0 * math.sqrt(-both / (params.window - 1)) if both < 0.0 else 0.0


def roll_spread(window: int = 60, of: Feature = CLOSE) -> Feature:
    """Roll's spread: ``2 sqrt(-cov(r_t, r_{t-1}))`` of the last `window` pairs of log returns. Warm after window + 2.

    A share of the price; the covariance has ddof = 1, and where it is positive the spread is 0. Roll, *A Simple
    Implicit Measure of the Effective Bid-Ask Spread in an Efficient Market*, Journal of Finance 39, 1984.

    >>> roll_spread(60).name
    'roll_spread(60)'
    """
    params = window_of("roll_spread", window, 2)
    return on_returns(of, Transform(_no_pairs, _roll, params, called("roll_spread", window)))


@kernel
def _no_day(_params: Any) -> Day:
    return Day(math.nan, math.nan, math.nan)


@kernel
def _over_night(high: float, low: float, last: float) -> float:
    """Return by how much a bar lies wholly above (or below, negative) the last close: that move was over night."""
    return low - last if low > last else high - last if high < last else 0.0


@kernel
def _two_day(day: Any, bars: Any, params: Any) -> Any:
    high, low, close = bars.high[params.asset], bars.low[params.asset], bars.close[params.asset]
    if not (high > 0.0 and low > 0.0 and close > 0.0):
        return day, math.nan
    if math.isnan(day.close):
        return Day(high, low, close), math.nan
    night = _over_night(high, low, day.close)
    top, bottom = high - night, low - night
    one, other = log(day.high / day.low), log(top / bottom)
    both = log((top if top > day.high else day.high) / (bottom if bottom < day.low else day.low))
    # alpha = (sqrt(2 b) - sqrt(b)) / (3 - 2 sqrt(2)) - sqrt(c / (3 - 2 sqrt(2))), and 3 - 2 sqrt(2) is (sqrt(2) - 1)^2.
    alpha = (1.0 + math.sqrt(2.0)) * (math.sqrt(one * one + other * other) - both)
    return Day(high, low, close), 2.0 * tanh(0.5 * alpha) if alpha > 0.0 else 0.0


def corwin_schultz(window: int = 20, asset: str = "") -> Feature:
    """Corwin and Schultz' spread from highs and lows, the mean over `window` pairs of bars. Warm after window + 1 bars.

    A share of the price. A high was bought and a low was sold, so the spread is in every range once, while variance
    grows with time: of two bars ``b = ln(H/L)^2 + ln(H'/L')^2``, ``c = ln(max H / min L)^2``, ``a = (sqrt(2 b) -
    sqrt(b)) / (3 - 2 sqrt(2)) - sqrt(c / (3 - 2 sqrt(2)))`` and ``S = 2 (e^a - 1) / (e^a + 1)``, 0 where negative. A
    bar that lies wholly above or below the last close is moved back to it first. Corwin and Schultz, *A Simple Way to
    Estimate Bid-Ask Spreads from Daily High and Low Prices*, Journal of Finance 67, 2012. A bar whose prices are not
    positive counts as missing.

    >>> corwin_schultz(20).name
    'corwin_schultz(20)'
    """
    window_of("corwin_schultz", window, 1)
    source = Feature(_no_day, _two_day, OnAsset(Asset(asset)), "two-day spread")
    return sma(window, of=source)._replace(name=called("corwin_schultz", window, asset=asset))


@kernel
def _no_close(_params: Any) -> Close:
    return Close(math.nan, math.nan)


@kernel
def _above_middle(close: float, high: float, low: float) -> float:
    """Return twice what a close's logarithm is above the mean of the high's and the low's."""
    return log(close / high) + log(close / low)


@kernel
def _around_close(state: Any, bars: Any, params: Any) -> Any:
    high, low, close = bars.high[params.asset], bars.low[params.asset], bars.close[params.asset]
    if not (high > 0.0 and low > 0.0 and close > 0.0):
        return state, math.nan
    now = Close(close, _above_middle(close, high, low))
    if math.isnan(state.close):
        return now, math.nan
    square = state.above * _above_middle(state.close, high, low)
    return now, math.sqrt(square) if square > 0.0 else 0.0


def abdi_ranaldo(window: int = 20, asset: str = "") -> Feature:
    """Abdi and Ranaldo's spread from closes, highs and lows, the mean over `window` pairs. Warm after window + 1 bars.

    A share of the price: ``sqrt(max(4 (c - m) (c - m'), 0))`` of two bars, with c the logarithm of the first one's
    close, m and m' the means of the logarithms of high and low of the first and the second (their two-day corrected
    version). Abdi and Ranaldo, *A Simple Estimation of Bid-Ask Spreads from Daily Close, High, and Low Prices*, Review
    of Financial Studies 30, 2017. A bar whose prices are not positive counts as missing.

    >>> abdi_ranaldo(20, "SPY").name
    'abdi_ranaldo(20, SPY)'
    """
    window_of("abdi_ranaldo", window, 1)
    source = Feature(_no_close, _around_close, OnAsset(Asset(asset)), "two-day spread")
    return sma(window, of=source)._replace(name=called("abdi_ranaldo", window, asset=asset))
