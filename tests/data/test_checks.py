"""Every kind of finding is planted once and seen once; good data are left in peace; the bad files are all caught."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from barograph.data.calendars import sessions
from barograph.data.checks import check
from barograph.data.findings import CODES, Finding, accepted
from barograph.data.history import History
from barograph.data.reading import read
from barograph.data.table import Reading
from barograph.errors import DataError
from barograph_adapters import files
from barograph_adapters.sample import nasdaq, sp500
from tests import ROOT

DOCS = ROOT / "docs" / "data.md"


def good(bars: int = 300, seed: int = 0) -> pd.DataFrame:
    """Daily bars of a calm market on New York's sessions, of which nothing should be said."""
    rng = np.random.default_rng(seed)
    days = sessions("XNYS", np.datetime64("2020-01-01"), np.datetime64("2024-12-31")).days[:bars]
    close = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(bars)))
    opened = np.concatenate([[100.0], close[:-1]]) * np.exp(0.003 * rng.standard_normal(bars))
    high = np.maximum(opened, close) * np.exp(0.005 * rng.random(bars) + 1e-4)
    low = np.minimum(opened, close) * np.exp(-0.005 * rng.random(bars) - 1e-4)
    volume = np.round(1e6 * np.exp(0.3 * rng.standard_normal(bars)))
    columns = {"open": opened, "high": high, "low": low, "close": close, "volume": volume}
    return pd.DataFrame(columns, index=pd.DatetimeIndex(days, name="date"))


def hourly(days: int = 60, calendar: str = "24/7") -> pd.DataFrame:
    """Hourly bars, stamped with their closes in UTC: around the clock, or seven a session."""
    if calendar == "24/7":
        ts = pd.date_range("2024-01-01 01:00", periods=24 * days, freq="h")
    else:
        known = sessions(calendar, np.datetime64("2024-01-01"), np.datetime64("2024-12-31")).closes[:days]
        ts = pd.DatetimeIndex(np.concatenate([close - 3_600_000_000_000 * np.arange(5, -1, -1) for close in known]))
    return good(1200)[: len(ts)].set_axis(ts[: min(1200, len(ts))], axis=0)


def found(frame: pd.DataFrame, **how: object) -> dict[str, Finding]:
    findings = check(read(frame, Reading(source="abc.csv", symbol="ABC", **how)))
    return {finding.code: finding for finding in reversed(findings)}


def changed(frame: pd.DataFrame, row: int | slice, **values: float) -> pd.DataFrame:
    copy = frame.copy()
    for column, value in values.items():
        copy.iloc[row, copy.columns.get_loc(column)] = value
    return copy


# --- nothing wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_good_bars_are_left_in_peace(seed: int) -> None:
    assert found(good(seed=seed)) == {}


@pytest.mark.parametrize("calendar", ["24/7", "XNYS"])
def test_good_hours_are_left_in_peace(calendar: str) -> None:
    assert found(hourly(40, calendar), calendar=calendar) == {}


def test_weeks_and_months_are_left_in_peace() -> None:
    for rule in ("W-FRI", "ME"):
        coarse = (
            good(1000)
            .resample(rule)
            .agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
        )
        assert found(coarse) == {}


def test_good_files_are_left_in_peace(shared: Path) -> None:
    for path in sorted((shared / "etf").glob("*.parquet")):
        for adjusted in (False, True):
            assert files.check(path, adjusted=adjusted) == ()
    (gap,) = files.check(shared / "crypto" / "BTC-EUR_1h.parquet", calendar="24/7")
    assert (gap.code, gap.count, gap.row) == ("gap", 9, 2)
    assert files.check(shared / "deepregime" / "spy.parquet") == ()


def test_samples_say_only_what_is_so() -> None:
    assert sp500().findings == ()
    (zero,) = nasdaq().findings
    assert (zero.code, zero.count) == ("zero_volume", 2)


