"""A second reading of docs/execution.md: a plain simulator that has never seen the engine.

It is given bars, actions, rates, terms and what was decided at each close, and carries the decisions out as the text
says, a method a clause. The standard library only. `Reading(...).run()` leaves orders, fills, events and equity.

    bars       [{"ts": ns, "open": [..], "high": [..], "low": [..], "close": [..], "volume": [..]}, ...]   NaN = none
    actions    [{"dividend": [..], "split": [..], "final": [..]}, ...]              as declared, one a bar
    terms      a `Terms`
    decisions  [("targets", weights) | ("protected", weights, stop, take, trail) | ("orders", [Request, ...]), ...]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

DAY = 86_400_000_000_000
NAN, INF = math.nan, math.inf
NEAR, DUST, ROUNDING, LITTLE = 1e-9, 1e-9, 1e-12, 1e-4
HOLD = INF
DECAY = 0.94
UNITS = 8.0 * 2.0**-52

WANTED = "as wanted"
SHRUNK = "shrunk: no room under the leverage limit"
NO_ROOM = "no room under the leverage limit"
NEWER_TARGET = "replaced by a newer target"
AFTER_REDUCTIONS = "as wanted, after the reductions it waited for"
IN_VAIN = "its reductions did not come in another session"
NO_LOT = "less than one lot"
NO_TICK = "less than one tick"
AT_TARGET = "already at the target"
PART = "participation: the rest waits for more volume"
TOO_SMALL = "below the smallest order value"
CASH_NOTHING = "cash account: nothing to sell"
CASH_ALL = "cash account: all there was"
REDUCE_NOTHING = "reduce only: nothing to reduce"
REDUCE_ALL = "reduce only: all there was"
OTHER_FILLED = "the other order of the pair filled"
UNPROTECTED = "nothing left to protect"
NEWER_ORDER = "replaced by a newer order"
WITHDRAWN = "cancelled by the strategy"
DAY_OVER = "its day is over"
DATE_PASSED = "its date has passed"
DELISTED = "the asset is delisted"
CALLED = "margin call"
AT_THE_END = "waiting at the end of the data"
GUARDS = {
    "drawdown": "drawdown limit", "daily_loss": "daily loss limit", "gross": "gross exposure limit",
    "net": "net exposure limit", "position": "position limit", "turnover": "turnover limit",
    "stop_out": "cool-down after a stop-out", "kill": "kill switch",
}  # fmt: skip
MODES = ("", "no_new_risk", "reduce_only", "flatten")


class Ruin(Exception):
    """The equity is zero or less."""


class Guard(NamedTuple):
    """A limit, and what it does while it holds."""

    on: str
    limit: float
    mode: str
    cool_down: int


@dataclass
class Terms:
    """The terms of trade; `rate`s are numbers or [(ts, value), ...]."""

    cash: float = 10_000.0
    fill: str = "next_open"
    path: str = "pessimistic"
    fee: float = 0.0
    maker_fee: float | None = None
    unit_fee: float = 0.0
    fixed_fee: float = 0.0
    minimum_fee: float = 0.0
    minimum_fee_of: str = "order"
    tiers: tuple[tuple[float, float, float], ...] = ()
    slippage: float = 0.0
    spread: float = 0.0
    volatility_slippage: float = 0.0
    impact: float = 0.0
    lot: float = 0.0
    tick: float = 0.0
    min_notional: float = 0.0
    participation: float = 0.0
    account: str = "margin"
    leverage: float = 1.0
    maintenance: float = 0.25
    warning: float = 0.30
    borrow_rate: Any = 0.0
    cash_rate: Any = 0.0
    short_rate: float = 0.0
    band: float = 0.0
    guards: tuple[Guard, ...] = ()


class Request(NamedTuple):
    """One line of a slip; `pair` is a number that two orders share."""

    action: str  # new, cancel, cancel_all
    asset: int
    kind: str = "market"
    quantity: float = 0.0
    limit: float = NAN
    stop: float = NAN
    trail: float = NAN
    percent: bool = False
    life: str = "GTC"
    until: float = INF
    reduces: bool = False
    tag: int = 0
    pair: int = 0
    loss: float = NAN
    profit: float = NAN
    trailing: float = NAN
    keeps: bool = False


@dataclass(eq=False)
class Order:
    """An order: what it says now, and what is told of it in the end."""

    asset: int
    kind: str
    left: float
    age: int = 0
    place: int = 0
    role: str = "entry"
    weight: float = NAN
    limit: float = NAN
    stop: float = NAN
    trail: float = NAN
    percent: bool = False
    life: str = "GTC"
    until: float = INF
    reduces: bool = False
    tag: int = 0
    group: Any = 0
    parent: Order | None = None
    loss: float = NAN
    profit: float = NAN
    trailing: float = NAN
    keeps: bool = False
    protects: bool = False
    born: int = 0
    asked: float = NAN
    first: tuple[float, float, float] = (NAN, NAN, NAN)
    total: float = NAN
    filled: float = 0.0
    status: str = "open"
    reason: str = AT_THE_END
    end: int = -1
    day: int | None = None
    waits_since: int | None = None
    triggered: bool = False
    woke: tuple[int, float] = (-1, NAN)
    acted: int = -1
    restrained: str = ""
    proportional: float = 0.0
    charged: float = 0.0

    @property
    def works_as(self) -> str:
        """What it is by now: a touched stop-limit is a limit, a touched stop that waits for volume is at the market."""
        if self.kind == "stop_limit":
            return "limit" if self.triggered else "stop"
        if self.kind in ("stop", "trailing_stop"):
            return "market" if self.triggered else "stop"
        return self.kind

    @property
    def is_target(self) -> bool:
        return self.weight == self.weight and self.role == "entry"

    @property
    def is_leg(self) -> bool:
        return self.parent is not None or self.protects


class Fill(NamedTuple):
    """A fill; `order` by its age."""

    bar: int
    order: int
    asset: int
    quantity: float
    price: float
    fee: float


class Event(NamedTuple):
    """What befell the account beside fills."""

    bar: int
    event: str
    asset: int
    quantity: float
    price: float
    reason: str


class Part(NamedTuple):
    """What an order opens and closes, at which price."""

    order: Order
    side: int
    opens: float
    closes: float
    z: float


class Moment(NamedTuple):
    """The open or the close: what is traded on, and which orders are looked at."""

    name: str
    prices: list[float]
    known: list[bool]


def is_nan(x: float) -> bool:
    return x != x


def sign(x: float) -> int:
    return (x > 0) - (x < 0)


def alike(one: Any, other: Any) -> bool:
    """Tell whether two terms are one; rounding makes no new order."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other or abs(one - other) <= ROUNDING * abs(other) or (is_nan(one) and is_nan(other))
    return bool(one == other)


def day_of(ts: int) -> int:
    """Return the UTC day a close belongs to: at midnight, the one that ends."""
    return (ts - 1) // DAY


def month_of(ts: int) -> tuple[int, int]:
    day = date(1970, 1, 1) + timedelta(days=day_of(ts))
    return day.year, day.month


# Lots, ticks.


def whole(quotient: float) -> int | None:
    """Return the whole number that a quotient is to within a few units of its last binary digit, or None."""
    if not math.isfinite(quotient):
        return None
    nearest = round(quotient)
    return nearest if abs(quotient - nearest) <= UNITS * abs(quotient) else None


def tells(quotient: float) -> bool:
    """Tell whether a double can tell a step from none beside a number this many steps large."""
    return abs(quotient) < 2.0**48


def times(step: float, n: int) -> float:
    """Return n steps as they are written in decimals."""
    return float(Decimal(repr(step)) * n)


def stepped(x: float, step: float, how: Callable[[float], int]) -> float:
    """Put a number on a step; what is whole stays as it is written."""
    if step == 0.0 or is_nan(x):
        return x
    quotient = x / step
    if not tells(quotient):
        return x
    n = whole(quotient)
    return times(step, how(quotient) if n is None else n)


def effective(bars: Sequence[Any], actions: Sequence[Any]) -> list[list[tuple[float, float, float]]]:
    """Move what falls on a row without prices to its asset's next bar: splits multiply, dividends add up."""
    assets = range(len(bars[0]["close"]))
    owed, ratio = [0.0 for _ in assets], [1.0 for _ in assets]
    moved = []
    for bar, action in zip(bars, actions, strict=True):
        row = []
        for a in assets:
            split, final = action["split"][a], action["final"][a]
            ratio[a] *= split
            owed[a] = owed[a] / split + action["dividend"][a]
            here = not is_nan(bar["close"][a]) or not is_nan(final)
            row.append((ratio[a], owed[a], final) if here else (1.0, 0.0, NAN))
            if here:
                owed[a], ratio[a] = 0.0, 1.0
        moved.append(row)
    return moved


@dataclass
class Watch:
    """A guard and what it remembers."""

    guard: Guard
    peak: float
    holds: bool = False
    left: int = 0
    spent: bool = False


@dataclass
class Levels:
    """What a `Protected` answer says of one asset."""

    stop: float = NAN
    take: float = NAN
    trail: float = NAN


