"""Features of how an asset moves with another one."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from barograph.features.combine import Transform, beside, named_of
from barograph.features.prices import CLOSE, close
from barograph.features.shared import Ring, empty_ring, joint_squares, push, window_of
from barograph.jit.arithmetic import log
from barograph.jit.kernel import kernel
from barograph.types import Feature

__all__ = ["rolling_beta", "rolling_correlation"]


class Together(NamedTuple):
    """The last number of each, and the returns between the bars that had both."""

    mine: float
    other: float
    returns: Ring
    others: Ring


@kernel
def _nothing_yet(params: Any) -> Together:
    return Together(math.nan, math.nan, empty_ring(params), empty_ring(params))


@kernel
def _moved(state: Any, mine: float, other: float) -> Any:
    """Return what is remembered after two numbers, and whether both were positive, now and before."""
    if not (mine > 0.0 and other > 0.0 and state.mine > 0.0 and state.other > 0.0):
        return Together(mine, other, state.returns, state.others), False
    returns, others = push(state.returns, log(mine / state.mine)), push(state.others, log(other / state.other))
    return Together(mine, other, returns, others), True


@kernel
def _correlation(state: Any, mine: float, other: float, params: Any) -> Any:
    state, whole = _moved(state, mine, other)
    if not whole or state.returns.seen < params.window:
        return state, math.nan
    x, y = state.returns.values, state.others.values
    xx, xy, yy = joint_squares(x, y, x[0], y[0])
    if not (xx > 0.0 and yy > 0.0):
        return state, 0.0
    found = xy / (math.sqrt(xx) * math.sqrt(yy))
    return state, 1.0 if found > 1.0 else -1.0 if found < -1.0 else found


@kernel
def _beta(state: Any, mine: float, other: float, params: Any) -> Any:
    state, whole = _moved(state, mine, other)
    if not whole or state.returns.seen < params.window:
        return state, math.nan
    x, y = state.returns.values, state.others.values
    _, xy, yy = joint_squares(x, y, x[0], y[0])
    return state, xy / yy if yy > 0.0 else 0.0


def _with_another(feature: str, step: Any, asset: str, window: int, of: Feature) -> Feature:
    params, name = window_of(feature, window, 2), f"{feature}({asset}, {window})"
    return beside(of, close(asset), Transform(_nothing_yet, step, params, name))._replace(name=named_of(name, of))


def rolling_correlation(asset: str, window: int = 60, of: Feature = CLOSE) -> Feature:
    """The correlation of log returns with another asset's, -1..1, over the last `window`. Warm after window + 1 bars.

    Only bars that both have are looked at: a return spans what one of them lacks, and where one is missing the value is
    NaN. 0 where one of them stood still (as TA-Lib CORREL of the returns); NaN where a price is not positive.

    >>> rolling_correlation("TLT", 60).name
    'rolling_correlation(TLT, 60)'
    """
    return _with_another("rolling_correlation", _correlation, asset, window, of)


def rolling_beta(asset: str, window: int = 60, of: Feature = CLOSE) -> Feature:
    """The slope of log returns on another asset's: ``cov(r, q) / var(q)``, a pure number. Warm after window + 1 bars.

    q are the returns of `asset`, the market, over the last `window` bars that both have. 0 where the market stood
    still; NaN where a price is not positive. TA-Lib BETA takes simple returns, and the market first.

    >>> rolling_beta("SPY").name
    'rolling_beta(SPY, 60)'
    """
    return _with_another("rolling_beta", _beta, asset, window, of)
