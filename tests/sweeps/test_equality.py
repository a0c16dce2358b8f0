"""A sweep is the engine: every figure of every point is that of `bg.run`, and so is its whole table, bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.data.history import History
from barograph.jit.frame import BLOCK
from barograph.loop.run import scan
from barograph.loop.wiring import wire
from barograph.metrics.measure import measure
from barograph.sweeps.plan import Plan
from barograph.sweeps.run import Sweep, sweep
from barograph.sweeps.stages import point_of
from barograph.testing import some_bars
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_strategies.fixed_weights import fixed_weights
from barograph_strategies.protected import protected
from barograph_strategies.regime_filter import regime_filter
from barograph_strategies.regime_leverage import regime_leverage
from barograph_strategies.sma_filter import sma_filter
from barograph_strategies.var_target import var_target
from barograph_strategies.volatility_target import volatility_target
from tests.kit.machines import learnable, machines
from tests.test_markets import market

Make = Callable[..., bg.Machine]
Keys = Mapping[str, Sequence[Any]]

BARS = some_bars(400, seed=3)
MODEL = gaussian_hmm(states=2, starts=2)
FIXED = MODEL.fit(np.diff(np.log(BARS.close[:, 0])))
LEARNING: dict[str, Any] = {"model": MODEL, "fit": bg.Fit(window=150, every=60)}


def told_by_a_run(machine: bg.Machine, history: History) -> dict[str, float | None]:
    tables = scan(machine, history).tables
    figures = measure(tables, history.periods, by_day=history.by_day, calendars=len(history.calendars), intervals=False)
    return {key: value for key, value in figures.items() if not key.startswith("sharpe_")}


def held_to_runs(make: Make, keys: Keys, history: History, **how: Any) -> Sweep:
    """The law: every row of the sweep is that of a run of its own, and its equity is too."""
    found = sweep(make, keys, history, **how)
    for number, values in enumerate(product(*keys.values())):
        machine = make(**dict(zip(keys, values, strict=True)))
        if found.failed[number]:
            with pytest.raises(bg.StrategyError, match=found.failed[number].partition(" at ")[2]):
                scan(machine, history)
            continue
        wanted = told_by_a_run(machine, history)
        assert list(found.metrics(number)) == list(wanted)
        assert found.metrics(number) == wanted, values
        assert np.array_equal(table_of(found, number), scan(machine, history).arrays.table)
    return found


def table_of(found: Sweep, number: int) -> Any:
    decider, account, group = found.plan.rows[number].tolist()
    lane = found.plan.lane(group)
    if lane.in_python:
        lane.run_in_python(found.point(number), found.plan.deciders[decider])
    else:
        lane.run(found.plan.deciders[decider], found.plan.accounts[account])
    return lane.table


def of(strategy: bg.Strategy, more: Mapping[str, Any] | None = None, **terms: Any) -> bg.Machine:
    return bg.Machine(strategy=strategy, terms=bg.Terms(**terms), **({"model": FIXED} if more is None else more))


# Strategy, what is seen, and terms: each pair of two kinds stands in a row.
FULL = {"minimum_fee": 1.0, "slippage": 0.0005}
GUARDED = {"guards": (bg.Guard("drawdown", 0.1, "flatten", 20),)}
ROWS: dict[str, tuple[Make, Keys]] = {
    "filter, fixed, light": (lambda threshold, fee: of(regime_filter(threshold=threshold), fee=fee),
                             {"threshold": [0.4, 0.6], "fee": [0.0, 0.002]}),
    "filter, refits, full": (lambda threshold, lot: of(regime_filter(threshold=threshold), LEARNING, lot=lot, **FULL),
                             {"threshold": [0.4, 0.6], "lot": [0.0, 1.0]}),
    "filter, none, guards": (lambda weight, limit: of(sma_filter(20, weight), {}, guards=(bg.Guard("gross", limit),)),
                             {"weight": [0.5, 1.0], "limit": [0.6, 0.9]}),
    "leverage, refits, light": (lambda first, rate: of(regime_leverage([first, 0.5]), LEARNING, leverage=2.0,
                                                       borrow_rate=rate), {"first": [1.0, 1.9], "rate": [0.02, 0.09]}),
    "leverage, fixed, guards": (lambda first, fee: of(regime_leverage([first, 0.5]), None, fee=fee, **GUARDED),
                                {"first": [0.8, 1.0], "fee": [0.0, 0.01]}),
    "windows, none, light": (lambda window, fee: of(sma_filter(window), {}, fee=fee),
                             {"window": [5, 20, 50], "fee": [0.0, 0.001]}),
    "volatility, fixed, full": (lambda target, fee: of(volatility_target(target=target), None, fee=fee, **FULL),
                                {"target": [0.1, 0.3], "fee": [0.0, 0.001]}),
    "var, refits, light": (lambda budget, horizon: of(var_target(budget=budget, horizon=horizon), LEARNING),
                           {"budget": [0.01, 0.03], "horizon": [1, 5]}),
    "protected, refits, full": (lambda stop, fee: of(protected(of=regime_filter(), stop=stop), LEARNING, fee=fee),
                                {"stop": [0.01, 0.05], "fee": [0.0, 0.001]}),
    "models": (lambda states, every: bg.Machine(strategy=regime_filter(), model=gaussian_hmm(states=states, starts=1),
                                                fit=bg.Fit(window=150, every=every)),
               {"states": [2, 3], "every": [60, 90]}),
    "start": (lambda start, cash: of(regime_filter(), {"model": FIXED, "start": start}, cash=cash),
              {"start": [0, 37], "cash": [1e3, 1e6]}),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_a_run(row: str) -> None:
    held_to_runs(*ROWS[row], BARS)


@pytest.mark.parametrize("name", machines())
def test_machines_of_the_laws(name: str) -> None:
    """Several assets, shorts, orders, plain Python, models that learn: each at two fees."""
    machine = machines()[name]
    held_to_runs(
        lambda fee: dataclasses.replace(machine, terms=dataclasses.replace(machine.terms, fee=fee)),
        {"fee": [0.0, 0.002]},
        learnable(),
    )


def test_plain_python_over_more_bars_than_a_block() -> None:
    def near_the_top(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        return max(state, bars.close[0]), bg.Target(1.0 if bars.close[0] > params * state else 0.0)

    long = some_bars(2 * BLOCK + 30, seed=4)
    found = held_to_runs(
        lambda within: of(bg.strategy(near_the_top, init=lambda _: 0.0, params=within), {}),
        {"within": [0.9, 0.95]},
        long,
    )
    assert found.failed == ["", ""]


def test_two_assets_each_month() -> None:
    two = some_bars(400, assets=2, seed=9)
    held_to_runs(lambda share, fee: of(fixed_weights([share, 1.0 - share]), {}, fee=fee),
                 {"share": [0.2, 0.7], "fee": [0.0, 0.001]}, two)  # fmt: skip


def test_several_markets_count_days() -> None:
    two = market("XNYS").join(market("XTKS"))
    assert two.by_day
    held_to_runs(lambda share, fee: of(fixed_weights([share, 1.0 - share]), {}, fee=fee, fixed_fee=1.0),
                 {"share": [0.2, 0.7], "fee": [0.0, 0.001]}, two)  # fmt: skip


def test_neither_threads_nor_order_change_a_bit() -> None:
    make, _ = ROWS["filter, fixed, light"]
    keys = {"threshold": np.linspace(0.05, 0.95, 60).tolist(), "fee": [0.0, 0.002]}
    one, two = (sweep(make, keys, BARS, threads=n) for n in (1, 3))
    assert np.array_equal(one.harvest.rows, two.harvest.rows)
    assert np.array_equal(one.harvest.sums, two.harvest.sums)
    back = sweep(make, {key: values[::-1] for key, values in keys.items()}, BARS)
    assert np.array_equal(one.harvest.rows, back.harvest.rows[::-1])


def test_what_points_share_is_computed_once() -> None:
    make, _ = ROWS["filter, refits, full"]
    found = sweep(make, {"threshold": np.linspace(0.1, 0.9, 20).tolist(), "lot": [0.0, 1.0]}, BARS)
    fits = len(scan(make(0.5, 0.0), BARS).fits)
    assert found.counters == (40, 1, fits, 20, 2, 40, 0, 0)


def test_who_is_ruined_is_told_and_stops_nobody() -> None:
    falling = some_bars(60, seed=1)
    close = np.concatenate([np.full(30, 100.0), np.full(30, 10.0)])[:, None]
    frame = dataclasses.replace(falling, open=close, high=close, low=close, close=close)
    terms = {"leverage": 3.0, "maintenance": 0.0, "warning": 0.0}
    found = held_to_runs(lambda weight: of(fixed_weights([weight], "year"), {}, **terms), {"weight": [0.5, 2.5]}, frame)
    assert found.failed[0] == ""
    assert found.failed[1].startswith("ruined at ")
    assert found.table["failed"].tolist() == found.failed
    assert found.best("sharpe", 5) == [0]


def test_splits_dividends_and_a_delisting() -> None:
    eventful = some_bars(300, assets=2, actions=True)
    held_to_runs(lambda share, fee: of(fixed_weights([share, 1.0 - share]), {}, fee=fee),
                 {"share": [0.2, 0.7], "fee": [0.0, 0.001]}, eventful)  # fmt: skip


@pytest.mark.parametrize("bars", [1, 2, 3])
def test_few_bars(bars: int) -> None:
    few = some_bars(bars)
    found = held_to_runs(lambda share: of(fixed_weights([share]), {}), {"share": [0.5, 1.0]}, few)
    assert len(found.table) == 2


def test_all_may_fail() -> None:
    close = np.concatenate([np.full(30, 100.0), np.full(30, 1.0)])[:, None]
    frame = dataclasses.replace(some_bars(60), open=close, high=close, low=close, close=close)
    terms = {"leverage": 3.0, "maintenance": 0.0, "warning": 0.0}
    found = sweep(lambda weight: of(fixed_weights([weight], "year"), {}, **terms), {"weight": [2.4, 2.5]}, frame)
    assert found.best("sharpe", 3) == []
    assert found.table["cagr"].isna().all()
    with pytest.raises(bg.ConfigError, match="no figure 'failed'"):
        found.best("failed")


def test_a_key_may_not_be_called_like_a_figure() -> None:
    with pytest.raises(bg.ConfigError, match="'turnover' is the name of a figure"):
        sweep(lambda turnover: of(fixed_weights([turnover]), {}), {"turnover": [0.5]}, BARS)


def test_a_change_of_one_bit_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    make, keys = ROWS["filter, fixed, light"]
    whole = Plan.lane

    def nudged(plan: Plan, group: int) -> Any:
        for account in plan.accounts:
            # The first number of a book is its cash.
            account.book.f[0] = np.nextafter(account.book.f[0], np.inf)
        return whole(plan, group)

    monkeypatch.setattr(Plan, "lane", nudged)
    with pytest.raises(AssertionError):
        held_to_runs(make, keys, BARS)


def test_one_door_and_no_second_engine() -> None:
    """What a sweep calls for a point is what `scan` calls; of the contract's kernels it has no copy."""
    for machine in (of(regime_filter()), of(regime_filter(), None, **FULL)):
        body = Plan([point_of(machine, BARS)]).lane(0).bound.body
        own = wire(machine, BARS, FIXED).body
        assert body.door is own.door
        assert body.parts == own.parts
