"""Bars of a crypto exchange over its websocket, through ccxt.pro; what the socket did not bring is asked for over REST.

A thread of its own listens and keeps the candles; `fetch` takes those that are over. A candle is over when the next one
has begun and nothing was missed in between: when the socket breaks, unfinished candles are thrown away, for what they
became while nobody listened is only known to REST. A candle that came over the socket is asked for once more over REST,
in the background, when it is fetched again: a bar that differs is then seen by whoever compares.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from typing import Any, Final

from barograph.errors import BarographError, ConfigError, FeedError
from barograph.history import History
from barograph.paper.ports import Feed
from barograph_adapters._ccxt import opened, plain
from barograph_adapters.feeds._candles import DAY, MS, Prices, Rows, bars, checked, closes
from barograph_adapters.feeds.exchange import Exchange

__all__ = ["Buffer", "Stream", "stream"]

FIRST, LONGEST = 0.25, 30.0
"""Seconds until the first and the last try to connect again."""
KEPT: Final = 5000
"""Candles of a symbol that are remembered."""


def stream(
    name: str,
    symbols: Sequence[str],
    interval: str = "1m",
    silence: float = 60.0,
    bound: float = 30.0,
    margin: float = 2.0,
    timeout: float = 10.0,
    tries: int = 2,
    options: Mapping[str, Any] | None = None,
) -> Feed:
    """Return a feed of an exchange's candles as they come over its websocket, 24/7, several symbols joined.

    The words mean what they mean for `exchange`; intervals go up to a day. The socket is opened at the first fetch and
    again, ever later, when it breaks. When it said nothing for `silence` seconds, `fetch` raises `FeedError`, so that
    a chain of feeds falls over; it never takes longer than `bound` seconds. ``feed.fetch.close()`` ends the thread.
    """
    return Feed(f"{name} stream", Stream(name, symbols, interval, silence, bound, margin, timeout, tries, options))


class Buffer:
    """What the socket said of one symbol: candles by their open, and which of them are over.

    >>> buffer = Buffer(60_000)
    >>> buffer.see(0, (1.0, 1.0, 1.0, 1.0, 5.0), now=0.0)
    >>> buffer.see(60_000, (1.0, 2.0, 1.0, 2.0, 1.0), now=60.0)
    >>> sorted(buffer.final(now=60.5, settle=1.0)), sorted(buffer.final(now=61.5, settle=1.0))
    ([], [0])
    """

    def __init__(self, step: int) -> None:
        self.step = step
        self.rows: Rows = {}
        self.confirmed: set[int] = set()
        self._begun: dict[int, float] = {}

    def see(self, opened: int, prices: Prices, now: float) -> None:
        """Take a candle as the socket tells it, `now` seconds on a clock that only goes forward.

        A candle only grows: what shows less of it than is known is an old message, come late or twice. The first
        candle after a break is taken whole, as every message holds all of it.
        """
        known = self.rows.get(opened)
        if opened in self.confirmed or (known is not None and not _grown(known, prices)):
            return
        self.rows[opened] = prices
        self._begun.setdefault(opened, now)
        self._forget()

    def confirm(self, rows: Rows) -> None:
        """Take final candles from REST, which knows best."""
        self.rows |= rows
        self.confirmed |= set(rows)
        self._forget()

    def cut(self) -> None:
        """Forget the candles that were not over when the socket broke."""
        over = self.final(math.inf, 0.0)
        self.rows = {opened: prices for opened, prices in self.rows.items() if opened in over}
        self._begun = {}
        self.confirmed |= set()
        self._over = set(self.rows)

    def final(self, now: float, settle: float) -> Rows:
        """Return the candles that are over: the next one began `settle` seconds ago, for messages to come in order."""
        begun = max((opened for opened, since in self._begun.items() if since + settle <= now), default=-1)
        return {opened: row for opened, row in self.rows.items() if opened < begun or opened in self.confirmed}

    def _forget(self) -> None:
        for opened in sorted(self.rows)[:-KEPT]:
            del self.rows[opened]
            self._begun.pop(opened, None)
            self.confirmed.discard(opened)
