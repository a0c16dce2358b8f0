"""Frames as libraries hand them over, and texts and marks as files have them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from barograph.data.history import History
from barograph.data.shapes.layout import laid_out
from barograph.data.shapes.marks import numbers, proved
from barograph.data.shapes.tabled import frame_of_json, frame_of_rows, frame_of_text
from barograph.data.shapes.text import text_of
from barograph.data.table import Reading
from barograph.epoch import HOUR
from barograph.errors import DataError
from tests.fakes.yahoo import walk

SPY, TLT = walk("2024-05-01", "2024-07-12", 1), walk("2024-05-01", "2024-07-12", 2)
ALONE = [History.from_pandas(frame, symbol=name) for name, frame in (("SPY", SPY), ("TLT", TLT))]


def downloaded() -> pd.DataFrame:
    """Return what `yf.download(["SPY", "TLT"])` returns."""
    both = pd.concat({"SPY": SPY, "TLT": TLT}, axis=1, names=["Ticker", "Price"]).rename(columns=str.title, level=1)
    return both.swaplevel(axis=1).sort_index(axis=1).rename_axis(index="Date")


@pytest.mark.parametrize("turned", [False, True])
def test_two_levels_of_columns_are_two_assets(turned: bool) -> None:
    frame = downloaded().swaplevel(axis=1) if turned else downloaded()
    both = History.from_pandas(frame)
    assert both.symbols == ("SPY", "TLT")
    assert both.digest() == ALONE[0].join(ALONE[1]).digest()
    assert History.from_pandas(frame, symbol="TLT").digest() == ALONE[1].digest()


def test_so_are_rows_by_symbol_and_time() -> None:
    """As Alpaca's `bars.df`: New York's midnights in UTC."""
    parts = {name: frame.set_axis(frame.index.tz_localize("America/New_York").tz_convert("UTC"))
             for name, frame in (("SPY", SPY), ("TLT", TLT))}  # fmt: skip
    frame = pd.concat(parts, names=["symbol", "timestamp"]).assign(trade_count=9.0, vwap=1.0)
    both = History.from_pandas(frame)
    assert both.symbols == ("SPY", "TLT")
    assert (both.close == ALONE[0].join(ALONE[1]).close).all()
    assert (both.ts == ALONE[0].ts).all()
    # Levels without names are told by what they hold.
    assert History.from_pandas(frame.rename_axis([None, None]), time_zone="America/New_York").symbols == ("SPY", "TLT")


def test_a_series_is_closes() -> None:
    history = History.from_pandas(SPY["close"], symbol="SPY")
    assert (history.close == ALONE[0].close).all()
    assert [one.code for one in history.findings] == ["unknown_volume", "close_only"]


def test_an_index_of_texts_is_one_of_times() -> None:
    frame = SPY.set_axis(SPY.index.strftime("%d/%m/%Y"))
    assert (History.from_pandas(frame).ts == ALONE[0].ts).all()
    assert (History.from_pandas({"A": frame}).ts == ALONE[0].ts).all()
    with pytest.raises(DataError, match="'01/07/2024' is 2024-07-01 with the day first"):
        History.from_pandas(
            SPY.loc["2024-07-01":"2024-07-05"].set_axis(["01/07/2024", "02/07/2024", "03/07/2024", "05/07/2024"])
        )  # type: ignore[misc]


def test_an_index_of_periods_ends_with_them() -> None:
    assert (History.from_pandas(SPY.set_axis(SPY.index.to_period("D"))).ts == ALONE[0].ts).all()
    months = pd.DataFrame({"close": [1.0, 2.0]}, index=pd.period_range("2024-05", periods=2, freq="M"))
    assert [str(pd.Timestamp(t)) for t in History.from_pandas(months).ts] == [
        "2024-05-31 20:00:00",
        "2024-06-28 20:00:00",
    ]
    hours = pd.DataFrame({"close": [1.0, 2.0]}, index=pd.period_range("2024-07-06 10:00", periods=2, freq="h"))
    assert str(pd.Timestamp(History.from_pandas(hours, calendar="24/7").ts[0])) == "2024-07-06 11:00:00"


@pytest.mark.parametrize(
    ("freq", "always", "york"),
    [
        ("Q", "2024-04-01 00:00", "2024-03-28 20:00"),
        ("Y", "2025-01-01 00:00", "2024-12-31 21:00"),
        ("Y-JUN", "2024-07-01 00:00", "2024-06-28 20:00"),
        ("2M", "2024-03-01 00:00", "2024-02-29 21:00"),
        ("W", "2024-01-08 00:00", "2024-01-05 21:00"),
        ("4W", "2024-01-29 00:00", "2024-01-26 21:00"),
        ("3D", "2024-01-04 00:00", "2024-01-03 21:00"),
        ("D", "2024-01-02 00:00", "2024-01-01 21:00"),
        ("8h", "2024-01-01 08:00", "2024-01-01 08:00"),
    ],
)
@pytest.mark.parametrize("bars", [1, 2, 5])
def test_a_bar_of_a_period_closes_when_the_period_has_ended(freq: str, always: str, york: str, bars: int) -> None:
    index = pd.period_range("2024-01-01", periods=bars, freq=freq)
    frame = pd.DataFrame({"close": np.arange(1.0, 1.0 + bars)}, index=index)
    for calendar, wanted in (("24/7", always), ("XNYS", york)):
        for mark in (None, "close", "open"):
            history = History.from_pandas(frame, calendar=calendar, bars_mark=mark, accept=["outside_hours"])
            assert str(pd.Timestamp(history.ts[0]))[:16] == wanted
    ends = (index + 1).start_time.as_unit("ns").asi8
    assert (History.from_pandas(frame, calendar="24/7").ts == ends).all()


@pytest.mark.parametrize("freq", ["2MS", "QS", "2QS", "YS", "2W-MON", "4W-MON", "10D", "3D"])
def test_long_bars_known_by_their_open_close_no_sooner_than_they_end(freq: str) -> None:
    starts = pd.date_range("2024-01-01", periods=9, freq=freq)
    frame = pd.DataFrame({"close": np.arange(1.0, 9.0)}, index=starts[:-1])
    ends = starts[1:].as_unit("ns").asi8
    assert (History.from_pandas(frame, calendar="24/7", bars_mark="open").ts == ends).all()
    if freq != "3D":
        ts = History.from_pandas(frame, calendar="FX", bars_mark="open").ts
        assert ((ends - 4 * 24 * HOUR < ts) & (ts < ends)).all()


def test_an_asset_called_na_is_one_of_several() -> None:
    rows = "".join(f"2024-07-0{n},{name},{n}\n" for name in ("NA", "NULL", "nan", "A") for n in (1, 2))
    frame, _ = frame_of_text(b"Date,Symbol,Close\n" + rows.encode())
    history = History.from_pandas(frame)
    assert history.symbols == ("NA", "NULL", "nan", "A")
    assert history.close.tolist() == [[1.0] * 4, [2.0] * 4]


@pytest.mark.parametrize("empty", ["", "  "])
def test_a_row_without_a_symbol_beside_others_is_refused(empty: str) -> None:
    text = f"Date,Symbol,Close\n2024-07-01,A,1\n2024-07-02,{empty},2\n2024-07-03,A,3\n"
    frame, _ = frame_of_text(text.encode())
    for symbol in (None, "A"):
        with pytest.raises(DataError, match="frame: row 1: no symbol in column 'Symbol', and other rows have one"):
            History.from_pandas(frame, symbol=symbol)
    nobody = frame.assign(Symbol=None)
    assert len(History.from_pandas(nobody)) == 3


def test_a_frame_that_no_time_belongs_to_is_refused() -> None:
    with pytest.raises(DataError, match="no column for time"):
        History.from_pandas(pd.DataFrame({"close": [1.0, 2.0]}))


# --- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_text_is_one_text_however_it_was_written(encoding: str, ends: str) -> None:
    shown = text_of(ends.join(["Data;Último", "2024-07-01;1,5", ""]).encode(encoding)).content.decode()
    assert shown.splitlines() == ["Data;Último", "2024-07-01;1,5"]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "byte 0x89 in line 1 is no UTF-8"),
        (b"a,b\n1,\x00\x00\x00\x00 and so on for long enough", "it is no text"),
        (b"<!DOCTYPE html><html></html>", "it is a web page"),
        ("Último\n".encode("cp1252"), "byte 0xda in line 1 is no UTF-8; say encoding = 'cp1252'"),
    ],
)
def test_what_is_no_text_is_told(raw: bytes, told: str) -> None:
    with pytest.raises(DataError, match=told):
        text_of(raw)


def test_an_encoding_that_nobody_knows_is_told() -> None:
    with pytest.raises(DataError, match="encoding = 'utf-9' is unknown"):
        text_of(b"a", "utf-9")


# --- layouts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "separator", "before", "header"),
    [
        (["Date,Close", "2024-07-01,5"], ",", 0, 1),
        (["Date;Close", "2024-07-01;5,5", "2024-07-02;5,6"], ";", 0, 1),
        (["Date\tClose", "2024-07-01\t5,5"], "\t", 0, 1),
        (["sep=;", "Date;Close", "2024-07-01;5,5"], ";", 1, 1),
        (["ABC, daily, adjusted", "", "Date,Close", "2024-07-01,5", "2024-07-02,5"], ",", 2, 1),
        (["2024-07-01,5", "2024-07-02,6"], ",", 0, 0),
        (["Date,Close"], ",", 0, 1),
        (["Price,Close,Close", "Ticker,A,B", "Date,,", "2024-07-01,1,2"], ",", 0, 3),
    ],
)
def test_layouts(lines: list[str], separator: str, before: int, header: int) -> None:
    found = laid_out(lines)
    assert (found.separator, found.before, found.header) == (separator, before, header)


def test_the_wrong_separator_is_told_by_the_right_one() -> None:
    with pytest.raises(DataError, match="separator = ',' parts no cells; the file has ';': say ';'"):
        laid_out(["Date;Close", "2024-07-01;5"], ",")
    with pytest.raises(DataError, match="separator = ',,'; wanted one letter"):
        laid_out(["Date;Close", "2024-07-01;5"], ",,")


def test_two_lines_of_names_are_refused() -> None:
    with pytest.raises(DataError, match="lines 1 to 2 are names"):
        laid_out(["Date,Close", "day,dollars", "2024-07-01,5"])


def test_remarks_at_the_end_are_no_bars() -> None:
    frame, _ = frame_of_text(b"Date,Close\n2024-07-01,5\nDownloaded from somewhere\n\n")
    assert frame["Close"].tolist() == [5]


def test_json_of_several_kinds() -> None:
    for text in ('{"t": 1, "c": 2}\n{"t": 3, "c": 4}', '[{"t": 1, "c": 2}, {"t": 3, "c": 4}]',
                 '{"ticker": "A", "results": [{"t": 1, "c": 2}, {"t": 3, "c": 4}]}'):  # fmt: skip
        assert frame_of_json(text.encode())["c"].tolist() == [2, 4]
    assert list(frame_of_json(b"[[1, 2], [3, 4]]").columns) == ["1", "2"]
    for text in ('{"t": [1, 3], "c": [2, 4], "s": "ok"}', '{"columns": ["t", "c"], "data": [[1, 2], [3, 4]]}',
                 '{"columns": ["c"], "index": [1, 3], "data": [[2], [4]]}', '{"1": {"c": 2}, "3": {"c": 4}}',
                 '{"c": {"1": 2, "3": 4}, "o": {"1": 0, "3": 0}}',
                 '{"of": {"name": "A"}, "days": {"1": {"4. c": 2}, "3": {"4. c": 4}}}'):  # fmt: skip
        frame = frame_of_json(text.encode())
        assert (frame["c"].tolist(), frame["t" if "t" in frame else "time"].tolist()) == ([2, 4], [1, 3])
    for text, told in (
        ("{", "it is no JSON"),
        ('{"chart": {"result": [1]}}', "holds no list of bars"),
        ("[]", "holds no list of bars"),
        ('["a"]', "holds no list of bars"),
    ):
        with pytest.raises(DataError, match=told):
            frame_of_json(text.encode())


def test_rows_of_a_sheet() -> None:
    day = pd.Timestamp("2024-07-01")
    frame, before = frame_of_rows([["My prices", ""], ["", ""], ["Date", "Close"], [day, 15.259]])
    assert (before, frame["Close"].tolist(), frame["Date"].iloc[0]) == (3, [15.259], day)


# --- marks ------------------------------------------------------------------------------------------------------------


def read(*cells: str, **told: str) -> list[float]:
    column, how = pd.Series(cells, dtype="str", name="Close"), Reading("a.csv", **told)  # type: ignore[arg-type]
    return numbers(column, proved([column], how), how).tolist()


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1.234,5", "1.300", "7"], [1234.5, 1300.0, 7.0]),
        (["1,234.5", "1,300"], [1234.5, 1300.0]),
        (["1,234,567", "1,300"], [1234567.0, 1300.0]),
        (["0.123", "1.234"], [0.123, 1.234]),
        (["1234.567", "1.234"], [1234.567, 1.234]),
        (["1 234,5", "1 300"], [1234.5, 1300.0]),
        (["1'234.50", "950.00"], [1234.5, 950.0]),
        (["$551.46", "-$1.5", "€ 2.25"], [551.46, -1.5, 2.25]),
        (["8,82M", "1,5K", "3B"], [8_820_000.0, 1_500.0, 3e9]),
        (["1.5e3", "2.25E-1", ".5"], [1500.0, 0.225, 0.5]),
        (["R$ 1.234,50"], [1234.5]),
    ],
)  # fmt: skip
def test_marks_that_cells_prove_together(cells: list[str], values: list[float]) -> None:
    assert read(*cells) == values
    assert read(*cells[::-1]) == values[::-1]


def test_what_is_no_number_is_none_or_told() -> None:
    assert np.isnan(read("-", "N/A", ".", "", "2.5")[:4]).all()
    for cells, told in (
        (["1.5", "abc"], "row 1, column 'Close': 'abc' is no number"),
        (["1,23,456.5"], "'1,23,456.5' is no number"),
        (["1.5", "2,5"], "row 1: '2,5' has the decimal mark ',', and '1.5' of row 0 has '.'"),
        (["15.259"], "'15.259' is 15.259 .* or 15259"),
    ):
        with pytest.raises(DataError, match=told):
            read(*cells)
    assert read("15.259", decimal=".") == [15.259]
    assert read("15.259", decimal=",") == [15259.0]
    assert read("15.259", thousands=".") == [15259.0]
