"""A machine bound to a history's columns: symbols become columns, memory is laid out, every part is tried once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np

from barograph.data.rates import rates_on
from barograph.errors import ConfigError, PartError
from barograph.execution.book import open_book
from barograph.features import log_return
from barograph.features.combine import Stack, name_columns, stack
from barograph.jit.kernel import Kernel
from barograph.jit.memory import Memory, structure
from barograph.jit.views import frozen
from barograph.loop.advance import Answer, Body, Scratch, decide_apart
from barograph.loop.machine import Machine, stand_in
from barograph.orders import WIDTH
from barograph.regimes.family import chain_forecast
from barograph.regimes.forecasts import Layout, belief_in, forecasts_in, layout_of, of_asset
from barograph.types import (
    Asset,
    Bars,
    Belief,
    Feature,
    Filter,
    Floats,
    Forecast,
    Orders,
    Portfolio,
    Protected,
    Strategy,
    Target,
)

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.regimes.fitted import Fitted

__all__ = [
    "PARTS",
    "Wired",
    "believed_about",
    "declared_by",
    "features_of",
    "memory_of",
    "needs_table",
    "plan_of",
    "seen_by",
    "wire",
]

PARTS: Final = ("features", "filter", "strategy", "book", "scratch")


class Wired(NamedTuple):
    """A machine bound to a history's columns: its kernels, its first memory, and its parameters.

    There is one of `filters`, or, with a belief an asset, one for each that is traded. `names` are those of the
    machine's features, `declared` those of its strategy's.
    """

    body: Body
    memory: Memory
    params: Memory
    filters: tuple[Filter, ...]
    names: tuple[str, ...]
    declared: tuple[str, ...]
    rates: Floats
    resting: int
    layout: Layout
    fitted: Fitted | None

    @property
    def filter(self) -> Filter:
        """The filter, or the first of them: they differ in their numbers alone."""
        return self.filters[0]


class _Beside(NamedTuple):
    """Filters that run beside each other; the columns whose bars they see; how many rows their belief has, 0: one."""

    filters: tuple[Filter, ...]
    columns: tuple[int, ...]
    assets: int


def wire(
    machine: Machine,
    history: History,
    fitted: Fitted | None = None,
    filters: Sequence[Filter] = (),
    interpret: bool = False,
) -> Wired:
    """Resolve symbols to columns, lay out the memory and check what every part returns.

    `fitted` is the model in force; `filters` stand in for its own; with `interpret` every kernel runs as plain
    Python: slow, and the same to the bit.

    Raises `PartError` naming the part, and `DataError` naming a symbol that is not in the history.
    """
    if fitted is None and machine.model is not None and not machine.learns:
        fitted = cast("Fitted", machine.model)
    believed = believed_about(machine, history)
    chosen = tuple(filters) or tuple(_filter(machine, fitted, symbol) for symbol in believed or ("",))
    columns = tuple(history.column(symbol) for symbol in believed) or (0,)
    beside = _Beside(chosen, columns, len(history.symbols) if believed else 0)
    plan, seen = plan_of(machine, fitted, history), (seen_by(machine, history), declared_by(machine, history))
    return _wired(machine, *seen, beside, plan, history, interpret)._replace(fitted=fitted)


def believed_about(machine: Machine, history: History) -> tuple[str, ...]:
    """Return the assets that have a belief of their own: the traded ones, or none where there is one belief for all."""
    if not machine.each:
        return ()
    found = tuple(symbol for symbol, traded in zip(history.symbols, history.traded, strict=True) if traded)
    if not found:
        raise ConfigError("each = true, a belief an asset, and none is traded; wanted an asset that is")
    return found


def _filter(machine: Machine, fitted: Fitted | None, symbol: str) -> Filter:
    if fitted is None:
        return machine.filter or stand_in(machine)
    return fitted.of_asset(symbol).filter() if symbol else fitted.filter()


def plan_of(machine: Machine, fitted: Fitted | None, history: History) -> Strategy:
    """Return the strategy with its params bound to the fit, and to columns; of a rule for one asset, those of each."""
    plan, found = machine.strategy, []
    for symbol in believed_about(machine, history) if plan.reads == "own" and machine.each else ("",):
        params = plan.params
        if fitted is not None and plan.bind is not None:
            params = plan.bind(params, fitted.of_asset(symbol) if symbol else fitted)
        found.append(_resolve(params, history, symbol))
    return plan._replace(params=tuple(found) if _apart(machine) else found[0])


def _apart(machine: Machine) -> bool:
    """Tell whether every asset has a rule of its own."""
    return machine.each and machine.strategy.reads == "own"


def features_of(machine: Machine) -> list[Feature]:
    """Return the features of a machine: the log return where none is named."""
    return list(machine.features) or [log_return()]


def seen_by(machine: Machine, history: History) -> list[Feature]:
    """Return the features bound to columns; with a belief an asset those of each, one asset after another."""
    return _bound(features_of(machine), believed_about(machine, history), history)


def declared_by(machine: Machine, history: History) -> list[Feature]:
    """Return the strategy's features bound to columns; of a rule for one asset those of each, one after another."""
    return _bound(machine.strategy.features, believed_about(machine, history) if _apart(machine) else (), history)


