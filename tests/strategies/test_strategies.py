"""Every strategy by hand-computed cases, and all of them by the same laws."""

from __future__ import annotations

import copy
import functools
import importlib
import math
import re
import tempfile
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, optimize, stats

from barograph.errors import BarographError, ConfigError, DataError, PartError
from barograph.features import close, rolling_volatility
from barograph.features.combine import name_columns
from barograph.jit.kernel import Kernel, compiled, kernel
from barograph.jit.reach import spot
from barograph.jit.views import frozen
from barograph.loop.machine import Machine
from barograph.loop.run import scan
from barograph.regimes.family import ChainNow, ChainPlan, chain_forecast
from barograph.regimes.forecasts import Layout, forecasts_in, layout_of, make_lent
from barograph.regimes.mixture import horizon_mixture
from barograph.testing import check_strategy, some_bars
from barograph.types import HOLD, Bars, Belief, Filter, Portfolio, Strategy
from barograph_strategies.buy_and_hold import buy_and_hold
from barograph_strategies.fixed_positions import fixed_positions
from barograph_strategies.fixed_weights import fixed_weights
from barograph_strategies.protected import protected
from barograph_strategies.regime_filter import regime_filter
from barograph_strategies.regime_leverage import regime_leverage
from barograph_strategies.sma_filter import sma_filter
from barograph_strategies.var_target import var_target
from barograph_strategies.volatility_target import volatility_target
from tests import ROOT

GUIDE = ROOT / "docs" / "strategies.md"
DAY = 86_400_000_000_000
T = 300
STAY = np.array([[0.98, 0.02], [0.05, 0.95]])
MEAN = np.array([0.0006, -0.0008])
VARIANCE = np.array([6e-5, 3e-4])
NAN = math.nan


def fitted(regimes: int = 2) -> Any:
    return SimpleNamespace(regimes=regimes)


def _plan(_params: Any, horizon: int) -> ChainPlan:
    weights, mean, variance = horizon_mixture(STAY, MEAN, VARIANCE, horizon)
    return ChainPlan(np.linalg.matrix_power(STAY, horizon), weights, mean, variance, np.full(mean.size, np.inf))


def _parts(params: Any, horizon: int) -> int:
    return _plan(params, horizon).mean.size


CHAIN = Filter(lambda _: (), lambda state, x, _: (state, x), (), 2, "chain", chain_forecast, _plan, _parts)


def ahead(strategy: Strategy, story: Story) -> tuple[Any, Layout]:
    """What a chain of two regimes forecasts at every bar of a story, and how it lies there."""
    layout, plans = layout_of(CHAIN, strategy.horizons, strategy.name)
    rows = np.full((len(story.ts), layout.width), np.nan)
    for row, probs in zip(rows, story.probs, strict=True):
        for plan, out in zip(plans, forecasts_in(row, layout), strict=True):
            chain_forecast(ChainNow(probs), plan, out.horizon, out)
    return rows, layout


def bound(strategy: Strategy) -> Strategy:
    return strategy if strategy.bind is None else strategy._replace(params=strategy.bind(strategy.params, fitted()))


def replayed() -> Strategy:
    days = pd.date_range("1970-01-02", periods=T, freq="D", name="date")[::3]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "targets.csv"
        pd.DataFrame({"weight": np.linspace(0.0, 1.0, len(days))}, days).to_csv(path)
        return fixed_positions(str(path))


EVERY = {
    "buy_and_hold": (buy_and_hold(0.9), 0.0, 0.9),
    "regime_filter": (regime_filter(0, 0.6, 0.4, dwell=3, otherwise=-0.1), -0.1, 1.0),
    "regime_filter by probability": (regime_filter([0], weighting="probability"), 0.0, 1.0),
    "regime_leverage": (regime_leverage([1.5, 0.3], threshold=0.6, dwell=2), 0.0, 1.5),
    "regime_leverage by probability": (regime_leverage([1.5, 0.3], weighting="probability"), 0.0, 1.5),
    "var_target": (var_target(budget=0.015, cap=1.2, floor=0.2, band=0.05), 0.0, 1.2),
    "var_target by es": (var_target(budget=0.03, measure="es", horizon=5), 0.0, 1.5),
    "volatility_target": (volatility_target(0.12, cap=1.3, floor=0.1), 0.0, 1.3),
    "volatility_target by window": (volatility_target(0.12, rolling_volatility(20), band=0.1), 0.0, 1.5),
    "sma_filter": (sma_filter(50, weight=0.8, otherwise=-0.2), -0.2, 0.8),
    "fixed_positions": (replayed(), 0.0, 1.0),
    "protected": (protected(regime_filter(0, 0.6, 0.4), stop=0.05, take=0.1, pause=3), 0.0, 1.0),
    "protected by distance": (protected(sma_filter(50, otherwise=-0.5), trail=0.08), -0.5, 1.0),
}
each = pytest.mark.parametrize("name", EVERY)


