"""Models that must learn: how near to the ceiling, by what the training window held, and worlds that have no regimes.

Every model is fitted on one path and scored on another of the same length. A window without a wild bar has nothing to
learn the wild regime from: rows are split by how many it held. Where there are no regimes the question is how often a
model claims some, and whether its density is any better than that of one t, or of a GARCH(1,1) with a t.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, stats

from barograph.data.synthetic import Scenario
from barograph.errors import FitError
from barograph.jit.kernel import compiled
from barograph.regimes.fitted import Fitted, Model
from barograph.types import Filter, Floats
from barograph_models._chain.filter import init
from barograph_models._student.emission import FIT, density_norms, step
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.student_hmm import StudentParams, student_hmm
from benchmarks import Row

A_YEAR = 252.0
SPLIT = {"no wild bar": (0, 1), "1 to 29": (1, 30), "30 and more": (30, 10**9)}
BARS = 1000

MODELS: dict[str, Callable[..., Model]] = {
    "gaussian_hmm": partial(gaussian_hmm, starts=4, jobs=1, tolerance=1e-6),
    "student_hmm, prior none": partial(student_hmm, prior="none"),
    "student_hmm": student_hmm,
    "student_hmm, 16 draws": partial(student_hmm, uncertainty=16),
}


class Fits(NamedTuple):
    """One model on many paths: its fits, None where it failed, and the milliseconds of one."""

    fits: list[Fitted | None]
    milliseconds: float


def learn(make: Callable[..., Model], X: Floats, states: int, weekly: bool) -> Fits:
    """Fit one model a path; the market's stays are in days, five to a week."""
    market = weekly and states == 2 and getattr(make, "func", make) is student_hmm
    model = make(states=states, stays=[28.5, 14.9]) if market else make(states=states)
    _fitted(model, X[0])
    began = time.process_time()
    fits = [_fitted(model, x) for x in X]
    return Fits(fits, 1e3 * (time.process_time() - began) / len(X))


def _fitted(model: Model, x: Floats) -> Fitted | None:
    try:
        return model.fit(x[:, None])
    except FitError:
        return None


def true_student(world: Scenario) -> Filter:
    """Return the filter of a world with Student-t returns that knows its parameters."""
    nu = float(world.tail)
    scales = np.sqrt(np.array(world.variance) * (nu - 2.0) / nu)[:, None]
    dof, none = np.full(len(scales), nu), np.zeros(len(scales))
    params = StudentParams(
        start=np.array(world.start),
        transition=np.array(world.transition),
        means=np.array(world.mean)[:, None],
        scales=scales,
        degrees_of_freedom=dof,
        **density_norms(scales, dof),
        **dict.fromkeys(("strength", "bars", "shape", "rate", "dof_precision", "ended", *FIT), none),
    )
    return Filter(init, step, params, len(scales), "true t")


def split_rows(name: str, wild: Any, best: Any, gaps: dict[str, Any]) -> list[Row]:
    """Say each model's Brier score above the ceiling by the wild bars its training window held, (paths,) each."""
    rows = []
    for held, (low, high) in SPLIT.items():
        chosen = (wild >= low) & (wild < high)
        if not chosen.any():
            continue
        told = ", ".join(f"{model} {np.nanmean(score[chosen] - best[chosen]):+.3f}" for model, score in gaps.items())
        share = f"{name}: Brier where the window held {held}"
        rows.append(Row(share, float(best[chosen].mean()), "", "", f"{chosen.mean():.0%} of paths; {told}"))
    return rows


def nulls(paths: int) -> list[Row]:
    """Return rows on worlds without regimes."""
    random = np.random.default_rng(3)
    worlds = {
        "iid normal": random.standard_normal((2 * paths, BARS)) * 0.01,
        "iid t(5)": random.standard_t(5, (2 * paths, BARS)) * 0.0077,
        "GARCH(1,1), t(6)": np.array([_garch_path(random) for _ in range(2 * paths)]),
    }
    return [row for name, X in worlds.items() for row in _null(name, X[:paths], X[paths:])]


def _null(name: str, X: Floats, R: Floats) -> list[Row]:
    one = np.array([_one_t(x, r) for x, r in zip(X, R, strict=True)])
    garch = np.array([_garch_score(x, r) for x, r in zip(X, R, strict=True)])
    rows = []
    for model, make in MODELS.items():
        found = [(f, r) for f, r in zip(learn(make, X, 2, False).fits, R, strict=True) if f is not None]
        paths = [f.filter_path(r[:, None]) for f, r in found]
        wild = np.array([(p.probs[:, 1] > 0.5) for p in paths])
        share = wild.mean(axis=1)
        claims = float(np.mean(np.minimum(share, 1.0 - share) > 0.05))
        switches = A_YEAR * np.mean(wild[:, 1:] != wild[:, :-1])
        score = np.mean([p.logpdf.mean() for p in paths])
        beside = f"{switches:.1f} switches a year; score {score:.4f} nats a bar, one t {one.mean():.4f}, "
        beside += f"GARCH-t {garch.mean():.4f}"
        wanted = {"iid normal": "≤ 0.15", "iid t(5)": "≤ 0.3"}.get(name, "") if model == "student_hmm" else ""
        rows.append(Row(f"no regimes, {name}: {model} claims them", claims, "", wanted, beside))
    return rows


def _one_t(x: Floats, r: Floats) -> float:
    return float(stats.t.logpdf(r, *stats.t.fit(x)).mean())


def _garch_path(random: Any) -> Floats:
    nu, omega, alpha, beta, burn = 6.0, 0.02, 0.08, 0.90, 500
    z = random.standard_t(nu, BARS + burn) * math.sqrt((nu - 2.0) / nu)
    variance, path = 1.0, np.empty(BARS + burn)
    for t in range(len(path)):
        path[t] = math.sqrt(variance) * z[t]
        variance = omega + alpha * path[t] ** 2 + beta * variance
    return 0.01 * path[burn:]


@compiled
def _variances(x: Any, omega: Any, alpha: Any, beta: Any, first: Any, out: Any) -> None:
    out[0] = first
    for t in range(1, x.size):
        out[t] = omega + alpha * x[t - 1] * x[t - 1] + beta * out[t - 1]


def _garch_logs(theta: Any, x: Floats, first: float) -> Floats:
    """Return the log densities of demeaned returns; `theta` are unbounded, so that any value is a model."""
    theta = np.clip(theta, -20.0, 20.0)
    persistence, share = 1.0 / (1.0 + math.exp(-theta[0])), 1.0 / (1.0 + math.exp(-theta[1]))
    level, nu = first * math.exp(theta[2]), 2.05 + math.exp(theta[3])
    out = np.empty(len(x))
    _variances(x, level * (1.0 - persistence), persistence * share, persistence * (1.0 - share), first, out)
    return stats.t.logpdf(x, nu, 0.0, np.sqrt(out * (nu - 2.0) / nu))


def _garch_score(x: Floats, r: Floats) -> float:
    mean, first = x.mean(), float(x.var())

    def loss(theta: Any) -> float:
        return -float(_garch_logs(theta, x - mean, first).sum())

    best = optimize.minimize(loss, (3.0, -2.0, 0.0, 1.5), method="Nelder-Mead", options={"maxiter": 600}).x
    return float(_garch_logs(best, r - mean, first).mean())
