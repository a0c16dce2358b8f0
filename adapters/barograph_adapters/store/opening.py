"""Opening a database: the URL, the settings of each kind, the version of the schema, and errors without secrets."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from barograph.errors import StoreError, with_extra

__all__ = ["backup", "connected", "migrate", "named", "storable", "told", "versions"]

# Longer than any transaction of ours; a reader never waits in WAL mode.
_PATIENCE = 30
# What only reads waits for nobody who writes, but for one that opens or closes the database just then.
_GLANCE = 5
# How often a database that changes while it is copied is copied again.
_COPIES = 5
# A client that froze inside a transaction holds up the others for so long, and then loses it.
_PATIENT = {"connect_timeout": 10, "options": "-c lock_timeout=30s -c idle_in_transaction_session_timeout=10min"}


def connected(url: str, create: bool = True, looking: bool = False) -> tuple[sa.Engine, sa.MetaData]:
    """Return an engine and the tables as the database has them; an empty one is given the newest schema, or refused.

    One that is only looked at needs no right to write, and waits for nobody who writes.
    """
    engine, create = engine_of(url, looking), create and not looking
    nothing = StoreError(
        f"{named(engine.url)}: there is no database of deployments; name the right --store, or begin with --new"
    )
    try:
        if not create and _absent(engine.url):
            raise nothing
        with engine.begin() as connection:
            found, newest = versions(connection)
            if found is None and not sa.inspect(connection).get_table_names():
                if not create:
                    raise nothing
                upgrade(connection, "head")
            elif found != newest:
                raise StoreError(
                    f"{named(engine.url)}: its schema is {found or 'none of ours'}, this program's is {newest}; "
                    "run `barograph store upgrade`"
                )
        metadata = sa.MetaData()
        metadata.reflect(engine)
    except sa.exc.SQLAlchemyError as error:
        raise StoreError(told(engine.url, error)) from error
    return engine, metadata


def _absent(url: sa.URL) -> bool:
    """Tell whether a SQLite file is not there: opening it would make it."""
    memory = url.database in (None, "", ":memory:")
    return url.get_backend_name() == "sqlite" and not memory and not Path(str(url.database)).exists()


def engine_of(url: str, looking: bool = False) -> sa.Engine:
    """Return an engine with the settings that durability wants, or one that can only read."""
    try:
        parsed = sa.make_url(expanded(url))
        if parsed.get_backend_name() == "sqlite":
            in_memory = parsed.database in (None, "", ":memory:")
            return _read_only(parsed) if looking and not in_memory else _sqlite(parsed)
        if parsed.get_backend_name() != "postgresql":
            raise StoreError(f"store {named(parsed)}: wanted sqlite:///FILE or postgresql+psycopg://...")
        settings = {**_PATIENT, "options": f"{_PATIENT['options']}{' -c default_transaction_read_only=on' * looking}"}
        return sa.create_engine(parsed, pool_pre_ping=True, connect_args=settings, hide_parameters=True)
    except (sa.exc.ArgumentError, ValueError):
        raise StoreError("the store's URL cannot be read; write it like sqlite:///paper.db") from None
    except ModuleNotFoundError as error:
        raise StoreError(f"the store needs the module {error.name!r}; {with_extra('postgres')}") from error


def expanded(text: str) -> str:
    """Put environment variables in; raises `StoreError` naming one that is not set.

    >>> os.environ["WHERE"] = "paper.db"
    >>> expanded("sqlite:///${WHERE}")
    'sqlite:///paper.db'
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise StoreError(f"the store's URL names ${{{match[1]}}}, which is not set in the environment")
        return os.environ[match[1]]

    return re.sub(r"\$\{(\w+)\}", value, text)


