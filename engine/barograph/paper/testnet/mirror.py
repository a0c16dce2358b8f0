"""Orders mirrored to a testnet: what the paper account decides is placed there too, at the market.

Only target weights are mirrored, and what counts is where the broker shall end: an intent is the wanted units less
those that the orders before it brought. Paper is filled at the next open and the broker at once, in its own lots; sized
this way, differences do not add up, and what was refused is made up for.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from barograph.errors import BrokerError
from barograph.execution import events
from barograph.paper.ports import Alert, Intent, Kept
from barograph.paper.testnet.reconcile import ListingBroker, Report, client_id, reconcile, submit
from barograph.types import Step

if TYPE_CHECKING:
    from barograph.paper.store import Store

__all__ = ["Mirror", "brought", "intents_of"]

log: Final = logging.getLogger("barograph.paper")


def intents_of(deployment: str, symbols: Sequence[str], step: Step, held: Mapping[str, float]) -> tuple[Intent, ...]:
    """Return the intents of one close, where the broker's orders so far brought these units.

    >>> born = np.array([[events.BORN, 7, 3, 0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0]])
    >>> account, prices = np.array([1000.0, 1000.0, 0, 0, 0, 0]), np.array([[0.0], [50.0]])
    >>> step = Step(3, 0, account, np.zeros(1), np.ones(2), born, prices)
    >>> [intent.quantity for intent in intents_of("demo", ["BTC/USDT"], step, {"BTC/USDT": 4.0})]
    [6.0]
    """
    made = []
    born = events.born(step.events)
    for order, a, weight, termed in zip(born.order, born.asset, born.weight.tolist(), born.termed, strict=True):
        price = float(step.positions[1, a])
        if termed or not np.isfinite(weight) or not price > 0.0:
            continue
        symbol, wanted = symbols[a], weight * float(step.equity[0]) / price
        quantity = wanted - held.get(symbol, 0.0)
        if quantity != 0.0:
            made.append(Intent(client_id(deployment, int(order)), step.ts, symbol, quantity, "market", None, None))
    return tuple(made)


def brought(kept: Sequence[Kept]) -> dict[str, float]:
    """Return the units that orders brought, by symbol: what was filled, or what was asked while that is not known."""
    held: dict[str, float] = {}
    for order in kept:
        known = order.placed is not None and order.placed.state != "open"
        units = order.placed.filled if known and order.placed is not None else order.intent.quantity
        held[order.intent.symbol] = held.get(order.intent.symbol, 0.0) + units
    return held


class Mirror:
    """A broker beside a deployment: places what is stored, and compares; it never decides anything."""

    def __init__(self, store: Store, broker: ListingBroker, deployment: str) -> None:
        self.store, self.broker, self.deployment = store, broker, deployment

    def place(self) -> None:
        """Place the stored intents that have no answer; what the broker refuses is told, and tried again later."""
        try:
            for placed in submit(self.store, self.broker, self.deployment):
                log.info("%s: %s at %s: %s", self.deployment, placed.client_id, self.broker.name, placed.state)
        except BrokerError as error:
            self._tell(f"place:{self._last()}", str(error))

    def compare(self) -> Report | None:
        """Reconcile orders and positions, and tell every difference once."""
        wanted = brought(self.store.placed_orders(self.deployment))
        try:
            report = reconcile(self.store, self.broker, self.deployment, wanted)
        except BrokerError as error:
            self._tell(f"compare:{self._last()}", str(error))
            return None
        for difference in report.differences:
            self._tell(f"{difference.kind}:{difference.subject}:{difference.found}", str(difference))
        return report

    def _tell(self, key: str, text: str) -> None:
        log.warning("%s: %s", self.deployment, text)
        facts: dict[str, Any] = {"text": text, "broker": self.broker.name}
        self.store.tell(self.deployment, [Alert(f"broker:{key}", "broker", "critical", self._last(), facts)])

    def _last(self) -> int:
        return self.store.snapshot(self.deployment)[0].ts
