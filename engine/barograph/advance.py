"""The loop's body, put together from parts and compiled as one piece.

`advance` takes the world from bar `first` to bar `last`. `scan` calls it once for many bars, `replay` once a bar; a
machine with a Python strategy runs the same steps with the strategy's call in the middle. One body, so one answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, cast

from numba.core import config

from barograph.compiling import Kernel, borrow, compiled, frozen, kernel, spread
from barograph.memory import load_of, section, store_of
from barograph.step import EVENTS_A_BAR, NEXT_CLOSE, NEXT_OPEN, SAME_CLOSE, finance, match, place, record, settle
from barograph.types import Bars, Belief, Portfolio

__all__ = ["FEATURES", "FILTER", "SCRATCH", "STRATEGY", "Scratch", "advance_of", "bound", "bring_of", "observe_of"]

# The trees of a world's memory and of its parameters, in this order.
FEATURES, FILTER, STRATEGY, BOOK, SCRATCH = range(5)
RULES = BOOK


class Scratch(NamedTuple):
    """Room for one answer (N,), and the belief before there is a model: NaN for every regime (K,)."""

    weights: Any
    blank: Any


@kernel
def open_bar(book: Any, bars: Any, rules: Any, log: Any, t: int, equity: Any, weights: Any) -> Any:
    """Clauses 1 to 5, and the equity point: all that happens to the account before anybody thinks."""
    book = finance(book, bars, rules)
    if rules.fill == NEXT_OPEN:
        book = match(book, bars, rules, log, t, False)
    elif rules.fill == NEXT_CLOSE:
        book = match(book, bars, rules, log, t, True)
    return record(settle(book, bars), equity, weights)


@kernel
def close_bar(book: Any, bars: Any, rules: Any, log: Any, t: int, weights: Any) -> Any:
    """Clause 6: the targets become orders; under `same_close` they fill at the close they were decided at."""
    book = place(book, weights, rules, log, t)
    if rules.fill == SAME_CLOSE:
        book = match(book, bars, rules, log, t, True)
    return book


@kernel
def see(book: Any) -> Portfolio:
    """Lend the account to a strategy, for reading only."""
    return Portfolio(book.account.equity, book.account.cash, frozen(book.rows.quantity), frozen(book.rows.price))


@kernel
def put(row: Any, x: Any) -> None:
    """Write a bar's feature values into its row."""
    for j in range(len(x)):
        row[j] = x[j]


@kernel
def put_belief(row: Any, belief: Any) -> None:
    """Write a belief into its row: the probabilities, then the log-density."""
    for k in range(belief.probs.size):
        row[k] = belief.probs[k]
    row[belief.probs.size] = belief.logpdf


@cache
def advance_of(
    observe: Callable[..., Any], believe: Callable[..., Any], decide: Callable[..., Any], world: Any, params: Any
) -> Callable[..., Any]:
    """Put the parts together; the answer has the signature of `advance` below, whatever the parts are made of.

    Machine code where every part is a kernel; a Python call in the middle where only the strategy is Python; plain
    Python throughout otherwise. The bits are the same.
    """
    if not isinstance(observe, Kernel) or not isinstance(believe, Kernel):
        return _whole(observe, believe, decide, world, params).py_func
    if not isinstance(decide, Kernel):
        return Around(observe, believe, decide, world, params)
    return _whole(observe, believe, decide, world, params)


