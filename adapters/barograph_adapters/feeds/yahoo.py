"""Bars from Yahoo Finance, by way of the package yfinance: daily, and from one minute to an hour.

What Yahoo calls unadjusted is scaled by every later split, and so are its dividends. The scaling is taken back here
with the splits that the same answer declares: what comes out are the prices quoted on their day, the dividends paid on
their day, and the splits, and none of them changes when the next split comes.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from barograph.data import calendars
from barograph.data.actions import effective
from barograph.data.calendars import ALWAYS, DAY, Times
from barograph.data.history import History
from barograph.epoch import FIRST, HOUR, LAST
from barograph.errors import ConfigError, DataError, FeedError, with_extra
from barograph.paper.ports import Clock
from barograph.types import Feed
from barograph_adapters._retry import BusyError, retried
from barograph_adapters._text import one_line
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

if TYPE_CHECKING:
    from barograph_adapters.feeds._session import BoundedSession

__all__ = ["INTERVALS", "yahoo"]

MINUTE: Final = 60 * SECOND
INTERVALS: Final = {
    "1m": (MINUTE, 7), "2m": (2 * MINUTE, 59), "5m": (5 * MINUTE, 59), "15m": (15 * MINUTE, 59),
    "30m": (30 * MINUTE, 59), "60m": (HOUR, 729), "90m": (90 * MINUTE, 59), "1h": (HOUR, 729), "1d": (DAY, 36_500),
}  # fmt: skip
"""The bars that can be had: how long each is in ns, and how many days back Yahoo keeps them."""

_LEAD: Final = {True: 14 * DAY, False: 5 * DAY}
_MARGIN: Final = 30 * SECOND
_HOST: Final = "finance.yahoo.com"
_SKEW: Final = 10 * MINUTE
_LARGE_SPLIT: Final = 0.2
Mask: TypeAlias = NDArray[np.bool_]
_LOCK: Final = threading.Lock()


class _Look(NamedTuple):
    """One look at the time `now`: for bars of `interval` that closed in (after, until], final after `settle`; in ns."""

    interval: str
    after: int
    until: int
    now: int
    settle: int
    accept: Sequence[str]

    @property
    def daily(self) -> bool:
        return self.interval == "1d"


def yahoo(
    symbols: Sequence[str] | Mapping[str, str],
    calendar: str = "XNYS",
    interval: str = "1d",
    start: str | None = None,
    observed: Sequence[str] = (),
    settle: float = 20.0,
    accept: Sequence[str] = (),
    timeout: float = 10.0,
    tries: int = 3,
    name: str = "yahoo",
    clock: Clock | None = None,
) -> Feed:
    """Return a feed of Yahoo's bars: `symbols` are Yahoo's names, or a table ``{ SP500 = "^GSPC" }`` from ours to them.

    `calendar` stamps the daily bars and tells when one is due; `observed` names assets that are not traded; nothing is
    asked before `start`. A bar is final half a minute after its close, once Yahoo has seen a trade at the close or
    after it, and in any case `settle` minutes after it: some of Yahoo's exchanges come with that much delay. A request
    takes at most `timeout` seconds, all requests for one asset three times as long, and `tries` says how often.

    `accept` lists codes of `barograph.data.checks` (impossible_ohlc, non_positive_price) that shall not stop it:
    Yahoo's older bars need it. Volume is Yahoo's, the splits taken back; one that is 0 throughout is unknown.

    Raises `ConfigError` for what cannot be asked, without yfinance too. Its fetch raises `DataError` for a symbol that
    Yahoo does not know and `FeedError` for everything else.
    """
    assets = tickers(symbols, observed, calendar, name)
    if interval not in INTERVALS:
        raise ConfigError(f"{name}: interval = {interval!r}; wanted one of {', '.join(INTERVALS)}")
    bounded(name, timeout, tries, settle)
    if find_spec("yfinance") is None:
        raise ConfigError(f"{name}: needs the package yfinance; {with_extra('live')}")
    earliest = calendars.span_of(start, None)[0] - 1
    wall, lent, roll = clock or WALL, _Lent(timeout), Roll(assets)

    def fetch(after: int, until: int) -> History | None:
        """Ask for each asset in turn."""
        look = _Look(interval, max(after, earliest), until, wall.now(), int(settle * MINUTE), accept)
        if not expected(calendar, look.after, min(until, look.now), look.daily):
            return None
        asked = roll.ask(lambda asset: retried(partial(_bars, asset, look, lent), name, tries, sleep=wall.sleep))
        return roll.beside(*asked, look.after, until)

    return Feed(name, fetch, _HOST)


class _Lent:
    """One session for all looks of a feed, made at the first: what it knows (cookies) is worth keeping."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._session: BoundedSession | None = None

    def session(self) -> BoundedSession:
        if self._session is None:
            from barograph_adapters.feeds._session import BoundedSession

            self._session = BoundedSession(self.timeout, 3.0 * self.timeout)
        self._session.begin()
        return self._session


