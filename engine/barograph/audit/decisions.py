"""A run's orders as the decisions another engine can carry out, and its fills and bars as both sides count them.

Columns of a task's `orders.parquet`: id; bar, the close it was decided at; asset, a column; kind; role; quantity,
signed units; limit, stop, prices or NaN; last, the last bar it may trade in, or -1; cancelled, the close it was
withdrawn at, or -1; group, shared by orders of which one cancels the others, or 0; filled and moment, for orders that
fill at a known time: the bar, and 0 its open, 1 its close, 2 after its close; after, the units held once a target has
filled, or NaN. Bars count from the first decision.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from barograph.audit.peers import TIMED, slippage
from barograph.epoch import DAY
from barograph.execution.events import NO_REDUCTION, NO_SHORTS, OTHER_FILLED, REASONS

if TYPE_CHECKING:
    from barograph.loop.result import Result

__all__ = ["decisions", "fills_of", "write_task"]

OPEN, CLOSE, AFTER_CLOSE = range(3)
_CRUMB: Final = 1e-12
_MOMENTS: Final = {"next_open": OPEN, "next_close": CLOSE, "same_close": AFTER_CLOSE}
# An order that ends so was ended by what happened in the bar, not by a decision at its close.
_HAPPENED: Final = tuple(REASONS[r] for r in (OTHER_FILLED, NO_REDUCTION, NO_SHORTS))


def write_task(result: Result, folder: Path) -> None:
    """Write what a peer needs of a run into a folder: bars, orders, terms."""
    history, rows = result.history, slice(result.first, None)
    close = _carried(history.close[rows])
    others = {name: getattr(history, name)[rows] for name in ("open", "high", "low")}
    # An asset without a bar stands at its last price; nothing trades there.
    bars = {name: np.where(np.isnan(values), close, values) for name, values in others.items()}
    np.savez(folder / "bars.npz", close=close, **bars)
    decisions(result).to_parquet(folder / "orders.parquet")
    machine = result.machine
    names = ("cash", "fill", "fee", "unit_fee", "fixed_fee", "minimum_fee")
    terms = {name: getattr(machine.terms, name) for name in names} | {"slippage": slippage(machine)}
    (folder / "terms.json").write_text(json.dumps(terms), encoding="utf-8")


def _carried(close: Any) -> Any:
    import pandas as pd

    return pd.DataFrame(close).ffill().bfill().to_numpy()


def _bar_of(result: Result, ts: Any) -> Any:
    """Return the bars, counted from the first decision, of closes as the tables hold them; -1 for none."""
    stamps = result.history.ts // 1000
    bars = np.searchsorted(stamps, ts.dt.tz_localize(None).astype(np.int64).to_numpy())
    return np.where(ts.isna(), -1, bars - result.first)


def decisions(result: Result) -> Any:
    """Return the run's orders as decisions; the columns are explained at the head of this module."""
    import pandas as pd

    orders: Any = result.tables["orders"]
    fills: Any = fills_of(result)
    kinds = orders.set_index("id")
    timed = fills[fills.order.map(kinds.kind).isin(TIMED).to_numpy()]
    filled = fills.groupby("order").quantity.sum()
    columns = ["id", "bar", "asset", "kind", "role", "quantity", "limit", "stop", "last", "cancelled", "group"]
    market: Any = pd.DataFrame(
        {"id": timed.order, "asset": timed.asset, "quantity": timed.quantity, "filled": timed.bar}
    )
    market["after"] = _after(fills)[timed.index].where(market.id.map(kinds.weight).notna())
    market["kind"], market["role"] = market.id.map(kinds.kind), market.id.map(kinds.role)
    market["moment"] = [_moment(o.kind, o.role, result.machine.terms.fill) for o in market.itertuples()]
    market["bar"] = market.filled - (market.moment != AFTER_CLOSE)
    # What never came to trade for want of room, or by a guard, is no order for anybody else either.
    resting = orders[~orders.kind.isin(TIMED) & orders.status.ne("rejected")].copy()
    resting["asset"] = resting.asset.map(result.history.column)
    resting["quantity"] = resting.id.map(filled).fillna(resting.asked)
    resting["bar"] = _bar_of(result, resting.ts)
    resting["last"] = [_last(result, o) for o in resting.itertuples()]
    resting["cancelled"] = _withdrawn(result, resting, market)
    rows = pd.concat([resting[columns], market], ignore_index=True)
    whole = {"last": -1, "cancelled": -1, "group": 0, "filled": -1, "moment": -1}
    rows = rows.fillna({**whole, "limit": np.nan, "stop": np.nan}).astype(dict.fromkeys(whole, np.int64))
    # Of what one open fills, liquidations come first.
    rows = rows.assign(later=rows.role.ne("liquidation")).sort_values(["bar", "later", "id"], kind="stable")
    return rows.drop(columns="later").reset_index(drop=True)


