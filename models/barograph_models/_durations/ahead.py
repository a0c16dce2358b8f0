"""Forecasts from ages: what is expected of the bars to come depends on how long the stay has lasted.

Laid out once a fit, for every regime and age: the chances of every count of bars in each regime, and of the regimes
then. Exact: with h bars to go a stay of age a ends now with its hazard, or goes on with h - 1 bars to go and age a + 1.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.errors import PartError
from barograph.jit.kernel import kernel
from barograph.jit.ordered import product
from barograph.jit.views import unowned
from barograph.regimes.mixture import check_horizon
from barograph.types import Floats, Forecast

__all__ = ["AgePlan", "age_components", "age_forecast", "age_plan"]

LARGEST: Final = 4_000_000
"""The most chances a plan may hold: 32 MB, and a bar's forecast would cost milliseconds."""


class AgePlan(NamedTuple):
    """P(regime then) (K, D, K) and the mixture's weights (K, D, M) from each regime and age; the parts' moments (M,).

    Both are times P(a stay lasts so long), by which a filter's weights are to be multiplied.
    """

    ahead: Floats
    weights: Floats
    mean: Floats
    variance: Floats


def age_components(params: Any, horizon: int) -> int:
    """Return M: one part for each way to share the bars among the regimes."""
    K = len(params.start)
    return math.comb(horizon + K - 1, K - 1)


def age_plan(params: Any, horizon: int) -> AgePlan:
    """Lay out the forecasts of a fit, exact. Raises `PartError` where they would not fit."""
    K, D = params.hazard.shape
    check_horizon(K, horizon)
    size = K * D * age_components(params, horizon)
    if size > LARGEST:
        told = f"horizon = {horizon} with {K} regimes of {D} ages makes {size} chances, more than {LARGEST}"
        raise PartError(f"{told}; take a shorter horizon, fewer regimes or a smaller `longest`")
    visits, weights = _visits(params.follows, params.hazard, horizon)
    first = np.ones((K, D))
    first[:, 1 : D - 1] = params.lasts[:, : D - 2]
    variance = params.covariances[:, 0] if params.covariances.ndim == 2 else params.covariances[:, 0, 0]
    moments = (product(visits, params.means[:, 0]), product(visits, variance))
    then = _regimes(params.follows, params.hazard, horizon)
    return AgePlan(*map(np.ascontiguousarray, (then * first[:, :, None], weights * first[:, :, None], *moments)))


def _regimes(follows: Floats, hazard: Floats, horizon: int) -> Floats:
    """Return P(regime then), (K, D, K), from each regime and age."""
    K, D = hazard.shape
    then = np.repeat(np.eye(K)[:, None, :], D, axis=1)
    for _ in range(horizon):
        on = np.concatenate([then[:, 1:], then[:, -1:]], axis=1)
        then = (1.0 - hazard)[:, :, None] * on + hazard[:, :, None] * product(follows, then[:, 0])[:, None, :]
    return then


def _visits(follows: Floats, hazard: Floats, horizon: int) -> tuple[Floats, Floats]:
    """Return the counts of bars in each regime (M, K), and their chances from each regime and age, (K, D, M)."""
    regimes, D = hazard.shape
    # Counts are one number in base horizon+1, as in `barograph.regimes.mixture`.
    radix = (horizon + 1) ** np.arange(regimes, dtype=np.int64)
    codes, mass = np.zeros(1, dtype=np.int64), np.ones((regimes, D, 1))
    for _ in range(horizon):
        later = np.unique(codes[:, None] + radix)
        on, opens = np.zeros((regimes, D, later.size)), np.zeros((regimes, later.size))
        for j in range(regimes):
            place = np.searchsorted(later, codes + radix[j])
            on[j][:, place] = np.concatenate([mass[j, 1:], mass[j, -1:]])
            opens[j, place] = mass[j, 0]
        mass = (1.0 - hazard)[:, :, None] * on + hazard[:, :, None] * product(follows, opens)[:, None, :]
        codes = later
    return ((codes[:, None] // radix) % (horizon + 1)).astype(np.float64), mass


@kernel
def _add(share: Any, chances: Any, k: Any, a: Any, out: Any) -> None:
    for m in range(out.size):
        out[m] += share * chances[k, a, m]


@kernel
def age_forecast(state: Any, plan: Any, horizon: int, out: Forecast) -> None:
    """Write what is expected from the stays of a filter's state, each by its age."""
    weight, scale, head = unowned(state.weight), unowned(state.scale), state.head
    ahead, chances = unowned(plan.ahead), unowned(plan.weights)
    probs, weights = unowned(out.probs), unowned(out.weights)
    centre, spread = unowned(plan.mean), unowned(plan.variance)
    mean, variance, degrees = unowned(out.mean), unowned(out.variance), unowned(out.degrees_of_freedom)
    K, D = weight.shape
    for m in range(weights.size):
        weights[m], mean[m], variance[m], degrees[m] = 0.0, centre[m], spread[m], math.inf
    for k in range(K):
        probs[k] = 0.0
    for k in range(K):
        for i in range(D):
            share = weight[k, i] * scale[k]
            if share > 0.0:
                a = i if i == D - 1 else i - head if i >= head else i - head + D - 1
                _add(share, chances, k, a, weights)
                _add(share, ahead, k, a, probs)
