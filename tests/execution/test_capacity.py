"""What a fill takes and what it costs: volume, slippage, ticks, lots, order values, fees (clause 4)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.kit.tables import (
    NO_LOT,
    PAIR,
    SHRUNK,
    TARGET,
    WAITS,
    Case,
    check,
    deal,
    limit,
    market,
    named,
    on_close,
    percent,
    play,
    stop,
    trailing,
)

NONE = math.nan
H = "100 101 99 100"
HALF = {"participation": 0.5}
BOUGHT = "1-2 A market filled"
TOO_SMALL = "below the smallest order value"


def rest(*fills: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """All fills but the last are parts of the whole."""
    return [*((*fill, WAITS) for fill in fills[:-1]), fills[-1]]


VOLUME = [
    Case("4 volume: a weight takes its share and waits with the rest", "100 v60 | = | = | 100 v1000", {1: 1.0},
         rest((2, 1, 30, 100), (3, 1, 30, 100), (4, 1, 40, 100)), ["1-4 A market filled"], HALF),
    Case("4 volume: so does a short", "100 v60 | = | = | 100 v1000", {1: -1.0},
         rest((2, 1, -30, 100), (3, 1, -30, 100), (4, 1, -40, 100)), ["1-4 A market filled"], HALF),
    Case("4 volume: whole lots of the share", "100 v60 | = | 100 v1000", {1: 1.0},
         rest((2, 1, 28, 100), (3, 1, 70, 100)), ["1-3 A market filled"], {**HALF, "lot": 7.0}),
    Case("4 volume: less than a lot of it is nothing", "100 v10 | = | 100 v1000", {1: 1.0},
         [(3, 1, 98, 100)], ["1-3 A market filled"], {**HALF, "lot": 7.0}),
    Case("4 volume: less than a lot of it does not round what a split left", "100 | = | 34 v0.1",
         {1: 0.701, 2: 1.0}, [(2, 1, 70.1, 100)], [BOUGHT, "2- A market open"], {**HALF, "lot": 0.1},
         actions={"splits": {3: 3.0}}, events=[(3, "split", "A", 0, 210.3, 3.0, "")]),
    Case("4 volume: what room shrinks leaves whole lots of it", "100 | = | 100 v3201",
         {1: [market(12.2)], 2: [market(75.83), market(88.03), market(52.81)]},
         [(2, 1, 12.2, 100), (3, 2, 31.02, 100, WAITS), (3, 3, 0.95, 100, WAITS), (3, 4, 0.03, 100, WAITS)],
         [BOUGHT, "2- A market open", "2- A market open", "2- A market open"],
         {"participation": 0.01, "lot": 0.01, "cash": 10_526.9}),
    Case("4 volume: a newer target takes the place of the rest", "100 v60 | = | 100 v1000", {1: 1.0, 2: 0.2},
         [(2, 1, 30, 100, WAITS), (3, 2, -10, 100)], [f"1-2 A market cancelled: {TARGET}", "2-3 A market filled"],
         HALF),
    Case("4 volume: a market order waits with the rest", "100 v60 | = | = | 100 v1000", {1: [market(100)]},
         rest((2, 1, 30, 100), (3, 1, 30, 100), (4, 1, 40, 100)), ["1-4 A market filled"], HALF),
    Case("4 volume: a sale too, in lots", "100 v50 | = | = | 100 v1000", {1: [market(-60)]},
         rest((2, 1, -20, 100), (3, 1, -20, 100), (4, 1, -20, 100)), ["1-4 A market filled"], {**HALF, "lot": 10.0}),
    Case("4 volume: an order of less than its share is not cut", "100 v60 | =", {1: [market(30)]},
         [(2, 1, 30, 100)], [BOUGHT], HALF),
    Case("4 volume: unknown is no limit", "100 vnan | =", {1: [market(90)]}, [(2, 1, 90, 100)], [BOUGHT], HALF),
    Case("4 volume: unknown is no limit for weights", "100 vnan | =", {1: 0.9}, [(2, 1, 90, 100)], [BOUGHT], HALF),
    Case("4 volume: none fills nothing", "100 v0 | = | 100", {1: 0.9}, [(3, 1, 90, 100)], ["1-3 A market filled"],
         HALF),
    Case("4 volume: without a share all may be taken, and more", "100 v5 | =", {1: [market(90)]}, [(2, 1, 90, 100)],
         [BOUGHT]),
    Case("4 volume: two orders share it, the older first", "100 v60 | = | =", {1: [market(20), market(20)]},
         [(2, 1, 20, 100), (2, 2, 10, 100, WAITS), (3, 2, 10, 100)], [BOUGHT, "1-3 A market filled"], HALF),
    Case("4 volume: the open and the rest of the bar share it", "100 v60 | 100 101 94 100 v60 | 100 v60",
         {1: [market(20), limit(20, 95)]}, [(2, 1, 20, 100), (2, 2, 10, 95, WAITS)], [BOUGHT, "1- A limit open"], HALF),
    Case("4 volume: the bar and its close share it", "100 v60 | 100 101 94 100 v60 | 100 v60",
         {1: [on_close(25), limit(20, 95)]}, [(2, 2, 20, 95), (2, 1, 10, 100, WAITS), (3, 1, 15, 100)],
         ["1-3 A market_on_close filled", "1-2 A limit filled"], HALF),
    Case("4 volume: a weight and a bar's volume at the next close", "100 v60 | = | 100 v1000", {1: 1.0},
         rest((2, 1, 30, 100), (3, 1, 70, 100)), ["1-3 A market filled"], {**HALF, "fill": "next_close"}),
    Case("4 volume: each asset has its own", ("100 v60 | = | 100 v1000", "50 v1000 | = | ="),
         {1: [market(40), market(40, asset=1)]}, [(2, 1, 30, 100, WAITS), (2, 2, 40, 50), (3, 1, 10, 100)],
         ["1-3 A market filled", "1-2 B market filled"], HALF),
    Case("4 volume: a limit's rest waits for its price", f"98 | 98 99 94 97 v60 | {H} | 96 97 94 95",
         {1: [limit(100, 95)]},
         rest((2, 1, 30, 95), (4, 1, 70, 95)), ["1-4 A limit filled"], HALF),
    Case("4 volume: a stop's rest is at the market, its price has traded", "98 | 98 99 94 97 v60 | 97 98 96 97",
         {1: [stop(-100, 95)]},
         rest((2, 1, -30, 95), (3, 1, -70, 97)), ["1-3 A stop filled"], HALF,
         events=[(2, "triggered", "A", 1, 0.0, 95, "")]),
    Case("4 volume: an order fills once a bar", "98 | 98 99 94 97 v60 | 98 99 96 97", {1: [limit(100, 95)]},
         [(2, 1, 30, 95, WAITS)], ["1- A limit open"], HALF),
    Case("4 volume: legs carry the part that has filled", "98 | 98 99 94 97 v8 | 95 96 94 96 | 95 96 89 90",
         {1: [limit(10, 95, bracket=(90, 110))]}, [(2, 1, 4, 95, WAITS), (3, 1, 6, 95), (4, 2, -10, 90)],
         ["1-3 A limit filled", "2-4 A stop (stop_loss of 1) filled",
         f"2-4 A limit (take_profit of 1) cancelled: {PAIR}"], HALF),
    Case("4 volume: legs of a part may close it before the rest comes", "98 | 98 99 94 97 v8 | 97 111 96 110",
         {1: [limit(10, 95, bracket=(90, 110))]}, [(2, 1, 4, 95, WAITS), (3, 3, -4, 110)],
         ["1- A limit open", f"2-3 A stop (stop_loss of 1) cancelled: {PAIR}",
         "2-3 A limit (take_profit of 1) filled"], HALF),
    Case("4 volume: what one of a pair has filled the other fills no more",
         f"100 | = | 100 106 99 100 v60 | {H} | 97 98 94 95",
         {1: [market(100)], 2: [limit(-100, 105), stop(-100, 95, pair=True)]},
         [(2, 1, 100, 100), (3, 2, -30, 105, WAITS), (5, 3, -70, 95)],
         [BOUGHT, f"2-5 A limit cancelled: {PAIR}", "2-5 A stop filled"], HALF),
]  # fmt: skip


@named(VOLUME)
def test_volume(case: Case) -> None:
    check(case)


WIDE = "100 | 100 120 80 100"
R, R2 = math.log(1.1), math.log(0.9)
# Closes 100 and 110: one return. The next open is 110, in a bar wide enough for every slippage.
ONE = "100 | 110 | 110 140 90 110"
TWO = "100 | 110 | 99 | 99 140 70 99"
SIGMA2 = math.sqrt(0.94 * R * R + 0.06 * R2 * R2)
SLIPPAGE = [
    deal("4 slippage: a buyer pays more", market(10), WIDE, 101, 0, 10, slippage=0.01),
    deal("4 slippage: a seller gets less", market(-10), WIDE, 99, 0, 10, slippage=0.01),
    deal("4 slippage: of a weight", (0.5, 5_000 / 100.5), WIDE, 101, 0, 5_000 / 100.5, slippage=0.01),
    deal("4 slippage: of a short weight", (-0.5, -5_000 / 100.5), WIDE, 99, 0, 5_000 / 100.5, slippage=0.01),
    deal("4 slippage: half the spread", market(10), WIDE, 101, 0, 10, spread=0.02),
    deal("4 slippage: half the spread of a seller, and more", market(-10), WIDE, 97, 0, 30, spread=0.02, slippage=0.02),
    deal("4 slippage: never above the high", market(10), f"100 | {H}", 101, 0, 10, slippage=0.4),
    deal("4 slippage: never below the low", market(-10), f"100 | {H}", 99, 0, 10, slippage=0.4),
    deal("4 slippage: of a weight, never above the high", (1.0, 10_000 / 101), f"100 | {H}", 101, 0, 10_000 / 101,
         slippage=0.4),
    deal("4 slippage: a limit has none at the open", limit(10, 105), WIDE, 100, slippage=0.01),
    deal("4 slippage: a limit has none inside", limit(-10, 105), WIDE, 105, slippage=0.01),
    deal("4 slippage: a buy stop pays more than its stop", stop(10, 105), WIDE, 106.05, 0, 10.5, slippage=0.01),
    deal("4 slippage: a sell stop gets less than its stop", stop(-10, 95), WIDE, 94.05, 0, 9.5, slippage=0.01),
    deal("4 slippage: a stop never leaves the bar", stop(10, 105), "100 | 103 106 102 104", 106, 0, 10, slippage=0.02),
    deal("4 slippage: a stop passed by the gap pays more than the open", stop(10, 95), WIDE, 101, 0, 10, slippage=0.01),
    deal("4 slippage: at the close a buyer pays more", on_close(10), WIDE, 101, 0, 10, slippage=0.01),
    deal("4 slippage: at the close a seller gets less", on_close(-10), WIDE, 99, 0, 10, slippage=0.01),
    deal("4 slippage: a trailing stop", trailing(-10, 5)._replace(kind="trailing_stop"), "100 | 100 100 80 90", 94.05,
         0, 9.5, slippage=0.01),
    deal("4 slippage: no volatility before the first return", market(10), WIDE, 100, volatility_slippage=1.0),
    deal("4 slippage: by the first return", market(10), ONE, 110 * (1 + 0.1 * R), 0, 110 * R, volatility_slippage=0.1),
    deal("4 slippage: by the returns so far, the last one weighs 6 %", market(-10), TWO, 99 * (1 - 0.1 * SIGMA2), 0,
         99 * SIGMA2,
         volatility_slippage=0.1),
    deal("4 slippage: a missing close is no return", market(10), "100 | - | 110 | 110 140 90 110",
         110 * (1 + 0.1 * R), 0, 110 * R,
         volatility_slippage=0.1),
    deal("4 slippage: impact by the root of the share of the volume", market(25), "100 | 110 | 110 140 90 110 v100",
         110 * (1 + 0.25 * R), 0, 25 * 110 * 0.25 * R, impact=0.5),
    deal("4 slippage: impact of a sale", market(-16), "100 | 110 | 110 140 90 110 v100",
         110 * (1 - 0.2 * R), 0, 16 * 110 * 0.2 * R, impact=0.5),
    deal("4 slippage: no impact where the volume is unknown", market(25), "100 | 110 | 110 140 90 110 vnan",
         110, impact=0.5),
    deal("4 slippage: all four add up", market(25), "100 | 110 | 110 140 90 110 v100",
         110 * (1.03 + 0.35 * R), 0, 25 * 110 * (0.03 + 0.35 * R), impact=0.5, volatility_slippage=0.1, spread=0.02,
         slippage=0.02),
    deal("4 slippage: the impact of a weight is that of its units", (0.25, 2_500 / (100 * (1 + 0.25 * 0.25 * R))),
         "90.90909090909091 | 100 | 100 140 90 100 v100",
         100 * (1 + 0.25 * R), 0, 2_500 / (1 + 0.0625 * R) * 0.25 * R, impact=0.5),
    Case("4 slippage: impact is that of what was asked for, not of the part", "100 | 110 | 110 140 90 110 v100",
         {2: [market(36)]},
         [(3, 1, 10, 110 * (1 + 0.3 * R), WAITS)], ["2- A market open"], {"impact": 0.5, "participation": 0.1},
         slips=[330 * R]),
    Case("4 slippage: a split is no return", "100 | 110 | 55 | 55 70 40 55", {3: [market(10)]},
         [(4, 1, 10, 55 * (1 + 0.1 * math.sqrt(0.94) * R))], ["3-4 A market filled"], {"volatility_slippage": 0.1},
         slips=[55 * math.sqrt(0.94) * R], actions={"splits": {3: 2.0}}, events=[(3, "split", "A", 0, 0.0, 2.0, "")]),
]  # fmt: skip
OFF = "100 | 100.3 120 80 100.3"
TICKS = [
    deal("4 tick: a buyer's price goes up", market(10), OFF, 100.5, 0, 2, tick=0.5),
    deal("4 tick: a seller's price goes down", market(-10), OFF, 100, 0, 3, tick=0.5),
    deal("4 tick: a price on a tick stays", market(10), OFF, 100.3, tick=0.1),
    deal("4 tick: a seller's price on a tick stays", market(-10), OFF, 100.3, tick=0.1),
    deal("4 tick: after slippage", market(10), WIDE, 100.25, 0, 2.5, tick=0.25, slippage=0.0012),
    deal("4 tick: after a seller's slippage", market(-10), WIDE, 99.75, 0, 2.5, tick=0.25, slippage=0.0012),
    deal("4 tick: never above the high", market(10), "100 | 100.3 100.4 99 100", 100.4, 0, 1, tick=0.5),
    deal("4 tick: never below the low", market(-10), "100 | 100.3 100.4 100.2 100.3", 100.2, 0, 1, tick=0.5),
    deal("4 tick: of a weight", (1.0, 10_000 / 100.5), OFF, 100.5, 0, 0.2 * 10_000 / 100.5, tick=0.5),
    deal("4 tick: a buy limit pays no more", limit(10, 95.3), WIDE, 95, tick=0.5),
    deal("4 tick: a sell limit takes no less", limit(-10, 104.8), WIDE, 105, tick=0.5),
    deal("4 tick: a buy stop lies above", stop(10, 104.8), WIDE, 105, tick=0.5),
    deal("4 tick: a sell stop lies below", stop(-10, 95.3), WIDE, 95, tick=0.5),
    deal("4 tick: a sell stop on a tick stays", stop(-10, 95.3), WIDE, 95.3, tick=0.1),
]  # fmt: skip


@named([*SLIPPAGE, *TICKS])
def test_prices(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("weight", [0.37, 0.41, 0.55])
def test_what_rounding_leaves_of_a_target_that_is_met_has_no_impact(weight: float) -> None:
    """Clause 4: A is at its target, and sells for what B's purchase costs; the root of 1e-16 would be 1e-8."""
    bars = ("100 | 110 | 100 101 99 105 v1e3 | 100 101 99 100 v1e3", "50 | = | = | =")
    run = play(Case("", bars, {2: (weight, 0.0), 3: (weight, 0.3)}, [], []), impact=0.5, fee=0.01)
    assert run.tables["fills"][["order_id", "price"]].values.tolist()[1:] == [[2, 100.0], [3, 50.0]]


