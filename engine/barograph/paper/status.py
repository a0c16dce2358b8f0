"""How a deployment stands, read from the store: nothing is computed that was not recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from barograph.config.paper import PaperPlan
from barograph.data.calendars import DAY
from barograph.paper.alerts.health import healthy
from barograph.paper.alerts.outbox import quiet, reserved
from barograph.paper.holding.kept import held_of
from barograph.paper.journal import begun_with
from barograph.paper.schedule import SECOND, late, said

if TYPE_CHECKING:
    from barograph.config.paper import AlertPlan
    from barograph.paper.ports import Incident
    from barograph.paper.store import Deployed, Note, Store

__all__ = ["last_word", "latency", "listed", "manners", "plan_of", "profit", "status", "why"]

# A decision that is a minute late may be merely busy, or wait for a feed as long as it has patience.
_GRACE: Final = 60 * SECOND
# Cycles whose latency is told.
_NEWEST: Final = 1000
_ON: Final = ("halted", "flattened", "reduce-only: the model is unhealthy or the data are stale")


def status(store: Store, deployed: Deployed, now: int) -> dict[str, Any]:
    """Return positions, equity, regime, last and next cycle, and what is not well, ready to be printed as JSON."""
    name = deployed.name
    entry, snapshot = store.snapshot(name)
    cycle = store.last(name, "cycle")
    assert cycle is not None
    last = cycle.content
    (equity,) = store.newest("equity", name, 1)
    held = [row for row in store.newest("positions", name, len(deployed.symbols)) if row["ts"] == last["ts"]]
    orders = store.newest("orders", name, _NEWEST, status="open")
    due = store.newest("cycles", name, 1)[-1]["next_look"] if deployed.kind == "paper" else None
    lasting = store.incidents(name)
    overdue = due is not None and now > due + max(_GRACE, late(plan_of(store, name)))
    return {
        "deployment": name,
        "kind": deployed.kind,
        "arithmetic": begun_with(store.entries(name)),
        "last_cycle": _moment(last["ts"]),
        "next_cycle": None if due is None else _moment(due),
        "bars": last["bar"] + 1 - deployed.start,
        **{key: equity[key] for key in ("equity", "cash", "gross", "net")},
        "profit": profit(store, name, equity),
        "positions": [{key: row[key] for key in ("symbol", "quantity", "price", "weight")} for row in held],
        "orders_waiting": [{key: row[key] for key in ("order_id", "symbol", "kind", "weight")} for row in orders],
        **_believed(store, deployed, snapshot.watch),
        "switches": [_ON[n] for n in last["switches"]],
        "trouble": last["trouble"],
        "held": [f"{one.symbol} of {said(one.ts)}: {one.why}" for one in held_of(snapshot.watch)],
        "commands_waiting": [command.command for command in store.asked(name)],
        "closes": last_word(store, name, "closes"),
        "run_by": store.holders().get(name, "nobody"),
        "overdue": overdue,
        "model_healthy": healthy(snapshot.watch["health"]),
        "healthy": healthy(snapshot.watch["health"]) and not overdue and not lasting and not last["trouble"],
        "incidents": [_lasting(one) for one in lasting],
        "latency_ms": latency(store, name),
        "alerts": _alerts(store, deployed, now),
        "notes": [f"{_moment(note.at)} {note.kind}: {note.text}" for note in _news(store, name)],
        "journal": {"entries": entry.number + 1, "hash": entry.hash},
    }


_OF_ALERTS: Final = {"time_zone", "quiet_from", "quiet_until", "at_most"}
_TOLD: Final[Any] = {"delay": True, "patience": True, "alerts": _OF_ALERTS}


def manners(plan: PaperPlan) -> str:
    """Return what whoever looks has to know of a plan that is in no journal: it may be another at every start."""
    told = plan.model_dump(mode="json", include=_TOLD)
    return json.dumps(told, sort_keys=True)


def plan_of(store: Store, name: str) -> PaperPlan:
    """Return as much of a deployment's plan as its last start has noted."""
    return PaperPlan.model_validate(json.loads(last_word(store, name, "manners") or "{}"))


def last_word(store: Store, name: str, kind: str) -> str | None:
    """Return the last note of a kind."""
    return next((row["text"] for row in store.newest("notes", name, 1, kind=kind)), None)


def _news(store: Store, name: str) -> list[Note]:
    return [note for note in store.notes(name, 10) if note.kind != "manners"][:5]


