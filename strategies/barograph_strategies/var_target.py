"""The weight at which what may be lost over the next bars is what one is ready to lose."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

from barograph.errors import ConfigError, nearest
from barograph.jit.kernel import kernel
from barograph.regimes.mixture import mixture_expected_shortfall, mixture_value_at_risk
from barograph.types import Strategy, Target
from barograph_strategies._switch import bounded, check_bounds, known, steady

__all__ = ["var_target"]

MEASURES = ("var", "es")
SHORTFALL = MEASURES.index("es")


class Params(NamedTuple):
    """The rule."""

    level: float
    budget: float
    measure: int
    cap: float
    floor: float
    band: float


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
    of = belief.forecasts[0]
    mixture = (of.weights, of.mean, of.variance, of.degrees_of_freedom)
    if params.measure == SHORTFALL:
        risk = mixture_expected_shortfall(params.level, *mixture)
    else:
        risk = mixture_value_at_risk(params.level, *mixture)
    # No loss at this level is no limit: the cap is.
    wanted = params.cap if risk <= 0.0 else bounded(params.budget / risk, params.floor, params.cap)
    held = Held(steady(held.weight, wanted, params.band))
    return held, Target(held.weight)


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

    The model forecasts the log return R over the next `horizon` bars, a mixture of normal or Student-t parts. With q
    its quantile at `level`, one unit's VaR is ``1 - exp(q)`` and its ES ``E[1 - exp(R) | R <= q]``; both are simple
    losses, so the weight is ``budget / risk``, kept within [floor, cap] (`cap` when there is no loss at this level). A
    new weight less than `band` from the last one is not taken. The model's first feature must be the log return of
    what is traded.
    Until there is a belief the weight is 0; where one is missing later the last weight stands.

    Source: McNeil, Frey & Embrechts, *Quantitative Risk Management*, 2015, chapter 2. Raises `ConfigError` for values
    that cannot be meant.

    >>> var_target(level=0.01, budget=0.03, measure="es", horizon=5).horizons
    (5,)
    """
    _check(level, budget, horizon, measure)
    floor, cap, band = check_bounds("var_target", floor, cap, band)
    params = Params(float(level), float(budget), MEASURES.index(measure), cap, floor, band)
    return Strategy(_begin, _step, params, "var_target", horizons=(int(horizon),), reads="own")
