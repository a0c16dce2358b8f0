"""The table of resting orders: room inside a bar and at its open, what is asked and taken, slots, legs and pairs."""

from __future__ import annotations

import math
from typing import Any

import pytest

import barograph as bg
from tests.execution.test_units import same_in_other_units
from tests.kit.tables import (
    NEWER,
    NO_HEADROOM,
    PAIR,
    SHRUNK,
    WAITS,
    Case,
    cancel,
    check,
    limit,
    market,
    named,
    play,
    stop,
    stop_limit,
    trailing,
)

NONE = math.nan
H = "100 101 99 100"
BOUGHT = "1-2 A market filled"
REDUCED, NONE_LEFT = "reduce only: all there was", "reduce only: nothing to reduce"
HALF, MAKER = {"participation": 0.5}, {"fee": 0.01, "maker_fee": 0.0}
FIRST_MARKET = (2, 1, 10, 100)
MAKING = [
    Case("4 fee: a stop-limit that wakes at its limit takes", f"{H} | 100 106 99 104", {1: [stop_limit(10, 105, 105)]},
         [(2, 1, 10, 105)], ["1-2 A stop_limit filled"], MAKER, fees=[10.5],
         events=[(2, "triggered", "A", 1, 0.0, 105, "")]),
    Case("4 fee: one that waits for its limit makes", f"{H} | 100 106 99 104", {1: [stop_limit(10, 105, 104)]},
         [(2, 1, 10, 104)], ["1-2 A stop_limit filled"], MAKER, events=[(2, "triggered", "A", 1, 0.0, 105, "")]),
    Case("4 fee: a take-profit that is passed when it is born takes", "98 | 98 99 93 97",
         {1: [limit(10, 95, bracket=(NONE, 94))]}, [(2, 1, 10, 95), (2, 2, -10, 95)],
         ["1-2 A limit filled", "2-2 A limit (take_profit of 1) filled"], MAKER, fees=[0, 9.5]),
    Case("4 fee: a take-profit born at the open, at its price, takes", f"{H} | {H}",
         {1: [market(10, bracket=(NONE, 100))]}, [FIRST_MARKET, (2, 2, -10, 100)],
         [BOUGHT, "2-2 A limit (take_profit of 1) filled"], MAKER, fees=[10, 10]),
]  # fmt: skip

