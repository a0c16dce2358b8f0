"""What was changed behind our back is found and not traded on; what is secret is not told; a copy is of one moment."""

from __future__ import annotations

import atexit
import functools
import re
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from barograph.data.calendars import DAY
from barograph.errors import RefusalError, StoreError
from barograph.paper.journal import link
from barograph.paper.runner import replay
from barograph.paper.simulated import replayed
from barograph.paper.verify import verify
from barograph_adapters.store import opening
from barograph_adapters.store.opening import backup
from barograph_adapters.store.sql import SqlStore, open_store
from tests.kit.paper_machines import BEFORE, config
from tests.kit.postgres import server

BARS = 25


@functools.cache
def original(kind: str) -> str:
    """Return the URL of a deployment of some bars with two fits, which nobody changes."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    url = f"sqlite:///{folder}/paper.db" if kind == "sqlite" else server().fresh()
    store = open_store(url)
    service, closes, clock = replayed(config(folder, BARS, every=15), folder, store, "spy", BEFORE)
    service.start()
    replay(service, closes, clock, None)
    service.stop()
    store.close()
    return url


STORES = ("sqlite", "postgresql")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    """A copy of the original."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/paper.db"
        backup(original("sqlite"), tmp_path / "paper.db")
    else:
        url = server().fresh(original("postgresql"))
    opened = open_store(url)
    yield opened
    opened.close()


def changed(store: SqlStore, statement: str, **values: Any) -> None:
    with store.transaction() as connection:
        assert connection.execute(sa.text(statement), values).rowcount == 1, statement


def one_digit(text: str) -> str:
    """Return a text with its last digit changed."""
    n = max(n for n, letter in enumerate(text) if letter.isdigit())
    return f"{text[:n]}{(int(text[n]) + 1) % 10}{text[n + 1 :]}"


def content(number: int) -> Callable[[SqlStore], None]:
    """Change one digit of an entry's text."""

    def change(store: SqlStore) -> None:
        text = next(entry.text for entry in store.entries("spy") if entry.number == number)
        changed(store, "UPDATE journal SET content = :x WHERE number = :n", x=one_digit(text), n=number)

    return change


def bent(store: SqlStore) -> None:
    """Change an entry, and its hash to fit: the next one does not fit any more."""
    before, entry = [one for one in store.entries("spy") if one.number in (4, 5)]
    text = one_digit(entry.text)
    values = {"x": text, "h": link(before.hash, text)}
    changed(store, "UPDATE journal SET content = :x, hash = :h WHERE number = 5", **values)


def nudged(column: str, table: str, where: str) -> Callable[[SqlStore], None]:
    """Change the last bits of a number."""
    return lambda store: changed(
        store, f"UPDATE {table} SET {column} = {column} * 1.0000000000000002 + 0 WHERE {where}"
    )


