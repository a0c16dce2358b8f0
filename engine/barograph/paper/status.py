"""How a deployment stands, read from the store: nothing is computed that was not recorded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from barograph.paper.alerts.health import healthy
from barograph.paper.holding.kept import held_of
from barograph.paper.journal import begun_with
from barograph.paper.schedule import SECOND, said

if TYPE_CHECKING:
    from barograph.paper.ports import Incident
    from barograph.paper.store import Deployed, Store

__all__ = ["CLOSES_AMONG", "latency", "listed", "status"]

# A look that is half an hour late is not merely busy.
_GRACE: Final = 1800 * SECOND
CLOSES_AMONG: Final = 1000
"""Notes that are looked through for the last word on when bars close."""
_ON: Final = ("halted", "flattened", "reduce-only: the model is unhealthy or the data are stale")


def status(store: Store, deployed: Deployed, now: int) -> dict[str, Any]:
    """Return positions, equity, regime, last and next cycle, and what is not well, ready to be printed as JSON."""
    name = deployed.name
    entry, snapshot = store.snapshot(name)
    last = [one for one in store.entries(name) if one.kind == "cycle"][-1].content
    equity = store.rows("equity", name)[-1]
    held = [row for row in store.rows("positions", name) if row["ts"] == last["ts"]]
    orders = [row for row in store.rows("orders", name) if row["status"] == "open"]
    due = store.rows("cycles", name)[-1]["next_look"] if deployed.kind == "paper" else None
    return {
        "deployment": name,
        "kind": deployed.kind,
        "arithmetic": begun_with(store.entries(name)),
        "last_cycle": _moment(last["ts"]),
        "next_cycle": None if due is None else _moment(due),
        "bars": last["bar"] + 1 - deployed.start,
        **{key: equity[key] for key in ("equity", "cash", "gross", "net")},
        "positions": [{key: row[key] for key in ("symbol", "quantity", "price", "weight")} for row in held],
        "orders_waiting": [{key: row[key] for key in ("order_id", "symbol", "kind", "weight")} for row in orders],
        **_believed(store, name),
        "switches": [_ON[n] for n in last["switches"]],
        "trouble": last["trouble"],
        "held": [f"{one.symbol} of {said(one.ts)}: {one.why}" for one in held_of(snapshot.watch)],
        "commands_waiting": [command.command for command in store.asked(name)],
        "closes": next((note.text for note in store.notes(name, CLOSES_AMONG) if note.kind == "closes"), None),
        "run_by": store.holders().get(name, "nobody"),
        "overdue": due is not None and now > due + _GRACE,
        "healthy": healthy(snapshot.watch["health"]),
        "incidents": [_lasting(one) for one in store.incidents(name)],
        "latency_ms": latency(store, name),
        "alerts": {"raised": len(store.rows("alerts", name)), **_deliveries(store, name)},
        "notes": [f"{_moment(note.at)} {note.kind}: {note.text}" for note in store.notes(name, 5)],
        "journal": {"entries": entry.number + 1, "hash": entry.hash},
    }


def _believed(store: Store, name: str) -> dict[str, Any]:
    """Return the last belief; of beliefs of several assets each by its symbol."""
    rows = store.rows("beliefs", name)
    last = [row for row in rows if row["ts"] == rows[-1]["ts"]]
    told = {row["symbol"]: _sure(row) | {"probabilities": json.loads(row["probabilities"])} for row in last}
    return told.get("", {"regimes": told})


def _lasting(one: Incident) -> dict[str, Any]:
    """Return a trouble that is not over."""
    when = {"first": _moment(one.first), "last": _moment(one.last)}
    return {"about": one.subject, **when, "times": one.times, "text": one.text}


def _sure(row: dict[str, Any]) -> dict[str, Any]:
    return {"regime": row["regime"], "probability": row["probability"]}


def _deliveries(store: Store, name: str) -> dict[str, Any]:
    """Return how many messages wait, were sent, and were given up."""
    rows = store.rows("deliveries", name)
    states = [row["state"] for row in rows]
    errors = [row["error"] for row in rows if row["error"] and row["state"] == "waiting"]
    told = {state: states.count(state) for state in ("waiting", "sent", "given_up")}
    return told | ({"last_error": errors[-1]} if errors else {})


def latency(store: Store, name: str) -> dict[str, float] | None:
    """Return the median and the 99th percentile of the time from a bar's arrival to its orders in the store, ms."""
    times = [(committed - arrived) / 1e6 for _, arrived, committed in store.latencies(name)]
    if not times:
        return None
    return {"median": float(np.median(times)), "p99": float(np.quantile(times, 0.99))}


def listed(store: Store) -> list[dict[str, Any]]:
    """Return a line for every deployment: its name, kind, last cycle, equity and regime."""
    rows = []
    for one in store.deployments():
        equity, beliefs = store.rows("equity", one.name)[-1], store.rows("beliefs", one.name)
        told = {"deployment": one.name, "kind": one.kind, "last_cycle": _moment(equity["ts"])}
        last = [row for row in beliefs if row["ts"] == equity["ts"]]
        sure = _sure(last[0])
        if last[0]["symbol"]:
            # Of beliefs of several assets, the regime of each and how sure the least sure is.
            least = min(row["probability"] for row in last)
            sure = {"regime": " ".join(f"{row['symbol']}:{row['regime']}" for row in last), "probability": least}
        rows.append({**told, "equity": equity["equity"], **sure})
    return rows


def _moment(ts: int) -> str:
    return f"{np.datetime64(ts // SECOND, 's')}Z"
