"""A Yahoo Finance that runs on this machine: quotes that are known, splits that scale the past, and faults on demand.

It answers what the chart, cookie and crumb pages answer, for as many shares as it is given, at any moment of its own
clock: bars end there, today's is partial until its session closes, and a split scales all earlier prices from its day
on, as Yahoo does. `rerouted` makes curl_cffi, and so yfinance, ask it instead of Yahoo.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd

from barograph.data.calendars import sessions

SECOND = 1_000_000_000
LENGTHS = {"1m": 60, "2m": 120, "5m": 300, "15m": 900, "60m": 3600, "90m": 5400, "1h": 3600, "1d": 86400}


@dataclass
class Share:
    """What one share truly did: raw bars by date (open, high, low, close, volume), dividends and splits by date."""

    bars: pd.DataFrame
    calendar: str = "XNYS"
    zone: str = "America/New_York"
    currency: str = "USD"
    kind: str = "EQUITY"
    dividends: dict[str, float] = field(default_factory=dict)
    splits: dict[str, float] = field(default_factory=dict)
    gains: dict[str, float] = field(default_factory=dict)
    scaled: bool = True
    last_trade: int | None = None


def walk(first: str, last: str, seed: int = 0, calendar: str = "XNYS", price: float = 100.0) -> pd.DataFrame:
    """Return raw daily bars of a random walk over the sessions of a calendar."""
    days = sessions(calendar, np.datetime64(first), np.datetime64(last)).days
    rng = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(0.01 * rng.standard_normal(len(days))))
    opened = close * np.exp(0.003 * rng.standard_normal(len(days)))
    high = np.maximum(opened, close) * (1.0 + 0.005 * rng.random(len(days)))
    low = np.minimum(opened, close) * (1.0 - 0.005 * rng.random(len(days)))
    columns = {"open": opened, "high": high, "low": low, "close": close}
    frame = pd.DataFrame({name: np.round(values, 2) for name, values in columns.items()}, index=days)
    return frame.assign(volume=rng.integers(1_000, 9_000, len(days)) * 1000)


@dataclass
class FakeYahoo:
    """The server: `now` is its clock (ns UTC), `fault` says what goes wrong with the next page of prices."""

    shares: dict[str, Share]
    now: int
    fault: Callable[[], str | None] = lambda: None
    slow: float = 1.0
    skew: int = 0
    asked: list[str] = field(default_factory=list)
    url: str = ""

    @contextmanager
    def running(self) -> Iterator[FakeYahoo]:
        """Serve until the block ends."""
        with serving(_handler(self)) as self.url:
            yield self


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that lost its patience is no error
            super().handle_error(request, client_address)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of the loopback until the block ends; the value is the URL."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def rerouted(monkeypatch: Any, server: FakeYahoo) -> None:
    """Send every request of curl_cffi for a host of Yahoo's to the server, and refuse all others."""
    from curl_cffi.requests import Session

    plain = Session.request

    def request(self: Any, method: Any, url: str, **options: Any) -> Any:
        host = urlsplit(url).hostname or ""
        assert host.endswith("yahoo.com"), url
        return plain(self, method, re.sub(r"^https://", f"{server.url}/", url), **options)

    monkeypatch.setattr(Session, "request", request)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def _handler(fake: FakeYahoo) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one packet: else each answer waits 40 ms for an acknowledgement.
        disable_nagle_algorithm = True
        wbufsize = -1

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate((fake.now + fake.skew) / SECOND, usegmt=True)

        def do_GET(self) -> None:
            page = urlsplit(self.path)
            if "/v8/finance/chart/" in page.path:
                fake.asked.append(self.path)
                ticker = page.path.rpartition("/")[2].replace("%5E", "^")
                query = {name: values[0] for name, values in parse_qs(page.query).items()}
                _answered(self, fake, ticker, query, fake.fault())
            elif page.path.endswith("/getcrumb"):
                _send(self, 200, b"Secr3t.Crumb", "text/plain")
            else:
                _send(self, 404, b"<html>nothing here</html>", "text/html")

        do_POST = do_GET  # noqa: N815

    return Handler


