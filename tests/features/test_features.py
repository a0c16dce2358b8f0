"""Every feature obeys the same laws: one row in the table below, and all of them are checked."""

from __future__ import annotations

import copy
import functools
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import talib

import barograph.features as library
from barograph.data.history import History
from barograph.errors import PartError
from barograph.features import (
    abdi_ranaldo,
    adx,
    atr,
    bollinger_percent_b,
    bollinger_width,
    bulk_volume_imbalance,
    cci,
    chaikin_money_flow,
    channel_width,
    close,
    close_location,
    corwin_schultz,
    downside_deviation,
    drawdown,
    ema,
    ewm_volatility,
    garman_klass,
    latest,
    level,
    log_return,
    macd,
    macd_histogram,
    macd_signal,
    momentum_burst,
    parkinson,
    realised_volatility,
    roll_spread,
    rolling_beta,
    rolling_correlation,
    rolling_deviation,
    rolling_high,
    rolling_low,
    rolling_volatility,
    rsi,
    sma,
    stochastic_d,
    stochastic_k,
    total_return,
    true_range,
    vol_acceleration,
    vol_of_vol,
    volume,
    volume_ratio,
    williams_r,
    yang_zhang,
    zscore,
)
from barograph.features.combine import adjusted, coarse, name_columns, stack
from barograph.jit.kernel import Kernel, compiled
from barograph.jit.periods import period_of
from barograph.jit.views import frozen
from barograph.testing import check_feature
from barograph.testing import some_bars as ragged_bars
from barograph.types import Asset, Bars, Feature
from barograph_adapters.sample import sp500
from tests import ROOT
from tests.features import references as plain

GUIDE = ROOT / "docs" / "features.md"
SYMBOLS = ("SPY", "VIX")
DAY = 86_400_000_000_000
T = 420


class Row(NamedTuple):
    """A feature, the bars it needs before its first number, its reference, and how near it must be (relative)."""

    feature: Feature
    warm: int
    reference: Callable[[Any], Any]
    tolerance: float = 1e-9


def _weekly_return(bars: Any) -> Any:
    frame = pd.Series(bars.close[:, 0], pd.to_datetime(bars.ts))
    weeks = frame.index.to_period("W-SUN")
    completed = frame.groupby(weeks).last().pct_change().shift(1)
    return completed.reindex(weeks).to_numpy()


def _monthly_range(bars: Any) -> Any:
    months = pd.to_datetime(bars.ts).to_period("M")
    frame = pd.DataFrame({"h": bars.high[:, 0], "l": bars.low[:, 0], "c": bars.close[:, 0]}, months)
    by = frame.groupby(level=0)
    h, low, c = by.h.max(), by.l.min(), by.c.last()
    wide = np.maximum(h - low, np.maximum((h - c.shift()).abs(), (low - c.shift()).abs())).where(c.shift().notna())
    return wide.shift(1).reindex(months).to_numpy()


def bars_of(b: Any, names: str = "hlc", asset: int = 0) -> list[Any]:
    """Return an asset's columns by their initials, as TA-Lib takes them."""
    return [getattr(b, {"h": "high", "l": "low", "c": "close", "v": "volume"}[name])[:, asset] for name in names]


def bollinger(b: Any) -> tuple[Any, Any, Any]:
    upper, middle, lower = talib.BBANDS(b.close[:, 0], 20, 2.0, 2.0)
    return upper, middle, lower


def money_flow(b: Any) -> Any:
    line, volume = talib.AD(*bars_of(b, "hlcv")), b.volume[:, 0]
    before = np.concatenate((np.full(19, np.nan), [0.0], line))[: len(line)]
    return (line - before) / talib.SUM(volume, 20)


def beta(b: Any) -> Any:
    """TA-Lib takes simple returns of prices: these have the log returns for theirs."""
    grown = [np.cumprod(1.0 + plain.returns(b, asset).fillna(0.0).to_numpy()) for asset in (1, 0)]
    return talib.BETA(*grown, 30)


