"""The account to the last cell: the log as it stands, and odd days of money, margin, guards and targets."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph import orders
from barograph.data.calendars import span_of
from barograph.epoch import DAY
from barograph.errors import BarographError
from barograph.execution import book, events
from barograph.execution.grid import grid_of
from barograph.execution.money import charge, pay, rebase
from barograph.execution.prices import cheaper, dearer, slippage_of, to_tick
from barograph.execution.sizes import base_of, moved, reduced, shrunk, value_of, why_none
from barograph.execution.touch import REACHING, after_slippage, dominated, follow, reached
from barograph.jit.periods import month_of
from tests.kit.tables import FIRST, FULL, HOUR, SHRUNK, TARGET, WAITS, Case, check, market, named, play, stop_limit

BOUGHT = "1-2 A market filled"
KILL = "kill switch"
NAN = math.nan
WHEN = float(span_of("2024-03-06", None)[0])


def row(event: int, order: int, bar: int, a: int, *numbers: float, reason: int = events.AS_WANTED) -> tuple[float, ...]:
    """A row of the log: what, order, bar, asset; weight, quantity, price, fee, slippage; reason."""
    return (event, order, bar - 1, a, *numbers, *[0.0] * (5 - len(numbers)), reason)


def case(
    name: str, bars: str | tuple[str, ...], script: dict[int, Any], log: list[tuple[float, ...]], **more: Any
) -> Any:
    """A table, and the log that must come of it."""
    return pytest.param(Case(name, bars, script, [], [], more.pop("terms", {}), **more), log, id=name)


def guards(*more: bg.Guard, **terms: Any) -> dict[str, Any]:
    """Terms with guards."""
    return {"guards": list(more), **terms}


COSTS = {"fixed_fee": 5.0, "fee": 0.01}
LOGS = [
    case("0 a split, a dividend, a last price under a waiting weight", "100 | = | 50 | = | -", {1: 0.5, 4: 0.2}, [
        row(events.BORN, 1, 1, 0, 0.5),
        row(events.FILLED, 1, 2, 0, 0.5, 50, 100),
        row(events.SPLIT, 0, 3, 0, 0, 100, 2),
        row(events.DIVIDEND, 0, 4, 0, 0, 100, 1),
        row(events.BORN, 2, 4, 0, 0.2),
        row(events.DELISTED, 0, 5, 0, 0, 100, 40, reason=events.DELISTING),
        row(events.CANCELLED, 2, 5, 0, 0.2, reason=events.DELISTING),
    ], actions={"splits": {3: 2.0}, "dividends": {4: 1.0}, "final": {5: 40.0}}),
    case("5 a warning, a call, a liquidation", "100 | = | 85 | 85 86 84 86", {1: 4.0}, [
        row(events.BORN, 1, 1, 0, 4),
        row(events.FILLED, 1, 2, 0, 4, 400, 100),
        row(events.MARGIN_WARNING, 0, 2, -1, 0, 4, 10_000, reason=events.CALLED_IN),
        row(events.MARGIN_CALL, 0, 3, -1, 0, 8.5, 4_000, reason=events.CALLED_IN),
        row(events.BORN, 2, 4, 0, reason=events.CALLED_IN),
        row(events.FILLED, 2, 4, 0, 0, -4_500 / 21.25, 85, reason=events.CALLED_IN),
    ], terms={"leverage": 4.0}),
    case("6 targets that are replaced, and one that is there already", "100 | - | - | = | 100 | 100",
         {1: 0.5, 2: 0.25, 3: 0.0, 4: 0.5, 5: 0.5}, [
        row(events.BORN, 1, 1, 0, 0.5),
        row(events.CANCELLED, 1, 2, 0, 0.5, reason=events.REPLACED),
        row(events.BORN, 2, 2, 0, 0.25),
        row(events.CANCELLED, 2, 3, 0, 0.25, reason=events.REPLACED),
        row(events.BORN, 3, 4, 0, 0.5),
        row(events.FILLED, 3, 5, 0, 0.5, 50, 100),
        row(events.BORN, 4, 5, 0, 0.5),
        row(events.CANCELLED, 4, 6, 0, 0.5, reason=events.THERE),
    ]),
    case("2 a target with costs, and one without room", ("100 | = | 110", "100 | = | ="),
         {1: (1.0, 0.0), 2: (bg.HOLD, 0.5)}, [
        row(events.BORN, 1, 1, 0, 1),
        row(events.FILLED, 1, 2, 0, 1, 9_995 / 101, 100, 9_995 / 101 + 5, reason=events.AS_WANTED),
        row(events.BORN, 2, 2, 1, 0.5),
        row(events.REJECTED, 2, 3, 1, 0.5, reason=events.NO_HEADROOM),
    ], terms=COSTS),
    case("2 less than a lot", "100 | 120", {1: 0.01}, [
        row(events.BORN, 1, 1, 0, 0.01),
        row(events.CANCELLED, 1, 2, 0, 0.01, reason=events.NO_LOT),
    ], terms={"lot": 1.0}),
    case("6 a guard that hits and lets go, and a waiting target", ("100 | = | 80 | =", "50 | - | - | ="),
         {1: (1.0, 0.1)}, [
        row(events.BORN, 1, 1, 0, 1),
        row(events.BORN, 2, 1, 1, 0.1),
        row(events.FILLED, 1, 2, 0, 1, 100, 100),
        row(events.GUARD, 0, 3, -1, 2, 0.2, 0.2, reason=events.DRAWDOWN),
        row(events.CANCELLED, 2, 3, 1, 0.1, reason=events.DRAWDOWN),
        row(events.RELEASED, 0, 4, -1, 2, 0.2, 0.2, reason=events.DRAWDOWN),
    ], terms=guards(bg.Guard("drawdown", 0.2, "reduce_only", 1))),
]  # fmt: skip


@pytest.mark.parametrize(("told", "log"), LOGS)
@pytest.mark.parametrize("more", [{}, FULL], ids=["light", "full"])
def test_the_log(told: Case, log: list[tuple[float, ...]], more: dict[str, Any]) -> None:
    """Live trading keeps the log: what an event says nothing about is nothing, in every cell."""
    run = play(told, **more)
    flags, rows = run.world.book.flags, run.world.book.rows
    assert run.world.book.counters[book.WAITING] == (flags[book.PENDING] > 0).sum()
    assert not rows[book.BASIS, rows[book.QUANTITY] == 0.0].any()
    assert run.arrays.events[:, :10].tolist() == [pytest.approx(wanted, rel=1e-12, abs=1e-12) for wanted in log]


def test_the_log_of_a_stop_that_is_touched() -> None:
    run = play(Case("", "100 | 100 106 99 105", {1: [stop_limit(10, 105, 104)]}, [], []))
    wanted = (events.TRIGGERED, 1, 1, 0, NAN, 0.0, 105.0, 0.0, 0.0, events.AS_WANTED)
    np.testing.assert_array_equal(run.arrays.events[run.arrays.events[:, 0] == events.TRIGGERED, :10], [wanted])


def killed(mode: str, *more: bg.Guard) -> dict[str, Any]:
    """Terms with a kill switch that is hit at the close of bar 3."""
    return guards(*more, bg.Guard("kill", "2024-03-06", mode))


HIT = [(3, "guard", "", 0, float(FIRST + 48 * HOUR), WHEN, KILL)]
GUARDS = [
    Case("6 reduce only lets a waiting reduction be, of one unit", "100 | = | - | - | 100", {1: 0.01, 2: 0.005},
         [(2, 1, 1, 100), (5, 2, -0.5, 100)], [BOUGHT, "2-5 A market filled"], killed("reduce_only"), events=HIT),
    Case("6 reduce only lets a waiting end of a position be", "100 | = | - | - | 100", {1: 0.5, 2: 0.0},
         [(2, 1, 50, 100), (5, 2, -50, 100)], [BOUGHT, "2-5 A market filled"], killed("reduce_only"), events=HIT),
    Case("6 reduce only cancels a waiting increase of what is held", "100 | = | - | - | 100", {1: 0.5, 2: 0.8},
         [(2, 1, 50, 100)], [BOUGHT, f"2-3 A market cancelled: {KILL}"], killed("reduce_only"), events=HIT),
    Case("6 reduce only cancels what waits for an asset to begin", ("100 | = | = | =", "- | - | - | 50"),
         {1: (0.0, 0.5)}, [], [f"1-3 B market cancelled: {KILL}"], killed("reduce_only"), events=HIT),
    Case("6 of two guards of one mode the first gives the reason", ("100 | = | 80 | =", "50 | - | - | ="),
         {1: (1.0, 0.1)}, [(2, 1, 100, 100)], [BOUGHT, "1-3 B market cancelled: drawdown limit"],
         killed("reduce_only", bg.Guard("drawdown", 0.2, "reduce_only")),
         events=[(3, "guard", "", 0, 0.2, 0.2, "drawdown limit"), *HIT]),
    Case("6 no new risk: another target than the waiting one withdraws it", "100 | - | - | - | 100", {1: 0.5, 3: 0.6},
         [], [f"1-3 A market cancelled: {TARGET}"], killed("no_new_risk"), events=HIT),
    Case("6 no new risk in an asset that has no price yet", ("100 | = | = | = | =", "- | - | - | - | 50"),
         {3: (0.0, 0.5)}, [], [], killed("no_new_risk"), events=HIT),
    Case("6 no new risk leaves one unit alone", "100 | = | = | =", {1: 0.01, 3: 0.02}, [(2, 1, 1, 100)], [BOUGHT],
         killed("no_new_risk"), events=HIT),
    Case("6 no new risk: a target that was met reduces what has drifted above it", "100 | = | 150 | =",
         {1: 0.5, 3: 0.5}, [(2, 1, 50, 100), (4, 2, -1_250 / 150, 150)], [BOUGHT, "3-4 A market filled"],
         killed("no_new_risk"), events=HIT),
    Case("6 flatten cancels a waiting reduction too", "100 | = | - | 100", {1: 0.5, 2: 0.2, 3: 0.2},
         [(2, 1, 50, 100), (4, 3, -50, 100)],
         [BOUGHT, "2-3 A market cancelled: kill switch", "3-4 A market filled"], killed("flatten"), events=HIT),
    Case("6 gross: what waits and is asked for again is cut with the others", ("100 | - | 100", "50 | = | ="),
         {1: (0.4, 0.0), 2: (0.4, 0.4)}, [(3, 2, 25, 100), (3, 3, 50, 50)],
         [f"1-2 A market cancelled: {TARGET}", "2-3 A market filled", "2-3 B market filled"],
         guards(bg.Guard("gross", 0.5))),
    Case("6 gross: one unit that is kept counts", ("100 | = | =", "50 | = | ="), {1: (0.01, 0.0), 2: (bg.HOLD, 0.01)},
         [(2, 1, 1, 100), (3, 2, 1, 50)], [BOUGHT, "2-3 B market filled"], guards(bg.Guard("gross", 0.015))),
    Case("6 gross: all that is kept counts, longs and shorts", ("100 | = | =", "50 | = | =", "10 | = | ="),
         {1: (-0.3, 0.3, 0.0), 2: (bg.HOLD, bg.HOLD, 0.5)},
         [(2, 1, -30, 100), (2, 2, 60, 50), (3, 3, 200, 10)],
         [BOUGHT, "1-2 B market filled", "2-3 C market filled"], guards(bg.Guard("gross", 0.8))),
    Case("6 net: nothing is asked for that was not", ("100 | = | 200 | =", "50 | = | = | ="),
         {1: (0.7, -0.3), 3: (bg.HOLD, -0.1)}, [(2, 1, 70, 100), (2, 2, -60, 50), (4, 3, 26, 50)],
         [BOUGHT, "1-2 B market filled", "3-4 B market filled"], guards(bg.Guard("net", 0.5)),
         events=[(3, "guard", "", 0, 11 / 17, 0.5, "net exposure limit")]),
    Case("6 position: of one unit", "100 | = | 150", {1: 0.01}, [(2, 1, 1, 100)], [BOUGHT],
         guards(bg.Guard("position", 0.012)), events=[(3, "guard", "", 0, 150 / 10_050, 0.012, "position limit")]),
]  # fmt: skip


@named(GUARDS)
def test_guards(case: Case) -> None:
    check(case)


def test_minus_infinity_is_no_answer_under_a_guard() -> None:
    told = Case("", "100 | = | = | =", {1: 0.5, 3: -math.inf}, [], [], killed("no_new_risk"))
    with pytest.raises(BarographError, match="weight"):
        play(told)


MONEY = [
    Case("1 half a unit of cash is positive cash", "100 | = | =", {1: [market(100.095)]}, [(2, 1, 100.095, 100)],
         [BOUGHT], {"cash_rate": 0.365, "borrow_rate": 0.73}, financing={2: -10, 3: -0.0005}),
    Case("1 a rate of 100 % is a rate", "100 | = | =", {1: 1.5}, [(2, 1, 150, 100)], [BOUGHT],
         {"leverage": 2.0, "borrow_rate": 1.0}, financing={3: 5_000 / 365}),
    Case("2 same close: at the close, not at the open", "100 104 99 102 | 103 105 101 104", {1: 0.5},
         [(1, 1, 5_000 / 102, 102)], ["1-1 A market filled"], {"fill": "same_close"}),
    Case("2 same close: a bar that is missing is worth the close, not what was paid", "100 104 99 102 | - | 103",
         {1: 0.5}, [(1, 1, 5_000 / 102.51, 103.02)], ["1-1 A market filled"], {"fill": "same_close", "slippage": 0.01},
         slips=[5_000 / 102.51 * 1.02]),
    Case("4 one tier of fees, until the month is over", "100 | = | = | =",
         {1: [market(70)], 2: [market(-10)], 3: [market(-10)]}, [(2, 1, 70, 100), (3, 2, -10, 100), (4, 3, -10, 100)],
         [BOUGHT, "2-3 A market filled", "3-4 A market filled"], {"fee": 0.01, "tiers": [[6_000.0, 0.02, 0.02]]},
         hours=(0, 24, 48, 28 * 24), fees=[70, 20, 10]),
    Case("4 the fees of a bar are those of all its fills", ("100 | =", "50 | ="),
         {1: [market(10), market(20, asset=1), market(-1, asset=1)]},
         [(2, 1, 10, 100), (2, 2, 20, 50), (2, 3, -1, 50)],
         [BOUGHT, "1-2 B market filled", "1-2 B market filled"], {"fee": 0.01}, fees=[10, 10, 0.5]),
    Case("2 a small account without room", "100 | =", {1: 2.0}, [(2, 1, 0.005, 100, SHRUNK)],
         [f"1-2 A market filled: {SHRUNK}"], {"cash": 0.5}),
]  # fmt: skip


@named(MONEY)
def test_money(case: Case) -> None:
    check(case)


LEVERED = {"leverage": 2.0, "maintenance": 0.0, "warning": 0.0}
TARGETS = [
    Case("2 half a unit of equity is equity", "100 | = | 50.0025 100 50 100", {1: 2.0, 2: 1.0},
         [(2, 1, 200, 100), (3, 2, 0.5 / 50.0025 - 200, 50.0025)], [BOUGHT, "2-3 A market filled"], LEVERED),
    Case("6 a small account, and its slippage", "100 102 98 100 | = | =", {1: 0.5}, [(2, 1, 0.25 / 100.5, 101)],
         [BOUGHT], {"cash": 0.5, "slippage": 0.01}, slips=[0.25 / 100.5]),
    Case("4 an asset without a bar keeps no other from its fill", ("100 | - | 100", "50 | = | ="), {1: (0.3, 0.3)},
         [(2, 2, 60, 50), (3, 1, 30, 100)], ["1-3 A market filled", "1-2 B market filled"]),
    Case("2 a weight of nothing closes what has become worth nothing", "100 | = | 0.000001 | =", {1: 0.01, 2: 0.0},
         [(2, 1, 1, 100), (3, 2, -1, 1e-6)], [BOUGHT, "2-3 A market filled"]),
    Case("2 room: what is delisted asks for none", ("100 | = | -", "50 | = | ="), {1: (0.5, 0.0), 2: (bg.HOLD, 1.0)},
         [(2, 1, 50, 100), (3, 2, 200, 50)], [BOUGHT, "2-3 B market filled"], actions={"final": {3: (100.0, NAN)}},
         events=[(3, "delisted", "A", 0, 50.0, 100.0, "the asset is delisted")]),
    Case("2 room: one unit that is held is equity, and takes room", ("100 | = | =", "50 | = | ="),
         {1: (0.5, 0.0), 2: (bg.HOLD, 2.0)}, [(2, 1, 1, 100), (3, 2, 6, 50, SHRUNK)],
         [BOUGHT, f"2-3 B market filled: {SHRUNK}"], {"cash": 200.0, "leverage": 2.0}),
    Case("2 room: all that is held takes it", ("100 | = | =", "50 | = | =", "10 | = | ="),
         {1: (0.3, 0.3, 0.0), 2: (bg.HOLD, bg.HOLD, 2.0)}, [(2, 1, 30, 100), (2, 2, 60, 50), (3, 3, 900, 10, SHRUNK)],
         [BOUGHT, "1-2 B market filled", f"2-3 C market filled: {SHRUNK}"], {"leverage": 1.5}),
    Case("2 room: so does what has no bar", ("100 | = | -", "10 | = | ="), {1: (0.3, 0.0), 2: (bg.HOLD, 2.0)},
         [(2, 1, 30, 100), (3, 2, 700, 10, SHRUNK)], [BOUGHT, f"2-3 B market filled: {SHRUNK}"]),
    Case("6 the same target of one asset, another of the next", ("100 | - | 100", "50 | - | 50"),
         {1: (0.3, 0.3), 2: (0.3, 0.4)}, [(3, 1, 30, 100), (3, 3, 80, 50)],
         ["1-3 A market filled", f"1-2 B market cancelled: {TARGET}", "2-3 B market filled"]),
    Case("6 all in, before the asset begins", ("100 | = | =", "- | - | 50"), {1: (0.0, 1.0)}, [(3, 1, 200, 50)],
         ["1-3 B market filled"]),
    Case("6 band: as near as the band is not nearer", "100 | =", {1: 0.5}, [(2, 1, 50, 100)], [BOUGHT],
         {"band": 0.5}),
    Case("6 band: of one unit", "100 | = | =", {1: 0.5, 2: 0.55}, [(2, 1, 1, 100)], [BOUGHT],
         {"band": 0.1, "cash": 200.0}),
    Case("6 band: without a guard a small position stays", "100 | = | 50 | =", {1: 0.3, 3: 0.0}, [(2, 1, 30, 100)],
         [BOUGHT], {"band": 0.2}),
    Case("6 band: flatten closes one unit", "100 | = | 50 | =", {1: 0.1}, [(2, 1, 1, 100), (4, 2, -1, 50)],
         [BOUGHT, "3-4 A market filled"], {**killed("flatten"), "band": 0.06, "cash": 1_000.0}, events=HIT),
    Case("6 lots: of one, at a price of one", "1 | = | = | =", {1: 0.5, 2: 0.50001, 3: 0.50009},
         [(2, 1, 5_000, 1)], [BOUGHT], {"lot": 1.0}),
    Case("6 lots: of one, another unit", "1 | = | =", {1: 0.5, 2: 0.5001}, [(2, 1, 5_000, 1), (3, 2, 1, 1)],
         [BOUGHT, "2-3 A market filled"], {"lot": 1.0}),
]  # fmt: skip


@named(TARGETS)
def test_targets(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("more", [{}, FULL], ids=["light", "full"])
def test_no_weight_is_a_part_of_no_equity(more: dict[str, Any]) -> None:
    """Clause 2: an equity of exactly nothing at the open, where an order waits, ends the run and is told."""
    script = {1: (2.0, 0.0), 2: (bg.HOLD, 0.5)}
    told = Case("", ("100 | = | 50 100 50 100", "10 | = | ="), script, [], [], LEVERED)
    with pytest.raises(BarographError, match=r"equity is 0\b"):
        play(told, **more)


# What a position comes to: held, wanted, lot. What a split has left over stays until the position ends.
MOVED = [
    ((7.5, 7.7, 1.0), 7.5), ((7.5, 8.6, 1.0), 8.5), ((7.5, 7.3, 1.0), 6.5), ((-7.5, -7.7, 1.0), -7.5),
    ((7.5, 0.3, 1.0), 0.0), ((7.5, -0.3, 1.0), 0.0), ((7.5, -2.3, 1.0), -2.0), ((0.7, 0.8, 0.1), 0.8),
    ((0.1, 0.1 + 0.2, 0.1), 0.3), ((0.0, 0.29 * 100.0, 1.0), 29.0), ((0.0, 1e11, 1e-8), 1e11), ((3.0, 2.7, 0.0), 2.7),
]  # fmt: skip


def test_the_numbers_of_targets() -> None:
    """The helpers that both books share, where no run of round numbers goes."""
    assert [moved(held, size, grid_of(lot)) for (held, size, lot), _ in MOVED] == [wanted for _, wanted in MOVED]
    assert [reduced(*given) for given in ((1.0, 0.5), (1.0, 2.0), (-2.0, 3.0), (0.0, 3.0))] == [0.5, 1.0, 0.0, 0.0]
    assert [why_none(curbed, grid_of(lot)) for curbed, lot in ((events.KILL, 0.5), (0, 0.5), (0, 0.0))] == [
        events.KILL,
        events.NO_LOT,
        events.THERE,
    ]
    assert [base_of(*given) for given in ((0.1, 0.5), (-0.1, 0.5), (0.0, 0.5))] == [0.1, 0.0, 0.0]
    assert shrunk(0.0, 0.0, 10.0, 1e-10, grid_of(0.0)) == 0.0
    assert shrunk(8.0, 8.0, 10.0, 5e-9, grid_of(0.0)) == 8.0 + 1e-8
    rows = book.open_book(0.0, 2).rows
    rows[book.QUANTITY], rows[book.PRICE] = 1.0, 7.0
    assert value_of(100.0, rows, np.array([50.0, math.nan])) == 157.0


SELL, BUY = -0.5, 0.5
# Kind, quantity, limit, stop, trailing distance, low, high: can the bar touch it?
RANGES = [
    (orders.LIMIT, BUY, 95, NAN, 0, 95, 105, True),
    (orders.LIMIT, BUY, 95, NAN, 0, 95.5, 105, False),
    (orders.LIMIT, BUY, 95, NAN, 0, 90, 94, True),
    (orders.LIMIT, SELL, 105, NAN, 0, 95, 105, True),
    (orders.LIMIT, SELL, 105, NAN, 0, 95, 104.5, False),
    (orders.LIMIT, SELL, 105, NAN, 0, 106, 107, True),
    (orders.STOP, BUY, NAN, 105, 0, 95, 105, True),
    (orders.STOP, BUY, NAN, 105, 0, 95, 104.5, False),
    (orders.STOP, SELL, NAN, 95, 0, 95, 105, True),
    (orders.STOP, SELL, NAN, 95, 0, 95.5, 105, False),
    (orders.STOP_LIMIT, BUY, 90, 105, 0, 95, 104.5, False),
    (orders.STOP_LIMIT, SELL, 110, 95, 0, 95, 100, True),
    (orders.TRAILING, SELL, NAN, 90, 5, 94, 99, True),
    (orders.TRAILING, SELL, NAN, 90, 5, 94.5, 99, False),
    (orders.TRAILING, BUY, NAN, 110, 5, 96, 101, True),
    (orders.TRAILING, BUY, NAN, 110, 5, 96, 100.5, False),
    (orders.MARKET, BUY, NAN, NAN, 0, 95, 105, False),
    (orders.ON_CLOSE, SELL, NAN, NAN, 0, 95, 105, False),
]


def resting(*orders: tuple[float, ...], pair: int = 0) -> book.Book:
    """A book with these orders: kind, quantity, limit, stop, trailing distance."""
    made = book.open_book(1.0, 1, resting=4)
    made.flags[book.LIVE, 0] = len(orders)
    for s, (kind, *numbers) in enumerate(orders):
        made.order_codes[0, s, [book.ID, book.KIND, book.GROUP]] = s + 1, kind, pair
        made.order_values[0, s, [book.LEFT, book.LIMIT_AT, book.STOP_AT, book.TRAIL_BY]] = numbers
    return made


@pytest.mark.parametrize("told", RANGES)
def test_reached(told: tuple[float, ...]) -> None:
    """Clause 3: room is shared among what this bar's range can touch."""
    made = resting(told[:5])
    assert reached(made.order_codes[0, 0], made.order_values[0, 0], told[5], told[6], grid_of(0.0)) is told[7]


