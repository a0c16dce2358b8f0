"""A deployment on a past that is rewritten: its answer is the backtest's of the file as it stands, and it replays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from barograph.errors import StoreError
from barograph.paper.store import Batch, Lease
from tests.paper.past.vendor import Live, Vendor

HOLD = [1.0]
TURNS = [1.0, 1.0, 0.4, 0.9, 0.0, 0.7, 1.0, 0.2] * 40
SPLITS = {40: 0.25, 130: 0.5, 211: 2 / 3}
YEAR = SPLITS | {23: 0.9921, 61: 0.95, 62: 0.9887, 99: 0.9934, 144: 0.9912, 175: 0.9905, 212: 0.9931, 240: 0.9899}
BEGIN, DAYS = 15, 252
FEE = 0.001


def a_year(folder: Path, days: int, digits: int | None) -> Live:
    """Look every night but some, for some days nobody looks at all, and once it is started anew."""
    live = Live(folder, Vendor(days, YEAR, digits), BEGIN, TURNS, FEE)
    for day in range(BEGIN + 1, days):
        if day % 17 == 0 or 58 <= day < 64:
            continue
        if day == 100:
            live.again()
        live.look(day)
    return live


@pytest.mark.parametrize(("days", "digits"), [(DAYS, None), (75, 2)])
def test_a_year_of_rewritten_files_is_the_backtest_of_the_last_one(
    days: int, digits: int | None, tmp_path: Path
) -> None:
    live = a_year(tmp_path, days, digits)
    apart = np.abs(live.equity() / live.backtest().arrays.equity - 1.0).max()
    assert len(live.equity()) == days - BEGIN
    assert apart <= (1e-9 if digits is None else bound(live, days))
    assert set(live.alerts()) == {"correction", "late_cycle"}
    # Days 61 and 62 fell into one absence.
    assert live.alerts().count("correction") == sum(day < days for day in YEAR) - 1
    live.sound()


def bound(live: Live, days: int) -> float:
    """Return by how much prices of two digits may move an equity.

    Half a cent in each of two files, at every fill; and at each action half a cent in a price of each scale.
    """
    least = min(live.vendor.rows(day).min() for day in (days // 2, days - 1))
    return float((len(live.store.rows("fills", "d")) + len(YEAR)) * 2.0 * 0.005 / least)


def test_a_split_that_the_file_shows_two_days_late_is_made_good(tmp_path: Path) -> None:
    live = Live(tmp_path, Vendor(40, {20: 0.25}, late=2), BEGIN, HOLD)
    for day in range(BEGIN + 1, 40):
        live.look(day)
    back, equity = live.backtest().arrays.equity, live.equity()
    wrong = slice(20 - BEGIN, 22 - BEGIN)
    assert equity[wrong] / back[wrong] == pytest.approx(0.25, rel=1e-9)
    assert np.delete(equity, np.r_[wrong]) == pytest.approx(np.delete(back, np.r_[wrong]), rel=1e-12)
    # The first bar in the new scale is held, until the next one proves it.
    assert live.alerts() == ["bad_data", "bad_data", "correction"]
    live.sound()


def test_shares_of_a_position_that_was_sold_since_are_paid(tmp_path: Path) -> None:
    """What was sold in the fright was a quarter of what there was: the other three are owed all the same.

    At the bar that is held, and at its close, nothing is decided.
    """
    live = Live(tmp_path, Vendor(40, {20: 0.25}, late=3), BEGIN, [1.0] * (BEGIN + 5) + [0.0])
    for day in range(BEGIN + 1, 30):
        live.look(day)
    (made,) = [one.content["correction"] for one in live.store.entries("d") if '"correction":' in one.text]
    held = live.store.rows("fills", "d")[0]["quantity"]
    assert made["credits"] == [
        {"symbol": "A", "ratio": 1.0, "cash": pytest.approx(3 * held * live.vendor.quoted[22, 3])}
    ]
    assert live.equity()[-1] == pytest.approx(live.equity()[4], rel=0.1)
    live.sound()


@pytest.mark.parametrize("factor", [10.0, 0.01, 0.871, 1 / 190])
def test_kin_of_a_split_is_carried_over(factor: float, tmp_path: Path) -> None:
    """A reverse split, a redenomination, a spin-off, a large split: who holds has what the file's backtest has."""
    live = Live(tmp_path, Vendor(24, {20: factor}, digits=4), BEGIN, TURNS, FEE)
    for day in (16, 17, 18, 21, 22, 23):
        live.look(day)
    assert live.equity() == pytest.approx(live.backtest().arrays.equity, rel=1e-4)
    assert "correction" in live.alerts()
    live.sound()


@pytest.mark.parametrize("late", [0, 2])
@pytest.mark.parametrize("after", [False, True])
def test_whoever_is_killed_at_the_correction_writes_the_same(after: bool, late: int, tmp_path: Path) -> None:
    heads = []
    for name, kill in (("whole", False), ("killed", True)):
        folder = tmp_path / name
        folder.mkdir()
        live = Live(folder, Vendor(27, {20: 0.25, 23: 0.97}, late=late), BEGIN, TURNS, FEE)
        for day in range(BEGIN + 1, 27):
            if kill and day in {20, 22, 23, 25, 26}:
                killed(live, day, after)
                live.again()
            live.look(day)
        live.sound()
        heads.append(live.head())
    assert heads[0] == heads[1]


def killed(live: Live, day: int, after: bool) -> None:
    """Let a look be torn at its first write, before it or after it."""
    write = live.store.commit

    def torn(lease: Lease, batch: Batch) -> None:
        if after:
            write(lease, batch)
        raise StoreError("gone")

    live.store.commit = torn  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        live.look(day)
    live.store.commit = write  # type: ignore[method-assign]


def test_a_past_that_changed_by_no_factor_is_told_once_with_what_changed(tmp_path: Path) -> None:
    live = Live(tmp_path, Vendor(30, {}, digits=2), BEGIN, HOLD)
    for day in range(BEGIN + 1, 22):
        live.look(day)
    live.vendor.quoted[[17, 18, 20]] *= [[1.01], [0.98], [1.002]]
    for day in range(22, 27):
        live.look(day)
    assert live.alerts() == ["bad_data"]
    (row,) = [row for row in live.store.rows("alerts", "d") if row["kind"] == "bad_data"]
    told = "3 past bars changed by no common factor, 2023-01-27 21:00:00Z to 2023-02-01 21:00:00Z; most that of "
    assert told in row["facts"]
