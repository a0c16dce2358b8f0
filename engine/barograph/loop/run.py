"""The loops: `replay` is a Python ``for`` over bars, `scan` is that ``for`` compiled. They agree to the bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from barograph.errors import ConfigError
from barograph.loop.columns import columns_of, tables_of, window_of
from barograph.loop.session import Progress, Session
from barograph.loop.wiring import wire
from barograph.regimes.window import training_rows
from barograph.types import Belief, Filter, Floats

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.loop.machine import Machine
    from barograph.loop.result import Result
    from barograph.loop.world import World
    from barograph.regimes.fitted import Fitted, Model
    from barograph.regimes.window import Window

__all__ = ["Online", "features_seen", "last_window", "learn", "replay", "scan"]


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


def learn(machine: Machine, history: History) -> Fitted:
    """Fit the machine's model once, at the last close of the history, on the rows that its schedule says.

    Raises `ConfigError` when it has no model that learns, or the history is shorter than the window; `FitError` when
    the fit fails.

    >>> import barograph as bg
    >>> from barograph.testing import some_bars
    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> from barograph_strategies.regime_filter import regime_filter
    >>> machine = bg.Machine(strategy=regime_filter(), model=gaussian_hmm(states=2), fit=bg.Fit(window=60))
    >>> learn(machine, some_bars(100)).features
    ('log_return',)
    """
    seen = last_window(machine, history)
    return cast("Model", machine.model).fit(seen)


def last_window(machine: Machine, history: History) -> Window:
    """Return what the machine's model learns from at the last close of the history. Raises as `learn` does.

    >>> import barograph as bg
    >>> from barograph.testing import some_bars
    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> from barograph_strategies.regime_filter import regime_filter
    >>> machine = bg.Machine(strategy=regime_filter(), model=gaussian_hmm(states=2), fit=bg.Fit(window=60))
    >>> last_window(machine, some_bars(100)).rows.shape
    (60, 1)
    """
    if machine.choose is not None:
        raise ConfigError("the machine chooses among several models; wanted one that does not: leave its [choose] out")
    if machine.fit is None or not machine.learns:
        raise ConfigError("there is no model that learns: wanted a model, and a [fit] with its window")
    X, names = features_seen(machine, history)
    lo, hi = machine.fit.rows(len(history) - 1)
    tables = tables_of(machine, history, X[lo:hi])
    model = cast("Model", machine.model)
    there = min(len(training_rows(of, model.partial_rows)) for of in tables)
    if hi - lo < machine.fit.window or there == 0:
        raise ConfigError(f"fit.window wants {machine.fit.window} bars, the history has {there} with features")
    return window_of(machine, history, X, lo, hi, names)


def features_seen(machine: Machine, history: History) -> tuple[Floats, tuple[str, ...]]:
    """Return the machine's features at every bar of a history, (T, d), and their names, as a model would see them.

    With a belief an asset those of each traded asset stand one behind the other.

    >>> import barograph as bg
    >>> from barograph.testing import some_bars
    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> from barograph_strategies.regime_filter import regime_filter
    >>> machine = bg.Machine(strategy=regime_filter(), model=gaussian_hmm(states=2), fit=bg.Fit(window=60))
    >>> features_seen(machine, some_bars(100))[0].shape
    (100, 1)
    """
    wired = wire(machine, history)
    X = np.full((len(history), len(wired.names)), np.nan)
    wired.body.observe(0, len(history), columns_of(history), wired.memory.copy(), wired.params, X)
    return X, wired.names


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
