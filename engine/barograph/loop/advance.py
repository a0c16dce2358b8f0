"""The loop's body: one door a book, compiled once for all machines, over parts that it calls by address.

`scan` takes the world through many bars a call, `replay` through one; a Python strategy is called in the middle, plain
Python parts run beside compiled ones, and with `interpret` everything is plain Python. One body, so one answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numba.core import config

from barograph.execution import book as col
from barograph.execution.answers import each, spread
from barograph.execution.book import Account, requests_a_bar
from barograph.execution.clauses import DECIDES, make_close, make_open
from barograph.execution.money import FACTOR
from barograph.execution.targets.quiet import Page, pass_quiet_bars
from barograph.jit import frame as at
from barograph.jit.calling import address, call_alone
from barograph.jit.kernel import Kernel, compiled, kernel
from barograph.jit.memory import Memory, make_load, slots
from barograph.jit.reach import call_part, floats1, floats2, ints1, put_real, put_word, real, spot, word
from barograph.jit.views import by_address, frozen
from barograph.loop.parts import (
    ANSWERS,
    bars_at,
    columns,
    decisions_part,
    feature_part,
    looks,
    rules_part,
    strategy_part,
)
from barograph.orders import WIDTH
from barograph.regimes.filtering import filter_part, filters_part
from barograph.regimes.forecasts import Layout, belief_in, forecasts_in, of_asset
from barograph.types import Bars, Belief, Floats, Orders, Portfolio, Protected, Target

__all__ = ["FEATURES", "FILTER", "SCRATCH", "STRATEGY", "Answer", "Body", "Bound", "Columns", "Scratch", "Tape",
           "decide_apart"]  # fmt: skip

# The trees of a world's memory and of its parameters, in this order.
FEATURES, FILTER, STRATEGY, BOOK, SCRATCH = range(5)
RULES, PLANS = BOOK, SCRATCH
# What the door does at a bar: all of it, or what comes before a strategy in Python decides, or what comes after, and
# then before.
WHOLE, BEFORE, AFTER = range(3)


class Answer(NamedTuple):
    """What a strategy returns (`Target`, `Protected`, `Orders`), and the book it needs: light or full."""

    kind: type
    full: bool


class Scratch(NamedTuple):
    """Room for one answer: weights (N,), protective levels (3, N); for adjusted prices (4, N); ones (N,).

    `blank` is the belief before there is a model: NaN for every number of a row.
    """

    weights: Any
    levels: Any
    adjusted: Any
    ones: Any
    blank: Any


class Columns(NamedTuple):
    """What the loop reads: moments (T,), prices and volume (T, N), actions (T, 4, N) or one row of them.

    `late` (T,) is 0 where a row decides, 1 at a late one, 2 at one that is marked alone, or (0,).
    """

    ts: Any
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    actions: Floats
    late: Any


class Tape(NamedTuple):
    """What a run writes: features (T, d), then from the start equity (n, 6), weights (n, N), beliefs, log.

    `B` (n, K+1) holds one belief a row, or, with one an asset, N times as many numbers: all probabilities first. `F`
    (n, width) are the forecasts that the strategy looks at, `Y` (T, F) the features that it declares. A `turned` table
    of equity is (6, n); there is one row of weights then, of whichever bar was written last.
    """

    X: Floats
    E: Floats
    W: Floats
    B: Floats
    F: Floats
    log: Any
    Y: Floats
    turned: bool = False


@kernel
def _adjust_block(frame: Any, first: int, last: int) -> None:
    n = word(frame, at.N)
    room, a, end = word(frame, at.ADJUSTED), word(frame, at.ACTIONS), word(frame, at.LAST_ADJUSTED)
    for column in range(4):
        source = word(frame, at.OPEN + column)
        for t in range(first, last):
            for j in range(n):
                price = real(source, t * n + j) * real(a, (4 * t + FACTOR) * n + j)
                put_real(room, (column * at.BLOCK + t - first) * n + j, price)
                put_real(end, column * n + j, price)


@kernel
def _see_block(frame: Any, first: int, last: int) -> None:
    """Let features and filter see bars [first, last)."""
    d, parts, start = word(frame, at.SEEN), word(frame, at.PARTS), word(frame, at.START)
    put_word(frame, at.SEEN_FROM, first)
    if word(frame, at.ACTING) == 1:
        _adjust_block(frame, first, last)
    for j in range(d):
        own = parts + j * at.OWN * 8
        put_word(frame, at.CALLED, j)
        call_part(word(own, at.CODE), frame, own, first, last)
    if last > start:
        own = parts + d * at.OWN * 8
        put_word(frame, at.CALLED, d)
        call_part(word(own, at.CODE), frame, own, max(first, start), last)
    put_word(frame, at.SEEN_TO, last)


class _Given(NamedTuple):
    """An answer as it stands in the frame."""

    weights: Any
    levels: Any


@cache
def _door(book_shape: Any, rules_shape: Any, full: bool) -> Kernel[..., Any]:
    """Return ``advance(frame, first, last, what)``: bars gone over, words in the log, what went wrong."""
    load_book, load_rules = make_load(book_shape, False), make_load(rules_shape, True)
    open_bar, close_bar = make_open(full), _close_full if full else _close_light
    pass_by = _pass_none if full else pass_quiet_bars

    @compiled
    def advance(frame, first, last, what):  # type: ignore[no-untyped-def]
        f, i, pf, pi = (
            word(frame, at.FLOATS),
            word(frame, at.INTS),
            word(frame, at.PARAM_FLOATS),
            word(frame, at.PARAM_INTS),
        )
        book, rules = load_book(f, i, word(frame, at.BOOK_AT)), load_rules(pf, pi, word(frame, at.RULES_AT))
        n, d, start, log_limit = (
            word(frame, at.N),
            word(frame, at.SEEN),
            word(frame, at.START),
            word(frame, at.LOG_LIMIT),
        )
        log = ints1(word(frame, at.LOG), 0, word(frame, at.LOG_WORDS))
        given = _Given(floats1(word(frame, at.WEIGHTS), 0, n), floats2(word(frame, at.LEVELS), 0, 3, n))
        account = by_address(Account(book, rules, log))
        # One row of actions or rates means: the same for every bar.
        acting, varying, late = word(frame, at.ACTING) == 1, word(frame, at.VARYING) == 1, word(frame, at.LATE)
        c, a, r = columns(frame), word(frame, at.ACTIONS), word(frame, at.RATES)
        equity, weights = word(frame, at.E), word(frame, at.W)
        row, column, across = word(frame, at.E_ROW), word(frame, at.E_COLUMN), word(frame, at.W_ROW)
        own = word(frame, at.PARTS) + (d + 1) * at.OWN * 8
        decide = word(own, at.CODE)
        t, seen_to, decided = first, word(frame, at.SEEN_TO), word(frame, at.DECIDED)
        # What is known before, one asset of which nothing is told but prices, may be quiet for many bars.
        known = decided != 0 and n == 1 and not acting and not varying
        page = by_address(Page(c.ts, c.open, c.close, decided, word(frame, at.DAYS), word(frame, at.TURNS),
                               equity, start, column, real(r, 0), real(r, 1)))  # fmt: skip
        while t < last and book.counters[col.FAULT] == 0 and (what == AFTER or book.counters[col.LOGGED] <= log_limit):
            if t >= seen_to and what != AFTER:
                seen_to = min(last, t + at.BLOCK)
                _see_block(frame, t, seen_to)
            if known and t >= start:
                t = pass_by(account, page, t, last)
                if t == last:
                    break
            bars = bars_at(c, t)
            # At a late row nobody thinks: what it triggers acts from the next close on.
            lateness = word(late, t) if late != 0 else DECIDES
            decides = lateness == DECIDES
            if t >= start and what != AFTER:
                actions = frozen(floats2(a, t * 4 * n if acting else 0, 4, n))
                rates = frozen(floats1(r, 2 * t if varying else 0, 2))
                open_bar(account, book, rules, log, bars, t, lateness, actions, acting, rates,
                         floats2(equity, (t - start) * row, 6, column),
                         floats1(weights, (t - start) * across, n))  # fmt: skip
            if decided != 0:
                for j in range(n):
                    given.weights[j] = real(decided, t * n + j)
            elif what == WHOLE and decides:
                put_word(frame, at.CALLED, d + 1)
                call_part(decide, frame, own, t, t)
            if t >= start and what != BEFORE and decides and book.counters[col.FAULT] == 0:
                close_bar(account, book, rules, log, bars, t, frame, given)
            # After a decision, what comes before the next one.
            what = BEFORE if what == AFTER else what
            t += 1
        return t, book.counters[col.LOGGED], book.counters[col.FAULT]

    advance.name("the engine")
    return advance


@kernel
def _pass_none(account: Any, page: Any, t: int, last: int) -> int:
    return t


_take_weights = make_close(Target, False)
_take_targets, _take_protected, _take_orders = (make_close(kind, True) for kind in ANSWERS)


@kernel
def _close_light(account: Any, book: Any, rules: Any, log: Any, bars: Any, t: int, frame: Any, given: Any) -> None:
    _take_weights(account, book, rules, log, bars, t, Target(given.weights), given)


@kernel
def _close_full(account: Any, book: Any, rules: Any, log: Any, bars: Any, t: int, frame: Any, given: Any) -> None:
    kind = word(frame, at.ANSWER)
    if kind == 0:
        _take_targets(account, book, rules, log, bars, t, Target(given.weights), given)
    elif kind == 1:
        levels = given.levels
        _take_protected(account, book, rules, log, bars, t,
                        Protected(given.weights, levels[0], levels[1], levels[2]), given)  # fmt: skip
    else:
        slip = floats2(word(frame, at.SLIP), 0, word(frame, at.SLIP_ROWS), WIDTH)
        _take_orders(account, book, rules, log, bars, t, Orders(slip), given)


class Body:
    """The loop's body over a machine's parts; `Bound` ties it to the arrays of a run.

    With a belief an asset the filter's states, params and plans are tuples, one an asset; where a rule is for `apart`,
    one asset, its own are too. The last `declared` of the features are the strategy's.
    """

    def __init__(
        self, steps: Sequence[Any], believe: Any, decide: Any, memory: Memory, params: Memory, answer: Answer,
        layout: Layout, forecast: Any = None, interpret: bool = False, apart: bool = False, declared: int = 0,
    ) -> None:  # fmt: skip
        self.answer, self.steps, self.layout, self.apart = answer, (*steps, believe, decide), layout, apart
        self.declared = declared
        self.forecast = forecast if layout.horizons else None
        self.interpret = interpret or bool(config.DISABLE_JIT)
        states, given = _split(memory.shapes[FEATURES], len(steps)), _split(params.shapes[FEATURES], len(steps))
        features = [feature_part(*of) for of in zip(steps, states, given, strict=True)]
        self.parts = (*features, self._filtering(memory, params), self._deciding(memory, params))
        self.offsets = (_offsets(states), _offsets(given))
        self.door = _door(memory.shapes[BOOK], params.shapes[RULES], answer.full)

    def _filtering(self, memory: Memory, params: Memory) -> Kernel[..., Any]:
        shapes = memory.shapes[FILTER], params.shapes[FILTER], params.shapes[PLANS]
        make = filters_part if self.layout.assets else filter_part
        state, given, plans = map(_of_first, shapes) if self.layout.assets else shapes
        return make(self.steps[-2], state, given, self.forecast, plans, self.layout.horizons)

    def _deciding(self, memory: Memory, params: Memory) -> Kernel[..., Any]:
        shapes, of = (memory.shapes[STRATEGY], params.shapes[STRATEGY]), (self.answer.kind, self.layout.horizons)
        if self.apart:
            return rules_part(self.steps[-1], *map(_of_first, shapes), *of, self.declared > 0)
        return strategy_part(self.steps[-1], *shapes, *of, self.layout.assets > 0, self.declared > 0)

    def ahead(self, memory: Memory, params: Memory) -> Kernel[..., Any] | None:
        """Return the part that decides at many closes at once; None where a strategy may look at the account."""
        step = self.steps[-1]
        if self.answer.kind is not Target or self.apart or not isinstance(step, Kernel) or looks(step):
            return None
        how = (self.layout.horizons, self.layout.assets > 0, self.declared > 0)
        return decisions_part(step, memory.shapes[STRATEGY], params.shapes[STRATEGY], *how)

    def name(self, names: Sequence[str]) -> None:
        """Say what the parts are called, for whoever waits while they are compiled."""
        for part, name in zip(self.parts, names, strict=True):
            part.name(name)

    def plain(self, j: int) -> bool:
        """Tell whether part `j` runs as plain Python."""
        steps = [self.steps[j]]
        if self.forecast is not None and j == len(self.steps) - 2:
            steps.append(self.forecast)
        return self.interpret or not all(isinstance(step, Kernel) for step in steps)

    def observe(self, first: int, last: int, columns: Columns, memory: Memory, params: Memory, X: Floats) -> None:
        """Let the machine's features alone see bars [first, last): for the training window."""
        nothing = np.zeros((0, 1))
        tape = Tape(X, nothing, nothing, nothing, nothing, nothing, nothing)
        bound = Bound(self, 0, columns, nothing, memory, params, tape, first, seeing=True)
        for t in range(first, last, at.BLOCK):
            bound.see(t, min(last, t + at.BLOCK))


