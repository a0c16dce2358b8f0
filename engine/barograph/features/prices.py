"""Features of an asset's own bar: its close, now or as last known, its range."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

from barograph.errors import PartError
from barograph.features.combine import Transform, chain
from barograph.features.shared import (
    Average,
    Last,
    OnAsset,
    no_average,
    no_last,
    nothing,
    wilder_mean,
    window_of,
)
from barograph.jit.kernel import kernel
from barograph.types import Asset, Feature

__all__ = ["CLOSE", "atr", "close", "latest", "level", "true_range"]

_DAY: Final = 86_400_000_000_000
# A century: moments are int64 ns.
_LONGEST: Final = 36_525


class Carried(NamedTuple):
    """The column that is carried on, and for how many ns."""

    asset: Any
    patience: int


class Known(NamedTuple):
    """The last close there was, NaN before the first, and the moment of its bar."""

    value: float
    ts: int


@kernel
def _close(state: Any, bars: Any, params: Any) -> Any:
    return state, bars.close[params.asset]


def close(asset: str = "") -> Feature:
    """The close of an asset, in its own unit. Warm after 1 bar.

    >>> close("VIX").name
    'close(VIX)'
    """
    return Feature(nothing, _close, OnAsset(Asset(asset)), f"close({asset})" if asset else "close")


CLOSE: Final = close()


def level(asset: str) -> Feature:
    """The close of another observed asset, such as the VIX, which need not be traded. Warm after 1 bar.

    >>> level("VIX").name
    'level(VIX)'
    """
    return close(asset)._replace(name=f"level({asset})")


@kernel
def _unknown(_params: Any) -> Known:
    return Known(math.nan, 0)


@kernel
def _latest(known: Any, bars: Any, params: Any) -> Any:
    now = bars.close[params.asset]
    if not math.isnan(now):
        return Known(now, bars.ts), now
    return known, known.value if bars.ts - known.ts <= params.patience else math.nan


def latest(asset: str, stale_after: float) -> Feature:
    """The last known close of an asset that has bars more seldom than the others, such as a monthly rate. Warm after 1.

    It is carried on over missing bars until it is older than `stale_after` days of the calendar (the time between the
    closes of two bars, weekends counted): then it is NaN until the next one comes. Raises `PartError` when that is no
    time.

    >>> import numpy as np
    >>> from barograph.types import Bars
    >>> feature, at = latest("RATE", stale_after=3), (0, 3 * 86_400_000_000_000)
    >>> feature.name
    'latest(RATE, 3)'
    >>> state = feature.init(Carried(*at))
    >>> for day, close in ((1, math.nan), (2, 5.25), (4, math.nan), (5, math.nan), (6, math.nan)):
    ...     price = np.array([close])
    ...     bar = Bars(day * 86_400_000_000_000, price, price, price, price, price, price)
    ...     state, value = feature.step(state, bar, Carried(*at))
    ...     print(day, value)
    1 nan
    2 5.25
    4 5.25
    5 5.25
    6 nan
    """
    if not 0.0 < stale_after <= _LONGEST:
        raise PartError(f"latest: stale_after={stale_after}; wanted days, above 0 and up to {_LONGEST}")
    carried = Carried(Asset(asset), int(stale_after * _DAY))
    return Feature(_unknown, _latest, carried, f"latest({asset}, {stale_after:g})")


@kernel
def _true_range(last: Any, bars: Any, params: Any) -> Any:
    high, low, now = bars.high[params.asset], bars.low[params.asset], bars.close[params.asset]
    if math.isnan(high) or math.isnan(low) or math.isnan(now):
        return last, math.nan
    if math.isnan(last.value):
        return Last(now), math.nan
    return Last(now), max(high - low, abs(high - last.value), abs(low - last.value))


def true_range(asset: str = "") -> Feature:
    """How far the price went since the last close, gaps included, in the price's unit. Warm after 2 bars.

    ``max(high - low, |high - last close|, |low - last close|)`` (Wilder, 1978; TA-Lib TRANGE).

    >>> true_range().name
    'true_range'
    """
    return Feature(no_last, _true_range, OnAsset(Asset(asset)), f"true_range({asset})" if asset else "true_range")


@kernel
def _wilder(state: Any, value: float, params: Any) -> Any:
    mean = wilder_mean(state.mean, state.seen, value, params.window)
    count = state.seen + 1 if state.seen < params.window else params.window
    return Average(mean, count), mean if count == params.window else math.nan


def atr(window: int = 14, asset: str = "") -> Feature:
    """Wilder's average of the true range, in the price's unit. Warm after window + 1 bars. TA-Lib ATR.

    Plain mean of the first `window` true ranges, ``((window - 1) mean + new) / window`` after.

    >>> atr(14, "SPY").name
    'atr(14, SPY)'
    """
    feature = chain(true_range(asset), Transform(no_average, _wilder, window_of("atr", window, 1), f"atr({window})"))
    return feature._replace(name=f"atr({window}, {asset})" if asset else f"atr({window})")
