"""A market with known closes and prices, and feeds of it that fail in every way a feed can; all a function of seeds.

A feed is asked at the moment `until`, and what it answers depends on that moment and its seed alone: the same question
gets the same answer, also after a restart, and a test can ask it again. The closes are read from `exchange_calendars`
directly, not through Barograph.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import exchange_calendars
import numpy as np
import pandas as pd

import barograph as bg
from barograph.data.history import History
from barograph.errors import FeedError
from barograph.types import Feed

SECOND = 1_000_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
NEVER = 2**62
BAR_FAULTS = ("late by minutes", "late by hours", "late by days", "never", "asset late", "asset never", "revised")
LOOK_FAULTS = (
    "raises", "breaks", "empty", "doubled", "shuffled", "future", "partial", "permuted", "extra asset", "no asset",
)  # fmt: skip

Row = tuple[int, dict[str, tuple[float, ...]]]
"""One bar as a feed has it: its close, and open, high, low, close and volume by symbol (NaN for no bar)."""


class Market(NamedTuple):
    """What truly happened: closes (T,), and open, high, low, close, volume as an array (T, N, 5)."""

    calendar: str
    symbols: tuple[str, ...]
    closes: Any
    bars: Any

    def row(self, t: int) -> Row:
        """Return one bar of all assets."""
        values = self.bars[t].tolist()
        return int(self.closes[t]), {symbol: tuple(values[a]) for a, symbol in enumerate(self.symbols)}


@lru_cache(maxsize=8)
def market(calendar: str, every: str, first: str, last: str, assets: int, seed: int) -> Market:
    """Return a market between two dates."""
    closes = true_closes(calendar, every, first, last)
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_normal((len(closes), assets)), axis=0))
    start = close * np.exp(0.003 * rng.standard_normal(close.shape))
    high, low = np.maximum(start, close) * 1.002, np.minimum(start, close) * 0.998
    bars = np.stack([start, high, low, close, np.full(close.shape, 1e6)], axis=2)
    return Market(calendar, tuple("ABCDEFG"[:assets]), closes, bars)


def true_closes(calendar: str, every: str, first: str, last: str) -> Any:
    """Return all closes between two dates, ns UTC: those of sessions, or of bars so many hours long."""
    hours = 0 if every == "session" else int(every.removesuffix("h"))
    begin, end = pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC")
    if calendar == "24/7":
        made = pd.date_range(begin, end, freq=f"{hours or 24}h")
        return made.as_unit("ns").asi8[1:]
    known = exchange_calendars.get_calendar(calendar, start=first, end=last)
    if not hours:
        return pd.DatetimeIndex(known.closes.array).as_unit("ns").asi8
    found = []
    for opens, closes in zip(known.opens.array, known.closes.array, strict=True):
        moment = opens + pd.Timedelta(hours=hours)
        while moment < closes:
            found.append(moment)
            moment += pd.Timedelta(hours=hours)
        found.append(closes)
    return pd.DatetimeIndex(found).as_unit("ns").asi8


IS_OVER = [False]
"""Whether a study is over, and all that happened may be seen: until then `past` ends where it is told to."""


def past(
    calendar: str, every: str, first: str, last: str, assets: int = 1, seed: int = 0, until: str = "2200-01-01"
) -> History:
    """Return all that truly happened until a moment: the [data] of a config."""
    m = market(calendar, every, first, last, assets, seed)
    known = int(np.searchsorted(m.closes, pd.Timestamp(until).value, side="right")) if not IS_OVER[0] else len(m.closes)
    return history_of([m.row(t) for t in range(known)], m.symbols, calendar, "past")


def feed(
    calendar: str,
    every: str,
    first: str,
    last: str,
    assets: int = 1,
    seed: int = 0,
    name: str = "best",
    bars: float = 0.0,
    looks: float = 0.0,
    since: str = "1970-01-01",
) -> Feed:
    """Return a feed of a market in which this share of bars, and of looks, goes wrong from a date on."""
    whole = market(calendar, every, first, last, assets, seed)
    made = FaultyFeed(whole, name, bars, looks, pd.Timestamp(since).value, seed)
    return Feed(name, made.fetch)


class FaultyFeed:
    """The feed; `answer` says what it would answer, row by row, before a `History` is made of it."""

    def __init__(self, market: Market, name: str, bars: float, looks: float, since: int, seed: int) -> None:
        self.market, self.name, self.bars, self.looks = market, name, bars, looks
        self.since, self.seed = since, seed
        self.known: dict[int, tuple[list[int], int, int]] = {}

    def fetch(self, after: int, until: int) -> History | None:
        """Answer like any feed."""
        rows = self.answer(after, until)
        if not rows:
            return None
        return history_of(rows, list(rows[0][1]), self.market.calendar, self.name)

    def answer(self, after: int, until: int) -> list[Row]:
        """Return the rows that closed in (after, until], as wrong as this moment has them; may raise."""
        fault = self.fault(until)
        if fault == "raises":
            raise FeedError(f"{self.name}: HTTP 503")
        if fault == "breaks":
            raise KeyError("chart")
        rows = [] if fault == "empty" else self._visible(after, until)
        return self._spoiled(rows, fault, until)

    def fault(self, now: int) -> str:
        """Return what is wrong with an answer at this moment, or nothing."""
        rng = random.Random(f"{self.seed} {self.name} look {now}")
        return rng.choice(LOOK_FAULTS) if now >= self.since and rng.random() < self.looks else ""

    def fate(self, t: int) -> tuple[list[int], int, int]:
        """Return when each asset's bar can be had, when it is revised, and which asset that is."""
        if t not in self.known:
            self.known[t] = self._fate(t)
        return self.known[t]

    def _fate(self, t: int) -> tuple[list[int], int, int]:
        rng = random.Random(f"{self.seed} {self.name} bar {t}")
        close, assets = int(self.market.closes[t]), len(self.market.symbols)
        came = close + rng.randint(1, 240) * SECOND
        fault = rng.choice(BAR_FAULTS) if close >= self.since and rng.random() < self.bars else ""
        one, asset = rng.randint(5, 115) * MINUTE, rng.randrange(assets)
        waits = {
            "late by minutes": one,
            "late by hours": rng.randint(2, 20) * HOUR,
            "late by days": rng.randint(1, 4) * DAY,
            "never": NEVER - came,
        }
        arrivals = [came + waits.get(fault, 0)] * assets
        if fault.startswith("asset"):
            arrivals[asset] = NEVER if fault == "asset never" else came + rng.choice((one, 5 * HOUR, 2 * DAY))
        return arrivals, close + rng.randint(1, 72) * HOUR if fault == "revised" else NEVER, asset

    def _visible(self, after: int, until: int) -> list[Row]:
        first, last = (int(np.searchsorted(self.market.closes, m, side="right")) for m in (after, until))
        rows = []
        for t in range(first, last):
            arrivals, revised, asset = self.fate(t)
            ts, bars = self.market.row(t)
            for a, symbol in enumerate(self.market.symbols):
                if arrivals[a] > until:
                    bars[symbol] = (np.nan,) * 5
                elif revised <= until and a == asset:
                    bars[symbol] = (*(1.01 * price for price in bars[symbol][:4]), 1e6)
            if min(arrivals) <= until:
                rows.append((ts, bars))
        return rows

    def _spoiled(self, rows: list[Row], fault: str, until: int) -> list[Row]:
        following = int(np.searchsorted(self.market.closes, until, side="right"))
        if fault in ("future", "partial") and following < len(self.market.closes):
            ts, bars = self.market.row(following)
            share = 1.0 if fault == "future" else 0.5
            return [*rows, (ts, {symbol: (*bar[:4], share * bar[4]) for symbol, bar in bars.items()})]
        spoiled: dict[str, list[Row]] = {
            "doubled": [*rows, *rows[-1:]],
            "shuffled": rows[::-1],
            "permuted": [(ts, dict(reversed(bars.items()))) for ts, bars in rows],
            "extra asset": [(ts, {"X": (1.0,) * 5, **bars}) for ts, bars in rows],
            "no asset": [(ts, {"X": (1.0,) * 5, **dict(list(bars.items())[1:])}) for ts, bars in rows],
        }
        return spoiled.get(fault, rows)


