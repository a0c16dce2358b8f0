"""Orders for tests: intents, a broker at the exchange on loopback, and a store of orders in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from barograph.paper.ports import Intent, Kept, Placed
from barograph.paper.testnet.reconcile import client_id, prefix
from barograph_adapters.brokers import testnet as brokers
from tests.fakes.exchange import FakeExchange

BTC, ETH = "BTC/USDT", "ETH/USDT"


def broker_of(fake: FakeExchange, **more: Any) -> brokers.Sandbox:
    given = {"symbols": [BTC, ETH], "loopback": [fake.host], "options": fake.options("test"), **more}
    broker = brokers.testnet("binance", **given)
    broker.sleep = lambda _: None
    return broker


def intent(order: int | str, quantity: float = 0.1, symbol: str = BTC, kind: str = "market", **prices: float) -> Intent:
    name = client_id("calm", order)
    return Intent(name, 1_700_000_000_000_000_000, symbol, quantity, kind, prices.get("limit"), prices.get("stop"))


class Ledger:
    """A store of orders in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}

    def keep(self, *intents: Intent) -> None:
        self.kept |= {each.client_id: Kept(each, None) for each in intents}

    def open_intents(self, deployment: str) -> Sequence[Intent]:
        return [order.intent for order in self.placed_orders(deployment) if order.placed is None]

    def answered(self, client_id: str, placed: Placed) -> None:
        self.kept[client_id] = Kept(self.kept[client_id].intent, placed)

    def placed_orders(self, deployment: str) -> Sequence[Kept]:
        return [order for name, order in self.kept.items() if name.startswith(prefix(deployment))]
