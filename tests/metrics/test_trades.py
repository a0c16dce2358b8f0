"""Round trips keep every unit and every coin of the fills they come from."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import barograph as bg
from barograph.metrics.excursions import Seen, with_excursions
from barograph.metrics.trips import COLUMNS, round_trips
from barograph.testing import interpreted

START = pd.Timestamp("2024-01-02 21:00", tz="UTC")


def fills(*rows: tuple[str, float, float, float]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows), columns=["asset", "quantity", "price", "fee"])
    times = pd.Series([START + pd.Timedelta(days=i) for i in range(len(rows))], dtype="datetime64[us, UTC]")
    return table.assign(ts=times)


def values(table: pd.DataFrame, *names: str) -> list[list[object]]:
    return table[list(names)].to_numpy().tolist()


def test_one_trip_there_and_back() -> None:
    found = round_trips(fills(("A", 10, 100, 1), ("A", -10, 110, 2)))
    assert tuple(found.columns) == COLUMNS
    row = found.iloc[0]
    assert (row["quantity"], row["entry_price"], row["exit_price"]) == (10, 100, 110)
    assert (row["profit"], row["fees"], row["open"]) == (97, 3, False)
    assert (row["entry_ts"], row["exit_ts"]) == (START, START + pd.Timedelta(days=1))


def test_additions_are_averaged_and_reductions_are_one_trip() -> None:
    found = round_trips(fills(("A", 10, 100, 0), ("A", 10, 120, 0), ("A", -5, 130, 0), ("A", -15, 90, 0)))
    assert values(found, "quantity", "entry_price", "exit_price", "profit") == [[20, 110, 100, -200]]


def test_a_flip_is_split_with_its_fee() -> None:
    found = round_trips(fills(("A", 2, 100, 0), ("A", -3, 110, 3), ("A", 1, 105, 0)))
    assert values(found, "quantity", "profit", "fees", "open") == [[2, 18, 2, False], [-1, 4, 1, False]]


def test_what_is_held_is_open_and_apart() -> None:
    found = round_trips(fills(("A", 10, 100, 10), ("A", -4, 110, 1)), {"A": 120.0})
    assert values(found, "quantity", "exit_price", "profit", "open") == [[4, 110, 35, False], [6, 120, 114, True]]
    assert found["exit_ts"].isna().tolist() == [False, True]
    unmarked = round_trips(fills(("A", 10, 100, 10)))
    assert math.isnan(unmarked["profit"].iloc[0])


@pytest.mark.parametrize("rounding", [1 - 1e-15, 1 + 1e-15])
def test_rounding_is_no_position(rounding: float) -> None:
    third = 10 / 3
    found = round_trips(fills(("A", third, 100, 0), ("A", -third * rounding, 110, 0), ("A", 1, 100, 0)), {"A": 100.0})
    assert found["open"].tolist() == [False, True]
    assert found["quantity"].tolist() == [pytest.approx(third), 1]


def test_assets_do_not_mix() -> None:
    found = round_trips(fills(("B", 1, 10, 0), ("A", 1, 20, 0), ("B", -1, 11, 0), ("A", -1, 19, 0)))
    assert values(found, "asset", "profit") == [["B", 1], ["A", -1]]


def test_no_fill_gives_the_same_columns() -> None:
    nothing, something = round_trips(fills()), round_trips(fills(("A", 1, 10, 0)))
    assert nothing.empty
    assert nothing.dtypes.equals(something.dtypes)


@given(
    st.lists(
        st.tuples(st.sampled_from("AB"), st.integers(-5, 5), st.floats(1, 200), st.floats(0, 2)),
        min_size=1,
        max_size=30,
    )
)
def test_no_coin_is_lost(rows: list[tuple[str, int, float, float]]) -> None:
    rows = [row for row in rows if row[1]]
    table = fills(*rows)
    marks = {"A": 50.0, "B": 70.0}
    found = round_trips(table, marks)
    paid = sum(-q * p - fee for _, q, p, fee in rows)
    left = {asset: sum(q for a, q, _, _ in rows if a == asset) for asset in marks}
    worth = sum(left[asset] * mark for asset, mark in marks.items())
    assert found["profit"].sum() == pytest.approx(paid + worth, abs=1e-8)
    assert found["fees"].sum() == pytest.approx(sum(row[3] for row in rows), abs=1e-9)
    held = found[found["open"]].groupby("asset")["quantity"].sum()
    assert all(held.get(asset, 0.0) == pytest.approx(units) for asset, units in left.items())
    ended = found[~found["open"]]
    assert np.all(ended["exit_ts"] >= ended["entry_ts"])


def happened(*rows: tuple[int, str, str, float]) -> pd.DataFrame:
    """Events on days counted from the start, before that day's fill."""
    table = pd.DataFrame(list(rows), columns=["day", "event", "asset", "price"])
    times = pd.Series([START + pd.Timedelta(days=day) for day in table["day"]], dtype="datetime64[us, UTC]")
    return table.assign(ts=times)