def flipped(table: str, column: str, where: str) -> Callable[[SqlStore], None]:
    """Change one bit of some bytes."""

    def change(store: SqlStore) -> None:
        with store.transaction() as connection:
            data = bytearray(connection.execute(sa.text(f"SELECT {column} FROM {table} WHERE {where}")).scalar_one())
        data[len(data) // 2] ^= 1
        changed(store, f"UPDATE {table} SET {column} = :x WHERE {where}", x=bytes(data))

    return change


def said(statement: str) -> Callable[[SqlStore], None]:
    return lambda store: changed(store, statement)


def _at(bar: int) -> str:
    return f"ts = (SELECT min(ts) FROM equity) + {bar * DAY}"


_FIRST_HELD = "(ts, symbol) = (SELECT ts, symbol FROM positions ORDER BY ts, symbol LIMIT 1)"
_FIRST_FILL = "(entry, row) = (SELECT entry, row FROM fills ORDER BY entry, row LIMIT 1)"
# What is changed, what `verify` says, and whether a deployment refuses to start: when its decisions depend on it.
TAMPERED: dict[str, tuple[Callable[[SqlStore], None], str, bool]] = {
    "an entry": (content(7), "entry 7 of the journal is not the one", True),
    "the first entry": (content(0), "entry 0 of the journal is not the one", True),
    "an entry and its hash": (bent, "entry 6 of the journal is not the one", True),
    "a hash": (said("UPDATE journal SET hash = 'x' WHERE number = 9"), "entry 9 of the journal is not the one", True),
    "an entry gone": (said("DELETE FROM journal WHERE number = 8"), "entry 8 of the journal is missing", True),
    "the last entry gone": (
        said("DELETE FROM journal WHERE number = (SELECT max(number) FROM journal)"), "the state kept is that of", True
    ),
    "an entry's time": (said("UPDATE journal SET ts = ts + 1 WHERE number = 6"), "entry 6 .* another time", False),
    "the world": (flipped("snapshots", "world", "1 = 1"), "snapshots: the state is not the one", True),
    "the watch": (said("UPDATE snapshots SET watch = replace(watch, '{', '{\"x\": 1, ')"), "snapshots", True),
    "the last fit": (said("UPDATE snapshots SET learned = learned + 1"), "snapshots", True),
    "a bar": (nudged("close", "bars", f"symbol = 'AAA' AND {_at(5)}"), "bars: 2 rows differ", True),
    "a bar before": (nudged("open", "bars", "symbol = 'AAA' AND number = 3"), "bars: those before the first", True),
    "a bar gone": (said(f"DELETE FROM bars WHERE symbol = 'AAA' AND {_at(6)}"), "bars: 1 rows differ", True),
    "a bar's symbol": (said(f"UPDATE bars SET symbol = 'X' WHERE symbol = 'AAA' AND {_at(6)}"), "bars: 2 row", True),
    "an order": (said("UPDATE orders SET quantity = quantity + 1 WHERE order_id = 2"), "orders: 2 rows differ", False),
    "a fill": (nudged("price", "fills", _FIRST_FILL), "fills: 2 rows differ", False),
    "a fill gone": (said(f"DELETE FROM fills WHERE {_FIRST_FILL}"), "fills: 1 rows differ", False),
    "an equity": (nudged("equity", "equity", _at(3)), "equity: 2 rows differ", False),
    "a belief": (nudged("probability", "beliefs", _at(3)), "beliefs: 2 rows", False),
    "a position": (said(f"DELETE FROM positions WHERE {_FIRST_HELD}"), "positions: 1 rows differ", False),
    "an alert": (
        said("UPDATE alerts SET kind = 'x' WHERE key = (SELECT min(key) FROM alerts)"), "alerts: 2 rows differ", False
    ),
    "an alert disowned": (
        said("UPDATE alerts SET entry = NULL WHERE key = (SELECT min(key) FROM alerts)"), "alerts: 1 rows", False
    ),
    "a model": (flipped("parameters", "model", _at(14)), "parameters: the model", False),
    "a digest": (
        said("UPDATE parameters SET digest = 'x' WHERE ts = (SELECT min(ts) FROM parameters)"), "parameters: 2", False
    ),
    "what was deployed": (
        said("UPDATE deployments SET config = replace(config, '0.05', '0.06')"), "deployments: config is not", True
    ),
}  # fmt: skip


def test_what_nobody_changed_is_as_it_was(store: SqlStore) -> None:
    found = verify(store, store.deployments()[0])
    assert (found.wrong, found.entries) == ((), BARS + 3)
    assert found.rows > 5 * BARS
    started(store)


# The two stores take turns; every change in both of them is for `make soak`.
@pytest.mark.parametrize(
    ("store", "what"),
    [
        pytest.param(kind, what, id=f"{kind}-{what}", marks=[] if (n + m) % 2 == 0 else pytest.mark.long)
        for n, what in enumerate(TAMPERED)
        for m, kind in enumerate(STORES)
    ],
    indirect=["store"],
)
def test_what_was_changed_is_found(store: SqlStore, what: str) -> None:
    change, wanted, refused = TAMPERED[what]
    change(store)
    found = verify(store, store.deployments()[0])
    assert found.wrong, "nobody noticed"
    assert re.search(wanted, "\n".join(found.wrong)), found.wrong
    if refused:
        with pytest.raises((RefusalError, StoreError)) as told:
            started(store)
        assert "\n" not in str(told.value)
    else:
        started(store)


def started(store: SqlStore) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plan = config(Path(folder), BARS, every=15)
        service, _, _ = replayed(plan, Path(folder), store, "spy", BEFORE)
        service.start()
        service.stop()


# Copies.


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    """A database that a thread writes to all the time, and a function that tells how far it has come."""
    url, over = f"sqlite:///{tmp_path}/busy.db", threading.Event()
    plan = config(tmp_path, 10**4, every=10**6)
    store = open_store(url)
    service, closes, clock = replayed(plan, tmp_path, store, "spy", BEFORE)
    service.start()
    service.look()

    def write() -> None:
        for ts in closes[1:]:
            if over.is_set():
                return
            clock.set(int(ts))
            service.look()

    writing = threading.Thread(target=write)
    writing.start()
    reader = open_store(url)
    yield url, lambda: int(reader.rows("equity", "spy")[-1]["ts"])
    reader.close()
    over.set()
    writing.join()
    service.stop()
    store.close()


def test_a_copy_is_of_one_moment_while_others_write(busy: Any, tmp_path: Path) -> None:
    url, last = busy
    for n in range(8):
        before = last()
        while last() == before:
            threading.Event().wait(0.001)
        before = last()
        backup(url, tmp_path / f"copy{n}.db")
        after = last()
        copy = open_store(f"sqlite:///{tmp_path}/copy{n}.db")
        found = verify(copy, copy.deployments()[0])
        assert not found.wrong, str(found)
        assert before <= copy.rows("equity", "spy")[-1]["ts"] <= after
        copy.close()
    assert not list(tmp_path.glob(".backup*"))


def test_verifying_while_others_write_finds_nothing(busy: Any) -> None:
    url, last = busy
    store = open_store(url)
    for _ in range(8):
        before = last()
        found = verify(store, store.deployments()[0])
        assert not found.wrong, str(found)
        while last() == before:
            threading.Event().wait(0.001)
    store.close()


def test_a_copy_is_refused_with_one_line(tmp_path: Path) -> None:
    url, to = f"sqlite:///{tmp_path}/paper.db", tmp_path / "copy.db"
    with pytest.raises(StoreError, match=r"sqlite:///paper.db: there is no such database to back up"):
        backup(url, to)
    with pytest.raises(StoreError, match="there is no such database"):
        backup("sqlite://", to)
    open_store(url).close()
    backup(url, to)
    with pytest.raises(StoreError, match=r"copy.db is there already"):
        backup(url, to)
    with pytest.raises(StoreError, match="the backup cannot be written"):
        backup(url, tmp_path / "nowhere" / "copy.db")
    with pytest.raises(StoreError, match="pg_dump") as told:
        backup("postgresql+psycopg://me:hunter2@db.example/paper", tmp_path / "other.db")
    assert "hunter2" not in str(told.value)
    assert sorted(path.name for path in tmp_path.iterdir() if "paper.db" not in path.name) == ["copy.db"]


def test_a_copy_of_a_torn_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "paper.db").write_bytes(b"SQLite format 3\0 and then something else" * 200)
    with pytest.raises(StoreError, match="the backup cannot be written"):
        backup(f"sqlite:///{tmp_path}/paper.db", tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


# Opening.


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:hunter2@127.0.0.1:1/paper",
        "postgresql+psycopg://me@127.0.0.1:1/paper?password=hunter2",
        "postgresql+psycopg://me:hunter2@127.0.0.1:1/paper?nonsense=1",
        "postgresql+psycopg://me:hunter2@127.0.0.1:1/paper?sslmode=hunter2&sslpassword=hunter2",
        "postgresql+nodriver://me:hunter2@127.0.0.1:1/paper",
        "postgresql+psycopg://me:hunter2@127.0.0.1:port/paper",
        "mysql://me:hunter2@127.0.0.1:1/paper",
        "mongodb://me:hunter2@127.0.0.1/paper",
        "hunter2",
        "${HUNTER_URL}",
    ],
)
def test_a_password_is_never_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUNTER_URL", "postgresql+psycopg://me:hunter2@127.0.0.1:1/paper")
    with pytest.raises(StoreError) as told:
        open_store(url)
    assert "hunter2" not in f"{told.value}{told.value!r}"
    assert "\n" not in str(told.value)
    with pytest.raises(StoreError) as told:
        opening.migrate(url, "head")
    assert "hunter2" not in f"{told.value}{told.value!r}"


