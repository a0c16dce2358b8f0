"""A week without a bar on a minute schedule: samples of `tests.campaigns.outages`, and its messages for a reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaigns.outages import DAY, HOUR, MINUTE, Outage, Study, letters, studies

GOLDEN = Path(__file__).parent / "golden" / "week_without_bars.txt"


def test_a_week_without_bars_reads_like_this() -> None:
    """The messages that one person gets; where words are changed on purpose, the file is written anew and read."""
    outage = Outage(Study(seed=1)).run()
    told = outage.judge()
    text = letters(outage)
    assert text == GOLDEN.read_text(encoding="utf-8"), text
    assert told["stale_data"] <= 8


@pytest.mark.parametrize("study", studies(2, 9, 2 * HOUR))
def test_outages_are_told_once_a_day_in_order_and_within_quotas(study: Study) -> None:
    Outage(study).run().judge()


@pytest.mark.parametrize(
    ("where", "planted"),
    [
        ("barograph.paper.alerts.incidents._DAY", 6 * HOUR),
        ("barograph.paper.alerts.outbox._HOUR", 50 * MINUTE),
        ("barograph.paper.alerts.outbox._weight", lambda letter: -letter[0].alert.ts % 7),
        ("barograph.paper.alerts.outbox.reserved", lambda at_most: at_most),
    ],
)
def test_a_planted_fault_is_seen(where: str, planted: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, planted)
    outage = Outage(Study(seed=3, lasts=DAY, step=30 * MINUTE, at_most=6, others=2)).run()
    with pytest.raises(AssertionError):
        outage.judge()