@dataclass
class Reading:
    """The account and its orders, bar by bar."""

    bars: Sequence[Any]
    actions: Sequence[Any]
    terms: Terms
    decisions: Sequence[Any]
    late: frozenset[int] = frozenset()
    marked: frozenset[int] = frozenset()  # Those late ones that are marked, and no more.
    orders: list[Order] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    ruined: int | None = None
    at_ruin: float = NAN
    edge: bool = False  # So little is left of the account that a sum knows its equity to few digits.

    def __post_init__(self) -> None:
        n = len(self.bars[0]["close"])
        self.assets = range(n)
        self.cash = self.terms.cash
        self.held, self.average = [0.0] * n, [0.0] * n
        self.price, self.variance, self.closed = [NAN] * n, [NAN] * n, [NAN] * n
        self.gone = [False] * n
        self.levels = [Levels() for _ in self.assets]
        self.waiting: list[Order] = []
        self.effects = effective(self.bars, self.actions)
        self.traded, self.before = 0.0, 0.0
        self.alarm = 0
        self.watches = [Watch(guard, self.terms.cash) for guard in self.terms.guards]
        self.last_day = self.terms.cash
        self.stop_outs = 0
        self.factor, self.in_vain = 1.0, False
        self.given: dict[int, float] = {}
        self.cheap: set[int] = set()
        self.barred: set[int] = set()
        self.held_back: set[int] = set()
        self.patient: set[int] = set()
        self.still_waits = False

    def run(self) -> Reading:
        """Carry everything out."""
        try:
            for t in range(len(self.bars)):
                self.t = t
                self.turn()
        except Ruin:
            self.ruined = self.t
        return self

    def turn(self) -> None:
        """Take the account over one bar, clause by clause."""
        self.bar = self.bars[self.t]
        self.taken = [0.0 for _ in self.assets]
        self.stop_outs = 0
        self.begin_month()
        self.corporate_actions()
        self.finance()
        if self.t not in self.marked:
            self.expire()
            self.open()
            self.inside()
        self.close()
        if self.t not in self.late:
            self.decide()

    # Reading the account.

    def value(self, prices: Sequence[float]) -> float:
        return self.cash + sum(q * p for q, p in zip(self.held, prices, strict=True) if q != 0.0)

    def gross(self, prices: Sequence[float]) -> float:
        return sum(abs(q * p) for q, p in zip(self.held, prices, strict=True) if q != 0.0)

    def of(self, a: int) -> list[Order]:
        """Return an asset's waiting orders, a target first, then by age."""
        return sorted((o for o in self.waiting if o.asset == a), key=lambda o: (not o.is_target, o.place))

    def opens(self) -> list[float]:
        return self.prices_at("open")

    def prices_at(self, name: str) -> list[float]:
        """Return the prices of a moment; an asset without one has its last."""
        return [last if is_nan(p) else p for p, last in zip(self.bar[name], self.price, strict=True)]

    def trades(self, a: int, name: str) -> bool:
        """Tell whether an asset can trade at a moment: a price, and a volume that is not zero."""
        return not is_nan(self.bar[name][a]) and self.bar["volume"][a] != 0.0 and not self.gone[a]

    def ruin_if(self, equity: float) -> None:
        before = self.equity[-1] if self.equity else self.terms.cash
        self.edge = self.edge or 0.1 * ROUNDING * before < equity < LITTLE * self.terms.cash
        if not equity > ROUNDING * before:
            self.at_ruin = equity
            raise Ruin

    def tell(self, event: str, asset: int = -1, quantity: float = 0.0, price: float = NAN, reason: str = "") -> None:
        self.events.append(Event(self.t, event, asset, quantity, price, reason))

    # The life of an order.

    def bear(self, order: Order) -> Order:
        """Let an order be born; it rests until it ends."""
        order.age, order.born = len(self.orders) + 1, self.t
        order.place = order.place or order.age
        order.first = (order.limit, order.stop, order.trail)
        self.orders.append(order)
        self.waiting.append(order)
        return order

    def end(self, order: Order, status: str, reason: str, bar: int | None = None) -> None:
        if order.status != "open":
            return
        nothing = order.is_target and reason not in (NO_ROOM, IN_VAIN)
        less = order.filled != 0.0 if order.is_target else order.left != order.total
        if status == "rejected" and (less or nothing):
            status = "cancelled"
        order.status, order.reason, order.end = status, reason, self.t if bar is None else bar
        self.waiting.remove(order)

    # 0. Before the open.

    def begin_month(self) -> None:
        if self.t > 0 and month_of(self.bar["ts"]) != month_of(self.bars[self.t - 1]["ts"]):
            self.traded = 0.0
        self.before = self.traded

    def corporate_actions(self) -> None:
        for a in self.assets:
            ratio, dividend, final = self.effects[self.t][a]
            if ratio != 1.0:
                self.split(a, ratio)
            if dividend != 0.0:
                self.pay_dividend(a, dividend)
            if not is_nan(final):
                self.delist(a, final)

    def split(self, a: int, ratio: float) -> None:
        """Multiply positions and resting quantities, divide prices."""
        self.held[a] *= ratio
        self.average[a] /= ratio
        self.price[a] /= ratio
        self.closed[a] /= ratio
        self.levels[a] = Levels(self.levels[a].stop / ratio, self.levels[a].take / ratio, self.levels[a].trail)
        self.tell("split", a, self.held[a], ratio)
        for order in self.of(a):
            self.split_order(order, ratio)

    def split_order(self, order: Order, ratio: float) -> None:
        side = self.side_of(order)
        order.limit, order.stop = self.on_tick(order.limit / ratio, -side), self.on_tick(order.stop / ratio, side)
        order.loss, order.profit = order.loss / ratio, order.profit / ratio
        if not order.percent:
            order.trail /= ratio
        if order.is_target:
            return
        order.total *= ratio
        order.left *= ratio
        if not order.is_leg:
            order.left, order.total = self.as_asked(order.asset, order.left), self.as_asked(order.asset, order.total)
        if order.left == 0.0:
            self.end(order, "cancelled", NO_LOT)
        elif self.is_zeroed(order):
            self.end(order, "cancelled", NO_TICK)

    def pay_dividend(self, a: int, dividend: float) -> None:
        """Credit a dividend; a short owes it. Lower what FINRA 5330 lowers."""
        if self.held[a] != 0.0:
            self.cash += self.held[a] * dividend
            self.tell("dividend", a, self.held[a], dividend)
        self.lower_levels(a, dividend)
        for order in self.of(a):
            if not order.keeps:
                self.lower(order, dividend)

    def lower_levels(self, a: int, dividend: float) -> None:
        level, side = self.levels[a], self.side_to_come(a)
        if side > 0:
            level.stop -= dividend
        if side < 0:
            level.take -= dividend

    def side_to_come(self, a: int) -> int:
        """Return the side of a position, or of the target that waits for one."""
        weights = [o.weight for o in self.waiting if o.asset == a and o.is_target]
        return sign(self.held[a]) or sign(sum(weights))

    def lower(self, order: Order, dividend: float) -> None:
        side = self.side_of(order)
        if order.works_as == "stop" and side < 0:
            order.stop = self.on_tick(order.stop - dividend, -1)
            if order.kind == "stop_limit":
                order.limit = self.on_tick(order.limit - dividend, 1)
        if order.works_as == "limit" and side > 0:
            order.limit = self.on_tick(order.limit - dividend, -1)
        if side > 0:
            order.loss -= dividend
        if side < 0:
            order.profit -= dividend
        if self.is_zeroed(order):
            self.end(order, "cancelled", NO_TICK)

    def delist(self, a: int, final: float) -> None:
        """Pay the final price, cancel the asset's orders; it trades no more."""
        self.gone[a] = True
        self.tell("delisted", a, self.held[a], final, DELISTED)
        self.cash += self.held[a] * final
        self.held[a] = 0.0
        for order in self.of(a):
            self.end(order, "cancelled", DELISTED)

    # 1. Financing, and the end of days.

    def finance(self) -> None:
        """Charge interest for the calendar days since the last bar, actual/365."""
        if self.t == 0:
            return
        last = self.bars[self.t - 1]["ts"]
        days = self.bar["ts"] // DAY - last // DAY
        rate = self.rate_of(self.terms.borrow_rate if self.cash < 0.0 else self.terms.cash_rate, last)
        shorts = sum(abs(q * p) for q, p in zip(self.held, self.price, strict=True) if q < 0.0)
        self.cash += (self.cash * rate - shorts * self.terms.short_rate) * days / 365.0

    def rate_of(self, rate: Any, last: int) -> float:
        """Return the yearly rate in force, known at the last close."""
        if isinstance(rate, int | float):
            return float(rate)
        return float([x for ts, x in rate if ts <= last][-1])

    def expire(self) -> None:
        day = day_of(self.bar["ts"])
        for order in list(self.waiting):
            if order.life == "DAY" and order.day is not None and day > order.day:
                self.end(order, "expired", DAY_OVER, self.t - 1)
            if order.life == "GTD" and self.bar["ts"] > order.until:
                self.end(order, "expired", DATE_PASSED, self.t - 1)
        for order in self.waiting:
            if order.day is None and (self.trades(order.asset, "open") or self.trades(order.asset, "close")):
                order.day = day

    # 2. The open.

    def open(self) -> None:
        moment = Moment("open", self.opens(), [self.trades(a, "open") for a in self.assets])
        self.ruin_if(self.value(moment.prices))
        self.liquidate(moment)
        self.auction(moment, self.filled_by_the_open)

    def filled_by_the_open(self, order: Order, price: float) -> bool:
        """Tell whether the open fills an order: a target, a market order, or one that the open has passed."""
        if order.acted == self.t:
            return False
        if order.is_target or order.kind == "market":
            return self.terms.fill == "next_open" and self.has_a_say(order, price)
        if order.kind == "market_on_close":
            return False
        return self.touches(order, price, price) is not None

    def auction(self, moment: Moment, due: Callable[[Order, float], bool]) -> None:
        """Fill at one moment: first what makes a position smaller, then the rest under one factor."""
        chosen = [
            o for a in self.assets if moment.known[a] for o in self.of(a) if due(o, moment.prices[a])
        ]  # fmt: skip
        chosen = [o for o in chosen if self.may_fill_at(o, moment)]
        if not chosen:
            return
        self.cheap = set()
        sized = self.size_targets([o for o in chosen if o.is_target], moment)
        for order in chosen:
            if order.status == "open":
                self.reduce_first(order, moment, sized)
        rest = [o for o in chosen if o.status == "open" and o.acted != self.t]
        if any(not o.is_target for o in chosen):
            sized |= self.size_targets([o for o in chosen if o.is_target and o.status == "open"], moment)
        self.second_pass(rest, moment, sized)

    def may_fill_at(self, order: Order, moment: Moment) -> bool:
        """Look at a stop-limit that a moment triggers: whether it is a limit that fills there."""
        price = moment.prices[order.asset]
        if order.works_as == "stop" and order.kind == "stop_limit":
            self.trigger(order, price)
            return self.touches(order, price, price) is not None
        return True

    def reduce_first(self, order: Order, moment: Moment, sized: dict[int, float]) -> None:
        held = self.held[order.asset]
        q, _ = self.effect(order, sized)
        if not order.is_target:
            q = math.copysign(self.let_through(order.asset, abs(q)), q)
        stays = order.is_target and q == 0.0 and order.age not in self.barred
        if (stays or self.makes_no_larger(held, q)) and order.age not in self.barred:
            self.still_waits = False
            self.carry_out(order, moment, sized, 1.0)

    def makes_no_larger(self, n: float, q: float) -> bool:
        """Tell whether a fill leaves no larger a position, be it on the other side."""
        return n * q < 0.0 and abs(n + q) <= abs(n) * (1.0 + ROUNDING)

    def second_pass(self, rest: list[Order], moment: Moment, sized: dict[int, float]) -> None:
        """Shrink all increases by one factor; the rest of those that may wait for a reduction stays open."""
        held, cash = self.held, self.cash
        self.reduce_all([o for o in rest if o.is_target], moment, sized)
        factor = self.room_factor(rest, moment, sized)
        self.given = self.share_room([o for o in rest if o.is_target], moment, sized, factor)
        self.held, self.cash = held, cash
        self.still_waits = self.a_reduction_waits(moment)
        self.in_vain = self.still_waits
        self.patient = {o.age for o in rest if self.still_waits and self.waits_for_reductions(o, sized, factor)}
        for order in rest:
            if order.status == "open":
                self.carry_out(order, moment, sized, factor)
        self.given, self.patient = {}, set()

    def share_room(
        self, targets: list[Order], moment: Moment, sized: dict[int, float], factor: float
    ) -> dict[int, float]:
        """Return the positions of the increases that have found less room than they want."""
        if factor >= 1.0:
            return {}
        parts = [part for part in (self.target_part(o, moment, sized) for o in targets) if part is not None]
        given = {}
        for part in parts:
            n, goal = self.held[part.order.asset], sized[part.order.age]
            base = n if n * goal >= 0.0 else 0.0
            given[part.order.age] = self.moved(n, base + factor * (goal - base))
        if self.terms.lot > 0.0:
            self.hand_out(parts, given, moment, sized)
        for part in parts:
            n, got = self.held[part.order.asset], given[part.order.age]
            if got != 0.0 and abs((got - n) * part.z) <= DUST * self.value(moment.prices):
                given[part.order.age] = n
        return given

    def hand_out(self, parts: list[Part], given: dict[int, float], moment: Moment, sized: dict[int, float]) -> None:
        """Give the lots that still fit to the targets that miss most of their value, to each as many as fit."""
        missing = {x.order.age: abs((sized[x.order.age] - given[x.order.age]) * x.z) for x in parts}
        for part in self.in_turn(parts, missing):
            age, goal = part.order.age, sized[part.order.age]
            alike = [x for x in missing.values() if abs(x - missing[age]) <= ROUNDING * x]
            if missing[age] == 0.0 or len(alike) > 1:
                continue
            start = given[age] if given[age] * goal > 0.0 else 0.0
            if not tells(goal / self.terms.lot):
                f = largest(lambda f: self.room_left(parts, given | {age: start + f * (goal - start)}, moment), 0.0)  # noqa: B023
                given[age] = start + f * (goal - start) if f > 0.0 else given[age]
                continue
            few, many = 0, round(abs(goal - start) / self.terms.lot)
            while few < many:
                middle = (few + many + 1) // 2
                more = given | {age: start + part.side * times(self.terms.lot, middle)}
                few, many = (middle, many) if self.room_left(parts, more, moment) >= 0.0 else (few, middle - 1)
            if few > 0:
                given[age] = start + part.side * times(self.terms.lot, few)

    def in_turn(self, parts: list[Part], missing: dict[int, float]) -> list[Part]:
        return sorted(parts, key=lambda part: -missing[part.order.age])

    def room_left(self, parts: list[Part], given: dict[int, float], moment: Moment) -> float:
        """Return what these positions, all costs paid, leave of the room, and 1e-12 of the equity."""
        equity = left = self.value(moment.prices)
        gross = self.gross(moment.prices)
        for part in parts:
            n, got = self.held[part.order.asset], given[part.order.age]
            if got != n:
                left -= self.cost(part, abs(got - n))
                gross += (abs(got) - abs(n)) * part.z
        return self.terms.leverage * left - gross + ROUNDING * equity

    def waits_for_reductions(self, order: Order, sized: dict[int, float], factor: float) -> bool:
        """Let what a target or a market order finds no room for wait, until a bar of a later UTC day."""
        shrinks = factor < 1.0 and self.grows_at_all(order, sized)
        if not (order.is_target or order.kind == "market") or not (shrinks or order.age in self.barred):
            return False
        day = day_of(self.bar["ts"])
        if order.waits_since is None:
            order.waits_since = day
        return day <= order.waits_since

    def a_reduction_waits(self, moment: Moment) -> bool:
        """Tell whether a reduction waits for a bar of its own."""
        equity = self.value(moment.prices)
        for order in self.waiting:
            a, held = order.asset, self.held[order.asset]
            mute = order.is_target and self.weight_of(order) != 0.0 and not moment.prices[a] > 0.0
            if (moment.known[a] and not mute) or held == 0.0:
                continue
            if order.is_target and abs(order.weight) * equity < abs(held * self.price[a]) - NEAR * equity:
                return True
            if order.works_as == "market" and not order.is_target and order.left * held < 0.0:
                return True
        return False

    def grows_at_all(self, order: Order, sized: dict[int, float]) -> bool:
        n = self.held[order.asset]
        q, _ = self.effect(order, sized)
        return q != 0.0 and not self.makes_no_larger(n, q)

    def room_factor(self, rest: list[Order], moment: Moment, sized: dict[int, float]) -> float:
        """Return the one factor by which all increases fit under the leverage limit."""
        parts = [part for part in (self.target_part(o, moment, sized) for o in rest if o.is_target) if part is not None]
        asking = {o.age for o in rest}
        for a in self.assets:
            p = moment.prices[a]
            parts += self.dearer_side(a, p, lambda o, p=p: p if o.age in asking else None)  # type: ignore[misc]
        return self.solve_room(parts, moment.prices)

    def target_part(self, order: Order, moment: Moment, sized: dict[int, float]) -> Part | None:
        """Return what a target opens and closes, None where it does not make its position larger."""
        n, goal = self.held[order.asset], sized.get(order.age, self.held[order.asset])
        if abs(goal) <= abs(n) * (1.0 + ROUNDING) or order.age in self.barred:
            return None
        base = n if n * goal >= 0.0 else 0.0
        return Part(order, sign(goal - n), abs(goal - base), abs(n - base), moment.prices[order.asset])

    def dearer_side(self, a: int, p: float, asks: Callable[[Order], float | None]) -> list[Part]:
        """Return the parts of an asset's purchases or of its sales: of the side that adds more to the position."""
        sides = [self.side_parts(a, side, asks) for side in (1, -1)]
        adds = [sum(x.opens * abs(x.z) - x.closes * abs(p) for x in parts) for parts in sides]
        return [] if max(adds) <= 0.0 else sides[0] if adds[0] >= adds[1] else sides[1]

    def side_parts(self, a: int, side: int, asks: Callable[[Order], float | None]) -> list[Part]:
        """Return what each order of one side opens and closes, one going on from where the one before has led."""
        n, parts = self.held[a], []
        for order in self.of(a):
            z = None if order.is_target or self.only_reduces(order) else asks(order)
            if z is None or self.another_stands_for(order, abs(z), asks):
                continue
            q, _ = self.effect(order, {}, n)
            if q * side <= 0.0:
                continue
            q = self.let_through(a, abs(q))
            closes = min(q, abs(n)) if n * side < 0.0 else 0.0
            parts.append(Part(order, side, q - closes, closes, z))
            n += side * q
        return parts

    def only_reduces(self, order: Order) -> bool:
        return bool(order.reduces or order.is_leg or order.restrained)

    def another_stands_for(self, order: Order, z: float, asks: Callable[[Order], float | None]) -> bool:
        """Tell whether another of the pair and side stands for an order: one worth more, or an older one as much."""
        for other in self.of(order.asset):
            x = asks(other)
            fits = other.group == order.group != 0 and other is not order and sign(other.left) == sign(order.left)
            if x is None or not fits or self.only_reduces(other):
                continue
            mine, theirs = abs(order.left) * z, abs(other.left * x)
            if theirs > mine or (theirs == mine and other.age < order.age):
                return True
        return False

    def solve_room(self, parts: list[Part], prices: list[float], inside: bool = False) -> float:
        """Return the largest factor that leaves room, each with its own costs; what closes needs none."""
        if not parts:
            return 1.0
        equity = self.value(prices)
        gross = self.gross(prices) - sum(x.closes * abs(prices[x.order.asset]) for x in parts)

        def room(f: float) -> float:
            left = equity - sum(self.cost(x, x.closes + f * x.opens, inside) for x in parts)
            return self.terms.leverage * left - gross - f * sum(x.opens * abs(x.z) for x in parts)

        return largest(room, NEAR * (room(0.0) - room(1.0)))

    def cost(self, part: Part, size: float, inside: bool = False) -> float:
        """Return what a fill of this size takes from the equity."""
        order, t, z = part.order, self.terms, part.z
        price = self.traded_at(order, float(part.side), z)
        rate = self.rate(False)
        if inside and order.works_as == "limit":
            rate = max(rate, self.rate(True))
        own = size * (abs(price) * rate + t.unit_fee)
        if t.minimum_fee_of == "order" and t.minimum_fee > 0.0:
            own = max(t.minimum_fee, order.proportional + own) - order.charged
        return abs(price - z) * size + max(own, t.minimum_fee if t.minimum_fee_of == "fill" else own) + t.fixed_fee

    # What a weight becomes.

    def size_targets(self, targets: list[Order], moment: Moment) -> dict[int, float]:
        """Return the position that each target wants, by age, as far as volume goes; what finds no room is barred."""
        t, barred = self.terms, set[int]()
        goals: dict[int, float] = {}
        uneven = t.lot > 0.0 or t.fixed_fee + t.minimum_fee + t.min_notional > 0.0
        self.barred = set()
        while True:
            sized = self.go_round([o for o in targets if o.age not in barred], moment)
            found = self.roomless([o for o in targets if o.age in sized], moment, sized) if uneven else set()
            if not found:
                break
            goals |= {age: sized[age] for age in found}
            barred |= found
        self.barred = barred
        wanted = sized | {age: goal for age, goal in goals.items() if age in barred}
        self.held_back = set()
        return {o.age: self.as_volume_lets(o, wanted[o.age], moment) for o in targets}

    def as_volume_lets(self, order: Order, goal: float, moment: Moment) -> float:
        """Return the position that the bar's volume lets a target reach."""
        a, n = order.asset, self.held[order.asset]
        q = self.let_through(a, abs(goal - n))
        if q < abs(goal - n):
            self.held_back.add(order.age)
            # Below the resolution it waits for a bar with more.
            q = q if abs(q * moment.prices[a]) > DUST * self.value(moment.prices) else 0.0
        elif q == abs(goal - n):
            return goal
        return n + math.copysign(q, goal - n)

    def let_through(self, a: int, q: float) -> float:
        """Return how much of a quantity a bar's volume lets through: all, or whole lots of it."""
        most = self.volume_left(a)
        return q if q <= most * (1.0 + ROUNDING) else self.in_lots(most)

    def reduce_all(self, targets: list[Order], moment: Moment, sized: dict[int, float]) -> None:
        """Count the reductions that have not been filled yet as if they were."""
        self.held = list(self.held)
        for order in targets:
            n, p = self.held[order.asset], moment.prices[order.asset]
            q = sized[order.age] - n
            if q != 0.0 and self.makes_no_larger(n, q) and order.age not in self.barred:
                self.cash -= q * p + self.target_cost(order, q, p)
                self.held[order.asset] = sized[order.age]

    def roomless(self, targets: list[Order], moment: Moment, sized: dict[int, float]) -> set[int]:
        """Return the increases that would find no room at all, were all reductions done, whatever the volume."""
        kept, cash = self.held, self.cash
        self.reduce_all(targets, moment, sized)
        rest = [o for o in targets if sized[o.age] != self.held[o.asset]]
        given = self.share_room(rest, moment, sized, self.room_factor(rest, moment, sized))
        found = {o.age for o in rest if given.get(o.age) == self.held[o.asset]}
        self.held, self.cash = kept, cash
        return found

    def go_round(self, targets: list[Order], moment: Moment) -> dict[int, float]:
        """Return the position that each target wants, by age: going round until nobody pays anything else."""
        equity = self.value(moment.prices)
        paid = dict.fromkeys((o.age for o in targets), 0.0)
        sized = {o.age: self.held[o.asset] for o in targets}
        for _ in range(64):
            before = dict(paid)
            for order in targets:
                left = equity - (sum(before.values()) - before[order.age])
                p, n = moment.prices[order.asset], self.held[order.asset]
                w = self.weight_of(order)
                gap = w * equity - n * p
                order.total = (gap / p if p != 0.0 else -n) if abs(gap) > NEAR * equity or p == 0.0 else 0.0
                sized[order.age] = self.wanted_position(order, left, p, n)
                paid[order.age] = self.target_cost(order, sized[order.age] - n, p)
            if len(paid) == 1 or sum(abs(paid[k] - before[k]) for k in paid) <= 1e-13 * equity:
                break
        return sized

    def wanted_position(self, order: Order, equity: float, p: float, n: float) -> float:
        """Return the position that is worth its weight of the equity after its own costs, in whole lots."""
        w = self.weight_of(order)
        self.cheap.discard(order.age)
        if w == 0.0 or (order.restrained and w * n < 0.0):
            return 0.0
        to_go = w * equity - n * p
        side = sign(to_go)
        least, counted = self.least(order)
        fixed = self.terms.fixed_fee
        if abs(to_go) <= max(NEAR * equity, max(1.0, abs(w)) * (fixed + max(0.0, least))):
            return n
        P = self.traded_at(order, float(side), p)
        q = self.solved(order, side, equity - fixed - counted, P, p, n, self.rate(False), self.terms.unit_fee)
        if q * (abs(P) * self.rate(False) + self.terms.unit_fee) + counted < least:
            q = self.solved(order, side, equity - fixed - least, P, p, n, 0.0, 0.0)
        m = self.moved(n, n + side * q) if (n + side * q) * w > 0.0 else 0.0
        m = n if q == 0.0 else m
        if order.restrained:
            m = max(0.0, min(m, n)) if n > 0.0 else min(0.0, max(m, n))
        if m != 0.0 and abs((m - n) * p) <= DUST * equity:
            return n
        if m != n and self.too_cheap(n, m - n, p):
            self.cheap.add(order.age)
            return n
        return m

    def solved(self, order: Order, side: int, left: float, P: float, p: float, n: float, fee: float,
               unit: float) -> float:  # fmt: skip
        """Solve for the size of a purchase or a sale."""
        w = order.weight
        if side > 0:
            gap, slope = w * left - n * p, p + w * (P * (1.0 + fee) + unit - p)
        else:
            gap, slope = n * p - w * left, p - w * (p - P + abs(P) * fee + unit)
        return gap / slope if slope > 0.0 else INF

    def least(self, order: Order) -> tuple[float, float]:
        """Return the least a fill of an order pays and what its earlier fills count towards it."""
        if self.terms.minimum_fee_of == "fill" or self.terms.minimum_fee == 0.0:
            return self.terms.minimum_fee, 0.0
        return self.terms.minimum_fee - order.charged, order.proportional - order.charged

    def target_cost(self, order: Order, change: float, p: float) -> float:
        return 0.0 if change == 0.0 else self.cost(Part(order, sign(change), 0.0, 0.0, p), abs(change))

    def moved(self, n: float, m: float) -> float:
        """Return the position in whole lots that comes nearest to m and is never larger."""
        lot = self.terms.lot
        if lot == 0.0 or m == 0.0 or not tells(m / lot):
            return m
        if n * m <= 0.0:
            return self.in_lots(m)
        side, size, most = sign(n), abs(n), abs(m)
        steps = round((most - size) / lot)
        if abs((most - size) / lot - steps) > UNITS * max(most, size) / lot:
            steps = math.floor((most - size) / lot)
        return side * max(0.0, size + times(lot, steps))

    # How much of an order may fill.

    def side_of(self, order: Order) -> int:
        return -sign(self.held[order.asset]) if order.protects else sign(order.left)

    def effect(self, order: Order, sized: dict[int, float], held: float | None = None) -> tuple[float, str]:
        """Return what an order would fill at a position, and why it is less than it asked for."""
        n = self.held[order.asset] if held is None else held
        if order.is_target:
            q = sized.get(order.age, n) - n
        elif order.protects:
            q = -n
        else:
            q = order.left
        q, why = self.only_reducing(order, n, q)
        return self.only_what_is_there(n, q, why)

    def only_reducing(self, order: Order, n: float, q: float) -> tuple[float, str]:
        if not (order.reduces or order.is_leg or order.restrained):
            return q, ""
        if n * q >= 0.0:
            return 0.0, REDUCE_NOTHING
        if abs(q) > abs(n) * (1.0 + ROUNDING):
            return -n, "" if order.protects else REDUCE_ALL
        return q, ""

    def only_what_is_there(self, n: float, q: float, why: str) -> tuple[float, str]:
        if self.terms.account != "cash" or q >= 0.0:
            return q, why
        if n <= 0.0:
            return 0.0, why or CASH_NOTHING
        if -q > n * (1.0 + ROUNDING):
            return -n, CASH_ALL
        return q, why

    def volume_left(self, a: int) -> float:
        """Return what a bar's volume still allows."""
        share, volume = self.terms.participation, self.bar["volume"][a]
        if share == 0.0 or is_nan(volume):
            return INF
        return float(max(0.0, self.settled(share * volume - self.taken[a], share * volume)))

    def settled(self, x: float, scale: float) -> float:
        """Return the whole lots that a sum of numbers of this size is but for rounding, or the sum itself."""
        lot = self.terms.lot
        if lot == 0.0 or not tells(scale / lot) or abs(x / lot - round(x / lot)) > UNITS * scale / lot:
            return x
        return times(lot, round(x / lot))

    def in_lots(self, q: float) -> float:
        return stepped(q, self.terms.lot, math.trunc)

    def on_tick(self, price: float, side: int) -> float:
        """Put a price on the tick, up for side 1: limits in their owner's favour, stops away from the market."""
        return stepped(price, self.terms.tick, math.ceil if side > 0 else math.floor)

    def is_zeroed(self, order: Order) -> bool:
        if order.works_as == "stop" and order.kind != "trailing_stop" and order.stop == 0.0:
            return True
        return order.kind in ("limit", "stop_limit") and order.limit == 0.0

    def nothing(self, q: float) -> bool:
        return abs(q) <= ROUNDING

    def ends_position(self, n: float, q: float) -> bool:
        """Tell whether an order is for what is held, to within a few units of its last digit."""
        return n * q < 0.0 and abs(n + q) <= UNITS * abs(n)

    def leaves_nothing(self, n: float, q: float) -> bool:
        """Tell whether a fill leaves of a position what rounding leaves."""
        return n * q < 0.0 and abs(n + q) <= ROUNDING * abs(n)

    def carry_out(self, order: Order, moment: Moment, sized: dict[int, float], factor: float) -> None:
        """Fill an order at a moment as far as position, volume, room and lots allow."""
        if order.is_target:
            self.fill_target(order, moment, sized)
        else:
            self.fill(order, moment.prices[order.asset], factor, moment.prices, False)

    def fill_target(self, order: Order, moment: Moment, sized: dict[int, float]) -> None:
        a, age, n = order.asset, order.age, self.held[order.asset]
        goal = sized.get(age, n)
        got = n if age in self.barred else self.given.get(age, goal)
        got = goal if abs(got - goal) <= ROUNDING * abs(goal) else got
        shrunk, held_back = age in self.barred or got != goal, age in self.held_back
        if got == n:
            if shrunk:
                self.refuse(order, self.why_no_room(order), held_back)
            elif not held_back:
                self.nothing_to_do(order)
            return
        self.book(order, got - n, moment.prices[a], moment.prices, False)
        self.after(order, got - n, held_back, SHRUNK if shrunk else "", moment.prices[a])

    def nothing_to_do(self, order: Order) -> None:
        """End a target that moves nothing."""
        if order.age in self.cheap:
            self.end(order, "rejected", TOO_SMALL)
        else:
            none = CASH_NOTHING if self.weight_of(order) != order.weight else ""
            kept = order.restrained if order.weight != 0.0 else ""
            self.end(order, "cancelled", none or kept or (NO_LOT if self.terms.lot > 0.0 else AT_TARGET))

    def fill(self, order: Order, p: float, factor: float, prices: list[float], maker: bool) -> None:
        """Fill an explicit order, or a leg."""
        a, n = order.asset, self.held[order.asset]
        q, why = self.effect(order, {})
        left = abs(n if order.protects else order.left)
        if q == 0.0 or (abs(q) < DUST * left and not self.ends_position(n, q)):
            return self.end(order, "cancelled", why or NO_LOT)
        some = math.copysign(self.let_through(a, abs(q)), q)
        held_back = some != q
        if held_back:
            order.acted = self.t
            self.find_no_volume(order, p)
            if abs(some) < DUST * left:
                return None
        got, shrunk = self.shrink(n, some, factor)
        if abs(got) <= DUST * left and not self.ends_position(n, got):
            got = 0.0
        if got == 0.0:
            return self.refuse(order, self.why_no_room(order), held_back)
        self.book(order, got, p, prices, maker)
        return self.after(order, got, held_back, SHRUNK if shrunk else why, p)

    def refuse(self, order: Order, why: str, volume: bool) -> None:
        """End an order that finds no room; one that volume holds back as well goes on waiting."""
        if not volume and order.age not in self.patient:
            self.end(order, "rejected", why)

    def shrink(self, n: float, q: float, factor: float) -> tuple[float, bool]:
        """Shrink the part of a fill that opens, to whole lots; what closes needs no room."""
        closes = min(abs(q), abs(n)) if n * q < 0.0 else 0.0
        opens = abs(q) - closes
        if factor >= 1.0 or self.makes_no_larger(n, q):
            return q, False
        share = factor * opens if factor > DUST else 0.0
        return math.copysign(closes + abs(self.in_lots(share)), q), True

    def too_cheap(self, n: float, q: float, p: float) -> bool:
        """Tell whether an order is worth less than the least, and does not end a position."""
        return abs(q * p) < self.terms.min_notional and not self.ends_position(n, q)

    def find_no_volume(self, order: Order, p: float) -> None:
        """Let a stop that finds no volume be at the market from now on."""
        if order.works_as == "stop":
            self.trigger(order, p)

    def trigger(self, order: Order, p: float) -> None:
        order.triggered = True
        self.tell("triggered", order.asset, 0.0, p)

    # What a fill costs.

    def traded_at(self, order: Order, q: float, p: float) -> float:
        """Return the price after slippage: inside the bar, on the tick in the market's favour."""
        if order.kind in ("limit", "stop_limit"):
            return p
        a, side, t = order.asset, sign(q), self.terms
        sigma = 0.0 if is_nan(self.variance[a]) else math.sqrt(self.variance[a])
        s = t.slippage + t.spread / 2.0 + t.volatility_slippage * sigma
        volume, asked = self.bar["volume"][a], self.asks(order, q)
        if t.impact > 0.0 and volume > 0.0:
            s += t.impact * sigma * math.sqrt(abs(asked) / volume)
        return self.within_bar(a, self.against_the_order(p + side * s * abs(p), side))

    def against_the_order(self, price: float, side: int) -> float:
        """Put a traded price on the tick in the market's favour."""
        return stepped(price, self.terms.tick, math.ceil if side > 0 else math.floor)

    def within_bar(self, a: int, price: float) -> float:
        return float(min(max(price, self.bar["low"][a]), self.bar["high"][a]))

    def asks(self, order: Order, q: float) -> float:
        """Return the quantity asked for, which the impact looks at."""
        if order.is_target or order.role == "liquidation":
            return order.total
        return -self.held[order.asset] if order.protects else order.left

    def rate(self, maker: bool) -> float:
        t = self.terms
        taker, waiting = t.fee, t.fee if t.maker_fee is None else t.maker_fee
        for value, at_once, resting in t.tiers:
            if self.before >= value:
                taker, waiting = at_once, resting
        return waiting if maker else taker

    def proportional(self, q: float, price: float, maker: bool) -> float:
        return abs(q) * abs(price) * self.rate(maker) + abs(q) * self.terms.unit_fee

    def fee_of(self, order: Order, q: float, price: float, maker: bool) -> float:
        """Return what a fill pays: at least the minimum of the order, or of the fill, beside the fixed fee."""
        t, paid = self.terms, self.proportional(q, price, maker)
        if t.minimum_fee > 0.0 and t.minimum_fee_of == "fill":
            paid = max(t.minimum_fee, paid)
        elif t.minimum_fee > 0.0:
            paid = max(t.minimum_fee, order.proportional + paid) - order.charged
        return paid + t.fixed_fee

    def book(self, order: Order, q: float, p: float, prices: list[float], maker: bool) -> None:
        """Write a fill into the account."""
        a, n = order.asset, self.held[order.asset]
        price = self.traded_at(order, q, p)
        fee = self.fee_of(order, q, price, maker)
        order.charged += fee - self.terms.fixed_fee
        order.proportional += self.proportional(q, price, maker)
        self.cash -= q * price + fee
        self.held[a] = 0.0 if self.leaves_nothing(n, q) else self.settled(n + q, max(abs(n), abs(q)))
        self.average[a] = self.average_after(n, q, price, self.average[a])
        self.traded += abs(q * price)
        self.taken[a] += abs(q)
        if is_nan(self.price[a]):
            self.price[a] = price
        order.filled += q
        order.acted = self.t
        self.fills.append(Fill(self.t, order.age, a, q, price, fee))
        self.ruin_if(self.value([p if b == a else x for b, x in enumerate(prices)]))

    def average_after(self, n: float, q: float, price: float, average: float) -> float:
        if n * q >= 0.0:
            return (average * abs(n) + price * abs(q)) / (abs(n) + abs(q))
        return price if abs(q) > abs(n) else average

    def after(self, order: Order, q: float, held_back: bool, why: str, p: float) -> None:
        """End an order, or let its rest wait for more volume; then see to pairs and legs."""
        if not order.is_target:
            order.left = self.settled(order.left - q, abs(order.left))
        if order.role in ("stop_loss", "trailing_stop"):
            self.stop_outs += 1
        if not held_back and not (why == SHRUNK and order.age in self.patient):
            self.end(order, "filled", self.why_filled(order, why))
        self.pair_off(order, q)
        self.tend(order, q)

    def why_no_room(self, order: Order) -> str:
        return IN_VAIN if order.waits_since is not None and self.in_vain else NO_ROOM

    def why_filled(self, order: Order, why: str) -> str:
        if self.terms.account == "cash" and order.weight < 0.0:
            return CASH_ALL
        if order.role == "liquidation":
            return CALLED
        if order.waits_since is None:
            return why or WANTED
        if why == SHRUNK:
            return IN_VAIN if self.in_vain else SHRUNK
        return why or (WANTED if self.still_waits else AFTER_REDUCTIONS)

    # Pairs and legs.

    def pair_off(self, order: Order, q: float) -> None:
        """What one order of a pair fills, the others fill no more."""
        if order.group == 0:
            return
        for other in [o for o in self.waiting if o.group == order.group and o is not order]:
            if order.status == "filled":
                self.end(other, "cancelled", OTHER_FILLED)
            elif not other.protects:
                other.left -= math.copysign(min(abs(q), abs(other.left)), other.left)
                if self.nothing(other.left):
                    self.end(other, "cancelled", OTHER_FILLED)

    def tend(self, order: Order, q: float) -> None:
        """After a fill: legs are born, grow, or end; a trailing stop begins at the price paid."""
        a, p = order.asset, self.fills[-1].price
        if not order.is_leg:
            self.grow_legs(order, q, p)
        self.drop_legs(a)
        self.protect(a, p)

    def grow_legs(self, entry: Order, q: float, p: float) -> None:
        legs = [o for o in self.waiting if o.parent is entry]
        for leg in legs:
            leg.left -= q
        if legs:
            return
        if not is_nan(entry.loss):
            self.bear_leg(entry, "stop", "stop_loss", -q, stop=self.on_tick(entry.loss, -sign(q)))
        if not is_nan(entry.profit):
            self.bear_leg(entry, "limit", "take_profit", -q, limit=self.on_tick(entry.profit, sign(q)))
        if not is_nan(entry.trailing):
            level = self.on_tick(p - sign(q) * entry.trailing * abs(p), -sign(q))
            self.bear_leg(entry, "trailing_stop", "trailing_stop", -q, stop=level, trail=entry.trailing, percent=True)

    def bear_leg(self, entry: Order, kind: str, role: str, q: float, **terms: Any) -> None:
        leg = Order(
            entry.asset, kind, q, role=role, parent=entry, group=("legs", entry.age), keeps=entry.keeps, **terms
        )
        leg.asked = q
        self.bear(leg)

    def drop_legs(self, a: int) -> None:
        """End the legs whose position is gone or has turned; those of `Protected` that turn get a successor."""
        for leg in [o for o in self.waiting if o.asset == a and o.is_leg]:
            if self.held[a] * sign(leg.asked) >= 0.0 and not (leg.protects and self.held[a] != 0.0):
                self.end(leg, "cancelled", UNPROTECTED)

    def protect(self, a: int, p: float) -> None:
        """Let the legs of a `Protected` answer be born with the position, and move when a level does."""
        level, n = self.levels[a], self.held[a]
        if n == 0.0:
            return
        side = sign(n)
        stop, take = self.on_tick(level.stop, -side), self.on_tick(level.take, side)
        trailed = self.on_tick(p - side * level.trail * abs(p), -side)
        self.protect_with(a, "stop_loss", stop, kind="stop", stop=stop)
        self.protect_with(a, "take_profit", take, kind="limit", limit=take)
        self.protect_with(a, "trailing_stop", level.trail, kind="trailing_stop", stop=trailed, trail=level.trail,
                          percent=True)  # fmt: skip

    def protect_with(self, a: int, role: str, level: float, **terms: Any) -> None:
        leg = next((o for o in self.waiting if o.asset == a and o.protects and o.role == role), None)
        if leg is not None:
            now = {"stop_loss": leg.stop, "trailing_stop": leg.trail, "take_profit": leg.limit}[role]
            if alike(now, level) and self.held[a] * leg.asked < 0.0:
                return
            self.end(leg, "cancelled", UNPROTECTED if is_nan(level) else NEWER_ORDER)
        if is_nan(level):
            return
        place = leg.place if leg is not None else 0
        new = Order(a, left=-self.held[a], role=role, protects=True, group=("protects", a), place=place, **terms)
        new.asked = -self.held[a]
        self.bear(new)

    # 3. Inside the bar.

    def touches(self, order: Order, x: float, y: float) -> float | None:
        """Return the price at which a leg of the way from x to y touches an order, or None."""
        side, kind = self.side_of(order), order.works_as
        if kind == "market":
            return x if order.role != "entry" or order.kind != "market" else None
        if kind == "limit":
            return self.at_least(x, y, order.limit, -side)
        if kind == "stop":
            return self.at_least(x, y, order.stop, side)
        return None

    def at_least(self, x: float, y: float, level: float, side: int) -> float | None:
        """Return where the way from x to y is first at a level or beyond it, upward for side 1."""
        if side * (x - level) >= 0.0:
            return x
        return level if side * (y - level) >= 0.0 else None

    def inside(self) -> None:
        prices = self.opens()
        rests = [a for a in self.assets if self.trades(a, "open") and self.trades(a, "close") and self.of(a)]
        self.factor = self.inside_factor(rests, prices)
        for a in self.assets:
            if self.trades(a, "open") and self.trades(a, "close"):
                self.trail_along(a, prices[a])
        for a in rests:
            self.walk(a, prices)

    def walk(self, a: int, prices: list[float]) -> None:
        """Go from the open to one extreme, to the other, to the close."""
        x = self.bar["open"][a]
        for y in self.way(a):
            if is_nan(y):
                continue
            self.leg_of_way(a, x, y, prices)
            self.trail_along(a, y)
            x = y

    def way(self, a: int) -> list[float]:
        low, high, close = (self.bar[name][a] for name in ("low", "high", "close"))
        return [low, high, close] if self.low_first(a) else [high, low, close]

    def low_first(self, a: int) -> bool:
        if self.terms.path == "nearest":
            opened = self.bar["open"][a]
            return bool(opened - self.bar["low"][a] <= self.bar["high"][a] - opened)
        side = sign(self.held[a]) or -self.first_side(a)
        bad_is_low = side >= 0
        return bad_is_low if self.terms.path == "pessimistic" else not bad_is_low

    def first_side(self, a: int) -> int:
        """Return the side of the oldest order that can act inside the bar, 0 for none."""
        for order in self.of(a):
            if self.can_act_inside(order):
                return self.side_of(order)
        return 0

    def can_act_inside(self, order: Order) -> bool:
        return not order.is_target and order.works_as in ("limit", "stop") and order.acted != self.t

    def leg_of_way(self, a: int, x: float, y: float, prices: list[float]) -> None:
        """Fill what a leg touches, the nearest first and of two at one price the older."""
        begin = x
        while True:
            touched = []
            for order in self.of(a):
                z = self.touches(order, x, y) if self.can_act_inside(order) else None
                if z is not None:
                    touched.append((abs(z - x), order.place, z, order))
            if not touched:
                return
            _, _, z, order = self.nearest(touched)
            self.meet(order, z, prices, z == order.limit != begin)
            x = z

    def nearest(self, touched: list[tuple[float, int, float, Order]]) -> tuple[float, int, float, Order]:
        """Return the nearest, and of two at one price, but for rounding, the older."""
        least = min(away for away, *_ in touched)
        return min((x for x in touched if x[0] <= least + ROUNDING * abs(x[2])), key=lambda found: found[1])

    def meet(self, order: Order, z: float, prices: list[float], waited: bool) -> None:
        """Let an order be touched at a price inside the bar."""
        if order.works_as == "stop" and order.kind == "stop_limit":
            self.trigger(order, z)
            order.woke = (self.t, z)
            return
        maker = waited and order.works_as == "limit" and (self.t, z) != order.woke
        self.fill(order, z, self.factor, prices, maker)
        order.acted = self.t

    def trail_along(self, a: int, price: float) -> None:
        """Move trailing stops at the end of a leg; they never step back."""
        if self.bar["volume"][a] == 0.0:
            return
        for order in self.of(a):
            if order.kind == "trailing_stop" and not order.triggered:
                side = self.side_of(order)
                level = self.trailed(order, price, side)
                order.stop = max(order.stop, level) if side < 0 else min(order.stop, level)

    def trailed(self, order: Order, price: float, side: int) -> float:
        distance = abs(price) * order.trail if order.percent else order.trail
        return self.on_tick(price + side * distance, side)

    def inside_factor(self, rests: list[int], prices: list[float]) -> float:
        """Return the factor of what this bar's range can touch."""
        parts: list[Part] = []
        for a in rests:
            parts += self.dearer_side(a, prices[a], lambda o: self.reach(o) if self.can_act_inside(o) else None)
        return self.solve_room(parts, prices, True)

    def reach(self, order: Order) -> float | None:
        """Return the dearest price at which a bar can touch an order; a trailing stop may be anywhere."""
        low, high, side = self.bar["low"][order.asset], self.bar["high"][order.asset], self.side_of(order)
        if order.works_as == "limit":
            return order.limit if side * (order.limit - (low if side > 0 else high)) >= 0.0 else None
        if order.kind == "trailing_stop":
            near = self.trailed(order, low, 1) if side > 0 else self.trailed(order, high, -1)
            best = min(order.stop, near) if side > 0 else max(order.stop, near)
            return max(high, low, key=abs) if side * ((high if side > 0 else low) - best) >= 0.0 else None
        within = low <= order.stop <= high
        return (order.limit if order.kind == "stop_limit" else order.stop) if within else None

    # 5. The close.

    def close(self) -> None:
        moment = Moment("close", self.prices_at("close"), [self.trades(a, "close") for a in self.assets])
        if self.t not in self.marked:
            self.auction(moment, self.filled_by_the_close)
        self.mark()
        equity = self.value(self.price)
        self.ruin_if(equity)
        if self.t not in self.late:
            self.test_margin(equity)
        self.measure_guards(equity)
        self.equity.append(equity)

    def filled_by_the_close(self, order: Order, price: float) -> bool:
        if order.acted == self.t:
            return False
        if order.kind == "market_on_close":
            return True
        due = (order.is_target or order.kind == "market") and self.terms.fill == "next_close"
        return due and self.has_a_say(order, price)

    def has_a_say(self, order: Order, price: float) -> bool:
        """A weight other than 0 says nothing at a price of zero or less."""
        return not order.is_target or self.weight_of(order) == 0.0 or price > 0.0

    def weight_of(self, order: Order) -> float:
        """Return the weight that an account can have: a cash account sells what it holds, no more."""
        return max(0.0, order.weight) if self.terms.account == "cash" else order.weight

    def mark(self) -> None:
        for a in self.assets:
            close, last = self.bar["close"][a], self.closed[a]
            if is_nan(close):
                continue
            if last > 0.0 and close > 0.0:
                square, v = math.log(close / last) ** 2, self.variance[a]
                self.variance[a] = square if is_nan(v) else DECAY * v + (1.0 - DECAY) * square
            self.price[a] = self.closed[a] = close

    def test_margin(self, equity: float) -> None:
        """Warn below one share of the gross, call below another."""
        t, gross = self.terms, self.gross(self.price)
        kept = equity * (1.0 + NEAR)
        before, self.alarm = self.alarm, (kept < t.warning * gross) + (kept < t.maintenance * gross)
        if self.alarm > before:
            self.tell(("margin_warning", "margin_call")[self.alarm - 1], -1, gross / equity, equity, CALLED)

    def liquidate(self, moment: Moment) -> None:
        """Close positions after a margin call, the largest unrealised loss first and no more than is needed."""
        if self.alarm < 2:
            return
        losses = {a: self.held[a] * (moment.prices[a] - self.average[a]) for a in self.assets if self.held[a] != 0.0}
        for a in sorted(losses, key=lambda a: losses[a]):
            equity = self.value(moment.prices)
            short = self.terms.maintenance * self.gross(moment.prices) - equity
            if moment.known[a] and short > NEAR * equity:
                self.close_some(a, short, moment)

    def close_some(self, a: int, short: float, moment: Moment) -> None:
        p, n = moment.prices[a], self.held[a]
        order = Order(a, "market", -n, role="liquidation", total=-n)
        price = self.traded_at(order, -n, p)
        k = abs(price - p) + abs(price) * self.rate(False) + self.terms.unit_fee
        frees = self.terms.maintenance * abs(p) - k
        x = self.enough(n, short + self.terms.fixed_fee, frees)
        if x * (abs(price) * self.rate(False) + self.terms.unit_fee) < self.terms.minimum_fee:
            least = self.terms.fixed_fee + self.terms.minimum_fee
            x = self.enough(n, short + least, self.terms.maintenance * abs(p) - abs(price - p))
        x = self.let_through(a, x)
        if x == 0.0:
            return
        order.left, order.total = math.copysign(x, -n), -n
        order.weight, order.asked = 0.0, NAN
        self.bear(order)
        self.fill(order, p, 1.0, moment.prices, False)

    def enough(self, n: float, need: float, frees: float) -> float:
        """Return how many units free so much, in whole lots, rounded up, or all there are."""
        return abs(n) if frees <= 0.0 else min(abs(n), stepped(need / frees, self.terms.lot, math.ceil))

    # 6. The decision.

    def decide(self) -> None:
        answer = self.decisions[self.t]
        mode, why = self.strictest()
        if mode in ("reduce_only", "flatten"):
            self.restrain_what_waits(mode, why)
        if answer[0] == "orders" and mode == "flatten":
            self.place_targets([0.0 for _ in self.assets])
        elif answer[0] == "orders":
            self.place_requests(answer[1])
        else:
            if answer[0] == "protected":
                self.set_levels(*answer[2:])
            self.place_targets(answer[1])
            for a in self.assets:
                self.protect(a, self.price[a])
        if self.terms.fill == "same_close":
            moment = Moment("close", self.prices_at("close"), [self.trades(a, "close") for a in self.assets])
            self.auction(moment, self.filled_by_this_close)

    def filled_by_this_close(self, order: Order, price: float) -> bool:
        return order.acted != self.t and (order.is_target or order.kind == "market") and self.has_a_say(order, price)

    def set_levels(self, stop: Sequence[float], take: Sequence[float], trail: Sequence[float]) -> None:
        for a in self.assets:
            self.levels[a] = Levels(stop[a], take[a], trail[a])

    def place_targets(self, weights: Sequence[float]) -> None:
        equity = self.value(self.price)
        mode, why = self.strictest()
        asked = [0.0 for _ in weights] if mode == "flatten" else list(weights)
        asked = [HOLD if self.gone[a] else w for a, w in enumerate(asked)]
        waits = {o.asset: o for o in self.waiting if o.is_target}
        cut = self.cut_to_limits(asked, equity, waits)
        for a, (w, allowed) in enumerate(zip(cut, self.restrained(cut, mode, equity), strict=True)):
            waiting = waits.get(a)
            if waiting is not None and mode in ("", "flatten") and abs(waiting.weight - allowed) <= NEAR:
                waiting.restrained = why
            if self.gone[a] or w == HOLD or (waiting is not None and self.is_asked_again(waiting, w, allowed)):
                continue
            if waiting is not None:
                self.end(waiting, "cancelled", NEWER_TARGET)
            if allowed == HOLD:
                continue
            near = mode != "flatten" and abs(allowed - self.weight_now(a, equity)) < self.terms.band - NEAR
            if not near and self.is_worth_an_order(a, allowed, equity):
                self.bear(Order(a, "market", 0.0, weight=allowed, restrained=why))

    def is_asked_again(self, waiting: Order, w: float, allowed: float) -> bool:
        return min(abs(waiting.weight - w), abs(waiting.weight - allowed)) <= NEAR

    def weight_now(self, a: int, equity: float) -> float:
        return 0.0 if self.held[a] == 0.0 else self.held[a] * self.price[a] / equity

    def restrained(self, asked: list[float], mode: str, equity: float) -> list[float]:
        """Leave a weight that would increase a position as it is, and let one that would turn it close it."""
        if mode == "":
            return asked
        found = []
        for a, w in enumerate(asked):
            now = self.weight_now(a, equity)
            if w == HOLD or (w * now >= 0.0 and abs(w) > abs(now) + NEAR):
                found.append(HOLD)
            else:
                found.append(0.0 if w * now < 0.0 else w)
        return found

    def cut_to_limits(self, asked: list[float], equity: float, waits: dict[int, Order]) -> list[float]:
        """Cut weights to the limits of exposure guards; what waits counts as if it were held."""
        for watch in self.watches:
            on, limit = watch.guard.on, watch.guard.limit
            now = [self.weight_now(a, equity) for a in self.assets]
            base = [max(x, waits[a].weight, key=abs) if a in waits else x for a, x in enumerate(now)]
            if on == "position":
                asked = [w if w == HOLD else math.copysign(min(abs(w), limit), w) for w in asked]
            elif on == "gross":
                asked = self.share_exposure(asked, base, limit, False)
            elif on == "net":
                asked = self.share_exposure(asked, base, limit, True)
        return asked

    def share_exposure(self, asked: list[float], base: list[float], limit: float, signed: bool) -> list[float]:
        """Cut what is asked for by one factor, so that it stays within a limit together with what is left as it is."""
        wanted = sum(w if signed else abs(w) for w in asked if w != HOLD)
        kept = sum(b if signed else abs(b) for w, b in zip(asked, base, strict=True) if w == HOLD)
        if wanted == 0.0:
            return asked
        f = min(1.0, (math.copysign(limit, wanted) - kept) / wanted)
        return [w if w == HOLD else f * w if f > NEAR else 0.0 for w in asked]

    def is_worth_an_order(self, a: int, w: float, equity: float) -> bool:
        """Tell whether a target outside the band is an order: not where it is met and nothing would move it."""
        n, p = self.held[a], self.price[a]
        if w == 0.0:
            return n != 0.0
        off = abs(w - self.weight_now(a, equity))
        if off <= NEAR and (w == 1.0 or self.terms.lot > 0.0 or self.terms.fill == "same_close"):
            return False
        if not p > 0.0 or self.terms.lot == 0.0:
            return True
        return self.moved(n, w * equity / p) != n

    def place_requests(self, requests: Iterable[Request]) -> None:
        pairs: dict[int, Any] = {}
        for request in requests:
            if request.action == "cancel":
                self.cancel([o for o in self.of(request.asset) if o.tag == request.tag and not o.is_leg])
            elif request.action == "cancel_all":
                self.cancel([o for o in self.of(request.asset) if not o.is_target])
            else:
                self.place(request, pairs)

    def cancel(self, orders: list[Order]) -> None:
        for order in orders:
            self.end(order, "cancelled", WITHDRAWN)

    def place(self, request: Request, pairs: dict[int, Any]) -> None:
        a = request.asset
        order = self.order_of(request)
        if request.tag != 0:
            for resting in [o for o in self.of(a) if o.tag == request.tag and not o.is_leg]:
                if self.same_terms(resting, order):
                    resting.restrained = resting.restrained if self.strictest()[0] else ""
                    return
                self.end(resting, "cancelled", NEWER_ORDER)
        if request.pair != 0:
            order.group = ("pair", self.t, request.pair)
        self.bear(order)
        why = self.refuses(order) or self.is_guarded(order)
        if why:
            self.end(order, "rejected", why)

    def order_of(self, r: Request) -> Order:
        q = r.quantity
        q = self.as_asked(r.asset, q)
        side = sign(q) or 1
        order = Order(
            r.asset, r.kind, q, limit=self.on_tick(r.limit, -side), stop=self.on_tick(r.stop, side), trail=r.trail,
            percent=r.percent, life=r.life, until=r.until, reduces=r.reduces, tag=r.tag,
            loss=r.loss, profit=r.profit, trailing=r.trailing, keeps=r.keeps,
        )  # fmt: skip
        order.asked = order.total = q
        if r.kind == "trailing_stop":
            order.stop = self.trailed(order, self.price[r.asset], side)
        return order

    def as_asked(self, a: int, q: float) -> float:
        """Put a quantity on whole lots; what ends a position is let through."""
        return -self.held[a] if self.ends_position(self.held[a], q) else self.in_lots(q)

    def same_terms(self, one: Order, other: Order) -> bool:
        names = ("kind", "total", "limit", "trail", "percent", "life", "until", "reduces", "loss", "profit", "trailing",
                 "keeps")  # fmt: skip
        if one.kind != "trailing_stop":
            names += ("stop",)
        return all(alike(getattr(one, name), getattr(other, name)) for name in names)

    def refuses(self, order: Order) -> str:
        """Say why an order is not taken at all."""
        if self.gone[order.asset]:
            return DELISTED
        if order.left == 0.0:
            return NO_LOT
        if self.is_zeroed(order):
            return NO_TICK
        price = self.price[order.asset] if is_nan(order.limit) else order.limit
        return TOO_SMALL if self.too_cheap(self.held[order.asset], order.left, price) else ""

    # Guards.

    def measure_guards(self, equity: float) -> None:
        if self.t > 0 and day_of(self.bar["ts"]) != day_of(self.bars[self.t - 1]["ts"]):
            self.last_day = self.equity[-1]
        for watch in self.watches:
            watch.peak = max(watch.peak, equity)
            measured = self.measured(watch, equity)
            self.hold_or_let_go(watch, measured, self.is_beyond(watch.guard, measured), equity)

    def measured(self, watch: Watch, equity: float) -> float:
        """Return what a guard looks at, at the close."""
        value = [q * p if q != 0.0 else 0.0 for q, p in zip(self.held, self.price, strict=True)]
        return {
            "drawdown": lambda: 1.0 - equity / watch.peak,
            "daily_loss": lambda: 1.0 - equity / self.last_day,
            "gross": lambda: sum(map(abs, value)) / equity,
            "net": lambda: abs(sum(value)) / equity,
            "position": lambda: max(map(abs, value)) / equity,
            "turnover": lambda: self.traded / equity,
            "stop_out": lambda: float(self.stop_outs),
            "kill": lambda: float(self.bar["ts"]),
        }[watch.guard.on]()

    def is_beyond(self, guard: Guard, measured: float) -> bool:
        """An exposure is beyond its limit when it is larger, every other measure when it is reached."""
        return (
            measured > guard.limit * (1.0 + NEAR)
            if guard.on in ("gross", "net", "position")
            else measured >= guard.limit * (1.0 - (NEAR if guard.on != "kill" else 0.0))
        )

    def hold_or_let_go(self, watch: Watch, measured: float, beyond: bool, equity: float) -> None:
        """Hold while beyond the limit and the cool-down longer; after a drawdown for good, or so long."""
        for_good = watch.guard.on in ("drawdown", "kill")
        if not watch.holds:
            if beyond and not watch.spent:
                self.tell("guard", -1, measured, watch.guard.limit, GUARDS[watch.guard.on])
                watch.holds, watch.left = True, watch.guard.cool_down - for_good
            return
        if beyond and not for_good:
            watch.left = watch.guard.cool_down
        elif watch.left > 0:
            watch.left -= 1
        elif not for_good or watch.guard.cool_down > 0:
            watch.holds, watch.peak, watch.spent = False, equity, watch.guard.on == "kill"
            self.tell("released", -1, measured, watch.guard.limit, GUARDS[watch.guard.on])

    def strictest(self) -> tuple[str, str]:
        """Return the strictest mode that holds, and its reason."""
        held = [w.guard for w in self.watches if w.holds]
        if not held:
            return "", ""
        guard = max(held, key=lambda g: MODES.index(g.mode))
        return guard.mode, GUARDS[guard.on]

    def may_increase(self, order: Order) -> bool:
        """Tell whether an order could make its position larger."""
        n = self.held[order.asset]
        if order.restrained:
            return False
        if order.is_target:
            value = n * self.price[order.asset] / self.value(self.price) if n != 0.0 else 0.0
            return abs(order.weight) > abs(value) + NEAR or order.weight * value < 0.0
        return not (order.reduces or order.is_leg) and (
            order.left * n >= 0.0 or abs(order.left) > abs(n) * (1.0 + ROUNDING)
        )

    def is_guarded(self, order: Order) -> str:
        """Say which guard refuses an order; one decided under a guard only reduces from now on."""
        n, (mode, why) = self.held[order.asset], self.strictest()
        if mode != "" and order.left * n >= 0.0 and not order.reduces:
            return why
        order.restrained = why
        if order.reduces or order.restrained or (order.left * n < 0.0 and abs(n + order.left) <= abs(n)):
            return ""
        equity = self.value(self.price)
        for watch in self.watches:
            on, limit = watch.guard.on, watch.guard.limit
            if on in ("gross", "net", "position") and self.could_go_beyond(on, limit * equity, order.asset):
                return GUARDS[on]
        return ""

    def could_go_beyond(self, on: str, limit: float, a: int) -> bool:
        """Tell whether positions and all that rests could together go beyond a limit."""
        ups, downs = [self.reaches(b, 1) for b in self.assets], [self.reaches(b, -1) for b in self.assets]
        worst = [max(abs(up), abs(down)) for up, down in zip(ups, downs, strict=True)]
        far = {"gross": sum(worst), "position": worst[a], "net": max(abs(sum(ups)), abs(sum(downs)))}[on]
        return far > limit * (1.0 + NEAR)

    def reaches(self, a: int, side: int) -> float:
        """Return what a position could be worth if all orders of one side filled, of a pair the dearer."""
        pairs: dict[Any, float] = {}
        for order in self.of(a):
            if order.is_leg or order.is_target or order.reduces or order.restrained or sign(order.left) != side:
                continue
            key = order.group or ("alone", order.age)
            pairs[key] = max(pairs.get(key, 0.0), order.left * self.own_price(order), key=abs)
        held = self.held[a] * self.price[a] if self.held[a] != 0.0 else 0.0
        return float(held + sum(pairs.values()))

    def own_price(self, order: Order) -> float:
        """Return what an order counts at in the limits: its own price; a trailing stop's only comes nearer."""
        last = self.price[order.asset]
        own = (order.limit, order.stop) if order.works_as != "market" else ()
        price = next(p for p in (*own, last) if not is_nan(p))
        return max(price, price if is_nan(last) else last, key=abs) if order.kind == "trailing_stop" else price

    def restrain_what_waits(self, mode: str, why: str) -> None:
        for order in list(self.waiting):
            if mode == "flatten":
                if not order.protects and order.weight != 0.0:
                    self.end(order, "cancelled", why)
            elif self.may_increase(order):
                self.end(order, "cancelled", why)
            elif not order.reduces:
                order.restrained = order.restrained or why


def largest(room: Callable[[float], float], slack: float) -> float:
    """Return the largest factor up to 1 that leaves room, 0 for none."""
    low, high = room(0.0), room(1.0)
    if high >= -slack:
        return 1.0
    if low <= 0.0:
        return 0.0
    f, g, before, scale = 0.0, 1.0, 0, abs(low) + abs(high)
    for _ in range(200):
        x = f + (g - f) * low / (low - high)
        now = room(x)
        if abs(now) <= 1e-14 * scale:
            return x
        # The end that has stayed twice counts half (Illinois): where a fee bends the line the way were endless.
        side = 1 if now > 0.0 else -1
        if side > 0:
            f, low, high = x, now, high / 2.0 if before == side else high
        else:
            g, high, low = x, now, low / 2.0 if before == side else low
        before = side
    return f
