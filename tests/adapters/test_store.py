"""The store: what every method promises, on SQLite and on PostgreSQL; that nothing is half written, lost or told."""

from __future__ import annotations

import functools
import itertools
import json
import math
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from barograph.data.history import History
from barograph.errors import LeaseError, StoreError
from barograph.paper.journal import GENESIS, Entry, canonical, link
from barograph.paper.ports import Alert, Incident, Intent, Placed, Rest, Row
from barograph.paper.projection import project
from barograph.paper.store import Batch, Command, Deployed, Lease, Note, Snapshot
from barograph_adapters.store.holder import dead, holder
from barograph_adapters.store.opening import backup
from barograph_adapters.store.sql import SqlStore, open_store
from tests.fakes.outbox import FakeOutbox
from tests.kit.postgres import server

SYMBOLS = ("A", "B")
PLACE = holder().rsplit(":", 2)[0]
ODD = [0.1 + 0.2, 5e-324, -2.2e-308, 1.7976931348623157e308, math.inf, -math.inf, math.nan, 123456789.12345679, 1e22]
BELOW_ZERO = struct.unpack("<d", b"\0\0\0\0\0\0\0\x80")[0]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/paper.db" if request.param == "sqlite" else server().fresh()


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    opened = open_store(url)
    yield opened
    opened.close()


def deployed(name: str = "spy", start: int = 0, **words: Any) -> Deployed:
    lists = {"symbols": SYMBOLS, "traded": (True, False)}
    told = {"kind": "paper", "config": {"name": name, "fit": None}, "folder": "/nowhere", "code_hash": "c0de"}
    return Deployed(
        name=name, calendar="24/7", currency="USD", periods=365.0, start=start, **{**told, **lists, **words}
    )


def entry(number: int, kind: str, ts: int, content: Any, before: str = GENESIS) -> Entry:
    text = canonical({"ts": ts, **content})
    return Entry(number, kind, ts, text, link(before, text))


def cycle(number: int, before: str = GENESIS, values: Any = (1.0,), **words: Any) -> Batch:
    """Return the batch of a bar; `values` turn up everywhere that a float may stand."""
    v = (list(values) * 8)[:8]
    # A dividend and a split are always numbers; all else may be missing.
    bar = [*v[:5], 0.5, 2.0, v[7]]
    content = {
        "bar": number, "source": "test", "bars": [bar, bar], "belief": v[:3],
        "equity": [1e6, 0.1, 0.2, 0.3, 0.0, -0.0], "weights": [0.1, 0.0], "positions": [[1.0, 0.0], [0.5, 0.5]],
        "events": [[0, number + 1, 0, 0, v[0], math.nan, math.nan, 0, 0, 0]],
        "alerts": [Alert(f"drawdown:{number}", "drawdown", "info", number, {"x": v})._asdict()],
    }  # fmt: skip
    made = entry(number, "cycle", number + 1, content, before)
    state = Snapshot(bytes([0, number, 255]), {"seen": number}, number)
    return Batch(made, project("cycle", made.content, SYMBOLS), state, **words)


def begun(store: SqlStore, name: str = "spy", batches: int = 1) -> tuple[Lease, list[Batch]]:
    lease, made = store.acquire(name), [cycle(0)]
    for n in range(1, batches):
        made.append(cycle(n, made[-1].entry.hash))
    store.create(lease, deployed(name), None, made)
    return lease, made


_NUMBERS = itertools.count()


@functools.cache
def _shared(kind: str) -> SqlStore:
    """Return a database that many examples of one test use, each under another name."""
    return open_store("sqlite://" if kind == "sqlite" else server().fresh())


def everything(store: SqlStore) -> dict[str, Any]:
    """Return all rows of all tables but the lease's count of beats."""
    with store.transaction() as connection:
        return {
            name: sorted(map(repr, connection.execute(sa.select(table)).all()))
            for name, table in store.tables.items()
            if name != "leases"
        }


def bits(values: Any) -> list[bytes]:
    """Return floats as bytes; NULL stands for NaN, of which there is one, and SQLite's zero has no sign."""
    return [struct.pack("<d", math.nan if x is None or x != x else x + 0.0) for x in values]


# What there is.


