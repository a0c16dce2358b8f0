"""What the contract says since a second reading found it silent, or saying something else, in eleven places."""

from __future__ import annotations

import pytest

import barograph as bg
from tests.kit.tables import (
    ALL_REDUCED,
    NO_LOT,
    UNPROTECTED,
    WAITS,
    Case,
    check,
    limit,
    market,
    named,
    on_close,
    play,
    stop,
    trailing,
)

BOUGHT = "1-2 A market filled"
MARGIN = {"leverage": 4.0, "maintenance": 0.25}
CASES = [
    Case("6 a target between 0 and 1 is an order at every close", "100 | = | =", {1: 0.5, 2: 0.5}, [(2, 1, 50, 100)],
         [BOUGHT, "2-3 A market cancelled: already at the target"]),
    Case("6 not where no whole lot would move", "100 | = | =", {1: 0.5, 2: 0.5, 3: 0.5001}, [(2, 1, 50, 100)],
         [BOUGHT], {"lot": 1.0}),
    Case("6 nor at 0 and 1", "100 | = | = | =", {1: 1.0, 2: 1.0, 3: 0.0, 4: 0.0}, [(2, 1, 100, 100), (4, 2, -100, 100)],
         [BOUGHT, "3-4 A market filled"]),
    Case("6 the band is asked at the decision only", "100 | = | 100 | 96", {1: 0.5, 3: 0.61},
         [(2, 1, 50, 100), (4, 2, (0.61 * 9_800 - 4_800) / 96, 96)], [BOUGHT, "3-4 A market filled"], {"band": 0.1}),
    Case("2 long 190 to short 140 is a reduction, carried out whole", ("100 | = | =", "100 | = | ="),
         {1: (1.9, 0.0), 2: (-1.4, 0.9)},
         [(2, 1, 190, 100), (3, 2, -330, 100), (3, 3, 60, 100, "shrunk: no room under the leverage limit")],
         [BOUGHT, "2-3 A market filled", "2-3 B market filled: shrunk: no room under the leverage limit"],
         {"leverage": 2.0}),
    Case("2 so is the mirror image", ("100 | = | =", "100 | = | ="), {1: (0.7, 0.0), 2: (-0.7, 0.9)},
         [(2, 1, 70, 100), (3, 2, -140, 100), (3, 3, 30, 100, "shrunk: no room under the leverage limit")],
         [BOUGHT, "2-3 A market filled", "2-3 B market filled: shrunk: no room under the leverage limit"]),
    Case("2 one that turns and grows closes first, and its opening part shrinks", "100 | = | =",
         {1: [market(50)], 2: [market(-200)]},
         [(2, 1, 50, 100), (3, 2, -150, 100, "shrunk: no room under the leverage limit")],
         [BOUGHT, "2-3 A market filled: shrunk: no room under the leverage limit"]),
    Case("2 reduce-only acts in the second pass on what the first open made", "100 | =",
         {1: [market(-5, reduce=True), market(8)]}, [(2, 2, 8, 100)],
         ["1-2 A market cancelled: reduce only: nothing to reduce", "1-2 A market filled"]),
    Case("2 reduce-only, younger than the purchase", "100 | =", {1: [market(8), market(-5, reduce=True)]},
         [(2, 1, 8, 100), (2, 2, -5, 100)], [BOUGHT, "1-2 A market filled"]),
    Case("3 the legs of a bracket end when the position has turned", "100 | = | = | =",
         {1: [market(10, bracket=(90, 110))], 2: [market(-30)]}, [(2, 1, 10, 100), (3, 4, -30, 100)],
         [BOUGHT, f"2-3 A stop (stop_loss of 1) cancelled: {UNPROTECTED}",
          f"2-3 A limit (take_profit of 1) cancelled: {UNPROTECTED}", "2-3 A market filled"]),
    Case("3 a leg born while the position is nothing ends", "100 | = | 100 106 99 100",
         {1: [market(-10)], 2: [market(10, bracket=(90, 110)), stop(5, 105)]},
         [(2, 1, -10, 100), (3, 2, 10, 100), (3, 3, 5, 105)],
         [BOUGHT, "2-3 A market filled", "2-3 A stop filled", f"3-3 A stop (stop_loss of 2) cancelled: {UNPROTECTED}",
          f"3-3 A limit (take_profit of 2) cancelled: {UNPROTECTED}"]),
    Case("3 the path is that of the oldest order that can act inside", "100 | 100 110 95 104",
         {1: [on_close(-5), trailing(5, 4)]}, [(2, 2, 5, 104), (2, 1, -5, 104)],
         ["1-2 A market_on_close filled", "1-2 A trailing_stop filled"]),
    Case("4 zero volume: no trailing stop moves, and the close is marked", "100 | = | 100 120 100 120 v0 | 118 | 97",
         {1: [market(10), trailing(-10, 2)]}, [(2, 1, 10, 100), (5, 2, -10, 97)],
         [BOUGHT, "1-5 A trailing_stop filled"]),
    Case("4 a stop that finds no lot of volume is at the market", "100 | = | 98 98 94 97 v8 | 99 | =",
         {1: [market(10), stop(-10, 95)]}, [(2, 1, 10, 100), (4, 2, -10, 99)],
         [BOUGHT, "1-4 A stop filled"], {"participation": 0.1, "lot": 1.0},
         events=[(3, "triggered", "A", 2, 0.0, 95, "")]),
    Case("4 the share of volume is rounded down to lots", "100 v58 | = | =", {1: [market(40)]},
         [(2, 1, 20, 100, WAITS), (3, 1, 20, 100)], ["1-3 A market filled"], {"participation": 0.5, "lot": 10.0}),
    Case("5 a liquidation is rounded up to lots", "100 | = | 85 | =", {1: 4.0},
         [(2, 1, 400, 100), (4, 2, -220, 85, "margin call")],
         [BOUGHT, "4-4 A market (liquidation) filled: margin call"], {**MARGIN, "lot": 10.0},
         events=[(2, "margin_warning", "", 0, 4.0, 10_000.0, "margin call"),
                 (3, "margin_call", "", 0, 8.5, 4_000.0, "margin call")]),
    Case("6 an order that is cut is filled, and says what there was", "100 | = | =",
         {1: [market(10)], 2: [market(-15, reduce=True)]}, [(2, 1, 10, 100), (3, 2, -10, 100, ALL_REDUCED)],
         [BOUGHT, f"2-3 A market filled: {ALL_REDUCED}"]),
    Case("6 the fixed fee would carry it past the target", "100 | = | 99.98 | =", {1: 0.5, 2: 0.5, 3: 0.5},
         [(2, 1, 0.5 * 9_995 / 100, 100)],
         [BOUGHT, *[f"{t}-{t + 1} A market cancelled: already at the target" for t in (2, 3)]], {"fixed_fee": 5.0},
         fees=[5]),
    Case("0 a split leaves less than a lot of an order", "100 | 1000 | =", {1: [limit(5, 950)]}, [],
         [f"1-2 A limit cancelled: {NO_LOT}"], {"lot": 1.0}, actions={"splits": {2: 0.1}},
         events=[(2, "split", "A", 0, 0, 0.1, "")]),
]  # fmt: skip


@named(CASES)
def test_what_was_silent(case: Case) -> None:
    check(case)


def test_asked_is_in_whole_lots() -> None:
    run = play(Case("", "100 | = | =", {1: [market(0.69), limit(10, 99.99)]}, [], []), lot=0.1, tick=0.1)
    assert run.tables["orders"][["asked", "limit"]].values.tolist()[0][0] == 0.6
    assert run.tables["orders"]["limit"].tolist()[1] == pytest.approx(99.9)
    assert isinstance(run, bg.Result)