def _whole(observe: Any, believe: Any, decide: Any, world: Any, params: Any) -> Kernel[..., Any]:
    load_features, load_filter, load_strategy, load_book, load_scratch = (load_of(s, False) for s in world)
    store_features, store_filter, store_strategy, store_book, _ = (store_of(s) for s in world)
    features_params, filter_params, strategy_params, load_rules = (load_of(s, True) for s in params)

    @compiled
    def advance(first, last, start, ts, o, h, c_low, c, v, f, i, at, pf, pi, pat, X, E, W, B, log):  # type: ignore[no-untyped-def]
        ts, o, h, c_low, c, v = frozen(ts), frozen(o), frozen(h), frozen(c_low), frozen(c), frozen(v)
        f, i, X, E, W, B, log = borrow(f), borrow(i), borrow(X), borrow(E), borrow(W), borrow(B), borrow(log)
        pf, pi = borrow(pf), borrow(pi)
        seen, believed, memory = (
            load_features(f, i, section(at, 0)), load_filter(f, i, section(at, 1)), load_strategy(f, i, section(at, 2)),
        )  # fmt: skip
        book, scratch = load_book(f, i, section(at, 3)), load_scratch(f, i, section(at, 4))
        p_seen, p_believed = features_params(pf, pi, section(pat, 0)), filter_params(pf, pi, section(pat, 1))
        p_decided, rules = strategy_params(pf, pi, section(pat, 2)), load_rules(pf, pi, section(pat, 3))
        room = log.shape[0] - EVENTS_A_BAR * o.shape[1]
        t = first
        while t < last and book.desk.logged <= room and book.desk.fault == 0:
            bars = Bars(ts[t], o[t], h[t], c_low[t], c[t], v[t])
            if t >= start:
                book = open_bar(book, bars, rules, log, t, E[t - start], W[t - start])
            seen, x = observe(seen, bars, p_seen)
            put(X[t], x)
            belief = Belief(frozen(scratch.blank), math.nan)
            if t >= start:
                believed, belief = believe(believed, frozen(X[t]), p_believed)
                put_belief(B[t - start], belief)
            memory, target = decide(memory, bars, belief, see(book), p_decided)
            if t >= start and book.desk.fault == 0:
                spread(target.weights, scratch.weights, rules.traded)
                book = close_bar(book, bars, rules, log, t, scratch.weights)
            t += 1
        store_features(f, i, section(at, 0), seen)
        store_filter(f, i, section(at, 1), believed)
        store_strategy(f, i, section(at, 2), memory)
        store_book(f, i, section(at, 3), book)
        return t, book.desk.logged, book.desk.fault

    return advance


def bound(advance: Callable[..., Any], *fixed: Any) -> Callable[[int, int, int], tuple[int, int, int]]:
    """Return ``go(first, last, start)``: `advance` over arrays that stay the same from call to call."""
    if isinstance(advance, Around):
        return advance.bind(*fixed)
    run = _door(advance)
    return lambda first, last, start: run(first, last, start, *fixed)


