"""The bars of a study: T moments by N assets, copied once at the boundary and never changed again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from barograph.data.actions import ACTIONS, ActionColumns, actions_of, filled, joined, telling, validate_actions
from barograph.data.calendars import Times, apart, check_times, nanoseconds, span_of, together
from barograph.data.findings import CODES, Finding, accepted
from barograph.data.periods import bars_a_year
from barograph.data.table import Reading, mended, one_currency, spacing
from barograph.epoch import HOUR, day_of, days_a_year
from barograph.errors import DataError, nearest
from barograph.types import Bars, Floats

# pandas takes a quarter of a second to import, and bars that come as arrays never need it.
if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FIELDS", "History", "ended"]

_QUIET_BARS: Final = 10

FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, eq=False)
class History:
    """Bars of N assets at T moments; NaN where an asset has no bar.

    `ts` (T,) is each bar's close in int64 ns UTC, strictly increasing; the five columns are (T, N), read-only. An
    asset whose `traded` is False is observed only. A volume of NaN is unknown, which limits no order.

    Raw prices may bring `dividends` (cash per share as it is after that bar's split, 0 = none), `splits` (new shares
    per old, 1 = none) and `final` (the cash a share pays when its market ends, NaN = not yet), each (T, N) or None.
    `currency` is that of all traded assets, "" when not said. `calendar` names the market that the rows come from, or
    several: "XNYS+XTKS". `decides` (T,), or None for all, is 1, and 0 for late rows: bars that were held until a later
    one proved them (`barograph.data.gate`), which are matched, marked and seen, and at which nothing is decided. It is
    -1 where other rows were shown since such a bar closed: at its prices, which lie before them, nothing is matched.

    >>> history = History.from_arrays(ts=[0, 86_400_000_000_000], close=[100.0, 101.0], symbols=["ABC"])
    >>> len(history), history.symbols, history.periods
    (2, ('ABC',), 252.0)
    >>> history.bars(1).close
    array([101.])

    Raises `DataError` when there are no bars, when a shape does not fit, when time does not increase or leaves the
    years 1700..2250 that 64-bit nanoseconds can hold, when an action cannot be, or when there are several currencies.
    """

    symbols: tuple[str, ...]
    ts: Times
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    traded: tuple[bool, ...]
    calendar: str
    source: str = "arrays"
    findings: tuple[Finding, ...] = ()
    dividends: Floats | None = None
    splits: Floats | None = None
    final: Floats | None = None
    currency: str = ""
    decides: NDArray[np.int8] | None = None

    def __post_init__(self) -> None:
        _set(self, "symbols", tuple(self.symbols))
        _set(self, "traded", tuple(bool(flag) for flag in self.traded))
        _set(self, "ts", _own(self.ts, np.int64))
        for name in (*FIELDS, *ACTIONS):
            if getattr(self, name) is not None:
                _set(self, name, _own(getattr(self, name), np.float64))
        _set(self, "currency", one_currency(self.source, self.currency))
        _set(self, "decides", _all_or(self.decides))
        _validate(self)
        validate_actions(self.close, self.action_columns, self.source, self._place)

    def __len__(self) -> int:
        return len(self.ts)

    def __repr__(self) -> str:
        import pandas as pd

        first, last = (str(pd.Timestamp(t)) for t in (self.ts[0], self.ts[-1]))
        return f"History({', '.join(self.symbols)}: {len(self)} bars, {first} .. {last} UTC, {self.source})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Arrays come back from a pickle writable; going through the constructor closes them again.
        return History, tuple(getattr(self, name) for name in self.__dataclass_fields__)

    @classmethod
    def from_arrays(
        cls,
        ts: Any,
        close: Any,
        open: Any = None,
        high: Any = None,
        low: Any = None,
        volume: Any = None,
        symbols: Sequence[str] | None = None,
        calendar: str = "XNYS",
        traded: Sequence[bool] | None = None,
        source: str = "arrays",
        *,
        dividends: Any = None,
        splits: Any = None,
        final: Any = None,
        currency: str = "",
    ) -> History:
        """Make a history from arrays (T,) or (T, N); its shape, its time and its actions are checked, not its prices.

        `ts` is int64 ns UTC or datetime64. Without `open`, `high` and `low` they are the close; without `volume` it is
        unknown (NaN); without `dividends`, `splits` and `final` there are none.
        """
        closes = _two_dimensional(close)
        named = tuple(symbols) if symbols is not None else tuple(f"ASSET{i}" for i in range(closes.shape[1]))
        given = {"open": open, "high": high, "low": low}
        columns = {name: closes if value is None else _two_dimensional(value) for name, value in given.items()}
        actions = {"dividends": dividends, "splits": splits, "final": final}
        columns |= {name: _two_dimensional(value) for name, value in actions.items() if value is not None}
        made = cls(
            symbols=named,
            ts=nanoseconds(ts),
            close=closes,
            volume=np.full(closes.shape, np.nan) if volume is None else _two_dimensional(volume),
            traded=tuple(traded) if traded is not None else (True,) * len(named),
            calendar=calendar,
            source=source,
            currency=currency,
            **columns,
        )
        found = ended(made)
        return replace(made, findings=found) if found else made

    @classmethod
    def from_pandas(
        cls,
        frame: pd.DataFrame | pd.Series | Mapping[str, pd.DataFrame | pd.Series],
        symbol: str | None = None,
        *,
        calendar: str | None = None,
        time_zone: str | None = None,
        closes_at: str = "16:00",
        columns: Mapping[str, str] | None = None,
        adjusted: bool = False,
        bars_mark: str | None = None,
        date_format: str | None = None,
        traded: bool = True,
        start: str | None = None,
        end: str | None = None,
        accept: Sequence[str] = (),
        source: str = "frame",
        currency: str = "",
    ) -> History:
        """Check a table of bars with a time index (or column) and make a history of it; a dict holds one per symbol.

        So does a table of several assets, in columns of two levels or in rows by symbol, unless `symbol` chooses one. A
        series is closes; an index of texts is one of times, and bars of periods close when those end, whatever
        `bars_mark` says. Dates are stamped with the close of their session on `calendar` (XNYS, or that of a known
        shape); times of day without an offset are in `time_zone` (default UTC). `columns` maps open,
        high, low, close, volume, time, adj_close, dividend, split, final and currency to the table's names ("" leaves
        one out); `accept` lists the codes of errors that shall not stop the load.

        >>> import pandas as pd
        >>> index = pd.DatetimeIndex(["2024-07-01", "2024-07-02"])
        >>> History.from_pandas(pd.DataFrame({"close": [5.0, 6.0]}, index=index), symbol="ABC")
        History(ABC: 2 bars, 2024-07-01 20:00:00 .. 2024-07-02 20:00:00 UTC, frame)

        Raises `DataError` naming table, row and value of what cannot be read or cannot be true.
        """
        import pandas as pd

        from barograph.data.shapes.frames import by_symbol, tidied

        how = Reading(source=source, symbol=symbol, columns=columns, calendar=calendar or "", time_zone=time_zone)
        how = how._replace(closes_at=closes_at, bars_mark=bars_mark or "", date_format=date_format)
        how = how._replace(adjusted=adjusted, traded=traded, currency=currency)
        if isinstance(frame, pd.DataFrame | pd.Series):
            table, lengths = tidied(frame)
            if lengths is not None:
                how = how._replace(bars_mark="open", lengths=lengths)
            several = by_symbol(table, symbol)
            if not several:
                return cls.from_table(table, how, start, end, accept)
            parts = [cls.from_table(table, how._replace(symbol=name), start, end, accept) for name in several]
            return parts[0].join(*parts[1:])
        own: dict[str, Any] = {"calendar": calendar, "time_zone": time_zone, "closes_at": closes_at, "columns": columns}
        own |= {"adjusted": adjusted, "bars_mark": bars_mark, "date_format": date_format, "traded": traded}
        own |= {"start": start, "end": end, "accept": accept, "currency": currency}
        parts = [cls.from_pandas(part, name, source=f"{source}[{name}]", **own) for name, part in frame.items()]
        if not parts:
            raise DataError(f"{source}: no tables; wanted at least one symbol")
        return parts[0].join(*parts[1:])

    @classmethod
    def from_table(
        cls,
        frame: pd.DataFrame,
        how: Reading,
        start: str | None = None,
        end: str | None = None,
        accept: Sequence[str] = (),
    ) -> History:
        """Read, cut, check and mend one asset's table: the way every loader goes."""
        from barograph.data.checks import check
        from barograph.data.reading import read

        table = read(frame, how)
        first, last = span_of(start, end)
        inside = (table.ts >= first) & (table.ts <= last)
        if not inside.any():
            raise DataError(_no_bars(how.source, start, end, table.ts))
        table = table.at(inside)
        findings = accepted(check(table), accept)
        table = mended(table)
        given = {name: getattr(table, name) for name in (*FIELDS, *ACTIONS)}
        columns = {name: values[:, None] for name, values in given.items() if values is not None}
        return cls(
            symbols=(table.symbol,),
            ts=table.ts,
            traded=(table.traded,),
            calendar=table.calendar,
            source=table.source,
            findings=findings,
            currency=table.currency,
            **columns,
        )

    @property
    def calendars(self) -> tuple[str, ...]:
        """The calendars of the markets that the rows come from, in the order of the alphabet."""
        return apart(self.calendar)

    @cached_property
    def by_day(self) -> bool:
        """Whether a year counts days and not rows: of several calendars, or of daily bars that end at several times.

        Rows of several markets are no equal steps, and how many a year has depends on who is joined.
        """
        if len(self.calendars) > 1:
            return True
        crowded = len(self.symbols) > 1 and len(np.unique(day_of(self.ts))) < len(self)
        return crowded and not any(0 < step <= 12 * HOUR for step in self._own_spacings())

    @cached_property
    def spacing(self) -> int:
        """The usual time between two bars in ns, 0 when there is but one; of several markets the shortest of theirs."""
        return min(filter(None, self._own_spacings()), default=0) if self.by_day else spacing(self.ts)

    @cached_property
    def periods(self) -> float:
        """Bars a year: 252 days (365 on "24/7"), 52 weeks, 12 months, else by the spacing; `by_day` the days a year."""
        return days_a_year(self.ts) if self.by_day else bars_a_year(self.calendar, self.ts)

    def _own_spacings(self) -> Iterator[int]:
        """Each asset's usual time between two of its own bars."""
        return (spacing(self.ts[~np.isnan(self.close[:, a])]) for a in range(len(self.symbols)))

    @cached_property
    def actions(self) -> Floats:
        """What happens before each bar's open, (T, 4, N) read-only: factor, dividend, split, final; see `Bars.factor`.

        (1, 4, N) and neutral when nothing ever happens.

        >>> History.from_arrays([0, 1], close=[8.0, 4.0], splits=[1.0, 2.0]).actions[:, :, 0].tolist()
        [[1.0, 0.0, 1.0, nan], [2.0, 0.0, 2.0, nan]]
        """
        return actions_of(self.close, self.action_columns)

    @property
    def deciding(self) -> NDArray[np.bool_]:
        """Whether each row decides, (T,)."""
        return np.asarray(self.purpose == 1)

    @property
    def purpose(self) -> NDArray[np.int8]:
        """What each row is for, (T,): 1 decides, 0 is late, -1 late and marked alone."""
        return np.ones(len(self), dtype=np.int8) if self.decides is None else self.decides

    @property
    def action_columns(self) -> ActionColumns:
        """Dividends, splits and final prices as they were declared."""
        return ActionColumns(self.dividends, self.splits, self.final)

    def _place(self, row: int, column: int) -> str:
        return f"{self.symbols[column]} on {self.when(row)}"

    def head(self, n: int) -> History:
        """Return the first n bars."""
        return self.slice(0, n)

    def slice(self, start: int, stop: int) -> History:
        """Return the bars of rows start..stop-1, without copying them."""
        return self.at(slice(start, stop))

    def at(self, rows: Any) -> History:
        """Return the bars of some rows: a slice, or their numbers in order."""
        given = {name: getattr(self, name) for name in (*FIELDS, *ACTIONS)}
        columns = {name: values[rows] for name, values in given.items() if values is not None}
        decides = None if self.decides is None else self.decides[rows]
        return replace(self, ts=self.ts[rows], decides=decides, **columns)

    def then(self, later: History) -> History:
        """Return these bars followed by later ones of the same assets.

        >>> day = 86_400_000_000_000
        >>> first = History.from_arrays([day], [100.0], symbols=["ABC"])
        >>> len(first.then(History.from_arrays([2 * day], [50.0], symbols=["ABC"], splits=[2.0])))
        2

        Raises `DataError` when the assets differ or time does not go on.
        """
        if later.symbols != self.symbols:
            raise DataError(f"{later.source}: has {', '.join(later.symbols)}; wanted {', '.join(self.symbols)}")
        columns: dict[str, Any] = {name: np.vstack([getattr(self, name), getattr(later, name)]) for name in FIELDS}
        for name in ACTIONS:
            if getattr(self, name) is not None or getattr(later, name) is not None:
                columns[name] = np.vstack([filled(h.action_columns, name, h.close.shape) for h in (self, later)])
        decides = np.concatenate([self.purpose, later.purpose])
        return replace(self, ts=np.concatenate([self.ts, later.ts]), decides=decides, **columns)

    def between(self, start: Any = None, end: Any = None) -> History:
        """Return the bars that closed from start to end, both included.

        A date (``"2024-07-01"``) is a whole day of UTC, from just after its midnight to the next one; a time stamp or
        an int of nanoseconds is that moment.
        """
        first, last = span_of(start, end)
        rows = np.searchsorted(self.ts, first), np.searchsorted(self.ts, last, side="right")
        if rows[0] >= rows[1]:
            raise DataError(_no_bars(self.source, start, end, self.ts))
        return self.slice(int(rows[0]), int(rows[1]))

    def declared(self, t: int) -> tuple[Floats, Floats, Floats]:
        """Return row t's dividends, splits and final prices as they were declared, each (N,)."""
        dividends, splits, final = (None if (v := getattr(self, n)) is None else v[t] for n in ACTIONS)
        none = np.zeros(len(self.symbols))
        return (
            none if dividends is None else dividends,
            none + 1.0 if splits is None else splits,
            none + np.nan if final is None else final,
        )

    def bars(self, t: int) -> Bars:
        """Return row t as the bars of one instant: views, read-only."""
        factor = self.actions[t if len(self.actions) == len(self) else 0, 0]
        row = (*(getattr(self, name)[t] for name in FIELDS), factor)
        return Bars(int(self.ts[t]), *row)

    def when(self, row: int) -> str:
        """Return the close of a row for people: a date for daily bars and longer, else date and time in UTC."""
        import pandas as pd

        if spacing(self.ts) > 12 * HOUR and not self.by_day:
            # A close at midnight ends the day before.
            return str(pd.Timestamp(int(self.ts[row]) - 1).date())
        return pd.Timestamp(int(self.ts[row])).strftime("%Y-%m-%d %H:%M:%SZ")

    def index(self, start: Any) -> int:
        """Return the first row that closed on or after a date or moment; a whole number is the row itself.

        Raises `DataError` when there is none.
        """
        is_row = isinstance(start, int | np.integer)
        row = int(start) if is_row else int(np.searchsorted(self.ts, span_of(start, None)[0]))
        if not 0 <= row < len(self):
            raise DataError(f"{self.source}: no bar at {start!r}; there are {len(self)}, the last of {self.when(-1)}")
        return row

    def column(self, symbol: str) -> int:
        """Return the column of a symbol; raises `DataError` when there is none."""
        if symbol not in self.symbols:
            raise DataError(
                f"{self.source}: no asset {symbol!r}{nearest(symbol, self.symbols)}; it has {', '.join(self.symbols)}"
            )
        return self.symbols.index(symbol)

    def observe(self, *symbols: str) -> History:
        """Return the same bars with these assets observed, not traded."""
        hidden = {self.column(symbol) for symbol in symbols}
        return replace(self, traded=tuple(flag and i not in hidden for i, flag in enumerate(self.traded)))

    def join(self, *others: History, rows: str = "all") -> History:
        """Put other assets beside these, NaN where one has no bar; `rows` is "all" moments or "mine" alone.

        With "mine" a row shows the other's last bar that closed after my previous row and no later than this one.

        With "all" the calendars come together, and those of several markets count a year in days. Raises `DataError`
        when traded assets have several currencies, or trade on several calendars and one does not say its currency.
        """
        if rows not in ("all", "mine"):
            raise DataError(f"join: rows = {rows!r}; wanted 'all' or 'mine'")
        parts = (self, *others)
        ts = self.ts if rows == "mine" else np.unique(np.concatenate([part.ts for part in parts]))
        columns: dict[str, Any] = {name: np.hstack([_spread(part, name, ts) for part in parts]) for name in FIELDS}
        columns |= joined([(part.ts, part.close, part.action_columns) for part in parts], ts)
        whole = replace(
            self,
            symbols=tuple(symbol for part in parts for symbol in part.symbols),
            ts=ts,
            traded=tuple(flag for part in parts for flag in part.traded),
            calendar=self.calendar if rows == "mine" else together(part.calendar for part in parts),
            source=", ".join(dict.fromkeys(part.source for part in parts)),
            currency=_account_currency([part for part in parts if any(part.traded)]),
            decides=_decided_by(parts if rows == "all" else parts[:1], ts),
            **columns,
        )
        found = [finding for part in parts for finding in part.findings if finding.code != "ends_early"]
        return replace(whole, findings=(*found, *ended(whole)))

    def only(self, symbol: str) -> History:
        """Return one asset alone, with all rows."""
        column = [self.column(symbol)]
        given = {name: getattr(self, name) for name in (*FIELDS, *ACTIONS)}
        columns = {name: values[:, column] for name, values in given.items() if values is not None}
        return replace(self, symbols=(symbol,), traded=(self.traded[column[0]],), **columns)

    def frame(self) -> pd.DataFrame:
        """Return a pandas table: the closes in UTC as index, columns (symbol, field), actions where there are any."""
        import pandas as pd

        columns = {name: getattr(self, name) for name in FIELDS}
        told = {action.column: telling(self.action_columns, name) for name, action in ACTIONS.items()}
        columns |= {column: values for column, values in told.items() if values is not None}
        data = np.stack(list(columns.values()), axis=2).reshape(len(self), -1)
        names = pd.MultiIndex.from_product([self.symbols, columns], names=["symbol", "field"])
        return pd.DataFrame(data, index=pd.DatetimeIndex(self.ts, tz="UTC", name="ts"), columns=names)

    def digest(self) -> str:
        """Return the SHA-256 of all that can change a result: symbols, traded, calendar, time, bars, actions."""
        sha = hashlib.sha256(repr((self.symbols, self.traded, self.calendar, self.open.shape)).encode())
        sha.update(self.ts.astype("<i8").tobytes())
        for name in FIELDS:
            values = getattr(self, name)
            # One NaN has many bit patterns and zero has two; which one is no difference, and no database keeps it.
            sha.update(np.where(np.isnan(values), np.nan, values + 0.0).astype("<f8").tobytes())
        for name in ACTIONS:
            values = telling(self.action_columns, name)
            if values is not None:
                sha.update(name.encode() + np.where(np.isnan(values), np.nan, values + 0.0).astype("<f8").tobytes())
        if self.decides is not None:
            sha.update(b"decides" + self.decides.tobytes())
        return sha.hexdigest()


