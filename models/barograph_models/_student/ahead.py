"""Forecasts of Student-t chains: exact one bar ahead; beyond it each t is rounded to a few normals, and those add up.

A sum of independent t's is none, and one with few degrees of freedom has no kurtosis to match. A t is a normal whose
precision is drawn from a gamma distribution: that distribution is cut into pieces, each of which becomes a normal of
its own mean variance. The variance stays what it is, sums over any path of regimes are exact, and the tail beyond the
last piece is a little too thin.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.jit.kernel import kernel
from barograph.jit.ordered import exponentials, product, total
from barograph.jit.views import unowned
from barograph.regimes.family import ChainPlan
from barograph.regimes.mixture import horizon_mixture
from barograph.types import Floats, Forecast

__all__ = ["DrawnPlan", "drawn_components", "drawn_forecast", "drawn_plan", "student_components", "student_plan"]

# What the pieces hold, the calmest first: the last one is the tail.
PIECES: Final = ((0.5, 0.3, 0.15, 0.05), (0.6, 0.32, 0.08), (0.8, 0.2), (1.0,))
MOST_PARTS: Final = 5_000
"""Mixtures of more parts would cost a bar's quantile a millisecond: fewer pieces are taken instead."""
GRID: Final = 2_000


class DrawnPlan(NamedTuple):
    """The forecasts of M draws: P(regime ahead) (M, K, K), and mixtures of C parts, (M, K, C) and thrice (M, C)."""

    ahead: Floats
    weights: Floats
    mean: Floats
    variance: Floats
    degrees_of_freedom: Floats


def student_plan(params: Any, horizon: int) -> ChainPlan:
    """Lay out the forecasts of one chain."""
    nu = params.degrees_of_freedom
    return _plan(params.transition, params.means[:, 0], params.scales[:, 0], nu, horizon)


def student_components(params: Any, horizon: int) -> int:
    """Return how many parts the mixture of one chain has."""
    return _parts(len(params.degrees_of_freedom), horizon)


def _plan(transition: Floats, mean: Floats, scale: Floats, nu: Floats, horizon: int) -> ChainPlan:
    variance, ahead = scale * scale * nu / (nu - 2.0), transition
    for _ in range(horizon - 1):
        ahead = product(ahead, transition)
    if horizon == 1:
        return _laid_out(ahead, transition, mean, variance, nu)
    shares = _pieces(len(nu), horizon)
    J, factor = len(shares), np.array([_variances(float(v), shares) for v in nu])
    # A regime's bar is of one of its pieces, whatever the bar before was.
    moves = np.repeat((transition[:, :, None] * np.array(shares)).reshape(len(nu), -1), J, axis=0)
    spread = (scale * scale)[:, None] * factor
    weights, centre, sums = horizon_mixture(moves, np.repeat(mean, J), spread.ravel(), horizon)
    return _laid_out(ahead, weights[::J], centre, sums, np.full(centre.size, np.inf))


def _laid_out(*arrays: Floats) -> ChainPlan:
    return ChainPlan(*map(np.ascontiguousarray, arrays))


def _pieces(regimes: int, horizon: int) -> tuple[float, ...]:
    """Return as many pieces as the horizon allows."""
    return next((shares for shares in PIECES if _sums(regimes * len(shares), horizon) <= MOST_PARTS), PIECES[-1])


def _sums(states: int, horizon: int) -> int:
    """Return in how many ways the bars of a horizon are shared among states."""
    return math.comb(horizon + states - 1, states - 1)


def _parts(regimes: int, horizon: int) -> int:
    return regimes if horizon == 1 else _sums(regimes * len(_pieces(regimes, horizon)), horizon)


def _variances(nu: float, shares: tuple[float, ...]) -> Floats:
    """Return the mean of 1 / u in each piece of u ~ Gamma(nu/2, nu/2), from the largest u down."""
    s = np.linspace(-14.0, 4.0, GRID)[::-1]
    log_density = 0.5 * nu * (s - exponentials(s))
    density = exponentials(log_density - log_density.max())
    below = np.cumsum(density) / total(density)
    cuts = np.searchsorted(below, np.cumsum(shares)[:-1])
    worth = density * exponentials(-s)
    each = [float(total(worth[a:b]) / total(density[a:b])) for a, b in pairwise((0, *cuts.tolist(), GRID))]
    # Cuts fall between points of the grid: what the pieces have on the mean is the t's own variance again.
    found = np.array(each)
    return found * (nu / (nu - 2.0)) / float(total(found * np.array(shares)))


def drawn_plan(params: Any, horizon: int) -> DrawnPlan:
    """Lay out the forecasts of every draw."""
    each = []
    for m in range(params.drawn_dof.shape[1]):
        mean, scale = params.drawn_means[:, m, 0], exponentials(params.drawn_log_scales[:, m, 0])
        each.append(_plan(params.drawn_transition[:, m], mean, scale, params.drawn_dof[:, m], horizon))
    return DrawnPlan(*(np.array(of) for of in zip(*each, strict=True)))


def drawn_components(params: Any, horizon: int) -> int:
    """Return how many parts the mixture of all draws has."""
    K, M = map(int, params.drawn_dof.shape)
    return M * _parts(K, horizon)


@kernel
def drawn_forecast(state: Any, plan: Any, horizon: int, out: Forecast) -> None:
    """Write what all draws expect, each by its weight."""
    each, share, ahead, weights = (
        unowned(state.each),
        unowned(state.weights),
        unowned(plan.ahead),
        unowned(plan.weights),
    )
    mean, variance, degrees = unowned(plan.mean), unowned(plan.variance), unowned(plan.degrees_of_freedom)
    M, K, C = weights.shape
    for k in range(K):
        out.probs[k] = 0.0
    for m in range(M):
        for k in range(K):
            for j in range(K):
                out.probs[j] += share[m] * each[m, k] * ahead[m, k, j]
        for c in range(C):
            blended = 0.0
            for k in range(K):
                blended += each[m, k] * weights[m, k, c]
            n = m * C + c
            out.weights[n], out.mean[n], out.variance[n] = share[m] * blended, mean[m, c], variance[m, c]
            out.degrees_of_freedom[n] = degrees[m, c]
