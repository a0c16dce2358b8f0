"""The schema goes up and down again, whole or not at all, and what was written stays."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from barograph.errors import StoreError
from barograph_adapters.store.opening import engine_of, migrate
from barograph_adapters.store.sql import open_store
from tests import ROOT
from tests.campaigns.torn_migrations import VERSIONS, filled, rows, schema, version
from tests.kit.postgres import server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/paper.db" if request.param == "sqlite" else server().fresh()


def test_up_and_down_and_up_again_is_the_same_schema(url: str) -> None:
    seen: dict[str, Any] = {}
    for before, to in zip((None, *VERSIONS), VERSIONS, strict=False):
        assert migrate(url, to) == (before, to)
        seen[to] = schema(url)
    assert all(seen[one] != seen[other] for one, other in pairwise(VERSIONS))
    for to in (*VERSIONS[-2::-1], *VERSIONS[1:]):
        migrate(url, to)
        assert (version(url), schema(url)) == (to, seen[to])
    assert migrate(url, "base") == (VERSIONS[-1], None)
    assert sorted(schema(url)) == ["alembic_version"]
    migrate(url, "head")
    assert schema(url) == seen[VERSIONS[-1]]
    assert migrate(url, "head") == (VERSIONS[-1], VERSIONS[-1])


def test_what_was_written_stays(url: str) -> None:
    before = filled(url)
    assert sum(map(len, before.values())) == 5 * len(before) > 50
    for to in ("head", VERSIONS[0], "head"):
        migrate(url, to)
        assert rows(url) == before
    store = open_store(url)
    routed = [row["routed"] for row in store.rows("alerts", "é 1")]
    store.close()
    assert routed == [False], "an alert of the first version would never go out"


def test_of_several_assets_beliefs_the_first_stays_on_the_way_back(url: str) -> None:
    migrate(url, "head")
    engine = engine_of(url)
    with engine.begin() as connection:
        for symbol in ("B", "A"):
            for ts in (1, 2):
                connection.execute(
                    sa.text("INSERT INTO beliefs VALUES ('one', :ts, :symbol, 0, 0.5, NULL, :symbol)"),
                    {"ts": ts, "symbol": symbol},
                )
    engine.dispose()
    migrate(url, VERSIONS[1])
    engine = engine_of(url)
    with engine.begin() as connection:
        assert [
            tuple(row) for row in connection.execute(sa.text("SELECT ts, probabilities FROM beliefs ORDER BY ts"))
        ] == [(1, "A"), (2, "A")]
    engine.dispose()


def test_the_newest_schema_is_what_a_new_store_gets(url: str) -> None:
    open_store(url).close()
    assert version(url) == VERSIONS[-1]
    made = schema(url)
    migrate(url, "base")
    for to in VERSIONS:
        migrate(url, to)
    assert schema(url) == made


def test_an_old_schema_is_refused_until_it_is_brought_up(url: str) -> None:
    migrate(url, VERSIONS[0])
    with pytest.raises(StoreError, match=r"its schema is 0001, this program's is 0005; run `barograph store upgrade`"):
        open_store(url)
    assert migrate(url, "head") == (VERSIONS[0], VERSIONS[-1])
    open_store(url).close()


def test_a_schema_of_the_future_is_refused(url: str) -> None:
    open_store(url).close()
    engine = engine_of(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreError, match="its schema is 9999"):
        open_store(url)
    for to in ("head", *VERSIONS, "base"):
        with pytest.raises(StoreError, match="its schema is 9999, this program knows none after 0005; use the newer"):
            migrate(url, to)


def test_a_version_that_is_not_known_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="no version '3'; known: base, 0001, 0002, 0003, 0004, 0005, head"):
        migrate(url, "3")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_in_the_middle_it_is_at_one_version_or_the_other(kind: str) -> None:
    command = [
        sys.executable,
        "-W",
        "ignore",
        *f"-m tests.campaigns.torn_migrations --kills 6 --seed 5 --store {kind}".split(),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["kills"] == 6