def _no_bars(source: str, start: Any, end: Any, ts: Times) -> str:
    first, last = (str(np.datetime64(int(t), "ns").astype("M8[D]")) for t in (ts.min(), ts.max()))
    return f"{source}: no bars between start = {start!r} and end = {end!r}; it has those of {first} .. {last}"


def _set(history: History, name: str, value: object) -> None:
    object.__setattr__(history, name, value)


def _own(array: Any, dtype: type) -> Any:
    """Copy an array into C order and close it to writing, unless it is so already, down to its base."""
    link = array
    while isinstance(link, np.ndarray) and not link.flags.writeable and link.base is not None:
        link = link.base
    closed = isinstance(link, np.ndarray) and not link.flags.writeable
    if closed and array.dtype == dtype and array.flags.c_contiguous:
        return array
    copy: Any = np.array(array, dtype=dtype, order="C")
    copy.flags.writeable = False
    return copy


def _all_or(decides: Any) -> Any:
    """Return which rows decide, or None when all do."""
    return None if decides is None or np.all(np.asarray(decides) == 1) else _own(decides, np.int8)


def _decided_by(parts: Sequence[History], ts: Times) -> NDArray[np.int8]:
    """Return what rows are for that several histories share: one that decides for any of them decides."""
    found = np.full(len(ts), -1, dtype=np.int8)
    for part in parts:
        rows = np.searchsorted(ts, part.ts)
        found[rows] = np.maximum(found[rows], part.purpose)
    return found


