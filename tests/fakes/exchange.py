"""A crypto exchange on loopback, in the dialect of Binance's spot market, with faults on demand.

>>> with FakeExchange() as fake:
...     import ccxt
...     client = ccxt.binance(fake.options())
...     client.fetch_time() == fake.moment
True

`moment` is the exchange's clock in ms (None: the real one); a candle that has not closed yet is answered as it stands.
`faults` are what befalls the next requests, first come, first served; `rate` of all the others meet one at random.
`accepted` is every order that was taken, in order: doubled ones are there twice, as an order's id is unique among the
*open* ones only.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any

from aiohttp import WSMsgType, web

MINUTE = 60_000
HOUR = 60 * MINUTE
STEPS = {"1m": MINUTE, "5m": 5 * MINUTE, "1h": HOUR, "4h": 4 * HOUR, "1d": 24 * HOUR, "1w": 7 * 24 * HOUR}
KEY, SECRET = "key-of-the-fake-7f3a", "secret-of-the-fake-91bd"
BEFORE = ("429", "418", "500", "503", "silent", "reset", "web_page", "empty")
"""Faults that lose the request."""
AFTER = ("truncated", "late", "cut", "502")
"""Faults that lose the answer: what was asked has been done. "slow" does it when nobody waits for it any more."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def candle(symbol: str, opened: int, step: int, at: int | None = None) -> list[float]:
    """Return [open time, open, high, low, close, volume] of a candle, as it stands `at` ms or when it is over."""
    part = 1.0 if at is None else min(1.0, max(0.0, (at - opened) / step))
    rng = random.Random(f"{symbol} {opened} {step}")
    first, rise, fall, last = 100.0 + rng.random(), rng.random(), rng.random(), rng.random()
    close = first + part * (rise * last - fall * (1.0 - last))
    high, low = first + part * rise, first - part * fall
    return [opened, *(round(value, 6) for value in (first, high, low, close, part * (1.0 + 99.0 * rng.random())))]


