"""The store: what every method promises, on SQLite and on PostgreSQL; that nothing is half written, lost or told."""

from __future__ import annotations

import json
import math
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from barograph.errors import LeaseError, StoreError
from barograph.history import History
from barograph.paper.journal import GENESIS, Entry, canonical, link
from barograph.paper.outbox import Row
from barograph.paper.ports import Alert, Intent, Placed
from barograph.paper.project import project
from barograph.paper.store import Batch, Command, Deployed, Lease, Note, Snapshot
from barograph_adapters.store import sql
from barograph_adapters.store.holder import dead, holder
from barograph_adapters.store.sql import SqlStore, open_store
from tests.fake_outbox import FakeOutbox
from tests.postgres import server

SYMBOLS = ("A", "B")
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
    return Deployed(name=name, calendar="24/7", currency="USD", periods=365.0, start=start, **{**told, **lists, **words})


def entry(number: int, kind: str, ts: int, content: Any, before: str = GENESIS) -> Entry:
    text = canonical({"ts": ts, **content})
    return Entry(number, kind, ts, text, link(before, text))


def cycle(number: int, before: str = GENESIS, values: Any = (1.0,), **words: Any) -> Batch:
    """Return the batch of a bar; `values` turn up everywhere that a float may stand."""
    v = (list(values) * 8)[:8]
    content = {
        "bar": number, "source": "test", "bars": [v, v[::-1]], "equity": v[:6], "weights": v[:2],
        "belief": v[:3], "positions": [v[:2], v[2:4]],
        "events": [[0, number + 1, 0, 0, v[0], math.nan, math.nan, 0, 0, 0]],
        "alerts": [{"key": f"drawdown:{number}", "kind": "drawdown", "severity": "info", "ts": number, "facts": {"x": v}}],
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
    ((ts, arrived, committed),) = store.latencies("spy")
    assert (ts, arrived) == (2, 5)
    assert committed > 1_700_000_000 * 10**9


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
    names = ("open", "high", "low", "close", "volume", "dividend", "split", "final")
    rows = [row for row in store.rows("bars", "spy") if row["ts"] == 2]
    nullable = [name for name in names if name not in ("dividend", "split")]
    for row, wanted in zip(rows, (v, v[::-1]), strict=True):
        kept = dict(zip(names, wanted, strict=True))
        assert bits(row[name] for name in nullable) == bits(kept[name] for name in nullable)
    *_, last = store.entries("spy")
    assert bits(map(float, last.content["bars"][0])) == bits(v)


