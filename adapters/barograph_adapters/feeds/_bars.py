"""What the feeds share: names of assets, secrets from the environment, assets side by side, and the cut to a span."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from barograph.data import calendars
from barograph.data.actions import ACTIONS, effective
from barograph.data.calendars import DAY, Times
from barograph.data.checks import check
from barograph.data.findings import accepted
from barograph.data.history import FIELDS, History
from barograph.data.reading import read
from barograph.data.stamped import beyond
from barograph.data.table import Reading, mended
from barograph.epoch import FIRST
from barograph.errors import ConfigError, DataError, FeedError, IncompleteError, nearest
from barograph.paper.ports import Clock, SystemClock
from barograph.types import Floats
from barograph_adapters._retry import BusyError

__all__ = ["SECOND", "WALL", "Asset", "Roll", "beside", "bounded", "checked", "cut", "expected", "history_of",
           "nothing", "tabled", "tickers"]  # fmt: skip

SECOND: Final = 1_000_000_000
_ROUNDING: Final = 1e-6
# So many assets without an answer, and none with one, are a door that is shut.
_ALIKE: Final = 3
Answer = TypeVar("Answer")
_WAITING: Final = ("wrong_order", "nan_price", "lost_action")
"""What is no error in a table that grows: rows as they came in, bars that are not whole yet, actions before them."""
_PRICES: Final = ("open", "high", "low", "close")


WALL: Final[Clock] = SystemClock()
"""The machine's own clock."""


class Asset(NamedTuple):
    """One asset as a feed knows it: its symbol here, its name at the source, and what goes on its history."""

    symbol: str
    ticker: str
    traded: bool
    calendar: str
    source: str

    @property
    def where(self) -> str:
        """What an error about it begins with."""
        return f"{self.source}: {self.ticker}"


def tickers(
    symbols: Sequence[str] | Mapping[str, str], observed: Sequence[str], calendar: str, source: str
) -> list[Asset]:
    """Return the assets of a feed: a list of the source's own names, or a table from symbol to such a name.

    >>> [asset.ticker for asset in tickers({"SP500": "^GSPC"}, [], "XNYS", "yahoo")]
    ['^GSPC']

    Raises `ConfigError` when there are none, when one comes twice, or when one that is observed is not among them.
    """
    names = dict(symbols) if isinstance(symbols, Mapping) else {name: name for name in symbols}
    if not names or len(names) < len(symbols) or not all(k.strip() and v.strip() for k, v in names.items()):
        raise ConfigError(f'{source}: symbols = {list(symbols)}; wanted different names, as in ["SPY", "TLT"]')
    for symbol in observed:
        if symbol not in names:
            raise ConfigError(
                f"{source}: observed: no asset {symbol!r}{nearest(symbol, names)}; it has {', '.join(names)}"
            )
    # An unknown calendar is told at once, not at the first close.
    calendars.sessions(calendar, np.datetime64("2024-01-02"), np.datetime64("2024-01-03"))
    return [Asset(symbol, ticker, symbol not in observed, calendar, source) for symbol, ticker in names.items()]


def bounded(source: str, timeout: float, tries: int, settle: float = 0.0) -> None:
    """Refuse limits that are none."""
    if not timeout > 0.0 or tries < 1 or not settle >= 0.0:
        found = f"timeout = {timeout:g}, tries = {tries}, settle = {settle:g}"
        raise ConfigError(f"{source}: {found}; wanted seconds above 0, 1 or more, minutes from 0 on")


