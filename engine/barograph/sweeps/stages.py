"""What points of a sweep share, each computed once: features, fits and beliefs; then parameters, laid out.

Two points share what they have the same content of: a model with its fits, features, history and horizons is looked at
once (`Seen`), a strategy with its parameters is laid out once (`Decider`), and so are terms (`Account`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from barograph.jit.kernel import Kernel, kernel
from barograph.loop.columns import columns_of
from barograph.loop.machine import Machine, strategy
from barograph.loop.session import Session
from barograph.loop.wiring import Wired, wire
from barograph.metrics.formulas import switches
from barograph.metrics.steps import Steps, steps
from barograph.regimes.forecasts import Layout as Horizons
from barograph.sweeps.whole import Whole, run_whole
from barograph.types import Feature, Floats, Strategy, Target

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.execution.terms import Terms
    from barograph.loop.advance import Columns
    from barograph.loop.result import Learned

__all__ = ["Alone", "Looks", "Point", "Seen", "content", "look", "look_whole", "observe", "point_of", "seeing"]


class Seen(NamedTuple):
    """What features and filter made of a history: all of a run that its account has no part in.

    `X` (T, d) are the features, `B` (n, K + 1) the beliefs from bar `first` on, `F` (n, width) the forecasts that a
    strategy of these horizons reads; `fits` are the models in force from the bars `begins` on. A machine that chooses
    has been run as a `whole`.
    """

    history: History
    columns: Columns
    first: int
    X: Floats
    B: Floats
    F: Floats
    layout: Horizons
    learned: tuple[Learned, ...]
    fits: tuple[Any, ...]
    begins: tuple[int, ...]
    steps: Steps
    rank: int
    switches: float
    whole: Whole | None = None


def look_whole(machine: Machine, history: History) -> tuple[Seen, Wired]:
    """Run a machine that chooses, and return what it saw as that of one point alone."""
    session = Session(machine, history, None, None)
    own = steps(history.ts[session.start :], history.periods, history.by_day)
    wired, whole = session.wired, run_whole(machine, history, own, session)
    none = np.empty((len(history) - session.start, 0))
    fits = tuple(session.fits), (session.fitted,), (0,)
    seen = Seen(history, session.columns, session.start, session.X, none, none, wired.layout, *fits, own, 1,
                whole.switches, whole)  # fmt: skip
    return seen, wired


def look(machine: Machine, history: History) -> Seen:
    """Let features and filter see the history, and the model learn as it falls due; nothing is decided.

    Raises what a run of the machine raises before its account is looked at.
    """
    # What a strategy declares for itself is observed apart.
    idle = strategy(_idle, horizons=machine.strategy.horizons, reads=machine.strategy.reads)
    session = Session(replace(machine, strategy=idle), history, None, None)
    tape = session.look()
    learned = tuple(session.fits)
    in_force = [(max(0, one.bar + 1), one.fitted) for one in learned if not one.refused]
    fixed = session.wired.fitted
    # Before its first fit a machine is wired to that fit already.
    begins, fits = zip(*in_force, strict=True) if in_force else ((0,), (fixed,))
    own = steps(history.ts[session.start :], history.periods, history.by_day)
    T = own.rows.size - 1
    return Seen(
        history=history,
        columns=session.columns,
        first=session.start,
        X=tape.X,
        B=tape.B,
        F=tape.F,
        layout=session.wired.layout,
        learned=learned,
        fits=tuple(fits),
        begins=(0, *begins[1:]),
        steps=own,
        rank=max(1, math.ceil(round((1 - 0.95) * T, 9))),
        switches=_switches(tape.B, session.wired.layout),
    )


@kernel
def _idle(state: Any, _bars: Any, _belief: Any, _portfolio: Any, _params: Any) -> Any:
    return state, Target(0.0)


# So many features are wired together: wiring costs more than they do, and a table of them is not to fill the memory.
_TOGETHER: Final = 64


def observe(features: Sequence[Feature], history: History) -> list[Floats]:
    """Return the numbers (T,) that each of several features, bound to columns, makes of a history.

    >>> from barograph.features import sma
    >>> from barograph.testing import some_bars
    >>> [column.round(1).tolist() for column in observe([sma(3), sma(4)], some_bars(5, missing=0.0))]
    [[nan, nan, 100.2, 99.1, 97.2], [nan, nan, nan, 99.3, 98.2]]

    Raises what a run that declares them raises.
    """
    found: list[Floats] = []
    for k in range(0, len(features), _TOGETHER):
        some = tuple(features[k : k + _TOGETHER])
        machine, X = Machine(strategy=strategy(_idle), features=some), np.empty((len(history), len(some)))
        wired = wire(machine, history)
        try:
            wired.body.observe(0, len(history), columns_of(history), wired.memory.copy(), wired.params, X)
        except Exception:
            # A run of it tells part and bar.
            Session(machine, history, None, None).look()
            raise
        found += [column.copy() for column in X.T]
    return found


class Looks:
    """Looks that were made, by what stands for what sees; `most` of them are kept, those asked for last."""

    def __init__(self, most: int | None = None) -> None:
        self.most, self.made = most, 0
        self._kept: dict[Hashable, Seen] = {}
        self._whole: dict[Hashable, tuple[Seen, Wired]] = {}

    def of(self, key: Hashable, point: Point) -> Seen:
        """Return what a point sees; it is looked at where that was not done yet."""
        seen = self._kept.pop(key, None)
        if seen is None:
            seen = look(point.whole, point.history)
            self.made += 1
        self._kept[key] = seen
        if self.most is not None and len(self._kept) > self.most:
            del self._kept[next(iter(self._kept))]
        return seen

    def whole(self, point: Point) -> tuple[Seen, Wired]:
        """Return what a point that runs whole has seen, and how it is wired; it is run where that was not done yet."""
        key = (Alone(point.machine), Alone(point.strategy), Alone(point.terms), Alone(point.history))
        if key not in self._whole:
            self._whole[key] = look_whole(point.whole, point.history)
        return self._whole[key]


def _switches(B: Floats, layout: Horizons) -> float:
    """How often the believed regime changed, as `metrics` counts it; of one regime nobody can tell."""
    if layout.regimes < 2:
        return math.nan
    each = B[:, : layout.beliefs * layout.regimes].reshape(len(B), layout.beliefs, layout.regimes)
    believed = np.where(np.isnan(each[:, :, 0]), -1, np.argmax(each, axis=2))
    return math.fsum(switches(believed[:, n]) for n in layout.columns) / len(layout.columns)


def content(value: Any) -> Hashable:  # noqa: PLR0911  a kind of value a line
    """Return what stands for a value's content; what has none that can be told stands for itself alone.

    >>> content((1, np.array([2.0]))) == content((1, np.array([2.0])))
    True
    >>> content([1]) == content([1.0]), content(0.0) == content(-0.0)
    (False, False)
    """
    kind = type(value)
    if kind in _PLAIN:
        return (kind, value)
    if kind is float:
        # Two zeros have one hash and are not the same bits; NaN is not even itself.
        return (kind, value) if value < 0.0 or value > 0.0 else (kind, value.hex(), math.copysign(1.0, value))
    if isinstance(value, FunctionType | Kernel):
        return _of_function(value)
    if isinstance(value, tuple | list):
        return (kind, *map(content, value))
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, np.generic):
        return (kind, value.tobytes())
    if isinstance(value, partial):
        return (partial, content(value.func), content(value.args), content(tuple(sorted(value.keywords.items()))))
    return Alone(value)


_PLAIN: Final = frozenset({type(None), bool, int, str, bytes})
# Functions are told once: the same one is the same whatever it closes over now.
_told: WeakKeyDictionary[Any, Hashable] = WeakKeyDictionary()


def _of_function(value: Any) -> Hashable:
    found = _told.get(value)
    if found is None:
        found = _told[value] = (Kernel, _look_into(value.py_func)) if isinstance(value, Kernel) else _look_into(value)
    return found


def _look_into(value: Any) -> Hashable:
    given = tuple(sorted((value.__kwdefaults__ or {}).items()))
    try:
        cells = tuple(cell.cell_contents for cell in value.__closure__ or ())
        told = content((value.__defaults__, given, cells))
    # One that reaches itself, or a name that is not bound yet.
    except (RecursionError, ValueError):
        return Alone(value)
    return (FunctionType, value.__code__, id(value.__globals__), told)


class Alone:
    """A value that equals only itself, kept so that no other takes its place."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alone) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


