"""What becomes known late: the market is seen again as it was, the account gets what it is owed, in every loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph import orders
from barograph.data.history import History
from barograph.execution import book as col
from barograph.jit.kernel import kernel
from barograph.loop.late import Correction, Credit, Late, restated
from barograph.loop.live import Live
from barograph.loop.session import Session
from barograph.testing import some_bars
from tests.kit.machines import learnable, machines

FROM, KNOWN = 88, 93


def told(name: str) -> History:
    return learnable() if name.startswith("learns") else some_bars(130, assets=2, actions=True)


def correction(history: History, machine: bg.Machine, first_order: int = 1) -> Correction:
    """Return a split of 4 for 1 with a dividend, and one that is only paid, known some bars late."""
    symbol = history.symbols[0]
    late = (
        Late(symbol, int(history.ts[FROM]), 4.0, 0.3, first_order),
        Late(symbol, int(history.ts[FROM + 2]), 1.0, 0.1),
    )
    window = machine.fit.rows(FROM - FROM % 25)[0] if machine.fit is not None else 0
    return Correction(late, (Credit(symbol, 4.0, 12.5),), int(window))


def steps(machine: bg.Machine, history: History, first: int, late: dict[int, Correction]) -> tuple[Live, list[Any]]:
    live, made = Live(machine, history.head(first + 1), first), []
    live.late = late
    made.append(live.step())
    for t in range(first + 1, len(history)):
        live.append(history.slice(t, t + 1))
        made.append(live.step())
    return live, made


@pytest.mark.parametrize("name", ["features", "python filter", "learns"])
def test_features_and_filter_are_as_if_it_had_been_known(name: str) -> None:
    machine, history = machines()[name], told(name)
    first = 60
    made = correction(history, machine)
    if machine.fit is not None:
        fits = bg.scan(machine, history.head(KNOWN)).fits
        first, made = bg.scan(machine, history.head(KNOWN)).first, made._replace(filter_from=fits[-1].first)
        assert fits[-1].bar < FROM
    live, late = steps(machine, history, first, {KNOWN: made})
    other, known = steps(machine, restated(history, made.late), first, {})
    beliefs = [np.array([one.belief for one in of[KNOWN - first :]]) for of in (late, known)]
    # A fit that falls due later learns from the same features too.
    assert beliefs[0].tobytes() == beliefs[1].tobytes()
    seen = bg.scan(machine, history).arrays.features
    assert seen[:FROM].tobytes() == live.X[:FROM].tobytes()
    assert seen[FROM:KNOWN].tobytes() != live.X[FROM:KNOWN].tobytes() == other.X[FROM:KNOWN].tobytes()
    assert repr(live.memory.read(0)) == repr(other.memory.read(0))


@kernel
def trend(state, bars, belief, portfolio, params):
    """Hold a share of what rose since the bar before."""
    return bars.close[0] * bars.factor[0], bg.Target(
        np.full(2, params if bars.close[0] * bars.factor[0] > state else 0.0)
    )


def chooses() -> bg.Machine:
    def make(weight: float) -> bg.Machine:
        return bg.Machine(strategy=bg.strategy(trend, weight, init=lambda _: 0.0))

    return bg.choose(make, {"weight": [0.1, 0.3, 0.5]}, window=30, every=10)


@pytest.mark.parametrize("name", ["features", "learns", "orders", "chooses"])
def test_every_loop_corrects_to_the_same_bits(name: str) -> None:
    machine, history = chooses() if name == "chooses" else machines()[name], told(name)
    made = {KNOWN: correction(history, machine, first_order=10**6)}
    run = Session(machine, history, None, None)
    run.late = made
    result = run.run(stride=len(history))
    live, late = steps(machine, history, result.first, made)
    assert np.array([one.equity for one in late]).tobytes() == result.arrays.table.tobytes()
    assert np.array([one.belief for one in late]).tobytes() == result.arrays.beliefs.tobytes()
    assert np.vstack([one.events for one in late if len(one.events)]).tobytes() == result.arrays.events.tobytes()
    plain = bg.scan(machine, history)
    assert result.arrays.table[: KNOWN - result.first].tobytes() == plain.arrays.table[: KNOWN - result.first].tobytes()
    assert result.arrays.table.tobytes() != plain.arrays.table.tobytes()
    assert live.memory.f.tobytes() == run.memory.f.tobytes()


@kernel
def two_limits(state, bars, belief, portfolio, params):
    """A limit far below at one bar, and another one some bars later; both rest."""
    slip = orders.slip(2)
    if state in {2, 6}:
        orders.limit(slip, 0, 40.0, 20.0 if state == 2 else 12.0)
    return state + 1, slip


def test_orders_of_before_a_late_split_follow_it_and_later_ones_do_not() -> None:
    close = np.array([100.0] * 5 + [25.0] * 7)
    history = History.from_arrays(np.arange(12) * 86_400_000_000_000, close, symbols=["A"])
    machine = bg.Machine(strategy=bg.strategy(two_limits, init=lambda _: 0), terms=bg.Terms(resting=4))
    # The first of them has number 1, and the second was born at the bar of 25.
    made = Correction((Late("A", int(history.ts[5]), 4.0, 0.0, first_order=2),), ())
    live, _ = steps(machine, history.head(10), 0, {8: made})
    values = live.memory.read(3).order_values[0, :2]
    assert values[:, col.LEFT].tolist() == [160.0, 40.0]
    assert values[:, col.LIMIT_AT].tolist() == [5.0, 12.0]


def test_nothing_is_changed_by_a_history_that_is_restated_by_nothing() -> None:
    history = some_bars(20)
    assert restated(history, ()) is history
