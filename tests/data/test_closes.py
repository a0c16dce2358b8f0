"""When bars close: vendors' ways on real calendars, learned from the bars so far, and days by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from barograph.data.calendars import horizon
from barograph.data.closes import Closes, Timetable, clocked, duration
from barograph.data.learning import agreeing, learned
from barograph.epoch import HOUR
from barograph.errors import DataError
from tests.kit.vendors import VENDORS, loaded, table

MARKETS = (
    "XNYS", "XHKG", "XSHG", "XTKS", "XLON", "XETR", "XASX", "XBOM", "XSES", "XKRX",
    "XSAU", "BVMF", "XTSE", "XMEX", "XJSE", "XIDX", "XBKK", "CMES", "FX", "24/7",
)  # fmt: skip
"""Calendars with and without a midday break, of both hemispheres, one of Sundays, two that hardly stop, one never."""

STEPS = ("5m", "30m", "1h", "4h", "session", "week")


def at(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").value)


def shown(ts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[str]:
    return [pd.Timestamp(t).strftime("%m-%d %H:%M") for t in ts]


@pytest.mark.parametrize("number", range(len(MARKETS)))
def test_what_is_learned_from_a_third_of_a_year_tells_every_close_of_the_rest(number: int) -> None:
    """Over clock changes, half-days, golden weeks and Lunar New Year; each market and step in one vendor's way."""
    market = MARKETS[number]
    # Five minutes are many bars: three markets have them here, and each in the campaign of the same name.
    for n, step in enumerate(STEPS if market in ("XNYS", "XHKG", "24/7") else STEPS[1:]):
        vendor = VENDORS[(number + n) % len(VENDORS)]
        # Minutes of a year are many: theirs is a winter that turns into spring.
        history = loaded(market, step, vendor, table(market, step, vendor, "2024-01-02", _until(step)))
        known = history.ts[: len(history) // 3]
        found = learned(market, known, step)
        due = found.between(int(history.ts[0]) - 1, int(history.ts[-1]))
        assert np.array_equal(due, history.ts), (market, step, vendor, found)


def _until(step: str) -> str:
    return "2024-04-12" if step in ("5m", "30m") else "2024-12-31"


def test_a_vendor_taken_for_another_would_be_seen() -> None:
    """The law above can fail: each way, held against the bars of another, misses closes or has some too many."""
    for market, step in (("XNYS", "1h"), ("XHKG", "1h"), ("XNYS", "4h"), ("FX", "4h")):
        ts = {v: loaded(market, step, v, table(market, step, v, "2024-01-02", "2024-12-31")).ts for v in VENDORS[:2]}
        for mine, other in (VENDORS[:2], VENDORS[1::-1]):
            found = learned(market, ts[mine][:300], step)
            due = found.between(int(ts[other][0]) - 1, int(ts[other][-1]))
            assert not np.array_equal(due, ts[other]), (market, step, mine)


@pytest.mark.parametrize(
    ("closes", "first", "last", "wanted"),
    [
        # Hong Kong: six hours around lunch, as one vendor has them; Christmas Eve ends at noon.
        (Closes("XHKG", "1h"), "2024-12-23", "2024-12-24 20:00", [
            "12-23 02:30", "12-23 03:30", "12-23 04:00", "12-23 06:00", "12-23 07:00", "12-23 08:00",
            "12-24 02:30", "12-24 03:30", "12-24 04:00"]),
        # A last bar of the morning that is a whole hour long ends in the break.
        (Closes("XHKG", "1h", over="breaks"), "2024-12-23", "2024-12-23 05:00", [
            "12-23 02:30", "12-23 03:30", "12-23 04:30"]),
        # New York by the full hour on a half-day, and from Friday to Monday over the clock change.
        (Closes("XNYS", "1h", "clock"), "2024-11-29", "2024-11-30", [
            "11-29 15:00", "11-29 16:00", "11-29 17:00", "11-29 18:00"]),
        (Closes("XNYS", "4h", "clock"), "2024-03-08", "2024-03-12", [
            "03-08 17:00", "03-08 21:00", "03-11 16:00", "03-11 20:00"]),
        (Closes("XNYS", "4h", "clock", "UTC"), "2024-03-08", "2024-03-12", [
            "03-08 16:00", "03-08 20:00", "03-08 21:00", "03-11 16:00", "03-11 20:00"]),
        # Before and after the session: four in the morning to eight in the evening.
        (Closes("XNYS", "4h", "clock", hours=(4 * HOUR, 20 * HOUR)), "2024-07-02", "2024-07-03", [
            "07-02 12:00", "07-02 16:00", "07-02 20:00", "07-03 00:00"]),
        # The currency week begins on Sunday at 17:00 New York, and nothing closes at its weekend.
        (Closes("FX", "session"), "2024-03-08", "2024-03-12", ["03-08 22:00", "03-11 21:00"]),
        (Closes("FX", "4h"), "2024-03-08 17:00", "2024-03-11 06:00", [
            "03-08 18:00", "03-08 22:00", "03-11 01:00", "03-11 05:00"]),
        # A week ends with its last session; the golden week of Shanghai has none.
        (Closes("XNYS", "week"), "2024-03-25", "2024-04-06", ["03-28 20:00", "04-05 20:00"]),
        (Closes("XSHG", "week"), "2024-09-23", "2024-10-12", ["09-27 07:00", "09-30 07:00", "10-11 07:00"]),
        (Closes("XNYS", "month"), "2024-05-01", "2024-07-05", ["05-31 20:00", "06-28 20:00"]),
        # Told times of day, of which a half-day cuts the last.
        (Closes("XNYS", "1h", times=(clocked("12:00"), clocked("15:45"))), "2024-11-27", "2024-11-30", [
            "11-27 17:00", "11-27 20:45", "11-29 17:00", "11-29 18:00"]),
        # Futures that settle at two in the afternoon.
        (Closes("XNYS", "session", times=(clocked("14:00"),)), "2024-03-08", "2024-03-12", [
            "03-08 19:00", "03-11 18:00"]),
        (Closes("24/7", "week"), "2024-01-01", "2024-01-16", ["01-08 00:00", "01-15 00:00"]),
        (Closes("24/7", "1h", shift=-1_000_000), "2024-01-01", "2024-01-01 02:00", ["01-01 00:59", "01-01 01:59"]),
    ],
)  # fmt: skip
def test_closes_by_hand(closes: Closes, first: str, last: str, wanted: list[str]) -> None:
    assert shown(closes.between(at(first), at(last))) == wanted


@pytest.mark.parametrize("closes", [
    Closes("XHKG", "30m"), Closes("XNYS", "4h", "clock", "UTC", over="all"), Closes("FX", "1h", "clock"),
    Closes("XSHG", "week"), Closes("XNYS", "month"), Closes("24/7", "4h", shift=-1), Closes("XNYS", "session"),
])  # fmt: skip
def test_however_they_are_asked_for_they_are_the_same(closes: Closes) -> None:
    first, last = at("2023-01-02"), at("2024-12-30")
    whole = closes.between(first, last)
    cuts = [first, *np.sort(np.random.default_rng(1).integers(first, last, 40)).tolist(), last]
    assert np.array_equal(np.concatenate([closes.between(a, b) for a, b in pairwise(cuts)]), whole)
    assert (np.diff(whole) > 0).all()
    source = Timetable((closes,))
    assert source.next(int(whole[7]) - 1) == whole[7]
    assert source.next(int(whole[7])) == whole[8]


def test_bars_that_are_missing_are_no_reason_to_learn_another_way() -> None:
    """A third of the hours without a trade, an odd bar in two hundred: the rule is found, and knows the silences."""
    whole = Closes("24/7", "1h").between(at("2024-01-01"), at("2024-03-01"))
    kept = whole[np.random.default_rng(5).random(len(whole)) > 0.33]
    found = learned("24/7", kept, "1h")
    assert found == Timetable((Closes("24/7", "1h"),))
    assert found.silence(kept) == max(len(gap) for gap in "".join("." if t in kept else "x" for t in whole).split("."))
    kept[100] += 17
    assert learned("24/7", kept, "1h") == found
    kept[:20] += 17
    with pytest.raises(DataError, match=r"bars: 2\d of \d+ bars do not close every 1h"):
        agreeing(found, kept, "bars")


def test_an_odd_bar_is_no_reason_for_closes_that_never_come() -> None:
    ts = Closes("XNYS", "1h", "clock").between(at("2024-01-02"), at("2024-10-01"))
    odd = np.sort(np.append(ts, at("2024-07-01 12:00")))
    assert learned("XNYS", odd, "1h") == Timetable((Closes("XNYS", "1h", "clock"),))


@pytest.mark.parametrize(("zone", "clock"), [("UTC", "22:00"), ("UTC", "21:00"), ("", "17:00"), ("", "18:00")])
def test_days_that_close_after_the_session_are_learned_in_summer_and_in_winter(zone: str, clock: str) -> None:
    told = Timetable((Closes("XNYS", "session", zone=zone, times=(clocked(clock),)),))
    for first, last in (("2023-11-10", "2024-08-30"), ("2016-01-04", "2024-08-30"), ("2024-04-01", "2024-12-30")):
        ts = told.between(at(first), at(last))
        assert len(learned("XNYS", ts, "session").off(ts)) == 0


def test_the_last_week_and_month_of_a_calendar_that_ends() -> None:
    """XSHG is known until the end of 2026, a Thursday: whether its week goes on nobody knows, but its month is over."""
    assert horizon("XSHG") == at("2027-01-01"), "the calendar knows more now: take its last year here"
    span = at("2026-12-20"), at("2027-02-01")
    assert shown(Closes("XSHG", "month").between(*span)) == ["12-31 07:00"]
    assert shown(Closes("XSHG", "week").between(*span)) == ["12-25 07:00"]


def test_told_times_on_another_clock_know_short_days_by_the_exchanges() -> None:
    told = Closes("XNYS", "1h", zone="UTC", times=tuple(map(clocked, ("15:00", "18:00", "21:00"))))
    found = told.between(at("2024-01-02"), at("2024-12-31"))
    assert sorted({text[6:] for text in shown(found)}) == ["15:00", "17:00", "18:00", "21:00"]


def test_a_way_that_is_told_takes_the_milliseconds_from_the_bars() -> None:
    ts = Closes("24/7", "1h").between(at("2024-01-01"), at("2024-01-09")) - 1_000_000
    assert len(agreeing(Timetable((Closes("24/7", "1h"),)), ts, "bars").off(ts)) == 0


def test_two_markets_in_one_account_close_by_one_rule_in_each() -> None:
    both = Timetable((Closes("XHKG", "1h"), Closes("XNYS", "1h")))
    ts = both.between(at("2024-01-02"), at("2024-06-28"))
    assert learned("XHKG+XNYS", ts, "1h") == both


def test_milliseconds_before_the_hour_are_learned() -> None:
    ts = Closes("24/7", "4h").between(at("2024-01-01"), at("2024-02-01")) - 1_000_000
    assert np.array_equal(learned("24/7", ts, "4h").between(int(ts[0]) - 1, int(ts[-1])), ts)


def test_bars_of_no_rule_are_refused_with_the_cure() -> None:
    ts = at("2024-01-02 15:00") + np.cumsum(np.random.default_rng(0).integers(1, 7200, 500)) * 1_000_000_000
    with pytest.raises(DataError, match=r"abc.csv: \d+ of 500 bars do not close .*; mend calendar, bars_mark or every"):
        learned("XNYS", ts, "1h", "abc.csv")


def test_a_duration_is_nanoseconds() -> None:
    assert duration("90m") == 1.5 * HOUR