class Story:
    """Bars of one asset, beliefs, and what is held after each bar."""

    def __init__(self, prices: Any, probs: Any = None, held: Any = None) -> None:
        self.close = np.asarray(prices, dtype=np.float64).reshape(len(prices), -1)
        self.ts = (np.arange(len(prices), dtype=np.int64) + 1) * DAY + 21 * 3_600_000_000_000
        self.factor = np.ones_like(self.close)
        self.probs = np.full((len(prices), 2), 0.5) if probs is None else np.asarray(probs, dtype=np.float64)
        self.held = np.zeros_like(self.close) if held is None else np.asarray(held, dtype=np.float64).reshape(-1, 1)


def some_story(seed: int = 5) -> Story:
    random = np.random.default_rng(seed)
    prices = 100.0 * np.exp(np.cumsum(random.standard_t(4, T) * 0.01))
    prices[[7, 70, 71]] = NAN
    p = 1.0 / (1.0 + np.exp(-np.cumsum(random.standard_normal(T))))
    probs = np.column_stack([p, 1.0 - p])
    probs[:20] = NAN
    probs[150] = NAN
    return Story(prices, probs, np.arange(T) > 250)


def observed(strategy: Strategy, story: Story, symbols: tuple[str, ...] = ("A",)) -> Any:
    """What the features that a strategy declares make of a story's prices, which compare for them; () for none."""
    columns: list[list[float]] = []
    for feature in strategy.features:
        params = name_columns(feature.params, lambda asset: symbols.index(asset.symbol) if asset.symbol else 0)
        state, ones, numbers = feature.init(params), np.ones(len(symbols)), []
        for t in range(len(story.ts)):
            prices = frozen(story.close[t] * story.factor[t])
            state, number = feature.step(state, Bars(int(story.ts[t]), *[prices] * 5, ones), params)
            numbers.append(number)
        columns.append(numbers)
    return frozen(np.array(columns).T.copy()) if columns else [()] * len(story.ts)


def told(strategy: Strategy, story: Story, symbols: tuple[str, ...] = ("A",), stop_at: int | None = None) -> Any:
    """Run a strategy in plain Python; with `stop_at`, go on from a deep copy of the state at that bar."""
    params = name_columns(strategy.params, lambda asset: symbols.index(asset.symbol) if asset.symbol else 0)
    state, answers = strategy.init(params), []
    rows, layout = ahead(strategy, story)
    own = observed(strategy, story, symbols)
    for t in range(len(story.ts)):
        if t == stop_at:
            state = copy.deepcopy(state)
        prices = frozen(story.close[t])
        bars = Bars(int(story.ts[t]), prices, prices, prices, prices, prices, frozen(story.factor[t]))
        account = Portfolio(1.0, 1.0, frozen(story.held[t]), prices)
        belief = Belief(frozen(story.probs[t]), 0.0, forecasts_in(frozen(rows[t]), layout), own[t])
        state, target = strategy.step(state, bars, belief, account, params)
        answers.append(np.copy(target.weights))
    return np.array(answers, dtype=np.float64)


@functools.cache
def _door(init: Any, step: Any, horizons: int, declares: bool) -> Any:
    lent = make_lent(horizons)
    shown = kernel(lambda own, t: frozen(own[t])) if declares else kernel(lambda _own, _t: ())

    @compiled
    def path(ts, last, factor, probs, held, params, out, forecasts, width, table, own):  # type: ignore[no-untyped-def]
        state = init(params)
        for t in range(ts.size):
            prices = frozen(last[t])
            bars = Bars(ts[t], prices, prices, prices, prices, prices, frozen(factor[t]))
            account = Portfolio(1.0, 1.0, frozen(held[t]), prices)
            expected = lent(forecasts + 8 * t * width, table, probs.shape[1], 0, 1, 0)
            belief = Belief(frozen(probs[t]), 0.0, expected, shown(own, t))
            state, target = step(state, bars, belief, account, params)
            out[t] = target.weights

    return path


