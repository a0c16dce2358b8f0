"""When to look: closes of every calendar, clock changes by hand, clocks that are set, and the laws of the next look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler
from hypothesis import given
from hypothesis import strategies as st

from barograph.config.paper import PaperPlan, seconds
from barograph.data.closes import Closes, Timetable
from barograph.paper.runner import LookTrigger
from barograph.paper.schedule import next_look
from tests.fakes.market import DAY, HOUR, MINUTE, SECOND, true_closes

CALENDARS = ("XNYS", "XETR", "BVMF", "24/7")


def ns(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").value)


def due_of(calendar: str, every: str = "session") -> Timetable:
    return Timetable((Closes(calendar, every),))


def shown(times: Any) -> list[str]:
    return [pd.Timestamp(int(t)).strftime("%m-%d %H:%M") for t in times]


@pytest.mark.parametrize(
    ("calendar", "every", "first", "last", "wanted"),
    [
        # New York moves its clocks on 2023-03-12 and 11-05, Frankfurt on 03-26 and 10-29: two weeks, and one, apart.
        ("XNYS", "session", "2023-03-10", "2023-03-14", ["03-10 21:00", "03-13 20:00"]),
        ("XETR", "session", "2023-03-10", "2023-03-14", ["03-10 16:30", "03-13 16:30"]),
        ("XETR", "session", "2023-03-24", "2023-03-28", ["03-24 16:30", "03-27 15:30"]),
        ("XNYS", "session", "2023-03-24", "2023-03-28", ["03-24 20:00", "03-27 20:00"]),
        ("XETR", "session", "2023-10-27", "2023-10-31", ["10-27 15:30", "10-30 16:30"]),
        ("XNYS", "session", "2023-10-27", "2023-10-31", ["10-27 20:00", "10-30 20:00"]),
        ("XNYS", "session", "2023-11-03", "2023-11-07", ["11-03 20:00", "11-06 21:00"]),
        # São Paulo moved its clocks for the southern summer until 2019; since 2019-11-04 it closes at 18:00, not 17:00.
        ("BVMF", "session", "2018-11-01", "2018-11-07", ["11-01 20:00", "11-05 19:00", "11-06 19:00"]),
        ("BVMF", "session", "2019-02-15", "2019-02-19", ["02-15 19:00", "02-18 20:00"]),
        ("BVMF", "session", "2019-11-01", "2019-11-05", ["11-01 20:00", "11-04 21:00"]),
        ("BVMF", "session", "2020-02-14", "2020-02-18", ["02-14 21:00", "02-17 21:00"]),
        # Half-days: the day after Thanksgiving; the last day of the year in Frankfurt.
        ("XNYS", "session", "2023-11-22", "2023-11-25", ["11-22 21:00", "11-24 18:00"]),
        ("XETR", "session", "2022-12-29", "2023-01-03", ["12-29 16:30", "12-30 13:00", "01-02 16:30"]),
        # Inside sessions the last bar ends with the session, on a half-day too; no bar at night or on holidays.
        ("XNYS", "2h", "2023-11-24", "2023-11-25", ["11-24 16:30", "11-24 18:00"]),
        ("XNYS", "2h", "2023-03-13", "2023-03-14", ["03-13 15:30", "03-13 17:30", "03-13 19:30", "03-13 20:00"]),
        ("24/7", "4h", "2023-03-26 01:00", "2023-03-26 12:00", ["03-26 04:00", "03-26 08:00", "03-26 12:00"]),
        ("24/7", "session", "2023-03-25", "2023-03-27", ["03-26 00:00", "03-27 00:00"]),
    ],
)
def test_closes_by_hand(calendar: str, every: str, first: str, last: str, wanted: list[str]) -> None:
    assert shown(due_of(calendar, every).between(ns(first), ns(last))) == wanted


@pytest.mark.parametrize("calendar", CALENDARS)
@pytest.mark.parametrize("every", ["session", "1h", "4h"])
def test_closes_of_years_are_those_of_the_calendar_however_they_are_asked_for(calendar: str, every: str) -> None:
    first, last = "2018-01-02", "2019-12-30"
    true = true_closes(calendar, every, first, last)
    begin, end = int(true[0]) - 1, int(true[-1])
    assert np.array_equal(due_of(calendar, every).between(begin, end), true)
    cuts = [begin, *np.sort(np.random.default_rng(0).integers(begin, end, 60)).tolist(), end]
    pieces = [due_of(calendar, every).between(a, b) for a, b in pairwise(cuts)]
    assert np.array_equal(np.concatenate(pieces), true)
    for t in (0, 100, 400):
        assert due_of(calendar, every).next(int(true[t]) - 1) == true[t]
        assert due_of(calendar, every).next(int(true[t])) == true[t + 1]


def test_an_interval_that_runs_backwards_holds_no_close() -> None:
    assert len(due_of("XNYS", "session").between(ns("2023-03-14"), ns("2023-03-10"))) == 0


plans = st.builds(
    lambda every, delay, retry, patience: PaperPlan(every=every, delay=delay, retry=retry, patience=patience),
    st.sampled_from(["session", "1h", "4h"]),
    st.sampled_from(["1s", "5m", "90m"]),
    st.sampled_from(["1s", "1m", "10m", "3h"]),
    st.sampled_from(["1m", "2h", "1d", "5d"]),
)
moments = st.integers(ns("2018-01-01"), ns("2019-12-31"))


@given(plan=plans, calendar=st.sampled_from(CALENDARS), now=moments, behind=st.integers(-5 * DAY, 20 * DAY))
def test_the_next_look_is_later_than_now_and_skips_no_close(
    plan: PaperPlan, calendar: str, now: int, behind: int
) -> None:
    """`behind` is how old the newest bar is; below 0 the clock was set back."""
    last = now - behind
    due = next_look(plan, due_of(calendar, plan.every), last, now)
    assert due > now
    delay, patience = seconds(plan.delay) * SECOND, seconds(plan.patience) * SECOND
    # Every close whose delay ends after now and before that look is decided already.
    skipped = [int(c) for c in due_of(calendar, plan.every).between(now - delay, due - delay - 1) if c > last]
    assert skipped == []
    waiting = due_of(calendar, plan.every).between(max(last, now - delay - patience), now - delay)
    if len(waiting):
        assert due <= now + seconds(plan.retry) * SECOND
    else:
        # No look is for nothing: it comes when a delay is over.
        assert len(due_of(calendar, plan.every).between(due - delay - 1, due - delay)) == 1


def test_the_look_after_a_close_its_retries_and_the_end_of_patience() -> None:
    plan = PaperPlan(delay="5m", retry="10m", patience="30m")
    close, before, after = ns("2023-03-13 20:00"), ns("2023-03-10 21:00"), ns("2023-03-14 20:00")
    looks = [next_look(plan, due_of("XNYS"), before, before + HOUR)]
    while looks[-1] < close + 2 * HOUR:
        looks.append(next_look(plan, due_of("XNYS"), before, looks[-1]))
    minutes = [(look - close) / MINUTE for look in looks[:-1]]
    assert minutes == [5, 15, 25, 35]
    assert looks[-1] == after + 5 * MINUTE
    # Nobody looks before the delay is over.
    assert (
        next_look(plan.model_copy(update={"retry": "1m"}), due_of("XNYS"), before, close + MINUTE) == close + 5 * MINUTE
    )
    # Once it is there, nobody looks before the next close.
    assert next_look(plan, due_of("XNYS"), close, close + 5 * MINUTE) == after + 5 * MINUTE


def test_a_clock_that_was_set_back_waits_for_the_close_after_the_last_bar() -> None:
    plan, last = PaperPlan(), ns("2023-03-13 20:00")
    for back in (HOUR, 3 * DAY, 400 * DAY):
        assert next_look(plan, due_of("XNYS"), last, last - back) == ns("2023-03-14 20:05")


def test_a_market_without_a_session_for_long_is_looked_at_after_it() -> None:
    """The exchange was shut from 2001-09-11 to 09-17."""
    assert next_look(PaperPlan(), due_of("XNYS"), ns("2001-09-10 20:00"), ns("2001-09-10 21:00")) == ns(
        "2001-09-17 20:05"
    )


def job_of(trigger: LookTrigger, first: datetime) -> Job:
    scheduler = BackgroundScheduler(timezone=UTC)
    return scheduler.add_job(print, trigger, next_run_time=first, coalesce=True, misfire_grace_time=None)


@pytest.mark.parametrize("due", [-5 * DAY, -1, 0, 1, SECOND // 2, DAY])
def test_what_was_missed_is_one_run_and_the_scheduler_never_asks_for_ever(due: int) -> None:
    """A scheduler collects moments until one is later than now: a trigger that answers "now" would never end it."""
    now = datetime(2023, 3, 13, 20, 5, tzinfo=UTC)
    trigger = LookTrigger(lambda: int(now.timestamp()) * SECOND + due)
    after = trigger.get_next_fire_time(now, now)
    assert after == (now + timedelta(days=1) if due == DAY else now + timedelta(seconds=1))
    job = job_of(trigger, now - timedelta(days=3))
    assert job._get_run_times(now) == [now - timedelta(days=3)]
