"""Features and strategies as parts: compiled alone, one function of four int64, found again by what they are made of.

An edited strategy compiles itself and nothing else; the engine's own door (`advance`) is the same for all machines. A
feature sees a block of bars at a time, its state in registers; a strategy sees every close, because the account that
it looks at has been there.
"""

from __future__ import annotations

import dis
import inspect
import math
from functools import cache
from typing import Any, NamedTuple

from barograph.execution import book as col
from barograph.execution.answers import each, spread
from barograph.jit import frame as at
from barograph.jit.kernel import Kernel, kernel, shared
from barograph.jit.memory import make_load, make_store, slots
from barograph.jit.reach import floats1, floats2, put_real, put_word, real, word
from barograph.jit.views import frozen
from barograph.orders import WIDTH
from barograph.regimes.forecasts import make_lent
from barograph.types import HOLD, Bars, Belief, Orders, Portfolio, Protected, Target

__all__ = ["ANSWERS", "bars_at", "columns", "decisions_part", "feature_part", "looks", "rules_part", "strategy_part"]

ANSWERS = (Target, Protected, Orders)
"""The kinds of answer, by the number that stands in a frame."""


class Columns(NamedTuple):
    """Where the columns lie, their number of assets, and how far factors lie apart from bar to bar."""

    ts: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    factor: int
    step: int
    n: int


@kernel
def columns(frame: Any) -> Columns:
    """Return the bars as they were quoted."""
    n = word(frame, at.N)
    return Columns(word(frame, at.TS), word(frame, at.OPEN), word(frame, at.HIGH), word(frame, at.LOW),
                   word(frame, at.CLOSE), word(frame, at.VOLUME), word(frame, at.ACTIONS),
                   4 * n * word(frame, at.ACTING), n)  # fmt: skip


@kernel
def _comparable(frame: Any) -> Columns:
    """Return the bars that features see: a block of them times the factor, so that a split is no return."""
    n = word(frame, at.N)
    if word(frame, at.ACTING) == 0:
        return columns(frame)
    size = at.BLOCK * n * 8
    place = word(frame, at.ADJUSTED) - word(frame, at.SEEN_FROM) * n * 8
    return Columns(word(frame, at.TS), place, place + size, place + 2 * size, place + 3 * size,
                   word(frame, at.VOLUME), word(frame, at.ONES), 0, n)  # fmt: skip


@kernel
def bars_at(c: Columns, t: int) -> Bars:
    """Return bar `t`: views, for reading only."""
    n = c.n
    return Bars(word(c.ts, t), frozen(floats1(c.open, t * n, n)), frozen(floats1(c.high, t * n, n)),
                frozen(floats1(c.low, t * n, n)), frozen(floats1(c.close, t * n, n)),
                frozen(floats1(c.volume, t * n, n)), frozen(floats1(c.factor, t * c.step, n)))  # fmt: skip


@cache
def feature_part(step: Any, state: Any, params: Any) -> Kernel[..., Any]:
    """Return the part ``(frame, own, first, last)`` that sees these bars, and writes its column of the features."""
    load, store, load_params = make_load(state, False), make_store(state), make_load(params, True)

    @shared
    def observe(frame, own, first, last):  # type: ignore[no-untyped-def]
        f, i, table = word(frame, at.FLOATS), word(frame, at.INTS), word(own, at.AT)
        seen = load(f, i, table)
        p = load_params(word(frame, at.PARAM_FLOATS), word(frame, at.PARAM_INTS), word(own, at.PAT))
        to, apart, c = word(own, at.TO), word(own, at.APART), _comparable(frame)
        for t in range(first, last):
            put_word(own, at.AT_BAR, t)
            seen, value = step(seen, bars_at(c, t), p)
            put_real(to, t * apart, value)
        store(f, i, table, seen)

    return observe


@kernel
def _hand_target(answer: Any, frame: Any) -> None:
    n = word(frame, at.N)
    spread(answer.weights, floats1(word(frame, at.WEIGHTS), 0, n), floats1(word(frame, at.TRADED), 0, n))


@kernel
def _hand_protected(answer: Any, frame: Any) -> None:
    n, levels = word(frame, at.N), word(frame, at.LEVELS)
    spread(answer.weights, floats1(word(frame, at.WEIGHTS), 0, n), floats1(word(frame, at.TRADED), 0, n))
    each(answer.stop, floats1(levels, 0, n))
    each(answer.take, floats1(levels, n, n))
    each(answer.trail, floats1(levels, 2 * n, n))


