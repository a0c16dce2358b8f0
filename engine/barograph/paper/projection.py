"""Projections: the rows of the tables that an entry of the journal stands for, the same words as in a run folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.execution import events
from barograph.paper.journal import fit_of, floats

__all__ = ["TABLES", "Rows", "project"]

TABLES: Final = ("bars", "equity", "positions", "beliefs", "orders", "fills", "events", "parameters", "alerts")
"""The tables that `project` has rows for."""
_EQUITY: Final = ("equity", "cash", "gross", "net", "fees", "financing")
BARS: Final = ("open", "high", "low", "close", "volume", "dividend", "split", "final")


class Rows(NamedTuple):
    """New rows by table, and what became of orders that were there before: (order id, filled now, columns set)."""

    new: dict[str, list[dict[str, Any]]]
    orders: list[tuple[int, float, dict[str, Any]]]


def project(kind: str, content: Any, symbols: Sequence[str]) -> Rows:
    """Return the rows of one entry of the journal."""
    if kind == "cycle":
        return _cycle(content, symbols)
    made = fit_of(kind, content)
    if made is not None and not made.get("refused"):
        keys = ("ts", "first", "last", "observations", "log_likelihood", "converged", "digest")
        row = {key: made[key] for key in keys}
        return Rows({"parameters": [{**row, "summary": _text(made["summary"]), "model": ""}]}, [])
    return Rows({}, [])


def _cycle(content: Any, symbols: Sequence[str]) -> Rows:
    ts = content["ts"]
    log = _log(content["events"])
    new: dict[str, list[dict[str, Any]]] = {
        "bars": list(_bars(content, symbols)),
        "equity": [{"ts": ts, **dict(zip(_EQUITY, floats(content["equity"]).tolist(), strict=True))}],
        "positions": list(_positions(content, symbols)),
        "beliefs": list(_beliefs(content, symbols)),
        "orders": list(_orders(log, ts, symbols)),
        "fills": list(_fills(log, ts, symbols)),
        "events": list(_account_events(log, ts, [*symbols, ""])),
        "alerts": [{**alert, "facts": _text(alert["facts"])} for alert in content["alerts"]],
    }
    changed: list[tuple[int, float, dict[str, Any]]] = []
    for order, _, _, _, filled, status, reason in _each(events.changes(log)):
        ended = {"status": status, "reason": reason, "end_ts": ts} if status else {}
        _change(order, filled, ended, new, changed)
    return Rows(new, changed)


def _text(content: Any) -> str:
    return json.dumps(content, sort_keys=True)


def _bars(content: Any, symbols: Sequence[str]) -> Any:
    late = {"late": content.get("late", 0), "source": content["source"]}
    for symbol, bar in zip(symbols, content["bars"], strict=True):
        values = dict(zip(BARS, floats(bar).tolist(), strict=True))
        yield {"number": content["bar"], "ts": content["ts"], "symbol": symbol, **values, **late}


def _positions(content: Any, symbols: Sequence[str]) -> Any:
    quantities, prices = floats(content["positions"])
    for symbol, quantity, price, weight in zip(symbols, quantities, prices, floats(content["weights"]), strict=True):
        if quantity != 0.0:
            held = {"quantity": float(quantity), "price": float(price), "weight": float(weight)}
            yield {"ts": content["ts"], "symbol": symbol, **held}


def _beliefs(content: Any, symbols: Sequence[str]) -> Any:
    """Yield the belief, without a symbol, or one for every asset that has its own."""
    told = floats(content["belief"])
    if "believed" not in content:
        yield _belief(content["ts"], "", told[:-1].tolist(), float(told[-1]))
        return
    n = len(symbols)
    probs, logpdf = told[: len(told) - n].reshape(n, -1).tolist(), told[len(told) - n :].tolist()
    for symbol in content["believed"]:
        a = list(symbols).index(symbol)
        yield _belief(content["ts"], symbol, probs[a], logpdf[a])


def _belief(ts: int, symbol: str, probabilities: list[float], logpdf: float) -> dict[str, Any]:
    regime = int(np.argmax(probabilities))
    told = _text([None if p != p else p for p in probabilities])
    sure = {"regime": regime, "probability": probabilities[regime], "logpdf": logpdf}
    return {"ts": ts, "symbol": symbol, **sure, "probabilities": told}


def _log(rows: Any) -> Any:
    """Return a bar's rows of the order log; a bar on which nothing happened has none."""
    return floats(rows) if len(rows) else np.zeros((0, events.LOG_COLUMNS))


def _each(columns: Any) -> Any:
    """Go over columns of the log row by row, as plain numbers and words."""
    return zip(*(column.tolist() for column in columns), strict=True)


def _fills(log: Any, ts: int, symbols: Sequence[str]) -> Any:
    for order, _, asset, quantity, price, fee, slippage, reason, _ in _each(events.fills(log)):
        told = {"ts": ts, "order_id": order, "symbol": symbols[asset], "quantity": quantity, "price": price}
        yield {**told, "fee": fee, "slippage": slippage, "reason": reason}


def _account_events(log: Any, ts: int, names: Sequence[str]) -> Any:
    for event, order, _, asset, _, measured, limit, reason in _each(events.account_events(log)):
        told = {"ts": ts, "event": event, "symbol": names[asset], "order_id": order, "reason": reason}
        yield {**told, "quantity": measured, "price": limit}


def _change(order: int, filled: float, ended: dict[str, Any], new: Any, changed: Any) -> None:
    """Change an order born at this bar where it stands, any other one in the table."""
    here = next((row for row in new["orders"] if row["order_id"] == order), None)
    if here is None:
        changed.append((order, filled, ended))
    else:
        here.update(ended, quantity=here["quantity"] + filled)


def _orders(log: Any, ts: int, symbols: Sequence[str]) -> Any:
    """Return new orders; what a target does not say is nothing."""
    for row in _each(events.born(log)):
        order = events.Born(*row)
        prices = {name: _known(getattr(order, name)) for name in ("asked", "limit", "stop", "trail")}
        until = int(order.until) if np.isfinite(order.until) else None
        yield {
            "order_id": order.order,
            "ts": ts,
            "symbol": symbols[order.asset],
            "weight": order.weight,
            "kind": order.kind,
            **prices,
            "life": order.life,
            "until": until,
            "role": order.role,
            "parent": order.parent,
            "group": order.group,
            "tag": order.tag,
            "status": "open",
            "quantity": 0.0,
            "reason": events.WAITING,
            "end_ts": None,
        }


def _known(x: float) -> float | None:
    return None if x != x else float(x)