def test_deployments(store: SqlStore) -> None:
    assert store.find("spy") is None
    begun(store, "spy")
    begun(store, "eem")
    assert [one.name for one in store.deployments()] == ["eem", "spy"]
    assert store.find("spy") == deployed("spy")
    with pytest.raises(StoreError, match=r"no deployment 'sqy' in SqlStore\(.*\); there is eem, spy"):
        store.bars("sqy")
    with pytest.raises(StoreError, match="no deployment 'sqy'"):
        store.ask("sqy", "halt", 1)


def test_a_deployment_begins_once_and_whole(store: SqlStore) -> None:
    lease, _ = begun(store)
    before = everything(store)
    with pytest.raises(StoreError):
        store.create(lease, deployed("spy"), None, [cycle(7)])
    assert everything(store) == before
    with pytest.raises(StoreError):
        store.create(store.acquire("eem"), deployed("eem"), None, [cycle(0), cycle(0)])
    assert everything(store) == before, "a deployment that could not begin left something"


def test_an_entry_is_written_once_and_whole(store: SqlStore) -> None:
    lease, made = begun(store)
    second = cycle(1, made[0].entry.hash)
    store.commit(lease, second)
    before = everything(store)
    for again in (second, second._replace(entry=second.entry._replace(number=2))):
        # The second one is another entry for the same close: the journal has one a close.
        with pytest.raises(StoreError) as told:
            store.commit(lease, again)
        assert "\n" not in str(told.value)
    torn = cycle(2, second.entry.hash)
    torn.rows.new["alerts"].append(torn.rows.new["alerts"][0])
    with pytest.raises(StoreError):
        store.commit(lease, torn)
    assert everything(store) == before
    store.commit(lease, cycle(2, second.entry.hash))


def test_what_is_written_is_read_back(store: SqlStore) -> None:
    lease, made = begun(store, batches=3)
    content = {"bar": 2, "first": 1, "last": 3, "observations": 3, "log_likelihood": -0.5, "converged": True}
    learned = entry(3, "fit", 3, {**content, "digest": "d", "summary": {"p": 1}, "match": None}, made[-1].entry.hash)
    state = Snapshot(b"world", {"seen": [1, None, "x"]}, 2)
    store.commit(lease, Batch(learned, project("fit", learned.content, SYMBOLS), state, model=b"\0model\xff"))
    assert list(store.entries("spy")) == [*(one.entry for one in made), learned]
    assert store.snapshot("spy") == (learned, state)
    assert store.models("spy") == {3: b"\0model\xff"}
    (row,) = store.rows("parameters", "spy")
    assert (row["converged"], row["log_likelihood"], row["observations"]) == (True, -0.5, 3)
    assert [row["ts"] for row in store.rows("equity", "spy")] == [1, 2, 3]
    assert [(row["number"], row["symbol"]) for row in store.rows("bars", "spy")] == [
        (n, symbol) for n in range(3) for symbol in SYMBOLS
    ]
    assert store.rows("equity", "eem") == []


def test_the_times_of_a_cycle(store: SqlStore) -> None:
    lease, made = begun(store)
    store.commit(lease, cycle(1, made[0].entry.hash, arrived=5, next_look=9))
    (row,) = store.newest("cycles", "spy", 3)
    assert (row["ts"], row["arrived"]) == (2, 5)
    assert row["committed"] > 1_700_000_000 * 10**9


def test_a_state_that_is_not_that_of_the_last_entry_is_refused(store: SqlStore) -> None:
    lease, made = begun(store)
    store.commit(lease, cycle(1, made[0].entry.hash)._replace(snapshot=None))
    with pytest.raises(StoreError, match="the state kept is that of entry 0, the journal ends with entry 1"):
        store.snapshot("spy")
    with pytest.raises(StoreError, match="that of nothing, the journal ends with entry None"):
        store.snapshot("eem")


# Numbers.


