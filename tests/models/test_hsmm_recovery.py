"""What draws worlds finds itself again in them: bias within chance, errors that halve with four times the bars."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from barograph_models._durations import law
from barograph_models._durations.params import DurationParams, draw, duration_params
from barograph_models.gaussian_hsmm import gaussian_hsmm

LONGEST = 80
STAYS, VARIANCES, MEANS = np.array([25.0, 12.0]), np.array([1.0, 9.0]), np.array([0.05, -0.1])
SPREAD = {"negative_binomial": 0.5, "poisson": 0.0}
SEEDS = {"negative_binomial": 1_000, "poisson": 7_000}


def world(durations: str) -> DurationParams:
    hazard = law.hazards(STAYS - 1.0, np.full(2, SPREAD[durations]), LONGEST)
    return duration_params([0.6, 0.4], 1.0 - np.eye(2), MEANS[:, None], VARIANCES[:, None], hazard)


def numbers(params: DurationParams, durations: str) -> Any:
    """Return what is recovered: means, log variances, log means of the stays' law and their log dispersions."""
    found = [params.means[:, 0], np.log(params.covariances[:, 0]), np.log(params.law[:, 0])]
    return np.concatenate(found + ([np.log(params.law[:, 1])] if SPREAD[durations] else []))


def truth(durations: str) -> Any:
    found = [MEANS, np.log(VARIANCES), np.log(STAYS - 1.0)]
    return np.concatenate(found + ([np.full(2, np.log(SPREAD[durations]))] if SPREAD[durations] else []))


def errors(durations: Any, bars: int, worlds: int) -> Any:
    """Return how far the fits to so many worlds are from what drew them, (worlds, parameters)."""
    model = gaussian_hsmm(durations=durations, prior="none", longest=LONGEST, starts=3, tolerance=1e-9, jobs=1)
    drawn = (draw(world(durations), bars, SEEDS[durations] + seed)[0] for seed in range(worlds))
    return np.array([numbers(model.fit(X).params, durations) - truth(durations) for X in drawn])


def bias(found: Any) -> Any:
    """Return the mean error in standard errors of its own."""
    return np.abs(found.mean(axis=0)) / (found.std(axis=0, ddof=1) / np.sqrt(len(found)))


@pytest.mark.parametrize("durations", SPREAD)
def test_a_few_worlds_are_recovered(durations: str) -> None:
    found = errors(durations, 2_000, 8)
    assert bias(found).max() < 4.0
    near = [0.05, 0.25, 0.08, 0.12, 0.25, 0.25, 0.6, 0.6][: found.shape[1]]
    assert (np.sqrt((found**2).mean(axis=0)) < near).all()


@pytest.mark.long
@pytest.mark.parametrize("durations", SPREAD)
def test_a_hundred_worlds_are_recovered_without_bias_and_twice_as_well_from_four_times_the_bars(durations: str) -> None:
    short, long = (errors(durations, bars, 100) for bars in (4_000, 16_000))
    assert bias(long).max() < 3.0
    halved = np.sqrt((long**2).mean(axis=0) / (short**2).mean(axis=0))
    assert 0.375 < halved.min() <= halved.max() < 0.625
