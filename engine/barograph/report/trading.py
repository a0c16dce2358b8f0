"""Tables of trades: each with its length, return and excursions, and each asset's part of the profit."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from barograph.report.folder import Run
from barograph.report.tables import Row, Table, day
from barograph.report.words import money, number, percent

__all__ = ["by_symbol", "trade_words", "trades"]

MOST_TRADES: Final = 2000
_CENT: Final = 0.005


def trade_words(run: Run) -> str:
    """Say how many round trips there were and how they ended."""
    table = run.tables["trades"]
    # What was taken off a position that is still there is no round trip.
    trip = table["asset"] + " " + table["entry_ts"].astype("str")
    unfinished = trip.isin(trip[table["open"].astype(bool)])
    closed, held = table[~unfinished], int(table["open"].sum())
    partly = int(unfinished.sum()) - held
    still = (
        f" {held:,} still open at the end{f', {partly:,} of them closed in part' if partly else ''}." if held else ""
    )
    if closed.empty:
        return f"No round trip was finished.{still}"
    won = closed["profit"] > 0
    days = (closed["exit_ts"] - closed["entry_ts"]).dt.total_seconds().mean() / 86400
    gained, lost = closed.loc[won, "profit"].sum(), -closed.loc[~won, "profit"].sum()
    factor = f"; gains were {number(gained / lost)} times the losses" if lost > 0 else ""
    return (
        f"{len(closed):,} round trips finished, {percent(won.mean(), 0)} with a profit, {number(days, 1)} days long on "
        f"average{factor}.{still}"
    )


def trades(run: Run) -> Table:
    """Return every trade in its order, of very many the largest gains and losses."""
    table = run.tables["trades"]
    if len(table) > MOST_TRADES:
        largest = table["profit"].abs().sort_values(ascending=False, kind="stable").index[:MOST_TRADES]
        table = table.loc[sorted(largest)]
    columns = ("asset", "from", "to", "bars", "units", "entry", "exit", "return", "worst", "best", "profit", "fees")
    rows = [_trade(row) for row in table.to_dict("records")]
    return Table(columns, rows, texts=("asset", "from", "to"), sortable=True)


def _trade(row: dict[Any, Any]) -> Row:
    until = "open" if row["open"] else day(row["exit_ts"])
    units = number(row["quantity"], 0 if abs(row["quantity"]) >= 1000 else 3)
    prices = (_price(row["entry_price"]), _price(row["exit_price"]))
    ways = (percent(row[name], 2) for name in ("return", "worst", "best"))
    cells = (row["asset"], day(row["entry_ts"]), until, number(row["bars"], 0), units, *prices, *ways)
    return Row((*cells, money(row["profit"]), money(row["fees"])))


def _price(value: float) -> str:
    """Return a price with as many digits as it takes to tell a small one."""
    small = 0 < abs(value) < 10
    return number(value, max(2, 4 - math.floor(math.log10(abs(value)))) if small else 2)


def by_symbol(run: Run) -> Table:
    """Return each asset's profit, realised and not, and what interest took: they add up to the change of equity."""
    table = run.tables["trades"]
    rows = []
    for asset, part in sorted(table.groupby("asset"), key=lambda group: -float(group[1]["profit"].sum())):
        still = part["open"].astype(bool)
        sums = [math.fsum(part.loc[chosen, "profit"]) for chosen in (~still, still)]
        rest = [math.fsum(part[name]) for name in ("dividends", "fees")]
        cells = (number(int((~still).sum()), 0), *(money(value) for value in (*sums, *rest)))
        rows.append(Row((str(asset), *cells, money(math.fsum(part["profit"])))))
    paid = math.fsum(run.tables["equity"]["financing"])
    if abs(paid) >= _CENT:
        rows.append(Row(("interest and borrow fees", "", "", "", "", "", money(-paid))))
    whole = money(float(run.equity[-1] - run.equity[0]))
    rows.append(Row(("all", number(int(np.sum(~table["open"].astype(bool))), 0), "", "", "", "", whole), mark="total"))
    columns = ("asset", "closed trades", "realised", "not yet", "of it dividends", "fees, taken off", "profit")
    return Table(columns, rows, texts=("asset",))