# Two of a pair, the range of the bar, and which of the two the other stands for.
PAIRS = [
    ((orders.LIMIT, 0.5, 1.0, NAN, 0), (orders.LIMIT, 0.4, 1.0, NAN, 0), 1, [False, True]),
    ((orders.LIMIT, 0.4, 1.0, NAN, 0), (orders.LIMIT, 0.5, 1.0, NAN, 0), 1, [True, False]),
    ((orders.LIMIT, 0.5, 1.0, NAN, 0), (orders.LIMIT, 0.5, 1.0, NAN, 0), 1, [False, True]),
    ((orders.LIMIT, 0.5, 1.0, NAN, 0), (orders.LIMIT, 0.4, 1.0, NAN, 0), 0, [False, False]),
    ((orders.LIMIT, 0.5, 1.0, NAN, 0), (orders.LIMIT, -0.4, 1.0, NAN, 0), 1, [False, False]),
    ((orders.LIMIT, 5.0, 0.5, NAN, 0), (orders.LIMIT, 4.0, 1.0, NAN, 0), 1, [True, False]),
    ((orders.TRAILING, -5.0, NAN, 0.5, 0.2), (orders.LIMIT, -4.0, 1.2, NAN, 0), 1, [False, True]),
]


@pytest.mark.parametrize(("one", "other", "pair", "wanted"), PAIRS)
def test_outdone(one: tuple[float, ...], other: tuple[float, ...], pair: int, wanted: list[bool]) -> None:
    """Clause 3: of a pair that may fill only one asks for room, the dearer, of two as dear the older."""
    made = resting(one, other, pair=pair)
    assert [dominated(made, 0, s, 0.9, 1.2, 1.2, grid_of(0.1), REACHING, 5) for s in range(2)] == wanted


