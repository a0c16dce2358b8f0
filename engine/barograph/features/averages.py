"""Features of where a number stands among its last ones."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from barograph.features.combine import Transform, chain
from barograph.features.prices import CLOSE
from barograph.features.shared import (
    Average,
    empty_ring,
    exponential_mean,
    mean_and_squares,
    no_average,
    push,
    wilder_mean,
    window_of,
)
from barograph.jit.kernel import kernel
from barograph.types import Feature

__all__ = ["deviation", "ema", "exponential", "rolling_deviation", "rsi", "sma", "zscore"]


class Strength(NamedTuple):
    """The last number and Wilder's averages of the gains and of the losses."""

    last: float
    gain: float
    loss: float
    seen: int


@kernel
def _sma(ring: Any, value: float, _params: Any) -> Any:
    ring = push(ring, value)
    if ring.seen < ring.values.size:
        return ring, math.nan
    mean, _ = mean_and_squares(ring.values, value)
    return ring, value + mean


def sma(window: int, of: Feature = CLOSE) -> Feature:
    """The plain mean of the last `window` numbers, in their unit. Warm after window bars. TA-Lib SMA.

    >>> sma(200).name
    'sma(200)'
    """
    return chain(of, Transform(empty_ring, _sma, window_of("sma", window, 1), f"sma({window})"))


@kernel
def exponential(state: Any, value: float, params: Any) -> Any:
    """Step of the exponential average, also for streams that are features themselves."""
    mean = exponential_mean(state.mean, state.seen, value, params.window)
    count = state.seen + 1 if state.seen < params.window else params.window
    return Average(mean, count), mean if count == params.window else math.nan


def ema(window: int, of: Feature = CLOSE) -> Feature:
    """The exponential average, in the stream's unit: ``mean + 2 / (window + 1) (x - mean)``. Warm after window bars.

    It begins with the plain mean of the first `window` numbers, as TA-Lib's EMA does; two averages that began a year
    apart differ by less than a hundredth of what they began with after 2.3 windows.

    >>> ema(20).name
    'ema(20)'
    """
    return chain(of, Transform(no_average, exponential, window_of("ema", window, 1), f"ema({window})"))


@kernel
def deviation(ring: Any, value: float, _params: Any) -> Any:
    """Step of the rolling standard deviation, also for streams that are returns."""
    ring = push(ring, value)
    if ring.seen < ring.values.size:
        return ring, math.nan
    _, squares = mean_and_squares(ring.values, value)
    return ring, math.sqrt(squares / (ring.values.size - 1)) if squares > 0.0 else 0.0


def rolling_deviation(window: int, of: Feature = CLOSE) -> Feature:
    """The sample standard deviation (ddof = 1) of the last `window` numbers, in their unit. Warm after window bars.

    TA-Lib STDDEV divides by n: this is STDDEV times sqrt(n / (n - 1)). Equal numbers give exactly 0.

    >>> rolling_deviation(20).name
    'rolling_deviation(20)'
    """
    params = window_of("rolling_deviation", window, 2)
    return chain(of, Transform(empty_ring, deviation, params, f"rolling_deviation({window})"))


@kernel
def _zscore(ring: Any, value: float, _params: Any) -> Any:
    ring = push(ring, value)
    if ring.seen < ring.values.size:
        return ring, math.nan
    mean, squares = mean_and_squares(ring.values, value)
    return ring, -mean / math.sqrt(squares / (ring.values.size - 1)) if squares > 0.0 else 0.0


def zscore(window: int, of: Feature = CLOSE) -> Feature:
    """How far the number is above the mean of the last `window`, in their standard deviations. Warm after window bars.

    The number itself is one of the `window`, the deviation has ddof = 1; 0 where all are equal.

    >>> zscore(60).name
    'zscore(60)'
    """
    return chain(of, Transform(empty_ring, _zscore, window_of("zscore", window, 2), f"zscore({window})"))


@kernel
def _no_strength(_params: Any) -> Strength:
    return Strength(math.nan, 0.0, 0.0, 0)


@kernel
def _rsi(state: Any, value: float, params: Any) -> Any:
    if math.isnan(state.last):
        return Strength(value, 0.0, 0.0, 0), math.nan
    change, window = value - state.last, params.window
    gain = wilder_mean(state.gain, state.seen, change if change > 0.0 else 0.0, window)
    loss = wilder_mean(state.loss, state.seen, -change if change < 0.0 else 0.0, window)
    count = state.seen + 1 if state.seen < window else window
    state = Strength(value, gain, loss, count)
    if count < window:
        return state, math.nan
    return state, 100.0 * gain / (gain + loss) if gain + loss > 0.0 else 50.0


def rsi(window: int = 14, of: Feature = CLOSE) -> Feature:
    """Wilder's relative strength index: ``100 G / (G + L)``, 0..100. Warm after window + 1 bars.

    G and L are the averages of the rises and of the falls, plain over the first `window` changes and
    ``((window - 1) mean + new) / window`` after (Wilder, *New Concepts in Technical Trading Systems*, 1978; TA-Lib
    RSI). A number that never moved has an RSI of 50, where TA-Lib says 0: no change is not the deepest oversold.

    >>> rsi().name
    'rsi(14)'
    """
    return chain(of, Transform(_no_strength, _rsi, window_of("rsi", window, 2), f"rsi({window})"))