def _bars(asset: Asset, look: _Look, lent: _Lent) -> History:
    """Return the final bars of one asset; or a moment without one, when there are none."""
    with _LOCK:
        session = lent.session()
        frame, meta = _asked(asset, look, session)
    _right_answer(asset, frame, meta, look)
    frame = _unscaled(asset, frame.rename(columns=str.lower))
    now = min(look.now, session.now) if session.now else look.now
    ts, opens, ends = _stamps(asset, pd.DatetimeIndex(frame.index), meta, look)
    _not_from_the_future(asset, opens, now)
    # A row with one price missing is no bar, nor is one of no session; what they declare waits for the next bar.
    whole = (ts < LAST) & np.isfinite(frame[["open", "high", "low", "close"]].to_numpy()).all(axis=1)
    frame = _carried(frame, whole)
    keep = whole & (ts > look.after) & (ts <= look.until) & _final(ends, now, _last_trade(meta), look.settle)
    if not keep.any():
        return nothing(asset, look.after + 1)
    return history_of(
        asset, checked(asset, frame[keep], ts[keep], look.accept), ts[keep], str(meta.get("currency") or "")
    )


def _asked(asset: Asset, look: _Look, session: BoundedSession) -> tuple[pd.DataFrame, Mapping[str, Any]]:
    """Ask yfinance, under the lock: its settings and its session are one for the whole process."""
    import yfinance
    from yfinance.data import YfData

    days = INTERVALS[look.interval][1]
    # Some days more than asked for: a dividend or a split may have waited there, and they show that Yahoo answers.
    first = max(look.after - _LEAD[look.daily], look.now - days * DAY)
    span = {"start": _date(first), "end": _date(look.now + 2 * DAY)}
    # What yfinance has asked before it would answer from memory, be it a web page or a bar that was revised since.
    YfData.cache_get.cache_clear()
    try:
        with _strict(yfinance):
            ticker = yfinance.Ticker(asset.ticker, session=session)
            # Prices as quoted, and dividends and splits beside them: never yfinance's own adjustment.
            frame = ticker.history(
                interval=look.interval, **span, auto_adjust=False, actions=True, timeout=session.limit
            )
            return frame, ticker.history_metadata if len(frame) else {}
    except Exception as error:
        raise _failure(asset.where, session, error) from error


def _date(ts: int) -> str:
    return str(np.datetime64(ts, "ns").astype("M8[D]"))


@contextmanager
def _strict(yfinance: Any) -> Iterator[None]:
    """Let yfinance raise what goes wrong: by itself it logs it and answers with an empty table."""
    before = yfinance.config.debug.hide_exceptions
    yfinance.config.debug.hide_exceptions = False
    try:
        with warnings.catch_warnings():
            # Its quarrels with the next pandas are not the user's.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="yfinance")
            yield
    finally:
        yfinance.config.debug.hide_exceptions = before


def _failure(where: str, session: BoundedSession, error: Exception) -> DataError:
    """Say in one line what went wrong: a symbol that nobody knows is the user's mistake, all else is worth a try."""
    if session.status == 404:
        return DataError(f"{where}: Yahoo knows no such symbol; look it up on finance.yahoo.com")
    if session.status == 429 or type(error).__name__ == "YFRateLimitError":
        return BusyError(f"{where}: too many requests (HTTP 429); ask less often").after(session.wait)
    return FeedError(f"{where}: {_cause(session, error)}")


def _cause(session: BoundedSession, error: Exception) -> str:
    kind = type(error).__name__
    if session.status >= 400 and session.status != 422:  # of a span that cannot be had Yahoo itself says why
        return f"Yahoo answered with HTTP {session.status}"
    if "Timeout" in kind:
        return f"no answer within {session.limit:g} s"
    if session.status and isinstance(error, ValueError):
        return "the answer is no JSON: a web page, or cut short"
    if isinstance(error, OSError):
        return f"Yahoo cannot be reached, or hung up ({kind})"
    return f"an answer that yfinance cannot use ({kind}: {one_line(error)})"


def _right_answer(asset: Asset, frame: pd.DataFrame, meta: Mapping[str, Any], look: _Look) -> None:
    if len(frame) == 0:
        raise FeedError(f"{asset.where}: an empty table, though the market was open after {_date(look.after)}")
    told, grain, found = str(meta.get("symbol", "")), _grain(look.interval), meta.get("dataGranularity")
    if told.upper() != asset.ticker.upper():
        raise FeedError(f"{asset.where}: the answer is about {told!r}")
    if found is not None and _grain(found) not in (grain, "15m" if grain == "30m" else grain):
        raise FeedError(f"{asset.where}: asked for bars of {grain}, answered with bars of {found}")


def _grain(interval: str) -> str:
    return "1h" if interval == "60m" else interval


