"""A lane runs one point after another through the very door that `scan` calls, over features and beliefs seen before.

What a point does not share with the others is where its parameters lie and how its memory begins: a few words of the
frame (`barograph.jit.frame`). So a sweep compiles nothing but what one run of it would, and there is no second engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.epoch import DAY
from barograph.execution import book as col
from barograph.execution.book import words_a_bar
from barograph.jit import frame as at
from barograph.jit.calling import address, call_alone
from barograph.jit.kernel import compiled
from barograph.jit.reach import spot
from barograph.loop.advance import BOOK, Bound, Tape
from barograph.loop.wiring import wire
from barograph.sweeps.arena import Image, Plain
from barograph.sweeps.figures import FILL_ROWS, SCRATCH_ROWS, Market, gather, measure_run
from barograph.types import Floats

if TYPE_CHECKING:
    from barograph.loop.wiring import Wired
    from barograph.sweeps.stages import Point, Seen

__all__ = ["Account", "Decider", "Lane", "Layout"]

# Words of a lane's log: it is emptied when it is full, and stays in the processor's cache.
_LOG: Final = 8192


@compiled
def turning(decisions: Any, turns: Any) -> None:
    """Write for each bar the next after it whose decisions (T, N) are other than those of the bar before it, or T."""
    bars, following = turns.size, turns.size
    for t in range(bars - 1, -1, -1):
        turns[t] = following
        for a in range(decisions.shape[1]):
            following = t if t > 0 and decisions[t, a] != decisions[t - 1, a] else following


class Decider(NamedTuple):
    """A strategy: where its parameters' tables lie (one a stretch between fits), and how its memory begins.

    `columns` are the numbers of the features that it declares, in its order.
    """

    params: tuple[int, ...]
    memory: Image
    columns: tuple[int, ...] = ()


class Account(NamedTuple):
    """Terms: where their table lies, the book that a run begins with, where its money, counters and rows lie, rates.

    `cash` is what it begins with.
    """

    rules: int
    book: Image
    places: tuple[int, int, int]
    rates: Floats
    cash: float


class Layout(NamedTuple):
    """Where everything lies: parameters; the tables of strategies' memories and of books, and their largest sizes.

    `columns` (T,) are what declared features made of the bars.
    """

    columns: Sequence[Floats]
    params: Plain
    memories: Any
    books: Any
    size: tuple[int, int]


class Lane:
    """One run at a time, over what was `seen`; points differ in their strategy and in their terms."""

    def __init__(self, wired: Wired, seen: Seen, layout: Layout, slots: int) -> None:
        self.seen, self.layout = seen, layout
        n, assets = len(seen.B), len(seen.history.symbols)
        a_bar = words_a_bar(assets, slots)
        log = np.empty(max(_LOG, 4 * a_bar), dtype=np.int64)
        ends = len(seen.history)
        self.turned, self.numbers = np.empty((6, n)), log.view(np.float64)
        own = np.empty((ends, wired.body.declared))
        tape = Tape(seen.X, self.turned, np.empty((1, assets)), seen.B, seen.F, log, own, turned=True)
        self.bound = Bound(wired.body, len(log) - a_bar, seen.columns, wired.rates, wired.memory.copy(), wired.params,
                           tape, ends)  # fmt: skip
        self.f, self.i = np.zeros(layout.size[0] + 1), np.zeros(layout.size[1] + 1, dtype=np.int64)
        frame, self.own = self.bound.frame, self.bound.own[-1]
        frame[[at.FLOATS, at.INTS]] = spot(self.f), spot(self.i)
        frame[[at.PARAM_FLOATS, at.PARAM_INTS]] = spot(layout.params.f), spot(layout.params.i)
        self.places = (spot(layout.params.tables), spot(layout.memories), spot(layout.books), spot(self.f))
        self.fills, self.count = np.empty((FILL_ROWS, n + len(log))), 0
        self.paid, self.payments = np.empty(n + len(log)), 0
        self.scratch = np.empty((SCRATCH_ROWS, n))
        self.shown: list[int] = [-1] * wired.body.declared
        self.decisions = np.empty((ends, assets))
        self.days = np.diff(seen.history.ts // DAY, prepend=seen.history.ts[:1] // DAY)
        self.turns = np.empty(ends, dtype=np.int64)
        frame[[at.DAYS, at.TURNS]] = spot(self.days), spot(self.turns)
        part = self.bound.body.ahead(wired.memory, wired.params)
        # Decided once for all terms; `decided` holds the strategy whose decisions stand there.
        self.ahead = 0 if part is None or self.in_python else address(part, self.bound.body.interpret)
        self.decided: Decider | None = None
        self.stretches = tuple(pairwise((*seen.begins, ends)))

    def run(self, decider: Decider, account: Account) -> tuple[int, int]:
        """Run one point; return up to which bar, and what went wrong, 0 where nothing did."""
        self._begin(decider, account)
        self._show(decider)
        if self.ahead and decider is not self.decided:
            self._decide(decider)
        bound, params, first = self.bound, self.places[0], self.seen.first
        bar, fault, self.count, self.payments = 0, 0, 0, 0
        for (_, until), table in zip(self.stretches, decider.params, strict=True):
            self.own[at.PAT] = params + 8 * table
            while bar < until and fault == 0:
                bar, logged, fault = bound.go(bar, until, first)
                self._drain(logged)
                self.i[self.logged] = 0
        return bar, fault

    def run_in_python(self, point: Point, decider: Decider) -> tuple[int, int]:
        """Run one point whose strategy is plain Python: it is wired as a run of its own, over what was seen."""
        self._show(decider)
        whole, history, tape = point.whole, point.history, self.bound.tape
        bar, fault, self.count, self.payments, memory = 0, 0, 0, 0, None
        for (_, until), fitted in zip(self.stretches, self.seen.fits, strict=True):
            wired = wire(whole, history, fitted)
            memory = wired.memory.copy() if memory is None else memory
            bound = Bound(wired.body, self.bound.log_limit, self.seen.columns, wired.rates, memory, wired.params, tape,
                          len(history))  # fmt: skip
            while bar < until and fault == 0:
                bar, logged, fault = bound.go(bar, until, self.seen.first)
                self._drain(logged)
                memory.read(BOOK).counters[col.LOGGED] = 0
        return bar, fault

    @property
    def table(self) -> Floats:
        """The last run's table (n, 6), as `Result.table` has it."""
        return self.turned.T

    @property
    def in_python(self) -> bool:
        """Whether the strategy is plain Python, among parts that are compiled."""
        return self.bound.python is not None

    def measure(self, market: Market, out: Floats, sums: Floats, beyond: Floats) -> None:
        """Write the figures of the last run beside the benchmark, and block sums of its returns and of their excess."""
        seen, own = self.seen, self.seen.steps
        every = own.rows.size == self.turned.shape[1]
        measure_run(self.turned, own.rows, every, self.fills, self.count, seen.first, self.paid, self.payments, market,
                     own.periods, seen.rank, self.scratch, out, sums, beyond)  # fmt: skip

    def _decide(self, decider: Decider) -> None:
        """Let a strategy that never looks at the account decide at every close."""
        bound, params, frame = self.bound, self.places[0], self.bound.frame
        self.decided, frame[at.DECIDED], frame[at.START] = decider, spot(self.decisions), self.seen.first
        self._put(decider.memory)
        self.own[at.AT] = self.places[1] + 8 * decider.memory.table
        call = call_alone.py_func if bound.body.interpret else call_alone.dispatcher
        try:
            for (begin, until), table in zip(self.stretches, decider.params, strict=True):
                self.own[at.PAT] = params + 8 * table
                call(self.ahead, bound.where, spot(bound.own) + 8 * at.OWN * (len(bound.own) - 1), begin, until)
            turning(self.decisions, self.turns)
        except Exception:
            # An account may be ruined before the bar at which this was raised: that is found bar by bar, from the
            # memory that a strategy begins with.
            frame[at.DECIDED] = 0
            self._put(decider.memory)

    def _put(self, image: Image) -> None:
        self.f[image.at[0] : image.at[0] + image.f.size] = image.f
        self.i[image.at[1] : image.at[1] + image.i.size] = image.i

    def _show(self, decider: Decider) -> None:
        """Put the strategy's own features side by side, where it looks at them."""
        for k, column in enumerate(decider.columns):
            if column != self.shown[k]:
                self.bound.tape.Y[:, k] = self.layout.columns[column]
                self.shown[k] = column

    def _begin(self, decider: Decider, account: Account) -> None:
        params, memories, books, f = self.places
        for image in (decider.memory, account.book):
            self._put(image)
        own, words = self.own, self.bound.words
        own[at.AT], words[at.BOOK_AT] = memories + 8 * decider.memory.table, books + 8 * account.book.table
        words[at.RULES_AT] = params + 8 * account.rules
        words[at.RATES], words[at.VARYING] = spot(account.rates), len(account.rates) > 1
        money, counters, rows = account.places
        words[at.MONEY], words[at.ROWS] = f + 8 * money, f + 8 * rows
        self.logged = counters + col.LOGGED

    def _drain(self, logged: int) -> None:
        """Keep what the log says of money, and empty it."""
        if self.count + logged > self.fills.shape[1] or self.payments + logged > self.paid.size:
            self.fills = np.concatenate([self.fills, np.empty_like(self.fills)], axis=1)
            self.paid = np.concatenate([self.paid, np.empty_like(self.paid)])
        self.count, self.payments = gather(
            self.bound.tape.log, self.numbers, logged, self.fills, self.count, self.paid, self.payments
        )
