"""One EM iteration of the Gaussian HMM: ours against hmmlearn's scaling implementation, same data, same start.

Both run the same number of iterations from the same parameters in one process; the time of one is the difference of a
long and a short run, divided by the difference of their iterations, so that neither pays for its set-up. Best of nine.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from barograph_models._chain.gaussian import EMISSIONS, GaussianParams, Given, gaussian_params, kind
from barograph_models._chain.inference import ascend
from barograph_models._fit.data import sample
from benchmarks import Row, Table, bars

SIZES = (
    # states, features, covariance, rows
    (2, 1, "diagonal", 50_000),
    (4, 5, "full", 50_000),
    (4, 5, "diagonal", 50_000),
    (3, 2, "full", 1_260),
    (2, 1, "diagonal", 1_260),
)
SHORT, LONG, REPEATS = 2, 12, 9
WANTED = 2.0


def world(states: int, d: int, rows: int, covariance: str) -> tuple[Any, GaussianParams]:
    random = np.random.default_rng(0)
    labels = np.arange(rows) // 97 % states
    X = random.standard_normal((rows, d)) * (0.5 + labels[:, None]) + 0.1 * labels[:, None]
    variances = np.repeat(0.5 + np.arange(states)[:, None], d, axis=1) ** 1.5
    covariances = variances if covariance == "diagonal" else np.array([np.diag(v) for v in variances])
    transition = np.full((states, states), 0.1 / (states - 1)) + np.eye(states) * (0.9 - 0.1 / (states - 1))
    return X, gaussian_params(np.full(states, 1.0 / states), transition, np.zeros((states, d)), covariances)


def ours(X: Any, start: GaussianParams) -> Callable[[int], Any]:
    data = sample(X, len(start.start), "benchmark")
    # A negative tolerance never ends early; one more iteration than hmmlearn's, as the last only scores.
    return lambda iterations: ascend(EMISSIONS[kind(start)], data, start, iterations, -np.inf, Given(1e-6))


def theirs(X: Any, start: GaussianParams, covariance: str) -> Callable[[int], Any]:
    from hmmlearn.hmm import GaussianHMM

    def run(iterations: int) -> Any:
        kind = "diag" if covariance == "diagonal" else "full"
        model = GaussianHMM(
            len(start.start), kind, n_iter=iterations, tol=-np.inf, init_params="", implementation="scaling"
        )
        model.startprob_, model.transmat_, model.means_ = start.start, start.transition, start.means
        model.covars_ = start.covariances
        return model.fit(X)

    return run


def one_iteration(run: Callable[[int], Any]) -> float:
    run(SHORT)
    spent = {n: min(_seconds(run, n) for _ in range(REPEATS)) for n in (SHORT, LONG)}
    return (spent[LONG] - spent[SHORT]) / (LONG - SHORT)


def _seconds(run: Callable[[int], Any], iterations: int) -> float:
    began = time.perf_counter()
    run(iterations)
    return time.perf_counter() - began


def measure(size: float = 1.0) -> Table:
    """Milliseconds an iteration, and how many times faster than hmmlearn's."""
    return Table("EM of the Gaussian HMM, one iteration (hmmlearn: scaling)", [_row(*each, size) for each in SIZES])


def _row(states: int, d: int, covariance: str, rows: int, size: float) -> Row:
    rows = bars(rows, size, least=60 * states)
    X, start = world(states, d, rows, covariance)
    name = f"K={states} d={d} {covariance}, T={rows:,}"
    mine = one_iteration(ours(X, start))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other = one_iteration(theirs(X, start, covariance))
    except ImportError:
        return Row(name, 1e3 * mine, "ms", f">= {WANTED:g}x hmmlearn", "hmmlearn: not installed")
    return Row(
        name, 1e3 * mine, "ms", f">= {WANTED:g}x hmmlearn", f"{other / mine:.1f}x; hmmlearn {1e3 * other:.3g} ms"
    )
