"""The margin test at the close, the warning and the call, and the liquidation at the next open (clause 5)."""

from __future__ import annotations

import math
from typing import Any

import pytest

import barograph as bg
from tests.kit.tables import Case, check, market, named, play

NONE = math.nan
CALL = "margin call"
FOUR: dict[str, Any] = {"leverage": 4.0}
BOUGHT, LIQUIDATED = "1-2 A market filled", "4-4 A market (liquidation) filled: margin call"


def called(bar: int, equity: float, gross: float) -> tuple[Any, ...]:
    """The event of a margin call: gross exposure over equity, and equity."""
    return (bar, "margin_call", "", 0, gross / equity, equity, CALL)


def warned(bar: int, equity: float, gross: float) -> tuple[Any, ...]:
    """The event of a warning."""
    return (bar, "margin_warning", "", 0, gross / equity, equity, CALL)


# 400 units for 40,000 of which 30,000 are borrowed: 25 % is just enough, and less than the 30 % of the warning.
EDGE = warned(2, 10_000, 40_000)
# At 85 the equity is 4,000 of 34,000; 8,500 are asked for, and a unit closed frees 21.25.
FALL = called(3, 4_000, 34_000)
ENOUGH = 4_500 / 21.25

SINGLE = [
    Case("5 a long is closed until it is legal again, and no further", "100 | = | 85 | 85 86 84 86", {1: 4.0},
         [(2, 1, 400, 100), (4, 2, -ENOUGH, 85, CALL)], [BOUGHT, LIQUIDATED], FOUR, events=[EDGE, FALL],
         end=4_000 + 400 - ENOUGH),
    Case("5 the same of orders", "100 | = | 85 | 85 86 84 86", {1: [market(400)]},
         [(2, 1, 400, 100), (4, 2, -ENOUGH, 85, CALL)], [BOUGHT, LIQUIDATED], FOUR, events=[EDGE, FALL]),
    Case("5 whole lots, rounded to what is enough", "100 | = | 85 | 85 86 84 86", {1: 4.0},
         [(2, 1, 400, 100), (4, 2, -220, 85, CALL)], [BOUGHT, LIQUIDATED], {**FOUR, "lot": 20.0}, events=[EDGE, FALL]),
    Case("5 what is legal again to the last bit is not called again", "100 | = | 85 | 85 | 85 | 85", {1: 4.0},
         [(2, 1, 400, 100), (4, 2, -ENOUGH, 85, CALL)], [BOUGHT, LIQUIDATED], FOUR, events=[EDGE, FALL], end=4_000),
    Case("5 the next open may have cured it", "100 | = | 85 | 101", {1: 4.0}, [(2, 1, 400, 100)], [BOUGHT], FOUR,
         events=[EDGE, FALL]),
    Case("5 the next open may have made it worse", "100 | = | 85 | 80 | 80 90 80 90", {1: 4.0},
         [(2, 1, 400, 100), (4, 2, -300, 80, CALL)], [BOUGHT, LIQUIDATED], FOUR, events=[EDGE, FALL]),
    Case("5 a short is bought back until it is legal again", "100 | = | 110 | 110 111 107 108", {1: -4.0},
         [(2, 1, -400, 100), (4, 2, 5_000 / 27.5, 110, CALL)], [BOUGHT, LIQUIDATED], FOUR,
         events=[EDGE, called(3, 6_000, 44_000)]),
    Case("5 an asset without a bar waits to be closed", "100 | = | 85 | - | 85 86 84 86", {1: 4.0},
         [(2, 1, 400, 100), (5, 2, -ENOUGH, 85, CALL)], [BOUGHT, "5-5 A market (liquidation) filled: margin call"],
         FOUR, events=[EDGE, FALL]),
    Case("5 zero volume waits to be closed", "100 | = | 85 | 85 85 85 85 v0 | 85 86 84 86", {1: 4.0},
         [(2, 1, 400, 100), (5, 2, -ENOUGH, 85, CALL)], [BOUGHT, "5-5 A market (liquidation) filled: margin call"],
         FOUR, events=[EDGE, FALL]),
    Case("5 at exactly 25 % nothing is called", "100 | = | =", {1: 4.0}, [(2, 1, 400, 100)], [BOUGHT], FOUR,
         events=[EDGE]),
    Case("5 a warning that passes is given again", "100 | = | 95 | 105 | 95 | 95", {1: 3.0}, [(2, 1, 300, 100)],
         [BOUGHT], {"leverage": 3.0, "warning": 0.32, "maintenance": 0.2},
         events=[warned(3, 8_500, 28_500), warned(5, 8_500, 28_500)]),
    Case("5 no maintenance, no warning: nothing is called", "100 | = | 80", {1: 4.0}, [(2, 1, 400, 100)], [BOUGHT],
         {**FOUR, "maintenance": 0.0, "warning": 0.0}, end=2_000),
    Case("5 the warning is never below the call", "100 | = | 85", {1: 4.0}, [(2, 1, 400, 100)], [BOUGHT],
         {**FOUR, "warning": 0.0}, events=[FALL]),
    Case("5 a leg carries what the liquidation left", "100 | = | 85 | 85 86 79 80",
         {1: bg.Protected(4.0, 80.0, NONE, NONE)},
         [(2, 1, 400, 100), (4, 3, -ENOUGH, 85, CALL), (4, 2, ENOUGH - 400, 80)],
         [BOUGHT, "2-4 A stop (stop_loss) filled", LIQUIDATED], FOUR, events=[EDGE, FALL]),
    Case("5 liquidation comes before all else at the open", "100 | = | 85 | 85 86 84 86",
         {1: [market(400)], 3: [market(-10)]},
         [(2, 1, 400, 100), (4, 3, -ENOUGH, 85, CALL), (4, 2, -10, 85)], [BOUGHT, "3-4 A market filled", LIQUIDATED],
         FOUR, events=[EDGE, FALL]),
]  # fmt: skip


