"""The report's tables of intent: what was ordered, what of it never became a position, and what befell the account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.execution.events import AS_WANTED, NEWER, OTHER_FILLED, REASONS, STATUS, UNPROTECTED
from barograph.report.folder import Run
from barograph.report.tables import Row, Table, day
from barograph.report.words import bound_rows, bound_words, counted, money, number, percent

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["bound_table", "bound_verdict", "events", "intent_words", "kinds", "unfilled"]

STATES = (*STATUS.values(), "open")
MOST_EVENTS = 30
# A fill that is not all that was wanted says so in its reason.
WHOLE = REASONS[AS_WANTED]
# How a protective leg ends when it was not needed: nothing was missed.
SPARED = tuple(REASONS[reason] for reason in (OTHER_FILLED, UNPROTECTED, NEWER))

# The gravest first.
SAID = {
    "margin_call": "equity fell below maintenance",
    "margin_warning": "equity fell below the warning level",
    "guard": "a guard began to hold",
    "released": "a guard let go",
    "delisted": "the asset's market ended",
    "split": "shares were split",
    "dividend": "a dividend was paid",
    "triggered": "a stop's price traded, and it waits as a limit or for volume",
}


def kinds(run: Run) -> Table:
    """Return how the orders of each kind and role ended."""
    orders = run.tables["orders"]
    shown = [state for state in STATES if (orders["status"] == state).any()]
    partly = _partly(orders)
    rows = []
    for (kind, role), part in sorted(orders.groupby(["kind", "role"]), key=_given_first):
        ended = tuple(number((part["status"] == state).sum(), 0) for state in shown)
        rows.append(Row((_name(kind, role), number(len(part), 0), *ended, number(partly[part.index].sum(), 0))))
    return Table(("order", "all", *shown, "in part"), rows, texts=("order",))


def unfilled(run: Run) -> Table:
    """Return the intent that did not become a position, by order and reason: how many, their share, and how much.

    Protective legs that were not needed are no such intent; `intent_words` counts them.
    """
    orders = run.tables["orders"]
    orders = orders.assign(reason=orders["reason"].fillna(""), partly=_partly(orders))
    rows = []
    missed = orders[((orders["status"] != "filled") | orders["partly"]) & ~_spared(orders)]
    groups = missed.groupby(["kind", "role", "status", "reason"])
    for (kind, role, status, reason), part in sorted(groups, key=_given_first):
        share = percent(len(part) / len(orders))
        span = (day(part["ts"].iloc[0]), day(part["ts"].iloc[-1]))
        rows.append(
            Row((_name(kind, role), str(status), str(reason), number(len(part), 0), share, _asked(part), *span))
        )
    columns = ("order", "ended", "because", "orders", "of all", "asked, on average", "first", "last")
    return Table(columns, rows, texts=("order", "ended", "because"), longs=("because",))


def intent_words(run: Run) -> str:
    """Say how much of what was wanted came about."""
    orders = run.tables["orders"]
    entries = orders[orders["role"] == "entry"]
    if entries.empty:
        return "No order was given."
    whole = (entries["status"] == "filled") & ~_partly(entries)
    given = "1 order was given" if len(entries) == 1 else f"{len(entries):,} orders were given"
    said = f"{given}; {percent(whole.mean())} filled as wanted."
    sold = int((orders["role"] == "liquidation").sum())
    legs, spared = len(orders) - len(entries) - sold, int(_spared(orders).sum())
    if legs:
        said += f" {counted(legs, 'protective leg')} stood by them; {spared:,} ended without being needed."
    return said + (f" {counted(sold, 'liquidation')} followed margin calls." if sold else "")


def _spared(orders: pd.DataFrame) -> pd.Series[bool]:
    """Tell which protective legs ended without being needed."""
    legs = ~orders["role"].isin(["entry", "liquidation"])
    return legs & (orders["status"] == "cancelled") & orders["reason"].isin(SPARED) & (orders["quantity"] == 0.0)


def _given_first(group: Any) -> Any:
    """Order groups by what they are of (kind, role, and more), those that were given before their legs."""
    return group[0][1] != "entry", group[0]


def _name(kind: Any, role: Any) -> str:
    words, part = str(kind).replace("_", " "), str(role).replace("_", " ")
    return words if role == "entry" else f"{part} leg" if words == part else f"{part} ({words})"


def _partly(orders: pd.DataFrame) -> pd.Series[bool]:
    """Tell which orders filled, but not as far as was wanted."""
    return (orders["quantity"] != 0.0) & (orders["reason"] != WHOLE)


def _asked(part: pd.DataFrame) -> str:
    """Say what the orders of a row asked for: a weight, a value where there is a price, or units."""
    if part["weight"].notna().any():
        return f"{percent(part['weight'].abs().mean())} of equity"
    level = part["limit"].fillna(part["stop"])
    if level.notna().any():
        return f"{money((part['asked'].abs() * level).mean())} of value"
    asked = part["asked"].abs().mean()
    return "–" if np.isnan(asked) else f"{number(asked)} units"


def events(run: Run) -> Table:
    """Return what befell the account beside fills: margin, guards, actions, triggered orders; the gravest first.

    A column with nothing in it is left out.
    """
    table = run.tables["events"].assign(money=lambda t: t["quantity"] * t["price"])
    table = table.assign(grave=table["event"].map({event: n for n, event in enumerate(SAID)}))
    groups = list(table.groupby(["grave", "event", "asset", "reason"], sort=True))
    rows = [_event(str(event), str(asset), str(why), part) for (_, event, asset, why), part in groups[:MOST_EVENTS]]
    if len(groups) > MOST_EVENTS:
        rows.append(Row((f"and {len(groups) - MOST_EVENTS:,} more in events.parquet", *[""] * 6)))
    columns = ("what", "asset", "because", "times", "money", "first", "last")
    full = [n for n in range(len(columns)) if any(row.cells[n] for row in rows)]
    rows = [row._replace(cells=tuple(row.cells[n] for n in full)) for row in rows]
    return Table(tuple(columns[n] for n in full), rows, texts=("what", "asset", "because"), longs=("what", "because"))


def _event(event: str, asset: str, reason: str, part: pd.DataFrame) -> Row:
    paid = money(part["money"].sum()) if event in ("dividend", "delisted") else ""
    why = "" if event.startswith("margin") else reason
    cells = (SAID.get(event, event), asset, why, number(len(part), 0), paid)
    mark = "flag" if event in ("margin_call", "guard") else ""
    return Row((*cells, day(part["ts"].iloc[0]), day(part["ts"].iloc[-1])), mark=mark)


def bound_table(run: Run) -> Table:
    """Return the [pessimistic, optimistic] interval of the main figures; no rows where nothing rested in a bar."""
    resting = run.bounds is not None and run.bounds["resting"]
    rows = [Row(row) for row in bound_rows(run.bounds)] if resting and run.bounds else []
    return Table(("", "[pessimistic, optimistic]", "nearest"), rows, texts=("",))


def bound_verdict(run: Run) -> str:
    """Say whether the verdict depends on the path, or nothing where bounds were not asked for."""
    return "" if run.bounds is None else bound_words(run.bounds)
