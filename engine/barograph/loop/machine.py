"""A machine: features, model, strategy and rules, put together once and run by any loop."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from barograph.errors import ConfigError, nearest
from barograph.execution.terms import Terms
from barograph.jit.kernel import kernel
from barograph.jit.views import frozen
from barograph.loop.fit import Fit, check_every
from barograph.metrics.span import FIGURES
from barograph.regimes.forecasts import no_forecast
from barograph.types import Belief, Entering, Feature, Filter, Strategy

if TYPE_CHECKING:
    from barograph.regimes.fitted import Fitted, Model

__all__ = ["READS", "Choose", "Machine", "no_model", "stand_in", "strategy"]

READS: Final = ("one", "own", "all", "none")
"""What a strategy may say of the beliefs it can look at (`barograph.types.Strategy`)."""


@kernel
def _nothing_believed(state: Any, x: Any, params: Any) -> Any:
    return state, Belief(frozen(state), 0.0)


def no_model(regimes: int = 1) -> Filter:
    """Return the filter of a machine without a model: one regime, and it is certain; or several, equally likely."""
    return Filter(lambda _: np.full(regimes, 1.0 / regimes), _nothing_believed, (), regimes, "none")


def stand_in(machine: Machine) -> Filter:
    """Return what stands in for the filter of a model that has not learned yet: it believes in as many regimes."""
    if not machine.learns:
        return no_model()
    return no_model(cast("Model", machine.model).regimes)._replace(forecast=no_forecast)


@kernel
def _no_memory(params: Any) -> Any:
    return ()


def strategy(
    step: Callable[..., Any],
    params: Any = (),
    init: Callable[..., Any] = _no_memory,
    name: str = "",
    horizons: Sequence[int | Entering] = (),
    reads: str = "one",
    features: Sequence[Feature] = (),
) -> Strategy:
    """Make a strategy of one function; without `init` it remembers nothing, without `horizons` it sees no forecasts.

    `reads` says which beliefs it can look at (`Strategy`). `features` are seen as ``belief.features``, in their order.

    >>> import barograph as bg
    >>> @bg.kernel
    ... def half(state, bars, belief, portfolio, params):
    ...     return state, bg.Target(0.5)
    >>> strategy(half).name
    'half'
    >>> @bg.kernel
    ... def crossed(state, bars, belief, portfolio, params):
    ...     return state, bg.Target(1.0 if belief.features[0] > belief.features[1] else 0.0)
    >>> [of.name for of in strategy(crossed, features=(bg.features.sma(20), bg.features.sma(50))).features]
    ['sma(20)', 'sma(50)']
    """
    called = name or step.__name__
    return Strategy(init, step, params, called, None, tuple(horizons), reads, tuple(features))


_TERMS: Final = tuple(term.name for term in fields(Terms))


@dataclass(frozen=True)
class Machine:
    """Everything that decides: what is observed, believed and done about it, and on which terms it trades.

    `features` feed the model (the first should be the log return when a strategy sizes by risk); `model` learns as
    `fit` says, or is already fitted (then without `fit`); `filter` brings a hand-made filter; with neither there is one
    regime. With `each` there is a belief an asset: every traded asset is seen by the features, whose own asset it then
    is, and has a filter of its own; the model learns from one table an asset. `terms` are the terms of trade, `start`
    is the first bar that is decided (its index, a date, or None: as early as the model allows). With `choose` the
    machine is one of several candidates at a time (`Choose`); all else is then that of the first of them.

    Raises `ConfigError` for what does not belong together.
    """

    strategy: Strategy
    features: Sequence[Feature] = ()
    model: Model | Fitted | None = None
    filter: Filter | None = None
    fit: Fit | None = None
    start: int | str | None = None
    terms: Terms = field(default_factory=Terms)
    name: str = field(default="")
    each: bool = False
    choose: Choose | None = None

    def __new__(cls, *_: Any, **given: Any) -> Machine:
        """Tell whoever writes a term of trade here where it belongs."""
        for name, value in given.items() if cls is Machine else ():
            if name in _TERMS:
                raise ConfigError(f"{name} is a term of trade: terms=bg.Terms({name}={value!r})")
            if name not in cls.__dataclass_fields__:
                raise ConfigError(
                    f"a machine has no {name!r}{_hint(name)}; it has {', '.join(cls.__dataclass_fields__)}"
                )
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        if not isinstance(self.terms, Terms):
            raise ConfigError(f"terms is {self.terms!r}; wanted bg.Terms(...)")
        if self.learns != (self.fit is not None):
            found = "there is no fit (when to learn)" if self.fit is None else "there is no model that can still learn"
            raise ConfigError(f"a model and its fit schedule belong together; {found}")
        _check_beliefs(self)

    @property
    def learns(self) -> bool:
        """Whether the model is refitted as bars arrive; a model already fitted is not."""
        return self.model is not None and not hasattr(self.model, "filter")


def _check_beliefs(machine: Machine) -> None:
    """Refuse a model, a filter or a rule that is not for as many beliefs as the machine has."""
    model, rule, name = machine.model, machine.strategy, f"strategy {machine.strategy.name}"
    if rule.reads not in READS:
        raise ConfigError(f"{name}: reads is {rule.reads!r}; wanted {' or '.join(READS)}{nearest(rule.reads, READS)}")
    if machine.each and model is None and machine.filter is None:
        raise ConfigError("each = true, a belief an asset, and there is no model; wanted a model or a filter")
    panel = model is not None and model.panel
    if machine.each and machine.learns and not panel:
        told = "learns from one table; wanted one that pools several assets, as student_panel"
        raise ConfigError(f"each = true, a belief an asset, and model {cast('Model', model).name} {told}")
    if panel and not machine.each:
        told = "is one for several assets, and there is one belief for all; wanted each = true"
        raise ConfigError(f"model {cast('Model', model).name} {told}")
    if machine.each and rule.reads == "one":
        told = 'reads one belief, and each = true gives one an asset; a rule for one asset says reads="own"'
        raise ConfigError(f'{name} {told}, one that looks at all of them reads="all"')
    if not machine.each and rule.reads == "all":
        raise ConfigError(f"{name} reads a belief an asset, and there is one for all; wanted each = true")


@dataclass(frozen=True)
class Choose:
    """Which of several machines is in use, chosen again and again by what each would have earned until then.

    Each of the `candidates` runs as a shadow: as if it had always been chosen, in an account of its own. At the close
    before the machine's first decision, and then `every` so often (a number of bars, or one of week, month, quarter,
    year, never), each is scored by a `figure` of metrics.json over its last `window` returns (all that all shadows
    have, when `anchored`), net of costs, less `penalty` times other figures. From the next bar on the highest is in
    use, with what its shadow remembers and with the machine's own account; of equals the one that was in use. `names`
    say what is varied, `values` with which values, a tuple a candidate.

    Raises `ConfigError` where candidates differ in their account or in what a choice cannot change.
    """

    candidates: tuple[Machine, ...]
    window: int
    every: int | str = "quarter"
    anchored: bool = False
    figure: str = "sharpe"
    penalty: Mapping[str, float] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    values: tuple[tuple[Any, ...], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what nobody can choose by, or among."""
        check_every(self.every, "choose.every")
        if self.window < 2:
            raise ConfigError(f"choose.window is {self.window}; wanted at least 2 bars of returns")
        for figure, key in [(self.figure, "figure"), *((name, "penalty") for name in self.penalty)]:
            if figure not in FIGURES:
                hint = nearest(figure, FIGURES) or f"; wanted one of {', '.join(FIGURES)}"
                raise ConfigError(f"choose.{key}: no figure {figure!r}{hint}")
        if not self.candidates:
            raise ConfigError("choose has no candidates; wanted at least one")
        for number in range(1, len(self.candidates)):
            self._check(number)

    def told(self, number: int) -> str:
        """Spell a candidate as ``--set`` would: key=value, ..."""
        if number >= len(self.values):
            return f"candidate {number}"
        return ", ".join(f"{name}={value}" for name, value in zip(self.names, self.values[number], strict=True))

    def _check(self, number: int) -> None:
        first, other = self.candidates[0], self.candidates[number]
        for name in ("terms", "each", "start"):
            if not _alike(getattr(first, name), getattr(other, name)):
                raise ConfigError(f"choose: {self.told(number)} changes {name}; all candidates share one account")
        if other.choose is not None:
            raise ConfigError(f"choose: {self.told(number)} chooses itself; wanted candidates that do not")


def _alike(one: Any, other: Any) -> bool:
    """Tell whether two settings say the same, array for array."""
    if is_dataclass(one) and type(one) is type(other):
        return all(_alike(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return bool(np.array_equal(one, other))
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return bool(one == other)


def _hint(name: str) -> str:
    """Say what a word may have been: a field of the machine, or a term of trade."""
    hint = nearest(name, [*Machine.__dataclass_fields__, *_TERMS])
    return re.sub(r"'(\w+)'", lambda m: f"terms=bg.Terms({m[1]}=...)" if m[1] in _TERMS else m[0], hint)


# What a notebook shows of it: `__new__` takes anything, so that a misspelt word is told in ours.
Machine.__signature__ = inspect.signature(MethodType(Machine.__init__, Machine))  # type: ignore[attr-defined]
