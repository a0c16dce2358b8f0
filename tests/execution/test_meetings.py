"""Where orders meet: opposing sides, pairs that cannot both fill, guards that come again, orders asked for again."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import barograph as bg
from tests.kit.tables import (
    NO_HEADROOM,
    PAIR,
    SHRUNK,
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

NONE = math.nan
BOUGHT = "1-2 A market filled"
KILL, GROSS = "kill switch", "gross exposure limit"
KILLED: dict[str, Any] = {"guards": [bg.Guard("kill", "2024-03-06", "no_new_risk")]}


def gross(bars: Any, script: Any, **terms: Any) -> float:
    """The largest gross exposure of a run, at its closes."""
    return float(play(Case("", bars, script, [], []), **terms).arrays.table[:, 2].max())


def least_cash(bars: Any, script: Any, **terms: Any) -> float:
    return float(play(Case("", bars, script, [], []), account="cash", **terms).arrays.table[:, 1].min())


@pytest.mark.parametrize(
    "asked",
    [
        [market(-1000), market(10_000)],
        [market(-1000), market(1900)],
        [market(10_000), market(-1000)],
        [market(50), market(-1000), market(700)],
    ],
)
def test_orders_of_both_sides_at_one_open_keep_to_the_leverage(asked: list[Any]) -> None:
    """Clause 2: whatever fills first, what grows a position has room for it."""
    assert gross("100 | = | =", {1: asked}) <= 1.0 + 1e-9
    assert gross(("100 | = | =", "50 | = | ="), {1: [*asked, market(300, asset=1)]}, leverage=2.0) <= 2.0 + 1e-9


BORROWED: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "a mate that waits for the close": ([market(150), limit(200, 105, pair=True)], "100 | = | =",
                                        {"fill": "same_close"}),
    "a mate that only reduces, at the open": ([limit(200, 105, reduce=True), limit(150, 105, pair=True)],
                                              "100 | = | =", {}),
    "a mate that only reduces, inside": ([limit(200, 95, reduce=True), limit(150, 95, pair=True)],
                                         "100 | 100 101 94 98", {}),
    "a maker who pays more than a taker": ([limit(200, 95)], "100 | 100 101 94 98", {"maker_fee": 0.001}),
}  # fmt: skip


@pytest.mark.parametrize("what", BORROWED)
def test_a_cash_account_borrows_for_no_pair_and_no_maker(what: str) -> None:
    asked, bars, terms = BORROWED[what]
    assert least_cash(bars, {1: asked}, **terms) >= -1e-9


MEETINGS = [
    Case("2 a market order and its mate ask for room once", "100 | =", {1: [market(100), limit(100, 105, pair=True)]},
         [(2, 1, 100, 100)], [BOUGHT, f"1-2 A limit cancelled: {PAIR}"]),
    Case("6 position: a market order and its mate count once", "100 | =",
         {1: [market(30), limit(30, 90, pair=True)]}, [(2, 1, 30, 100)],
         [BOUGHT, f"1-2 A limit cancelled: {PAIR}"], {"guards": [bg.Guard("position", 0.4)]}),
    Case("6 gross: a mate that only reduces stands for nobody", "100 | 100 101 94 98",
         {1: [limit(200, 95, reduce=True), limit(90, 95, pair=True)]}, [],
         ["1-2 A limit cancelled: reduce only: nothing to reduce", f"1-1 A limit rejected: {GROSS}"],
         {"guards": [bg.Guard("gross", 0.5)]}),
    Case("6 kill: a trailing stop asked for again keeps its level", "100 | = | 108 | 110 | 106 | 104.9 104.9 103 104",
         {1: [market(10)], **{bar: [trailing(-10, 5, tag=1)] for bar in (3, 4, 5)}},
         [(2, 1, 10, 100), (6, 2, -10, 104.9)], [BOUGHT, "3-6 A trailing_stop filled"], KILLED,
         events=[(3, "guard", "", 0, NONE, NONE, KILL)]),
    Case("6 kill: a target that an exposure limit has cut is the same target", "100 | - | - | - | 100 | =",
         dict.fromkeys(range(1, 6), 0.9), [(5, 1, 50, 100)], ["1-5 A market filled", f"5-6 A market cancelled: {KILL}"],
         {"guards": [*KILLED["guards"], bg.Guard("gross", 0.5)]}, events=[(3, "guard", "", 0, NONE, NONE, KILL)]),
    Case("6 gross: a target that waits counts", ("100 | - | - | 100 | =", "100 | = | = | = | ="),
         {1: (0.5, 0.0), 2: (bg.HOLD, 0.5)}, [(3, 2, 10, 100), (4, 1, 50, 100)],
         ["1-4 A market filled", "2-3 B market filled"], {"guards": [bg.Guard("gross", 0.6)]}),
    Case("3 one that volume holds back has acted, with no room for what volume let through",
         "100 | = | 100 101 94 100 v250", {1: [market(60)], 2: [limit(100, 105), limit(80, 105)]},
         [(2, 1, 60, 100), (3, 2, 10, 100, WAITS)], [BOUGHT, "2- A limit open", "2- A limit open"],
         {"participation": 0.1, "lot": 10.0, "cash": 9_600.0}),
    Case("3 of two that a double hardly tells apart the older is the nearer", "100 | 100 101 94 98",
         {1: [limit(10, 95), limit(10, 95 * (1 + 1e-15)), limit(10, 95 * (1 + 1e-11))]},
         [(2, 3, 10, 95 * (1 + 1e-11)), (2, 1, 10, 95), (2, 2, 10, 95)],
         ["1-2 A limit filled", "1-2 A limit filled", "1-2 A limit filled"]),
    Case("2 what its pair has filled in part is cancelled, not rejected, where it finds no room",
         "100 | = | 100 v10 | 100 v1000", {1: [market(99)], 2: [limit(2, 100), on_close(2, pair=True)]},
         [(2, 1, 99, 100), (3, 2, 1, 100, WAITS)],
         [BOUGHT, f"2-4 A limit cancelled: {NO_HEADROOM}", f"2-4 A market_on_close cancelled: {NO_HEADROOM}"],
         {"participation": 0.1}),
    Case("6 guard: nothing to do is not too small", "100 | = | = | 60 | =", {1: 0.5, 3: 0.4},
         [(2, 1, 50, 100)], [BOUGHT, f"3-4 A market cancelled: {KILL}"], {**KILLED, "min_notional": 1.0},
         events=[(3, "guard", "", 0, NONE, NONE, KILL)]),
]  # fmt: skip


def without_numbers(case: Case) -> Case:
    """The moments of a kill switch are told elsewhere."""
    when = float(np.datetime64("2024-03-06", "ns").astype(np.int64))
    close = float(np.datetime64("2024-03-06T20:00", "ns").astype(np.int64))
    return case._replace(events=[(*event[:4], close, when, event[6]) for event in case.events])


@named([without_numbers(case) for case in MEETINGS])
def test_meetings(case: Case) -> None:
    check(case)


@pytest.mark.parametrize(
    ("on", "limit", "bars", "wanted"),
    [
        ("daily_loss", 0.03, "100 | = | 90 | = | 80 | = | 70 | =", 3),
        ("gross", 0.55, "100 | = | 140 | 80 | = | 160 | = | =", 2),
    ],
)
def test_a_guard_that_has_let_go_can_be_hit_again(on: str, limit: float, bars: str, wanted: int) -> None:
    """Clause 5: it is measured at every close."""
    script = {1: 0.5, 4: 1.0} if on == "daily_loss" else {1: 0.5}
    events = play(Case("", bars, script, [], []), guards=[bg.Guard(on, limit)]).tables["events"]
    assert (events.event == "guard").sum() == wanted


def test_a_table_holds_as_many_orders_as_are_alive_at_a_time() -> None:
    """Five entries with three legs each in one bar: never more than eight at a time."""
    asked = [limit(10, 99 - 2 * i, bracket=(98 - 2 * i, 130), trail=0.5) for i in range(5)]
    run = play(Case("", "100 | 100 100 89 90", {1: asked}, [], []))
    assert (run.tables["orders"].role == "entry").sum() == 5


def test_a_kill_date_is_kept_to_the_nanosecond() -> None:
    run = play(Case("", "100 | = | =", {1: 0.0}, [], []), guards=[bg.Guard("kill", "2024-03-04T20:00:01.5")])
    assert run.tables["events"].ts.dt.day.tolist() == [5]


def test_a_pair_at_the_market_asks_for_room_once() -> None:
    """Clause 4: what volume has left of a stop is at the market, and its mate with it."""
    asked = [stop(90, 105), stop(90, 106, pair=True)]
    bars = "100 | 100 106 100 106 v8 | 106 106 106 106"
    run = play(Case("", bars, {1: asked}, [], []), participation=0.5, account="cash")
    assert run.tables["fills"].quantity.tolist() == pytest.approx([4.0, 86.0])
    assert SHRUNK not in run.tables["fills"].reason.tolist()
