"""Bars from files: one asset a file, or several files joined; and interest rates.

>>> import tempfile, pathlib
>>> folder = pathlib.Path(tempfile.mkdtemp())
>>> path = folder / "abc.csv"
>>> _ = path.write_text("Data;Fechamento\\n01/07/2024;1.234,5\\n02/07/2024;1.240\\n")
>>> history = bars(path, columns={"time": "Data", "close": "Fechamento"}, calendar="BVMF", date_format="%d/%m/%Y")
>>> history, float(history.close[0, 0])
(History(abc: 2 bars, 2024-07-01 21:00:00 .. 2024-07-02 21:00:00 UTC, abc.csv), 1234.5)
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from barograph.data.conversion import Conversion, converted
from barograph.data.findings import CODES, Finding
from barograph.data.history import History
from barograph.data.rates import Rate
from barograph.data.reading import COLUMNS
from barograph.data.shapes.looking import Look, looked
from barograph.data.stamps import instants
from barograph.data.table import Reading, plain
from barograph.errors import DataError, nearest
from barograph_adapters._opening import Asked, Opened, opened, symbol_of

__all__ = ["bars", "check", "csv", "files", "joined", "look", "parquet", "rate"]


def bars(
    path: str | Path,
    symbol: str | None = None,
    columns: Mapping[str, str] | None = None,
    calendar: str | None = None,
    time_zone: str | None = None,
    closes_at: str = "16:00",
    bars_mark: str | None = None,
    date_format: str | None = None,
    adjusted: bool = False,
    separator: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    shape: str | None = None,
    sheet: str | None = None,
    traded: bool = True,
    start: str | None = None,
    end: str | None = None,
    accept: Sequence[str] = (),
    currency: str = "",
    growing: bool = False,
) -> History:
    """Load one asset's bars from a file: text of any separator, Parquet, feather, JSON or Excel, also packed.

    What the file is, how it is laid out and whose it is, it shows itself; what is told goes before, and what two
    readings fit has to be told. ``barograph data look FILE`` prints what was understood.

    `symbol` is the file's name without its ending unless given, and chooses the rows where a column names several.
    `columns` maps time, clock (a time of day of its own), open, high, low, close, volume, quote_volume, adj_close,
    dividend, split, final, currency and symbol to the file's names (plain English ones are found; "" leaves one out).
    Dates are stamped with the close of their session on `calendar` (default XNYS), other dates with `closes_at`; times
    of day without an offset are in `time_zone` (default UTC). `bars_mark="open"` says that times name a bar's open:
    they are moved to its close. `adjusted` scales all prices by adj_close / close. `decimal`, `thousands` and
    `date_format` say how numbers and times are written, `separator` what parts cells, `header=False` that no line names
    the columns: they are "1", "2" and so on, or known by the name of their `shape`. `sheet` chooses one of several.
    `start` and `end` cut before the checks; `accept` lists the codes of errors that shall not stop the load. `currency`
    says what the prices are in, for assets that are to be joined. In a file that is `growing` a line counts once it has
    its end; a deployment reads the files of ``[data]`` so.

    Raises `DataError`, one line naming file, line and value.
    """
    words = {key: value for key, value in locals().items() if key not in ("path", "start", "end", "accept")}
    how, asked = _told(path, **words)
    found = _whole(path, how, asked)
    return History.from_table(found.frame, found.how, start, end, accept)


csv = parquet = bars
"""The same under the names of the two commonest kinds: what a file is, its content tells."""


def look(path: str | Path, **words: Any) -> Look:
    """Look at a file as `bars` would read it with these words, whether it can be loaded or not.

    Raises `DataError` for what is no table at all.
    """
    known = inspect.signature(bars).parameters
    for name in words:
        if name not in known:
            raise DataError(f"{name}: bars takes no such word{nearest(name, known)}; its words: {', '.join(known)}")
    how, asked = _told(path, **{key: value for key, value in words.items() if key not in ("start", "end", "accept")})
    found = _whole(path, how, asked)
    return looked(found.frame, found.how, found.kind, found.layout, words)


def _told(
    path: str | Path,
    separator: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    sheet: str | None = None,
    growing: bool = False,
    **words: Any,
) -> tuple[Reading, Asked]:
    """Return what is said of how a file is read, and of how it is written."""
    mark, shape = words.get("bars_mark"), words.get("shape")
    if mark not in (None, "open", "close"):
        raise DataError(f"{Path(path).name}: bars_mark = {mark!r}; wanted 'close' or 'open'")
    plainly = {key: value for key, value in words.items() if value is not None}
    how = Reading(source=Path(path).name, fallback=symbol_of(Path(path)), **plainly)
    named = (words.get("columns") or {}).values()
    return how, Asked(separator, encoding, header if shape is None else False, sheet, named, growing)


def _whole(path: str | Path, how: Reading, asked: Asked) -> Opened:
    found = opened(Path(path), how, asked)
    if found is None:
        raise DataError(f"{path}: no line has its end yet; wanted a header line and one bar")
    return found


def files(
    paths: Mapping[str, str | Path],
    observed: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    calendar: str | None = None,
    time_zone: str | None = None,
    closes_at: str = "16:00",
    bars_mark: str | None = None,
    adjusted: bool = False,
    start: str | None = None,
    end: str | None = None,
    accept: Sequence[str] = (),
    currency: str = "",
    convert: Conversion | None = None,
    growing: bool = False,
) -> History:
    """Load several assets, one file a symbol, and join them: NaN where one has no bar.

    The assets named in `observed` are seen and never traded. The other words are shared by all files; files that need
    different ones are loaded one by one and joined with `History.join`. `convert` says by which rates other currencies
    become that of the account; a config has it in ``[data.convert]``.
    """
    if not paths:
        raise DataError('paths is empty; wanted at least one, such as {SPY = "spy.csv"}')
    for symbol in observed:
        if symbol not in paths:
            raise DataError(f"observed: no asset {symbol!r}{nearest(symbol, paths)}; it has {', '.join(paths)}")
    shared: dict[str, Any] = {"columns": columns, "calendar": calendar, "time_zone": time_zone, "closes_at": closes_at}
    shared |= {"bars_mark": bars_mark, "adjusted": adjusted, "start": start, "end": end, "accept": accept}
    shared |= {"currency": currency, "growing": growing}
    parts = [bars(path, symbol=symbol, traded=symbol not in observed, **shared) for symbol, path in paths.items()]
    return _together(parts, convert)


def joined(parts: Sequence[History], convert: Conversion | None = None) -> History:
    """Put histories of several loaders side by side, NaN where one has no bar; all of them are traded.

    In a config: ``parts = [{ use = "..." }, { use = "..." }]``, and ``[data.convert]`` where they are quoted in several
    currencies.
    """
    if not parts or not all(isinstance(part, History) for part in parts):
        raise DataError('parts wants a list of loaders, as in [{ use = "barograph_adapters.sample:sp500" }]')
    return _together(parts, convert)


def _together(parts: Sequence[History], convert: Conversion | None) -> History:
    if convert is not None:
        rates = convert.among(parts)
        parts = [converted(part, rates) for part in parts]
    return parts[0].join(*parts[1:])


def rate(path: str | Path, column: str | None = None, time: str | None = None, percent: bool = False) -> Rate:
    """Load a yearly interest rate from a file: a value holds from its date until the next one.

    A date is its midnight, UTC: the bars after that day's close are charged at the new rate. `time` and `column` name
    the two columns; without them the date-like one and the only other one are taken. `percent` reads 5 as 0.05.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "bills.csv"
    >>> _ = path.write_text("date,yield\\n2024-01-02,5.2\\n2024-07-01,5.1\\n")
    >>> rate(path, percent=True).values.round(3).tolist()
    [0.052, 0.051]

    Raises `DataError`, one line naming file, row and value.
    """
    source = Path(path).name
    found = _whole(path, Reading(source=source), Asked(times=() if time is None else (time,)))
    frame, how = found.frame, found.how
    if isinstance(frame.index, pd.DatetimeIndex):
        frame = frame.reset_index()
    when = _chosen(source, frame, time, [name for name in frame if plain(name) in COLUMNS["time"]], "time")
    value = _chosen(source, frame, column, [name for name in frame if name != when], "column")
    moments = instants(frame[when], how)
    values = _numbers(frame[value], how)
    try:
        return Rate.of(
            pd.Series(values.to_numpy() / (100.0 if percent else 1.0), index=pd.DatetimeIndex(moments.astype("M8[ns]")))
        )
    except DataError as error:
        raise DataError(f"{source}: {error}") from error


def _chosen(source: str, frame: pd.DataFrame, given: str | None, found: Sequence[Any], key: str) -> Any:
    if given is not None and given in frame:
        return given
    has = ", ".join(map(str, frame))
    if given is not None:
        raise DataError(f"{source}: no column {given!r}{nearest(given, map(str, frame))}; the file has {has}")
    if len(found) != 1:
        raise DataError(f'{source}: which column is meant cannot be told of {has}; name it with {key} = "..."')
    return found[0]


def _numbers(raw: pd.Series, how: Reading) -> pd.Series:
    read = pd.to_numeric(raw, errors="coerce")
    if bool(read.isna().any()):
        row = int(read.isna().to_numpy().argmax())
        raise DataError(f"{how.source}: {how.at(row)}: {raw.iloc[row]!r} is no rate; mend it or leave the row out")
    return read


def check(path: str | Path, **options: Any) -> tuple[Finding, ...]:
    """Return all that is wrong with a file, stopping at nothing but what cannot be read; options as for its loader."""
    return bars(path, accept=tuple(CODES), **options).findings