# What the room after the open is for: B's purchase has all of it but what A's orders are counted with.
R = math.log(1.1)
FIVE = "100 | = | 100 106 94 100"
IDLE = "100 | = | ="
PLACES = [
    Case("3 room: what has acted at the open asks for none inside", ("100 v60 | = | =", "100 | = | 98 99 94 97"),
         {2: [limit(100, 100), limit(70, 95, asset=1)]}, [(3, 1, 30, 100, WAITS), (3, 2, 70, 95)],
         ["2- A limit open", "2-3 B limit filled"], {"participation": 0.5}),
    Case("3 room: what may only reduce asks for none", (FIVE, "100 | = | 98 99 94 97"),
         {1: [market(50)], 2: [limit(-300, 105, reduce=True), limit(50, 95, asset=1)]},
         [(2, 1, 50, 100), (3, 2, -50, 105, REDUCED), (3, 3, 50, 95)],
         [BOUGHT, f"2-3 A limit filled: {REDUCED}", "2-3 B limit filled"]),
    Case("3 room: what sells a position asks for none, nor for its fee", (FIVE, "100 | = | 98 99 94 97"),
         {1: [market(50)], 2: [limit(-50, 105), limit(100, 95, asset=1)]},
         [(2, 1, 50, 100), (3, 2, -50, 105), (3, 3, 4_600 / 95, 95, SHRUNK)],
         [BOUGHT, "2-3 A limit filled", f"2-3 B limit filled: {SHRUNK}"], {"fixed_fee": 200.0}, fees=[200] * 3),
    Case("3 room: nor does what a cash account cannot sell", (FIVE, "100 | = | 98 99 94 97"),
         {1: [market(10)], 2: [limit(-300, 105), limit(93, 95, asset=1)]},
         [(2, 1, 10, 100), (3, 2, -10, 105, "cash account: all there was"), (3, 3, 93, 95)],
         [BOUGHT, "2-3 A limit filled: cash account: all there was", "2-3 B limit filled"], {"account": "cash"}),
    Case("3 room: a flip asks for what is more than before", FIVE, {1: [market(50)], 2: [stop(-200, 95)]},
         [(2, 1, 50, 100), (3, 2, -50 - 10_000 / 95, 95, SHRUNK)], [BOUGHT, f"2-3 A stop filled: {SHRUNK}"]),
    Case("3 room: so does a flip to the other side", FIVE, {1: [market(-50)], 2: [stop(200, 105)]},
         [(2, 1, -50, 100), (3, 2, 50 + 10_000 / 105, 105, SHRUNK)], [BOUGHT, f"2-3 A stop filled: {SHRUNK}"]),
    Case("3 a trailing purchase out of reach follows the low", "100 | 98 99 92 94 | 110 113 109 110",
         {1: [trailing(10, 20)]}, [(3, 1, 10, 112)], ["1-3 A trailing_stop filled"]),
    Case("3 room: all purchases pay their fees", "100 | 98 99 93 97", {1: [limit(60, 95), limit(60, 94)]},
         [(2, 1, 60 * 10_000 / 11_453.4, 95, SHRUNK), (2, 2, 60 * 10_000 / 11_453.4, 94, SHRUNK)],
         [f"1-2 A limit filled: {SHRUNK}"] * 2, {"fee": 0.01},
         fees=[57 * 10_000 / 11_453.4, 56.4 * 10_000 / 11_453.4]),
    Case("3 room: a limit asks for no slippage", "100 | 98 99 80 97", {1: [limit(200, 95)]},
         [(2, 1, 10_000 / 95, 95, SHRUNK)], [f"1-2 A limit filled: {SHRUNK}"],
         {"slippage": 0.1}),
    Case("3 room: of a trailing pair the dearer asks, up to a tick", "100 | 98 106 94 97",
         {1: [stop(50, 105), trailing(90, 3, pair=True)]}, [(2, 2, 90, 101)],
         [f"1-2 A stop cancelled: {PAIR}", "1-2 A trailing_stop filled"], {"tick": 0.5}),
    Case("3 room: the book is valued at the open", ("100 | = | 50", "100 | = | 98 99 94 97"),
         {1: [market(50)], 2: [limit(100, 95, asset=1)]}, [(2, 1, 50, 100), (3, 2, 5_000 / 95, 95, SHRUNK)],
         [BOUGHT, f"2-3 B limit filled: {SHRUNK}"]),
    Case("3 room: an asset without a bar is valued at its last price", ("100 | = | -", "100 | = | 98 99 94 97"),
         {1: [market(50)], 2: [limit(100, 95, asset=1)]}, [(2, 1, 50, 100), (3, 2, 5_000 / 95, 95, SHRUNK)],
         [BOUGHT, f"2-3 B limit filled: {SHRUNK}"]),
    Case("3 room: every position takes its part, one unit too", ("2000 | = | =", IDLE, "100 | = | 98 99 94 97"),
         {1: [market(1), market(10, asset=1)], 2: [limit(100, 95, asset=2)]},
         [(2, 1, 1, 2_000), (2, 2, 10, 100), (3, 3, 7_000 / 95, 95, SHRUNK)],
         [BOUGHT, "1-2 B market filled", f"2-3 C limit filled: {SHRUNK}"]),
    Case("3 room: a gain of the open is room", ("2000 | = | 4000", "100 | = | 98 99 94 97"),
         {1: [market(1)], 2: [limit(200, 95, asset=1)]}, [(2, 1, 1, 2_000), (3, 2, 14_000 / 95, 95, SHRUNK)],
         [BOUGHT, f"2-3 B limit filled: {SHRUNK}"], {"leverage": 1.5}),
    Case("3 room: a minimum fee is paid out of it", "100 | 98 99 94 97", {1: [limit(200, 95)]},
         [(2, 1, 9_500 / 95, 95, SHRUNK)], [f"1-2 A limit filled: {SHRUNK}"],
         {"minimum_fee": 300.0, "fixed_fee": 200.0}, fees=[500]),
    Case("3 room: volatility costs part of it", "100 | 110 | 110 120 108 115", {2: [stop(200, 112)]},
         [(3, 1, 10_000 / (112 * (1 + 0.1 * R)), 112 * (1 + 0.1 * R), SHRUNK)], [f"2-3 A stop filled: {SHRUNK}"],
         {"volatility_slippage": 0.1}, slips=[1_000 * R / (1 + 0.1 * R)]),
    Case("3 room: a bar that closes at its high", "100 | 98 99 94 99", {1: [limit(200, 95)]},
         [(2, 1, 10_000 / 95, 95, SHRUNK)], [f"1-2 A limit filled: {SHRUNK}"]),
]  # fmt: skip

