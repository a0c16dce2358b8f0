"""What TA-Lib has too is held to it: over gaps, series too short, series that stand still, and real prices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from barograph.features import (
    adx,
    bollinger_percent_b,
    bollinger_width,
    cci,
    ema,
    macd,
    macd_histogram,
    macd_signal,
    rolling_beta,
    rolling_correlation,
    stochastic_d,
    stochastic_k,
    williams_r,
)
from barograph.types import Bars
from barograph_adapters.sample import nasdaq, sp500
from tests.features.test_features import TALIB, Row, some_bars, values_of

each = pytest.mark.parametrize("row", TALIB, ids=[row.feature.name for row in TALIB])


def equal(row: Row, bars: Bars, values: Any) -> None:
    # Of a number near 0 the last bits of its largest are left, such as of MACD's where the lines cross.
    wanted = np.asarray(row.reference(bars))
    np.testing.assert_allclose(values, wanted, rtol=1e-9, atol=1e-11 * np.nanmax(np.abs(wanted)))


def part(bars: Bars, rows: Any) -> Bars:
    return Bars(*(column[rows] for column in bars))


@each
@pytest.mark.parametrize("seed", [5, 6])
def test_over_gaps(row: Row, seed: int) -> None:
    bars, gone = some_bars(300, seed=seed), np.random.default_rng(seed).random(300) < 0.15
    holes = Bars(bars.ts, *(np.where(gone[:, None], np.nan, column) for column in bars[1:]))
    values = values_of(row.feature, holes)
    assert np.isnan(values[gone]).all()
    equal(row, part(bars, ~gone), values[~gone])


@each
def test_on_short_series(row: Row) -> None:
    for length in range(max(row.warm - 1, 2), row.warm + 3):
        bars = some_bars(length, seed=length)
        values = values_of(row.feature, bars)
        assert np.isfinite(values).sum() == length - row.warm + 1
        if length >= row.warm:
            equal(row, bars, values)


def real() -> Bars:
    """Return the S&P 500 and the Nasdaq from the spring of 2008 on, as columns."""
    both = sp500().join(nasdaq(), rows="mine")
    columns = [getattr(both, name)[2350:2950] for name in ("open", "high", "low", "close", "volume")]
    return Bars(both.ts[2350:2950], *columns, np.ones(columns[0].shape))


@each
def test_on_real_prices(row: Row) -> None:
    bars = real()
    assert np.isfinite(bars.close).all()
    equal(row, bars, values_of(row.feature, bars))


@each
def test_on_whole_ticks(row: Row) -> None:
    random = np.random.default_rng(9)
    last = 100.0 + np.cumsum(random.integers(-1, 2, (200, 2)), axis=0)
    high, low = last + random.integers(0, 3, (200, 2)), last - random.integers(1, 3, (200, 2))
    bars = Bars(some_bars(200).ts, last, high, low, last, np.ones((200, 2)), np.ones((200, 2)))
    rises, falls = np.diff(high, axis=0), -np.diff(low, axis=0)
    assert ((rises == falls) & (rises > 0.0)).sum() > 10  # as far up as down: no move
    equal(row, bars, values_of(row.feature, bars))


# What stands still is in the middle: TA-Lib calls it the lowest close there was, or the highest, or 0 / 0.
OURS = {"rsi": 50.0, "stochastic_k": 50.0, "stochastic_d": 50.0, "williams_r": -50.0,
        "bollinger_percent_b": 0.5}  # fmt: skip


@each
def test_on_what_stands_still(row: Row) -> None:
    # 64 is exact in every sum and mean of TA-Lib's.
    still = np.full((80, 2), 64.0)
    bars = Bars(some_bars(80).ts, still, still, still, still, still, np.ones((80, 2)))
    values = values_of(row.feature, bars)
    ours = OURS.get(row.feature.name.partition("(")[0])
    if ours is None:
        equal(row, bars, values)
    else:
        assert (values[row.warm - 1 :] == ours).all()


@each
def test_after_a_standstill(row: Row) -> None:
    bars = some_bars(200, start=64.0)
    for column in bars[1:6]:
        column[:60], column[120:125] = 64.0, column[120]
    values = values_of(row.feature, bars)
    if row.feature.name.partition("(")[0] not in OURS:
        equal(row, bars, values)
    else:
        assert (values[row.warm - 1 : 60] == OURS[row.feature.name.partition("(")[0]]).all()


@pytest.mark.parametrize("price", [33.37, 0.1, 1e5 / 3])
def test_what_stands_still_is_exact(price: float) -> None:
    still = np.full((80, 2), price)
    bars = Bars(some_bars(80).ts, still, still, still, still, still, np.ones((80, 2)))
    features = (cci(20), macd(), macd_signal(), macd_histogram(), bollinger_width(), adx(14))
    for feature in (*features, rolling_correlation("VIX", 20), rolling_beta("VIX", 20)):
        assert values_of(feature, bars)[-1] == pytest.approx(0.0, abs=1e-12 * price), feature.name
    for feature in (cci(20), bollinger_width(), adx(14), rolling_correlation("VIX", 20), rolling_beta("VIX", 20)):
        assert values_of(feature, bars)[-1] == 0.0, feature.name
    for feature in (stochastic_k(), stochastic_d()):
        assert values_of(feature, bars)[-1] == 50.0
    assert values_of(williams_r(), bars)[-1] == -50.0
    assert values_of(bollinger_percent_b(), bars)[-1] == 0.5
    assert values_of(ema(9), bars)[-1] == pytest.approx(price, rel=1e-15)
