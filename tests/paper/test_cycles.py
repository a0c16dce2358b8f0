"""A whole deployment against real servers that fail: the short form of `tests.campaigns.cycles`."""

from __future__ import annotations

from pathlib import Path

from tests.campaigns.cycles import campaign, compare


def test_faults_at_every_edge_change_no_decision_and_lose_no_message(tmp_path: Path) -> None:
    (tmp_path / "calm").mkdir()
    (tmp_path / "stormy").mkdir()
    calm, stormy = (campaign(60, rate, 7, tmp_path / name) for rate, name in ((0.0, "calm"), (0.15, "stormy")))
    compare(calm, stormy, 60)
    assert stormy.faults > 10
    assert stormy.looks > calm.looks
