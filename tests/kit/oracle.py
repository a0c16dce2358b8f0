"""An accountant who has never seen the engine: decimal arithmetic, plain lists and dicts, the standard library.

It is given what anybody has who holds a run's folder and its bars, and rebuilds the account from that alone: bars,
actions as declared, rates, terms, orders and fills. Nothing the engine computed about the account is read. On the way
it looks at every fill: its fee, its price, its volume, and whether its order could have filled then at all.

    bars      [{"ts": ns, "open": [..], "high": [..], "low": [..], "close": [..], "volume": [..]}, ...]   NaN = none
    actions   [{"dividend": [..], "split": [..], "final": [..]}, ...]            as declared, one a bar
    orders    [{"id", "ts", "asset" (column), "kind", "weight", "status", "quantity", "end_ts", "asked", "limit",
                "stop", "life", "until", "role", "parent", "group", "reduces"}, ...]          ts in ns; None = none
    fills     [{"order_id", "ts", "asset", "quantity", "price", "fee", "slippage"}, ...]   in the order they happened
    rates     {"borrow": x, "cash": y}, each a number or [(ts, x), ...]
    terms     the numbers of the account: see `TERMS`
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any

D = Decimal
DAY = 86_400_000_000_000
NEAR = D("1e-9")
TERMS = ("cash", "fee", "maker_fee", "unit_fee", "fixed_fee", "minimum_fee", "minimum_fee_of", "tiers", "slippage",
         "volatility_slippage", "impact", "tick", "lot", "participation", "short_rate", "fill", "account")  # fmt: skip
DECAY = D("0.94")


@dataclass
class Row:
    """The account at one close, before the decision."""

    ts: int
    equity: Decimal
    cash: Decimal
    gross: Decimal
    net: Decimal
    fees: Decimal
    financing: Decimal
    weights: list[Decimal]
    quantity: list[Decimal]


def rebuild(bars: Any, actions: Any, rates: Any, terms: Any, orders: Any, fills: Any, start: int = 0) -> list[Row]:
    """Return the account at every close from bar `start` on; raise `AssertionError` at what cannot be."""
    with localcontext() as context:
        context.prec = 40
        book = _Book(bars, effective(bars, actions), rates, terms, orders, fills)
        rows = [book.turn(t, t - start) for t in range(start, len(bars))]
        assert not book.waiting, f"fills at moments that are no bar's close: {book.waiting}"
        book.audit_orders()
    return rows


def effective(bars: Sequence[Any], actions: Sequence[Any]) -> list[Any]:
    """Move what falls on a bar that an asset does not have to its next one, or to its final price."""
    moved = []
    assets = range(len(bars[0]["close"]))
    owed, ratio = [D(0) for _ in assets], [D(1) for _ in assets]
    for bar, action in zip(bars, actions, strict=True):
        row: dict[str, list[Any]] = {"dividend": [], "split": [], "final": []}
        for a in assets:
            split = number(action["split"][a]) or D(1)
            ratio[a] *= split
            owed[a] = owed[a] / split + (number(action["dividend"][a]) or D(0))
            final = number(action["final"][a])
            here = number(bar["close"][a]) is not None or final is not None
            row["dividend"].append(owed[a] if here else D(0))
            row["split"].append(ratio[a] if here else D(1))
            row["final"].append(final)
            if here:
                owed[a], ratio[a] = D(0), D(1)
        moved.append(row)
    return moved


def number(x: Any) -> Decimal | None:
    """Return a float as the decimal it exactly is; None where there is none."""
    return None if x is None or x != x else D(x)


def near(x: Decimal, y: Decimal, scale: Decimal | int = 1) -> bool:
    """Tell whether two numbers are one up to rounding."""
    return abs(x - y) <= NEAR * max(abs(x), abs(y), D(scale))


@dataclass
class _Life:
    """One order as it is seen from outside: its terms at birth, and what has filled in units of its birth."""

    order: Any
    units: Decimal
    born: int
    filled: Decimal = field(default_factory=Decimal)
    raw: Decimal = field(default_factory=Decimal)
    last: int = -1
    # What dividends have lowered its level by, and what its fills come to and were charged so far.
    lowered: Decimal = field(default_factory=Decimal)
    due: Decimal = field(default_factory=Decimal)
    charged: Decimal = field(default_factory=Decimal)


@dataclass
class _Book:
    bars: Any
    actions: Any
    rates: Any
    terms: Any
    orders: Any
    fills: Any
    lives: dict[int, _Life] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assets = range(len(self.bars[0]["close"]))
        self.t = {name: D(self.terms[name]) for name in TERMS if isinstance(self.terms[name], float | int)}
        self.cash, self.traded = self.t["cash"], D(0)
        self.held = [D(0) for _ in assets]
        self.mark: list[Decimal | None] = [None for _ in assets]
        self.units = [D(1) for _ in assets]
        self.variance: list[Decimal | None] = [None for _ in assets]
        self.closed = [False for _ in assets]
        self.fees = D(0)
        self.spent = [-1 for _ in assets]
        self.waiting = list(self.fills)
        self.born = {order["id"]: order for order in self.orders}
        assert len(self.born) == len(self.orders), "an order was born twice"

    def turn(self, t: int, since: int) -> Row:
        """Take the account over one bar and return it as it stands at the close."""
        self.bar, self.number, self.taken = self.bars[t], t, [D(0) for _ in self.held]
        self._act(self.actions[t])
        financing = self._finance(self.bars[t - 1]["ts"] if since > 0 else None)
        if since > 0 and _month(self.bars[t - 1]["ts"]) != _month(self.bar["ts"]):
            self.traded = D(0)
        self.opened = self.admitted = self.traded
        self._give_birth()
        late = []
        for fill in self._due():
            if self._is_late(fill):
                late.append(fill)
            else:
                assert not late, f"filled inside a bar after what was decided at its close: {fill}"
                self._fill(fill)
        self._mark()
        self._spend()
        row = self._row(financing)
        self.fees = D(0)
        for fill in late:
            self._fill(fill)
        return row

    def _act(self, action: Any) -> None:
        for a in range(len(self.held)):
            ratio, dividend, final = action["split"][a], action["dividend"][a], action["final"][a]
            self.held[a] *= ratio
            self.units[a] *= ratio
            mark = self.mark[a]
            self.mark[a] = None if mark is None else mark / ratio
            self.cash += self.held[a] * dividend
            for life in self.lives.values():
                if life.order["asset"] == a:
                    life.lowered = life.lowered / ratio + dividend
            if final is not None:
                self.cash += self.held[a] * final
                self.held[a] = D(0)

    def _finance(self, last: int | None) -> Decimal:
        if last is None:
            return D(0)
        days = D(self.bar["ts"] // DAY - last // DAY)
        rate = _rate(self.rates["borrow"] if self.cash < 0 else self.rates["cash"], last)
        shorts = sum((abs(q * (p or D(0))) for q, p in zip(self.held, self.mark, strict=True) if q < 0), D(0))
        interest = (self.cash * rate - shorts * self.t["short_rate"]) * days / 365
        self.cash += interest
        return -interest

    def _give_birth(self) -> None:
        for order in self.orders:
            if order["ts"] == self.bar["ts"]:
                self.lives[order["id"]] = _Life(order, self.units[order["asset"]], self.number)

    def _due(self) -> Iterator[Any]:
        while self.waiting and self.waiting[0]["ts"] == self.bar["ts"]:
            yield self.waiting.pop(0)

    def _is_late(self, fill: Any) -> bool:
        """Tell whether a fill came after the close's row was written: what is decided and done at the same close."""
        order = self.born[fill["order_id"]]
        return bool(self.terms["fill"] == "same_close" and order["role"] == "entry" and order["kind"] == "market")

    def _fill(self, fill: Any) -> None:
        a, q, price, fee = fill["asset"], D(fill["quantity"]), D(fill["price"]), D(fill["fee"])
        life = self.lives.get(fill["order_id"])
        assert life is not None, f"{fill}: an order fills that is not born"
        try:
            self._audit(life, a, q, price, fee, D(fill["slippage"]))
        except AssertionError as error:
            raise AssertionError(f"bar {self.number}: {error}\n  fill  {fill}\n  order {life.order}") from error
        self.cash -= q * price + fee
        self.fees += fee
        self.traded += abs(q * price)
        if life.order["role"] == "liquidation":
            self.admitted = self.traded
        self.held[a] += q
        self.taken[a] += abs(q)
        if self.mark[a] is None:
            self.mark[a] = price
        life.filled += q * life.units / self.units[a]
        life.raw += q
        life.last = self.bar["ts"]

    def _mark(self) -> None:
        for a, close in enumerate(map(number, self.bar["close"])):
            mark = self.mark[a]
            if close is None:
                continue
            if self.closed[a] and mark is not None and mark > 0 and close > 0:
                square, v = (close / mark).ln() ** 2, self.variance[a]
                self.variance[a] = square if v is None else DECAY * v + (1 - DECAY) * square
            self.mark[a], self.closed[a] = close, True

    def _spend(self) -> None:
        """Note which assets had no volume left: a stop that was touched then is a market order now."""
        for a, taken in enumerate(self.taken):
            volume = number(self.bar["volume"][a])
            if volume is not None and taken + self.t["lot"] >= self.t["participation"] * volume * (1 - NEAR):
                self.spent[a] = self.number

    def _row(self, financing: Decimal) -> Row:
        value = [q * (p or D(0)) if q else D(0) for q, p in zip(self.held, self.mark, strict=True)]
        equity = self.cash + sum(value, D(0))
        gross, net = sum(map(abs, value), D(0)) / equity, sum(value, D(0)) / equity
        weights = [v / equity for v in value]
        return Row(self.bar["ts"], equity, self.cash, gross, net, self.fees, financing, weights, list(self.held))

    # What is asked of a single fill.

    def _audit(self, life: _Life, a: int, q: Decimal, price: Decimal, fee: Decimal, slip: Decimal) -> None:
        order = life.order
        assert abs(q) * max(map(abs, [price, *self._prices(a)])) > NEAR * self.t["cash"], "a fill of nothing"
        assert order["asset"] == a, "a fill in an asset the order is not for"
        self._audit_time(life)
        self._audit_capacity(order, a, q)
        self._audit_price(life, a, q, price)
        self._audit_fee(life, a, q, price, fee)
        self._audit_side(life, a, q)
        reach = max(abs(price - x) for x in self._prices(a))
        assert 0 <= slip <= abs(q) * reach + NEAR * (1 + abs(q * price)), "slippage beyond the bar"

    def _prices(self, a: int) -> list[Decimal]:
        found = [number(self.bar[name][a]) for name in ("open", "high", "low", "close")]
        return [x for x in found if x is not None]

    def _audit_time(self, life: _Life) -> None:
        order, now = life.order, self.bar["ts"]
        assert order["end_ts"] is None or now <= order["end_ts"], "filled after its end"
        young = order["role"] != "entry" or self.terms["fill"] == "same_close"
        assert now > order["ts"] or (young and now == order["ts"]), "filled before it could"
        if order["life"] == "GTD" and order["until"] is not None:
            assert now <= order["until"], "filled after its date"
        if order["life"] == "DAY" and now > order["ts"]:
            first = next(bar["ts"] for bar in self.bars[life.born + 1 :] if _trades(bar, order["asset"]))
            assert (now - 1) // DAY == (first - 1) // DAY, "filled after its day"

    def _audit_capacity(self, order: Any, a: int, q: Decimal) -> None:
        volume, share = number(self.bar["volume"][a]), self.t["participation"]
        assert volume is None or volume > 0, "filled in a bar without volume"
        assert self._prices(a), "filled in a bar that is not there"
        if volume is not None and share > 0:
            most = share * volume
            assert self.taken[a] + abs(q) <= most * (1 + NEAR), f"took more than {most} of the volume"

    def _audit_price(self, life: _Life, a: int, q: Decimal, price: Decimal) -> None:
        prices = self._prices(a)
        assert min(prices) <= price <= max(prices), "filled outside the bar"
        order, moved = life.order, life.units / self.units[a]
        limit, stop = number(order["limit"]), number(order["stop"])
        side = 1 if q > 0 else -1
        if order["kind"] in ("limit", "stop_limit") and limit is not None:
            follows = (order["kind"] == "limit") == (side > 0)
            level = limit * moved - (life.lowered if follows else D(0))
            assert side * (price - level) <= NEAR * abs(price), "filled worse than its limit"
        # What little volume has left of a stop is at the market: its price has traded. A leg may be touched in the bar
        # that it was born in, an order that a close asked for may not.
        touched_from = life.born if order["role"] != "entry" else life.born + 1
        fresh = life.filled == 0 and self.spent[a] < touched_from
        if order["kind"] == "stop" and stop is not None and fresh:
            level = stop * moved - (life.lowered if side < 0 else D(0))
            assert side * (price - level) >= -NEAR * abs(price), "a stop filled before its price"
        anchor = self._anchor(order)
        if anchor is not None:
            self._audit_slippage(order, life, a, q, price, D(self.bar[anchor][a]), prices)

    def _anchor(self, order: Any) -> str | None:
        """Return which of the bar's prices an order slips from, where that is known from its kind."""
        if order["kind"] == "market_on_close":
            return "close"
        if order["kind"] != "market":
            return None
        return "open" if order["role"] == "liquidation" or self.terms["fill"] == "next_open" else "close"

    def _audit_slippage(self, order: Any, life: _Life, a: int, q: Decimal, price: Decimal, anchor: Decimal,
                        prices: list[Decimal]) -> None:  # fmt: skip
        side = 1 if q > 0 else -1
        assert side * (price - anchor) >= 0, f"slipped to its advantage from {anchor}"
        sigma = (self.variance[a] or D(0)).sqrt()
        s = self.t["slippage"] + self.t["volatility_slippage"] * sigma
        volume, asked = number(self.bar["volume"][a]), number(order["asked"])
        if self.t["impact"] > 0 and volume is not None:
            if asked is None:
                return
            left = abs(asked - life.filled) * self.units[a] / life.units
            s += self.t["impact"] * sigma * (left / volume).sqrt()
        wanted, tick = anchor + abs(anchor) * side * s, self.t["tick"]
        clamp = (min if side > 0 else max)(wanted, max(prices) if side > 0 else min(prices))
        if tick == 0:
            assert near(price, clamp), f"slipped to {price}, not to {clamp}"
        else:
            assert side * (price - clamp) >= -NEAR * abs(price), f"slipped less than to {clamp}"
            assert abs(price - clamp) <= tick * (1 + NEAR), f"slipped more than a tick beyond {clamp}"
            on_tick = near(price / tick, (price / tick).to_integral_value())
            assert on_tick or price in prices, "a price that is on no tick, and none of the bar's"

    def _audit_fee(self, life: _Life, a: int, q: Decimal, price: Decimal, fee: Decimal) -> None:
        order = life.order
        # A liquidation comes first; what fees are in force for all else is known after it.
        taker, maker = self._rates(self.opened if order["role"] == "liquidation" else self.admitted)
        possible = [taker]
        limit = number(order["limit"])
        if limit is not None:
            level = limit * life.units / self.units[a]
            if any(near(price, x) or abs(price - x) <= self.t["tick"] for x in (level, level - life.lowered)):
                possible.append(maker)
        found = [self._fee(life, q, price, rate) for rate in possible]
        chosen = next((x for x in found if near(fee, x[0])), None)
        assert chosen is not None, f"the fee should be one of {[float(x) for x, _ in found]}"
        if self.terms["minimum_fee_of"] == "order":
            life.due, life.charged = chosen[1], life.charged + fee - self.t["fixed_fee"]

    def _rates(self, traded: Decimal) -> tuple[Decimal, Decimal]:
        taker, maker = self.t["fee"], self.t["maker_fee"]
        for value, at_once, waiting in self.terms["tiers"]:
            if traded >= D(value):
                taker, maker = D(at_once), D(waiting)
        return taker, maker

    def _fee(self, life: _Life, q: Decimal, price: Decimal, rate: Decimal) -> tuple[Decimal, Decimal]:
        """Return the fee of a fill, and what its order's fills come to without a minimum."""
        due = life.due + abs(q * price) * rate + abs(q) * self.t["unit_fee"]
        least = self.t["minimum_fee"]
        if least == 0:
            return due - life.due + self.t["fixed_fee"], due
        return max(least, due) - life.charged + self.t["fixed_fee"], due

    def _audit_side(self, life: _Life, a: int, q: Decimal) -> None:
        order, held = life.order, self.held[a]
        dust = NEAR * (1 + abs(held))
        if order["reduces"] or order["role"] != "entry":
            assert held * q < 0, "a reducing order did not reduce"
            assert abs(q) <= abs(held) + dust, "a reducing order passed zero"
        if self.terms["account"] == "cash":
            assert held + q >= -dust, "a cash account went short"
        asked = number(order["asked"])
        if asked is not None:
            assert asked * q > 0, "filled on the other side"
            if order["role"] == "entry":
                now = life.filled + q * life.units / self.units[a]
                assert abs(now) <= abs(asked) + NEAR * (1 + abs(asked)), "filled more than was asked"

    # What is asked of all orders at the end.

    def audit_orders(self) -> None:
        for order in self.orders:
            life = self.lives.get(order["id"])
            assert life is not None, f"an order born at no bar's close: {order}"
            assert near(life.raw, D(order["quantity"])), f"fills of {life.raw} are not those of {order}"
            assert order["status"] in ("filled", "cancelled", "rejected", "expired", "open"), f"no such end: {order}"
            assert (order["status"] == "open") == (order["end_ts"] is None), f"an end without its moment: {order}"
            if order["end_ts"] is not None:
                assert order["end_ts"] >= order["ts"], f"ended before it was born: {order}"
            if order["status"] == "filled":
                assert life.last == order["end_ts"], f"the last fill is not the end: {order}"
            if order["status"] == "rejected":
                assert life.raw == 0, f"rejected with fills: {order}"
        for group in {order["group"] for order in self.orders if order["group"] != 0}:
            self._audit_group(group)

    def _audit_group(self, group: int) -> None:
        """One cancels the other: together the members fill no more than the largest of them asked for."""
        members = [life for life in self.lives.values() if life.order["group"] == group]
        parent = self.lives.get(members[0].order["parent"])
        if group == -1:
            return
        if parent is not None:
            most = abs(parent.filled) * members[0].units / parent.units
        else:
            most = max(abs(D(life.order["asked"])) for life in members)
        now = sum((abs(life.filled) * members[0].units / life.units for life in members), D(0))
        assert now <= most * (1 + NEAR) + NEAR, f"a pair filled {now} of {most}: {[life.order for life in members]}"


def _rate(series: Any, last: int) -> Decimal:
    """Return the yearly rate that was known at the close before."""
    if isinstance(series, int | float):
        return D(series)
    return D([x for ts, x in series if ts <= last][-1])


def _trades(bar: Any, a: int) -> bool:
    """Tell whether an asset can trade in a bar: a price, and a volume that is not none."""
    return any(number(bar[name][a]) is not None for name in ("open", "close")) and bar["volume"][a] != 0


def _month(ts: int) -> tuple[int, int]:
    day = datetime.date(1970, 1, 1) + datetime.timedelta(days=(ts - 1) // DAY)
    return day.year, day.month
