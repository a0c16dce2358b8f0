"""The lag curve: what a strategy earns when every decision comes some bars late.

Knowledge that stands in the bars themselves (tomorrow's label merged in as an observed asset) moves no answer before
any cut. But it is worth most on the bar it speaks of: what it earns falls apart when it is used late.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from barograph import orders
from barograph.data.history import FIELDS
from barograph.errors import BarographError, FitError
from barograph.execution.answers import each, spread
from barograph.features.combine import name_columns
from barograph.jit.kernel import Kernel, kernel
from barograph.jit.views import frozen
from barograph.loop.advance import decide_apart
from barograph.loop.result import Learned, Result
from barograph.loop.run import scan
from barograph.metrics.formulas import sharpe, simple_returns
from barograph.metrics.steps import steps
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.forecasts import belief_in, forecasts_in
from barograph.regimes.window import Window
from barograph.types import HOLD, Asset, Bars, Belief, Orders, Portfolio, Protected, Strategy, Target

__all__ = ["LAGS", "fresh_assets", "lag_curve", "run_late", "sharpe_of", "stands_out"]

LAGS: Final = (0, 1, 2, 5)
"""How many bars late."""
HIGH: Final = 2.0
SURE: Final = 4.0
LEFT: Final = 0.5


class _Delay(NamedTuple):
    """The rule's own params; which assets are traded (N,); the bars that an answer waits."""

    rule: Any
    traded: Any
    lag: int


class _Waiting(NamedTuple):
    """What the rule remembers; its last answers, as many as wait; the bars so far."""

    rule: Any
    answers: Any
    bars: int


def sharpe_of(run: Result) -> float:
    """Return a run's Sharpe ratio, a year."""
    taken = steps(run.arrays.ts, run.history.periods, run.history.by_day)
    return sharpe(simple_returns(run.arrays.equity[taken.rows]), taken.periods)


def lag_curve(whole: Result) -> dict[int, float]:
    """Return the Sharpe ratio of a run whose decisions are carried out 0, 1, 2 and 5 bars late; NaN where that fails.

    Fits are those of the run itself: what is late is the decision and nothing before it. Of a machine that chooses the
    candidates decide late, and are chosen by what they earn so.
    """
    return {lag: sharpe_of(whole) if lag == 0 else _late_sharpe(whole, lag) for lag in LAGS}


def _late_sharpe(whole: Result, lag: int) -> float:
    try:
        return sharpe_of(run_late(whole, lag))
    except BarographError:
        # A ruined account has no Sharpe ratio.
        return math.nan


def run_late(whole: Result, lag: int) -> Result:
    """Run a result's machine again, each answer of its strategy given `lag` bars after the close it was made at."""
    machine = whole.machine
    if machine.choose is not None:
        # Every candidate decides late, and the choice is among what they earn so; their fits see no account.
        late = [replace(one, strategy=_late(one.strategy, lag, whole)) for one in machine.choose.candidates]
        machine = replace(machine, choose=replace(machine.choose, candidates=tuple(late)))
    elif machine.learns and machine.fit is not None:
        model: Any = machine.model
        learned = partial(_again, iter(whole.fits))
        kind = {"labels": model.labels, "partial_rows": model.partial_rows, "panel": model.panel}
        known = Model(learned, model.regimes, model.name, **kind)
        machine = replace(machine, model=known, fit=replace(machine.fit, check=None))
    own = _late(machine.strategy, lag, whole)
    return scan(replace(machine, strategy=own, start=whole.first), whole.history)


def _again(fits: Iterator[Learned], _window: Window) -> Fitted:
    """Return the next of the run's own fits; one that did not come into force does not come into force again."""
    fit = next(fits)
    if fit.refused:
        raise FitError(fit.refused)
    return fit.fitted


def _late(of: Strategy, lag: int, whole: Result) -> Strategy:
    """Wrap a rule in a ring of its last answers: compiled for one that answers with weights, otherwise plain Python."""
    history = whole.history
    of = _as_one(of, whole) if of.reads == "own" and whole.layout.assets else of
    params = name_columns(of.params, lambda asset: history.column(asset.symbol) if asset.symbol else 0)
    blank = forecasts_in(frozen(np.full(whole.layout.width, math.nan)), whole.layout)
    row = frozen(np.full(whole.layout.belief_width, 1.0 / whole.layout.regimes))
    shown = belief_in(row, whole.layout, blank)._replace(features=_ones(of))
    answer = _trial(of, params, len(history.symbols), shown)
    traded = np.array(history.traded, dtype=np.int64)
    if not isinstance(answer, Target):
        return _late_in_python(of, lag, _rows(answer, traded), traded)
    init, step = _late_weights(of.init, of.step)
    look = of.bind
    bind = None if look is None else lambda params, fitted: params._replace(rule=look(params.rule, fitted))
    return Strategy(init, step, _Delay(of.params, traded, lag), of.name, bind, *_shown(of))


def _shown(of: Strategy) -> tuple[Any, ...]:
    """Return what a rule is shown beside bars, belief and account."""
    return of.horizons, of.reads, of.features


def _ones(of: Strategy) -> Any:
    return frozen(np.ones(len(of.features))) if of.features else ()


