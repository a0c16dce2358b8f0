"""What the loaders read, and the one line they say when they cannot."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from importlib import util
from pathlib import Path
from typing import Any

import arch.data.nasdaq
import arch.data.sp500
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from barograph.data.history import FIELDS, History
from barograph.data.synthetic import SCENARIOS, simulate
from barograph.errors import DataError
from barograph_adapters import sample
from barograph_adapters.files import bars, check, csv, files, look, parquet
from barograph_adapters.synthetic import synthetic

PLAIN = """Date,Open,High,Low,Close,Adj Close,Volume
2024-07-01,10,11,9,10.5,5.25,100
2024-07-02,10.5,12,10,11,5.5,200
2024-07-03,11,12,10,11.5,5.75,300
"""


def write(folder: Path, text: str, name: str = "abc.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def stamps(history: History) -> list[str]:
    return [str(pd.Timestamp(t))[:16] for t in history.ts]


# --- CSV ---------------------------------------------------------------------------------------------------------


def test_a_plain_csv(tmp_path: Path) -> None:
    history = csv(write(tmp_path, PLAIN))
    assert (history.symbols, history.source, history.findings) == (("abc",), "abc.csv", ())
    assert history.close[:, 0].tolist() == [10.5, 11.0, 11.5]
    assert history.volume[:, 0].tolist() == [100.0, 200.0, 300.0]
    # 3 July 2024 is a half-day.
    assert stamps(history) == ["2024-07-01 20:00", "2024-07-02 20:00", "2024-07-03 17:00"]


def test_adjusted_scales_all_prices(tmp_path: Path) -> None:
    history = csv(write(tmp_path, PLAIN), adjusted=True)
    assert history.close[:, 0].tolist() == [5.25, 5.5, 5.75]
    assert history.open[:, 0].tolist() == [5.0, 5.25, 5.5]
    assert history.high[:, 0].tolist() == [5.5, 6.0, 6.0]
    assert history.volume[:, 0].tolist() == [100.0, 200.0, 300.0]


def test_foreign_names_numbers_and_dates(tmp_path: Path) -> None:
    text = "Data;Último;Vol.\n27.12.2000;15.186,5;239,98M\n28.12.2000;15.259;1,5K\n"
    columns = {"time": "Data", "close": "Último", "volume": "Vol."}
    how = {"calendar": "BVMF", "separator": ";", "decimal": ",", "thousands": ".", "date_format": "%d.%m.%Y"}
    history = csv(write(tmp_path, text), symbol="IBOV", columns=columns, **how)
    assert history.close[:, 0].tolist() == [15186.5, 15259.0]
    assert history.volume[:, 0].tolist() == [239_980_000.0, 1500.0]
    assert [f.code for f in history.findings] == ["close_only"]
    assert (history.open == history.close).all()


def test_a_column_of_thousands_alone_is_not_taken_for_decimals(tmp_path: Path) -> None:
    path = write(tmp_path, "Date;Close\n2024-07-01;15.259\n2024-07-02;15.260\n")
    assert csv(path, separator=";", decimal=",", thousands=".").close[:, 0].tolist() == [15259.0, 15260.0]


def test_a_comma_at_the_end_of_each_row_shifts_nothing(tmp_path: Path) -> None:
    history = csv(write(tmp_path, "Date,Open,High,Low,Close\n2024-07-01,10,12,9,11,\n2024-07-02,11,12,9,10,\n"))
    assert history.open[:, 0].tolist() == [10.0, 11.0]


def test_times_of_day_in_a_zone(tmp_path: Path) -> None:
    text = "time,close\n2024-11-01 09:30,1\n2024-11-01 10:30,2\n2024-11-04 09:30,3\n2024-11-04 10:30,4\n"
    path = write(tmp_path, text)
    history = csv(path, time_zone="America/New_York", bars_mark="open")
    assert stamps(history) == ["2024-11-01 14:30", "2024-11-01 15:30", "2024-11-04 15:30", "2024-11-04 16:30"]
    assert stamps(csv(path, calendar="24/7"))[0] == "2024-11-01 09:30"


def test_the_last_bar_of_a_session_ends_with_it(tmp_path: Path) -> None:
    rows = "".join(f"2024-07-01 {hour:02d}:30,1\n" for hour in range(9, 16))
    history = csv(write(tmp_path, f"time,close\n{rows}"), time_zone="America/New_York", bars_mark="open")
    assert stamps(history)[-2:] == ["2024-07-01 19:30", "2024-07-01 20:00"]


def test_a_bar_that_opens_at_the_close_is_not_cut_to_nothing(tmp_path: Path) -> None:
    rows = "".join(f"2024-07-01 {hour}:00,1\n" for hour in range(17, 22))
    history = csv(write(tmp_path, f"time,close\n{rows}"), bars_mark="open")
    assert stamps(history)[2:] == ["2024-07-01 20:00", "2024-07-01 21:00", "2024-07-01 22:00"]


def test_hours_that_mark_their_open_are_moved(tmp_path: Path) -> None:
    text = "time,close\n" + "".join(f"2024-07-06 {hour:02d}:00:00+00:00,1\n" for hour in range(5))
    history = csv(write(tmp_path, text), calendar="24/7", bars_mark="open")
    assert stamps(history)[0] == "2024-07-06 01:00"


def test_weeks_and_months_named_by_their_first_day_close_with_their_last_session(tmp_path: Path) -> None:
    weeks = "".join(f"{day.date()},1\n" for day in pd.date_range("2024-06-17", periods=4, freq="7D"))
    assert stamps(csv(write(tmp_path, f"date,close\n{weeks}"), bars_mark="open")) == [
        "2024-06-21 20:00",
        "2024-06-28 20:00",
        "2024-07-05 20:00",
        "2024-07-12 20:00",
    ]
    months = "date,close\n2024-01-01,1\n2024-02-01,2\n2024-03-01,3\n"
    path = write(tmp_path, months)
    assert stamps(csv(path, bars_mark="open")) == ["2024-01-31 21:00", "2024-02-29 21:00", "2024-03-28 20:00"]
    assert stamps(csv(path, bars_mark="open", calendar="24/7"))[-1] == "2024-04-01 00:00"


def test_counted_and_compact_times(tmp_path: Path) -> None:
    path = write(tmp_path, "timestamp,close\n1719900000,1\n1719903600,2\n")
    assert stamps(csv(path, calendar="24/7", date_format="s")) == ["2024-07-02 06:00", "2024-07-02 07:00"]
    assert stamps(csv(path, calendar="24/7")) == ["2024-07-02 06:00", "2024-07-02 07:00"]
    compact = write(tmp_path, "date,close\n20240701,1\n20240702,2\n")
    assert (
        stamps(csv(compact, date_format="%Y%m%d")) == stamps(csv(compact)) == ["2024-07-01 20:00", "2024-07-02 20:00"]
    )


def test_start_and_end_cut_before_the_checks(tmp_path: Path) -> None:
    path = write(tmp_path, PLAIN.replace("2024-07-01,10,11,9", "2024-07-01,10,8,9"))
    assert len(csv(path, start="2024-07-02")) == 2
    assert len(csv(path, start="2024-07-02", end="2024-07-02")) == 1
    with pytest.raises(DataError, match=r"line 2 .*high 8 below low 9"):
        csv(path)
    with pytest.raises(DataError, match=r"'2035-01-01' and end = None; it has those of 2024-07-01 \.\. 2024-07-03"):
        csv(path, start="2035-01-01")


@pytest.mark.parametrize(
    ("text", "how", "words"),
    [
        ("", {}, "cannot be read"),
        ("Date,Close\n", {}, "no rows"),
        ("<html><body>key</body></html>\nx\n", {}, "it is a web page and no table; get the file afresh"),
        ("Date,Price\n2024-07-01,1\n", {}, r"no column for close; the file has Date, Price; .*columns = \{close"),
        ("Date,Open,Close\n2024-07-01,1,1\n", {}, "no column for high, low"),
        ("Close\n1\n", {}, "no column for time"),
        ("Date,Close\n2024-07-01,1\n", {"columns": {"close": "Clse"}}, "no column 'Clse'.*did you mean 'Close'"),
        ("Date,Close\n2024-07-01,1\n", {"columns": {"clos": "Close"}}, "no part 'clos'; did you mean 'close'"),
        ("Date,Close\n2024-07-01,1\n2024-07-02,abc\n", {}, "line 3, column 'Close': 'abc' is no number"),
        ("Date,Close\n2024-07-01,1\nsoon,2\n", {}, "line 3: 'soon' is no time"),
        ("Date,Close\n2024-07-01,1\n,2\n", {}, "line 3: there is no time, and a line without one"),
        ("Date,Close\n2300-07-01,1\n", {}, r"line 2: 2300-07-01 .* 1700\.\.2250"),
        ("Date,Close\n2024-07-01,1\n2024-07-02,2,3,4\n", {}, "cannot be read"),
        ("Date,Close\n2024-07-01,1\n", {"calendar": "NYSE1"}, "calendar = 'NYSE1' is unknown"),
        ("Date,Close\n2024-07-01 10:00,1\n", {"time_zone": "Mars"}, "time_zone = 'Mars'"),
        ("Date,Close\n2024-07-01,1\n", {"bars_mark": "middle"}, "bars_mark = 'middle'"),
        ("Date,Close\n2024-07-01,1\n", {"adjusted": True}, "no column for adj_close"),
        ("Date,Close\n2024-07-01,1\n", {"accept": ["gaps"]}, "no finding is called 'gaps'; did you mean 'gap'"),
        ("Date,Close\n2024-07-01,1\n2024-07-01,2\n", {}, "duplicate_time: line 3"),
        (
            "Date,Close\n2024-07-02,1\n2024-07-01,2\n2024-07-03,2\n",
            {},
            "wrong_order: line 3 .*older than the row before",
        ),
        ("Date,Close,Close\n2024-07-02,1,2\n", {}, "two columns are called 'Close'"),
        ("Date,Close,close\n2024-07-02,1,2\n", {}, "'Close' and 'close' are both close; say which with columns"),
        ("Date,Timestamp,Close\n2024-07-02,1719878400,2\n", {}, "'Date' and 'Timestamp' are both times; say which"),
        ("Date,Symbol,Close\n2024-07-01,A,1\n2024-07-01,B,2\n", {}, "'Symbol' holds the symbols A, B; choose one"),
        ("Time,Close\n09:30,1\n", {}, "line 2: '09:30' is a time of day without a date"),
        (
            "Date,Close\n01/07/2024,1\n",
            {},
            r"line 2: '01/07/2024' is 2024-07-01 .*'%d/%m/%Y'.* or 2024-01-07 .*'%m/%d/%Y'",
        ),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, text: str, how: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        csv(write(tmp_path, text), **how)
    message = str(caught.value)
    assert "\n" not in message
    assert "abc.csv" in message or "accept" in words or "finding" in words or "calendar" in how


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    for load in (csv, parquet, check):
        with pytest.raises(DataError, match=r"absent\.csv: no such file"):
            load(tmp_path / "absent.csv")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        parquet(write(tmp_path, PLAIN, "abc.parquet"))
    path = tmp_path / "latin.csv"
    path.write_bytes("Data,Último\n2024-07-01,1\n".encode("latin-1"))
    with pytest.raises(DataError, match="cannot be read"):
        csv(path)
    assert len(csv(path, encoding="latin-1", columns={"time": "Data", "close": "Último"})) == 1


# --- any file -----------------------------------------------------------------------------------------------------


def test_what_a_file_is_its_content_tells(tmp_path: Path) -> None:
    frame = pd.read_csv(io.StringIO(PLAIN)).assign(Date=lambda f: pd.to_datetime(f["Date"]))
    frame.to_parquet(tmp_path / "a.csv")
    frame.to_feather(tmp_path / "b.bin")
    frame.assign(Date=frame["Date"].astype("str")).to_json(tmp_path / "c.txt", orient="records", lines=True)
    for name, how in (("d.gz", gzip.compress), ("e", bz2.compress), ("f.xz", lzma.compress), ("g.zst", zstd)):
        (tmp_path / name).write_bytes(how(PLAIN.encode()))
    with zipfile.ZipFile(tmp_path / "h.zip", "w") as archive:
        archive.writestr("h.csv", PLAIN)
        archive.writestr("read.me", "no bars")
    for path in sorted(tmp_path.iterdir()):
        history = bars(path)
        assert history.close[:, 0].tolist() == [10.5, 11.0, 11.5], path.name
        assert stamps(history)[2] == "2024-07-03 17:00"


def zstd(raw: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as packer:
        packer.write(raw)
    return bytes(out.getvalue())


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("BRK.B.csv", "BRK.B"), ("SPY.CSV.GZ", "SPY"), ("^GSPC", "^GSPC"), ("600519.SS.txt", "600519.SS")],
)
def test_the_asset_is_called_as_the_file(tmp_path: Path, name: str, symbol: str) -> None:
    assert bars(write(tmp_path, PLAIN, name)).symbols == (symbol,)


@pytest.mark.parametrize(
    ("raw", "words", "told"),
    [
        (b"", {}, "cannot be read: it is empty; wanted a header line and one bar"),
        (bytes(range(256)) * 9, {}, "cannot be read: byte 0x80 in line"),
        (b"\x00\x01\x02\x03" * 99, {}, "cannot be read: it is no text; wanted CSV, Parquet, feather, Excel or JSON"),
        (b"Date;Close\n2024-07-01;5\n", {"separator": ","}, "separator = ',' parts no cells; the file has ';'"),
        (gzip.compress(PLAIN.encode())[:-9], {}, "it is packed and not whole"),
        (b"Date,Close\n2024-07-01,5\n", {"encoding": "utf-9"}, "encoding = 'utf-9' is unknown"),
        (b"\xd0\xcf\x11\xe0" * 9, {}, r"Excel file, which the extra 'excel' reads: pip install '.\[excel\]'"),
    ],
)
def test_files_that_are_none(tmp_path: Path, raw: bytes, words: dict[str, Any], told: str) -> None:
    path = tmp_path / "abc.csv"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=told) as caught:
        bars(path, **words)
    assert "\n" not in str(caught.value)
    assert "abc.csv" in str(caught.value)


def test_a_folder_and_a_zip_of_several_are_told(tmp_path: Path) -> None:
    write(tmp_path, PLAIN, "SPY.csv")
    with pytest.raises(DataError, match=r"is a folder; wanted a file in it, such as SPY\.csv"):
        bars(tmp_path)
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", PLAIN)
        archive.writestr("b.csv", PLAIN)
    with pytest.raises(DataError, match=r"it packs 2 files \(a\.csv, b\.csv\); wanted one: unpack them"):
        bars(tmp_path / "two.zip")


def test_look_knows_no_word_that_bars_does_not(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="decimel: bars takes no such word; did you mean 'decimal'"):
        look(write(tmp_path, PLAIN), decimel=",")


# --- Parquet ------------------------------------------------------------------------------------------------------


def test_parquet_with_any_unit_of_time(tmp_path: Path) -> None:
    for unit in ("s", "ms", "us", "ns"):
        index = pd.DatetimeIndex(["2024-07-01", "2024-07-02"], name="date").as_unit(unit)
        pd.DataFrame({"close": [1.0, 2.0]}, index=index).to_parquet(tmp_path / "x.parquet")
        assert stamps(parquet(tmp_path / "x.parquet")) == ["2024-07-01 20:00", "2024-07-02 20:00"]


def test_new_york_midnights_saved_in_utc_are_dates_when_the_zone_is_told() -> None:
    index = pd.DatetimeIndex(["2024-07-01", "2024-07-02"]).tz_localize("America/New_York")
    frame = pd.DataFrame({"close": [1.0, 2.0]}, index=index)
    assert stamps(History.from_pandas(frame))[0] == "2024-07-01 20:00"
    in_utc = frame.tz_convert("UTC")
    assert stamps(History.from_pandas(in_utc, time_zone="America/New_York"))[0] == "2024-07-01 20:00"


def test_two_level_columns() -> None:
    index = pd.DatetimeIndex(["2024-07-01"])
    columns = pd.MultiIndex.from_product([["SPY", "TLT"], ["Close", "Volume"]])
    frame = pd.DataFrame([[1.0, 2.0, 3.0, 4.0]], index=index, columns=columns)
    assert History.from_pandas(frame, symbol="TLT").close[0, 0] == 3.0
    assert History.from_pandas(frame.swaplevel(axis=1), symbol="TLT").close[0, 0] == 3.0
    assert History.from_pandas(frame).symbols == ("SPY", "TLT")
    assert History.from_pandas(frame[["SPY"]]).symbols == ("SPY",)


def test_published_files_load(shared: Path) -> None:
    spy, vix = (parquet(shared / "deepregime" / f"{name}.parquet") for name in ("spy", "vix"))
    assert (spy.symbols, vix.symbols, len(spy)) == (("SPY",), ("^VIX",), 5033)
    raw = pd.read_parquet(shared / "deepregime" / "spy.parquet")
    assert (spy.close[:, 0] == raw["Close"]["SPY"].to_numpy()).all()
    both = spy.join(vix.observe("^VIX"))
    assert both.close.shape == (5033, 2)
    assert not np.isnan(both.close).any()


def test_several_files(tmp_path: Path) -> None:
    write(tmp_path, PLAIN, "one.csv")
    index = pd.DatetimeIndex(["2024-07-02", "2024-07-03"])
    pd.DataFrame({"close": [7.0, 8.0]}, index=index).to_parquet(tmp_path / "two.parquet")
    paths = {"ONE": tmp_path / "one.csv", "TWO": str(tmp_path / "two.parquet")}
    history = files(paths, observed=["TWO"])
    assert (history.symbols, history.traded, history.source) == (("ONE", "TWO"), (True, False), "one.csv, two.parquet")
    assert np.isnan(history.close[0, 1])
    assert history.close[1:, 1].tolist() == [7.0, 8.0]
    with pytest.raises(DataError, match="observed: no asset 'TWOO'; did you mean 'TWO'"):
        files(paths, observed=["TWOO"])
    with pytest.raises(DataError, match="paths is empty"):
        files({})


def test_check_tells_and_does_not_stop(tmp_path: Path) -> None:
    findings = check(write(tmp_path, "Date,Close\n2024-07-02,1\n2024-07-01,0\n"))
    assert {f.code: f.severity for f in findings} == {
        "newest_first": "warning",
        "non_positive_price": "error",
        "unknown_volume": "warning",
        "close_only": "warning",
    }


# --- pandas, sample, synthetic ---------------------------------------------------------------------------------------


def test_a_dict_of_frames() -> None:
    index = pd.DatetimeIndex(["2024-07-01", "2024-07-02"])
    frames = {"A": pd.DataFrame({"close": [1.0, 2.0]}, index=index), "B": pd.DataFrame({"Close": [3.0]}, index[:1])}
    history = History.from_pandas(frames)
    assert history.symbols == ("A", "B")
    assert np.isnan(history.close[1, 1])
    with pytest.raises(DataError, match="no tables"):
        History.from_pandas({})
    with pytest.raises(DataError, match=r"frame\[B\]: nan_price"):
        History.from_pandas({**frames, "B": pd.DataFrame({"close": [np.nan]}, index[:1])})


@pytest.mark.parametrize("name", ["sp500", "nasdaq"])
def test_the_sample_is_what_the_package_gives(name: str) -> None:
    history = getattr(sample, name)()
    frame = {"sp500": arch.data.sp500, "nasdaq": arch.data.nasdaq}[name].load()
    for field in FIELDS:
        assert (getattr(history, field)[:, 0] == frame[field.capitalize()].to_numpy()).all()
    assert (frame["Close"] == frame["Adj Close"]).all()
    assert (history.symbols, history.calendar, history.periods) == ((name.upper(),), "XNYS", 252.0)
    assert (history.when(0), history.when(-1), len(history)) == ("1999-01-04", "2018-12-31", 5031)
    assert len(getattr(sample, name)(start="2018-01-01")) == 251


def test_buy_and_hold_of_the_sample() -> None:
    for load, total in ((sample.sp500, 1.041243), (sample.nasdaq, 2.005040)):
        close = load().close[:, 0]
        assert close[-1] / close[0] - 1.0 == pytest.approx(total, abs=1e-6)


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "find_spec", lambda _: None)
    with pytest.raises(DataError, match=r"pip install '\.\[sample\]'"):
        sample.sp500()
    assert util.find_spec("arch") is not None


def test_synthetic_is_the_named_world() -> None:
    history = synthetic("weekly2", bars=50, seed=3)
    assert history.digest() == simulate(SCENARIOS["weekly2"], 50, 3).history.digest()
    assert synthetic(bars=10, spacing="1h").calendar == "24/7"
    with pytest.raises(DataError, match="did you mean 'daily3'"):
        synthetic("dayly3")
