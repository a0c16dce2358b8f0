"""The eight probes that other engines answer differently, with the answers ours must give.

In all of them the decision falls at the close of bar 3, and bar 4 is where engines part.
"""

from __future__ import annotations

import math

import pytest

import barograph as bg
from tests.kit.tables import SHRUNK, Case, check, limit, market, named, play, stop

FLAT = "100 101 99 100 | = | ="
PROBE = f"{FLAT} | 104 106 103 105"
NONE = math.nan
BOTH = "100 112 88 105"
# Ten units bought at the open of bar 2, and at the close of bar 3 a stop at 90 and a take-profit at 110.
HELD = {1: [market(10)]}
PAIR = {**HELD, 3: [stop(-10, 90), limit(-10, 110, pair=True)]}
BRACKET = {1: [market(10, bracket=(90, 110))]}
PROTECTED = {1: bg.Protected(0.1, 90.0, 110.0, NONE)}
OTHER = "the other order of the pair filled"
STOPPED = ["1-2 A market filled", "3-4 A stop filled", f"3-4 A limit cancelled: {OTHER}"]
TAKEN = ["1-2 A market filled", f"3-4 A stop cancelled: {OTHER}", "3-4 A limit filled"]


def _legs(kept: int, entry: str, parent: str) -> list[str]:
    ends = [f"cancelled: {OTHER}", "filled"] if kept else ["filled", f"cancelled: {OTHER}"]
    return [entry, f"2-4 A stop (stop_loss{parent}) {ends[0]}", f"2-4 A limit (take_profit{parent}) {ends[1]}"]


CASES = [
    Case(
        "2 open: a market order fills at the next open",
        PROBE, {3: [market(10)]}, [(4, 1, 10, 104)], ["3-4 A market filled"], end=10_010,
    ),
    Case(
        "2 open: sell stop 90 passed by the gap fills at the open 80",
        f"{FLAT} | 80 82 78 81", {**HELD, 3: [stop(-10, 90)]},
        [(2, 1, 10, 100), (4, 2, -10, 80)], ["1-2 A market filled", "3-4 A stop filled"], end=9_800,
    ),
    Case(
        "2 open: sell stop 90 passed by the gap fills at the open 80 though the bar comes back to 95",
        f"{FLAT} | 80 95 79 94", {**HELD, 3: [stop(-10, 90)]},
        [(2, 1, 10, 100), (4, 2, -10, 80)], ["1-2 A market filled", "3-4 A stop filled"], end=9_800,
    ),
    Case(
        "3 path: stop 90 and take-profit 110 in one bar, the stop fills",
        f"{FLAT} | {BOTH}", PAIR, [(2, 1, 10, 100), (4, 2, -10, 90)], STOPPED, end=9_900,
    ),
    Case(
        "3 path: stop 90 and take-profit 110 in one bar, on the optimistic path the take-profit fills",
        f"{FLAT} | {BOTH}", PAIR, [(2, 1, 10, 100), (4, 3, -10, 110)], TAKEN, {"path": "optimistic"}, end=10_100,
    ),
    Case(
        "3 path: the same of a bracket, pessimistic",
        f"{FLAT} | {BOTH}", BRACKET, [(2, 1, 10, 100), (4, 2, -10, 90)],
        _legs(0, "1-2 A market filled", " of 1"), end=9_900,
    ),
    Case(
        "3 path: the same of a bracket, optimistic",
        f"{FLAT} | {BOTH}", BRACKET, [(2, 1, 10, 100), (4, 3, -10, 110)],
        _legs(1, "1-2 A market filled", " of 1"), {"path": "optimistic"}, end=10_100,
    ),
    Case(
        "3 path: the same of a protected weight, pessimistic",
        f"{FLAT} | {BOTH}", PROTECTED, [(2, 1, 10, 100), (4, 2, -10, 90)],
        _legs(0, "1-2 A market filled", ""), end=9_900,
    ),
    Case(
        "3 path: the same of a protected weight, optimistic",
        f"{FLAT} | {BOTH}", PROTECTED, [(2, 1, 10, 100), (4, 3, -10, 110)],
        _legs(1, "1-2 A market filled", ""), {"path": "optimistic"}, end=10_100,
    ),
    Case(
        "3 intrabar: a stop inside the entry bar fills in that bar",
        f"{FLAT} | 104 106 95 105", {3: [market(10, bracket=(97, NONE))]},
        [(4, 1, 10, 104), (4, 2, -10, 97)],
        ["3-4 A market filled", "4-4 A stop (stop_loss of 1) filled"], end=9_930,
    ),
    Case(
        "3 intrabar: a protected weight's stop inside the entry bar fills in that bar",
        f"{FLAT} | 104 106 95 105", {3: bg.Protected(0.52, 97.0, NONE, NONE)},
        [(4, 1, 50, 104), (4, 2, -50, 97)],
        ["3-4 A market filled", "4-4 A stop (stop_loss) filled"], end=9_650,
    ),
    Case(
        "2 open: buy limit 95 with the open at 93 fills at 93",
        f"{FLAT} | 93 97 92 96", {3: [limit(10, 95)]}, [(4, 1, 10, 93)], ["3-4 A limit filled"], end=10_030,
    ),
    Case(
        "2 open: weight 1 with a fee of 1 % buys what the cash allows, 95.2018 units",
        PROBE, {3: 1.0}, [(4, 1, 10_000 / 105.04, 104)], ["3-4 A market filled"], {"fee": 0.01},
        fees=[10_000 / 105.04 * 1.04], end=10_000 / 105.04 * 105,
    ),
    Case(
        "2 open: weight 1 with a fee of 1 % in lots of 1 buys 95 units",
        PROBE, {3: 1.0}, [(4, 1, 95, 104)], ["3-4 A market filled"], {"fee": 0.01, "lot": 1.0},
        fees=[98.8], end=10_000 - 98.8 + 95,
    ),
    Case(
        "2 open: weight 2 with room for it is twice the equity, and the debt is financed",
        f"{PROBE} | 105", {3: 2.0}, [(4, 1, 20_000 / 104, 104)], ["3-4 A market filled"],
        {"leverage": 2.0, "borrow_rate": 0.0365}, financing={5: 1.0}, end=20_000 / 104 * 105 - 10_001,
    ),
    Case(
        "2 open: weight 2 without room is shrunk to the equity, and says so",
        PROBE, {3: 2.0}, [(4, 1, 10_000 / 104, 104, SHRUNK)], [f"3-4 A market filled: {SHRUNK}"],
    ),
]  # fmt: skip


@named(CASES)
def test_probe(case: Case) -> None:
    check(case)


def test_the_anchor_of_the_fee_probe_is_the_published_number() -> None:
    fill = play(CASES[12]).tables["fills"].iloc[0]
    assert fill.quantity == pytest.approx(95.2018, abs=5e-5)
