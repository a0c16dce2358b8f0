"""Bars from a table, or a query, of any database that SQLAlchemy speaks to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, quote_plus

import pandas as pd

from barograph.data.calendars import DAY
from barograph.data.history import History
from barograph.data.reading import COLUMNS
from barograph.data.table import Reading
from barograph.errors import ConfigError, DataError, FeedError, nearest
from barograph.paper.ports import Clock
from barograph.types import Feed
from barograph_adapters._retry import retried
from barograph_adapters._text import hidden, one_line, revealed
from barograph_adapters.feeds._bars import WALL, Asset, Roll, bounded, nothing, tabled, tickers

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

__all__ = ["database"]

_LEAD: Final = 21 * DAY
_NAMES: Final = {**COLUMNS, "time": (*COLUMNS["time"], "ts"), "symbol": ("symbol", "ticker")}
_STATEMENT: Final = 30_000
_SECRET: Final = re.compile("pass|pwd|secret|token|key", re.IGNORECASE)
_OWN_FAULT: Final = ("near ", "no such ", "unrecognized token", "incomplete input")


class _Place(NamedTuple):
    """Where the bars are: an engine, a table or a query, what its columns are called, and what nobody may read."""

    engine: Engine
    table: str
    query: str
    columns: Mapping[str, str]
    secrets: tuple[str, ...]
    name: str

    def __repr__(self) -> str:
        return f"{self.name}: {self.table or self.query}"


def database(
    url: str,
    symbols: Sequence[str] | Mapping[str, str],
    table: str = "",
    query: str = "",
    columns: Mapping[str, str] | None = None,
    calendar: str = "XNYS",
    observed: Sequence[str] = (),
    time_zone: str | None = None,
    closes_at: str = "16:00",
    bars_mark: str = "close",
    date_format: str | None = None,
    accept: Sequence[str] = (),
    timeout: float = 10.0,
    tries: int = 2,
    name: str = "database",
    clock: Clock | None = None,
) -> Feed:
    """Return a feed of the bars that stand in a database: rows of time, symbol, open, high, low, close and volume.

    `url` is SQLAlchemy's, such as ``postgresql+psycopg://reader:${PASSWORD}@host/quotes``; ${NAME} is an environment
    variable. Either `table` is its table (``schema.table`` too), or `query` a SELECT, in which ``:after`` stands for a
    moment some weeks before the span, UTC. `symbols` are the names in the column symbol, or a table from ours to them;
    a table without that column holds one asset. `columns` maps time, symbol, open, ... to other names; the other words
    mean what they mean for `barograph_adapters.files.csv`. `timeout` is for the connection, in seconds.

    Raises `ConfigError` for what cannot be asked. Its fetch raises `DataError` for a table, a column or a symbol that
    is not there, and `FeedError` for everything that may pass. The password is in neither.
    """
    assets = tickers(symbols, observed, calendar, name)
    if bool(table) == bool(query):
        raise ConfigError(f"{name}: table = {table!r} and query = {query!r}; wanted one of the two")
    bounded(name, timeout, tries)
    engine, secrets = _engine(url, timeout, name)
    place = _Place(engine, table, query, columns or {}, secrets, name)
    how = Reading(time_zone=time_zone, closes_at=closes_at, bars_mark=bars_mark, date_format=date_format)
    how = how._replace(source=table or "query", columns={k: v for k, v in place.columns.items() if k != "symbol"})
    wall, roll = clock or WALL, Roll(assets)

    def fetch(after: int, until: int) -> History | None:
        """Read the rows of all assets at once."""
        frame, unknown = retried(lambda: _rows(place, assets, after), name, tries, sleep=wall.sleep)
        now = wall.now()

        def bars(asset: Asset) -> History:
            if asset.symbol in unknown:
                raise DataError(unknown[asset.symbol])
            return _bars(asset, frame, how, after, until, now, accept)

        return roll.beside(*roll.ask(bars), after, until)

    return Feed(name, fetch)


def _engine(url: str, timeout: float, name: str) -> tuple[Engine, tuple[str, ...]]:
    import sqlalchemy as sa

    told = ""
    try:
        whole = sa.make_url(revealed(url, f"{name}: url"))
        told_apart = [str(value) for key, value in whole.query.items() if _SECRET.search(key)]
        plain = [str(whole.password or ""), *told_apart]
        secrets = (*plain, *(form(text, safe="") for text in plain for form in (quote, quote_plus)), *map(quote, plain))
        # A connection for each look: a year is longer than any connection lasts.
        return sa.create_engine(whole, poolclass=sa.NullPool, connect_args=_limits(whole, timeout)), secrets
    except sa.exc.NoSuchModuleError:
        told = "its dialect is unknown"
    except sa.exc.ArgumentError:
        told = "it is no URL"
    except ModuleNotFoundError as error:
        told = f"its driver is the package {error.name}, which is not installed"
    # Raised out here, so that the URL is no part of the error.
    raise ConfigError(f"{name}: url: {told}; wanted one like postgresql+psycopg://user:${{PASSWORD}}@host/name")


def _limits(url: URL, timeout: float) -> dict[str, Any]:
    """Return what keeps a driver from waiting for ever."""
    kind = url.get_backend_name()
    if kind == "sqlite":
        return {"timeout": timeout}
    if kind == "postgresql":
        return {"connect_timeout": max(1, round(timeout)), "options": f"-c statement_timeout={_STATEMENT}"}
    return {"connect_timeout": max(1, round(timeout))} if kind in ("mysql", "mariadb") else {}


def _rows(place: _Place, assets: Sequence[Asset], after: int) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the rows of some weeks before the span and all later ones, the column of symbols called symbol.

    Beside them, by symbol, what is wrong with assets that are not there.
    """
    import sqlalchemy as sa

    file = place.engine.url.database or ":memory:"
    if place.engine.dialect.name == "sqlite" and not file.startswith((":", "file:")) and not Path(file).is_file():
        # SQLite would make an empty one.
        raise FeedError(f"{place.name}: no such file: {file}")
    try:
        with place.engine.connect() as connection:
            ask = _queried if place.query else _selected
            return ask(place, connection, assets, after)
    except sa.exc.SQLAlchemyError as error:
        wrong = _failure(place, error)
    # Raised out here, so that no statement and no connection is part of the error.
    raise wrong


