"""Quiet bars passed together leave what they leave one by one, to the bit: the table, the fills, the whole account."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.data.history import History
from barograph.execution import money, sizes
from barograph.execution.targets import light, quiet
from barograph.features import sma
from barograph.jit.kernel import Kernel
from barograph.loop.parts import looks
from barograph.loop.run import scan
from barograph.sweeps.lanes import Lane, turning
from barograph.sweeps.plan import Plan
from barograph.sweeps.stages import point_of
from barograph.testing import some_bars
from barograph_strategies.protected import protected
from barograph_strategies.regime_filter import regime_filter
from barograph_strategies.sma_filter import sma_filter


@bg.kernel
def _first(params: Any) -> int:
    return 0


@bg.kernel
def _told(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state + 1, bg.Target(params[state])


def told(weights: Any) -> bg.Strategy:
    """A strategy that was told all its weights before, and looks at nothing."""
    return bg.strategy(_told, np.asarray(weights, dtype=np.float64), _first)


def both_ways(machine: bg.Machine, history: History) -> tuple[Lane, Lane, tuple[int, int]]:
    """Run a machine in a lane that decides first, and in one that asks at every bar; hold one to the other."""
    plan = Plan([point_of(machine, history)])
    lanes = plan.lane(0), plan.lane(0)
    assert lanes[0].ahead != 0
    lanes[1].ahead = 0
    ended = [lane.run(plan.deciders[0], plan.accounts[0]) for lane in lanes]
    assert ended[0] == ended[1]
    first, last = plan.seen[0].first, ended[0][0]
    one, other = (lane.table[: last - first].tobytes() for lane in lanes)
    assert one == other
    # Where the account lies: behind what the strategy remembers.
    image = plan.accounts[0].book
    for k, of in ((0, "f"), (1, "i")):
        began, size = image.at[k], getattr(image, of).size
        found = [getattr(lane, of)[began : began + size].tobytes() for lane in lanes]
        assert found[0] == found[1]
    assert lanes[0].count == lanes[1].count
    assert lanes[0].fills[:5, : lanes[0].count].tobytes() == lanes[1].fills[:5, : lanes[1].count].tobytes()
    if ended[0][1] == 0:
        assert np.array_equal(scan(machine, history).arrays.table, lanes[0].table)
    return *lanes, ended[0]


def _terms(rng: Any) -> dict[str, Any]:
    terms: dict[str, Any] = {"fee": float(rng.choice([0.0, 0.001])), "band": float(rng.choice([0.0, 0.0, 0.05]))}
    terms |= {"lot": float(rng.choice([0.0, 0.0, 1.0, 0.1])), "cash_rate": float(rng.choice([0.0, 0.03, -0.01]))}
    terms |= {"borrow_rate": float(rng.choice([0.0, 0.09])), "short_rate": float(rng.choice([0.0, 0.02]))}
    terms |= {"leverage": 3.0, "warning": float(rng.choice([0.3, 0.8])), "fixed_fee": float(rng.choice([0.0, 5.0]))}
    terms |= {"fill": str(rng.choice(["next_open", "next_close", "same_close"])), "maintenance": 0.25}
    return terms


@pytest.mark.parametrize("seed", range(60))
def test_any_terms_and_any_targets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = some_bars(int(rng.integers(3, 700)), seed=seed, missing=float(rng.choice([0.0, 0.1])))
    # Long stretches of one weight, HOLD and numbers that no account can mean among them.
    length = int(rng.choice([1, 7, 60, 400]))
    choices = rng.choice([0.0, 1.0, 1.0, 0.5, -0.7, 2.4, bg.HOLD], size=len(bars) // length + 1)
    weights = np.repeat(choices, length)[: len(bars)]
    if seed % 10 == 9:
        weights[len(bars) // 2] = np.nan
    start = int(rng.integers(0, 2)) * (len(bars) // 3)
    both_ways(bg.Machine(strategy=told(weights), terms=bg.Terms(**_terms(rng)), start=start), bars)


def test_a_ruin_at_an_open_and_one_at_a_close() -> None:
    for column in ("open", "close"):
        bars = some_bars(400, seed=2, missing=0.0)
        price = np.full((400, 1), 100.0)
        given = {name: price.copy() for name in ("open", "high", "low", "close")}
        given["low"][301], given[column][301] = 30.0, 30.0
        given["close"][302:] = 100.0
        frame = dataclasses.replace(bars, **given)
        machine = bg.Machine(strategy=told(np.full(400, 2.5)),
                             terms=bg.Terms(leverage=3.0, maintenance=0.0, warning=0.0, band=1.5))  # fmt: skip
        *_, (bar, fault) = both_ways(machine, frame)
        assert (bar, fault > 0) == (302, True)


def test_a_margin_warning_among_quiet_bars() -> None:
    price = np.linspace(100.0, 95.0, 120)[:, None]
    bars = dataclasses.replace(some_bars(120, missing=0.0), open=price, high=price, low=price, close=price)
    terms = bg.Terms(leverage=3.0, maintenance=0.1, warning=0.4, band=1.5)
    machine = bg.Machine(strategy=told(np.full(120, 2.4)), terms=terms)
    _, slow, _ = both_ways(machine, bars)
    # The column is gross exposure as a fraction of equity.
    assert 1.0 / slow.table[-1, 2] < 0.4 < 1.0 / slow.table[5, 2]


def test_most_bars_are_passed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """In plain Python each call can be counted: a stretch is one call, and what it passes nobody else goes over."""
    calls: list[tuple[int, int]] = []
    whole = quiet.pass_quiet_bars.py_func

    def counted(account: Any, page: Any, t: int, last: int) -> int:
        calls.append((t, whole(account, page, t, last)))
        return calls[-1][1]

    monkeypatch.setattr(quiet.pass_quiet_bars, "py_func", counted)
    bars = some_bars(60, missing=0.0)
    weights = np.repeat([0.0, 1.0, 0.0], 20)
    plan = Plan([point_of(bg.Machine(strategy=told(weights), terms=bg.Terms(fee=0.0, cash_rate=0.03)), bars)])
    plan.groups[0].wired.body.interpret = True
    lane = plan.lane(0)
    lane.run(plan.deciders[0], plan.accounts[0])
    assert sum(after - t for t, after in calls) > 50


def test_no_formula_stands_here() -> None:
    """What quiet bars ask is asked of the kernels that every bar asks, and none of the terms of trade is read here."""
    asked = {"deserves": light, "gone": sizes, "interest_of": money, "marked": sizes}
    assert all(getattr(quiet, name) is getattr(where, name) for name, where in asked.items())
    own = [of for of in vars(quiet).values() if isinstance(of, Kernel) and of.__module__ == quiet.__name__]
    read = {name for of in own for name in of.py_func.__code__.co_names}
    charges = {"fee", "maker_fee", "unit_fee", "fixed_fee", "minimum_fee", "slippage", "tick", "leverage", "band"}
    assert len(own) > 4
    assert not read & charges


def test_where_decisions_turn() -> None:
    turns = np.empty(6, dtype=np.int64)
    turning(np.array([[0.0], [0.0], [1.0], [1.0], [1.0], [0.0]]), turns)
    assert turns.tolist() == [2, 2, 5, 5, 5, 6]


@bg.kernel
def _through_another(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return _told(state, bars, belief, portfolio, params)


@bg.kernel
def _of_all(*given: Any) -> Any:
    return given[0], bg.Target(0.0)


def test_who_may_look_at_the_account() -> None:
    """Exact where it says no: a step whose code never names the account cannot know it."""
    for blind in (regime_filter(), regime_filter(weighting="probability"), sma_filter(5), told([0.0])):
        assert not looks(blind.step)
    for one in (protected(of=regime_filter(), stop=0.1), bg.strategy(_through_another), bg.strategy(_of_all)):
        assert looks(one.step)


def test_who_looks_is_asked_at_every_bar() -> None:
    @bg.kernel
    def looking(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        return state, bg.Target(1.0 if portfolio.cash > 0.0 else bg.HOLD)

    plan = Plan([point_of(bg.Machine(strategy=bg.strategy(looking)), some_bars(50))])
    assert plan.lane(0).ahead == 0


def test_terms_share_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    decided: list[Any] = []
    whole = Lane._decide
    monkeypatch.setattr(Lane, "_decide", lambda lane, of: (decided.append(of), whole(lane, of))[-1])
    machine = bg.Machine(strategy=sma_filter(5))
    bg.sweep(machine, {"window": [5, 9, 20], "fee": np.linspace(0.0, 0.01, 12).tolist()}, some_bars(80), threads=1,
             strategy=lambda window: sma_filter(window), terms=lambda fee: bg.Terms(fee=fee))  # fmt: skip
    assert len(decided) == 3


@bg.kernel
def _cross(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state, bg.Target(1.0 if belief.features[0] > belief.features[1] else 0.0)


def _crossed(fast: int, slow: int) -> bg.Strategy:
    return bg.strategy(_cross, features=(sma(fast), sma(slow)))


def test_a_cross_costs_a_column_a_window() -> None:
    bars, keys = some_bars(120, missing=0.0), {"fast": [2, 3, 5], "slow": [5, 10, 20]}
    found = bg.sweep(bg.Machine(strategy=_crossed(2, 5)), keys, bars, strategy=_crossed)
    assert found.counters.columns == 5
    made = bg.sweep(lambda fast, slow: bg.Machine(strategy=_crossed(fast, slow)), keys, bars)
    assert made.counters.columns == 5
    assert np.array_equal(made.harvest.rows, found.harvest.rows, equal_nan=True)
    for number, (fast, slow) in enumerate(found.points):
        wanted = scan(bg.Machine(strategy=_crossed(fast, slow)), bars)
        assert found.table["turnover"][number] == wanted.metrics["turnover"]
        assert found.run(number).arrays.table.tobytes() == wanted.arrays.table.tobytes()


@bg.kernel
def _counting(params: Any) -> Any:
    return np.zeros(1)


@bg.kernel
def _raising(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    state[0] += 1.0
    if state[0] == 60.0:
        raise ValueError("sixty")
    return state, bg.Target(0.5)


def test_a_strategy_that_raises_fails_every_point_that_has_it() -> None:
    """What deciding first has remembered before it was raised is nothing that an account begins with."""
    machine, fees = bg.Machine(strategy=bg.strategy(_raising, (), _counting)), [0.0, 0.001, 0.002]
    found = bg.sweep(machine, {"fee": fees}, some_bars(120, missing=0.0), terms=lambda fee: bg.Terms(fee=fee))
    assert found.failed == ["ValueError: sixty"] * 3
