"""What draws worlds finds itself again in them: bias within chance, errors that halve with four times the bars.

Every model with a likelihood of its own, without a prior; that of stays with a law is in `test_hsmm_recovery`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from barograph.regimes.fitted import Fitted, Model
from barograph_models.autoregressive_hmm import AUTOREGRESSIVE, autoregressive_hmm, lagged_params
from barograph_models.gaussian_hmm import DIAGONAL, FULL, gaussian_hmm, gaussian_params
from barograph_models.gaussian_mixture import gaussian_mixture
from barograph_models.mixture_hmm import MIXTURE, mixed_params, mixture_hmm
from barograph_models.student_hmm import student_hmm
from barograph_models.time_varying_hmm import time_varying_hmm
from tests.models.test_time_varying_hmm import TRUE, world

START, MOVES = [0.6, 0.4], [[0.95, 0.05], [0.1, 0.9]]
MIXED = [[[0.5, 0.1], [0.1, 0.9]], [[2.0, -0.5], [-0.5, 3.0]]]


class Case(NamedTuple):
    """A model, what draws its worlds (bars, seed), and its numbers as a vector, of the truth and of a fit."""

    model: Model
    draw: Callable[[int, int], Any]
    truth: Any
    numbers: Callable[[Any], Any]


def drawn(family: Any, params: Any) -> Callable[[int, int], Any]:
    return lambda bars, seed: family.draw(params, bars, seed)[0]


def moves(of: Any) -> Any:
    return np.log(of.transition[[0, 1], [1, 0]])


def gaussian(p: Any) -> Any:
    upper = p.covariances if p.covariances.ndim == 2 else p.covariances[:, [0, 0, 1], [0, 1, 1]]
    logs = np.log(upper) if p.covariances.ndim == 2 else upper
    return np.concatenate([moves(p), p.means.ravel(), logs.ravel()])


def mixture(p: Any) -> Any:
    return np.concatenate([moves(p), p.weights[:, 0], p.means.ravel(), np.log(p.variances).ravel()])


def autoregression(p: Any) -> Any:
    return np.concatenate([moves(p), p.intercepts.ravel(), p.slopes.ravel(), np.log(p.variances).ravel()])


def varying(p: Any) -> Any:
    return np.concatenate([p.logits[[0, 1], [1, 0]].ravel(), p.means.ravel(), np.log(p.covariances).ravel()])


def independent(p: Any) -> Any:
    return np.concatenate([p.start[:1], p.means.ravel(), np.log(p.covariances).ravel()])


def student(p: Any) -> Any:
    return np.concatenate([moves(p), p.means.ravel(), np.log(p.scales).ravel(), np.log(p.degrees_of_freedom[:1])])


def student_world(bars: int, seed: int) -> Any:
    states = DIAGONAL.draw(gaussian_params(START, MOVES, [[0.0], [0.0]], [[1.0], [1.0]]), bars, seed)[1]  # type: ignore[misc]
    return (np.array([0.1, -0.3]) + np.array([1.0, 3.0]) * np.random.default_rng(seed).standard_t(5, (bars, 1)))[
        np.arange(bars), states
    ][:, None]


PLAIN = gaussian_params(START, MOVES, [[0.1], [-0.3]], [[1.0], [9.0]])
WHOLE = gaussian_params(START, MOVES, [[0.0, 0.0], [0.5, -1.0]], MIXED)
PARTS = mixed_params(
    START, MOVES, [[0.6, 0.4], [0.5, 0.5]], [[[0.0], [2.0]], [[-6.0], [6.0]]], [[[0.3], [0.8]], [[1.0], [3.0]]]
)
LAGGED = lagged_params(START, MOVES, [[0.1], [-0.3]], [[0.6], [-0.4]], [[0.5], [3.0]])
ALONE = gaussian_params([0.7, 0.3], [[0.7, 0.3], [0.7, 0.3]], [[0.0], [3.0]], [[1.0], [2.0]])
FINE: dict[str, Any] = {"starts": 2, "tolerance": 1e-10, "jobs": 1}
CASES = {
    "gaussian": Case(gaussian_hmm(2, **FINE), drawn(DIAGONAL, PLAIN), gaussian(PLAIN), gaussian),
    "full": Case(gaussian_hmm(2, "full", **FINE), drawn(FULL, WHOLE), gaussian(WHOLE), gaussian),
    "student": Case(
        student_hmm(prior="none", tolerance=1e-9, iterations=4000),
        student_world,
        np.r_[np.log([0.05, 0.1]), 0.1, -0.3, np.log([1.0, 3.0, 5.0])],
        student,
    ),
    "independent": Case(
        gaussian_mixture(2, "diagonal", starts=2, tolerance=1e-11, iterations=20_000, jobs=1),
        drawn(DIAGONAL, ALONE),
        independent(ALONE),
        independent,
    ),
    "mixture": Case(
        mixture_hmm(2, 2, starts=3, tolerance=1e-10, jobs=1), drawn(MIXTURE, PARTS), mixture(PARTS), mixture
    ),
    "autoregression": Case(
        autoregressive_hmm(2, **FINE), drawn(AUTOREGRESSIVE, LAGGED), autoregression(LAGGED), autoregression
    ),
    "time-varying": Case(
        time_varying_hmm(2, ridge=1e-6, **FINE), lambda bars, seed: world(bars, seed)[0], varying(TRUE), varying
    ),
}


def errors(case: Case, bars: int, worlds: int) -> Any:
    """Return how far the fits to so many worlds are from what drew them, (worlds, parameters)."""
    fits: list[Fitted] = [case.model.fit(case.draw(bars, 1_000 + seed)) for seed in range(worlds)]
    return np.array([case.numbers(fitted.params) - case.truth for fitted in fits])


def bias(found: Any) -> Any:
    """Return the mean error in standard errors of its own."""
    return np.abs(found.mean(axis=0)) / (found.std(axis=0, ddof=1) / np.sqrt(len(found)))


@pytest.mark.parametrize("name", CASES)
def test_a_few_worlds_are_recovered(name: str) -> None:
    found = errors(CASES[name], 2_000, 5)
    assert bias(found).max() < 6.0
    assert np.sqrt((found**2).mean(axis=0)).max() < 0.7


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_a_hundred_worlds_are_recovered_without_bias_and_twice_as_well_from_four_times_the_bars(name: str) -> None:
    short, long = (errors(CASES[name], bars, 100) for bars in (4_000, 16_000))
    assert bias(long).max() < 3.0, bias(long)
    halved = np.sqrt((long**2).mean(axis=0) / (short**2).mean(axis=0))
    assert 0.375 < halved.min() <= halved.max() < 0.625, halved
