"""Forecasts of a chain whose numbers stand in the filter's state: no plan can be laid out beforehand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from barograph.jit.kernel import kernel
from barograph.types import Forecast

__all__ = ["one_a_regime", "summed"]


def one_a_regime(params: Any, _horizon: int) -> int:
    """Return how many parts such a forecast has: one for each regime that the last bar may be in."""
    return len(params.start)


@kernel
def summed(probs: Any, moves: Any, means: Any, variances: Any, horizon: int, out: Forecast) -> None:
    """Write the mixture of the sum of returns by its last bar's regime, from `probs` (K,) and `moves` (K, K).

    Feature 0 is the return. One bar ahead is exact; beyond it each part has the exact mean and variance of the sum on
    its way to that regime, as a normal.
    """
    K = probs.size
    # A row a regime: its probability P, then P-weighted sum and square of the sum.
    now, then = np.zeros((K, 3)), np.zeros((K, 3))
    for k in range(K):
        now[k, 0] = probs[k]
    for _ in range(horizon):
        _add(moves, means, variances, now, then)
    for k in range(K):
        likely, least = now[k, 0], variances[k, 0]
        centre = now[k, 1] / likely if likely > 0.0 else 0.0
        out.probs[k], out.weights[k], out.mean[k] = likely, likely, centre
        out.variance[k] = max(now[k, 2] / likely - centre * centre, least) if likely > 0.0 else least
        out.degrees_of_freedom[k] = math.inf


@kernel
def _add(moves: Any, means: Any, variances: Any, now: Any, then: Any) -> None:
    K = now.shape[0]
    for j in range(K):
        for q in range(3):
            then[j, q] = 0.0
            for i in range(K):
                then[j, q] += now[i, q] * moves[i, j]
    for j in range(K):
        centre, likely, whole = means[j, 0], then[j, 0], then[j, 1]
        now[j, 0], now[j, 1] = likely, whole + centre * likely
        now[j, 2] = then[j, 2] + 2.0 * centre * whole + (centre * centre + variances[j, 0]) * likely