# What TA-Lib has; `test_talib.py` holds these to it over gaps, short and constant series, and real prices.
TALIB = (
    Row(log_return(), 2, lambda b: np.append(np.nan, np.diff(talib.LN(b.close[:, 0])))),
    Row(total_return(5), 6, lambda b: talib.ROCP(b.close[:, 0], 5)),
    Row(sma(20), 20, lambda b: talib.SMA(b.close[:, 0], 20)),
    Row(sma(7, of=level("VIX")), 7, lambda b: talib.SMA(b.close[:, 1], 7)),
    Row(rolling_deviation(20), 20, lambda b: talib.STDDEV(b.close[:, 0], 20) * math.sqrt(20 / 19)),
    Row(rsi(14), 15, lambda b: talib.RSI(b.close[:, 0], 14)),
    Row(rsi(5, of=level("VIX")), 6, lambda b: talib.RSI(b.close[:, 1], 5)),
    Row(true_range(), 2, lambda b: talib.TRANGE(b.high[:, 0], b.low[:, 0], b.close[:, 0])),
    Row(atr(14), 15, lambda b: talib.ATR(b.high[:, 0], b.low[:, 0], b.close[:, 0], 14)),
    Row(ema(20), 20, lambda b: talib.EMA(b.close[:, 0], 20)),
    Row(macd(), 26, lambda b: talib.MACD(b.close[:, 0], 12, 26, 1)[0]),
    Row(macd_signal(), 34, lambda b: talib.MACD(b.close[:, 0], 12, 26, 9)[1]),
    Row(macd_histogram(5, 8, 3), 10, lambda b: talib.MACD(b.close[:, 0], 5, 8, 3)[2]),
    Row(adx(14), 28, lambda b: talib.ADX(*bars_of(b), 14)),
    Row(bollinger_width(), 20, lambda b: ((u := bollinger(b))[0] - u[2]) / u[1]),
    Row(bollinger_percent_b(), 20, lambda b: (b.close[:, 0] - (u := bollinger(b))[2]) / (u[0] - u[2])),
    Row(cci(20), 20, lambda b: talib.CCI(*bars_of(b), 20)),
    Row(rolling_high(20), 20, lambda b: talib.MAX(b.high[:, 0], 20)),
    Row(rolling_low(20, "VIX"), 20, lambda b: talib.MIN(b.low[:, 1], 20)),
    Row(stochastic_k(14, 3), 16, lambda b: talib.STOCH(*bars_of(b), 14, 3, 0, 1, 0)[0]),
    Row(stochastic_d(5, 1, 3, "VIX"), 7, lambda b: talib.STOCHF(*bars_of(b, asset=1), 5, 3, 0)[1]),
    Row(williams_r(14), 14, lambda b: talib.WILLR(*bars_of(b), 14)),
    Row(volume_ratio(20), 20, lambda b: b.volume[:, 0] / talib.SMA(b.volume[:, 0], 20)),
    Row(chaikin_money_flow(20), 20, money_flow),
    Row(rolling_correlation("VIX", 30), 31, lambda b: talib.CORREL(plain.returns(b), plain.returns(b, 1), 30)),
    Row(rolling_beta("VIX", 30), 31, beta),
)
TABLE = (
    *TALIB,
    Row(close(), 1, lambda b: b.close[:, 0]),
    Row(close("VIX"), 1, lambda b: b.close[:, 1]),
    Row(level("VIX"), 1, lambda b: b.close[:, 1]),
    Row(latest("VIX", 45), 1, lambda b: b.close[:, 1]),
    Row(rolling_volatility(20), 21, lambda b: plain.returns(b).rolling(20).std().to_numpy()),
    Row(
        ewm_volatility(10.5),
        12,
        lambda b: np.sqrt((plain.returns(b) ** 2).ewm(halflife=10.5, min_periods=11).mean()).to_numpy(),
    ),
    Row(zscore(30), 30, lambda b: ((s := pd.Series(b.close[:, 0])) - s.rolling(30).mean()) / s.rolling(30).std()),
    Row(drawdown(), 1, lambda b: b.close[:, 0] / np.maximum.accumulate(b.close[:, 0]) - 1.0),
    Row(momentum_burst(5, 60), 65, lambda b: plain.momentum_burst(b, 5, 60)),
    Row(channel_width(20), 20, lambda b: plain.channel_width(b, 20)),
    Row(realised_volatility(5), 6, lambda b: plain.realised_volatility(b, 5, 252)),
    Row(downside_deviation(20, 0.001), 21, lambda b: plain.downside_deviation(b, 20, 0.001)),
    Row(vol_of_vol(30, 10), 40, lambda b: plain.vol_of_vol(b, 30, 10)),
    Row(vol_acceleration(20, 5), 26, lambda b: plain.vol_acceleration(b, 20, 5)),
    Row(parkinson(20), 20, lambda b: plain.parkinson(b, 20)),
    Row(garman_klass(20), 20, lambda b: plain.garman_klass(b, 20)),
    Row(yang_zhang(20), 21, lambda b: plain.yang_zhang(b, 20)),
    Row(volume(), 1, lambda b: b.volume[:, 0]),
    Row(close_location(), 1, plain.close_location),
    Row(bulk_volume_imbalance(20), 21, lambda b: plain.bulk_volume_imbalance(b, 20)),
    Row(roll_spread(60), 62, lambda b: plain.roll_spread(b, 60)),
    Row(corwin_schultz(20), 21, lambda b: plain.corwin_schultz(b, 20)),
    Row(abdi_ranaldo(20), 21, lambda b: plain.abdi_ranaldo(b, 20)),
    Row(coarse(total_return(1), "week"), 11, _weekly_return),
    Row(coarse(true_range(), "month"), 44, _monthly_range),
)
each = pytest.mark.parametrize("row", TABLE, ids=[row.feature.name for row in TABLE])


