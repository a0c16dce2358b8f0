"""The file of the registry: SQLite, one transaction an entry, so that a kill leaves all of it or nothing.

Whoever writes holds the file alone from the first look at the end of the chain to the commit: several processes make
one chain. Rows cannot be updated or deleted but by whoever removes the triggers first, and then the chain shows it.

It is written ahead (`trials.db-wal` beside it while it is open): an entry costs a notebook 0.4 ms, where waiting for
the disk three times took 30. A power cut may cost the last entries, never the file.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from barograph.errors import StoreError
from barograph.trials.chain import GENESIS
from barograph.trials.nouns import Row

__all__ = ["PATIENCE", "kept_open", "reading", "row_of", "shrunk", "values_of", "writing"]

PATIENCE: Final = 30.0
"""Seconds that one waits for another to finish writing."""

# Says that the file is ours, and how it is laid out.
_OURS: Final = 0x6261726F
_LAYOUT: Final = 1
_PAGE: Final = 16384
_SCHEMA: Final = (
    """create table trials (
    sequence integer primary key, moment text not null, kind text not null, name text not null,
    config_hash text not null, symbols text not null, first integer not null, last integer not null,
    digest text not null, figure text not null, tried integer not null, best real, members integer not null,
    blocks integer not null, streams text not null, text text not null, about integer not null, work text not null,
    previous text not null, hash text not null)""",
    """create table streams (
    sequence integer primary key, names text not null, figures blob not null, counts blob not null,
    sums blob not null)""",
    "create table head (one integer primary key check (one = 1), sequence integer not null, hash text not null)",
    "create index trials_by_symbols on trials (symbols, first, last)",
    "create unique index trials_by_work on trials (work) where work <> ''",
    "create trigger no_update before update on trials begin select raise(abort, 'rows are never changed'); end",
    "create trigger no_delete before delete on trials begin select raise(abort, 'rows are never deleted'); end",
    f"insert into head values (1, 0, '{GENESIS}')",
    f"pragma application_id = {_OURS}",
    f"pragma user_version = {_LAYOUT}",
)


@contextmanager
def writing(path: Path, patience: float = PATIENCE) -> Iterator[sqlite3.Connection]:
    """Hold the file alone, made if there is none, and commit at the end; on any error nothing has happened.

    Raises `StoreError` where it cannot be written, or is another's.
    """
    with _told(path, "cannot be written"), contextlib.closing(_connected(path, patience)) as connection:
        if _empty(connection):
            connection.execute(f"pragma page_size = {_PAGE}")
        else:
            _check(connection, path)
        # Where another makes the file just now, it is he who says so.
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        connection.execute("begin immediate")
        for statement in _SCHEMA if _empty(connection) else ():
            connection.execute(statement)
        yield connection
        connection.execute("commit")


_open: dict[Path, sqlite3.Connection] = {}


def kept_open(path: Path) -> None:
    """Keep a file open until the process ends: whoever closes it last waits for the disk."""
    if path not in _open:
        with _told(path, "cannot be read"):
            _open[path] = _connected(path, PATIENCE)
            # It is opened by the first look.
            _empty(_open[path])
        atexit.register(_open[path].close)


@contextmanager
def reading(path: Path, patience: float = PATIENCE) -> Iterator[sqlite3.Connection]:
    """See the file as it is at one moment, and change nothing; raises `StoreError` where it cannot be read."""
    if not path.is_file():
        raise StoreError(f"{path}: there is no registry of trials; the first run of the project makes one")
    with _told(path, "cannot be read"), contextlib.closing(_connected(path, patience, _how(path))) as connection:
        connection.execute("pragma query_only = on")
        connection.execute("begin")
        _check(connection, path)
        yield connection


def shrunk(path: Path, patience: float = PATIENCE) -> None:
    """Give the room of what was deleted back to the disk."""
    with _told(path, "cannot be made smaller"), contextlib.closing(_connected(path, patience)) as connection:
        connection.execute("vacuum")
        connection.execute("pragma wal_checkpoint(truncate)")


def _connected(path: Path, patience: float, how: str = "") -> sqlite3.Connection:
    where = path.absolute().as_uri() + how
    # Each is used by one thread; what is kept open is closed by another, at the end.
    return sqlite3.connect(where, timeout=patience, isolation_level=None, check_same_thread=False, uri=True)


def _how(path: Path) -> str:
    """Say how a file is opened for reading: where nothing can be put beside it, as one that does not change."""
    still = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    return "?immutable=1" if still else "?mode=rw"


def _empty(connection: sqlite3.Connection) -> bool:
    return not connection.execute("select count(*) from sqlite_master").fetchone()[0]


@contextmanager
def _told(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: {what}: {error}") from error


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file of somebody else's, or of another version."""
    ours = connection.execute("pragma application_id").fetchone()[0]
    layout = connection.execute("pragma user_version").fetchone()[0]
    if ours != _OURS:
        raise StoreError(f"{path}: is a database, but no registry of trials; name another with [registry] store")
    if layout != _LAYOUT:
        raise StoreError(f"{path}: is laid out in version {layout}, wanted {_LAYOUT}; it is another Barograph's")


def values_of(row: Row) -> tuple[Any, ...]:
    """Return a row as its table holds it."""
    return tuple("\n".join(row.symbols) if name == "symbols" else getattr(row, name) for name in Row._fields)


def row_of(values: tuple[Any, ...]) -> Row:
    """Return a row of the table, whatever somebody may have put into it."""
    row = Row(*values)
    return row._replace(symbols=tuple(str(row.symbols).split("\n")) if row.symbols else ())
