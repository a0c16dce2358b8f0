"""Orders mirrored to a testnet: what the paper account decides is placed there too, at the market.

Only target weights are mirrored, and what counts is where the broker shall end: an intent is what the sum of those
before it lacks of the wanted units. Paper is filled at the next open and the broker at once; sized this way, the
difference does not add up, and a target of nothing leaves nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from barograph.book import BORN, SPELLED
from barograph.errors import BrokerError
from barograph.live import Step
from barograph.paper.ports import Alert, Intent
from barograph.paper.reconcile import ListingBroker, Report, client_id, reconcile, submit

if TYPE_CHECKING:
    from barograph.paper.store import Store

__all__ = ["Mirror", "intents_of"]

log: Final = logging.getLogger("barograph.paper")


def intents_of(
    deployment: str, symbols: Sequence[str], step: Step, mirrored: Mapping[str, float]
) -> tuple[dict[str, float], tuple[Intent, ...]]:
    """Return the units that the broker shall hold after these intents, and the intents of one close.

    >>> born = np.array([[BORN, 7, 3, 0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0]])
    >>> account, held = np.array([1000.0, 1000.0, 0, 0, 0, 0]), np.array([[0.0], [50.0]])
    >>> step = Step(3, 0, account, np.zeros(1), np.ones(2), born, held)
    >>> held, intents = intents_of("demo", ["BTC/USDT"], step, {"BTC/USDT": 4.0})
    >>> held, intents[0].quantity
    ({'BTC/USDT': 10.0}, 6.0)
    """
    held, made = dict(mirrored), []
    for row in step.events[step.events[:, 0] == BORN]:
        a, weight = int(row[3]), float(row[4])
        price = float(step.positions[1, a])
        if row[9] >= SPELLED or not np.isfinite(weight) or not price > 0.0:
            continue
        symbol, wanted = symbols[a], weight * float(step.equity[0]) / price
        quantity = wanted - held.get(symbol, 0.0)
        if quantity != 0.0:
            held[symbol] = wanted
            made.append(Intent(client_id(deployment, int(row[1])), step.ts, symbol, quantity, "market", None, None))
    return held, tuple(made)


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
            self._tell("place", str(error))

    def compare(self) -> Report | None:
        """Reconcile orders and positions, and tell every difference once."""
        _, snapshot = self.store.snapshot(self.deployment)
        try:
            report = reconcile(self.store, self.broker, self.deployment, snapshot.watch.get("mirrored", {}))
        except BrokerError as error:
            self._tell("compare", str(error))
            return None
        for difference in report.differences:
            self._tell(f"{difference.kind}:{difference.subject}:{difference.found}", str(difference))
        return report

    def _tell(self, key: str, text: str) -> None:
        log.warning("%s: %s", self.deployment, text)
        entry, _ = self.store.snapshot(self.deployment)
        facts: dict[str, Any] = {"text": text, "broker": self.broker.name}
        self.store.tell(self.deployment, [Alert(f"broker:{entry.ts}:{key}", "broker", "critical", entry.ts, facts)])
