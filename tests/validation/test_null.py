"""Nulls keep what they promise to keep, and say what chance says; costs and neighbours by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barograph.data.synthetic import SCENARIOS, draw
from barograph.validation.null import circular_shift, regime_bootstrap, within_regimes, worlds
from barograph.validation.robustness import break_even, neighbourhood
from barograph.validation.sharpe import probabilistic_sharpe, shape


@given(st.integers(3, 60), st.integers(0, 2**32 - 1))
def test_the_mean_over_all_shifts_is_exposure_times_market(bars: int, seed: int) -> None:
    """The law of the circular shift: without timing a position earns its mean weight of what the market earns."""
    rng = np.random.default_rng(seed)
    weights, returns = rng.integers(-1, 3, bars).astype(float), rng.normal(0, 0.01, bars)
    found = circular_shift(weights, returns)
    assert found.mean == pytest.approx(weights.mean() * returns.sum(), abs=1e-12)
    longhand = [float(np.roll(weights, k) @ returns) for k in range(bars)]
    assert found.values == pytest.approx(longhand, abs=1e-12)
    assert found.p == pytest.approx(np.mean(np.array(longhand) >= found.value - 1e-12))


def test_the_sharpe_ratio_of_every_shift() -> None:
    rng = np.random.default_rng(0)
    weights, returns = rng.random(80), rng.normal(0.001, 0.01, 80)
    found = circular_shift(weights, returns, "sharpe")
    streams = np.array([np.roll(weights, k) * returns for k in range(80)])
    assert found.values == pytest.approx(streams.mean(axis=1) / streams.std(axis=1, ddof=1), rel=1e-9)
    assert found.value == pytest.approx(found.values[0])
    assert found.p >= 1 / 80


def test_the_average_of_200_days_on_the_index() -> None:
    pytest.importorskip("arch", reason="the sample data are in the package arch")
    from barograph_adapters.sample import sp500

    close = sp500().close[:, 0]
    average = np.convolve(close, np.ones(200) / 200, "valid")
    weights = (close[199:-1] > average[:-1]).astype(float)
    returns = close[200:] / close[199:-1] - 1
    found = circular_shift(weights, returns)
    assert len(returns) == 4831
    assert round(found.value, 6) == 0.692384
    assert round(found.mean, 6) == 0.721101
    assert found.mean == pytest.approx(weights.mean() * returns.sum(), rel=1e-12)
    assert round(found.p, 4) == 0.4659
    by_sharpe = circular_shift(weights, returns, "sharpe")
    assert round(by_sharpe.value, 7) == 0.0211780
    assert round(by_sharpe.p, 4) == 0.1904


def test_a_position_that_never_moves_is_no_timing() -> None:
    found = circular_shift(np.ones(100), np.random.default_rng(0).normal(0, 0.01, 100))
    assert found.p == 1
    with pytest.raises(ValueError, match="sum, sharpe"):
        circular_shift(np.ones(3), np.ones(3), "calmar")
    with pytest.raises(ValueError, match=r"wanted \(T,\) of both"):
        circular_shift(np.ones(3), np.ones(4))


def test_draws_stay_in_their_regimes_and_keep_blocks() -> None:
    regimes = np.repeat([0, 1, 0, 1, 2], [50, 20, 80, 30, 40])
    rows = within_regimes(regimes, block=8.0, samples=50, seed=3)
    assert np.array_equal(regimes[rows], np.broadcast_to(regimes, rows.shape))
    assert np.array_equal(rows, within_regimes(regimes, 8.0, 50, seed=3))
    # Within the last stretch a bar is followed by the next one in seven of eight cases.
    stretch = rows[:, -40:]
    follows = (stretch[:, 1:] - stretch[:, :-1]) % 40 == 1
    assert follows.mean() == pytest.approx(1 - 1 / 8, abs=0.02)


def test_being_in_the_right_regime_is_all_that_survives() -> None:
    returns, regimes = (path[0] for path in draw(SCENARIOS["daily2"], 3000, seed=4))
    held = (regimes == 0).astype(float)
    only_regime = regime_bootstrap(held, returns, regimes, samples=300)
    assert 0.05 < only_regime.p < 0.95
    knowing = held * (returns > 0)
    assert regime_bootstrap(knowing, returns, regimes, samples=300).p == 0
    assert circular_shift(held, returns).p < 0.05


def test_worlds_are_counted() -> None:
    found = worlds(2.0, float, lambda seed: seed % 4, count=8, seed=0)
    assert found.values.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert found.p == 0.5
    assert worlds(0.0, lambda _: math.nan, lambda seed: seed, count=3).p == 0
    with pytest.raises(ValueError, match="at least 1"):
        worlds(0.0, float, float, count=0)


def test_the_cost_at_which_nothing_is_left() -> None:
    rng = np.random.default_rng(0)
    returns, turnover = rng.normal(0.002, 0.01, 1500), rng.random(1500)
    found = break_even(returns, turnover)
    assert np.sum(returns - found.nothing * turnover) == pytest.approx(0.0, abs=1e-12)
    assert 0 < found.unproven < found.nothing
    assert probabilistic_sharpe(*shape(returns - found.unproven * turnover)) == pytest.approx(0.95, abs=1e-9)


def test_costs_at_the_edges() -> None:
    returns = np.random.default_rng(0).normal(0.0, 0.01, 400)
    assert break_even(returns - returns.mean() - 1e-4, np.ones(400)) == (0, 0)
    assert break_even(returns - returns.mean() + 1e-4, np.zeros(400)) == (math.inf, math.inf)
    faint = break_even(returns - returns.mean() + 1e-5, np.ones(400))
    assert faint == (0.0, pytest.approx(1e-5, rel=1e-9))
    with pytest.raises(ValueError, match="as many of each"):
        break_even(np.ones(3), np.ones(2))


def test_a_plateau_and_a_needle() -> None:
    plateau = neighbourhood(np.array([0.8, 0.9, 1.0, 0.9, 0.8]))
    assert (plateau.best, plateau.kept, plateau.worst) == ((2,), 0.9, 0.9)
    needle = np.zeros((5, 5, 5))
    needle[2, 0, 4] = 1.0
    found = neighbourhood(needle)
    assert (found.best, found.kept) == ((2, 0, 4), 0.0)


def test_neighbours_that_are_missing() -> None:
    found = neighbourhood(np.array([[np.nan, 2.0], [1.0, np.nan]]))
    assert found.best == (0, 1)
    assert math.isnan(found.mean)
    assert math.isnan(found.kept)
    assert math.isnan(neighbourhood(np.array([-2.0, -1.0])).kept)
    with pytest.raises(ValueError, match="no point"):
        neighbourhood(np.array([np.nan]))