@pytest.mark.parametrize("values", [ODD, ODD[::-1], [BELOW_ZERO, *ODD]])
def test_floats_come_back_to_the_bit(store: SqlStore, values: list[float]) -> None:
    lease, made = begun(store)
    store.commit(lease, cycle(1, made[0].entry.hash, values))
    v = (list(values) * 8)[:8]
    kept = dict(zip(("open", "high", "low", "close", "volume", "final"), [*v[:5], v[7]], strict=True))
    for row in [row for row in store.rows("bars", "spy") if row["ts"] == 2]:
        assert bits(row[name] for name in kept) == bits(kept.values())
        # One and the same query finds what is missing in both databases.
        assert [row[name] is None for name in kept] == [math.isnan(x) for x in kept.values()]
    *_, last = store.entries("spy")
    assert struct.pack("<3d", *map(float, last.content["belief"])) == struct.pack("<3d", *v[:3])


def a_history(values: list[float], bars: int = 3) -> History:
    flat = np.resize(np.array(values), (8, bars, 2))
    close = np.where(np.isfinite(flat[3]) & (flat[3] > 0.0), flat[3], 1.5)
    columns = {"open": flat[0], "high": flat[1], "low": flat[2], "volume": flat[4]}
    dividends = np.where(np.isfinite(flat[5]) & (flat[5] > 0.0), flat[5], BELOW_ZERO)
    ts = np.arange(1, bars + 1) * 86_400_000_000_000
    words = {"symbols": SYMBOLS, "traded": (True, False), "calendar": "24/7", "currency": "USD", "source": "test"}
    return History.from_arrays(ts, close, **columns, dividends=dividends, **words)


@given(st.lists(st.floats(width=64), min_size=1, max_size=48))
def test_bars_come_back_as_they_were(values: list[float]) -> None:
    store = open_store("sqlite://")
    history = a_history(values)
    store.create(store.acquire("spy"), deployed(start=3), history, [])
    found = store.bars("spy")
    for name in ("ts", "open", "high", "low", "close", "volume"):
        assert bits(getattr(found, name).ravel().tolist()) == bits(getattr(history, name).ravel().tolist()), name
    assert found.digest() == history.digest()
    store.close()


def test_bars_of_every_kind_come_back(store: SqlStore) -> None:
    history = a_history([BELOW_ZERO, *ODD])
    store.create(store.acquire("spy"), deployed(start=3), history, [])
    found = store.bars("spy")
    assert (found.digest(), found.source, found.currency, found.traded) == (
        history.digest(), "test", "USD", (True, False)
    )  # fmt: skip
    assert (found.splits, found.final) == (None, None)


# The lease.


def test_one_holds_the_lease(store: SqlStore, url: str) -> None:
    lease = store.acquire("spy")
    with pytest.raises(LeaseError, match=r"deployment spy is run by .*; stop that process first"):
        open_store(url).acquire("spy", 0.2)
    store.beat(lease)
    store.release(lease)
    taken = store.acquire("spy", 0.2)
    assert taken.token == lease.token + 1
    for lost in (store.beat, lambda one: store.commit(one, cycle(0))):
        with pytest.raises(LeaseError, match="deployment spy was taken over by another process; this one stops"):
            lost(lease)
    store.release(lease)
    store.beat(taken)


def test_a_stolen_lease_writes_nothing(store: SqlStore) -> None:
    lease, made = begun(store)
    with store.transaction() as connection:
        connection.execute(sa.text("UPDATE leases SET token = token + 1"))
    before = everything(store)
    with pytest.raises(LeaseError):
        store.commit(lease, cycle(1, made[0].entry.hash))
    with pytest.raises(LeaseError):
        store.create(lease, deployed("eem"), None, [])
    assert everything(store) == before


@pytest.mark.parametrize("name", ["{place}:999999999:5", "{place}:{me}:1"])
def test_a_holder_that_died_has_lost_the_lease(store: SqlStore, name: str) -> None:
    lease = store.acquire("spy")
    gone = name.format(place=PLACE, me=os.getpid())
    with store.transaction() as connection:
        connection.execute(sa.text("UPDATE leases SET holder = :gone"), {"gone": gone})
    assert dead(gone)
    assert store.acquire("spy", 60.0).token == lease.token + 1


def test_a_process_that_has_ended_and_was_not_asked_for_is_dead() -> None:
    child = os.posix_spawn("/bin/sh", ["sh", "-c", "exec sleep 60"], os.environ)
    name = f"{PLACE}:{child}:{_born(child)}"
    assert dead(name) is False
    os.kill(child, 9)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert dead(name) is True
    os.waitpid(child, 0)