def compiled_path(strategy: Strategy, story: Story, params: Any, out: Any) -> None:
    rows, layout = ahead(strategy, story)
    bars = (story.ts, story.close, story.factor, story.probs, story.held)
    path = _door(strategy.init, strategy.step, layout.horizons, bool(strategy.features))
    own = np.array(observed(strategy, story)) if strategy.features else np.empty((0, 0))
    path(*bars, params, out, spot(rows), layout.width, spot(layout.table), own)


@each
def test_compiled_equals_interpreted_to_the_bit(name: str) -> None:
    strategy, story = bound(EVERY[name][0]), some_story()
    assert isinstance(strategy.step, Kernel)
    out = np.empty(T)
    params = name_columns(strategy.params, lambda _: 0)
    compiled_path(strategy, story, params, out)
    assert np.array_equal(out, told(strategy, story))


@each
@pytest.mark.parametrize("cut", [1, 30, 149])
def test_resumed_is_continued_and_the_future_cannot_change_the_past(name: str, cut: int) -> None:
    strategy, story = bound(EVERY[name][0]), some_story()
    whole = told(strategy, story)
    assert np.array_equal(whole, told(strategy, story, stop_at=cut))
    other = some_story()
    other.close[cut:] *= 2.0
    other.probs[cut:] = other.probs[cut:, ::-1].copy()
    assert np.array_equal(whole[:cut], told(strategy, other)[:cut])


@each
def test_answers_are_weights_within_bounds(name: str) -> None:
    strategy, low, high = EVERY[name]
    answers = told(bound(strategy), some_story())
    assert ((answers == HOLD) | ((answers >= low) & (answers <= high))).all()
    assert len(set(answers.tolist())) > 1


@each
def test_parameters_are_no_part_of_the_kernel(name: str) -> None:
    fresh = {
        "regime_filter": regime_filter([1, 0], 0.9),
        "regime_leverage": regime_leverage([1.0, 0.0, 0.0]),
        "var_target": var_target(0.01, 0.05, 9),
        "volatility_target": volatility_target(0.3),
        "sma_filter": sma_filter(9),
    }.get(name)
    assert fresh is None or fresh.step is EVERY[name][0].step


def test_buy_and_hold_asks_until_it_holds() -> None:
    answers = told(buy_and_hold(0.7), Story([1.0] * 4, held=[0.0, 0.0, 12.5, 12.5]))
    assert answers.tolist() == [0.7, 0.7, HOLD, HOLD]


def calm(p: list[float]) -> Story:
    return Story([1.0] * len(p), np.column_stack([p, 1.0 - np.array(p)]))


@pytest.mark.parametrize(
    ("strategy", "p", "wanted"),
    [
        (regime_filter(), [0.4, 0.5, 0.51, 0.5], [0.0, 0.0, 1.0, 0.0]),
        (regime_filter(calm=1, otherwise=0.2), [0.4, 0.6], [1.0, 0.2]),
        (regime_filter(calm=[0, 1], threshold=0.9), [0.1, 0.9], [1.0, 1.0]),
        (regime_filter(threshold=0.7, exit_threshold=0.3), [0.6, 0.71, 0.4, 0.3, 0.6, 0.8], [0, 1, 1, 0, 0, 1]),
        (regime_filter(dwell=3), [0.9, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9], [1, 1, 1, 0, 0, 0, 1]),
        (regime_filter(), [NAN, 0.9, NAN, 0.1, NAN], [0, 1, 1, 0, 0]),
        (
            regime_filter(weight=2.0, otherwise=0.5, weighting="probability"),
            [NAN, 0.5, 1.0, NAN],
            [0.5, 1.25, 2.0, 2.0],
        ),
        (regime_leverage(), [NAN, 0.5, 0.49, NAN, 0.6], [0.0, 1.5, 0.3, 0.3, 1.5]),
        (regime_leverage(threshold=0.7), [0.4, 0.7, 0.71, 0.4, 0.2], [0.3, 0.3, 1.5, 1.5, 0.3]),
        (regime_leverage(dwell=2), [0.9, 0.1, 0.9, 0.1, 0.1], [1.5, 1.5, 1.5, 0.3, 0.3]),
        (regime_leverage([2.0, -1.0], "probability"), [NAN, 1.0, 0.25], [0.0, 2.0, -0.25]),
    ],
)
def test_regimes_by_hand(strategy: Strategy, p: list[float], wanted: list[float]) -> None:
    assert told(strategy, calm(p)).tolist() == pytest.approx(wanted, abs=1e-15)


