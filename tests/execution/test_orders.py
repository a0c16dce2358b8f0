"""Every kind of order, with a gap and without, on every path and for every life (clauses 2, 3, 6 and 7)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.kit.tables import (
    ALL_REDUCED,
    FIRST,
    HOUR,
    NO_REDUCTION,
    PAIR,
    SHRUNK,
    UNPROTECTED,
    Ask,
    Case,
    cancel,
    cancel_all,
    check,
    limit,
    market,
    named,
    on_close,
    percent,
    play,
    stop,
    stop_limit,
    trailing,
)

NONE = math.nan
H = "100 101 99 100"
LIMIT_BUY, LIMIT_SELL, STOP_BUY, STOP_SELL = limit(10, 95), limit(-10, 105), stop(10, 105), stop(-10, 95)
TRIGGER_BUY, TRIGGER_SELL = stop_limit(10, 105, 106), stop_limit(-10, 95, 94)


def one(name: str, request: Ask, bars: str, fill: tuple[int, float] | None, at: tuple[int, float] | None = None, /,
        **terms: Any) -> Case:  # fmt: skip
    """One order, asked for at the close of a quiet first bar: where it fills, and where a stop-limit is triggered."""
    kind = {"trailing_percent": "trailing_stop"}.get(request.kind, request.kind)
    quantity = request.numbers[0]
    fills = [(fill[0], 1, quantity, fill[1])] if fill else []
    orders = [f"1-{fill[0]} A {kind} filled" if fill else f"1- A {kind} open"]
    events = [(at[0], "triggered", "A", 1, 0.0, at[1], "")] if at else []
    return Case(name, f"{H} | {bars}", {1: [request]}, fills, orders, terms, events=events)


KINDS = [
    one("2 market: buys at the open", market(10), "104 106 103 105", (2, 104)),
    one("2 market: sells at the open", market(-10), "104 106 103 105", (2, 104)),
    one("2 market: under next_close at the next close", market(10), "104 106 103 105", (2, 105), fill="next_close"),
    one("2 market: under same_close at the close of the decision", market(10), "104", (1, 100), fill="same_close"),
    one("2 limit: buy passed by the gap fills at the open", LIMIT_BUY, "93 96 92 94", (2, 93)),
    one("2 limit: sell passed by the gap fills at the open", LIMIT_SELL, "107 108 106 107", (2, 107)),
    one("2 limit: buy with the open at the limit", LIMIT_BUY, "95 96 94 95.5", (2, 95)),
    one("3 limit: buy touched inside fills at the limit", LIMIT_BUY, "98 99 94 97", (2, 95)),
    one("3 limit: sell touched inside fills at the limit", LIMIT_SELL, "103 106 102 104", (2, 105)),
    one("3 limit: buy touched by the low itself", LIMIT_BUY, "98 99 95 97", (2, 95)),
    one("3 limit: sell touched by the high itself", LIMIT_SELL, "103 105 102 104", (2, 105)),
    one("7 limit: buy that is not touched stays open", LIMIT_BUY, "98 99 95.5 97 | =", None),
    one("7 limit: sell that is not touched stays open", LIMIT_SELL, "103 104.5 102 104 | =", None),
    one("3 limit: fills inside the bar also under next_close", LIMIT_BUY, "98 99 94 97", (2, 95), fill="next_close"),
    one("3 limit: does not act in the bar of its decision", LIMIT_BUY, "98 99 94 97", (2, 95), fill="same_close"),
    one("2 stop: buy passed by the gap fills at the open", STOP_BUY, "107 108 106 107", (2, 107)),
    one("2 stop: sell passed by the gap fills at the open", STOP_SELL, "93 96 92 94", (2, 93)),
    one("3 stop: buy touched inside fills at the stop", STOP_BUY, "103 106 102 104", (2, 105)),
    one("3 stop: sell touched inside fills at the stop", STOP_SELL, "98 99 94 97", (2, 95)),
    one("3 stop: buy touched by the high itself", STOP_BUY, "103 105 102 104", (2, 105)),
    one("3 stop: sell touched by the low itself", STOP_SELL, "98 99 95 97", (2, 95)),
    one("7 stop: buy that is not touched stays open", STOP_BUY, "103 104.5 102 104 | =", None),
    one("7 stop: sell that is not touched stays open", STOP_SELL, "98 99 95.5 97 | =", None),
    one("3 stop-limit: buy triggered inside fills there", TRIGGER_BUY, "103 107 102 104", (2, 105), (2, 105)),
    one("3 stop-limit: sell triggered inside fills there", TRIGGER_SELL, "97 98 93 96", (2, 95), (2, 95)),
    one("2 stop-limit: buy gap between stop and limit fills at the open", TRIGGER_BUY, "105.5 107 105 106",
        (2, 105.5), (2, 105.5)),
    one("2 stop-limit: sell gap between stop and limit fills at the open", TRIGGER_SELL, "94.5 95 93 94",
        (2, 94.5), (2, 94.5)),
    one("2 stop-limit: buy gap beyond the limit rests as a limit", TRIGGER_BUY, "108 109 107 108 | 107 108 105 106",
        (3, 106), (2, 108)),
    one("2 stop-limit: sell gap beyond the limit rests as a limit", TRIGGER_SELL, "92 93 91 92 | 93 95 92 94",
        (3, 94), (2, 92)),
    one("3 stop-limit: buy gap beyond the limit that comes back", TRIGGER_BUY, "108 109 105 106", (2, 106), (2, 108)),
    one("3 stop-limit: sell gap beyond the limit that comes back", TRIGGER_SELL, "92 95 91 94", (2, 94), (2, 92)),
    one("3 stop-limit: not touched, not triggered", TRIGGER_BUY, "103 104.5 102 104 | =", None),
    one("3 stop-limit: a limit under the stop waits for the way back", stop_limit(10, 105, 104), "103 107 102 104.5",
        (2, 104), (2, 105)),
    one("3 stop-limit: on the optimistic path there is no way back", stop_limit(10, 105, 104), "103 107 102 104.5",
        None, (2, 105), path="optimistic"),
    one("3 trailing: sell follows the high by an amount", trailing(-10, 5), "102 108 101 106 | 105 106 102 104",
        (3, 103)),
    one("3 trailing: buy follows the low by an amount", trailing(10, 5), "98 99 92 94 | 95 98 94 96", (3, 97)),
    one("3 trailing: sell follows the high by a fraction", percent(-10, 0.05), "102 108 101 106 | 105 106 102 104",
        (3, 102.6)),
    one("3 trailing: buy follows the low by a fraction", percent(10, 0.05), "98 99 92 94 | 95 98 94 96", (3, 96.6)),
    one("2 trailing: sell passed by the gap fills at the open", trailing(-10, 5), "102 108 101 106 | 101 102 100 101",
        (3, 101)),
    one("2 trailing: buy passed by the gap fills at the open", trailing(10, 5), "98 99 92 94 | 99 100 98 99", (3, 99)),
    one("3 trailing: begins at the close of the decision", trailing(-10, 5), "96 97 94 95", (2, 95)),
    one("3 trailing: buy begins at the close of the decision", percent(10, 0.05), "104 106 103 105", (2, 105)),
    one("3 trailing: is moved by the open alone", trailing(-10, 5), "103 104 97.5 102", (2, 98)),
    one("3 trailing: never steps back", trailing(-10, 5), "104 104 100 101 | 100 101 98.5 99", (3, 99)),
    one("3 trailing: may fill on the way to the close", trailing(-10, 5), "102 108 101 102.5", (2, 103)),
    one("3 trailing: untouched stays open", percent(-10, 0.5), "102 108 101 102.5 | =", None),
    one("5 on close: buys at the close", on_close(10), "104 106 103 105", (2, 105)),
    one("5 on close: sells at the close", on_close(-10), "104 106 103 105", (2, 105)),
    one("5 on close: the close is never that of the decision", on_close(10), "104 106 103 105", (2, 105),
        fill="same_close"),
    one("4 market: waits for a bar", market(10), "- | 104 106 103 105", (3, 104)),
    one("4 limit: waits for a bar", LIMIT_BUY, "- | 93 96 92 94", (3, 93)),
    one("4 on close: waits for a bar", on_close(-10), "- | 104 106 103 105", (3, 105)),
    one("4 limit: zero volume fills nothing", LIMIT_BUY, "93 96 92 94 v0 | 98 99 94 97", (3, 95)),
    one("4 stop: zero volume fills nothing inside the bar", STOP_SELL, "98 99 94 97 v0 | 98 99 94 97", (3, 95)),
    one("4 stop-limit: zero volume triggers nothing", TRIGGER_BUY, "103 107 102 104 v0 | 105 | =", (3, 105), (3, 105)),
    one("4 on close: zero volume fills nothing", on_close(10), "104 106 103 105 v0 | 107", (3, 107)),
    one("6 one unit is an order like any other", limit(1, 95), "98 99 94 97", (2, 95)),
]  # fmt: skip


@named(KINDS)
def test_each_kind(case: Case) -> None:
    check(case)


# A quiet bar, and one whose range touches every order below: (order, where it fills, the event of a stop-limit).
ACTIVE = "100 106 94 100"
RESTING = {
    "buy limit": (LIMIT_BUY, 95),
    "sell limit": (LIMIT_SELL, 105),
    "buy stop": (STOP_BUY, 105),
    "sell stop": (STOP_SELL, 95),
    "buy stop-limit": (TRIGGER_BUY, 105),
    "sell stop-limit": (TRIGGER_SELL, 95),
    "trailing sell": (trailing(-10, 5), 96),
    "trailing buy": (trailing(10, 5), 104),
    "trailing percent": (percent(-10, 0.05), 95.95),
}
# Bar 2 closes at 15:00 on the day after the decision, bar 3 as said, bar 4 at 15:00 a day later.
HOURS, MIDNIGHT = (0, 19, 20, 43), (0, 19, 28, 43)
DAY_OVER, DATE_PASSED = "its day is over", "its date has passed"
LIVES: dict[str, tuple[dict[str, Any], int, tuple[float, ...], int, str]] = {
    "good till cancelled fills days later": ({}, 4, HOURS, 4, ""),
    "DAY fills in a later bar of its day": ({"day": True}, 3, HOURS, 3, ""),
    "DAY fills in the bar that ends its day at midnight": ({"day": True}, 3, MIDNIGHT, 3, ""),
    "DAY is over on the next day": ({"day": True}, 4, HOURS, 3, DAY_OVER),
    "GTD fills in the bar that closes at its moment": ({"until": FIRST + 43 * HOUR}, 4, HOURS, 4, ""),
    "GTD is over a nanosecond before the close": ({"until": FIRST + 43 * HOUR - 256}, 4, HOURS, 3, DATE_PASSED),
}


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("order", RESTING)
def test_each_life(order: str, life: str) -> None:
    request, price = RESTING[order]
    more, active, hours, end, over = LIVES[life]
    bars = " | ".join(ACTIVE if bar == active else H for bar in (1, 2, 3, 4))
    kind = request.kind.replace("trailing_percent", "trailing_stop")
    fills = [] if over else [(end, 1, request.numbers[0], price)]
    told = f"1-{end} A {kind} " + (f"expired: {over}" if over else "filled")
    events = [] if over or kind != "stop_limit" else [(end, "triggered", "A", 1, 0.0, price, "")]
    check(Case(life, bars, {1: [request._replace(more=more)]}, fills, [told], events=events, hours=hours))


def test_a_day_order_lives_through_the_first_day_on_which_its_asset_trades() -> None:
    """Clause 6: the day of the first bar it could trade in; another asset's bar is no such bar."""
    bars = (f"{H} | - | {H} | {ACTIVE}", "100 | 100 | 100 | 100")
    script = {1: [limit(10, 95, day=True)]}
    check(Case("day", bars, script, [(4, 1, 10, 95)], ["1-4 A limit filled"], hours=(0, 19, 43, 44)))


