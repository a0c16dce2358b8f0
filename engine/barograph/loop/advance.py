"""The loop's body, put together from parts and compiled as one piece.

`advance` takes the world from bar `first` to bar `last`. `scan` calls it once for many bars, `replay` once a bar; a
machine with a Python strategy runs the same steps with the strategy's call in the middle. One body, so one answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, cast

import numpy as np
from numba.core import config

from barograph.execution import book as col
from barograph.execution.answers import each, spread
from barograph.execution.book import Account
from barograph.execution.clauses import make_close, make_open
from barograph.execution.money import FACTOR
from barograph.jit.kernel import Kernel, compiled, kernel
from barograph.jit.memory import make_load, make_store, section
from barograph.jit.views import by_address, frozen, unowned
from barograph.regimes.filtering import write_belief
from barograph.types import Bars, Belief, Orders, Portfolio, Protected, Target

__all__ = ["FEATURES", "FILTER", "SCRATCH", "STRATEGY", "Answer", "Scratch", "bound", "make_advance", "make_observe"]

# The trees of a world's memory and of its parameters, in this order.
FEATURES, FILTER, STRATEGY, BOOK, SCRATCH = range(5)
RULES = BOOK


class Answer(NamedTuple):
    """What a strategy returns (`Target`, `Protected`, `Orders`), and the book it needs: light or full."""

    kind: type
    full: bool


class Scratch(NamedTuple):
    """Room for one answer: weights (N,), protective levels (3, N); for adjusted prices (4, N); ones (N,).

    `blank` is the belief before there is a model: NaN for every regime (K,).
    """

    weights: Any
    levels: Any
    lifted: Any
    ones: Any
    blank: Any


@kernel
def comparable_bars(bars: Any, scratch: Any, acting: bool) -> Bars:
    """Return the bars that features see: prices times the factor, so that a split is no return."""
    if not acting:
        return Bars(bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.factor)
    to = scratch.lifted
    for a in range(to.shape[1]):
        to[0, a], to[1, a] = bars.open[a] * bars.factor[a], bars.high[a] * bars.factor[a]
        to[2, a], to[3, a] = bars.low[a] * bars.factor[a], bars.close[a] * bars.factor[a]
    return Bars(bars.ts, frozen(to[0]), frozen(to[1]), frozen(to[2]), frozen(to[3]), bars.volume, frozen(scratch.ones))


@kernel
def lend_portfolio(book: Any) -> Portfolio:
    """Lend the account to a strategy, for reading only."""
    return Portfolio(
        book.money[col.EQUITY], book.money[col.CASH], frozen(book.rows[col.QUANTITY]), frozen(book.rows[col.PRICE])
    )


@kernel
def write_features(row: Any, x: Any) -> None:
    """Write a bar's feature values into its row."""
    for j in range(len(x)):
        row[j] = x[j]


@cache
def make_advance(
    observe: Callable[..., Any],
    believe: Callable[..., Any],
    decide: Callable[..., Any],
    world: Any,
    params: Any,
    answer: Answer,
) -> Callable[..., Any]:
    """Put the parts together; the result has the signature of `advance` below, whatever the parts are made of.

    Machine code where every part is a kernel; a Python call in the middle where only the strategy is Python; plain
    Python throughout otherwise. The bits are the same.
    """
    if not isinstance(observe, Kernel) or not isinstance(believe, Kernel):
        return _whole(observe, believe, decide, world, params, answer).py_func
    if not isinstance(decide, Kernel):
        return Around(observe, believe, decide, world, params, answer)
    return _whole(observe, believe, decide, world, params, answer)