@pytest.mark.parametrize(
    "strategy", [regime_filter(2), regime_filter(2, weighting="probability"), regime_leverage([1.0, 0.5, 0.0])]
)
def test_a_regime_the_model_has_not_is_refused(strategy: Strategy) -> None:
    assert strategy.bind is not None
    with pytest.raises(ConfigError, match="the model has 2 regimes"):
        strategy.bind(strategy.params, fitted(2))
    # A filter without a fitted model: no bind, so the engine is told by NaN.
    assert np.isnan(told(strategy, calm([0.5, 0.5]))).all()


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("p", [0.02, 0.6, 1.0])
def test_the_var_weight_has_a_var_of_the_budget(p: float, horizon: int) -> None:
    weight = told(bound(var_target(0.05, 0.004, horizon, cap=9.0)), calm([p]))[0]
    mixed, mean, variance = _mixture(p, horizon)

    def beyond(loss: float) -> float:
        return float(mixed @ stats.norm.cdf((math.log1p(-loss / weight) - mean) / np.sqrt(variance)))

    assert beyond(0.004) == pytest.approx(0.05, rel=1e-9)


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("p", [0.02, 0.6, 1.0])
def test_the_es_weight_has_an_es_of_the_budget(p: float, horizon: int) -> None:
    weight = told(bound(var_target(0.05, 0.004, horizon, "es", cap=9.0)), calm([p]))[0]
    mixed, mean, variance = _mixture(p, horizon)
    deviation = np.sqrt(variance)
    q = optimize.brentq(lambda x: float(mixed @ stats.norm.cdf((x - mean) / deviation)) - 0.05, -1.0, 1.0, xtol=1e-15)
    loss, _ = integrate.quad(
        lambda r: (1.0 - math.exp(r)) * float(mixed @ (stats.norm.pdf((r - mean) / deviation) / deviation)),
        -0.6, q, epsabs=1e-14, epsrel=1e-12, limit=200, points=[-0.1],
    )  # fmt: skip
    assert weight * loss / 0.05 == pytest.approx(0.004, rel=1e-7)


def _mixture(p: float, horizon: int) -> tuple[Any, Any, Any]:
    """The h-bar sum of log returns by walking all paths of regimes: weights, means and variances."""
    paths = [(w, 0.0, 0.0, k) for k, w in enumerate((p, 1.0 - p))]
    for _ in range(horizon):
        paths = [(w * STAY[k, j], m + MEAN[j], v + VARIANCE[j], j) for w, m, v, k in paths for j in (0, 1)]
    weights, mean, variance, _ = (np.array(column) for column in zip(*paths, strict=True))
    return weights, mean, variance


def test_var_target_keeps_to_cap_floor_and_band() -> None:
    free = told(bound(var_target(budget=0.02, cap=99.0)), calm([1.0, 0.9, 0.0]))
    kept = told(bound(var_target(budget=0.02, cap=1.2, floor=1.0)), calm([1.0, 0.9, 0.0]))
    assert kept.tolist() == np.clip(free, 1.0, 1.2).tolist()
    step = free[0] - free[1]
    assert told(bound(var_target(budget=0.02, cap=99.0, band=1.01 * step)), calm([1.0, 0.9]))[1] == free[0]
    assert told(bound(var_target(budget=0.02, cap=99.0, band=0.99 * step)), calm([1.0, 0.9]))[1] == free[1]


def test_var_target_without_a_loss_is_at_its_cap() -> None:
    assert told(bound(var_target(level=0.9, cap=1.4)), calm([0.5])).tolist() == [1.4]


def test_var_target_needs_a_model() -> None:
    with pytest.raises(PartError, match="strategy var_target reads forecasts, and filter none has none"):
        scan(Machine(strategy=var_target()), some_bars())
    assert told(var_target(), calm([NAN])).tolist() == [0.0]