LEGS = ("stop (stop_loss of 1)", "limit (take_profit of 1)")


def entry(
    name: str, request: Ask, bar: str, price: float, leg: int, exit: float = NONE, path: str = "pessimistic"
) -> Case:
    """An entry with a bracket that is born inside bar 2: which leg (2, 3; 0 = none) the rest of the path fills."""
    q = request.numbers[0]
    ends = [[" open", " open"], [" filled", f" cancelled: {PAIR}"], [f" cancelled: {PAIR}", " filled"]][max(0, leg - 1)]
    told = [f"1-2 A {request.kind} filled"]
    told += [f"2-{'2' if leg else ''} A {kind}{how}" for kind, how in zip(LEGS, ends, strict=True)]
    fills = [(2, 1, q, price), *([(2, leg, -q, exit)] if leg else [])]
    return Case(name, f"{H} | {bar}", {1: [request]}, fills, told, {"path": path})


BUY_LIMIT, BUY_STOP = limit(10, 95, bracket=(90, 100)), stop(10, 102, bracket=(98, 106))
SELL_STOP, SELL_LIMIT = stop(-10, 98, bracket=(102, 94)), limit(-10, 105, bracket=(110, 100))
LONG, SHORT = market(10, bracket=(90, 110)), market(-10, bracket=(110, 90))
PATHS = [
    entry("3 path: a buy limit meets the high before it is in", BUY_LIMIT, "98 101 94 97", 95, 0),
    entry(
        "3 path: optimistic, a buy limit meets the high once it is in",
        BUY_LIMIT,
        "98 101 94 97",
        95,
        3,
        100,
        "optimistic",
    ),
    entry("3 path: nearest, the high is nearer", BUY_LIMIT, "98 101 94 97", 95, 0, path="nearest"),
    entry("3 path: nearest, a tie goes to the low", BUY_LIMIT, "98 102 94 97", 95, 3, 100, "nearest"),
    entry("3 path: a buy limit and its stop on one way down", BUY_LIMIT, "98 101 89 97", 95, 2, 90),
    entry("3 path: a buy stop meets the low once it is in", BUY_STOP, "100 105 97 103", 102, 2, 98),
    entry(
        "3 path: optimistic, a buy stop has met the low before", BUY_STOP, "100 105 97 103", 102, 0, path="optimistic"
    ),
    entry("3 path: nearest, the low is nearer", BUY_STOP, "100 105 97 103", 102, 0, path="nearest"),
    entry("3 path: a sell stop meets the high once it is in", SELL_STOP, "100 103 95 97", 98, 2, 102),
    entry(
        "3 path: optimistic, a sell stop has met the high before", SELL_STOP, "100 103 95 97", 98, 0, path="optimistic"
    ),
    entry("3 path: a sell limit meets the low before it is in", SELL_LIMIT, "102 106 99 103", 105, 0),
    entry(
        "3 path: optimistic, a sell limit meets the low once it is in",
        SELL_LIMIT,
        "102 106 99 103",
        105,
        3,
        100,
        "optimistic",
    ),
    entry("3 path: a long filled at the open sees the low first", LONG, "100 112 88 105", 100, 2, 90),
    entry("3 path: optimistic, a long sees the high first", LONG, "100 112 88 105", 100, 3, 110, "optimistic"),
    entry("3 path: nearest, a long sees the nearer high first", LONG, "100 111 88 105", 100, 3, 110, "nearest"),
    entry("3 path: a short filled at the open sees the high first", SHORT, "100 112 88 105", 100, 2, 110),
    entry("3 path: optimistic, a short sees the low first", SHORT, "100 112 88 105", 100, 3, 90, "optimistic"),
    entry("3 path: nearest, a short sees the nearer high first", SHORT, "100 111 88 105", 100, 2, 110, "nearest"),
    entry("3 path: legs that nothing touches stay open", SHORT, "100 109 91 105", 100, 0),
]


