"""Splits, dividends, delistings, financing, average cost (clauses 0 and 1); margin is in test_margin."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

import barograph as bg
from barograph.execution.book import BASIS, QUANTITY
from tests.kit.tables import (
    ALL_SOLD,
    NO_SHORTS,
    PAIR,
    SHRUNK,
    WAITS,
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
    trailing,
)

NONE = math.nan
H = "100 101 99 100"
TWO = {"splits": {3: 2.0}}
DELISTED = "the asset is delisted"


def split(name: str, request: Ask, later: str, fill: tuple[float, ...], at: float = NONE, units: float = 0.0) -> Case:
    """An order asked for at the close of bar 1 that fills in bar 3 or 4; shares are split in two before bar 3."""
    kind = request.kind.replace("trailing_percent", "trailing_stop")
    triggered = [] if at != at else [(3, "triggered", "A", 1, 0.0, at, "")]
    told = [f"1-{fill[0]} A {kind} filled"]
    events = [(3, "split", "A", 0, units, 2.0, ""), *triggered]
    second = "-" if kind in ("market", "market_on_close") else H
    return Case(
        name, f"{H} | {second} | {later}", {1: [request]}, [(fill[0], 1, *fill[1:])], told, actions=TWO, events=events
    )


SPLITS = [
    split("0 split: a buy limit", limit(10, 95), "50 50.5 47 48", (3, 20, 47.5)),
    split("0 split: a sell limit", limit(-10, 105), "50 53 49.5 50", (3, -20, 52.5)),
    split("0 split: a sell limit that the halved open has passed", limit(-10, 104), "53", (3, -20, 53)),
    split("0 split: a buy stop", stop(10, 105), "50 53 49.5 50", (3, 20, 52.5)),
    split("0 split: a sell stop is not set off by the split", stop(-10, 95), "50 50.5 47 48", (3, -20, 47.5)),
    split("0 split: both prices of a stop-limit", stop_limit(10, 105, 106), "54 55 52.8 54", (3, 20, 53), 54),
    split("0 split: the stop of a stop-limit", stop_limit(-10, 95, 90), "50 50.5 47 48", (3, -20, 47.5), 47.5),
    split("0 split: a trailing amount", trailing(-10, 5), "50 52 49 51 | 51 51 49 50", (4, -20, 49.5)),
    split("0 split: a buyer's trailing amount", trailing(10, 5), "50 51 48 49 | 49 52 49 50", (4, 20, 50.5)),
    split("0 split: a trailing stop's level", trailing(-10, 5), "48.5 49 47.5 48.5", (3, -20, 48)),
    split("0 split: a trailing fraction", percent(-10, 0.05), "50 52 49 51 | 51 51 49 50", (4, -20, 49.4)),
    split("0 split: a market order that waits", market(10), "50", (3, 20, 50)),
    split("0 split: an order for the close that waits", on_close(-10), "50 51 49 50.5", (3, -20, 50.5)),
    Case("0 split: the position doubles, its worth does not", "100 | = | 50 | =", {1: [market(10)], 3: [market(-20)]},
         [(2, 1, 10, 100), (4, 2, -20, 50)], ["1-2 A market filled", "3-4 A market filled"], actions=TWO, end=10_000,
         events=[(3, "split", "A", 0, 20.0, 2.0, "")]),
    Case("0 split: so does a short", "100 | = | 50", {1: -0.5}, [(2, 1, -50, 100)], ["1-2 A market filled"],
         actions=TWO, end=10_000, events=[(3, "split", "A", 0, -100.0, 2.0, "")]),
    Case("0 split: ten old shares make one new one", "100 | = | 1000 | =", {1: [market(10)], 3: [market(-1)]},
         [(2, 1, 10, 100), (4, 2, -1, 1000)], ["1-2 A market filled", "3-4 A market filled"], end=10_000,
         actions={"splits": {3: 0.1}}, events=[(3, "split", "A", 0, 1.0, 0.1, "")]),
    Case("0 split: only the asset that is split", ("100 | = | 50", "100 | = | ="), {1: (0.5, 0.5)},
         [(2, 1, 50, 100), (2, 2, 50, 100)], ["1-2 A market filled", "1-2 B market filled"], end=10_000,
         actions={"splits": {3: (2.0, 1.0)}}, events=[(3, "split", "A", 0, 100.0, 2.0, "")]),
    Case("0 split: a bracket that waits with its entry", f"{H} | = | 49 49.5 47 48 | 48 50.5 47.9 49",
         {1: [limit(10, 95, bracket=(90, 100))]}, [(3, 1, 20, 47.5), (4, 3, -20, 50)],
         ["1-3 A limit filled", f"3-4 A stop (stop_loss of 1) cancelled: {PAIR}",
         "3-4 A limit (take_profit of 1) filled"],
         actions=TWO, events=[(3, "split", "A", 0, 0.0, 2.0, "")]),
    Case("0 split: a bracket's stop that waits with its entry", f"{H} | = | 49 49.5 47 48 | 48 48 44 46",
         {1: [limit(10, 95, bracket=(90, 100))]}, [(3, 1, 20, 47.5), (4, 2, -20, 45)],
         ["1-3 A limit filled", "3-4 A stop (stop_loss of 1) filled",
         f"3-4 A limit (take_profit of 1) cancelled: {PAIR}"],
         actions=TWO, events=[(3, "split", "A", 0, 0.0, 2.0, "")]),
    Case("0 split: the legs of a position", f"{H} | = | 50 50.5 44 46", {1: [market(10, bracket=(90, 110))]},
         [(2, 1, 10, 100), (3, 2, -20, 45)],
         ["1-2 A market filled", "2-3 A stop (stop_loss of 1) filled",
         f"2-3 A limit (take_profit of 1) cancelled: {PAIR}"],
         actions=TWO, events=[(3, "split", "A", 0, 20.0, 2.0, "")]),
    Case("0 split: what is left of an order", "98 | 98 99 94 97 v4 | 49 50 47 48", {1: [limit(10, 95)]},
         [(2, 1, 4, 95, WAITS), (3, 1, 12, 47.5)], ["1-3 A limit filled"], {"participation": 1.0}, actions=TWO,
         events=[(3, "split", "A", 0, 8.0, 2.0, "")]),
    Case("0 split: the stop of a protected position", f"{H} | = | 50 51 44 46",
         {1: bg.Protected(0.1, 90.0, 110.0, NONE)},
         [(2, 1, 10, 100), (3, 2, -20, 45)],
         ["1-2 A market filled", "2-3 A stop (stop_loss) filled", f"2-3 A limit (take_profit) cancelled: {PAIR}"],
         actions=TWO, events=[(3, "split", "A", 0, 20.0, 2.0, "")]),
    Case("0 split: the levels of an entry that waits", f"{H} | - | 50 51 44 46",
         {1: bg.Protected(0.1, 90.0, 110.0, NONE)},
         [(3, 1, 20, 50), (3, 2, -20, 45)],
         ["1-3 A market filled", "3-3 A stop (stop_loss) filled", f"3-3 A limit (take_profit) cancelled: {PAIR}"],
         actions=TWO, events=[(3, "split", "A", 0, 0.0, 2.0, "")]),
    Case("0 split: the take-profit of an entry that waits", f"{H} | - | 50 55.5 46 54",
         {1: bg.Protected(0.1, 90.0, 110.0, NONE)},
         [(3, 1, 20, 50), (3, 3, -20, 55)],
         ["1-3 A market filled", f"3-3 A stop (stop_loss) cancelled: {PAIR}", "3-3 A limit (take_profit) filled"],
         actions=TWO, events=[(3, "split", "A", 0, 0.0, 2.0, "")]),
    Case("0 split: a waiting weight is a weight still", "100 | - | 50", {1: 0.5}, [(3, 1, 100, 50)],
         ["1-3 A market filled"],
         actions=TWO, events=[(3, "split", "A", 0, 0.0, 2.0, "")]),
]  # fmt: skip

DIVIDENDS = [
    Case("0 dividend: credited to who held at the last close", "100 | = | 98.5", {1: [market(10)]}, [(2, 1, 10, 100)],
         ["1-2 A market filled"], actions={"dividends": {3: 1.5}}, end=10_000,
         events=[(3, "dividend", "A", 0, 10.0, 1.5, "")]),
    Case("0 dividend: a short owes it", "100 | = | =", {1: -0.1}, [(2, 1, -10, 100)],
         ["1-2 A market filled"], actions={"dividends": {3: 1.5}}, end=9_985,
         events=[(3, "dividend", "A", 0, -10.0, 1.5, "")]),
    Case("0 dividend: of one unit of the second asset", ("100 | = | =", "50 | = | ="), {1: [market(1, asset=1)]},
         [(2, 1, 1, 50)], ["1-2 B market filled"], actions={"dividends": {3: (2.0, 1.5)}}, end=10_001.5,
         events=[(3, "dividend", "B", 0, 1.0, 1.5, "")]),
    Case("0 dividend: not for who buys at the open of the ex-date", "100 | = | =", {2: 0.1}, [(3, 1, 10, 100)],
         ["2-3 A market filled"], actions={"dividends": {3: 1.5}}, end=10_000),
    Case("0 dividend: for who sells at the open of the ex-date", "100 | = | =", {1: 0.1, 2: 0.0},
         [(2, 1, 10, 100), (3, 2, -10, 100)], ["1-2 A market filled", "2-3 A market filled"],
         actions={"dividends": {3: 1.5}}, end=10_015, events=[(3, "dividend", "A", 0, 10.0, 1.5, "")]),
    Case("0 dividend: a share as it is after the split of that day", "100 | = | 50", {1: [market(10)]},
         [(2, 1, 10, 100)],
         ["1-2 A market filled"], actions={**TWO, "dividends": {3: 1.0}}, end=10_020,
         events=[(3, "split", "A", 0, 20.0, 2.0, ""), (3, "dividend", "A", 0, 20.0, 1.0, "")]),
    Case("0 dividend: resting prices stay", f"{H} | = | 98 99 95.5 98", {1: [market(10)], 2: [stop(-10, 95)]},
         [(2, 1, 10, 100)], ["1-2 A market filled", "2- A stop open"], actions={"dividends": {3: 2.0}}, end=10_000,
         events=[(3, "dividend", "A", 0, 10.0, 2.0, "")]),
    Case("0 dividend: is there when weights become units at that open", "100 | = | 98", {1: 0.5, 2: 1.0},
         [(2, 1, 50, 100), (3, 2, 10_000 / 98 - 50, 98)], ["1-2 A market filled", "2-3 A market filled"],
         actions={"dividends": {3: 2.0}}, end=10_000, events=[(3, "dividend", "A", 0, 50.0, 2.0, "")]),
]  # fmt: skip


def final(units: float, bar: int = 3, price: float = 40.0) -> tuple[Any, ...]:
    """The event of a delisting."""
    return (bar, "delisted", "A", 0, units, price, DELISTED)


GONE = {"final": {3: 40.0}}
DELISTINGS = [
    Case("0 delisting: a long is paid out", "100 | = | - | -", {1: 0.1}, [(2, 1, 10, 100)], ["1-2 A market filled"],
         actions=GONE, end=9_400, events=[final(10)]),
    Case("0 delisting: a short pays", "100 | = | - | -", {1: -0.1}, [(2, 1, -10, 100)], ["1-2 A market filled"],
         actions=GONE, end=10_600, events=[final(-10)]),
    Case("0 delisting: for nothing", "100 | = | -", {1: 0.1}, [(2, 1, 10, 100)], ["1-2 A market filled"],
         actions={"final": {3: 0.0}}, end=9_000, events=[final(10, price=0.0)]),
    Case("0 delisting: a waiting weight is cancelled", ("100 | - | - | -", "50 | = | = | ="),
         {1: (0.1, 0.0), 3: (0.2, 0.2)},
         [(4, 2, 40, 50)], [f"1-3 A market cancelled: {DELISTED}", "3-4 B market filled"],
         actions={"final": {3: (40.0, NONE)}}, events=[final(0.0)]),
    Case("0 delisting: what rests on the asset is cancelled, what comes later is refused",
         ("100 | = | - | -", "50 | = | = | 50 51 44 46"),
         {1: [limit(-10, 110), limit(-5, 45), stop(10, 45, asset=1), limit(2, 45, asset=1)], 3: [market(1)]},
         [(2, 2, -5, 100), (2, 3, 10, 50), (4, 4, 2, 45)],
         [f"1-3 A limit cancelled: {DELISTED}", "1-2 A limit filled", "1-2 B stop filled", "1-4 B limit filled",
          f"3-3 A market rejected: {DELISTED}"], actions={"final": {3: (40.0, NONE)}}, events=[final(-5)]),
    Case("0 delisting: the legs of the position go too", f"{H} | = | - | -", {1: [market(10, bracket=(90, 110))]},
         [(2, 1, 10, 100)], ["1-2 A market filled", f"2-3 A stop (stop_loss of 1) cancelled: {DELISTED}",
         f"2-3 A limit (take_profit of 1) cancelled: {DELISTED}"], actions=GONE, events=[final(10)]),
]  # fmt: skip


@named([*SPLITS, *DIVIDENDS, *DELISTINGS])
def test_actions(case: Case) -> None:
    check(case)


RATE = {"borrow_rate": 0.0365, "leverage": 2.0}
DEBT: dict[str, Any] = {"script": {1: 2.0}, "fills": [(2, 1, 200, 100)], "orders": ["1-2 A market filled"]}


def changes(*rates: tuple[int, float]) -> bg.Rate:
    """A rate by moments."""
    return bg.Rate.of(pd.Series([r for _, r in rates], index=pd.to_datetime([ts for ts, _ in rates])))


FINANCING = [
    Case("1 interest on negative cash for one day", "100 | = | =", **DEBT, terms=RATE, financing={3: 1.0}),
    Case("1 interest for the three days of a week-end, whatever the hour", "100 | = | =", **DEBT, terms=RATE,
         hours=(0, 24, 92), financing={3: 3.0}),
    Case("1 interest for no day inside a day", "100 | = | = | =", **DEBT, terms=RATE, hours=(0, 19, 21, 43),
         financing={4: 1.0}),
    Case("1 interest upon interest", "100 | = | = | =", **DEBT, terms=RATE, financing={3: 1.0, 4: 1.0001}),
    Case("1 interest on positive cash", "100 | = | =", {1: 0.0}, [], [], {"cash_rate": 0.0365},
         financing={2: -1.0, 3: -1.0001}, end=10_002.0001),
    Case("1 positive cash may cost", "100 | = | =", {1: 0.0}, [], [], {"cash_rate": -0.0365},
         financing={2: 1.0, 3: 0.9999}),
    Case("1 cash of exactly nothing", "100 | = | =", {1: 1.0}, [(2, 1, 100, 100)], ["1-2 A market filled"],
         {"borrow_rate": 0.0365}),
    Case("1 a rate that changes at the close of bar 3 holds from bar 4 on", "100 | = | = | =", **DEBT,
         terms={**RATE, "borrow_rate": changes((moment(1), 0.0365), (moment(3), 0.073))},
         financing={3: 1.0, 4: 2.0002}),
    Case("1 a rate that changes after the close of bar 3 holds from bar 5 on", "100 | = | = | = | =", **DEBT,
         terms={**RATE, "borrow_rate": changes((moment(0), 0.0365), (moment(3) + 256, 0.073))},
         financing={3: 1.0, 4: 1.0001, 5: 2 * 1.00020001}),
    Case("1 the rate on credit may change too", "100 | = | =", {1: 0.0}, [], [],
         {"cash_rate": changes((moment(1), 0.0365), (moment(2), 0.0))}, financing={2: -1.0}),
    Case("1 shorts pay a fee on their value at the last close", "100 | 100 110 100 110 | 120 | =", {1: [market(-10)]},
         [(2, 1, -10, 100)], ["1-2 A market filled"], {"short_rate": 0.0365}, financing={3: 0.11, 4: 0.12}),
    Case("1 shorts pay for each day", "100 | = | =", {1: [market(-10)]}, [(2, 1, -10, 100)], ["1-2 A market filled"],
         {"short_rate": 0.0365}, hours=(0, 24, 92), financing={3: 0.3}),
    Case("1 the cash of a short earns", "100 | = | =", {1: [market(-10)]}, [(2, 1, -10, 100)], ["1-2 A market filled"],
         {"short_rate": 0.0365, "cash_rate": 0.073}, financing={2: -2.0, 3: -2.2004 + 0.1}),
    Case("1 of longs and shorts the shorts pay", ("100 | = | =", "50 | = | =", "10 | = | ="),
         {1: [market(30), market(-20, asset=1), market(-30, asset=2)]},
         [(2, 1, 30, 100), (2, 2, -20, 50), (2, 3, -30, 10)],
         ["1-2 A market filled", "1-2 B market filled", "1-2 C market filled"], {"short_rate": 0.0365},
         financing={3: 0.13}),
    Case("1 longs pay no fee for shorts", "100 | = | =", {1: [market(30)]}, [(2, 1, 30, 100)], ["1-2 A market filled"],
         {"short_rate": 0.0365}),
    Case("1 the fee of a short comes after the split", "100 | = | 50", {1: [market(-10)]}, [(2, 1, -10, 100)],
         ["1-2 A market filled"], {"short_rate": 0.0365}, actions=TWO, financing={3: 0.1},
         events=[(3, "split", "A", 0, -20.0, 2.0, "")]),
    Case("1 interest is due on what is there before the open", "100 | = | =", {1: 2.0, 2: 0.0},
         [(2, 1, 200, 100), (3, 2, -200, 100)], ["1-2 A market filled", "2-3 A market filled"], RATE,
         financing={3: 1.0}),
]  # fmt: skip


@named(FINANCING)
def test_financing(case: Case) -> None:
    check(case)


BASES = {
    "an increase averages": ([10, 30], [100, 80], 85.0),
    "a reduction keeps": ([10, -4], [100, 80], 100.0),
    "a flip begins anew": ([10, -25], [100, 80], 80.0),
    "a short averages too": ([-10, -30], [100, 80], 85.0),
    "a short's reduction keeps": ([-10, 4], [100, 80], 100.0),
    "nothing held, nothing paid": ([10, -10], [100, 80], 0.0),
    "one unit on one unit": ([1, 1], [100, 80], 90.0),
}


@pytest.mark.parametrize("what", BASES)
def test_average_cost(what: str) -> None:
    """Clause 5: the liquidation's "largest loss" is measured against it; a split changes it like a price."""
    quantities, prices, basis = BASES[what]
    bars = " | ".join(str(p) for p in (100, *prices, 40))
    script = {bar: [market(q, asset=1)] for bar, q in enumerate(quantities, start=1)}
    run = play(Case(what, (bars, bars), script, [], [], actions={"splits": {4: (1.0, 2.0)}}), leverage=4.0)
    assert run.world.book.rows[BASIS].tolist() == [0.0, basis / 2]
    assert run.world.book.rows[QUANTITY].tolist() == [0.0, 2.0 * sum(quantities)]


