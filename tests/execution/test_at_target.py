"""No trade that nobody wants: at unchanged prices and account the same target twice changes nothing (clause 2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import barograph as bg
from barograph.testing import interpreted
from tests.kit.tables import FREE, Case, market, play, scripted

DAY = 86_400_000_000_000
TERMS = st.fixed_dictionaries(
    {
        "fee": st.sampled_from([0.0, 0.0005, 0.01, 0.1]),
        "fixed_fee": st.sampled_from([0.0, 1.0, 25.0]),
        "minimum_fee": st.sampled_from([0.0, 1.0, 30.0]),
        "minimum_fee_of": st.sampled_from(["order", "fill"]),
        "unit_fee": st.sampled_from([0.0, 0.02]),
        "slippage": st.sampled_from([0.0, 0.001]),
        "lot": st.sampled_from([0.0, 0.0, 0.1, 1.0]),
        "tick": st.sampled_from([0.0, 0.05]),
        "leverage": st.sampled_from([1.0, 2.0]),
        "fill": st.sampled_from(["next_open", "next_close"]),
    }
)
WEIGHTS = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 1.0, -0.2, -0.5, 1.5]), min_size=1, max_size=3)


def flat(prices: list[float], bars: int = 8, wide: float = 1.05) -> bg.History:
    """Bars of unchanged opens and closes, and room for slippage between them."""
    p = np.array([prices] * bars)
    ts = [DAY * (t + 2) for t in range(bars)]
    return bg.History.from_arrays(ts=ts, open=p, high=p * wide, low=p / wide, close=p, calendar="24/7")


@given(
    terms=TERMS, weights=WEIGHTS, prices=st.lists(st.sampled_from([0.37, 20.0, 100.0, 3000.0]), min_size=3, max_size=3)
)
def test_the_same_target_twice_changes_nothing(
    terms: dict[str, Any], weights: list[float], prices: list[float]
) -> None:
    script = dict.fromkeys(range(1, 9), tuple(weights))
    machine = bg.Machine(
        strategy=scripted(script, len(weights)), terms=bg.Terms(**FREE | {"maintenance": 0.0, "warning": 0.0} | terms)
    )
    run = interpreted(machine, flat(prices[: len(weights)]))
    fills = run.tables["fills"]
    assert len(set(fills["ts"])) <= 1, fills
    assert np.ptp(run.arrays.equity[1:]) == 0.0
    wanted = np.array(weights)
    if terms["lot"] == 0.0 and np.abs(wanted).sum() <= terms["leverage"] and len(fills) == np.count_nonzero(wanted):
        np.testing.assert_allclose(run.arrays.weights[-1], wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("more", [{}, {"unit_fee": 1e-300}], ids=["light", "full"])
def test_each_position_is_its_weight_of_what_is_left(more: dict[str, Any]) -> None:
    """By hand: E - C of 10,000 with 0.3 and 0.4 at 1 % and 5 a fill is (10,000 - 10) / 1.007."""
    told = Case(
        "", ("100 | = | =", "50 | = | ="), {1: (0.3, 0.4), 2: (0.3, 0.4)}, [], [], {"fee": 0.01, "fixed_fee": 5.0}
    )
    run = play(told, **more)
    left = 9_990 / 1.007
    assert run.tables["fills"]["quantity"].tolist() == pytest.approx([0.3 * left / 100, 0.4 * left / 50], rel=1e-14)
    assert run.arrays.equity[-1] == pytest.approx(left, rel=1e-14)
    assert run.arrays.weights[-1].tolist() == pytest.approx([0.3, 0.4], rel=1e-14)


@pytest.mark.parametrize("more", [{}, {"unit_fee": 1e-300}], ids=["light", "full"])
def test_a_sale_that_slips_is_paid_by_a_purchase_that_does_not(more: dict[str, Any]) -> None:
    """One whose open is its high pays nothing itself; it has its weight of what the other's sale has left."""
    told = Case("", ("100 100 90 100 | = | =", "100 | = | 100 101 99 100"), {1: (0.0, 0.5), 2: (0.5, 0.2)}, [], [],
                {"slippage": 0.01})  # fmt: skip
    run = play(told, **more)
    sold = run.tables["fills"]["quantity"].iloc[1]
    left = 10_000.0 + sold
    assert run.tables["fills"]["price"].tolist() == [100.0, 99.0, 100.0]
    assert run.arrays.equity[-1] == pytest.approx(left, rel=1e-14)
    assert run.arrays.weights[-1].tolist() == pytest.approx([0.5, 0.2], rel=1e-13)


