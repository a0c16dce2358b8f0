"""The statistics of a Sharpe ratio: printed figures of the papers, to the digit, and what must hold for any."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from barograph.metrics.formulas import skew
from barograph.validation.haircuts import METHODS, adjusted, haircut
from barograph.validation.sharpe import (
    annual_factor,
    deflated_sharpe,
    effective_trials,
    expected_maximum,
    minimum_backtest,
    minimum_track_record,
    probabilistic_sharpe,
    shape,
)

NORMAL = NormalDist()
MONTH, WEEK, DAY = math.sqrt(12), math.sqrt(52), math.sqrt(250)


def test_the_fund_of_24_months() -> None:
    """Bailey & López de Prado 2012: the crooked fund and the normal one."""
    sharpe = 1.585 / MONTH
    assert round(probabilistic_sharpe(sharpe, 24, -2.448, 10.164), 6) == 0.913234
    assert round(probabilistic_sharpe(sharpe, 24), 6) == 0.981591
    # The convention of 2025, in which skew and kurtosis drop out at nothing, is another number, and not ours.
    assert round(NORMAL.cdf(sharpe * math.sqrt(24)), 6) == 0.987504


@pytest.mark.parametrize(
    ("year", "sharpes", "skewed", "kurtosis", "years"),
    [
        (250, (2, 1), 0, 3, 2.731188),
        (52, (2, 1), 0, 3, 2.828834),
        (12, (2, 1), 0, 3, 3.239801),
        (12, (2, 1), -0.72, 5.78, 4.991258),
        (12, (3, 2.5), -0.72, 5.78, 27.352920),
    ],
)
def test_the_track_records_of_figures_7_and_8(
    year: int, sharpes: tuple[float, float], skewed: float, kurtosis: float, years: float
) -> None:
    sharpe, benchmark = (annual / math.sqrt(year) for annual in sharpes)
    found = minimum_track_record(sharpe, benchmark, skewed, kurtosis) / year
    assert round(found, 6) == years
    bars = math.ceil(found * year)
    assert probabilistic_sharpe(sharpe, bars, skewed, kurtosis, benchmark) >= 0.95
    assert probabilistic_sharpe(sharpe, bars - 1, skewed, kurtosis, benchmark) < 0.95


def test_no_record_is_long_enough_for_less_than_the_benchmark() -> None:
    assert minimum_track_record(0.1, 0.1) == math.inf
    assert minimum_track_record(0.0, 0.1) == math.inf


def test_the_deflated_ratios_of_2014() -> None:
    best, variance = 2.5 / DAY, 0.5 / 250
    assert round(math.sqrt(variance) * expected_maximum(100), 6) == 0.113172
    assert round(deflated_sharpe(best, 1250, 100, variance, -3, 10), 6) == 0.900397
    assert round(deflated_sharpe(best, 1250, 46, variance, -3, 10), 6) == 0.950502
    assert round(deflated_sharpe(best, 1250, 88, variance), 6) == 0.950491


@pytest.mark.parametrize(
    ("trials", "told", "exact"),
    [(10, 1.574598, 1.538753), (45, 2.235640, 2.207720), (100, 2.530603, 2.507594), (1000, 3.255122, 3.241436)],
)
def test_the_expected_maximum(trials: int, told: float, exact: float) -> None:
    assert round(expected_maximum(trials), 6) == told
    x = np.linspace(-9, 9, 20001)
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    below = np.array([NORMAL.cdf(v) for v in x])
    assert round(float(np.trapezoid(x * trials * density * below ** (trials - 1), x)), 6) == exact


def test_one_trial_is_no_choice() -> None:
    assert expected_maximum(1) == 0
    assert deflated_sharpe(0.05, 1000, 1, 0.01) == probabilistic_sharpe(0.05, 1000)
    assert effective_trials(1000, 1.0) == 1
    assert effective_trials(1000, 0.0) == 1000
    assert deflated_sharpe(0.05, 1000, 1000, 1e-4, correlation=1.0) == probabilistic_sharpe(0.05, 1000)


def test_more_trials_deflate_more() -> None:
    found = [deflated_sharpe(0.08, 1250, n, 0.002) for n in (1, 10, 100, 1000)]
    assert found == sorted(found, reverse=True)


def test_the_backtest_of_the_notices() -> None:
    assert round(minimum_backtest(45), 6) == 4.998087
    assert minimum_backtest(45, sharpe=2.0) == pytest.approx(4.998087 / 4, abs=1e-6)


@pytest.mark.parametrize(("rho", "told"), [(0.1, 3.160111), (0.2, 2.878849), (0.5, 2.121288), (-0.2, 4.170848)])
def test_the_annual_factors_of_lo(rho: float, told: float) -> None:
    assert round(annual_factor(rho ** np.arange(1, 12), 12), 6) == told
    assert round(annual_factor(np.zeros(11), 12), 6) == 3.464102
    # What lies beyond the last bar of a year does not count, and what is not told is 0.
    assert annual_factor(rho ** np.arange(1, 40), 12) == annual_factor(rho ** np.arange(1, 12), 12)
    assert annual_factor(np.empty(0), 12) == pytest.approx(math.sqrt(12), rel=1e-15)
    assert math.isnan(annual_factor(np.array([-1.0]), 12))


def test_the_haircut_of_harvey_and_liu() -> None:
    found = haircut(1.0, bars=120, periods=12, tests=100, correlation=0.1)
    assert [round(x, 4) for x in found] == [0.9122, 0.4651, 0.2317]
    assert round(100 * found.share, 2) == 74.60


def test_a_haircut_takes_all_and_nothing() -> None:
    assert haircut(0.5, 120, 12, 10_000).haircut_sharpe == pytest.approx(0.0, abs=1e-12)
    once = haircut(-1.3, 120, 12, 1)
    assert once.haircut_sharpe == pytest.approx(once.sharpe, rel=1e-9)


def test_corrections_by_hand() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert adjusted(p, "bonferroni") == pytest.approx([0.04, 0.16, 0.12, 0.02])
    assert adjusted(p, "holm") == pytest.approx([0.03, 0.06, 0.06, 0.02])
    c = 1 + 1 / 2 + 1 / 3 + 1 / 4
    assert adjusted(p, "bhy") == pytest.approx([0.02 * c, 0.04 * c, 0.04 * c, 0.02 * c])
    assert adjusted(p, "sidak") == pytest.approx(1 - (1 - p) ** 4)
    with pytest.raises(ValueError, match="bonferroni, sidak, holm, bhy"):
        adjusted(p, "fdr")


@pytest.mark.parametrize("method", METHODS)
def test_corrections_keep_the_order_and_never_help(method: str) -> None:
    p = np.random.default_rng(0).random(50) ** 3
    found = adjusted(p, method)
    assert np.all(found >= p)
    assert np.all(found <= 1)
    assert np.all(np.diff(found[np.argsort(p)]) >= 0)
    assert adjusted(np.array([0.3]), method) == pytest.approx([0.3])


def test_the_shape_of_a_stream() -> None:
    returns = np.random.default_rng(0).standard_t(4, 2000) * 0.01 + 0.001
    found = shape(returns)
    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1), rel=1e-12)
    assert found.skew == pytest.approx(skew(returns), rel=1e-9)
    centred = returns - returns.mean()
    assert found.kurtosis == pytest.approx((centred**4).mean() / (centred**2).mean() ** 2, rel=1e-12)
    assert shape(np.r_[returns, np.nan]) == found
    assert math.isnan(shape(np.zeros(10)).sharpe)
    assert math.isnan(probabilistic_sharpe(math.nan, 10))


def test_what_no_stream_can_have_is_nan() -> None:
    """A kurtosis below 1 + skew² belongs to no distribution: excess kurtosis by mistake, as often as not."""
    assert math.isnan(probabilistic_sharpe(1.5, 100, skew=3.0, kurtosis=0.0))