def _unscaled(asset: Asset, frame: pd.DataFrame) -> pd.DataFrame:
    """Take back what later splits did to prices, dividends and volume."""
    factor = np.ones(len(frame))
    for row in np.flatnonzero(frame["stock splits"].to_numpy() != 0.0):
        ratio = float(frame["stock splits"].iloc[row])
        if _is_scaled(asset, frame, int(row), ratio):
            factor[:row] *= ratio
    columns = {name: frame[name] * factor for name in ("open", "high", "low", "close", "dividends")}
    volume = frame["volume"] / factor if (frame["volume"] != 0).any() else np.nan
    gains = frame["capital gains"] * factor if "capital gains" in frame else 0.0
    # Yahoo counts a fund's capital gains within its dividends; only a dividend that is smaller cannot hold them.
    paid = columns["dividends"]
    columns["dividends"] = paid + np.where(paid >= gains, 0.0, gains)
    return frame.assign(**columns, volume=volume, splits=frame["stock splits"].replace(0.0, 1.0))


def _is_scaled(asset: Asset, frame: pd.DataFrame, row: int, ratio: float) -> bool:
    """Return whether the prices before a split are scaled by it already: Yahoo may take a day to do so."""
    before, after = frame["close"].iloc[:row].dropna(), frame["open"].iloc[row:].dropna()
    if len(before) == 0 or abs(np.log(ratio)) < _LARGE_SPLIT:
        return True
    if len(after) == 0:
        raise FeedError(
            f"{asset.where}: a split ({ratio:g} for 1), and no price since to tell how earlier ones are scaled"
        )
    move = float(np.log(after.iloc[0] / before.iloc[-1]))
    return abs(move) <= abs(move + float(np.log(ratio)))


def _carried(frame: pd.DataFrame, whole: Mask) -> pd.DataFrame:
    columns = [frame["close"].where(whole), frame["dividends"], frame["splits"], pd.Series(np.nan, index=frame.index)]
    dividends, splits = effective(*(column.to_numpy(dtype=np.float64)[:, None] for column in columns))
    return frame.assign(dividends=dividends[:, 0], splits=splits[:, 0])


def _stamps(asset: Asset, index: pd.DatetimeIndex, meta: Mapping[str, Any], look: _Look) -> tuple[Times, Times, Times]:
    """Return each row's close and open, and the moment its market stops trading; a row of no session closes never."""
    if look.daily:
        return _of_days(asset, index, meta)
    opens = index.tz_convert("UTC").as_unit("ns").asi8
    closes = opens + INTERVALS[look.interval][0]
    odd = np.asarray(index.second != 0)
    if asset.calendar != ALWAYS:
        known, at, inside = calendars.placed(asset.calendar, opens + 1)
        closes = np.minimum(closes, known.closes[at]) if len(known.days) else closes
        odd |= ~inside
    # A row at a second of its own is Yahoo's last trade and no bar.
    closes = np.where(odd, LAST, closes)
    return closes, opens, closes


def _of_days(asset: Asset, index: pd.DatetimeIndex, meta: Mapping[str, Any]) -> tuple[Times, Times, Times]:
    days = index.tz_localize(None).to_numpy().astype("M8[D]")
    known = calendars.sessions(asset.calendar, days.min(), days.max())
    at = np.searchsorted(known.days, days)
    found = np.isin(days, known.days)
    closes, opens = np.full(len(days), LAST), np.full(len(days), FIRST)
    closes[found], opens[found] = known.closes[at[found]], known.opens[at[found]]
    own_end = closes.copy()
    end = _regular_end(meta)
    # An index of another exchange may go on after the calendar's close; at home the calendar knows the half-days.
    if end is not None and str(index.tz) != known.time_zone:
        today = days == end.tz_localize(None).to_datetime64().astype("M8[D]")
        own_end[today] = np.maximum(own_end[today], end.as_unit("ns").value)
    return closes, opens, own_end


def _regular_end(meta: Mapping[str, Any]) -> pd.Timestamp | None:
    period = meta.get("currentTradingPeriod") or {}
    end = (period.get("regular") or {}).get("end")
    return end if isinstance(end, pd.Timestamp) else None


def _last_trade(meta: Mapping[str, Any]) -> int:
    seen = meta.get("regularMarketTime")
    return seen.as_unit("ns").value if isinstance(seen, pd.Timestamp) else 0


def _not_from_the_future(asset: Asset, opens: Times, now: int) -> None:
    late = opens > now + _SKEW
    if late.any():
        told, here = (pd.Timestamp(int(t)).strftime("%Y-%m-%d %H:%MZ") for t in (opens[np.argmax(late)], now))
        raise FeedError(f"{asset.where}: a bar that opens at {told}, and it is {here}; look at this machine's clock")


def _final(ends: Times, now: int, last_trade: int, settle: int) -> Mask:
    """Return which bars will not change: all trading is over, and Yahoo has seen the end of it or had the time to."""
    return np.asarray((ends + _MARGIN <= now) & ((ends <= last_trade) | (ends + settle <= now)))