def _whole(observe: Any, believe: Any, decide: Any, world: Any, params: Any, answer: Answer) -> Kernel[..., Any]:
    load_features, load_filter, load_strategy, load_book, load_scratch = (make_load(s, False) for s in world)
    store_features, store_filter, store_strategy, store_book, _ = (make_store(s) for s in world)
    features_params, filter_params, strategy_params, load_rules = (make_load(s, True) for s in params)
    open_bar, close_bar = make_open(answer.full), make_close(answer.kind, answer.full)

    @compiled
    def advance(first, last, start, log_limit, ts, o, h, c_low, c, v, A, R, f, i, at, pf, pi, pat, X, E, W, B, log):  # type: ignore[no-untyped-def]
        ts, o, h, c_low, c, v = frozen(ts), frozen(o), frozen(h), frozen(c_low), frozen(c), frozen(v)
        f, i, X, E, W, B, log = unowned(f), unowned(i), unowned(X), unowned(E), unowned(W), unowned(B), unowned(log)
        pf, pi, A, R = unowned(pf), unowned(pi), frozen(A), frozen(R)
        seen, believed, memory = (
            load_features(f, i, section(at, 0)), load_filter(f, i, section(at, 1)), load_strategy(f, i, section(at, 2)),
        )  # fmt: skip
        book, scratch = load_book(f, i, section(at, 3)), load_scratch(f, i, section(at, 4))
        p_seen, p_believed = features_params(pf, pi, section(pat, 0)), filter_params(pf, pi, section(pat, 1))
        p_decided, rules = strategy_params(pf, pi, section(pat, 2)), load_rules(pf, pi, section(pat, 3))
        account = by_address(Account(book, rules, log))
        # One row of actions or rates means: the same for every bar.
        acting, varying = A.shape[0] > 1, R.shape[0] > 1
        t = first
        while t < last and book.counters[col.LOGGED] <= log_limit and book.counters[col.FAULT] == 0:
            actions, rates = A[t if acting else 0], R[t if varying else 0]
            bars = Bars(ts[t], o[t], h[t], c_low[t], c[t], v[t], actions[FACTOR])
            if t >= start:
                open_bar(account, book, rules, log, bars, t, actions, acting, rates, E[t - start], W[t - start])
            seen, x = observe(seen, comparable_bars(bars, scratch, acting), p_seen)
            write_features(X[t], x)
            belief = Belief(frozen(scratch.blank), math.nan)
            if t >= start:
                believed, belief = believe(believed, frozen(X[t]), p_believed)
                write_belief(B[t - start], belief)
            memory, answer = decide(memory, bars, belief, lend_portfolio(book), p_decided)
            if t >= start and book.counters[col.FAULT] == 0:
                close_bar(account, book, rules, log, bars, t, answer, scratch)
            t += 1
        store_features(f, i, section(at, 0), seen)
        store_filter(f, i, section(at, 1), believed)
        store_strategy(f, i, section(at, 2), memory)
        store_book(f, i, section(at, 3), book)
        return t, book.counters[col.LOGGED], book.counters[col.FAULT]

    return advance


def bound(advance: Callable[..., Any], log_limit: int, *fixed: Any) -> Callable[[int, int, int], tuple[int, int, int]]:
    """Return ``go(first, last, start)``: `advance` over arrays that stay the same from call to call.

    It stops before a bar at which the log holds more than `room` rows.
    """
    if isinstance(advance, Around):
        return advance.bind(log_limit, *fixed)
    run = _door(advance)
    return lambda first, last, start: run(first, last, start, log_limit, *fixed)


