"""Purchases that wait for the reductions of their decision, where markets open one after the other (clause 2)."""

from __future__ import annotations

from typing import Any

import pytest

import barograph as bg
from tests.kit.tables import FULL, NO_HEADROOM, SHRUNK, TARGET, Case, check, limit, market, named, play

DONE, LATE = "as wanted, after the reductions it waited for", "its reductions did not come in another session"
REST = "no room yet: the rest waits for reductions"
# B opens first, A six hours later: B trades in bars 1, 3, 5 ..., A in 2, 4, 6 ...
HOURS = [0, 6, 24, 30, 48, 54, 72, 78]
TURNS = ("- | 100 | - | 100 | - | 100 | -", "50 | - | 50 | - | 50 | - | 50")
HOLIDAY = ("- | 100 | - | 100 | - | - | - | 100", "50 | - | 50 | - | 50 | - | 50 | -")
CALM = ("- | 100 | - | 100 | - | - | 100 | -", "50 | - | 50 | - | 50 | 50 | - | 50")
BOUGHT, HELD, FILLED = "2-4 A market filled", (4, 1, 100, 100), "1-2 A market filled"
# What is left when nine tenths of it have been bought at a fee of a tenth.
V = 10_000 / 1.09
SWAPS = [
    Case("2 a purchase waits for the sale that pays it", TURNS,
         {2: (1.0, 0.0), 4: (0.0, 1.0)}, [HELD, (6, 2, -100, 100), (7, 3, 200, 50, DONE)],
         [BOUGHT, "4-6 A market filled", f"4-7 B market filled: {DONE}"], hours=HOURS[:7]),
    Case("2 what has room is bought at once, and the rest waits", TURNS,
         {2: (0.8, 0.0), 4: (0.2, 0.8)},
         [(4, 1, 80, 100), (5, 3, 40, 50, REST), (6, 2, -60, 100), (7, 3, 120, 50, DONE)],
         [BOUGHT, "4-6 A market filled", f"4-7 B market filled: {DONE}"], hours=HOURS[:7]),
    Case("2 what has room does not wait", TURNS,
         {2: (0.5, 0.0), 4: (0.2, 0.4)}, [(4, 1, 50, 100), (5, 3, 80, 50), (6, 2, -30, 100)],
         [BOUGHT, "4-6 A market filled", "4-5 B market filled"], hours=HOURS[:7]),
    Case("2 a holiday of the selling market: another session, and the room there is",
         HOLIDAY,
         {2: (0.8, 0.0), 4: (0.2, 0.8)}, [(4, 1, 80, 100), (5, 3, 40, 50, REST), (8, 2, -60, 100)],
         [BOUGHT, "4-8 A market filled", f"4-7 B market cancelled: {LATE}"], hours=HOURS),
    Case("2 a holiday, and no room at all",
         HOLIDAY,
         {2: (1.0, 0.0), 4: (0.0, 1.0)}, [HELD, (8, 2, -100, 100)],
         [BOUGHT, "4-8 A market filled", f"4-7 B market rejected: {LATE}"], hours=HOURS),
    Case("2 a newer decision ends the waiting",
         HOLIDAY,
         {2: (1.0, 0.0), 4: (0.0, 1.0), 6: (bg.HOLD, 0.0)}, [HELD, (8, 2, -100, 100)],
         [BOUGHT, "4-8 A market filled", f"4-6 B market cancelled: {TARGET}"], hours=HOURS),
    Case("2 the same decision again goes on waiting", TURNS,
         {2: (1.0, 0.0), 4: (0.0, 1.0), 5: (0.0, 1.0)}, [HELD, (6, 2, -100, 100), (7, 3, 200, 50, DONE)],
         [BOUGHT, "4-6 A market filled", f"4-7 B market filled: {DONE}"], hours=HOURS[:7]),
    Case("2 the reductions bring less than is wanted",
         ("- | 100 | - | 100 | - | 80 | -", "50 | - | 50 | - | 50 | - | 50"),
         {2: (1.0, 0.0), 4: (0.0, 1.2)}, [HELD, (6, 2, -100, 80), (7, 3, 160, 50, SHRUNK)],
         [BOUGHT, "4-6 A market filled", f"4-7 B market filled: {SHRUNK}"], hours=HOURS[:7]),
    Case("2 within the day it is tried at every bar", CALM,
         {2: (1.0, 0.0), 4: (0.0, 1.0)}, [HELD, (7, 2, -100, 100), (8, 3, 200, 50, DONE)],
         [BOUGHT, "4-7 A market filled", f"4-8 B market filled: {DONE}"], hours=[0, 1, 2, 3, 5, 6, 7, 8]),
    Case("2 a close at midnight is of the day that ends", ("100 | 100 | - | - | 100", "50 | 50 | 50 | 50 | 50"),
         {1: (1.0, 0.0), 2: (0.0, 1.0)}, [(2, 1, 100, 100), (5, 2, -100, 100)],
         ["1-2 A market filled", "2-5 A market filled", f"2-4 B market rejected: {LATE}"], hours=[0, 1, 4, 14, 40]),
    Case("2 a short waits as a purchase does", TURNS,
         {2: (1.0, 0.0), 4: (0.0, -1.0)}, [HELD, (6, 2, -100, 100), (7, 3, -200, 50, DONE)],
         [BOUGHT, "4-6 A market filled", f"4-7 B market filled: {DONE}"], hours=HOURS[:7]),
    Case("2 one calendar: what has no bar today sells tomorrow", ("100 | = | - | 100", "50 | = | = | ="),
         {1: (1.0, 0.0), 2: (0.0, 1.0)}, [(2, 1, 100, 100), (4, 2, -100, 100), (4, 3, 200, 50, DONE)],
         ["1-2 A market filled", "2-4 A market filled", f"2-4 B market filled: {DONE}"]),
    Case("2 what is a reduction is told by what the first pass has left of the equity",
         ("100 | = | =", "100 | = | -", "100 | = | ="), {1: (0.5, 0.4, 0.0), 2: (0.0, 0.42, 0.6)},
         [(2, 1, V / 200, 100), (2, 2, V / 250, 100), (3, 3, -V / 200, 100), (3, 5, V / 200, 100, REST)],
         [FILLED, "1-2 B market filled", "2-3 A market filled", "2- B market open", "2- C market open"], {"fee": 0.1},
         fees=[V / 20, V / 25, V / 20, V / 20]),
    Case("2 no wait where there is no reduction", ("100 | = | -", "50 | = | ="), {1: (1.0, 0.0), 2: (bg.HOLD, 0.5)},
         [(2, 1, 100, 100)], ["1-2 A market filled", f"2-3 B market rejected: {NO_HEADROOM}"]),
]  # fmt: skip


