"""Prices of zero and less are traded as any other; only a weight needs a price above zero (oil in 2020, power)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import barograph as bg
from barograph.testing import interpreted
from tests.kit.random_runs import CASH, Knobs, Market, knobs, market_of, strategy_of, terms_of
from tests.kit.tables import FREE, FULL, Case, check, limit, market, named, percent, play, stop, stop_limit, trailing
from tests.test_oracle import attempt
from tests.test_oracle import check as rebuild

CALM = {"maintenance": 0.01, "warning": 0.02}
OIL = "20 21 18 18.3 | 18 18.2 17 17.8 | 17 18 -3 -2 | -4 1 -6 -1 | -5 -1 -6 -2 | 10 11 9 10"
BOUGHT, ENTRY = "1-2 A market filled", (2, 1, 100, 18)
TRADES = [
    Case("4 negative: an exit at the market", OIL, {1: [market(100)], 3: [market(-100)]}, [ENTRY, (4, 2, -100, -4)],
         [BOUGHT, "3-4 A market filled"], CALM),
    Case("4 negative: half of it", OIL, {1: [market(100)], 3: [market(-50)]}, [ENTRY, (4, 2, -50, -4)],
         [BOUGHT, "3-4 A market filled"], CALM),
    Case("4 negative: a target of nothing", OIL, {1: 0.183, 3: 0.0}, [(2, 1, 0.183 * 10_000 / 18, 18),
         (4, 2, -0.183 * 10_000 / 18, -4)], [BOUGHT, "3-4 A market filled"], CALM),
    Case("4 negative: a weight waits for a price above zero", OIL, {1: 0.18, 3: 0.09},
         [(2, 1, 100, 18), (6, 2, 0.09 * 9_200 / 10 - 100, 10)], [BOUGHT, "3-6 A market filled"], CALM),
    Case("3 a stop in a bar that crosses zero", OIL, {1: [market(100), stop(-100, 5)]}, [ENTRY, (3, 2, -100, 5)],
         [BOUGHT, "1-3 A stop filled"], CALM),
    Case("3 a stop below zero", OIL, {1: [market(100), stop(-100, -2.5)]}, [ENTRY, (3, 2, -100, -2.5)],
         [BOUGHT, "1-3 A stop filled"], CALM),
    Case("3 a stop that the open has passed", OIL, {1: [market(100)], 3: [stop(-100, -3)]}, [ENTRY, (4, 2, -100, -4)],
         [BOUGHT, "3-4 A stop filled"], CALM),
    Case("3 a buy limit below zero", OIL, {3: [limit(100, -5)]}, [(4, 1, 100, -5)], ["3-4 A limit filled"], CALM),
    Case("3 a sell limit below zero", OIL, {3: [limit(-100, -1)]}, [(4, 1, -100, -1)], ["3-4 A limit filled"], CALM),
    Case("3 a stop-limit below zero", OIL, {3: [stop_limit(-100, -5, -5.5)]}, [(4, 1, -100, -5)],
         ["3-4 A stop_limit filled"], CALM, events=[(4, "triggered", "A", 1, 0, -5, "")]),
    Case("3 a trailing stop through zero", OIL, {1: [market(100), trailing(-100, 15)]}, [ENTRY, (3, 2, -100, 3.3)],
         [BOUGHT, "1-3 A trailing_stop filled"], CALM),
    Case("3 a trailing fraction is one of the price without its sign", OIL, {4: [percent(-100, 0.5)]},
         [(5, 1, -100, -5)], ["4-5 A trailing_stop filled"], CALM),
    Case("3 it begins below the price", "-10 | -10 -8 -12 -9", {1: [percent(-1, 0.2)]}, [(2, 1, -1, -12)],
         ["1-2 A trailing_stop filled"], CALM),
    Case("3 and follows it upward", "-10 | -10 -5 -10.5 -6", {1: [percent(-1, 0.2)]}, [(2, 1, -1, -6)],
         ["1-2 A trailing_stop filled"], CALM),
    Case("3 the legs of an entry below zero", OIL, {3: [market(100, bracket=(-5, 0.5))]},
         [(4, 1, 100, -4), (4, 2, -100, -5)],
         ["3-4 A market filled", "4-4 A stop (stop_loss of 1) filled",
          "4-4 A limit (take_profit of 1) cancelled: the other order of the pair filled"], CALM),
    Case("4 fees are of the value without its sign", OIL, {1: [market(100)], 3: [market(-100)]},
         [ENTRY, (4, 2, -100, -4)], [BOUGHT, "3-4 A market filled"], {**CALM, "fee": 0.01}, fees=[18, 4]),
    Case("4 slippage is against whoever trades, above zero and below", OIL, {3: [market(100)], 4: [market(-100)]},
         [(4, 1, 100, -3.6), (5, 2, -100, -5.5)], ["3-4 A market filled", "4-5 A market filled"],
         {**CALM, "slippage": 0.1}, slips=[40, 50]),
    Case("5 a short at a negative price is worth its negative", OIL, {3: [market(-100)]}, [(4, 1, -100, -4)],
         ["3-4 A market filled"], CALM, end=10_000 - 400 - 1_000),
    Case("4 the least value is one without a sign", OIL, {3: [market(100), market(1)]}, [(4, 1, 100, -4)],
         ["3-4 A market filled", "3-3 A market rejected: below the smallest order value"],
         {**CALM, "min_notional": 50.0}),
    Case("1 borrowing a share below zero costs what it costs above", OIL, {3: [market(-100)]}, [(4, 1, -100, -4)],
         ["3-4 A market filled"], {**CALM, "short_rate": 0.365},
         financing={5: 100 * 1 * 0.365 / 365, 6: 100 * 2 * 0.365 / 365}),
    Case("0 a price of exactly zero ends a position", "20 | 20 | 0 | 0", {1: 0.2, 3: 0.0},
         [(2, 1, 100, 20), (4, 2, -100, 0)],
         [BOUGHT, "3-4 A market filled"], CALM, end=8_000),
]  # fmt: skip


@named(TRADES)
def test_negative_prices(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("more", [{}, FULL], ids=["light", "full"])
def test_a_price_that_takes_all_ends_the_run(more: dict[str, Any]) -> None:
    told = Case("", "20 | 20 | -100 20 -120 10 | 10", {1: 0.9}, [], [], CALM)
    with pytest.raises(bg.StrategyError, match=r"equity is -44000\.00 at 2024-03-06"):
        play(told, **more)


def shifted(market: Market, by: float) -> Market:
    return market._replace(prices={name: values - by for name, values in market.prices.items()})


@given(k=knobs(without=("splits", "dividends", "delisting", "impact", "volatility", "guards", "tiers", "maker")))
def test_the_account_of_orders_can_be_rebuilt_below_zero(k: Knobs) -> None:
    market = shifted(market_of(k), 60.0)
    terms = terms_of(k, market) | {"maintenance": 0.0, "cash": 10.0 * CASH}
    result = attempt(bg.Machine(strategy=strategy_of("orders", k), terms=bg.Terms(**terms)), market.history())
    if result is not None:
        rebuild(result)


@given(k=knobs(without=("splits", "dividends", "delisting", "fees", "maker", "tiers", "slippage", "spread",
                        "volatility", "impact", "minimum_fee", "min_notional", "guards", "tick", "series",
                        "short_rate")),
       by=st.sampled_from([32.0, 128.0, 1024.0]))  # fmt: skip
def test_orders_earn_the_same_wherever_zero_lies(k: Knobs, by: float) -> None:
    """What fixed numbers of units earn are differences of prices: all prices lower, nothing else is."""
    k = k._replace(path="nearest", account="margin")
    rows = np.random.default_rng(k.seed).choice([0.0, 1.0, -1.0, 2.0, -3.0], size=(40, 3))

    def step(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        slip = bg.orders.slip(3)
        for a in range(len(bars.close)):
            if rows[state, a] != 0.0:
                bg.orders.market(slip, a, rows[state, a])
        return state + 1, slip

    market = market_of(k)
    steady = {**FREE, "cash": 1e9, "leverage": 1e6, "maintenance": 0.0, "warning": 0.0, "cash_rate": 0.0}
    machine = bg.Machine(strategy=bg.strategy(step, init=lambda _: 0, name="units"), terms=bg.Terms(**steady))
    one, other = (interpreted(machine, m.history()) for m in (market, shifted(market, by)))
    np.testing.assert_allclose(one.arrays.equity, other.arrays.equity, rtol=0.0, atol=1e-5)
