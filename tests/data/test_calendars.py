"""Every calendar can be built, or says in one line that it cannot; and each knows where it ends."""

from __future__ import annotations

import datetime

import exchange_calendars
import numpy as np
import pandas as pd
import pytest

from barograph.data.calendars import DAY, horizon, sessions
from barograph.data.checks import check
from barograph.data.reading import read
from barograph.data.table import Reading
from barograph.epoch import LAST
from barograph.errors import DataError

NAMES = exchange_calendars.get_calendar_names(include_aliases=False)
ENDING = "XSHG"
USUAL = ("XNYS", "XLON", "XTKS", "XHKG", "XSHG", "BVMF")


# One in four, and those that are known to be hard: no bar of theirs can be built, or they end.
SOME = sorted({*NAMES[::4], *USUAL, "ASEX", "XBEL", "XBSE", "XCYS", "XTAE", "XBOM", "XSES"})


@pytest.mark.parametrize("names", [SOME, pytest.param(NAMES, marks=pytest.mark.long)], ids=["some", "all"])
def test_every_calendar_has_sessions_this_year_and_the_next_or_says_why_not(names: list[str]) -> None:
    year = datetime.datetime.now(datetime.UTC).year
    first, last = np.datetime64(f"{year}-01-01"), np.datetime64(f"{year + 1}-12-31")
    built = []
    for name in names:
        try:
            found = sessions(name, first, last)
        except DataError as error:
            line = str(error)
            assert len(line) < 400
            assert "\n" not in line
            assert f"calendar = {name!r}: exchange_calendars" in line
            assert "use releases of the two that can" in line
            continue
        built.append(name)
        known = np.datetime64(min(horizon(name) - 1, LAST - 1), "ns").astype("M8[D]")
        for one in (year, year + 1):
            days = found.days[found.days.astype("M8[Y]") == np.datetime64(f"{one}")]
            if known >= np.datetime64(f"{one}-12-31"):
                assert len(days) > 200, (name, one)
            assert (days <= known).all()
    assert len(built) >= len(names) - 11
    assert set(USUAL) <= set(built)


def test_the_end_of_several_markets_is_the_nearest_one() -> None:
    until = horizon(ENDING)
    assert horizon(f"XNYS+{ENDING}") == horizon(f"24/7+{ENDING}") == until
    assert (
        sessions(ENDING, np.datetime64(until - 30 * DAY, "ns"), np.datetime64(until + 400 * DAY, "ns")).closes[-1]
        < until
    )


def test_a_calendar_that_the_library_cannot_build_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("Special dates " + "2006-12-03 " * 5000)

    monkeypatch.setattr(exchange_calendars, "get_calendar", broken)
    with pytest.raises(DataError, match="cannot build it with pandas") as caught:
        sessions("XMIL", np.datetime64("1971-01-01"), np.datetime64("1971-12-31"))
    assert len(str(caught.value)) < 400


def test_bars_beyond_the_calendar_are_found() -> None:
    until = horizon(ENDING)
    if until == LAST:
        pytest.skip("this release of exchange_calendars knows no end of it")
    last = pd.Timestamp(until - DAY)
    known = sessions(ENDING, np.datetime64(last - pd.Timedelta(days=60)), np.datetime64(last)).days
    later = pd.bdate_range(last + pd.Timedelta(days=3), periods=5).to_numpy()
    days = np.concatenate([known.astype("M8[ns]"), later.astype("M8[ns]")])
    close = 100.0 + np.sin(np.arange(len(days)))
    frame = pd.DataFrame({"close": close}, index=pd.DatetimeIndex(days, name="date"))
    how = Reading(source="a.csv", symbol="A", calendar=ENDING)
    (found,) = [one for one in check(read(frame, how)) if one.code == "beyond_calendar"]
    assert (found.severity, found.count) == ("warning", 5)
    assert f"lies after {last.date()}, where {ENDING} ends" in found.message
    assert not [one for one in check(read(frame.iloc[: len(known)], how)) if one.code == "beyond_calendar"]