def _two_dimensional(values: Any) -> Any:
    array = np.asarray(values, dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array


def _validate(history: History) -> None:
    rows, assets = len(history.ts), len(history.symbols)
    if rows == 0 or assets == 0:
        raise DataError(f"{history.source}: no bars; wanted at least one")
    for name in FIELDS:
        if getattr(history, name).shape != (rows, assets):
            found = getattr(history, name).shape
            raise DataError(
                f"{history.source}: {name} has the shape {found}; wanted {(rows, assets)} (moments, assets)"
            )
    if history.decides is not None and history.decides.shape != (rows,):
        raise DataError(f"{history.source}: decides has the shape {history.decides.shape}; wanted {(rows,)} (moments,)")
    if len(history.traded) != assets:
        raise DataError(f"{history.source}: traded has {len(history.traded)} entries for {assets} assets")
    if len(set(history.symbols)) != assets:
        twice = next(symbol for symbol in history.symbols if history.symbols.count(symbol) > 1)
        raise DataError(f"{history.source}: the symbol {twice!r} comes twice; give each asset its own symbol=")
    check_times(history.source, history.ts)


def _account_currency(traded: Sequence[History]) -> str:
    """Return the one currency of what is traded; over several calendars it must be said."""
    cure = "set data.convert (in Python a Conversion), or only observe (traded = false) what has another"
    currency = one_currency("join", [part.currency for part in traded], cure)
    markets = together(part.calendar for part in traded)
    unsaid = next((part for part in traded if not part.currency), None)
    if unsaid is not None and len(apart(markets)) > 1:
        raise DataError(
            f"join: {unsaid.symbols[0]} ({unsaid.calendar}) says no currency, and the account trades {markets}; wanted "
            f'currency = "..." for every market, and data.convert where they differ'
        )
    return currency


def _spread(part: History, name: str, ts: Times) -> Floats:
    values: Floats = getattr(part, name)
    at = np.maximum(np.searchsorted(part.ts, ts, side="right") - 1, 0)
    # The last bar since the previous row: one that closes a quarter of an hour later is seen at the next row.
    since = np.concatenate((ts[:1] - 1, ts[:-1]))
    return np.where(((part.ts[at] > since) & (part.ts[at] <= ts))[:, None], values[at], np.nan)


def ended(history: History) -> tuple[Finding, ...]:
    """Return a warning for each traded asset whose bars end in mid-history, ten bars early or more, without a price.

    Such a position keeps its last price for ever.
    """
    known = ~np.isnan(history.close)
    suspects = [int(a) for a in np.flatnonzero(~known[-1] & known.any(axis=0) & np.array(history.traded))]
    return tuple(_end(history, a, known[:, a]) for a in suspects if _ends_early(history, a, known[:, a]))


def _ends_early(history: History, column: int, known: NDArray[np.bool_]) -> bool:
    if not np.isnan(filled(history.action_columns, "final", history.close.shape)[:, column]).all():
        return False
    ts = history.ts[known]
    return bool(history.ts[-1] - ts[-1] >= _QUIET_BARS * max(spacing(ts), spacing(history.ts)))


def _end(history: History, column: int, known: NDArray[np.bool_]) -> Finding:
    row, symbol = int(np.flatnonzero(known)[-1]), history.symbols[column]
    told = f"{symbol} has no bar after this one and no final price; the history goes on to {history.when(-1)}"
    message = f"{history.source}: ends_early: row {row} ({history.when(row)}): {told}"
    value = str(float(history.close[row, column]))
    severity = CODES["ends_early"].severity
    return Finding("ends_early", severity, history.source, row, int(history.ts[row]), symbol, value, message)
