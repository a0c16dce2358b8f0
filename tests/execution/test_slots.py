"""Slots and slips: how many orders rest and are asked for, what is left of those that ended, what stops the run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph import orders
from barograph.jit.kernel import kernel
from barograph.testing import interpreted
from tests.kit.tables import FULL, Case, cancel, cancel_all, history_of, limit, market, play, stop

NONE = math.nan
H = "100 101 99 100"


def wrote(room: int, requests: int, *, resting: int = 8) -> bg.Result:
    """Run a strategy that cancels as often, on a slip with this room."""

    def step(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        slip = orders.slip(room)
        for _ in range(requests):
            orders.cancel_all(slip, 0)
        return state, slip

    machine = bg.Machine(
        strategy=bg.strategy(kernel(step), init=lambda _: 0, name="full"), terms=bg.Terms(resting=resting)
    )
    return interpreted(machine, history_of(Case("slip", (f"{H} | =",) * 3, {}, [], [])))


def test_a_slip_takes_as_many_requests_as_a_bar_has_room_for() -> None:
    wrote(8 + 2 * 3 * 2, 8 + 2 * 3 * 2, resting=2)
    with pytest.raises(bg.StrategyError, match="wrote more than 20 requests on its slip at the close of 2024-03-04"):
        wrote(30, 21, resting=2)
    with pytest.raises(bg.StrategyError, match="wrote more requests than its slip has room for at the close"):
        wrote(1, 2)


def test_an_endless_sale_cannot_be_meant() -> None:
    with pytest.raises(bg.StrategyError, match="nobody can mean on A"):
        play(Case("endless", f"{H} | =", {1: [market(-math.inf)]}, [], []))


SLOTS: dict[str, tuple[int, dict[int, Any], bool]] = {
    "what was cancelled leaves its slot": (2, {1: [limit(1, 90, tag=1), limit(1, 91)],
                                               2: [cancel(1), limit(1, 92)]}, True),
    "and no other": (2, {1: [limit(1, 90, tag=1), limit(1, 91)], 2: [cancel(1), limit(1, 92), limit(1, 93)]}, False),
    "an entry leaves one slot to its legs": (2, {1: [market(10, bracket=(90, 110), trail=0.2)]}, False),
    "two entries leave two": (2, {1: [market(10, bracket=(90, NONE)), market(10, bracket=(80, NONE))]}, True),
    "what ends on the way leaves its own": (3, {1: [market(10, bracket=(90, NONE))],
                                                2: [market(-10), market(-5, bracket=(110, 90), trail=0.2)]}, True),
}  # fmt: skip


@pytest.mark.parametrize("what", SLOTS)
def test_slots(what: str) -> None:
    """An asset has `resting` orders at a time, and what has ended is none of them."""
    resting, script, fits = SLOTS[what]
    case = Case(what, f"{H} | = | =", script, [], [], {"resting": resting})
    if fits:
        play(case)
    else:
        with pytest.raises(bg.StrategyError, match=f"has more than {resting} orders on A"):
            play(case)


ENDINGS: dict[str, Case] = {
    "cancelled": Case("", f"{H} | =", {1: [limit(1, 90), stop(1, 110)], 2: [cancel_all()]}, [], []),
    "filled": Case("", f"{H} | 98 99 94 97", {1: [limit(1, 95, bracket=(90, 96))]}, [], []),
    "delisted": Case("", f"{H} | -", {1: [limit(1, 90), stop(1, 110)]}, [], [], actions={"final": {2: 50.0}}),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_a_free_slot_says_nothing(how: str) -> None:
    """The same book is the same bytes, whatever was there before."""
    book = play(ENDINGS[how]).world.book
    assert not book.order_codes.any()
    np.testing.assert_array_equal(book.order_values, 0.0)


def test_a_target_of_an_equity_that_is_gone_names_it() -> None:
    case = Case("gone", "100 | = | 70 70 50 50", {1: 4.0, 2: 3.9}, [], [])
    with pytest.raises(bg.StrategyError, match=r"ruined the account: equity is -2000\.00"):
        play(case, leverage=4.0, **FULL)


def test_what_waits_for_its_first_price_takes_no_room_from_others() -> None:
    """One asset has no price yet, and an order rests on it; another is bought with all the money there is."""

    def step(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        slip = orders.slip(2)
        if state == 0:
            orders.limit(slip, 1, 1.0, 50.0)
        if state == 1:
            orders.market(slip, 0, 10.0)
        return state + 1, slip

    close = np.full((5, 2), 100.0)
    close[:4, 1] = NONE
    bars = bg.History.from_arrays(ts=np.arange(1, 6) * 86_400_000_000_000, close=close, calendar="24/7")
    run = interpreted(bg.Machine(strategy=bg.strategy(kernel(step), init=lambda _: 0, name="two")), bars)
    assert run.tables["orders"].status.tolist() == ["open", "filled"]
    assert run.tables["fills"].quantity.tolist() == [10.0]
