"""What a fill is charged: rates, units, minimum, maker and taker, the tiers of a month; and weights after all of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from barograph.execution.book import GROSS
from barograph.jit.periods import month_of
from tests.kit.tables import DAY, SHRUNK, Case, check, deal, limit, market, named, on_close, play, stop, stop_limit

NONE = math.nan
WIDE = "100 | 100 120 80 100"
BOUGHT = "1-2 A market filled"
MAKER = {"fee": 0.001, "maker_fee": 0.0002}

FEES = [
    deal("4 fee: a fraction of the value", market(10), WIDE, 100, 1.0, fee=0.001),
    deal("4 fee: a fraction of the value of a sale", market(-10), WIDE, 100, 1.0, fee=0.001),
    deal("4 fee: of the price after slippage", market(10), WIDE, 101, 1.01, 10, fee=0.001, slippage=0.01),
    deal("4 fee: of one unit", market(1), WIDE, 100, 0.1, fee=0.001),
    deal("4 fee: by the unit", market(10), WIDE, 100, 0.2, unit_fee=0.02),
    deal("4 fee: by the unit of a sale, and the fraction", market(-10), WIDE, 100, 1.2, unit_fee=0.02, fee=0.001),
    deal("4 fee: at least the minimum", market(10), WIDE, 100, 5.0, unit_fee=0.02, fee=0.001, minimum_fee=5.0),
    deal("4 fee: no minimum where it is reached", market(10), WIDE, 100, 10.2, unit_fee=0.02, fee=0.01,
         minimum_fee=5.0),
    deal("4 fee: a fixed part on top", market(10), WIDE, 100, 8.0, fee=0.001, minimum_fee=5.0, fixed_fee=3.0),
    deal("4 fee: a fixed part of a sale", market(-10), WIDE, 100, 4.0, fee=0.001, fixed_fee=3.0),
    deal("4 fee: a limit touched inside makes", limit(10, 95), WIDE, 95, 0.19, **MAKER),
    deal("4 fee: a limit that sells inside makes", limit(-10, 105), WIDE, 105, 0.21, **MAKER),
    deal("4 fee: a limit that the open fills takes", limit(10, 105), WIDE, 100, 1.0, **MAKER),
    deal("4 fee: a stop takes", stop(10, 105), WIDE, 105, 1.05, **MAKER),
    deal("4 fee: a market order takes", market(10), WIDE, 100, 1.0, **MAKER),
    deal("4 fee: an order for the close takes", on_close(-10), WIDE, 100, 1.0, **MAKER),
    deal("4 fee: who does not say makes for the same fee", limit(10, 95), WIDE, 95, 0.95, fee=0.001),
    deal("4 fee: making may be free", limit(10, 95), WIDE, 95, 0.0, fee=0.001, maker_fee=0.0),
    deal("4 fee: making may be paid for", limit(10, 95), WIDE, 95, -0.475, fee=0.001, maker_fee=-0.0005),
    deal("4 fee: the minimum of a maker", limit(10, 95), WIDE, 95, 3.5, minimum_fee=3.0, fixed_fee=0.5, **MAKER),
    Case("4 fee: a stop-limit filled where it is triggered takes", "100 | 103 107 102 104",
         {1: [stop_limit(10, 105, 106)]},
         [(2, 1, 10, 105)], ["1-2 A stop_limit filled"], MAKER, fees=[1.05],
         events=[(2, "triggered", "A", 1, 0.0, 105, "")]),
    Case("4 fee: a stop-limit that waits for the way back makes", "100 | 103 107 102 103",
         {1: [stop_limit(10, 105, 104)]},
         [(2, 1, 10, 104)], ["1-2 A stop_limit filled"], MAKER, fees=[0.208],
         events=[(2, "triggered", "A", 1, 0.0, 105, "")]),
    Case("4 fee: a take-profit makes, its entry takes", "100 | 100 112 99 105", {1: [market(10, bracket=(NONE, 110))]},
         [(2, 1, 10, 100), (2, 2, -10, 110)], [BOUGHT, "2-2 A limit (take_profit of 1) filled"], MAKER,
         fees=[1.0, 0.22]),
    Case("4 fee: a stop-loss takes, its entry makes", "100 | 100 112 88 105", {1: [limit(10, 95, bracket=(90, NONE))]},
         [(2, 1, 10, 95), (2, 2, -10, 90)], ["1-2 A limit filled", "2-2 A stop (stop_loss of 1) filled"], MAKER,
         fees=[0.19, 0.9]),
    Case("4 fee: each part of a fill pays", "100 v60 | = | =", {1: [market(60)]},
         [(2, 1, 30, 100, "participation: the rest waits for more volume"), (3, 1, 30, 100)], ["1-3 A market filled"],
         {"participation": 0.5, "minimum_fee": 4.0, "minimum_fee_of": "fill", "fixed_fee": 1.0}, fees=[5, 5]),
    Case("4 fee: an order pays its minimum once", "100 v60 | = | =", {1: [market(60)]},
         [(2, 1, 30, 100, "participation: the rest waits for more volume"), (3, 1, 30, 100)], ["1-3 A market filled"],
         {"participation": 0.5, "minimum_fee": 4.0, "fixed_fee": 1.0}, fees=[5, 1]),
    Case("4 fee: an order's fills are added up", "100 v60 | = | =", {1: [market(60)]},
         [(2, 1, 30, 100, "participation: the rest waits for more volume"), (3, 1, 30, 100)], ["1-3 A market filled"],
         {"participation": 0.5, "minimum_fee": 40.0, "fee": 0.01}, fees=[40, 20]),
]  # fmt: skip

WEIGHTS = [
    deal("2 weight: all, fee by the unit", (1.0, 10_000 / 101), WIDE, 100, 10_000 / 101, unit_fee=1.0),
    deal("2 weight: half, every cost", (0.5, 4_995 / 101.055), WIDE, 101, 4_995 / 101.055 * 1.11 + 10, 4_995 / 101.055,
         fee=0.01, unit_fee=0.1, fixed_fee=10.0, slippage=0.01),
    deal("2 weight: short by half, every cost", (-0.5, -4_995 / 101.045), WIDE, 99, 4_995 / 101.045 * 1.09 + 10,
         4_995 / 101.045,
         fee=0.01, unit_fee=0.1, fixed_fee=10.0, slippage=0.01),
    deal("2 weight: half, the costs of the light book", (0.5, 4_995 / 101.005), WIDE, 101,
         4_995 / 101.005 * 1.01 + 10, 4_995 / 101.005,
         fee=0.01, fixed_fee=10.0, slippage=0.01),
    deal("2 weight: short by half, the costs of the light book", (-0.5, -4_995 / 100.995), WIDE, 99,
         4_995 / 100.995 * 0.99 + 10,
         4_995 / 100.995, fee=0.01, fixed_fee=10.0, slippage=0.01),
    deal("2 weight: so small that the minimum fee is what is charged", (0.01, 0.9995), WIDE, 100, 5.0, fee=0.01,
         minimum_fee=5.0),
    deal("2 weight: so large that it is not", (0.5, 5_000 / 100.5), WIDE, 100, 5_000 / 100.5, fee=0.01,
         minimum_fee=5.0),
    deal("2 weight: a small short, the minimum and the fixed fee", (-0.01, -0.9992), WIDE, 100, 8.0, fee=0.01,
         minimum_fee=5.0, fixed_fee=3.0),
    Case("2 weight: a move that the minimum fee eats is none", "100 | = | =", {1: 0.5, 2: 0.5001},
         [(2, 1, 49.975, 100)],
         [BOUGHT, "2-3 A market cancelled: already at the target"], {"minimum_fee": 5.0}, fees=[5]),
    Case("2 room: the fee of a shrunk order is in it", "100 | =", {1: [market(200)]},
         [(2, 1, 2_000_000 / 20_200, 100, SHRUNK)],
         [f"{BOUGHT}: {SHRUNK}"], {"fee": 0.01}, fees=[2_000_000 / 20_200]),
    Case("2 room: the fee of a shrunk weight is in it", "100 | =", {1: 2.0}, [(2, 1, 10_000 / 101, 100, SHRUNK)],
         [f"{BOUGHT}: {SHRUNK}"], {"fee": 0.01}, fees=[10_000 / 101]),
    Case("2 room: a short's too, twice the equity", WIDE, {1: [market(-300)]},
         [(2, 1, -300 * 2 * (10_000 - 50) / (30_000 + 2 * 300 * 1.1), 99, SHRUNK)], [f"{BOUGHT}: {SHRUNK}"],
         {"slippage": 0.01, "fixed_fee": 50.0, "unit_fee": 0.1, "leverage": 2.0},
         fees=[5_970_000 / 30_660 * 0.1 + 50], slips=[5_970_000 / 30_660]),
    Case("3 room: inside the bar, the costs at the order's price", "98 | 98 99 94 97", {1: [limit(200, 95)]},
         [(2, 1, 200 * 9_990 / (19_000 + 200 * 0.95), 95, SHRUNK)], [f"1-2 A limit filled: {SHRUNK}"],
         {"fee": 0.01, "fixed_fee": 10.0}, fees=[200 * 9_990 / 19_190 * 0.95 + 10]),
    Case("3 room: inside the bar a short stop, twice the equity", "98 | 98 99 90 97", {1: [stop(-300, 95)]},
         [(2, 1, -300 * 2 * 9_990 / (28_500 + 2 * 300 * (0.95 + 0.9405 + 0.1)), 94.05, SHRUNK)],
         [f"1-2 A stop filled: {SHRUNK}"],
         {"fee": 0.01, "unit_fee": 0.1, "slippage": 0.01, "fixed_fee": 10.0, "leverage": 2.0},
         fees=[5_994_000 / 29_694.3 * (0.9405 + 0.1) + 10], slips=[5_994_000 / 29_694.3 * 0.95]),
    Case("3 room: what the open has taken is not there inside", "98 | 100 101 94 97", {1: [market(50), limit(100, 95)]},
         [(2, 1, 50, 100), (2, 2, 100 * 5_000 / 9_500, 95, SHRUNK)], [BOUGHT, f"1-2 A limit filled: {SHRUNK}"]),
    Case("3 room: none at all refuses", "98 | 100 101 94 97", {1: [market(100), limit(100, 95)]}, [(2, 1, 100, 100)],
         [BOUGHT, "1-2 A limit rejected: no room under the leverage limit"]),
    Case("2 room: none at all refuses", "100 | = | =", {1: [market(100)], 2: [market(5)]}, [(2, 1, 100, 100)],
         [BOUGHT, "2-3 A market rejected: no room under the leverage limit"]),
    Case("2 room: closing needs none, the other half of a flip does", "100 | = | =",
         {1: [market(100)], 2: [market(-300)]},
         [(2, 1, 100, 100), (3, 2, -200, 100, SHRUNK)], [BOUGHT, f"2-3 A market filled: {SHRUNK}"]),
    Case("3 room: closing needs none inside, the other half of a flip does", "100 | = | 98 99 94 97",
         {1: [market(100)], 2: [stop(-300, 95)]},
         [(2, 1, 100, 100), (3, 2, -300, 95)], [BOUGHT, "2-3 A stop filled"], {"leverage": 4.0}),
]  # fmt: skip

TIERS: dict[str, Any] = {"tiers": [[0.0, 0.01, 0.005], [5_000.0, 0.001, 0.0005], [9_000.0, 0.0001, 0.00005]]}
APRIL = (0, 24, 27 * 24, 28 * 24)
MONTHS = [
    Case("4 tiers: by the value traded before, from nothing again in April", "100 | = | = | =",
         {1: [market(60)], 2: [market(-10)], 3: [market(-10)]}, [(2, 1, 60, 100), (3, 2, -10, 100), (4, 3, -10, 100)],
         [BOUGHT, "2-3 A market filled", "3-4 A market filled"], TIERS, hours=APRIL, fees=[60, 1, 10]),
    Case("4 tiers: one that is reached counts", "100 | = | = | =",
         {1: [market(50)], 2: [market(-40)], 3: [market(-10)]},
         [(2, 1, 50, 100), (3, 2, -40, 100), (4, 3, -10, 100)], [BOUGHT, "2-3 A market filled", "3-4 A market filled"],
         TIERS, fees=[50, 4, 0.1]),
    Case("4 tiers: almost reached does not", "100 | = | =", {1: [market(49.99)], 2: [market(-10)]},
         [(2, 1, 49.99, 100), (3, 2, -10, 100)], [BOUGHT, "2-3 A market filled"], TIERS, fees=[49.99, 10]),
    Case("4 tiers: the maker's column, sales count as well", "100 | = | 100 106 99 101",
         {1: [market(-60)], 2: [limit(-10, 105)]},
         [(2, 1, -60, 100), (3, 2, -10, 105)], [BOUGHT, "2-3 A limit filled"], TIERS, fees=[60, 0.525]),
    Case("4 tiers: of weights", "100 | = | = | =", {1: 0.6, 2: 0.0, 3: -0.1},
         [(2, 1, 6_000 / 100.6, 100), (3, 2, -6_000 / 100.6, 100),
          (4, 3, -0.1 * (10_000 - 66_000 / 1006) / (100 + 0.1 * 0.01), 100)],
         [BOUGHT, "2-3 A market filled", "3-4 A market filled"], TIERS,
         fees=[6_000 / 100.6, 6_000 / 1006, 0.1 * (10_000 - 66_000 / 1006) / 100.001 * 0.01]),
    Case("4 tiers: the bar that closes at the midnight after March is March's", "100 | = | = | =",
         {1: [market(60)], 2: [market(-10)], 3: [market(-10)]}, [(2, 1, 60, 100), (3, 2, -10, 100), (4, 3, -10, 100)],
         [BOUGHT, "2-3 A market filled", "3-4 A market filled"], TIERS, hours=(0, 24, 27 * 24 + 4, 28 * 24 + 4),
         fees=[60, 1, 10]),
    Case("4 tiers: a liquidation pays them too", "100 | = | 85 | 84 | 90", {1: [market(380)]},
         [(2, 1, 380, 100), (4, 2, -(7_980 - 3_540) / (21 - 0.0084), 84, "margin call")],
         [BOUGHT, "4-4 A market (liquidation) filled: margin call"], {**TIERS, "leverage": 4.0},
         fees=[380, 4_440 / 20.9916 * 0.0084],
         events=[(2, "margin_warning", "", 0, 38_000 / 9_620, 9_620, "margin call"),
                 (3, "margin_call", "", 0, 32_300 / 3_920, 3_920, "margin call")]),
]  # fmt: skip


@named([*FEES, *WEIGHTS, *MONTHS])
def test_charges(case: Case) -> None:
    check(case)


COSTLY: dict[str, Any] = {
    "leverage": 3.0,
    "fee": 0.003,
    "slippage": 0.002,
    "unit_fee": 0.05,
    "fixed_fee": 7.0,
    "tick": 0.01,
}
MOVES = [(0.0, 0.7), (0.0, -0.8), (0.9, 0.2), (-0.5, 0.6), (0.4, -0.4), (-0.9, -0.3), (0.3, 1.8), (0.5, 0.5001)]


@pytest.mark.parametrize("least", [0.0, 60.0])
@pytest.mark.parametrize(("before", "after"), MOVES)
def test_a_weight_is_met_exactly_after_every_cost(before: float, after: float, least: float) -> None:
    """Clause 2, closed form; but a move that costs more than it brings is not made."""
    run = play(Case("w", ("100 102 98 100 | = | =", "70 | = | ="), {1: (0.0, before), 2: (0.0, after)}, [], []),
    **COSTLY,
               minimum_fee=least)  # fmt: skip
    small = (before, after) == MOVES[-1]
    assert run.arrays.weights[2].tolist() == pytest.approx(
        [0.0, before if small and least else after], abs=1e-11 if not small else 5e-4
    )
    assert run.world.book.money[GROSS] == pytest.approx(abs(run.arrays.weights[2, 1]))


def test_months_are_those_of_the_calendar() -> None:
    """Clause 4, tiers: every day of five centuries, leap years and the years before 1970 among them."""
    days = np.arange(-100_000, 100_000, 1)
    turns = np.diff(days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)) == 1
    for at in np.flatnonzero(turns):
        assert month_of(int(days[at]) * DAY + DAY - 1) != month_of(int(days[at + 1]) * DAY)
    ours = np.array([month_of(int(day) * DAY + 5) for day in days[::7]])
    theirs = days[::7].astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    np.testing.assert_array_equal(np.diff(ours), np.diff(theirs))
