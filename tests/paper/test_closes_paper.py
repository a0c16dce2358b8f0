"""Live on complete data is the backtest of the same bars, however the source stamps them; all cases are a campaign."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from barograph.data.closes import Closes, Timetable
from tests.campaigns.closes import Case, run, traded
from tests.kit.vendors import loaded, table

CASES = [
    Case("XHKG", "1h", "opening", "spring"),
    Case("XNYS", "4h", "hours", "winter"),
    Case("FX", "session", "milliseconds", "autumn"),
    Case("XSHG", "week", "opening", "autumn"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case).replace("/", ""))
def test_every_decision_is_that_of_the_backtest(case: Case, tmp_path: Path) -> None:
    verdict = run(case, tmp_path)
    assert verdict.right, verdict
    assert verdict.bars > 10


def test_hours_in_which_nobody_traded_forbid_nothing(tmp_path: Path) -> None:
    whole = loaded("24/7", "1h", "hours", table("24/7", "1h", "hours", "2024-01-01", "2024-01-12"))
    kept = np.random.default_rng(5).random(len(whole)) > 0.33
    verdict = traded(whole.at(np.flatnonzero(kept)), 60, "1h", tmp_path)
    # One silence is longer than twice the longest of the sixty bars before: an incident that begins and ends.
    assert verdict._replace(alarms=0).right, verdict
    assert verdict.alarms <= 2


def test_a_schedule_that_counts_on_through_the_break_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was believed of every source before: closes from the opening, each an hour after the other."""
    wrong = Timetable((Closes("XHKG", "1h", breaks=False),))
    monkeypatch.setattr("barograph.paper.service.timetable", lambda *_: wrong)
    assert not run(CASES[0], tmp_path).right