def _sqlite(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": _PATIENCE}, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def _settings(connection: Any, _: Any) -> None:
        # Python's own transactions begin at the first change, not at the first read: ours begin when we say so.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        # What was committed has been told to others: it must outlive a power cut.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # A writer takes its place in the queue at once: one that read first could find that it may not write.
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _read_only(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url, creator=lambda: _seen(Path(str(url.database))), hide_parameters=True)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _seen(path: Path) -> sqlite3.Connection:
    """Open a database to read it: as it is used, or, where its folder cannot be written to, as it lies there.

    A reader of a database that is used shares an index of its log with whoever writes. Where that cannot be made (a
    read-only medium, another user's folder) a log that is empty may be left out, and one that is not is read in a copy.
    """
    try:
        return _opened(path, "mode=ro")
    except sqlite3.OperationalError:
        if not path.is_file():
            raise
    log = path.with_name(f"{path.name}-wal")
    return _copied(path, log) if log.exists() and log.stat().st_size else _opened(path, "mode=ro&immutable=1")


def _opened(path: Path, options: str) -> sqlite3.Connection:
    where = f"file:{quote(str(path))}?{options}"
    connection = sqlite3.connect(where, uri=True, timeout=_GLANCE, check_same_thread=False, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _copied(path: Path, log: Path) -> sqlite3.Connection:
    """Return what a database and its log say together, in memory."""
    with tempfile.TemporaryDirectory(prefix="barograph-") as folder:
        for _ in range(_COPIES):
            before = [(one.stat().st_size, one.stat().st_mtime_ns) for one in (path, log)]
            for one in (path, log):
                shutil.copyfile(one, Path(folder) / one.name)
            if before == [(one.stat().st_size, one.stat().st_mtime_ns) for one in (path, log)]:
                break
        else:
            raise sqlite3.OperationalError("it is being written, and there is no right to its folder")
        seen = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        with closing(sqlite3.connect(Path(folder) / path.name)) as source:
            source.backup(seen)
    return seen


def _alembic(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def versions(connection: sa.Connection) -> tuple[str | None, str | None]:
    """Return the version that the database has and the newest one."""
    found = MigrationContext.configure(connection).get_current_revision()
    return found, ScriptDirectory.from_config(_alembic(connection)).get_current_head()


def upgrade(connection: sa.Connection, version: str) -> None:
    """Bring the schema up to a version, in the connection's transaction."""
    if connection.dialect.name == "postgresql":
        # Two processes that find the same empty database: the second waits, and finds it done.
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(20040115)"))
        if versions(connection)[0] == versions(connection)[1]:
            return
    command.upgrade(_alembic(connection), version)


def migrate(url: str, version: str) -> tuple[str | None, str | None]:
    """Bring a database's schema to a version, up ("head") or down ("base" or a number), all or nothing.

    Returns the versions before and after.
    """
    engine = engine_of(url)
    try:
        with engine.begin() as connection:
            before, newest = versions(connection)
            known = [script.revision for script in ScriptDirectory.from_config(_alembic(connection)).walk_revisions()]
            if version not in ("head", "base", *known):
                raise StoreError(f"no version {version!r}; known: base, {', '.join(reversed(known))}, head")
            if before not in (None, *known):
                raise StoreError(
                    f"{named(engine.url)}: its schema is {before}, this program knows none after {newest}; "
                    "use the newer program that made it"
                )
            down = version == "base" or (before is not None and version != "head" and version < before)
            if down:
                command.downgrade(_alembic(connection), version)
            else:
                command.upgrade(_alembic(connection), version)
            return before, versions(connection)[0]
    except sa.exc.SQLAlchemyError as error:
        raise StoreError(told(engine.url, error)) from error
    finally:
        engine.dispose()


def backup(url: str, to: Path) -> None:
    """Copy a SQLite database into a new file, while others use it: the copy is of one moment, and whole or not there.

    Raises `StoreError` for PostgreSQL, which has pg_dump for that, and when the file is there already.
    """
    where = engine_of(url).url
    if where.get_backend_name() != "sqlite":
        raise StoreError(f"{named(where)}: PostgreSQL is backed up with its own pg_dump --format=custom --file={to}")
    if not where.database or not Path(where.database).is_file():
        raise StoreError(f"{named(where)}: there is no such database to back up")
    if to.exists():
        raise StoreError(f"{to} is there already; a backup is written over nothing, give it another name")
    try:
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=".backup-") as folder:
            fresh = Path(folder) / to.name
            with closing(_seen(Path(where.database))) as source, closing(sqlite3.connect(fresh)) as target:
                source.backup(target)
            _on_disk(fresh)
            fresh.rename(to)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{to}: the backup cannot be written: {error}") from error


def _on_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def named(url: sa.URL) -> str:
    """Name a database without its user, password or options."""
    at = f"{url.host or ''}{f':{url.port}' if url.port else ''}"
    return f"{url.get_backend_name()}://{at}/{Path(url.database or '').name}"


def storable(text: str) -> str:
    """Return a text as every database takes it: what a broken source said may hold what is no character.

    >>> storable("a\\0b \\ud800"), storable("é ☂")
    ('a�b ?', 'é ☂')
    """
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def told(url: sa.URL, error: Exception) -> str:
    """Return what a database said, in one line, without what is secret in its URL, and without rows of its tables."""
    said = " ".join(str(getattr(error, "orig", None) or error).partition("DETAIL:")[0].split())
    options = (url.query.get(key, "") for key in ("password", "sslpassword"))
    for secret in (url.password, url.render_as_string(hide_password=False), *options):
        said = said.replace(str(secret), "***") if secret else said
    return f"{named(url)}: {said}"