class Bound:
    """A body tied to arrays, which it keeps: ``go(first, last, start)`` takes the world from bar to bar."""

    def __init__(self, body: Body, log_limit: int, columns: Columns, rates: Floats, memory: Memory, params: Memory,
                 tape: Tape, seen_to: int, seeing: bool = False) -> None:  # fmt: skip
        self.body, self.columns, self.rates, self.memory, self.params = body, columns, rates, memory, params
        n, d, seen = columns.open.shape[1], tape.X.shape[1], len(body.steps) - 2
        self.scratch = memory.read(SCRATCH)
        self.acting = len(columns.actions) > 1
        self.adjusted = np.zeros((4, at.BLOCK, n) if self.acting else 1)
        slip_rows = requests_a_bar(n, 64) + 2 if body.answer.kind is Orders else 1
        self.slip = np.zeros((slip_rows, WIDTH))
        self.rules = params.read(RULES)
        self.traded = np.array(self.rules.traded, dtype=np.float64)
        self.frame = frame = np.zeros(at.WORDS, dtype=np.int64)
        # One word at a time, at a quarter of what it takes through numpy.
        self.words: Any = frame.data
        frame[[at.N, at.D, at.SEEN_TO]] = n, d, seen_to
        frame[at.TS : at.ACTIONS + 1] = [spot(column) for column in columns[:7]]
        frame[at.LATE] = spot(columns.late) if len(columns.late) else 0
        frame[[at.ACTING, at.RATES, at.VARYING]] = self.acting, spot(rates), len(rates) > 1
        frame[at.FLOATS : at.PARAM_INTS + 1] = [spot(of) for of in (memory.f, memory.i, params.f, params.i)]
        frame[at.X], frame[at.SEEN] = spot(tape.X), seen
        frame[[at.OWN_FEATURES, at.OWN_COUNT]] = spot(tape.Y), body.declared
        frame[[at.MONEY, at.ROWS]] = memory.place(BOOK, 0), memory.place(BOOK, 2)
        frame[at.BOOK_AT] = spot(memory.at) + 8 * memory.at[BOOK]
        frame[at.RULES_AT] = spot(params.at) + 8 * params.at[RULES]
        frame[at.ANSWER], frame[at.SLIP], frame[at.SLIP_ROWS] = (
            ANSWERS.index(body.answer.kind),
            spot(self.slip),
            slip_rows,
        )
        frame[[at.WEIGHTS, at.LEVELS, at.LAST_ADJUSTED, at.ONES, at.BLANK]] = [
            memory.place(SCRATCH, j) for j in range(5)
        ]
        frame[at.TRADED], frame[at.ADJUSTED] = spot(self.traded), spot(self.adjusted)
        layout = body.layout
        self.table, self.blank_forecast = np.ascontiguousarray(layout.table), np.full(max(1, layout.width), np.nan)
        frame[[at.FORECAST_WIDTH, at.FORECAST_TABLE]] = layout.width, spot(self.table)
        frame[[at.PLANS, at.BLANK_FORECAST]] = spot(params.at) + 8 * params.at[PLANS], spot(self.blank_forecast)
        self.whose = np.array(layout.columns, dtype=np.int64)
        frame[[at.BELIEFS, at.FILTERS, at.WHOSE]] = layout.beliefs, len(self.whose), spot(self.whose)
        self.renew(tape, log_limit)
        self.own = self._own(d if seeing else seen + 2)
        frame[at.PARTS] = spot(self.own)
        self.where = spot(frame)
        door = body.door
        self.run: Callable[..., Any] = door.py_func if body.interpret else door.dispatcher
        self.mixed = not body.interpret and any(map(body.plain, range(seen + 2)))
        self.python = _Python(self) if self.mixed and body.plain(seen + 1) else None

    def renew(self, tape: Tape, log_limit: int) -> None:
        """Take another tape, whose log may hold so many words before a bar."""
        self.tape, self.log_limit, frame = tape, log_limit, self.frame
        frame[[at.K, at.B, at.E, at.W]] = self.body.layout.regimes, spot(tape.B), spot(tape.E), spot(tape.W)
        # A turned table is for figures, which want no weights: all of them are written to one row.
        rows = (1, tape.E.shape[1], 0) if tape.turned else (6, 1, tape.W.shape[1])
        frame[[at.E_ROW, at.E_COLUMN, at.W_ROW]] = rows
        frame[at.FORECASTS] = spot(tape.F)
        frame[[at.LOG, at.LOG_WORDS, at.LOG_LIMIT]] = spot(tape.log), len(tape.log), log_limit

    def _own(self, count: int) -> Any:
        memory, params, (states, given) = self.memory, self.params, self.body.offsets
        seen = len(states)
        own = np.zeros((count, at.OWN), dtype=np.int64)
        for j in range(count):
            tree = min(max(0, j - seen + 1), STRATEGY)
            own[j, at.CODE] = address(self.body.parts[j], self.body.plain(j))
            own[j, at.AT] = spot(memory.at) + 8 * (memory.at[tree] + (states[j] if j < seen else 0))
            own[j, at.PAT] = spot(params.at) + 8 * (params.at[tree] + (given[j] if j < seen else 0))
            own[j, at.TO], own[j, at.APART] = self._column(j, seen - self.body.declared)
        return own

    def _column(self, j: int, d: int) -> tuple[int, int]:
        """Return where feature `j` writes its first number, and how far its numbers lie apart; d are the machine's."""
        table, k = (self.tape.X, j) if j < d else (self.tape.Y, j - d)
        return spot(table) + 8 * k, table.shape[1]

    def see(self, first: int, last: int) -> None:
        """Let features and filter see bars [first, last), each at its own speed."""
        frame, seen, start = self.frame, len(self.body.steps) - 2, int(self.frame[at.START])
        frame[at.SEEN_FROM] = first
        if self.acting:
            self._adjust(first, last)
        for j in range(len(self.own) - (len(self.own) > seen)):
            self.call(j, first if j < seen else max(first, start), last)
        frame[at.SEEN_TO] = last

    def call(self, j: int, first: int, last: int) -> None:
        """Let one part see bars [first, last)."""
        if last > first:
            self.frame[at.CALLED] = j
            call = call_alone.py_func if self.body.plain(j) else call_alone.dispatcher
            call(int(self.own[j, at.CODE]), self.where, spot(self.own) + 8 * at.OWN * j, first, last)

    def _adjust(self, first: int, last: int) -> None:
        factor = self.columns.actions[first:last, FACTOR]
        for k, column in enumerate(self.columns[1:5]):
            self.adjusted[k, : last - first] = column[first:last] * factor
            self.scratch.adjusted[k] = self.adjusted[k, last - first - 1]

    def go(self, first: int, last: int, start: int) -> tuple[int, int, int]:
        """Go over bars until `last`, a full log or a fault; return the next bar, the log's words, and the fault."""
        self.words[at.START] = start
        if self.python is not None:
            return self.python.go(first, last, start)
        if not self.mixed:
            return self.run(self.where, first, last, WHOLE)  # type: ignore[no-any-return]
        t, logged, fault = first, 0, 0
        while t < last and fault == 0 and logged <= self.log_limit:
            if t >= self.words[at.SEEN_TO]:
                self.see(t, min(last, t + at.BLOCK))
            until = min(last, self.words[at.SEEN_TO])
            t, logged, fault = self.run(self.where, t, until, WHOLE)
        return t, logged, fault

    def decided(self, t: int) -> None:
        """Note that the strategy was called last, and at which bar."""
        j = len(self.own) - 1
        self.frame[at.CALLED], self.own[j, at.AT_BAR] = j, t

    @property
    def called(self) -> tuple[int, int]:
        """Which part was called last, and at which bar it was."""
        j = int(self.frame[at.CALLED])
        return j, int(self.own[j, at.AT_BAR])


