"""The same weights for ever, restored on a calendar: the 60/40 portfolio, equal weights, and their kin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.errors import ConfigError, nearest
from barograph.jit.kernel import kernel
from barograph.jit.periods import month_of
from barograph.types import HOLD, Floats, Strategy, Target

__all__ = ["fixed_weights"]

EVERY: Final = {"bar": 0, "month": 1, "quarter": 3, "year": 12}


class State(NamedTuple):
    """The period of the last rebalancing, and room for the answer."""

    period: int
    weights: Floats


class Params(NamedTuple):
    """Weights (N,), and how many months a period has (0: every bar)."""

    weights: Floats
    months: int


@kernel
def _init(params: Params) -> State:
    return State(-1, np.zeros(params.weights.size))


@kernel
def _step(state: State, bars: Any, _belief: Any, _portfolio: Any, params: Params) -> Any:
    now = state.period + 1
    if params.months > 0:
        # Years begin in March there, so that quarters would end in May: two months on, they are those of the calendar.
        now = (month_of(bars.ts - 1) + 2) // params.months
    # Weights that are not one an asset are told by the machine; here they must only not reach beyond the columns.
    for a in range(min(state.weights.size, bars.close.size)):
        state.weights[a] = params.weights[a]
        if now == state.period:
            state.weights[a] = HOLD
    return State(now, state.weights), Target(state.weights)


def fixed_weights(weights: Sequence[float], every: str = "month") -> Strategy:
    """Hold these weights, one an asset, and restore them at the first close of every month, quarter, year, or bar.

    The first close of any asset decides for all; each is traded at its own next open, whenever that is.

    >>> fixed_weights([0.6, 0.4]).name
    'fixed_weights'

    Raises `ConfigError` when a weight is not a number, or the period is unknown.
    """
    if every not in EVERY:
        raise ConfigError(f"every is {every!r}; wanted one of {', '.join(EVERY)}{nearest(every, EVERY)}")
    if len(weights) == 0 or not all(math.isfinite(w) for w in weights):
        raise ConfigError(f"weights is {list(weights)}; wanted one number an asset")
    params = Params(np.array(weights, dtype=np.float64), EVERY[every])
    return Strategy(_init, _step, params, "fixed_weights", reads="none")