def test_volatility_target_by_hand() -> None:
    prices = [100.0, 101.0, 100.0, 101.0, 101.0, NAN, 101.0, 101.0]
    r = math.log(1.01)
    strategy = volatility_target(0.1, rolling_volatility(2), cap=5.0, floor=0.2, periods=250.0)
    first = 0.1 / math.sqrt(250.0) / np.std([r, -r], ddof=1)
    third = 0.1 / math.sqrt(250.0) / np.std([r, 0.0], ddof=1)
    assert told(strategy, Story(prices)).tolist() == pytest.approx([0, 0, first, first, third, third, 5.0, 5.0])
    assert first > 0.2


def test_sma_filter_by_hand() -> None:
    prices = [1.0, 2.0, 3.0, 3.0, 3.0, 3.0, NAN, 2.0, 4.0, NAN]
    answers = told(sma_filter(3, weight=0.9, otherwise=0.1), Story(prices))
    assert answers.tolist() == [0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.9, 0.9]


def test_sma_filter_of_another_asset() -> None:
    prices = np.column_stack([np.full(4, 5.0), [1.0, 2.0, 3.0, 1.0]])
    assert told(sma_filter(2, of=close("B")), Story(prices), ("A", "B")).tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("name", ["sma_filter", "volatility_target", "volatility_target by window"])
def test_a_split_and_a_dividend_are_no_move(name: str) -> None:
    strategy, whole, raw = EVERY[name][0], some_story(), some_story()
    for story in (whole, raw):
        story.factor[100:] = 4.0
        story.factor[200:] *= 1.125
    raw.close = whole.close / raw.factor
    whole.factor[:] = 1.0
    answers = told(strategy, raw)
    np.testing.assert_allclose(answers, told(strategy, whole), rtol=1e-11)
    out, params = np.empty(T), name_columns(strategy.params, lambda _: 0)
    compiled_path(strategy, raw, params, out)
    assert np.array_equal(out, answers)


def guarded(strategy: Strategy, story: Story) -> list[list[float]]:
    """Run a strategy that answers with protection; return weight, stop, take and trail at each bar."""
    params = name_columns(strategy.params, lambda _: 0)
    state, rows = strategy.init(params), []
    for t in range(len(story.ts)):
        prices = frozen(story.close[t])
        bars = Bars(int(story.ts[t]), prices, prices, prices, prices, prices, frozen(story.factor[t]))
        account = Portfolio(1.0, 1.0, frozen(story.held[t]), prices)
        state, answer = strategy.step(state, bars, Belief(frozen(story.probs[t]), 0.0), account, params)
        rows.append([float(value) for value in answer])
    return rows


def told_so(prices: list[float], p: list[float], held: list[float]) -> Story:
    return Story(prices, np.column_stack([p, 1.0 - np.array(p)]), held)


def test_protection_stands_where_the_entry_was_decided() -> None:
    rule = protected(regime_filter(), stop=0.1, take=0.2, trail=0.3)
    rows = guarded(rule, told_so([100.0, 110.0, 120.0, 130.0], [0.9] * 4, [0.0, 0.0, 5.0, 5.0]))
    assert [row[0] for row in rows] == [1.0] * 4
    # Not filled at the second close: the levels follow until it is; then they stay.
    assert [row[1] for row in rows] == pytest.approx([90.0, 99.0, 99.0, 99.0])
    assert [row[2] for row in rows] == pytest.approx([120.0, 132.0, 132.0, 132.0])
    assert {row[3] for row in rows} == {0.3}


def test_a_short_is_protected_from_above() -> None:
    rows = guarded(protected(regime_leverage([1.0, -1.0]), stop=0.1, take=0.2), told_so([100.0], [0.1], [0.0]))
    assert rows[0][:3] == [-1.0, pytest.approx(110.0), pytest.approx(80.0)]
    assert math.isnan(rows[0][3])


