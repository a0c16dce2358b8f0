"""A sweep over a config that chooses: what [choose] leaves free is varied, each point is a whole run of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import barograph as bg
from barograph.config.load import load
from barograph.config.varied import Varied
from barograph.loop.choosing.choice import choose
from barograph.sweeps.explain import explained
from barograph.sweeps.run import sweep
from barograph.testing import some_bars
from barograph_strategies.sma_filter import sma_filter
from tests.cli.test_cli import SMALL, users_folder
from tests.loop.test_choice import holding
from tests.sweeps.test_equality import told_by_a_run

BARS = some_bars(220, seed=3)
CHOICE = '\n[choose]\nwindow = 20\nevery = 9\nkeys = { "strategy.threshold" = [0.3, 0.6] }\n'


def made(fee: float, window: int = 30) -> bg.Machine:
    return choose(lambda days: bg.Machine(strategy=sma_filter(days), terms=bg.Terms(fee=fee)), {"days": [3, 9, 20]},
                  window=window, every=11)  # fmt: skip


def test_every_row_is_a_run() -> None:
    found = sweep(made, {"fee": [0.0, 0.01], "window": [20, 40]}, BARS)
    for number, (fee, window) in enumerate(found.points):
        assert found.metrics(number) == told_by_a_run(made(fee, window), BARS)
        run = bg.scan(made(fee, window), BARS)
        returns = run.arrays.returns
        assert found.harvest.sums[number, :, 1].sum() == pytest.approx(returns.sum())
        assert found.harvest.sums[number, :, 0].sum() == len(returns)
    assert found.counters == (4, 4, 0, 0, 4, 4, 0, 12)
    assert [found.tried(number) for number in range(4)] == [3] * 4


def test_a_point_that_chooses_and_one_that_does_not_stand_side_by_side() -> None:
    def either(chosen: bool) -> bg.Machine:
        return made(0.001) if chosen else bg.Machine(strategy=sma_filter(9))

    found = sweep(either, {"chosen": [True, False]}, BARS)
    assert found.metrics(0) == told_by_a_run(made(0.001), BARS)
    assert found.metrics(1) == told_by_a_run(bg.Machine(strategy=sma_filter(9)), BARS)
    assert found.counters.shadows == 3


def test_a_ruined_account_stops_nobody() -> None:
    def wild(weight: float) -> bg.Machine:
        terms = bg.Terms(leverage=400.0, maintenance=0.0)
        return choose(lambda w: bg.Machine(strategy=bg.strategy(holding, w), terms=terms), {"w": [weight]}, window=3)

    found = sweep(wild, {"weight": [-25.0, 0.5]}, BARS)
    assert "ruined the account" in found.failed[0]
    assert found.failed[1] == ""
    assert found.metrics(1) == told_by_a_run(wild(0.5), BARS)


def test_what_choose_leaves_free_is_swept_and_said_honestly(tmp_path: Path) -> None:
    folder = users_folder(tmp_path)
    path = folder / "both.toml"
    path.write_text(SMALL + CHOICE + '[sweep]\nkeys = { "execution.fee" = [0.0, 0.001], "choose.window" = [10, 20] }\n')
    varied = Varied(path)
    assert [varied.point(n).machine.choose.window for n in range(4)] == [10, 20, 10, 20]  # type: ignore[union-attr]
    assert [varied.point(n).terms.fee for n in range(4)] == [0.0, 0.0, 0.001, 0.001]
    told = explained(varied.points(), len(varied))
    assert told.lines()[:2] == [
        "4 points, each a whole run of a machine that chooses: nothing is shared",
        f"2 candidates run beside each, with {told.fits:,} fits",
    ]
    assert told.fits > 0
    path.write_text(SMALL + CHOICE + '[sweep]\nkeys = { "strategy.threshold" = [0.1] }\n')
    with pytest.raises(bg.ConfigError, match=r"strategy.threshold is chosen in .choose. and varied in .sweep."):
        load(path)
    assert np.isfinite(told.seconds)
