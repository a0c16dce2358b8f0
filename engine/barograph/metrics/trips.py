"""Fills into round trips: what was bought, what it was sold for, and what is still held.

A round trip lasts from flat to flat. Additions and reductions inside it are averaged: the cost of a unit is the
average price paid for what is held, a reduction realises price − average cost, and leaves that cost as it was. A fill
that crosses zero is split: it ends one trip and begins the next. What is still held at the end is a trip of its own,
marked `open`, so that realised and unrealised profits are never added up unseen. The fee of a fill goes with its
units.

Dividends belong to the trip that held the shares, and go with its units as fees do; a short pays them. A split is no
trade: all quantities of a trip are told in units as they are at its end, and prices with them. A delisting is an exit
at the final price, without a fee.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "round_trips"]

COLUMNS = (
    "asset",
    "entry_ts",
    "exit_ts",
    "quantity",
    "entry_price",
    "exit_price",
    "profit",
    "fees",
    "open",
    "dividends",
)

# Units left below this share of a trip's largest position are the rounding of weight → units, not a position.
_DUST = 1e-9


@dataclass
class _Trip:
    """A position being built and taken down; quantities are unsigned, `side` is 1 for long and −1 for short."""

    asset: str
    side: int
    entry_ts: Any
    exit_ts: Any = None
    held: float = 0.0
    largest: float = 0.0
    cost: float = 0.0  # average price of a unit held
    fee: float = 0.0  # average entry fee of a unit held
    income: float = 0.0  # average dividend received by a unit held
    closed: float = 0.0
    paid: float = 0.0
    received: float = 0.0
    fees: float = 0.0
    dividends: float = 0.0

    def add(self, quantity: float, price: float, fee: float) -> None:
        held = self.held + quantity
        self.cost += (price - self.cost) * quantity / held
        self.fee = (self.fee * self.held + fee) / held
        self.income = self.income * self.held / held
        self.held = held
        self.largest = max(self.largest, held)

    def reduce(self, ts: Any, quantity: float, price: float, fee: float) -> None:
        self.exit_ts = ts
        self.closed += quantity
        self.paid += quantity * self.cost
        self.received += quantity * price
        self.fees += quantity * self.fee + fee
        self.dividends += quantity * self.income
        self.held -= quantity

    def split(self, ratio: float) -> None:
        """Tell all units in new shares; what was paid and received for them stays."""
        self.held, self.largest, self.closed = self.held * ratio, self.largest * ratio, self.closed * ratio
        self.cost, self.fee, self.income = self.cost / ratio, self.fee / ratio, self.income / ratio

    def rows(self, mark: float, unfinished: Any) -> list[tuple[Any, ...]]:
        """Return the realised part and, where something is still held, the open part."""
        found = []
        if self.closed > 0:
            entry, leave = self.paid / self.closed, self.received / self.closed
            found.append(self._row(self.exit_ts, self.closed, (entry, leave), self.fees, self.dividends, False))
        if self.held > 0:
            prices, fees = (self.cost, mark), self.held * self.fee
            found.append(self._row(unfinished, self.held, prices, fees, self.held * self.income, True))
        return found

    def _row(
        self, end: Any, units: float, prices: tuple[float, float], fees: float, paid: float, held: bool
    ) -> tuple[Any, ...]:
        entry, leave = prices
        quantity, dividends = self.side * units, self.side * paid
        profit = quantity * (leave - entry) - fees + dividends
        return (self.asset, self.entry_ts, end, quantity, entry, leave, profit, fees, held, dividends)


def round_trips(
    fills: pd.DataFrame, last_prices: Mapping[str, float] | None = None, events: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Pair fills, in their order, into round trips by average cost; `last_prices` holds each asset's last price.

    `events` brings splits (price: new shares for an old one), dividends (price: cash a share) and delistings (price:
    what a share paid), with `ts` and `asset`; those of a bar come before its fills.

    Columns: asset, entry_ts (first entry), exit_ts (last exit; NaT while open), quantity (signed units), entry_price
    and exit_price (averages, with slippage; the mark while open, NaN without one), profit (money, after fees and with
    dividends; not yet realised while open), fees, open, dividends (money, negative when owed). Sorted by entry, then
    asset; the closed part of a position comes before the part still open.

    >>> import pandas as pd
    >>> day = pd.to_datetime(["2024-01-02", "2024-01-03", "2024-01-04"], utc=True)
    >>> fills = pd.DataFrame({"ts": day, "asset": "SPY", "quantity": [2.0, -3.0, 1.0],
    ...                       "price": [100.0, 110.0, 105.0], "fee": [0.0, 0.0, 0.0]})
    >>> round_trips(fills)[["quantity", "entry_price", "exit_price", "profit", "open"]].values.tolist()
    [[2.0, 100.0, 110.0, 20.0, False], [-1.0, 110.0, 105.0, 5.0, False]]
    """
    import pandas as pd

    finished, pending = _pair(fills, _actions(events))
    unfinished = pd.NaT
    rows = [row for trip in finished for row in trip.rows(math.nan, unfinished)]
    known = last_prices or {}
    rows += [row for trip in pending for row in trip.rows(known.get(trip.asset, math.nan), unfinished)]
    rows.sort(key=lambda row: (row[1], row[0], row[8]))
    return _table(rows)


