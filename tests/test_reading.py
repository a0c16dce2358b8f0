"""The engine against a second reading of its contract: every order, fill, event and point of equity, on random runs.

`PLANTS` are readings that are wrong in one clause: each must be seen, or the comparison proves nothing of that clause.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import pytest

import barograph as bg
from barograph.testing import interpreted
from tests.kit import reading
from tests.kit.differences import Loop, differences
from tests.kit.reading import Levels, Order, Part, Reading, Request, Terms
from tests.kit.small_runs import ANSWERS, SWITCHES, Run, make

FIRST, RUNS, PLAIN = 100, 60, 20
# All switches may be on in a block of these; `tests.campaigns.reading` runs many more.
BLOCK, BLOCKS = 200, 6
# Switches that meet more often than chance lets them.
GROUPS = (
    "missing hours holes", "rates series leverage", "guards band", "splits dividends delisting missing",
    "participation zero_volume missing", "leverage crash rates", "leverage lot fees minimum_fee",
    "guards crash fees", "nearest missing participation next_close", "same_close dividends tick",
    "negative crash scales",
    "lot participation leverage", "fees maker unit_fee fixed_fee tiers minimum_fee", "guards missing hours",
)  # fmt: skip


def check(answer: str, seeds: range, switches: Collection[str] = SWITCHES) -> None:
    """Compare runs of these seeds."""
    for seed in seeds:
        found = differences(make(answer, seed, switches), bg.scan)
        assert not found, f"{answer} {seed}: {found}"


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_the_engine_does_what_the_contract_says(answer: str, block: int) -> None:
    check(answer, range(FIRST + block * BLOCK, FIRST + (block + 1) * BLOCK))


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("switches", GROUPS)
def test_so_it_does_where_clauses_meet(answer: str, switches: str) -> None:
    check(answer, range(FIRST, FIRST + RUNS), switches.split())


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("switches", ["missing", "guards crash fees leverage"])
def test_so_it_does_where_bars_are_late(answer: str, switches: str) -> None:
    for seed in range(FIRST, FIRST + 4 * RUNS):
        run = make(answer, seed, switches.split())
        late = frozenset(t for t in range(1, len(run.bars)) if (seed * 7 + t * t) % 5 == 0)
        marked = frozenset(t for t in late if (seed + t) % 3 != 0)
        found = differences(run._replace(late=late, marked=marked), bg.scan)
        assert not found, f"{answer} {seed}: {found}"


@pytest.mark.parametrize("answer", ANSWERS)
def test_so_does_plain_python(answer: str) -> None:
    for seed in range(FIRST, FIRST + PLAIN):
        found = differences(make(answer, seed, ["missing", "splits", "dividends", "rates"]), interpreted)
        assert not found, f"{answer} {seed}: {found}"


DAY = 86_400_000_000_000
CANDLES = (
    (100.0, 100.0, 100.0, 100.0),
    (100.0, 101.0, 99.0, 101.0),
    (101.0, 102.0, 98.0, 100.0),
    (100.0, 104.0, 99.0, 103.0),
)


def by_hand(*decisions: Any, **terms: Any) -> Reading:
    """Read the four bars of docs/execution.md."""
    names = ("open", "high", "low", "close", "volume")
    bars = [{"ts": t * DAY} | {n: [x] for n, x in zip(names, (*row, 1000.0), strict=True)}
            for t, row in enumerate(CANDLES, 1)]  # fmt: skip
    nothing = [{"dividend": [0.0], "split": [1.0], "final": [math.nan]} for _ in bars]
    return Reading(bars, nothing, Terms(**terms), decisions).run()


def test_the_reading_counts_as_one_does_by_hand() -> None:
    """The bids of the example in docs/execution.md, and the half of 10 000 that costs 1 %."""
    bids = [("orders", [Request("new", 0, "limit", 10.0, limit=0.98 * c, life="DAY", loss=0.95 * c, profit=1.02 * c)])
            for *_, c in CANDLES]  # fmt: skip
    bids[2] = ("orders", [])
    read = by_hand(*bids, fee=0.001)
    assert [(f.quantity, round(f.price, 2), round(f.fee, 4)) for f in read.fills] == [
        (10.0, 98.98, 0.9898), (-10.0, 103.02, 1.0302),
    ]  # fmt: skip
    assert [o.reason for o in read.orders] == [
        reading.DAY_OVER, reading.WANTED, reading.OTHER_FILLED, reading.WANTED, reading.AT_THE_END,
    ]  # fmt: skip
    half = by_hand(*[("targets", [0.5])] * 4, fee=0.01)
    assert half.held[0] * 100.0 != pytest.approx(5000.0)
    assert half.fills[0].quantity == pytest.approx(5000.0 / (100.0 + 0.5 * 1.0))


# One fault a clause: the method that is wrong, and the runs in which it shows.


class SplitsForgetOrders(Reading):
    def split_order(self, order: Order, ratio: float) -> None: ...


class DividendsLowerNothing(Reading):
    def lower(self, order: Order, dividend: float) -> None: ...


class DividendsLowerAll(Reading):
    def pay_dividend(self, a: int, dividend: float) -> None:
        for order in self.of(a):
            order.keeps = False
        super().pay_dividend(a, dividend)


class DividendsForgetLevels(Reading):
    def lower_levels(self, a: int, dividend: float) -> None: ...


class DelistingKeepsOrders(Reading):
    def delist(self, a: int, final: float) -> None:
        kept, self.waiting = self.waiting, []
        super().delist(a, final)
        self.waiting = kept


class InterestByTheYearOf360(Reading):
    def rate_of(self, rate: Any, last: int) -> float:
        return super().rate_of(rate, last) * 365.0 / 360.0


class RatesOfToday(Reading):
    def rate_of(self, rate: Any, last: int) -> float:
        return super().rate_of(rate, self.bar["ts"])


class DaysNeverEnd(Reading):
    def end(self, order: Order, status: str, reason: str, bar: int | None = None) -> None:
        if reason != reading.DAY_OVER:
            super().end(order, status, reason, bar)


class DatesNeverPass(Reading):
    def end(self, order: Order, status: str, reason: str, bar: int | None = None) -> None:
        if reason != reading.DATE_PASSED:
            super().end(order, status, reason, bar)


class ReductionsInTheirTurn(Reading):
    def reduce_first(self, order: Order, moment: Any, sized: dict[int, float]) -> None: ...


class FirstComeFirstServed(Reading):
    def second_pass(self, rest: list[Order], moment: Any, sized: dict[int, float]) -> None:
        for order in rest:
            super().second_pass([order], moment, sized)


class NobodyWaitsForReductions(Reading):
    def waits_for_reductions(self, order: Order, sized: dict[int, float], factor: float) -> bool:
        return False


class WaitsForEver(Reading):
    def waits_for_reductions(self, order: Order, sized: dict[int, float], factor: float) -> bool:
        super().waits_for_reductions(order, sized, factor)
        return order.waits_since is not None


class LeftRoomIsLost(Reading):
    def hand_out(self, *_: Any) -> None: ...


class WhoMissesLeastComesFirst(Reading):
    def in_turn(self, parts: list[Part], missing: Any) -> list[Part]:
        return super().in_turn(parts, missing)[::-1]


class TheMinimumBesideTheRate(Reading):
    def cost(self, part: Part, size: float, inside: bool = False) -> float:
        return super().cost(part, size, inside) + self.terms.minimum_fee


class BothSidesAskForRoom(Reading):
    def dearer_side(self, a: int, p: float, asks: Any) -> list[Part]:
        return self.side_parts(a, 1, asks) + self.side_parts(a, -1, asks)


class APairAsksTwice(Reading):
    def another_stands_for(self, order: Order, z: float, asks: Any) -> bool:
        return False


class ReductionsAskToo(Reading):
    def only_reduces(self, order: Order) -> bool:
        return False


class LegsAreWholeLots(Reading):
    def split_order(self, order: Order, ratio: float) -> None:
        super().split_order(order, ratio)
        if order.is_leg and order.status == "open":
            order.left = self.in_lots(order.left)


class ZeroIsAPrice(Reading):
    def is_zeroed(self, order: Order) -> bool:
        return False


class BarsWithoutACloseAreWalked(Reading):
    def inside(self) -> None:
        for a in self.assets:
            if self.trades(a, "open"):
                self.trail_along(a, self.bar["open"][a])
        super().inside()


class StopsAtTheMarketFreeNothing(Reading):
    def a_reduction_waits(self, moment: Any) -> bool:
        kept, self.waiting = self.waiting, [o for o in self.waiting if o.kind == "market"]
        found = super().a_reduction_waits(moment)
        self.waiting = kept
        return found


class AWithdrawnTargetWaits(Reading):
    def is_asked_again(self, waiting: Order, w: float, allowed: float) -> bool:
        return allowed == reading.HOLD or super().is_asked_again(waiting, w, allowed)


class WhatWaitsIsNotHeld(Reading):
    def cut_to_limits(self, asked: list[float], equity: float, waits: Any) -> list[float]:
        return super().cut_to_limits(asked, equity, {})


class OtherExtremeFirst(Reading):
    def low_first(self, a: int) -> bool:
        return not super().low_first(a)


class FarthestFirst(Reading):
    def nearest(self, touched: Any) -> Any:
        return max(touched, key=lambda found: found[:2])


class YoungestFirst(Reading):
    def nearest(self, touched: Any) -> Any:
        return min(touched, key=lambda found: (found[0], -found[1]))


class LegsOutliveTheirPosition(Reading):
    def drop_legs(self, a: int) -> None: ...


class LegsDoNotGrow(Reading):
    def grow_legs(self, entry: Order, q: float, p: float) -> None:
        if not any(o.parent is entry for o in self.waiting):
            super().grow_legs(entry, q, p)


class LevelsNeverMove(Reading):
    def protect_with(self, a: int, role: str, level: float, **terms: Any) -> None:
        if not any(o.asset == a and o.protects and o.role == role for o in self.waiting):
            super().protect_with(a, role, level, **terms)


class TrailsStepBack(Reading):
    def trail_along(self, a: int, price: float) -> None:
        for order in self.of(a):
            if order.kind == "trailing_stop" and not order.triggered:
                order.stop = self.trailed(order, price, self.side_of(order))


class StopLimitsAreStops(Reading):
    def trigger(self, order: Order, p: float) -> None:
        super().trigger(order, p)
        order.limit = math.inf if order.left > 0.0 else -math.inf


class RoomInsideIsEndless(Reading):
    def inside_factor(self, rests: list[int], prices: list[float]) -> float:
        return 1.0


class HalfOfTheShare(Reading):
    def volume_left(self, a: int) -> float:
        return super().volume_left(a) / 2.0


class StopsForgetTheirTouch(Reading):
    def find_no_volume(self, order: Order, p: float) -> None: ...


class TicksInNobodysFavour(Reading):
    def against_the_order(self, price: float, side: int) -> float:
        return super().against_the_order(price, -side)


class SlippageLeavesTheBar(Reading):
    def within_bar(self, a: int, price: float) -> float:
        return price


class VolatilityForgetsSlowly(Reading):
    def mark(self) -> None:
        before = list(self.variance)
        super().mark()
        self.variance = [0.5 * (x + y) if x == x else y for x, y in zip(before, self.variance, strict=True)]


class LimitsAreAlwaysTakers(Reading):
    def rate(self, maker: bool) -> float:
        return super().rate(False)


class TiersOfTheMoment(Reading):
    def rate(self, maker: bool) -> float:
        self.before = self.traded
        return super().rate(maker)


class MinimumOfTheFill(Reading):
    def fee_of(self, order: Order, q: float, price: float, maker: bool) -> float:
        order.charged = order.proportional = 0.0
        return super().fee_of(order, q, price, maker)


class MarginIsNeverCalled(Reading):
    def liquidate(self, moment: Any) -> None: ...


class MarginTakesAll(Reading):
    def close_some(self, a: int, short: float, moment: Any) -> None:
        super().close_some(a, math.inf, moment)


class NobodyIsRuined(Reading):
    def ruin_if(self, equity: float) -> None: ...


class TheBandIsNeverAsked(Reading):
    def place_targets(self, weights: Any) -> None:
        band, self.terms.band = self.terms.band, 0.0
        super().place_targets(weights)
        self.terms.band = band


class EveryTargetIsNew(Reading):
    def place_targets(self, weights: Any) -> None:
        for order in self.waiting:
            order.weight = order.weight + 1e-6 if order.is_target else order.weight
        super().place_targets(weights)


class LotsRoundUp(Reading):
    def moved(self, n: float, m: float) -> float:
        lot = self.terms.lot
        return super().moved(n, m) if lot == 0.0 else super().moved(n, m + math.copysign(0.5 * lot, m))


class GuardsDoNotRestrain(Reading):
    def restrained(self, asked: list[float], mode: str, equity: float) -> list[float]:
        return asked


class GuardsLetOrdersRest(Reading):
    def restrain_what_waits(self, mode: str, why: str) -> None: ...


class FlattenIsReduceOnly(Reading):
    def strictest(self) -> tuple[str, str]:
        mode, why = super().strictest()
        return ("reduce_only" if mode == "flatten" else mode), why


class CoolDownsAreShorter(Reading):
    def hold_or_let_go(self, watch: Any, measured: float, beyond: bool, equity: float) -> None:
        super().hold_or_let_go(watch, measured, beyond, equity)
        watch.left = 0


class ExposureIsFree(Reading):
    def cut_to_limits(self, asked: list[float], equity: float, waits: Any) -> list[float]:
        return asked


class OrdersGoBeyond(Reading):
    def could_go_beyond(self, on: str, limit: float, a: int) -> bool:
        return False


class BothOfAPairFill(Reading):
    def pair_off(self, order: Order, q: float) -> None: ...


class ARepeatedTagReplaces(Reading):
    def same_terms(self, one: Order, other: Order) -> bool:
        return False


class ReduceOnlyTurns(Reading):
    def only_reducing(self, order: Order, n: float, q: float) -> tuple[float, str]:
        return q, ""


class CashAccountsGoShort(Reading):
    def weight_of(self, order: Order) -> float:
        return order.weight

    def only_what_is_there(self, n: float, q: float, why: str) -> tuple[float, str]:
        return q, why


class SmallOrdersAreTaken(Reading):
    def too_cheap(self, n: float, q: float, p: float) -> bool:
        return False


class WeightsSpeakBelowZero(Reading):
    def has_a_say(self, order: Order, price: float) -> bool:
        return True


class LevelsOfYesterday(Reading):
    def set_levels(self, *levels: Any) -> None:
        before = list(self.levels)
        super().set_levels(*levels)
        self.levels = [old if old != Levels() else new for old, new in zip(before, self.levels, strict=True)]


# fault: (kinds of answer, switches)
PLANTS: dict[type[Reading], tuple[str, str]] = {
    SplitsForgetOrders: ("orders", "splits"),
    DividendsLowerNothing: ("orders", "dividends"),
    DividendsLowerAll: ("orders", "dividends"),
    DividendsForgetLevels: ("protected", "dividends"),
    DelistingKeepsOrders: ("orders", "delisting"),
    InterestByTheYearOf360: ("targets", "rates"),
    RatesOfToday: ("targets", "series"),
    DaysNeverEnd: ("orders", ""),
    DatesNeverPass: ("orders", ""),
    ReductionsInTheirTurn: ("targets", "fees"),
    FirstComeFirstServed: ("targets", "leverage"),
    NobodyWaitsForReductions: ("targets", "missing hours"),
    WaitsForEver: ("targets", "missing"),
    LeftRoomIsLost: ("targets", "lot"),
    WhoMissesLeastComesFirst: ("targets", "lot leverage"),
    TheMinimumBesideTheRate: ("orders", "minimum_fee fees"),
    BothSidesAskForRoom: ("orders", ""),
    APairAsksTwice: ("orders", ""),
    ReductionsAskToo: ("orders", ""),
    LegsAreWholeLots: ("orders", "splits lot"),
    ZeroIsAPrice: ("orders", "dividends tick scales"),
    BarsWithoutACloseAreWalked: ("orders", "holes"),
    StopsAtTheMarketFreeNothing: ("protected", "participation missing leverage next_close"),
    AWithdrawnTargetWaits: ("targets", "guards missing"),
    WhatWaitsIsNotHeld: ("targets", "guards missing"),
    OtherExtremeFirst: ("protected", "nearest"),
    FarthestFirst: ("orders", ""),
    YoungestFirst: ("orders", ""),
    LegsOutliveTheirPosition: ("orders", ""),
    LegsDoNotGrow: ("orders", "participation"),
    LevelsNeverMove: ("protected", ""),
    TrailsStepBack: ("orders", ""),
    StopLimitsAreStops: ("orders", ""),
    RoomInsideIsEndless: ("orders", ""),
    HalfOfTheShare: ("targets", "participation"),
    StopsForgetTheirTouch: ("orders", "participation"),
    TicksInNobodysFavour: ("targets", "tick slippage"),
    SlippageLeavesTheBar: ("targets", "slippage"),
    VolatilityForgetsSlowly: ("targets", "volatility"),
    LimitsAreAlwaysTakers: ("orders", "maker"),
    TiersOfTheMoment: ("orders", "tiers"),
    MinimumOfTheFill: ("orders", "minimum_fee participation"),
    MarginIsNeverCalled: ("targets", "leverage crash"),
    MarginTakesAll: ("targets", "leverage crash"),
    NobodyIsRuined: ("targets", "leverage crash"),
    TheBandIsNeverAsked: ("targets", "band"),
    EveryTargetIsNew: ("targets", "missing"),
    LotsRoundUp: ("targets", "lot"),
    GuardsDoNotRestrain: ("targets", "guards"),
    GuardsLetOrdersRest: ("orders", "guards"),
    FlattenIsReduceOnly: ("targets", "guards"),
    CoolDownsAreShorter: ("targets", "guards"),
    ExposureIsFree: ("targets", "guards"),
    OrdersGoBeyond: ("orders", "guards"),
    BothOfAPairFill: ("orders", ""),
    ARepeatedTagReplaces: ("orders", ""),
    ReduceOnlyTurns: ("orders", ""),
    CashAccountsGoShort: ("targets", "cash_account"),
    SmallOrdersAreTaken: ("orders", "min_notional"),
    WeightsSpeakBelowZero: ("targets", "negative"),
    LevelsOfYesterday: ("protected", ""),
}


# The first run that shows what few do; a search from the first of all would be most of this file's time.
RARE: dict[type[Reading], int] = {
    ReductionsAskToo: 751,
    LegsAreWholeLots: 492,
    ZeroIsAPrice: 363,
    BarsWithoutACloseAreWalked: 1_644,
    StopsAtTheMarketFreeNothing: 2_910,
    WhatWaitsIsNotHeld: 1_030,
}


def seen(run: Run, loop: Loop, by: type[Reading]) -> bool:
    """Tell whether a run shows a fault that the right reading does not have; a fault may stop a reading altogether."""
    try:
        return bool(differences(run, loop, by)) and not differences(run, loop)
    except (ArithmeticError, ValueError):
        return True


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_wrong_reading_is_seen(plant: type[Reading]) -> None:
    answer, switches = PLANTS[plant]
    first = RARE.get(plant, 0)
    runs = (make(answer, seed, switches.split()) for seed in range(first, first + 3_000))
    assert any(seen(run, bg.scan, plant) for run in runs), "no run shows it"
