"""A few worlds of each kind of `tests.campaigns.calibration`, whose full counts are in docs/validation.md.

Bounds are those of the counts run here, wide enough for luck and too narrow for the faults that are planted.
"""

from __future__ import annotations

import numpy as np
import pytest

from barograph.validation.block_sums import block_sums, moments
from barograph.validation.sharpe import deflated_sharpe, shape
from tests.campaigns.calibration import Crosses, Found, crosses, judged, noise_pbo, returns_of, sidak

# 256 crosses on four years: a sixtieth of the work of a whole world.
SMALL = Crosses(bars=1000, fast=range(2, 34, 2), slow=range(40, 165, 8), samples=200)


def found(trend: bool, worlds: int, size: Crosses = SMALL) -> Found:
    return Found(*np.mean([judged(seed, trend, size) for seed in range(worlds)], axis=0).tolist())


def test_crosses_of_noise() -> None:
    rates = found(trend=False, worlds=60)
    assert rates.naive > 0.08
    for rate in (rates.studentised, rates.blocks, rates.deflated):
        assert rate <= 0.15


def test_crosses_of_a_trend_are_found() -> None:
    assert found(trend=True, worlds=10, size=SMALL._replace(bars=2500)).studentised >= 0.25


def test_sidak_is_calibrated_and_a_tenth_told_is_not() -> None:
    right, tenth = np.mean([sidak(seed, trials=50, bars=250) for seed in range(800)], axis=0)
    assert 0.03 <= right <= 0.075
    assert tenth > 0.2


def test_clusters_in_place_of_trials_pass_noise() -> None:
    """The fault that is made most often: one idea told as 1.4 trials passes far more worlds of noise than 5 %."""
    passed = []
    for seed in range(60):
        rng = np.random.default_rng([seed, 0])
        streams = crosses(returns_of(1164, False, rng), SMALL.fast, SMALL.slow)
        sharpes = moments(block_sums(streams)).sharpe
        best = shape(streams[int(np.nanargmax(sharpes))])
        passed.append(deflated_sharpe(best.sharpe, best.bars, 1.4, float(np.nanvar(sharpes, ddof=1)), *best[2:]) > 0.95)
    assert np.mean(passed) > 0.08


def test_pbo_of_noise() -> None:
    pbo = [noise_pbo(seed, trials=20, bars=200, groups=10) for seed in range(150)]
    assert np.mean(pbo) == pytest.approx(0.5, abs=0.06)
