"""Round trips keep every unit and every coin of the fills they come from."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barograph.trades import COLUMNS, round_trips

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