class FakeExchange:
    """The exchange: a server in a thread of its own; use it in a `with`."""

    def __init__(self, moment: int | None = 1_700_000_000_000, patience: float = 0.4, seed: int = 0) -> None:
        self.markets = {"BTCUSDT": ("BTC", "USDT"), "ETHUSDT": ("ETH", "USDT"), "ETHBTC": ("ETH", "BTC")}
        self.moment, self.patience, self.skew = moment, patience, 0
        self.started = self.clock()
        self.missing: set[tuple[str, int]] = set()
        self.first = 0
        self.mangle: Callable[[str, list[list[Any]]], list[list[Any]]] = lambda _, rows: rows
        self.faults: deque[str] = deque()
        self.rate, self.kinds, self.retry_after = 0.0, (*BEFORE, *AFTER), "0"
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.met: Counter[str] = Counter()
        self.accepted: list[dict[str, Any]] = []
        self.balances = {"BTC": 1.0, "ETH": 10.0, "USDT": 100_000.0}
        self.answer_symbol: str | None = None
        self.hidden = 0
        self.redirect = ""
        self.refusing_sockets = False
        self.subscribed: list[str] = []
        self._sockets: set[web.WebSocketResponse] = set()
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._up = threading.Event()
        self.port = 0

    def __enter__(self) -> FakeExchange:
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def urls(self, kind: str = "api") -> dict[str, Any]:
        """Return ccxt's `urls` of this exchange: "api" as the real one, "test" as its sandbox."""
        rest = f"http://{self.host}/api/v3"
        # ccxt tells the spot market by the word in the path.
        sockets = {"ws": {"spot": f"ws://{self.host}/stream/ws"}} if kind == "api" else {}
        return {kind: {"public": rest, "private": rest, **sockets}}

    def options(self, kind: str = "api", **more: Any) -> dict[str, Any]:
        """Return what ccxt's binance is constructed with to talk to this exchange, quickly."""
        plain = {"rateLimit": 1, "timeout": int(self.patience * 500), "timeout_on_exit": 1, "urls": self.urls(kind)}
        return {**plain, "options": {"fetchMarkets": {"types": ["spot"]}}, **more}

    def clock(self) -> int:
        """Return the exchange's time, ms."""
        return (self.moment if self.moment is not None else time.time_ns() // 1_000_000) + self.skew

    def asked(self, path: str) -> list[dict[str, str]]:
        """Return the parameters of every request of a path, as in "GET klines"."""
        method, name = path.split()
        return [given for how, where, given in self.requests if how == method and where.endswith(f"/{name}")]

    def by_client_id(self) -> Counter[str]:
        """Return how many orders were accepted under each client id."""
        return Counter(order["clientOrderId"] for order in self.accepted)

    # Websockets -------------------------------------------------------------------------------------------------

    def push(self, symbol: str, interval: str, opened: int, at: int | None = None, named: str | None = None) -> None:
        """Send a candle to whoever listens, as it stands `at` ms or when it is over; `named` lies about its symbol."""
        _, *prices, volume = candle(symbol, opened, STEPS[interval], at)
        self.send(symbol, interval, opened, prices, volume, named)

    def send(
        self, symbol: str, interval: str, opened: int, prices: Sequence[float], volume: float, named: str | None = None
    ) -> None:
        """Send a candle of these prices."""
        name = named or symbol
        kline = {"t": opened, "T": opened + STEPS[interval] - 1, "s": name, "i": interval, "x": False, "v": str(volume)}
        kline |= dict(zip("ohlc", map(str, prices), strict=True))
        self.say(json.dumps({"e": "kline", "E": self.clock(), "s": name, "k": kline}))

    def say(self, text: str) -> None:
        """Send a text to whoever listens."""
        asyncio.run_coroutine_threadsafe(self._say(text), self._loop).result(5)

    async def _say(self, text: str) -> None:
        for socket in list(self._sockets):
            await socket.send_str(text)

    def drop(self) -> None:
        """Cut every websocket, without a good-bye."""
        asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result(5)

    async def _drop(self) -> None:
        for socket in list(self._sockets):
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()
        self._sockets.clear()
        self.subscribed.clear()

    def listened(self, count: int = 1, seconds: float = 10.0) -> bool:
        """Wait until somebody has subscribed to so many streams; return whether it came to that."""
        end = time.monotonic() + seconds
        while len(self.subscribed) < count and time.monotonic() < end:
            time.sleep(0.01)
        return len(self.subscribed) >= count

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.refusing_sockets:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.add(socket)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                asked = json.loads(message.data)
                await socket.send_str(json.dumps({"result": None, "id": asked["id"]}))
                self.subscribed.extend(asked["params"])
        self._sockets.discard(socket)
        return socket

    # Serving, and faults ----------------------------------------------------------------------------------------

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._up.set()
        self._loop.run_forever()

    async def _start(self) -> None:
        @web.middleware
        async def faulty(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._faulty(request, handler)

        app = web.Application(middlewares=[faulty])
        routes: dict[str, Handler] = {"GET /api/v3/time": self._time, "GET /api/v3/exchangeInfo": self._info}
        routes |= {"GET /api/v3/klines": self._klines, "GET /api/v3/account": self._account}
        routes |= {"POST /api/v3/order": self._place, "GET /api/v3/order": self._find}
        routes |= {"DELETE /api/v3/order": self._cancel, "GET /api/v3/openOrders": self._open}
        routes |= {"GET /api/v3/allOrders": self._all, "GET /stream/ws/{number}": self._socket}
        for route, handler in routes.items():
            app.router.add_route(*route.split(), handler)  # type: ignore[arg-type]
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        await self._drop()
        await self._runner.cleanup()
        pending = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _faulty(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/stream"):
            return await handler(request)
        self.requests.append((request.method, request.path, await _given(request)))
        if self.redirect:
            raise web.HTTPTemporaryRedirect(self.redirect + request.path_qs)
        fault = self._fault()
        if fault in BEFORE:
            return await self._lost(request, fault)
        if fault == "slow":
            await asyncio.sleep(self.patience)
        answer = await handler(request)
        return answer if fault in ("", "slow") else await self._spoilt(request, answer, fault)

    def _fault(self) -> str:
        fault = self.faults.popleft() if self.faults else ""
        if not fault and self._random.random() < self.rate:
            fault = self._random.choice(self.kinds)
        if fault:
            self.met[fault] += 1
        return fault

    async def _lost(self, request: web.Request, fault: str) -> web.StreamResponse:
        if fault in ("429", "418"):
            text = json.dumps({"code": -1003, "msg": "Too much request weight used."})
            return web.Response(status=int(fault), text=text, headers={"Retry-After": self.retry_after})
        if fault in ("500", "503"):
            return web.Response(status=int(fault), text="<html>oops</html>", content_type="text/html")
        if fault == "silent":
            await asyncio.sleep(self.patience)
        if fault == "web_page":
            return web.Response(text="<html>please log in</html>", content_type="text/html")
        if fault == "empty":
            return web.Response(text="", content_type="application/json")
        return _hung_up(request)

    async def _spoilt(self, request: web.Request, answer: web.StreamResponse, fault: str) -> web.StreamResponse:
        assert isinstance(answer, web.Response)
        if fault == "truncated":
            text = answer.text or ""
            return web.Response(status=answer.status, text=text[: len(text) // 2], content_type="application/json")
        if fault == "502":
            return web.Response(status=502, text="<html>bad gateway</html>", content_type="text/html")
        if fault == "late":
            await asyncio.sleep(self.patience)
        return _hung_up(request)

    # Public answers ---------------------------------------------------------------------------------------------

    async def _time(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"serverTime": self.clock()})

    async def _info(self, request: web.Request) -> web.StreamResponse:
        filters = [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.0001", "maxQty": "9000", "stepSize": "0.0001"},
            {"filterType": "NOTIONAL", "minNotional": "1", "applyMinToMarket": True},
        ]
        shared = {"status": "TRADING", "baseAssetPrecision": 8, "quotePrecision": 8, "isSpotTradingAllowed": True}
        shared |= {"orderTypes": ["LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT"], "permissions": ["SPOT"]}
        symbols = [
            {"symbol": name, "baseAsset": base, "quoteAsset": quote, "filters": filters, **shared}
            for name, (base, quote) in self.markets.items()
        ]
        return web.json_response({"timezone": "UTC", "serverTime": self.clock(), "symbols": symbols})

    async def _klines(self, request: web.Request) -> web.StreamResponse:
        given = await _given(request)
        symbol, step, now = given["symbol"], STEPS[given["interval"]], self.clock()
        if symbol not in self.markets:
            return _refused(-1121, "Invalid symbol.")
        limit = min(int(given.get("limit", 500)), 1000)
        # A week begins on a Monday, four days after the epoch's.
        shift = 4 * 24 * HOUR if step == STEPS["1w"] else 0
        since = max(self.first, int(given.get("startTime", now - limit * step)))
        opens = range(-((shift - since) // step) * step + shift, now + 1, step)
        rows = (candle(symbol, opened, step, now) for opened in opens if (symbol, opened) not in self.missing)
        taken = [row for row, _ in zip(rows, range(limit), strict=False)]
        wire = [[row[0], *map(str, row[1:]), row[0] + step - 1, "0", 1, "0", "0", "0"] for row in taken]
        return web.json_response(self.mangle(symbol, wire))

    # Private answers --------------------------------------------------------------------------------------------

    async def _signed(self, request: web.Request) -> dict[str, str] | web.Response:
        text = (await request.text()) or request.query_string
        query, _, signature = text.rpartition("&signature=")
        if request.headers.get("X-MBX-APIKEY") != KEY:
            return _refused(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        if signature != hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest():
            return _refused(-1022, "Signature for this request is not valid.")
        given = await _given(request)
        if abs(self.clock() - int(given["timestamp"])) > int(given.get("recvWindow", 5000)):
            return _refused(-1021, "Timestamp for this request is outside of the recvWindow.")
        return given

    async def _place(self, request: web.Request) -> web.StreamResponse:
        given = await self._signed(request)
        if isinstance(given, web.Response):
            return given
        name = given["newClientOrderId"]
        if any(order["clientOrderId"] == name and order["status"] == "NEW" for order in self.accepted):
            return _refused(-2010, "Duplicate order sent.")
        order = self._order(given)
        if not self._affordable(order):
            return _refused(-2010, "Account has insufficient balance for requested action.")
        self.accepted.append(order)
        if given["type"] == "MARKET":
            self.fill(order)
        return web.json_response(self._told(order))

    def _order(self, given: dict[str, str]) -> dict[str, Any]:
        order = {name: given.get(name, "0") for name in ("symbol", "side", "type", "price", "stopPrice")}
        order |= {"origQty": given["quantity"], "executedQty": "0", "cummulativeQuoteQty": "0", "status": "NEW"}
        order |= {"orderId": 1000 + len(self.accepted), "clientOrderId": given["newClientOrderId"]}
        return order | {"time": self.clock(), "updateTime": self.clock(), "timeInForce": "GTC"}

    def _affordable(self, order: dict[str, Any]) -> bool:
        base, quote = self.markets[order["symbol"]]
        if order["side"] == "SELL":
            return self.balances[base] >= float(order["origQty"])
        return self.balances[quote] >= float(order["origQty"]) * 100.0

    def fill(self, order: dict[str, Any], share: float = 1.0) -> None:
        """Fill an order, or a share of it, at 100."""
        quantity = float(order["origQty"]) * share
        base, quote = self.markets[order["symbol"]]
        sign = 1.0 if order["side"] == "BUY" else -1.0
        self.balances[base] += sign * quantity
        self.balances[quote] -= sign * quantity * 100.0
        order["executedQty"], order["cummulativeQuoteQty"] = f"{quantity:.8f}", f"{quantity * 100.0:.8f}"
        order["status"] = "FILLED" if share == 1.0 else "PARTIALLY_FILLED"

    def _told(self, order: dict[str, Any]) -> dict[str, Any]:
        return {**order, "symbol": self.answer_symbol or order["symbol"]}

    def _known(self, given: dict[str, str]) -> dict[str, Any] | None:
        if self.hidden > 0:  # an order is not seen at once everywhere
            self.hidden -= 1
            return None
        ids = {given.get("origClientOrderId"), given.get("orderId")} - {None}
        found = [order for order in self.accepted if {order["clientOrderId"], str(order["orderId"])} & ids]
        return found[-1] if found else None

    async def _find(self, request: web.Request) -> web.StreamResponse:
        given = await self._signed(request)
        if isinstance(given, web.Response):
            return given
        order = self._known(given)
        return _refused(-2013, "Order does not exist.") if order is None else web.json_response(self._told(order))

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        given = await self._signed(request)
        if isinstance(given, web.Response):
            return given
        order = self._known(given)
        if order is None or order["status"] not in ("NEW", "PARTIALLY_FILLED"):
            return _refused(-2011, "Unknown order sent.")
        order["status"] = "CANCELED"
        return web.json_response(self._told(order))

    async def _all(self, request: web.Request) -> web.StreamResponse:
        return await self._listed(request, lambda _: True)

    async def _open(self, request: web.Request) -> web.StreamResponse:
        return await self._listed(request, lambda order: order["status"] in ("NEW", "PARTIALLY_FILLED"))

    async def _listed(self, request: web.Request, chosen: Callable[[dict[str, Any]], bool]) -> web.StreamResponse:
        given = await self._signed(request)
        if isinstance(given, web.Response):
            return given
        if self.hidden > 0:
            self.hidden -= 1
            return web.json_response([])
        orders = [order for order in self.accepted if order["symbol"] == given["symbol"] and chosen(order)]
        return web.json_response([self._told(order) for order in orders])

    async def _account(self, request: web.Request) -> web.StreamResponse:
        given = await self._signed(request)
        if isinstance(given, web.Response):
            return given
        held = [{"asset": name, "free": f"{units:.8f}", "locked": "0"} for name, units in self.balances.items()]
        return web.json_response({"balances": held, "updateTime": self.clock(), "accountType": "SPOT"})


async def _given(request: web.Request) -> dict[str, str]:
    return {**request.query, **{name: str(value) for name, value in (await request.post()).items()}}


def _refused(code: int, message: str, status: int = 400) -> web.Response:
    return web.json_response({"code": code, "msg": message}, status=status)


def _hung_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