class Roll:
    """The assets of a feed, asked in turn: what one of them lacks is its own failure, and the others have their bars.

    A door that is shut fails for everybody: after three failures and no answer nobody else is asked. Those that failed
    at the last look are asked last, so that three that are gone for good keep nobody from being asked.
    """

    def __init__(self, assets: Sequence[Asset]) -> None:
        self.assets, self.failed = list(assets), set[str]()

    def ask(self, call: Callable[[Asset], Answer]) -> tuple[dict[str, Answer], dict[str, str]]:
        """Return what `call` answers for each asset, by symbol, and what is wrong with those that have no answer.

        Raises the error when there is none at all, or when the source wants to be left alone.
        """
        found: dict[str, Answer] = {}
        missing: dict[str, str] = {}
        for asset in sorted(self.assets, key=lambda one: one.symbol in self.failed):
            try:
                found[asset.symbol] = call(asset)
            except DataError as error:
                missing[asset.symbol] = str(error)
                self.failed.add(asset.symbol)
                alone = not found and len(missing) == min(_ALIKE, len(self.assets))
                if alone or _busy(error):
                    raise
        self.failed = set(missing)
        return found, missing

    def beside(
        self, found: Mapping[str, History], missing: Mapping[str, str], after: int, until: int
    ) -> History | None:
        """Return the rows of (after, until]; raises `IncompleteError`, with these rows, when an asset has no answer."""
        parts = [found.get(asset.symbol) or nothing(asset, after + 1) for asset in self.assets]
        history = cut(beside(parts), after, until)
        if missing:
            raise IncompleteError(missing, history)
        return history


def _busy(error: DataError) -> bool:
    return isinstance(error, FeedError) and (error.wait > 0.0 or isinstance(error.__cause__ or error, BusyError))


def nothing(asset: Asset, ts: int) -> History:
    """Return one moment at which an asset has no bar."""
    return History.from_arrays(
        [max(ts, FIRST)],
        close=[np.nan],
        symbols=[asset.symbol],
        traded=[asset.traded],
        calendar=asset.calendar,
        source=asset.source,
    )


def history_of(asset: Asset, frame: pd.DataFrame, ts: Times, currency: str = "") -> History:
    """Return the history of one asset: prices and volume of a table, and dividends and splits where it has them."""
    named = [name for name in (*FIELDS, *ACTIONS) if name in frame]
    column: dict[str, Any] = {name: frame[name].to_numpy(dtype=np.float64) for name in named}
    return History.from_arrays(
        ts,
        **column,
        symbols=[asset.symbol],
        traded=[asset.traded],
        calendar=asset.calendar,
        source=asset.source,
        currency=currency,
    )


def beside(parts: Sequence[History]) -> History:
    """Put histories of one asset side by side, NaN where one has no bar.

    A dividend or a split on a moment without a bar waits for the asset's next one; then that moment is dropped, unless
    another asset has a bar there.
    """
    whole = parts[0].join(*parts[1:])
    if whole.dividends is not None or whole.splits is not None:
        given = (whole.close, *(_or_neutral(whole, name) for name in ACTIONS))
        dividends, splits = effective(*given)
        whole = replace(whole, dividends=dividends, splits=splits)
    return whole


def _or_neutral(history: History, name: str) -> Floats:
    values: Floats | None = getattr(history, name)
    return np.full(history.close.shape, ACTIONS[name].neutral) if values is None else values


def cut(history: History, after: int, until: int) -> History | None:
    """Return the rows that closed in (after, until] and hold anything, or None.

    >>> history = History.from_arrays([1, 2, 3, 4], close=[5.0, 6.0, np.nan, 7.0])
    >>> cut(history, 1, 3).close[:, 0], cut(history, 4, 9)
    (array([6.]), None)
    """
    inside = (history.ts > after) & (history.ts <= until)
    final = history.final
    held = ~np.isnan(history.close).all(axis=1)
    if final is not None:
        held |= ~np.isnan(final).all(axis=1)
    rows = inside & held
    if not rows.any():
        return None
    given = {name: getattr(history, name) for name in (*FIELDS, *ACTIONS)}
    columns = {name: values[rows] for name, values in given.items() if values is not None}
    return replace(history, ts=history.ts[rows], **columns)