# A trailing stop of half a unit: side, level, distance, price, tick, the level then.
TRAILS = [
    (SELL, 90.0, 5.0, 96.0, 0.0, 91.0),
    (SELL, 90.0, 5.0, 94.0, 0.0, 90.0),
    (SELL, 90.0, 5.0, 96.7, 0.5, 91.5),
    (SELL, NAN, 5.0, 90.0, 0.0, 85.0),
    (BUY, 110.0, 5.0, 104.0, 0.0, 109.0),
    (BUY, 110.0, 5.0, 106.0, 0.0, 110.0),
    (BUY, 110.0, 5.0, 103.3, 0.5, 108.5),
]


@pytest.mark.parametrize("told", TRAILS)
def test_follow(told: tuple[float, ...]) -> None:
    """Clause 3: up for a seller, down for a buyer, never back, to a tick that is no better for him."""
    q, level, by, to, tick, wanted = told
    made = resting((orders.TRAILING, q, NAN, level, by))
    assert follow(made.order_codes[0, 0], made.order_values[0, 0], to, grid_of(tick)) == wanted


def test_room_for_increases_with_costs() -> None:
    """Clause 2: what is held needs none; costs are paid out of the equity that the limit is a multiple of."""
    left = 9_990 / 1.006
    q = [0.3 * left / 100, 0.3 * left / 50]
    fees = [q[0] + 5, q[1] / 2 + 5]
    equity = 10_000 - sum(fees)
    goal = (equity - 10 + 0.006 * left) / 1.04
    wanted = [(2 * goal - 0.3 * left) / 100, (2 * goal - 0.3 * left) / 50]
    room = 1.5 * (equity - 10) - q[0] * 100 - q[1] * 50
    share = room / sum(x * p + 1.5 * x * p / 100 for x, p in zip(wanted, (100, 50), strict=True))
    more = [share * x for x in wanted]
    check(
        Case("", ("100 | = | =", "50 | = | ="), {1: (0.3, 0.3), 2: (2.0, 2.0)},
             [(2, 1, q[0], 100), (2, 2, q[1], 50), (3, 3, more[0], 100, SHRUNK), (3, 4, more[1], 50, SHRUNK)],
             [BOUGHT, "1-2 B market filled", f"2-3 A market filled: {SHRUNK}", f"2-3 B market filled: {SHRUNK}"],
             {"fee": 0.01, "fixed_fee": 5.0, "leverage": 1.5, "maintenance": 0.0, "warning": 0.0},
             fees=[*fees, more[0] + 5, more[1] / 2 + 5])
    )  # fmt: skip