def some_bars(length: int = T, seed: int = 1, start: float = 100.0) -> Bars:
    """Return columns (T, 2) on weekdays from Monday 2018-01-01, closing at 21:00 UTC."""
    random = np.random.default_rng(seed)
    last = start * np.exp(np.cumsum(0.01 * random.standard_normal((length, 2)), axis=0))
    first = last * np.exp(0.004 * random.standard_normal((length, 2)))
    reach = np.exp(0.005 * random.random((length, 2)))
    high, low = np.maximum(first, last) * reach, np.minimum(first, last) / reach
    days = pd.bdate_range("2018-01-01", periods=length) + pd.Timedelta(hours=21)
    return Bars(days.as_unit("ns").asi8, first, high, low, last, 1e6 * random.random((length, 2)), np.ones((length, 2)))


def bar(bars: Bars, t: int) -> Bars:
    return Bars(int(bars.ts[t]), *(frozen(column[t]) for column in bars[1:]))


def resolved(feature: Any, symbols: tuple[str, ...] = SYMBOLS) -> Any:
    return name_columns(feature.params, lambda asset: symbols.index(asset.symbol) if asset.symbol else 0)


def values_of(feature: Any, bars: Bars, stop_at: int | None = None, symbols: tuple[str, ...] = SYMBOLS) -> Any:
    """Run a feature in plain Python; with `stop_at`, continue from a deep copy of the state at that bar."""
    params = resolved(feature, symbols)
    state, values = feature.init(params), []
    for t in range(len(bars.ts)):
        if t == stop_at:
            state = copy.deepcopy(state)
        state, value = feature.step(state, bar(bars, t), params)
        values.append(value)
    return np.array(values, dtype=np.float64)


def same_bits(a: Any, b: Any) -> bool:
    return bool(np.array_equal(a, b, equal_nan=True))


@each
def test_equals_reference(row: Row) -> None:
    bars = some_bars()
    np.testing.assert_allclose(
        values_of(row.feature, bars), np.asarray(row.reference(bars)), rtol=row.tolerance, atol=1e-12
    )