@named(SWAPS)
def test_waiting(case: Case) -> None:
    check(case)


ORDERS = [
    Case("2 a market order waits too", TURNS,
         {2: [market(100)], 4: [market(-100), market(200, asset=1)]}, [HELD, (6, 2, -100, 100), (7, 3, 200, 50, DONE)],
         [BOUGHT, "4-6 A market filled", f"4-7 B market filled: {DONE}"], hours=HOURS[:7]),
    Case("2 a market order after a holiday", HOLIDAY,
         {2: [market(80)], 4: [market(-60), market(160, asset=1)]},
         [(4, 1, 80, 100), (5, 3, 40, 50, REST), (8, 2, -60, 100)],
         [BOUGHT, "4-8 A market filled", f"4-7 B market cancelled: {LATE}"], hours=HOURS),
    Case("2 a limit does not wait", TURNS,
         {2: [market(100)], 4: [market(-100), limit(200, 50, asset=1)]}, [HELD, (6, 2, -100, 100)],
         [BOUGHT, "4-6 A market filled", f"4-5 B limit rejected: {NO_HEADROOM}"], hours=HOURS[:7]),
]  # fmt: skip


@named(ORDERS)
def test_orders_wait(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("more", [{}, FULL], ids=["light", "full"])
def test_columns_decide_nothing(more: dict[str, Any]) -> None:
    case = SWAPS[1]
    assert not isinstance(case.bars, str)
    other = case._replace(bars=case.bars[::-1], script={t: w[::-1] for t, w in case.script.items()})
    one, two = play(case, **more), play(other, **more)
    assert one.arrays.equity.tolist() == two.arrays.equity.tolist()
    assert one.tables["fills"]["quantity"].tolist() == two.tables["fills"]["quantity"].tolist()
