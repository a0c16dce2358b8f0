"""Orders at a testnet: ccxt's own client against an exchange on loopback; sent once, whatever happens."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from barograph.errors import BarographError, BrokerError, ConfigError
from barograph.paper.ports import Intent, Placed
from barograph.paper.testnet.reconcile import client_id
from barograph_adapters._ccxt import library
from barograph_adapters.brokers import testnet as brokers
from tests.fakes.exchange import AFTER, BEFORE, KEY, SECRET, FakeExchange
from tests.fakes.orders import BTC, ETH, broker_of, intent


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeExchange]:
    monkeypatch.setenv("TESTNET_KEY", KEY)
    monkeypatch.setenv("TESTNET_SECRET", SECRET)
    with FakeExchange(moment=None) as server:
        yield server


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
        (
            "stop_limit",
            {"stop": 120.0, "limit": 121.5},
            {"type": "STOP_LOSS_LIMIT", "stopPrice": "120", "price": "121.5"},
        ),
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


def test_symbols_may_have_names_of_ours(fake: FakeExchange) -> None:
    broker = broker_of(fake, symbols={"COIN": BTC}, held_before={"COIN": 1.0})
    order = intent(1, 0.25, "COIN")
    assert broker.place(order) == broker.find(order.client_id, "COIN") == broker.cancel(order.client_id, "COIN")
    assert broker.positions() == {"COIN": 0.25}
    assert [placed.filled for placed in broker.recent()] == [0.25]


def test_contracts_are_counted_in_units_of_their_base(fake: FakeExchange) -> None:
    broker = broker_of(fake, symbols=["BTC/USDT:USDT", ETH], held_before={ETH: 10.0})
    client = broker._client
    client.load_markets()
    contract = {**client.markets[BTC], "symbol": "BTC/USDT:USDT", "spot": False, "linear": True, "contractSize": 0.01}
    client.markets["BTC/USDT:USDT"] = contract
    short = {"symbol": "BTC/USDT:USDT", "side": "short", "contracts": 25.0}
    client.fetch_positions = lambda names: [short] if names == ["BTC/USDT:USDT"] else []
    assert broker.positions() == {"BTC/USDT:USDT": -0.25, ETH: 0.0}
    sent: list[Any] = []
    client.create_order = lambda *order: sent.append(order) or {}
    client.fetch_orders = lambda _: []
    client.fetch_order_with_client_order_id = lambda *_: {}
    with pytest.raises(BrokerError, match="was not found afterwards"):
        broker.place(intent(1, -0.5, "BTC/USDT:USDT"))
    assert sent == [("BTC/USDT:USDT", "market", "sell", 50.0, None, {"clientOrderId": client_id("calm", 1)})]


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


def test_a_clock_that_jumps_between_look_and_order_is_reckoned_with(fake: FakeExchange) -> None:
    broker = broker_of(fake)
    broker.positions()
    send = broker._client.create_order

    def jumped(*order: Any) -> Any:
        fake.skew = 60_000
        return send(*order)

    broker._client.create_order = jumped
    assert broker.place(intent(1)).state == "filled"
    assert len(fake.asked("POST order")) == 2
    assert len(fake.accepted) == 1


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


def test_two_symbols_of_one_coin_and_unknown_markets_are_refused(fake: FakeExchange) -> None:
    with pytest.raises(BrokerError, match="two symbols hold the same coin"):
        broker_of(fake, symbols=["ETH/USDT", "ETH/BTC"]).positions()
    with pytest.raises(ConfigError, match="no market 'BTC/USD'; did you mean 'BTC/USDT'"):
        broker_of(fake, symbols=["BTC/USD"]).positions()
    with pytest.raises(BrokerError, match="no symbol 'ETH/BTC'; symbols has BTC/USDT, ETH/USDT"):
        broker_of(fake).place(intent(1, symbol="ETH/BTC"))
