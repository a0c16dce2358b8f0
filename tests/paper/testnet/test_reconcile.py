"""Orders between store and broker: one a client id, killed wherever it may be, and a report that names what differs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from barograph.errors import BrokerError
from barograph.paper.ports import Intent, Placed
from barograph.paper.testnet.reconcile import Report, client_id, prefix, reconcile, submit
from tests.fakes.exchange import KEY, SECRET, FakeExchange
from tests.fakes.orders import BTC, ETH, Ledger, broker_of, intent


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeExchange]:
    monkeypatch.setenv("TESTNET_KEY", KEY)
    monkeypatch.setenv("TESTNET_SECRET", SECRET)
    with FakeExchange(moment=None) as server:
        yield server


# Client ids --------------------------------------------------------------------------------------------------------


def test_client_ids_are_short_plain_and_different() -> None:
    digest = client_id("calm", "a/b").removeprefix(prefix("calm"))
    orders = [*range(500), "x-1", "1 ", "a/b", "A" * 40, "-1", "ß", "", "x-" + "0" * 14, digest]
    names = [client_id(deployment, order) for deployment in ("calm", "calm2") for order in orders]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 32 and name.replace("-", "").isalnum() and name.isascii() for name in names)
    assert all(name.startswith(prefix("calm")) for name in names[: len(orders)])
    assert not any(name.startswith(prefix("calm")) for name in names[len(orders) :])


# The crash law -----------------------------------------------------------------------------------------------------


class KilledError(Exception):
    """The process was killed here."""


def killed_at(point: int, reached: list[str]) -> Callable[[str], None]:
    """Return a hook that kills at the n-th point it is called at."""

    def hook(name: str) -> None:
        reached.append(name)
        if len(reached) == point:
            raise KilledError(name)

    return hook


def run(fake: FakeExchange, ledger: Ledger, orders: Sequence[Intent], hook: Callable[[str], None]) -> None:
    """Store, send, be answered, record: with a point to be killed at between any two of them."""
    broker = broker_of(fake)
    fetch, answered = broker._client.fetch, ledger.answered

    def hooked(*request: Any) -> Any:
        hook(f"before {request[1]}")
        answer = fetch(*request)
        hook(f"after {request[1]}")
        return answer

    def recorded(client_id: str, placed: Placed) -> None:
        hook("before record")
        answered(client_id, placed)
        hook("after record")

    broker._client.fetch, ledger.answered = hooked, recorded  # type: ignore[method-assign]
    try:
        hook("before store")
        ledger.keep(*(order for order in orders if order.client_id not in ledger.kept))
        hook("after store")
        submit(ledger, broker, "calm")
    finally:
        ledger.answered = answered  # type: ignore[method-assign]


def test_killed_at_every_point_there_is_one_order_a_client_id(fake: FakeExchange) -> None:
    deaths = set()
    for point in range(1, 200):
        orders = [intent(f"{point}-{n}", 0.0011) for n in range(2)]
        ledger, reached = Ledger(), []
        try:
            run(fake, ledger, orders, killed_at(point, reached))
        except KilledError as death:
            deaths.add(str(death))
            run(fake, ledger, orders, lambda _: None)
        assert [order.placed.state for order in ledger.placed_orders("calm") if order.placed] == ["filled"] * 2
        if len(reached) < point:
            break
    else:
        pytest.fail("the end was never reached")
    assert {"after store", "before POST", "after POST", "before record", "after record"} <= deaths
    assert set(fake.by_client_id().values()) == {1}
    assert len(fake.by_client_id()) == 2 * point


def test_a_second_process_that_does_the_same_doubles_nothing(fake: FakeExchange) -> None:
    ledgers = [Ledger(), Ledger()]
    for ledger in ledgers:
        ledger.keep(intent(1), intent(2, -0.05))
        submit(ledger, broker_of(fake), "calm")
    assert ledgers[0].kept == ledgers[1].kept
    assert list(fake.by_client_id().values()) == [1, 1]


def test_a_campaign_of_orders_loses_and_doubles_nothing(fake: FakeExchange) -> None:
    """Three hundred orders, one in twenty requests spoilt, killed now and then: every order once, in order."""
    fake.rate, fake.patience, fake.balances["USDT"] = 0.05, 0.2, 1e9
    ledger, rng, troubles = Ledger(), random.Random(2), 0
    broker = broker_of(fake)
    for n in range(300):
        ledger.keep(intent(n, rng.choice([0.0011, -0.001]), rng.choice([BTC, ETH])))
        broker = broker_of(fake) if n % 20 == 19 else broker
        try:
            submit(ledger, broker, "calm")
        except BrokerError:
            troubles += 1
    fake.rate = 0.0
    submit(ledger, broker, "calm")
    names = [client_id("calm", n) for n in range(300)]
    assert [order["clientOrderId"] for order in fake.accepted] == names
    wanted = dict.fromkeys((BTC, ETH), 0.0)
    for order in ledger.kept.values():
        wanted[order.intent.symbol] += order.intent.quantity
    broker.held_before = {BTC: 1.0, ETH: 10.0}
    assert reconcile(ledger, broker, "calm", wanted).agrees
    assert sum(fake.met.values()) > 40
    assert troubles < 100


# Reconciliation ----------------------------------------------------------------------------------------------------


def reconciled(fake: FakeExchange, ledger: Ledger, **wanted: float) -> Report:
    broker = broker_of(fake, held_before={BTC: 1.0, ETH: 10.0})
    return reconcile(ledger, broker, "calm", {f"{coin}/USDT": units for coin, units in wanted.items()})


def test_store_and_broker_that_agree_are_said_to(fake: FakeExchange) -> None:
    ledger = Ledger()
    ledger.keep(intent(1, 0.25), intent(2, 0.4, kind="limit", limit=90.0))
    submit(ledger, broker_of(fake), "calm")
    report = reconciled(fake, ledger, BTC=0.25)
    assert report.agrees
    assert str(report) == "calm at binance testnet: 2 orders, all agree"


def test_every_kind_of_difference_is_told_and_mended_where_the_broker_knows_better(fake: FakeExchange) -> None:
    ledger, broker = Ledger(), broker_of(fake)
    lost, never, changed, gone = (
        intent("lost", 0.01),
        intent("never", 0.02),
        intent("changed", 0.4, kind="limit", limit=90.0),
        intent("gone", 0.4, kind="limit", limit=90.0),
    )
    ledger.keep(lost, never, changed, gone)
    broker.place(lost)
    for order in (changed, gone):
        ledger.answered(order.client_id, broker.place(order))
    fake.fill(fake.accepted[1], 0.5)
    del fake.accepted[2]
    broker.place(intent("stranger", 0.03))
    broker.place(intent("old", 0.0, kind="limit", limit=1.0)._replace(client_id="somebody-else", quantity=0.01))
    report = reconciled(fake, ledger, BTC=1.0)
    names = {
        each.kind + " " + each.subject.rpartition("-")[2]: (each.stored, each.found) for each in report.differences
    }
    assert names == {
        "unanswered lost": ("no answer", "filled, 0.01 filled"),
        "unanswered never": ("no answer", "it never arrived"),
        "changed changed": ("open", "open, 0.2 filled"),
        "lost gone": ("open", "it never arrived"),
        "stranger stranger": ("nothing", "filled, 0.03 filled"),
        "position BTC/USDT": ("1", "0.24"),
    }
    assert ledger.kept[lost.client_id].placed == broker.find(lost.client_id, BTC)
    assert ledger.kept[changed.client_id].placed == broker.find(changed.client_id, BTC)
    assert [each.client_id for each in ledger.open_intents("calm")] == [never.client_id]
    assert str(report).splitlines()[0] == "calm at binance testnet: 4 orders, 6 differences"
    sent = len(fake.accepted)
    again = {each.kind for each in reconciled(fake, ledger, BTC=0.24).differences}
    assert again == {"unanswered", "lost", "stranger"}
    assert len(fake.accepted) == sent


@pytest.mark.parametrize(
    ("units", "agrees"), [(0.25, True), (0.2520, True), (0.2480, True), (0.26, False), (0.0, False)]
)
def test_positions_may_differ_by_lots_and_fees(fake: FakeExchange, units: float, agrees: bool) -> None:
    ledger = Ledger()
    ledger.keep(intent(1, 0.25))
    submit(ledger, broker_of(fake), "calm")
    assert reconciled(fake, ledger, BTC=units).agrees == agrees


def test_an_order_that_ended_long_ago_is_not_asked_for(fake: FakeExchange) -> None:
    ledger = Ledger()
    ledger.keep(intent(1, 0.25))
    submit(ledger, broker_of(fake), "calm")
    fake.accepted.clear()
    asked = len(fake.asked("GET order"))
    assert [each.kind for each in reconciled(fake, ledger, BTC=0.25).differences] == []
    assert len(fake.asked("GET order")) == asked


def test_an_order_that_did_not_arrive_is_no_answer(fake: FakeExchange) -> None:
    ledger, broker = Ledger(), broker_of(fake)
    ledger.keep(intent(1), intent(2))
    broker.place = lambda order: Placed(order.client_id, "unknown", 0.0, None, "")  # type: ignore[method-assign]
    with pytest.raises(BrokerError, match=r"order bg-\w+-1 did not arrive; it is placed at the next look"):
        submit(ledger, broker, "calm")
    assert len(ledger.open_intents("calm")) == 2


def test_submission_stops_where_nobody_knows_and_goes_on_from_there(fake: FakeExchange) -> None:
    ledger, broker = Ledger(), broker_of(fake, tries=1)
    ledger.keep(intent(1), intent(2), intent(3))
    broker.positions()
    fake.faults.extend(["", "", "", "", "", "silent"])
    with pytest.raises(BrokerError, match="was not found afterwards"):
        submit(ledger, broker, "calm")
    assert [order.placed is not None for order in ledger.placed_orders("calm")] == [True, False, False]
    assert [placed.client_id[-1] for placed in submit(ledger, broker, "calm")] == ["2", "3"]
    assert [order["clientOrderId"][-1] for order in fake.accepted] == ["1", "2", "3"]