def _bound(features: Sequence[Feature], symbols: Sequence[str], history: History) -> list[Feature]:
    found = []
    for symbol in symbols or ("",):
        for feature in features:
            name = f"{symbol}: {feature.name}" if symbol else feature.name
            found.append(feature._replace(params=_resolve(feature.params, history, symbol), name=name))
    return found


def _resolve(tree: Any, history: History, symbol: str = "") -> Any:
    """Put columns in the place of assets; one without a name is `symbol`, or the first."""

    def column(asset: Asset) -> int:
        named = asset.symbol or symbol
        return history.column(named) if named else 0

    return name_columns(tree, column)


def needs_table(machine: Machine, answer: type) -> bool:
    """Tell whether these answers, on this machine's terms, need the full book."""
    return answer is not Target or not machine.terms.fits_light_book()


def _wired(machine: Machine, seen: list[Feature], declared: list[Feature], beside: _Beside, plan: Strategy,
           history: History, interpret: bool) -> Wired:  # fmt: skip
    assets, chosen, parts, apart = len(history.symbols), beside.filters[0], stack([*seen, *declared]), _apart(machine)
    features = _begin("features", parts.init, parts.params)
    believed = _begin_each(f"filter {chosen.name}", chosen.init, [of.params for of in beside.filters], beside.assets)
    decided = memory_of(machine, plan)
    rules = machine.terms.rules(history.traded)
    layout, plans = _layout(beside, plan)
    given = tuple(of.params for of in beside.filters) if beside.assets else chosen.params
    params = Memory.of((parts.params, given, plan.params, rules, plans), (*PARTS[:4], "forecasts"))
    if beside.assets:
        _check_alike(f"filter {chosen.name}", params.shapes[1], params.shapes[4])
    trial = Memory.of((features, believed, decided), PARTS[:3])
    kind = _try(trial, params, parts, chosen, plan, assets, layout, apart, len(declared))
    resting = machine.terms.resting if needs_table(machine, kind) else 0
    book = open_book(float(machine.terms.cash), assets, len(rules.guards), resting)
    memory = Memory.of((features, believed, decided, book, _scratch(assets, layout)), PARTS)
    answer = Answer(kind, resting > 0)
    steps = [feature.step for feature in (*seen, *declared)]
    body = Body(steps, chosen.step, plan.step, memory, params, answer, layout, chosen.forecast, interpret, apart,
                len(declared))  # fmt: skip
    body.name([*parts.names, chosen.name, plan.name])
    return Wired(
        body=body,
        memory=memory,
        params=params,
        filters=beside.filters,
        names=parts.names[: len(seen)],
        declared=parts.names[len(seen) :],
        rates=rates_on(history.ts, machine.terms.borrow_rate, machine.terms.cash_rate),
        resting=resting,
        layout=layout,
        fitted=None,
    )


def _layout(beside: _Beside, plan: Strategy) -> tuple[Layout, tuple[Any, ...]]:
    """Return how beliefs and forecasts lie in their rows, and the plans of the filter, or of each."""
    of, rows = (plan.horizons, f"strategy {plan.name}"), (beside.assets, beside.columns)
    found = [layout_of(chosen, *of, *rows) for chosen in beside.filters]
    layout = found[0][0]
    for chosen, (other, _) in zip(beside.filters, found, strict=True):
        if chosen.regimes != layout.regimes or not np.array_equal(other.table, layout.table):
            raise PartError(f"filter {chosen.name}: the assets' filters differ in their regimes or their forecasts")
    return layout, tuple(plans for _, plans in found) if beside.assets else found[0][1]


def _check_alike(name: str, *shapes: Any) -> None:
    """Refuse filters of several structures: they are compiled once for all assets."""
    if any(other != shape[1][0] for shape in shapes for other in shape[1]):
        raise PartError(f"{name}: the assets' filters differ in the structure of their params")


def _scratch(assets: int, layout: Layout) -> Scratch:
    return Scratch(
        weights=np.zeros(assets),
        levels=np.full((3, assets), np.nan),
        adjusted=np.zeros((4, assets)),
        ones=np.ones(assets),
        # Before there are beliefs one for all has no log-density to be read.
        blank=np.full(layout.belief_width if layout.assets else layout.regimes, np.nan),
    )


def memory_of(machine: Machine, plan: Strategy) -> Any:
    """Return what a strategy with its params bound remembers at the beginning."""
    apart = _apart(machine)
    return _begin_each(f"strategy {plan.name}", plan.init, plan.params if apart else [plan.params], apart)


def _begin_each(name: str, init: Callable[..., Any], params: Sequence[Any], several: Any) -> Any:
    """Return the first state, or those of several that run beside each other."""
    states = tuple(_begin(name, init, of) for of in params)
    return states if several else states[0]


