"""Orders at a testnet: ccxt's own client against an exchange on loopback; sent once, whatever happens."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from barograph.errors import BarographError, BrokerError, ConfigError
from barograph.paper.ports import Intent, Placed
from barograph.paper.reconcile import Kept, Report, client_id, prefix, reconcile, submit
from barograph_adapters._ccxt import library
from barograph_adapters.brokers import testnet as brokers

from .fake_exchange import AFTER, BEFORE, KEY, SECRET, FakeExchange

BTC, ETH = "BTC/USDT", "ETH/USDT"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeExchange]:
    monkeypatch.setenv("TESTNET_KEY", KEY)
    monkeypatch.setenv("TESTNET_SECRET", SECRET)
    with FakeExchange(moment=None) as server:
        yield server


def broker_of(fake: FakeExchange, **more: Any) -> brokers.Sandbox:
    given = {"symbols": [BTC, ETH], "loopback": [fake.host], "options": fake.options("test"), **more}
    broker = brokers.testnet("binance", **given)
    broker.sleep = lambda _: None
    return broker


def intent(order: int | str, quantity: float = 0.1, symbol: str = BTC, kind: str = "market", **prices: float) -> Intent:
    name = client_id("calm", order)
    return Intent(name, 1_700_000_000_000_000_000, symbol, quantity, kind, prices.get("limit"), prices.get("stop"))


class Ledger:
    """A store of orders in memory; what `crash` names raises there, as if the process had been killed."""

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


# What becomes of an order ------------------------------------------------------------------------------------------


def test_a_market_order_is_filled_with_the_sign_of_its_quantity(fake: FakeExchange) -> None:
    broker = broker_of(fake)
    bought, sold = broker.place(intent(1, 0.25)), broker.place(intent(2, -2.0, ETH))
    assert bought == Placed(client_id("calm", 1), "filled", 0.25, 100.0, "")
    assert sold == Placed(client_id("calm", 2), "filled", -2.0, 100.0, "")
    assert [order["side"] for order in fake.accepted] == ["BUY", "SELL"]


def test_placing_again_changes_nothing(fake: FakeExchange) -> None:
    first = broker_of(fake).place(intent(1))
    assert [broker_of(fake).place(intent(1)) for _ in range(3)] == [first] * 3
    assert len(fake.accepted) == 1


def test_a_limit_order_rests_fills_in_part_and_is_cancelled(fake: FakeExchange) -> None:
    broker, order = broker_of(fake), intent(1, 0.4, kind="limit", limit=90.0)
    assert broker.place(order).state == "open"
    fake.fill(fake.accepted[0], 0.25)
    assert broker.find(order.client_id, BTC) == Placed(order.client_id, "open", 0.1, 100.0, "")
    assert broker.cancel(order.client_id, BTC) == Placed(order.client_id, "cancelled", 0.1, 100.0, "")
    assert broker.cancel(order.client_id, BTC).state == "cancelled"
    assert broker.place(order).state == "cancelled"
    assert broker.cancel(client_id("calm", 9), BTC).state == "unknown"


@pytest.mark.parametrize(
    ("kind", "prices", "sent"),
    [
        ("market", {}, {"type": "MARKET"}),
        ("limit", {"limit": 90.01}, {"type": "LIMIT", "price": "90.01"}),
        ("stop", {"stop": 120.0}, {"type": "STOP_LOSS", "stopPrice": "120"}),
        ("stop_limit", {"stop": 120.0, "limit": 121.5}, {"type": "STOP_LOSS_LIMIT", "stopPrice": "120", "price": "121.5"}),
    ],
)
def test_kinds_of_orders(fake: FakeExchange, kind: str, prices: dict[str, float], sent: dict[str, str]) -> None:
    answer = broker_of(fake).place(intent(1, 0.30009, kind=kind, **prices))
    assert answer.state == ("filled" if kind == "market" else "open")
    asked = fake.asked("POST order")[0]
    assert {name: asked[name] for name in sent} == sent
    assert asked["quantity"] == "0.3"  # lots of 0.0001, toward the smaller order
    assert asked["newClientOrderId"] == client_id("calm", 1)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (intent(1, 5000.0), "InsufficientFunds.*insufficient balance"),
        (intent(1, 0.00001), "InvalidOrder.*minimum amount precision"),
        (intent(1, 0.1, kind="limit"), "requires a price"),
        (intent(1, 0.1, kind="trailing_stop"), "no orders of the kind 'trailing_stop'.*wanted market, limit"),
    ],
)
def test_what_the_exchange_refuses_is_rejected_with_its_reason(fake: FakeExchange, order: Intent, said: str) -> None:
    answer = broker_of(fake).place(order)
    assert (answer.state, answer.filled) == ("rejected", 0.0)
    assert re.search(said, answer.message)
    assert "\n" not in answer.message
    assert fake.accepted == []


def test_positions_are_what_was_added_to_the_account(fake: FakeExchange) -> None:
    broker = broker_of(fake, held_before={BTC: 1.0, ETH: 10.0})
    assert broker.positions() == {BTC: 0.0, ETH: 0.0}
    broker.place(intent(1, 0.25))
    broker.place(intent(2, -2.0, ETH))
    assert broker.positions() == {BTC: 0.25, ETH: -2.0}


def test_recent_lists_every_order_of_our_symbols(fake: FakeExchange) -> None:
    broker = broker_of(fake)
    placed = [broker.place(intent(n, 0.1, symbol)) for n, symbol in enumerate([BTC, ETH, BTC])]
    assert sorted(broker.recent()) == sorted(placed)


# Faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [*BEFORE, *AFTER])
@pytest.mark.parametrize("at", range(4))
def test_every_fault_at_every_request_ends_in_one_order(fake: FakeExchange, fault: str, at: int) -> None:
    broker = broker_of(fake)
    fake.faults.extend([""] * at + [fault])
    try:
        broker.place(intent(1))
    except BrokerError as error:
        # The send itself was lost before it arrived, and nobody could know: the next look settles it.
        assert "looked for again before it is sent again" in str(error)  # noqa: PT017
        assert fault in BEFORE
    assert broker.place(intent(1)).state == "filled"
    assert list(fake.by_client_id().values()) == [1]


@pytest.mark.parametrize("fault", AFTER)
def test_an_answer_that_is_lost_is_looked_for_and_the_order_not_sent_again(fake: FakeExchange, fault: str) -> None:
    broker = broker_of(fake)
    broker.positions()
    fake.faults.extend(["", "", fault])
    assert broker.place(intent(1)).state == "filled"
    assert len(fake.asked("POST order")) == 1


def test_an_order_that_is_not_seen_at_once_is_looked_for_again(fake: FakeExchange) -> None:
    broker = broker_of(fake)
    broker.positions()
    fake.faults.extend(["", "", "cut"])
    fake.hidden = 6  # the two looks before it is sent, and two after
    assert broker.place(intent(1)).state == "filled"
    assert len(fake.asked("POST order")) == 1


def test_an_order_that_arrives_late_is_waited_for_as_long_as_it_can_arrive(fake: FakeExchange) -> None:
    broker = broker_of(fake)
    broker.positions()
    broker.sleep = time.sleep
    fake.faults.extend(["", "", "slow"])
    assert broker.place(intent(1)).state == "filled"
    assert len(fake.asked("POST order")) == 1
    # After this the exchange refuses it: less than the looks take.
    assert int(fake.asked("POST order")[0]["recvWindow"]) <= sum(500 * 2**n for n in range(brokers.LOOKS))


def test_an_exchange_that_turns_away_gets_the_order_once_and_the_wait_it_asked_for(fake: FakeExchange) -> None:
    waits: list[float] = []
    broker = broker_of(fake)
    broker.positions()
    broker.sleep = waits.append
    fake.retry_after = "7"
    fake.faults.extend(["", "", "429"])
    assert broker.place(intent(1)).state == "filled"
    assert waits == [7.0]
    assert list(fake.by_client_id().values()) == [1]


@pytest.mark.parametrize("skew", [-60_000, 60_000, 3_600_000])
def test_clocks_that_differ_are_reckoned_with(fake: FakeExchange, skew: int) -> None:
    fake.skew = skew
    broker = broker_of(fake)
    assert broker.place(intent(1)).state == "filled"
    fake.skew = -skew
    assert broker.place(intent(2)).state == "filled"
    assert list(fake.by_client_id().values()) == [1, 1]


def test_an_answer_about_another_symbol_is_refused_and_nothing_is_sent_again(fake: FakeExchange) -> None:
    fake.answer_symbol = "ETHUSDT"
    broker = broker_of(fake)
    for _ in range(2):
        with pytest.raises(BrokerError, match=r"order bg-\w+-1 is one of ETH/USDT; wanted BTC/USDT"):
            broker.place(intent(1))
    assert len(fake.accepted) == 1


def test_an_exchange_that_knows_no_client_ids_is_searched_by_its_lists(fake: FakeExchange) -> None:
    broker = broker_of(fake)
    first = broker.place(intent(1))
    client = broker._client

    def ignorant(client_id: str, symbol: str) -> Any:
        raise library().OrderNotFound("what is a client id?")

    def confused(client_id: str, symbol: str) -> Any:
        return client.fetch_order(fake.accepted[-1]["orderId"], symbol)

    broker.place(intent(2))
    for kind in (ignorant, confused):
        client.fetch_order_with_client_order_id = kind
        assert broker.place(intent(1)) == first
    client.has["fetchOrders"] = False  # then the open ones, and those that ended
    assert broker.place(intent(1)) == first
    assert list(fake.by_client_id().values()) == [1, 1]


@pytest.mark.parametrize("wrong", ["TESTNET_KEY", "TESTNET_SECRET"])
def test_wrong_keys_are_an_error_and_no_rejection(
    fake: FakeExchange, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(wrong, "mistyped-5512")
    with pytest.raises(BrokerError, match="AuthenticationError") as told:
        broker_of(fake).place(intent(1))
    assert "mistyped-5512" not in str(told.value)


# No real money -----------------------------------------------------------------------------------------------------


def test_no_exchange_gets_through_without_a_sandbox_on_hosts_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTNET_KEY", KEY)
    monkeypatch.setenv("TESTNET_SECRET", SECRET)
    ccxt, passed = library(), set()
    for name in ccxt.exchanges:
        untouched = getattr(ccxt, name)()
        real = set(brokers._hosts(untouched.urls["api"], untouched.hostname))
        try:
            client = brokers._sandbox(name, {}, 1.0, ())
        except BrokerError:
            continue
        passed.add(name)
        assert client.isSandboxModeEnabled
        assert real.isdisjoint(brokers._hosts(client.urls["api"], client.hostname)), name
    assert {"binance", "bybit", "deribit", "krakenfutures"} <= passed
    assert passed.isdisjoint({"kraken", "coinbase", "okx", "weex", "alpaca"})  # none, or the host of real money


PLANTED = {
    "a real host": {"urls": {"test": {"private": "https://api.binance.com/api/v3"}}},
    "any other host": {"urls": {"test": {"private": "https://testnet.binance.vision.example.com/api/v3"}}},
    "a host behind an @": {"urls": {"test": {"private": "https://testnet.binance.vision@api.binance.com/api/v3"}}},
    "loopback unasked": {"urls": {"test": {"private": "http://127.0.0.1:1/api/v3"}}},
    "one public url": {"urls": {"test": {"fapiPublic": "https://fapi.binance.com/fapi/v1"}}},
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_url_is_refused(fake: FakeExchange, kind: str) -> None:
    with pytest.raises(BrokerError, match=r"binance: an endpoint leads to .*, where money is real; wanted"):
        brokers.testnet("binance", [BTC], options=PLANTED[kind])


@pytest.mark.parametrize("entry", ["api.binance.com:443", "127.0.0.1", "127.0.0.1.example.com:80", "10.0.0.1:80"])
def test_only_this_machine_may_stand_in_for_a_sandbox(fake: FakeExchange, entry: str) -> None:
    with pytest.raises(BrokerError, match=r"wanted host:port of a server on this machine"):
        broker_of(fake, loopback=[entry])


def test_an_exchange_without_a_sandbox_is_refused(fake: FakeExchange) -> None:
    for name in ("kraken", "okx", "weex"):
        with pytest.raises(BrokerError, match=f"{name}: has no sandbox on hosts of its own, only real money"):
            brokers.testnet(name, [BTC])
    with pytest.raises(ConfigError, match="did you mean 'binance'"):
        brokers.testnet("binanse", [BTC])


def test_a_url_that_turns_up_later_is_refused_at_the_request(fake: FakeExchange) -> None:
    broker = broker_of(fake)
    broker.place(intent(1))
    broker._client.set_sandbox_mode(False)
    sent = len(fake.requests)
    with pytest.raises(BrokerError, match=r"refused to send a request to api\.binance\.com"):
        broker.place(intent(2))
    assert len(fake.requests) == sent


def test_redirects_are_not_followed(fake: FakeExchange) -> None:
    with FakeExchange(moment=None) as elsewhere:
        broker = broker_of(fake, tries=1)
        broker.positions()
        fake.redirect = f"http://{elsewhere.host}"
        with pytest.raises(BrokerError):
            broker.place(intent(1))
        assert elsewhere.requests == []


# Secrets -----------------------------------------------------------------------------------------------------------


def test_keys_come_from_the_environment_only(fake: FakeExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="binance: secret is written out; wanted the name of an env") as told:
        broker_of(fake, secret="hunter2")
    assert "hunter2" not in str(told.value)
    with pytest.raises(ConfigError, match="environment variable NO_SUCH is not set"):
        broker_of(fake, key="${NO_SUCH}")
    with pytest.raises(BrokerError, match="needs apiKey"):
        broker_of(fake, key="")
    with pytest.raises(ConfigError, match=r"options\.apiKey"):
        broker_of(fake, options={"apiKey": "hunter2"})


def test_secrets_are_never_told(fake: FakeExchange, caplog: pytest.LogCaptureFixture, capsys: Any) -> None:
    caplog.set_level(logging.DEBUG)
    fake.patience = 0.1
    broker = broker_of(fake, options=fake.options("test", verbose=True), tries=2)
    said = [repr(broker), str(broker), repr(vars(broker)["_client"])]
    fake.rate = 0.5
    for n in range(15):
        for call in (lambda n=n: broker.place(intent(n)), broker.positions, broker.recent):
            try:
                said.append(str(call()))
            except BarographError as error:
                said += [str(error), repr(error), str(error.__cause__)]
    fake.rate = 0.0
    said += [record.getMessage() for record in caplog.records] + list(capsys.readouterr())
    text = "\n".join(said)
    assert len(said) > 45
    assert KEY not in text
    assert SECRET not in text
    assert "signature" not in "\n".join(said[:45])


def test_an_exchange_that_repeats_the_key_is_not_repeated(fake: FakeExchange) -> None:
    broker = broker_of(fake)
    error = library().AuthenticationError(f'binance {{"msg":"bad key {KEY}"}} https://x/y?apiKey={KEY}')
    assert str(broker._refused(error)).endswith('AuthenticationError: binance {"msg":"bad key ***"} https://x/y')


# Client ids --------------------------------------------------------------------------------------------------------


def test_client_ids_are_short_plain_and_different() -> None:
    orders = [*range(500), "x-1", "1 ", "a/b", "A" * 40, "-1", "ß", "", "x-" + "0" * 14]
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
    for n in range(300):
        ledger.keep(intent(n, rng.choice([0.0011, -0.001]), rng.choice([BTC, ETH])))
        broker = broker_of(fake) if n % 20 == 0 else broker
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
    names = {each.kind + " " + each.subject.rpartition("-")[2]: (each.stored, each.found) for each in report.differences}
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


@pytest.mark.parametrize(("units", "agrees"), [(0.25, True), (0.2520, True), (0.2480, True), (0.26, False), (0.0, False)])
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


def test_two_symbols_of_one_coin_and_unknown_markets_are_refused(fake: FakeExchange) -> None:
    with pytest.raises(BrokerError, match="two symbols hold the same coin"):
        broker_of(fake, symbols=["ETH/USDT", "ETH/BTC"]).positions()
    with pytest.raises(ConfigError, match="no market 'BTC/USD'; did you mean 'BTC/USDT'"):
        broker_of(fake, symbols=["BTC/USD"]).positions()
    with pytest.raises(BrokerError, match="no symbol 'ETH/BTC'; symbols has BTC/USDT, ETH/USDT"):
        broker_of(fake).place(intent(1, symbol="ETH/BTC"))