def _send(to: BaseHTTPRequestHandler, status: int, body: bytes, kind: str, **headers: str) -> None:
    to.send_response(status)
    to.send_header("Content-Type", kind)
    to.send_header("Content-Length", str(len(body) + int(headers.pop("missing", "0"))))
    for name, value in headers.items():
        to.send_header(name.replace("_", "-"), value)
    to.end_headers()
    to.wfile.write(body)
    to.wfile.flush()


def _answered(
    to: BaseHTTPRequestHandler, fake: FakeYahoo, ticker: str, query: dict[str, str], fault: str | None
) -> None:
    if ticker not in fake.shares:
        error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
        return _send(to, 404, json.dumps({"chart": {"result": None, "error": error}}).encode(), "application/json")
    chart = _chart(fake, ticker, query)
    if fault in SPOILT:
        SPOILT[fault](chart["chart"]["result"][0])
    body = json.dumps(chart).encode()
    if fault in BROKEN:
        return BROKEN[fault](to, fake, body)
    return _send(to, 200, body, "application/json")


def _reset(to: BaseHTTPRequestHandler, fake: FakeYahoo, body: bytes) -> None:
    to.close_connection = True


def _timed_out(to: BaseHTTPRequestHandler, fake: FakeYahoo, body: bytes) -> None:
    to.close_connection = True
    time.sleep(fake.slow)


def _dripping(to: BaseHTTPRequestHandler, fake: FakeYahoo, body: bytes) -> None:
    to.close_connection = True
    to.send_response(200)
    to.send_header("Content-Length", str(len(body)))
    to.end_headers()
    for byte in body[:20]:
        try:
            to.wfile.write(bytes([byte]))
            to.wfile.flush()
        except OSError:
            return
        time.sleep(fake.slow / 10)


