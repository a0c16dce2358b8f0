"""What a deployment told and ordered, a line each: read from the store, in which a replay leaves the same rows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barograph.cli.console import print_json
from barograph.cli.paper import Named, Url, alerts_app, opened_at
from barograph.cli.shared import Json
from barograph.errors import ConfigError

if TYPE_CHECKING:
    from barograph.paper.store import Deployed, Store

__all__ = ["alerts_list", "orders", "trades"]

Last = Annotated[int, typer.Option("--last", help="How many, the newest.", min=1)]


@alerts_app.command("list")
def alerts_list(
    deployment: Named = None,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Only of this kind; may be given again.")] = None,
    severity: Annotated[
        str | None, typer.Option("--severity", help="Nothing less than info, warning, critical.")
    ] = None,
    last: Last = 50,
    store: Url = None,
    as_json: Json = False,
) -> None:
    """List what a deployment told, the newest last: when, how severe, in one line, and what became of it.

    What nobody was to be sent is listed too: a replay tells without a recipient what it would have told.
    """
    opened, one = opened_at(store, deployment)
    found = list(told(opened, one, kind or [], severity, last))
    if as_json:
        print_json(found)
        return
    for row in found or [{"title": f"{one.name} has told nothing of that"}]:
        print("  ".join(str(row[key]) for key in ("severity", "title", "delivered") if key in row))


def told(
    store: Store, deployed: Deployed, kinds: Sequence[str], severity: str | None, most: int
) -> Iterator[dict[str, Any]]:
    """Yield the newest alerts, oldest first, each once.

    Raises `ConfigError` for a kind or a severity that there is not.
    """
    from barograph.config.paper import KINDS, SEVERITIES
    from barograph.paper.alerts.messages import render
    from barograph.paper.ports import Alert
    from barograph.paper.status import plan_of

    for word, known in (*((kind, KINDS) for kind in kinds), *(((severity, SEVERITIES),) if severity else ())):
        if word not in known:
            raise ConfigError(f"no alert is {word!r}; wanted one of {', '.join(known)}")
    least, zone = SEVERITIES.index(severity or SEVERITIES[0]), plan_of(store, deployed.name).alerts.time_zone
    rows = [row for row in store.rows("alerts", deployed.name) if not kinds or row["kind"] in kinds]
    rows = [row for row in rows if SEVERITIES.index(row["severity"]) >= least]
    sent = _deliveries(store, deployed.name)
    for row in sorted(rows, key=lambda row: (row["ts"], row["key"]))[-most:]:
        alert = Alert(row["key"], row["kind"], row["severity"], row["ts"], json.loads(row["facts"]))
        message = render(alert, deployed.name, zone=zone)
        facts = {key: message.facts[key] for key in ("key", "kind", "severity", "ts", "at", "facts")}
        yield {**facts, "title": message.title, "delivered": sent.get(row["key"], "to nobody")}


def _deliveries(store: Store, name: str) -> dict[str, str]:
    """Return by alert to whom it went, or why it did not."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in store.rows("deliveries", name):
        error = f" ({row['error']})" if row["error"] and row["state"] != "sent" else ""
        found[row["alert_key"]].append(f"{row['recipient']}: {row['state'].replace('_', ' ')}{error}")
    return {key: ", ".join(each) for key, each in found.items()}


def trades(deployment: Named = None, last: Last = 50, store: Url = None, as_json: Json = False) -> None:
    """List a deployment's trades, the newest last: held from when to when, at what prices, and what they brought."""
    from barograph.paper.record import rebuilt, recorded

    opened, one = opened_at(store, deployment)
    found = recorded(opened, one, rebuilt(one)).trades.tail(last).reset_index()
    if as_json:
        print_json(found.to_dict("records"))
        return
    for row in found.to_dict("records"):
        until = "still held" if row["open"] else f"until {row['exit_ts']:%Y-%m-%d %H:%M} at {row['exit_price']:,.8g}"
        held = (
            f"{row['quantity']:+,.8g} {row['asset']} from {row['entry_ts']:%Y-%m-%d %H:%M} at {row['entry_price']:,.8g}"
        )
        print(f"{held} {until}, {row['bars']} bars: {row['return']:+.2%}, {row['profit']:+,.2f}")
    if not len(found):
        print(f"{one.name} has traded nothing")


def orders(deployment: Named = None, last: Last = 50, store: Url = None, as_json: Json = False) -> None:
    """List a deployment's orders, the newest last: what was wanted, its prices, and what became of it."""
    from barograph.paper.schedule import said

    opened, one = opened_at(store, deployment)
    rows = opened.newest("orders", one.name, last)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(f"{said(row['ts'])}  {_order(row)}")
    if not rows:
        print(f"{one.name} has ordered nothing")


def _order(row: dict[str, Any]) -> str:
    """Return an order in a line."""
    wanted = f"to {row['weight']:.1%} of equity" if row["asked"] is None else f"{row['asked']:+,.8g} units"
    prices = "".join(f", {word} {row[word]:,.8g}" for word in ("limit", "stop", "trail") if row[word] is not None)
    became = f"{row['quantity']:+,.8g} filled" if row["quantity"] else row["reason"]
    what = f"{row['symbol']} {row['kind'].replace('_', ' ')} {wanted}{prices}"
    return f"{row['order_id']:>5}  {what}  {row['status']}: {became}"
