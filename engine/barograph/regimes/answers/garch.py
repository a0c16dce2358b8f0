"""A baseline that has no regimes and a volatility that moves: what a chain should beat before it is believed.

It decides nothing and is no part of a fit: it may compute with what a library's optimiser and a processor choose.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from barograph.jit.kernel import compiled
from barograph.jit.ordered import mean, variance
from barograph.regimes.answers.counting import cut
from barograph.regimes.window import window
from barograph.types import Floats

__all__ = ["garch_score", "student_score"]


def garch_score(data: Any, blocks: int = 4, purge: int = 5) -> float:
    """Return the mean log score a row of a GARCH(1,1) with Student-t shocks, on the rows that `choose_states` scores.

    Of feature 0 alone; missing rows are left out. T. Bollerslev, *A conditionally heteroskedastic time series model for
    speculative prices and rates of return*, Rev. Econ. Stat. 69 (1987). Maximum likelihood by Nelder and Mead.

    >>> noise = np.random.default_rng(0).standard_normal(1000)
    >>> bool(abs(garch_score(noise) + 1.36) < 0.01)  # what the normal itself scores there
    True
    """
    return _scored("garch_score", _foreseen, data, blocks, purge)


def student_score(data: Any, blocks: int = 4, purge: int = 5) -> float:
    """Return the mean log score a row of one Student-t for all bars, on the rows that `choose_states` scores.

    Of feature 0 alone; missing rows are left out. Maximum likelihood by Nelder and Mead.

    >>> noise = np.random.default_rng(0).standard_normal(1000)
    >>> bool(abs(student_score(noise) + 1.36) < 0.01)  # what the normal itself scores there
    True
    """
    return _scored("student_score", _alike, data, blocks, purge)


def _scored(name: str, foreseen: Callable[[Floats, Floats], Floats], data: Any, blocks: int, purge: int) -> float:
    x = window(data).rows[:, 0]
    there, found = np.isfinite(x), []
    for begin, end in pairwise(cut(name, len(x), blocks, purge)):
        past, path = x[: begin - purge], x[:end]
        scored = foreseen(past[there[: begin - purge]], path[there[:end]])
        found.append(scored[np.count_nonzero(there[:begin]) :])
    return float(mean(np.concatenate(found)))


def _alike(past: Floats, path: Floats) -> Floats:
    """Return the log score of every number of a path by the likeliest t of its past."""
    from scipy import optimize, stats

    centre, deviation = float(mean(past)), math.sqrt(float(variance(past)))

    def logs(theta: Floats, x: Floats) -> Floats:
        away, scale, dof = np.clip(theta, -20.0, 20.0).tolist()
        at, wide = centre + away * deviation, deviation * math.exp(scale)
        return np.asarray(stats.t.logpdf(x, 2.01 + math.exp(dof), at, wide))

    def loss(theta: Floats) -> float:
        return -float(mean(logs(theta, past)))

    best = optimize.minimize(loss, [0.0, -0.2, 1.5], method="Nelder-Mead", options={"maxiter": 2000})
    return logs(best.x, path)


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
