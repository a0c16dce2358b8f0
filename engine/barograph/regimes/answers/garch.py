"""A baseline that has no regimes and a volatility that moves: what a chain should beat before it is believed.

It decides nothing and is no part of a fit: it may compute with what a library's optimiser and a processor choose.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from barograph.jit.kernel import compiled
from barograph.jit.ordered import mean, variance
from barograph.regimes.answers.counting import cut
from barograph.regimes.window import window
from barograph.types import Floats

__all__ = ["garch_score"]


def garch_score(data: Any, blocks: int = 4, purge: int = 5) -> float:
    """Return the mean log score a row of a GARCH(1,1) with Student-t shocks, on the rows that `choose_states` scores.

    Of feature 0 alone; missing rows are left out. T. Bollerslev, *A conditionally heteroskedastic time series model for
    speculative prices and rates of return*, Rev. Econ. Stat. 69 (1987). Maximum likelihood by Nelder and Mead.

    >>> noise = np.random.default_rng(0).standard_normal(1000)
    >>> bool(abs(garch_score(noise) + 1.36) < 0.01)  # what the normal itself scores there
    True
    """
    x = window(data).rows[:, 0]
    there, found = np.isfinite(x), []
    for begin, end in pairwise(cut("garch_score", len(x), blocks, purge)):
        past, path = x[: begin - purge], x[:end]
        scored = _foreseen(past[there[: begin - purge]], path[there[:end]])
        found.append(scored[np.count_nonzero(there[:begin]) :])
    return float(mean(np.concatenate(found)))


def _foreseen(past: Floats, path: Floats) -> Floats:
    """Return the log score of every number of a path by a fit to its past."""
    from scipy import optimize

    centre, level = float(mean(past)), float(variance(past))

    def loss(theta: Floats) -> float:
        return -float(mean(_garch_logs(theta, past - centre, level)))

    best = optimize.minimize(loss, [3.5, -2.5, 0.0, 1.5], method="Nelder-Mead", options={"maxiter": 2000})
    return _garch_logs(best.x, path - centre, level)


def _garch_logs(theta: Floats, x: Floats, level: float) -> Floats:
    """Return the log densities of demeaned returns; `theta` is unbounded, so that any value is a model."""
    from scipy import stats

    persistence, share, times, dof = np.clip(theta, -20.0, 20.0).tolist()
    persistence, share = 1.0 / (1.0 + math.exp(-persistence)), 1.0 / (1.0 + math.exp(-share))
    spread, dof = level * math.exp(times), 2.05 + math.exp(dof)
    variances = np.empty(len(x))
    _variances(x, spread * (1.0 - persistence), persistence * share, persistence * (1.0 - share), level, variances)
    return np.asarray(stats.t.logpdf(x, dof, 0.0, np.sqrt(variances * (dof - 2.0) / dof)))


@compiled
def _variances(x: Any, omega: Any, alpha: Any, beta: Any, first: Any, out: Any) -> None:
    out[0] = first
    for t in range(1, x.size):
        out[t] = omega + alpha * x[t - 1] * x[t - 1] + beta * out[t - 1]
