"""Every model in one line: its distance from the filter that knows the world, and what a fit, a walk and a step cost.

The world is daily2, two regimes that differ by volatility: learned on one path, scored on another, 1,000 bars each. Of
65 walk-forward fits every fifth is made, and counted five times. CPU time, and beside it that of `gaussian_hmm` in the
same process. Jump models and change points have a table of their own (`jumps`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from barograph.data.synthetic import SCENARIOS, draw
from barograph.errors import FitError
from barograph.regimes.filtering import filter_path
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.window import window
from barograph.types import Floats
from barograph_models.autoregressive_hmm import autoregressive_hmm
from barograph_models.blend import blend
from barograph_models.delay import delay
from barograph_models.dwell import dwell
from barograph_models.factorial_hmm import factorial_hmm
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.gaussian_hsmm import gaussian_hsmm
from barograph_models.gaussian_mixture import gaussian_mixture
from barograph_models.hierarchical_hmm import hierarchical_hmm
from barograph_models.jump_model import jump_model
from barograph_models.kmeans import kmeans
from barograph_models.mixture_hmm import mixture_hmm
from barograph_models.online_hmm import online_hmm
from barograph_models.panel_mixture import panel_mixture
from barograph_models.student_hmm import student_hmm
from barograph_models.student_panel import student_panel
from barograph_models.time_varying_hmm import time_varying_hmm
from benchmarks import Row, Table
from benchmarks.ceilings import brier
from benchmarks.engine import true_filter
from benchmarks.jumps import EVERY, FITS, WINDOW, features

WORLD, PATHS, FIFTH, ASSETS = SCENARIOS["daily2"], 12, 5, 4


def alone(x: Floats) -> Floats:
    """Return returns as the only feature."""
    return x[:, None]


def with_volatility(x: Floats) -> Floats:
    """Return returns, and their log volatility with a half-life of 15 bars."""
    return np.ascontiguousarray(features(x)[:, [0, 2]])


class Case(NamedTuple):
    """A model, and what it sees of returns."""

    make: Callable[[], Model]
    seen: Callable[[Floats], Floats] = alone


class Costs(NamedTuple):
    """Milliseconds of a fit, CPU seconds of the walk, nanoseconds of a step."""

    fit: float
    walk: float
    step: float


TWO: dict[str, Any] = {"states": 2, "jobs": 1}
CASES: dict[str, Case] = {
    "gaussian_hmm": Case(partial(gaussian_hmm, jobs=1)),
    "gaussian_hmm, full, 2 features": Case(partial(gaussian_hmm, covariance="full", jobs=1), with_volatility),
    "student_hmm": Case(student_hmm),
    "student_hmm, 16 draws": Case(partial(student_hmm, uncertainty=16)),
    "gaussian_hsmm": Case(partial(gaussian_hsmm, jobs=1)),
    "mixture_hmm": Case(partial(mixture_hmm, jobs=1)),
    "autoregressive_hmm": Case(partial(autoregressive_hmm, jobs=1)),
    "time_varying_hmm, by volatility": Case(partial(time_varying_hmm, jobs=1), with_volatility),
    "online_hmm": Case(online_hmm),
    "factorial_hmm, the slowest chain": Case(partial(factorial_hmm, effect="variance", shows="slowest", jobs=1)),
    "hierarchical_hmm": Case(partial(hierarchical_hmm, jobs=1)),
    "gaussian_mixture, 2 features": Case(partial(gaussian_mixture, jobs=1), with_volatility),
    "kmeans, 2 features": Case(partial(kmeans, **TWO), with_volatility),
    "jump_model, penalty 5, 4 features": Case(partial(jump_model, compare_return=False, penalty=5.0, jobs=1), features),
    "student_panel, 4 assets": Case(student_panel),
    "panel_mixture, 4 assets, 1 group": Case(partial(panel_mixture, groups=1)),
    "dwell over student_hmm": Case(lambda: dwell(student_hmm())),
    "delay over student_hmm": Case(lambda: delay(student_hmm())),
    "blend of student_hmm and gaussian_hmm": Case(lambda: blend(student_hmm(), gaussian_hmm(jobs=1))),
}


def measure(size: float = 1.0) -> Table:
    """Lay all of them out, a line each."""
    paths = max(2, int(PATHS * size))
    returns, truth = draw(WORLD, WINDOW, seed=0, paths=paths)
    learned = draw(WORLD, WINDOW, seed=1, paths=paths)[0]
    long = draw(WORLD, WINDOW + EVERY * (FITS - 1), seed=2)[0][0]
    oracle = _score([true_filter(WORLD)] * paths, [alone(x) for x in returns], truth)
    rows, usual = [Row("daily2, true parameters: Brier score", oracle, "")], None
    for name, case in CASES.items():
        score, failed, costs = _measured(case, learned, returns, truth, long, max(1, int(FITS / FIFTH * size)))
        usual = costs if usual is None else usual
        rows.append(Row(f"{name}: Brier above that", score - oracle, "", "", _told(costs, usual, failed)))
    return Table(f"Every model on daily2, {paths} paths of {WINDOW:,} bars", rows)


def _told(costs: Costs, usual: Costs, failed: int) -> str:
    by = [f"{own / max(other, 1e-12):.2g}" for own, other in zip(costs, usual, strict=True)]
    told = f"{costs.fit:.1f} ms a fit ({by[0]} of gaussian_hmm's); {costs.walk:.2f} CPU s for {FITS} fits; "
    told += f"{costs.step:.0f} ns a step ({by[2]})"
    return told + (f"; {failed} fits failed" if failed else "")


def _measured(
    case: Case, learned: Floats, returns: Floats, truth: Any, long: Floats, fits: int
) -> tuple[float, int, Costs]:
    model = case.make()
    _fitted(model, case.seen, learned[0])
    began = time.process_time()
    found = [_fitted(model, case.seen, x) for x in learned]
    spent = (time.process_time() - began) / len(learned)
    kept = [(fit, x, z) for fit, x, z in zip(found, returns, truth, strict=True) if fit is not None]
    score = _score([fit.filter() for fit, _, _ in kept], [case.seen(x) for _, x, _ in kept], [z for *_, z in kept])
    walk = _walk(model, case.seen, long, fits) * FITS / fits
    return score, len(found) - len(kept), Costs(1e3 * spent, walk, _step(kept[0][0], case.seen(long)))


def _fitted(model: Model, seen: Callable[[Floats], Floats], x: Floats) -> Fitted | None:
    """Fit to a path; a panel to it and to three like it, whose own one is the first."""
    try:
        if not model.panel:
            return model.fit(seen(x))
        return model.fit(window({f"asset {i}": seen(np.roll(x, 250 * i)) for i in range(ASSETS)})).of_asset(0)
    except FitError:
        return None


def _score(filters: Any, X: Any, truth: Any) -> float:
    """Return the Brier score of P(the wilder regime), summed over both."""
    return float(
        np.mean([brier(filter_path(of, x).probs[:, :2], z) for of, x, z in zip(filters, X, truth, strict=True)])
    )


def _walk(model: Model, seen: Callable[[Floats], Floats], long: Floats, fits: int) -> float:
    began = time.process_time()
    for n in range(fits):
        first = EVERY * FIFTH * n
        _fitted(model, seen, long[first : first + WINDOW])
    return time.process_time() - began


def _step(fitted: Fitted, X: Floats) -> float:
    fitted.filter_path(X)
    spent = []
    for _ in range(5):
        began = time.process_time()
        fitted.filter_path(X)
        spent.append(time.process_time() - began)
    return 1e9 * min(spent) / len(X)