NOTHING: dict[str, Any] = dict.fromkeys(book.Rules._fields, 0)
RULES = book.Rules(
    **{**NOTHING, "tiers": np.zeros((0, 3)), "guards": np.zeros((0, 4)), "lot": grid_of(0.0), "tick": grid_of(0.0)}
)


def test_months() -> None:
    """Clause 4: tiers and turnover begin anew with the calendar month, UTC."""
    days = [dt.date(1999, 12, 1) + dt.timedelta(days=n) for n in range(160)]
    days += [dt.date(year, month, 1) + dt.timedelta(days=n) for year in range(1700, 2262, 9) for month in range(1, 13)
             for n in (-1, 0, 27)]  # fmt: skip
    epoch = dt.date(1970, 1, 1)
    numbers = {month_of((day - epoch).days * DAY) - 12 * day.year - day.month for day in days}
    assert len(numbers) == 1
    assert month_of(DAY - 1) == month_of(0) == month_of(-1) + 1


def test_the_numbers_of_fees_and_prices() -> None:
    """Clause 4: fees, slippage and ticks, where they are small or none."""
    assert charge(-10.0, 100.0, -0.01, RULES, 0.0, 0.0) == (-10.0, 0.0, 0.0)
    least = RULES._replace(minimum_fee=0.5, fixed_fee=2.0)
    assert charge(1.0, 10.0, 0.01, least, 0.0, 0.0) == (2.5, 0.0, 0.0)
    by_order = least._replace(minimum_by_order=1)
    assert charge(1.0, 10.0, 0.01, by_order, 0.0, 0.0) == (2.5, 0.1, 0.5)
    assert charge(-6.0, -10.0, 0.01, by_order, 0.1, 0.5) == (pytest.approx(2.2), pytest.approx(0.7), pytest.approx(0.7))
    rows = book.open_book(0.0, 1).rows
    assert slippage_of(rows, 0, 1.0, 1.0, RULES._replace(slippage=0.01, impact=1.0)) == 0.01
    rows[book.VARIANCE] = 0.04
    assert slippage_of(rows, 0, -0.5, 0.5, RULES._replace(impact=0.5)) == 0.1
    assert slippage_of(rows, 0, 1.0, NAN, RULES._replace(volatility_slippage=0.5)) == 0.1
    assert slippage_of(rows, 0, 0.5, 0.0, RULES._replace(volatility_slippage=0.5, impact=0.5)) == 0.1
    assert [dearer(100.2, 0.0, 200.0, grid_of(0.5)), cheaper(100.2, 0.0, 0.0, grid_of(0.5))] == [100.5, 100.0]
    assert [to_tick(100.0, up, grid_of(1.0)) for up in (True, False)] == [100.0, 100.0]
    assert [to_tick(100.5, up, grid_of(1.0)) for up in (True, False)] == [101.0, 100.0]
    bars = bg.Bars(0, *np.array([[100.0], [110.0], [90.0], [100.0], [NAN], [1.0]]))
    assert after_slippage(rows, 0, 0.5, 100.0, bars, RULES._replace(slippage=0.01)) == 101.0
    assert after_slippage(rows, 0, -0.5, 100.0, bars, RULES._replace(slippage=0.01)) == 99.0


