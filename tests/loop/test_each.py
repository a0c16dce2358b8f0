"""A belief an asset: one filter for each traded asset, beside what a machine with one belief for all does."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.audit.lags import run_late
from barograph.audit.lookahead import audit
from barograph.data.history import FIELDS, History
from barograph.errors import ConfigError, PartError
from barograph.features import close, ewm_volatility, log_return
from barograph.loop.fit import Fit
from barograph.loop.live import Live
from barograph.loop.machine import Machine, strategy
from barograph.loop.result import Result
from barograph.loop.run import learn, replay, scan
from barograph.loop.world import World
from barograph.regimes import saved
from barograph.regimes.fitted import Fitted
from barograph.testing import check_machine, coin, interpreted, same, some_bars
from barograph.types import Strategy
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.student_panel import fit_panel, student_panel
from barograph_strategies.buy_and_hold import buy_and_hold
from barograph_strategies.protected import protected
from barograph_strategies.regime_filter import regime_filter
from barograph_strategies.regime_leverage import regime_leverage
from barograph_strategies.sma_filter import sma_filter
from barograph_strategies.var_target import var_target
from barograph_strategies.volatility_target import volatility_target

BARS = some_bars(100, assets=3, missing=0.1, seed=2)
TERMS = bg.Terms(leverage=10.0, maintenance=0.0)

RULES = {
    "regime_filter": lambda: regime_filter(threshold=0.6, exit_threshold=0.4, dwell=2),
    "regime_filter, by probability": lambda: regime_filter(weighting="probability"),
    "regime_leverage": lambda: regime_leverage([1.2, 0.2]),
    "var_target": lambda: var_target(horizon=3),
    "volatility_target": lambda: volatility_target(periods=252.0, band=0.05),
    "sma_filter": lambda: sma_filter(8),
    "protected": lambda: protected(regime_filter(), stop=0.02, take=0.03),
}


# What costs seconds to compile is held to the laws of compiled rules by the others.
PLAIN = {"regime_filter, by probability", "regime_leverage", "sma_filter"}


def run_of(name: str, of: Machine, history: History) -> Result:
    return (interpreted if name in PLAIN else scan)(of, history)


@bg.kernel
def _by_all(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    for a in range(state.size):
        p = belief.probs[a, 0]
        weight = (p if p == p else 0.0) * 0.5
        if belief.logpdf[a] == belief.logpdf[a]:
            weight += 0.01 * belief.logpdf[a]
        for m in range(belief.forecasts[0].weights.shape[1]):
            part = belief.forecasts[0].weights[a, m] * belief.forecasts[0].variance[a, m]
            weight += part if part == part else 0.0
        state[a] = weight
    return state, bg.Target(state)


@bg.kernel
def _three(params: Any) -> Any:
    return np.zeros(3)


def by_all(plain: bool = False) -> Strategy:
    init, step = (_three.py_func, _by_all.py_func) if plain else (_three, _by_all)
    return strategy(step, init=init, name="by_all", horizons=(2,), reads="all")


def in_python(rule: Strategy) -> Strategy:
    """The same rule, run as plain Python between the halves of a bar."""
    return rule._replace(init=rule.init.py_func, step=rule.step.py_func)  # type: ignore[attr-defined]


def machine(rule: Strategy, **given: Any) -> Machine:
    believes = {} if "model" in given else {"filter": coin()}
    return Machine(strategy=rule, each=given.pop("each", True), terms=TERMS, **believes, **given)


def turned(history: History, order: list[int], **other: Any) -> History:
    columns = {name: np.ascontiguousarray(getattr(history, name)[:, order]) for name in FIELDS}
    named = {name: tuple(getattr(history, name)[a] for a in order) for name in ("symbols", "traded")}
    return replace(history, **(columns | named | other))


def fitted(history: History = BARS) -> Fitted:
    return learn(machine(regime_filter(), model=student_panel(starts=1), fit=Fit(window=90)), history)


def probs(run: Result) -> Any:
    return run.filtered.probs


@pytest.mark.parametrize("name", RULES)
def test_one_asset_with_a_belief_of_its_own_is_one_belief(name: str) -> None:
    history = some_bars(80, seed=5)
    one, each = (run_of(name, machine(RULES[name](), each=each), history) for each in (False, True))
    assert one.arrays.beliefs.shape == each.arrays.beliefs.shape
    assert same(one, each)
    assert one.arrays.ahead.tobytes() == each.arrays.ahead.tobytes()


@pytest.mark.parametrize("name", RULES)
def test_assets_that_are_alike_are_believed_and_sized_alike(name: str) -> None:
    history = turned(some_bars(60, seed=6), [0, 0, 0], symbols=("X", "Y", "Z"))
    run = run_of(name, machine(RULES[name]()), history)
    assert (probs(run) == probs(run)[:, :1]).all()
    assert (run.arrays.weights == run.arrays.weights[:, :1]).all()
    assert run.arrays.weights.any() or "protected" in run.machine.strategy.name


@pytest.mark.parametrize(
    "rule",
    [
        RULES["regime_filter"](),
        RULES["var_target"](),
        RULES["volatility_target"](),
        RULES["protected"](),
        in_python(RULES["var_target"]()),
        by_all(),
        by_all(plain=True),
    ],
    ids=["regime_filter", "var_target", "volatility_target", "protected", "in Python", "all", "all in Python"],
)
def test_all_loops_agree(rule: Strategy) -> None:
    history = some_bars(70, assets=3, seed=7, actions=True)
    check_machine(machine(rule, features=[log_return(), ewm_volatility(5.0)]), history, cuts=(20,))


def test_python_and_compiled_rules_agree() -> None:
    for rule in (RULES["var_target"](), by_all()):
        assert same(scan(machine(rule), BARS), scan(machine(in_python(rule)), BARS))


def test_what_each_sees_is_named() -> None:
    run = scan(machine(regime_filter(), features=[log_return(), log_return(close("A2"))]), BARS)
    X = run.arrays.features.reshape(len(BARS), 3, 2)
    moves = np.diff(np.log(BARS.close[:, 1]))
    there = np.isfinite(moves)
    np.testing.assert_allclose(X[1:, 1, 0][there], moves[there], atol=1e-12)
    # What names an asset is that asset's for all.
    np.testing.assert_array_equal(X[:, 0, 1], X[:, 2, 0])
    np.testing.assert_array_equal(X[:, 0, 1], X[:, 1, 1])


def test_permuting_the_assets_permutes_the_answers() -> None:
    model, order = fitted(), [2, 0, 1]
    run = scan(machine(var_target(), model=model), BARS)
    other = scan(machine(var_target(), model=model), turned(BARS, order))
    assert probs(other).tobytes() == np.ascontiguousarray(probs(run)[:, order]).tobytes()
    assert (other.filtered.logpdf == run.filtered.logpdf[:, order]).all()
    # Prices add up in another order, weights are those of the same rule.
    np.testing.assert_allclose(other.arrays.weights, run.arrays.weights[:, order], rtol=1e-9)


def test_an_assets_belief_is_its_own() -> None:
    model = fitted()
    run = scan(machine(regime_filter(), model=model), BARS)
    moved = {name: getattr(BARS, name).copy() for name in FIELDS}
    for column in moved.values():
        column[50:, 1] *= 1.5
    other = scan(machine(regime_filter(), model=model), replace(BARS, **moved))
    assert (probs(other)[:, [0, 2]] == probs(run)[:, [0, 2]]).all()
    assert (probs(other)[50:, 1] != probs(run)[50:, 1]).any()
    # Each is what the asset's own fit says of it alone.
    for a, symbol in enumerate(BARS.symbols):
        alone = model.of_asset(symbol).filter_path(run.arrays.features[:, a : a + 1])
        assert (probs(run)[:, a] == alone.probs).all()
        assert (run.filtered.logpdf[:, a] == alone.logpdf).all()


def test_a_missing_bar_leaves_its_assets_prediction() -> None:
    model, columns = fitted(), {name: getattr(BARS, name).copy() for name in FIELDS}
    for column in columns.values():
        column[60:65, 1] = np.nan
    run = scan(machine(regime_filter(), model=model), replace(BARS, **columns))
    P, transition = probs(run), model.transition
    assert transition is not None
    for t in range(60, 65):
        np.testing.assert_allclose(P[t, 1], P[t - 1, 1] @ transition, rtol=1e-12)
        assert run.filtered.logpdf[t, 1] == 0.0
    assert (run.filtered.logpdf[60:65, 0] != 0.0).any()


def test_what_is_observed_is_not_believed_about() -> None:
    model = fitted()
    named = {"symbols": ("A0", "VIX", "A1", "A2"), "traded": (True, False, True, True)}
    seen = turned(BARS, [0, 0, 1, 2], **named)
    run, other = (scan(machine(regime_filter(), model=model), history) for history in (BARS, seen))
    assert (probs(other)[:, [0, 2, 3]] == probs(run)).all()
    assert np.isnan(probs(other)[:, 1]).all()
    assert set(other.tables["beliefs"]["symbol"]) == {"A0", "A1", "A2"}
    assert other.tables["equity"].equals(run.tables["equity"])


def test_a_panel_is_learned_again_and_again_and_all_loops_agree(tmp_path: Path) -> None:
    learning = machine(regime_filter(), model=student_panel(starts=1), fit=Fit(window=50, every=20))
    check_machine(learning, BARS, cuts=(75,))
    run = scan(learning, BARS)
    assert [fit.refused for fit in run.fits] == [""] * len(run.fits)
    assert all(fit.fitted.symbols == ("A0", "A1", "A2") for fit in run.fits)
    assert run.fits[1].match is not None
    live = Live(learning, BARS.head(run.first + 1), start=run.first)
    beliefs = [live.step().belief]
    for t in range(run.first + 1, len(BARS)):
        if t == 80:
            live.world().save(tmp_path / "world")
            world = World.load(tmp_path / "world")
            live = Live(learning, BARS.head(t), run.first, replace(world, memory=world.memory))
        live.append(BARS.slice(t, t + 1))
        beliefs.append(live.step().belief)
    assert np.array(beliefs).tobytes() == run.arrays.beliefs.tobytes()


def test_the_asset_that_is_whole_last_is_waited_for() -> None:
    columns = {name: getattr(BARS, name).copy() for name in FIELDS}
    for column in columns.values():
        column[:30, 1] = np.nan
    learning = machine(regime_filter(), model=student_panel(starts=1), fit=Fit(window=40))
    run = scan(learning, replace(BARS, **columns))
    there = np.cumsum(np.isfinite(run.arrays.features), axis=0)
    assert run.first == int((there < 40).sum(axis=0).max()) + 1
    assert np.argmin(there[run.first]) == 1


def test_a_saved_panel_knows_its_assets(tmp_path: Path) -> None:
    model = fitted()
    model.save(tmp_path / "panel.fit")
    again = saved(str(tmp_path / "panel.fit"))
    assert again.symbols == ("A0", "A1", "A2")
    runs = [scan(machine(regime_filter(), model=one), BARS) for one in (model, again)]
    assert same(*runs)
    live = replay(machine(regime_filter(), model=again), BARS)
    assert runs[0].arrays.beliefs.tobytes() == live.arrays.beliefs.tobytes()
    with pytest.raises(PartError, match="student_panel was fitted on A0, A1, A2, not on B"):
        scan(machine(regime_filter(), model=model), replace(BARS, symbols=("A0", "A1", "B")))


def test_a_trigger_and_a_window_see_every_asset() -> None:
    seen: list[Any] = []

    def trigger(close: Any) -> bool:
        seen.append((close.probs.shape, close.logpdf.shape, close.features.shape))
        return close.since_fit == 15

    learning = machine(regime_filter(), model=student_panel(starts=1), fit=Fit(50, every="never", trigger=trigger))
    run = scan(learning, BARS.head(80))
    assert set(seen) == {((3, 2), (3,), (3,))}
    assert [fit.asked for fit in run.fits[1:]] == ["trigger"] * (len(run.fits) - 1)
    assert len(run.fits) > 1


def test_what_is_wrong_in_one_asset_is_told_by_its_name() -> None:
    returns = np.random.default_rng(0).normal(0.0, 0.01, (300, 2))
    returns[:, 1] = 100.0 + np.cumsum(returns[:, 1])
    found = fit_panel(bg.window({"AAA": returns[:, :1], "BBB": returns[:, 1:]}))
    assert any(told.startswith("BBB: feature 0 is near a unit root") for told in found.degeneracies)
    assert not any(told.startswith("AAA: ") for told in found.degeneracies)


def one_only(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state, bg.Target(1.0 if belief.probs[0] > 0.5 else 0.0)


def of_arrays(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state, bg.Target(np.ones(3))


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="each = true, a belief an asset, and model gaussian_hmm learns from one table"
    ):
        machine(regime_filter(), model=gaussian_hmm(states=2), fit=Fit(50))
    with pytest.raises(ConfigError, match="student_panel is one for several assets, and there is one belief for all"):
        machine(regime_filter(), model=student_panel(), fit=Fit(50), each=False)
    with pytest.raises(ConfigError, match="each = true, a belief an asset, and there is no model"):
        Machine(strategy=regime_filter(), each=True)
    with pytest.raises(
        ConfigError, match=r'strategy one_only reads one belief, and each = true gives one an asset; .*"own"'
    ):
        machine(strategy(one_only))
    with pytest.raises(ConfigError, match="strategy by_all reads a belief an asset, and there is one for all"):
        machine(by_all(), each=False)
    with pytest.raises(ConfigError, match="strategy one_only: reads is 'ones'; wanted one or own or all or none"):
        machine(strategy(one_only, reads="ones"))
    with pytest.raises(PartError, match='strategy of_arrays reads="own" and answers with Target of ndarray'):
        scan(machine(strategy(of_arrays, reads="own")), BARS)
    with pytest.raises(ConfigError, match="and none is traded"):
        scan(machine(regime_filter()), replace(BARS, traded=(False,) * 3))


def test_a_rule_that_reads_none_runs_beside_any() -> None:
    assert same(scan(machine(buy_and_hold()), BARS), scan(machine(buy_and_hold()), BARS))
    run = scan(machine(strategy(one_only, reads="own")), BARS)
    wanted = np.where(probs(run)[:-1, :, 0] > 0.5, 1 / 3, 0.0)
    orders = run.tables["orders"]
    assert len(orders)
    at = {ts: n for n, ts in enumerate(run.tables["equity"]["ts"])}
    for row in orders.itertuples():
        if at[row.ts] < len(wanted):
            assert row.weight == wanted[at[row.ts], BARS.symbols.index(row.asset)]


def test_the_audit_looks_at_every_belief() -> None:
    learning = machine(regime_filter(), model=student_panel(starts=1), fit=Fit(window=50, every=30))
    found = audit(learning, BARS, cuts=2)
    assert found.clean
    assert set(found.sharpe) == {"filtered", "viterbi", "smoothed"}
    assert len({round(value, 9) for value in found.lags.values()}) > 1
    assert not any(math.isnan(value) for value in found.lags.values())


@pytest.mark.parametrize("rule", [regime_filter(), volatility_target()])
def test_a_rule_for_one_asset_is_late_as_any_other(rule: Strategy) -> None:
    whole = scan(machine(rule), some_bars(60, assets=3, missing=0.0))
    late = run_late(whole, 1)
    for column in ("asset", "weight"):
        one, other = whole.tables["orders"], late.tables["orders"]
        first = one[one["ts"] < one["ts"].iloc[-1]]
        assert len(first) > 60
        assert first[column].tolist() == other[column].tolist()
