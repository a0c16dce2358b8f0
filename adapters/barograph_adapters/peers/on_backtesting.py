"""backtesting.py: one asset, trades closed first in first out, protective orders that belong to a trade."""

from __future__ import annotations

import importlib
import math
import warnings
from typing import Any

import pandas as pd

from barograph_adapters.peers import Answer, Task, after_last, deal, fee, grouped, lasting

__all__ = ["replay"]

# The share of a position's value the peer wants as margin: next to nothing, since what may be held was decided.
MARGIN = 1e-9
# Sizes must be whole numbers: units are cut into so many pieces that rounding to one is below a float's digits.
BITS = 50
# A position smaller than this part of the order that made it is none.
DUST = 1e-12
# What it calls our protective legs.
LEGS = {"stop_loss": "sl", "take_profit": "tp"}


def replay(task: Task) -> Answer:
    """Carry out market orders and protective stops and take-profits."""
    library = importlib.import_module("backtesting")
    # It prints a bar of progress as it goes, of which nobody here is the reader.
    vars(importlib.import_module("backtesting.backtesting"))["_tqdm"] = lambda bars, **_: bars
    piece, costs = _piece(task), _Costs(task)
    with warnings.catch_warnings():
        # It warns of an index without dates, of prices above the cash and of trades left open: all three are meant.
        warnings.simplefilter("ignore")
        stats = library.Backtest(
            _frame(task, piece),
            _script(library, task, piece, costs),
            cash=task.terms["cash"],
            commission=lambda size, price: costs.charge(size * piece, price / piece),
            margin=MARGIN,
            trade_on_close=task.terms["fill"] == "same_close",
        ).run()
    return Answer(_fills(stats["_strategy"], piece), stats["_equity_curve"]["Equity"].to_numpy()[1:-1])


def _piece(task: Task) -> float:
    """Return the power of two that is one piece: a price in it loses no digit."""
    largest = max(1.0, float(task.orders.quantity.abs().sum()))
    return float(2.0 ** (math.ceil(math.log2(largest)) - BITS))


def _frame(task: Task, piece: float) -> pd.DataFrame:
    """Return the bars, after one that nobody acts on: the peer's first decision is at its second bar."""
    columns = {"open": task.open, "high": task.high, "low": task.low, "close": task.close}
    frame = after_last(pd.DataFrame({name: values[:, 0] * piece for name, values in columns.items()}))
    return pd.concat([frame.iloc[:1], frame], ignore_index=True).rename(columns=str.capitalize)


class _Costs:
    """What a fill costs. The peer asks with the size of a *trade*: an exit is told by a trade more having closed."""

    def __init__(self, task: Task) -> None:
        self.task, self.closed = task, 0
        self.script: Any = None
        self.lag = 2 if task.terms["fill"] == "same_close" else 1

    def charge(self, size: float, price: float) -> float:
        script = self.script
        exits, self.closed = len(script.closed_trades) - self.closed, len(script.closed_trades)
        t, side = min(len(script.data) - 1 - self.lag, len(self.task.low) - 1), -size if exits else size
        paid = deal(self.task.terms, side, price, self.task.low[t, 0], self.task.high[t, 0])
        return fee(self.task.terms, size, paid) + abs(size) * abs(paid - price)


def _script(library: Any, task: Task, piece: float, costs: _Costs) -> Any:
    """Return a strategy that moves the position and its protection, at each close, as was decided there."""
    placed = grouped(task.orders[task.orders.kind == "market"], "bar")
    protection = task.orders[task.orders.role.isin(LEGS)]
    born, kept = grouped(protection, "bar"), grouped(lasting(protection), "bar")
    # With a fill at the close that was decided on, legs are born at that close.
    birth = 0 if task.terms["fill"] == "same_close" else 1
    withdrawn = grouped(task.orders, "cancelled")

    class Script(library.Strategy):  # type: ignore[misc]
        def init(self) -> None:
            costs.script = self
            self.left: list[tuple[Any, int]] = []
            self.levels: dict[str, float | None] = {"sl": None, "tp": None}

        def next(self) -> None:
            bar = len(self.data) - 2
            for leg in withdrawn.get(bar, []):
                self.protect(leg.role, None)
            for leg in kept.get(bar, []):
                self.protect(leg.role, leg.stop if leg.role == "stop_loss" else leg.limit)
            held = round(sum(trade.size for trade in self.trades))
            self.left = [(trade, round(abs(trade.size))) for trade in self.trades]
            for order in placed.get(bar, []):
                size = round(order.quantity / piece)
                after = round(order.after / piece) if math.isfinite(order.after) else held + size
                held = self.move(held, after, size, born.get(bar + birth, []))

        def protect(self, role: str, level: float | None) -> None:
            name = LEGS[role]
            price = None if level is None else level * piece
            self.levels[name] = price
            for trade in self.trades:
                setattr(trade, name, price)

        def move(self, held: int, after: int, size: int, born: Any) -> int:
            """Trade `size`, which makes a position of `after`.

            The two are told apart where the open also passes the position's stop: a target that turns round finds
            the position closed, one that adds makes it anew.
            """
            if abs(after) < DUST * abs(size):
                after = 0
            if held * after < 0:
                self.reduce(abs(held))
                self.enter(after, born)
            elif abs(after) < abs(held):
                self.reduce(abs(held) - abs(after))
            else:
                self.enter(size, None if held else born)
            return after

        def reduce(self, size: int) -> None:
            """Close the oldest trades first; the peer carries such orders out before any stop."""
            left, self.left = self.left, []
            for trade, units in left:
                part = min(size, units)
                if part:
                    trade.close(part / abs(trade.size))
                size -= part
                self.left.append((trade, units - part))

        def enter(self, size: int, born: Any) -> None:
            """Open a trade with the protection of the position, or with the legs that its fill will give birth to."""
            if size == 0:
                return
            levels = self.levels
            if born is not None:
                levels = {"sl": None, "tp": None}
                # The first of a role is born with the fill; a later one was decided at that bar's close.
                for leg in reversed(born):
                    name, price = ("sl", leg.stop) if leg.role == "stop_loss" else ("tp", leg.limit)
                    levels[name] = price * piece
            try:
                (self.buy if size > 0 else self.sell)(size=abs(size), **levels)
            except ValueError as error:
                # The words are the peer's, its prices in pieces.
                bar = len(self.data) - 2
                raise ValueError(
                    f"at bar {bar} it refuses an entry: its stop or take-profit is past the last close"
                ) from error

    return Script


def _fills(script: Any, piece: float) -> list[tuple[int, int, float, float]]:
    """Read entries and exits off the trades, without the bar that was put in front."""
    trades = [*script.closed_trades, *script.trades]
    entries = [(t.entry_bar - 1, 0, t.size * piece, t.entry_price / piece) for t in trades]
    exits = [(t.exit_bar - 1, 0, -t.size * piece, t.exit_price / piece) for t in script.closed_trades]
    return entries + exits