def test_what_fills_add_up_to() -> None:
    """Clause 4: money, units and the price of a position; what rounding leaves of it is nothing."""
    made = book.open_book(1_000.0, 1)
    made.money[book.WORTH] = 1_000.0
    for q, p, fee in ((0.1, 10.0, 0.25), (0.2, 20.0, 1.0), (-0.3, 20.0, 1.5)):
        pay(made, 0, q, p, p, fee, RULES)
    assert made.money[[book.CASH, book.FEES, book.TRADED]].tolist() == pytest.approx([998.25, 2.75, 11.0], rel=1e-15)
    assert made.rows[[book.QUANTITY, book.PRICE, book.BASIS], 0].tolist() == [0.0, 10.0, made.rows[book.BASIS, 0]]
    for q in (1_000.0 + 5e-10, -1_000.0):
        pay(made, 0, q, 1.0, 1.0, 0.0, RULES)
    assert made.rows[book.QUANTITY, 0] == 0.0
    for q in (0.6, -0.4, -0.2):
        pay(made, 0, q, 1.0, 1.0, 0.0, RULES._replace(lot=grid_of(0.1)))
        assert made.rows[book.QUANTITY, 0] in (0.6, 0.2, 0.0)
    assert made.counters[book.FAULT] == book.FINE
    pay(made, 0, 100.0, 1.0, 11.0, 1.0, RULES)
    assert made.counters[book.FAULT] == book.RUINED


