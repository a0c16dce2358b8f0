"""Guards: each limit, each mode, how long it holds, what it does to weights and orders, and the events it leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.data.calendars import span_of
from tests.kit.tables import FIRST, HOUR, Case, check, limit, market, named, play, stop, trailing

NONE = math.nan
BOUGHT = "1-2 A market filled"
NONE_LEFT, ALL = "reduce only: nothing to reduce", "reduce only: all there was"
DRAWDOWN, DAILY, GROSS, NET = "drawdown limit", "daily loss limit", "gross exposure limit", "net exposure limit"
POSITION, TURNOVER, STOPPED, KILL = "position limit", "turnover limit", "cool-down after a stop-out", "kill switch"


def guard(on: str, limit: float | str, mode: str = "no_new_risk", cool_down: int = 0, **terms: Any) -> dict[str, Any]:
    """Terms with one guard."""
    return {"guards": [bg.Guard(on, limit, mode, cool_down)], **terms}


def hit(bar: int, x: float, limit: float, reason: str, event: str = "guard") -> tuple[Any, ...]:
    """The event of a guard: what was measured, and its limit."""
    return (bar, event, "", 0, x, limit, reason)


# All in at 100, a fifth of it lost at the close of bar 3.
LOSS = "100 | = | 80 | ="
HIT = hit(3, 0.2, 0.2, DRAWDOWN)
ALWAYS = {1: 1.0, 3: 1.0, 4: 1.0, 5: 1.0}
ONE = [(2, 1, 100, 100)]
DRAWDOWNS = [
    Case("6 drawdown: below its limit nothing happens", "100 | = | 80.1 | =", {1: 1.0, 3: 0.5},
         [*ONE, (4, 2, -50, 80.1)],
         [BOUGHT, "3-4 A market filled"], guard("drawdown", 0.2, "flatten")),
    Case("6 drawdown: flatten closes at the next open", LOSS, ALWAYS, [*ONE, (4, 2, -100, 80)],
         [BOUGHT, "3-4 A market filled"], guard("drawdown", 0.2, "flatten"), events=[HIT], end=8_000),
    Case("6 drawdown: flatten closes what is to be left alone", LOSS, {1: 1.0}, [*ONE, (4, 2, -100, 80)],
         [BOUGHT, "3-4 A market filled"], guard("drawdown", 0.2, "flatten"), events=[HIT]),
    Case("6 drawdown: flatten at the same close", "100 | 80 | =", {1: 1.0, 2: 1.0},
         [(1, 1, 100, 100), (2, 2, -100, 80)],
         ["1-1 A market filled", "2-2 A market filled"], guard("drawdown", 0.2, "flatten", fill="same_close"),
         events=[hit(2, 0.2, 0.2, DRAWDOWN)]),
    Case("6 drawdown: no new risk holds what there is", LOSS, {1: 1.0, 3: 1.5}, ONE, [BOUGHT],
         guard("drawdown", 0.2, leverage=2.0), events=[HIT]),
    Case("6 drawdown: no new risk lets reduce, and then not increase again", "100 | = | 80 | = | = | =",
         {1: 1.0, 3: 0.5, 4: 0.8, 5: 0.4},
         [*ONE, (4, 2, -50, 80), (6, 3, -10, 80)], [BOUGHT, "3-4 A market filled", "5-6 A market filled"],
         guard("drawdown", 0.2), events=[HIT]),
    Case("6 drawdown: no new risk lets nothing change its side", "100 | = | 80 | = | =", {1: 1.0, 3: -1.0, 4: -1.0},
         [*ONE, (4, 2, -100, 80)], [BOUGHT, "3-4 A market filled"], guard("drawdown", 0.2), events=[HIT]),
    Case("6 drawdown: of a short", "100 | = | 120 | = | =", {1: -1.0, 3: -1.6, 4: -0.5},
         [(2, 1, -100, 100), (5, 2, 200 / 3, 120)],
         [BOUGHT, "4-5 A market filled"], guard("drawdown", 0.2, leverage=2.0), events=[HIT]),
    Case("6 drawdown: begins at the highest close, and holds for good", "100 | = | 125 | 100 | 130 | =",
         {1: 1.0, 4: 0.5, 5: 1.0},
         [*ONE, (5, 2, -(13_000 * 0.5 / 130), 130)], [BOUGHT, "4-5 A market filled"], guard("drawdown", 0.2),
         events=[hit(4, 0.2, 0.2, DRAWDOWN)]),
    Case("6 drawdown: a cool-down of two bars, and the high-water mark begins anew", "100 | = | 80 | = | = | 65",
         {1: 1.0, 3: 0.5, 4: 0.6, 5: 0.7}, [*ONE, (4, 2, -50, 80), (6, 3, (0.7 * 7_250 - 50 * 65) / 65, 65)],
         [BOUGHT, "3-4 A market filled", "5-6 A market filled"], guard("drawdown", 0.2, cool_down=2),
         events=[HIT, hit(5, 0.2, 0.2, DRAWDOWN, "released")]),
    Case("6 drawdown: a cool-down of one bar", "100 | = | 80 | = | =", {1: 1.0, 3: 0.5, 4: 0.6},
         [*ONE, (4, 2, -50, 80), (5, 3, 10, 80)], [BOUGHT, "3-4 A market filled", "4-5 A market filled"],
         guard("drawdown", 0.2, cool_down=1), events=[HIT, hit(4, 0.2, 0.2, DRAWDOWN, "released")]),
    Case("6 drawdown: reduce only cancels waiting increases too", ("100 | = | 80 | =", "50 | - | - | ="),
         {1: (1.0, 0.1)},
         ONE, [BOUGHT, f"1-3 B market cancelled: {DRAWDOWN}"], guard("drawdown", 0.2, "reduce_only"), events=[HIT]),
    Case("6 drawdown: no new risk lets waiting increases be", ("100 | = | 80 | =", "50 | - | - | 50"), {1: (0.9, 0.1)},
         [(2, 1, 90, 100), (4, 2, 0.1 * 8_200 / 50, 50)], [BOUGHT, "1-4 B market filled"], guard("drawdown", 0.18),
         events=[hit(3, 0.18, 0.18, DRAWDOWN)]),
]  # fmt: skip

# Bar 2 at 15:00 and bar 3 at 16:00 are one day, bar 4 another.
HOURS = (0, 19, 20, 43, 67)
DAYS = [
    Case("6 daily loss: against the equity before the day, for as long as it is so",
         "100 | 100 100 95 95 | 95 95 90 90 | 88 | =",
         {1: 1.0, 3: 0.5, 4: 1.0}, [*ONE, (4, 2, -50, 88), (5, 3, 50, 88)],
         [BOUGHT, "3-4 A market filled", "4-5 A market filled"],
         guard("daily_loss", 0.1), hours=HOURS,
         events=[hit(3, 0.1, 0.1, DAILY), hit(4, 1 - 8_800 / 9_000, 0.1, DAILY, "released")]),
    Case("6 daily loss: with a cool-down a bar longer", "100 | 100 100 95 95 | 95 95 90 90 | 88 | 88",
         {1: 1.0, 3: 0.5, 4: 1.0},
         [*ONE, (4, 2, -50, 88)], [BOUGHT, "3-4 A market filled"], guard("daily_loss", 0.1, cool_down=1), hours=HOURS,
         events=[hit(3, 0.1, 0.1, DAILY), hit(5, 0.0, 0.1, DAILY, "released")]),
    Case("6 daily loss: a close at midnight ends its day", "100 | 100 100 95 95 | 95 95 90 90 | 90", {1: 1.0}, ONE,
         [BOUGHT],
         guard("daily_loss", 0.1), hours=(0, 19, 28, 43), events=[hit(3, 0.1, 0.1, DAILY),
         hit(4, 0.0, 0.1, DAILY, "released")]),
    Case("6 daily loss: two days that lose a little each are none", "100 | 100 100 95 95 | 95 95 90 90", {1: 1.0},
         ONE, [BOUGHT],
         guard("daily_loss", 0.06), hours=(0, 19, 43)),
    Case("6 daily loss: flatten at once", "100 | = | 90 | 91", {1: 1.0}, [*ONE, (4, 2, -100, 91)],
         [BOUGHT, "3-4 A market filled"],
         guard("daily_loss", 0.1, "flatten"), events=[hit(3, 0.1, 0.1, DAILY),
         hit(4, 1 - 9_100 / 9_000, 0.1, DAILY, "released")]),
]  # fmt: skip

EXPOSURES = [
    Case("6 gross: cuts what weights ask for, and is not beyond its limit there", ("100 | =", "50 | ="),
         {1: (1.0, -1.0)},
         [(2, 1, 75, 100), (2, 2, -150, 50)], [BOUGHT, "1-2 B market filled"], guard("gross", 1.5, leverage=2.0)),
    Case("6 gross: beyond it, until prices come back", "100 | = | 80 | 100 | =", {1: 1.5, 3: 1.8, 4: 1.4},
         [(2, 1, 150, 100), (5, 3, -10, 100)],
         [BOUGHT, f"3-4 A market cancelled: {GROSS}", "4-5 A market filled"], guard("gross", 1.5, leverage=2.0),
         events=[hit(3, 12_000 / 7_000, 1.5, GROSS), hit(4, 1.5, 1.5, GROSS, "released")]),
    Case("6 gross: an order on what has no price yet hides nothing", ("100 | =", "- | -"),
         {1: [market(10, asset=1), market(160)]}, [], ["1- B market open", f"1-1 A market rejected: {GROSS}"],
         guard("gross", 1.5, leverage=2.0)),
    Case("6 gross: flatten leaves an account that stands at its limit alone", "100 | = | =", {1: 1.0}, ONE,
         [BOUGHT], guard("gross", 1.0, "flatten")),
    Case("6 net: beyond it by a move", ("100 | = | 120", "50 | = | ="), {1: (1.0, -0.5)},
         [(2, 1, 100, 100), (2, 2, -100, 50)], [BOUGHT, "1-2 B market filled"], guard("net", 0.5, leverage=2.0),
         events=[hit(3, 7_000 / 12_000, 0.5, NET)]),
    Case("6 gross: counts what is left alone", ("100 | = | = | =", "50 | = | = | ="),
         {1: (1.0, 0.0), 2: (bg.HOLD, -1.0)},
         [(2, 1, 100, 100), (3, 2, -100, 50)], [BOUGHT, "2-3 B market filled"], guard("gross", 1.5, leverage=2.0)),
    Case("6 gross: nothing to cut below it", ("100 | =", "50 | ="), {1: (0.7, -0.7)},
         [(2, 1, 70, 100), (2, 2, -140, 50)],
         [BOUGHT, "1-2 B market filled"], guard("gross", 1.5, leverage=2.0)),
    Case("6 net: cuts what weights ask for", ("100 | =", "50 | ="), {1: (1.5, -0.5)},
         [(2, 1, 75, 100), (2, 2, -50, 50)],
         [BOUGHT, "1-2 B market filled"], guard("net", 0.5, leverage=2.0)),
    Case("6 net: short as well as long", ("100 | =", "50 | ="), {1: (-1.5, 0.5)}, [(2, 1, -75, 100), (2, 2, 50, 50)],
         [BOUGHT, "1-2 B market filled"], guard("net", 0.5, leverage=2.0)),
    Case("6 net: longs and shorts that cancel", ("100 | =", "50 | ="), {1: (1.0, -1.0)},
         [(2, 1, 100, 100), (2, 2, -200, 50)],
         [BOUGHT, "1-2 B market filled"], guard("net", 0.5, leverage=2.0)),
    Case("6 net: counts what is left alone", ("100 | = | =", "50 | = | ="), {1: (-0.4, 0.0), 2: (bg.HOLD, -0.8)},
         [(2, 1, -40, 100), (3, 2, -20, 50)], [BOUGHT, "2-3 B market filled"], guard("net", 0.5, leverage=2.0)),
    Case("6 position: cuts each weight", ("100 | =", "50 | ="), {1: (0.8, -0.2)}, [(2, 1, 40, 100), (2, 2, -40, 50)],
         [BOUGHT, "1-2 B market filled"], guard("position", 0.4)),
    Case("6 position: cuts a short weight", ("100 | =", "50 | ="), {1: (0.2, -0.8)}, [(2, 1, 20, 100), (2, 2, -80, 50)],
         [BOUGHT, "1-2 B market filled"], guard("position", 0.4)),
    Case("6 position: of the larger, whatever the columns", ("50 | = | =", "100 | = | 150"), {1: (0.1, -0.38)},
         [(2, 1, 20, 50), (2, 2, -38, 100)], [BOUGHT, "1-2 B market filled"], guard("position", 0.4),
         events=[hit(3, 5_700 / 8_100, 0.4, POSITION)]),
    Case("6 turnover: lets nothing grow until the month is over", "100 | = | = | = | =", {1: 0.6, 2: 0.9, 4: 0.9},
         [(2, 1, 60, 100), (5, 2, 30, 100)], [BOUGHT, "4-5 A market filled"], guard("turnover", 0.5),
         hours=(0, 24, 27 * 24, 28 * 24, 29 * 24),
         events=[hit(2, 0.6, 0.5, TURNOVER), hit(4, 0.0, 0.5, TURNOVER, "released")]),
    Case("6 turnover: sales count", "100 | = | = | =", {1: 0.3, 2: 0.0, 3: 0.3}, [(2, 1, 30, 100), (3, 2, -30, 100)],
         [BOUGHT, "2-3 A market filled"], guard("turnover", 0.5), events=[hit(3, 0.6, 0.5, TURNOVER)]),
]  # fmt: skip

WHEN = float(span_of("2024-03-06", None)[0])
KILLED = hit(3, float(FIRST + 48 * HOUR), WHEN, KILL)
SWITCHES = [
    Case("6 kill: flatten from the day on, for good", "100 | = | = | = | =", ALWAYS, [*ONE, (4, 2, -100, 100)],
         [BOUGHT, "3-4 A market filled"],
         guard("kill", "2024-03-06", "flatten"), events=[KILLED]),
    Case("6 kill: no new risk from the day on", "100 | = | = | = | =", {1: 0.5, 2: 0.6, 3: 0.7, 4: 0.4},
         [(2, 1, 50, 100), (3, 2, 10, 100), (5, 3, -20, 100)], [BOUGHT, "2-3 A market filled", "4-5 A market filled"],
         guard("kill", "2024-03-06"), events=[KILLED]),
    Case("6 kill: flatten cancels every order", "100 | = | = | = | =",
         {1: [market(10, bracket=(90, 110)), limit(5, 80)], 3: [market(7)]}, [(2, 1, 10, 100), (4, 5, -10, 100)],
         [BOUGHT, f"1-3 A limit cancelled: {KILL}", f"2-3 A stop (stop_loss of 1) cancelled: {KILL}",
          f"2-3 A limit (take_profit of 1) cancelled: {KILL}", "3-4 A market filled"],
         guard("kill", "2024-03-06", "flatten"), events=[KILLED]),
    Case("6 kill: reduce only cancels what may increase a position", "100 | = | = | 81 82 79 80",
         {1: [market(10, bracket=(60, 140)), limit(5, 80), limit(-11, 120), limit(-10, 130),
         stop(-15, 50, reduce=True)]},
         [(2, 1, 10, 100)],
         [BOUGHT, f"1-3 A limit cancelled: {KILL}", f"1-3 A limit cancelled: {KILL}", "1- A limit open",
         "1- A stop open",
          "2- A stop (stop_loss of 1) open", "2- A limit (take_profit of 1) open"],
         guard("kill", "2024-03-06", "reduce_only"), events=[KILLED]),
    Case("6 kill: no new risk leaves what rests, and refuses what is new", "100 | = | = | 81 82 79 80",
         {1: [market(10), limit(5, 80)], 3: [market(1), market(-4), market(-30), market(12, reduce=True)]},
         [(2, 1, 10, 100), (4, 4, -4, 81), (4, 5, -6, 81, ALL), (4, 2, 5, 80)],
         [BOUGHT, "1-4 A limit filled", f"3-3 A market rejected: {KILL}", "3-4 A market filled",
          f"3-4 A market filled: {ALL}", f"3-4 A market cancelled: {NONE_LEFT}"],
         guard("kill", "2024-03-06"), events=[KILLED]),
    Case("6 kill: of a short, only what reduces is taken", "100 | = | = | =",
         {1: [market(-10)], 3: [market(-1), market(4)]},
         [(2, 1, -10, 100), (4, 3, 4, 100)], [BOUGHT, f"3-3 A market rejected: {KILL}", "3-4 A market filled"],
         guard("kill", "2024-03-06", "reduce_only"), events=[KILLED]),
    Case("6 kill: a target that waits is kept from everything by the guard it was decided under",
         "100 | = | 80 | - | 60", {1: 0.5, 3: 0.4, 4: 0.4}, [(2, 1, 50, 100)],
         [BOUGHT, f"3-5 A market cancelled: {DAILY}"],
         {"guards": [bg.Guard("daily_loss", 0.1, "reduce_only"), bg.Guard("kill", "2024-03-07", "reduce_only")]},
         events=[hit(3, 0.1, 0.1, DAILY), hit(4, 0.0, 0.1, DAILY, "released"),
                 hit(4, float(FIRST + 72 * HOUR), WHEN + 24 * HOUR, KILL), hit(5, 1.0 / 9.0, 0.1, DAILY)]),
    Case("6 stop-out: a stop-loss is followed by a pause of two bars", "100 | = | 100 100 89 95 | 95 | = | =",
         {1: bg.Protected(0.1, 90.0, NONE, NONE), 3: bg.Protected(0.1, NONE, NONE, NONE),
         4: bg.Protected(0.1, NONE, NONE, NONE),
          5: bg.Protected(0.1, NONE, NONE, NONE)},
         [(2, 1, 10, 100), (3, 2, -10, 90)], [BOUGHT, "2-3 A stop (stop_loss) filled"],
         guard("stop_out", 1, cool_down=2),
         events=[hit(3, 1.0, 1.0, STOPPED), hit(6, 0.0, 1.0, STOPPED, "released")]),
    Case("6 stop-out: without a pause it is over at the next close", "100 | = | 100 100 89 95 | 95 | =",
         {1: bg.Protected(0.1, 90.0, NONE, NONE), 3: bg.Protected(0.1, NONE, NONE, NONE),
         4: bg.Protected(0.1, NONE, NONE, NONE)},
         [(2, 1, 10, 100), (3, 2, -10, 90), (5, 3, 990 / 95, 95)],
         [BOUGHT, "2-3 A stop (stop_loss) filled", "4-5 A market filled"],
         guard("stop_out", 1), events=[hit(3, 1.0, 1.0, STOPPED), hit(4, 0.0, 1.0, STOPPED, "released")]),
    Case("6 stop-out: two in one bar are two, take-profits are none",
         ("100 | 100 100 89 90", "50 | 50 56 50 50", "20 | 20 22 18 20"),
         {1: [market(1, bracket=(90, 110)), market(1, asset=1, bracket=(40, 55)), market(-1, asset=2, trail=0.05)]},
         [(2, 1, 1, 100), (2, 2, 1, 50), (2, 3, -1, 20), (2, 4, -1, 90), (2, 7, -1, 55), (2, 8, 1, 21)],
         [BOUGHT, "1-2 B market filled", "1-2 C market filled", "2-2 A stop (stop_loss of 1) filled",
          "2-2 A limit (take_profit of 1) cancelled: the other order of the pair filled",
          "2-2 B stop (stop_loss of 2) cancelled: the other order of the pair filled",
          "2-2 B limit (take_profit of 2) filled", "2-2 C trailing_stop (trailing_stop of 3) filled"],
         guard("stop_out", 2), events=[hit(2, 2.0, 2.0, STOPPED)]),
    Case("6 several: the strictest mode in force rules, with its reason", "100 | = | 80 | =",
         {1: [market(100), limit(-50, 120), limit(5, 70)], 3: [market(1)]}, [*ONE, (4, 4, -100, 80)],
         [BOUGHT, f"1-3 A limit cancelled: {KILL}", f"1-3 A limit cancelled: {KILL}", "3-4 A market filled"],
         {"guards": [bg.Guard("drawdown", 0.2), bg.Guard("kill", "2024-03-06", "flatten"),
         bg.Guard("daily_loss", 0.1, "reduce_only")]},
         events=[HIT, hit(3, float(FIRST + 48 * HOUR), WHEN, KILL), hit(3, 0.2, 0.1, DAILY),
                 hit(4, 0.0, 0.1, DAILY, "released")]),
]  # fmt: skip


@named([*DRAWDOWNS, *DAYS, *EXPOSURES, *SWITCHES])
def test_guards(case: Case) -> None:
    check(case)


REFUSED = [
    Case("6 position: an order beyond it is refused", "100 | =", {1: [market(40.1), market(-40.1)]}, [],
         [f"1-1 A market rejected: {POSITION}"] * 2, guard("position", 0.4)),
    Case("6 position: an order up to it is taken", "100 | =", {1: [market(40)]}, [(2, 1, 40, 100)], [BOUGHT],
         guard("position", 0.4)),
    Case("6 gross: an order beyond it is refused", ("100 | = | =", "50 | = | ="),
         {1: [market(100)], 2: [market(-102, asset=1), market(-80, asset=1)]},
         [(2, 1, 100, 100), (3, 3, -80, 50)], [BOUGHT, f"2-2 B market rejected: {GROSS}", "2-3 B market filled"],
         guard("gross", 1.5, leverage=2.0)),
    Case("6 position: each at its own price, a trailing stop too", "100 | 100 160 99 155",
         {1: [trailing(50, 60), stop(50, 150, pair=True)]}, [],
         [f"1-1 A trailing_stop rejected: {POSITION}", f"1-1 A stop rejected: {POSITION}"], guard("position", 0.55)),
    Case("6 position: of a pair the dearer counts", "100 | 100 160 99 155",
         {1: [trailing(50, 60), stop(50, 150, pair=True)]}, [(2, 2, 50, 150)],
         ["1-2 A trailing_stop cancelled: the other order of the pair filled", "1-2 A stop filled"],
         guard("position", 0.85)),
    Case("6 gross: reducing is never refused", "100 | = | = | =", {1: [market(150)], 2: [market(-20)]},
         [(2, 1, 150, 100), (3, 2, -20, 100)],
         [BOUGHT, "2-3 A market filled"], guard("gross", 1.5, leverage=2.0)),
]  # fmt: skip


@named(REFUSED)
def test_orders_beyond_a_limit(case: Case) -> None:
    check(case)


@pytest.mark.parametrize(
    ("on", "most", "asks"),
    [
        ("gross", 1.5, [market(100), market(200, asset=1)]),
        ("net", 1.5, [market(100), market(200, asset=1)]),
        ("position", 0.8, [market(50), market(50)]),
    ],
)
def test_several_orders_of_one_decision_keep_to_the_limit(on: str, most: float, asks: Sequence[Any]) -> None:
    """Clause 6: what a decision asks for is limited, on one slip as in one target."""
    run = play(Case(on, ("100 | =", "50 | ="), {1: asks}, [], []), guards=[bg.Guard(on, most)], leverage=3.0)
    value = run.world.book.rows[0] * np.array([100.0, 50.0]) / 10_000
    measured = {"gross": abs(value).sum(), "net": abs(value.sum()), "position": abs(value).max()}
    assert measured[on] <= most * (1 + 1e-9)
