"""The decisions of one of our runs, carried out by another engine: `barograph crosscheck` runs this beside itself.

Nothing here imports Barograph: a peer may live in an environment of its own. A task is a folder of three files
(`bars.npz`, `orders.parquet`, `terms.json`), the answer two more (`fills.parquet`, `equity.npy`); the columns of the
orders are explained in `barograph.audit.decisions`, which writes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

__all__ = ["CLOSE", "OPEN", "TICKS", "Answer", "Task", "after_last", "at", "deal", "dealt", "fee", "grouped",
           "lasting", "read", "ticks", "write"]  # fmt: skip

FIELDS = ("open", "high", "low", "close")

# The moments of a bar at which an order can fill, and how many there are: a fill at the very close that was decided
# on comes after the equity point of that close.
OPEN, CLOSE, AFTER_CLOSE = range(3)
TICKS = 3


class Task(NamedTuple):
    """What to carry out: prices (T, N) without gaps, orders one row each, and the terms of the account."""

    open: Any
    high: Any
    low: Any
    close: Any
    orders: Any
    terms: dict[str, Any]


class Answer(NamedTuple):
    """What came of it: fills (bar, asset, quantity, price), and the equity at each close (T,)."""

    fills: Sequence[tuple[int, int, float, float]]
    equity: Any


def read(folder: Path) -> Task:
    """Return the task of a folder."""
    with np.load(folder / "bars.npz") as bars:
        prices: dict[str, Any] = {name: bars[name] for name in FIELDS}
    terms = json.loads((folder / "terms.json").read_text(encoding="utf-8"))
    orders = pd.read_parquet(folder / "orders.parquet")
    return Task(**prices, orders=orders, terms=terms)


def write(folder: Path, answer: Answer) -> None:
    """Leave the answer in the task's folder."""
    equity = np.asarray(answer.equity, dtype=np.float64)
    columns = list(zip(*(fill for fill in answer.fills if fill[0] < len(equity)), strict=True)) or [(), (), (), ()]
    kinds = {"bar": np.int64, "asset": np.int64, "quantity": np.float64, "price": np.float64}
    table = {name: np.array(column, dtype=kind) for (name, kind), column in zip(kinds.items(), columns, strict=True)}
    pd.DataFrame(table).to_parquet(folder / "fills.parquet")
    np.save(folder / "equity.npy", equity)


def fee(terms: dict[str, Any], quantity: float, price: float) -> float:
    """Return what a fill costs: a rate of its value and so much a unit, at least the minimum, and the fixed fee."""
    variable = abs(quantity) * (price * terms["fee"] + terms["unit_fee"])
    return float(max(terms["minimum_fee"], variable) + terms["fixed_fee"])


def deal(terms: dict[str, Any], side: float, price: float, low: float, high: float) -> float:
    """Return the price after slippage, which never leaves the bar."""
    slippage = float(terms["slippage"])
    if side > 0.0:
        return max(price, min(price * (1.0 + slippage), high))
    return min(price, max(price * (1.0 - slippage), low))


def ticks(task: Task) -> Any:
    """Return the prices of all moments one after another, (TICKS T, N): for peers that know one price a row."""
    return np.stack([task.open, task.close, task.close], axis=1).reshape(-1, task.open.shape[1])


def after_last(frame: pd.DataFrame) -> pd.DataFrame:
    """Add a bar that stands at the last close: a peer that fills at a close does so when the next bar comes."""
    last = frame.iloc[[-1]].assign(**dict.fromkeys(frame.columns, frame.iloc[-1]["close"]))
    return pd.concat([frame, last], ignore_index=True)


def lasting(orders: Any) -> Any:
    """Return the orders without those that are withdrawn at the very close they would be placed at."""
    return orders[orders.cancelled != orders.bar]


def grouped(orders: Any, by: Any) -> dict[int, list[Any]]:
    """Return the orders as rows, by the value of a column (or of a series)."""
    return {int(key): list(group.itertuples()) for key, group in orders.groupby(by)}


def at(order: Any) -> int:
    """Return the row of `ticks` at which an order fills."""
    return int(order.filled) * TICKS + int(order.moment)


def dealt(task: Task, order: Any) -> float:
    """Return the price after slippage of an order that fills at a moment known beforehand."""
    t, a = int(order.filled), int(order.asset)
    price = (task.open if order.moment == OPEN else task.close)[t, a]
    return deal(task.terms, math.copysign(1.0, order.quantity), price, task.low[t, a], task.high[t, a])