def _failure(place: _Place, error: Any) -> DataError:
    import sqlalchemy as sa

    said = hidden(one_line(getattr(error, "orig", None) or error), *place.secrets)
    lasting = isinstance(error, sa.exc.ProgrammingError) or not isinstance(error, sa.exc.DBAPIError)
    # SQLite calls a query that it cannot read operational.
    own = lasting or said.startswith(_OWN_FAULT)
    return DataError(f"{place.name}: {said}; look at query") if own else FeedError(f"{place.name}: {said}")


def _queried(
    place: _Place, connection: Connection, assets: Sequence[Asset], after: int
) -> tuple[pd.DataFrame, dict[str, str]]:
    import sqlalchemy as sa

    statement = sa.text(place.query)
    wanted = {"after": _moment(place, after - _LEAD)} if "after" in statement.compile().params else {}
    result = connection.execute(statement, wanted)
    names = list(result.keys())
    frame = pd.DataFrame([tuple(row) for row in result], columns=names)
    return frame.rename(columns={_column(place, names, "symbol", False): "symbol"}), {}


def _moment(place: _Place, ts: int, aware: bool = False) -> datetime | str:
    moment = datetime.fromtimestamp(max(ts, 0) // 1_000_000_000, UTC)
    # SQLite has no times: they are text there, and ISO text has the order of time.
    if place.engine.dialect.name == "sqlite":
        return moment.strftime("%Y-%m-%d")
    return moment if aware else moment.replace(tzinfo=None)


def _selected(
    place: _Place, connection: Connection, assets: Sequence[Asset], after: int
) -> tuple[pd.DataFrame, dict[str, str]]:
    import sqlalchemy as sa

    schema, _, table = place.table.rpartition(".")
    types, unknown = _types(place, connection, schema or None, table), dict[str, str]()
    names = {part: _column(place, list(types), part, part in ("time", "close")) for part in _NAMES}
    chosen: list[Any] = [
        sa.column(name).label(part if part == "symbol" else name) for part, name in names.items() if name
    ]
    of_them = sa.select(*chosen).select_from(sa.table(table, schema=schema or None))
    if names["symbol"]:
        unknown = _unknown(place, connection, of_them, sa.column(names["symbol"]), assets)
        of_them = of_them.where(sa.column(names["symbol"]).in_([asset.ticker for asset in assets]))
    elif len(assets) > 1:
        raise DataError(f"{place.name}: {table} has no column symbol, and so one asset; it has {', '.join(types)}")
    kind = types[names["time"]]
    if isinstance(kind, sa.Date | sa.DateTime):
        aware = bool(getattr(kind, "timezone", False))
        of_them = of_them.where(sa.column(names["time"]) >= _moment(place, after - _LEAD, aware))
    result = connection.execute(of_them)
    return pd.DataFrame([tuple(row) for row in result], columns=list(result.keys())), unknown


def _types(place: _Place, connection: Connection, schema: str | None, table: str) -> dict[str, Any]:
    import sqlalchemy as sa

    inspector = sa.inspect(connection)
    known = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
    if table not in known:
        hint = nearest(table, known) or f"; it has {', '.join(sorted(known)) or 'none'}"
        raise DataError(f"{place.name}: no table {place.table!r}{hint}")
    return {column["name"]: column["type"] for column in inspector.get_columns(table, schema)}


def _column(place: _Place, known: Sequence[str], part: str, needed: bool) -> str:
    """Return the name of the column that plays a part, "" when there is none."""
    given = place.columns.get(part)
    if given and given not in known:
        raise DataError(
            f"{place.name}: no column {given!r} for {part!r}{nearest(given, known)}; it has {', '.join(known)}"
        )
    if given is not None:
        return given
    found = [name for name in known if name.strip().lower().replace(" ", "_") in _NAMES[part]]
    if needed and not found:
        raise DataError(f'{place.name}: no column for {part}; it has {", ".join(known)}; columns = {{{part} = "..."}}')
    return found[0] if found else ""


def _unknown(
    place: _Place, connection: Connection, select: Any, symbol: Any, assets: Sequence[Asset]
) -> dict[str, str]:
    """Return what to say of symbols that have no row at all."""
    found = {}
    for asset in assets:
        if connection.execute(select.where(symbol == asset.ticker).limit(1)).first() is None:
            some = connection.execute(select.with_only_columns(symbol).distinct().limit(50)).scalars().all()
            near = nearest(asset.ticker, map(str, some))
            hint = near or f"; it has {', '.join(sorted(map(str, some))[:5]) or 'none'}"
            found[asset.symbol] = f"{place.name}: {place.table} has no symbol {asset.ticker!r}{hint}"
    return found


def _bars(
    asset: Asset, frame: pd.DataFrame, how: Reading, after: int, until: int, now: int, accept: Sequence[str]
) -> History:
    own = frame[frame["symbol"] == asset.ticker].drop(columns="symbol") if "symbol" in frame else frame
    if len(own) == 0:
        return nothing(asset, after + 1)
    if "ts" in own and "time" not in (how.columns or {}):
        how = how._replace(columns={**(how.columns or {}), "time": "ts"})
    return tabled(asset, own.reset_index(drop=True), how, after, until, now, accept)