# Makes a NamedTuple, at a third of what its own constructor takes.
_named: Any = tuple.__new__


class _Python:
    """A strategy in plain Python between the two halves of a bar; what every bar would pay for is made ready once."""

    def __init__(self, bound: Bound) -> None:
        self.bound, memory = bound, bound.memory
        book = memory.read(BOOK)
        self.money, self.decide = book.money.data, _decider(bound.body)
        self.quantity, self.price = frozen(book.rows[col.QUANTITY]), frozen(book.rows[col.PRICE])
        blank = np.full(bound.body.layout.belief_width, math.nan)
        self.blank = belief_in(blank, bound.body.layout, self._ahead([bound.blank_forecast])[0])
        self.declared = bound.body.declared > 0
        self.params = bound.params.read(STRATEGY)
        self.load, self.store = memory.reader(STRATEGY), memory.writer(STRATEGY)
        self.write, self.plain = _writer(bound), any(map(bound.body.plain, range(len(bound.own) - 1)))
        self.late = frozenset(np.flatnonzero(bound.columns.late).tolist())
        self.views: Any = iter(())
        self.shown = self.end = -1

    def go(self, first: int, last: int, start: int) -> tuple[int, int, int]:
        """Go over bars; what comes after a decision and what comes before the next one are one call."""
        run, where, limit, decide = self.bound.run, self.bound.where, self.bound.log_limit, self.decide
        money, quantity, price, params = self.money, self.quantity, self.price, self.params
        memory, (until, views), late = self.load(), self._ready(first, last, start), self.late
        # Of the bars before `begun` all is done that comes before the decision.
        t, begun, logged, fault = first, first, 0, 0
        while t < begun or (t < last and fault == 0 and logged <= limit):
            if t == until:
                until, views = self._ready(t, last, start)
            if t == begun:
                begun, logged, fault = run(where, t, t + 1, BEFORE)
            bars, probs, density, ahead, own = next(views)
            known = t >= start
            belief = _named(Belief, (probs, density, ahead, own)) if known else self.blank._replace(features=own)
            account = _named(Portfolio, (money[col.EQUITY], money[col.CASH], quantity, price))
            try:
                if t not in late:
                    memory, answer = decide(memory, bars, belief, account, params)
                    if t >= start and fault == 0:
                        self.write(answer)
            except BaseException:
                self.bound.decided(t)
                raise
            if t >= start and fault == 0:
                begun, logged, fault = run(where, t, min(t + 2, until), AFTER)
            t += 1
        self.store(memory)
        self.shown = t
        return t, logged, fault

    def _ready(self, t: int, last: int, start: int) -> tuple[int, Any]:
        """Return up to where a strategy can go on, and its views: in a sweep all is seen, and views are of a block."""
        seen, views = self._seen(t, last), self._views(t, start)
        return min(seen, self.end), views

    def _seen(self, t: int, last: int) -> int:
        """Let features and filter see bars from here on, which the door does for a single one; return up to where."""
        seen_to: int = self.bound.words[at.SEEN_TO]
        if t >= seen_to:
            seen_to = min(last, t + at.BLOCK)
            if self.plain or seen_to > t + 1:
                self.bound.see(t, seen_to)
        return min(last, seen_to)

    def _views(self, t: int, start: int) -> Any:
        """Return what a strategy looks at, bar for bar from here on; views of many bars are made at once."""
        if not self.shown == t < self.end:
            bound, c, rows = self.bound, self.bound.columns, slice(t, t + at.BLOCK)
            factor = c.actions[rows, FACTOR] if bound.acting else repeat(frozen(c.actions[0, FACTOR]))
            bars = map(_named, repeat(Bars), zip(*(column[rows] for column in c[:6]), factor, strict=False))
            B, blank = frozen(bound.tape.B)[max(0, t - start) : max(0, t + at.BLOCK - start)], [None] * (start - t)
            probs, logpdf = _beliefs(B, bound.body.layout)
            F = self._ahead(frozen(bound.tape.F)[max(0, t - start) : max(0, t + at.BLOCK - start)])
            own = frozen(bound.tape.Y)[rows] if self.declared else repeat(())
            self.views = zip(list(bars), [*blank, *probs], [*blank, *logpdf], [*blank, *F], own, strict=False)
            self.end = min(len(c.ts), t + at.BLOCK)
        self.shown = -1
        return self.views

    def _ahead(self, rows: Any) -> list[Any]:
        """Return the forecasts of these rows, for reading only."""
        layout = self.bound.body.layout
        return [forecasts_in(frozen(row), layout) for row in rows] if layout.horizons else [()] * len(rows)


