"""backtrader: bars one after another, orders placed at a close and live from the next bar on."""

from __future__ import annotations

import importlib
from collections import defaultdict
from typing import Any

import pandas as pd

from barograph_adapters.peers import CLOSE, Answer, Task, after_last, fee, grouped, lasting

__all__ = ["replay"]

START = pd.Timestamp("2000-01-01")

# How much of a purchase's value the peer's cash must cover: next to nothing, since what may be bought was decided.
LEVERAGE = 1e6

KINDS = {
    "market": "Market",
    "limit": "Limit",
    "stop": "Stop",
    "stop_limit": "StopLimit",
    "trailing_stop": "StopTrail",
}


def replay(task: Task) -> Answer:
    """Carry out orders of every kind, one-cancels-other pairs and cancellations."""
    library = importlib.import_module("backtrader")
    cerebro = library.Cerebro(stdstats=False)
    for a in range(task.close.shape[1]):
        cerebro.adddata(library.feeds.PandasData(dataname=_frame(task, a)))
    cerebro.addstrategy(_script(library, task))
    broker = cerebro.broker
    broker.setcash(task.terms["cash"])
    broker.set_checksubmit(False)
    broker.set_coc(task.terms["fill"] == "same_close")
    broker.set_slippage_perc(task.terms["slippage"])
    broker.addcommissioninfo(_commission(library, task.terms))
    script = cerebro.run()[0]
    return Answer(script.fills, script.equity[:-1])


def _frame(task: Task, a: int) -> pd.DataFrame:
    columns = {"open": task.open, "high": task.high, "low": task.low, "close": task.close}
    frame = after_last(pd.DataFrame({name: values[:, a] for name, values in columns.items()}))
    return frame.set_index(pd.date_range(START, periods=len(frame), freq="D")).assign(volume=0.0)


def _commission(library: Any, terms: dict[str, Any]) -> Any:
    class Commission(library.CommInfoBase):  # type: ignore[misc]
        params = (("stocklike", True), ("commtype", library.CommInfoBase.COMM_PERC), ("leverage", LEVERAGE))

        def _getcommission(self, size: float, price: float, pseudoexec: bool) -> float:
            return fee(terms, size, price)

    return Commission()


def _script(library: Any, task: Task) -> Any:
    """Return a strategy that places and cancels at each close what was decided there."""
    placed, withdrawn = grouped(_adverse_first(lasting(task.orders)), "bar"), grouped(task.orders, "cancelled")

    class Script(library.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            self.fills: list[tuple[int, int, float, float]] = []
            self.equity: list[float] = []
            self.sent: dict[int, Any] = {}
            self.seen: defaultdict[int, int] = defaultdict(int)
            self.first = library.date2num(START)

        def next(self) -> None:
            bar = len(self) - 1
            self.equity.append(self.broker.getvalue())
            for order in withdrawn.get(bar, ()):
                if order.id in self.sent:
                    self.cancel(self.sent[order.id])
            pairs: dict[tuple[int, int], Any] = {}
            for order in placed.get(bar, ()):
                pair = order.asset, order.group
                sent = self.send(order, pairs.get(pair))
                self.sent[order.id] = sent
                if order.group:
                    pairs.setdefault(pair, sent)

        def send(self, order: Any, other: Any) -> Any:
            words: dict[str, Any] = {
                "exectype": getattr(library.Order, "Close" if order.moment == CLOSE else KINDS[order.kind]),
                "oco": other,
            }
            if order.kind == "limit":
                words["price"] = order.limit
            elif order.kind in ("stop", "stop_limit"):
                words["price"] = order.stop
            if order.kind == "stop_limit":
                words["plimit"] = order.limit
            if order.kind == "trailing_stop":
                words["trailpercent" if order.percent else "trailamount"] = order.trail
            if order.last >= 0:
                words["valid"] = (START + pd.Timedelta(days=order.last)).to_pydatetime()
            side = self.buy if order.quantity > 0.0 else self.sell
            return side(data=self.datas[order.asset], size=abs(order.quantity), **words)

        def notify_order(self, order: Any) -> None:
            """Keep each execution: one that turns a position round leaves a crumb behind, which fills a bar later."""
            bits = order.executed.exbits
            for bit in list(bits)[self.seen[order.ref] :]:
                self.fills.append((round(bit.dt - self.first), self.datas.index(order.data), bit.size, bit.price))
            self.seen[order.ref] = len(bits)

    return Script


def _adverse_first(orders: Any) -> Any:
    """Order what is placed at one close: of a pair that one bar touches, backtrader fills the one sent first.

    Our pessimistic path meets a stop before a limit, and of two alike the nearer one.
    """
    late = orders.kind.eq("limit")
    nearer = orders.limit.where(late, -orders.stop).fillna(0.0) * -orders.quantity.map(lambda q: 1.0 if q > 0 else -1.0)
    return orders.assign(late=late, nearer=nearer).sort_values(["late", "nearer", "id"], kind="stable")