@pytest.mark.parametrize(
    ("pause", "p", "wanted"),
    [
        (0, [0.9, 0.9, 0.9, 0.9, 0.9, 0.9], [1, 1, 0, 0, 0, 0]),
        (0, [0.9, 0.9, 0.9, 0.1, 0.9, 0.9], [1, 1, 0, 0, 1, 1]),
        (2, [0.9, 0.9, 0.9, 0.9, 0.9, 0.9], [1, 1, 0, 0, 1, 1]),
    ],
)
def test_what_a_leg_has_closed_stays_closed(pause: int, p: list[float], wanted: list[float]) -> None:
    rule = protected(regime_filter(), stop=0.1, pause=pause)
    rows = guarded(rule, told_so([100.0] * 6, p, [0.0, 5.0, 0.0, 0.0, 0.0, 0.0]))
    assert [row[0] for row in rows] == wanted


def test_a_rule_that_left_by_itself_may_come_back() -> None:
    rule = protected(regime_filter(), stop=0.1)
    rows = guarded(rule, told_so([100.0] * 4, [0.9, 0.1, 0.9, 0.9], [0.0, 5.0, 0.0, 5.0]))
    assert [row[0] for row in rows] == [1.0, 0.0, 1.0, 1.0]


def test_a_rule_that_holds_stays_protected() -> None:
    rows = guarded(protected(buy_and_hold(), stop=0.1), told_so([100.0, 90.0, 80.0], [0.9] * 3, [0.0, 5.0, 0.0]))
    assert [row[0] for row in rows] == [1.0, HOLD, 0.0]
    assert [row[1] for row in rows] == pytest.approx([90.0] * 3)


def test_levels_go_through_a_split_with_the_price() -> None:
    story = told_so([100.0, 50.0, 50.0], [0.9] * 3, [0.0, 10.0, 10.0])
    story.factor[1:] = 2.0
    assert [row[1] for row in guarded(protected(regime_filter(), stop=0.1), story)] == pytest.approx([90.0, 45.0, 45.0])


def test_a_protected_rule_is_bound_to_each_fit() -> None:
    rule = protected(regime_leverage([1.0, 0.5, 0.0]), stop=0.1)
    assert rule.bind is not None
    with pytest.raises(ConfigError, match="the model has 2 regimes"):
        rule.bind(rule.params, fitted())
    assert protected(buy_and_hold(), stop=0.1).bind is None
    assert protected(var_target(horizon=3), stop=0.1).horizons == (3,)


def test_fixed_weights_are_restored_when_a_month_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    check_strategy(fixed_weights([0.6, 0.4]), history=some_bars(assets=2))
    answers = told(fixed_weights([0.7]), Story([1.0] * 62, held=[1.0] * 62))
    # The first day, and then the first of February and of March.
    assert np.flatnonzero(answers[:, 0] == 0.7).tolist() == [0, 30, 58]
    assert set(answers[:, 0].tolist()) == {0.7, HOLD}


@pytest.mark.parametrize("name", ["protected", "protected by distance"])
def test_protection_keeps_the_laws_in_a_whole_machine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    check_strategy(EVERY[name][0]._replace(bind=None))


