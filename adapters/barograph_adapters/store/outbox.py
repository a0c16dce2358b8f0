"""The outbox in SQL: which alerts were routed to whom, and what became of each delivery."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from barograph.paper.alerts.outbox import APART
from barograph.paper.ports import Alert, Row
from barograph_adapters.store.opening import storable

__all__ = ["SqlOutbox"]


class SqlOutbox:
    """See `barograph.paper.ports.Outbox` for what each method promises."""

    tables: Mapping[str, sa.Table]

    def transaction(self, reading: bool = False) -> AbstractContextManager[sa.Connection]:
        """Open a transaction."""
        raise NotImplementedError

    def unrouted(self, deployment: str) -> list[Alert]:
        """Return the alerts that have no deliveries yet, oldest first."""
        table = self.tables["alerts"]
        new = (table.c.deployment == deployment) & table.c.routed.is_(False)
        with self.transaction(reading=True) as connection:
            rows = connection.execute(sa.select(table).where(new).order_by(table.c.ts, table.c.key)).all()
        return [_alert(row) for row in rows]

    def route(self, deployment: str, key: str, recipients: Sequence[str]) -> None:
        """Give an alert one waiting delivery a recipient, none if there are none, and mark it as routed."""
        alerts, table = self.tables["alerts"], self.tables["deliveries"]
        this = (alerts.c.deployment == deployment) & (alerts.c.key == key) & alerts.c.routed.is_(False)
        blank = {"state": "waiting", "attempts": 0, "next_try": 0, "error": "", "message": ""}
        rows = [{"deployment": deployment, "alert_key": key, "recipient": name, **blank} for name in recipients]
        with self.transaction() as connection:
            if connection.execute(sa.update(alerts).where(this).values(routed=True)).rowcount and rows:
                connection.execute(sa.insert(table), rows)

    def waiting(self, deployment: str, now: int, longest: int) -> list[Row]:
        """Return the waiting deliveries whose next try is due, or lies too far ahead, by time and key of the alert."""
        alerts, table = self.tables["alerts"], self.tables["deliveries"]
        same = (alerts.c.deployment == table.c.deployment) & (alerts.c.key == table.c.alert_key)
        soon = (table.c.next_try <= now) | (table.c.next_try > now + longest)
        due = (table.c.deployment == deployment) & (table.c.state == "waiting") & soon
        told = (alerts.c.key, alerts.c.kind, alerts.c.severity, alerts.c.ts, alerts.c.facts)
        journal = self.tables["journal"]
        written = (journal.c.deployment == alerts.c.deployment) & (journal.c.number == alerts.c.entry)
        rows_of = sa.select(
            *told, table.c.recipient, table.c.attempts, table.c.first_try, alerts.c.entry, journal.c.hash
        )
        wanted = rows_of.join_from(table, alerts, same).outerjoin(journal, written)
        with self.transaction(reading=True) as connection:
            rows = connection.execute(wanted.where(due).order_by(alerts.c.ts, alerts.c.key)).all()
        return [Row(_alert(row), row.recipient, row.attempts, row.first_try, _entry(row)) for row in rows]

    def sent(self, deployment: str, rows: Sequence[Row], at: int, message: str) -> None:
        """Record that a message carried these deliveries: one more attempt, and the state is sent."""
        with self.transaction() as connection:
            for row in rows:
                self._end(connection, deployment, row, at, state="sent", error="", message=message)

    def failed(self, deployment: str, row: Row, at: int, error: str, next_try: int) -> None:
        """Record a try that failed: one more attempt, the first try if it was earlier, the error and the next try."""
        first = at if row.first_try is None else min(at, row.first_try)
        with self.transaction() as connection:
            self._change(connection, deployment, row, first_try=first, next_try=next_try, error=storable(error))

    def gave_up(self, deployment: str, row: Row, at: int, error: str) -> None:
        """Record that a delivery is not tried any more, and why."""
        with self.transaction() as connection:
            self._end(connection, deployment, row, at, state="given_up", error=storable(error))

    def recently_sent(self, deployment: str, recipient: str, since: int, until: int) -> int:
        """Return how many different messages of no channel of its own were sent to a recipient in (since, until]."""
        table = self.tables["deliveries"]
        theirs = (table.c.deployment == deployment) & (table.c.recipient == recipient)
        recent = theirs & (table.c.state == "sent") & (table.c.ended_at > since) & (table.c.ended_at <= until)
        for kind in APART:
            recent &= ~table.c.alert_key.startswith(f"{kind}:")
        count = sa.select(sa.func.count(sa.distinct(table.c.message))).where(recent)
        with self.transaction(reading=True) as connection:
            return int(connection.execute(count).scalar_one())

    def _end(self, connection: sa.Connection, deployment: str, row: Row, at: int, **values: Any) -> None:
        first = at if row.first_try is None else row.first_try
        self._change(connection, deployment, row, first_try=first, ended_at=at, **values)

    def _change(self, connection: sa.Connection, deployment: str, row: Row, **values: Any) -> None:
        table = self.tables["deliveries"]
        this = (table.c.deployment == deployment) & (table.c.alert_key == row.alert.key)
        mine = this & (table.c.recipient == row.recipient) & (table.c.state == "waiting")
        connection.execute(sa.update(table).where(mine).values(attempts=row.attempts + 1, **values))


def _entry(row: Any) -> tuple[int, str] | None:
    return None if row.hash is None else (row.entry, row.hash)


def _alert(row: Any) -> Alert:
    return Alert(row.key, row.kind, row.severity, row.ts, json.loads(row.facts))
