"""An outbox in memory that keeps the columns a database would, a clock set by hand, a notifier that can fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from barograph.errors import NotifyError
from barograph.paper.alerts.outbox import APART
from barograph.paper.ports import Alert, Message, Rest, Row

SECOND = 1_000_000_000
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND


@dataclass
class Delivery:
    """One row of the table of deliveries."""

    alert: Alert
    recipient: str
    state: str = "waiting"
    attempts: int = 0
    first_try: int | None = None
    next_try: int = 0
    error: str = ""
    message: str = ""
    ended_at: int | None = None


@dataclass
class FakeOutbox:
    """One deployment's outbox."""

    alerts: dict[str, Alert] = field(default_factory=dict)
    routed: set[str] = field(default_factory=set)
    rows: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    rests: dict[str, Rest] = field(default_factory=dict)

    def put(self, *alerts: Alert) -> FakeOutbox:
        self.alerts |= {alert.key: alert for alert in alerts}
        return self

    def states(self) -> list[str]:
        return [row.state for row in self.rows.values()]

    def unrouted(self, deployment: str) -> list[Alert]:
        return sorted((a for k, a in self.alerts.items() if k not in self.routed), key=lambda a: (a.ts, a.key))

    def route(self, deployment: str, key: str, recipients: Sequence[str]) -> None:
        for name in recipients:
            self.rows.setdefault((key, name), Delivery(self.alerts[key], name))
        self.routed.add(key)

    def waiting(self, deployment: str, now: int, longest: int) -> list[Row]:
        waiting = [row for row in self.rows.values() if row.state == "waiting"]
        due = [row for row in waiting if not now < row.next_try <= now + longest]
        due.sort(key=lambda row: (row.alert.ts, row.alert.key, row.recipient))
        return [Row(row.alert, row.recipient, row.attempts, row.first_try) for row in due]

    def sent(self, deployment: str, rows: Sequence[Row], at: int, message: str) -> None:
        for row in rows:
            kept = self._tried(row, at)
            kept.state, kept.message, kept.ended_at = "sent", message, at

    def failed(self, deployment: str, row: Row, at: int, error: str, next_try: int) -> None:
        kept = self._tried(row, at)
        kept.error, kept.next_try = error, next_try

    def gave_up(self, deployment: str, row: Row, at: int, error: str) -> None:
        kept = self._tried(row, at)
        kept.state, kept.error, kept.ended_at = "given_up", error, at

    def recently_sent(self, deployment: str, recipient: str, since: int, until: int) -> int:
        theirs = [row for row in self.rows.values() if row.recipient == recipient and row.state == "sent"]
        counted = [row for row in theirs if row.alert.kind not in APART]
        return len({row.message for row in counted if row.ended_at is not None and since < row.ended_at <= until})

    def rest(self, rest: Rest) -> None:
        self.rests[rest.door] = rest

    def resting(self, door: str, now: int) -> Rest | None:
        rest = self.rests.get(door)
        return rest if rest is not None and rest.since <= now < rest.until else None

    def _tried(self, row: Row, at: int) -> Delivery:
        kept = self.rows[row.alert.key, row.recipient]
        kept.attempts += 1
        kept.first_try = at if kept.first_try is None else min(at, kept.first_try)
        return kept


@dataclass
class SetClock:
    """A clock that only moves when it is told to."""

    at: int = 1_720_000_000 * SECOND

    def now(self) -> int:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += int(seconds * SECOND)


@dataclass
class Postbox:
    """A notifier that keeps what it is given; `refuse` may raise for (url, message)."""

    refuse: Callable[[str, Message], None] = lambda *_: None
    taken: list[tuple[str, Message]] = field(default_factory=list)
    tries: int = 0

    def send(self, url: str, message: Message) -> None:
        self.tries += 1
        self.refuse(url, message)
        self.taken.append((url, message))


def refusing(error: str = "json://host: not delivered: HTTP 500") -> Callable[[str, Message], None]:
    def refuse(url: str, message: Message) -> None:
        raise NotifyError(error)

    return refuse


def told(n: int, kind: str = "order_rejected", severity: str = "warning", ts: int = 0) -> Alert:
    rows = [{"symbol": "SPY", "order": n, "weight": 1.0, "reason": "no room under the leverage limit"}]
    return Alert(f"{kind}:{n:05d}", kind, severity, ts or n, {"text": f"number {n}", "orders": rows})


def headline(message: Message) -> str:
    """Return a title without its moment."""
    return message.title.rpartition(" · ")[0]