def _door(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return what is called in the end: a bar has no time for the way there."""
    return cast("Callable[..., Any]", run.dispatcher) if isinstance(run, Kernel) and not config.DISABLE_JIT else run


class Around:
    """An `advance` with a Python strategy in the middle; `bind` makes ready once what every bar would pay for."""

    def __init__(self, observe: Any, believe: Any, decide: Any, world: Any, params: Any, answer: Answer) -> None:
        self.perceive, self.conclude = _halves(observe, believe, world, params, answer)
        self.decide, self.world, self.params, self.answer = decide, world, params, answer

    def __call__(self, first: int, last: int, start: int, log_limit: int, *fixed: Any) -> tuple[int, int, int]:
        """Take the world from bar `first` to bar `last`."""
        return self.bind(log_limit, *fixed)(first, last, start)

    def bind(self, log_limit: int, *fixed: Any) -> Callable[[int, int, int], tuple[int, int, int]]:
        """Return ``go(first, last, start)`` over these arrays."""
        ts, o, h, c_low, c, v, A, R, f, i, at, pf, pi, pat, X, E, W, B, log = fixed
        perceive, conclude, decide = _door(self.perceive), _door(self.conclude), self.decide
        load, store = make_load(self.world[STRATEGY], False), make_store(self.world[STRATEGY])
        p = make_load(self.params[STRATEGY], True)(pf, pi, section(pat, STRATEGY))
        rules = make_load(self.params[RULES], True)(pf, pi, section(pat, RULES))
        rows = make_load(self.world[BOOK], False)(f, i, section(at, BOOK)).rows
        quantity, price = frozen(rows[col.QUANTITY]), frozen(rows[col.PRICE])
        scratch = make_load(self.world[SCRATCH], False)(f, i, section(at, SCRATCH))
        blank, read, K = Belief(frozen(scratch.blank), math.nan), frozen(B), B.shape[1] - 1
        at_strategy, acting = section(at, STRATEGY), len(A) > 1
        columns, factors = (ts, o, h, c_low, c, v, A, R, f, i, at, pf, pi, pat), frozen(A)
        write = _writer(self.answer, scratch, rules.traded)

        def go(first: int, last: int, start: int) -> tuple[int, int, int]:
            memory = load(f, i, at_strategy)
            # The caller empties the log before it is full, and ends at a fault: there is room for the first bar.
            t, logged, fault = first, 0, 0
            while t < last and logged <= log_limit and fault == 0:
                logged, fault, equity, cash = perceive(t, start, *columns, X, E, W, B, log)
                belief = Belief(read[t - start, :K], read[t - start, K]) if t >= start else blank
                bars = Bars(ts[t], o[t], h[t], c_low[t], c[t], v[t], factors[t if acting else 0, FACTOR])
                memory, answer = decide(memory, bars, belief, Portfolio(equity, cash, quantity, price), p)
                if t >= start and fault == 0:
                    logged, fault = conclude(t, *columns, log, write(answer))
                t += 1
            store(f, i, at_strategy, memory)
            return t, logged, fault

        return go


def _writer(answer: Answer, scratch: Scratch, traded: Any) -> Callable[[Any], Any]:
    """Return what writes a Python strategy's answer where compiled code finds it; it returns a slip's rows."""
    nothing = np.zeros((1, 1))
    weights, levels = scratch.weights, scratch.levels

    def write_target(target: Any) -> Any:
        spread(target.weights, weights, traded)
        return nothing

    def write_protected(target: Any) -> Any:
        spread(target.weights, weights, traded)
        for row, level in zip(levels, target[1:], strict=True):
            each(level, row)
        return nothing

    def write_orders(orders: Any) -> Any:
        return orders.rows

    write = {Target: write_target, Protected: write_protected, Orders: write_orders}[answer.kind]

    def checked(given: Any) -> Any:
        # A Protected where a Target was promised would lose its stops in silence.
        if not isinstance(given, answer.kind):
            found, wanted = type(given).__name__, answer.kind.__name__
            raise TypeError(f"a {found} after a {wanted}; wanted one kind of answer at every close")
        return write(given)

    return checked


@kernel
def _from_scratch(scratch: Any, slip: Any) -> Protected:
    """Return the answer that a Python strategy has left in the scratch."""
    return Protected(scratch.weights, scratch.levels[0], scratch.levels[1], scratch.levels[2])


@kernel
def _from_slip(scratch: Any, slip: Any) -> Orders:
    return Orders(slip)


@cache
def _halves(observe: Any, believe: Any, world: Any, params: Any, answer: Answer) -> tuple[Any, Any]:
    load_features, load_filter, _, load_book, load_scratch = (make_load(s, False) for s in world)
    store_features, store_filter, _, store_book, _ = (make_store(s) for s in world)
    features_params, filter_params, _, load_rules = (make_load(s, True) for s in params)
    open_bar, close_bar = make_open(answer.full), make_close(answer.kind, answer.full)
    given = _from_slip if answer.kind is Orders else _from_scratch

    @compiled
    def perceive(t, start, ts, o, h, c_low, c, v, A, R, f, i, at, pf, pi, pat, X, E, W, B, log):  # type: ignore[no-untyped-def]
        f, i, log, X, pf, pi = unowned(f), unowned(i), unowned(log), unowned(X), unowned(pf), unowned(pi)
        book, scratch = load_book(f, i, section(at, 3)), load_scratch(f, i, section(at, 4))
        acting, varying = A.shape[0] > 1, R.shape[0] > 1
        actions, rates = frozen(A[t if acting else 0]), frozen(R[t if varying else 0])
        bars = Bars(ts[t], frozen(o[t]), frozen(h[t]), frozen(c_low[t]), frozen(c[t]), frozen(v[t]), actions[FACTOR])
        if t >= start:
            rules = load_rules(pf, pi, section(pat, 3))
            account = by_address(Account(book, rules, log))
            open_bar(account, book, rules, log, bars, t, actions, acting, rates, E[t - start], W[t - start])
        lifted = comparable_bars(bars, scratch, acting)
        seen, x = observe(load_features(f, i, section(at, 0)), lifted, features_params(pf, pi, section(pat, 0)))
        write_features(X[t], x)
        store_features(f, i, section(at, 0), seen)
        if t >= start:
            believed = load_filter(f, i, section(at, 1))
            believed, belief = believe(believed, frozen(X[t]), filter_params(pf, pi, section(pat, 1)))
            write_belief(B[t - start], belief)
            store_filter(f, i, section(at, 1), believed)
        store_book(f, i, section(at, 3), book)
        return book.counters[col.LOGGED], book.counters[col.FAULT], book.money[col.EQUITY], book.money[col.CASH]

    @compiled
    def conclude(t, ts, o, h, c_low, c, v, A, R, f, i, at, pf, pi, pat, log, slip):  # type: ignore[no-untyped-def]
        f, i, log, pf, pi = unowned(f), unowned(i), unowned(log), unowned(pf), unowned(pi)
        factor = frozen(A[t if A.shape[0] > 1 else 0])[FACTOR]
        bars = Bars(ts[t], frozen(o[t]), frozen(h[t]), frozen(c_low[t]), frozen(c[t]), frozen(v[t]), factor)
        book, scratch = load_book(f, i, section(at, 3)), load_scratch(f, i, section(at, 4))
        rules = load_rules(pf, pi, section(pat, 3))
        account = by_address(Account(book, rules, log))
        close_bar(account, book, rules, log, bars, t, given(scratch, slip), scratch)
        store_book(f, i, section(at, 3), book)
        return book.counters[col.LOGGED], book.counters[col.FAULT]

    return perceive, conclude


@cache
def make_observe(observe: Callable[..., Any], world: Any, params: Any) -> Callable[..., Any]:
    """Return ``run(first, last, columns..., memory, params, X)``: the features alone, for the training window."""
    load, store, load_params = (
        make_load(world[FEATURES], False),
        make_store(world[FEATURES]),
        make_load(params[0], True),
    )
    load_scratch = make_load(world[SCRATCH], False)

    @compiled
    def run(first, last, ts, o, h, c_low, c, v, A, f, i, at, pf, pi, pat, X):  # type: ignore[no-untyped-def]
        ts, o, h, c_low, c, v, A = frozen(ts), frozen(o), frozen(h), frozen(c_low), frozen(c), frozen(v), frozen(A)
        f, i, pf, pi, X = unowned(f), unowned(i), unowned(pf), unowned(pi), unowned(X)
        scratch, acting = load_scratch(f, i, section(at, 4)), A.shape[0] > 1
        seen, p = load(f, i, section(at, 0)), load_params(pf, pi, section(pat, 0))
        for t in range(first, last):
            bars = Bars(ts[t], o[t], h[t], c_low[t], c[t], v[t], A[t if acting else 0][FACTOR])
            seen, x = observe(seen, comparable_bars(bars, scratch, acting), p)
            write_features(X[t], x)
        store(f, i, section(at, 0), seen)

    return run if isinstance(observe, Kernel) else run.py_func