def profit(store: Store, name: str, equity: dict[str, Any]) -> dict[str, float | None]:
    """Return what the equity gained since the last close of the day, week and month before, UTC, as a fraction.

    A close at midnight belongs to the day that ends there. Where there is no such close, since the first one.
    """
    day = (equity["ts"] - 1) // DAY
    month = int(np.datetime64(day, "D").astype("M8[M]").astype("M8[D]").astype(np.int64))
    found: dict[str, float | None] = {}
    first: list[dict[str, Any]] = []
    for key, begun in (("day", day), ("week", 7 * ((day + 3) // 7) - 3), ("month", month)):
        before = store.newest("equity", name, 1, until=begun * DAY)
        if not before:
            # Younger than that: its whole account is read, once.
            before = first = first or store.rows("equity", name)[:1]
        start = before[0]["equity"]
        found[key] = equity["equity"] / start - 1.0 if start and equity["equity"] is not None else None
    return found


def _believed(store: Store, deployed: Deployed, watch: dict[str, Any]) -> dict[str, Any]:
    """Return the last belief; of beliefs of several assets each by its symbol."""
    rows = store.newest("beliefs", deployed.name, max(1, len(deployed.symbols)))
    last = [row for row in rows if row["ts"] == rows[-1]["ts"]]
    named = _names(watch)
    told = {row["symbol"]: _sure(row, named) | {"probabilities": json.loads(row["probabilities"])} for row in last}
    return told.get("", {"regimes": told})


def _names(watch: dict[str, Any]) -> Callable[[int, str], str]:
    """Return what names a regime by its number, and the asset it is believed of: as the watch remembers it."""

    def named(regime: int, symbol: str) -> str:
        own = watch["assets"][symbol] if symbol else watch
        names = own.get("names")
        return names[regime] if names else f"regime {regime}"

    return named


def _lasting(one: Incident) -> dict[str, Any]:
    """Return a trouble that is not over."""
    when = {"first": _moment(one.first), "last": _moment(one.last)}
    return {"about": one.subject, **when, "times": one.times, "text": one.text}


def _sure(row: dict[str, Any], named: Callable[[int, str], str]) -> dict[str, Any]:
    known = row["probability"] is not None
    told = named(row["regime"], row["symbol"]) if known else None
    return {"regime": row["regime"], "regime_name": told, "probability": row["probability"]}


def _alerts(store: Store, deployed: Deployed, now: int) -> dict[str, Any]:
    """Return how many messages were raised, wait, were sent and given up, and why those wait that do."""
    name, states = deployed.name, store.counted("deliveries", deployed.name, "state")
    told: dict[str, Any] = {"raised": sum(store.counted("alerts", name, "kind").values())}
    told |= {state: states.get(state, 0) for state in ("waiting", "sent", "given_up")}
    if told["waiting"]:
        told["why"] = why(store, deployed, now)
    return told


def why(store: Store, deployed: Deployed, now: int) -> list[str]:
    """Return in a sentence a recipient why its messages wait."""
    plan = plan_of(store, deployed.name).alerts
    rows = store.newest("deliveries", deployed.name, _NEWEST, state="waiting")
    return [f"{name}: {_reason(store, deployed.name, plan, [row for row in rows if row['recipient'] == name], now)}"
            for name in sorted({row["recipient"] for row in rows})]  # fmt: skip


def _reason(store: Store, name: str, plan: AlertPlan, rows: list[dict[str, Any]], now: int) -> str:
    recipient = rows[0]["recipient"]
    if rest := store.resting(f"to:{name}:{recipient}", now):
        return f"asked to be left alone until {_moment(rest.until)}"
    tried = [row for row in rows if row["error"]]
    if tried:
        last = tried[-1]
        return f"{last['error']}; tried {last['attempts']} times, again at {_moment(last['next_try'])}"
    went = store.recently_sent(name, recipient, now - 3600 * SECOND, now)
    if went >= plan.at_most - reserved(plan.at_most):
        kept = "" if went >= plan.at_most else "; the others are kept for what is critical"
        return f"{went} of alerts.at_most = {plan.at_most} messages went out within the last hour{kept}"
    if quiet(plan, now):
        return f"quiet hours until {plan.quiet_until} in {plan.time_zone}"
    return "the next round, within ten seconds while the service runs"


def latency(store: Store, name: str) -> dict[str, float] | None:
    """Return the median and the 99th percentile of the time from a bar's arrival to its orders in the store, ms."""
    times = [(row["committed"] - row["arrived"]) / 1e6 for row in store.newest("cycles", name, _NEWEST)]
    if not times:
        return None
    return {"median": float(np.median(times)), "p99": float(np.quantile(times, 0.99))}


def listed(store: Store) -> list[dict[str, Any]]:
    """Return a line for every deployment: its name, kind, last cycle, equity and regime."""
    rows = []
    for one in store.deployments():
        (equity,) = store.newest("equity", one.name, 1)
        beliefs = store.newest("beliefs", one.name, max(1, len(one.symbols)))
        named = _names(store.snapshot(one.name)[1].watch)
        told = {"deployment": one.name, "kind": one.kind, "last_cycle": _moment(equity["ts"])}
        last = [row for row in beliefs if row["ts"] == equity["ts"]]
        sure = _sure(last[0], named)
        if last[0]["symbol"]:
            # Of beliefs of several assets, the regime of each and how sure the least sure is.
            least = min((row["probability"] for row in last if row["probability"] is not None), default=None)
            told_of = " ".join(f"{row['symbol']}:{_sure(row, named)['regime_name']}" for row in last)
            numbers = " ".join(f"{row['symbol']}:{row['regime']}" for row in last)
            sure = {"regime": numbers, "regime_name": told_of, "probability": least}
        rows.append({**told, "equity": equity["equity"], **sure})
    return rows


def _moment(ts: int) -> str:
    return f"{np.datetime64(ts // SECOND, 's')}Z"
