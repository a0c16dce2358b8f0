"""A run as every loop drives it: bars go by, fits fall due, the log is put away.

Walk-forward is part of it: before bar t is looked at, a fit that fell due at the close of t-1 is made, on bars up to
t-1 only; the new filter is brought to the present by filtering its training window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numba.core.errors import NumbaError

from barograph.data.rates import rates_on
from barograph.errors import (
    BarographError,
    ConfigError,
    DataError,
    FitError,
    PartError,
    ShortageError,
    StrategyError,
    short_of,
)
from barograph.execution import book as col
from barograph.execution.book import Account, words_a_bar
from barograph.execution.events import Written, log_columns
from barograph.jit import frame as at
from barograph.jit.cache import cache_limit
from barograph.jit.memory import Memory
from barograph.jit.views import frozen
from barograph.loop.advance import BOOK, RULES, SCRATCH, Bound, Tape
from barograph.loop.choosing.choice import Choice, Choosing, candidate_of
from barograph.loop.columns import columns_of, tables_of, window_of
from barograph.loop.faults import failure, gist, line_of
from barograph.loop.fit import Close, next_fall
from barograph.loop.late import Correction, credit, restated
from barograph.loop.machine import Machine
from barograph.loop.once import fit_once
from barograph.loop.result import Learned, Result
from barograph.loop.tables import Arrays
from barograph.loop.wiring import Wired, wire
from barograph.loop.world import World
from barograph.regimes.filtering import filter_rows
from barograph.regimes.forecasts import belief_in
from barograph.regimes.matching import Match, match
from barograph.regimes.window import Window, training_rows
from barograph.types import Floats

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.regimes.fitted import Fitted, Model

__all__ = ["Progress", "Session"]

Progress = Callable[[int, int], None]
# Bytes of the log's first piece, which most runs never fill, and of every other. Above 32 MiB the allocator fetches new
# pages each time, which cost nothing until they are written. A little less, as the log once was, it keeps and clears
# (1.4 of 2.0 ms of a third scan of 5,000 bars); small pieces made 100 assets rebalanced every bar pay twice or three
# times the price of the trading.
_FIRST_PIECE = 2**18
_PIECE = 36_000_000


class Session:
    """One run: the columns, the world as it moves, and what has been written so far."""

    def __init__(
        self,
        machine: Machine,
        history: History,
        world: World | None,
        progress: Progress | None,
        interpret: bool = False,
    ) -> None:
        # A limit that is none is its maker's mistake, and not that of the part which is compiled first.
        cache_limit()
        self.given, self.history, self.progress, self.interpret = machine, history, progress, interpret
        self.machine = machine
        self.columns = columns_of(history)
        self.fits: list[Learned] = []
        self.choices: list[Choice] = []
        self.last: Floats | None = None if world is None else world.last
        self.learned = -1 if world is None else world.learned
        self.logs: list[Any] = []
        self.logged = 0
        # What becomes known of bars gone by, by the bar before which it does.
        self.late: Mapping[int, Correction] = {}
        self.fitted: Fitted | None = None if world is None else world.fitted
        self.choosing: Choosing | None = None
        self._shown: list[Floats] = []
        if machine.choose is not None:
            self.choosing = Choosing(machine, self._beside, None if world is None else world.in_use)
        if world is not None:
            self._go_on(world)
        elif self.choosing is None:
            self._start_afresh()
        else:
            self._start_choosing(self.choosing)

    def _start_choosing(self, choosing: Choosing) -> None:
        """Begin with a choice: what its shadow remembers is ours, but for the account."""
        self.start = self.bar = choosing.start(self.history)
        first = choosing.shadow(0).session
        self.memory, self.X, self.Y = first.wired.memory.copy(), first.X, first.Y
        self._choose(self.bar - 1)
        self._shown.clear()

    def _beside(self, machine: Machine) -> Session:
        """Return another machine's run of the same bars."""
        return Session(machine, self.history, None, None, self.interpret)

    def _start_afresh(self) -> None:
        wired = self._wire(None, 0)
        self._unseen(wired)
        self.start = self.origin = self._start(wired)
        self.bar = 0
        self.memory, self.wired = self._begin(wired)

    def _unseen(self, wired: Wired) -> None:
        """Begin the tables of features, the machine's and those that its strategy declares."""
        self.X, self.Y = (np.full((len(self.history), len(of)), np.nan) for of in (wired.names, wired.declared))

    def _go_on(self, world: World) -> None:
        """Take up a world: that of a machine that chooses says which candidate is in use."""
        world.check(self.history)
        if (world.in_use is None) != (self.choosing is None):
            raise DataError("the saved world belongs to another machine: one of them chooses, the other does not")
        self.bar, self.start, self.origin = world.bar, world.start, world.start
        if world.in_use is not None:
            self.machine, self.origin = candidate_of(self.given, world.in_use.candidate), world.in_use.origin
        wired = self._wire(None, 0)
        self._unseen(wired)
        self.wired = self._wire(self.fitted, 0)
        self.memory = world.into(self.wired.memory)
        if self.machine.learns:
            self._observe(wired, self.bar)

    def run(self, stride: int) -> Result:
        """Go to the end of the history, at most `stride` bars a call, stopping at every fit that falls due."""
        first = max(self.start, self.bar)
        tape = self.go(len(self.history), stride)
        written, layout = self.written(), self.wired.layout
        arrays = Arrays(self.history.ts[first:], self._features_seen(), tape.E, tape.W, tape.B, tape.F, written)
        made = (arrays, tuple(self.fits), self._world(self.history))
        return Result(self.given, self.history, first, *made, layout, tuple(self.choices))

    def _world(self, seen: History) -> World:
        """Return all that is remembered of the bars that were `seen`."""
        in_use = None if self.choosing is None else self.choosing.in_use
        return World(self.memory, self.bar, self.start, self.fitted, seen, self.learned, self.last, in_use)

    def go(self, until: int, stride: int) -> Tape:
        """Go to bar `until`, at most `stride` bars a call; return what is written of the bars that are decided."""
        first = max(self.start, self.bar)
        tape = self._tape(first, until)
        while self.bar < until:
            self.settle()
            # A choice may have brought other features.
            tape = self._advance(tape._replace(X=self.X, Y=self.Y), self._until(until), stride, first)
            if self.progress is not None:
                self.progress(self.bar, until)
        self._drain(tape.log)
        return tape

    def settle(self) -> None:
        """Do what falls due at the close of the bar that was gone over last: a choice first, then a fit."""
        bar = self.bar - 1
        if self.choice_due:
            self._choose(bar)
        if bar >= self.start and self.learned < bar and self._due(bar):
            self._learn(bar)

    def take(self, history: History) -> None:
        """Go on with a history that has more bars than the one so far."""
        if history is self.history:
            return
        more = len(history) - len(self.history)
        self.history, self.columns = history, columns_of(history)
        self.X, self.Y = (np.vstack([of, np.full((more, of.shape[1]), np.nan)]) for of in (self.X, self.Y))
        terms = self.machine.terms
        self.wired = self.wired._replace(rates=rates_on(history.ts, terms.borrow_rate, terms.cash_rate))

    def look(self) -> Tape:
        """Let features and filter see the history and the model learn as it falls due, and decide nothing.

        What is written is what `run` writes of features, beliefs and forecasts: they never see the account.
        """
        total, first = len(self.history), max(self.start, self.bar)
        tape = self._tape(first, total)
        while self.bar < total:
            self.settle()
            self._see(tape, self._until(total), first)
        return tape

    def _see(self, tape: Tape, until: int, first: int) -> None:
        bound = self._bound(tape)
        bound.words[at.START] = first
        for t in range(self.bar, until, at.BLOCK):
            try:
                bound.see(t, min(until, t + at.BLOCK))
            except Exception as error:
                raise self._told(error, *bound.called) from error
        self._passed(tape, until, first)

    def _passed(self, tape: Tape, until: int, first: int) -> None:
        self.bar = until
        # What a trigger looks at; a copy, as the next bar may be written to another tape.
        self.last = tape.B[until - 1 - first].copy() if until > first and len(tape.B) else self.last

    def _tape(self, first: int, total: int) -> Tape:
        n, assets, layout = max(0, total - first), len(self.history.symbols), self.wired.layout
        log = self._piece(n + 1, _FIRST_PIECE)
        beliefs, forecasts = np.empty((n, layout.belief_width)), np.empty((n, layout.width))
        if layout.assets:
            # Nothing is believed about what is not traded, and nobody writes that.
            beliefs.fill(np.nan)
            forecasts.fill(np.nan)
        return Tape(self.X, np.empty((n, 6)), np.empty((n, assets)), beliefs, forecasts, log, self.Y)

    def _piece(self, bars: int, size: int) -> Any:
        """Return words for the events of so many bars, or of as many as go into `size` bytes, at least four."""
        a_bar = self._words_a_bar()
        words = a_bar * min(bars, max(4, size // (8 * a_bar)))
        return np.empty(max(words, _PIECE // 8) if 8 * words > _FIRST_PIECE else words, dtype=np.int64)

    def _words_a_bar(self) -> int:
        return words_a_bar(len(self.history.symbols), self.wired.resting)

    def written(self) -> Written:
        """Return what was put away of the log, and forget it."""
        pieces, self.logs = tuple(self.logs), []
        return Written(pieces, log_columns(self.wired.resting))

    def _due(self, bar: int) -> bool:
        """Tell whether a fit falls on the close of `bar`, the last one that was gone over, by schedule or trigger."""
        return self._scheduled(bar) or self._triggered(bar)

    def _scheduled(self, bar: int) -> bool:
        return self.machine.fit is not None and self.machine.fit.due(bar, self.origin, self.history.ts)

    @property
    def choice_due(self) -> bool:
        """Whether a choice falls on the bar that was gone over last, and is not made yet."""
        return self.bar > self.start and self._chosen_at(self.bar - 1)

    def _chosen_at(self, bar: int) -> bool:
        return self.choosing is not None and self.choosing.due(bar, self.start, self.history.ts)

    def _triggered(self, bar: int) -> bool:
        plan = self.machine.fit
        if plan is None or plan.trigger is None or self.last is None or bar < self.origin:
            return False
        probs, logpdf = belief_in(self.last, self.wired.layout)[:2]
        close = Close(bar, int(self.history.ts[bar]), bar - self.learned, probs, logpdf, frozen(self.X[bar]))
        return bool(plan.trigger(close))

    def _until(self, total: int) -> int:
        """Return the first bar after this one before which something is due; a trigger is asked at every bar."""
        plan, bar, ts = self.machine.fit, max(self.bar, self.start), self.history.ts
        if plan is not None and plan.trigger is not None:
            return min(bar + 1, total)
        schedules = [] if plan is None else [(plan.every, self.origin)]
        if self.given.choose is not None:
            schedules.append((self.given.choose.every, self.start))
        total = min([total, *(late for late in self.late if late > self.bar)])
        return min((next_fall(every, bar, total - 1, start, ts) + 1 for every, start in schedules), default=total)

    def _advance(self, tape: Tape, until: int, stride: int, first: int) -> Tape:
        """Go to bar `until`; return the tape with the log that has room now."""
        if self.bar in self.late:
            self._correct(self.late[self.bar], tape)
        bound, t = self._bound(tape), self.bar
        if self.logged > bound.log_limit:
            self._make_room(bound)
        while t < until:
            try:
                t, self.logged, fault = bound.go(t, min(t + stride, until), first)
            except Exception as error:
                self._failed(bound, error, t, first)
                raise
            if fault:
                self._fail(fault, t - 1)
            if self.logged > bound.log_limit:
                self._make_room(bound)
        self._passed(tape, t, first)
        return bound.tape

    def _correct(self, correction: Correction, tape: Tape) -> None:
        """See the bars so far again with what became known late of them, and give the account what it is owed."""
        self.history = restated(self.history, correction.late)
        self.columns = columns_of(self.history)
        mine, bar = self.memory, self.bar
        self.memory, self.bar = self.wired.memory.copy(), 0
        # The filter looks at nothing before the first decision, which lies ahead.
        self._see(tape, bar, bar)
        mine.write(0, self.memory.read(0))
        self.memory = mine
        if self.machine.model is not None or self.machine.filter is not None:
            mine.write(1, self._filtered(self.wired, correction.filter_from, bar))
        if self.choosing is not None:
            self.choosing = Choosing(self.given, self._beside, self.choosing.in_use)
        account = Account(mine.read(BOOK), self.wired.params.read(RULES), tape.log)
        credit(account, self.history.symbols, correction, bar)
        self.logged = int(mine.read(BOOK).counters[col.LOGGED])

    def _make_room(self, bound: Bound) -> None:
        """Go on with another piece of the log: a bar's events might not fit into this one."""
        self._drain(bound.tape.log)
        tape = bound.tape._replace(log=self._piece(len(self.history), _PIECE))
        bound.renew(tape, self._log_limit(tape))

    def _failed(self, bound: Bound, error: Exception, t: int, first: int) -> None:
        """Tell a part's error as theirs, with part and bar; but first what came before it in time.

        Features and filter see a block of bars before the account goes over it: the account may be ruined, or another
        part fail, at an earlier bar than the one that was met first.
        """
        j, bar = bound.called
        # All that comes before a decision is done; the account goes over no bar twice.
        t = bar if j == len(bound.own) - 1 else max(t, int(bound.frame[at.SEEN_FROM]))
        for k in range(j + 1, len(bound.own) - 1):
            try:
                bound.call(k, t if k < len(bound.own) - 2 else max(t, first), bar)
            except Exception as earlier:
                error, (j, bar) = earlier, bound.called
        bound.frame[at.SEEN_TO] = max(bar, t)
        while t < bar:
            try:
                t, self.logged, fault = bound.go(t, bar, first)
            except Exception as earlier:
                error, (j, bar) = earlier, bound.called
                break
            if fault:
                self._fail(fault, t - 1)
            if self.logged > bound.log_limit:
                self._make_room(bound)
        raise self._told(error, j, bar) from error

    def _told(self, error: Exception, j: int, bar: int) -> Exception:
        seen = (*self.wired.names, *self.wired.declared)
        names = [f"feature {name}" for name in seen] + [f"filter {self.wired.filter.name}"]
        where = self.history.when(min(bar, len(self.history) - 1))
        line = f" ({line_of(error)})" if self.wired.body.plain(j) else ""
        told = f"raised {type(error).__name__} at the close of {where}: {error}{line}"
        if short := short_of(error):
            return ShortageError(f"this machine is short of {short}, at the close of {where}: {error}")
        if j < len(names):
            return PartError(f"{names[j]} {told}")
        return StrategyError(f"strategy {self.machine.strategy.name} {told}")

    def _bound(self, tape: Tape) -> Bound:
        w, limit = self.wired, self._log_limit(tape)
        try:
            return Bound(w.body, limit, self.columns, w.rates, self.memory, w.params, tape, self.bar)
        except NumbaError as error:
            parts = f"features, filter {self.wired.filter.name} and strategy {self.machine.strategy.name}"
            raise PartError(f"{parts} do not compile: {gist(error)}") from error

    def _log_limit(self, tape: Tape) -> int:
        """Return how full the log may be before a bar."""
        return len(tape.log) - self._words_a_bar()

    def _drain(self, log: Any) -> None:
        """Put the log away, and begin the next one."""
        # A log that stayed mostly empty is not kept whole.
        self.logs.append(log[: self.logged] if 2 * self.logged > len(log) else log[: self.logged].copy())
        self.memory.read(3).counters[col.LOGGED] = 0
        self.logged = 0

    def _fail(self, fault: int, bar: int) -> None:
        raise failure(fault, self.machine, self.history, bar, self.memory.read(3))

    def _start(self, wired: Wired) -> int:
        """Return the first decided bar: the wanted one, or the earliest at which the model has its training window."""
        machine, total = self.machine, len(self.history)
        wanted = None if machine.start is None else self.history.index(machine.start)
        if machine.fit is None:
            return wanted or 0
        self._observe(wired, total)
        usable = self._training_rows(machine.fit.window)
        # What was looked at to count rows is forgotten again: a fit that reached too far would find NaN.
        self.X[:] = np.nan
        need = machine.fit.window
        earliest = int(usable[need - 1]) + 1 + machine.fit.embargo if len(usable) >= need else total
        if earliest >= total:
            raise ConfigError(
                f"fit.window wants {need} bars of features before the first decision, the history has "
                f"{len(usable)} in {total} bars; shorten the window or load more history"
            )
        if wanted is not None and wanted < earliest:
            raise ConfigError(
                f"start is {self.history.when(wanted)}, but fit.window = {need} bars are first complete "
                f"for {self.history.when(earliest)}; start there or shorten the window"
            )
        return wanted or earliest

    def _training_rows(self, need: int) -> Any:
        """Return the bars that teach the model; with a belief an asset those of the last that has `need` of them."""
        tables, total = tables_of(self.machine, self.history, self.X), len(self.history)
        found = [training_rows(of, cast("Model", self.machine.model).partial_rows) for of in tables]
        return max(found, key=lambda rows: rows[need - 1] if len(rows) >= need else total)

    def _observe(self, wired: Wired, last: int) -> None:
        m, p = wired.memory.copy(), wired.params
        wired.body.observe(0, last, self.columns, m, p, self.X)

    def _begin(self, wired: Wired) -> tuple[Memory, Wired]:
        if self.machine.learns:
            self.wired = wired
            self._observe(wired, self.start)
            self._learn(self.start - 1, first=True)
            return self.memory, self.wired
        memory = wired.memory.copy()
        if self.start > 0 and (self.machine.model is not None or self.machine.filter is not None):
            self._observe(wired, self.start)
            memory.write(1, self._filtered(wired, 0, self.start))
        return memory, wired

    def _learn(self, bar: int, first: bool = False) -> None:
        """Fit at the close of `bar`, match the regimes to the last fit's, and bring the new filter to the present.

        A refit that fails, or is turned down, leaves the model in force (`Fit.failed`): the run goes on, and tells.
        """
        plan = self.machine.fit
        assert plan is not None
        lo, hi = plan.rows(bar)
        asked = "schedule" if self._scheduled(bar) else "trigger"
        try:
            fitted, matched, refused = self._fitted(lo, hi, bar)
            wired = self._wire(fitted, lo)
            if not first:
                self._check_shape(fitted, wired, bar)
        # What cannot be filtered with is no model: the parts are tried on a made-up bar when they are wired.
        except (FitError, PartError) as error:
            if first or plan.failed == "stop" or self.fitted is None:
                raise
            fitted, matched, refused = self.fitted, None, str(error)
        if not refused:
            self._put_in_force(fitted, wired, lo, bar, first)
        self.learned = bar
        self.fits.append(Learned(bar, lo, hi, fitted, matched, asked, refused))

    def _put_in_force(self, fitted: Fitted, wired: Wired, lo: int, bar: int, first: bool) -> None:
        if first:
            self.memory = wired.memory.copy()
        self.memory.write(1, self._filtered(wired, lo, bar + 1))
        self.wired, self.fitted = wired, fitted

    def _filtered(self, wired: Wired, first: int, last: int) -> Any:
        """Return the filter's state after rows [first, last) of the features; with a belief an asset that of each."""
        tables = tables_of(self.machine, self.history, self.X[first:last])
        states = [filter_rows(*of, self.interpret)[0] for of in zip(wired.filters, tables, strict=True)]
        return tuple(states) if self.machine.each else states[0]

    def _check_shape(self, fitted: Fitted, wired: Wired, bar: int) -> None:
        """Refuse a refit whose filter or forecasts have another shape than those in force."""
        alike = np.array_equal(wired.memory.at, self.memory.at) and wired.memory.shapes == self.memory.shapes
        if not alike or not np.array_equal(wired.layout.table, self.wired.layout.table):
            where = f"fit at the close of {self.history.when(bar)}"
            raise FitError(f"{where}: model {fitted.name} changed the shape of its filter or of its forecasts")

    def _wire(self, fitted: Fitted | None, first: int) -> Wired:
        """Wire the machine to a fit whose training window begins at row `first`, or to none."""
        return wire(self.machine, self.history, fitted, interpret=self.interpret)

    def _window(self, lo: int, hi: int) -> Window:
        """Return all that the model may know at its decision."""
        made = window_of(self.machine, self.history, self.X, lo, hi, self.wired.names)
        if self.fitted is None:
            return made
        state = self.memory.copy().read(1)
        return made._replace(previous=self.fitted.snapshot(state), state=state)

    def _unfitted(self, model: Model, error: Exception, bar: int) -> BarographError:
        """Return why there is no fit; a machine that is short of something says nothing of the model, nor of data."""
        where = f"fit at the close of {self.history.when(bar)}"
        if short := short_of(error):
            return ShortageError(f"{where}: this machine is short of {short}: {error}")
        named = f"{model.name} raised {type(error).__name__}: {error} ({line_of(error)})"
        return FitError(f"{where}: {error if isinstance(error, FitError) else named}")

    def _fitted(self, lo: int, hi: int, bar: int) -> tuple[Fitted, Match | None, str]:
        """Return the fit, how its regimes were matched, and why it was turned down, if it was."""
        model, seen, plan = cast("Model", self.machine.model), self._window(lo, hi), self.machine.fit
        try:
            fitted = fit_once(model, seen)
            refused = "" if plan is None or plan.check is None or seen.previous is None else plan.check(fitted, seen)
        except Exception as error:
            raise self._unfitted(model, error, bar) from error
        if refused or seen.previous is None:
            return fitted, None, f"turned down: {refused}" if refused else ""
        try:
            return (*match(seen.previous, fitted), "")
        except PartError as error:
            raise FitError(f"fit at the close of {self.history.when(bar)}: {error}") from error

    def _choose(self, bar: int) -> None:
        """Choose at the close of `bar`; another candidate takes over with its shadow's memory, and our account."""
        assert self.choosing is not None
        choice = self.choosing.choose(self.history, bar)
        self.choices.append(choice)
        if choice.changed:
            self._adopt(self.choosing.shadow(choice.candidate).session, bar)

    def _adopt(self, other: Session, bar: int) -> None:
        """Go on as another run of these bars would: with its features, filter, fit and strategy as they are now."""
        memory = other.wired.memory.copy()
        for part in range(BOOK):
            memory.write(part, other.memory.read(part))
        for part in (BOOK, SCRATCH):
            memory.write(part, self.memory.read(part))
        shown = sum(map(len, self._shown))
        self._shown.append(self.X[shown : bar + 1].copy())
        self._note(other, bar)
        self.X, self.Y = other.X.copy(), other.Y.copy()
        self.memory, self.wired, self.machine = memory, other.wired, other.machine
        self.fitted, self.learned, self.last, self.origin = other.fitted, other.learned, other.last, other.start

    def _note(self, other: Session, bar: int) -> None:
        """Note the model that comes into force with a choice, if it is another one."""
        if other.fitted is None or not other.fits or (self.fitted and self.fitted.digest == other.fitted.digest):
            return
        made = other.fits[-1]
        if made.bar != bar or made.refused:
            made = made._replace(bar=bar, match=None, asked="choice", refused="")
        self.fits.append(made)

    def _features_seen(self) -> Floats:
        """Return the features as they were seen: until a choice those of the candidate that was in use."""
        X: Floats = self.X.copy() if self._shown else self.X
        first = 0
        for rows in self._shown:
            X[first : first + len(rows)] = rows
            first += len(rows)
        return X