def _closing(status: int, body: bytes | None, kind: str, **headers: str) -> Callable[..., None]:
    def send(to: BaseHTTPRequestHandler, fake: FakeYahoo, whole: bytes) -> None:
        to.close_connection = "missing" in headers
        _send(to, status, whole[: len(whole) // 2] if body is None else body, kind, **dict(headers))

    return send


PAGE = b"<!doctype html><html><body>Will be back soon</body></html>"
BROKEN: dict[str, Callable[..., None]] = {
    "429": _closing(429, b"Too Many Requests", "text/plain"),
    "429 for long": _closing(429, b"Too Many Requests", "text/plain", Retry_After="3600"),
    "401": _closing(
        401, b'{"chart":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}', "text"
    ),
    "500": _closing(500, b'{"chart":{"result":null,"error":{"code":"x","description":"oops"}}}', "application/json"),
    "502": _closing(502, PAGE, "text/html"),
    "503": _closing(503, b"", "text/plain"),
    "web page": _closing(200, PAGE, "text/html"),
    "nothing": _closing(200, b"", "application/json"),
    "null": _closing(200, b"null", "application/json"),
    "no chart": _closing(200, b"{}", "application/json"),
    "truncated": _closing(200, None, "application/json"),
    "cut short": _closing(200, None, "application/json", missing="500"),
    "hung up": _reset,
    "timed out": _timed_out,
    "dripping": _dripping,
}


def _spoil(name: str) -> Callable[[Callable[[dict[str, Any]], None]], Callable[[dict[str, Any]], None]]:
    def kept(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
        SPOILT[name] = change
        return change

    return kept


SPOILT: dict[str, Callable[[dict[str, Any]], None]] = {}


def _columns(result: dict[str, Any]) -> dict[str, list[Any]]:
    return {**result["indicators"]["quote"][0], "timestamp": result["timestamp"]}


@_spoil("wrong symbol")
def _wrong_symbol(result: dict[str, Any]) -> None:
    result["meta"]["symbol"] = "OTHER"


@_spoil("wrong interval")
def _wrong_interval(result: dict[str, Any]) -> None:
    result["meta"]["dataGranularity"] = "1mo"


@_spoil("empty")
def _empty(result: dict[str, Any]) -> None:
    result.pop("timestamp")
    result.pop("events", None)
    result["indicators"] = {"quote": [{}]}


@_spoil("no rows")
def _no_rows(result: dict[str, Any]) -> None:
    for column in (*_columns(result).values(), result["indicators"]["adjclose"][0]["adjclose"]):
        column.clear()


@_spoil("missing column")
def _missing_column(result: dict[str, Any]) -> None:
    result["indicators"]["quote"][0].pop("low", None)


@_spoil("no meta")
def _no_meta(result: dict[str, Any]) -> None:
    result["meta"] = {}


@_spoil("impossible")
def _impossible(result: dict[str, Any]) -> None:
    low = result["indicators"]["quote"][0]["low"]
    low[:] = [None if value is None else value * 3.0 for value in low]


@_spoil("free")
def _free(result: dict[str, Any]) -> None:
    column = result["indicators"]["quote"][0]["low"]
    column[:] = [None if value is None else 0.0 for value in column]


@_spoil("future")
def _future(result: dict[str, Any]) -> None:
    result["timestamp"][:] = [stamp + 6 * 86400 for stamp in result["timestamp"]]


@_spoil("duplicated")
def _duplicated(result: dict[str, Any]) -> None:
    for column in (*_columns(result).values(), result["indicators"]["adjclose"][0]["adjclose"]):
        column.insert(len(column) // 2, column[len(column) // 2])


@_spoil("reordered")
def _reordered(result: dict[str, Any]) -> None:
    for column in (*_columns(result).values(), result["indicators"]["adjclose"][0]["adjclose"]):
        column.reverse()


@_spoil("other time zone")
def _other_time_zone(result: dict[str, Any]) -> None:
    # The same sessions, stamped at midnight instead of at the open.
    result["timestamp"][:] = [stamp - stamp % 86400 + 4 * 3600 for stamp in result["timestamp"]]


@_spoil("null row")
def _null_row(result: dict[str, Any]) -> None:
    for column in result["indicators"]["quote"][0].values():
        column[-2] = None


@_spoil("null close")
def _null_close(result: dict[str, Any]) -> None:
    result["indicators"]["quote"][0]["close"][-1] = None


@_spoil("null last")
def _null_last(result: dict[str, Any]) -> None:
    for column in result["indicators"]["quote"][0].values():
        column[-1] = None


def _chart(fake: FakeYahoo, ticker: str, query: dict[str, str]) -> dict[str, Any]:
    share, interval = fake.shares[ticker], query["interval"]
    first = int(query.get("period1", fake.now // SECOND - 5 * 86400))
    last = int(query.get("period2", fake.now // SECOND))
    rows = [row for row in _rows(fake, share, interval, first, last) if first <= row[0] < last]
    stamps, *columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(6)]
    quote = dict(zip(("open", "high", "low", "close", "volume"), columns, strict=True))
    result = {
        "meta": _meta(fake, share, ticker, interval),
        "timestamp": stamps,
        "indicators": {
            "quote": [quote],
            "adjclose": [{"adjclose": [value and 0.9 * value for value in quote["close"]]}],
        },
        "events": _events(fake, share, first, last),
    }
    return {"chart": {"result": [result], "error": None}}


Row = tuple[int, float | None, float | None, float | None, float | None, int]


def _rows(fake: FakeYahoo, share: Share, interval: str, first: int, last: int) -> list[Row]:
    """Return the bars that Yahoo would show: stamped with their open in seconds, scaled, the running one included."""
    days = share.bars.index.to_numpy().astype("M8[D]")
    known = sessions(share.calendar, days[0], days[-1])
    values = share.bars[["open", "high", "low", "close", "volume"]].to_numpy(dtype=float)
    now, rows = fake.now // SECOND, []
    for row in np.flatnonzero((known.closes > first * SECOND) & (known.opens < min(last * SECOND, fake.now))):
        start, end = int(known.opens[row]) // SECOND, int(known.closes[row]) // SECOND
        stamps = [start] if interval == "1d" else list(range(start, end, LENGTHS[interval]))
        scale = _scale(fake, share, pd.Timestamp(days[row]).date())
        rows += _of_day(values[row], stamps, scale, min((now - start) / (end - start), 1.0), now)
    return rows


def _of_day(bar: Any, stamps: list[int], scale: float, gone: float, now: int) -> list[Row]:
    """Return a day as one bar, or in equal steps from its open to its close; a running day is part of the way."""
    opened, high, low, close, volume = bar
    n = len(stamps)
    path = np.linspace(opened, close, n + 1) if n > 1 else np.array([opened, opened + gone * (close - opened)])
    if n == 1 and gone == 1.0:
        path[-1] = close
    rows: list[Row] = []
    for k, stamp in enumerate(stamps):
        ends = (path[k], path[k + 1])
        wide = (high, low) if n == 1 and gone == 1.0 else (max(ends), min(ends))
        prices = [None if np.isnan(p) else float(p / scale) for p in (ends[0], *wide, ends[1])]
        rows.append((stamp, prices[0], prices[1], prices[2], prices[3], round(volume * scale * gone / n)))
    return [row for row in rows if row[0] <= now]


def _scale(fake: FakeYahoo, share: Share, day: Any) -> float:
    if not share.scaled:
        return 1.0
    today = pd.Timestamp(fake.now).date()
    ratios = [r for d, r in share.splits.items() if day < pd.Timestamp(d).date() <= today]
    return float(np.prod(ratios)) if ratios else 1.0


def _opening(share: Share, day: str) -> int:
    known = sessions(share.calendar, np.datetime64(day), np.datetime64(day))
    return int(known.opens[0] // SECOND) if len(known.opens) else int(pd.Timestamp(f"{day}T13:30Z").timestamp())


def _events(fake: FakeYahoo, share: Share, first: int, last: int) -> dict[str, Any]:
    def dated(table: dict[str, float], told: Callable[[str, float, int], dict[str, Any]]) -> dict[str, Any]:
        stamps = {_opening(share, day): (day, value) for day, value in table.items()}
        seen = {at: it for at, it in stamps.items() if first <= at < last and at <= fake.now // SECOND}
        return {str(at): told(day, value, at) for at, (day, value) in seen.items()}

    def cash(day: str, value: float, at: int) -> dict[str, Any]:
        return {"amount": value / _scale(fake, share, pd.Timestamp(day).date()), "date": at}

    def split(day: str, value: float, at: int) -> dict[str, Any]:
        return {"date": at, "numerator": value, "denominator": 1.0, "splitRatio": f"{value:g}:1"}

    found = {"dividends": dated(share.dividends, cash), "splits": dated(share.splits, split)}
    found["capitalGains"] = dated(share.gains, cash)
    return {name: table for name, table in found.items() if table}


def _meta(fake: FakeYahoo, share: Share, ticker: str, interval: str) -> dict[str, Any]:
    day = np.datetime64(fake.now, "ns").astype("M8[D]")
    known = sessions(share.calendar, day - 10, day + 10)
    at = min(int(np.searchsorted(known.closes, fake.now)), len(known.closes) - 1)
    at -= int(known.opens[at] > fake.now and known.days[at] > day)
    period = {
        "timezone": "X",
        "gmtoffset": 0,
        "start": int(known.opens[at]) // SECOND,
        "end": int(known.closes[at]) // SECOND,
    }
    traded = min(fake.now, int(known.closes[at])) if share.last_trade is None else share.last_trade
    return {
        "currency": share.currency,
        "symbol": ticker,
        "instrumentType": share.kind,
        "exchangeTimezoneName": share.zone,
        "regularMarketTime": traded // SECOND,
        "dataGranularity": interval,
        "priceHint": 2,
        "validRanges": ["1d", "5d", "max"],
        "currentTradingPeriod": {name: dict(period) for name in ("pre", "regular", "post")},
        **({} if interval == "1d" else {"tradingPeriods": _periods(share)}),
    }


def _periods(share: Share) -> list[list[dict[str, Any]]]:
    days = share.bars.index.to_numpy().astype("M8[D]")
    known = sessions(share.calendar, days[0], days[-1])
    return [
        [{"timezone": "X", "gmtoffset": 0, "start": int(start) // SECOND, "end": int(end) // SECOND}]
        for start, end in zip(known.opens, known.closes, strict=True)
    ]


class Clock:
    """A clock that stands until somebody sleeps."""

    def __init__(self, now: int) -> None:
        self.moment = now
        self.slept: list[float] = []

    def now(self) -> int:
        return self.moment

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def at(text: str) -> int:
    """Return a moment in ns UTC."""
    stamp = pd.Timestamp(text)
    return int((stamp.tz_localize("UTC") if stamp.tz is None else stamp.tz_convert("UTC")).as_unit("ns").value)
