"""A machine bound to a history's columns: symbols become columns, memory is laid out, every part is tried once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np

from barograph.data.rates import rates_on
from barograph.errors import PartError
from barograph.execution.book import open_book
from barograph.features import log_return
from barograph.features.combine import Stack, name_columns, stack
from barograph.jit.kernel import Kernel
from barograph.jit.memory import Memory, structure
from barograph.jit.views import frozen
from barograph.loop.advance import Answer, Body, Scratch
from barograph.loop.machine import Machine, stand_in
from barograph.orders import WIDTH
from barograph.regimes.family import chain_forecast
from barograph.regimes.forecasts import Layout, forecasts_in, layout_of
from barograph.types import Bars, Belief, Feature, Filter, Floats, Orders, Portfolio, Protected, Strategy, Target

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.regimes.fitted import Fitted

__all__ = ["PARTS", "Wired", "begin", "bound_params", "features_of", "needs_table", "wire"]

PARTS: Final = ("features", "filter", "strategy", "book", "scratch")


class Wired(NamedTuple):
    """A machine bound to a history's columns: its kernels, its first memory, and its parameters."""

    body: Body
    memory: Memory
    params: Memory
    filter: Filter
    names: tuple[str, ...]
    rates: Floats
    resting: int
    layout: Layout
    fitted: Fitted | None


def wire(
    machine: Machine,
    history: History,
    fitted: Fitted | None = None,
    filter: Filter | None = None,
    interpret: bool = False,
) -> Wired:
    """Resolve symbols to columns, lay out the memory and check what every part returns.

    `fitted` is the model in force; `filter` stands in for its filter; with `interpret` every kernel runs as plain
    Python: slow, and the same to the bit.

    Raises `PartError` naming the part, and `DataError` naming a symbol that is not in the history.
    """
    parts = _resolve(stack(features_of(machine)), history)
    if fitted is None and machine.model is not None and not machine.learns:
        fitted = cast("Fitted", machine.model)
    chosen = filter or (fitted.filter() if fitted is not None else machine.filter or stand_in(machine))
    plan = machine.strategy._replace(params=bound_params(machine.strategy, fitted, history))
    return _wired(machine, parts, chosen, plan, history, interpret)._replace(fitted=fitted)


def bound_params(plan: Strategy, fitted: Fitted | None, history: History) -> Any:
    """Return a strategy's parameters as its step gets them: bound to a fit, with columns in the place of symbols."""
    params = plan.params if fitted is None or plan.bind is None else plan.bind(plan.params, fitted)
    return _resolve(params, history)


def features_of(machine: Machine) -> list[Feature]:
    """Return the features of a machine: the log return where none is named."""
    return list(machine.features) or [log_return()]


def _resolve(tree: Any, history: History) -> Any:
    return name_columns(tree, lambda asset: history.column(asset.symbol) if asset.symbol else 0)


def needs_table(machine: Machine, answer: type) -> bool:
    """Tell whether these answers, on this machine's terms, need the full book."""
    return answer is not Target or not machine.terms.fits_light_book()


def _wired(machine: Machine, parts: Stack, chosen: Filter, plan: Strategy, history: History, interpret: bool) -> Wired:
    assets = len(history.symbols)
    features = begin("features", parts.init, parts.params)
    believed = begin(f"filter {chosen.name}", chosen.init, chosen.params)
    decided = begin(f"strategy {plan.name}", plan.init, plan.params)
    rules = machine.terms.rules(history.traded)
    layout, plans = layout_of(chosen, plan.horizons, f"strategy {plan.name}")
    params = Memory.of((parts.params, chosen.params, plan.params, rules, plans), (*PARTS[:4], "forecasts"))
    trial = Memory.of((features, believed, decided), PARTS[:3])
    kind = _try(trial, params, parts, chosen, plan, assets, layout)
    resting = machine.terms.resting if needs_table(machine, kind) else 0
    book = open_book(float(machine.terms.cash), assets, len(rules.guards), resting)
    memory = Memory.of((features, believed, decided, book, _scratch(assets, chosen.regimes)), PARTS)
    answer = Answer(kind, resting > 0)
    steps = [feature.step for feature in features_of(machine)]
    body = Body(steps, chosen.step, plan.step, memory, params, answer, layout, chosen.forecast, interpret)
    body.name([*parts.names, chosen.name, plan.name])
    return Wired(
        body=body,
        memory=memory,
        params=params,
        filter=chosen,
        names=parts.names,
        rates=rates_on(history.ts, machine.terms.borrow_rate, machine.terms.cash_rate),
        resting=resting,
        layout=layout,
        fitted=None,
    )


def _scratch(assets: int, regimes: int) -> Scratch:
    return Scratch(
        weights=np.zeros(assets),
        levels=np.full((3, assets), np.nan),
        adjusted=np.zeros((4, assets)),
        ones=np.ones(assets),
        blank=np.full(regimes, np.nan),
    )


def begin(name: str, init: Callable[..., Any], params: Any) -> Any:
    """Let a part begin. Raises `PartError` naming it."""
    try:
        return init(params)
    except Exception as error:
        raise PartError(f"{name}: init failed with {type(error).__name__}: {error}") from error


def _try(memory: Memory, params: Memory, parts: Stack, chosen: Filter, plan: Strategy, assets: int,
         layout: Layout) -> type:  # fmt: skip
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
        belief = _checked_belief(chosen, belief)
        now = belief if chosen.forecast is chain_forecast else state
        belief = belief._replace(forecasts=_looked(chosen, layout, now, p.read(4)))
        account = Portfolio(1.0, 1.0, frozen(np.zeros(assets)), ones)
        state, target = _call(f"strategy {plan.name}", plan.step, m.read(2), bars, belief, account, p.read(2))
        _same(f"strategy {plan.name}", memory.shapes[2], state)
    _check_answer(plan.name, target, assets)
    return type(target)


def _looked(chosen: Filter, layout: Layout, now: Any, plans: Any) -> Any:
    """Let the filter forecast once, for all horizons."""
    row, told = np.full(layout.width, np.nan), []
    for n, room in enumerate(forecasts_in(row, layout)):
        try:
            chosen.forecast(now, plans[n], room.horizon, room)  # type: ignore[misc]
        except Exception as error:
            raise PartError(f"filter {chosen.name}: forecast failed with {type(error).__name__}: {error}") from error
        told.append(room._replace(**{k: frozen(v) for k, v in room._asdict().items() if k != "horizon"}))
    return tuple(told)


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
