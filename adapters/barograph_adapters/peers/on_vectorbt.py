"""vectorbt: a table of orders, one row a moment, all assets out of one cash pot."""

from __future__ import annotations

import importlib

import numpy as np

from barograph_adapters.peers import TICKS, Answer, Task, at, dealt, ticks

__all__ = ["replay"]


def replay(task: Task) -> Answer:
    """Carry out market orders; sizes are units, sales before purchases, the book valued at the price of the moment."""
    library = importlib.import_module("vectorbt")
    prices = ticks(task)
    size, price = np.full(prices.shape, np.nan), prices.copy()
    for order in task.orders.itertuples():
        size[at(order), order.asset], price[at(order), order.asset] = order.quantity, dealt(task, order)
    portfolio = library.Portfolio.from_orders(
        close=prices,
        size=size,
        price=price,
        size_type="amount",
        direction="both",
        val_price=prices,
        fees=task.terms["fee"],
        fixed_fees=task.terms["fixed_fee"],
        init_cash=task.terms["cash"],
        group_by=True,
        cash_sharing=True,
        call_seq="auto",
        freq="1D",
    )
    signs = np.array([1.0, -1.0])
    records = portfolio.orders.values
    fills = [(int(r["idx"]) // TICKS, int(r["col"]), signs[r["side"]] * r["size"], float(r["price"])) for r in records]
    return Answer(fills, portfolio.value().to_numpy()[1::TICKS])
