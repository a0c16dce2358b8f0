"""Forecasts from a product of chains: exact while their parts are few, beyond that exact in two moments."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.jit.kernel import kernel
from barograph.jit.ordered import product
from barograph.jit.views import unowned
from barograph.regimes.family import chain_forecast
from barograph.regimes.mixture import horizon_mixture
from barograph.types import Floats, Forecast
from barograph_models._chain.mixed import MOST_PARTS
from barograph_models._product.chains import forth, show

__all__ = ["ProductPlan", "ahead", "components_ahead", "dense", "plan"]


MOST_DENSE: Final = 256  # product states whose matrix of moves is made


class ProductPlan(NamedTuple):
    """Laid out once a fit: a chain's plan over all S product states, without parts where they are too many; the law."""

    ahead: Floats
    weights: Floats
    mean: Floats
    variance: Floats
    degrees_of_freedom: Floats
    moves: Floats
    means: Floats
    variances: Floats
    shown: Floats


def dense(moves: Floats) -> Floats:
    """Return the matrix of moves between product states, (S, S).

    >>> dense(np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.5, 0.5]]]))[0]
    array([0.45, 0.45, 0.05, 0.05])
    """
    found = np.ones((1, 1))
    for own in moves:
        S = len(found) * len(own)
        found = (found[:, None, :, None] * own[None, :, None, :]).reshape(S, S)
    return found


def components_ahead(params: Any, horizon: int) -> int:
    """Return how many parts the forecast has."""
    S = len(params.shown)
    return _ways(S, horizon) if _exact(S, horizon) else S


def _ways(states: int, horizon: int) -> int:
    return math.comb(horizon + states - 1, states - 1)


def _exact(states: int, horizon: int) -> bool:
    return states <= MOST_DENSE and _ways(states, horizon) <= MOST_PARTS


def plan(params: Any, horizon: int) -> ProductPlan:
    """Lay out the forecasts, with every way to share the bars among the states where these are at most `MOST_PARTS`."""
    law = (params.moves, params.means, params.covariances, params.shown)
    blank = (np.empty((0, 0)), np.empty((0, 0)), np.empty(0), np.empty(0), np.empty(0))
    if not _exact(len(params.shown), horizon):
        return ProductPlan(*(*blank, *law))
    transition = dense(params.moves)
    mixture = horizon_mixture(transition, params.means[:, 0], params.covariances[:, 0], horizon)
    far = np.eye(int(params.shown.max()) + 1)[params.shown.astype(np.int64)]
    for _ in range(horizon):
        far = product(transition, far)
    laid = (far, *mixture, np.full(mixture[1].size, np.inf))
    return ProductPlan(*(*map(np.ascontiguousarray, laid), *law))


@kernel
def ahead(state: Any, plan: Any, horizon: int, out: Forecast) -> None:
    """Write the mixture of the sum of returns, from the filter's state."""
    if plan.weights.size > 0:
        chain_forecast(state, plan, horizon, out)
    else:
        _by_last_state(unowned(state.probs), plan, horizon, out)


@kernel
def _by_last_state(probs: Any, plan: Any, horizon: Any, out: Any) -> None:
    """Write a part a product state of the last bar: the exact mean and variance of the sum on its way, as a normal."""
    moves, means, variances = unowned(plan.moves), unowned(plan.means), unowned(plan.variances)
    # The probability P of each state, then P-weighted sum and square of the sum on the way there.
    likely, whole, square = np.zeros(probs.size), np.zeros(probs.size), np.zeros(probs.size)
    column = np.zeros(moves.shape[1])
    likely[:] = probs
    for _ in range(horizon):
        for c in range(moves.shape[0]):
            forth(likely, moves, c, column)
            forth(whole, moves, c, column)
            forth(square, moves, c, column)
        for s in range(probs.size):
            m = means[s, 0]
            square[s] += 2.0 * m * whole[s] + (m * m + variances[s, 0]) * likely[s]
            whole[s] += m * likely[s]
    show(likely, unowned(plan.shown), unowned(out.probs))
    for s in range(probs.size):
        least = variances[s, 0]
        centre = whole[s] / likely[s] if likely[s] > 0.0 else 0.0
        out.weights[s], out.mean[s], out.degrees_of_freedom[s] = likely[s], centre, math.inf
        out.variance[s] = max(square[s] / likely[s] - centre * centre, least) if likely[s] > 0.0 else least
