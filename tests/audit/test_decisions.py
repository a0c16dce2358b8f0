"""What is handed to another engine: a run's decisions, what it cannot carry out, and what it does otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from benchmarks.agreement import bars, portfolio, rebalance, worked

import barograph as bg
from barograph import orders
from barograph.audit.crosscheck import compared, replayed
from barograph.audit.decisions import decisions, fills_of, write_task
from barograph.audit.peers import PEERS, listed_bars, refusals
from barograph_adapters.peers import Task, deal, fee, lasting, read, ticks
from barograph_adapters.peers.on_backtrader import _adverse_first
from tests.kit.scripted import DAY, FLAT, FREE, HALF, candles, script

# What is handed over


def test_costs_beside_the_price_are_taken_out() -> None:
    one = script(bg.Target(0.5), slippage=0.01)
    assert fills_of(one).price[0] == pytest.approx(101.0 * 1.01)
    assert fills_of(one, costs_in_price=False).price[0] == pytest.approx(101.0, rel=1e-14)


def only(run: bg.Result, **wanted: Any) -> Any:
    rows = decisions(run)
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1, rows
    return rows.iloc[0]


@pytest.mark.parametrize(("fill", "moment", "bar", "filled"), [("next_open", 0, 0, 1), ("next_close", 1, 0, 1),
                                                               ("same_close", 2, 0, 0)])  # fmt: skip
def test_market_orders_are_handed_over_with_their_moment(fill: str, moment: int, bar: int, filled: int) -> None:
    one = script(bg.Target(0.5), fill=fill)
    order = only(one, kind="market")
    assert (order.moment, order.bar, order.filled) == (moment, bar, filled)
    assert order.quantity == order.after == one.tables["fills"].quantity[0]


def test_a_liquidation_is_handed_over_at_the_open_whatever_fills_wait_for() -> None:
    falling = candles(FLAT, FLAT, (100.0, 101.0, 60.0, 60.0), (60.0, 61.0, 59.0, 60.0), FLAT)
    called = script(bg.Target(2.2), history=falling, leverage=2.2, fill="next_close")
    assert only(called, role="liquidation").moment == 0
    assert only(called, role="liquidation").filled == 3


def test_of_one_open_the_liquidation_comes_first() -> None:
    falling = candles(FLAT, FLAT, (100.0, 101.0, 70.0, 70.0), (70.0, 71.0, 69.0, 70.0), FLAT)
    called = script(bg.Target(2.0), None, bg.Target(0.1), history=falling, leverage=2.0, maintenance=0.5)
    table = decisions(called)
    assert table.role[table.filled == 3].tolist() == ["liquidation", "entry"]
    assert table.after.tolist()[-1] < called.tables["fills"].quantity[0]


def test_after_tells_targets_from_orders() -> None:
    turned = decisions(script(bg.Target(0.5), bg.Target(0.0), bg.Target(-0.25)))
    held = np.cumsum(turned.quantity)
    assert turned.after.tolist() == pytest.approx([held[0], 0.0, held[2]])
    assert np.isnan(only(script(lambda slip: orders.market(slip, 0, 10.0))).after)


@pytest.mark.parametrize(("life", "last"), [
    (lambda *_: None, -1),
    (orders.day, 1),
    (lambda slip, row: orders.until(slip, row, 4 * DAY), 3),
    (lambda slip, row: orders.until(slip, row, 4 * DAY + 1), 3),
    (lambda slip, row: orders.until(slip, row, 4 * DAY - 1), 2),
    (lambda slip, row: orders.until(slip, row, 0), 0),
])  # fmt: skip
def test_the_life_of_an_order_becomes_its_last_bar(life: Any, last: int) -> None:
    one = script(lambda slip: life(slip, orders.limit(slip, 0, 10.0, 50.0)))
    order = only(one, kind="limit")
    assert (order.last, order.limit, order.quantity, order.cancelled) == (last, 50.0, 10.0, -1)


def test_decisions_to_withdraw_are_handed_over_and_happenings_are_not() -> None:
    withdrawn = script(lambda slip: orders.limit(slip, 0, 10.0, 50.0), None, lambda slip: orders.cancel_all(slip, 0))
    assert only(withdrawn, kind="limit").cancelled == 2

    def pair(slip: Any) -> None:
        orders.one_cancels_other(slip, orders.limit(slip, 0, 10.0, 50.0), orders.stop(slip, 0, 10.0, 103.5))

    one = script(pair)
    assert only(one, kind="limit").cancelled == -1
    assert only(one, kind="limit").group == only(one, kind="stop").group != 0


def test_protection_goes_with_the_decision_to_close() -> None:
    stop = script(bg.Protected(0.5, 80.0, np.nan, np.nan), None, bg.Protected(0.0, 80.0, np.nan, np.nan))
    assert only(stop, kind="stop").cancelled == 2
    assert only(script(bg.Protected(0.5, 97.9, np.nan, np.nan)), kind="stop").cancelled == -1


def test_an_order_that_was_rejected_is_handed_over_to_nobody() -> None:
    small = script(lambda slip: orders.limit(slip, 0, 10.0, 99.0), min_notional=1e5)
    assert small.tables["orders"].status.tolist() == ["rejected"]
    assert len(decisions(small)) == 0


@pytest.mark.parametrize(("leave", "cancelled"), [
    (orders.market, 1),
    (orders.market_on_close, 2),
    (lambda slip, a, q: orders.limit(slip, a, q, 101.0), 2),
])  # fmt: skip
def test_legs_end_with_what_closes_their_position(leave: Any, cancelled: int) -> None:
    def enter(slip: Any) -> None:
        orders.bracket(slip, orders.market(slip, 0, 10.0), 50.0, 150.0)

    closed = script(enter, lambda slip: leave(slip, 0, -10.0))
    assert only(closed, role="stop_loss").cancelled == only(closed, role="take_profit").cancelled == cancelled


def test_legs_that_end_at_the_close_of_their_birth_are_never_placed() -> None:
    def enter(slip: Any) -> None:
        orders.bracket(slip, orders.market(slip, 0, 10.0), 50.0, 150.0)

    table = decisions(script(enter, lambda slip: orders.market(slip, 0, -10.0)))
    assert table.role.tolist() == ["entry", "stop_loss", "take_profit", "entry"]
    assert lasting(table).role.tolist() == ["entry", "entry"]


def test_bars_are_handed_over_without_gaps(tmp_path: Path) -> None:
    gaps = portfolio(1, 1.0, 1, missing=0.3)
    write_task(gaps, tmp_path)
    task = read(tmp_path)
    assert all(np.isfinite(values).all() for values in task[:4])
    assert ((task.low <= task.open) & (task.open <= task.high)).all()
    assert ticks(task)[::3].tolist() == task.open.tolist()
    assert task.terms == {"cash": 1e6, "fill": "next_open", "fee": gaps.machine.terms.fee, "unit_fee": 0.0,
                          "fixed_fee": 0.0, "minimum_fee": 0.0, "slippage": gaps.machine.terms.slippage}  # fmt: skip


# What is refused, and what is listed


def limit(slip: Any) -> None:
    orders.limit(slip, 0, 10.0, 99.0)


def trailing(slip: Any) -> None:
    orders.trailing_stop(slip, 0, -10.0, 2.0)


def on_close(slip: Any) -> None:
    orders.market_on_close(slip, 0, 10.0)


LONG, TURN = bg.Target(1.5), (bg.Target(0.5), bg.Target(-0.5))
GUARDED = bg.Protected(0.5, 80.0, 120.0, np.nan)


@pytest.mark.parametrize(("peer", "answers", "terms", "words"), [
    ("bt", (LONG,), {"borrow_rate": 0.1, "leverage": 2.0}, "interest and borrowing costs (clause 1)"),
    ("bt", (HALF,), {"impact": 0.1}, "slippage that depends on volatility or size (clause 4)"),
    ("bt", (HALF,), {"tick": 0.01}, "prices rounded to ticks (clause 4)"),
    ("bt", (HALF,), {"tiers": [[0.0, 0.001, 0.001]]}, "fees in tiers (clause 2)"),
    ("bt", (limit,), {}, "resting orders (clause 3)"),
    ("vectorbt", (limit,), {}, "resting orders (clause 3)"),
    ("vectorbt", (LONG,), {"leverage": 2.0}, "borrowed money (clause 2)"),
    ("vectorbt", (HALF,), {"unit_fee": 0.1}, "fees by the unit"),
    ("backtesting", (HALF,), {"assets": 2}, "more than one asset"),
    ("backtesting", (HALF,), {"fill": "next_close"}, "fills at the next close"),
    ("backtesting", (on_close,), {}, "fills at the next close"),
    ("backtesting", (HALF,), {"fixed_fee": 1.0}, "fees by the order"),
    ("backtesting", (limit,), {}, "resting orders other than a position's stop"),
    ("backtesting", (GUARDED,), {"slippage": 0.01}, "slippage beside limits"),
    ("backtesting", (GUARDED,), {"maker_fee": 0.0}, "a fee of its own for resting limits"),
    ("backtesting", (GUARDED,), {"path": "optimistic"}, "another path than the pessimistic one (clause 3)"),
    ("backtrader", (trailing,), {}, "trailing stops"),
    ("backtrader", (limit,), {"slippage": 0.01}, "slippage beside limits"),
    ("backtrader", (HALF,), {"fill": "next_close", "slippage": 0.01}, "slippage at a close"),
    ("backtrader", TURN, {"fixed_fee": 1.0}, "fees by the order where one order turns"),
])  # fmt: skip
def test_what_a_peer_cannot_do_is_refused_by_name(peer: str, answers: Any, terms: Any, words: str) -> None:
    refused = refusals(script(*answers, **terms), peer)
    assert any(f"cannot replay {words}" in line and "; " in line for line in refused), refused
    assert replayed([script(*answers, **terms)], peer, "no-such-python")[0].problem == "\n".join(refused)


def test_crumbs_of_interest_are_no_obstacle() -> None:
    one = script(HALF)
    for paid, refused in ((1e-4, False), (-1e-4, False), (1e-2, True), (-1e-2, True)):
        table = one.arrays.table.copy()
        table[3, 5] = paid
        told = replace(one, arrays=replace(one.arrays, table=table))
        assert any("interest" in line for line in refusals(told, "bt")) is refused


@pytest.mark.parametrize(("order", "volume"), [
    (lambda slip: orders.limit(slip, 0, 10.0, 101.0), 4.0),
    (lambda slip: orders.stop(slip, 0, 10.0, 100.0), 4.0),
    (lambda slip: orders.stop(slip, 0, 10.0, 100.0), 0.5),
])  # fmt: skip
def test_resting_orders_that_volume_cuts_are_refused(order: Any, volume: float) -> None:
    flat = np.tile(FLAT, (5, 1)).T[[3, 0, 1, 2]]
    volumes = np.array([volume, volume, 100.0, 100.0, 100.0])
    history = bg.History.from_arrays(np.arange(1, 6) * DAY, *flat, volumes, calendar="24/7")
    cut = script(order, history=history, participation=1.0, lot=1.0)
    assert len(cut.tables["fills"]) in (1, 2)
    assert any("wait for more volume" in line for line in refusals(cut, "backtrader"))
    whole = script(order, history=history, participation=0.0, lot=1.0)
    assert refusals(whole, "backtrader") == []


@pytest.mark.parametrize("peer", PEERS)
def test_what_is_plain_is_not_refused(peer: str) -> None:
    assert refusals(script(HALF, bg.Target(0.0), fee=0.001), peer) == []
    costly = {"borrow_rate": 0.1, "short_rate": 0.1, "slippage": 0.001}
    assert refusals(script(HALF, **costly), peer) == [], "costs that nothing was charged for are no obstacle"


def test_resting_orders_over_gaps_are_refused() -> None:
    gap = bars(1, 1)
    volume = np.ones(gap.close.shape)
    volume[5] = 0.0
    history = bg.History.from_arrays(gap.ts, gap.close, gap.open, gap.high, gap.low, volume, calendar="24/7")
    assert any("without a price or volume" in line for line in refusals(script(limit, history=history), "backtrader"))
    assert refusals(script(HALF, history=history), "backtrader") == []


def test_a_run_that_goes_on_is_refused() -> None:
    history = bars(3)
    plan = bg.strategy(rebalance, params=(1.0, 1.0, 1.0, 1.0), init=lambda _: np.array([0.0, np.nan, np.nan]))
    machine = bg.Machine(strategy=plan, terms=bg.Terms(**FREE))
    begun = bg.replay(machine, history.head(50))
    assert any("goes on from a world" in line for line in refusals(bg.replay(machine, history, begun.world), "bt"))


@pytest.mark.parametrize(("last", "listed"), [
    ((106.0, 107.0, 94.0, 100.0), {2}),
    ((106.0, 107.0, 96.0, 100.0), set()),
    ((104.0, 107.0, 94.0, 100.0), set()),
    ((94.0, 107.0, 93.0, 100.0), set()),
])  # fmt: skip
def test_a_stop_met_after_an_open_beyond_the_take_profit_is_listed(last: Any, listed: set[int]) -> None:
    one = script(bg.Protected(0.5, 95.0, 105.0, np.nan), history=candles(FLAT, FLAT, last))
    assert set(listed_bars(one, "backtesting")) == listed
    assert all("looks at the stop first" in words for words in listed_bars(one, "backtesting").values())


@pytest.mark.parametrize(("size", "listed"), [(10.0, set()), (5.0, {1})])
def test_a_pair_that_the_open_passes_whole_is_listed_where_the_sizes_differ(size: float, listed: set[int]) -> None:
    def pair(slip: Any) -> None:
        orders.one_cancels_other(slip, orders.limit(slip, 0, 10.0, 105.0), orders.stop(slip, 0, size, 95.0))

    one = script(pair, history=candles(FLAT, (100.0, 106.0, 94.0, 100.0), FLAT))
    assert set(listed_bars(one, "backtrader")) == listed


def test_a_difference_that_is_listed_says_so() -> None:
    one = script(bg.Protected(0.5, 95.0, 105.0, np.nan), history=candles(FLAT, FLAT, (106.0, 107.0, 94.0, 100.0)))
    fills, equity = fills_of(one, costs_in_price=False).drop(columns="order"), one.arrays.equity
    fills.loc[1, "price"] = 95.0
    assert "listed in docs/crosscheck.md, clause 2" in str(compared(one, "backtesting", "0", fills, equity))


def test_a_leg_that_fills_in_the_bar_of_its_entry_is_listed_for_backtrader() -> None:
    def entry(slip: Any) -> None:
        orders.bracket(slip, orders.market(slip, 0, 10.0), 98.0, np.nan)

    early = script(entry, history=candles(FLAT, (100.0, 101.0, 97.0, 100.0), FLAT))
    assert set(listed_bars(early, "backtrader")) == {1}
    assert listed_bars(script(entry, history=candles(FLAT, FLAT, (100.0, 101.0, 97.0, 100.0))), "backtrader") == {}


@pytest.mark.parametrize(("leave", "low", "listed"), [
    (lambda slip: orders.limit(slip, 0, -10.0, 103.0), 94.0, {2}),
    (lambda slip: orders.limit(slip, 0, -10.0, 103.0), 96.0, set()),
    (lambda slip: orders.market(slip, 0, -10.0), 94.0, set()),
])  # fmt: skip
def test_a_leg_touched_after_its_position_is_listed_for_backtrader(leave: Any, low: float, listed: set[int]) -> None:
    def enter(slip: Any) -> None:
        orders.bracket(slip, orders.market(slip, 0, 10.0), 95.0, np.nan)

    last = (104.0, 105.0, low, 100.0)
    left = script(enter, leave, history=candles(FLAT, FLAT, last))
    assert len(left.tables["fills"]) == 2
    assert set(listed_bars(left, "backtrader")) == listed


def test_a_withdrawn_half_of_a_pair_is_listed_for_backtrader() -> None:
    def pair(slip: Any) -> None:
        first, other = orders.limit(slip, 0, 10.0, 50.0), orders.stop(slip, 0, 10.0, 150.0)
        orders.tag(slip, first, 1)
        orders.one_cancels_other(slip, first, other)

    half = script(pair, None, lambda slip: orders.cancel(slip, 0, 1))
    whole = script(pair, None, lambda slip: orders.cancel_all(slip, 0))
    assert set(listed_bars(half, "backtrader")) == {2}
    assert listed_bars(whole, "backtrader") == {}


def test_a_stop_limit_with_a_near_limit_is_listed_for_backtrader() -> None:
    def near(slip: Any) -> None:
        orders.stop_limit(slip, 0, 10.0, 100.5, 100.2)

    assert set(listed_bars(script(near, history=candles(FLAT, FLAT, FLAT)), "backtrader")) == {1}
    beyond = script(lambda slip: orders.stop_limit(slip, 0, 10.0, 100.5, 100.7), history=candles(FLAT, FLAT, FLAT))
    assert listed_bars(beyond, "backtrader") == {}


# The peers' side, as far as it is ours


def test_the_peers_side_knows_the_fees_and_the_price_after_slippage() -> None:
    terms = {"fee": 0.001, "unit_fee": 0.02, "minimum_fee": 5.0, "fixed_fee": 1.0, "slippage": 0.01}
    assert fee(terms, -100.0, 50.0) == pytest.approx(100.0 * (0.05 + 0.02) + 1.0)
    assert fee(terms, 1.0, 50.0) == 6.0
    assert deal(terms, 1.0, 100.0, 90.0, 110.0) == 101.0
    assert deal(terms, 1.0, 100.0, 90.0, 100.5) == 100.5
    assert deal(terms, -1.0, 100.0, 90.0, 110.0) == 99.0
    assert deal(terms, -1.0, 100.0, 99.5, 110.0) == 99.5


def test_of_a_pair_the_stop_is_sent_first_and_of_limits_the_nearer() -> None:
    rows = [(1, "limit", 5.0, 95.0, np.nan), (2, "stop", 5.0, np.nan, 105.0), (3, "limit", 5.0, 97.0, np.nan),
            (4, "limit", -5.0, 103.0, np.nan), (5, "limit", -5.0, 101.0, np.nan)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["id", "kind", "quantity", "limit", "stop"])
    assert _adverse_first(table).id.tolist().index(2) == 0
    sent = _adverse_first(table).id.tolist()
    assert sent.index(3) < sent.index(1)
    assert sent.index(5) < sent.index(4)


def test_a_task_is_read_as_it_was_written(tmp_path: Path) -> None:
    one = worked(2, limits=True)
    write_task(one, tmp_path)
    task = read(tmp_path)
    assert isinstance(task, Task)
    pd.testing.assert_frame_equal(task.orders, decisions(one))
