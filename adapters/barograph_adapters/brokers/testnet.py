"""Orders at an exchange's testnet, through ccxt: with play money, and never anywhere else.

An order is looked for by its client id before it is sent, and when it is not known whether it arrived: it is never sent
twice on a guess. Real-money endpoints are refused three times: an exchange without a sandbox of its own, any URL that
does not lead to that sandbox, and any single request that would go elsewhere, redirects included.
"""

# ruff: noqa: PT028  (the factory's name begins like a test's, and is none)

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from barograph.data.calendars import ALWAYS
from barograph.errors import BrokerError, ConfigError, FeedError
from barograph.paper.ports import Intent, Placed
from barograph_adapters._ccxt import MISREAD, answered, busy, host, library, market, opened, told
from barograph_adapters._retry import BusyError, retried
from barograph_adapters._text import revealed
from barograph_adapters.feeds._bars import tickers

__all__ = ["Sandbox", "testnet"]

STATES: Final = {
    "open": "open",
    "closed": "filled",
    "canceled": "cancelled",
    "canceling": "open",
    "expired": "cancelled",
    "rejected": "rejected",
}
"""ccxt's word for what became of an order, and ours."""

KINDS: Final = {"market": "market", "limit": "limit", "stop": "market", "stop_limit": "limit"}
"""Kinds of orders that are sent, and ccxt's word for them; one with a stop has a trigger."""
LOOKS: Final = 4
"""How often an order is looked for when it is not known whether it arrived, after 0.5, 1, 2 and 4 seconds."""
WINDOW: Final = 5000
"""Milliseconds after which an exchange that can do so refuses an order that was under way for so long."""