def _asset_of(symbol: str, asset: Asset) -> Asset:
    return asset if asset.symbol else Asset(symbol)


def _as_one(of: Strategy, whole: Result) -> Strategy:
    """Return one rule an asset as a single one that looks at all beliefs, in plain Python."""
    layout, symbols = whole.layout, [whole.history.symbols[a] for a in whole.layout.columns]
    params = tuple(name_columns(of.params, partial(_asset_of, symbol)) for symbol in symbols)
    features = tuple(one._replace(params=name_columns(one.params, partial(_asset_of, symbol)))
                     for symbol in symbols for one in of.features)  # fmt: skip
    look = of.bind

    def bound(params: Any, fitted: Fitted) -> Any:
        each = zip(params, symbols, strict=True)
        return tuple(look(given, fitted.of_asset(symbol)) for given, symbol in each)  # type: ignore[misc]

    begin, step = (lambda params: tuple(of.init(given) for given in params)), partial(decide_apart, of.step, layout)
    return Strategy(begin, step, params, of.name, bound if look else None, of.horizons, "all", features)


@functools.cache
def _late_weights(
    begin: Callable[..., Any], decide: Callable[..., Any]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def init(params: Any) -> Any:
        return _Waiting(begin(params.rule), np.full((params.lag, params.traded.size), HOLD), 0)

    def step(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        rule, answer = decide(state.rule, bars, belief, portfolio, params.rule)
        row = state.answers[state.bars % params.lag]
        due = row.copy()
        spread(answer.weights, row, params.traded)
        return _Waiting(rule, state.answers, state.bars + 1), Target(due)

    if isinstance(begin, Kernel) and isinstance(decide, Kernel):
        return kernel(init), kernel(step)
    return init, step


def _late_in_python(of: Strategy, lag: int, like: Any, traded: Any) -> Strategy:
    """Levels and slips of orders wait as they are. No kernel: such a rule takes half a minute to compile."""

    def init(params: Any) -> Any:
        return _Waiting(of.init(params), np.full((lag, *like.shape), math.nan), 0)

    def step(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        rule, answer = of.step(state.rule, bars, belief, portfolio, params)
        place = state.bars % lag
        due = state.answers[place].copy() if state.bars >= lag else None
        state.answers[place] = _rows(answer, traded)
        return _Waiting(rule, state.answers, state.bars + 1), _answer(isinstance(answer, Orders), due, like)

    return Strategy(init, step, of.params, of.name, of.bind, *_shown(of))


def _trial(of: Strategy, params: Any, assets: int, belief: Belief) -> Any:
    """Return a rule's answer to one made-up bar, for its kind: a slip of orders has as many rows as its maker says."""
    ones = frozen(np.ones(assets))
    bars = Bars(0, ones, ones, ones, ones, ones, ones)
    return of.step(of.init(params), bars, belief, Portfolio(1.0, 1.0, frozen(np.zeros(assets)), ones), params)[1]


def _rows(answer: Any, traded: Any) -> Any:
    """Write an answer out for every asset."""
    if isinstance(answer, Orders):
        return answer.rows
    rows = np.full((4, len(traded)), math.nan)
    spread(answer.weights, rows[0], traded)
    for row, value in zip(rows[1:], answer[1:], strict=False):
        each(value, row)
    return rows


def _answer(slip: bool, rows: Any, like: Any) -> Any:
    """Return the answer that is due; before the first one is there is none, and every position is left alone."""
    if slip:
        return orders.slip(len(like) - 1) if rows is None else Orders(rows)
    if rows is not None:
        return Protected(*rows)
    none = np.full(like.shape[1], math.nan)
    return Protected(np.full(like.shape[1], HOLD), none, none, none)


def fresh_assets(whole: Result) -> tuple[str, ...]:
    """Name the observed assets whose bars, seen one bar late, leave half of a run's Sharpe ratio or less."""
    history, now, found = whole.history, sharpe_of(whole), []
    for column in np.flatnonzero(~np.asarray(history.traded, dtype=bool)):
        late = {name: getattr(history, name).copy() for name in FIELDS}
        for values in late.values():
            values[1:, column], values[0, column] = values[:-1, column].copy(), math.nan
        try:
            left = sharpe_of(scan(whole.machine, replace(history, **late)))
        except BarographError:
            left = math.nan
        if not left > LEFT * now:
            found.append(f"observed asset {history.symbols[column]}")
    return tuple(found)


def stands_out(curve: dict[int, float], years: float) -> bool:
    """Tell whether a curve is that of somebody who knows: high, surely so, and half of it gone within five bars.

    High is a Sharpe ratio of at least 2 a year, and surely so is at least four standard errors (1 / sqrt(years)) above
    0. A rule that lives on what happens within days may fall like this and be honest: a figure, no proof.

    >>> stands_out({0: 9.0, 1: 0.2, 2: 0.1, 5: 0.0}, years=5.0), stands_out({0: 0.9, 1: 0.2, 2: 0.1, 5: 0.0}, 5.0)
    (True, False)
    """
    now = curve[0]
    later = [value for lag, value in curve.items() if lag > 0 and not math.isnan(value)]
    return now >= HIGH and now * math.sqrt(years) >= SURE and bool(later) and min(later) <= LEFT * now