WAYS = [
    Case("3 path: of a position, not of an order that rests beside it", f"{H} | = | 100 104 93 98",
         {1: [market(10)], 2: [limit(5, 50), trailing(-10, 5)]}, [FIRST_MARKET, (3, 3, -10, 95)],
         [BOUGHT, "2- A limit open", "2-3 A trailing_stop filled"]),
    Case("3 path: of the oldest order where there is no position", f"{H} | = | 100 104 93 98",
         {1: [limit(5, 50)], 2: [trailing(-10, 5)]}, [(3, 2, -10, 99)],
         ["1- A limit open", "2-3 A trailing_stop filled"]),
]  # fmt: skip


def guards(**limits: Any) -> dict[str, Any]:
    """Terms with these guards, none of which lets new risk in while it holds."""
    return {"guards": [bg.Guard(on, most) for on, most in limits.items()]}


POSITION, GROSS, NET, KILL = "position limit", "gross exposure limit", "net exposure limit", "kill switch"
TOO_SMALL = "below the smallest order value"
QUIET, RISEN, FALLEN = "100 | = | =", "100 | = | 130 | =", "100 | = | 80 | ="
DATE = {"kill": "2024-03-05"}
SMALL = {"min_notional": 500.0}
# A is half of the equity, and what rests for it another tenth; when B has lost a fifth, that is more than 0.6 of it.
DRIFTED = {1: [market(50), market(40, asset=1)], 2: [limit(9, 95)]}
DRIFT = [BOUGHT, "1-2 B market filled", "2- A limit open"]
WHEN = 1_709_596_800_000_000_000.0
TAKEN = [
    Case("6 guard: who holds nothing takes no new risk", QUIET, {2: [market(10)]}, [],
         [f"2-2 A market rejected: {KILL}"], guards(**DATE),
         events=[(2, "guard", "", 0, WHEN + 20 * 3.6e12, WHEN, KILL)]),
    Case("6 guard: what would change sides closes, whatever the limit", RISEN, {1: [market(40)], 3: [market(-200)]},
         [(2, 1, 40, 100), (4, 2, -40, 130, REDUCED)], [BOUGHT, f"3-4 A market filled: {REDUCED}"],
         guards(position=0.45), events=[(3, "guard", "", 0, 5_200 / 11_200, 0.45, POSITION),
                                        (4, "released", "", 0, 0.0, 0.45, POSITION)]),
    Case("6 position: a reduction is let through beside what rests", (QUIET + " | =", FALLEN),
         {**DRIFTED, 3: [market(-5)]}, [(2, 1, 50, 100), (2, 2, 40, 100), (4, 4, -5, 100)],
         [*DRIFT, "3-4 A market filled"], guards(position=0.6)),
    Case("6 position: so is what may only reduce, of any size", (QUIET + " | =", FALLEN),
         {**DRIFTED, 3: [limit(-200, 100, reduce=True)]}, [(2, 1, 50, 100), (2, 2, 40, 100), (4, 4, -50, 100, REDUCED)],
         [*DRIFT, f"3-4 A limit filled: {REDUCED}"], guards(position=0.6)),
    Case("6 position: what rests to sell makes no room to buy", QUIET, {1: [limit(-50, 105), limit(60, 99)]}, [],
         ["1- A limit open", f"1-1 A limit rejected: {POSITION}"], guards(position=0.55)),
    Case("6 position: what may only reduce counts for nothing", QUIET,
         {1: [limit(-50, 105, reduce=True), limit(-50, 105)]}, [], ["1- A limit open"] * 2, guards(position=0.55)),
    Case("6 position: one unit held is a position", "2000 | = | =", {1: [market(1)], 2: [market(2)]},
         [(2, 1, 1, 2_000)], [BOUGHT, f"2-2 A market rejected: {POSITION}"], guards(position=0.5)),
    Case("6 position: of a pair of purchases the dearer counts", QUIET,
         {1: [limit(50, 95), limit(50, 90, pair=True), limit(10, 95)]}, [],
         ["1- A limit open", "1- A limit open", f"1-1 A limit rejected: {POSITION}"], guards(position=0.5)),
    Case("6 position: of a trailing pair too, on either side", QUIET,
         {1: [trailing(50, 20), stop(45, 110, pair=True), limit(1, 95),
              trailing(-60, 20), stop(-60, 90, pair=True), limit(-1, 105)]}, [],
         ["1- A trailing_stop open", "1- A stop open", f"1-1 A limit rejected: {POSITION}"] * 2,
         {**guards(position=0.6, gross=0.9), "tick": 0.5}),
    Case("6 net: a short beside a long is no more than either", (QUIET,) * 2,
         {1: [market(40), market(-40, asset=1)], 2: [market(-15), market(-40, asset=1)]},
         [(2, 1, 40, 100), (2, 2, -40, 100), (3, 3, -15, 100)],
         [BOUGHT, "1-2 B market filled", "2-3 A market filled", f"2-2 B market rejected: {NET}"], guards(net=0.45)),
    Case("6 gross: an asset that has not begun adds nothing", (QUIET, "- | - | 100"), {1: [market(80)], 2: [market(1)]},
         [(3, 2, 1, 100)], [f"1-1 A market rejected: {GROSS}", "2-3 A market filled"], guards(gross=0.5)),
    Case("4 value: closing less than the smallest value, after a fall", "100 | = | 60 | =",
         {1: [market(6)], 3: [market(-6)]}, [(2, 1, 6, 100), (4, 2, -6, 60)], [BOUGHT, "3-4 A market filled"], SMALL),
    Case("4 value: all but one unit is not the end of a position", "100 | = | 60 | =",
         {1: [market(6)], 3: [market(-5)]}, [(2, 1, 6, 100)], [BOUGHT, f"3-3 A market rejected: {TOO_SMALL}"], SMALL),
    Case("6 a cancel without a tag cancels nothing", f"{H} | =", {1: [limit(10, 95)], 2: [cancel(0)]}, [],
         ["1- A limit open"]),
    Case("6 a stop that became a market order is kept by its tag", "98 | 98 99 94 97 v8 | 97 98 96 97 v8 | = | =",
         {1: [stop(-10, 95, tag=1)], 2: [stop(-10, 95, tag=1)], 3: [stop(-10, 95, tag=1)]},
         [(2, 1, -4, 95, WAITS), (3, 1, -4, 97, WAITS), (4, 1, -2, 97)], ["1-4 A stop filled"],
         {"participation": 0.5}, events=[(2, "triggered", "A", 1, 0.0, 95, "")]),
    Case("6 so is a trailing stop", "100 | 98 99 94 97 v8 | 97 98 96 97 v8 | = | =",
         {1: [trailing(-10, 5, tag=1)], 2: [trailing(-10, 5, tag=1)]},
         [(2, 1, -4, 95, WAITS), (3, 1, -4, 97, WAITS), (4, 1, -2, 97)], ["1-4 A trailing_stop filled"],
         {"participation": 0.5}, events=[(2, "triggered", "A", 1, 0.0, 95, "")]),
]  # fmt: skip
OFF_TICK = [limit(1, 95.3), limit(-1, 105.3), stop(1, 105.3), stop(-1, 95.3), stop_limit(1, 105.3, 106.3)]
TAKEN += [
    Case(f"6 the same {asked.kind} of {asked.numbers[0]:+} between two ticks is the same order", f"{H} | = | =",
         {bar: [asked._replace(more={"tag": 1})] for bar in (1, 2)}, [], [f"1- A {asked.kind} open"], {"tick": 0.5})
    for asked in OFF_TICK
]  # fmt: skip


