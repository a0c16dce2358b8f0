"""A machine: features, model, strategy and rules, put together once and run by any loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np

from barograph import features as feature_library
from barograph.advance import Answer, Scratch, advance_of, bring_of, observe_of
from barograph.book import FILLS, PATHS, Rules, open_book
from barograph.combine import Stack, name_columns, stack
from barograph.compiling import kernel
from barograph.errors import ConfigError, PartError, nearest
from barograph.lending import frozen
from barograph.memory import Memory, structure
from barograph.orders import WIDTH
from barograph.terms import ACCOUNTS, Guard, Rate, Switch, check_terms, plain, rates_on, rules_of
from barograph.types import Bars, Belief, Feature, Filter, Floats, Orders, Portfolio, Protected, Strategy, Target

if TYPE_CHECKING:
    from barograph.fitted import Fitted, Model
    from barograph.history import History

__all__ = ["Fit", "Machine", "Wired", "no_model", "strategy"]

CALENDAR_RULES: Final = ("week", "month", "quarter", "year")
PARTS: Final = ("features", "filter", "strategy", "book", "scratch")


@dataclass(frozen=True)
class Fit:
    """When the model learns, and from which bars: always from bars up to the decision bar, minus the embargo.

    `window` bars of training (the least, when `expanding`); `every` is a number of bars, one of week, month, quarter,
    year (the first bar of a new one), or "never"; `embargo` bars before the decision bar are left out.

    >>> Fit(window=500, every="month").rows(999)
    (500, 1000)
    >>> Fit(window=500, every=21, expanding=True, embargo=5).rows(999)
    (0, 995)
    """

    window: int
    every: int | str = "year"
    expanding: bool = False
    embargo: int = 0

    def __post_init__(self) -> None:
        """Refuse a schedule that cannot be kept."""
        if self.window < 2 or self.embargo < 0:
            raise ConfigError(f"fit.window is {self.window} and fit.embargo {self.embargo}; wanted >= 2 and >= 0")
        known = (*CALENDAR_RULES, "never")
        if isinstance(self.every, str) and self.every not in known:
            hint = nearest(self.every, known)
            raise ConfigError(
                f"fit.every is {self.every!r}; wanted a number of bars or one of {', '.join(known)}{hint}"
            )
        if not isinstance(self.every, str) and (not isinstance(self.every, int) or self.every < 1):
            raise ConfigError(f"fit.every is {self.every}; wanted a whole number of bars, at least 1, or 'never'")

    def rows(self, bar: int) -> tuple[int, int]:
        """Return the training rows [first, last) of a fit at the close of `bar`."""
        last = bar + 1 - self.embargo
        return (0 if self.expanding else max(0, last - self.window)), last

    def due(self, bar: int, start: int, ts: Any) -> bool:
        """Tell whether a fit falls on the close of `bar`; the first one is on the bar before `start`."""
        if bar == start - 1:
            return True
        if bar < start or self.every == "never":
            return False
        if isinstance(self.every, int):
            return (bar - start + 1) % self.every == 0
        return bool(_period(ts[bar], self.every) != _period(ts[bar - 1], self.every))


def _period(ts: int, rule: str) -> int:
    # A close at midnight belongs to the day that ends there.
    day = np.datetime64(int(ts) - 1, "ns").astype("datetime64[D]")
    if rule == "week":
        return int((day.astype(np.int64) + 3) // 7)
    month = int(day.astype("datetime64[M]").astype(np.int64))
    return month // {"month": 1, "quarter": 3, "year": 12}[rule]


@kernel
def _nothing_believed(state: Any, x: Any, params: Any) -> Any:
    return state, Belief(frozen(state), 0.0)


def no_model() -> Filter:
    """Return the filter of a machine without a model: one regime, and it is certain."""
    return Filter(init=lambda _: np.ones(1), step=_nothing_believed, params=(), regimes=1, name="none")


@kernel
def _no_memory(params: Any) -> Any:
    return ()


def strategy(
    step: Callable[..., Any], params: Any = (), init: Callable[..., Any] = _no_memory, name: str = ""
) -> Strategy:
    """Make a strategy of one function; without `init` it remembers nothing.

    >>> import barograph as bg
    >>> @bg.kernel
    ... def half(state, bars, belief, portfolio, params):
    ...     return state, bg.Target(0.5)
    >>> strategy(half).name
    'half'
    """
    return Strategy(init=init, step=step, params=params, name=name or step.__name__)


@dataclass(frozen=True)
class Machine:
    """Everything that decides: what is observed, believed and done about it, and on which terms it trades.

    `features` feed the model (the first should be the log return when a strategy sizes by risk); `model` learns as
    `fit` says, or is already fitted (then without `fit`); `filter` brings a hand-made filter; with neither there is one
    regime. The terms of trade are those of docs/execution.md: `fee`, `slippage` are fractions of the traded value,
    rates are a year, `lot` 0 trades any quantity, `leverage` caps gross exposure, `band` is how far a weight may drift
    from its target before it is traded back. `start` is the first bar that is decided (its index, a date, or None: as
    early as the model allows).
    """

    strategy: Strategy
    features: Sequence[Feature] = ()
    model: Model | Fitted | None = None
    filter: Filter | None = None
    fit: Fit | None = None
    start: int | str | None = None
    cash: float = 1_000_000.0
    fill: str = "next_open"
    fee: float = 0.0005
    maker_fee: float | None = None
    unit_fee: float = 0.0
    fixed_fee: float = 0.0
    minimum_fee: float = 0.0
    tiers: Sequence[Sequence[float]] = ()
    slippage: float = 0.0002
    spread: float = 0.0
    volatility_slippage: float = 0.0
    impact: float = 0.0
    lot: float = 0.0
    tick: float = 0.0
    min_notional: float = 0.0
    participation: float = 0.0
    path: str = "pessimistic"
    account: str = "margin"
    leverage: float = 1.0
    maintenance: float = 0.25
    warning: float = 0.30
    borrow_rate: float | Rate = 0.05
    cash_rate: float | Rate = 0.0
    short_rate: float = 0.005
    band: float = 0.0
    guards: Sequence[Guard | Switch] = ()
    resting: int = 8
    name: str = field(default="")

    def __post_init__(self) -> None:
        """Refuse terms that cannot be meant."""
        for key, known in (("fill", FILLS), ("path", PATHS), ("account", ACCOUNTS)):
            found = getattr(self, key)
            if found not in known:
                raise ConfigError(f"{key} is {found!r}; wanted one of {', '.join(known)}{nearest(found, known)}")
        check_terms(self)
        if self.learns != (self.fit is not None):
            found = "there is no fit (when to learn)" if self.fit is None else "there is no model that can still learn"
            raise ConfigError(f"a model and its fit schedule belong together; {found}")

    @property
    def learns(self) -> bool:
        """Whether the model is refitted as bars arrive; a model already fitted is not."""
        return self.model is not None and not hasattr(self.model, "filter")

    def wire(self, history: History, fitted: Fitted | None = None, filter: Filter | None = None) -> Wired:
        """Resolve symbols to columns, lay out the memory and check what every part returns.

        `fitted` is the model in force; `filter` stands in for its filter.

        Raises `PartError` naming the part, and `DataError` naming a symbol that is not in the history.
        """
        parts = _resolve(self._stack(), history)
        if fitted is None and self.model is not None and not self.learns:
            fitted = cast("Fitted", self.model)
        chosen = filter or (fitted.filter() if fitted is not None else self.filter or no_model())
        plan = self.strategy
        if fitted is not None and plan.bind is not None:
            plan = plan._replace(params=plan.bind(plan.params, fitted))
        plan = plan._replace(params=_resolve(plan.params, history))
        return _wire(self, parts, chosen, plan, history)

    def _stack(self) -> Stack:
        return stack(list(self.features) or [feature_library.log_return()])

    def rules(self, traded: Sequence[bool]) -> Rules:
        """Return the terms as the compiled step wants them."""
        return rules_of(self, traded)

    def needs_table(self, answer: type) -> bool:
        """Tell whether these answers, on these terms, need the full book."""
        return answer is not Target or not plain(self)


class Wired(NamedTuple):
    """A machine bound to a history's columns: its kernels, its first memory, and its parameters."""

    advance: Callable[..., Any]
    observe: Callable[..., Any]
    bring: Callable[..., Any]
    memory: Memory
    params: Memory
    filter: Filter
    names: tuple[str, ...]
    rates: Floats
    resting: int