def testnet(
    name: str,
    symbols: Sequence[str] | Mapping[str, str],
    key: str = "${TESTNET_KEY}",
    secret: str = "${TESTNET_SECRET}",
    password: str = "",
    held_before: Mapping[str, float] | None = None,
    timeout: float = 10.0,
    tries: int = 4,
    loopback: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Sandbox:
    """Return a broker that places orders at an exchange's testnet.

    `name` is ccxt's word for the exchange; `symbols` are its markets ("BTC/USDT"), or a table ``{ BTC = "BTC/USDT" }``
    from our symbols to them. `key`, `secret` and, where an exchange has one, `password` are environment variables,
    written ${NAME}. `held_before` are the units that the account held when it was empty for us, by symbol: a spot
    testnet gives its accounts coins. Each request waits `timeout` seconds and is tried `tries` times. `options` go to
    ccxt's constructor. `loopback` lists host:port of servers on this machine that may stand in for a sandbox, in tests.

    Raises `ConfigError` for an unknown exchange or a key that is no variable, `BrokerError` when the exchange has no
    sandbox or some URL does not lead there.
    """
    keys = {"apiKey": ("key", key), "secret": ("secret", secret), "password": ("password", password)}
    given = {attribute: _variable(f"{name}: {word}", text) for attribute, (word, text) in keys.items() if text}
    client = _sandbox(name, options or {}, timeout, loopback)
    return Sandbox(client, given, symbols, held_before or {}, tries)


def _variable(where: str, text: str) -> str:
    if not re.fullmatch(r"\$\{\w+\}", text):
        raise ConfigError(f"{where} is written out; wanted the name of an environment variable, as ${{TESTNET_KEY}}")
    return revealed(text, where)


def _sandbox(name: str, options: Mapping[str, Any], timeout: float, loopback: Sequence[str]) -> Any:
    """Return an exchange in sandbox mode, all of whose URLs lead to the sandbox that ccxt itself knows."""
    client = opened(name, options, timeout)
    untouched = opened(name, {}, timeout)
    real = set(_hosts(untouched.urls.get("api"), untouched.hostname))
    play = set(_hosts(untouched.urls.get("test"), untouched.hostname)) - real
    strangers = [entry for entry in loopback if not re.fullmatch(r"(127\.0\.0\.1|localhost|\[::1\]):\d+", entry)]
    if strangers:
        raise BrokerError(f"{name}: loopback = {strangers[0]!r}; wanted host:port of a server on this machine")
    if not play:
        raise BrokerError(f"{name}: has no sandbox on hosts of its own, only real money; choose another exchange")
    client.set_sandbox_mode(True)
    allowed = play | set(loopback)
    for url in _hosts(client.urls["api"], client.hostname):
        if url not in allowed:
            raise BrokerError(f"{name}: an endpoint leads to {url}, where money is real; wanted {_listed(allowed)}")
    client.fetch = _guarded(name, client.fetch, allowed)
    if client.options.get("recvWindow"):
        # An order that is under way longer is refused: it cannot arrive after it was looked for in vain.
        client.options["recvWindow"] = min(int(client.options["recvWindow"]), WINDOW)
    # A redirect would carry the key along.
    client.session.max_redirects = 0
    return client


def _hosts(tree: Any, hostname: str | None) -> Iterator[str]:
    """Yield the host of every URL in ccxt's tree of them."""
    if isinstance(tree, str):
        yield host(tree.replace("{hostname}", hostname or ""))
    for branch in tree.values() if isinstance(tree, Mapping) else ():
        yield from _hosts(branch, hostname)


def _guarded(name: str, fetch: Callable[..., Any], allowed: set[str]) -> Callable[..., Any]:
    def fetched(url: str, *rest: Any, **named: Any) -> Any:
        if host(url) not in allowed:
            raise BrokerError(f"{name}: refused to send a request to {host(url)}; wanted {_listed(allowed)}")
        return fetch(url, *rest, **named)

    return fetched


def _listed(allowed: set[str]) -> str:
    return " or ".join(sorted(allowed))


class Sandbox:
    """A `Broker`: an exchange in sandbox mode."""

    def __init__(
        self,
        client: Any,
        keys: Mapping[str, str],
        symbols: Sequence[str] | Mapping[str, str],
        held_before: Mapping[str, float],
        tries: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if isinstance(symbols, str):
            raise ConfigError(f'{client.id}: symbols = {symbols!r}; wanted a list of markets, as ["BTC/USDT"]')
        self.name = f"{client.id} testnet"
        self.symbols = {asset.symbol: asset.ticker for asset in tickers(symbols, (), ALWAYS, self.name)}
        self.held_before = dict(held_before)
        self.tries, self.sleep = tries, sleep
        self._client, self._secrets = client, tuple(keys.values())
        for attribute, value in keys.items():
            setattr(client, attribute, value)
        lacking = [word for word, needed in client.requiredCredentials.items() if needed and not getattr(client, word)]
        if lacking:
            raise BrokerError(f"{self.name}: needs {', '.join(lacking)}; give key, secret and password, or another one")
        self._ready = False

    def __repr__(self) -> str:
        return f"Sandbox({self.name}: {', '.join(self.symbols)})"

    # The four verbs of a broker, and the list for `reconcile` --------------------------------------------------

    def place(self, intent: Intent) -> Placed:
        """Place an order, unless the exchange has one of this client id; return what became of it.

        What an exchange refuses is an answer: the state is "rejected", with its reason. Raises `BrokerError` when
        nobody can say whether the order arrived, when the keys are wrong, and when the exchange is not to be reached.
        """
        for _ in range(self.tries):
            found = self.find(intent.client_id, intent.symbol)
            if found.state != "unknown":
                return found
            answer = self._send(intent)
            if answer is not None:
                return answer
        raise BrokerError(
            f"{self.name}: order {intent.client_id} was turned away {self.tries} times; it is tried again"
        )

    def find(self, client_id: str, symbol: str) -> Placed:
        """Return what became of an order; its state is "unknown" when the exchange has none of this client id."""
        return self._told(client_id, self._order(client_id, symbol))

    def cancel(self, client_id: str, symbol: str) -> Placed:
        """Cancel an order that is open, and return what became of it; one that ended is left alone."""
        order = self._order(client_id, symbol)
        if order is None or self._placed(order).state != "open":
            return self._told(client_id, order)
        try:
            self._read(lambda: self._client.cancel_order(order["id"], order["symbol"]))
        except library().ExchangeError as error:
            # It may have been filled, or cancelled by a try whose answer was lost: what is found then, counts.
            if (found := self.find(client_id, symbol)).state == "open":
                raise self._refused(error) from None
            return found
        return self.find(client_id, symbol)

    def positions(self) -> dict[str, float]:
        """Return the units held, by symbol: coins less what was held before, contracts in units of their base."""
        self._prepare()
        markets = {symbol: self._market(symbol) for symbol in self.symbols}
        held = dict.fromkeys(markets, 0.0)
        coins = {symbol: each["base"] for symbol, each in markets.items() if each["spot"]}
        contracts = {each["symbol"]: symbol for symbol, each in markets.items() if not each["spot"]}
        if coins:
            total = self._sure(self._client.fetch_balance)["total"]
            held |= {symbol: float(total.get(coin) or 0.0) for symbol, coin in coins.items()}
        for position in self._sure(lambda: self._client.fetch_positions(list(contracts))) if contracts else ():
            sign, name = -1.0 if position["side"] == "short" else 1.0, position["symbol"]
            held[contracts[name]] += sign * float(position["contracts"] or 0.0) * self._size(name)
        return {symbol: units - self.held_before.get(symbol, 0.0) for symbol, units in held.items()}

    def recent(self) -> list[Placed]:
        """Return the orders that the exchange lists for our symbols, open ones and those that ended."""
        self._prepare()
        lists = [self._sure(partial(self._list, name)) for name in self.symbols.values()]
        return [self._placed(order) for orders in lists for order in orders]

    # Sending ----------------------------------------------------------------------------------------------------

    def _send(self, intent: Intent) -> Placed | None:
        """Send an order once; None when it was turned away for now, and surely not taken."""
        ccxt = library()
        try:
            request = self._request(intent)
            order = self._client.create_order(*request, {"clientOrderId": intent.client_id, **_trigger(intent)})
            return self._checked(order, intent)
        except (ccxt.RateLimitExceeded, ccxt.DDoSProtection):
            self.sleep(busy(self._client, longest=30.0))
            return None
        except ccxt.InvalidNonce:
            return None  # the clocks differ: the look before the next try learns by how much
        except (ccxt.OperationFailed, *MISREAD, OSError) as error:
            return self._resolved(intent, error)
        except ccxt.AuthenticationError as error:
            raise self._refused(error) from None
        except ccxt.BaseError as error:
            found = self.find(intent.client_id, intent.symbol)
            reason = told(self.name, error, self._secrets)
            return found if found.state != "unknown" else Placed(intent.client_id, "rejected", 0.0, None, reason)

    def _request(self, intent: Intent) -> tuple[str, str, str, float, float | None]:
        """Return symbol, type, side, amount and price as ccxt wants them; raises its `InvalidOrder`."""
        if intent.kind not in KINDS:
            wanted = ", ".join(KINDS)
            raise library().InvalidOrder(f"no orders of the kind {intent.kind!r} at a testnet; wanted {wanted}")
        name = self._market(intent.symbol)["symbol"]
        contracts = abs(intent.quantity) / self._size(name)
        amount = float(self._client.amount_to_precision(name, contracts))
        side = "buy" if intent.quantity > 0.0 else "sell"
        return name, KINDS[intent.kind], side, amount, intent.limit

    def _resolved(self, intent: Intent, error: BaseException) -> Placed:
        """Look for an order of which it is not known whether it arrived; it is never sent again here."""
        for n in range(LOOKS):
            self.sleep(0.5 * 2.0**n)
            found = self.find(intent.client_id, intent.symbol)
            if found.state != "unknown":
                return found
        raise BrokerError(
            f"{told(self.name, error, self._secrets)}; order {intent.client_id} was not found afterwards, and is "
            f"looked for again before it is sent again"
        ) from None

    # Looking ----------------------------------------------------------------------------------------------------

    def _order(self, client_id: str, symbol: str) -> dict[str, Any] | None:
        """Return an order as ccxt tells it, asked for by its client id, and then looked for in the lists.

        Not every exchange can be asked by client id: one may not understand, say that there is none, or answer with
        another order. Only when the lists do not have it either it is not there.
        """
        self._prepare()
        name = self._market(symbol)["symbol"]
        try:
            order = self._read(lambda: self._client.fetch_order_with_client_order_id(client_id, name))
        except library().ExchangeError:
            order = {}
        listed = [order] if order.get("clientOrderId") == client_id else self._sure(lambda: self._list(name))
        found = [each for each in listed if each.get("clientOrderId") == client_id]
        if found and found[-1]["symbol"] != name:
            raise BrokerError(f"{self.name}: order {client_id} is one of {found[-1]['symbol']}; wanted {name}")
        return found[-1] if found else None

    def _list(self, name: str) -> list[dict[str, Any]]:
        client, has = self._client, self._client.has
        if has.get("fetchOrders"):
            orders: list[dict[str, Any]] = client.fetch_orders(name)
            return orders
        verbs = {"fetchOpenOrders": client.fetch_open_orders, "fetchClosedOrders": client.fetch_closed_orders}
        verbs["fetchCanceledOrders"] = client.fetch_canceled_orders
        return [order for verb, listed in verbs.items() if has.get(verb) for order in listed(name)]

    def _told(self, client_id: str, order: Mapping[str, Any] | None) -> Placed:
        return Placed(client_id, "unknown", 0.0, None, "never arrived") if order is None else self._placed(order)

    def _placed(self, order: Mapping[str, Any]) -> Placed:
        """Return ccxt's order as ours; what was filled has the order's sign."""
        filled, amount = float(order.get("filled") or 0.0), float(order.get("amount") or 0.0)
        state = STATES.get(str(order.get("status")), "filled" if 0.0 < amount <= filled else "open")
        if state == "filled" and filled == 0.0:
            state = "cancelled"
        units = filled * self._size(str(order["symbol"])) * (-1.0 if order.get("side") == "sell" else 1.0)
        price = float(order["average"]) if order.get("average") else None
        return Placed(str(order.get("clientOrderId") or ""), state, units if filled else 0.0, price, "")

    def _checked(self, order: Mapping[str, Any], intent: Intent) -> Placed:
        """Return the answer to a new order; a short one ("taken"), or one about another order, is looked up."""
        named = order.get("clientOrderId") in (None, intent.client_id)
        if not named or not order.get("status") or order.get("symbol") != self.symbols[intent.symbol]:
            raise library().BadResponse(f"the answer to {intent.client_id} is about another order, or says nothing")
        return self._placed({**order, "clientOrderId": intent.client_id})

    # Asking -----------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        if self._ready:
            return
        self._sure(self._client.load_markets)
        markets = [self._market(symbol) for symbol in self.symbols]
        coins = [each["base"] for each in markets if each["spot"]]
        if len(set(coins)) < len(coins):
            raise BrokerError(
                f"{self.name}: two symbols hold the same coin; which one a unit belongs to cannot be told"
            )
        if any(each.get("inverse") for each in markets):
            raise BrokerError(f"{self.name}: inverse contracts are not counted in units; wanted spot or linear markets")
        self._ready = True

    def _market(self, symbol: str) -> dict[str, Any]:
        if symbol not in self.symbols:
            raise BrokerError(f"{self.name}: no symbol {symbol!r}; symbols has {', '.join(self.symbols)}")
        return market(self.name, self._client, self.symbols[symbol])

    def _size(self, name: str) -> float:
        return float((self._client.markets.get(name) or {}).get("contractSize") or 1.0)

    def _sure(self, call: Callable[[], Any]) -> Any:
        """Return what a question is answered with, the exchange's refusals being errors."""
        try:
            return self._read(call)
        except library().BaseError as error:
            raise self._refused(error) from None

    def _read(self, call: Callable[[], Any]) -> Any:
        """Ask what changes nothing however often it is asked; refusals are raised as ccxt tells them."""
        try:
            return retried(lambda: self._asked(call), self.name, tries=self.tries, sleep=self.sleep)
        except FeedError as error:
            raise BrokerError(str(error)) from None

    def _asked(self, call: Callable[[], Any]) -> Any:
        ccxt = library()
        try:
            return call()
        except (ccxt.RateLimitExceeded, ccxt.DDoSProtection) as error:
            raise BusyError(told(self.name, error, self._secrets)).after(busy(self._client)) from None
        except ccxt.AuthenticationError as error:
            raise self._refused(error) from None
        except (ccxt.OperationFailed, *MISREAD, OSError) as error:
            if isinstance(error, ccxt.InvalidNonce):
                answered(self.name, self._client, self._client.load_time_difference)
            raise FeedError(told(self.name, error, self._secrets)) from None

    def _refused(self, error: BaseException) -> BrokerError:
        return BrokerError(told(self.name, error, self._secrets))


def _trigger(intent: Intent) -> dict[str, float]:
    return {"triggerPrice": intent.stop} if intent.kind in ("stop", "stop_limit") and intent.stop is not None else {}