GUARDED = bg.Protected(0.1, NONE, 110, NONE)
S = 5 / 22
Q = 1_000 / 100.1
AGAIN = 0.2 * (10_000 + 14 * Q - 1.15 * Q) / (115 + 0.2 * 1.15)
ODD = "100 | = | 100 v1 | = | ="
OPENS = [
    Case("4 volume of one unit is volume", ODD, {2: [market(2), limit(3, 101)]}, [(3, 1, 2, 100), (3, 2, 3, 100)],
         ["2-3 A market filled", "2-3 A limit filled"]),
    Case("4 volume of one unit is volume for a weight", ODD, {2: 0.5}, [(3, 1, 50, 100)], ["2-3 A market filled"]),
    Case("4 a weight waits for volume", "100 | 100 v0 | 100", {1: 0.5}, [(3, 1, 50, 100)], ["1-3 A market filled"]),
    Case("4 volume: a weight that moves less than its share is not cut", "100 | 100 v180 | 100 v60 | =",
         {1: 0.9, 2: 0.7}, [(2, 1, 90, 100), (3, 2, -20, 100)], [BOUGHT, "2-3 A market filled"], HALF),
    Case("4 volume: a weight of nothing takes its share and waits", "100 | 100 v180 | 100 v60 | = | =",
         {1: 0.9, 2: 0.0}, [(2, 1, 90, 100), *((bar, 2, -30, 100, WAITS) for bar in (3, 4)), (5, 2, -30, 100)],
         [BOUGHT, "2-5 A market filled"], HALF),
    Case("6 a target that the open has reached is no trade", "100 | 100 110 99 110 | 100", {1: 0.5, 2: 0.5},
         [(2, 1, 50, 100)], [BOUGHT, "2-3 A market cancelled: already at the target"]),
    Case("4 lot: a weight of nothing sells the odd lot too", "100 | = | 200 | =", {1: 0.1, 3: 0.0},
         [(2, 1, 10, 100), (4, 2, -5, 200)], [BOUGHT, "3-4 A market filled"], {"lot": 10.0},
         actions={"splits": {3: 0.5}}, events=[(3, "split", "A", 0, 5.0, 0.5, "")]),
    Case("4 a cash account holds less than a unit", "100 | =", {1: 0.005}, [(2, 1, 0.5, 100)], [BOUGHT],
         {"account": "cash"}),
    Case("2 a leg that fills at the open leaves its target another gap", f"{H} | = | 115",
         {1: GUARDED, 2: GUARDED._replace(weights=0.2)},
         [(2, 1, Q, 100), (3, 2, -Q, 115), (3, 3, AGAIN, 115), (3, 4, -AGAIN, 115)],
         [BOUGHT, "2-3 A limit (take_profit) filled", "2-3 A market filled", "3-3 A limit (take_profit) filled"],
         {"fee": 0.01}, fees=[Q, 1.15 * Q, 1.15 * AGAIN, 1.15 * AGAIN]),
    Case("2 room: a minimum fee is paid out of it", f"{H} | =", {1: [market(200)]}, [(2, 1, 95, 100, SHRUNK)],
         [f"{BOUGHT}: {SHRUNK}"], {"minimum_fee": 300.0, "fixed_fee": 200.0}, fees=[500]),
    Case("2 what a stop has sold asks for no room", ("100 | = | 80 | =", "100 | = | = | ="),
         {1: bg.Protected([0.5, bg.HOLD], 90, NONE, NONE), 3: bg.Protected([bg.HOLD, 1.0], 50, NONE, NONE)},
         [(2, 1, 50, 100), (3, 2, -50, 80), (4, 3, 90, 100)],
         [BOUGHT, "2-3 A stop (stop_loss) filled", "3-4 B market filled",
          "4- B stop (stop_loss) open"]),
    Case("2 reductions make room and are not shrunk", ("100 | = | =",) * 2, {1: (0.5, 0.5), 2: (0.2, 0.9)},
         [(2, 1, 50, 100), (2, 2, 50, 100), (3, 3, -30, 100), (3, 4, 30, 100, SHRUNK)],
         [BOUGHT, "1-2 B market filled", "2-3 A market filled", f"2-3 B market filled: {SHRUNK}"]),
    Case("2 room: a single unit takes its part", "2000 | =", {1: [market(1), market(9)]},
         [(2, 1, 0.5, 2_000, SHRUNK), (2, 2, 4.5, 2_000, SHRUNK)], [f"{BOUGHT}: {SHRUNK}"] * 2),
    Case("2 room: what rests untouched takes no part", "100 | =", {1: [limit(1, 50), market(200)]},
         [(2, 2, 100, 100, SHRUNK)], ["1- A limit open", f"{BOUGHT}: {SHRUNK}"]),
    Case("2 room: what may only reduce takes none", ("100 | = | =",) * 2,
         {1: [market(50)], 2: [market(-200, reduce=True), market(200, asset=1)]},
         [(2, 1, 50, 100), (3, 2, -50, 100, REDUCED), (3, 3, 100, 100, SHRUNK)],
         [BOUGHT, f"2-3 A market filled: {REDUCED}", f"2-3 B market filled: {SHRUNK}"]),
    Case("2 room: of two orders of an asset the second begins where the first ends", ("100 | = | =",) * 2,
         {1: [market(50)], 2: [market(20), market(-120), market(200, asset=1)]},
         [(2, 1, 50, 100), (3, 2, 20 * S, 100, SHRUNK), (3, 3, -50 - 20 * S + (20 * S - 70) * S, 100, SHRUNK),
          (3, 4, 200 * S, 100, SHRUNK)],
         [BOUGHT, *[f"2-3 A market filled: {SHRUNK}"] * 2, f"2-3 B market filled: {SHRUNK}"]),
    Case("2 room: what has nothing to reduce takes none", ("100 | =",) * 2,
         {1: [market(-50, reduce=True), market(200, asset=1)]}, [(2, 2, 100, 100, SHRUNK)],
         [f"1-2 A market cancelled: {NONE_LEFT}", f"1-2 B market filled: {SHRUNK}"]),
    Case("2 room: nor what a cash account has nothing of to sell", ("100 | =",) * 2,
         {1: [market(-50), market(200, asset=1)]}, [(2, 2, 100, 100, SHRUNK)],
         ["1-2 A market cancelled: cash account: nothing to sell", f"1-2 B market filled: {SHRUNK}"],
         {"account": "cash"}),
    Case("2 room: a pair that the open fills, one of it trailing by ticks", "100 | 104",
         {1: [trailing(50, 3), stop(50, 102, pair=True)]}, [(2, 1, 50, 104)],
         ["1-2 A trailing_stop filled", f"1-2 A stop cancelled: {PAIR}"], {"tick": 0.5}),
    Case("2 a stop-limit that the open only triggers holds nothing up", f"{H} | 108",
         {1: [stop_limit(10, 105, 106), market(5)]}, [(2, 2, 5, 108)], ["1- A stop_limit open", BOUGHT],
         events=[(2, "triggered", "A", 1, 0.0, 108, "")]),
]  # fmt: skip


