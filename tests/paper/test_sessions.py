"""Every session is decided exactly once, on time, through restarts and clock changes, whatever the feeds do."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from barograph.paper import schedule, service
from tests.campaigns.sessions import Process, Study, judged
from tests.fakes.market import HOUR, LOOK_FAULTS, MINUTE

YEARS = [
    Study("XNYS", "session", "2022-02-01", "2022-11-30", seed=1),
    Study("XETR", "session", "2021-02-15", "2021-11-30", seed=2),
    # The last southern summer of São Paulo, and the hour by which its exchange moved afterwards.
    Study("BVMF", "session", "2018-10-01", "2019-03-29", seed=3),
    Study("24/7", "session", "2023-02-15", "2023-06-15", seed=4),
    Study("XNYS", "1h", "2023-03-01", "2023-04-06", seed=5, patience=30),
    Study("24/7", "4h", "2023-03-10", "2023-04-20", seed=6),
]
WRONG = [
    Study("XNYS", "session", "2023-01-02", "2023-07-31", 11, assets=2, bars=0.25, looks=0.1, reducing=True),
    Study("XETR", "session", "2023-01-02", "2023-06-30", 15, assets=3, bars=0.3, looks=0.2, feeds=2),
    Study("BVMF", "session", "2023-01-02", "2023-06-30", 13, assets=1, bars=0.3, looks=0.3, feeds=2, reducing=True),
    Study("24/7", "4h", "2023-03-10", "2023-04-20", 14, assets=2, bars=0.2, looks=0.1, reducing=True),
]


def sampled(studies: list[Study], *here: int) -> list[Any]:
    """Return the studies as parameters; all but those numbered are for `make soak`."""
    return [
        pytest.param(study, id=f"{study.calendar}-{study.every}", marks=[] if n in here else pytest.mark.long)
        for n, study in enumerate(studies)
    ]


@pytest.mark.parametrize("study", sampled(YEARS, 2, 4, 5))
def test_each_session_is_decided_once_on_time_with_the_process_restarted_at_random(
    study: Study, tmp_path: Path
) -> None:
    figures = judged(study, tmp_path)
    assert figures.decided >= figures.closes - 1 > 90
    assert figures.restarts > 3
    assert set(figures.told) <= {"late_cycle"}


@pytest.mark.parametrize("study", sampled(WRONG, 2, 3))
def test_whatever_the_feeds_do_what_is_decided_and_told_is_what_the_rules_say(study: Study, tmp_path: Path) -> None:
    figures = judged(study, tmp_path)
    assert figures.decided > 50
    assert {"bad_data", "late_cycle"} <= set(figures.told)
    # Bars of four hours have been missing before: a source that was proved to be silent is not stale as soon.
    assert ("stale_data" in figures.told) == (study.every == "session")
    assert (figures.reduced > 5) == study.reducing


def test_the_feeds_of_these_tests_fail_in_every_way() -> None:
    study = WRONG[0]._replace(bars=0.5)
    source = study.sources()[0]
    times = [study.begins + n * 10 * MINUTE for n in range(3000)]
    faults = Counter(source.fault(now) for now in times)
    assert set(LOOK_FAULTS) < set(faults)
    fates = [source.fate(t) for t in range(10, len(study.market().closes))]
    closes = study.market().closes[10:]
    waits = np.array(
        [[came - int(ts) for came in arrivals] for ts, (arrivals, _, _) in zip(closes, fates, strict=True)]
    )
    for low, high in ((5 * MINUTE, 2 * HOUR), (2 * HOUR, 24 * HOUR), (24 * HOUR, 200 * HOUR), (2**55, 2**63 - 1)):
        assert ((waits.min(axis=1) > low) & (waits.max(axis=1) < high)).any()
    assert (waits.min(axis=1) < waits.max(axis=1)).any()
    assert any(revised < 2**61 for _, revised, _ in fates)


@pytest.mark.long
def test_two_clocks_that_change_on_different_days_move_each_close_on_its_own_day(tmp_path: Path) -> None:
    """The moment of each decision, in UTC, around the clock changes of 2023."""
    hours = {}
    for study in (YEARS[0], YEARS[1]._replace(first="2022-02-15", last="2022-11-30")):
        folder = tmp_path / study.calendar
        folder.mkdir()
        process = Process(study._replace(restarts=0.0), folder)
        process.run()
        stamps = [pd.Timestamp(look.at, tz="UTC") for look in process.looks if look.decided]
        hours[study.calendar] = {str(at.date()): at.hour for at in stamps if at.minute in (5, 35)}
    assert [hours["XNYS"][day] for day in ("2022-03-11", "2022-03-14", "2022-11-04", "2022-11-07")] == [21, 20, 20, 21]
    assert [hours["XETR"][day] for day in ("2022-03-25", "2022-03-28", "2022-10-28", "2022-10-31")] == [16, 15, 15, 16]


def test_a_clock_set_back_decides_nothing_twice(tmp_path: Path) -> None:
    """It is set back by days at random: what is decided is the market, each bar once."""
    study = Study("XNYS", "session", "2023-01-02", "2023-03-31", seed=7, restarts=0.0)
    process = Process(study, tmp_path)
    process._start()
    rng = np.random.default_rng(0)
    while process.clock.now() < study.ends:
        due = process._look()
        process.clock.set(due - int(rng.integers(1, 96)) * HOUR if rng.random() < 0.2 else due)
    process.service.stop()
    decided = [ts for look in process.looks for ts in look.decided]
    wanted = [int(ts) for ts in study.market().closes if int(decided[0]) <= ts <= int(decided[-1])]
    assert decided == wanted


def test_the_laws_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that waits a retry too long, skips a close, or decides a bar in its own way, is caught."""
    study = YEARS[0]._replace(last="2022-03-15", restarts=0.0)

    def broken(target: str, value: object) -> None:
        folder = tmp_path / target.rpartition(".")[2]
        folder.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(target, value)
            with pytest.raises(AssertionError):
                judged(study, folder)

    broken("barograph.paper.service.next_look", lambda *a: schedule.next_look(*a) + 24 * HOUR)
    broken("barograph.paper.service.Service._complete", lambda *_: False)
    whole = service.Service._gaps
    broken("barograph.paper.service.Service._gaps", lambda self, row, now: whole(self, row, now + 12 * HOUR))