CALL, LIQUIDATED = "margin call", "4-4 A market (liquidation) filled: margin call"
SECOND = "4-4 B market (liquidation) filled: margin call"


def margin(bar: int, event: str, equity: float, gross: float) -> tuple[Any, ...]:
    """A warning or a call: gross exposure over equity, and equity."""
    return (bar, f"margin_{event}", "", 0, gross / equity, equity, CALL)


FOUR = {"leverage": 4.0}
FALL = [margin(2, "warning", 10_000, 40_000), margin(3, "call", 4_000, 34_000)]
UNIT = [margin(2, "warning", 25, 100), margin(3, "call", 10, 85)]
ENOUGH = 4_500 / 21.25
IMPACT = 10 * math.sqrt(0.06) * math.log(100 / 85) * math.sqrt(400 / 1e6)
MARGIN = [
    Case("5 one unit is closed, and slips", "100 | = | 85 | 85 86 84 86", {1: [market(1)]},
         [(2, 1, 1, 100), (4, 2, -11.25 / 20.4, 84.15, CALL)], [BOUGHT, LIQUIDATED],
         {**FOUR, "cash": 25.0, "slippage": 0.01}, slips=[0, 11.25 / 20.4 * 0.85], events=UNIT),
    Case("5 a lot of one unit", "100 | = | 76 | =", {1: [market(1)]},
         [(2, 1, 1, 100), (4, 2, -1, 76, CALL)], [BOUGHT, LIQUIDATED], {**FOUR, "cash": 25.0, "lot": 1.0},
         events=[UNIT[0], margin(3, "call", 1, 76)]),
    Case("5 prices below one", "1 | = | 0.85 | 0.85 0.86 0.84 0.86", {1: [market(40_000)]},
         [(2, 1, 40_000, 1), (4, 2, -4_500 / 0.2125, 0.85, CALL)], [BOUGHT, LIQUIDATED], FOUR, events=FALL),
    Case("5 exactly ten lots", "100 | = | 85 | 85 86 84 86", {1: [market(400)]},
         [(2, 1, 400, 100), (4, 2, -200, 85, CALL)], [BOUGHT, LIQUIDATED], {**FOUR, "cash": 10_250.0, "lot": 20.0},
         events=[margin(2, "warning", 10_250, 40_000), margin(3, "call", 4_250, 34_000)]),
    Case("5 the minimum fee and slippage", "100 | = | 85 | 85 86 84 86", {1: [market(380)]},
         [(2, 1, 380, 100), (4, 2, -3_825 / 20.4, 84.15, CALL)], [BOUGHT, LIQUIDATED],
         {**FOUR, "minimum_fee": 25.0, "slippage": 0.01}, fees=[25, 25], slips=[0, 187.5 * 0.85],
         events=[margin(2, "warning", 9_975, 38_000), margin(3, "call", 4_275, 32_300)]),
    Case("5 the impact of all that is held", "100 | = | 85 | 85 86 84 86", {1: [market(400)]},
         [(2, 1, 400, 100), (4, 2, -4_500 / (21.25 - 85 * IMPACT), 85 * (1 - IMPACT), CALL)], [BOUGHT, LIQUIDATED],
         {**FOUR, "impact": 10.0}, slips=[0, 4_500 / (21.25 - 85 * IMPACT) * 85 * IMPACT], events=FALL),
    Case("4 what a liquidation leaves of the volume is for others", "100 | = | 85 | 85 86 84 86 v430",
         {1: [market(400)], 3: [market(-10)]},
         [(2, 1, 400, 100), (4, 3, -ENOUGH, 85, CALL), (4, 2, ENOUGH - 215, 85, WAITS)],
         [BOUGHT, "3- A market open", LIQUIDATED], {**FOUR, "participation": 0.5}, events=FALL),
    Case("4 a liquidation leaves nothing of the volume", "100 | = | 85 | 85 86 84 86 v200",
         {1: [market(400)], 3: [market(-10)]},
         [(2, 1, 400, 100), (4, 3, -100, 85, CALL)], [BOUGHT, "3- A market open", LIQUIDATED],
         {**FOUR, "participation": 0.5}, events=FALL),
    Case("4 what the volume of one does not let go, another gives", ("100 | = | 90 | 90 93 90 93",
         "100 | = | 80 | 80 80 80 80 v200"), {1: [market(200), market(200, asset=1)]},
         [(2, 1, 200, 100), (2, 2, 200, 100), (4, 3, -100, 80, CALL), (4, 4, -2_500 / 22.5, 90, CALL)],
         [BOUGHT, "1-2 B market filled", SECOND, LIQUIDATED], {**FOUR, "participation": 0.5}, events=FALL),
    Case("5 what has no bar is worth its last price", ("100 | = | 90 | 90 93 90 93", "100 | = | 80 | -"),
         {1: [market(300), market(100, asset=1)]},
         [(2, 1, 300, 100), (2, 2, 100, 100), (4, 3, -3_750 / 22.5, 90, CALL)],
         [BOUGHT, "1-2 B market filled", LIQUIDATED], FOUR, events=[FALL[0], margin(3, "call", 5_000, 35_000)]),
    Case("4 less volume than a lot closes nothing, and the next is looked at", ("100 | = | 90 | 90 93 90 93",
         "100 | = | 80 | 80 80 80 80 v1"), {1: [market(200), market(200, asset=1)]},
         [(2, 1, 200, 100), (2, 2, 200, 100), (4, 3, -200, 90, CALL)],
         [BOUGHT, "1-2 B market filled", LIQUIDATED], {**FOUR, "participation": 0.5, "lot": 1.0}, events=FALL),
]  # fmt: skip


@named(MARGIN)
def test_margin(case: Case) -> None:
    check(case)


def test_volatility_of_prices_below_one() -> None:
    """Clause 4: sigma is an average of squared log returns that weighs each earlier one with 0.94."""
    run = play(Case("", "0.5 | 0.55 | 0.5", {1: [market(1)]}, [], []), volatility_slippage=0.5)
    assert run.world.book.rows[book.VARIANCE].tolist() == pytest.approx([math.log(1.1) ** 2], rel=1e-12)


def test_average_cost_of_parts_of_a_unit() -> None:
    rows = book.open_book(0.0, 1).rows
    rows[book.QUANTITY], rows[book.BASIS] = 0.5, 10.0
    rebase(rows, 0, 0.5, 20.0)
    assert rows[book.BASIS].tolist() == [15.0]
    rebase(rows, 0, -0.5, 30.0)
    assert rows[book.BASIS].tolist() == [0.0]
