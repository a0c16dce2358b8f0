"""A store that an earlier program wrote: what stands in its journal means today what it meant then.

`stores/arithmetic_1.sql.gz` is a deployment of 40 bars with targets, protective orders, a guard, a halt and refits,
written by the last program whose log took its words from their places in a tuple and whose kernels used the
processor's own exp and log.
"""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from barograph.cli import app
from barograph.errors import DataError
from barograph.execution import events
from barograph.jit.arithmetic import ARITHMETIC
from barograph.paper.parity import parity
from barograph.paper.projection import project
from barograph.paper.verify import verify
from barograph_adapters.store.opening import migrate
from barograph_adapters.store.sql import SqlStore, open_store

HEAD = "86aac309c56b0568"
DUMP = Path(__file__).parent / "stores" / "arithmetic_1.sql.gz"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    with sqlite3.connect(tmp_path / "paper.db") as database:
        database.executescript(gzip.decompress(DUMP.read_bytes()).decode())
    database.close()
    url = f"sqlite:///{tmp_path}/paper.db"
    migrate(url, "head")
    opened = open_store(url)
    yield opened
    opened.close()


def test_it_still_verifies(store: SqlStore) -> None:
    deployed = store.find("old")
    assert deployed is not None
    found = verify(store, deployed)
    assert found.wrong == ()
    assert (found.entries, found.head[:16]) == (44, HEAD)


def test_its_words_are_those_that_were_written(store: SqlStore) -> None:
    """Rows made from the journal now, against the rows that the earlier program put into its tables."""
    made: dict[str, list[dict[str, Any]]] = {"fills": [], "events": []}
    for entry in store.entries("old"):
        rows = project(entry.kind, entry.content, ["DAILY2"]).new
        for table in made:
            made[table] += rows.get(table, [])
    for table, found in made.items():
        was = store.rows(table, "old")
        assert len(found) == len(was) > 10
        assert [(row["ts"], row["reason"]) for row in found] == [(row["ts"], row["reason"]) for row in was]
    assert {row["event"] for row in store.rows("events", "old")} == {"guard", "released"}
    assert {row["role"] for row in store.rows("orders", "old")} == set(events.ROLES.values()) - {"liquidation"}


def test_a_number_that_moved_is_found(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: one reason inserted in the middle, as when a reason was its place in a tuple."""
    words = list(events.REASONS.values())
    words.insert(3, "a new reason")
    monkeypatch.setattr(events, "REASONS", dict(enumerate(words)))
    deployed = store.find("old")
    assert deployed is not None
    wrong = " ".join(verify(store, deployed).wrong)
    assert "orders" in wrong
    assert "events" in wrong


def test_its_parity_is_that_of_another_arithmetic(store: SqlStore, tmp_path: Path) -> None:
    deployed = store.find("old")
    assert deployed is not None
    found = parity(store, deployed)
    assert found.difference is None
    assert str(found) == (
        f"old: made by arithmetic 1, and this program computes by {ARITHMETIC}: another arithmetic, whose last bits "
        "differ; nothing was compared (begin a new deployment)"
    )
    store.close()
    with pytest.raises(SystemExit) as ended:
        app(["parity", "old", "--store", f"sqlite:///{tmp_path}/paper.db"])
    assert ended.value.code == 14


def test_a_world_that_was_laid_out_differently_is_told(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were it the arithmetic of today, its book would still have other columns: one line says what to do."""
    monkeypatch.setattr("barograph.paper.parity.ARITHMETIC", 1)
    deployed = store.find("old")
    assert deployed is not None
    with pytest.raises(DataError, match="laid out differently; begin anew, or go on with the config and the version"):
        parity(store, deployed)