@each
def test_nan_until_warm_and_a_number_after(row: Row) -> None:
    values = values_of(row.feature, some_bars())
    assert np.isnan(values[: row.warm - 1]).all()
    assert np.isfinite(values[row.warm - 1 :]).all()


@each
@pytest.mark.parametrize("cut", [3, 57, 300])
def test_the_future_cannot_change_the_past(row: Row, cut: int) -> None:
    bars = some_bars()
    changed = Bars(bars.ts, *(np.where(np.arange(T)[:, None] < cut, c, 3.0 * c) for c in bars[1:]))
    assert same_bits(values_of(row.feature, bars)[:cut], values_of(row.feature, changed)[:cut])


# In the price's unit or the volume's; all others are pure numbers.
IN_UNITS = ("atr", "close", "close(VIX)", "ema", "latest", "level", "macd", "macd_histogram", "macd_signal",
            "monthly true_range", "rolling_deviation", "rolling_high", "rolling_low", "sma", "true_range",
            "volume")  # fmt: skip


@each
def test_another_unit_changes_what_is_in_units_and_nothing_else(row: Row) -> None:
    bars = some_bars()
    other = Bars(bars.ts, *(8.0 * column for column in bars[1:6]), bars.factor)
    unit = 8.0 if row.feature.name.startswith("close(") or row.feature.name.partition("(")[0] in IN_UNITS else 1.0
    # A power of two rounds nothing.
    assert same_bits(values_of(row.feature, other), unit * values_of(row.feature, bars))


@each
@pytest.mark.parametrize("cut", [1, 16, 200])
def test_resumed_is_continued(row: Row, cut: int) -> None:
    bars = some_bars()
    assert same_bits(values_of(row.feature, bars), values_of(row.feature, bars, stop_at=cut))


@each
def test_a_missing_bar_is_as_if_it_had_never_been(row: Row) -> None:
    bars = some_bars()
    gone = np.zeros(T, dtype=bool)
    gone[[0, 2, 8, 9, 40, 41, 42, 133, 350]] = True
    holes = Bars(bars.ts, *(np.where(gone[:, None], np.nan, c) for c in bars[1:]))
    shorter = Bars(bars.ts[~gone], *(c[~gone] for c in bars[1:]))
    values = values_of(row.feature, holes)
    assert same_bits(values[~gone], values_of(row.feature, shorter))
    if not row.feature.name.startswith(("weekly", "monthly", "latest")):
        assert np.isnan(values[gone]).all()


def test_the_latest_is_carried_on_until_it_is_stale() -> None:
    bars = some_bars()
    known = np.zeros(T, dtype=bool)
    known[[3, 25, 60, 61, 100]] = True
    bars.close[~known, 1] = np.nan
    ages = pd.Series(np.where(known, bars.ts, np.nan)).ffill()
    for days in (1, 10, 10.5, 31, 50, 1000):
        fresh = (bars.ts - ages <= days * DAY).to_numpy()
        wanted = np.where(fresh, pd.Series(bars.close[:, 1]).ffill(), np.nan)
        values = values_of(latest("VIX", days), bars)
        assert same_bits(values, wanted), days
        assert same_bits(compiled_values([latest("VIX", days)], bars)[:, 0], wanted), days
        assert np.isnan(values[:3]).all()
    assert latest("VIX", 3).step is latest("VIX", 99).step


SLOW = (level("UNRATE"), latest("UNRATE", 45))


