"""Features of how fast a number moves, and whether it keeps its direction."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from barograph.errors import PartError
from barograph.features.averages import exponential
from barograph.features.combine import Transform, chain, named_of
from barograph.features.prices import CLOSE
from barograph.features.returns import total_return
from barograph.features.shared import (
    STILL,
    Windowed,
    called,
    empty_ring,
    exponential_mean,
    mean_and_squares,
    no_average,
    push,
    wilder_mean,
    window_of,
)
from barograph.jit.kernel import kernel
from barograph.types import Asset, Feature

__all__ = ["adx", "macd", "macd_histogram", "macd_signal", "momentum_burst"]


class Speeds(NamedTuple):
    """How many numbers the fast and the slow average are over."""

    fast: int
    slow: int


class Averages(NamedTuple):
    """The fast and the slow average, and how many numbers came so far, at most the slow window."""

    fast: float
    slow: float
    seen: int


class Direction(NamedTuple):
    """The last bar, Wilder's sums of moves up and of moves down, the average so far, and the moves so far."""

    high: float
    low: float
    up: float
    down: float
    strength: float
    seen: int


@kernel
def _no_averages(_params: Any) -> Averages:
    return Averages(0.0, 0.0, 0)


@kernel
def _line(state: Any, value: float, params: Any) -> Any:
    # Both begin at the same bar, the fast one with the mean of the newest numbers: so the first line is no artefact.
    ahead = params.slow - params.fast
    fast = exponential_mean(state.fast, state.seen - ahead, value, params.fast) if state.seen >= ahead else 0.0
    slow = exponential_mean(state.slow, state.seen, value, params.slow)
    count = state.seen + 1 if state.seen < params.slow else params.slow
    return Averages(fast, slow, count), fast - slow if count == params.slow else math.nan


def _line_of(feature: str, fast: int, slow: int, of: Feature) -> Feature:
    window_of(feature, fast, 1, "fast")
    if not fast < slow:
        raise PartError(f"{feature}: fast={fast} is not below slow={slow}; wanted fewer bars, such as 12 and 26")
    return chain(of, Transform(_no_averages, _line, Speeds(int(fast), int(slow)), called("macd", fast, slow)))


def macd(fast: int = 12, slow: int = 26, of: Feature = CLOSE) -> Feature:
    """Appel's MACD line: the exponential average over `fast` bars less that over `slow`, in the stream's unit.

    Warm after slow bars. Both averages begin at that bar, each with the plain mean of its own last numbers (TA-Lib
    MACD), so that it differs at first from `ema` less `ema`. Appel, *The Moving Average Convergence-Divergence Trading
    Method*, 1985. Raises `PartError` where `fast` is not below `slow`.

    >>> macd().name
    'macd(12, 26)'
    """
    return _line_of("macd", fast, slow, of)


def macd_signal(fast: int = 12, slow: int = 26, signal: int = 9, of: Feature = CLOSE) -> Feature:
    """The signal line: the exponential average of `macd` over `signal` bars, in its unit. Warm after slow + signal - 1.

    It begins with the plain mean of the first `signal` values of the line (TA-Lib MACD).

    >>> macd_signal().name
    'macd_signal(12, 26, 9)'
    """
    params = window_of("macd_signal", signal, 1, "signal")
    feature = chain(_line_of("macd_signal", fast, slow, of), Transform(no_average, exponential, params, ""))
    return feature._replace(name=named_of(called("macd_signal", fast, slow, signal), of))


@kernel
def _above_average(state: Any, value: float, params: Any) -> Any:
    state, mean = exponential(state, value, params)
    return state, value - mean


