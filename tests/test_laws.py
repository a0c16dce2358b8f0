"""Laws of the account, over targets, protected targets and explicit orders on random bars and terms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import barograph as bg
from barograph import orders
from barograph.jit.kernel import kernel
from barograph.loop.result import Result
from barograph.testing import interpreted
from tests.kit.random_runs import CASH, Knobs, adjusted, knobs, market_of, still, strategy_of, terms_of
from tests.test_oracle import ANSWERS, attempt

COSTS = ("fees", "maker", "unit_fee", "fixed_fee", "minimum_fee", "tiers", "slippage", "spread", "volatility", "impact",
         "short_rate", "series")  # fmt: skip


def same_fills(one: Result, other: Result, quantity: float = 1.0, fee: float = 1.0) -> None:
    """Compare two runs' fills asset by asset: the same moments, and these multiples of quantity and fee."""
    for symbol in one.history.symbols:
        a, b = (run.tables["fills"].loc[run.tables["fills"]["asset"] == symbol] for run in (one, other))
        assert a["ts"].tolist() == b["ts"].tolist(), symbol
        np.testing.assert_allclose(quantity * a["quantity"], b["quantity"], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(a["price"], b["price"], rtol=1e-9)
        np.testing.assert_allclose(fee * a["fee"], b["fee"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("answer", ANSWERS)
@given(k=knobs())
def test_cash_and_positions_at_their_prices_are_the_equity(answer: str, k: Knobs) -> None:
    market = market_of(k)
    result = attempt(
        bg.Machine(strategy=strategy_of(answer, k), terms=bg.Terms(**terms_of(k, market))), market.history()
    )
    if result is not None:
        found = result.arrays
        held = (found.weights * found.equity[:, None]).sum(axis=1)
        np.testing.assert_allclose(found.table[:, 1] + held, found.equity, rtol=1e-9)
        np.testing.assert_allclose(np.abs(found.weights).sum(axis=1), found.table[:, 2], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.weights.sum(axis=1), found.table[:, 3], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("answer", ANSWERS)
@given(k=knobs(without=(*COSTS, "gaps", "dividends", "delisting", "tick")))
def test_without_costs_and_moves_there_is_no_free_money(answer: str, k: Knobs) -> None:
    market = still(market_of(k))
    terms = terms_of(k, market) | {"borrow_rate": 0.0, "cash_rate": 0.0}
    result = interpreted(bg.Machine(strategy=strategy_of(answer, k), terms=bg.Terms(**terms)), market.history())
    np.testing.assert_allclose(result.arrays.equity, CASH, rtol=1e-9)


@pytest.mark.parametrize("answer", ANSWERS)
@given(k=knobs())
def test_twice_the_cash_is_twice_of_everything(answer: str, k: Knobs) -> None:
    market = market_of(k)
    terms, plan = terms_of(k, market), strategy_of(answer, k)
    once = attempt(bg.Machine(strategy=plan, terms=bg.Terms(**terms)), market.history())
    twice = {name: 2.0 * terms[name] for name in ("cash", "fixed_fee", "minimum_fee", "min_notional", "lot")}
    twice["tiers"] = tuple((2.0 * value, *fees) for value, *fees in terms["tiers"])
    if answer == "orders":
        plan = plan._replace(params=plan.params._replace(unit=2.0 * CASH))
    other = attempt(
        bg.Machine(strategy=plan, terms=bg.Terms(**terms | twice)), market.history(volume=2.0 * market.volume)
    )
    assert (once is None) == (other is None)
    if once is not None and other is not None:
        # Twice is a power of two: no rounding is in the way.
        np.testing.assert_array_equal(2.0 * once.arrays.table[:, [0, 1, 4, 5]], other.arrays.table[:, [0, 1, 4, 5]])
        np.testing.assert_array_equal(once.arrays.weights, other.arrays.weights)
        same_fills(once, other, 2.0, 2.0)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("ratios", [(0.5, 2.0, 4.0), (3.0, 0.2, 1.1)], ids=["powers of two", "odd"])
@given(k=knobs(without=("lot", "tick", "unit_fee")))
def test_a_split_changes_nothing_but_quantities(answer: str, ratios: tuple[float, ...], k: Knobs) -> None:
    k = k._replace(on=k.on | {"splits", "gaps"})
    market = market_of(k, ratios)
    terms, plan = terms_of(k, market), strategy_of(answer, k)
    declared = attempt(bg.Machine(strategy=plan, terms=bg.Terms(**terms)), market.history())
    told_nothing = attempt(bg.Machine(strategy=plan, terms=bg.Terms(**terms)), adjusted(market).history())
    assert (declared is None) == (told_nothing is None)
    if declared is not None and told_nothing is not None:
        np.testing.assert_allclose(declared.arrays.table, told_nothing.arrays.table, rtol=1e-9, atol=1e-9 * CASH)
        np.testing.assert_allclose(declared.arrays.weights, told_nothing.arrays.weights, rtol=1e-9, atol=1e-9)
        one, other = declared.tables["fills"], told_nothing.tables["fills"]
        for name in ("order_id", "ts", "reason"):
            assert one[name].tolist() == other[name].tolist()
        np.testing.assert_allclose(one["quantity"] * one["price"], other["quantity"] * other["price"], rtol=1e-9)


@pytest.mark.parametrize("answer", ANSWERS)
@given(k=knobs(), order=st.permutations(range(3)))
def test_the_order_of_the_columns_changes_nothing(answer: str, k: Knobs, order: list[int]) -> None:
    k = k._replace(assets=3)
    market = market_of(k)
    terms, plan = terms_of(k, market), strategy_of(answer, k)
    one = attempt(bg.Machine(strategy=plan, terms=bg.Terms(**terms)), market.history())
    other = attempt(bg.Machine(strategy=moved(plan, order), terms=bg.Terms(**terms)), market.history(order))
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        np.testing.assert_allclose(one.arrays.table, other.arrays.table, rtol=1e-9, atol=1e-9 * CASH)
        np.testing.assert_allclose(one.arrays.weights[:, order], other.arrays.weights, rtol=1e-9, atol=1e-9)
        same_fills(one, other)


def moved(plan: bg.Strategy, order: list[int]) -> bg.Strategy:
    """Let a script speak of the same assets when their columns stand in this order."""
    if hasattr(plan.params, "column"):
        return plan._replace(params=plan.params._replace(column=np.argsort(order)))
    return plan._replace(params=type(plan.params)(*(np.ascontiguousarray(x[:, order]) for x in plan.params)))


@pytest.mark.parametrize("answer", ANSWERS)
@given(k=knobs(without=("fixed_fee", "minimum_fee", "maker")))
def test_a_cash_account_never_borrows(answer: str, k: Knobs) -> None:
    k = k._replace(account="cash", leverage=1.0)
    market = market_of(k)
    result = attempt(
        bg.Machine(strategy=strategy_of(answer, k), terms=bg.Terms(**terms_of(k, market))), market.history()
    )
    if result is not None:
        assert result.arrays.table[:, 1].min() >= -1e-8 * CASH


@kernel
def enter_once(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    """Enter at the market once, with a stop-loss and a take-profit."""
    slip = orders.slip(1)
    p = portfolio.price[0]
    if state == 0 and p == p:
        entry = orders.market(slip, 0, params[0])
        side = 1.0 if params[0] > 0.0 else -1.0
        orders.bracket(slip, entry, p * (1.0 - side * params[1]), p * (1.0 + side * params[2]))
        return 1, slip
    return state, slip


@given(
    k=knobs(without=("guards", "participation", "delisting")),
    size=st.sampled_from((20.0, -20.0)),
    loss=st.floats(0.001, 0.1),
    profit=st.floats(0.001, 0.1),
)
def test_the_pessimist_is_never_richer_than_the_optimist(k: Knobs, size: float, loss: float, profit: float) -> None:
    k = k._replace(assets=1, account="margin", leverage=4.0, maintenance=0.0)
    market = market_of(k)
    plan = bg.strategy(enter_once, params=(size, loss, profit), init=lambda _: 0)
    paths = ("pessimistic", "nearest", "optimistic")
    runs = [
        interpreted(bg.Machine(strategy=plan, terms=bg.Terms(**terms_of(k, market) | {"path": p})), market.history())
        for p in paths
    ]
    low, middle, high = (run.arrays.equity for run in runs)
    assert np.all(low <= middle * (1.0 + 1e-12))
    assert np.all(middle <= high * (1.0 + 1e-12))