def test_a_split_is_no_trade_and_scales_what_is_told() -> None:
    bought = fills(("A", 10, 100, 4), ("A", -15, 60, 0), ("A", -5, 70, 0))
    found = round_trips(bought, events=happened((1, "split", "A", 2.0)))
    names = ("quantity", "entry_price", "exit_price", "profit", "fees", "open")
    assert values(found, *names) == [[20, 50, 62.5, 246, 4, False]]


def test_units_sold_before_a_split_are_told_in_new_shares() -> None:
    found = round_trips(
        fills(("A", 10, 100, 0), ("A", -4, 110, 0), ("A", -18, 40, 0)), events=happened((2, "split", "A", 3.0))
    )
    assert values(found, "quantity", "profit") == [[30, pytest.approx(40 + 18 * (40 - 100 / 3))]]


@pytest.mark.parametrize("side", [1, -1])
def test_dividends_belong_to_the_trade_and_a_short_owes_them(side: int) -> None:
    table = fills(("A", 10 * side, 100, 0), ("A", -4 * side, 100, 0), ("A", -6 * side, 100, 0))
    paid = happened((0, "dividend", "A", 9.0), (1, "dividend", "A", 1.0), (2, "dividend", "A", 2.0))
    found = round_trips(table, events=paid)
    assert values(found, "profit", "dividends") == [[22 * side, 22 * side]]


def test_a_dividend_is_shared_by_what_is_sold_and_what_is_kept() -> None:
    table = fills(("A", 10, 100, 0), ("A", -4, 100, 0))
    found = round_trips(table, {"A": 100.0}, happened((1, "dividend", "A", 1.0)))
    assert values(found, "dividends", "open") == [[4, False], [6, True]]


def test_a_delisting_closes_the_trade_at_its_final_price() -> None:
    found = round_trips(fills(("A", 10, 100, 2)), {"A": 55.0}, happened((3, "delisted", "A", 30.0)))
    assert values(found, "exit_price", "profit", "open") == [[30, -702, False]]
    assert found["exit_ts"].iloc[0] == START + pd.Timedelta(days=3)


@bg.kernel
def restless(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    weights = np.array([0.9, -0.6, 0.4])
    if state % 5 == 4:
        weights = np.array([-0.5, 0.8, 0.0])
    return state + 1, bg.Target(weights if state % 11 < 8 else np.zeros(3))


def eventful(seed: int = 1, bars: int = 80) -> bg.History:
    """Three assets with splits, dividends and one that is delisted."""
    rng = np.random.default_rng(seed)
    splits, dividends, final = np.ones((bars, 3)), np.zeros((bars, 3)), np.full((bars, 3), np.nan)
    splits[20, 0], splits[33, 1], splits[50, 0] = 2.0, 0.5, 3.0
    dividends[rng.random((bars, 3)) < 0.1] = 0.7
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, (bars, 3)), axis=0)) / np.cumprod(splits, axis=0)
    close[60:, 2], final[60, 2], dividends[60:, 2] = np.nan, 71.0, 0.0
    ts = np.arange(1, bars + 1) * 86_400_000_000_000
    return bg.History.from_arrays(ts, close, splits=splits, dividends=dividends, final=final, symbols=["A", "B", "C"])


TURBULENT: dict[str, Any] = {"leverage": 3.0, "maintenance": 0.3, "short_rate": 0.02, "cash_rate": 0.01}


def eventful_run() -> bg.Result:
    machine = bg.Machine(strategy=bg.strategy(restless, init=lambda _: 0), terms=bg.Terms(**TURBULENT))
    return interpreted(machine, eventful())


def test_trades_of_an_eventful_run_earn_what_the_account_earned() -> None:
    """Profits, less financing, are the change of equity: no split, dividend, delisting or short fee is lost."""
    run = eventful_run()
    happened = run.tables["events"]
    assert {"split", "dividend", "delisted"} <= set(happened["event"])
    found = run.tables["trades"]
    earned = found["profit"].sum() - run.tables["equity"]["financing"].sum()
    assert earned == pytest.approx(run.arrays.equity[-1] - run.arrays.equity[0], rel=1e-9)
    assert found["dividends"].sum() == pytest.approx(run.metrics["dividends"])