def test_a_trailing_stop_moves_by_ticks() -> None:
    sale = Case("sale", "100 | 100 110.3 100 110 | 110 110 90 90", {1: [trailing(-10, 5)]},
                [(3, 1, -10, 105)], ["1-3 A trailing_stop filled"], {"tick": 0.5})  # fmt: skip
    check(sale)
    check(sale._replace(script={1: [percent(10, 0.05)]}, bars="100 | 100 100 89.9 90 | 90 110 90 100",
                        fills=[(3, 1, 10, 94.5)]))  # fmt: skip


def test_the_legs_of_a_bracket_lie_on_ticks() -> None:
    for q, levels in ((10, (90, 110)), (-10, (110, 90))):
        loss, profit = (90.3, 109.8) if q > 0 else (109.8, 90.3)
        run = play(Case("legs", "100 | 100", {1: [market(q, bracket=(loss, profit))]}, [], []), tick=0.5)
        assert (run.tables["orders"].stop[1], run.tables["orders"]["limit"][2]) == levels


SIZES = [
    Case("4 lot: a request is rounded toward nothing", "100 | =", {1: [market(17)]}, [(2, 1, 15, 100)], [BOUGHT],
         {"lot": 5.0}),
    Case("4 lot: a sale is rounded toward nothing", "100 | =", {1: [market(-17)]}, [(2, 1, -15, 100)], [BOUGHT],
         {"lot": 5.0}),
    Case("4 lot: less than one is refused", "100 | =", {1: [market(4.9)]}, [], [f"1-1 A market rejected: {NO_LOT}"],
         {"lot": 5.0}),
    Case("4 lot: a weight is rounded toward nothing", "100 | =", {1: 0.5}, [(2, 1, 49, 100)], [BOUGHT], {"lot": 7.0}),
    Case("4 lot: a short weight is rounded toward nothing", "100 | =", {1: -0.5}, [(2, 1, -49, 100)], [BOUGHT],
         {"lot": 7.0}),
    Case("4 lot: what is shrunk is whole lots too", "100 | =", {1: [market(147)]}, [(2, 1, 98, 100, SHRUNK)],
         [f"{BOUGHT}: {SHRUNK}"], {"lot": 7.0}),
    Case("4 lot: no lot that the next open leaves room for", "100 | 150", {1: 0.1}, [],
         [f"1-2 A market cancelled: {NO_LOT}"],
         {"lot": 10.0}),
    Case("4 value: too small is refused", "100 | =", {1: [market(4.99)]}, [], [f"1-1 A market rejected: {TOO_SMALL}"],
         {"min_notional": 500.0}),
    Case("4 value: a small sale is refused", "100 | =", {1: [market(-4.99)]}, [],
         [f"1-1 A market rejected: {TOO_SMALL}"], {"min_notional": 500.0}),
    Case("4 value: just enough is taken", "100 | =", {1: [market(5)]}, [(2, 1, 5, 100)], [BOUGHT],
         {"min_notional": 500.0}),
    Case("4 value: at the limit's own price", f"{H} | =", {1: [limit(5, 99.5)]}, [],
         [f"1-1 A limit rejected: {TOO_SMALL}"],
         {"min_notional": 500.0}),
    Case("4 value: closing is never too small", "100 | = | = | =", {1: [market(6)], 2: [market(-2)], 3: [market(-6)]},
         [(2, 1, 6, 100), (4, 3, -6, 100)], [BOUGHT, f"2-2 A market rejected: {TOO_SMALL}", "3-4 A market filled"],
         {"min_notional": 500.0}),
    Case("4 value: a weight that moves too little ends so", "100 | = | =", {1: 0.5, 2: 0.54}, [(2, 1, 50, 100)],
         [BOUGHT, f"2-3 A market cancelled: {TOO_SMALL}"], {"min_notional": 500.0}),
    Case("4 value: a weight that moves enough", "100 | = | = | =", {1: 0.5, 2: 0.56, 3: 0.5},
         [(2, 1, 50, 100), (3, 2, 6, 100), (4, 3, -6, 100)],
         [BOUGHT, "2-3 A market filled", "3-4 A market filled"], {"min_notional": 500.0}),
    Case("4 value: a weight of nothing is never too small", "100 | = | 9 | =", {1: 0.5, 3: 0.0},
         [(2, 1, 50, 100), (4, 2, -50, 9)],
         [BOUGHT, "3-4 A market filled"], {"min_notional": 500.0}),
]  # fmt: skip


@named(SIZES)
def test_sizes(case: Case) -> None:
    check(case)