def _door(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return what is called in the end: a bar has no time for the way there."""
    return cast("Callable[..., Any]", run.dispatcher) if isinstance(run, Kernel) and not config.DISABLE_JIT else run


class Around:
    """An `advance` with a Python strategy in the middle; `bind` makes ready once what every bar would pay for."""

    def __init__(self, observe: Any, believe: Any, decide: Any, world: Any, params: Any) -> None:
        self.perceive, self.conclude = _halves(observe, believe, world, params)
        self.decide, self.world, self.params = decide, world, params

    def __call__(self, first: int, last: int, start: int, *fixed: Any) -> tuple[int, int, int]:
        """Take the world from bar `first` to bar `last`."""
        return self.bind(*fixed)(first, last, start)

    def bind(self, *fixed: Any) -> Callable[[int, int, int], tuple[int, int, int]]:
        """Return ``go(first, last, start)`` over these arrays."""
        ts, o, h, c_low, c, v, f, i, at, pf, pi, pat, X, E, W, B, log = fixed
        perceive, conclude, decide = _door(self.perceive), _door(self.conclude), self.decide
        load, store = load_of(self.world[STRATEGY], False), store_of(self.world[STRATEGY])
        p = load_of(self.params[STRATEGY], True)(pf, pi, section(pat, STRATEGY))
        rules = load_of(self.params[RULES], True)(pf, pi, section(pat, RULES))
        rows = load_of(self.world[BOOK], False)(f, i, section(at, BOOK)).rows
        quantity, price = frozen(rows.quantity), frozen(rows.price)
        scratch = load_of(self.world[SCRATCH], False)(f, i, section(at, SCRATCH))
        blank, read, K = Belief(frozen(scratch.blank), math.nan), frozen(B), B.shape[1] - 1
        at_strategy, room = section(at, STRATEGY), log.shape[0] - EVENTS_A_BAR * o.shape[1]
        columns = (ts, o, h, c_low, c, v, f, i, at, pf, pi, pat)
        weights, traded = scratch.weights, rules.traded

        def go(first: int, last: int, start: int) -> tuple[int, int, int]:
            memory = load(f, i, at_strategy)
            # The caller empties the log before it is full, and ends at a fault: there is room for the first bar.
            t, logged, fault = first, 0, 0
            while t < last and logged <= room and fault == 0:
                logged, fault, equity, cash = perceive(t, start, *columns, X, E, W, B, log)
                belief = Belief(read[t - start, :K], read[t - start, K]) if t >= start else blank
                bars = Bars(ts[t], o[t], h[t], c_low[t], c[t], v[t])
                memory, target = decide(memory, bars, belief, Portfolio(equity, cash, quantity, price), p)
                if t >= start and fault == 0:
                    spread(target.weights, weights, traded)
                    logged, fault = conclude(t, *columns, log)
                t += 1
            store(f, i, at_strategy, memory)
            return t, logged, fault

        return go


@cache
def _halves(observe: Any, believe: Any, world: Any, params: Any) -> tuple[Any, Any]:
    load_features, load_filter, _, load_book, load_scratch = (load_of(s, False) for s in world)
    store_features, store_filter, _, store_book, _ = (store_of(s) for s in world)
    features_params, filter_params, _, load_rules = (load_of(s, True) for s in params)

    @compiled
    def perceive(t, start, ts, o, h, c_low, c, v, f, i, at, pf, pi, pat, X, E, W, B, log):  # type: ignore[no-untyped-def]
        f, i, log, X, pf, pi = borrow(f), borrow(i), borrow(log), borrow(X), borrow(pf), borrow(pi)
        book = load_book(f, i, section(at, 3))
        bars = Bars(ts[t], frozen(o[t]), frozen(h[t]), frozen(c_low[t]), frozen(c[t]), frozen(v[t]))
        if t >= start:
            book = open_bar(book, bars, load_rules(pf, pi, section(pat, 3)), log, t, E[t - start], W[t - start])
        seen, x = observe(load_features(f, i, section(at, 0)), bars, features_params(pf, pi, section(pat, 0)))
        put(X[t], x)
        store_features(f, i, section(at, 0), seen)
        if t >= start:
            believed = load_filter(f, i, section(at, 1))
            believed, belief = believe(believed, frozen(X[t]), filter_params(pf, pi, section(pat, 1)))
            put_belief(B[t - start], belief)
            store_filter(f, i, section(at, 1), believed)
        store_book(f, i, section(at, 3), book)
        return book.desk.logged, book.desk.fault, book.account.equity, book.account.cash

    @compiled
    def conclude(t, ts, o, h, c_low, c, v, f, i, at, pf, pi, pat, log):  # type: ignore[no-untyped-def]
        f, i, log, pf, pi = borrow(f), borrow(i), borrow(log), borrow(pf), borrow(pi)
        bars = Bars(ts[t], frozen(o[t]), frozen(h[t]), frozen(c_low[t]), frozen(c[t]), frozen(v[t]))
        weights = load_scratch(f, i, section(at, 4)).weights
        book = load_book(f, i, section(at, 3))
        book = close_bar(book, bars, load_rules(pf, pi, section(pat, 3)), log, t, weights)
        store_book(f, i, section(at, 3), book)
        return book.desk.logged, book.desk.fault

    return perceive, conclude


@cache
def observe_of(observe: Callable[..., Any], world: Any, params: Any) -> Callable[..., Any]:
    """Return ``run(first, last, columns..., memory, params, X)``: the features alone, for the training window."""
    load, store, load_params = load_of(world[FEATURES], False), store_of(world[FEATURES]), load_of(params[0], True)

    @compiled
    def run(first, last, ts, o, h, c_low, c, v, f, i, at, pf, pi, pat, X):  # type: ignore[no-untyped-def]
        ts, o, h, c_low, c, v = frozen(ts), frozen(o), frozen(h), frozen(c_low), frozen(c), frozen(v)
        f, i, pf, pi, X = borrow(f), borrow(i), borrow(pf), borrow(pi), borrow(X)
        seen, p = load(f, i, section(at, 0)), load_params(pf, pi, section(pat, 0))
        for t in range(first, last):
            seen, x = observe(seen, Bars(ts[t], o[t], h[t], c_low[t], c[t], v[t]), p)
            put(X[t], x)
        store(f, i, section(at, 0), seen)

    return run if isinstance(observe, Kernel) else run.py_func


@cache
def bring_of(believe: Callable[..., Any], state: Any, params: Any) -> Callable[..., Any]:
    """Return ``run(X, memory, params, B)``: the filter alone over rows of features, its beliefs written to B."""
    load, store, load_params = load_of(state, False), store_of(state), load_of(params, True)

    @compiled
    def run(X, f, i, at, pf, pi, pat, B):  # type: ignore[no-untyped-def]
        X, B, f, i, pf, pi = frozen(X), borrow(B), borrow(f), borrow(i), borrow(pf), borrow(pi)
        believed, p = load(f, i, section(at, 0)), load_params(pf, pi, section(pat, 0))
        for t in range(X.shape[0]):
            believed, belief = believe(believed, X[t], p)
            put_belief(B[t], belief)
        store(f, i, section(at, 0), believed)

    return run if isinstance(believe, Kernel) else run.py_func
