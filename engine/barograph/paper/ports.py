"""What the service asks of the outside: bars, a clock, a place to keep things, somebody to tell, a broker to mirror."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from barograph.live import Step
from barograph.types import Feed

if TYPE_CHECKING:
    from barograph.fitted import Fitted

__all__ = ["About", "Alert", "Broker", "Clock", "Feed", "Intent", "Message", "Notifier", "Placed", "Step"]


class Clock(Protocol):
    """What time it is, ns UTC, and how to wait."""

    def now(self) -> int:
        """Return the moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class About(NamedTuple):
    """What a watcher may know beside the step: the deployment, its assets, the model in force, and the calendar."""

    deployment: str
    symbols: tuple[str, ...]
    fitted: Fitted | None
    periods: float
    calendar: str


class Alert(NamedTuple):
    """Something to tell: `key` is its identity within the deployment, `facts` what a template may say."""

    key: str
    kind: str
    severity: str
    ts: int
    facts: dict[str, Any]


class Message(NamedTuple):
    """An alert as it goes out; `key` is the same however often it is sent. `picture` is a PNG, or nothing."""

    key: str
    kind: str
    severity: str
    title: str
    body: str
    picture: bytes


class Notifier(Protocol):
    """Whoever carries messages."""

    def send(self, url: str, message: Message) -> None:
        """Deliver, or raise `NotifyError` with one line that holds no secret."""


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