def expected(calendar: str, after: int, until: int, daily: bool) -> bool:
    """Return whether a session closes in (after, until], or, for bars within a day, is open at some moment of it.

    >>> friday, monday = (pd.Timestamp(day).value for day in ("2024-07-05T20:00Z", "2024-07-08T15:00Z"))
    >>> expected("XNYS", friday, monday, daily=True), expected("XNYS", friday, monday, daily=False)
    (False, True)
    """
    if after >= until:
        return False
    # Nearly always the last month tells; three centuries of sessions would take their time.
    return any(_opens(calendar, max(after, until - back), until, daily) for back in (31 * DAY, until - after))


def _opens(calendar: str, after: int, until: int, daily: bool) -> bool:
    first, last = (np.datetime64(max(t, FIRST), "ns").astype("M8[D]") for t in (after, until))
    known = calendars.sessions(calendar, first - np.timedelta64(1, "D"), last + np.timedelta64(1, "D"))
    ends = known.closes if daily else known.opens + 1
    return bool(((known.closes > after) & (ends <= until)).any())


def tabled(
    asset: Asset, frame: pd.DataFrame, how: Reading, after: int, until: int, now: int, accept: Sequence[str] = ()
) -> History:
    """Return one asset's bars of (after, until] from a table as somebody keeps it, or a moment without one.

    Two weeks before the span are read and checked too. A row without a price is no bar, rows may stand in any order,
    and one that stands there twice counts once.

    Raises `FeedError` naming row and value of what cannot be read or cannot be true, or closes after `now`: whoever
    keeps the table may mend it while the service waits.
    """
    frame = frame.drop_duplicates(ignore_index=True)
    try:
        table = read(frame, how._replace(symbol=asset.ticker, traded=asset.traded, calendar=asset.calendar))
        if told := beyond(how.source, table.ts, now):
            raise DataError(told)
        # Of a single bar that is known by its open nobody can tell when it closes.
        lone = table.marked_open and len(np.unique(table.ts[table.ts <= until])) < 2
        table = table.at((table.ts > after - 14 * DAY) & (table.ts <= until))
        if lone or len(table.ts) == 0:
            return nothing(asset, after + 1)
        accepted(check(table), (*_WAITING, *accept))
    except DataError as error:
        raise FeedError(f"{asset.source}: {error}") from error
    table = mended(table)
    columns = {name: getattr(table, name) for name in (*FIELDS, *ACTIONS)}
    given = {name: values for name, values in columns.items() if values is not None}
    return history_of(asset, pd.DataFrame(given), table.ts, table.currency)


def checked(asset: Asset, frame: pd.DataFrame, ts: Times, accept: Sequence[str] = ()) -> pd.DataFrame:
    """Return a table of prices that can be true: open and close lie in [low, high], widened for rounding errors.

    Raises `FeedError` naming the asset, the day and the numbers, unless `accept` lists the code of what is wrong.
    """
    top, bottom = frame[["open", "close"]].max(axis=1), frame[["open", "close"]].min(axis=1)
    slack = _ROUNDING * frame["close"].abs()
    outside = (top > frame["high"] + slack) | (bottom < frame["low"] - slack)
    wrong = {
        "impossible_ohlc": outside,
        "non_positive_price": (frame[list(_PRICES)] <= 0.0).any(axis=1) & asset.traded,
        "negative_volume": frame["volume"] < 0.0,
    }
    for code, where in wrong.items():
        if code not in accept and where.any():
            row = int(np.argmax(where))
            told = ", ".join(f"{name} {frame[name].iloc[row]:.10g}" for name in (*_PRICES, "volume"))
            day = pd.Timestamp(int(ts[row])).strftime("%Y-%m-%d %H:%MZ")
            raise FeedError(f"{asset.where}: {code}: the bar of {day} cannot be true: {told}")
    rounded = {"high": np.fmax(frame["high"], top), "low": np.fmin(frame["low"], bottom)}
    return frame.assign(**{name: frame[name].where(outside, values) for name, values in rounded.items()})
