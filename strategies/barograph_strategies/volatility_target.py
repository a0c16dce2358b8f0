"""The same risk every day: less of what moves more. The baseline a regime model has to beat."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from barograph.errors import ConfigError
from barograph.features import ewm_volatility
from barograph.features.combine import adjusted
from barograph.jit.kernel import Kernel, kernel
from barograph.types import Feature, Strategy, Target
from barograph_strategies._switch import bounded, check_bounds, steady

__all__ = ["volatility_target"]

EWM: Final = ewm_volatility(20.0)


class Params(NamedTuple):
    """The estimate's own params, the volatility wanted of one bar, and the limits."""

    volatility: Any
    target: float
    cap: float
    floor: float
    band: float


class Measured(NamedTuple):
    """What the estimate remembers, and the last weight given."""

    volatility: Any
    weight: float


@functools.cache
def _kernels(begin: Callable[..., Any], measure: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def init(params: Any) -> Any:
        return Measured(begin(params.volatility), 0.0)

    def step(state: Any, bars: Any, _belief: Any, _portfolio: Any, params: Any) -> Any:
        measured, volatility = measure(state.volatility, bars, params.volatility)
        if math.isnan(volatility):
            return Measured(measured, state.weight), Target(state.weight)
        wanted = params.cap
        if volatility > 0.0:
            wanted = bounded(params.target / volatility, params.floor, params.cap)
        weight = steady(state.weight, wanted, params.band)
        return Measured(measured, weight), Target(weight)

    if isinstance(begin, Kernel) and isinstance(measure, Kernel):
        return kernel(init), kernel(step)
    return init, step


def volatility_target(
    target: float = 0.10,
    volatility: Feature = EWM,
    cap: float = 1.5,
    floor: float = 0.0,
    periods: float = 252.0,
    band: float = 0.0,
) -> Strategy:
    """Hold ``target / (volatility sqrt(periods))``, kept within [floor, cap]; needs no model.

    `target` is annual, `volatility` any feature that measures one bar's (over prices that compare across splits and
    dividends), `periods` the bars a year. A volatility of 0
    means `cap`. A new weight less than `band` from the last one is not taken. Until the measure is warm the weight
    is 0; on a bar that is missing the last weight stands.

    Source: Moreira & Muir, *Volatility-Managed Portfolios*, Journal of Finance 72, 2017, with volatility in place of
    variance. Raises `ConfigError` for values that cannot be meant.

    >>> from barograph.features import rolling_volatility
    >>> volatility_target(0.12, rolling_volatility(60)).name
    'volatility_target'
    """
    if not 0.0 < target < math.inf or not 0.0 < periods < math.inf:
        raise ConfigError(f"volatility_target: target={target}, periods={periods}; wanted both above 0")
    floor, cap, band = check_bounds("volatility_target", floor, cap, band)
    measure = adjusted(volatility)
    init, step = _kernels(measure.init, measure.step)
    params = Params(measure.params, target / math.sqrt(periods), cap, floor, band)
    return Strategy(init, step, params, "volatility_target", reads="own")