@named(SINGLE)
def test_margin(case: Case) -> None:
    check(case)


# 380 units at 100 leave 10,000 - 38,000; the equity at 85 is 4,300 (less what was charged) of 32,300.
COSTS = [
    Case("5 the proportional and the fixed fee of the liquidation are paid by it", "100 | = | 85 | 84 | 90",
         {1: [market(380)]},
         [(2, 1, 380, 100), (4, 2, -4_450 / 20.16, 84, CALL)], [BOUGHT, LIQUIDATED],
         {**FOUR, "fee": 0.01, "fixed_fee": 5.0}, fees=[385, 4_450 / 20.16 * 0.84 + 5],
         events=[warned(2, 9_615, 38_000), called(3, 3_915, 32_300)]),
    Case("5 so is its slippage, to the low at most", "100 100 100 100 | = | 85 | 84 85 83.58 84 | 90",
         {1: [market(380)]},
         [(2, 1, 380, 100), (4, 2, -(7_980 - 3_920) / (21 - 0.42), 83.58, CALL)], [BOUGHT, LIQUIDATED],
         {**FOUR, "slippage": 0.01}, slips=[0, 4_060 / 20.58 * 0.42],
         events=[warned(2, 10_000, 38_000), called(3, 4_300, 32_300)]),
    Case("5 a short buys above the open, its fee by the unit", "100 | = | 115 | 110 112.2 107 108", {1: [market(-380)]},
         [(2, 1, -380, 100), (4, 2, (10_450 - 6_162) / (27.5 - 2.2 - 0.1), 112.2, CALL)], [BOUGHT, LIQUIDATED],
         {**FOUR, "slippage": 0.05, "unit_fee": 0.1}, fees=[38, (10_450 - 6_162) / 25.2 * 0.1],
         slips=[0, (10_450 - 6_162) / 25.2 * 2.2], events=[warned(2, 9_962, 38_000), called(3, 4_262, 43_700)]),
    Case("5 the minimum fee counts", "100 | = | 85 | 85 | 90", {1: [market(380)]},
         [(2, 1, 380, 100), (4, 2, -(8_075 - 4_275 + 25) / 21.25, 85, CALL)], [BOUGHT, LIQUIDATED],
         {**FOUR, "minimum_fee": 25.0}, fees=[25, 25], events=[warned(2, 9_975, 38_000), called(3, 4_275, 32_300)]),
    Case("5 the price is rounded down to the tick", "100 | = | 85 | 84.4 85 82 84 | 90", {1: [market(380)]},
         [(2, 1, 380, 100), (4, 2, -(8_018 - 4_072) / (21.1 - 0.4), 84, CALL)], [BOUGHT, LIQUIDATED],
         {**FOUR, "tick": 1.0}, slips=[0, (8_018 - 4_072) / 20.7 * 0.4],
         events=[warned(2, 10_000, 38_000), called(3, 4_300, 32_300)]),
]  # fmt: skip


@named(COSTS)
def test_margin_with_costs(case: Case) -> None:
    check(case)