# --- one planted fault each -------------------------------------------------------------------------------------------


def test_impossible_ohlc_names_row_and_value() -> None:
    for column, factor in (("open", 1.2), ("close", 0.8), ("high", 0.5), ("low", 2.0)):
        frame = good()
        bad = changed(frame, 7, **{column: frame[column].iloc[7] * factor})
        finding = found(bad)["impossible_ohlc"]
        assert (finding.row, finding.count, finding.severity) == (7, 1, "error")
        assert "2020-01-13" in finding.message


def test_rounding_is_not_impossible_and_is_mended() -> None:
    frame = good()
    top = float(frame["high"].iloc[7])
    frame = changed(frame, 7, close=top * (1 + 1e-12), high=top)
    assert found(frame) == {}
    history = History.from_pandas(frame, symbol="ABC")
    assert history.high[7, 0] == history.close[7, 0] == top * (1 + 1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_price(value: float) -> None:
    finding = found(changed(good(), 9, open=value))["nan_price"]
    assert (finding.row, finding.column, finding.severity) == (9, "open", "error")


def test_accepted_nan_price_is_no_bar() -> None:
    history = History.from_pandas(changed(good(), 9, open=np.nan), symbol="ABC", accept=["nan_price"])
    assert all(np.isnan(getattr(history, name)[9, 0]) for name in ("open", "high", "low", "close", "volume"))
    assert np.isnan(history.close).sum() == 1


@pytest.mark.parametrize("value", [0.0, -5.0])
def test_non_positive_price(value: float) -> None:
    finding = found(changed(good(), 9, low=value))["non_positive_price"]
    assert (finding.row, finding.column, finding.value) == (9, "low", str(value))


def test_duplicate_time() -> None:
    frame = pd.concat([good(), changed(good(), 20, volume=5.0).iloc[20:21]])
    finding = found(frame)["duplicate_time"]
    assert (finding.row, finding.count, finding.severity) == (300, 1, "error")
    history = History.from_pandas(frame, symbol="ABC", accept=["duplicate_time", "wrong_order"])
    assert len(history) == 300
    assert history.volume[20, 0] == good()["volume"].iloc[20]


def test_wrong_order() -> None:
    frame = good()
    newest_first = found(frame[::-1])
    assert (newest_first["newest_first"].severity, newest_first["newest_first"].count) == ("warning", 300)
    assert "wrong_order" not in newest_first
    order = [*range(50), 51, 50, *range(52, 300)]
    shuffled = found(frame.iloc[order])["wrong_order"]
    assert (shuffled.row, shuffled.count) == (51, 1)
    history = History.from_pandas(frame[::-1], symbol="ABC")
    assert (history.close[:, 0] == frame["close"].to_numpy()).all()


def test_volumes() -> None:
    zero = found(changed(good(), slice(3, 6), volume=0.0))["zero_volume"]
    assert (zero.row, zero.count, zero.severity) == (3, 3, "warning")
    assert found(changed(good(), 4, volume=-1.0))["negative_volume"].row == 4
    assert found(changed(good(), 4, volume=np.nan))["unknown_volume"].count == 1
    for frame in (good().drop(columns="volume"), changed(good(), slice(None), volume=0.0)):
        finding = found(frame)["unknown_volume"]
        assert (finding.count, finding.severity) == (300, "warning")
        assert "zero_volume" not in found(frame)
        assert np.isnan(History.from_pandas(frame, symbol="ABC").volume).all()


@pytest.mark.parametrize("ratio", [2.0, 3.0, 1.5, 10.0, 20.0, 0.5, 0.1])
def test_unadjusted_split(ratio: float) -> None:
    frame = good()
    frame.iloc[150:, :4] /= ratio
    finding = found(frame)["unadjusted_split"]
    assert (finding.row, finding.count, finding.severity) == (150, 1, "error")
    assert "impossible_ohlc" not in found(frame)


@pytest.mark.parametrize("row", [1, 298, 299])
def test_a_split_at_the_edge_of_the_file(row: int) -> None:
    frame = good()
    frame.iloc[row:, :4] /= 2.0
    assert found(frame)["unadjusted_split"].row == row


def test_a_split_of_closes_alone() -> None:
    frame = good()[["close"]].copy()
    frame.iloc[150:] /= 4.0
    assert found(frame)["unadjusted_split"].row == 150


def test_a_wild_fall_is_no_split() -> None:
    """A stock that halves overnight moves on the day too, and one that comes back was no split."""
    frame = good()
    frame.iloc[150:, :4] /= 2.0
    frame.iloc[150, frame.columns.get_loc("low")] /= 1.3
    assert "unadjusted_split" not in found(frame)
    other = good()
    other.iloc[150:, :4] *= 0.72  # calm and lasting, but no simple fraction
    assert "unadjusted_split" not in found(other)
    back = good()
    back.iloc[150:152, :4] /= 2.0
    assert "unadjusted_split" not in found(back)


@pytest.mark.parametrize("row", [1, 3, 150, 298])
@pytest.mark.parametrize("ratio", [1.5, 2.0, 10.0, 100.0, 0.1])
@pytest.mark.parametrize("columns", [["open", "high", "low", "close", "volume"], ["close", "volume"]])
def test_a_declared_split_is_left_in_peace(row: int, ratio: float, columns: list[str]) -> None:
    frame = good()
    frame.iloc[row:, :4] /= ratio
    frame.iloc[row:, 4] *= ratio
    frame = frame[columns].assign(split=1.0)
    known: set[str] = set() if len(columns) > 2 else {"close_only"}
    assert set(found(changed(frame, row, split=ratio))) == known
    assert "split_without_jump" not in found(frame)


def test_a_split_declared_on_a_row_without_prices() -> None:
    frame = good()
    frame.iloc[150:, :4] /= 10.0
    frame["split"] = 1.0
    holiday = pd.Timestamp("2020-07-03")
    assert holiday not in frame.index
    at = int(frame.index.searchsorted(holiday))
    frame = good()
    frame.iloc[at:, :4] /= 10.0
    frame.loc[holiday, "split"] = 10.0
    assert found(frame.sort_index()) == {}
    assert "unadjusted_split" in found(frame.sort_index().drop(columns="split").dropna())


def test_twenty_for_one_at_a_price_of_25_swaps_no_columns() -> None:
    frame = good()
    frame.iloc[:, :4] *= 5.0
    frame.iloc[150:, :4] /= 20.0
    frame.iloc[150:, 4] *= 20.0
    split = np.where(np.arange(300) == 150, 20.0, 1.0)
    assert found(frame.assign(split=split)) == {}
    assert "swapped_columns" in found(frame)


def test_split_without_jump() -> None:
    frame = good().assign(split=0.0, dividend=0.0)
    finding = found(changed(frame, 150, split=2.0))["split_without_jump"]
    assert (finding.row, finding.value, finding.severity) == (150, "2.0", "error")
    assert set(found(changed(frame, 150, split=2.0))) == {"split_without_jump"}
    assert found(changed(frame, 150, split=1.01)) == {}  # no larger than what a price does every day
    assert found(changed(frame, 0, split=2.0)) == {}  # nothing before it to compare with
    wrong_way = frame.copy()
    wrong_way.iloc[150:, :4] /= 2.0
    assert set(found(changed(wrong_way, 150, split=0.5))) == {"split_without_jump"}


@pytest.mark.parametrize(("column", "value"), [("dividend", 0.5), ("split", 2.0)])
def test_lost_action(column: str, value: float) -> None:
    frame = good()
    frame.loc[pd.Timestamp("2030-01-02"), column] = value
    finding = found(frame)["lost_action"]
    assert (finding.row, finding.column, finding.value, finding.severity) == (300, column, str(value), "error")
    assert "nan_price" not in found(frame)
    assert "lost_action" not in found(frame.assign(final=np.where(np.arange(301) == 300, 5.0, np.nan)))
    early = frame.rename(index={pd.Timestamp("2030-01-02"): pd.Timestamp("2019-12-25")}).sort_index()
    assert "lost_action" not in found(early)


def test_a_row_without_prices_and_without_actions_is_a_missing_price() -> None:
    frame = good().assign(dividend=0.0, final=np.nan)
    gone = changed(frame, 9, open=np.nan, high=np.nan, low=np.nan, close=np.nan)
    assert found(gone)["nan_price"].row == 9
    assert "nan_price" not in found(changed(gone, 9, dividend=1.0))


def test_ends_early() -> None:
    frame = good()
    frames = {"A": frame, "B": frame.iloc[:-20], "C": frame.iloc[:-20].assign(final=np.nan), "D": frame.iloc[:-4]}
    frames["C"].iloc[-1, -1] = 5.0
    history = History.from_pandas(frames)
    (finding,) = history.findings
    assert (finding.code, finding.severity, finding.column, finding.row) == ("ends_early", "warning", "B", 279)
    assert "B has no bar after this one and no final price" in finding.message
    assert [f.column for f in history.join(History.from_pandas(frame, symbol="E")).findings] == ["B"]
    late = History.from_pandas({"B": frames["B"]}).join(History.from_pandas(frame, symbol="A", traded=False))
    assert [f.code for f in late.findings] == ["ends_early"]
    assert (
        History.from_pandas(frame, symbol="A").join(History.from_pandas(frames["B"], symbol="B").observe("B")).findings
        == ()
    )
    assert [f.column for f in History.from_arrays(history.ts, history.close).findings] == ["ASSET1", "ASSET2"]


@pytest.mark.parametrize("factor", [0.1, 0.01, 0.001, 10.0, 1000.0])
@pytest.mark.parametrize("column", ["open", "close"])
def test_scale_jump(factor: float, column: str) -> None:
    frame = good()
    finding = found(changed(frame, 150, **{column: frame[column].iloc[150] * factor}))["scale_jump"]
    assert (finding.row, finding.column, finding.severity) == (150, column, "error")


def test_gap_and_not_a_session() -> None:
    frame = good()
    gap = found(frame.drop(frame.index[[10, 11, 40]]))["gap"]
    assert (gap.row, gap.count, gap.severity) == (9, 3, "warning")
    assert "2020-01-16" in gap.message
    extra = pd.concat([frame, frame.iloc[2:3].set_axis([pd.Timestamp("2020-01-04")], axis=0)]).sort_index()
    strange = found(extra)["not_a_session"]
    assert (strange.row, strange.count, strange.severity) == (2, 1, "warning")


def test_gap_in_hours() -> None:
    frame = hourly(40)
    gap = found(frame.drop(frame.index[[100, 101, 500]]), calendar="24/7")["gap"]
    assert (gap.row, gap.count) == (99, 3)
    session = hourly(40, "XNYS")
    inside = found(session.drop(session.index[[15]]))["gap"]
    assert (inside.row, inside.count) == (14, 1)
    whole = found(session.drop(session.index[12:18]))["gap"]
    assert (whole.row, whole.count) == (11, 1)


def test_a_lunch_is_no_gap() -> None:
    known = sessions("XHKG", np.datetime64("2024-01-01"), np.datetime64("2024-03-31"))
    hour = 3_600_000_000_000
    ts = np.concatenate([opens + hour * np.array([1, 2, 4, 5, 6]) for opens in known.opens[:40]])
    frame = good(len(ts)).set_axis(pd.DatetimeIndex(ts), axis=0)
    assert found(frame, calendar="XHKG") == {}


def test_wrong_calendar() -> None:
    every_day = good().set_axis(pd.date_range("2020-01-01", periods=300), axis=0)
    finding = found(every_day, calendar="XNYS")["wrong_calendar"]
    assert (finding.severity, finding.row) == ("error", 3)
    assert found(every_day, calendar="24/7") == {}
    assert "wrong_calendar" in found(good(), calendar="24/7")


def test_outside_hours() -> None:
    frame = hourly(40, "XNYS")
    shifted = frame.set_axis(frame.index - pd.Timedelta(hours=9), axis=0)
    assert found(shifted)["outside_hours"].severity == "error"


def test_frozen_price() -> None:
    frame = good()
    frame.iloc[30:36, :4] = frame.iloc[30, :4].to_numpy()
    finding = found(frame)["frozen_price"]
    assert (finding.row, finding.count, finding.severity) == (30, 6, "warning")
    frame = good()
    frame.iloc[30:34, :4] = frame.iloc[30, :4].to_numpy()
    assert "frozen_price" not in found(frame)


def test_illiquid() -> None:
    frame = good()
    frame.iloc[::30, 0:3] = frame.iloc[::30, 3:4].to_numpy()
    finding = found(frame)["illiquid"]
    assert (finding.count, finding.severity) == (10, "warning")
    assert "3.3%" in finding.message
    assert "illiquid" not in found(frame, traded=False)


def test_close_only() -> None:
    assert set(found(good()[["close", "volume"]])) == {"close_only"}


def test_swapped_columns_with_two_volumes() -> None:
    frame = good()
    frame["Volume USD"] = frame["volume"] * frame["close"]
    assert found(frame) == {}
    swapped = frame.copy()
    swapped.iloc[40:90, 4], swapped.iloc[40:90, 5] = frame.iloc[40:90, 5], frame.iloc[40:90, 4]
    finding = found(swapped)["swapped_columns"]
    assert (finding.row, finding.count, finding.severity) == (40, 50, "error")


def test_at_a_price_of_one_money_and_units_cannot_be_told_apart() -> None:
    frame = good()
    frame.iloc[:, :4] /= 100.0
    frame["Volume USD"] = frame["volume"] * frame["close"]
    assert found(frame) == {}


def test_swapped_columns_with_one_volume() -> None:
    frame = good()
    frame.iloc[:100, 4] *= frame["close"].iloc[:100]
    finding = found(frame)["swapped_columns"]
    assert abs(finding.row - 100) <= 1


def test_an_erratic_volume_is_no_swapped_one() -> None:
    frame = good()
    often = np.arange(300) % 12 < 7
    frame["volume"] = np.where(np.arange(300) < 150, np.where(often, 1e4, 1e7), np.where(often, 1e6, 1e3))
    assert found(frame) == {}


def test_no_numbers_at_all_end_in_findings_not_in_a_crash() -> None:
    assert found(changed(good(), slice(None), open=np.nan, high=np.nan, low=np.nan, close=np.nan))["nan_price"]
    assert found(good(1)) == {}
    assert found(changed(good(3), slice(None), close=0.0))["non_positive_price"].count == 3


# --- how they are told ------------------------------------------------------------------------------------------------


def test_the_error_is_one_line_with_file_row_value_count_and_mend() -> None:
    frame = good()
    bad = changed(frame, slice(5, 10), high=1.0)
    with pytest.raises(DataError) as caught:
        History.from_pandas(bad, symbol="ABC", source="abc.csv")
    text = str(caught.value)
    assert "\n" not in text
    for part in ("abc.csv", "impossible_ohlc", "row 5 (2020-01-09)", "5 in all (rows 5, 6, 7, ...)", "accept = ["):
        assert part in text


def test_accept_keeps_the_finding_and_names_its_own_mistake() -> None:
    bad = changed(good(), 5, high=1.0)
    history = History.from_pandas(bad, symbol="ABC", accept=["impossible_ohlc", "scale_jump"])
    assert {f.code for f in history.findings} >= {"impossible_ohlc"}
    assert history.high[5, 0] == 1.0
    with pytest.raises(DataError, match="did you mean 'impossible_ohlc'"):
        accepted((), ["imposible_ohlc"])


def test_every_code_is_in_the_guide_with_its_severity() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for name, code in CODES.items():
        assert f"| `{name}` | {code.severity} |" in text, name


# --- the bad files ----------------------------------------------------------------------------------------------------


def test_ibov_truncated_zeros(shared: Path) -> None:
    path = shared / "bad" / "ibov_truncated_zeros.csv"
    columns = {"open": "Abertura", "high": "Máxima", "low": "Mínima", "close": "Último"}
    codes: dict[str, list[Finding]] = {}
    for finding in files.check(path, columns=columns, calendar="BVMF"):
        codes.setdefault(finding.code, []).append(finding)
    (impossible,) = codes["impossible_ohlc"]
    # The header is line 1 of a CSV file, so data row 10 is line 12.
    assert (impossible.count, impossible.row, impossible.value) == (1308, 12, "1685.0")
    assert {f.column for f in codes["scale_jump"]} == {"open", "high", "low", "close"}
    assert set(codes) == {"impossible_ohlc", "scale_jump", "not_a_session", "unknown_volume"}
    with pytest.raises(
        DataError, match=r"ibov_truncated_zeros\.csv: scale_jump: line 7 .*also impossible_ohlc \(1308\)"
    ):
        files.csv(path, columns=columns, calendar="BVMF")


def test_btc_volume_swapped_and_newest_first(shared: Path, tmp_path: Path) -> None:
    path = shared / "bad" / "BTCUSD_1h_volume_swapped.parquet"
    swapped = {f.code: f for f in files.check(path, calendar="24/7")}["swapped_columns"]
    assert (swapped.count, swapped.row, swapped.value) == (20143, 0, "4906603.14")
    with pytest.raises(DataError, match="swapped_columns"):
        files.parquet(path, calendar="24/7")
    frame = pd.read_parquet(path)
    frame.drop(columns="Volume USD").to_parquet(tmp_path / "one.parquet")
    assert "swapped_columns" in {f.code for f in files.check(tmp_path / "one.parquet", calendar="24/7")}
    frame[::-1].to_csv(tmp_path / "newest.csv")
    newest = {f.code: f for f in files.check(tmp_path / "newest.csv", calendar="24/7")}
    assert newest["newest_first"].row == 2
    assert newest["swapped_columns"].count == 20143


def test_mislabelled_future(shared: Path) -> None:
    path = shared / "bad" / "mislabelled_futures_GLD.parquet"
    codes = {f.code: f for f in files.check(path)}
    assert (codes["illiquid"].count, codes["illiquid"].row) == (563, 0)
    assert codes["impossible_ohlc"].count == 304
    assert codes["zero_volume"].count == 152
    # Its volume leaps at every roll, but not by the price: no columns were swapped.
    assert set(codes) == {"illiquid", "impossible_ohlc", "zero_volume", "gap", "not_a_session"}
    with pytest.raises(DataError, match="impossible_ohlc"):
        files.parquet(path)


def test_cboe_vix(shared: Path) -> None:
    path = shared / "vix" / "cboe_vix_daily.csv"
    codes = {f.code: f for f in files.check(path, traded=False)}
    impossible, strange = codes["impossible_ohlc"], codes["not_a_session"]
    assert (impossible.count, impossible.row, impossible.severity) == (47, 535, "error")
    assert (strange.count, strange.severity) == (20, "warning")
    with pytest.raises(DataError, match="47 in all"):
        files.csv(path, traded=False)
    (early,) = [f for f in files.check(path, start="2004-11-08", end="2004-11-08") if f.code == "impossible_ohlc"]
    assert (early.column, early.value, early.row) == ("open", "2.58", 3745)
    assert "impossible_ohlc" not in {f.code for f in files.check(path, start="2006-03-01", traded=False)}