def test_a_figure_a_month_leaves_nearly_every_row_usable() -> None:
    daily = sp500()
    ends = pd.date_range("1999-01-31 21:00", "2018-12-31 21:00", freq="ME", tz="UTC").as_unit("ns").asi8
    monthly = History.from_arrays(ends, 5.0 + np.arange(len(ends)) / 100, symbols=["UNRATE"]).observe("UNRATE")
    bars = daily.join(monthly, rows="mine")
    columns = Bars(bars.ts, *(getattr(bars, n) for n in Bars._fields[1:6]), np.ones(bars.close.shape))
    seldom, carried = (values_of(feature, columns, symbols=bars.symbols) for feature in SLOW)
    assert [int(np.isfinite(values).sum()) for values in (seldom, carried)] == [240, 5012]
    assert same_bits(carried[np.isfinite(seldom)], seldom[np.isfinite(seldom)])


def test_the_latest_keeps_the_laws_of_a_whole_run() -> None:
    history = ragged_bars(assets=2)
    check_feature(latest(history.symbols[1], 2), history)


def test_a_later_figure_changes_no_row_before_it() -> None:
    bars = some_bars()
    bars.close[np.arange(T) % 21 != 5, 1] = np.nan
    whole = values_of(latest("VIX", 45), bars)
    for cut in (26, 27, 200):
        later = np.where(np.arange(T)[:, None] < cut, bars.close, 3.0 * bars.close)
        changed = values_of(latest("VIX", 45), bars._replace(close=later))
        assert same_bits(changed[:cut], whole[:cut])
        assert not same_bits(changed, whole)


def test_a_coarse_value_stands_while_a_bar_is_missing() -> None:
    bars = some_bars()
    values = values_of(coarse(total_return(1), "week"), bars)
    bars.close[52] = np.nan
    assert values_of(coarse(total_return(1), "week"), bars)[52] == values[52]


@functools.cache
def _door(init: Any, step: Any, width: int) -> Any:
    @compiled
    def path(ts, first, high, low, last, volume, factor, params, out):  # type: ignore[no-untyped-def]
        states = init(params)
        for t in range(ts.size):
            o, h, c = frozen(first[t]), frozen(high[t]), frozen(last[t])
            bars = Bars(ts[t], o, h, frozen(low[t]), c, frozen(volume[t]), frozen(factor[t]))
            states, values = step(states, bars, params)
            for j in range(width):
                out[t, j] = values[j]

    return path


def compiled_values(features: list[Feature], bars: Bars) -> Any:
    together = stack(features)
    out = np.empty((len(bars.ts), len(features)))
    _door(together.init, together.step, len(features))(*bars, resolved(together), out)
    return out


DISTINCT = list({row.feature.step: row.feature for row in TABLE}.values())


@pytest.mark.parametrize("first", range(0, len(DISTINCT), 6))
def test_compiled_equals_interpreted_to_the_bit(first: int) -> None:
    bars, distinct = some_bars(), DISTINCT[first : first + 6]
    for column in bars[1:6]:
        column[[5, 77, 78], 0] = np.nan
        column[[0, 78, 91], 1] = np.nan
    bars.high[100, 0] = np.nan  # a bar with a close and no high
    values = compiled_values(distinct, bars)
    for j, feature in enumerate(distinct):
        assert same_bits(values[:, j], values_of(feature, bars)), feature.name


@each
def test_parameters_are_no_part_of_the_kernel(row: Row) -> None:
    assert isinstance(row.feature.step, Kernel)
    assert isinstance(row.feature.init, Kernel)
    assert sma(3).step is sma(200).step
    assert coarse(sma(3), "week").step is coarse(sma(9), "month").step


@each
def test_the_guide_names_it(row: Row) -> None:
    names = [name for name in library.__all__ if re.search(rf"\b{name}\b", row.feature.name)]
    assert names
    assert all(f"`{name}(" in GUIDE.read_text() for name in names)


def test_the_table_holds_every_feature() -> None:
    made = {n for n in library.__all__ if n not in ("CLOSE", "coarse")}
    names = " ".join(row.feature.name for row in TABLE)
    assert [n for n in sorted(made) if not re.search(rf"\b{n}\b", names)] == []


