"""The feed of a database: SQLite here; bars, or one useful line without a secret."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from barograph.config.parts import Part, make
from barograph.errors import BarographError, ConfigError, DataError, FeedError
from barograph_adapters.feeds.database import database
from tests.fakes.yahoo import Clock, at, walk

SPY, TLT = walk("2024-05-01", "2024-07-12", 1), walk("2024-05-01", "2024-07-12", 2)
MONDAY, FRIDAY = at("2024-07-01T20:00"), at("2024-07-05T20:00")
SECRET = "hunter 2/&"


def fill(file: Path, until: str = "2024-07-05", table: str = "bars", **words: Any) -> str:
    """Write the bars of two assets, as text dates in a column of type DATETIME; return the URL."""
    parts = [bars.loc[: pd.Timestamp(until)].assign(symbol=name) for name, bars in (("SPY", SPY), ("TLT", TLT))]
    frame = pd.concat(parts).reset_index(names="ts")
    frame["ts"] = frame["ts"].dt.strftime("%Y-%m-%d")
    with sqlite3.connect(file) as connection:
        connection.execute(f'DROP TABLE IF EXISTS "{table}"')
        connection.execute(
            f'CREATE TABLE "{table}" (ts DATETIME, open REAL, high REAL, low REAL, close REAL, volume REAL, symbol)'
        )
        frame.to_sql(table, connection, if_exists="append", index=False)
    connection.close()
    return f"sqlite:///{file}"


def run(url: str, statement: str) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute(statement)
    connection.close()


def error_of(call: Callable[[], Any], kind: type[BarographError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("database: ")
    whole = "".join(traceback.format_exception(caught.value))
    for secret in (SECRET, "hunter", "hunter%202"):
        assert secret not in whole
    return line


@pytest.fixture
def url(tmp_path: Path) -> str:
    return fill(tmp_path / "quotes.db")


def test_the_bars_of_the_span(url: str) -> None:
    history = database(url, ["SPY", "TLT"], table="bars").fetch(MONDAY, FRIDAY)
    assert history is not None
    assert [pd.Timestamp(t).isoformat()[5:16] for t in history.ts] == ["07-02T20:00", "07-03T17:00", "07-05T20:00"]
    days = slice(pd.Timestamp("2024-07-02"), pd.Timestamp("2024-07-05"))
    for name in ("open", "high", "low", "close", "volume"):
        assert np.array_equal(getattr(history, name), np.column_stack([SPY.loc[days, name], TLT.loc[days, name]]))
    assert history.source == "database"


def test_rows_are_seen_when_they_are_there(tmp_path: Path) -> None:
    url = fill(tmp_path / "quotes.db", "2024-07-03")
    feed = database(url, {"Stocks": "SPY"}, table="bars")
    assert feed.fetch(at("2024-07-03T17:00"), FRIDAY) is None
    fill(tmp_path / "quotes.db", "2024-07-05")
    assert feed.fetch(at("2024-07-03T17:00"), FRIDAY - 1) is None
    found = feed.fetch(at("2024-07-03T17:00"), FRIDAY)
    assert found is not None
    assert (found.symbols, found.ts.tolist()) == (("Stocks",), [FRIDAY])


def test_a_row_without_a_price_is_no_bar(url: str) -> None:
    run(url, "UPDATE bars SET close = NULL WHERE ts = '2024-07-05' AND symbol = 'SPY'")
    history = database(url, ["SPY", "TLT"], table="bars").fetch(MONDAY, FRIDAY)
    assert history is not None
    assert np.isnan(history.close).tolist() == [[False, False], [False, False], [True, False]]


def test_a_query_with_its_own_names(url: str) -> None:
    query = "SELECT ts AS d, symbol AS who, close AS last FROM bars WHERE ts >= :after AND symbol <> 'TLT'"
    feed = database(url, ["SPY"], query=query, columns={"time": "d", "symbol": "who", "close": "last"})
    history = feed.fetch(MONDAY, FRIDAY)
    assert history is not None
    assert history.close[:, 0].tolist() == SPY["close"].loc["2024-07-02":"2024-07-05"].tolist()  # type: ignore[misc]


def test_times_of_many_kinds(tmp_path: Path) -> None:
    for kind, value, words in [
        ("TEXT", "'2024-07-05T20:00:00Z'", {}),
        ("TEXT", "'2024-07-05 16:00'", {"time_zone": "America/New_York"}),
        ("INTEGER", str(FRIDAY), {"date_format": "ns"}),
        ("INTEGER", str(FRIDAY // 10**9), {"date_format": "s"}),
        ("DATE", "'2024-07-05'", {}),
        ("TIMESTAMP", "'2024-07-05 20:00:00.000000'", {}),
    ]:
        url = f"sqlite:///{tmp_path / 'kinds.db'}"
        run(url, "DROP TABLE IF EXISTS one")
        run(url, f"CREATE TABLE one (time {kind}, close NUMERIC, symbol TEXT)")
        run(url, f"INSERT INTO one VALUES ({value}, '5.25', 'SPY')")
        found = database(url, ["SPY"], table="one", **words).fetch(MONDAY, FRIDAY)  # type: ignore[arg-type]
        assert found is not None, kind
        assert (found.ts.tolist(), found.close[0, 0]) == ([FRIDAY], 5.25), kind


def test_one_asset_needs_no_column_symbol(url: str) -> None:
    run(url, "CREATE VIEW spy AS SELECT ts, open, high, low, close, volume FROM bars WHERE symbol = 'SPY'")
    assert len(database(url, ["SPY"], table="spy").fetch(MONDAY, FRIDAY)) == 3  # type: ignore[arg-type]
    assert "one asset" in error_of(lambda: database(url, ["SPY", "TLT"], table="spy").fetch(MONDAY, FRIDAY))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"table": "bar"}, "no table 'bar'; did you mean 'bars'"),
        ({"table": "bars", "columns": {"close": "last"}}, "no column 'last'"),
        ({"table": "bars", "symbols": ["SPI"]}, "no symbol 'SPI'; did you mean 'SPY'"),
        ({"query": "SELEKT 1"}, "syntax error"),
        ({"query": "SELECT * FROM bars WHERE ts > :when"}, "when"),
        ({"query": "SELECT * FROM nowhere"}, "no such table"),
    ],
)
def test_the_users_own_mistakes(url: str, words: dict[str, Any], told: str) -> None:
    words = {"symbols": ["SPY"], **words}
    feed = database(url, clock=Clock(0), **words)
    with pytest.raises(DataError) as caught:
        feed.fetch(MONDAY, FRIDAY)
    assert not isinstance(caught.value, FeedError)
    assert told in error_of(lambda: feed.fetch(MONDAY, FRIDAY))


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    feed = database(f"sqlite:///{tmp_path / 'none.db'}", ["SPY"], table="bars", clock=Clock(0))
    assert "no such file" in error_of(lambda: feed.fetch(MONDAY, FRIDAY), FeedError)
    assert not (tmp_path / "none.db").exists()


def test_a_locked_database_is_tried_again(url: str) -> None:
    clock = Clock(FRIDAY)
    feed = database(url, ["SPY"], table="bars", timeout=0.05, tries=2, clock=clock)
    with sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert "locked (tried 2 times)" in error_of(lambda: feed.fetch(MONDAY, FRIDAY), FeedError)
    writer.close()
    assert len(clock.slept) == 1
    assert len(feed.fetch(MONDAY, FRIDAY)) == 3  # type: ignore[arg-type]


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database at all, and long enough to be looked at " * 40)
    feed = database(f"sqlite:///{tmp_path / 'text.db'}", ["SPY"], table="bars", tries=1)
    assert "not a database" in error_of(lambda: feed.fetch(MONDAY, FRIDAY), FeedError)


def test_bars_that_cannot_be_true(url: str) -> None:
    run(url, "UPDATE bars SET low = 1e6 WHERE ts = '2024-07-05'")
    assert "impossible_ohlc" in error_of(lambda: database(url, ["SPY"], table="bars").fetch(MONDAY, FRIDAY), FeedError)


def test_no_server_and_no_secret(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("PASSWORD", "hunter%202%2F%26")
    place = "postgresql+psycopg://me:${PASSWORD}@127.0.0.1:9/quotes?sslpassword=hunter3"
    feed = database(place, ["SPY"], table="bars", clock=Clock(0), timeout=1.0)
    assert "127.0.0.1" in error_of(lambda: feed.fetch(MONDAY, FRIDAY), FeedError)
    assert "hunter" not in repr(feed)
    assert "hunter" not in caplog.text


def test_what_the_driver_says_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy as sa

    def refused(*_: Any) -> Any:
        raise sa.exc.OperationalError("SELECT 1", {}, Exception(f"no entry for me with {SECRET} or hunter%202%2F%26"))

    monkeypatch.setenv("PASSWORD", "hunter%202%2F%26")
    feed = database("postgresql+psycopg://me:${PASSWORD}@host/db", ["SPY"], table="bars", tries=1)
    monkeypatch.setattr("sqlalchemy.engine.Engine.connect", refused)
    assert "with *** or ***" in error_of(lambda: feed.fetch(MONDAY, FRIDAY), FeedError)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("hunter 2/&", "no URL"),
        ("oracel://me:hunter@host/db", "dialect"),
        ("mysql+pymysql://me:hunter@host/db", "pymysql"),
        ("postgresql://me:${UNSET_PASSWORD}@host/db", "UNSET_PASSWORD is not set"),
    ],
)
def test_a_url_that_is_none(place: str, told: str) -> None:
    assert told in error_of(lambda: database(place, ["SPY"], table="bars"), ConfigError)


def test_one_of_table_and_query(url: str) -> None:
    assert "one of the two" in error_of(lambda: database(url, ["SPY"]), ConfigError)
    assert "one of the two" in error_of(lambda: database(url, ["SPY"], table="bars", query="SELECT 1"), ConfigError)


def test_from_a_config(url: str, tmp_path: Path) -> None:
    plain = {"use": "barograph_adapters.feeds.database:database", "url": url, "symbols": ["SPY"], "table": "bars"}
    assert make(Part.model_validate(plain), "paper.feeds.0", tmp_path).name == "database"


def test_postgresql_for_real() -> None:
    import sqlalchemy as sa

    from tests.kit.postgres import server

    place = server().fresh()
    engine = sa.create_engine(place, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA quotes")
        for kind, name in (("timestamptz", "aware"), ("timestamp", "plain"), ("date", "days")):
            connection.exec_driver_sql(f"CREATE TABLE quotes.{name} (closed {kind}, close numeric, asset text)")
            for day in ("2024-07-03 17:00+00", "2024-07-05 20:00+00", "2024-07-08 20:00+00"):
                value = day[:10] if kind == "date" else day.removesuffix("+00") if kind == "timestamp" else day
                connection.exec_driver_sql(f"INSERT INTO quotes.{name} VALUES ('{value}', 5.25, 'SPY')")
    for name in ("aware", "plain", "days"):
        words: dict[str, Any] = {"columns": {"time": "closed", "symbol": "asset"}}
        feed = database(place, ["SPY"], table=f"quotes.{name}", **words)
        found = feed.fetch(MONDAY, FRIDAY)
        assert found is not None, name
        assert (found.ts.tolist(), found.close[:, 0].tolist()) == ([at("2024-07-03T17:00"), FRIDAY], [5.25, 5.25]), name
        query = f"SELECT * FROM quotes.{name} WHERE closed > :after"
        asked = database(place, ["SPY"], query=query, **words).fetch(MONDAY, FRIDAY)
        assert asked is not None
        assert asked.digest() == found.digest()
    assert "did you mean 'days'" in error_of(lambda: database(place, ["SPY"], table="quotes.day").fetch(MONDAY, FRIDAY))
    wrong = database(place, ["SPY"], query="SELECT nothing FROM quotes.days")
    assert "nothing" in error_of(lambda: wrong.fetch(MONDAY, FRIDAY))