# Decided at the closes of bars 1 and 2; after the open of bar 3 the gross exposure is what `leverage` allows.
CALM = ("100 | 100 110 90 100 | =", "40 | 40 44 36 40 | =", "250 | 250 275 225 250 | =", "100 | = | -")
HELD = [market(30), market(-50, asset=1), market(1, asset=2), market(20, asset=3)]
WEIGHED = (0.3, -0.2, 0.1, 0.2)
FILLED: dict[str, dict[int, Any]] = {
    "weights from nothing": {2: (0.9, -0.8, 0.7, bg.HOLD)},
    "weights that grow": {1: WEIGHED, 2: (0.9, -0.8, 0.7, bg.HOLD)},
    "weights that change sides": {1: WEIGHED, 2: (-0.9, 0.8, 0.7, bg.HOLD)},
    "orders from nothing": {2: [market(90), market(-200, asset=1), market(28, asset=2)]},
    "orders that grow": {1: HELD, 2: [market(90), market(-200, asset=1), market(28, asset=2)]},
    "orders that change sides": {1: HELD, 2: [market(-90), market(200, asset=1), market(28, asset=2)]},
    "orders in two": {1: HELD[:1], 2: [market(-80), market(-80), market(200, asset=1), market(28, asset=2)]},
}
COSTLY: dict[str, Any] = {"fee": 0.002, "unit_fee": 0.05, "fixed_fee": 3.0, "slippage": 0.001}