def _beliefs(rows: Floats, layout: Layout) -> tuple[Any, Any]:
    """Return the probabilities and the log-densities of rows of beliefs, one after another."""
    count = layout.beliefs * layout.regimes
    if layout.assets:
        return rows[:, :count].reshape(len(rows), layout.assets, layout.regimes), rows[:, count:]
    return rows[:, :count], rows[:, count]


def _decider(body: Body) -> Callable[..., Any]:
    """Return a Python strategy's step; of a rule for one asset, one that asks every asset's."""
    step, layout = body.steps[-1], body.layout
    return partial(decide_apart, step, layout) if body.apart else step


def decide_apart(
    step: Callable[..., Any], layout: Layout, memory: Any, bars: Bars, belief: Belief, account: Portfolio, params: Any
) -> Any:
    """Let one rule an asset decide, each by its asset's own belief; return their states, and their answers as one."""
    kept, told, each = [], [], len(belief.features) // len(layout.columns)
    for m, (state, given, a) in enumerate(zip(memory, params, layout.columns, strict=True)):
        now = of_asset(belief, a)._replace(features=belief.features[m * each : (m + 1) * each])
        after, answer = step(state, bars, now, account, given)
        kept.append(after)
        told.append(answer)
    return tuple(kept), _together(told, layout)


