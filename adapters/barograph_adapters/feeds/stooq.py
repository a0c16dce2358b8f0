"""Daily bars from stooq.com: raw prices by CSV, with a key, and with an eye on what comes instead of them.

Stooq answers web pages and sentences with status 200, and it declares no dividends and no splits: it is a source to
fall back on. A jump that looks like a split is therefore refused, for a position would be wrong by its ratio.
"""

from __future__ import annotations

import http.client
import io
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from barograph.data import calendars
from barograph.data.calendars import DAY
from barograph.data.history import History
from barograph.errors import FeedError
from barograph.paper.ports import Clock
from barograph.types import Feed
from barograph_adapters._retry import BusyError, retried
from barograph_adapters._text import hidden, one_line, revealed
from barograph_adapters.feeds._bars import (
    SECOND,
    WALL,
    Asset,
    Roll,
    bounded,
    checked,
    expected,
    history_of,
    nothing,
    tickers,
)

__all__ = ["stooq"]

_URL = "https://stooq.com/q/d/l/"
_COLUMNS: Final = ["date", "open", "high", "low", "close", "volume"]

_LEAD: Final = 14 * DAY
_LARGEST: Final = 32 * 2**20
_RATIOS: Final = np.log([1.5, 2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50, 100])
_SENTENCES: Final = {
    "no data": "'No data': it knows no such symbol, or has no bar of these days; US shares end in .us, as in spy.us",
    "get your apikey": "it wants a key, or another one; stooq.com/q/d/?s=spy.us&get_apikey gives one to people",
    "<": "a web page instead of bars; it does so for a wrong key, and to look whether somebody is there",
}


class _Look(NamedTuple):
    """One look at the time `now`: for bars that closed in (after, until], final `settle` later; all in ns."""

    after: int
    until: int
    now: int
    settle: int
    timeout: float
    accept_jumps: bool
    accept: Sequence[str]


def stooq(
    symbols: Sequence[str] | Mapping[str, str],
    key: str = "${STOOQ_KEY}",
    calendar: str = "XNYS",
    observed: Sequence[str] = (),
    settle: float = 30.0,
    accept_jumps: bool = False,
    accept: Sequence[str] = (),
    timeout: float = 10.0,
    tries: int = 2,
    name: str = "stooq",
    clock: Clock | None = None,
) -> Feed:
    """Return a feed of Stooq's daily bars: `symbols` are its names, or a table ``{ SPY = "spy.us" }`` from ours to its.

    `key` is the one it gives to people, best as the environment variable ``${STOOQ_KEY}``. A bar is final `settle`
    minutes after its session's close on `calendar`. A price that opens at a simple fraction or multiple of the close
    before it (3:2, 2:1, 3:1, ...) is refused as an undeclared split unless `accept_jumps` is true. `accept` lists codes
    of `barograph.data.checks` that shall not stop it. A request takes at most `timeout` seconds, `tries` says how
    often.

    Raises `ConfigError` for what cannot be asked, `FeedError` for everything that is no bar; the key is in neither.
    """
    assets = tickers(symbols, observed, calendar, name)
    bounded(name, timeout, tries, settle)
    secret = revealed(key, f"{name}: key")
    wall, roll = clock or WALL, Roll(assets)

    def fetch(after: int, until: int) -> History | None:
        """Ask for each asset in turn."""
        look = _Look(after, until, wall.now(), int(settle * 60 * SECOND), timeout, accept_jumps, accept)
        if not expected(calendar, after, min(until, look.now), daily=True):
            return None
        asked = roll.ask(lambda asset: retried(partial(_bars, asset, secret, look), name, tries, sleep=wall.sleep))
        return roll.beside(*asked, after, until)

    return Feed(name, fetch, urllib.parse.urlsplit(_URL).netloc)


def _bars(asset: Asset, secret: str, look: _Look) -> History:
    first = max(look.after - _LEAD, 0)
    query = {"s": asset.ticker.lower(), "d1": _day(first), "d2": _day(look.now + DAY), "i": "d"}
    # Seven ones: adjusted for nothing, neither splits nor dividends.
    text, now = _answer(asset.where, {**query, "o": "1111111", "apikey": secret}, secret, look)
    frame = _table(asset.where, text, secret)
    days = frame["date"].to_numpy().astype("M8[D]")
    known = calendars.sessions(asset.calendar, days[0], days[-1])
    frame, days = frame[np.isin(days, known.days)], days[np.isin(days, known.days)]
    at = np.searchsorted(known.days, days)
    late = known.opens[at] > now + 600 * SECOND
    if late.any():
        raise FeedError(
            f"{asset.where}: a bar of {days[late][0]}, which is in the future; look at this machine's clock"
        )
    ts = known.closes[at]
    if not (frame["volume"] != 0.0).any():
        frame = frame.assign(volume=np.nan)
    keep = (ts > look.after) & (ts <= look.until) & (ts + look.settle <= now)
    if not look.accept_jumps:
        _no_split(asset.where, frame, days, keep)
    if not keep.any():
        return nothing(asset, look.after + 1)
    return history_of(asset, checked(asset, frame[keep], ts[keep], look.accept), ts[keep])