# 200 + 200 units at 100; at 90 and 80 the equity is 4,000 of 34,000. All of the worse one still leaves 4,500 asked for.
WORSE = called(3, 4_000, 34_000)
REST = 500 / 22.5
SEVERAL = [
    Case("5 the largest loss is closed first, then the next", ("100 | = | 90 | 90 93 90 93", "100 | = | 80 | 80"),
         {1: (2.0, 2.0)},
         [(2, 1, 200, 100), (2, 2, 200, 100), (4, 3, -200, 80, CALL), (4, 4, -REST, 90, CALL)],
         [BOUGHT, "1-2 B market filled", "4-4 B market (liquidation) filled: margin call", LIQUIDATED], FOUR,
         events=[EDGE, WORSE]),
    Case("5 the largest loss in the first column", ("100 | = | 80 | 80", "100 | = | 90 | 90 93 90 93"), {1: (2.0, 2.0)},
         [(2, 1, 200, 100), (2, 2, 200, 100), (4, 3, -200, 80, CALL), (4, 4, -REST, 90, CALL)],
         [BOUGHT, "1-2 B market filled", LIQUIDATED, "4-4 B market (liquidation) filled: margin call"], FOUR,
         events=[EDGE, WORSE]),
    Case("5 a gain is closed only when losses are not enough",
         ("100 | = | 70 | 70", "100 | = | 101 | 101 104 101 104"), {1: (2.0, 2.0)},
         [(2, 1, 200, 100), (2, 2, 200, 100), (4, 3, -200, 70, CALL), (4, 4, -(5_050 - 4_200) / 25.25, 101, CALL)],
         [BOUGHT, "1-2 B market filled", LIQUIDATED, "4-4 B market (liquidation) filled: margin call"], FOUR,
         events=[EDGE, called(3, 4_200, 34_200)]),
    Case("5 the loss of a short counts as one", ("100 | = | 95 | 95", "100 | = | 120 | 120 120 110 110"),
         {1: (2.0, -2.0)},
         [(2, 1, 200, 100), (2, 2, -200, 100), (4, 3, (10_750 - 5_000) / 30, 120, CALL)],
         [BOUGHT, "1-2 B market filled", "4-4 B market (liquidation) filled: margin call"], FOUR,
         events=[EDGE, called(3, 5_000, 43_000)]),
    Case("5 what cannot trade is passed over, at its last price", ("100 | = | 90 | 90 93 90 93", "100 | = | 80 | -"),
         {1: (2.0, 2.0)},
         [(2, 1, 200, 100), (2, 2, 200, 100), (4, 3, -200, 90, CALL)],
         [BOUGHT, "1-2 B market filled", LIQUIDATED], FOUR, events=[EDGE, WORSE]),
    Case("5 losses are measured from the average cost", ("100 | 100 | 80 | 52 | 52 60 52 60",
         "92 | = | = | 51.5 | 51.5 60 51.5 60"),
         {1: [market(100), market(200, asset=1)], 2: [market(100)]},
         [(2, 1, 100, 100), (2, 2, 200, 92), (3, 3, 100, 80), (5, 4, -(5_175 - 4_300) / 12.875, 51.5, CALL)],
         [BOUGHT, "1-2 B market filled", "2-3 A market filled", "5-5 B market (liquidation) filled: margin call"],
         {**FOUR, "cash": 20_000.0}, events=[called(4, 4_300, 20_700)]),
    Case("5 a split is no loss", ("100 | = | 45 | 45 46.5 45 46.5", "100 | = | 80 | 80"), {1: (2.0, 2.0)},
         [(2, 1, 200, 100), (2, 2, 200, 100), (4, 3, -200, 80, CALL), (4, 4, -500 / 11.25, 45, CALL)],
         [BOUGHT, "1-2 B market filled", "4-4 B market (liquidation) filled: margin call", LIQUIDATED], FOUR,
         actions={"splits": {3: (2.0, 1.0)}}, events=[EDGE, (3, "split", "A", 0, 400.0, 2.0, ""), WORSE]),
]  # fmt: skip


@named(SEVERAL)
def test_the_largest_loss_first(case: Case) -> None:
    check(case)


def test_a_liquidation_takes_no_more_than_its_share_of_the_volume() -> None:
    """Clause 4 holds for it too: the rest waits for the next open."""
    script = {1: [market(400)]}
    bars = "100 100 100 100 v1000 | = | 85 85 85 85 v1000 | 85 85 85 85 v200 | 85 85 85 85 v1000"
    check(
        Case(
            "volume", bars, script,
            [(2, 1, 400, 100), (4, 2, -100, 85, CALL), (5, 3, -(25_500 / 4 - 4_000) / 21.25, 85, CALL)],
            [BOUGHT, LIQUIDATED, "5-5 A market (liquidation) filled: margin call"],
            {**FOUR, "participation": 0.5}, events=[EDGE, FALL],
        )
    )  # fmt: skip


@pytest.mark.parametrize(("close", "left"), [(49.0, "-200.00"), (50.0, "0.00")])
def test_an_account_that_is_ruined_ends_the_run(close: float, left: str) -> None:
    """Clause 5: nobody trades at or below zero unnoticed."""
    for script in ({1: 2.0}, {1: [market(200)]}):
        with pytest.raises(bg.StrategyError, match=f"ruined the account: equity is {left} at 2024-03-06"):
            play(Case("ruin", f"100 | = | {close} | 60", script, [], []), leverage=2.0)


def test_a_cent_is_no_ruin() -> None:
    run = play(
        Case("cent", "100 | = | 50.00005 | 60", {1: [market(200)]}, [], []), leverage=2.0, maintenance=0.0, warning=0.0
    )
    assert run.arrays.equity.tolist() == pytest.approx([10_000, 10_000, 0.01, 2_000])
