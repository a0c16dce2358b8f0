"""bt: one price a row, so every moment of a bar is a row; algos transact units at a price of our choosing."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pandas as pd

from barograph_adapters.peers import TICKS, Answer, Task, dealt, fee, grouped, ticks

__all__ = ["replay"]


def replay(task: Task) -> Answer:
    """Carry out market orders. bt charges the fee we hand it and pays slippage as a spread."""
    library = importlib.import_module("bt")
    prices = ticks(task)
    names = [f"a{a}" for a in range(prices.shape[1])]
    index = pd.date_range("2000-01-01", periods=len(prices), freq="D")
    frame = pd.DataFrame(prices, index=index, columns=names)
    orders = grouped(task.orders, task.orders.filled * TICKS + task.orders.moment)

    def trade(target: Any) -> bool:
        # bt puts an empty row before the first one.
        for order in orders.get((target.now - index[0]).days, []):
            target[names[order.asset]].transact(order.quantity, price=dealt(task, order))
        return True

    strategy = library.Strategy("script", [trade], children=[library.Security(name) for name in names])
    test = library.Backtest(
        strategy,
        frame,
        initial_capital=task.terms["cash"],
        commissions=lambda quantity, price: fee(task.terms, quantity, price),
        integer_positions=False,
        additional_data={"bidoffer": frame * 0.0},
    )
    test.run()
    return Answer(_fills(task, test.strategy, names), test.strategy.values.to_numpy()[1:][1::TICKS])


def _fills(task: Task, strategy: Any, names: list[str]) -> list[tuple[int, int, float, float]]:
    """Read the fills off what each security held and paid: bt keeps no list of them."""
    fills = []
    for a, name in enumerate(names):
        held, paid = strategy.children[name].positions.to_numpy(), strategy.children[name].outlays.to_numpy()
        units = np.diff(held)
        for row in np.flatnonzero(units):
            fills.append((int(row) // TICKS, a, float(units[row]), float(paid[row + 1] / units[row])))
    return fills