def test_fixed_positions_by_date(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("day,class\n1970-01-04,1\n1970-01-02,0\n")
    strategy = fixed_positions(str(tmp_path / "p.csv"), "class", time="day", map={"0": 1.5, "1": 0.3})
    assert told(strategy, Story([1.0] * 4)).tolist() == [1.5, HOLD, 0.3, HOLD]
    midnight = Story([1.0] * 4)
    midnight.ts = (np.arange(4, dtype=np.int64) + 2) * DAY
    assert told(strategy, midnight).tolist() == [1.5, HOLD, 0.3, HOLD]


def test_fixed_positions_by_time_and_zone(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("date,weight\n1970-01-02T16:00:00-05:00,0.5\n1970-01-03T21:00:01,0.7\n")
    strategy = fixed_positions(str(tmp_path / "p.csv"), match="time")
    assert told(strategy, Story([1.0] * 3)).tolist() == [0.5, HOLD, HOLD]


def test_fixed_positions_for_each_asset_from_parquet(tmp_path: Path) -> None:
    days = pd.DatetimeIndex(["1970-01-02", "1970-01-03"], name="date")
    pd.DataFrame({"a": [0.1, 0.2], "c": [0.3, 0.4]}, days).to_parquet(tmp_path / "p.parquet")
    strategy = fixed_positions(str(tmp_path / "p.parquet"), {"C": "c", "A": "a"})
    answers = told(strategy, Story(np.ones((3, 3))), ("A", "B", "C"))
    assert answers.tolist() == [[0.1, HOLD, 0.3], [0.2, HOLD, 0.4], [HOLD, HOLD, HOLD]]


@pytest.mark.parametrize(
    ("text", "keys", "error", "words"),
    [
        ("date,weight\n2020-01-02,1\n", {"column": "wieght"}, ConfigError, "no column 'wieght'; found date, weight"),
        ("date,weight\n2020-01-02,1\n2020-01-03,x\n", {}, DataError, "row 2: 'x' in column 'weight'; wanted a number"),
        ("date,weight\n2020-01-02,1\n2020-01-03,\n", {}, DataError, "row 2: nan in column 'weight'; wanted a number"),
        ("date,weight\n2020-01-02,inf\n", {}, DataError, "row 1: inf in column"),
        ("date,weight\n2020-01-02,2\n", {"map": {"0": 1.0}}, DataError, "wanted one of the classes of map: 0"),
        ("date,weight\n02.01.2020,1\n", {}, DataError, "row 1: '02.01.2020' in column 'date' is no ISO 8601 time"),
        ("date,weight\n2020-01-02,1\n2020-01-05,1\n2020-01-02,0\n", {}, DataError, "row 3: the same date as row 1"),
        ("date,weight\n2020-01-02,1\n", {"match": "dates"}, ConfigError, "did you mean 'date'"),
        ("date,weight\n2020-01-02,1\n", {"column": {}}, ConfigError, "names no asset"),
    ],
)
def test_a_file_that_cannot_be_replayed(tmp_path: Path, text: str, keys: Any, error: type, words: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(error, match=re.escape(words)) as caught:
        fixed_positions(str(tmp_path / "p.csv"), **keys)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("factory", "keys", "words"),
    [
        (fixed_positions, {"path": "nowhere.csv"}, "no file nowhere.csv"),
        (fixed_positions, {"path": __file__}, "neither .csv nor .parquet"),
        (regime_filter, {"threshold": 0.4, "exit_threshold": 0.6}, "exit_threshold <= threshold"),
        (regime_filter, {"dwell": 0}, "dwell=0"),
        (regime_filter, {"calm": []}, "calm=[]"),
        (regime_filter, {"calm": [0, 0]}, "calm=[0, 0]"),
        (regime_filter, {"weighting": "treshold"}, "did you mean 'threshold'"),
        (regime_leverage, {"weights": []}, "weights=[]"),
        (regime_leverage, {"weighting": "most_likly"}, "did you mean 'most_likely'"),
        (protected, {"of": buy_and_hold()}, "none of stop, take, trail"),
        (protected, {"of": buy_and_hold(), "stop": 1.0}, "stop=1.0; wanted a fraction between 0 and 1"),
        (protected, {"of": buy_and_hold(), "take": -0.1}, "take=-0.1; wanted a fraction above 0"),
        (protected, {"of": buy_and_hold(), "trail": 0.1, "pause": -1}, "pause=-1"),
        (var_target, {"level": 1.5}, "level=1.5"),
        (var_target, {"measure": "cvar"}, "measure='cvar'"),
        (var_target, {"floor": 2.0}, "floor=2.0"),
        (volatility_target, {"target": 0.0}, "target=0.0"),
        (volatility_target, {"band": -0.1}, "band=-0.1"),
    ],
)
def test_a_value_that_cannot_be_meant(factory: Any, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(BarographError, match=re.escape(words)) as caught:
        factory(**keys)
    assert "\n" not in str(caught.value)


def made(table: Any) -> Any:
    """Build the part that a piece of config stands for."""
    if not isinstance(table, dict) or "use" not in table:
        return table
    module, _, factory = table["use"].partition(":")
    keys = {key: made(value) for key, value in table.items() if key != "use"}
    return getattr(importlib.import_module(module), factory)(**keys)


def test_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # Compiling a whole machine for the guide's example takes half a minute; its laws are the same in plain Python.
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    (tmp_path / "predictions.csv").write_text("date,pred\n2020-01-02,0\n2020-01-03,1\n")
    text = GUIDE.read_text()
    names = {made(tomllib.loads(block)["strategy"]).name for block in re.findall(r"```toml\n(.*?)```", text, re.S)}
    assert names == {name.split(" ")[0] for name in EVERY} | {"fixed_weights"}
    scope: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(compile(block, str(GUIDE), "exec"), scope)
    assert "mine" in scope