def _born(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]


@pytest.mark.parametrize("beats", [True, False])
def test_a_holder_elsewhere_keeps_the_lease_while_it_beats(
    store: SqlStore, url: str, beats: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barograph_adapters.store.sql._STILL", 5.0 if beats else 0.4)
    lease, over = store.acquire("spy"), threading.Event()
    with store.transaction() as connection:
        connection.execute(sa.text("UPDATE leases SET holder = 'elsewhere:7:7'"))

    def beat() -> None:
        while not over.wait(0.02):
            store.beat(lease)

    beating = threading.Thread(target=beat)
    if beats:
        beating.start()
    try:
        other = open_store(url)
        if beats:
            with pytest.raises(LeaseError, match="elsewhere:7:7"):
                other.acquire("spy", 5.0)
        else:
            with pytest.raises(LeaseError, match=r"only a heart that was not heard for 0\.4 s has stopped"):
                other.acquire("spy", 0.3)
            assert other.acquire("spy", 0.4).holder == holder()
        other.close()
    finally:
        over.set()
        if beats:
            beating.join()


def test_of_many_who_race_for_a_lease_one_wins(url: str) -> None:
    # A fresh database: they also race for the schema.
    gate, won, lost = threading.Barrier(12), [], []

    def race() -> None:
        gate.wait()
        store = open_store(url)
        try:
            won.append(store.acquire("spy", 0.1))
        except LeaseError:
            lost.append(1)
        finally:
            store.close()

    runners = [threading.Thread(target=race) for _ in range(12)]
    for one in runners:
        one.start()
    for one in runners:
        one.join()
    assert ([one.token for one in won], len(lost)) == ([1], 11)


# Commands, alerts, notes.


def test_commands_wait_until_they_are_obeyed(store: SqlStore) -> None:
    lease, made = begun(store)
    begun(store, "eem")
    for n, (name, command) in enumerate([("spy", "halt"), ("eem", "flatten"), ("spy", "resume")]):
        store.ask(name, command, n)
    halt, resume = store.asked("spy")
    assert [halt.command, resume.command] == ["halt", "resume"]
    store.commit(lease, cycle(1, made[0].entry.hash, commands=(halt.number,)))
    assert store.asked("spy") == [resume]
    assert [Command(row["number"], row["command"]) for row in store.rows("commands", "eem")] == store.asked("eem")
    assert [row["obeyed"] for row in store.rows("commands", "spy")] == [1, None]


def test_alerts_of_the_running_are_told_once(store: SqlStore) -> None:
    begun(store)
    alert = Alert("heartbeat:1", "heartbeat", "info", 5, {"text": "é ☂", "x": [0.1, None]})
    store.tell("spy", [alert])
    store.tell("spy", [alert._replace(facts={}), alert._replace(key="heartbeat:2")])
    rows = {row["key"]: row for row in store.rows("alerts", "spy")}
    assert sorted(rows) == ["drawdown:0", "heartbeat:1", "heartbeat:2"]
    assert json.loads(rows["heartbeat:1"]["facts"]) == alert.facts
    assert (rows["heartbeat:1"]["entry"], rows["drawdown:0"]["entry"]) == (None, 0)


@pytest.mark.parametrize("text", ["plain", "é ☂ \U0001f327", "a\0b", "\ud800 alone", "line\nbreak"])
def test_notes(store: SqlStore, text: str) -> None:
    begun(store)
    for n in range(3):
        store.note("spy", Note(n, "feed", f"{text} {n}"))
    newest = store.notes("spy", 2)
    assert [note.at for note in newest] == [2, 1]
    assert newest[0].text == f"{text} 2".replace("\0", "\ufffd").replace("\ud800", "?")


# The outbox does what the one in memory does.

KEYS = st.integers(0, 3)
PEOPLE = st.lists(st.sampled_from(["ann", "bob"]), unique=True)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), KEYS),
        st.tuples(st.just("route"), KEYS, PEOPLE),
        st.tuples(st.sampled_from(["sent", "failed", "gave_up"]), st.integers(0, 5), st.integers(1, 40)),
    ),
    max_size=12,
)


