"""The store in SQL: one transaction a batch, one fencing token a holder; SQLite in WAL mode, or PostgreSQL.

>>> import tempfile
>>> store = open_store(f"sqlite:///{tempfile.mkdtemp()}/paper.db")
>>> store.deployments()
[]
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from barograph.data.history import History
from barograph.errors import DataError, LeaseError, StoreError
from barograph.paper.journal import Entry
from barograph.paper.ports import Alert
from barograph.paper.store import Batch, Command, Deployed, Lease, Note, Snapshot
from barograph_adapters.store.holder import dead, holder
from barograph_adapters.store.incidents import SqlIncidents, put_alerts
from barograph_adapters.store.ledger import SqlLedger, intent_rows
from barograph_adapters.store.opening import connected, named, storable, told
from barograph_adapters.store.outbox import SqlOutbox

__all__ = ["SqlStore", "open_store"]

_FIELDS = ("open", "high", "low", "close", "volume", "dividend", "split", "final")
_COUNTED = ("fills", "events")
# SQLite's transactions see one moment anyhow.
_READING: dict[str, dict[str, Any]] = {
    "sqlite": {},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


# A heart beats every ten seconds; one that was not heard for so long has stopped.
_STILL = 30.0


def open_store(url: str, create: bool = True, looking: bool = False) -> SqlStore:
    """Open a store; an empty database is given the schema, an old one is refused until it is upgraded.

    Without `create` a SQLite file that is not there is refused, not made. One that is only looked at (`looking`) needs
    no right to write, and is read while whoever writes stands still.

    `url` is SQLAlchemy's, ``sqlite:///paper.db`` or ``postgresql+psycopg://...``; ${NAME} in it is an environment
    variable. Raises `StoreError`, with no password in it, when the database cannot be used.
    """
    engine, metadata = connected(url, create, looking)
    return SqlStore(engine, metadata)


class SqlStore(SqlOutbox, SqlLedger, SqlIncidents):
    """A store over one database; see `barograph.paper.store.Store` for what each method promises."""

    def __init__(self, engine: sa.Engine, metadata: sa.MetaData) -> None:
        self.engine = engine
        self.readers = engine.execution_options(reading=True, **_READING[engine.dialect.name])
        self.tables = metadata.tables
        self.file = _inode(engine.url)
        self.here = threading.local()

    def __repr__(self) -> str:
        return f"SqlStore({named(self.engine.url)})"

    @contextmanager
    def transaction(self, reading: bool = False) -> Iterator[sa.Connection]:
        """Open a transaction; what the database says goes out as a `StoreError` without secrets.

        One that only reads sees the store as it is at its beginning, and keeps nobody from writing.
        """
        if reading and (seen := getattr(self.here, "moment", None)) is not None:
            yield seen
            return
        try:
            with (self.readers if reading else self.engine).begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(told(self.engine.url, error)) from error

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Let all that this thread reads inside be of one moment, while others write."""
        with self.transaction(reading=True) as connection:
            self.here.moment = connection
            try:
                yield
            finally:
                self.here.moment = None

    def close(self) -> None:
        """Give back the connections."""
        self.engine.dispose()

    # What there is.

    def find(self, name: str) -> Deployed | None:
        """Return a deployment, or None."""
        return next((one for one in self.deployments() if one.name == name), None)

    def deployments(self) -> list[Deployed]:
        """Return all deployments, by name."""
        table = self.tables["deployments"]
        with self.transaction(reading=True) as connection:
            rows = connection.execute(sa.select(table).order_by(table.c.name)).mappings().all()
        return [_deployed(row) for row in rows]

    def create(self, lease: Lease, deployed: Deployed, history: History | None, batches: Sequence[Batch]) -> None:
        """Begin a deployment with the bars that came before its first decision, and its first batches."""
        lists = {key: json.dumps(getattr(deployed, key)) for key in ("config", "symbols", "traded")}
        with self.transaction() as connection:
            _held(connection, self.tables["leases"], lease)
            connection.execute(sa.insert(self.tables["deployments"]), [{**deployed._asdict(), **lists}])
            if history is not None:
                self._insert(connection, "bars", deployed.name, list(_bar_rows(history)))
            for batch in batches:
                self._write(connection, deployed.name, batch)

    # The lease.

    def acquire(self, name: str, patience: float = 30.0) -> Lease:
        """Take the lease; a holder of this place that is dead has lost it, another one when its heart stands still.

        No clock is asked: a holder counts up, and whoever wants the lease watches the count for half a minute, and is
        refused when it has less `patience`, in seconds.
        """
        while True:
            seen = self._lease(name)
            if seen is not None and seen["holder"] and not dead(seen["holder"]):
                self._wait(name, seen, patience)
            if (lease := self._take(name, seen)) is not None:
                return lease
            # Somebody else was quicker: look who, and whether it lives.

    def _lease(self, name: str) -> Mapping[str, Any] | None:
        table = self.tables["leases"]
        with self.transaction(reading=True) as connection:
            row = connection.execute(sa.select(table).where(table.c.deployment == name)).mappings().first()
        return None if row is None else dict(row)

    def _wait(self, name: str, seen: Mapping[str, Any], patience: float) -> None:
        held = f"deployment {name} is run by {seen['holder']}; stop that process first"
        if dead(seen["holder"]) is False:
            raise LeaseError(held)
        watched = min(patience, _STILL)
        until = time.monotonic() + watched
        while time.monotonic() < until:
            time.sleep(min(1.0, watched / 10))
            now = self._lease(name)
            if now is None or now["holder"] == "":
                return
            if (now["token"], now["beat"]) != (seen["token"], seen["beat"]):
                raise LeaseError(held)
        if patience < _STILL:
            raise LeaseError(f"{held}, or wait: only a heart that was not heard for {_STILL:g} s has stopped")

    def _take(self, name: str, seen: Mapping[str, Any] | None) -> Lease | None:
        """Take the lease if it is still as it was seen."""
        table = self.tables["leases"]
        lease = Lease(name, holder(), 1 if seen is None else seen["token"] + 1)
        values = {"holder": lease.holder, "token": lease.token, "beat": 0}
        try:
            with self.engine.begin() as connection:
                if seen is None:
                    connection.execute(sa.insert(table), [{"deployment": name, **values}])
                    return lease
                same = (table.c.deployment == name) & (table.c.token == seen["token"])
                return lease if connection.execute(sa.update(table).where(same).values(**values)).rowcount else None
        except sa.exc.IntegrityError:
            return None
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(told(self.engine.url, error)) from error

    def holders(self) -> dict[str, str]:
        """Return who runs what: the holder of every lease that is held, and whether it is alive, gone or elsewhere."""
        table = self.tables["leases"]
        words = {True: "gone", False: "alive", None: "elsewhere (another host, boot or container)"}
        with self.transaction(reading=True) as connection:
            rows = connection.execute(sa.select(table).where(table.c.holder != "")).all()
        return {row.deployment: f"{row.holder}, {words[dead(row.holder)]}" for row in rows}

    def beat(self, lease: Lease) -> None:
        """Say that the holder lives; raises `LeaseError` when the lease is lost, or the file under it."""
        if self.file is not None and self.file != _inode(self.engine.url):
            raise LeaseError(f"{named(self.engine.url)} was removed or replaced while it was used; this process stops")
        with self.transaction() as connection:
            _held(connection, self.tables["leases"], lease)

    def release(self, lease: Lease) -> None:
        """Give the lease back; one that was lost already is not ours to give."""
        table = self.tables["leases"]
        mine = (table.c.deployment == lease.deployment) & (table.c.token == lease.token)
        with self.transaction() as connection:
            connection.execute(sa.update(table).where(mine).values(holder=""))

    # Batches.

    def commit(self, lease: Lease, batch: Batch) -> None:
        """Write one entry and all that hangs on it; raises `LeaseError` when the lease is lost."""
        with self.transaction() as connection:
            _held(connection, self.tables["leases"], lease)
            self._write(connection, lease.deployment, batch)

    def _write(self, connection: sa.Connection, name: str, batch: Batch) -> None:
        entry = batch.entry
        row = {"number": entry.number, "kind": entry.kind, "ts": entry.ts, "content": entry.text, "hash": entry.hash}
        self._insert(connection, "journal", name, [row])
        extra: dict[str, dict[str, Any]] = {"parameters": {"model": batch.model}, "alerts": {"entry": entry.number}}
        for table, rows in batch.rows.new.items():
            more = extra.get(table, {})
            counted = table in _COUNTED
            numbers = [{"entry": entry.number, "row": n} if counted else more for n in range(len(rows))]
            self._insert(connection, table, name, [{**one, **two} for one, two in zip(rows, numbers, strict=True)])
        self._insert(connection, "intents", name, intent_rows(batch.intents, entry.number))
        self._change_orders(connection, name, batch)
        self._keep(connection, name, batch)

    def _insert(self, connection: sa.Connection, table: str, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            connection.execute(sa.insert(self.tables[table]), [{"deployment": name, **_bindable(row)} for row in rows])

    def _change_orders(self, connection: sa.Connection, name: str, batch: Batch) -> None:
        table = self.tables["orders"]
        for order, filled, ended in batch.rows.orders:
            mine = (table.c.deployment == name) & (table.c.order_id == order)
            values = {"quantity": table.c.quantity + filled, **ended}
            connection.execute(sa.update(table).where(mine).values(**values))

    def _keep(self, connection: sa.Connection, name: str, batch: Batch) -> None:
        """Write the state, the obeyed commands and the times on the wall."""
        entry = batch.entry
        if batch.snapshot is not None:
            table = self.tables["snapshots"]
            state = {**batch.snapshot._asdict(), "watch": json.dumps(batch.snapshot.watch), "number": entry.number}
            mine = table.c.deployment == name
            if connection.execute(sa.update(table).where(mine).values(**state)).rowcount == 0:
                self._insert(connection, "snapshots", name, [state])
        if batch.commands:
            table = self.tables["commands"]
            mine = table.c.number.in_(batch.commands)
            connection.execute(sa.update(table).where(mine).values(obeyed=entry.number))
        if entry.kind == "cycle" and batch.arrived:
            times = {
                "ts": entry.ts,
                "arrived": batch.arrived,
                "committed": time.time_ns(),
                "next_look": batch.next_look,
            }
            self._insert(connection, "cycles", name, [times])
        elif batch.next_look:
            table = self.tables["cycles"]
            newest = sa.select(sa.func.max(table.c.ts)).where(table.c.deployment == name).scalar_subquery()
            mine = (table.c.deployment == name) & (table.c.ts == newest)
            connection.execute(sa.update(table).where(mine).values(next_look=batch.next_look))

    # Reading back.

    def bars(self, name: str) -> History:
        """Return the recorded bars of a deployment."""
        deployed, table = self._known(name), self.tables["bars"]
        wanted = sa.select(table).where(table.c.deployment == name).order_by(table.c.number)
        with self.transaction(reading=True) as connection:
            rows = connection.execute(wanted).all()
        return _history(deployed, rows)

    def _known(self, name: str) -> Deployed:
        found = self.find(name)
        if found is None:
            known = ", ".join(one.name for one in self.deployments()) or "none"
            raise StoreError(f"no deployment {name!r} in {self!r}; there is {known}")
        return found

    def snapshot(self, name: str) -> tuple[Entry, Snapshot]:
        """Return the last entry and the state after it."""
        journal, table = self.tables["journal"], self.tables["snapshots"]
        last = sa.select(journal).where(journal.c.deployment == name).order_by(journal.c.number.desc()).limit(1)
        with self.transaction(reading=True) as connection:
            entry = connection.execute(last).mappings().first()
            state = connection.execute(sa.select(table).where(table.c.deployment == name)).mappings().first()
        if entry is None or state is None or state["number"] != entry["number"]:
            at = "nothing" if state is None else f"entry {state['number']}"
            raise StoreError(
                f"deployment {name}: the state kept is that of {at}, the journal ends with entry "
                f"{None if entry is None else entry['number']}; restore a backup"
            )
        return _entry(entry), Snapshot(bytes(state["world"]), json.loads(state["watch"]), state["learned"])

    def entries(self, name: str) -> Iterator[Entry]:
        """Return the journal, oldest first."""
        journal = self.tables["journal"]
        wanted = sa.select(journal).where(journal.c.deployment == name).order_by(journal.c.number)
        with self.transaction(reading=True) as connection:
            for row in connection.execute(wanted.execution_options(yield_per=500)).mappings():
                yield _entry(row)

    def models(self, name: str) -> dict[int, bytes]:
        """Return the fitted models by the close they were fitted at."""
        table = self.tables["parameters"]
        wanted = sa.select(table.c.ts, table.c.model).where(table.c.deployment == name)
        with self.transaction(reading=True) as connection:
            return {row.ts: bytes(row.model) for row in connection.execute(wanted)}

    def rows(self, table: str, name: str) -> list[dict[str, Any]]:
        """Return a projection as it stands, in the order of its key."""
        one = self.tables[table]
        wanted = sa.select(one).where(one.c.deployment == name).order_by(*one.primary_key.columns)
        with self.transaction(reading=True) as connection:
            return [dict(row) for row in connection.execute(wanted).mappings()]

    def newest(self, table: str, name: str, most: int, until: int | None = None, **equal: str) -> list[dict[str, Any]]:
        """Return at most so many rows, the last by key, in its order: those up to a close, equal in these columns."""
        one = self.tables[table]
        wanted = sa.select(one).where(one.c.deployment == name, *(one.c[key] == value for key, value in equal.items()))
        if until is not None:
            wanted = wanted.where(one.c.ts <= until)
        order = [column.desc() for column in one.primary_key.columns]
        with self.transaction(reading=True) as connection:
            rows = connection.execute(wanted.order_by(*order).limit(most)).mappings().all()
        return [dict(row) for row in reversed(rows)]

    def counted(self, table: str, name: str, column: str) -> dict[str, int]:
        """Return how many rows there are of each value of a column."""
        one = self.tables[table]
        wanted = sa.select(one.c[column], sa.func.count()).where(one.c.deployment == name).group_by(one.c[column])
        with self.transaction(reading=True) as connection:
            return {value: int(count) for value, count in connection.execute(wanted)}

    def last(self, name: str, kind: str) -> Entry | None:
        """Return the last entry of a kind, or None."""
        journal = self.tables["journal"]
        mine = (journal.c.deployment == name) & (journal.c.kind == kind)
        wanted = sa.select(journal).where(mine).order_by(journal.c.number.desc()).limit(1)
        with self.transaction(reading=True) as connection:
            row = connection.execute(wanted).mappings().first()
        return None if row is None else _entry(row)

    # The operator, and the running itself.

    def ask(self, name: str, command: str, at: int) -> None:
        """Put an operator's command where the next cycle finds it."""
        self._known(name)
        with self.transaction() as connection:
            self._insert(connection, "commands", name, [{"command": command, "asked_at": at, "obeyed": None}])

    def asked(self, name: str) -> list[Command]:
        """Return the commands that were not obeyed yet, oldest first."""
        table = self.tables["commands"]
        waiting = (table.c.deployment == name) & table.c.obeyed.is_(None)
        with self.transaction(reading=True) as connection:
            rows = connection.execute(sa.select(table).where(waiting).order_by(table.c.number)).all()
        return [Command(row.number, row.command) for row in rows]

    def tell(self, name: str, alerts: Sequence[Alert]) -> None:
        """Put alerts of the running itself into the outbox; one whose key is there already is left out."""
        with self.transaction() as connection:
            put_alerts(connection, self.tables["alerts"], name, alerts)

    def note(self, name: str, note: Note) -> None:
        """Write down something of the running itself."""
        with self.transaction() as connection:
            self._insert(connection, "notes", name, [note._asdict()])

    def notes(self, name: str, most: int) -> list[Note]:
        """Return the newest notes, newest first."""
        table = self.tables["notes"]
        wanted = sa.select(table).where(table.c.deployment == name).order_by(table.c.number.desc()).limit(most)
        with self.transaction(reading=True) as connection:
            return [Note(row.at, row.kind, row.text) for row in connection.execute(wanted)]


def _inode(url: sa.URL) -> int | None:
    """Return which file a SQLite database is, or None when it is none."""
    path = Path(str(url.database))
    return path.stat().st_ino if url.get_backend_name() == "sqlite" and path.is_file() else None


def _held(connection: sa.Connection, table: sa.Table, lease: Lease) -> None:
    """Count the holder's beat; the first statement of every transaction that writes, so that it locks the rest out."""
    mine = (table.c.deployment == lease.deployment) & (table.c.token == lease.token)
    if connection.execute(sa.update(table).where(mine).values(beat=table.c.beat + 1)).rowcount != 1:
        raise LeaseError(f"deployment {lease.deployment} was taken over by another process; this one stops")


def _bindable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as the database takes it: SQLite knows no NaN, so NULL stands for it everywhere."""
    return {key: storable(x) if isinstance(x, str) else None if x != x else x for key, x in row.items()}


def _deployed(row: Any) -> Deployed:
    lists = {"symbols": tuple(json.loads(row["symbols"])), "traded": tuple(json.loads(row["traded"]))}
    return Deployed(**{**row, **lists, "config": json.loads(row["config"])})


def _entry(row: Any) -> Entry:
    return Entry(row["number"], row["kind"], row["ts"], row["content"], row["hash"])


def _bar_rows(history: History) -> Iterator[dict[str, Any]]:
    for t in range(len(history)):
        values = np.column_stack([*(getattr(history, name)[t] for name in _FIELDS[:5]), *history.declared(t)])
        for symbol, bar in zip(history.symbols, values.tolist(), strict=True):
            row = dict(zip(_FIELDS, bar, strict=True))
            told = {"late": 1 - int(history.purpose[t]), "source": history.source}
            yield {"number": t, "ts": int(history.ts[t]), "symbol": symbol, **row, **told}


def _history(deployed: Deployed, rows: Sequence[Any]) -> History:
    """Put the bars of all assets side by side again."""
    place = {symbol: column for column, symbol in enumerate(deployed.symbols)}
    bars = np.full((1 + max((row.number for row in rows), default=-1), len(place), len(_FIELDS)), np.nan)
    ts, decides = np.zeros(len(bars), dtype=np.int64), np.ones(len(bars), dtype=np.int8)
    for row in rows:
        if row.symbol not in place:
            raise DataError(f"a bar is that of {row.symbol}; the deployment has {', '.join(place)}")
        ts[row.number], decides[row.number] = row.ts, 1 - row.late
        bars[row.number, place[row.symbol]] = [getattr(row, name) for name in _FIELDS]
    columns = dict(zip((*_FIELDS[:5], "dividends", "splits", "final"), np.moveaxis(bars, 2, 0), strict=True))
    acting = {"dividends": 0.0, "splits": 1.0, "final": np.nan}
    quiet = [n for n, none in acting.items() if np.array_equal(columns[n], np.full_like(columns[n], none), True)]
    kept: dict[str, Any] = {name: values for name, values in columns.items() if name not in quiet}
    kept |= {"calendar": deployed.calendar, "currency": deployed.currency, "source": rows[-1].source if rows else ""}
    return History(symbols=deployed.symbols, ts=ts, traded=deployed.traded, decides=decides, **kept)