@named(PATHS)
def test_each_path(case: Case) -> None:
    check(case)


BREAKOUT = [stop(10, 105), stop(-10, 95, pair=True)]
HELD = {1: [market(10)]}
CASES = [
    Case("3 path: flat, the oldest order says which extreme is bad: a buy", f"{H} | 100 106 94 100", {1: BREAKOUT},
         [(2, 1, 10, 105)], ["1-2 A stop filled", f"1-2 A stop cancelled: {PAIR}"]),
    Case("3 path: flat, the oldest order says which extreme is bad: a sell", f"{H} | 100 106 94 100",
         {1: [stop(-10, 95), stop(10, 105, pair=True)]},
         [(2, 1, -10, 95)], ["1-2 A stop filled", f"1-2 A stop cancelled: {PAIR}"]),
    Case("3 the nearest touch comes first, whatever the ids", f"{H} | 98 99 93 97", {1: [limit(10, 94), limit(5, 96)]},
         [(2, 2, 5, 96), (2, 1, 10, 94)], ["1-2 A limit filled", "1-2 A limit filled"]),
    Case("3 of two touches at one price the older comes first", f"{H} | 98 99 93 97",
         {1: [limit(10, 94), stop(-7, 94)]},
         [(2, 1, 10, 94), (2, 2, -7, 94)], ["1-2 A limit filled", "1-2 A stop filled"]),
    Case("2 of two at one open the older comes first", f"{H} | 93 94 92 93", {1: [limit(10, 94), limit(20, 95)]},
         [(2, 1, 10, 93), (2, 2, 20, 93)], ["1-2 A limit filled", "1-2 A limit filled"]),
    Case("3 a pair in which neither is touched rests", f"{H} | {H}", {1: BREAKOUT}, [], ["1- A stop open"] * 2),
    Case("3 pairs of two slips are two pairs", f"{H} | {H} | 100 106 99 104",
         {1: BREAKOUT, 2: [stop(10, 103), stop(-10, 93, pair=True)]}, [(3, 3, 10, 103), (3, 1, 10, 105)],
         ["1-3 A stop filled", f"1-3 A stop cancelled: {PAIR}", "2-3 A stop filled", f"2-3 A stop cancelled: {PAIR}"]),
    Case("6 legs vanish when a market order closes the position", f"{H} | = | = | =", {1: [LONG], 3: [market(-10)]},
         [(2, 1, 10, 100), (4, 4, -10, 100)],
         ["1-2 A market filled", f"2-4 A {LEGS[0]} cancelled: {UNPROTECTED}",
         f"2-4 A {LEGS[1]} cancelled: {UNPROTECTED}",
          "3-4 A market filled"]),
    Case("6 a leg without a take-profit", f"{H} | 100 112 99 105 | 100 101 89 95",
         {1: [market(10, bracket=(90, NONE))]},
         [(2, 1, 10, 100), (3, 2, -10, 90)], ["1-2 A market filled", f"2-3 A {LEGS[0]} filled"]),
    Case("6 a leg without a stop-loss", f"{H} | 100 109 80 105 | 111", {1: [market(10, bracket=(NONE, 110))]},
         [(2, 1, 10, 100), (3, 2, -10, 111)], ["1-2 A market filled", f"2-3 A {LEGS[1]} filled"]),
    Case("3 a trailing leg starts at the entry's price", f"{H} | 104 105 99 100", {1: [market(10, trail=0.04)]},
         [(2, 1, 10, 104), (2, 2, -10, 99.84)],
         ["1-2 A market filled", "2-2 A trailing_stop (trailing_stop of 1) filled"]),
    Case("3 a short's trailing leg follows the low", f"{H} | 100 101 80 82 | 83 90 82 85",
         {1: [market(-10, trail=0.1)]},
         [(2, 1, -10, 100), (3, 2, 10, 88)],
         ["1-2 A market filled", "2-3 A trailing_stop (trailing_stop of 1) filled"]),
    Case("6 reduce-only sells what is held and no more", f"{H} | = | =", {**HELD, 2: [market(-15, reduce=True)]},
         [(2, 1, 10, 100), (3, 2, -10, 100, ALL_REDUCED)],
         ["1-2 A market filled", f"2-3 A market filled: {ALL_REDUCED}"]),
    Case("6 reduce-only buys back what is short and no more", f"{H} | = | 98 99 94 97",
         {1: [market(-10)], 2: [limit(15, 95, reduce=True)]}, [(2, 1, -10, 100), (3, 2, 10, 95, ALL_REDUCED)],
         ["1-2 A market filled", f"2-3 A limit filled: {ALL_REDUCED}"]),
    Case("6 reduce-only of a part", f"{H} | = | =", {**HELD, 2: [market(-4, reduce=True)]},
         [(2, 1, 10, 100), (3, 2, -4, 100)], ["1-2 A market filled", "2-3 A market filled"]),
    Case("6 reduce-only with nothing held ends where it is touched", f"{H} | = | 104 106 103 105",
         {1: [limit(-10, 105, reduce=True)]}, [], [f"1-3 A limit cancelled: {NO_REDUCTION}"]),
    Case("6 reduce-only never adds", f"{H} | = | =", {**HELD, 2: [market(5, reduce=True)]},
         [(2, 1, 10, 100)], ["1-2 A market filled", f"2-3 A market cancelled: {NO_REDUCTION}"]),
    Case("2 reduce-only may reduce what the same open brought", f"{H} | =", {1: [market(10), market(-10, reduce=True)]},
         [(2, 1, 10, 100), (2, 2, -10, 100)], ["1-2 A market filled"] * 2),
    Case("2 an order that flips the position fills as one", f"{H} | = | =", {**HELD, 2: [market(-25)]},
         [(2, 1, 10, 100), (3, 2, -25, 100)], ["1-2 A market filled", "2-3 A market filled"]),
    Case("6 cancel by tag leaves the others", f"{H} | = | 98 99 93 97",
         {1: [limit(10, 95, tag=1), limit(10, 94, tag=2), limit(5, 94)], 2: [cancel(1)]},
         [(3, 2, 10, 94), (3, 3, 5, 94)],
         ["1-2 A limit cancelled: cancelled by the strategy", "1-3 A limit filled", "1-3 A limit filled"]),
    Case("6 cancel all takes the legs too, of one asset", (f"{H} | = | 98 99 80 97",) * 2,
         {1: [LONG, limit(5, 95, asset=1)], 2: [cancel_all()]}, [(2, 1, 10, 100), (3, 2, 5, 95)],
         ["1-2 A market filled", "1-3 B limit filled",
         "2-2 A stop (stop_loss of 1) cancelled: cancelled by the strategy",
          "2-2 A limit (take_profit of 1) cancelled: cancelled by the strategy"]),
    Case("2 increases of two assets share what room there is", ("100 | 100", "50 | 50"),
         {1: [market(100), market(200, asset=1)]}, [(2, 1, 50, 100, SHRUNK), (2, 2, 100, 50, SHRUNK)],
         [f"1-2 A market filled: {SHRUNK}", f"1-2 B market filled: {SHRUNK}"], end=10_000),
    Case("2 reductions come first, in the first column", ("100 | = | =", "50 | = | ="),
         {1: [market(100)], 2: [market(-100), market(-200, asset=1)]},
         [(2, 1, 100, 100), (3, 2, -100, 100), (3, 3, -200, 50)],
         ["1-2 A market filled", "2-3 A market filled", "2-3 B market filled"]),
    Case("2 reductions come first, in the last column", ("100 | = | =", "50 | = | ="),
         {1: [market(200, asset=1)], 2: [market(100), market(-200, asset=1)]},
         [(2, 1, 200, 50), (3, 3, -200, 50), (3, 2, 100, 100)],
         ["1-2 B market filled", "2-3 A market filled", "2-3 B market filled"]),
    Case("3 increases inside the bar share the room that the open left", ("98 | 98 99 94 97", "49 | 49 50 47 48"),
         {1: [limit(100, 95), limit(200, 47.5, asset=1)]},
         [(2, 1, 1000 / 19, 95, SHRUNK), (2, 2, 2000 / 19, 47.5, SHRUNK)],
         [f"1-2 A limit filled: {SHRUNK}", f"1-2 B limit filled: {SHRUNK}"]),
    Case("3 what the bar cannot touch asks for no room", ("98 | 98 99 94 97", "49 | 49 50 48 48"),
         {1: [limit(100, 95), limit(200, 47.5, asset=1)]}, [(2, 1, 100, 95)],
         ["1-2 A limit filled", "1- B limit open"]),
    Case("3 of a pair only one asks for room", f"{H} | 100 106 94 100", {1: [limit(90, 95), stop(90, 105, pair=True)]},
         [(2, 2, 90, 105)], [f"1-2 A limit cancelled: {PAIR}", "1-2 A stop filled"]),
]  # fmt: skip


@named(CASES)
def test_orders_among_themselves(case: Case) -> None:
    check(case)


def test_a_pair_never_takes_more_room_than_there_is() -> None:
    """Clause 3: the dearer of the two is what may come."""
    script = {1: [limit(100, 95), stop(100, 105, pair=True)]}
    run = play(Case("pair", f"{H} | 100 106 94 100", script, [], []))
    assert run.tables["fills"].quantity.tolist() == pytest.approx([10_000 / 105])
    assert run.tables["fills"].reason.tolist() == [SHRUNK]