def _actions(events: pd.DataFrame | None) -> list[tuple[Any, str, str, float]]:
    """Return what splits, pays and ends holdings, in its order."""
    if events is None:
        return []
    rows = events[events["event"].isin(["split", "dividend", "delisted"])]
    return list(zip(*(rows[name].tolist() for name in ("ts", "event", "asset", "price")), strict=True))


def _pair(fills: pd.DataFrame, actions: list[tuple[Any, str, str, float]]) -> tuple[list[_Trip], list[_Trip]]:
    finished: list[_Trip] = []
    pending: dict[str, _Trip] = {}
    due = iter(actions)
    action = next(due, None)
    names = ("ts", "asset", "quantity", "price", "fee")
    for ts, asset, signed, price, fee in zip(*(fills[name].tolist() for name in names), strict=True):
        while action is not None and action[0] <= ts:
            _act(pending, finished, *action)
            action = next(due, None)
        if signed == 0:
            continue
        left = _close(pending, finished, ts, asset, signed, price, fee)
        if left > 0:
            side = 1 if signed > 0 else -1
            trip = pending.setdefault(asset, _Trip(asset, side, ts))
            trip.add(left, price, fee * left / abs(signed))
    while action is not None:
        _act(pending, finished, *action)
        action = next(due, None)
    return finished, list(pending.values())


def _act(pending: dict[str, _Trip], finished: list[_Trip], ts: Any, event: str, asset: str, price: float) -> None:
    """Let a corporate action change the position it finds; where there is none it changes nothing."""
    trip = pending.get(asset)
    if trip is None:
        return
    if event == "split":
        trip.split(price)
    elif event == "dividend":
        trip.income += price
    else:
        trip.reduce(ts, trip.held, price, 0.0)
        finished.append(pending.pop(asset))


def _close(
    pending: dict[str, _Trip], finished: list[_Trip], ts: Any, asset: str, signed: float, price: float, fee: float
) -> float:
    """Let a fill take down the opposite position; return the units it has left to open or add with."""
    trip = pending.get(asset)
    units = abs(signed)
    if trip is None or trip.side * signed > 0:
        return units
    # A sale of all but the rounding of a position is a sale of all; its units are the position's.
    nearly = abs(units - trip.held) <= _DUST * trip.largest
    taken = trip.held if nearly else min(units, trip.held)
    left = 0.0 if nearly else units - taken
    trip.reduce(ts, taken, price, fee * (units - left) / units)
    if trip.held == 0:
        finished.append(pending.pop(asset))
    return left


def _table(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in ("entry_ts", "exit_ts"):
        # A column of nothing but NaT has no zone to convert from.
        table[name] = pd.to_datetime(table[name], utc=True).dt.as_unit("us")
    kinds: dict[str, Any] = {"asset": "str", "open": "bool"}
    kinds |= dict.fromkeys(("quantity", "entry_price", "exit_price", "profit", "fees", "dividends"), "float64")
    return table.astype(kinds)