def test_nothing_drifts_over_100_000_bars_at_prices_of_1e5() -> None:
    n = 100_000
    prices = np.empty((n, 1))
    bars = Bars(np.arange(n) * DAY, prices, prices, prices, prices, prices, np.ones((n, 1)))
    prices[:, 0] = 1e5 + np.cumsum(np.random.default_rng(3).standard_normal(n))
    prices[50_000] = 1e13  # a spike must be forgotten whole
    values = compiled_values([sma(50), rolling_deviation(50), zscore(50)], bars)
    for t in (49, 49_999, 50_050, 73_211, n - 1):
        window = prices[t - 49 : t + 1, 0]
        # Differences from a member are exact here, so that the reference is not the one that rounds.
        near = window - window[0]
        assert values[t, 0] == pytest.approx(window[0] + math.fsum(near) / 50, rel=1e-12)
        assert values[t, 1] == pytest.approx(near.std(ddof=1), rel=1e-9)
        assert values[t, 2] == pytest.approx((near[-1] - near.mean()) / near.std(ddof=1), rel=1e-9)


@pytest.mark.parametrize("price", [0.1, 3.3, 1e5 / 3])
def test_a_price_that_stands_still(price: float) -> None:
    still = np.full((60, 2), price)
    bars = Bars(some_bars(60).ts, still, still, still, still, still, np.ones((60, 2)))

    def last(feature: Feature) -> float:
        return float(values_of(feature, bars)[-1])

    features = (rolling_volatility(20), ewm_volatility(5), rolling_deviation(20), zscore(20), atr(14), drawdown())
    features += (momentum_burst(5, 9), vol_of_vol(9, 9), vol_acceleration(9, 9), downside_deviation(9))
    features += (parkinson(9), garman_klass(9), yang_zhang(9), close_location(), channel_width(9), roll_spread(9))
    features += (corwin_schultz(9), abdi_ranaldo(9), chaikin_money_flow(9), bulk_volume_imbalance(9))
    for feature in features:
        assert last(feature) == 0.0, feature.name
    assert last(volume_ratio(9)) == pytest.approx(1.0, rel=1e-15)
    assert last(sma(7)) == price
    assert last(rsi(14)) == 50.0


def test_a_price_that_is_not_positive_has_no_return() -> None:
    bars = some_bars(20)
    bars.close[10, 0] = -37.63
    for feature in (log_return(), total_return(1)):
        assert np.flatnonzero(np.isnan(values_of(feature, bars))).tolist() == [0, 10, 11]


def test_a_coarse_bar_is_made_of_its_whole_period() -> None:
    bars = some_bars(30)

    def seen(field: str) -> Any:
        def step(state: Any, week: Bars, params: Any) -> Any:
            return state, float(getattr(week, field)[params[0]])

        feature = Feature(lambda _: (), step, (Asset("VIX"),), field)
        return values_of(coarse(feature, "week"), bars)[7]

    week = slice(0, 5)
    assert seen("factor") == 1.0
    assert seen("open") == bars.open[0, 1]
    assert seen("high") == bars.high[week, 1].max()
    assert seen("low") == bars.low[week, 1].min()
    assert seen("close") == bars.close[4, 1]
    assert seen("volume") == pytest.approx(bars.volume[week, 1].sum(), rel=1e-15)


def test_an_adjusted_feature_sees_prices_times_the_factor() -> None:
    bars = some_bars(60)
    bars.factor[30:] = 4.0
    bars.factor[45:] = 5.0
    raw = Bars(bars.ts, *(column / bars.factor for column in bars[1:5]), bars.volume, bars.factor)
    features = [atr(5), rsi(7, of=level("VIX")), sma(9)]
    for feature in features:
        np.testing.assert_allclose(values_of(adjusted(feature), raw), values_of(feature, bars), rtol=1e-12)
    assert same_bits(compiled_values([adjusted(f) for f in features], raw)[:, 2], values_of(adjusted(sma(9)), raw))
    volume = Feature(lambda _: (), lambda state, bar, at: (state, bar.volume[at[0]]), (Asset("VIX"),), "volume")
    assert same_bits(values_of(adjusted(volume), raw), bars.volume[:, 1])
    factor = Feature(lambda _: (), lambda state, bar, at: (state, bar.factor[at[0]]), (Asset("VIX"),), "factor")
    assert (values_of(adjusted(factor), raw) == 1.0).all()
    assert adjusted(sma(3)).step is adjusted(sma(200)).step


