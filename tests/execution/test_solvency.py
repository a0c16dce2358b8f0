"""An account is never ruined unnoticed: at the open, after each fill, at the close (clauses 2 and 5)."""

from __future__ import annotations

from typing import Any

import pytest

import barograph as bg
from tests.kit.tables import FULL, Case, limit, market, play, stop

CRASH = "100 | 100 | 70 100 69 99 | 99"
SOAR = "100 | 100 | 250 250 100 101 | 101"
DEEP = {"leverage": 5.0, "maintenance": 0.1, "warning": 0.15}
# Equity of 10,000, four times of it held from bar 2 on: an open at 70 leaves -2,000.
RUINS: dict[str, tuple[str | tuple[str, str], dict[int, Any], str]] = {
    "a target asked at every close": (CRASH, {1: 4.0, 2: 4.0, 3: 4.0}, "equity is -2000.00 at 2024-03-06"),
    "a target asked once": (CRASH, {1: 4.0}, "equity is -2000.00 at 2024-03-06"),
    "a short asked once": (SOAR, {1: -1.0}, "equity is -5000.00 at 2024-03-06"),
    "a limit above": (CRASH, {1: [market(400)], 2: [limit(-400, 98)]}, "equity is -2000.00 at 2024-03-06"),
    "a part sold there": (CRASH, {1: [market(400)], 2: [market(-100)]}, "equity is -2000.00 at 2024-03-06"),
    "nothing left at all": ("100 | 100 | 75 100 69 99", {1: 4.0}, "equity is 0.00 at 2024-03-06"),
    "nobody: the other opens": (("100 | 100 | - | 100", "10 | = | 10 | ="), {1: (4.0, 0.0), 2: (bg.HOLD, 0.0)}, ""),
    "inside the bar": ("100 | 100 | 90 99 60 99", {1: [market(400)], 2: [stop(-10, 70)]}, "equity is -2000.00"),
    "at the close": ("100 | 100 | 90 95 60 70", {1: [market(400)]}, "equity is -2000.00"),
    "by a dividend that is owed": ("100 | 100 | 100 | 100", {1: [market(-100)]}, "equity is -1000.00"),
}  # fmt: skip


@pytest.mark.parametrize("what", RUINS)
@pytest.mark.parametrize("more", [{}, FULL], ids=["light", "full"])
def test_ruin(what: str, more: dict[str, Any]) -> None:
    bars, script, said = RUINS[what]
    actions: dict[str, Any] = {"dividends": {3: 110.0}} if "dividend" in what else {}
    told = Case(what, bars, script, [], [], DEEP, actions=actions)
    if not said:
        assert len(play(told, **more).arrays.equity) == 4
        return
    with pytest.raises(bg.StrategyError, match=f"ruined the account: {said}"):
        play(told, **more)


@pytest.mark.parametrize("more", [{}, FULL], ids=["light", "full"])
def test_a_fee_can_ruin(more: dict[str, Any]) -> None:
    """An equity of 10 pays a fixed fee of 6 twice: the second fill ends the run, at its own bar."""
    told = Case("", "100 | = | = | =", {1: 1.0, 2: 0.0}, [], [], {"cash": 10.0, "fixed_fee": 6.0})
    with pytest.raises(bg.StrategyError, match=r"ruined the account: equity is -2\.00 at 2024-03-06"):
        play(told, **more)


@pytest.mark.parametrize("more", [{}, FULL], ids=["light", "full"])
def test_a_fill_that_ruins_is_not_saved_by_the_close(more: dict[str, Any]) -> None:
    """The fee of A's sale takes more than B's open has left; B's close would have paid it many times over."""
    bars = ("100 | 100 | 100", "100 | 100 | 73 600 73 600")
    told = Case("", bars, {1: (0.5, 3.5), 2: (0.0, bg.HOLD)}, [], [], {**DEEP, "cash": 100.0, "fixed_fee": 6.0})
    with pytest.raises(bg.StrategyError, match=r"ruined the account: equity is -1\.16 at 2024-03-06"):
        play(told, **more)