@pytest.mark.parametrize("price", [99.99, 100.01])
def test_a_gap_that_the_fixed_fee_would_outweigh_is_left(price: float) -> None:
    run = play(Case("", f"100 | = | {price} | = | =", {1: 0.5, 2: 0.5, 3: 0.5}, [], []), fixed_fee=1.0)
    assert len(run.tables["fills"]) == 1
    assert run.tables["orders"]["reason"].tolist()[1:] == ["already at the target"] * 2


@pytest.mark.parametrize("weights", [(0.4, 0.4), (0.8, 0.2), (0.5, -0.3), (-0.4, -0.4)])
@pytest.mark.parametrize("fees", [{"fixed_fee": 5.0}, {"minimum_fee": 5.0}])
def test_two_markets_in_turn_do_not_move_each_other(weights: tuple[float, float], fees: dict[str, float]) -> None:
    """What one pays moves the other's gap by less than its own fee: a fill each, and none after."""
    turns = " | ".join(["100 | -"] * 10), " | ".join(["- | 50"] * 10)
    run = play(Case("", turns, dict.fromkeys(range(1, 21), weights), [], []), **fees)
    assert len(run.tables["fills"]) == 2


BEYOND = [
    ([0.5, -0.5, 0.002], [1000.0, 300.0, 20.0],
     {"minimum_fee": 20.0, "minimum_fee_of": "fill", "fee": 0.001, "unit_fee": 0.01}),
    ([-0.5, 0.01, 0.5], [20.0, 0.1, 20.0], {"fixed_fee": 50.0, "fee": 0.01}),
    ([1.0, 0.1], [4000.0, 0.01], {"lot": 0.1, "fixed_fee": 5.0}),
    ([-0.5, 0.6], [1000.0, 37.0], {"min_notional": 10.0, "lot": 1.0, "fixed_fee": 5.0}),
    ([0.05, 1.0], [0.01, 20.0], {"lot": 1.0}),
    ([0.6, 0.05, -0.5], [1000.0, 0.1, 37.0], {"lot": 0.01, "fee": 0.05}),
]  # fmt: skip


@pytest.mark.parametrize(("weights", "prices", "terms"), BEYOND)
def test_nor_does_what_found_no_room(weights: list[float], prices: list[float], terms: dict[str, Any]) -> None:
    """More than the account has room for: what is shrunk once is not traded to and fro."""
    machine = bg.Machine(
        strategy=scripted(dict.fromkeys(range(1, 9), tuple(weights)), len(weights)), terms=bg.Terms(**FREE | terms)
    )
    assert len(set(interpreted(machine, flat(prices, wide=1.1)).tables["fills"]["ts"])) == 1


def test_what_volume_leaves_of_an_order_is_filled_with_it() -> None:
    """Seven tenths at a tenth a bar are seven fills, not an eighth of 3e-17 that pays the least fee."""
    told = Case("", "100 v1 | = | = | = | = | = | = | = | = | =", {1: [market(0.7)]}, [], [])
    run = play(told, participation=0.1, minimum_fee=1.0, minimum_fee_of="fill")
    assert run.tables["fills"]["quantity"].tolist() == pytest.approx([0.1] * 7, rel=1e-12)
    assert run.tables["orders"]["status"].tolist() == ["filled"]


def test_a_small_position_is_ended_all_the_same() -> None:
    """What ends a position asks for no resolution: a billionth of the equity is sold, by a target and by an order."""
    for end in (0.0, [market(-1e-9, reduce=True)]):
        script = {1: [market(1e-9)], 2: [market(-1e-9)]} if isinstance(end, list) else {1: 2e-9, 2: 0.0}
        run = play(Case("", "100 | = | = | =", script, [], []))
        assert len(run.tables["fills"]) == 2
        assert run.arrays.weights[-1].tolist() == [0.0]
    reduced = play(Case("", "100 | = | = | =", {1: [market(1e-9)], 2: [market(-5.0, reduce=True)]}, [], []))
    assert reduced.tables["orders"]["reason"].tolist() == ["as wanted", "reduce only: all there was"]