@given(STEPS)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_outbox_is_the_one_in_memory(kind: str, steps: list[Any]) -> None:
    store = _shared(kind)
    name = f"spy{next(_NUMBERS)}"
    fake = FakeOutbox()
    begun_blank(store, name)
    for n, (what, *how) in enumerate(steps):
        if what == "tell":
            alert = Alert(f"guard:{how[0]}", "guard", "warning", 10 - how[0], {"text": "x"})
            store.tell(name, [alert])
            if alert.key not in fake.alerts:
                fake.put(alert)
        elif what == "route" and f"guard:{how[0]}" in fake.alerts:
            # A second routing changes nothing.
            if f"guard:{how[0]}" not in fake.routed:
                fake.route(name, f"guard:{how[0]}", how[1])
            store.route(name, f"guard:{how[0]}", how[1])
        elif what not in ("tell", "route"):
            rows = fake.waiting(name, 100, 1000)[how[0] :][:1]
            for outbox in (store, fake):
                _delivered(outbox, name, what, rows, n, how[1])
        _agree(store, fake, name)


def begun_blank(store: SqlStore, name: str) -> None:
    lease = store.acquire(name)
    store.create(lease, deployed(name), None, [])


def _delivered(outbox: Any, name: str, what: str, rows: list[Row], at: int, later: int) -> None:
    if what == "sent":
        outbox.sent(name, rows, at, f"m{at // 2}")
    elif rows and what == "failed":
        outbox.failed(name, rows[0], at, "no answer", later)
    elif rows:
        outbox.gave_up(name, rows[0], at, "too long")


