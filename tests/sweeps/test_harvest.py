"""A sweep that is killed goes on: what was finished is found again and not run again, and the answer is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.errors import DataError
from barograph.sweeps import run as running
from barograph.sweeps.harvest import Harvest
from barograph.sweeps.plan import Plan
from barograph.sweeps.run import run_plan
from barograph.sweeps.stages import Point, point_of
from barograph.testing import some_bars
from barograph_strategies.fixed_weights import fixed_weights

BARS = some_bars(200)
WEIGHTS = np.linspace(0.1, 1.0, 40).tolist()


def point(number: int) -> Point:
    return point_of(bg.Machine(strategy=fixed_weights([WEIGHTS[number]], "month")), BARS)


def plan() -> Plan:
    return Plan(map(point, range(len(WEIGHTS))))


class Killed(BaseException):
    """What a kill looks like from inside."""


def test_a_killed_sweep_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Harvest(len(WEIGHTS))
    run_plan(plan(), point, whole, threads=1)
    ran: list[int] = []
    one = running._run_point

    def counted(plan: Plan, lanes: Any, markets: Any, number: int, *more: Any) -> None:
        if len(ran) in (7, 19):
            ran.append(-1)
            raise Killed
        ran.append(number)
        one(plan, lanes, markets, number, *more)

    monkeypatch.setattr(running, "_run_point", counted)
    for _ in range(2):
        with pytest.raises(Killed):
            run_plan(plan(), point, Harvest(len(WEIGHTS), tmp_path), threads=1)
    last = Harvest(len(WEIGHTS), tmp_path)
    assert last.found == 18
    run_plan(plan(), point, last, threads=1)
    assert sorted(n for n in ran if n >= 0) == list(range(len(WEIGHTS)))
    assert np.array_equal(last.rows, whole.rows)
    assert np.array_equal(last.sums, whole.sums)


def test_figures_stand_before_a_point_is_said_to_be_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between the two runs the point again; the other way round it would have no figures for good."""
    harvest = Harvest(len(WEIGHTS), tmp_path)
    finish = Harvest.finish

    def torn(self: Harvest, number: int, bar: int, fault: int) -> None:
        assert np.isfinite(self.rows[number, 0])
        finish(self, number, bar, fault)

    monkeypatch.setattr(Harvest, "finish", torn)
    run_plan(plan(), point, harvest, threads=1)
    assert harvest.missing.size == 0


def test_what_a_part_raised_is_kept(tmp_path: Path) -> None:
    harvest = Harvest(3, tmp_path)
    harvest.raised(1, ValueError("no such window"))
    with (tmp_path / "raised.jsonl").open("a", encoding="utf-8") as lines:
        lines.write('[2, "cut sho')
    again = Harvest(3, tmp_path)
    assert again.failed(1, str) == "ValueError: no such window"
    assert again.failed(2, str) == "not run"
    assert again.missing.tolist() == [0, 2]


def test_files_of_another_sweep_are_refused(tmp_path: Path) -> None:
    Harvest(3, tmp_path)
    with pytest.raises(DataError, match=r"holds \(3, 25\), wanted \(4, 25\)"):
        Harvest(4, tmp_path)
