"""The weight at which what may be lost over the next bars is what one is ready to lose."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from barograph.errors import ConfigError, nearest
from barograph.jit.kernel import kernel
from barograph.regimes.mixture import blend, mixture_expected_shortfall, mixture_value_at_risk
from barograph.types import Strategy, Target
from barograph_strategies._switch import bounded, check_bounds, known, steady

__all__ = ["var_target"]

MEASURES = ("var", "es")
SHORTFALL = MEASURES.index("es")


class Params(NamedTuple):
    """The rule, and from the fitted model the mixture of the log return over the horizon: (K, M), (M,), (M,)."""

    level: float
    budget: float
    horizon: int
    measure: int
    cap: float
    floor: float
    band: float
    weights: Any
    mean: Any
    variance: Any


class Held(NamedTuple):
    """The last weight given."""

    weight: float


@kernel
def _begin(_params: Any) -> Held:
    return Held(0.0)


@kernel
def _step(held: Any, _bars: Any, belief: Any, _portfolio: Any, params: Any) -> Any:
    if not known(belief.probs):
        return held, Target(held.weight)
    if belief.probs.size != params.weights.shape[0]:
        return held, Target(math.nan)
    mixed = np.empty(params.mean.size)
    blend(belief.probs, params.weights, mixed)
    if params.measure == SHORTFALL:
        risk = mixture_expected_shortfall(params.level, mixed, params.mean, params.variance)
    else:
        risk = mixture_value_at_risk(params.level, mixed, params.mean, params.variance)
    # No loss at this level is no limit: the cap is.
    wanted = params.cap if risk <= 0.0 else bounded(params.budget / risk, params.floor, params.cap)
    held = Held(steady(held.weight, wanted, params.band))
    return held, Target(held.weight)


def _bind(params: Params, fitted: Any) -> Params:
    weights, mean, variance = fitted.horizon_mixture(params.horizon)
    return params._replace(
        weights=np.ascontiguousarray(weights), mean=np.ascontiguousarray(mean), variance=np.ascontiguousarray(variance)
    )


def _check(level: float, budget: float, horizon: int, measure: str) -> None:
    if measure not in MEASURES:
        raise ConfigError(f"var_target: measure={measure!r}; wanted var or es{nearest(measure, MEASURES)}")
    if not 0.0 < level < 1.0 or not 0.0 < budget < math.inf or horizon < 1:
        raise ConfigError(
            f"var_target: level={level}, budget={budget}, horizon={horizon}; "
            "wanted 0 < level < 1, budget > 0 and horizon >= 1 bar"
        )


def var_target(
    level: float = 0.05,
    budget: float = 0.02,
    horizon: int = 1,
    measure: Literal["var", "es"] = "var",
    cap: float = 1.5,
    floor: float = 0.0,
    band: float = 0.0,
) -> Strategy:
    """Hold the weight whose value at risk (or expected shortfall) over `horizon` bars equals `budget` of equity.

    The model's belief gives a Gaussian mixture of the log return R over the next `horizon` bars. With q its quantile at
    `level`, one unit's VaR is ``1 - exp(q)`` and its ES ``E[1 - exp(R) | R <= q]``; both are simple losses, so the
    weight is ``budget / risk``, kept within [floor, cap] (`cap` when there is no loss at this level). A new weight less
    than `band` from the last one is not taken. The model's first feature must be the log return of what is traded.
    Until there is a belief the weight is 0; where one is missing later the last weight stands.

    Source: McNeil, Frey & Embrechts, *Quantitative Risk Management*, 2015, chapter 2. Raises `ConfigError` for values
    that cannot be meant.

    >>> var_target(level=0.01, budget=0.03, measure="es", horizon=5).params.horizon
    5
    """
    _check(level, budget, horizon, measure)
    floor, cap, band = check_bounds("var_target", floor, cap, band)
    rule = (float(level), float(budget), int(horizon), MEASURES.index(measure), cap, floor, band)
    params = Params(*rule, weights=np.empty((0, 0)), mean=np.empty(0), variance=np.empty(0))
    return Strategy(_begin, _step, params, "var_target", _bind)
