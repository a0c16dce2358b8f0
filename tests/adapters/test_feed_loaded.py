"""Feeds of what lies on this machine: loaders read again, folders that grow, history as if live."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from barograph.config.parts import Part, make
from barograph.data.history import History
from barograph.errors import ConfigError, DataError, FeedError
from barograph_adapters.feeds.loaded import folder, loaded, replay
from barograph_adapters.files import csv
from tests.fakes.yahoo import at, walk
from tests.kit.file_shapes import SHAPES

SPY, TLT = walk("2024-05-01", "2024-07-12", 1), walk("2024-05-01", "2024-07-12", 2)
MONDAY, FRIDAY = at("2024-07-01T20:00"), at("2024-07-05T20:00")
LATER = at("2024-08-01")


def text(bars: pd.DataFrame, header: bool = True) -> str:
    return bars.to_csv(index_label="date", header=header, date_format="%Y-%m-%d")


def span(first: str, last: str, bars: pd.DataFrame = SPY) -> pd.DataFrame:
    return bars.loc[pd.Timestamp(first) : pd.Timestamp(last)]


# ---- replay


def test_replay_reveals_what_has_closed() -> None:
    history = History.from_pandas(SPY, symbol="SPY")
    feed = replay(history)
    assert feed.fetch(MONDAY, MONDAY) is None
    assert feed.fetch(0, int(history.ts[0]) - 1) is None
    assert feed.fetch(MONDAY, FRIDAY - 1).ts[-1] == at("2024-07-03T17:00")  # type: ignore[union-attr]
    seen = [feed.fetch(int(a), int(b)) for a, b in zip([0, *history.ts[:-1]], history.ts, strict=True)]
    assert np.array_equal(np.concatenate([one.close for one in seen if one is not None]), history.close)


def test_replay_keeps_all_that_counts() -> None:
    history = History.from_pandas(SPY.assign(split=1.0, dividend=0.1), symbol="SPY", traded=False, currency="USD")
    shown = replay(history).fetch(0, LATER)
    assert shown is not None
    assert shown.digest() == history.digest()
    assert (shown.source, shown.currency) == ("replay", "USD")


# ---- loaded


def test_a_loader_is_called_at_every_look(tmp_path: Path) -> None:
    file = tmp_path / "spy.csv"
    feed = loaded(lambda: csv(file, symbol="SPY"))
    file.write_text(text(span("2024-06-01", "2024-07-03")))
    assert feed.fetch(MONDAY, LATER).ts[-1] == at("2024-07-03T17:00")  # type: ignore[union-attr]
    assert feed.fetch(at("2024-07-03T17:00"), LATER) is None
    file.write_text(text(span("2024-06-01", "2024-07-05")))
    assert feed.fetch(at("2024-07-03T17:00"), LATER).ts.tolist() == [FRIDAY]  # type: ignore[union-attr]


def test_what_cannot_be_loaded_is_tried_again(tmp_path: Path) -> None:
    feed = loaded(lambda: csv(tmp_path / "spy.csv"), name="data")
    with pytest.raises(FeedError, match=r"^data: .*no such file"):
        feed.fetch(0, LATER)
    (tmp_path / "spy.csv").write_text("date,close\n2024-07-01,5\n2024-07-02,")
    with pytest.raises(FeedError, match="nan_price"):
        feed.fetch(0, LATER)


# ---- a folder that grows


def test_a_line_counts_once_it_has_its_end(tmp_path: Path) -> None:
    file, feed = tmp_path / "SPY.csv", folder(tmp_path, ["SPY"])
    bars = span("2024-07-01", "2024-07-03")
    whole = text(bars)
    seen = []
    for size in range(len(whole) + 1):
        file.write_text(whole[:size])
        found = feed.fetch(0, LATER)
        seen.append(0 if found is None else len(found))
        if found is not None:
            assert np.array_equal(found.close[:, 0], bars["close"].to_numpy()[: len(found)])
    assert seen == sorted(seen)
    assert set(seen) == set(range(len(bars) + 1))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("pattern", ["SPY-{:%Y-%m-%d}", "SPY_{:%Y%m%d}", "SPY/{:%d-%m} or so", "SPY/{:%Y-%m-%d}"])
def test_files_by_the_day(tmp_path: Path, ending: str, pattern: str) -> None:
    days = span("2024-06-24", "2024-06-28") if "or so" in pattern else span("2024-06-24", "2024-07-05")
    feed = folder(tmp_path, ["SPY"])
    (tmp_path / "SPY").mkdir()
    (tmp_path / "other.csv").write_text("nothing of ours")
    last = 0
    for day in days.index:
        file = tmp_path / f"{pattern.format(day)}.{ending}"
        if ending == "csv":
            file.write_text(text(days.loc[[day]]))
        else:
            days.loc[[day]].to_parquet(file)
        found = feed.fetch(last, LATER)
        assert found is not None
        assert found.close.ravel().tolist() == [days["close"].loc[day]]
        last = int(found.ts[-1])


def test_old_files_are_not_read_again(tmp_path: Path) -> None:
    for day in ("2024-01-02", "2024-07-03"):
        (tmp_path / f"SPY-{day}.csv").write_text(f"date,close\n{day},5\n")
    feed = folder(tmp_path, ["SPY"])
    assert len(feed.fetch(0, LATER)) == 2  # type: ignore[arg-type]
    (tmp_path / "SPY-2024-01-02.csv").write_text("date,close\n1,2,3,4\n5\n")
    assert len(feed.fetch(MONDAY, LATER)) == 1  # type: ignore[arg-type]


def test_a_parquet_file_that_is_being_written_is_not_there_yet(tmp_path: Path) -> None:
    feed = folder(tmp_path, ["SPY"])
    span("2024-06-20", "2024-07-03").to_parquet(tmp_path / "SPY-2024-07-03.parquet")
    span("2024-07-05", "2024-07-05").to_parquet(tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    for size in (0, 3, len(content) // 2, len(content) - 1):
        (tmp_path / "SPY-2024-07-05.parquet").write_bytes(content[:size])
        assert feed.fetch(MONDAY, LATER).ts[-1] == at("2024-07-03T17:00")  # type: ignore[union-attr]
    (tmp_path / "SPY-2024-07-05.parquet").write_bytes(content)
    assert feed.fetch(MONDAY, LATER).ts[-1] == FRIDAY  # type: ignore[union-attr]


def test_what_is_broken_and_not_the_last_is_told(tmp_path: Path) -> None:
    (tmp_path / "SPY-2024-07-02.parquet").write_bytes(b"PAR1 and no end")
    span("2024-07-03", "2024-07-03").to_parquet(tmp_path / "SPY-2024-07-03.parquet")
    with pytest.raises(FeedError, match=r"SPY-2024-07-02\.parquet: cannot be read"):
        folder(tmp_path, ["SPY"]).fetch(MONDAY, LATER)


def test_several_assets_are_put_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "SPY.csv").write_text(text(span("2024-06-20", "2024-07-05")))
    (tmp_path / "TLT.csv").write_text(text(span("2024-06-20", "2024-07-03", TLT)))
    (tmp_path / "VIX.csv").write_text("date,close")
    feed = folder(tmp_path, {"SPY": "SPY", "TLT": "TLT", "Fear": "VIX"}, observed=["Fear"])
    history = feed.fetch(MONDAY, LATER)
    assert history is not None
    assert history.symbols == ("SPY", "TLT", "Fear")
    assert history.traded == (True, True, False)
    assert np.isnan(history.close).tolist() == [[False, False, True], [False, False, True], [False, True, True]]


def test_actions_and_a_dividend_that_waits(tmp_path: Path) -> None:
    rows = "2024-07-01,5,,\n2024-07-02,,0.5,\n2024-07-03,2.4,,2\n2024-07-05,2.5,,\n"
    (tmp_path / "SPY.csv").write_text("date,close,dividend,split\n" + rows)
    history = folder(tmp_path, ["SPY"]).fetch(MONDAY, LATER)
    assert history is not None
    assert history.close[:, 0].tolist() == [2.4, 2.5]
    assert history.splits is not None
    assert history.dividends is not None
    assert (history.splits[0, 0], history.dividends[0, 0]) == (2.0, 0.25)


def test_rows_twice_and_in_any_order(tmp_path: Path) -> None:
    bars = span("2024-06-20", "2024-07-05")
    (tmp_path / "SPY.csv").write_text(text(pd.concat([bars.iloc[::-1], bars.iloc[:3]])))
    found = folder(tmp_path, ["SPY"]).fetch(0, LATER)
    assert found is not None
    assert np.array_equal(found.close[:, 0], bars["close"].to_numpy())
    (tmp_path / "SPY.csv").write_text(text(bars) + "2024-07-05,1,1,1,1,1\n")
    with pytest.raises(FeedError, match="duplicate_time"):
        folder(tmp_path, ["SPY"]).fetch(0, LATER)


def test_bars_known_by_their_open(tmp_path: Path) -> None:
    feed = folder(tmp_path, ["SPY"], bars_mark="open", time_zone="America/New_York")
    lines = ["date,close\n", "2024-07-03 09:30,5\n", "2024-07-03 10:30,6\n", "2024-07-03 11:30,7\n"]
    (tmp_path / "SPY.csv").write_text("".join(lines[:2]))
    assert feed.fetch(0, LATER) is None
    (tmp_path / "SPY.csv").write_text("".join(lines))
    assert [str(pd.Timestamp(t).time()) for t in feed.fetch(0, LATER).ts] == ["14:30:00", "15:30:00", "16:30:00"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "encoding", "ends"),
    [
        ("SPY.CSV", "utf-16", "\n"),
        ("SPY.csv", "utf-8-sig", "\r"),
        ("SPY.csv.gz", "utf-8", "\r\n"),
        ("SPY.tsv", "utf-16-le", "\r\n"),
    ],
)
def test_a_folder_reads_what_data_reads(tmp_path: Path, name: str, encoding: str, ends: str) -> None:
    bars = span("2024-06-20", "2024-07-05")
    raw = text(bars).replace("\n", ends).encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    found = folder(tmp_path, ["SPY"]).fetch(0, LATER)
    assert found is not None
    assert np.array_equal(found.close[:, 0], bars["close"].to_numpy())
    assert np.array_equal(found.ts, csv(tmp_path / name).ts)


def test_a_packed_file_that_is_being_written_is_not_there_yet(tmp_path: Path) -> None:
    raw = gzip.compress(text(span("2024-06-20", "2024-07-05")).encode())
    for size in (0, 5, len(raw) // 2, len(raw) - 1):
        (tmp_path / "SPY.csv.gz").write_bytes(raw[:size])
        assert folder(tmp_path, ["SPY"]).fetch(0, LATER) is None
    (tmp_path / "SPY.csv.gz").write_bytes(raw)
    assert len(folder(tmp_path, ["SPY"]).fetch(0, LATER)) == len(span("2024-06-20", "2024-07-05"))  # type: ignore[arg-type]


def test_a_known_shape_in_a_folder(tmp_path: Path) -> None:
    one = next(one for one in SHAPES if one.name == "Binance in microseconds")
    (tmp_path / "BTC.csv").write_bytes(one.content)
    found = folder(tmp_path, ["BTC"], "24/7").fetch(0, LATER)
    assert found is not None
    assert (found.ts == one.truth.ts).all()


def test_other_marks(tmp_path: Path) -> None:
    (tmp_path / "IBOV.csv").write_text("Data;Fechamento\n01/07/2024;124.718,5\n02/07/2024;124.787\n")
    words: dict[str, Any] = {"columns": {"time": "Data", "close": "Fechamento"}, "date_format": "%d/%m/%Y"}
    feed = folder(tmp_path, ["IBOV"], "BVMF", separator=";", decimal=",", thousands=".", **words)
    assert feed.fetch(0, LATER).close[:, 0].tolist() == [124718.5, 124787.0]  # type: ignore[union-attr]


def test_several_files_are_read_by_the_marks_that_each_has_proved(tmp_path: Path) -> None:
    for day, last in (("01", "151.234"), ("02", "151.334")):
        (tmp_path / f"JPY-2024-07-{day}.csv").write_text(f"Date,Last\n2024-07-{day},{last}\n")
    found = folder(tmp_path, ["JPY"], columns={"close": "Last"}).fetch(0, LATER)
    assert found is not None
    assert found.close[:, 0].tolist() == [151.234, 151.334]
    (tmp_path / "JPY-2024-07-03.csv").write_text("Date;Last\n2024-07-03;151,434\n")
    with pytest.raises(FeedError, match=r"row 0: '151\.234' is 151\.234"):
        folder(tmp_path, ["JPY"], columns={"close": "Last"}).fetch(0, LATER)


def test_a_lone_bar_of_a_shape_known_by_its_open_waits(tmp_path: Path) -> None:
    feed, header = folder(tmp_path, ["SPY"]), "symbol,timestamp,open,high,low,close,volume,trade_count,vwap\n"
    lines = [f"SPY,2024-07-03T{hour}:00:00Z,5,5,5,5,1,1,5\n" for hour in (14, 15)]
    (tmp_path / "SPY.csv").write_text(header + lines[0])
    assert feed.fetch(0, LATER) is None
    (tmp_path / "SPY.csv").write_text(header + "".join(lines))
    assert feed.fetch(0, LATER).ts.tolist() == [at("2024-07-03T15:00"), at("2024-07-03T16:00")]  # type: ignore[union-attr]
    assert feed.fetch(0, at("2024-07-03T15:00")) is None, "a bar that comes later tells nothing sooner"


def test_months_known_by_their_open_come_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "SPY.csv").write_text("date,close\n2024-04-01,5\n2024-05-01,6\n2024-06-01,7\n")
    feed = folder(tmp_path, ["SPY"], bars_mark="open")
    assert feed.fetch(at("2024-05-31T20:00"), LATER).ts.tolist() == [at("2024-06-28T20:00")]  # type: ignore[union-attr]


def test_rows_are_chosen_by_the_name_at_the_source(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("date,symbol,close\n2024-07-01,all,5\n2024-07-01,mine,6\n")
    assert folder(tmp_path, {"mine": "all"}).fetch(0, LATER).close.tolist() == [[5.0]]  # type: ignore[union-attr]


ROWS = ('{"t": "2024-07-01", "close": 5}', '{"t": "2024-07-02", "close": 6}')


@pytest.mark.parametrize(
    "text",
    [
        f"[{', '.join(ROWS)}]",
        "[\n" + ",\n".join(ROWS) + "\n]",
        f'{{"results": [\n{ROWS[0]},\n{ROWS[1]}]}}',
        "\n".join(ROWS),
        "\n".join(ROWS) + "\n" + ROWS[0][:9],
    ],
)
def test_json_is_whole_without_an_end_of_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "SPY.json").write_text(text.replace('"t"', '"date"'))
    found = folder(tmp_path, ["SPY"]).fetch(0, LATER)
    assert found is not None
    assert found.close[:, 0].tolist() == [5.0, 6.0]
    assert csv(tmp_path / "SPY.json", growing=True).close[:, 0].tolist() == [5.0, 6.0]


def test_half_a_json_list_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "SPY.json").write_text(f"[{ROWS[0]}, {ROWS[1][:9]}")
    assert folder(tmp_path, ["SPY"]).fetch(0, LATER) is None


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    feed = folder(tmp_path / "bars", ["SPY"])
    with pytest.raises(FeedError, match="no such folder"):
        feed.fetch(0, LATER)
    (tmp_path / "bars").mkdir()
    with pytest.raises(DataError, match="it has none") as caught:
        feed.fetch(0, LATER)
    assert not isinstance(caught.value, FeedError)
    (tmp_path / "bars" / "SPX.csv").write_text("date,close\n")
    with pytest.raises(DataError, match="did you mean 'SPX'"):
        feed.fetch(0, LATER)
    (tmp_path / "bars" / "SPY.csv").write_text("date,close\n2024-07-01,5\n2024-07-02,five\n2024-07-03,6\n")
    with pytest.raises(FeedError, match=r"SPY\.csv: line 3.*'five'"):
        feed.fetch(0, LATER)
    (tmp_path / "bars" / "SPY.csv").write_text("date,open,high,low,close\n2024-07-01,5,4,3,5\n")
    with pytest.raises(FeedError, match="impossible_ohlc"):
        feed.fetch(0, LATER)
    assert len(folder(tmp_path / "bars", ["SPY"], accept=["impossible_ohlc"]).fetch(0, LATER)) == 1  # type: ignore[arg-type]


def test_the_future_changes_nothing_that_is_shown(tmp_path: Path) -> None:
    (tmp_path / "SPY.csv").write_text(text(span("2024-06-20", "2024-07-03")))
    before = folder(tmp_path, ["SPY"]).fetch(0, FRIDAY - 1)
    (tmp_path / "SPY.csv").write_text(text(span("2024-06-20", "2024-07-03")) + "2024-07-05,9,1,9,1,1\n")
    after = folder(tmp_path, ["SPY"]).fetch(0, FRIDAY - 1)
    assert before is not None
    assert after is not None
    assert before.digest() == after.digest()


def test_from_a_config(tmp_path: Path) -> None:
    (tmp_path / "bars").mkdir()
    (tmp_path / "bars" / "SPY.csv").write_text(text(SPY))
    plain = {"use": "barograph_adapters.feeds.loaded:folder", "path": "bars", "symbols": ["SPY"]}
    assert len(make(Part.model_validate(plain), "paper.feeds.0", tmp_path).fetch(0, LATER)) == len(SPY)
    data = {"use": "barograph_adapters.files:csv", "path": "bars/SPY.csv"}
    part = Part.model_validate({"use": "barograph_adapters.feeds.loaded:replay", "history": data})
    assert len(make(part, "paper.feeds.0", tmp_path).fetch(0, LATER)) == len(SPY)
    with pytest.raises(ConfigError, match="symbols"):
        folder(tmp_path, [])