def _together(told: list[Any], layout: Layout) -> Any:
    """Return the answers of one rule an asset as one, of one number an asset."""
    numbers = np.full((len(told[0]), layout.assets), math.nan)
    numbers[0] = 0.0
    for answer, a in zip(told, layout.columns, strict=True):
        numbers[:, a] = answer
        numbers[0, a] = answer.weights / len(told)
    return type(told[0])(*numbers)


def _of_first(shape: Any) -> Any:
    """Return the structure of one of several trees of one structure."""
    return shape[1][0]


def _writer(bound: Bound) -> Callable[[Any], None]:
    """Return what writes a Python strategy's answer where the door finds it."""
    kind, scratch, slip, traded = bound.body.answer.kind, bound.scratch, bound.slip, bound.rules.traded
    weights, idle, count = scratch.weights, np.flatnonzero(traded <= 0), int(np.count_nonzero(traded > 0))

    def write_target(answer: Any) -> None:
        # What `spread` does, not asset by asset.
        wanted = answer.weights
        if not isinstance(wanted, np.ndarray):
            weights.fill(wanted / count if count else 0.0)
        elif wanted.shape == weights.shape:
            weights[:] = wanted
        else:
            spread(wanted, weights, traded)
        if len(idle):
            weights[idle] = 0.0

    def write_protected(answer: Any) -> None:
        write_target(answer)
        for row, level in zip(scratch.levels, answer[1:], strict=True):
            each(level, row)

    def write_orders(answer: Any) -> None:
        count = min(int(answer.rows[0, 0]) + 1, len(slip), len(answer.rows))
        slip[:count] = answer.rows[:count]

    write = {Target: write_target, Protected: write_protected, Orders: write_orders}[kind]

    def checked(answer: Any) -> None:
        # A Protected where a Target was promised would lose its stops in silence.
        if not isinstance(answer, kind):
            found, wanted = type(answer).__name__, kind.__name__
            raise TypeError(f"a {found} after a {wanted}; wanted one kind of answer at every close")
        write(answer)

    return checked


def _split(shape: Any, count: int) -> list[Any]:
    """Return the structures of a stack of features, in their order."""
    if count == 1:
        return [shape]
    left, right = shape[1]
    return _split(left, count // 2) + _split(right, count - count // 2)


def _offsets(shapes: list[Any]) -> list[int]:
    found, place = [], 0
    for shape in shapes:
        found.append(place)
        place += slots(shape)
    return found