def history_of(rows: Sequence[Row], symbols: Sequence[str], calendar: str, source: str) -> History:
    """Make a history of rows; raises `DataError` where they are none."""
    values = np.array([[bars[symbol] for symbol in symbols] for _, bars in rows])
    names = ("open", "high", "low", "close", "volume")
    columns = {name: values[:, :, j] for j, name in enumerate(names)}
    ts = [ts for ts, _ in rows]
    return History.from_arrays(ts, **columns, symbols=list(symbols), calendar=calendar, source=source)


@bg.kernel
def _sway(state, bars, belief, portfolio, params):
    """More and less of every asset, by turns of five bars: something is bought and something sold all the time."""
    weight = (0.1 + 0.1 * (state % 5)) * params / bars.close.size
    return state + 1, bg.Target(np.full(bars.close.size, weight))


def sway(most: float = 1.0) -> bg.Strategy:
    """Return a strategy that is never content."""
    return bg.strategy(_sway, params=most, init=lambda _: 0, name="sway")


@bg.kernel
def _scripted(state, bars, belief, portfolio, params):
    """The next weight of a list, then always its last."""
    return min(state + 1, params.size - 1), bg.Target(np.full(bars.close.size, params[state] / bars.close.size))


def scripted(weights: list[float]) -> bg.Strategy:
    """Return a strategy that wants one weight after the other; 999 stands for NaN, which no config should hold."""
    params = np.array([np.nan if weight == 999.0 else weight for weight in weights])
    return bg.strategy(_scripted, params=params, init=lambda _: 0, name="scripted")


def flat(bars: int = 40, assets: int = 1, calendar: str = "24/7") -> History:
    """Return daily bars of assets that cost 100 all the time, the first of which closes on 2023-01-02, midnight."""
    ts = pd.Timestamp("2023-01-02").value + np.arange(bars) * DAY
    close = np.full((bars, assets), 100.0)
    return History.from_arrays(ts, close, symbols=list("ABCDEFG"[:assets]), calendar=calendar, source="flat")