@pytest.mark.parametrize("what", FILLED)
def test_increases_fill_what_room_there_is(what: str) -> None:
    """Clause 2: no more than `leverage` allows after all costs, and no less."""
    run = play(Case(what, CALM, FILLED[what], [], []), leverage=1.5, **COSTLY)
    assert run.arrays.table[1, 2] < 1.0
    assert run.arrays.table[2, 2] == pytest.approx(1.5, rel=1e-9)


CALLS = [(2, "margin_warning", "", 0, 4.0, 10_000, "margin call"),
         (3, "margin_call", "", 0, 8.5, 4_000, "margin call")]  # fmt: skip
GONE, TRAIL, LEVER = "cancelled by the strategy", "trailing_stop (trailing_stop)", {"leverage": 2.0}
FULLY = [
    Case("2 no room for the rest of an order", "100 v360 | = | 80 v360", {1: [market(300)]},
         [(2, 1, 180, 100, WAITS)], [f"1-3 A market cancelled: {NO_HEADROOM}"], {**LEVER, **HALF}),
    Case("2 no room for the rest of a weight", ("100 v120 | = | =", "100 v1000 | = | 120 v1000"), {1: (1.0, -1.0)},
         [(2, 1, 60, 100, WAITS), (2, 2, -100, 100)],
         [f"1-3 A market cancelled: {NO_HEADROOM}", "1-2 B market filled"], {**LEVER, **HALF}),
    Case("2 no room for a weight", ("100 | = | 110 | =", "100 | = | 110 | ="), {1: (0.0, -1.0), 3: (0.5, bg.HOLD)},
         [(2, 1, -100, 100)], ["1-2 B market filled", f"3-4 A market rejected: {NO_HEADROOM}"]),
    Case("5 a liquidation of one lot ends the legs with the position", "100 | = | 85 | =",
         {1: [market(400, bracket=(NONE, 300))]}, [(2, 1, 400, 100), (4, 3, -400, 85, "margin call")],
         [BOUGHT, "2-4 A limit (take_profit of 1) cancelled: nothing left to protect",
          "4-4 A market (liquidation) filled: margin call"], {"leverage": 4.0, "lot": 400.0}, events=CALLS),
    Case("2 a cash account sells what it holds before it buys", ("100 | = | =",) * 2,
         {1: [market(50)], 2: [market(-300), market(100, asset=1)]},
         [(2, 1, 50, 100), (3, 2, -50, 100, "cash account: all there was"), (3, 3, 100, 100)],
         [BOUGHT, "2-3 A market filled: cash account: all there was", "2-3 B market filled"], {"account": "cash"}),
    Case("4 volume: one unit is a share", "100 | 100 v2 | 100", {1: 0.5}, [(2, 1, 1, 100, WAITS), (3, 1, 49, 100)],
         ["1-3 A market filled"], HALF),
    Case("4 volume: a weight and its leg share it", "100 | 100 101 89 95 v30 | 95 96 94 95",
         {1: bg.Protected(0.1, 90, NONE, NONE)}, [(2, 1, 10, 100), (2, 2, -5, 90, WAITS), (3, 2, -5, 95)],
         [BOUGHT, "2-3 A stop (stop_loss) filled"], HALF, events=[(2, "triggered", "A", 2, 0.0, 90, "")]),
    Case("4 volume: a leg waits where its weight has taken all", "100 | 100 101 89 95 v20 | 95 96 94 95",
         {1: bg.Protected(0.1, 90, NONE, NONE)}, [(2, 1, 10, 100), (3, 2, -10, 95)],
         [BOUGHT, "2-3 A stop (stop_loss) filled"], HALF, events=[(2, "triggered", "A", 2, 0.0, 90, "")]),
    Case("4 volume: a part may be all that the other of a pair was for", "98 | 98 99 94 97 v8 | 97",
         {1: [limit(10, 95), stop(4, 110, pair=True)]}, [(2, 1, 4, 95, WAITS)],
         ["1- A limit open", f"1-2 A stop cancelled: {PAIR}"], HALF),
    Case("3 a trailing leg of a long begins at the fill of its entry", "98 | 98 99 90 97",
         {1: [limit(10, 95, trail=0.01)]}, [(2, 1, 10, 95), (2, 2, -10, 94.05)],
         ["1-2 A limit filled", "2-2 A trailing_stop (trailing_stop of 1) filled"]),
    Case("3 a trailing leg of a short begins there too", "102 | 102 110 101 103", {1: [limit(-10, 105, trail=0.01)]},
         [(2, 1, -10, 105), (2, 2, 10, 106.05)],
         ["1-2 A limit filled", "2-2 A trailing_stop (trailing_stop of 1) filled"]),
    Case("6 a trailing leg with another distance goes on to trail", "100 | 100 | 100 110 99 109 | 106 107 104 105",
         {1: bg.Protected(0.1, NONE, NONE, 0.2), 2: bg.Protected(bg.HOLD, NONE, NONE, 0.05)},
         [(2, 1, 10, 100), (4, 3, -10, 104.5)],
         [BOUGHT, f"2-2 A {TRAIL} cancelled: {NEWER}", f"2-4 A {TRAIL} filled"]),
    Case("6 a level between two ticks is the same level", "100 | = | = | 100 110 100 110",
         {1: bg.Protected(0.1, 90.3, 109.8, NONE),
          **dict.fromkeys((2, 3), bg.Protected(bg.HOLD, 90.3, 109.8, NONE))}, [(2, 1, 10, 100), (4, 3, -10, 110)],
         [BOUGHT, f"2-4 A stop (stop_loss) cancelled: {PAIR}", "2-4 A limit (take_profit) filled"], {"tick": 0.5}),
    Case("6 so it is for a short", "100 | = | = | 100 100 90 90",
         {1: bg.Protected(-0.1, 109.8, 90.3, NONE),
          **dict.fromkeys((2, 3), bg.Protected(bg.HOLD, 109.8, 90.3, NONE))}, [(2, 1, -10, 100), (4, 3, 10, 90)],
         [BOUGHT, f"2-4 A stop (stop_loss) cancelled: {PAIR}", "2-4 A limit (take_profit) filled"], {"tick": 0.5}),
    Case("1 DAY: a bar with nothing but a close is its day", "100 | nan nan nan 100 | 98 99 94 97",
         {1: [limit(10, 95, day=True)]}, [], ["1-2 A limit expired: its day is over"]),
    Case("1 DAY: so is one with a volume of one unit", "100 | 100 v1 | 98 99 94 97",
         {1: [limit(10, 95, day=True)]}, [], ["1-2 A limit expired: its day is over"]),
    Case("3 path: an order that is gone is not the oldest", f"{H} | = | 100 104 93 98",
         {1: [limit(5, 50, tag=1), trailing(-10, 6)], 2: [cancel(1)]}, [(3, 2, -10, 95)],
         [f"1-2 A limit cancelled: {GONE}", "1-3 A trailing_stop filled"]),
    Case("6 under one tag a market order of the other side is another order", ("100 | = | =", "- | - | 100"),
         {1: [market(10, asset=1, tag=1)], 2: [market(-10, asset=1, tag=1)]}, [(3, 2, -10, 100)],
         [f"1-2 B market cancelled: {NEWER}", "2-3 B market filled"]),
]  # fmt: skip


@named([*MAKING, *PLACES, *WAYS, *TAKEN, *OPENS, *FULLY])
def test_the_table(case: Case) -> None:
    check(case)
    same_in_other_units(case)
