"""How often a run will learn, and about how long that takes: said before it begins, where it is long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from barograph.loop.fit import next_fall
from barograph.regimes.fitted import Model

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.loop.machine import Machine

__all__ = ["LONG", "Foreseen", "foreseen"]

LONG: Final = 10.0
"""Seconds of learning that are worth a word."""


class Foreseen(NamedTuple):
    """How many fits there will be, of what, on how many rows at most, and about how many seconds they take."""

    model: str
    fits: int
    rows: int
    seconds: float

    def __str__(self) -> str:
        times = f"{self.fits} fits" if self.fits != 1 else "one fit"
        long = f"{self.seconds / 60.0:.0f} minutes" if self.seconds >= 120.0 else f"{self.seconds:.0f} seconds"
        return f"{times} of {self.model}, on {self.rows:,} rows at most, will take about {long}"


def foreseen(machine: Machine, history: History) -> Foreseen | None:
    """Return what a run will learn, where its model says how long that takes (`Model.takes`), else None.

    A fit is timed by a few of its steps, on this machine, and a schedule is gone through without a model: rows that are
    missing, and what a trigger asks for, are not foreseen.
    """
    model, plan = machine.model, machine.fit
    if not isinstance(model, Model) or model.takes is None or plan is None:
        return None
    total, start = len(history), plan.window + plan.embargo
    if machine.start is not None:
        start = max(start, history.index(machine.start))
    bars, bar = [start - 1], start
    # What falls on the last close is not learned: nothing is decided with it.
    while (bar := next_fall(plan.every, bar, total - 1, start, history.ts)) < total - 1:
        bars.append(bar)
        bar += 1
    rows = [last - first for first, last in map(plan.rows, bars)]
    return Foreseen(model.name, len(rows), max(rows), sum(model.takes(n, len(machine.features)) for n in rows))