def test_friday_does_not_know_its_own_week() -> None:
    bars = some_bars(30)
    values = values_of(coarse(close(), "week"), bars)
    assert np.isnan(values[:5]).all()
    assert (values[5:10] == bars.close[4, 0]).all()
    assert (values[10:15] == bars.close[9, 0]).all()


def test_periods_are_those_of_the_calendar() -> None:
    days = pd.date_range("1899-12-25", "2110-03-05", freq="D", unit="ns") + pd.Timedelta(hours=23, minutes=59)
    assert period_of(4 * DAY, 1) == period_of(4 * DAY - 1, 1) < period_of(4 * DAY + 1, 1)  # 1970-01-05 was a Monday
    for code, name in enumerate(("D", "W-SUN", "M")):
        ours = np.diff([period_of(int(ts), code) for ts in days.asi8])
        theirs = np.diff(days.to_period(name).asi8)
        assert (ours == theirs).all(), name


def test_a_stack_of_a_python_feature_is_python() -> None:
    def step(state: Any, bars: Bars, params: Any) -> Any:
        return state, float(bars.close[0])

    plain = Feature(lambda _: (), step, (), "plain")
    assert not isinstance(stack([log_return(), plain]).step, Kernel)
    assert isinstance(stack([log_return(), sma(3)]).step, Kernel)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: sma(0), "sma: window=0"),
        (lambda: rolling_volatility(1), "rolling_volatility: window=1"),
        (lambda: ewm_volatility(0.0), "half_life=0.0"),
        (lambda: latest("VIX", 0), "latest: stale_after=0; wanted days"),
        (lambda: latest("VIX", math.nan), "latest: stale_after=nan"),
        (lambda: coarse(sma(3), "weeek"), "did you mean 'week'"),
        (lambda: coarse(Feature(sma(3).init, sma(3).step, (), "mine"), "week"), "'mine' names no asset"),
        (lambda: adjusted(Feature(sma(3).init, sma(3).step, (), "mine")), "adjusted: feature 'mine' names no asset"),
        (lambda: stack([]), "the list is empty"),
        (lambda: macd(26, 12), "macd: fast=26 is not below slow=12; wanted fewer bars"),
        (lambda: macd_signal(12, 26, 0), "macd_signal: signal=0 is too short; wanted at least 1"),
        (lambda: stochastic_k(14, 0), "stochastic_k: smooth=0"),
        (lambda: stochastic_d(0), "stochastic_d: window=0"),
        (lambda: bollinger_width(20, 0.0), "bollinger_width: deviations=0.0; wanted a number above 0"),
        (lambda: bollinger_percent_b(20, math.nan), "bollinger_percent_b: deviations=nan"),
        (lambda: momentum_burst(0, 60), "momentum_burst: window=0"),
        (lambda: vol_acceleration(20, 0), "vol_acceleration: lag=0"),
        (lambda: vol_of_vol(60, 1), "vol_of_vol: volatility_window=1"),
        (lambda: downside_deviation(20, math.inf), "downside_deviation: target=inf; wanted a log return a bar"),
        (lambda: yang_zhang(1), "yang_zhang: window=1 is too short; wanted at least 2"),
        (lambda: corwin_schultz(0), "corwin_schultz: window=0"),
        (lambda: rolling_beta("VIX", 1), "rolling_beta: window=1"),
    ],
)
def test_a_mistake_is_named_in_one_line(build: Callable[[], Any], words: str) -> None:
    with pytest.raises(PartError, match=re.escape(words)) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_the_guide_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.S)
    assert blocks
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)
