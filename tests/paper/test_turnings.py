"""Two hundred cycles over three changes of regime, an outage and commands: samples of `tests.campaigns.turnings`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaigns.outages import MINUTE, Study, letters
from tests.campaigns.turnings import Turning, studies

GOLDEN = Path(__file__).parent / "golden" / "three_changes.txt"


def test_three_changes_and_an_outage_read_like_this() -> None:
    """The messages that one person gets; where words are changed on purpose, the file is written anew and read."""
    turning = Turning(Study(seed=1, lasts=30 * MINUTE, step=MINUTE)).run()
    told = turning.judge()
    assert told["regime_change"] >= 3
    text = letters(turning)
    assert text == GOLDEN.read_text(encoding="utf-8"), text


_ONE, *_MORE = studies(4, 7)[1:]


@pytest.mark.parametrize("study", [_ONE, *(pytest.param(study, marks=pytest.mark.long) for study in _MORE)])
def test_changes_are_told_once_in_time_and_within_quotas(study: Study) -> None:
    Turning(study).run().judge()


def test_a_change_that_is_told_late_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barograph.paper.alerts.outbox.reserved", lambda at_most: at_most)
    with pytest.raises(AssertionError):
        Turning(Study(seed=1, lasts=30 * MINUTE, step=MINUTE)).run().judge()
