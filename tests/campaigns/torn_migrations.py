"""Killed in the middle of a migration: the schema is at one version or at the other, and the data are all there.

    python -m tests.campaigns.torn_migrations --kills 100 --store postgresql

A child takes the schema up and down and up again, and is killed with SIGKILL: before a statement drawn by chance, or at
any moment while it dawdles between its statements.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from barograph_adapters.store.opening import connected, engine_of, migrate, versions

VERSIONS: Final = ("0001", "0002", "0003", "0004", "0005")
NEW: Final = (("alerts", "routed"), ("bars", "late"), ("beliefs", "symbol"))
"""Columns of tables of the first version that came later."""

OTHERS: Final = ("alembic_version", "deliveries", "incidents", "intents", "rests")
"""Tables that came later, or are not ours."""

VALUES: Final[dict[type, Callable[[int], Any]]] = {
    sa.Integer: lambda n: 10**15 + n,
    sa.Double: lambda n: 0.1 + n,
    sa.Boolean: lambda n: n % 2 == 0,
    sa.LargeBinary: lambda n: bytes([0, 255, n]),
    sa.Text: lambda n: f"é {n}",
}


def filled(url: str) -> dict[str, list[Any]]:
    """Bring an empty database to the first version, put rows into every table, and return them."""
    migrate(url, VERSIONS[0])
    engine = engine_of(url)
    with engine.begin() as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        for name, table in metadata.tables.items():
            if name not in OTHERS:
                connection.execute(sa.insert(table), [row(table, n) for n in range(5)])
    engine.dispose()
    return rows(url)


def row(table: sa.Table, n: int) -> dict[str, Any]:
    """Return a row of any table; what may be missing is missing in the last one."""

    def value(column: sa.Column[Any]) -> Any:
        kind = next(kind for kind in VALUES if isinstance(column.type, kind))
        return None if column.nullable and n == 4 else VALUES[kind](n)

    return {column.name: value(column) for column in table.columns}


def schema(url: str) -> dict[str, Any]:
    """Return all tables as the database tells of them: columns, keys and indexes."""
    engine = engine_of(url)
    try:
        seen = sa.inspect(engine)
        columns, keys, indexes = seen.get_multi_columns(), seen.get_multi_pk_constraint(), seen.get_multi_indexes()
    finally:
        engine.dispose()
    return {
        at[1]: (
            {c["name"]: (str(c["type"]), c["nullable"], _default(c["default"])) for c in found},
            keys[at]["constrained_columns"],
            {i["name"]: (i["column_names"], bool(i["unique"])) for i in indexes[at]},
        )
        for at, found in sorted(columns.items())
    }


def _default(text: str | None) -> str | None:
    return None if text is None else text.strip("'()")


def rows(url: str) -> dict[str, list[Any]]:
    """Return the rows of the tables of the first version, in its columns."""
    tables = {name: [c for c in columns if (name, c) not in NEW] for name, (columns, *_) in schema(url).items()}
    engine = engine_of(url)
    try:
        with engine.begin() as connection:
            return {
                name: sorted(
                    map(repr, connection.execute(sa.select(*map(sa.column, names)).select_from(sa.table(name))))
                )
                for name, names in tables.items()
                if name not in OTHERS
            }
    finally:
        engine.dispose()


def version(url: str) -> str | None:
    """Return the version that the database says it has."""
    engine = engine_of(url)
    try:
        with engine.begin() as connection:
            return versions(connection)[0]
    finally:
        engine.dispose()


def child(url: str, to: str, die: int, dawdle: float) -> int:
    """Fork a process that migrates; it kills itself before its `die`-th statement, and dawdles before each one."""
    if number := os.fork():
        return number
    said = 0

    def before(*_: Any) -> None:
        nonlocal said
        said += 1
        if said == die:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(dawdle)

    try:
        sa.event.listen(sa.Engine, "before_cursor_execute", before)
        sa.event.listen(sa.Engine, "commit", before)
        migrate(url, to)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def campaign(fresh: Callable[[], str], kills: int, chance: random.Random) -> dict[str, Any]:
    """Kill so many migrations; raise `AssertionError` when one leaves anything in between."""
    wanted = {}
    for to in VERSIONS:
        url = fresh()
        migrate(url, to)
        wanted[to] = schema(url)
    url = fresh()
    data, at = filled(url), VERSIONS[0]
    done: Counter[str] = Counter()
    while done["killed"] < kills:
        to = chance.choice([other for other in VERSIONS if other != at])
        status = _killed(url, to, chance)
        done["killed" if status else "through"] += 1
        at = str(version(url))
        assert at in VERSIONS, f"killed on the way to {to}, the schema is at {at}"
        assert schema(url) == wanted[at], f"killed on the way to {to}, the schema is not that of {at}"
        assert rows(url) == data, f"killed on the way to {to}, the data are not what they were"
    migrate(url, "head")
    engine, _ = connected(url)
    engine.dispose()
    return {"kills": done["killed"], "migrations": done["through"]}


def _killed(url: str, to: str, chance: random.Random) -> int:
    """Let a child migrate, and kill it at a statement or at a moment; return how it ended."""
    if chance.random() < 0.5:
        number = child(url, to, chance.randint(1, 32), 0.0)
    else:
        number = child(url, to, 0, 0.004)
        time.sleep(chance.uniform(0.0, 0.25))
        os.kill(number, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    assert status in (0, -signal.SIGKILL), f"a migration ended with {status}"
    return status


def main() -> None:
    """Run a campaign and print what it did as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--store", default="sqlite", help="sqlite or postgresql")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    told = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        from tests.campaigns.crashes import databases

        done = campaign(databases(told.store, Path(folder)), told.kills, random.Random(told.seed))
    print(
        json.dumps({"store": told.store, "seed": told.seed, "seconds": round(time.perf_counter() - began, 1), **done})
    )


if __name__ == "__main__":
    main()
