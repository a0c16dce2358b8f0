"""Worlds whose answer is known: a spread that was planted, a volatility that was drawn, a trend without a break."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from barograph.features import (
    abdi_ranaldo,
    adx,
    bulk_volume_imbalance,
    chaikin_money_flow,
    corwin_schultz,
    downside_deviation,
    garman_klass,
    log_return,
    macd,
    macd_histogram,
    parkinson,
    roll_spread,
    rolling_beta,
    rolling_correlation,
    rolling_high,
    rolling_low,
    rolling_volatility,
    sma,
    stochastic_k,
    volume,
    volume_ratio,
    williams_r,
    yang_zhang,
)
from barograph.features.combine import Transform, beside
from barograph.features.prices import close
from barograph.jit.kernel import Kernel
from barograph.types import Bars, Feature
from tests.features.test_features import same_bits, some_bars, values_of

DAY = 86_400_000_000_000


def bars_from(first: Any, high: Any, low: Any, last: Any, traded: Any = None) -> Bars:
    """Return two assets with the same prices."""
    volumes = np.ones(len(last)) if traded is None else traded
    columns = [np.column_stack((x, x)) for x in (first, high, low, last, volumes)]
    return Bars(np.arange(len(last)) * DAY, *columns, np.ones((len(last), 2)))


def ticks(bars: int, spread: float = 0.0, sigma: float = 0.01, night: float = 0.0, seed: int = 1) -> Bars:
    """Return bars of 390 trades, each at the bid or at the ask of a random walk that jumps over night."""
    random = np.random.default_rng(seed)
    steps = sigma / math.sqrt(390) * random.standard_normal((bars, 390))
    steps[:, 0] += night * random.standard_normal(bars)
    middle = 100.0 * np.exp(np.cumsum(steps.ravel()).reshape(bars, 390))
    traded = middle * (1.0 + 0.5 * spread * random.choice([-1.0, 1.0], size=middle.shape))
    return bars_from(traded[:, 0], traded.max(axis=1), traded.min(axis=1), traded[:, -1])


@pytest.mark.parametrize("feature", [roll_spread(60), corwin_schultz(60), abdi_ranaldo(60)], ids=lambda f: f.name)
def test_a_wide_spread_is_found_and_a_narrow_one_is_not(
    feature: Feature,
) -> None:
    found = {spread: np.nanmean(values_of(feature, ticks(1000, spread))) for spread in (0.0, 0.01, 0.02)}
    assert found[0.02] == pytest.approx(0.02, rel=0.12)
    assert found[0.01] == pytest.approx(0.01, rel=0.3)
    assert 0.002 < found[0.0] < 0.0045


def test_a_volatility_that_was_drawn_is_found_and_the_night_by_one_alone() -> None:
    by_day = [parkinson(900), garman_klass(900)]
    for night in (0.0, 0.007):
        bars = ticks(902, night=night)
        whole = math.sqrt(0.01**2 + night**2)
        assert values_of(yang_zhang(900), bars)[-1] == pytest.approx(whole, rel=0.05)
        assert values_of(rolling_volatility(900), bars)[-1] == pytest.approx(whole, rel=0.05)
        for feature in by_day:
            assert values_of(feature, bars)[-1] == pytest.approx(0.01, rel=0.05), feature.name


def test_ranges_need_fewer_bars_than_closes() -> None:
    bars = ticks(1500)
    error = {f.name: np.nanstd(values_of(f, bars)) for f in (rolling_volatility(20), parkinson(20), garman_klass(20))}
    assert error["garman_klass(20)"] < error["parkinson(20)"] < 0.6 * error["rolling_volatility(20)"]


def test_a_trend_without_a_break() -> None:
    line = 100.0 + np.arange(120.0)
    bars = bars_from(line - 0.5, line + 0.25, line - 0.75, line)
    assert values_of(adx(14), bars)[-1] == 100.0
    assert values_of(stochastic_k(14, 3), bars)[-1] == pytest.approx(100.0 * 13.75 / 14.0, rel=1e-12)
    assert values_of(williams_r(14), bars)[-1] == pytest.approx(-100.0 * 0.25 / 14.0, rel=1e-12)
    # An exponential average is (n - 1) / 2 behind a line, so that two of them are half their distance apart.
    assert values_of(macd(12, 26), bars)[-1] == pytest.approx(7.0, rel=1e-9)
    assert values_of(macd_histogram(12, 26, 9), bars)[-1] == pytest.approx(0.0, abs=1e-9)
    assert values_of(rolling_high(20), bars)[-1] == line[-1] + 0.25
    assert values_of(rolling_low(20), bars)[-1] == line[-20] - 0.75
    assert values_of(downside_deviation(20), bars)[-1] == 0.0
    assert values_of(chaikin_money_flow(20), bars)[-1] == pytest.approx(0.5, rel=1e-12)


def test_volume_on_rises_was_bought() -> None:
    move = np.where(np.arange(60) % 2 == 0, 0.01, -0.01)
    last = 100.0 * np.exp(np.cumsum(move))
    rises = bars_from(last, last, last, last, np.where(move > 0.0, 3.0, 1.0))
    # Phi(1 / sigma) with sigma = sqrt(20 / 19) of the size of every move.
    share = math.erf(1.0 / math.sqrt(2.0 * 20.0 / 19.0))
    assert values_of(bulk_volume_imbalance(20), rises)[-1] == pytest.approx(0.5 * share, rel=1e-9)
    assert values_of(volume_ratio(20), rises)[-1] == 0.5


def test_nothing_traded_says_nothing() -> None:
    bars = some_bars(40)
    bars.volume[:] = 0.0
    assert values_of(volume_ratio(20), bars)[-1] == 1.0
    assert values_of(chaikin_money_flow(20), bars)[-1] == 0.0
    assert values_of(bulk_volume_imbalance(20), bars)[-1] == 0.0


def test_a_bar_without_a_close_has_no_volume() -> None:
    bars = some_bars(10)
    bars.close[4, 0] = np.nan
    bars.volume[4, 0] = 0.0
    assert np.flatnonzero(np.isnan(values_of(volume(), bars))).tolist() == [4]


PAIRS = [rolling_correlation("VIX", 10), rolling_beta("VIX", 10)]


@pytest.mark.parametrize("feature", PAIRS, ids=lambda f: f.name)
@pytest.mark.parametrize("asset", [0, 1])
def test_a_bar_that_one_of_two_lacks_is_as_if_it_had_never_been(feature: Feature, asset: int) -> None:
    bars, gone = some_bars(80), np.zeros(80, dtype=bool)
    gone[[0, 7, 8, 30, 55]] = True
    shorter = Bars(*(column[~gone] for column in bars))
    for column in bars[1:]:
        column[gone, asset] = np.nan
    values = values_of(feature, bars)
    assert np.isnan(values[gone]).all()
    assert same_bits(values[~gone], values_of(feature, shorter))


def test_an_asset_moves_with_itself_and_against_its_inverse() -> None:
    bars = some_bars(80)
    bars.close[:, 1] = 1e4 / bars.close[:, 0] ** 2
    assert values_of(rolling_correlation("VIX", 20), bars)[-1] == pytest.approx(-1.0, abs=1e-12)
    assert values_of(rolling_beta("VIX", 20), bars)[-1] == pytest.approx(-0.5, rel=1e-9)
    assert values_of(rolling_beta("SPY", 20), bars)[-1] == pytest.approx(1.0, rel=1e-12)
    assert values_of(rolling_beta("SPY", 20, of=close("VIX")), bars)[-1] == pytest.approx(-2.0, rel=1e-9)
    random = np.random.default_rng(4)
    for _ in range(200):
        bars.close[:, 1] = bars.close[:, 0] * random.uniform(0.1, 10.0)
        assert -1.0 <= values_of(rolling_correlation("VIX", 3), bars)[-1] <= 1.0


def test_a_price_that_is_not_positive_is_passed_over() -> None:
    bars, shorter = some_bars(60), some_bars(60)
    for column in bars[1:5]:
        column[30] = -37.63
    rest = np.arange(60) != 30
    shorter = Bars(*(column[rest] for column in shorter))
    for feature in (parkinson(9), garman_klass(9), yang_zhang(9), corwin_schultz(9), abdi_ranaldo(9)):
        values = values_of(feature, bars)
        assert math.isnan(values[30])
        assert same_bits(values[rest], values_of(feature, shorter)), feature.name
    for feature in (*PAIRS, bulk_volume_imbalance(9), roll_spread(9)):
        assert np.flatnonzero(np.isnan(values_of(feature, bars)))[-2:].tolist() == [30, 31], feature.name


def test_two_streams_are_looked_at_together() -> None:
    def ratio(state: Any, value: float, other: float, params: Any) -> Any:
        return state + 1, value / other

    feature = beside(sma(5), close("VIX"), Transform(lambda _: 0, ratio, (), "ratio"))
    bars = some_bars(40)
    assert feature.name == "ratio of sma(5) and close(VIX)"
    assert not isinstance(feature.step, Kernel)
    assert same_bits(values_of(feature, bars), values_of(sma(5), bars) / bars.close[:, 1])


@pytest.mark.parametrize(
    ("feature", "name"),
    [
        (macd(of=close("VIX")), "macd(12, 26) of close(VIX)"),
        (macd_histogram(of=close("VIX")), "macd_histogram(12, 26, 9) of close(VIX)"),
        (rolling_beta("VIX", of=log_return()), "rolling_beta(VIX, 60) of log_return"),
        (stochastic_k(14, 1, "VIX"), "stochastic_k(14, 1, VIX)"),
        (downside_deviation(20, -0.01, of=close("VIX")), "downside_deviation(20, -0.01) of close(VIX)"),
        (sma(3, of=volume("VIX")), "sma(3) of volume(VIX)"),
    ],
)
def test_a_name_tells_numbers_asset_and_stream(feature: Feature, name: str) -> None:
    assert feature.name == name
