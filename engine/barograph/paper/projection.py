"""Projections: the rows of the tables that an entry of the journal stands for, the same words as in a run folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.execution.events import (
    BORN,
    CALLED_IN,
    CANCELLED,
    DIVIDEND,
    EVENTS,
    EXPIRED,
    FILLED,
    LOG_COLUMNS,
    PARTIAL,
    REASONS,
    REJECTED,
    ROLES,
    SPELLED,
    SPLIT,
    TRIGGERED,
)
from barograph.orders import KINDS, LIVES
from barograph.paper.journal import floats

__all__ = ["TABLES", "Rows", "project"]

TABLES: Final = ("bars", "equity", "positions", "beliefs", "orders", "fills", "events", "parameters", "alerts")
"""The tables that `project` has rows for."""
_STATUS: Final = {FILLED: "filled", CANCELLED: "cancelled", REJECTED: "rejected", EXPIRED: "expired"}
_EQUITY: Final = ("equity", "cash", "gross", "net", "fees", "financing")
BARS: Final = ("open", "high", "low", "close", "volume", "dividend", "split", "final")
_NEVER: Final = (TRIGGERED, DIVIDEND, SPLIT)


class Rows(NamedTuple):
    """New rows by table, and what became of orders that were there before: (order id, filled now, columns set)."""

    new: dict[str, list[dict[str, Any]]]
    orders: list[tuple[int, float, dict[str, Any]]]


def project(kind: str, content: Any, symbols: Sequence[str]) -> Rows:
    """Return the rows of one entry of the journal."""
    if kind == "cycle":
        return _cycle(content, symbols)
    if kind == "fit":
        keys = ("ts", "first", "last", "observations", "log_likelihood", "converged", "digest")
        row = {key: content[key] for key in keys}
        return Rows({"parameters": [{**row, "summary": _text(content["summary"]), "model": ""}]}, [])
    return Rows({}, [])


def _cycle(content: Any, symbols: Sequence[str]) -> Rows:
    ts = content["ts"]
    log = floats(content["events"])
    new: dict[str, list[dict[str, Any]]] = {
        "bars": list(_bars(content, symbols)),
        "equity": [{"ts": ts, **dict(zip(_EQUITY, floats(content["equity"]).tolist(), strict=True))}],
        "positions": list(_positions(content, symbols)),
        "beliefs": [_belief(content)],
        "orders": [],
        "fills": [],
        "events": [],
        "alerts": [{**alert, "facts": _text(alert["facts"])} for alert in content["alerts"]],
    }
    changed: list[tuple[int, float, dict[str, Any]]] = []
    for row in log:
        _event(row, ts, [*symbols, ""], new, changed)
    return Rows(new, changed)


def _text(content: Any) -> str:
    return json.dumps(content, sort_keys=True)


def _bars(content: Any, symbols: Sequence[str]) -> Any:
    for symbol, bar in zip(symbols, content["bars"], strict=True):
        values = dict(zip(BARS, floats(bar).tolist(), strict=True))
        yield {"number": content["bar"], "ts": content["ts"], "symbol": symbol, **values, "source": content["source"]}


def _positions(content: Any, symbols: Sequence[str]) -> Any:
    quantities, prices = floats(content["positions"])
    for symbol, quantity, price, weight in zip(symbols, quantities, prices, floats(content["weights"]), strict=True):
        if quantity != 0.0:
            held = {"quantity": float(quantity), "price": float(price), "weight": float(weight)}
            yield {"ts": content["ts"], "symbol": symbol, **held}


def _belief(content: Any) -> dict[str, Any]:
    *probabilities, logpdf = floats(content["belief"]).tolist()
    regime = int(np.argmax(probabilities))
    told = _text([None if p != p else p for p in probabilities])
    sure = {"regime": regime, "probability": probabilities[regime], "logpdf": logpdf}
    return {"ts": content["ts"], **sure, "probabilities": told}


def _event(row: Any, ts: int, names: Sequence[str], new: Any, changed: Any) -> None:
    """Sort one row of the order log into the tables; its time is the bar's own."""
    what, order, symbol = int(row[0]), int(row[1]), names[int(row[3])]
    if what == BORN:
        new["orders"].append(_order(row, ts, symbol))
        return
    if what in (FILLED, PARTIAL):
        words = ("quantity", "price", "fee", "slippage")
        figures = dict(zip(words, row[5:9].tolist(), strict=True))
        new["fills"].append({"ts": ts, "order_id": order, "symbol": symbol, **figures, "reason": REASONS[int(row[9])]})
    if what in (FILLED, PARTIAL, *_STATUS):
        ended = {"status": _STATUS[what], "reason": REASONS[int(row[9])], "end_ts": ts} if what in _STATUS else {}
        _change(order, float(row[5]) if what in (FILLED, PARTIAL) else 0.0, ended, new, changed)
    if what >= TRIGGERED:
        reason = "" if what in _NEVER else REASONS[int(row[9])]
        told = {"event": EVENTS[what], "symbol": symbol, "order_id": order, "reason": reason}
        new["events"].append({"ts": ts, **told, "quantity": float(row[5]), "price": float(row[6])})


def _change(order: int, filled: float, ended: dict[str, Any], new: Any, changed: Any) -> None:
    """Change an order born at this bar where it stands, any other one in the table."""
    here = next((row for row in new["orders"] if row["order_id"] == order), None)
    if here is None:
        changed.append((order, filled, ended))
    else:
        here.update(ended, quantity=here["quantity"] + filled)


def _order(row: Any, ts: int, symbol: str) -> dict[str, Any]:
    """Return a new order; a row of the light book, or of a target, has no terms."""
    terms: dict[str, Any] = {
        "kind": "market",
        "asked": None,
        "limit": None,
        "stop": None,
        "trail": None,
        "life": "GTC",
        "until": None,
    }
    terms |= {"role": "liquidation" if int(row[9]) == CALLED_IN else "entry", "parent": 0, "group": 0, "tag": 0}
    if len(row) > LOG_COLUMNS and row[9] >= SPELLED:
        spelled = int(row[9]) - SPELLED
        terms |= {"kind": KINDS[spelled % 8], "life": LIVES[spelled // 8 % 4], "role": ROLES[spelled // 32]}
        terms |= dict(zip(("asked", "limit", "stop", "trail"), (_known(x) for x in row[5:9]), strict=True))
        until, parent, group, tag = row[LOG_COLUMNS:]
        terms |= {"until": int(until) if np.isfinite(until) else None}
        terms |= {"parent": int(parent), "group": int(group), "tag": int(tag)}
    waits = {"status": "open", "quantity": 0.0, "reason": "waiting at the end of the data", "end_ts": None}
    return {"order_id": int(row[1]), "ts": ts, "symbol": symbol, "weight": float(row[4]), **terms, **waits}


def _known(x: float) -> float | None:
    return None if x != x else float(x)
