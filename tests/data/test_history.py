"""The bars themselves: closed to writing, strict about time, cut, joined, digested and perturbed without surprises."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barograph.audit.lookahead import perturbed
from barograph.data.calendars import DAY, closes, sessions
from barograph.data.history import FIELDS, History
from barograph.errors import DataError

HOUR = DAY // 24


def some(bars: int = 10, symbols: tuple[str, ...] = ("A",), step: int = DAY, first: int = 0, **rest: object) -> History:
    rng = np.random.default_rng(bars)
    close = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_normal((bars, len(symbols))), axis=0))
    return History.from_arrays(
        ts=first + step * np.arange(bars, dtype=np.int64),
        close=close,
        open=close * 1.001,
        high=close * 1.01,
        low=close * 0.99,
        volume=np.full(close.shape, 1e6),
        symbols=symbols,
        **rest,
    )


def same(one: History, other: History) -> bool:
    return all(np.array_equal(getattr(one, n), getattr(other, n), equal_nan=True) for n in ("ts", *FIELDS))


# --- shape, ownership -------------------------------------------------------------------------------------------


def test_arrays_are_copied_closed_and_in_c_order() -> None:
    close = np.asfortranarray(np.ones((4, 2)))
    history = History.from_arrays(ts=np.arange(4), close=close)
    close[:] = 7.0
    assert (history.close == 1.0).all()
    for name in ("ts", *FIELDS):
        array = getattr(history, name)
        assert array.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_closed_view_of_an_open_array_is_copied_too() -> None:
    close = np.ones((4, 1))
    view = close[:]
    view.flags.writeable = False
    history = History.from_arrays(ts=np.arange(4), close=view)
    close[:] = 7.0
    assert (history.close == 1.0).all()


def test_a_pickled_history_stays_closed() -> None:
    history = pickle.loads(pickle.dumps(some()))
    assert same(history, some())
    assert history.digest() == some().digest()
    assert not history.close.flags.writeable


def test_slices_share_memory_with_the_whole() -> None:
    history = some(100)
    assert np.shares_memory(history.head(50).close, history.close)


def test_bars_of_a_row_are_closed_views() -> None:
    history = some(10, ("A", "B"))
    bars = history.bars(3)
    assert bars.ts == 3 * DAY
    assert type(bars.ts) is int
    assert np.shares_memory(bars.close, history.close)
    assert not bars.close.flags.writeable
    assert (bars.high == history.high[3]).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ts": [], "close": np.empty((0, 1))}, "no bars"),
        ({"ts": [0, 1], "close": [1.0]}, r"shape \(1, 1\); wanted \(2, 1\)"),
        ({"ts": [0, 0], "close": [1.0, 1.0]}, "row 1.*does not follow"),
        ({"ts": [5, 4], "close": [1.0, 1.0]}, "row 1.*sort the bars"),
        ({"ts": [0, 2**63 - 1], "close": [1.0, 1.0]}, "row 1.*1700..2250"),
        ({"ts": [-(2**63), 0], "close": [1.0, 1.0]}, "row 0.*1700..2250"),
        ({"ts": [0.5, 1.5], "close": [1.0, 1.0]}, "wanted int64 nanoseconds"),
        ({"ts": np.array(["2300-01-01"], "M8[s]"), "close": [1.0]}, "1700..2250"),
        ({"ts": [0], "close": [[1.0, 2.0]], "symbols": ["A", "A"]}, "'A' comes twice"),
        ({"ts": [0], "close": [[1.0, 2.0]], "traded": [True]}, "traded has 1 entries for 2"),
    ],
)
def test_what_is_no_history_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        History.from_arrays(**arguments)
    assert "\n" not in str(caught.value)


def test_datetimes_of_any_unit_become_nanoseconds() -> None:
    for unit in ("s", "ms", "us", "ns"):
        stamps = np.array(["2024-07-01T20:00", "2024-07-02T20:00"], f"M8[{unit}]")
        history = History.from_arrays(ts=stamps, close=[1.0, 2.0])
        assert history.ts[0] == pd.Timestamp("2024-07-01 20:00").value


# --- time ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "calendar", "periods"),
    [
        (DAY, "XNYS", 252.0),
        (DAY, "24/7", 365.0),
        (7 * DAY, "24/7", 52.0),
        (30 * DAY, "XNYS", 12.0),
        (91 * DAY, "XNYS", 4.0),
        (365 * DAY, "XNYS", 1.0),
        (2 * DAY, "24/7", 182.5),
        (3 * DAY, "24/7", 365.0 / 3),
        (10 * DAY, "24/7", 36.5),
        (14 * DAY, "XNYS", 26.0),
        (28 * DAY, "XNYS", 13.0),
        (61 * DAY, "XNYS", 6.0),
        (45 * DAY, "24/7", 365.0 / 45),
        (182 * DAY, "XNYS", 2.0),
        (730 * DAY, "XNYS", 0.5),
        (4 * HOUR, "24/7", 365.0 * 6),
        (HOUR, "24/7", 365.0 * 24),
        (5 * 60 * 10**9, "24/7", 365.0 * 288),
    ],
)
def test_periods(step: int, calendar: str, periods: float) -> None:
    assert some(50, step=step, calendar=calendar).periods == periods


def test_periods_of_an_exchange_by_the_hour() -> None:
    known = sessions("XNYS", np.datetime64("2024-07-01"), np.datetime64("2024-07-31"))
    ts = np.concatenate([close - HOUR * np.arange(6, -1, -1) for close in known.closes])
    assert History.from_arrays(ts=ts, close=np.ones(len(ts))).periods == 252.0 * 7


@pytest.mark.parametrize(
    ("frequency", "calendar", "periods"),
    [
        ("2B", "XNYS", 126.0),
        ("3B", "XNYS", 84.0),
        ("W-FRI", "XNYS", 52.0),
        ("2W-FRI", "XTKS", 26.0),
        ("4W-FRI", "XNYS", 13.0),
        ("BME", "XNYS", 12.0),
        ("BQE", "XLON", 4.0),
        ("2BQE", "XNYS", 2.0),
        ("BYE", "XNYS", 1.0),
        ("2D", "24/7", 182.5),
        ("3W", "24/7", 52.0 / 3.0),
        ("ME", "24/7", 12.0),
        ("2ME", "24/7", 6.0),
    ],
)
def test_bars_of_several_days_count_by_their_spacing(frequency: str, calendar: str, periods: float) -> None:
    """Stamped with the closes of their last sessions, over clock changes and holidays."""
    days = pd.date_range("2015-01-02", "2023-12-29", freq=frequency).to_numpy().astype("M8[D]")
    ts = np.unique(closes(calendar, days))
    assert History.from_arrays(ts=ts, close=np.ones(len(ts)), calendar=calendar).periods == periods


def test_daily_bars_over_a_weekend_are_daily() -> None:
    friday, monday = (pd.Timestamp(text).value for text in ("2024-07-05 20:00", "2024-07-08 20:00"))
    assert History.from_arrays(ts=[friday, monday], close=[1.0, 1.0]).periods == 252.0


def test_calendars_come_together_in_one_order() -> None:
    named = {"A": "XTKS", "B": "24/7", "C": "XNYS"}
    one, other, third = (some(4, (symbol,), calendar=code, currency="USD") for symbol, code in named.items())
    assert one.join(other, third).calendar == third.join(one).join(other).calendar == "24/7+XNYS+XTKS"
    assert one.join(other).calendars == ("24/7", "XTKS")
    assert one.join(other, rows="mine").calendar == "XTKS"
    alias = some(4, ("D",), calendar="NYSE", currency="USD")
    assert (alias.calendar, alias.join(third).calendar, alias.join(third).by_day) == ("NYSE", "XNYS", False)
    assert some(4, ("E",), calendar="nobody's", currency="USD").join(one).calendar == "XTKS+nobody's"
    with pytest.raises(DataError, match="names 2 markets; wanted one, such as 'XNYS'"):
        sessions("XNYS+XTKS", np.datetime64("2024-07-01"), np.datetime64("2024-07-31"))


def test_a_history_of_several_markets_counts_days() -> None:
    """Four years of a market around the clock, and of one whose days end nine hours later: 365.25 days a year."""
    one = some(1461, ("A",), first=DAY, calendar="24/7", currency="USD")
    other = some(1461, ("B",), first=DAY + 9 * HOUR, calendar="XTKS", currency="USD")
    both = one.join(other)
    assert (both.by_day, one.by_day) == (True, False)
    assert both.periods == other.join(one).periods == pytest.approx(365.25, rel=1e-3)
    assert both.spacing == DAY
    # Two rows of one day are told apart.
    assert (both.when(1), both.when(2), one.when(1)) == ("1970-01-02 09:00:00Z", "1970-01-03 00:00:00Z", "1970-01-02")
    close_by = one.join(some(1400, ("C",), first=DAY + HOUR, calendar="XTKS", currency="USD"))
    assert (close_by.when(1), close_by.when(2)) == ("1970-01-02 01:00:00Z", "1970-01-03 00:00:00Z")


def test_daily_bars_of_one_market_that_end_at_two_hours_count_days() -> None:
    early, late = some(100, ("A",), first=DAY), some(100, ("B",), first=DAY + HOUR)
    assert early.join(late).periods == late.join(early).periods == pytest.approx(365.25, rel=0.02)
    hours, others = some(100, ("A",), step=HOUR, calendar="24/7"), some(100, ("B",), step=2 * HOUR, calendar="24/7")
    assert (hours.join(others).by_day, hours.join(others).periods) == (False, 365.0 * 24)
    assert early.join(late.observe("B"), rows="mine").periods == 252.0


def test_between_takes_both_ends_whole() -> None:
    first = pd.Timestamp("2024-07-01 00:00").value
    history = some(10 * 24 + 1, step=HOUR, first=first, calendar="24/7")
    day = history.between("2024-07-03", "2024-07-04")
    assert (history.ts[0], len(day)) == (first, 48)
    # The bar that closes at midnight belongs to the day that ends there.
    assert str(pd.Timestamp(day.ts[0])) == "2024-07-03 01:00:00"
    assert str(pd.Timestamp(day.ts[-1])) == "2024-07-05 00:00:00"
    assert len(history.between("2024-07-03 01:00", "2024-07-03 02:00")) == 2
    assert len(history.between(int(history.ts[5]), int(history.ts[7]))) == 3
    assert len(history.between(pd.Timestamp("2024-07-03 01:00", tz="UTC"), None)) == len(history) - 49
    assert same(history.between(), history)


def test_between_names_the_mistake() -> None:
    with pytest.raises(DataError, match="no bars between"):
        some().between("2024-01-01", None)
    with pytest.raises(DataError, match="start = 'soon' is no time"):
        some().between("soon")


def test_when_and_index() -> None:
    first = pd.Timestamp("2024-07-01 20:00").value
    daily = some(5, first=first)
    assert [daily.when(0), daily.when(-1)] == ["2024-07-01", "2024-07-05"]
    assert [daily.index(3), daily.index("2024-07-04"), daily.index("2020-01-01")] == [3, 3, 0]
    around_the_clock = some(5, first=pd.Timestamp("2024-07-02").value, calendar="24/7")
    assert around_the_clock.when(0) == "2024-07-01"
    assert around_the_clock.index("2024-07-01") == 0
    assert some(5, step=HOUR, first=first).when(1) == "2024-07-01 21:00:00Z"
    for beyond in ("2025-01-01", 5, -1):
        with pytest.raises(DataError, match="no bar at"):
            daily.index(beyond)


def test_closes_know_half_days_and_daylight_saving() -> None:
    days = np.array(["2023-11-24", "2024-01-02", "2024-07-01", "2024-07-04"], "M8[D]")
    found = [str(pd.Timestamp(t)) for t in closes("XNYS", days)]
    # A date that is no session (4 July) closes at 16:00 New York time.
    assert found == ["2023-11-24 18:00:00", "2024-01-02 21:00:00", "2024-07-01 20:00:00", "2024-07-04 20:00:00"]
    assert pd.Timestamp(closes("XNYS", days[-1:], "17:30", "UTC")[0]) == pd.Timestamp("2024-07-04 17:30")
    assert pd.Timestamp(closes("24/7", days[-1:])[0]) == pd.Timestamp("2024-07-05")
    assert pd.Timestamp(closes("24/7", days[-1:], time_zone="America/New_York")[0]) == pd.Timestamp("2024-07-05 04:00")


def test_calendars_name_the_mistake() -> None:
    days = np.array(["2024-07-04"], "M8[D]")
    with pytest.raises(DataError, match="calendar = 'XNYZ' is unknown; did you mean"):
        closes("XNYZ", days)
    with pytest.raises(DataError, match="time_zone = 'Mars/Olympus' is unknown"):
        closes("XNYS", days, time_zone="Mars/Olympus")
    with pytest.raises(DataError, match="closes_at = 'noon'"):
        closes("XNYS", days, closes_at="noon")


def test_dates_before_a_calendar_begins_are_dates_still() -> None:
    days = np.array(["1950-01-02", "2020-01-02"], "M8[D]")
    assert [str(pd.Timestamp(t)) for t in closes("XKRX", days)] == ["1950-01-02 07:00:00", "2020-01-02 06:30:00"]


def test_importing_history_imports_no_calendars() -> None:
    code = "import sys, barograph.data.history; sys.exit('exchange_calendars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- assets ---------------------------------------------------------------------------------------------------------


def test_columns_and_observed_assets() -> None:
    history = some(3, ("SPY", "VIX"))
    assert history.column("VIX") == 1
    assert history.observe("VIX").traded == (True, False)
    assert history.traded == (True, True)
    with pytest.raises(DataError, match="no asset 'SPYY'; did you mean 'SPY'"):
        history.column("SPYY")
    with pytest.raises(DataError, match="no asset 'GLD'"):
        history.observe("GLD")


def test_join_is_the_outer_union_with_nan() -> None:
    one, other = some(4, ("A",)), some(4, ("B",), first=2 * DAY)
    both = one.join(other)
    assert both.symbols == ("A", "B")
    assert both.ts.tolist() == [DAY * n for n in range(6)]
    assert np.isnan(both.close[4:, 0]).all()
    assert np.isnan(both.close[:2, 1]).all()
    assert (both.close[:4, 0] == one.close[:, 0]).all()
    assert (both.volume[2:, 1] == other.volume[:, 0]).all()
    mine = one.join(other.observe("B"), rows="mine")
    assert (len(mine), mine.traded) == (4, (True, False))
    assert (mine.close[2:, 1] == other.close[:2, 0]).all()


def test_join_names_the_mistake() -> None:
    with pytest.raises(DataError, match="'A' comes twice"):
        some().join(some())
    with pytest.raises(DataError, match="rows = 'left'"):
        some().join(some(symbols=("B",)), rows="left")


def test_frame_round_trip() -> None:
    history = some(6, ("A", "B"), first=pd.Timestamp("2024-07-01 20:00").value)
    frame = history.frame()
    assert frame["B"]["close"].tolist() == history.close[:, 1].tolist()
    assert str(frame.index.tz) == "UTC"
    again = History.from_pandas({symbol: frame[symbol] for symbol in history.symbols})
    assert (again.ts == history.ts).all()
    for name in FIELDS[:4]:
        assert np.array_equal(getattr(again, name), getattr(history, name))


# --- digest ---------------------------------------------------------------------------------------------------------


def test_digest_sees_all_that_matters_and_nothing_else() -> None:
    def made(**change: object) -> History:
        base: dict[str, object] = {"ts": [0, DAY], "close": [1.0, np.nan], "symbols": ["A"], "calendar": "XNYS"}
        return History.from_arrays(**{**base, **change})

    plain = made().digest()
    changes: list[dict[str, object]] = [
        {"ts": [0, DAY + 1]},
        {"close": [1.0 + 1e-16 * 3, np.nan]},
        {"volume": [0.0, np.nan]},
        {"high": [1.1, np.nan]},
        {"symbols": ["B"]},
        {"calendar": "24/7"},
        {"traded": [False]},
    ]
    assert len({plain, *(made(**change).digest() for change in changes)}) == len(changes) + 1
    assert made(source="elsewhere").digest() == plain
    other_nan = np.array([0x3FF0000000000000, 0x7FF8000000000001], dtype=np.uint64).view(np.float64)
    assert np.isnan(other_nan[1])
    assert made(close=other_nan).digest() == plain


# --- perturbed ------------------------------------------------------------------------------------------------------


@given(bars=st.integers(2, 30), cut=st.integers(-1, 29), seed=st.integers(0, 99))
def test_perturbed_keeps_the_past_and_changes_all_the_future(bars: int, cut: int, seed: int) -> None:
    after = min(cut, bars - 1)
    history = some(bars, ("A", "B")).join(some(bars, ("C",), first=3 * DAY))
    changed = perturbed(history, after, seed)
    past = slice(0, after + 1)
    for name in FIELDS:
        old, new = getattr(history, name), getattr(changed, name)
        assert np.array_equal(old[past], new[past], equal_nan=True)
        assert (np.isnan(old) == np.isnan(new)).all()
        later = new[after + 1 :]
        assert ((later != old[after + 1 :]) | np.isnan(later)).all()
        assert ((later > 0) | np.isnan(later)).all()
    known = ~np.isnan(changed.close)
    assert (changed.high >= np.maximum(changed.open, changed.close))[known].all()
    assert (changed.low <= np.minimum(changed.open, changed.close))[known].all()
    assert same(changed, perturbed(history, after, seed))


def test_an_observed_asset_that_closes_later_is_seen_a_row_later() -> None:
    day, quarter = 86_400_000_000_000, 900_000_000_000
    mine = History.from_arrays(ts=[day, 2 * day, 3 * day], close=[1.0, 2.0, 3.0], symbols=["A"])
    late = History.from_arrays(ts=[day + quarter, 2 * day + quarter], close=[10.0, 20.0], symbols=["B"])
    joined = mine.join(late.observe("B"), rows="mine")
    np.testing.assert_array_equal(joined.close[:, 1], [np.nan, 10.0, 20.0])
