"""A point whose machine chooses as it goes: what it sees hangs on what its candidates earn, so it is a whole run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from barograph.errors import StrategyError
from barograph.loop.result import Result
from barograph.loop.session import Session
from barograph.metrics import formulas
from barograph.metrics.measure import measure
from barograph.sweeps.figures import FIGURES
from barograph.sweeps.harvest import Harvest
from barograph.types import Floats
from barograph.validation.block_sums import BLOCKS, fill_from_returns

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.loop.machine import Machine
    from barograph.metrics.steps import Steps

__all__ = ["Whole", "run_whole"]


class Whole(NamedTuple):
    """What is left of a whole run: its figures, the block sums of its returns and of their excess, regime switches.

    `fits` were made by its `shadows`, of which it is one at a time; `error` is why there are no figures, or None.
    """

    row: Floats
    sums: Floats
    beyond: Floats
    switches: float
    fits: int
    shadows: int
    error: Exception | None

    def into(self, harvest: Harvest, number: int) -> None:
        """Bring it home as a point of a sweep."""
        if self.error is not None:
            return harvest.raised(number, self.error)
        harvest.rows[number], harvest.sums[number], harvest.beyond[number] = self.row, self.sums, self.beyond
        return harvest.finish(number, -1, 0)


def run_whole(machine: Machine, history: History, own: Steps, session: Session) -> Whole:
    """Run a machine that chooses to its end, and measure it as `Result.metrics` does."""
    try:
        result, error = session.run(stride=len(history)), None
    # A ruined account has no figures, and stops nobody.
    except StrategyError as told:
        result, error = None, told
    shadows = () if session.choosing is None else session.choosing.shadows
    fits = sum(len(one.session.fits) for one in shadows)
    row, sums, beyond, switches = _measured(result, own)
    return Whole(row, sums, beyond, switches, fits, len(shadows), error)


def _measured(result: Result | None, own: Steps) -> tuple[Floats, Floats, Floats, float]:
    row, sums, beyond = np.full(len(FIGURES), math.nan), np.empty((BLOCKS, 3)), np.empty((BLOCKS, 3))
    if result is None:
        return row, sums, beyond, math.nan
    of, history = result.tables, result.history
    told = measure(of, history.periods, intervals=False, by_day=history.by_day, calendars=len(history.calendars))
    told |= {"first": float(result.arrays.equity[0]), "last": float(result.arrays.equity[-1])}
    row[:] = [math.nan if (value := told[name]) is None else value for name in FIGURES]
    market = of["benchmark"]["equity"].to_numpy(np.float64)
    ours, theirs = (formulas.simple_returns(equity[own.rows]) for equity in (result.arrays.equity, market))
    excess = np.full(ours.size, math.nan)
    shared = min(ours.size, theirs.size)
    excess[:shared] = ours[:shared] - theirs[:shared]
    fill_from_returns(ours, sums)
    fill_from_returns(excess, beyond)
    switches = told["regime_switches"]
    return row, sums, beyond, math.nan if switches is None else switches
