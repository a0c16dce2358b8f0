"""Choosing among machines, walk-forward: their shadows, how they are scored, and which one is picked.

A shadow is a run of its candidate alone. It only moves forward, from choice to choice, and is a function of the bars
so far: nothing of it is saved, and after a restart it is run again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from barograph.errors import BarographError, ConfigError, DataError, RuinError
from barograph.execution.events import fills, table
from barograph.loop.fit import falls
from barograph.loop.machine import Choose, Machine
from barograph.loop.world import InUse
from barograph.metrics.span import FIGURES, Span
from barograph.metrics.steps import steps
from barograph.types import Floats

if TYPE_CHECKING:
    from barograph.data.history import History

__all__ = ["Choice", "Choosing", "Dealt", "Shadow", "candidate_of", "choose", "dealt_of", "picked", "scored", "span_of"]


class Choice(NamedTuple):
    """One choice: at the close of `bar`, of which `candidate`, whose `scores` (K,) were the highest.

    `figures` (K,) are what was scored, before penalties; NaN is what cannot be told, as of a shadow that was ruined.
    `changed` says whether another one was in use before.
    """

    bar: int
    candidate: int
    scores: tuple[float, ...]
    figures: tuple[float, ...]
    changed: bool


def choose(make: Callable[..., Machine], keys: Mapping[str, Sequence[Any]], *, window: int,
           every: int | str = "quarter", anchored: bool = False, figure: str = "sharpe",
           penalty: Mapping[str, float] | None = None) -> Machine:  # fmt: skip
    """Return a machine that chooses among every combination of `keys`: ``make(**combination)`` returns its candidate.

    The settings are those of `Choose`. What `make` says of `start` is the machine's own first decision; the shadows
    begin as early as they can.

    >>> import barograph as bg
    >>> from barograph.testing import some_bars
    >>> @bg.kernel
    ... def hold(state, bars, belief, portfolio, params):
    ...     return state, bg.Target(params)
    >>> machine = choose(lambda weight: bg.Machine(strategy=bg.strategy(hold, weight)), {"weight": [0.0, 0.5, 1.0]},
    ...                  window=40, every="month", figure="total_return")
    >>> run = bg.scan(machine, some_bars(120))
    >>> run.first, [machine.choose.told(one.candidate) for one in run.choices[:2]]
    (41, ['weight=1.0', 'weight=1.0'])

    Raises `ConfigError` where the candidates cannot share one account.
    """
    values = tuple(itertools.product(*keys.values()))
    made = [make(**dict(zip(keys, of, strict=True))) for of in values]
    if not made:
        raise ConfigError(f"choose: {next(k for k, v in keys.items() if not v)} has no values; wanted at least one")
    plan = Choose(tuple(made), window, every, anchored, figure, dict(penalty or {}), tuple(keys), values)
    shadows = tuple(replace(machine, start=None) for machine in made)
    return replace(made[0], choose=replace(plan, candidates=shadows))


class Shadow:
    """One candidate's own run, which a `session` goes through: the equity at each of its closes, and its fills."""

    def __init__(self, session: Any, told: str) -> None:
        self.session, self.told = session, told
        self.ruined = False
        self._rows: list[Floats] = []
        self._fills: list[Dealt] = []

    @property
    def start(self) -> int:
        """The first bar it decides."""
        return int(self.session.start)

    def reach(self, history: History, until: int) -> None:
        """Go to bar `until` of a history, and do what is due at the close before it; one that is ruined stays."""
        if self.ruined or until <= self.session.bar:
            return
        try:
            self.session.take(history)
            tape = self.session.go(until, until)
            self.session.settle()
        except RuinError:
            # Its account is nobody's: it is out of the race, and the run goes on.
            self.ruined = True
            return
        except BarographError as error:
            raise type(error)(f"{self.told}: {error}") from error
        self._rows.append(tape.E)
        self._fills.append(dealt_of(table(self.session.written())))

    def span(self, first: int, last: int) -> Span:
        """Return what its account did from the close of bar `first` to that of `last`."""
        self._rows = [np.concatenate(self._rows)]
        self._fills = [Dealt(*map(np.concatenate, zip(*self._fills, strict=True)))]
        rows = self._rows[0][first - self.start : last + 1 - self.start]
        return span_of(self.session.history, rows, self._fills[0], first, self.start)


class Dealt(NamedTuple):
    """Fills (F,): the bar of each, quantity · price, fees and slippage."""

    bar: Any
    values: Floats
    fees: Floats
    slippage: Floats


def dealt_of(log: Floats) -> Dealt:
    """Return the fills of an order log."""
    found = fills(log)
    return Dealt(found.bar, found.quantity * found.price, found.fee, found.slippage)


def span_of(history: History, rows: Floats, dealt: Dealt, first: int, start: int) -> Span:
    """Return what an account did, whose `rows` (n, 6) begin at the close of bar `first`, and its run at `start`.

    The fills are those after the first close; of a whole run all.
    """
    last = first + len(rows) - 1
    own = (dealt.bar > (first if first > start else -1)) & (dealt.bar <= last)
    taken = steps(history.ts[first : last + 1], history.periods, history.by_day)
    bar, values, fees, slippage = (column[own] for column in dealt)
    return Span(rows[:, 0], rows[:, 2], rows[:, 5], bar - first - 1, values, fees, slippage, taken)


