"""Block lengths and intervals against their formulas, an independent implementation, and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from barograph.metrics.bootstrap import block_length, difference, interval, resample
from barograph.metrics.drawdown import max_drawdown
from barograph.metrics.formulas import sharpe, volatility


def autoregression(phi: float, bars: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(bars + 200)
    values = np.zeros(bars + 200)
    for t in range(1, bars + 200):
        values[t] = phi * values[t - 1] + noise[t]
    return values[200:]


def textbook_block_length(values: np.ndarray) -> float:
    """Politis & White as printed, sums from −M to M, without a thought for speed."""
    n = len(values)
    x = values - values.mean()
    cov = [sum(x[t] * x[t + k] for t in range(n - k)) / n for k in range(n)]
    run = max(5, math.ceil(math.sqrt(math.log10(n))))
    most = math.ceil(math.sqrt(n)) + run
    small = [abs(c / cov[0]) < 2 * math.sqrt(math.log10(n) / n) for c in cov]
    lag = next((lag for lag in range(most) if all(small[lag + 1 : lag + run + 1])), most)
    m = min(2 * max(lag, 1), most)
    window = {k: min(1.0, 2 * (1 - abs(k / m))) for k in range(-m, m + 1)}
    slope = sum(window[k] * abs(k) * cov[abs(k)] for k in window)
    level = sum(window[k] * cov[abs(k)] for k in window)
    return (2 * slope**2 / (2 * level**2)) ** (1 / 3) * n ** (1 / 3)


@pytest.mark.parametrize("phi", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("seed", [0, 1])
def test_block_length_is_the_formula(phi: float, seed: int) -> None:
    values = autoregression(phi, 400, seed)
    assert block_length(values) == pytest.approx(min(textbook_block_length(values), 60), rel=1e-9)


@pytest.mark.parametrize("phi", [0.3, 0.6, 0.9])
def test_block_length_is_near_another_implementation(phi: float) -> None:
    peers = pytest.importorskip("arch.bootstrap")
    values = autoregression(phi, 5000, 0)
    theirs = float(peers.optimal_block_length(values)["stationary"].iloc[0])
    # They begin the run of small correlations one lag later than the paper does: close, not equal.
    assert block_length(values) == pytest.approx(theirs, rel=0.1)


def test_block_length_at_the_edges() -> None:
    assert block_length(np.random.default_rng(0).standard_normal(5000)) < 2
    assert block_length(np.full(100, 0.01)) == 1
    assert block_length(np.array([1.0, 2.0])) == 1
    assert block_length(np.arange(300.0)) <= math.ceil(3 * math.sqrt(300))


def test_blocks_are_geometric_and_starts_uniform() -> None:
    paths = resample(1000, 8.0, 200, np.random.default_rng(0))
    assert paths.shape == (200, 1000)
    assert paths.min() == 0
    assert paths.max() == 999
    follows = (paths[:, 1:] - paths[:, :-1]) % 1000 == 1
    assert follows.mean() == pytest.approx(1 - 1 / 8, abs=0.005)
    assert np.bincount(paths.ravel(), minlength=1000).std() < 80


def test_an_interval_uses_these_rows() -> None:
    returns = np.random.default_rng(1).normal(4e-4, 0.01, 700)
    paths = resample(700, 5.0, 200, np.random.default_rng(3))
    found = interval(returns, samples=200, seed=3, block=5.0)
    ends = np.quantile([sharpe(returns[path], 252) for path in paths], [0.025, 0.975])
    assert found[1:3] == pytest.approx(tuple(ends), rel=1e-9)
    assert found.value == pytest.approx(sharpe(returns, 252), rel=1e-12)


@pytest.mark.parametrize("name", ["volatility", "max_drawdown"])
def test_named_statistics_are_the_metrics(name: str) -> None:
    returns = np.random.default_rng(1).normal(4e-4, 0.01, 300)
    equity = np.cumprod(np.r_[1.0, 1 + returns])
    wanted = {"volatility": volatility(returns, 252), "max_drawdown": max_drawdown(equity)}[name]
    assert interval(returns, name, samples=5).value == pytest.approx(wanted, rel=1e-12)


def test_any_statistic_of_the_users() -> None:
    returns = np.random.default_rng(1).normal(4e-4, 0.01, 300)
    found = interval(returns, lambda rows, _periods, _rf: np.median(rows, axis=1), samples=100)
    assert found.low < np.median(returns) < found.high


def test_the_same_seed_gives_the_same_interval() -> None:
    returns = np.random.default_rng(1).normal(4e-4, 0.01, 900)
    assert interval(returns, samples=300) == interval(returns, samples=300)
    assert interval(returns, samples=300, seed=1) != interval(returns, samples=300)


@pytest.mark.parametrize(("phi", "least"), [(0.0, 0.90), (0.3, 0.86)])
def test_intervals_cover_the_truth(phi: float, least: float) -> None:
    """Of 150 worlds of 1,000 bars about 95 % of intervals hold the truth; dependence costs a little."""
    mean = 0.05
    truth = mean * math.sqrt(1 - phi * phi)
    hits = 0
    for seed in range(150):
        found = interval(mean + autoregression(phi, 1000, seed), samples=200, periods=1)
        hits += found.low <= truth <= found.high
    assert least <= hits / 150 <= 0.995


def test_single_bars_cover_too_little_under_dependence() -> None:
    values = [0.05 + autoregression(0.6, 1000, seed) for seed in range(10)]
    blocks = [interval(v, samples=200, periods=1) for v in values]
    single = [interval(v, samples=200, periods=1, block=1.0) for v in values]
    assert np.mean([b.high - b.low for b in blocks]) > 1.5 * np.mean([s.high - s.low for s in single])


def test_a_paired_difference_is_narrower_than_two_intervals() -> None:
    rng = np.random.default_rng(0)
    market = rng.normal(4e-4, 0.01, 2000)
    ours = market + rng.normal(3e-4, 0.001, 2000)
    gap, alone = difference(ours, market, samples=500), interval(ours, samples=500)
    assert gap.value == pytest.approx(sharpe(ours, 252) - sharpe(market, 252), rel=1e-12)
    assert 0 < gap.low < gap.value < gap.high
    assert gap.high - gap.low < 0.5 * (alone.high - alone.low)
    with pytest.raises(ValueError, match="as many of each"):
        difference(ours, market[1:])


def test_what_cannot_be_told_is_nan() -> None:
    for returns in (np.empty(0), np.array([0.01]), np.zeros(50), np.full(50, 0.01)):
        found = interval(returns, samples=50)
        assert math.isnan(found.low)
        assert math.isnan(found.high)
    assert math.isnan(interval(np.random.default_rng(0).standard_normal(50), samples=0).low)
