"""The live loop: the world waits in memory, a bar arrives, and goes through the very call that `replay` makes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.execution import book as col
from barograph.execution.events import table
from barograph.loop.session import Session
from barograph.loop.world import World
from barograph.types import Step

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.loop.choosing.choice import Choice
    from barograph.loop.machine import Machine
    from barograph.loop.result import Learned

__all__ = ["Live"]


class Live(Session):
    """A run that never ends: `append` a bar, `step` over it, and `learn` when a fit is due.

    `history` holds the bars seen so far and, without a `world`, at least the first one that is decided, row `start`.

    >>> import barograph as bg
    >>> from barograph.testing import some_bars
    >>> bars = some_bars(bars=30, assets=1)
    >>> @bg.kernel
    ... def half(state, bars, belief, portfolio, params):
    ...     return state, bg.Target(0.5)
    >>> machine = bg.Machine(strategy=bg.strategy(half))
    >>> live = Live(machine, bars.head(1), start=0)
    >>> equity = [float(live.step().equity[0])]
    >>> for t in range(1, 30):
    ...     live.append(bars.slice(t, t + 1))
    ...     equity.append(float(live.step().equity[0]))
    >>> equity == bg.scan(machine, bars).arrays.equity.tolist()
    True
    """

    def __init__(self, machine: Machine, history: History, start: int, world: World | None = None) -> None:
        super().__init__(replace(machine, start=start), history, world, None)
        if world is None and self.choosing is None:
            self.learned = self.start - 1
        if self.bar < start:
            # What comes before the first decision is seen by features and strategy, and decides nothing.
            self._advance(self._tape(start, start), start, start, start)

    def append(self, later: History) -> None:
        """Take note of bars that are to be stepped over."""
        self.take(self.history.then(later))

    @property
    def waiting(self) -> int:
        """How many appended bars have not been stepped over."""
        return len(self.history) - self.bar

    @property
    def due(self) -> bool:
        """Whether a fit falls on the bar that was stepped over last, and is not made yet."""
        return self.learned < self.bar - 1 and self.bar > self.start and self._due(self.bar - 1)

    @property
    def equity(self) -> float:
        """The equity at the close that was stepped over last."""
        return float(self.memory.read(3).money[col.EQUITY])

    @property
    def believed(self) -> Any:
        """The filter's state at the close that was stepped over last, for reading; a tuple with a belief an asset."""
        return self.memory.read(1)

    def step(self) -> Step:
        """Go over the next bar; a choice and a fit that are due are made before."""
        if self.choice_due:
            self.choose()
        if self.due:
            self.learn()
        t = self.bar
        tape = self._advance(self._tape(t, t + 1), t + 1, 1, t)
        self._drain(tape.log)
        events = table(self.written())
        rows = self.memory.read(3).rows
        held = np.vstack([rows[col.QUANTITY], rows[col.PRICE]])
        return Step(t, int(self.history.ts[t]), tape.E[0], tape.W[0], tape.B[0], events, held, tape.F[0])

    def learn(self) -> Learned:
        """Make the fit that is due at the close of the last bar."""
        self._learn(self.bar - 1)
        self.learned = self.bar - 1
        return self.fits.pop()

    def choose(self) -> tuple[Choice, Learned | None]:
        """Make the choice that is due at the close of the last bar; return it, and the model it brings into force."""
        self._choose(self.bar - 1)
        return self.choices.pop(), self.fits.pop() if self.fits else None

    def switch(self, guard: int, on: bool) -> None:
        """Turn one guard of the machine on for good, or off: from the next bar on."""
        guard_state = self.memory.read(3).guard_state
        guard_state[col.ACTIVE, guard], guard_state[col.UNTIL_BAR, guard] = (1.0, np.inf) if on else (0.0, 0.0)

    def switched(self, guard: int) -> bool:
        """Tell whether a guard is on."""
        return bool(self.memory.read(3).guard_state[col.ACTIVE, guard] == 1.0)

    def world(self) -> World:
        """Return all that is remembered, to be saved."""
        return self._world(self.history.head(self.bar))