def test_a_store_does_not_show_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    url = server().fresh()
    monkeypatch.setenv("PAPER", url.replace("postgres@", "postgres:hunter2@"))
    store = open_store("${PAPER}&application_name=hunter2")
    assert "hunter2" not in repr(store) + str(store)
    server_gone = store.engine.url.set(query={**store.engine.url.query, "host": "/nowhere"})
    with pytest.raises(StoreError) as told:
        SqlStore(sa.create_engine(server_gone), sa.MetaData()).transaction().__enter__()
    assert "hunter2" not in str(told.value)
    store.close()


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_URL", raising=False)
    with pytest.raises(StoreError, match=r"\$\{NO_SUCH_URL\}, which is not set in the environment"):
        open_store("${NO_SUCH_URL}")


@pytest.mark.parametrize(
    ("prepare", "wanted"),
    [
        (
            lambda path: path.write_bytes(b"not a database at all, but long enough to be taken for one" * 99),
            "not a data",
        ),
        (lambda path: path.mkdir(), "unable to open"),
        (lambda path: _table(path, "CREATE TABLE theirs (x)"), "its schema is none of ours"),
    ],
)
def test_a_file_that_is_no_store_is_refused(tmp_path: Path, prepare: Callable[[Path], Any], wanted: str) -> None:
    path = tmp_path / "paper.db"
    prepare(path)
    with pytest.raises(StoreError, match=rf"sqlite:///paper.db: .*{wanted}"):
        open_store(f"sqlite:///{path}")


def _table(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"sqlite:///paper.db: unable to open database file"):
        open_store(f"sqlite:///{tmp_path}/nowhere/paper.db")
