"""Troubles that last, and doors that asked to be left alone, in SQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from barograph.paper.ports import Alert, Incident, Rest
from barograph_adapters.store.opening import storable

__all__ = ["SqlIncidents", "put_alerts"]


class SqlIncidents:
    """See `barograph.paper.ports.Casebook` and `Doors` for what each method promises."""

    tables: Mapping[str, sa.Table]

    def transaction(self, reading: bool = False) -> AbstractContextManager[sa.Connection]:
        """Open a transaction."""
        raise NotImplementedError

    def incidents(self, name: str) -> list[Incident]:
        """Return the troubles that last, by subject."""
        table = self.tables["incidents"]
        columns = [table.c[field] for field in Incident._fields]
        wanted = sa.select(*columns).where(table.c.deployment == name).order_by(table.c.subject)
        with self.transaction(reading=True) as connection:
            return [Incident(*row) for row in connection.execute(wanted)]

    def keep(self, name: str, incident: Incident, alerts: Sequence[Alert], over: bool) -> None:
        """Write how an incident stands, or that it is over, and what is to be told of it, in one transaction."""
        table = self.tables["incidents"]
        this = (table.c.deployment == name) & (table.c.subject == incident.subject)
        with self.transaction() as connection:
            connection.execute(sa.delete(table).where(this))
            if not over:
                row = {**incident._asdict(), "text": storable(incident.text), "deployment": name}
                connection.execute(sa.insert(table), [row])
            put_alerts(connection, self.tables["alerts"], name, alerts)

    def rest(self, rest: Rest) -> None:
        """Remember it, in place of what the same door said before."""
        table = self.tables["rests"]
        with self.transaction() as connection:
            connection.execute(sa.delete(table).where(table.c.door == rest.door))
            connection.execute(sa.insert(table), [{**rest._asdict(), "said": storable(rest.said)}])

    def resting(self, door: str, now: int) -> Rest | None:
        """Return the rest that a door takes at a moment, or None."""
        table = self.tables["rests"]
        wanted = sa.select(table).where((table.c.door == door) & (table.c.since <= now) & (table.c.until > now))
        with self.transaction(reading=True) as connection:
            row = connection.execute(wanted).mappings().first()
        return None if row is None else Rest(**row)


def put_alerts(connection: sa.Connection, table: sa.Table, name: str, alerts: Sequence[Alert]) -> None:
    """Put alerts that belong to no entry of the journal into the outbox; one whose key is there is left out."""
    for alert in alerts:
        same = (table.c.deployment == name) & (table.c.key == alert.key)
        if connection.execute(sa.select(table.c.key).where(same)).first() is None:
            facts = storable(json.dumps(alert.facts, sort_keys=True))
            row: dict[str, Any] = {**alert._asdict(), "facts": facts, "entry": None, "deployment": name}
            connection.execute(sa.insert(table), [row])
