"""The interval a run's answer lies in: what it earns when every bar takes the worst way through, and the best.

A bar tells four prices and not the way between them. Where an order rests, the way decides; so the run is made again
on the other paths (clause 3), and a verdict that depends on the path is said to flip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.errors import StrategyError
from barograph.execution.options import PATHS
from barograph.loop.result import Result
from barograph.loop.run import scan
from barograph.metrics.drawdown import max_drawdown
from barograph.metrics.formulas import cagr, sharpe, simple_returns, total_return
from barograph.metrics.steps import steps

__all__ = ["MEASURES", "Bounds", "bounds"]

MEASURES: Final = ("total_return", "cagr", "sharpe", "max_drawdown")
"""What is measured on each path, as in metrics.json."""

# Orders that rest inside a bar; all others fill at an open or a close, which no path moves.
RESTING: Final = ("limit", "stop", "stop_limit", "trailing_stop")


class Bounds(NamedTuple):
    """`paths`: each path's measures, None where they cannot be told; `resting`: whether any order rested inside a bar.

    `flips` names the verdicts that are not the same on every path: "sign" of the total return, "hold" whether it is
    above buy and hold's. `stopped`: the paths on which the run ended in an error, such as a ruined account, and why.
    """

    paths: dict[str, dict[str, float | None]]
    resting: bool
    flips: tuple[str, ...]
    stopped: dict[str, str]


def bounds(result: Result, progress: Callable[[int, int], None] | None = None) -> Bounds:
    """Run a result's machine on the other two paths as well, and measure all three.

    A run in which no order rested inside a bar is the same on every path and is not run again.
    """
    resting = bool(result.tables["orders"]["kind"].isin(RESTING).any())
    own = _measured(result)
    if progress is not None and not resting:
        progress(1, 1)
    paths: dict[str, dict[str, float | None]] = {}
    stopped: dict[str, str] = {}
    for path in PATHS:
        paths[path] = own
        if resting and path != result.machine.terms.path:
            try:
                paths[path] = _measured(
                    scan(
                        replace(result.machine, terms=replace(result.machine.terms, path=path)),
                        result.history,
                        progress=progress,
                    )
                )
            except StrategyError as error:
                paths[path], stopped[path] = dict.fromkeys(MEASURES), str(error)
    return Bounds(paths, resting, _flips(result, paths, bool(stopped)), stopped)


def _measured(result: Result) -> dict[str, float | None]:
    equity, taken = result.arrays.equity, steps(result.arrays.ts, result.history.periods, result.history.by_day)
    values = (
        total_return(equity),
        cagr(equity, taken.bars),
        sharpe(simple_returns(equity[taken.rows]), taken.periods),
        max_drawdown(equity),
    )
    return {name: value if np.isfinite(value) else None for name, value in zip(MEASURES, values, strict=True)}


def _flips(result: Result, paths: dict[str, dict[str, float | None]], stopped: bool) -> tuple[str, ...]:
    """Name the verdicts that differ; a run that was stopped lost, and did not beat buy and hold."""
    hold = total_return(result.tables["benchmark"]["equity"].to_numpy(np.float64))
    earned: list[Any] = [values["total_return"] for values in paths.values() if values["total_return"] is not None]
    verdicts = {"sign": {value > 0.0 for value in earned}, "hold": {value > hold for value in earned}}
    return tuple(name for name, told in verdicts.items() if len(told | ({False} if stopped else set())) > 1)
