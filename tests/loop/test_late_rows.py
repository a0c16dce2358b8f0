"""Late rows, at which nothing is decided: every loop passes them alike, and what they trigger acts from then on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.data.gate import gated
from barograph.data.history import History
from barograph.execution import events
from barograph.jit.kernel import kernel
from barograph.loop.live import Live
from barograph.loop.run import replay, scan
from barograph.testing import check_machine, same, some_bars
from tests.kit.machines import machines

MACHINES = machines()
LOOKED_AT = ("next_open", "same_close", "orders in python", "every term")


def late(history: History, rows: Any, marked: Any = ()) -> History:
    """Make some rows late ones, and some of them such as are marked alone."""
    decides = np.ones(len(history), dtype=np.int8)
    decides[list(rows)] = 0
    decides[list(marked)] = -1
    return replace(history, decides=decides)


@pytest.mark.parametrize("name", LOOKED_AT)
def test_all_loops_pass_late_rows_alike(name: str) -> None:
    history = some_bars(70, assets=2, seed=3)
    check_machine(MACHINES[name], late(history, [5, 20, 21, 44, 69], [8, 20, 30, 31, 45]), (20, 45))


def test_live_passes_late_rows_as_a_scan_does() -> None:
    machine, history = MACHINES["next_open"], late(some_bars(40, assets=3, seed=1), [7, 8, 30], [12, 30])
    live, rows = Live(machine, history.head(1), start=0), []
    for t in range(len(history)):
        if t:
            live.append(history.slice(t, t + 1))
        rows.append(live.step().equity)
    assert np.array_equal(np.array(rows), scan(machine, history).arrays.table)


@kernel
def bar_by_bar(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    """Count the closes at which it is asked: any that it was not asked at would shift what it wants."""
    return state + 1, bg.Target(((state * 7) % 10) / 10.0)


@kernel
def from_none(params: Any) -> int:
    return 0


def by_turns(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state + 1, bg.Target(((state * 7) % 10) / 10.0)


def counting(step: Any = bar_by_bar, **terms: Any) -> bg.Machine:
    return bg.Machine(strategy=bg.strategy(step, init=from_none), terms=bg.Terms(**terms))


def test_nobody_is_asked_at_a_late_row_and_a_sweep_decides_the_same() -> None:
    history = late(some_bars(60, assets=1, seed=2), [10, 11, 35], [11, 22])
    swept = bg.sweep(lambda fee: counting(fee=fee), {"fee": [0.0, 0.001]}, history)
    for fee, earned in zip([0.0, 0.001], swept.table["total_return"].tolist(), strict=True):
        assert scan(counting(fee=fee), history).metrics["total_return"] == earned
    run = scan(counting(fee=0.001), history)
    assert same(run, scan(counting(by_turns, fee=0.001), history))
    born = {int(bar) for bar in events.born(run.arrays.events).bar}
    assert not born & {10, 11, 22, 35}
    assert len(born) > 40


def test_orders_fill_at_late_rows_and_targets_stay() -> None:
    close = np.array([100.0, 100.0, 50.0, 50.0, 50.0])
    history = late(History.from_arrays(np.arange(5) * 86_400_000_000_000, close, symbols=["A"]), [2])
    fills = events.fills(scan(counting(fee=0.0, slippage=0.0), history).arrays.events)
    # Bar 0 wants nothing and bar 1 wants 0.7, which fills at the late row; bar 3 is asked next, and wants 0.4.
    assert fills.bar.tolist() == [2, 4]
    assert fills.quantity.tolist() == pytest.approx([14_000.0, 8_000.0 - 14_000.0])


@pytest.mark.parametrize("fill", ["next_open", "next_close"])
def test_orders_wait_at_rows_that_are_marked_alone(fill: str) -> None:
    close = np.array([100.0, 100.0, 50.0, 50.0, 50.0])
    history = late(History.from_arrays(np.arange(5) * 86_400_000_000_000, close, symbols=["A"]), [], [2])
    run = scan(counting(fee=0.0, slippage=0.0, fill=fill), history)
    assert events.fills(run.arrays.events).bar.tolist() == [3, 4]


def test_what_was_decided_since_a_held_bar_never_fills_at_its_prices() -> None:
    """Asset 0 leaps at row 30 and stays there: proved a row later, when the other asset's row has been decided on."""
    rng, after = np.random.default_rng(5), (np.arange(60) >= 30)[:, None] & [[True, False]]
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, (60, 2)), axis=0)) * np.where(after, 2.0, 1.0)
    raw = History.from_arrays(np.arange(60) * 86_400_000_000_000, close, np.vstack([close[:1], close[:-1]]))
    shown = gated(raw)
    (row,) = np.flatnonzero(~shown.deciding).tolist()
    assert shown.ts[row] == raw.ts[31] - 1
    for fill in ("next_open", "next_close"):
        fills = events.fills(scan(counting(fill=fill), shown).arrays.events)
        assert row not in fills.bar.tolist()
        assert {row - 1, row + 1} <= set(fills.bar.tolist())
    matched = replace(shown, decides=np.where(shown.deciding, 1, 0))
    assert row in events.fills(scan(counting(), matched).arrays.events).bar.tolist()


@kernel
def twice(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state, bg.Target(2.0)


def crash(rows: Any) -> bg.Result:
    close = np.array([100.0, 100.0, 100.0, 65.0, 65.0, 65.0, 65.0])
    opened = np.array([100.0, 100.0, 100.0, 100.0, 65.0, 65.0, 65.0])
    history = late(History.from_arrays(np.arange(7) * 86_400_000_000_000, close, opened, symbols=["A"]), rows)
    terms = bg.Terms(leverage=2.0, maintenance=0.3, fee=0.0, slippage=0.0, warning=0.35)
    return scan(bg.Machine(strategy=bg.strategy(twice), terms=terms), history)


def test_a_margin_call_at_a_late_row_comes_at_the_next_close() -> None:
    def called(run: bg.Result) -> list[int]:
        told = events.account_events(run.arrays.events)
        return [int(bar) for bar, event in zip(told.bar, told.event, strict=True) if "margin_call" in str(event)]

    assert called(crash([])) == [3]
    assert called(crash([3])) == [4]


def test_late_rows_are_part_of_what_a_history_is() -> None:
    history = some_bars(12, assets=2)
    marked = late(history, [3])
    assert marked.digest() != history.digest()
    assert marked.digest() != late(history, [], [3]).digest()
    assert late(history, [4], [3]).head(5).then(history.slice(5, 12)).purpose[:6].tolist() == [1, 1, 1, -1, 0, 1]
    assert late(history, []).digest() == history.digest()
    assert replay(MACHINES["next_open"], marked).history.decides is not None
    assert marked.slice(2, 5).deciding.tolist() == [True, False, True]
    assert marked.head(3).decides is None
    assert marked.head(4).then(history.slice(4, 12)).deciding.tolist() == marked.deciding.tolist()
    one, other = (marked.only(symbol) for symbol in marked.symbols)
    assert one.join(other).deciding.tolist() == marked.deciding.tolist()
