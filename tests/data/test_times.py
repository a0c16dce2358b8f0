"""Times in files: what proves its reading is read, what two readings fit is refused with both, no clock is asked."""

from __future__ import annotations

import ast
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barograph
import barograph_adapters
from barograph.data import times
from barograph.data.calendars import sessions, span_of
from barograph.data.checks import check
from barograph.data.history import History
from barograph.data.reading import read
from barograph.data.stamped import beyond
from barograph.data.table import Reading
from barograph.data.times import from_texts
from barograph.epoch import DAY, HOUR
from barograph.errors import DataError
from barograph_adapters.files import csv, files
from tests.campaigns.times import block, judged, under_all
from tests.kit import time_columns
from tests.kit.time_columns import KINDS, column, outcome

PLACE = "line {}".format


def walls(*texts: str, **how: str) -> list[str]:
    found = from_texts(list(texts), PLACE, **how)
    return [str(one)[:19] for one in found.wall.astype("M8[ns]").astype("M8[s]")]


def refused(*texts: str, **how: str) -> str:
    with pytest.raises(DataError) as caught:
        from_texts(list(texts), PLACE, **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- generated columns, each with its truth ---------------------------------------------------------------------------


def test_generated_columns_are_read_as_they_were_meant_wherever_the_machine_is() -> None:
    counted, found = block(0, 300)
    assert found == []
    assert counted["wrong"] == 0
    assert counted["right proved"] >= 0.95 * counted["proved"] > 250
    assert {column(seed).kind for seed in range(len(KINDS))} == {
        "iso", "numbers", "words", "counted", "digits", "two columns", "in a zone", "shifted",
    }  # fmt: skip


@pytest.mark.parametrize("seed", [1, 8])
def test_the_truth_of_a_column_can_be_missed(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes the month first whenever it can is caught by its own columns."""
    wrong = Counter[str]()
    own = times.readings._proved  # type: ignore[attr-defined]

    def guessed(column, form, matrix, place, vendor):  # type: ignore[no-untyped-def]
        try:
            return own(column, form, matrix, place, vendor)
        except times.TwoReadings:
            return times.readings._read(column, "MDY")[0], []  # type: ignore[attr-defined]

    monkeypatch.setattr(times.readings, "_proved", guessed)  # type: ignore[attr-defined]
    for n in range(seed, 300, 10):
        one = column(n)
        wrong[judged(one, [outcome(one)]) != ""] += 1
    assert wrong[True] > 0


@given(
    st.lists(st.dates(pd.Timestamp("1969-01-01").date(), pd.Timestamp("2049-12-31").date()), min_size=1, max_size=30)
)
@settings(max_examples=60)
def test_two_numbers_and_a_year_are_read_in_one_order_or_refused_with_both(days: list) -> None:  # type: ignore[type-arg]
    texts = [day.strftime("%d/%m/%Y") for day in days]
    swapped = [pd.Timestamp(day.year, day.day, day.month) if day.day <= 12 else None for day in days]
    both = all(swapped) and any(s.date() != d for s, d in zip(swapped, days, strict=True))  # type: ignore[union-attr]
    if both:
        said = refused(*texts)
        assert "%d/%m/%Y" in said
        assert "%m/%d/%Y" in said
        assert walls(*texts, date_format="%d/%m/%Y") == [f"{day}T00:00:00" for day in days]
    else:
        assert walls(*texts) == [f"{day}T00:00:00" for day in days]


# --- known answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (["2024-07-02", "2024-07-02 00:00:00"], ["2024-07-02T00:00:00"] * 2),
        (["27.12.2000", "02.01.2001"], ["2000-12-27T00:00:00", "2001-01-02T00:00:00"]),
        (["12/31/99", "01/03/00"], ["1999-12-31T00:00:00", "2000-01-03T00:00:00"]),
        (["07/01/2024 12:30 AM", "07/13/2024 12:30 PM"], ["2024-07-01T00:30:00", "2024-07-13T12:30:00"]),
        (["Mon 01/07/2024"], ["2024-07-01T00:00:00"]),
        (["Mon, 01 Jul 2024 09:30:00 GMT"], ["2024-07-01T09:30:00"]),
        (["July 1, 2024", "Sept 30, 2024"], ["2024-07-01T00:00:00", "2024-09-30T00:00:00"]),
        (["20240701", "2024-07-02"], ["2024-07-01T00:00:00", "2024-07-02T00:00:00"]),
        (["1719900000.5"], ["2024-07-02T06:00:00"]),
        (["01/01/2024", "02/02/2024"], ["2024-01-01T00:00:00", "2024-02-02T00:00:00"]),
        ([" 2024-07-01", "2024-07-02 "], ["2024-07-01T00:00:00", "2024-07-02T00:00:00"]),
    ],
)
def test_what_is_read(texts: list[str], wanted: list[str]) -> None:
    assert walls(*texts) == wanted


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["24-07-01", "24-07-02"], ["2001-07-24 with the day first", "2024-07-01 with the year first"]),
        (["01.07.24"], ["2024-07-01", "2024-01-07", "2001-07-24"]),
        (["01-Jul-24"], ["%d-%b-%y", "%y-%b-%d"]),
        (["202407011600"], ["1976-05-31T16:10:11 (date_format = 'ms')", "'%Y%m%d%H%M'"]),
        (["12/31/55"], ["2055-12-31 or 1955-12-31"]),
        (["13/01/2024", "01/13/2024"], ["'01/13/2024' of line 1", "'13/01/2024' of line 0"]),
        (["13/01/2024", "2024-07-01"], ["line 1", "written otherwise than '13/01/2024' of line 0"]),
        (["2024-07-01", "09:30"], ["line 1: '09:30' is a time of day without a date"]),
        (["Tue 01/07/2024", "Wed 01/07/2024"], ["no such date"]),
        (["2024-02-30"], ["'2024-02-30' is no time: there is no such date"]),
        (["2024-07-01 24:00"], ["is no time"]),
        (["2024-07-01 09:30 EST"], ["is no time"]),
        (["0"], ["0 is no time"]),
        (["45474"], ["45474 is no time"]),
        (["soon"], ["'soon' is no time"]),
        (["٢٠٢٤-07-01"], ["is no time"]),
    ],
)
def test_what_is_refused(texts: list[str], words: list[str]) -> None:
    said = refused(*texts)
    for word in words:
        assert word in said, said


@pytest.mark.parametrize("form", ["%H:%M", "%d/%m", "mixed", "ISO8601", "%x", "%Z", "%d/%m/%Y %I:%M", "%d/%d/%Y"])
def test_a_format_that_tells_no_date_or_asks_the_machine_is_refused(form: str) -> None:
    assert "date_format = " in refused("01/07/2024", date_format=form)


def test_a_unit_is_told_by_size_row_by_row_and_a_change_is_noted() -> None:
    milliseconds, microseconds = 1735689599000, 1735689600000000
    found = from_texts([str(milliseconds), str(microseconds)], PLACE)
    assert np.diff(found.wall).tolist() == [10**9]
    assert (found.notes[0].code, found.notes[0].row) == ("unit_changes", 1)
    assert "counts milliseconds" in refused(str(milliseconds), date_format="us")
    assert walls("-1000000000", "86400", date_format="s") == ["1938-04-24T22:13:20", "1970-01-02T00:00:00"]
    assert "is no number" in refused("2024-07-01", date_format="s")


def test_start_and_replay_take_what_is_one_day() -> None:
    assert span_of("2024-07-01", None)[0] == span_of("13/07/2024", None)[0] - 12 * DAY
    for text in ("01/07/2024", "24-07-01", "now", "today", "10:00", "2024"):
        with pytest.raises(DataError, match=f"start = '{text}' is .*; write it like '2024-07-01'"):
            span_of(text, None)


# --- tables -----------------------------------------------------------------------------------------------------------


def written(folder: Path, text: str) -> Path:
    (folder / "a.csv").write_text(text)
    return folder / "a.csv"


def stamps(history: History) -> list[str]:
    return [str(pd.Timestamp(t))[:16] for t in history.ts]


def test_date_and_time_in_two_columns(tmp_path: Path) -> None:
    wanted = ["2024-07-01 09:30", "2024-07-01 09:31"]
    for text in (
        "Date,Time,Close\n2024-07-01,09:30,1\n2024-07-01,09:31,2\n",
        "<TICKER>,<DATE>,<TIME>,<CLOSE>\nA,20240701,093000,1\nA,20240701,093100,2\n",
        "<DATE>,<TIME>,<CLOSE>\n2024.07.01,09:30:00,1\n2024.07.01,09:31:00,2\n",
    ):
        assert stamps(csv(written(tmp_path, text), calendar="24/7")) == wanted
    path = written(tmp_path, "Date,Time,Close\n01/07/2024,09:30,1\n01/07/2024,09:31,2\n")
    assert stamps(csv(path, calendar="24/7", date_format="%d/%m/%Y")) == wanted
    with pytest.raises(DataError, match=r"2024-07-01 with the day first .* or 2024-01-07"):
        csv(path, calendar="24/7")
    path = written(tmp_path, "Day,Clock,Close\n2024-07-01,0930,1\n2024-07-01,0931,2\n")
    assert stamps(csv(path, columns={"time": "Day", "clock": "Clock"}, calendar="24/7")) == wanted


def test_offsets_of_winter_and_summer_are_dates_or_moments(tmp_path: Path) -> None:
    days = "date,close\n2024-03-08 00:00:00-05:00,1\n2024-03-11 00:00:00-04:00,2\n"
    assert stamps(csv(written(tmp_path, days))) == ["2024-03-08 21:00", "2024-03-11 20:00"]
    hours = "date,close\n2024-03-08 11:00-05:00,1\n2024-03-11 11:00-04:00,2\n"
    assert stamps(csv(written(tmp_path, hours))) == ["2024-03-08 16:00", "2024-03-11 15:00"]
    with pytest.raises(DataError, match=r"line 3: midnights whose offset changes .* time_zone"):
        csv(written(tmp_path, days), calendar="24/7")
    with pytest.raises(DataError, match="line 2: a time without an offset, and line 3 has one"):
        csv(written(tmp_path, hours.replace("11:00-05:00", "11:00")))
    with pytest.raises(DataError, match="line 3: 2024-03-11 is a date among times of day"):
        csv(written(tmp_path, "date,close\n2024-03-08 11:00,1\n2024-03-11,2\n"))


def test_a_symbol_is_chosen_where_a_column_names_several(tmp_path: Path) -> None:
    path = written(tmp_path, "date,symbol,close\n2024-07-01,A,1\n2024-07-01,B,5\n2024-07-02,A,2\n2024-07-02,B,x\n")
    assert csv(path, symbol="A").close[:, 0].tolist() == [1.0, 2.0]
    with pytest.raises(DataError, match="line 5, column 'close': 'x' is no number"):
        csv(path, symbol="B")
    with pytest.raises(DataError, match="holds the symbols A, B; choose one with symbol="):
        csv(path)


def test_a_known_vendor_and_a_whole_column_are_noted(tmp_path: Path) -> None:
    path = written(tmp_path, "Gmt time,Close\n01.07.2024 00:00:00.000,1\n02.07.2024 00:00:00.000,2\n")
    history = csv(path)
    assert stamps(history) == ["2024-07-01 20:00", "2024-07-02 20:00"]
    (noted,) = [f for f in history.findings if f.code == "proved_order"]
    assert "Dukascopy" in noted.message
    path = written(
        tmp_path,
        "date,close\n2024-01-02,1\n2024-01-03,2\n".replace("2024-01-02", "01/02/2024").replace(
            "2024-01-03", "01/18/2024"
        ),
    )
    (noted,) = [f for f in csv(path).findings if f.code == "proved_order"]
    assert (noted.row, noted.severity) == (3, "warning")
    assert "a.csv: proved_order: line 3: times are read with the month first" in noted.message


def test_newest_first_is_turned_round_and_noted(tmp_path: Path) -> None:
    rows = "date,close\n2024-11-04 09:00,3\n2024-11-03 01:30,2\n2024-11-03 01:30,1\n2024-11-01 09:00,4\n"
    history = csv(written(tmp_path, rows), time_zone="America/New_York", calendar="24/7")
    assert stamps(history) == ["2024-11-01 13:00", "2024-11-03 05:30", "2024-11-03 06:30", "2024-11-04 14:00"]
    assert "newest_first" in [f.code for f in history.findings]
    assert history.close[:, 0].tolist() == [4.0, 1.0, 2.0, 3.0]


def test_half_a_line_is_no_bar_where_a_file_grows(tmp_path: Path) -> None:
    path = written(tmp_path, "date,close\n2024-07-01,5.25\n2024-07-02,6.")
    assert csv(path).close[:, 0].tolist() == [5.25, 6.0]
    assert csv(path, growing=True).close[:, 0].tolist() == [5.25]
    assert len(files({"A": path}, growing=True)) == 1
    with pytest.raises(DataError, match="no line has its end yet"):
        csv(written(tmp_path, "date,clo"), growing=True)


# --- bars stamped with their beginning --------------------------------------------------------------------------------


def codes(index: pd.DatetimeIndex, **how: str) -> dict[str, str]:
    frame = pd.DataFrame({"close": 100.0 + np.arange(len(index)) % 7}, index=index)
    return {f.code: f.message for f in check(read(frame, Reading(source="a.csv", **how)))}  # type: ignore[arg-type]


@pytest.mark.parametrize("calendar", ["XNYS", "XTKS", "XLON", "XASX"])
def test_days_stamped_with_their_midnight_are_an_error_that_names_the_zone(calendar: str) -> None:
    known = sessions(calendar, np.datetime64("2024-01-02"), np.datetime64("2024-12-20"))
    midnights = pd.DatetimeIndex(known.days).tz_localize(known.time_zone).tz_convert("UTC")
    assert f'set time_zone = "{known.time_zone}"' in codes(midnights, calendar=calendar)["early_stamp"]
    assert "early_stamp" not in codes(midnights, calendar=calendar, time_zone=known.time_zone)
    assert "early_stamp" not in codes(midnights.tz_convert(known.time_zone), calendar=calendar)
    assert "early_stamp" not in codes(pd.DatetimeIndex(known.closes, tz="UTC"), calendar=calendar)
    opens = pd.DatetimeIndex(known.opens, tz="UTC")
    if (opens == opens.normalize()).all():  # Tokyo opens at midnight UTC, which stands for the date
        return
    assert 'set bars_mark = "open"' in codes(opens, calendar=calendar)["early_stamp"]
    assert "early_stamp" not in codes(opens, calendar=calendar, bars_mark="open")


def test_an_evening_before_is_told_from_a_late_stamp() -> None:
    known = sessions("XNYS", np.datetime64("2024-03-11"), np.datetime64("2024-10-25"))
    late = pd.DatetimeIndex(known.closes + 2 * HOUR, tz="UTC")
    assert "early_stamp" not in codes(late)
    assert "early_stamp" in codes(late - pd.Timedelta(days=1))
    assert "early_stamp" not in codes(
        pd.DatetimeIndex(known.days).tz_localize("America/New_York") + pd.Timedelta(hours=16)
    )


@pytest.mark.parametrize(("rule", "what"), [("W-MON", "weeks"), ("MS", "months"), ("BMS", "months"), ("QS", "months")])
def test_weeks_and_months_named_by_their_first_day(rule: str, what: str) -> None:
    index = pd.date_range("2020-01-01", periods=14, freq=rule)
    assert what in codes(index)["early_stamp"]
    assert "early_stamp" not in codes(index, bars_mark="open")
    ends = {"W-MON": "W-FRI", "QS": "BQE"}.get(rule, "BME")
    assert "early_stamp" not in codes(pd.date_range("2020-01-01", periods=14, freq=ends))


def test_weeks_stamped_with_the_monday_of_new_york_in_utc() -> None:
    mondays = pd.date_range("2024-01-01", periods=30, freq="7D").tz_localize("America/New_York")
    assert "weeks" in codes((mondays + pd.Timedelta(hours=1)).tz_convert("UTC"))["early_stamp"]
    assert "weeks" in codes((mondays + pd.Timedelta(hours=9, minutes=30)).tz_convert("UTC"))["early_stamp"]
    fridays = mondays + pd.Timedelta(days=4, hours=16)
    assert "early_stamp" not in codes(fridays.tz_convert("UTC"))


@pytest.mark.parametrize("calendar", ["XNYS", "XLON", "XHKG"])
def test_half_hours_named_by_their_open_are_an_error(calendar: str) -> None:
    known = sessions(calendar, np.datetime64("2024-07-01"), np.datetime64("2024-07-31"))
    opens = np.concatenate([np.arange(o, c, HOUR // 2) for o, c in zip(known.opens, known.closes, strict=True)])
    assert 'set bars_mark = "open"' in codes(pd.DatetimeIndex(opens, tz="UTC"), calendar=calendar)["early_stamp"]
    assert "early_stamp" not in codes(pd.DatetimeIndex(opens, tz="UTC"), calendar=calendar, bars_mark="open")
    assert "early_stamp" not in codes(pd.DatetimeIndex(opens + HOUR // 2, tz="UTC"), calendar=calendar)


def test_bars_beyond_the_clock() -> None:
    days = DAY * np.arange(1, 5)
    assert beyond("a", days, 4 * DAY) == beyond("a", days, 3 * DAY) == ""
    assert "2 bars close after" in beyond("a", days, 2 * DAY)
    assert "a bar closes after" in beyond("a", np.array([DAY, 2 * DAY, 9 * DAY]), 3 * DAY)


# --- nobody guesses ---------------------------------------------------------------------------------------------------

READING = ("data", "config", "audit", "paper", "cli")
GUESSES = {"to_datetime", "parse_dates", "dayfirst", "infer_datetime_format", "dateutil", "strptime"}


def guessing(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names |= {str(getattr(node, field, "")).partition(".")[0] for field in ("attr", "id", "arg", "module", "name")}
    return names & GUESSES


def test_nothing_that_reads_times_guesses_them() -> None:
    engine, adapters = Path(barograph.__path__[0]), Path(barograph_adapters.__path__[0])
    paths = [path for part in READING for path in (engine / part).rglob("*.py")]
    paths += [path for path in adapters.rglob("*.py") if path.name != "stooq.py" and "peers" not in path.parts]
    assert {str(path): guessing(path) for path in paths if guessing(path)} == {}


def test_the_rule_against_guessing_can_fail(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("import pandas as pd\nx = pd.to_datetime(y)\n")
    assert guessing(tmp_path / "planted.py") == {"to_datetime"}


def test_no_machine_s_zone_or_clock_dates_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: pytest.fail("the clock was asked"))
    for seed in range(len(KINDS)):
        one = column(seed)
        assert judged(one, under_all(one)) == ""
    assert time_columns.outcome(column(0)).word in ("right", "refused")