def candidate_of(machine: Machine, number: int) -> Machine:
    """Return a candidate on the machine's own terms; raises `DataError` where there is none of that number."""
    candidates = () if machine.choose is None else machine.choose.candidates
    if number >= len(candidates):
        raise DataError(f"the saved world uses candidate {number}, this machine has {len(candidates)}; begin anew")
    return replace(candidates[number], terms=machine.terms)


class Choosing:
    """The choices of one run: all candidates' shadows, made when they are first asked for, and which one is in use."""

    def __init__(self, machine: Machine, begin: Callable[[Machine], Any], in_use: InUse | None) -> None:
        assert machine.choose is not None
        self.machine, self.plan, self.in_use = machine, machine.choose, in_use
        self._begin = begin
        self._shadows: list[Shadow] = []

    def shadow(self, number: int) -> Shadow:
        """Return one candidate's own run."""
        return self.shadows[number]

    @property
    def shadows(self) -> list[Shadow]:
        """All candidates' own runs; of a run that goes on they begin again."""
        if not self._shadows:
            made = [self._shadow(number) for number in range(len(self.plan.candidates))]
            for shadow in made[1:]:
                _check_alike(made[0], shadow)
            self._shadows = made
        return self._shadows

    def _shadow(self, number: int) -> Shadow:
        told = self.plan.told(number)
        try:
            return Shadow(self._begin(candidate_of(self.machine, number)), told)
        except BarographError as error:
            raise type(error)(f"{told}: {error}") from error

    def start(self, history: History) -> int:
        """Return the first bar that is decided: the wanted one, or the earliest with enough returns to choose by."""
        window, wanted, total = self.plan.window, self.machine.start, len(history)
        earliest = self._first + window + 1
        start = earliest if wanted is None else history.index(wanted)
        if earliest >= total:
            raise ConfigError(
                f"choose.window wants {window} returns of every candidate before the first decision, the history has "
                f"{max(0, total - self._first - 1)} in {total} bars; shorten the window or load more history"
            )
        if start < earliest:
            raise ConfigError(
                f"start is {history.when(start)}, but choose.window = {window} returns are first complete for "
                f"{history.when(earliest)}; start there or shorten the window"
            )
        return start

    @property
    def _first(self) -> int:
        return max(shadow.start for shadow in self.shadows)

    def due(self, bar: int, start: int, ts: Any) -> bool:
        """Tell whether a choice falls on the close of `bar` and is not made yet."""
        return (self.in_use is None or self.in_use.bar < bar) and falls(self.plan.every, bar, start, ts)

    def choose(self, history: History, bar: int) -> Choice:
        """Choose at the close of `bar`: nothing later is looked at."""
        for shadow in self.shadows:
            shadow.reach(history, bar + 1)
        first = self._first if self.plan.anchored else bar - self.plan.window
        rows = [scored(self.plan, None if one.ruined else one.span(first, bar)) for one in self.shadows]
        scores, figures = zip(*rows, strict=True)
        before = -1 if self.in_use is None else self.in_use.candidate
        chosen = picked(scores, before, before if before >= 0 else self._first_alive())
        self.in_use = InUse(chosen, self.shadows[chosen].start, bar)
        return Choice(bar, chosen, scores, figures, chosen != before)

    def _first_alive(self) -> int:
        found = [n for n, shadow in enumerate(self.shadows) if not shadow.ruined]
        if not found:
            raise RuinError(f"choose: every candidate ruined its account before the first choice: {self.plan.told(0)}")
        return found[0]


def _check_alike(first: Shadow, other: Shadow) -> None:
    """Refuse a candidate whose beliefs, forecasts, features or book have another shape than the first one's."""
    one, two = first.session.wired, other.session.wired
    shapes = {
        "regimes": (one.layout.regimes, two.layout.regimes),
        "number of features": (len(one.names), len(two.names)),
        "forecasts": (one.layout.table.tolist(), two.layout.table.tolist()),
        "kind of book (orders that rest or none)": (one.resting, two.resting),
    }
    for name, (a, b) in shapes.items():
        if a != b:
            told = f"has another {name} than {first.told}: {b}, wanted {a}"
            raise ConfigError(f"choose: {other.told} {told}; candidates write into the same tables")


def scored(plan: Choose, span: Span | None) -> tuple[float, float]:
    """Return a score, the figure less what is penalised, and the figure; NaN where either cannot be told."""
    if span is None:
        return math.nan, math.nan
    figure = float(FIGURES[plan.figure](span))
    score = figure - math.fsum(weight * float(FIGURES[name](span)) for name, weight in plan.penalty.items())
    return score, figure


def picked(scores: Sequence[float], in_use: int, fallback: int) -> int:
    """Return the highest score's number; of equals the one in use, else the first; `fallback` where none can be told.

    >>> picked([1.0, 2.0, 2.0], 2, 0), picked([1.0, 2.0, 2.0], 0, 0), picked([math.nan, math.nan], 1, 1)
    (2, 1, 1)
    """
    there = [score for score in scores if math.isfinite(score)]
    if not there:
        return fallback
    best = max(there)
    return in_use if in_use >= 0 and scores[in_use] == best else scores.index(best)