def _resolve(tree: Any, history: History) -> Any:
    return name_columns(tree, lambda asset: history.column(asset.symbol) if asset.symbol else 0)


def _wire(machine: Machine, parts: Stack, chosen: Filter, plan: Strategy, history: History) -> Wired:
    assets = len(history.symbols)
    features = _begin("features", parts.init, parts.params)
    believed = _begin(f"filter {chosen.name}", chosen.init, chosen.params)
    decided = _begin(f"strategy {plan.name}", plan.init, plan.params)
    rules = machine.rules(history.traded)
    params = Memory.of((parts.params, chosen.params, plan.params, rules), PARTS[:4])
    trial = Memory.of((features, believed, decided), PARTS[:3])
    kind = _try(trial, params, parts, chosen, plan, assets)
    resting = machine.resting if machine.needs_table(kind) else 0
    book = open_book(float(machine.cash), assets, len(rules.guards), resting)
    memory = Memory.of((features, believed, decided, book, _scratch(assets, chosen.regimes)), PARTS)
    answer = Answer(kind, resting > 0)
    return Wired(
        advance=advance_of(parts.step, chosen.step, plan.step, memory.shapes, params.shapes, answer),
        observe=observe_of(parts.step, memory.shapes, params.shapes),
        bring=bring_of(chosen.step, memory.shapes[1], params.shapes[1]),
        memory=memory,
        params=params,
        filter=chosen,
        names=parts.names,
        rates=rates_on(history.ts, machine.borrow_rate, machine.cash_rate),
        resting=resting,
    )