def _day(ts: int) -> str:
    return pd.Timestamp(ts).strftime("%Y%m%d")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Go nowhere else: the key is for one host."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _answer(where: str, query: Mapping[str, str], secret: str, look: _Look) -> tuple[str, int]:
    """Return the page as text and the server's time, or ours when that is earlier."""
    request = urllib.request.Request(f"{_URL}?{urllib.parse.urlencode(query)}", headers={"User-Agent": "Mozilla/5.0"})
    told = ""
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=look.timeout) as answer:
            body = _body(answer, time.monotonic() + look.timeout)
            return body.decode("utf-8-sig", "replace"), min(
                look.now, _server_time(answer.headers.get("Date"), look.now)
            )
    except urllib.error.HTTPError as error:
        told = f"HTTP {error.code}"
        error.close()
    except TimeoutError:
        told = f"no answer within {look.timeout:g} s"
    except (OSError, http.client.HTTPException) as error:
        told = f"it cannot be reached, or hung up: {one_line(error)}"
    # Raised out here, so that no request, which holds the key, is part of the error.
    raise (BusyError if told == "HTTP 429" else FeedError)(hidden(f"{where}: {told}", secret))


def _body(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    """Read it all, whatever the server's pace, but for no longer than the deadline."""
    whole = bytearray()
    while piece := answer.read1(65536):
        whole += piece
        if time.monotonic() > deadline:
            raise TimeoutError
        if len(whole) > _LARGEST:
            raise OSError(f"more than {_LARGEST} bytes")
    promised = answer.headers.get("Content-Length")
    short = int(promised) > len(whole) if promised else not (answer.chunked or whole.endswith(b"\n"))
    if short:
        raise OSError("the answer is cut short")
    return bytes(whole)


def _server_time(date: str | None, otherwise: int) -> int:
    try:
        return int(parsedate_to_datetime(date or "").timestamp()) * SECOND
    except ValueError:  # a date nobody can read says nothing about the time
        return otherwise


def _table(where: str, text: str, secret: str) -> pd.DataFrame:
    """Return a page's rows in order of time, once it is clear that they are bars."""
    plain = text.strip().lower()
    if "daily hits limit" in plain:
        raise BusyError(f"{where}: 'Exceeded the daily hits limit': it answers again tomorrow").after(86_400.0)
    for start, meaning in _SENTENCES.items():
        if plain.startswith(start):
            raise FeedError(f"{where}: {meaning}")
    header = plain.partition("\n")[0].strip().split(",")
    if header not in (_COLUMNS, _COLUMNS[:-1]):
        begins = hidden(one_line(text[:200], 60), secret)
        raise FeedError(f"{where}: no bars: the answer begins with {begins!r}; wanted {','.join(_COLUMNS)}")
    return _numbers(where, text)


def _numbers(where: str, text: str) -> pd.DataFrame:
    try:
        frame = pd.read_csv(io.StringIO(text.strip()), index_col=False, dtype="str").rename(columns=str.lower)
        dates = pd.to_datetime(frame["date"], format="%Y-%m-%d")
        prices = {name: pd.to_numeric(frame[name]) for name in frame if name != "date"}
    except ValueError as error:
        raise FeedError(f"{where}: a line that is no bar: {one_line(error, 100)}") from error
    table = pd.DataFrame({"volume": np.nan, **prices, "date": dates}).drop_duplicates().sort_values("date")
    twice = table["date"].duplicated().to_numpy()
    if twice.any():
        raise FeedError(f"{where}: two different bars of {table['date'][twice].iloc[0].date()}")
    whole = np.isfinite(table[_COLUMNS[1:5]].to_numpy()).all(axis=1)
    if not whole.any():
        raise FeedError(f"{where}: a header without bars")
    return table.iloc[np.flatnonzero(whole)]


def _no_split(where: str, frame: pd.DataFrame, days: Any, keep: Any) -> None:
    """Refuse a new bar that opens at a simple fraction or multiple of the close before it."""
    jump = np.abs(np.log(frame["open"].to_numpy()[1:] / frame["close"].to_numpy()[:-1]))
    near = (np.abs(jump[:, None] - _RATIOS[None, :]) < 0.03).any(axis=1) & keep[1:]
    if near.any():
        row = int(np.argmax(near)) + 1
        told = f"opens at {frame['open'].iloc[row]:.10g} after a close of {frame['close'].iloc[row - 1]:.10g}"
        raise FeedError(
            f"{where}: {days[row]} {told}: it looks like a split, and Stooq declares none; take that day from another "
            f"feed, or say accept_jumps = true"
        )
