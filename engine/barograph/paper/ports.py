"""What the service asks of the outside: bars, a clock, a place to keep things, somebody to tell, a broker to mirror."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from barograph.regimes.fitted import Fitted

__all__ = ["About", "Alert", "Broker", "Casebook", "Clock", "Doors", "Incident", "Intent", "Kept", "Ledger", "Message",
           "Notifier", "Outbox", "Placed", "Rest", "Row", "SystemClock"]  # fmt: skip


class Clock(Protocol):
    """What time it is, ns UTC, and how to wait."""

    def now(self) -> int:
        """Return the moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The clock on the wall."""

    def now(self) -> int:
        """Return the moment, ns UTC."""
        return time.time_ns()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class About(NamedTuple):
    """What a watcher may know beside the step: the deployment, its assets, the model in force, and the calendar.

    `state` is the filter's at this close. `believed` are the assets that have a belief of their own: `state` is then a
    tuple, one of each.
    """

    deployment: str
    symbols: tuple[str, ...]
    fitted: Fitted | None
    periods: float
    calendar: str
    state: Any = None
    believed: tuple[str, ...] = ()


class Alert(NamedTuple):
    """Something to tell: `key` is its identity within the deployment, `facts` what a template may say."""

    key: str
    kind: str
    severity: str
    ts: int
    facts: dict[str, Any]


class Incident(NamedTuple):
    """A trouble that lasts: what it is about, the first and the last time it was met (ns UTC), and how often.

    `told` is when the last message about it was made, by the clock on the wall; `messages` how many there are, and
    `counted` how often it had been met then.
    """

    subject: str
    kind: str
    severity: str
    first: int
    last: int
    times: int
    opened: int
    told: int
    messages: int
    counted: int
    text: str


class Casebook(Protocol):
    """Where incidents are kept."""

    def incidents(self, name: str) -> list[Incident]:
        """Return the troubles that last, by subject."""

    def keep(self, name: str, incident: Incident, alerts: Sequence[Alert], over: bool) -> None:
        """Write how an incident stands, or that it is over, and what is to be told of it, in one transaction."""


class Message(NamedTuple):
    """An alert as it goes out; `key` is the same however often it is sent. `picture` is a PNG, or nothing.

    `facts` are what a program reads instead of the words: JSON.
    """

    key: str
    kind: str
    severity: str
    title: str
    body: str
    picture: bytes
    facts: Mapping[str, Any]


class Notifier(Protocol):
    """Whoever carries messages."""

    def send(self, url: str, message: Message) -> None:
        """Deliver, or raise `NotifyError` with one line that holds no secret, and how long it was asked to wait."""


class Intent(NamedTuple):
    """An order that is to be placed at a broker; `client_id` is the same however often it is tried."""

    client_id: str
    ts: int
    symbol: str
    quantity: float
    kind: str
    limit: float | None
    stop: float | None


class Placed(NamedTuple):
    """What a broker says of an order: its state is open, filled, cancelled, rejected or unknown (never arrived)."""

    client_id: str
    state: str
    filled: float
    price: float | None
    message: str


class Broker(Protocol):
    """Whoever mirrors the orders; never with real money."""

    name: str

    def place(self, intent: Intent) -> Placed:
        """Place an order whose client id was not seen before; placing it again changes nothing."""

    def find(self, client_id: str, symbol: str) -> Placed:
        """Return what became of an order."""

    def cancel(self, client_id: str, symbol: str) -> Placed:
        """Cancel an order, and return what became of it."""

    def positions(self) -> dict[str, float]:
        """Return the units held, by symbol."""


class Row(NamedTuple):
    """One delivery that waits: an alert, a recipient by name, and how often and since when (ns UTC) it was tried.

    `entry` is the number and the hash of the journal's entry that the alert was written with, if it was with one.
    """

    alert: Alert
    recipient: str
    attempts: int
    first_try: int | None
    entry: tuple[int, str] | None = None


class Rest(NamedTuple):
    """A door that asked to be left alone: from when until when, ns UTC, and in which words."""

    door: str
    since: int
    until: int
    said: str


class Doors(Protocol):
    """Which hosts and recipients asked to be left alone; it outlives the process that was asked."""

    def rest(self, rest: Rest) -> None:
        """Remember it, in place of what the same door said before."""

    def resting(self, door: str, now: int) -> Rest | None:
        """Return the rest that a door takes at a moment, or None; one that begins later was told by a wrong clock."""


class Outbox(Doors, Protocol):
    """What a store must do. Each method is one transaction, and doing it twice is doing it once."""

    def unrouted(self, deployment: str) -> list[Alert]:
        """Return the alerts that have no deliveries yet, oldest first."""

    def route(self, deployment: str, key: str, recipients: Sequence[str]) -> None:
        """Give an alert one waiting delivery a recipient, none if there are none, and mark it as routed."""

    def waiting(self, deployment: str, now: int, longest: int) -> list[Row]:
        """Return the waiting deliveries whose next try is due, by time and key of the alert.

        One whose next try lies further ahead than the `longest` wait, ns, was set by a wrong clock, and is due.
        """

    def sent(self, deployment: str, rows: Sequence[Row], at: int, message: str) -> None:
        """Record that a message carried these deliveries: one more attempt, and the state is sent."""

    def failed(self, deployment: str, row: Row, at: int, error: str, next_try: int) -> None:
        """Record a try that failed: one more attempt, the first try if it was earlier, the error and the next try."""

    def gave_up(self, deployment: str, row: Row, at: int, error: str) -> None:
        """Record that a delivery is not tried any more, and why."""

    def recently_sent(self, deployment: str, recipient: str, since: int, until: int) -> int:
        """Return how many different messages were sent to a recipient in (since, until], ns UTC; those of a kind that
        has a channel of its own (`barograph.paper.alerts.outbox.APART`) do not count.
        """


class Kept(NamedTuple):
    """An order as the store has it: what was intended, and the last answer, None while there is none."""

    intent: Intent
    placed: Placed | None


class Ledger(Protocol):
    """What the store keeps of orders at a broker: one row an order.

    | column | type | |
    |---|---|---|
    | client_id | text, primary key | at most 32 letters |
    | deployment | text, indexed | |
    | seq | integer | the order in which intents were stored, within the deployment |
    | ts | int64 | the close the order was decided at, ns UTC |
    | symbol, kind | text | |
    | quantity | float | signed units |
    | limit_price, stop_price | float, or null | |
    | state | text, or null | null until a broker answered, then `Placed.state` |
    | filled | float, or null | signed like the quantity |
    | price | float, or null | average of the fills |
    | message | text, or null | |

    The first eight are written with the cycle's transaction, the rest by `answered`. All raise `StoreError`.
    """

    def open_intents(self, deployment: str) -> Sequence[Intent]:
        """Return the intents without an answer (state is null), by seq."""

    def answered(self, client_id: str, placed: Placed) -> None:
        """Write an order's answer over the last one, in a transaction of its own."""

    def placed_orders(self, deployment: str) -> Sequence[Kept]:
        """Return all orders with their last answers, by seq."""
