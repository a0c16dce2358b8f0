"""Odd days, where guards, legs, pairs and cash meet; each kind × gap × path × life; actions and calls under orders."""

from __future__ import annotations

import math
from typing import Any

import pytest

import barograph as bg
from barograph.data.calendars import span_of
from tests.kit.tables import (
    FIRST,
    FULL,
    HOUR,
    NO_HEADROOM,
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
BOUGHT = "1-2 A market filled"
NONE_LEFT, ALL = "reduce only: nothing to reduce", "reduce only: all there was"
LOSS, PROFIT = "stop (stop_loss of 1)", "limit (take_profit of 1)"
KILL, DRAWDOWN = "kill switch", "drawdown limit"
WHEN = float(span_of("2024-03-06", None)[0])


def killed(mode: str, cool_down: int = 0) -> dict[str, Any]:
    """Terms with a kill switch that is hit at the close of bar 3."""
    return {"guards": [bg.Guard("kill", "2024-03-06", mode, cool_down)]}


def at_kill(bar: int = 3, event: str = "guard") -> tuple[Any, ...]:
    """The event of that switch."""
    return (bar, event, "", 0, float(FIRST + (bar - 1) * 24 * HOUR), WHEN, KILL)


# Nobody increases, and nobody changes sides, under a guard; what is flattened is flat.
GUARDS = [
    Case("6 guard: flatten closes a position that is smaller than the band", "100 | = | 50 | = | =", {1: 0.1},
         [(2, 1, 10, 100), (4, 2, -10, 50)], [BOUGHT, "3-4 A market filled"], {**killed("flatten"), "band": 0.06},
         events=[at_kill()]),
    Case("6 guard: no new risk lets an order reduce, and not change sides", "100 | = | = | =",
         {1: [market(10)], 3: [market(-15)]}, [(2, 1, 10, 100), (4, 2, -10, 100, ALL)],
         [BOUGHT, f"3-4 A market filled: {ALL}"],
         killed("no_new_risk"), events=[at_kill()]),
    Case("6 guard: no new risk counts all the sales of a slip", "100 | = | = | =",
         {1: [market(10)], 3: [market(-10), market(-10)]}, [(2, 1, 10, 100), (4, 2, -10, 100)],
         [BOUGHT, "3-4 A market filled", f"3-4 A market cancelled: {NONE_LEFT}"], killed("no_new_risk"),
         events=[at_kill()]),
    Case("6 guard: reduce only lets two resting sales sell what there is",
         "100 | = | = | 100 121 100 120", {1: [market(10), limit(-10, 110), limit(-10, 120)]},
         [(2, 1, 10, 100), (4, 2, -10, 110)], [BOUGHT, "1-4 A limit filled", f"1-4 A limit cancelled: {NONE_LEFT}"],
         killed("reduce_only"), events=[at_kill()]),
    Case("6 guard: a kill switch that cools down has let go", "100 | = | = | = | = | =", {1: 0.5}, [(2, 1, 50, 100)],
         [BOUGHT], killed("no_new_risk", 2), events=[at_kill(), at_kill(5, "released")]),
    Case("6 guard: the same target again is the order that waits, also under no new risk", "100 | - | - | - | 100",
         dict.fromkeys((1, 2, 3, 4), 0.5), [(5, 1, 50, 100)], ["1-5 A market filled"], killed("no_new_risk"),
         events=[at_kill()]),
    Case("6 guard: each drawdown has its own high-water mark", "100 | = | 90 | = | 80 | =", {1: 1.0},
         [(2, 1, 100, 100), (6, 2, -100, 80)], [BOUGHT, "5-6 A market filled"],
         {"guards": [bg.Guard("drawdown", 0.1, "no_new_risk", 1), bg.Guard("drawdown", 0.2, "flatten")]},
         events=[(3, "guard", "", 0, 0.1, 0.1, DRAWDOWN), (4, "released", "", 0, 0.1, 0.1, DRAWDOWN),
                 (5, "guard", "", 0, 1 / 9, 0.1, DRAWDOWN), (5, "guard", "", 0, 0.2, 0.2, DRAWDOWN),
                 (6, "released", "", 0, 1 / 9, 0.1, DRAWDOWN)]),
    Case("6 guard: what is delisted takes no part of a gross limit", ("100 | = | - | -", "100 | = | = | ="),
         {1: (0.3, 0.3), 3: (0.5, 0.5)}, [(2, 1, 30, 100), (2, 2, 30, 100), (4, 3, 20, 100)],
         [BOUGHT, "1-2 B market filled", "3-4 B market filled"], {"guards": [bg.Guard("gross", 0.61)]},
         actions={"final": {3: (100.0, NONE)}},
         events=[(3, "delisted", "A", 0, 30.0, 100.0, "the asset is delisted")]),
]  # fmt: skip

LEGS = [
    Case("6 legs end when the position changes sides, and do not return with it", f"{H} | = | = | = | 100 101 89 95",
         {1: [market(10, bracket=(90, 110))], 2: [market(-20)], 3: [market(20)]},
         [(2, 1, 10, 100), (3, 4, -20, 100), (4, 5, 20, 100)],
         [BOUGHT, f"2-3 A {LOSS} cancelled: {UNPROTECTED}", f"2-3 A {PROFIT} cancelled: {UNPROTECTED}",
          "2-3 A market filled", "3-4 A market filled"]),
    Case("6 legs end when a stop turns the position inside the bar", f"{H} | = | 100 100 94 96",
         {1: [market(10, bracket=(80, 110))], 2: [stop(-20, 95)]}, [(2, 1, 10, 100), (3, 4, -20, 95)],
         [BOUGHT, f"2-3 A {LOSS} cancelled: {UNPROTECTED}", f"2-3 A {PROFIT} cancelled: {UNPROTECTED}",
          "2-3 A stop filled"]),
    Case("2 a pair that the open fills asks for room once", f"{H} | 100",
         {1: [limit(100, 105), stop(100, 95, pair=True)]}, [(2, 1, 100, 100)],
         ["1-2 A limit filled", f"1-2 A stop cancelled: {PAIR}"]),
    Case("3 a trailing stop of an asset that has not begun starts at its first price",
         ("100 | = | = | =", "- | 100 | = | 100 100 50 50"), {1: [percent(-10, 0.05, asset=1)]}, [(4, 1, -10, 95)],
         ["1-4 B trailing_stop filled"]),
    Case("3 a pair across sides, in parts: together they fill what one would have",
         "100 | 100 106 94 100 v8 | 100 100 100 100 v8 | 100", {1: [stop(10, 105), stop(-10, 95, pair=True)]},
         [(2, 1, 4, 105, "participation: the rest waits for more volume"),
          (3, 2, -4, 100, "participation: the rest waits for more volume"), (4, 1, 2, 100)],
         ["1-4 A stop filled", f"1-4 A stop cancelled: {PAIR}"], {"participation": 0.5},
         events=[(2, "triggered", "A", 1, 0.0, 105, ""), (2, "triggered", "A", 2, 0.0, 95, "")]),
    Case("4 what has filled keeps its legs when its entry is replaced",
         "98 | 98 99 94 97 v8 | 97 98 94 96 | 95 95 89 90",
         {1: [limit(10, 95, tag=1, bracket=(90, NONE))], 2: [limit(12, 95, tag=1, bracket=(91, NONE))]},
         [(2, 1, 4, 95, "participation: the rest waits for more volume"), (3, 3, 12, 95), (4, 4, -12, 91),
          (4, 2, -4, 90)],
         ["1-2 A limit cancelled: replaced by a newer order", f"2-4 A {LOSS} filled", "2-3 A limit filled",
          "3-4 A stop (stop_loss of 3) filled"], {"participation": 0.5}),
    Case("4 what has filled keeps its legs when the day of its entry is over",
         "98 | 98 99 94 97 v8 | 97 98 94 96 | 95 95 89 90", {1: [limit(10, 95, day=True, bracket=(90, NONE))]},
         [(2, 1, 4, 95, "participation: the rest waits for more volume"), (4, 2, -4, 90)],
         ["1-2 A limit expired: its day is over", f"2-4 A {LOSS} filled"], {"participation": 0.5}),
    Case("2 a gap through the take-profit of a short fills at the open", f"{H} | = | 80 82 79 81",
         {1: [market(-10, bracket=(110, 90))]}, [(2, 1, -10, 100), (3, 3, 10, 80)],
         [BOUGHT, f"2-3 A {LOSS} cancelled: {PAIR}", f"2-3 A {PROFIT} filled"]),
    Case("4 a bar with a close and no open fills nothing but at the close", "100 | nan nan nan 104 | 105",
         {1: [market(10), limit(5, 110), on_close(3)]}, [(2, 3, 3, 104), (3, 1, 10, 105), (3, 2, 5, 105)],
         ["1-3 A market filled", "1-3 A limit filled", "1-2 A market_on_close filled"]),
]  # fmt: skip

MONEY = [
    Case("4 fee: two limits at one price both make", f"{H} | 98 99 94 97", {1: [limit(10, 95), limit(5, 95)]},
         [(2, 1, 10, 95), (2, 2, 5, 95)], ["1-2 A limit filled"] * 2, {"fee": 0.01, "maker_fee": 0.0}),
    Case("5 a liquidation closes no more than is needed beside a minimum fee that is not charged",
         "100 | = | 85 | = | =", {1: [market(380)]}, [(2, 1, 380, 100), (4, 2, -4_155 / 20.4, 85, "margin call")],
         [BOUGHT, "4-4 A market (liquidation) filled: margin call"],
         {"leverage": 4.0, "fee": 0.01, "minimum_fee": 25.0}, fees=[380, 4_155 / 20.4 * 0.85],
         events=[(2, "margin_warning", "", 0, 38_000 / 9_620, 9_620, "margin call"),
                 (3, "margin_call", "", 0, 32_300 / 3_920, 3_920, "margin call")]),
]  # fmt: skip


@named([*GUARDS, *LEGS, *MONEY])
def test_odd_days(case: Case) -> None:
    check(case)


BORROWED: dict[str, tuple[list[Ask], str, dict[str, Any]]] = {
    "a fixed fee for each of two limits": ([limit(50, 95), limit(50, 94)], "98 99 90 97", {"fixed_fee": 300.0}),
    "a fee on a price after slippage": ([stop(100, 100)], "99 110 99 105", {"fee": 0.01, "slippage": 0.01}),
    "a price that is rounded up to a tick": ([stop(100, 100.5)], "100 106 99 105", {"tick": 1.0, "slippage": 0.001}),
}


@pytest.mark.parametrize("what", BORROWED)
def test_a_cash_account_never_borrows_inside_a_bar(what: str) -> None:
    """Clause 3, room: what a cash account buys is paid with every cost that is charged for it."""
    asks, bar, terms = BORROWED[what]
    run = play(Case(what, f"100 | {bar}", {1: asks}, [], []), account="cash", **terms)
    assert -1e-6 <= run.arrays.table[-1, 1] < 200.0


@pytest.mark.parametrize("more", [{}, FULL])
def test_a_target_does_not_trade_an_equity_that_is_gone(more: dict[str, Any]) -> None:
    """Clause 5: at the open of 70 the equity is -2,000; a target of 3.9 would sell 511 of 400 and win at the close."""
    case = Case("gone", "100 | = | 70 70 50 50", {1: 4.0, 2: 3.9}, [], [])
    with pytest.raises(bg.StrategyError, match="ruined the account"):
        play(case, leverage=4.0, **more)


def test_an_ended_entry_leaves_its_slot_to_its_legs() -> None:
    run = play(Case("slots", f"{H} | =", {1: [market(10, bracket=(90, 110))]}, [], []), resting=2)
    assert told(run) == [BOUGHT, f"2- A {LOSS} open", f"2- A {PROFIT} open"]


def test_a_kill_switch_whose_date_is_none_says_so() -> None:
    with pytest.raises(bg.ConfigError, match=r"guard on kill: .*'someday'"):
        bg.Guard("kill", "someday")


RISKS: dict[str, tuple[str, dict[int, Any], list[float]]] = {
    "a weight that was smaller at the close and is larger at the open": ("100 | = | 60 | 30", {1: 0.5, 3: 0.37}, [50]),
    "a sale of what a stop has sold before it": (
        "100 | = | = | 85 86 84 85", {1: [market(10, bracket=(90, NONE))], 3: [market(-8)]}, [10, -10]),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["no_new_risk", "reduce_only"])
@pytest.mark.parametrize("what", RISKS)
def test_nothing_decided_under_a_guard_increases_a_position(what: str, mode: str) -> None:
    """Clause 6: what was a reduction at the close is no increase at the next open."""
    bars, script, fills = RISKS[what]
    run = play(Case(what, bars, script, [], []), **killed(mode))
    assert run.tables["fills"].quantity.tolist() == pytest.approx(fills)


# Every kind, passed by the gap of the open or touched inside, on every path, for every life: asked at 100, the bar,
# and the price on the pessimistic, the optimistic and the nearest path. Only what trails depends on the path.
TOUCHED: dict[str, tuple[Ask, str, tuple[float, float, float]]] = {
    "buy limit, gap": (limit(10, 95), "93 96 92 94", (93, 93, 93)),
    "buy limit, inside": (limit(10, 95), "98 101 94 97", (95, 95, 95)),
    "sell limit, gap": (limit(-10, 105), "107 108 104 106", (107, 107, 107)),
    "sell limit, inside": (limit(-10, 105), "102 106 99 103", (105, 105, 105)),
    "buy stop, gap": (stop(10, 105), "107 108 104 106", (107, 107, 107)),
    "buy stop, inside": (stop(10, 105), "102 106 99 103", (105, 105, 105)),
    "sell stop, gap": (stop(-10, 95), "93 96 92 94", (93, 93, 93)),
    "sell stop, inside": (stop(-10, 95), "98 101 94 97", (95, 95, 95)),
    "buy stop-limit, gap": (stop_limit(10, 105, 106), "107 108 104 107", (106, 106, 106)),
    "buy stop-limit, inside": (stop_limit(10, 105, 106), "102 106 99 103", (105, 105, 105)),
    "sell stop-limit, gap": (stop_limit(-10, 95, 94), "93 96 92 93", (94, 94, 94)),
    "sell stop-limit, inside": (stop_limit(-10, 95, 94), "98 101 94 97", (95, 95, 95)),
    "trailing sell, gap": (trailing(-10, 5), "93 96 92 94", (93, 93, 93)),
    "trailing sell, inside": (trailing(-10, 5), "100 104 93 98", (95, 99, 99)),
    "trailing buy, gap": (trailing(10, 5), "107 108 104 106", (107, 107, 107)),
    "trailing buy, inside": (trailing(10, 5), "100 107 96 102", (105, 101, 101)),
    "trailing percent, gap": (percent(-10, 0.05), "93 96 92 94", (93, 93, 93)),
    "trailing percent, inside": (percent(-10, 0.05), "100 104 93 98", (95, 98.8, 98.8)),
    "on close, gap": (on_close(10), "107 108 104 106", (106, 106, 106)),
    "market, gap": (market(-10), "93 96 92 94", (93, 93, 93)),
}  # fmt: skip
PATHS = ("pessimistic", "optimistic", "nearest")
LIVES: dict[str, dict[str, Any]] = {"GTC": {}, "DAY": {"day": True}, "GTD": {"until": moment(2)}}


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("order", TOUCHED)
def test_each_kind_gap_path_and_life(order: str, path: str, life: str) -> None:
    """Clauses 1 to 3 and 5."""
    request, bar, prices = TOUCHED[order]
    kind = request.kind.replace("trailing_percent", "trailing_stop")
    fill = (2, 1, request.numbers[0], prices[PATHS.index(path)])
    at = float(bar.split()[0]) if order.endswith("gap") else request.numbers[1] if kind == "stop_limit" else NONE
    events = [(2, "triggered", "A", 1, 0.0, at, "")] if kind == "stop_limit" else []
    asked = request._replace(more=LIVES[life])
    check(Case(order, f"100 | {bar}", {1: [asked]}, [fill], [f"1-2 A {kind} filled"], {"path": path}, events=events))


# A dividend of 2 before bar 3 lowers buy limits and sell stops, and nothing else: (order, bar 3, where it fills).
PAID = {
    "buy limit": (limit(5, 95), "98 98 93 97", 93.0),
    "buy limit that is not lowered": (limit(5, 95, keep=True), "98 98 94 97", 95.0),
    "sell stop-limit": (stop_limit(-5, 97, 97), "98 98 94 95", 95.0),
    "buy stop-limit": (stop_limit(5, 105, 105), "98 106 97 100", 105.0),
    "sell stop that is not lowered": (stop(-5, 97, keep=True), "98 98 96 97", 97.0),
    "sell limit": (limit(-5, 105), "98 106 97 100", 105.0),
    "buy stop": (stop(5, 105), "98 106 97 100", 105.0),
    "sell stop": (stop(-5, 97), "98 98 95 97", 95.0),
    "sell stop, that the ex-date would pass": (stop(-5, 99), "98 98 97 97", 97.0),
    "trailing sell": (trailing(-5, 1.5), "98 98 96 97", 96.5),
    "trailing sell that is not lowered": (trailing(-5, 1.5, keep=True), "98 98 96 97", 98.0),
    "trailing buy": (trailing(5, 3), "98 103 98 101", 101.0),
}  # fmt: skip


@pytest.mark.parametrize("units", [10, -10])
@pytest.mark.parametrize("order", PAID)
def test_a_dividend_lowers_what_it_should(order: str, units: int) -> None:
    """Clause 0, with a position and with a short that owes it; the order was asked for before the ex-date."""
    request, bar, price = PAID[order]
    told_ = [BOUGHT, f"2-3 A {request.kind} filled"]
    woken = [(3, "triggered", "A", 2, 0.0, price, "")] if request.kind == "stop_limit" else []
    check(Case(order, f"100 | = | {bar}", {1: [market(units)], 2: [request]},
               [(2, 1, units, 100), (3, 2, request.numbers[0], price)], told_, actions={"dividends": {3: 2.0}},
               events=[(3, "dividend", "A", 0, float(units), 2.0, ""), *woken]))  # fmt: skip


EX, NEWER = {"dividends": {3: 2.0}}, "replaced by a newer order"
LOWERED = [
    Case("0 dividend: the stop of a long position, until its strategy says it again",
         "100 | = | 98 98 97 98 | 98 98 97 98", {1: bg.Protected(0.5, 97.5, NONE, NONE)},
         [(2, 1, 50, 100), (4, 3, -50, 97.5)],
         [BOUGHT, f"2-3 A stop (stop_loss) cancelled: {NEWER}", "3-4 A stop (stop_loss) filled"], actions=EX,
         events=[(3, "dividend", "A", 0, 50.0, 2.0, "")]),
    Case("0 dividend: the take-profit of a short", "100 | = | 98 98 89 95 | 95 95 89 92",
         {1: bg.Protected(-0.5, NONE, 90.0, NONE)}, [(2, 1, -50, 100), (4, 3, 50, 90)],
         [BOUGHT, f"2-3 A limit (take_profit) cancelled: {NEWER}", "3-4 A limit (take_profit) filled"], actions=EX,
         events=[(3, "dividend", "A", 0, -50.0, 2.0, "")]),
    Case("0 dividend: the stop of a position to come", "100 | - | 98 98 97 98",
         {1: bg.Protected(0.5, 97.5, NONE, NONE)},
         [(3, 1, 5_000 / 98, 98)],
         ["1-3 A market filled", f"3-3 A stop (stop_loss) cancelled: {NEWER}", "3- A stop (stop_loss) open"],
         actions=EX),
    Case("0 dividend: the legs of an entry that says so stay", "100 | = | 98 98 97 98",
         {1: [market(10, bracket=(97.5, NONE), keep=True)]}, [(2, 1, 10, 100), (3, 2, -10, 97.5)],
         [BOUGHT, "2-3 A stop (stop_loss of 1) filled"], actions=EX, events=[(3, "dividend", "A", 0, 10.0, 2.0, "")]),
    Case("0 dividend: the legs that an entry will have", "100 | = | 98 98 92 94 | 94 94 89 92 | 92 92 87 90",
         {1: [limit(10, 95, bracket=(90, NONE))]}, [(3, 1, 10, 93), (5, 2, -10, 88)],
         ["1-3 A limit filled", "3-5 A stop (stop_loss of 1) filled"], actions=EX),
    Case("0 dividend: the take-profit that a short's entry will have", "100 | = | 98 103 98 101 | 101 101 87 90 | 86",
         {1: [limit(-10, 103, bracket=(NONE, 88))]}, [(3, 1, -10, 103), (5, 2, 10, 86)],
         ["1-3 A limit filled", "3-5 A limit (take_profit of 1) filled"], actions=EX),
]  # fmt: skip


@named(LOWERED)
def test_what_a_dividend_lowers(case: Case) -> None:
    check(case)


SPLIT = (3, "split", "A", 0, 0.0, 2.0, "")
CALLED = [(2, "margin_warning", "", 0, 4.0, 10_000.0, "margin call"),
          (3, "margin_call", "", 0, 8.5, 4_000.0, "margin call")]  # fmt: skip
CLOSED = (4, 2, -4_500 / 21.25, 85, "margin call")
MEETINGS = [
    Case("0 split: a DAY order of the bar that the split precedes", f"{H} | - | 49 50 47 48",
         {1: [limit(10, 95, day=True)]}, [(3, 1, 20, 47.5)], ["1-3 A limit filled"],
         actions={"splits": {3: 2.0}}, events=[SPLIT]),
    Case("0 split: a GTD order whose date is the day of the split", f"{H} | = | 49 50 47 48",
         {1: [limit(10, 95, until=moment(3))]}, [(3, 1, 20, 47.5)], ["1-3 A limit filled"],
         actions={"splits": {3: 2.0}}, events=[SPLIT]),
    Case("0 split: both orders of a pair", f"{H} | = | 50 53 49 52", {1: [stop(-10, 95), stop(10, 105, pair=True)]},
         [(3, 2, 20, 52.5)], [f"1-3 A stop cancelled: {PAIR}", "1-3 A stop filled"], actions={"splits": {3: 2.0}},
         events=[SPLIT]),
    Case("0 split: on the day of the fill, with the bracket of the entry", f"{H} | 50 51 44 46",
         {1: [market(10, bracket=(90, 110))]}, [(2, 1, 20, 50), (2, 2, -20, 45)],
         [BOUGHT, f"2-2 A {LOSS} filled", f"2-2 A {PROFIT} cancelled: {PAIR}"], actions={"splits": {2: 2.0}},
         events=[(2, "split", "A", 0, 0.0, 2.0, "")]),
    Case("0 dividend: the legs of a short: the buy limit is lowered, and the short owes", "100 | = | 98 98 88 90",
         {1: [market(-10, bracket=(110, 90))]}, [(2, 1, -10, 100), (3, 3, 10, 88)],
         [BOUGHT, f"2-3 A {LOSS} cancelled: {PAIR}", f"2-3 A {PROFIT} filled"], actions={"dividends": {3: 2.0}},
         events=[(3, "dividend", "A", 0, -10.0, 2.0, "")], end=10_100),
    Case("0 delisting: an entry in part, and its legs", "98 | 98 99 94 97 v8 | - | -",
         {1: [limit(10, 95, bracket=(90, 110))]}, [(2, 1, 4, 95, "participation: the rest waits for more volume")],
         ["1-3 A limit cancelled: the asset is delisted", f"2-3 A {LOSS} cancelled: the asset is delisted",
          f"2-3 A {PROFIT} cancelled: the asset is delisted"], {"participation": 0.5}, actions={"final": {3: 50.0}},
         events=[(3, "delisted", "A", 0, 4.0, 50.0, "the asset is delisted")], end=9_820),
    Case("5 after a call entries find no room, at the open and inside", "100 | = | 85 | 85 86 80 84",
         {1: [market(400)], 3: [limit(50, 82)]}, [(2, 1, 400, 100), (4, 3, *CLOSED[2:])],
         [BOUGHT, f"3-4 A limit rejected: {NO_HEADROOM}", "4-4 A market (liquidation) filled: margin call"],
         {"leverage": 4.0}, events=CALLED),
    Case("5 the legs of a bracket close what the liquidation left", "100 | = | 85 | 85 86 79 80",
         {1: [market(400, bracket=(80, NONE))]},
         [(2, 1, 400, 100), (4, 3, *CLOSED[2:]), (4, 2, CLOSED[2] * -1 - 400, 80, ALL)],
         [BOUGHT, f"2-4 A {LOSS} filled: {ALL}",
          "4-4 A market (liquidation) filled: margin call"], {"leverage": 4.0}, events=CALLED),
    Case("5 a split on the day of the liquidation changes nothing but quantities", "100 | = | 85 | 42.5",
         {1: [market(400)]}, [(2, 1, 400, 100), (4, 2, -2 * 4_500 / 21.25, 42.5, "margin call")],
         [BOUGHT, "4-4 A market (liquidation) filled: margin call"], {"leverage": 4.0}, actions={"splits": {4: 2.0}},
         events=[*CALLED, (4, "split", "A", 0, 800.0, 2.0, "")]),
    Case("5 a dividend before the open may cure a call", "100 | = | 85 | 85", {1: [market(400)]}, [(2, 1, 400, 100)],
         [BOUGHT], {"leverage": 4.0}, actions={"dividends": {4: 12.0}},
         events=[*CALLED, (4, "dividend", "A", 0, 400.0, 12.0, "")]),
    Case("0 what a split leaves of an order that ends a position is odd, whatever a call closes after it",
         "100 | = | 90 | 180 180 158 165", {1: [market(199)], 2: [stop(-199, 80)]},
         [(2, 1, 199, 100), (4, 3, -1, 180, "margin call"), (4, 2, -99.5, 160)],
         [BOUGHT, "2-4 A stop filled", "4-4 A market (liquidation) filled: margin call"],
         {"leverage": 2.0, "maintenance": 0.45, "warning": 0.45, "lot": 1.0}, actions={"splits": {4: 0.5}},
         events=[(3, "margin_call", "", 0, 17_910 / 8_010, 8_010.0, "margin call"),
                 (4, "split", "A", 0, 99.5, 0.5, "")]),
    Case("5 where nothing is closed no leg is born", "100 | = | 85 | 51 51 -1 50",
         {1: bg.Protected(4.0, 1.0, NONE, NONE)}, [(2, 1, 400, 100)],
         [BOUGHT, "2-4 A stop (stop_loss) cancelled: less than one tick", "4- A stop (stop_loss) open"],
         {"leverage": 4.0, "tick": 1.0}, actions={"splits": {4: 2.0}},
         events=[*CALLED, (4, "split", "A", 0, 800.0, 2.0, "")]),
    Case("5 several assets, the volume of the first is not enough",
         ("100 v400 | = | 85 v400 | 85 v100", "100 v400 | = | 85 v400 | ="), {1: (2.0, 2.0)},
         [(2, 1, 200, 100), (2, 2, 200, 100), (4, 3, -50, 85, "margin call"),
          (4, 4, -(4_500 - 50 * 21.25) / 21.25, 85, "margin call")],
         [BOUGHT, "1-2 B market filled", "4-4 A market (liquidation) filled: margin call",
          "4-4 B market (liquidation) filled: margin call"], {"leverage": 4.0, "participation": 0.5}, events=CALLED),
]  # fmt: skip


@named(MEETINGS)
def test_actions_and_calls_under_resting_orders(case: Case) -> None:
    check(case)
