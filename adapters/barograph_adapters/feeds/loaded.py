"""Bars that somebody else puts on this machine: any loader read again, a folder that grows, and history as if live.

>>> import tempfile, pathlib
>>> place = pathlib.Path(tempfile.mkdtemp())
>>> _ = (place / "ABC.csv").write_text("date,close\\n2024-07-01,5\\n2024-07-02,6\\n2024-07-03,6.2")
>>> feed = folder(place, ["ABC"])
>>> feed.fetch(0, pd.Timestamp("2024-07-05").value)  # the third line has no end yet
History(ABC: 2 bars, 2024-07-01 20:00:00 .. 2024-07-02 20:00:00 UTC, folder)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pandas as pd

from barograph.data.calendars import DAY
from barograph.data.history import History
from barograph.data.table import Reading
from barograph.errors import DataError, FeedError, nearest
from barograph.paper.ports import Clock
from barograph.types import Feed
from barograph_adapters._opening import Asked, Opened, opened, symbol_of
from barograph_adapters._text import one_line
from barograph_adapters.feeds._bars import WALL, Asset, Roll, cut, nothing, tabled, tickers

__all__ = ["folder", "loaded", "replay"]

_DATED: Final = re.compile(r"(?P<name>.+)[-_.](?P<day>\d{4}-?\d{2}(-?\d{2})?)")


def replay(history: History, name: str = "replay") -> Feed:
    """Return a feed that shows a history as if it were live: at any moment the bars that have closed.

    >>> feed = replay(History.from_arrays([1, 2, 3], close=[5.0, 6.0, 7.0]))
    >>> feed.fetch(1, 2).close[:, 0], feed.fetch(3, 9)
    (array([6.]), None)
    """
    return Feed(name, lambda after, until: cut(replace(history, source=name), after, until))


def loaded(load: Callable[[], History], name: str = "data") -> Feed:
    """Return a feed that calls a loader again at every look and shows the rows that are new.

    What the loader raises becomes a `FeedError`: a file that cannot be read may just be being written.
    """

    def fetch(after: int, until: int) -> History | None:
        """Load it all again."""
        try:
            history = load()
        except FeedError:
            raise
        except (DataError, OSError) as error:
            raise FeedError(f"{name}: {one_line(error)}") from error
        return cut(replace(history, source=name), after, until)

    return Feed(name, fetch)


def folder(
    path: str | Path,
    symbols: Sequence[str] | Mapping[str, str],
    calendar: str = "XNYS",
    observed: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    time_zone: str | None = None,
    closes_at: str = "16:00",
    bars_mark: str | None = None,
    date_format: str | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    shape: str | None = None,
    sheet: str | None = None,
    accept: Sequence[str] = (),
    name: str = "folder",
    clock: Clock | None = None,
) -> Feed:
    """Return a feed of files to which somebody adds lines, or of a folder to which somebody adds files.

    The bars of SPY stand in ``SPY.csv`` or ``SPY.parquet``, in files with a date, ``SPY-2024-07-01.csv`` or
    ``SPY_202407.parquet``, or in any files of the subfolder ``SPY``; files are read in the order of their names.
    `symbols` are those names, or a table ``{ SP500 = "^GSPC" }`` from ours to them. The other words mean what they mean
    for `barograph_adapters.files.bars`, which reads the files.

    The last file of an asset may be half written: a CSV line counts once it has its end of line, JSON once it is
    whole, a Parquet file once it can be read. A row without a price is no bar.

    The fetch raises `DataError` for an asset without any file, and `FeedError` naming file and row for what cannot be
    read, or cannot be true.
    """
    base = Path(path)
    roll = Roll(tickers(symbols, observed, calendar, name))
    how = Reading(columns=columns, time_zone=time_zone, closes_at=closes_at, bars_mark=bars_mark or "")
    how = how._replace(date_format=date_format, decimal=decimal, thousands=thousands, shape=shape)
    asked = Asked(separator, encoding, header if shape is None else False, sheet, tuple((columns or {}).values()))

    def fetch(after: int, until: int) -> History | None:
        """Read what may hold bars of the span."""
        now = (clock or WALL).now()
        found = roll.ask(lambda asset: _bars(base, asset, how, asked, after, until, now, accept))
        return roll.beside(*found, after, until)

    return Feed(name, fetch)


def _bars(
    base: Path,
    asset: Asset,
    how: Reading,
    asked: Asked,
    after: int,
    until: int,
    now: int,
    accept: Sequence[str],
) -> History:
    files = _recent(_files(base, asset), after)
    every = {file: _opened(file, how, asked._replace(growing=file == files[-1])) for file in files}
    found = {file: one for file, one in every.items() if one is not None and len(one.frame)}
    if not found:
        return nothing(asset, after + 1)
    first, *others = found.values()
    if others:
        source = f"{next(iter(found)).name} .. {list(found)[-1].name}"
        frame = pd.concat([_timed(one.frame) for one in found.values()], ignore_index=True)
        alike = len({(one.how.decimal, one.how.thousands) for one in found.values()}) == 1
        shared = first.how._replace(place="row", first_row=0) if alike else how
        return tabled(asset, frame, shared._replace(source=source), after, until, now, accept)
    return tabled(
        asset, _timed(first.frame), first.how._replace(source=next(iter(found)).name), after, until, now, accept
    )


def _opened(file: Path, how: Reading, asked: Asked) -> Opened | None:
    try:
        return opened(file, how, asked)
    except DataError as error:
        if asked.growing and not file.exists():
            return None
        raise FeedError(f"{file.name}: {one_line(str(error).removeprefix(f'{file}: '))}") from error


def _timed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.reset_index(names="time") if isinstance(frame.index, pd.DatetimeIndex) else frame


def _files(base: Path, asset: Asset) -> list[Path]:
    """Return the files that hold an asset, in the order of their names."""
    if not base.is_dir():
        raise FeedError(f"{asset.source}: no such folder: {base}")
    beside_it = {file: _plain(symbol_of(file)) for file in base.iterdir() if _is_of_bars(file)}
    inside = [file for file in (base / asset.ticker).glob("*") if _is_of_bars(file)]
    own = [file for file, plain in beside_it.items() if asset.ticker in (plain, symbol_of(file))] + inside
    if not own:
        others = sorted({*beside_it.values(), *(sub.name for sub in base.iterdir() if sub.is_dir())})
        hint = nearest(asset.ticker, others) or f"; it has {', '.join(others) or 'none'}"
        raise DataError(f"{asset.source}: no file of {asset.ticker!r} in the folder {base.name}{hint}")
    return sorted(own)


def _is_of_bars(file: Path) -> bool:
    return file.name != symbol_of(file) and file.is_file()


def _plain(stem: str) -> str:
    dated = _DATED.fullmatch(stem)
    return dated["name"] if dated else stem


def _recent(files: list[Path], after: int) -> list[Path]:
    """Leave out what is known by its date to be older than a month before the span; the last one always stays."""
    limit = pd.Timestamp(after - 45 * DAY).strftime("%Y%m%d") if after > 45 * DAY else ""
    days = [_DATED.fullmatch(symbol_of(file)) for file in files]
    return [
        file
        for file, dated in zip(files, days, strict=True)
        if dated is None or file == files[-1] or dated["day"].replace("-", "").ljust(8, "9") >= limit
    ]