def _after(fills: Any) -> Any:
    """Return the units held after each fill; sums of what cancels leave no crumbs."""
    held = fills.groupby("asset").quantity.cumsum()
    largest = fills.groupby("asset").quantity.transform(lambda q: q.abs().max())
    return held.where(held.abs() > _CRUMB * largest, 0.0)


def _moment(kind: str, role: str, fill: str) -> int:
    """Return at which moment of its bar an order fills; a liquidation never waits for the close."""
    if kind == "market_on_close":
        return CLOSE
    return OPEN if role == "liquidation" else _MOMENTS[fill]


def _last(result: Result, order: Any) -> int:
    """Return the last bar an order may trade in, from its life alone."""
    ts = result.history.ts
    if order.life == "DAY":
        first = result.first + order.bar + 1
        days = (ts - 1) // DAY
        return int(np.searchsorted(days, days[first], side="right")) - 1 - result.first if first < len(ts) else -1
    if order.life == "GTD":
        until = order.until.tz_localize(None).as_unit("ns").value
        # At once over: the bar it was decided at, so that it never trades.
        return max(int(order.bar), int(np.searchsorted(ts, until, side="right")) - 1 - result.first)
    return -1


def _withdrawn(result: Result, resting: Any, market: Any) -> list[int]:
    """Return the closes at which orders were withdrawn by a decision, or -1.

    Protection that goes because a market order closes the position, or turns it round, goes with that decision.
    """
    ends = _bar_of(result, resting.end_ts)
    closing = set(zip(market.filled[market.moment == OPEN], market.asset[market.moment == OPEN], strict=True))
    held = _held(result)
    bars = []
    for order, end in zip(resting.itertuples(), ends, strict=True):
        protects = order.role == "entry" or held[end, order.asset] * order.asked < 0.0
        if order.status != "cancelled" or order.reason in _HAPPENED:
            bars.append(-1)
        elif protects:
            bars.append(int(end))
        else:
            bars.append(int(end) - ((end, order.asset) in closing))
    return bars


def _held(result: Result) -> Any:
    """Return the units held at each close (n, N)."""
    moved = np.zeros((len(result.arrays.equity), len(result.history.symbols)))
    fills = fills_of(result)
    np.add.at(moved, (fills.bar.to_numpy(), fills.asset.to_numpy()), fills.quantity.to_numpy())
    held = np.cumsum(moved, axis=0)
    return np.where(np.abs(held) > _CRUMB * np.abs(moved).max(axis=0), held, 0.0)


def fills_of(result: Result, costs_in_price: bool = True) -> Any:
    """Return our fills by bar and column; without costs the price is that before slippage."""
    import pandas as pd

    fills: Any = result.tables["fills"]
    slip = 0.0 if costs_in_price else fills.slippage / fills.quantity
    return pd.DataFrame(
        {
            "bar": _bar_of(result, fills.ts),
            "asset": fills.asset.map(result.history.column).astype(np.int64),
            "order": fills.order_id,
            "quantity": fills.quantity,
            "price": fills.price - slip,
        }
    )
