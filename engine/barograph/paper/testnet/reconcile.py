"""Orders at a broker: sent once, looked for when in doubt, and compared with what the store believes.

The intent of an order is stored in its cycle's transaction, under a client id that follows from deployment and order;
only then is it sent, and the answer is stored. Killed at any point, the same call is made again: a broker that has seen
the client id changes nothing. So there is no state in between that has to be mended.

>>> client_id("sp500-calm", 42)
'bg-d945418f9121-42'
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from barograph.errors import BrokerError
from barograph.paper.ports import Broker, Kept, Ledger, Placed

__all__ = ["Difference", "ListingBroker", "Report", "client_id", "prefix", "reconcile", "submit"]

LONGEST: Final = 32
"""Letters of a client id that exchanges accept; they may be A-Z, a-z, 0-9 and the hyphen."""


def prefix(deployment: str) -> str:
    """Return what the client ids of a deployment's orders begin with: another's never do (48 bits of SHA-256)."""
    return f"bg-{hashlib.sha256(deployment.encode()).hexdigest()[:12]}-"


def client_id(deployment: str, order_id: int | str) -> str:
    """Return the client id of an order: always the same, at most 32 of A-Z, a-z, 0-9 and the hyphen.

    An order id that is too long or holds other letters is replaced by its digest.

    >>> len(client_id("sp500-calm", "2024-07-01/SPY")), client_id("sp500-calm", 7) == client_id("sp500-calm", "7")
    (32, True)
    """
    start, text = prefix(deployment), str(order_id)
    room = LONGEST - len(start)
    # Letters that only digests begin with keep the two kinds apart.
    plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", text) and not text.startswith("x-") and len(text) <= room
    return start + (text if plain else "x-" + hashlib.sha256(text.encode()).hexdigest()[: room - 2])


class ListingBroker(Broker, Protocol):
    """A broker that can also tell which orders it has."""

    def recent(self) -> Sequence[Placed]:
        """Return all open orders and the recent ones that ended, with their client ids."""


class Difference(NamedTuple):
    """One thing on which store and broker differ: what kind, about which order or symbol, and what each says."""

    kind: str
    subject: str
    stored: str
    found: str

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: the store says {self.stored}, the broker {self.found}"


class Report(NamedTuple):
    """What a reconciliation found; it agrees when there is nothing.

    >>> print(Report("calm", "binance testnet", 3, (Difference("position", "BTC/USDT", "0.5", "0.4"),)))
    calm at binance testnet: 3 orders, 1 difference
      position BTC/USDT: the store says 0.5, the broker 0.4
    """

    deployment: str
    broker: str
    orders: int
    differences: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        """Whether store and broker say the same."""
        return not self.differences

    def __str__(self) -> str:
        count = len(self.differences)
        found = "all agree" if count == 0 else f"{count} difference{'s' * (count > 1)}"
        head = f"{self.deployment} at {self.broker}: {self.orders} order{'s' * (self.orders != 1)}, {found}"
        return "\n".join([head, *(f"  {difference}" for difference in self.differences)])


def submit(store: Ledger, broker: Broker, deployment: str) -> tuple[Placed, ...]:
    """Place the intents that have no answer, in the order they were stored, and write the answers down.

    Stops at the first order of which nobody can say whether it arrived: the next call looks for it before it sends
    anything. Raises `BrokerError` or `StoreError`; what was answered until then is stored.
    """
    answers = []
    for intent in store.open_intents(deployment):
        placed = broker.place(intent)
        if placed.state == "unknown":
            raise BrokerError(f"{broker.name}: order {intent.client_id} did not arrive; it is placed at the next look")
        store.answered(intent.client_id, placed)
        answers.append(placed)
    return tuple(answers)


def reconcile(
    store: Ledger,
    broker: ListingBroker,
    deployment: str,
    wanted_positions: Mapping[str, float],
    tolerance: float = 0.01,
    dust: float = 1e-6,
) -> Report:
    """Compare store and broker, write down what the broker knows better, and return all differences; sends nothing.

    Kinds of differences: ``unanswered`` (an intent whose answer was lost, now found; or that never arrived, which
    `submit` sends), ``changed`` (an order has another state or fill than was stored), ``lost`` (the broker no longer
    knows an open order), ``stranger`` (an order with our prefix that is not in the store) and ``position`` (units that
    differ by more than `dust` and by more than `tolerance` of the larger: lots and fees in kind make small ones).
    """
    kept = store.placed_orders(deployment)
    listed = {placed.client_id: placed for placed in broker.recent() if placed.client_id}
    differences = [
        *(difference for order in kept for difference in _order(store, broker, order, listed)),
        *_strangers(deployment, kept, listed),
        *_positions(broker.positions(), wanted_positions, tolerance, dust),
    ]
    return Report(deployment, broker.name, len(kept), tuple(differences))


def _order(store: Ledger, broker: Broker, kept: Kept, listed: Mapping[str, Placed]) -> Iterator[Difference]:
    name, stored = kept.intent.client_id, kept.placed
    found = listed.get(name)
    if found is None:
        if stored is not None and stored.state != "open":
            return  # it ended too long ago to be listed
        found = broker.find(name, kept.intent.symbol)
    if stored is not None and (stored.state, stored.filled) == (found.state, found.filled):
        return
    if found.state == "unknown":
        yield Difference("unanswered" if stored is None else "lost", name, _spelled(stored), "it never arrived")
        return
    store.answered(name, found)
    yield Difference("unanswered" if stored is None else "changed", name, _spelled(stored), _spelled(found))


def _spelled(placed: Placed | None) -> str:
    if placed is None:
        return "no answer"
    return f"{placed.state}, {placed.filled:g} filled" if placed.filled else placed.state


def _strangers(deployment: str, kept: Sequence[Kept], listed: Mapping[str, Placed]) -> Iterator[Difference]:
    known = {order.intent.client_id for order in kept}
    for name in sorted(listed.keys() - known):
        if name.startswith(prefix(deployment)):
            yield Difference("stranger", name, "nothing", _spelled(listed[name]))


def _positions(
    held: Mapping[str, float], wanted: Mapping[str, float], tolerance: float, dust: float
) -> Iterator[Difference]:
    for symbol in sorted({*held, *wanted}):
        has, wants = held.get(symbol, 0.0), wanted.get(symbol, 0.0)
        if abs(has - wants) > max(dust, tolerance * max(abs(has), abs(wants))):
            yield Difference("position", symbol, f"{wants:.8g}", f"{has:.8g}")
