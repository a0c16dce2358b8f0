"""Bars of a crypto exchange over REST, through ccxt: any exchange that it reads candles from, without a key."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from barograph.data.calendars import ALWAYS, span_of
from barograph.data.history import History
from barograph.errors import ConfigError, DataError, FeedError, IncompleteError
from barograph.types import Feed
from barograph_adapters._ccxt import answered, host_of, market, opened
from barograph_adapters._retry import BusyError, retried
from barograph_adapters.feeds._bars import Asset, Roll, tickers
from barograph_adapters.feeds._candles import MS, Rows, bars, checked, grid, step_of

__all__ = ["Exchange", "exchange"]

# What is shorter is waited for within a look.
_SHORT: Final = 30.0


def exchange(
    name: str,
    symbols: Sequence[str] | Mapping[str, str],
    interval: str = "1d",
    start: str | None = None,
    observed: Sequence[str] = (),
    margin: float = 2.0,
    timeout: float = 10.0,
    tries: int = 4,
    page: int | None = None,
    most: int = 1000,
    options: Mapping[str, Any] | None = None,
) -> Feed:
    """Return a feed of an exchange's candles, 24/7, several symbols joined; no key is needed.

    `name` is ccxt's word for the exchange ("binance", "kraken"), `symbols` are ccxt's words for its markets
    ("BTC/USDT"; "BTC/USDT:USDT" is the perpetual swap), or a table ``{ BTC = "BTC/USDT" }`` from ours to them.
    `interval` is one of the exchange's, up to a week; `observed` names assets that are not traded; nothing is asked
    before `start`. A candle counts when it closed `margin` seconds ago by the exchange's clock, which is read before
    the candles; where an exchange tells no time, when the next one has begun.

    Each request waits `timeout` seconds and is tried `tries` times. `page` is how many candles are asked for at once
    (default: what the exchange gives), `most` how many times one fetch asks. `options` go to ccxt's constructor:
    ``{ httpsProxy = "..." }``, or ``{ urls = { api = { public = "https://mirror" } } }``; ${NAME} in them is an
    environment variable.

    Raises `ConfigError` for an unknown exchange at once, and for an unknown market or interval at the first fetch;
    `fetch` raises `FeedError` for what fails for now and for what cannot be true.
    """
    asked = Exchange(name, symbols, interval, start, observed, margin, timeout, tries, page, most, options)
    return Feed(name, asked, asked.host)


class Exchange:
    """A feed's `fetch`, and what it remembers: a connection, the markets, the length of a candle."""

    def __init__(
        self,
        name: str,
        symbols: Sequence[str] | Mapping[str, str],
        interval: str = "1d",
        start: str | None = None,
        observed: Sequence[str] = (),
        margin: float = 2.0,
        timeout: float = 10.0,
        tries: int = 4,
        page: int | None = None,
        most: int = 1000,
        options: Mapping[str, Any] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if isinstance(symbols, str):
            raise ConfigError(f'{name}: symbols = {symbols!r}; wanted a list of markets, as ["BTC/USDT"]')
        self.assets = tickers(symbols, observed, ALWAYS, name)
        self.earliest = span_of(start, None)[0] - 1
        self.name, self.interval, self.margin = name, interval, int(1000 * margin)
        self.tries, self.page, self.most, self.sleep = tries, page, most, sleep
        self.client = opened(name, options or {}, timeout)
        if self.client.has.get("fetchOHLCV") is not True:
            raise ConfigError(f"{name}: this exchange gives no candles; choose another one")
        self.step = step_of(name, interval, self.client.timeframes or ())
        self._ready, self.host = False, host_of(self.client)
        self._open_again, self._banned = 0.0, ""
        self._roll = Roll(self.assets)
        self.gone: dict[str, str] = {}
        self.missing: dict[str, str] = {}

    def __call__(self, after: int, until: int) -> History | None:
        """Return the final bars that closed in (after, until], ns UTC, or None."""
        return self.joined(self.name, self.candles(after, until))

    def joined(self, source: str, candles: Mapping[str, Rows]) -> History | None:
        """Return candles as bars; raises `IncompleteError`, with them, when a symbol has no answer."""
        history = bars(source, candles, self.step, [asset.traded for asset in self.assets])
        missing = {symbol: why for symbol, why in self.missing.items() if not candles[symbol]}
        if missing:
            raise IncompleteError(missing, history)
        return history

    def candles(self, after: int, until: int) -> dict[str, Rows]:
        """Return the final candles that closed in (after, until], by our symbol and open."""
        self.prepare()
        after = max(after, self.earliest)
        now, sure = self._clock()
        started = time.monotonic()
        last = min(until // MS, now - self.margin if sure else until // MS) - self.step
        first = (after // MS - self.step) // grid(self.step) * grid(self.step) + grid(self.step)

        def asked(asset: Asset) -> Rows:
            if asset.symbol in self.gone:
                raise DataError(self.gone[asset.symbol])
            # Without the exchange's clock the next candle is the proof that one is over: it is asked for, too.
            rows = list(self._rows(asset.ticker, max(first, 0), min(last if sure else last + self.step, now)))
            final = last if sure else min(last, max((row[0] for row in rows), default=0) - 1)
            passed = int(1000 * (time.monotonic() - started))
            whole = checked(self.name, asset.ticker, rows, self.step, now + passed, final)
            return {opened: whole[opened] for opened in sorted(whole) if opened >= first}

        found, self.missing = self._roll.ask(asked)
        return {asset.symbol: found.get(asset.symbol, {}) for asset in self.assets}

    def prepare(self) -> None:
        """Load the markets and look for the symbols among them; raises `ConfigError` when none of them is there."""
        if self._ready:
            return
        self._ask(self.client.load_markets)
        markets = []
        for asset in self.assets:
            try:
                markets.append((asset, market(self.name, self.client, asset.ticker)))
            except ConfigError as error:
                self.gone[asset.symbol] = str(error)
                if len(self.gone) == len(self.assets):
                    raise
        quotes = sorted({str(each["quote"]) for asset, each in markets if asset.traded})
        if len(quotes) > 1:
            raise ConfigError(f"{self.name}: symbols are quoted in {', '.join(quotes)}; wanted one currency")
        self._ready = True

    def _clock(self) -> tuple[int, bool]:
        """Return the time, ms, and whether it is the exchange's own."""
        if self.client.has.get("fetchTime") is not True:
            return int(self.client.milliseconds()), False
        return self._ask(lambda: int(self.client.fetch_time())), True

    def _rows(self, symbol: str, since: int, last: int) -> Iterator[Any]:
        """Yield the candles that open from `since` to `last` or later, page by page."""
        page = self.page or self._limit(symbol)
        for _ in range(self.most):
            if since > last:
                return
            rows = self._page(symbol, since, page)
            yield from rows
            newest = max((int(row[0]) for row in rows), default=0)
            # An exchange that looks only so far ahead answers a long gap with nothing: the gap is stepped over.
            since = newest + self.step if newest >= since else since + page * self.step
        raise DataError(f"{self.name}: {symbol}: more than {self.most} pages of {page} candles; ask for less at once")

    def _page(self, symbol: str, since: int, page: int) -> list[Any]:
        def asked() -> list[Any]:
            rows: list[Any] = self.client.fetch_ohlcv(symbol, self.interval, since, page)
            if not all(isinstance(row, list) and row and isinstance(row[0], int) for row in rows):
                raise FeedError(f"{self.name}: {symbol}: the answer holds no candles: {str(rows)[:80]}")
            return rows

        answer: list[Any] = self._ask(asked)
        return answer

    def _ask(self, call: Callable[[], Any]) -> Any:
        """Ask with patience, and not at all while the exchange wants to be left alone: a ban that is ignored grows."""
        left = self._open_again - time.monotonic()
        if left > 0.0:
            raise BusyError(self._banned).after(left)
        try:
            return retried(lambda: answered(self.name, self.client, call), self.name, self.tries, sleep=self.sleep)
        except FeedError as error:
            if error.wait > _SHORT:
                self._open_again, self._banned = time.monotonic() + error.wait, str(error)
            raise

    def _limit(self, symbol: str) -> int:
        """Return how many candles the exchange gives at once, as far as ccxt knows."""
        return int(self.client.feature_value(symbol, "fetchOHLCV", "limit") or 100)