def _scratch(assets: int, regimes: int) -> Scratch:
    return Scratch(
        weights=np.zeros(assets),
        levels=np.full((3, assets), np.nan),
        lifted=np.zeros((4, assets)),
        ones=np.ones(assets),
        blank=np.full(regimes, np.nan),
    )


def _begin(name: str, init: Callable[..., Any], params: Any) -> Any:
    try:
        return init(params)
    except Exception as error:
        raise PartError(f"{name}: init failed with {type(error).__name__}: {error}") from error


def _try(memory: Memory, params: Memory, parts: Stack, chosen: Filter, plan: Strategy, assets: int) -> type:
    """Run one made-up bar through every part in plain Python: wrong shapes and kinds are named here, not by numba."""
    m, p = memory.copy(), params.copy()
    ones = frozen(np.ones(assets))
    bars = Bars(0, ones, ones, ones, ones, ones, ones)
    with np.errstate(all="ignore"):
        state, x = _call("features", parts.step, m.read(0), bars, p.read(0))
        _same("features", memory.shapes[0], state)
        row = frozen(np.array(x, dtype=np.float64))
        state, belief = _call(f"filter {chosen.name}", chosen.step, m.read(1), row, p.read(1))
        _same(f"filter {chosen.name}", memory.shapes[1], state)
        if not isinstance(belief, Belief) or np.shape(belief.probs) != (chosen.regimes,):
            raise PartError(
                f"filter {chosen.name}: wanted a Belief of {chosen.regimes} probabilities, found {belief!r}"
            )
        account = Portfolio(1.0, 1.0, frozen(np.zeros(assets)), ones)
        state, target = _call(f"strategy {plan.name}", plan.step, m.read(2), bars, belief, account, p.read(2))
        _same(f"strategy {plan.name}", memory.shapes[2], state)
    _check_answer(plan.name, target, assets)
    return type(target)


def _call(name: str, step: Callable[..., Any], *arguments: Any) -> tuple[Any, Any]:
    try:
        answer = step(*arguments)
    except Exception as error:
        raise PartError(f"{name}: step failed with {type(error).__name__}: {error}") from error
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise PartError(f"{name}: step returned {type(answer).__name__}; wanted a pair (state, answer)")
    return answer


def _same(name: str, wanted: Any, state: Any) -> None:
    found = structure(state, name)
    if found != wanted:
        raise PartError(f"{name}: init gives a state like {_show(wanted)} but step returns {_show(found)}")


def _show(shape: Any) -> str:
    words = {"f": "float", "i": "int"}
    if isinstance(shape, tuple):
        inner = ", ".join(_show(s) for s in shape[1])
        return f"({inner})" if shape[0] == "tuple" else f"{shape[0].__name__}({inner})"
    return words.get(shape, f"{'float' if shape[0] == 'F' else 'int'} array of {shape[1:]} dimensions")


def _check_answer(name: str, answer: Any, assets: int) -> None:
    if not isinstance(answer, Target | Protected | Orders):
        raise PartError(f"strategy {name}: wanted a Target, Protected or Orders, found {type(answer).__name__}")
    if isinstance(answer, Orders):
        if not isinstance(answer.rows, np.ndarray) or answer.rows.ndim != 2 or answer.rows.shape[1] != WIDTH:
            raise PartError(f"strategy {name}: these Orders were not made with orders.slip(...)")
        return
    for field_name, value in zip(answer._fields, answer, strict=True):
        number = isinstance(value, int | float | np.number)
        array = isinstance(value, np.ndarray) and value.shape == (assets,)
        if not number and not array:
            found = f"{type(value).__name__} of shape {np.shape(value)}"
            where = type(answer).__name__ + ("" if field_name == "weights" else f".{field_name}")
            raise PartError(
                f"strategy {name}: {where} holds a {found}; wanted a number or a numpy array of ({assets},)"
            )
