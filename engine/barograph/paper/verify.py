"""Is the store what its journal says? The chain of hashes is computed again, and every projection made again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from barograph.errors import DataError, StoreError
from barograph.paper.deployment import sealed
from barograph.paper.journal import GENESIS, Entry, canonical, fit_of, link
from barograph.paper.projection import TABLES, project

if TYPE_CHECKING:
    from barograph.paper.store import Deployed, Store

__all__ = ["Verified", "misfit", "verify"]


class Verified(NamedTuple):
    """What was checked, and what is wrong, one line each."""

    deployment: str
    entries: int
    rows: int
    head: str
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        if self.wrong:
            return "\n".join(f"{self.deployment}: {line}" for line in self.wrong)
        return (
            f"{self.deployment}: {self.entries} entries and {self.rows} rows are as they were written; {self.head[:16]}"
        )


def verify(store: Store, deployed: Deployed) -> Verified:
    """Check the hash chain, the state, and every row of every projection against the journal, as of one moment."""
    with store.moment():
        return _verified(store, deployed)


def _verified(store: Store, deployed: Deployed) -> Verified:
    wrong, made, head, count = [], _Tables(deployed), GENESIS, 0
    for entry in store.entries(deployed.name):
        if found := misfit(entry, count, head):
            wrong.append(found)
            break
        head, count = entry.hash, count + 1
        wrong += _header(entry)
        made.add(entry.number, entry.kind, entry.content)
    wrong += [*_beginning(store, deployed), *_models(store, deployed), *_state(store, deployed)]
    for table in TABLES:
        wrong += made.compare(table, store.rows(table, deployed.name))
    return Verified(deployed.name, count, made.count, head, tuple(wrong))


def misfit(entry: Entry, number: int, before: str) -> str:
    """Return what is wrong with an entry that stands at `number`, after one of hash `before`, or nothing."""
    if entry.number != number:
        return f"entry {number} of the journal is missing"
    if entry.hash != link(before, entry.text):
        return f"entry {number} of the journal is not the one that was written: its hash does not fit"
    return ""


def _header(entry: Entry) -> list[str]:
    """Check the column of times against the text, which alone is in the hash."""
    same = entry.kind == "deployed" or entry.content["ts"] == entry.ts
    return [] if same else [f"entry {entry.number} of the journal stands at another time than its text says"]


def _beginning(store: Store, deployed: Deployed) -> list[str]:
    """Check what was deployed, and the bars before the first decision, of which the first entry holds the digest."""
    first = next(iter(store.entries(deployed.name)), None)
    if first is None or first.kind != "deployed":
        return ["the journal does not begin with what was deployed"]
    text = canonical(deployed._asdict())
    told = {key: value for key, value in first.content.items() if key not in ("bars", "arithmetic")}
    odd = sorted(key for key, value in told.items() if json.loads(text)[key] != value)
    wrong = [f"deployments: {', '.join(odd)} is not what the journal begins with"] if odd else []
    return wrong + _bars_before(store, deployed, first.content["bars"])


def _bars_before(store: Store, deployed: Deployed, digest: str) -> list[str]:
    try:
        same = not deployed.start or store.bars(deployed.name).head(deployed.start).digest() == digest
    except DataError as error:
        return [f"bars: {error}"]
    return [] if same else ["bars: those before the first decision are not the ones it began with"]


def _models(store: Store, deployed: Deployed) -> list[str]:
    """Check the fitted models, of which the journal holds the digests."""
    fits = [fit_of(entry.kind, entry.content) for entry in store.entries(deployed.name)]
    told = {fit["ts"]: fit["digest"] for fit in fits if fit is not None and not fit.get("refused")}
    found = {ts: hashlib.sha256(model).hexdigest() for ts, model in store.models(deployed.name).items()}
    odd = [ts for ts in sorted({*told, *found}) if told.get(ts) != found.get(ts)]
    return [f"parameters: the model fitted at {odd[0]} is not the one that was written"] if odd else []


def _state(store: Store, deployed: Deployed) -> list[str]:
    try:
        entry, snapshot = store.snapshot(deployed.name)
    except StoreError as error:
        return [str(error)]
    same = entry.content.get("state") == sealed(snapshot)
    return [] if same else ["snapshots: the state is not the one that the last entry names"]


class _Tables:
    """The projections as the journal makes them."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed, self.count = deployed, 0
        self.rows: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
        self.orders: dict[int, dict[str, Any]] = {}

    def add(self, number: int, kind: str, content: Any) -> None:
        made = project(kind, content, self.deployed.symbols)
        for table, rows in made.new.items():
            self.rows[table] += rows
        self.orders |= {row["order_id"]: row for row in made.new.get("orders", [])}
        for order, filled, ended in made.orders:
            row = self.orders[order]
            row.update(ended, quantity=row["quantity"] + filled)

    def compare(self, table: str, found: list[dict[str, Any]]) -> list[str]:
        """Return what is not the same, in one line; rows of the running itself have no entry and are left out."""
        if table == "bars":
            found = [row for row in found if row["number"] >= self.deployed.start]
        if table == "alerts":
            found = [row for row in found if row["entry"] is not None]
        wanted = self.rows[table]
        self.count += len(found)
        keys = [key for key in wanted[0] if key not in ("model",)] if wanted else []
        here, there = (sorted(repr([_plain(row[key]) for key in keys]) for row in rows) for rows in (wanted, found))
        if here == there:
            return []
        odd = sorted({*here} ^ {*there})
        return [f"{table}: {len(odd)} rows differ from the journal, the first is {', '.join(keys)} = {odd[0]}"]


def _plain(value: Any) -> Any:
    """Return a value as every database gives it back: NaN as nothing, 0 without a sign."""
    if isinstance(value, float):
        return None if np.isnan(value) else value + 0.0
    return value
