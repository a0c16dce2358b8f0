"""The loops: `replay` is a Python ``for`` over bars, `scan` is that ``for`` compiled. They agree to the bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from barograph.loop.session import Progress, Session
from barograph.types import Belief, Filter, Floats

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.loop.machine import Machine
    from barograph.loop.result import Result
    from barograph.loop.world import World

__all__ = ["Online", "replay", "run", "scan"]


def scan(machine: Machine, history: History, world: World | None = None, progress: Progress | None = None) -> Result:
    """Run the machine over the history, many bars a call into compiled code.

    With a `world` (of an earlier result, or loaded) the run goes on at the bar where that one stopped; the history
    must begin with the same bars. `progress(done, total)` is told how far it has come.

    Raises `ConfigError` when the history is too short, `FitError`, `PartError` or `StrategyError` naming part and bar.
    """
    return Session(machine, history, world, progress).run(stride=len(history))


def replay(machine: Machine, history: History, world: World | None = None, progress: Progress | None = None) -> Result:
    """Run the machine over the history as it would live: one bar, one call, the whole world stored in between."""
    return Session(machine, history, world, progress).run(stride=1)


run = scan


class Online:
    """A filter for notebooks: ``update(x)`` takes one bar's features and returns the belief.

    >>> from barograph.loop.machine import no_model
    >>> Online(no_model()).update(0.01).probs
    array([1.])
    """

    def __init__(self, filter: Filter) -> None:
        self._filter = filter
        self._state = filter.init(filter.params)

    def update(self, x: float | Floats) -> Belief:
        """Advance by one bar; what is returned does not change later."""
        row = np.atleast_1d(np.asarray(x, dtype=np.float64)).copy()
        row.flags.writeable = False
        self._state, belief = self._filter.step(self._state, row, self._filter.params)
        return Belief(np.array(belief.probs), float(belief.logpdf))
