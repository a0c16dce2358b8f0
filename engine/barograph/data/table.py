"""A table of bars as it was read: its columns, its spacing, and bars that rounding made impossible."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.data.calendars import Days, Times
from barograph.data.times import Note
from barograph.errors import DataError
from barograph.types import Floats

__all__ = [
    "ROUNDING",
    "SYMBOLS",
    "Reading",
    "Table",
    "impossible",
    "mended",
    "one_currency",
    "plain",
    "spacing",
    "volume_is_unknown",
]

ROUNDING: Final = 1e-9
SYMBOLS: Final = ("symbol", "ticker")
"""What a column that names assets is called, as `plain` has names."""


class Reading(NamedTuple):
    """How a table is to be read; the loaders' docstrings say what each word means. What is "" or None is not told.

    `vendor` (name, separator and order of its dates), `clock` (whose it is, where no file tells the zone), `known` and
    `prices` come with a known shape, `notes` are what was found out before; their rows are the file's. `lengths` (T,)
    is how long each row lasts in ns, where an index of periods says it.
    """

    source: str = "frame"
    symbol: str | None = None
    fallback: str = "ASSET"
    columns: Mapping[str, str] | None = None
    calendar: str = ""
    time_zone: str | None = None
    closes_at: str = "16:00"
    bars_mark: str = ""
    date_format: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    adjusted: bool = False
    traded: bool = True
    currency: str = ""
    place: str = "row"
    first_row: int = 0
    kept: Times | None = None
    lengths: Times | None = None
    shape: str | None = None
    vendor: tuple[str, str, str] | None = None
    clock: str = ""
    known: str = ""
    prices: str = ""
    notes: tuple[Note, ...] = ()

    def at(self, row: int) -> str:
        """Return where a row of the table stands in its file, for people: "line 3"."""
        return f"{self.place} {self.row(row)}"

    def row(self, row: int) -> int:
        """Return the number of a row in its file; `kept` are the rows that are read of it."""
        return (row if self.kept is None else int(self.kept[row])) + self.first_row


class Table(NamedTuple):
    """One asset's bars in the file's own order: columns (T,), and for each the row it has in the file.

    `ts` is the bar's close in int64 ns UTC; `days` the session's date where the file gives dates and no times. Of the
    actions `dividends` is 0, `splits` 1 and `final` NaN where there is none, and None where the file has no column.
    `notes` are what was found out about the file's times; their rows are the file's. `apart` is what tells rows
    of one moment apart where nothing is told: the part (symbol, clock), the column and some of its words.
    """

    source: str
    symbol: str
    place: str
    rows: Times
    ts: Times
    days: Days | None
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    quote_volume: Floats | None
    has_volume: bool
    close_only: bool
    calendar: str
    traded: bool
    currency: str
    dividends: Floats | None
    splits: Floats | None
    final: Floats | None
    notes: tuple[Note, ...] = ()
    marked_open: bool = False
    apart: tuple[str, str, str] | None = None

    def at(self, chosen: NDArray[np.bool_] | Times) -> Table:
        """Return the chosen rows (a mask, or row numbers), in that order."""
        arrays = {name: value for name, value in self._asdict().items() if isinstance(value, np.ndarray)}
        cut: dict[str, Any] = {name: value[chosen] for name, value in arrays.items()}
        return self._replace(**cut)


def plain(name: object) -> str:
    """Return a column's name as it is compared.

    >>> plain("<Stock  Splits>"), plain("Adj Close**")
    ('stock_splits', 'adj_close')
    """
    return re.sub(r"[\s_]+", "_", str(name).strip().strip("<>").rstrip("* ")).lower()


def spacing(ts: Times) -> int:
    """Return the usual time between two bars in ns: the median step of the sorted stamps, 0 when there is but one."""
    steps = np.diff(ts)
    if not (steps > 0).all():
        steps = np.diff(np.unique(ts))
    return int(np.median(steps)) if len(steps) else 0


def mended(table: Table) -> Table:
    """Return the table fit for a history, once its errors are accepted.

    Rows are sorted; of several at one moment the first stays; a bar with a price missing is no bar at all; a volume
    that is the same everywhere is unknown; rounding errors (1e-9) no longer push open or close out of [low, high].
    """
    table = table.at(np.unique(table.ts, return_index=True)[1])
    broken = ~np.isfinite(np.stack([table.open, table.high, table.low, table.close])).all(axis=0)
    rounded = ~impossible(table)
    top, bottom = np.fmax(table.open, table.close), np.fmin(table.open, table.close)
    columns = {
        "open": table.open,
        "high": np.where(rounded, np.fmax(table.high, top), table.high),
        "low": np.where(rounded, np.fmin(table.low, bottom), table.low),
        "close": table.close,
        "volume": np.full(len(table.ts), np.nan) if volume_is_unknown(table) else table.volume,
    }
    known: dict[str, Any] = {name: np.where(broken, np.nan, values) for name, values in columns.items()}
    return table._replace(**known)


def impossible(table: Table) -> NDArray[np.bool_]:
    """Return which bars have an open or close outside [low, high], by more than rounding (1e-9)."""
    slack = ROUNDING * np.abs(table.close)
    above = np.fmax(table.open, table.close) > table.high + slack
    below = np.fmin(table.open, table.close) < table.low - slack
    return np.asarray(above | below | (table.low > table.high + slack))


def volume_is_unknown(table: Table) -> bool:
    """Return whether the volume tells nothing: absent, or the same on every row."""
    known = table.volume[~np.isnan(table.volume)]
    return len(known) == 0 or (len(known) > 1 and float(known.min()) == float(known.max()))


def one_currency(source: str, named: str | Sequence[str], cure: str = "wanted one: mend the table") -> str:
    """Return the one currency that is named, "" when none is; raises `DataError` with a cure for several."""
    stripped = [name.strip() for name in ([named] if isinstance(named, str) else named)]
    several = list(dict.fromkeys(name for name in stripped if name))
    if len(several) > 1:
        raise DataError(
            f"{source}: several currencies ({', '.join(several)}) in one account are out of scope without rates; {cure}"
        )
    return several[0] if several else ""
