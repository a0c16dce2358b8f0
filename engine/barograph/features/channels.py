"""Features of where a price stands between the highest and the lowest of its last bars."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from barograph.features.averages import sma
from barograph.features.combine import Transform, chain
from barograph.features.shared import OnAsset, Ring, Windowed, called, empty_ring, extremes, nothing, push, window_of
from barograph.jit.kernel import kernel
from barograph.types import Asset, Feature

__all__ = ["channel_width", "rolling_high", "rolling_low", "stochastic_d", "stochastic_k", "williams_r"]


class Channel(NamedTuple):
    """The highs and the lows of the last bars."""

    highs: Ring
    lows: Ring


@kernel
def _high(state: Any, bars: Any, params: Any) -> Any:
    return state, bars.high[params.asset]


@kernel
def _low(state: Any, bars: Any, params: Any) -> Any:
    return state, bars.low[params.asset]


@kernel
def _highest(ring: Any, value: float, _params: Any) -> Any:
    ring = push(ring, value)
    top, _ = extremes(ring.values, ring.values)
    return ring, top if ring.seen == ring.values.size else math.nan


@kernel
def _lowest(ring: Any, value: float, _params: Any) -> Any:
    ring = push(ring, value)
    _, bottom = extremes(ring.values, ring.values)
    return ring, bottom if ring.seen == ring.values.size else math.nan


def rolling_high(window: int = 20, asset: str = "") -> Feature:
    """The highest high of the last `window` bars, this one among them, in the price's unit. Warm after window bars.

    The upper line of Donchian's channel; TA-Lib MAX of the highs. A breakout is a close above the line of the bar
    *before*: above its own bar's high no close can be.

    >>> rolling_high(20).name
    'rolling_high(20)'
    """
    source = Feature(nothing, _high, OnAsset(Asset(asset)), "high")
    feature = chain(source, Transform(empty_ring, _highest, window_of("rolling_high", window, 1), "rolling_high"))
    return feature._replace(name=called("rolling_high", window, asset=asset))


def rolling_low(window: int = 20, asset: str = "") -> Feature:
    """The lowest low of the last `window` bars, this one among them, in the price's unit. Warm after window bars.

    The lower line of Donchian's channel; TA-Lib MIN of the lows.

    >>> rolling_low(20, "SPY").name
    'rolling_low(20, SPY)'
    """
    source = Feature(nothing, _low, OnAsset(Asset(asset)), "low")
    feature = chain(source, Transform(empty_ring, _lowest, window_of("rolling_low", window, 1), "rolling_low"))
    return feature._replace(name=called("rolling_low", window, asset=asset))


@kernel
def _empty_channel(params: Any) -> Channel:
    return Channel(empty_ring(params), empty_ring(params))


@kernel
def _width(channel: Any, bars: Any, params: Any) -> Any:
    high, low = bars.high[params.asset], bars.low[params.asset]
    if math.isnan(high) or math.isnan(low):
        return channel, math.nan
    channel = Channel(push(channel.highs, high), push(channel.lows, low))
    top, bottom = extremes(channel.highs.values, channel.lows.values)
    if channel.highs.seen < params.window or not top + bottom > 0.0:
        return channel, math.nan
    return channel, 2.0 * (top - bottom) / (top + bottom)


def channel_width(window: int = 20, asset: str = "") -> Feature:
    """The width of Donchian's channel over its middle: ``2 (HH - LL) / (HH + LL)``, a pure number. Warm after window.

    HH and LL are `rolling_high` and `rolling_low`; NaN where their middle is not positive.

    >>> channel_width(20).name
    'channel_width(20)'
    """
    params = Windowed(Asset(asset), window_of("channel_width", window, 1).window)
    return Feature(_empty_channel, _width, params, called("channel_width", window, asset=asset))


@kernel
def _position(channel: Any, bars: Any, params: Any) -> Any:
    high, low, now = bars.high[params.asset], bars.low[params.asset], bars.close[params.asset]
    if math.isnan(high) or math.isnan(low) or math.isnan(now):
        return channel, math.nan
    channel = Channel(push(channel.highs, high), push(channel.lows, low))
    if channel.highs.seen < params.window:
        return channel, math.nan
    top, bottom = extremes(channel.highs.values, channel.lows.values)
    return channel, 100.0 * (now - bottom) / (top - bottom) if top > bottom else 50.0


def _position_of(feature: str, window: int, asset: str) -> Feature:
    params = Windowed(Asset(asset), window_of(feature, window, 1).window)
    return Feature(_empty_channel, _position, params, "position")


def stochastic_k(window: int = 14, smooth: int = 3, asset: str = "") -> Feature:
    """Lane's %K: ``100 (C - LL) / (HH - LL)``, 0..100, averaged over `smooth` bars. Warm after window + smooth - 1.

    HH and LL are the highest high and the lowest low of the last `window` bars; `smooth = 1` is the fast %K (TA-Lib
    STOCHF), more the slow one (TA-Lib STOCH). Lane, *Lane's Stochastics*, 1984. A channel without width says 50, where
    TA-Lib says 0: no move is not the lowest close.

    >>> stochastic_k(14, 3, "SPY").name
    'stochastic_k(14, 3, SPY)'
    """
    window_of("stochastic_k", smooth, 1, "smooth")
    name = called("stochastic_k", window, smooth, asset=asset)
    return sma(smooth, of=_position_of("stochastic_k", window, asset))._replace(name=name)


def stochastic_d(window: int = 14, smooth: int = 3, signal: int = 3, asset: str = "") -> Feature:
    """Lane's %D: the mean of the last `signal` values of `stochastic_k`, 0..100.

    Warm after window + smooth + signal - 2 bars. TA-Lib STOCH's slow %D; with `smooth = 1` STOCHF's fast %D.

    >>> stochastic_d().name
    'stochastic_d(14, 3, 3)'
    """
    window_of("stochastic_d", smooth, 1, "smooth")
    window_of("stochastic_d", signal, 1, "signal")
    line = sma(smooth, of=_position_of("stochastic_d", window, asset))
    return sma(signal, of=line)._replace(name=called("stochastic_d", window, smooth, signal, asset=asset))


@kernel
def _below_the_top(state: Any, value: float, _params: Any) -> Any:
    return state, value - 100.0


def williams_r(window: int = 14, asset: str = "") -> Feature:
    """Williams' %R: ``-100 (HH - C) / (HH - LL)``, -100..0, over the last `window` bars. Warm after window bars.

    It is the fast %K less 100 (TA-Lib WILLR). Williams, *How I Made One Million Dollars*, 1973. A channel without width
    says -50, where TA-Lib says 0.

    >>> williams_r().name
    'williams_r(14)'
    """
    feature = chain(_position_of("williams_r", window, asset), Transform(nothing, _below_the_top, (), "williams_r"))
    return feature._replace(name=called("williams_r", window, asset=asset))
