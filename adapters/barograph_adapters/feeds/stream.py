"""Bars of a crypto exchange over its websocket, through ccxt.pro; what the socket did not bring is asked for over REST.

A thread of its own listens and keeps the candles; `fetch` takes those that are over. A candle is over when the next one
has begun and the socket was there from its first message on: what a candle became while nobody listened is only known
to REST. A candle that came over the socket is asked for once more over REST, in the background, when it is fetched
again: a bar that differs is then seen by whoever compares.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as LateError
from typing import Any, Final, TypeVar

from barograph.data.history import History
from barograph.errors import ConfigError, FeedError
from barograph.types import Feed
from barograph_adapters._ccxt import opened, plain
from barograph_adapters.feeds._bars import Asset
from barograph_adapters.feeds._candles import DAY, MS, Prices, Rows, checked, closes
from barograph_adapters.feeds.exchange import Exchange

__all__ = ["Buffer", "Stream", "stream"]

FIRST: Final = 0.25

LONGEST: Final = 30.0
"""Seconds until a socket that broke is opened again: at first, and at most."""
KEPT: Final = 5000
"""Candles of a symbol that are remembered."""

Answer = TypeVar("Answer")
_LOG: Final = logging.getLogger(__name__)


def stream(
    name: str,
    symbols: Sequence[str] | Mapping[str, str],
    interval: str = "1m",
    start: str | None = None,
    observed: Sequence[str] = (),
    silence: float = 60.0,
    bound: float = 30.0,
    margin: float = 2.0,
    timeout: float = 10.0,
    tries: int = 2,
    options: Mapping[str, Any] | None = None,
) -> Feed:
    """Return a feed of an exchange's candles as they come over its websocket, 24/7, several symbols joined.

    The words mean what they mean for `exchange`; intervals go up to a day. The socket is opened at the first fetch, and
    again, after ever longer waits, when it breaks. When it said nothing for `silence` seconds, `fetch` raises
    `FeedError`, so that a chain of feeds falls over; it never takes longer than `bound` seconds. A candle counts
    `margin` seconds after the next one began. ``feed.fetch.close()`` ends the thread.

    Raises `ConfigError` when ccxt has no such exchange or no candles over its websocket.
    """
    waits = (silence, bound, margin, timeout, tries)
    listening = Stream(name, symbols, interval, start, observed, *waits, options)
    return Feed(f"{name} stream", listening, listening.rest.host)


class Buffer:
    """What the socket said of one symbol: candles by their open, and which of them are over.

    >>> buffer = Buffer()
    >>> for opened in (0, 60_000, 120_000):
    ...     buffer.see(opened, (1.0, 2.0, 1.0, 2.0, 5.0), now=float(opened // 1000))
    >>> sorted(buffer.final(now=120.5, settle=1.0)), sorted(buffer.final(now=121.5, settle=1.0))
    ([], [60000])
    """

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.over: set[int] = set()
        self.confirmed: set[int] = set()
        self._begun: dict[int, float] = {}
        self._torn: int | None = None

    def see(self, opened: int, prices: Prices, now: float) -> None:
        """Take a candle as the socket tells it, `now` seconds on a clock that only goes forward.

        The first candle after a break is not taken: what it was before is not known here.
        """
        self._torn = opened if self._torn is None else self._torn
        known = self.rows.get(opened)
        if opened <= self._torn or opened in self.confirmed or (known is not None and not _grown(known, prices)):
            return
        self.rows[opened] = prices
        self._begun.setdefault(opened, now)
        self._forget()

    def confirm(self, asked: Sequence[int], rows: Rows) -> None:
        """Take what REST, which knows best, answered: final candles, and that there are none at the other moments."""
        self.rows |= rows
        # What is older than a candle that is over, and not there, never was.
        settled = {opened for opened in asked if opened <= max(rows, default=-1)}
        for absent in settled - set(rows):
            self.rows.pop(absent, None)
        self.confirmed |= settled | set(rows)
        self.over |= settled | set(rows)
        self._forget()

    def cut(self) -> None:
        """Forget the candles that were not over when the socket broke."""
        self.over |= set(self.final(math.inf, 0.0))
        self.rows = {opened: prices for opened, prices in self.rows.items() if opened in self.over}
        self._begun, self._torn = {}, None

    def final(self, now: float, settle: float) -> Rows:
        """Return the candles that are over: the next one began `settle` seconds ago, for messages to come in order."""
        begun = max((opened for opened, since in self._begun.items() if since + settle <= now), default=-1)
        return {opened: row for opened, row in self.rows.items() if opened < begun or opened in self.over}

    def _forget(self) -> None:
        if max(len(self.rows), len(self.over)) <= KEPT:
            return
        for old in sorted(self.rows.keys() | self.over)[:-KEPT]:
            self.rows.pop(old, None)
            self._begun.pop(old, None)
            self.over.discard(old)
            self.confirmed.discard(old)


def _grown(known: Sequence[float], told: Sequence[float]) -> bool:
    """Return whether a candle holds all that an earlier message of it did: one that does not came late, or twice."""
    (_, high, low, _, volume), (_, higher, lower, _, more) = known, told
    return higher >= high and lower <= low and not more < volume


def _growing() -> Any:
    """Return a cache for ccxt's candles in which an old message does not undo a newer one, and that tells its news."""
    from ccxt.async_support.base.ws.cache import ArrayCacheByTimestamp

    class Growing(ArrayCacheByTimestamp):  # type: ignore[misc]
        """Messages that come in one batch are merged here; ccxt itself hands out the newest rows only."""

        def __init__(self) -> None:
            super().__init__(KEPT)
            self.changed: set[Any] = set()

        def append(self, item: list[Any]) -> None:
            """Keep a candle, unless more of it is known."""
            known = self.hashmap.get(item[0])
            if known is None or None in (*known, *item) or _grown(known[1:6], item[1:6]):
                super().append(item)
                self.changed.add(item[0])

        def news(self) -> list[list[Any]]:
            """Return the candles that changed since the last call."""
            rows = [list(self.hashmap[moment]) for moment in self.changed if moment in self.hashmap]
            self.changed.clear()
            return rows

    return Growing()


class Stream:
    """A feed's `fetch`, with the thread that listens."""

    def __init__(
        self,
        name: str,
        symbols: Sequence[str] | Mapping[str, str],
        interval: str = "1m",
        start: str | None = None,
        observed: Sequence[str] = (),
        silence: float = 60.0,
        bound: float = 30.0,
        margin: float = 2.0,
        timeout: float = 10.0,
        tries: int = 2,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.rest = Exchange(name, symbols, interval, start, observed, margin, timeout, tries, options=options)
        self.name, self.step = f"{name} stream", self.rest.step
        self.silence, self.bound, self.margin = silence, bound, margin
        self._open: Callable[[], Any] = lambda: opened(name, options or {}, timeout, pro=True)
        if not self._open().has.get("watchOHLCV"):
            raise ConfigError(f"{name}: no candles over its websocket; use barograph_adapters.feeds.exchange:exchange")
        if self.step > DAY:
            raise ConfigError(f"{name}: interval = {interval!r}; over a websocket wanted a day at most")
        self._buffers = {asset.symbol: Buffer() for asset in self.rest.assets}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._rest = ThreadPoolExecutor(1, thread_name_prefix=self.name)
        self._asking: Future[None] | None = None
        self._heard, self._trouble, self._served, self._closed = 0.0, "", 0, False

    def __call__(self, after: int, until: int) -> History | None:
        """Return the final bars that closed in (after, until], ns UTC, or None; within `bound` seconds."""
        end = time.monotonic() + self.bound
        self._listen()
        self._alive()
        wanted = closes(max(after, self.rest.earliest), until, self.step)
        if len(wanted) > KEPT // 2:
            return self.rest.joined(self.name, self._wait(self._rest.submit(self.rest.candles, after, until), end))
        missing = self._missing(wanted)
        if missing:
            self._fill(missing, wanted, until, end)
        rows = self._final(wanted)
        self._confirm(wanted, rows, until)
        self._served = max(self._served, max((opened for each in rows.values() for opened in each), default=0))
        return self.rest.joined(self.name, rows)

    def close(self) -> None:
        """Close the socket and end the thread; a stream that is closed gives no more bars."""
        self._closed = True
        if self._thread is not None and self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop)
            self._thread.join(10.0)
        self._rest.shutdown(wait=False, cancel_futures=True)

    # What is there, and what REST must give --------------------------------------------------------------------

    def _alive(self) -> None:
        quiet = time.monotonic() - self._heard
        if quiet > self.silence:
            why = f" ({self._trouble})" if self._trouble else ""
            raise FeedError(f"{self.name}: nothing heard for {quiet:.0f} s{why}; it is tried again in the background")

    def _final(self, wanted: range) -> dict[str, Rows]:
        with self._lock:
            now = time.monotonic()
            every = {symbol: buffer.final(now, self.margin) for symbol, buffer in self._buffers.items()}
        return {
            symbol: {opened: rows[opened] for opened in sorted(rows) if opened in wanted}
            for symbol, rows in every.items()
        }

    def _missing(self, wanted: range) -> list[int]:
        """Return the moments, ms, of which some symbol's candle is neither there nor known not to be."""
        final = self._final(wanted)
        with self._lock:
            known = [rows.keys() | self._buffers[symbol].over for symbol, rows in final.items()]
        return [opened for opened in wanted if not all(opened in each for each in known)]

    def _fill(self, missing: Sequence[int], wanted: range, until: int, end: float) -> None:
        """Ask REST for what is missing; its failure counts unless all that is missing is newer than what is there."""
        try:
            if self._asking is not None:  # its failure was told
                wait([self._asking], max(0.0, end - time.monotonic()))
            self._asking = self._rest.submit(self._ask, range(missing[0], wanted.stop, self.step), until)
            self._wait(self._asking, end)
        except FeedError as error:
            left = self._missing(wanted)
            if len(left) == len(wanted) or left != list(wanted)[len(wanted) - len(left) :]:
                raise
            _LOG.info("%s: not yet over REST: %s", self.name, error)

    def _wait(self, asking: Future[Answer], end: float) -> Answer:
        try:
            return asking.result(max(0.0, end - time.monotonic()))
        except LateError:
            raise FeedError(f"{self.name}: REST gave no answer within {self.bound:g} s") from None

    def _ask(self, asked: range, until: int) -> None:
        found = self.rest.candles((asked[0] + self.step) * MS - 1, until)
        with self._lock:
            for symbol, rows in found.items():
                # Of one that has no answer for now nothing is known; one that is gone has no candles.
                if symbol in self.rest.gone or symbol not in self.rest.missing:
                    self._buffers[symbol].confirm(asked, rows)

    def _confirm(self, wanted: range, rows: Mapping[str, Rows], until: int) -> None:
        """Let REST confirm, in the background, what was served before as the socket told it."""
        with self._lock:
            confirmed = {symbol: buffer.confirmed for symbol, buffer in self._buffers.items()}
            old = [o for symbol, each in rows.items() for o in each if o not in confirmed[symbol] and o <= self._served]
        if not old or (self._asking is not None and not self._asking.done()):
            return
        self._asking = self._rest.submit(self._ask, range(min(old), wanted.stop, self.step), until)
        self._asking.add_done_callback(self._tell)

    def _tell(self, asking: Future[None]) -> None:
        if not asking.cancelled() and asking.exception() is not None:
            _LOG.info("%s: not confirmed: %s", self.name, asking.exception())

    # The thread that listens -----------------------------------------------------------------------------------

    def _listen(self) -> None:
        if self._closed:
            raise FeedError(f"{self.name}: is closed")
        if self._thread is None:
            self._heard, self._loop = time.monotonic(), asyncio.new_event_loop()
            self._main = self._loop.create_task(self._run())
            work = (self._loop, self._main)
            self._thread = threading.Thread(target=self._serve, args=work, name=self.name, daemon=True)
            self._thread.start()

    def _serve(self, loop: asyncio.AbstractEventLoop, main: asyncio.Task[None]) -> None:
        try:
            loop.run_until_complete(main)
        except asyncio.CancelledError:
            _LOG.debug("%s: closed", self.name)
        finally:
            loop.close()

    def _stop(self) -> None:
        if self._main is not None:
            self._main.cancel()

    async def _run(self) -> None:
        """Connect, listen until it breaks, wait, and again."""
        pause = FIRST
        while not self._closed:
            began = self._heard
            try:
                await self._connection()
            except Exception as error:  # whatever breaks a connection, the next one may stand; `fetch` tells of it
                self._trouble = plain(f"{type(error).__name__}: {error}")
                _LOG.info("%s: the socket broke: %s", self.name, self._trouble)
            pause = FIRST if self._heard > began else min(LONGEST, 2.0 * pause)
            await asyncio.sleep(pause * 0.5 * (1.0 + random.random()))

    async def _connection(self) -> None:
        # One thread asks over REST, for its client is not made for two.
        await asyncio.wrap_future(self._rest.submit(self.rest.prepare))
        client = self._open()
        client.set_markets(self.rest.client.markets, self.rest.client.currencies)
        tasks = [asyncio.ensure_future(self._watch(client, asset)) for asset in self._listed()]
        tasks.append(asyncio.ensure_future(self._watchdog()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                # The library cancels who waits for a socket that it closes.
                raise FeedError("the socket was closed") if task.cancelled() else task.exception() or FeedError("ended")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with self._lock:
                for buffer in self._buffers.values():
                    buffer.cut()
            await client.close()

    def _listed(self) -> list[Asset]:
        return [asset for asset in self.rest.assets if asset.symbol not in self.rest.gone]

    async def _watch(self, client: Any, asset: Asset) -> None:
        cache, symbol = _growing(), asset.ticker
        client.ohlcvs.setdefault(symbol, {})[self.rest.interval] = cache
        while True:
            newest = await client.watch_ohlcv(symbol, self.rest.interval)
            told = cache.news() or [list(row) for row in newest]
            now = time.time_ns() // MS
            rows = checked(self.name, symbol, told, self.step, now, now + self.step)
            with self._lock:
                self._heard = time.monotonic()
                for opened, prices in sorted(rows.items()):
                    self._buffers[asset.symbol].see(opened, prices, self._heard)

    async def _watchdog(self) -> None:
        connected = time.monotonic()
        while time.monotonic() - max(self._heard, connected) < self.silence:
            await asyncio.sleep(min(1.0, self.silence / 4.0))
        raise FeedError(f"nothing heard for {self.silence:g} s")