def test_a_run_tells_its_trades_with_its_events() -> None:
    run = eventful_run()
    last = run.tables["prices"].ffill().iloc[-1]
    told = round_trips(run.tables["fills"], {s: last[f"close_{s}"] for s in run.history.symbols}, run.tables["events"])
    pd.testing.assert_frame_equal(run.tables["trades"][list(COLUMNS)], told)


def by_hand(run: bg.Result, trade: Any) -> tuple[int, float, float, float]:
    """Read a trade's length, return, worst and best off the bars, price by price."""
    own = run.history
    a, closes = own.symbols.index(trade.asset), pd.to_datetime(own.ts, utc=True).as_unit("us").tolist()
    first = closes.index(trade.entry_ts)
    last = len(closes) - 1 if trade.open else closes.index(trade.exit_ts)
    seen = [trade.entry_price, trade.exit_price]
    for t in range(first, last + 1):
        units = math.prod(own.splits[s, a] for s in range(t + 1, last + 1))
        if t == first and (last > first or trade.open):
            seen.append(own.close[t, a] / units)
        elif t > first and (t < last or trade.open):
            seen += [own.high[t, a] / units, own.low[t, a] / units]
    side = 1 if trade.quantity > 0 else -1
    moves = [side * (price / trade.entry_price - 1) for price in seen if not math.isnan(price)]
    return last - first, trade.profit / abs(trade.quantity) / trade.entry_price, min(moves), max(moves)


@pytest.mark.parametrize("seed", range(6))
def test_length_return_and_excursions_are_those_read_off_the_bars(seed: int) -> None:
    machine = bg.Machine(strategy=bg.strategy(restless, init=lambda _: 0), terms=bg.Terms(**TURBULENT))
    own = eventful(seed)
    reach = 1.0 + np.random.default_rng(seed).uniform(0.0, 0.05, (2, *own.close.shape))
    run = interpreted(machine, replace(own, high=own.close * reach[0], low=own.close / reach[1]))
    trades = run.tables["trades"]
    assert len(trades) > 10
    assert trades["worst"].le(1e-12).all()
    assert trades["best"].ge(-1e-12).all()
    for trade in trades.rename(columns={"return": "returned"}).itertuples():
        found = (trade.bars, trade.returned, trade.worst, trade.best)
        assert found == pytest.approx(by_hand(run, trade), rel=1e-9, abs=1e-12)


def test_buy_and_hold_takes_splits_and_dividends_along() -> None:
    close = np.array([100.0, 110.0, 60.0, 55.0, np.nan])
    ts = np.arange(1, 6) * 86_400_000_000_000
    actions: dict[str, Any] = {"splits": [1, 1, 2, 1, 1], "dividends": [0, 0, 0, 5.0, 0]}
    history = bg.History.from_arrays(ts, close, final=[np.nan] * 4 + [66.0], symbols=["A"], **actions)
    run = interpreted(bg.Machine(strategy=bg.strategy(idle)), history)
    growth = run.tables["benchmark"]["equity"] / run.arrays.equity[0]
    # One share becomes two; the dividend of 5 buys 1/11 more at the close of 55; then 66 is paid for each.
    assert growth.tolist() == pytest.approx([1.0, 1.1, 1.2, 1.2, 2.0 * (1 + 1 / 11) * 0.66])


@bg.kernel
def idle(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state, bg.Target(0.0)


def test_a_part_sold_before_a_split_has_its_excursions_in_its_own_shares() -> None:
    """Bought at 100, a half sold at 101, then two shares for one, and the rest held: nothing ever doubled."""
    ts = pd.date_range("2024-01-02", periods=5, tz="UTC").as_unit("us")
    price = np.array([100.0, 103.0, 101.0, 50.5, 51.0])[:, None]
    seen = Seen(ts.tz_localize(None).to_numpy(), ("A",), price * 1.01, price * 0.99, price)
    rows = [
        {"exit_ts": ts[2], "quantity": 100.0, "exit_price": 50.5, "profit": 50.0, "open": False},
        {"exit_ts": ts[4], "quantity": 100.0, "exit_price": 51.0, "profit": 100.0, "open": True},
    ]
    trades = pd.DataFrame([{"asset": "A", "entry_ts": ts[0], "entry_price": 50.0, **row} for row in rows])
    splits = pd.DataFrame({"ts": [ts[3]], "asset": ["A"], "price": [2.0]})
    sold, held = with_excursions(trades, splits, seen).to_dict("records")
    assert (sold["best"], sold["worst"]) == (pytest.approx(1.03 * 1.01 - 1.0), 0.0)
    assert (held["best"], held["worst"]) == (pytest.approx(1.03 * 1.01 - 1.0), pytest.approx(50.5 * 0.99 / 50.0 - 1.0))