def macd_histogram(fast: int = 12, slow: int = 26, signal: int = 9, of: Feature = CLOSE) -> Feature:
    """The MACD line less its signal line, in the stream's unit: above 0 the move gains speed.

    Warm after slow + signal - 1 bars. TA-Lib MACD.

    >>> macd_histogram().name
    'macd_histogram(12, 26, 9)'
    """
    params = window_of("macd_histogram", signal, 1, "signal")
    feature = chain(_line_of("macd_histogram", fast, slow, of), Transform(no_average, _above_average, params, ""))
    return feature._replace(name=named_of(called("macd_histogram", fast, slow, signal), of))


@kernel
def _in_deviations(ring: Any, value: float, _params: Any) -> Any:
    ring = push(ring, value)
    if ring.seen < ring.values.size:
        return ring, math.nan
    _, squares = mean_and_squares(ring.values, value)
    moving = squares > STILL * ring.values.size
    return ring, value / math.sqrt(squares / (ring.values.size - 1)) if moving else 0.0


def momentum_burst(window: int = 5, over: int = 60, of: Feature = CLOSE) -> Feature:
    """The return of `window` bars in standard deviations of the last `over` such returns. Warm after window + over.

    ``x_t / x_{t-window} - 1``, over the deviation (ddof = 1) of its last `over` values, this one among them; a pure
    number, 0 where all are equal. Their mean is not taken off: a steady trend is a burst that lasts.

    >>> momentum_burst(5, 60).name
    'momentum_burst(5, 60)'
    """
    params = window_of("momentum_burst", over, 2, "over")
    window_of("momentum_burst", window, 1)
    feature = chain(total_return(window, of), Transform(empty_ring, _in_deviations, params, ""))
    return feature._replace(name=named_of(called("momentum_burst", window, over), of))


@kernel
def _no_direction(_params: Any) -> Direction:
    return Direction(math.nan, math.nan, 0.0, 0.0, 0.0, 0)


@kernel
def _wilder_sum(total: float, seen: int, value: float, window: int) -> float:
    return total + value if seen < window - 1 else total - total / window + value


@kernel
def _smoothed(state: Any, up: float, down: float, window: int) -> float:
    # Wilder's indicators are up and down over the sum of true ranges, which cancels.
    now = 100.0 * abs(up - down) / (up + down) if up + down > 0.0 else 0.0
    return wilder_mean(state.strength, state.seen - window + 1, now, window) if state.seen >= window - 1 else 0.0


@kernel
def _adx(state: Any, bars: Any, params: Any) -> Any:
    high, low = bars.high[params.asset], bars.low[params.asset]
    if math.isnan(high) or math.isnan(low):
        return state, math.nan
    if math.isnan(state.high):
        return Direction(high, low, 0.0, 0.0, 0.0, 0), math.nan
    rise, fall, window = high - state.high, state.low - low, params.window
    up = _wilder_sum(state.up, state.seen, rise if rise > fall and rise > 0.0 else 0.0, window)
    down = _wilder_sum(state.down, state.seen, fall if fall > rise and fall > 0.0 else 0.0, window)
    strength = _smoothed(state, up, down, window)
    count = state.seen + 1 if state.seen < 2 * window - 1 else state.seen
    return Direction(high, low, up, down, strength, count), strength if count == 2 * window - 1 else math.nan


def adx(window: int = 14, asset: str = "") -> Feature:
    """Wilder's average directional index: how strong a trend is, up or down, 0..100. Warm after 2 window bars.

    Of each bar the larger of ``high - last high`` and ``last low - low`` is a move up or down, where it is positive. U
    and D are Wilder's sums of both, ``S - S / window + new`` after the plain sum of the first window - 1 bars, and the
    index is Wilder's average of ``100 |U - D| / (U + D)``, over the first `window` of them plain (TA-Lib ADX). Wilder,
    *New Concepts in Technical Trading Systems*, 1978.

    >>> adx(14, "SPY").name
    'adx(14, SPY)'
    """
    params = Windowed(Asset(asset), window_of("adx", window, 2).window)
    return Feature(_no_direction, _adx, params, called("adx", window, asset=asset))