def _agree(store: SqlStore, fake: FakeOutbox, name: str) -> None:
    assert store.unrouted(name) == fake.unrouted(name)
    for now in (0, 20, 100):
        assert sorted(store.waiting(name, now, 15)) == sorted(fake.waiting(name, now, 15))
        assert [store.recently_sent(name, who, now // 10, now) for who in ("ann", "bob")] == [
            fake.recently_sent(name, who, now // 10, now) for who in ("ann", "bob")
        ]
    states = {
        (row["alert_key"], row["recipient"]): (row["state"], row["error"]) for row in store.rows("deliveries", name)
    }
    assert states == {key: (row.state, row.error) for key, row in fake.rows.items()}


# Orders at a broker.


def test_intents_and_their_answers(store: SqlStore) -> None:
    intents = tuple(Intent(f"id{n}", 1, "A", 0.1 * n, "limit", 0.1 + 0.2, None) for n in range(3))
    lease, made = begun(store)
    store.commit(lease, cycle(1, made[0].entry.hash, intents=intents[:2]))
    store.commit(lease, cycle(2, cycle(1, made[0].entry.hash).entry.hash, intents=intents[2:]))
    assert list(store.open_intents("spy")) == list(intents)
    answer = Placed("id1", "filled", 0.1, 0.30000000000000004, "")
    store.answered("id1", answer)
    store.answered("id1", answer)
    assert [one.client_id for one in store.open_intents("spy")] == ["id0", "id2"]
    assert [one.placed for one in store.placed_orders("spy")] == [None, answer, None]
    before = everything(store)
    with pytest.raises(StoreError):
        store.commit(lease, cycle(3, GENESIS, intents=intents[:1]))
    assert everything(store) == before, "an order that was stored before was stored again"


# Incidents, and doors that rest.


def test_incidents_are_kept_until_they_are_over_and_told_with_them(store: SqlStore) -> None:
    begun(store)
    one = Incident("bad_data:absent:A", "bad_data", "warning", 5, 9, 3, 10, 11, 1, 3, "A has no bar \0 \ud800")
    two = one._replace(subject="stale_data", kind="stale_data", severity="critical")
    told = Alert("bad_data:absent:A:5", "bad_data", "warning", 5, {"text": "x"})
    for _ in range(2):
        store.keep("spy", one, [told], False)
        store.keep("spy", two, [], False)
    assert store.incidents("spy") == [
        one._replace(text="A has no bar \ufffd ?"),
        two._replace(text=one.text[:12] + " \ufffd ?"),
    ]
    assert store.incidents("eem") == []
    store.keep("spy", two._replace(times=4), [], False)
    assert [incident.times for incident in store.incidents("spy")] == [3, 4]
    for _ in range(2):
        store.keep("spy", one, [told._replace(key="bad_data:absent:A:5:over")], True)
    assert [incident.subject for incident in store.incidents("spy")] == ["stale_data"]
    keys = [row["key"] for row in store.rows("alerts", "spy") if row["kind"] == "bad_data"]
    assert keys == ["bad_data:absent:A:5", "bad_data:absent:A:5:over"]


def test_a_door_rests_as_long_as_it_said_also_for_the_next_process(store: SqlStore, url: str) -> None:
    store.rest(Rest("from:api.example.org", 100, 200, "HTTP 418"))
    other = open_store(url)
    rests = [other.resting("from:api.example.org", now) for now in (99, 100, 199, 200)]
    assert [rest is not None for rest in rests] == [False, True, True, False]
    assert other.resting("from:other.example.org", 150) is None
    other.rest(Rest("from:api.example.org", 150, 160, "HTTP 429"))
    assert store.resting("from:api.example.org", 170) is None
    other.close()


# Looking, without a right to write and beside one who writes.


def looked_at(url: str) -> dict[str, Any]:
    seen = open_store(url, looking=True)
    try:
        return {"deployments": seen.deployments(), "bars": seen.rows("bars", "spy"), "held": sorted(seen.holders())}
    finally:
        seen.close()


def test_who_looks_waits_for_nobody_who_writes_and_writes_nothing(store: SqlStore, url: str) -> None:
    lease, _ = begun(store)
    before = looked_at(url)
    assert before["deployments"] == store.deployments()
    with store.transaction() as connection:  # As one that froze in the middle of it.
        connection.execute(sa.text("UPDATE bars SET open = 7"))
        started = time.monotonic()
        assert looked_at(url) == before
        assert time.monotonic() - started < 3.0
    seen = open_store(url, looking=True)
    with pytest.raises(StoreError, match=r"read-?only"):
        seen.beat(lease)
    seen.close()


@pytest.mark.parametrize("log", ["none", "empty", "full"])
def test_a_folder_that_cannot_be_written_to_can_be_looked_at(log: str, tmp_path: Path) -> None:
    """A backup on a read-only medium, one used there, and one whose machine was cut off: its log is read too."""
    url = f"sqlite:///{tmp_path}/from.db"
    store = open_store(url)
    begun(store)
    wanted = looked_at(url)
    assert wanted["bars"]
    place = tmp_path / "medium"
    place.mkdir()
    if log == "full":
        for name in ("from.db", "from.db-wal"):
            (place / name).write_bytes((tmp_path / name).read_bytes())
        assert (place / "from.db-wal").stat().st_size > 0
    else:
        backup(url, place / "from.db")
        if log == "empty":
            (place / "from.db-wal").touch()
    store.close()
    with read_only(place):
        assert looked_at(f"sqlite:///{place}/from.db") == wanted
        backup(f"sqlite:///{place}/from.db", tmp_path / f"{log}.db")
    assert looked_at(f"sqlite:///{tmp_path}/{log}.db") == wanted


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Take the right to write to a folder away: from root only the kernel can, so it is asked to refuse an index."""
    if os.geteuid() != 0:
        place.chmod(0o555)
        yield
        place.chmod(0o755)
        return
    # Where an index cannot be made SQLite says so; a folder in its place has the same effect for root.
    (place / "from.db-shm").mkdir()
    yield
    (place / "from.db-shm").rmdir()


def test_a_database_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database of deployments"):
        open_store(f"sqlite:///{tmp_path}/none.db", looking=True)
    assert list(tmp_path.iterdir()) == []


# Reading while others write.


def test_what_is_read_in_one_moment_is_of_one_moment(store: SqlStore, url: str) -> None:
    lease, made = begun(store)
    other = open_store(url)
    with store.moment():
        assert len(list(store.entries("spy"))) == 1
        other.commit(lease, cycle(1, made[0].entry.hash))
        assert len(list(store.entries("spy"))) == 1
        assert store.snapshot("spy")[0] == made[0].entry
        assert len(store.rows("equity", "spy")) == 1
    assert len(list(store.entries("spy"))) == 2
    other.close()