@kernel
def _hand_orders(answer: Any, frame: Any) -> None:
    # The slip dies with the strategy's call: what is written on it is copied, and no more than a close takes.
    rows, most = answer.rows, word(frame, at.SLIP_ROWS)
    to = floats2(word(frame, at.SLIP), 0, most, WIDTH)
    for r in range(min(int(rows[0, 0]) + 1, most, rows.shape[0])):
        for j in range(WIDTH):
            to[r, j] = rows[r, j]


HANDS = {Target: _hand_target, Protected: _hand_protected, Orders: _hand_orders}


class _Shown(NamedTuple):
    """Where a bar's beliefs, forecasts and a strategy's features lie, and how they are read.

    Before the first decided bar the rows of beliefs and forecasts are blank. One rule sees `each` of the features.
    """

    since: int
    beliefs: int
    forecasts: int
    table: int
    regimes: int
    n: int
    features: int
    each: int


@kernel
def _shown(frame: Any, t: int, rules: int) -> _Shown:
    regimes, n, since = word(frame, at.K), word(frame, at.BELIEFS), t - word(frame, at.START)
    place, ahead = word(frame, at.BLANK), word(frame, at.BLANK_FORECAST)
    if since >= 0:
        place = word(frame, at.B) + since * n * (regimes + 1) * 8
        ahead = word(frame, at.FORECASTS) + since * word(frame, at.FORECAST_WIDTH) * 8
    own = word(frame, at.OWN_COUNT)
    return _Shown(since, place, ahead, word(frame, at.FORECAST_TABLE), regimes, n,
                  word(frame, at.OWN_FEATURES) + t * own * 8, own // rules)  # fmt: skip


@kernel
def _account(frame: Any) -> Portfolio:
    n, money, rows = word(frame, at.N), word(frame, at.MONEY), word(frame, at.ROWS)
    held, prices = frozen(floats1(rows, col.QUANTITY * n, n)), frozen(floats1(rows, col.PRICE * n, n))
    return Portfolio(real(money, col.EQUITY), real(money, col.CASH), held, prices)


@kernel
def _no_features(shown: _Shown, m: int) -> tuple[()]:
    return ()


@kernel
def _features(shown: _Shown, m: int) -> Any:
    return frozen(floats1(shown.features, m * shown.each, shown.each))


@cache
def _belief(horizons: int, every: bool, features: bool) -> Kernel[..., Any]:
    """Return the kernel ``belief(shown, m, a)``: that of row `a` with so many forecasts, or of `every` row.

    With `features` rule `m` sees its own.
    """
    lent, own = make_lent(horizons, every), _features if features else _no_features

    @kernel
    def of_row(shown, m, a):  # type: ignore[no-untyped-def]
        forecasts = lent(shown.forecasts, shown.table, shown.regimes, 0, shown.n, a)
        probs = frozen(floats1(shown.beliefs, a * shown.regimes, shown.regimes))
        known = shown.since >= 0
        density = real(shown.beliefs, shown.n * shown.regimes + a) if known else math.nan
        return Belief(probs, density, forecasts, own(shown, m))

    @kernel
    def of_all(shown, m, a):  # type: ignore[no-untyped-def]
        forecasts = lent(shown.forecasts, shown.table, shown.regimes, 0, shown.n, a)
        probs = frozen(floats2(shown.beliefs, 0, shown.n, shown.regimes))
        densities = frozen(floats1(shown.beliefs, shown.n * shown.regimes, shown.n))
        return Belief(probs, densities, forecasts, own(shown, m))

    return of_all if every else of_row


@cache
def strategy_part(
    step: Any, state: Any, params: Any, kind: type, horizons: int = 0, every: bool = False, features: bool = False
) -> Kernel[..., Any]:
    """Return the part ``(frame, own, t, last)`` that decides at the close of bar `t`, and leaves its answer.

    It is lent the belief with forecasts of so many `horizons`; where there is one an asset, `every` one; and where the
    strategy declares `features`, those.
    """
    load, store, load_params, hand = make_load(state, False), make_store(state), make_load(params, True), HANDS[kind]
    belief = _belief(horizons, every, features)

    @shared
    def decide(frame, own, t, last):  # type: ignore[no-untyped-def]
        put_word(own, at.AT_BAR, t)
        f, i, table = word(frame, at.FLOATS), word(frame, at.INTS), word(own, at.AT)
        memory = load(f, i, table)
        p = load_params(word(frame, at.PARAM_FLOATS), word(frame, at.PARAM_INTS), word(own, at.PAT))
        now = belief(_shown(frame, t, 1), 0, 0)
        memory, answer = step(memory, bars_at(columns(frame), t), now, _account(frame), p)
        store(f, i, table, memory)
        hand(answer, frame)

    return decide


def looks(step: Kernel[..., Any]) -> bool:
    """Tell whether a strategy's step may look at the account: whether its code names that argument at all.

    >>> @kernel
    ... def blind(state, bars, belief, account, params):
    ...     return state, Target(belief.probs[0])
    >>> looks(blind), looks(kernel(lambda state, bars, belief, account, params: (account, Target(0.0))))
    (False, True)
    """
    code = step.py_func.__code__
    if code.co_argcount < 4 or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
        return True
    name = code.co_varnames[3]
    named = (of.argval for of in dis.get_instructions(code) if of.opcode in (*dis.haslocal, *dis.hasfree))
    return name in code.co_cellvars or any(name in of if isinstance(of, tuple) else name == of for of in named)


@cache
def decisions_part(
    step: Any, state: Any, params: Any, horizons: int = 0, every: bool = False, features: bool = False
) -> Kernel[..., Any]:
    """Return the part ``(frame, own, first, last)`` that decides at the closes of these bars, one after another.

    It is for a strategy that never looks at the account: its weights are the same whatever an account makes of them.
    """
    load, store, load_params = make_load(state, False), make_store(state), make_load(params, True)
    belief = _belief(horizons, every, features)

    @shared
    def decide_all(frame, own, first, last):  # type: ignore[no-untyped-def]
        f, i, table, n = word(frame, at.FLOATS), word(frame, at.INTS), word(own, at.AT), word(frame, at.N)
        memory, traded, decided = load(f, i, table), floats1(word(frame, at.TRADED), 0, n), word(frame, at.DECIDED)
        p = load_params(word(frame, at.PARAM_FLOATS), word(frame, at.PARAM_INTS), word(own, at.PAT))
        c, account = columns(frame), _account(frame)
        late = word(frame, at.LATE)
        for t in range(first, last):
            if late != 0 and word(late, t) != 0:
                # Nobody is asked at a late row, and nothing that was wanted changes.
                for a in range(n):
                    put_real(decided, t * n + a, HOLD)
                continue
            put_word(own, at.AT_BAR, t)
            memory, answer = step(memory, bars_at(c, t), belief(_shown(frame, t, 1), 0, 0), account, p)
            spread(answer.weights, floats1(decided, t * n, n), traded)
        store(f, i, table, memory)

    return decide_all


@kernel
def _hand_one_target(answer: Any, frame: Any, a: int, count: int) -> None:
    put_real(word(frame, at.WEIGHTS), a, answer.weights / count)


@kernel
def _hand_one_protected(answer: Any, frame: Any, a: int, count: int) -> None:
    n, levels = word(frame, at.N), word(frame, at.LEVELS)
    put_real(word(frame, at.WEIGHTS), a, answer.weights / count)
    put_real(levels, a, answer.stop)
    put_real(levels, n + a, answer.take)
    put_real(levels, 2 * n + a, answer.trail)


HANDS_OF_ONE = {Target: _hand_one_target, Protected: _hand_one_protected}


@cache
def rules_part(
    step: Any, state: Any, params: Any, kind: type, horizons: int = 0, features: bool = False
) -> Kernel[..., Any]:
    """Return the part that lets one rule an asset decide, each by its asset's own belief; all see the same account.

    Their states and params are of one structure and lie one behind the other.
    """
    load, store, load_params = make_load(state, False), make_store(state), make_load(params, True)
    belief, hand = _belief(horizons, False, features), HANDS_OF_ONE[kind]
    state_size, params_size = slots(state), slots(params)

    @shared
    def decide_each(frame, own, t, last):  # type: ignore[no-untyped-def]
        put_word(own, at.AT_BAR, t)
        f, i, pf, pi = (
            word(frame, at.FLOATS),
            word(frame, at.INTS),
            word(frame, at.PARAM_FLOATS),
            word(frame, at.PARAM_INTS),
        )
        count, whose = word(frame, at.FILTERS), word(frame, at.WHOSE)
        shown, account, bars = _shown(frame, t, count), _account(frame), bars_at(columns(frame), t)
        for m in range(count):
            table, a = word(own, at.AT) + 8 * m * state_size, word(whose, m)
            memory, p = load(f, i, table), load_params(pf, pi, word(own, at.PAT) + 8 * m * params_size)
            memory, answer = step(memory, bars, belief(shown, m, a), account, p)
            store(f, i, table, memory)
            hand(answer, frame, a, count)

    return decide_each
