"""A sweep as it will be run: points gathered by what they share, and everything laid out that they do not."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace
from functools import cache
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba.core.errors import NumbaError

from barograph.data.rates import Rate, rates_on
from barograph.errors import PartError
from barograph.execution.book import open_book
from barograph.jit.memory import structure
from barograph.loop.faults import gist
from barograph.loop.wiring import Wired, declared_by, memory_of, plan_of, wire
from barograph.sweeps.arena import Arena, Image, Images
from barograph.sweeps.lanes import Account, Decider, Lane, Layout
from barograph.sweeps.stages import Alone, Looks, Point, Seen, content, observe, point_of
from barograph.types import Feature, Floats

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.execution.terms import Terms

__all__ = ["Numbers", "Plan"]


# Where a strategy's params and its memory lie, and their structure.
_Laid = tuple[tuple[int, ...], Image, Hashable]


class _Group(NamedTuple):
    """Points that one lane can run: they see the same, their strategies have one structure, their book is one kind."""

    seen: int
    wired: Wired
    slots: int
    name: str


class Numbers:
    """Numbers for what is the same."""

    def __init__(self) -> None:
        self._known: dict[Hashable, int] = {}

    def __call__(self, key: Hashable) -> tuple[int, bool]:
        """Return the number of a key, and whether it is new."""
        known = len(self._known)
        number = self._known.setdefault(key, known)
        return number, number == known


class Plan:
    """All points of a sweep, by what they share; `lane` makes what runs those of one group."""

    def __init__(self, points: Iterable[Point], looks: Looks | None = None) -> None:
        self._looks = looks or Looks()
        self.seen: list[Seen] = []
        self.groups: list[_Group] = []
        self.deciders: list[Decider] = []
        self._arena, self._memories = Arena(), Images((0, 0))
        self._sees, self._decides, self._trades, self._kinds = Numbers(), Numbers(), Numbers(), Numbers()
        self._observes, self._lies = Numbers(), Numbers()
        self._laid: list[_Laid] = []
        self._bound: dict[Hashable, tuple[Any, tuple[int, ...]]] = {}
        self._asked: list[tuple[Feature, History]] = []
        self._shapes: list[Hashable] = []
        self._terms: list[tuple[Terms, History, int]] = []
        self.rows = np.array([self._row(point) for point in points], dtype=np.int64).reshape(-1, 3)
        self.columns = self._observe()
        self._lay_out()

    def _row(self, point: Point) -> tuple[int, int, int]:
        """Return the numbers of a point: its decider, its account, its group."""
        if point.machine.choose is not None:
            return self._whole(point)
        sees, decides, trades = point.keys or point_of(point.whole, point.history).keys  # type: ignore[misc]
        key = (sees, point.strategy.horizons, id(point.history))
        seen, new = self._sees(key)
        if new:
            self.seen.append(self._looks.of(key, point))
        decider, new = self._decides((seen, decides))
        if new:
            self._add_decider(point, seen)
        group = self._group(point, seen, self._shapes[decider])
        slots = self.groups[group].slots
        account, new = self._trades((trades, slots, id(point.history)))
        if new:
            self._terms.append((point.terms, point.history, slots))
        return decider, account, group

    def _whole(self, point: Point) -> tuple[int, int, int]:
        """Run a point that shares nothing; its terms are laid out for the cash that it begins with."""
        seen, wired = self._looks.whole(point)
        self.seen.append(seen)
        self.groups.append(_Group(len(self.seen) - 1, wired, wired.resting, point.strategy.name))
        account, _ = self._trades(("whole", len(self.seen)))
        self._terms.append((point.terms, point.history, wired.resting))
        self._sees(("whole", len(self.seen)))
        return -1, account, self._kinds(("whole", len(self.seen)))[0]

    def _add_decider(self, point: Point, seen: int) -> None:
        plan = point.strategy
        # Strategies that differ in what they declare alone lie in one place.
        alike = content((plan.step, plan.init, plan.bind, plan.params)) if plan.features else Alone(plan)
        laid, new = self._lies((seen, alike, plan.reads))
        if new:
            self._laid.append(self._laid_out(point, self.seen[seen]))
        params, memory, shape = self._laid[laid]
        columns = self._columns_of(point) if plan.features else ()
        self.deciders.append(Decider(params, memory, columns))
        self._shapes.append((content(plan.step), plan.reads, len(columns), shape))

    def _laid_out(self, point: Point, seen: Seen) -> _Laid:
        """Lay a strategy's params and memory out; return where they lie, and their structure."""
        plan, whole = point.strategy, point.whole
        plans = [plan_of(whole, fitted, point.history) for fitted in seen.fits]
        trees, memory = [of.params for of in plans], memory_of(whole, plans[0])
        shape = (structure(memory, plan.name), structure(trees[0], plan.name))
        tables = [self._arena.add(tree) for tree in (trees if plan.bind is not None else trees[:1])]
        return tuple(tables * (len(trees) // len(tables))), self._memories.add(memory), shape

    def _columns_of(self, point: Point) -> tuple[int, ...]:
        """Return the numbers of a strategy's columns, as `declared_by` orders them: of one asset after another."""
        each = [self._columns_of_one(feature, point) for feature in point.strategy.features]
        return tuple(chain.from_iterable(zip(*each, strict=True)))

    def _columns_of_one(self, feature: Feature, point: Point) -> tuple[int, ...]:
        """Return the numbers of what a feature makes of all bars; what it is bound to is looked up once."""
        key = (id(feature), point.machine.each, point.strategy.reads, id(point.history))
        found = self._bound.get(key)
        if found is None:
            alone = replace(point.whole, strategy=point.strategy._replace(features=(feature,)))
            numbers = tuple(self._column(bound, point.history) for bound in declared_by(alone, point.history))
            # The feature is kept with its columns, so that no other takes its place in memory.
            found = self._bound[key] = (feature, numbers)
        return found[1]

    def _column(self, feature: Feature, history: History) -> int:
        """Return the number of what a strategy's feature, bound to columns, makes of all bars."""
        number, new = self._observes((content((feature.init, feature.step, feature.params)), id(history)))
        if new:
            self._asked.append((feature, history))
        return number

    def _observe(self) -> list[Floats]:
        """Let all features that strategies declare see their history, each once."""
        found: list[Floats] = []
        for _, some in groupby(self._asked, lambda asked: id(asked[1])):
            features, histories = zip(*some, strict=True)
            found += observe(features, histories[0])
        return found

    def _group(self, point: Point, seen: int, shape: Hashable) -> int:
        terms = point.terms
        group, new = self._kinds((seen, shape, terms.fits_light_book(), terms.resting))
        if new:
            wired = wire(point.whole, point.history, self.seen[seen].fits[0])
            self.groups.append(_Group(seen, wired, wired.resting, point.strategy.name))
        return group

    def _lay_out(self) -> None:
        sizes = self._memories.largest
        books, accounts = Images((sizes[0], sizes[1])), []

        # Terms that differ in a fee begin with the same book, and pay the same rates.
        @cache
        def book_of(cash: float, assets: int, guards: int, slots: int) -> Image:
            return books.add(open_book(cash, assets, guards, slots))

        @cache
        def rates_of(history: Alone, borrow: float | Rate, cash: float | Rate) -> Floats:
            return rates_on(history.value.ts, borrow, cash)

        for terms, history, slots in self._terms:
            rules = terms.rules(history.traded)
            book = book_of(float(terms.cash), len(history.symbols), len(rules.guards), slots)
            rates = rates_of(Alone(history), terms.borrow_rate, terms.cash_rate)
            accounts.append((self._arena.add(rules), book, rates, float(terms.cash)))
        tables = books.tables()
        self.layout = Layout(self.columns, self._arena.closed(), self._memories.tables(), tables,
                             (sizes[0] + books.largest[0], sizes[1] + books.largest[1]))  # fmt: skip
        self.accounts = [Account(rules, book, _places(tables, book.table), rates, cash)
                         for rules, book, rates, cash in accounts]  # fmt: skip

    def lane(self, group: int) -> Lane:
        """Return what runs the points of a group, one after another; each thread wants its own."""
        of = self.groups[group]
        try:
            return Lane(of.wired, self.seen[of.seen], self.layout, of.slots)
        except NumbaError as error:
            raise PartError(f"strategy {of.name} does not compile: {gist(error)}") from error


def _places(tables: Any, table: int) -> tuple[int, int, int]:
    """Return where money, counters and rows of a book begin: the table says (first, last, sizes) of each array."""
    money, counters = table + 2, table + 5
    return int(tables[money]), int(tables[counters]), int(tables[counters + 3])