CASH = [
    Case("4 cash account: sells what it holds and no more", "100 | = | =", {1: [market(10)], 2: [market(-15)]},
         [(2, 1, 10, 100), (3, 2, -10, 100, ALL_SOLD)], ["1-2 A market filled", f"2-3 A market filled: {ALL_SOLD}"]),
    Case("4 cash account: sells nothing it does not hold", f"{H} | 100 106 99 101", {1: [limit(-10, 105)]}, [],
         [f"1-2 A limit cancelled: {NO_SHORTS}"]),
    Case("4 cash account: buys no more than its cash", "100 | =", {1: [market(150)]}, [(2, 1, 100, 100, SHRUNK)],
         [f"1-2 A market filled: {SHRUNK}"]),
    Case("4 cash account: one unit is sold", "100 | = | =", {1: [market(1)], 2: [market(-1)]},
         [(2, 1, 1, 100), (3, 2, -1, 100)], ["1-2 A market filled", "2-3 A market filled"]),
    Case("4 cash account: a negative weight sells what there is, and says why no more", "100 | = | =",
         {1: 0.5, 2: -0.5},
         [(2, 1, 50, 100), (3, 2, -50, 100, ALL_SOLD)], ["1-2 A market filled", f"2-3 A market filled: {ALL_SOLD}"]),
    Case("4 cash account: a negative weight of nothing held ends with the reason", "100 | = | =", {1: -0.5}, [],
         [f"1-2 A market cancelled: {NO_SHORTS}"]),
]  # fmt: skip


@named([case._replace(terms={"account": "cash"}) for case in CASH])
def test_cash_account(case: Case) -> None:
    check(case)