class Point(NamedTuple):
    """One run of a sweep: what sees (a machine, its own strategy and terms do not count), what decides, what it costs.

    `keys` stand for the content of what sees, decides and trades, where whoever makes the points knows it.
    """

    machine: Machine
    strategy: Strategy
    terms: Terms
    history: History
    keys: tuple[Hashable, Hashable, Hashable] | None = None

    @property
    def whole(self) -> Machine:
        """The machine that `scan` would run."""
        return replace(self.machine, strategy=self.strategy, terms=self.terms)


def point_of(machine: Machine, history: History) -> Point:
    """Return a machine as a point of a sweep."""
    terms = tuple(content(getattr(machine.terms, name)) for name in machine.terms.__dataclass_fields__)
    plan = machine.strategy
    decides = tuple(map(content, (plan.step, plan.init, plan.bind, plan.reads, plan.params, plan.features)))
    return Point(machine, plan, machine.terms, history, (seeing(machine), decides, terms))


_ASKED: Final = ("learn", "regimes", "name", "labels", "partial_rows", "panel")


def seeing(machine: Machine) -> Hashable:
    """Return what stands for all of a machine that its features and beliefs are made from."""
    model = machine.model
    asked = model if not machine.learns else tuple(getattr(model, name) for name in _ASKED)
    plan = machine.fit
    schedule = None if plan is None else tuple(getattr(plan, name) for name in plan.__dataclass_fields__)
    return tuple(map(content, (tuple(machine.features), asked, machine.filter, schedule, machine.start,
                               machine.each, machine.strategy.horizons)))  # fmt: skip
