"""Features of volume, and of who was in a hurry: order flow as far as bars show it.

A bar holds no trade and no quote. Where its close stands in its range, and how far it moved, are proxies of the side
that paid the spread: right for most bars, wrong for many.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from barograph.features.combine import Transform, chain
from barograph.features.shared import (
    STILL,
    OnAsset,
    Ring,
    Windowed,
    called,
    empty_ring,
    mean_and_squares,
    mean_of,
    nothing,
    push,
    window_of,
)
from barograph.jit.arithmetic import erfc, log
from barograph.jit.kernel import kernel
from barograph.types import Asset, Feature

__all__ = ["bulk_volume_imbalance", "chaikin_money_flow", "close_location", "volume", "volume_ratio"]


class Flow(NamedTuple):
    """What was bought less what was sold, and the volume, of the last bars."""

    net: Ring
    volume: Ring


class Bulks(NamedTuple):
    """The last close, and returns and volumes of the last bars."""

    close: float
    moves: Ring
    volume: Ring


@kernel
def _volume(state: Any, bars: Any, params: Any) -> Any:
    # A bar that is missing may still bear a volume of 0.
    return state, bars.volume[params.asset] if not math.isnan(bars.close[params.asset]) else math.nan


def volume(asset: str = "") -> Feature:
    """The volume of the bar, in units of the asset as the file tells it, splits or not. Warm after 1 bar.

    >>> volume("SPY").name
    'volume(SPY)'
    """
    return Feature(nothing, _volume, OnAsset(Asset(asset)), called("volume", asset=asset))


@kernel
def _over_mean(ring: Any, value: float, _params: Any) -> Any:
    ring = push(ring, value)
    if ring.seen < ring.values.size:
        return ring, math.nan
    mean = mean_of(ring.values)
    return ring, value / mean if mean > 0.0 else 1.0


def volume_ratio(window: int = 20, asset: str = "") -> Feature:
    """The volume over the mean volume of the last `window` bars, this one among them; a pure number. Warm after window.

    1 where nothing was traded in any of them.

    >>> volume_ratio(20).name
    'volume_ratio(20)'
    """
    feature = chain(volume(asset), Transform(empty_ring, _over_mean, window_of("volume_ratio", window, 1), ""))
    return feature._replace(name=called("volume_ratio", window, asset=asset))


@kernel
def _location(high: float, low: float, close: float) -> float:
    return ((close - low) - (high - close)) / (high - low) if high > low else 0.0


@kernel
def _close_location(state: Any, bars: Any, params: Any) -> Any:
    high, low, close = bars.high[params.asset], bars.low[params.asset], bars.close[params.asset]
    if math.isnan(high) or math.isnan(low) or math.isnan(close):
        return state, math.nan
    return state, _location(high, low, close)


def close_location(asset: str = "") -> Feature:
    """Where the close stands in its bar: ``((C - L) - (H - C)) / (H - L)``, -1 at the low, 1 at the high. Warm after 1.

    Chaikin's close-location value, a proxy of which side was in a hurry; 0 for a bar without range.

    >>> close_location().name
    'close_location'
    """
    return Feature(nothing, _close_location, OnAsset(Asset(asset)), called("close_location", asset=asset))


@kernel
def _no_flow(params: Any) -> Flow:
    return Flow(empty_ring(params), empty_ring(params))


@kernel
def _money_flow(state: Any, bars: Any, params: Any) -> Any:
    a = params.asset
    high, low, close, traded = bars.high[a], bars.low[a], bars.close[a], bars.volume[a]
    if math.isnan(high) or math.isnan(low) or math.isnan(close) or math.isnan(traded):
        return state, math.nan
    state = Flow(push(state.net, _location(high, low, close) * traded), push(state.volume, traded))
    if state.net.seen < params.window:
        return state, math.nan
    whole = mean_of(state.volume.values)
    return state, mean_of(state.net.values) / whole if whole > 0.0 else 0.0


def chaikin_money_flow(window: int = 20, asset: str = "") -> Feature:
    """The close locations of the last `window` bars, weighed by their volumes; -1..1. Warm after window bars.

    ``sum of v_i l_i / sum of v_i`` with l the `close_location`: the order-flow imbalance if each bar was bought in the
    proportion in which its close stands in its range. TA-Lib's AD over `window` bars, per volume; 0 where nothing was
    traded.

    >>> chaikin_money_flow(20).name
    'chaikin_money_flow(20)'
    """
    params = Windowed(Asset(asset), window_of("chaikin_money_flow", window, 1).window)
    return Feature(_no_flow, _money_flow, params, called("chaikin_money_flow", window, asset=asset))


@kernel
def _no_bulks(params: Any) -> Bulks:
    return Bulks(math.nan, empty_ring(params), empty_ring(params))


@kernel
def _bought(moves: Any, traded: Any) -> float:
    """Return what was bought less what was sold over what was traded: of each bar 2 Phi(r / sigma) - 1."""
    _, squares = mean_and_squares(moves, moves[0])
    whole, net = mean_of(traded), 0.0
    if not (squares > STILL * moves.size and whole > 0.0):
        return 0.0
    scale = math.sqrt(2.0 * squares / (moves.size - 1))
    for i in range(moves.size):
        net += traded[i] * (1.0 - erfc(moves[i] / scale))
    return float(net / moves.size / whole)


@kernel
def _bulk(state: Any, bars: Any, params: Any) -> Any:
    close, traded = bars.close[params.asset], bars.volume[params.asset]
    if math.isnan(close) or math.isnan(traded):
        return state, math.nan
    if not (close > 0.0 and state.close > 0.0):
        return Bulks(close, state.moves, state.volume), math.nan
    state = Bulks(close, push(state.moves, log(close / state.close)), push(state.volume, traded))
    return state, _bought(state.moves.values, state.volume.values) if state.moves.seen == params.window else math.nan


def bulk_volume_imbalance(window: int = 20, asset: str = "") -> Feature:
    """What was bought less what was sold of the last `window` bars' volume, by their returns; -1..1.

    Warm after window + 1 bars. Of a bar's volume the share Phi(r / sigma) was bought: r is its log return, sigma the
    deviation (ddof = 1) of the last `window` of them, Phi the normal distribution (bulk volume classification: Easley,
    López de Prado and O'Hara, *Flow Toxicity and Liquidity in a High-Frequency World*, Review of Financial Studies 25,
    2012). 0 where all returns are equal or nothing was traded.

    >>> bulk_volume_imbalance(50).name
    'bulk_volume_imbalance(50)'
    """
    params = Windowed(Asset(asset), window_of("bulk_volume_imbalance", window, 2).window)
    return Feature(_no_bulks, _bulk, params, called("bulk_volume_imbalance", window, asset=asset))