def _begin(name: str, init: Callable[..., Any], params: Any) -> Any:
    """Let a part begin. Raises `PartError` naming it."""
    try:
        return init(params)
    except Exception as error:
        raise PartError(f"{name}: init failed with {type(error).__name__}: {error}") from error


def _try(memory: Memory, params: Memory, parts: Stack, chosen: Filter, plan: Strategy, assets: int,
         layout: Layout, apart: bool, declared: int) -> type:  # fmt: skip
    """Run one made-up bar through every part in plain Python: wrong shapes and kinds are named here, not by numba."""
    m, p = memory.copy(), params.copy()
    ones = frozen(np.ones(assets))
    bars = Bars(0, ones, ones, ones, ones, ones, ones)
    with np.errstate(all="ignore"):
        state, x = _call("features", parts.step, m.read(0), bars, p.read(0))
        _same("features", memory.shapes[0], state)
        numbers, d = np.array(x, dtype=np.float64), len(x) - declared
        belief = _try_filters(m.read(1), p.read(1), p.read(4), numbers[:d], chosen, layout)
        belief = belief._replace(features=frozen(numbers[d:]) if declared else ())
        account = Portfolio(1.0, 1.0, frozen(np.zeros(assets)), ones)
        of = (m.read(2), bars, belief, account, p.read(2))
        if apart:
            _try_alone(plan, layout, of)
        step = partial(decide_apart, plan.step, layout) if apart else plan.step
        state, target = _call(f"strategy {plan.name}", step, *of)
        _same(f"strategy {plan.name}", memory.shapes[2], state)
    _check_answer(plan.name, target, assets)
    return type(target)


def _try_filters(states: Any, params: Any, plans: Any, x: Floats, chosen: Filter, layout: Layout) -> Belief:
    """Return what the filter believes of one bar; with a belief an asset, what each of them does."""
    row, ahead, n, R = (
        np.full(layout.belief_width, np.nan),
        np.full(layout.width, np.nan),
        layout.beliefs,
        chosen.regimes,
    )
    each = zip(states, params, plans, strict=True) if layout.assets else [(states, params, plans)]
    seen, name, rooms = np.split(x, len(layout.columns)), f"filter {chosen.name}", forecasts_in(ahead, layout)
    for a, bar, (state, given, planned) in zip(layout.columns, seen, each, strict=True):
        wanted = structure(state, name)
        after, belief = _call(name, chosen.step, state, frozen(bar), given)
        _same(name, wanted, after)
        belief = _checked_belief(chosen, belief)
        row[a * R : (a + 1) * R], row[n * R + a] = belief.probs, belief.logpdf
        own = [Forecast(of.horizon, *(part[a] for part in of[1:])) if layout.assets else of for of in rooms]
        _look(chosen, belief if chosen.forecast is chain_forecast else after, planned, own)
    return belief_in(frozen(row), layout, forecasts_in(frozen(ahead), layout))


def _look(chosen: Filter, now: Any, plans: Any, rooms: Sequence[Forecast]) -> None:
    """Let the filter forecast once, for all horizons."""
    for plan, room in zip(plans, rooms, strict=True):
        try:
            chosen.forecast(now, plan, room.horizon, room)  # type: ignore[misc]
        except Exception as error:
            raise PartError(f"filter {chosen.name}: forecast failed with {type(error).__name__}: {error}") from error


def _try_alone(plan: Strategy, layout: Layout, of: tuple[Any, ...]) -> None:
    """Let one asset's rule decide alone: it has to answer with numbers, for they are shared among the assets."""
    states, bars, belief, account, params = of
    own = belief.features[: len(belief.features) // len(layout.columns)]
    told = (states[0], bars, of_asset(belief, layout.columns[0])._replace(features=own), account, params[0])
    _, answer = _call(f"strategy {plan.name}", plan.step, *told)
    wanted = isinstance(answer, Target | Protected) and all(
        isinstance(value, int | float | np.number) for value in answer
    )
    if not wanted:
        found = f"{type(answer).__name__} of {', '.join(type(value).__name__ for value in answer)}"
        raise PartError(f'strategy {plan.name} reads="own" and answers with {found}; wanted a Target of one number')


def _checked_belief(chosen: Filter, belief: Any) -> Belief:
    """Return the belief as a strategy is lent it: read-only, of as many regimes as the filter says."""
    if (
        not isinstance(belief, Belief)
        or not isinstance(belief.probs, np.ndarray)
        or belief.probs.shape != (chosen.regimes,)
    ):
        raise PartError(f"filter {chosen.name}: wanted a Belief of {chosen.regimes} probabilities, found {belief!r}")
    if isinstance(chosen.step, Kernel) and belief.probs.flags.writeable:
        cure = "lend them for reading only, as in bg.Belief(bg.frozen(probs), logpdf)"
        raise PartError(f"filter {chosen.name}: the probabilities of its Belief can be written to; {cure}")
    return belief._replace(probs=frozen(belief.probs))


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
