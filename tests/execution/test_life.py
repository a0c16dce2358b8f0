"""The life of an order: kept or replaced by its tag, protected positions, what the table says, what nobody can mean."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import barograph as bg
from tests.kit.tables import (
    NEWER,
    PAIR,
    UNPROTECTED,
    Ask,
    Case,
    check,
    limit,
    market,
    moment,
    named,
    on_close,
    percent,
    play,
    stop,
    stop_limit,
    told,
    trailing,
)

NONE = math.nan
H = "100 101 99 100"
LOSS, PROFIT, TRAIL = "stop (stop_loss)", "limit (take_profit)", "trailing_stop (trailing_stop)"


def guarded(weight: Any, stop_at: Any = NONE, take: Any = NONE, trail: Any = NONE) -> bg.Protected:
    """Target weights with their protection."""
    return bg.Protected(weight, stop_at, take, trail)


PROTECTED = [
    Case("3 a protected short's stop lies above", f"{H} | 100 111 99 100", {1: guarded(-0.1, 110, 90)},
         [(2, 1, -10, 100), (2, 2, 10, 110)],
         ["1-2 A market filled", f"2-2 A {LOSS} filled", f"2-2 A {PROFIT} cancelled: {PAIR}"], end=9_900),
    Case("3 a protected short's take-profit lies below", f"{H} | 100 101 89 100", {1: guarded(-0.1, 110, 90)},
         [(2, 1, -10, 100), (2, 3, 10, 90)],
         ["1-2 A market filled", f"2-2 A {LOSS} cancelled: {PAIR}", f"2-2 A {PROFIT} filled"], end=10_100),
    Case("3 a protected position of one unit", f"{H} | 100 101 89 100", {1: guarded(0.01, 90)},
         [(2, 1, 1, 100), (2, 2, -1, 90)], ["1-2 A market filled", f"2-2 A {LOSS} filled"]),
    Case("6 another level replaces the leg", f"{H} | = | = | 100 101 96 99",
         {1: guarded(0.1, 90), 2: guarded(bg.HOLD, 95), 3: guarded(bg.HOLD, 97)},
         [(2, 1, 10, 100), (4, 4, -10, 97)],
         ["1-2 A market filled", f"2-2 A {LOSS} cancelled: {NEWER}", f"2-3 A {LOSS} cancelled: {NEWER}",
         f"3-4 A {LOSS} filled"]),
    Case("6 another take-profit replaces the leg", f"{H} | = | 100 109 99 100",
         {1: guarded(-0.1, NONE, 90), 2: guarded(bg.HOLD, NONE, 99.5)}, [(2, 1, -10, 100), (3, 3, 10, 99.5)],
         ["1-2 A market filled", f"2-2 A {PROFIT} cancelled: {NEWER}", f"2-3 A {PROFIT} filled"]),
    Case("6 another distance replaces the trailing leg", f"{H} | 100 | 100 100 96 96",
         {1: guarded(0.1, NONE, NONE, 0.1), 2: guarded(bg.HOLD, NONE, NONE, 0.03)}, [(2, 1, 10, 100), (3, 3, -10, 97)],
         ["1-2 A market filled", f"2-2 A {TRAIL} cancelled: {NEWER}", f"2-3 A {TRAIL} filled"]),
    Case("6 no level any more takes the legs away", f"{H} | = | 100 112 80 100",
         {1: guarded(0.1, 90, 110, 0.3), 2: guarded(bg.HOLD)}, [(2, 1, 10, 100)],
         ["1-2 A market filled", *(f"2-2 A {leg} cancelled: {UNPROTECTED}" for leg in (LOSS, PROFIT, TRAIL))]),
    Case("6 a level for a position that had none", f"{H} | = | 100 112 80 100",
         {1: guarded(0.1), 2: guarded(bg.HOLD, 95)}, [(2, 1, 10, 100), (3, 2, -10, 95)],
         ["1-2 A market filled", f"2-3 A {LOSS} filled"]),
    Case("6 the legs vanish with the position", f"{H} | = | 100 112 80 100",
         {1: guarded(0.1, 90, 110), 2: guarded(0.0, 90, 110)}, [(2, 1, 10, 100), (3, 4, -10, 100)],
         ["1-2 A market filled", f"2-3 A {LOSS} cancelled: {UNPROTECTED}", f"2-3 A {PROFIT} cancelled: {UNPROTECTED}",
          "2-3 A market filled"]),
    Case("6 the leg carries the whole position after an increase", f"{H} | = | = | 100 101 89 95",
         {1: guarded(0.1, 90), 2: guarded(0.2, 90)}, [(2, 1, 10, 100), (3, 3, 10, 100), (4, 2, -20, 90)],
         ["1-2 A market filled", f"2-4 A {LOSS} filled", "2-3 A market filled"]),
    Case("6 the leg carries what is left after a reduction", f"{H} | = | = | 100 101 89 95",
         {1: guarded(0.2, 90), 2: guarded(0.05, 90)}, [(2, 1, 20, 100), (3, 3, -15, 100), (4, 2, -5, 90)],
         ["1-2 A market filled", f"2-4 A {LOSS} filled", "2-3 A market filled"]),
    Case("6 the leg changes its side with the position", f"{H} | = | = | 100 111 99 105",
         {1: guarded(0.1, 90), 2: guarded(-0.1, 110)}, [(2, 1, 10, 100), (3, 3, -20, 100), (4, 5, 10, 110)],
         ["1-2 A market filled", f"2-2 A {LOSS} cancelled: {NEWER}", "2-3 A market filled",
          f"2-3 A {LOSS} cancelled: {NEWER}", f"3-4 A {LOSS} filled"]),
    Case("3 a protected long's trailing leg follows the high", f"{H} | 100 110 99 109 | 106 107 104 105",
         {1: guarded(0.1, NONE, NONE, 0.05)}, [(2, 1, 10, 100), (3, 2, -10, 104.5)],
         ["1-2 A market filled", f"2-3 A {TRAIL} filled"]),
    Case("3 a protected short's trailing leg follows the low", f"{H} | 100 101 80 81 | 82 89 81 84",
         {1: guarded(-0.1, NONE, NONE, 0.1)}, [(2, 1, -10, 100), (3, 2, 10, 88)],
         ["1-2 A market filled", f"2-3 A {TRAIL} filled"]),
    Case("3 of a stop and a trailing leg the nearer fills", f"{H} | {H} | 100 101 89 90",
         {1: guarded(0.1, 90, 120, 0.05)}, [(2, 1, 10, 100), (3, 4, -10, 95.95)],
         ["1-2 A market filled", f"2-3 A {LOSS} cancelled: {PAIR}", f"2-3 A {PROFIT} cancelled: {PAIR}",
          f"2-3 A {TRAIL} filled"]),
    Case("3 each asset has its own levels", ("100 | 100 112 88 105", "100 | 100 112 88 105", "50 | 50 56 44 50"),
         {1: guarded([0.1, 0.1, -0.1], np.array([90.0, NONE, NONE]), np.array([NONE, 110.0, 45.0]))},
         [(2, 1, 10, 100), (2, 2, 10, 100), (2, 3, -20, 50), (2, 4, -10, 90), (2, 5, -10, 110), (2, 6, 20, 45)],
         ["1-2 A market filled", "1-2 B market filled", "1-2 C market filled", f"2-2 A {LOSS} filled",
          f"2-2 B {PROFIT} filled", f"2-2 C {PROFIT} filled"]),
    Case("2 a protection that the next open has passed fills there", f"{H} | {H} | 85 86 84 85",
         {1: guarded(0.1, 90, 110)}, [(2, 1, 10, 100), (3, 2, -10, 85)],
         ["1-2 A market filled", f"2-3 A {LOSS} filled", f"2-3 A {PROFIT} cancelled: {PAIR}"]),
    Case("5 protected weights at the next close are protected from the next bar",
         f"{H} | 100 101 80 100 | 100 101 80 90",
         {1: guarded(0.1, 90)}, [(2, 1, 10, 100), (3, 2, -10, 90)], ["1-2 A market filled", f"2-3 A {LOSS} filled"],
         {"fill": "next_close"}),
    Case("6 protected weights at the same close", f"{H} | 100 101 80 100", {1: guarded(0.1, 90)},
         [(1, 1, 10, 100), (2, 2, -10, 90)], ["1-1 A market filled", f"1-2 A {LOSS} filled"], {"fill": "same_close"}),
]  # fmt: skip


@named(PROTECTED)
def test_protected_positions(case: Case) -> None:
    check(case)


DAYS = (0, 19, 20)
KEPT = [
    limit(10, 95), limit(-10, 105), stop(10, 110), stop(-10, 90), stop_limit(10, 110, 111), trailing(-10, 20),
    percent(10, 0.2), limit(10, 95, day=True), limit(10, 95, until=moment(9)), limit(10, 95, reduce=True),
    limit(10, 95, bracket=(90, 100)), limit(10, 95, bracket=(90, NONE), trail=0.1),
]  # fmt: skip


@pytest.mark.parametrize("request_", KEPT, ids=lambda r: f"{r.kind} {r.numbers} {r.more}")
def test_the_same_terms_under_one_tag_are_one_order(request_: Ask) -> None:
    """Clause 6; the trailing stops have moved meanwhile, and are the same orders still."""
    asked = [request_._replace(more={**request_.more, "tag": 7})]
    bars = f"{H} | 102 103 99 101 | 102 104 98 101"
    kind = request_.kind.replace("trailing_percent", "trailing_stop")
    check(Case("kept", bars, {1: asked, 2: asked, 3: asked}, [], [f"1- A {kind} open"], hours=DAYS))


def test_a_triggered_stop_limit_is_kept_by_its_tag() -> None:
    asked = [stop_limit(10, 105, 106, tag=1)]
    check(
        Case(
            "triggered", f"{H} | 108 109 107 108 | = | 107 108 105 106", {1: asked, 2: asked, 3: asked},
            [(4, 1, 10, 106)], ["1-4 A stop_limit filled"], events=[(2, "triggered", "A", 1, 0.0, 108, "")],
        )
    )  # fmt: skip


BASE = limit(10, 95, tag=3)
REPLACED = {
    "price": (BASE, limit(10, 94, tag=3)),
    "quantity": (BASE, limit(11, 95, tag=3)),
    "side": (limit(10, 95, reduce=True, tag=3), limit(-10, 105, reduce=True, tag=3)),
    "kind": (stop(10, 110, tag=3), stop_limit(10, 110, 110, tag=3)),
    "kind, the prices being none": (market(10, asset=1, tag=3), on_close(10, asset=1, tag=3)),
    "life": (BASE, limit(10, 95, tag=3, day=True)),
    "date": (limit(10, 95, tag=3, until=moment(8)), limit(10, 95, tag=3, until=moment(9))),
    "reduce-only": (BASE, limit(10, 95, tag=3, reduce=True)),
    "stop-loss": (limit(10, 95, tag=3, bracket=(90, 110)), limit(10, 95, tag=3, bracket=(91, 110))),
    "take-profit": (limit(10, 95, tag=3, bracket=(90, 110)), limit(10, 95, tag=3, bracket=(90, 111))),
    "trailing leg": (BASE, limit(10, 95, tag=3, trail=0.1)),
    "stop price": (stop(10, 110, tag=3), stop(10, 111, tag=3)),
    "limit of a stop-limit": (stop_limit(10, 110, 111, tag=3), stop_limit(10, 110, 112, tag=3)),
    "stop of a stop-limit": (stop_limit(10, 110, 112, tag=3), stop_limit(10, 111, 112, tag=3)),
    "distance": (trailing(-10, 20, tag=3), trailing(-10, 21, tag=3)),
    "percent or amount": (trailing(-10, 0.5, tag=3), percent(-10, 0.5, tag=3)),
}


@pytest.mark.parametrize("what", REPLACED)
def test_other_terms_under_one_tag_replace_the_order(what: str) -> None:
    """Clause 6; asset B has no bar, so that orders without a price rest too."""
    before, after = REPLACED[what]
    script = {1: [before], 2: [after]}
    run = play(Case(what, (f"{H} | 100 | 100", f"{H} | - | -"), script, [], []))
    found = run.tables["orders"]
    assert found.status.tolist() == ["cancelled", "open"]
    assert found.reason.tolist() == [NEWER, "waiting at the end of the data"]
    assert found.tag.tolist() == [3, 3]
    assert found.id.tolist() == [1, 2]
    assert len(run.tables["fills"]) == 0


TAGS = [
    Case("6 another tag, and none, are other orders", f"{H} | =",
         {1: [limit(10, 95, tag=1), limit(10, 95), limit(10, 95)], 2: [limit(10, 95, tag=2), limit(10, 95)]}, [],
         ["1- A limit open"] * 3 + ["2- A limit open"] * 2),
    Case("6 the same tag on another asset is another order", (f"{H} | =",) * 2,
         {1: [limit(10, 95, tag=1), limit(10, 95, tag=1, asset=1)]}, [], ["1- A limit open", "1- B limit open"]),
    Case("6 a tag is free again once its order has filled", f"{H} | 98 99 94 97 | 98 99 94 97",
         {1: [BASE], 2: [BASE]}, [(2, 1, 10, 95), (3, 2, 10, 95)], ["1-2 A limit filled", "2-3 A limit filled"]),
    Case("6 the quantity that counts is the one that was asked for", f"{H} | 98 99 94 97 v4 | 98 99 96 97",
         {1: [BASE], 2: [BASE]}, [(2, 1, 4, 95, "participation: the rest waits for more volume")], ["1- A limit open"],
         {"participation": 1.0}),
    Case("6 replaced and filled: the older is gone, the slots close ranks", f"{H} | = | 98 99 93 97",
         {1: [limit(1, 96), BASE, limit(2, 94)], 2: [limit(10, 93, tag=3)]},
         [(3, 1, 1, 96), (3, 3, 2, 94), (3, 4, 10, 93)],
         ["1-3 A limit filled", f"1-2 A limit cancelled: {NEWER}", "1-3 A limit filled", "2-3 A limit filled"]),
]  # fmt: skip


@named(TAGS)
def test_tags(case: Case) -> None:
    check(case)


def test_the_order_table_says_what_was_asked() -> None:
    asked = [
        market(10, bracket=(90, 110), trail=0.2),
        stop_limit(-3, 80, 79, day=True, tag=5),
        trailing(4, 30, until=moment(4)),
        limit(-2, 120),
        stop(-2, 70, pair=True),
    ]
    run = play(Case("columns", (f"{H} | =",), {1: asked}, [], []))
    found = run.tables["orders"]
    assert told(run) == [
        "1-2 A market filled", "1- A stop_limit open", "1- A trailing_stop open", "1- A limit open", "1- A stop open",
        "2- A stop (stop_loss of 1) open", "2- A limit (take_profit of 1) open",
        "2- A trailing_stop (trailing_stop of 1) open",
    ]  # fmt: skip
    assert found.asked.tolist() == [10, -3, 4, -2, -2, -10, -10, -10]
    _equal(found["limit"], [NONE, 79, NONE, 120, NONE, NONE, 110, NONE])
    _equal(found.stop, [NONE, 80, 130, NONE, 70, 90, NONE, 80])
    _equal(found.trail, [NONE, NONE, 30, NONE, NONE, NONE, NONE, 0.2])
    assert found.life.tolist() == ["GTC", "DAY", "GTD", "GTC", "GTC", "GTC", "GTC", "GTC"]
    assert found["until"].isna().tolist() == [n != 2 for n in range(8)]
    assert found["until"][2] == pd.Timestamp(moment(4), tz="UTC")
    assert found.tag.tolist() == [0, 5, 0, 0, 0, 0, 0, 0]
    group = found.group.tolist()
    assert group[:3] == [0, 0, 0]
    assert group[5:] == [1, 1, 1]
    assert group[3] == group[4] not in (0, 1)
    assert found.weight.isna().all()


def _equal(found: Any, wanted: list[float]) -> None:
    np.testing.assert_array_equal(found.to_numpy(), np.array(wanted, dtype=float))


BAD = {
    "a quantity of 0": (market(0), "nobody can mean on A"),
    "a tag below 0": (market(1, tag=-3), "nobody can mean on A"),
    "a quantity that is no number": (market(NONE), "nobody can mean on A"),
    "an endless quantity": (market(math.inf), "nobody can mean on A"),
    "a limit of 0": (limit(1, 0), "nobody can mean on A"),
    "a limit without a price": (limit(1, NONE), "nobody can mean on A"),
    "an endless limit": (limit(1, math.inf), "nobody can mean on A"),
    "a stop of 0": (stop(1, 0), "nobody can mean on A"),
    "an endless stop": (stop(1, math.inf), "nobody can mean on A"),
    "a stop-limit without a limit": (stop_limit(1, 5, NONE), "nobody can mean on A"),
    "a stop-limit without a stop": (stop_limit(1, NONE, 5), "nobody can mean on A"),
    "a distance of 0": (trailing(1, 0), "nobody can mean on A"),
    "an endless distance": (trailing(1, math.inf), "nobody can mean on A"),
    "a fraction of 1": (percent(-1, 1), "nobody can mean on A"),
    "a stop-loss of 0": (market(1, bracket=(0, NONE)), "nobody can mean on A"),
    "an endless take-profit": (market(1, bracket=(NONE, math.inf)), "nobody can mean on A"),
    "a trailing leg of 0": (market(1, trail=0), "nobody can mean on A"),
    "a trailing leg of 1": (market(1, trail=1), "nobody can mean on A"),
    "no such asset": (market(1, asset=2), "a column that does not exist"),
    "an asset before the first": (market(1, asset=-1), "a column that does not exist"),
    "a bad order of the second asset": (market(0, asset=1), "nobody can mean on B"),
}


@pytest.mark.parametrize("what", BAD)
def test_an_order_nobody_can_mean_stops_the_run(what: str) -> None:
    request, message = BAD[what]
    with pytest.raises(bg.StrategyError, match=f"{message} at the close of 2024-03-05"):
        play(Case(what, (H + " | =",) * 2, {2: [request]}, [], []))


@pytest.mark.parametrize("levels", [(0.0, NONE, NONE), (NONE, 0.0, NONE), (NONE, math.inf, NONE), (NONE, NONE, 1.0)])
def test_a_protection_nobody_can_mean_stops_the_run(levels: tuple[float, float, float]) -> None:
    with pytest.raises(bg.StrategyError, match="nobody can mean on A at the close of 2024-03-04"):
        play(Case("levels", H + " | =", {1: guarded(0.1, *levels)}, [], []))


def test_small_distances_and_fractions_can_be_meant() -> None:
    asked = [percent(-1, 0.999), trailing(-1, 0.5), market(1, trail=0.999), market(0.5, bracket=(0.5, 0.9))]
    assert len(play(Case("small", H, {1: asked}, [], [])).tables["orders"]) == 4


def test_more_orders_than_slots_stop_the_run() -> None:
    asked = [limit(1, 90 + n) for n in range(3)]
    assert len(play(Case("slots", H, {1: asked}, [], []), resting=3).tables["orders"]) == 3
    with pytest.raises(bg.StrategyError, match="more than 2 orders on A at 2024-03-04"):
        play(Case("slots", H, {1: asked}, [], []), resting=2)


def test_a_pair_of_two_assets_stops_the_run() -> None:
    script = {1: [limit(1, 90), limit(1, 90, asset=1, pair=True)]}
    with pytest.raises(bg.StrategyError, match="paired orders of two assets at the close of 2024-03-04"):
        play(Case("pair", (H, H), script, [], []))


def test_an_untraded_asset_takes_no_order() -> None:
    machine = Case("untraded", (H + " | =",) * 2, {1: [market(1), market(1, asset=1)]}, [], [])
    run = play(machine, observe="B")
    assert told(run) == ["1-2 A market filled", "1-1 B market rejected: the asset is not traded"]
