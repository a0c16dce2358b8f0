"""Other engines: how each is set up to mean what we mean, and what it cannot carry out. None is imported here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.execution.events import (
    DATE_PASSED,
    DAY_OVER,
    NEWER,
    NO_REDUCTION,
    NO_SHORTS,
    NO_VOLUME,
    OTHER_FILLED,
    REASONS,
    UNPROTECTED,
    WITHDRAWN,
)

if TYPE_CHECKING:
    from barograph.loop.result import Result

__all__ = ["PEERS", "TIMED", "Limit", "Listed", "Peer", "listed_bars", "refusals", "slippage"]

# Orders that fill at a moment known when they are placed, if they fill at all.
TIMED: Final = ("market", "market_on_close")
# A share of equity that is rounding: well below the 1e-8 to which equity is compared.
_CRUMB: Final = 1e-9


class Limit(NamedTuple):
    """What a peer cannot carry out: told by a run that has it, by clause, with what to set instead."""

    found: Callable[[_Run], bool]
    what: str
    clause: int
    cure: str


class Listed(NamedTuple):
    """A difference of semantics that docs/crosscheck.md lists: the bars of a run it acts on, clause, and both sides."""

    bars: Callable[[_Run], Any]
    clause: int
    what: str


class Peer(NamedTuple):
    """Another engine: its package, how it is set up to mean what we mean, what it cannot carry out or does otherwise.

    `costs_in_price` is false where slippage is charged beside the price.
    """

    package: str
    profile: str
    limits: tuple[Limit, ...]
    listed: tuple[Listed, ...] = ()
    costs_in_price: bool = True


class _Run(NamedTuple):
    """A run as the limits look at it."""

    machine: Any
    orders: Any
    resting: Any
    fills: Any
    events: Any
    equity: Any
    cash: Any
    financing: Any
    history: Any
    first: int

    @classmethod
    def of(cls, result: Result) -> _Run:
        orders = result.tables["orders"]
        return cls(
            machine=result.machine,
            orders=orders,
            resting=orders.loc[~orders.kind.isin(TIMED)],
            fills=result.tables["fills"],
            events=result.tables["events"],
            equity=result.arrays.equity,
            cash=result.arrays.table[:, 1],
            financing=result.arrays.table[:, 5],
            history=result.history,
            first=result.first,
        )

    def ended(self, orders: Any = None) -> Any:
        """Return the resting orders (or these) that have ended, with the bar they did so in."""
        orders = self.resting if orders is None else orders
        gone = orders[orders.end_ts.notna()]
        return self.within(gone.assign(bar=self.bar(gone.end_ts), born=self.bar(gone.ts)))

    def bar(self, ts: Any) -> Any:
        return np.searchsorted(self.history.ts // 1000, ts.dt.tz_localize(None).astype(np.int64).to_numpy())

    def within(self, rows: Any) -> Any:
        columns = rows.asset.map(self.history.column).astype(np.int64).to_numpy()
        return rows.assign(**{name: getattr(self.history, name)[rows.bar, columns] for name in ("open", "high", "low")})


def _kinds(*known: str) -> Callable[[_Run], bool]:
    return lambda run: not set(run.resting.kind) <= set(known)


def _gaps(run: _Run) -> bool:
    """Tell whether a resting order's asset has bars without a price or without volume."""
    from_first = slice(run.first, None)
    close, volume = run.history.close[from_first], run.history.volume[from_first]
    columns = [run.history.column(str(symbol)) for symbol in run.resting.asset.unique()]
    return any(bool(np.isnan(close[:, a]).any() or (volume[:, a] == 0.0).any()) for a in columns)


def _actions(run: _Run) -> bool:
    return bool(run.events.event.isin(["dividend", "split", "delisted"]).any())


def _twice(run: _Run) -> bool:
    return bool(run.fills.duplicated(["ts", "asset"]).any())


def _cut(run: _Run) -> bool:
    """Tell whether a bar had too little volume for a resting order, which then filled in part, or not there."""
    resting = run.resting[run.resting.kind.ne("stop_limit")].id
    marketed = run.events.event.eq("triggered") & run.events.order_id.isin(resting)
    parts = run.fills.order_id.isin(run.resting.id) & run.fills.reason.eq(REASONS[NO_VOLUME])
    return bool(marketed.any() or parts.any())


def _charged(run: _Run) -> bool:
    """Tell whether there was interest to speak of: rounding leaves crumbs of cash that bear some."""
    return bool(np.abs(run.financing).sum() > _CRUMB * run.equity.min())


def _flips(run: _Run) -> bool:
    """Tell whether one fill both closes a position and opens the opposite one."""
    after = run.fills.groupby("asset").quantity.cumsum()
    before = after - run.fills.quantity
    return bool((before * after < -1e-9 * run.fills.quantity**2).any())


def _passed(rows: Any) -> Any:
    """Tell which orders the open of their bar has passed."""
    level = rows.limit.where(rows.kind.eq("limit"), rows.stop)
    falling = (rows.asked > 0.0) == rows.kind.eq("limit")
    return (rows.open <= level) & falling | (rows.open >= level) & ~falling


def _pairs(run: _Run) -> Any:
    """Return the bars in which one order of a pair filled and another, `_other`, ended; one row for each two."""
    ended = run.ended()
    ended = ended[ended.group != 0].assign(passed=lambda rows: _passed(rows))
    pairs = ended.merge(ended, on=["asset", "group", "bar"], suffixes=("", "_other"))
    return pairs[pairs.status.eq("filled") & pairs.reason_other.eq(REASONS[OTHER_FILLED])]


def _met_after(run: _Run, limits: Callable[[Any], Any]) -> Any:
    """Return the bars that fill the limit of a pair and touch its stop later, or whose open passes both.

    Where both are passed and of one size it is all the same which of them fills.
    """
    pairs = _pairs(run)
    touched = (pairs.low <= pairs.stop_other) & (pairs.stop_other <= pairs.high) & pairs.kind_other.eq("stop")
    both = pairs.passed & pairs.passed_other & pairs.asked.ne(pairs.asked_other)
    return pairs.bar[both | limits(pairs) & pairs.kind.eq("limit") & touched & ~pairs.passed_other].unique()


def _open_first(run: _Run) -> Any:
    return _met_after(run, lambda pairs: pairs.passed)


def _limit_first(run: _Run) -> Any:
    return _met_after(run, lambda pairs: pairs.id > 0)


def _twice_closed(run: _Run) -> Any:
    """Return the bars whose open fills a market order on the side of a protective leg, and that leg as well."""
    legs = run.ended()
    legs = legs[legs.role.ne("entry") & legs.status.eq("filled")]
    legs = legs[_passed(legs)]
    market = run.ended(run.orders[run.orders.kind.eq("market") & run.orders.weight.isna()])
    both = legs.merge(market[market.status.eq("filled")], on=["asset", "bar"], suffixes=("", "_other"))
    return both.bar[both.quantity * both.quantity_other > 0.0].unique()


def _at_birth(run: _Run) -> Any:
    """Return the bars in which a protective leg filled in the bar it was born in."""
    ended = run.ended()
    return ended.bar[ended.role.ne("entry") & ended.status.eq("filled") & (ended.bar == ended.born)].unique()


def _outlived(run: _Run) -> Any:
    """Return the bars that touch a leg after an order other than one at the open has closed its position."""
    legs = run.ended()
    legs = legs[legs.reason.eq(REASONS[UNPROTECTED])]
    level = legs.limit.where(legs.kind.eq("limit"), legs.stop)
    touched = legs[(legs.low <= level) & (level <= legs.high) | _passed(legs)]
    market = run.ended(run.orders[run.orders.kind.eq("market") & run.orders.status.eq("filled")])
    at_open = set(zip(market.bar, market.asset, strict=True)) if run.machine.terms.fill == "next_open" else set()
    return np.unique(
        [bar for bar, asset in zip(touched.bar, touched.asset, strict=True) if (bar, asset) not in at_open]
    )


def _left_alone(run: _Run) -> Any:
    """Return the bars in which an order of a pair was withdrawn or expired, and the other lived on."""
    ended = run.ended()
    decided = ended.reason.isin([REASONS[r] for r in (WITHDRAWN, NEWER, DAY_OVER, DATE_PASSED)])
    alone = ended[(ended.group != 0) & decided]
    others = run.resting[["id", "asset", "group", "ts", "end_ts"]]
    both = alone.merge(others, on=["asset", "group"], suffixes=("", "_other"))
    lived = (both.ts_other < both.end_ts) & ~(both.end_ts_other <= both.end_ts)
    return both.bar[lived & (both.id != both.id_other)].unique()


def _narrow(run: _Run) -> Any:
    """Return the bars that trigger a stop-limit whose limit is nearer than its stop."""
    near = run.resting[run.resting.kind.eq("stop_limit")]
    near = near[(near.limit - near.stop) * near.asked < 0.0]
    triggered = run.events[run.events.event.eq("triggered") & run.events.order_id.isin(near.id)]
    return np.unique(run.bar(triggered.ts))


_EVERY: Final = (
    Limit(lambda r: bool(r.cash[0] != r.machine.terms.cash), "a run that goes on from a world", 6,
          "compare the whole run"),
    Limit(_charged, "interest and borrowing costs", 1,
          "--set execution.borrow_rate=0 --set execution.cash_rate=0 --set execution.short_rate=0"),
    Limit(_actions, "dividends, splits and delistings", 0, "load adjusted prices"),
    Limit(lambda r: r.machine.terms.volatility_slippage > 0.0 or r.machine.terms.impact > 0.0,
          "slippage that depends on volatility or size", 4,
          "--set execution.volatility_slippage=0 --set execution.impact=0"),
    Limit(lambda r: r.machine.terms.tick > 0.0, "prices rounded to ticks", 4, "--set execution.tick=0"),
    Limit(lambda r: len(r.machine.terms.tiers) > 0, "fees in tiers", 2, "--set execution.tiers=[]"),
    Limit(_gaps, "resting orders over bars without a price or volume", 4, "leave those bars out"),
    Limit(_cut, "resting orders that wait for more volume", 4, "--set execution.participation=0"),
    Limit(lambda r: len(r.resting) > 0 and r.machine.terms.path != "pessimistic",
          "another path than the pessimistic one", 3, "--set execution.path=pessimistic"),
)  # fmt: skip
_MAKER: Final = Limit(
    lambda r: r.machine.terms.maker_fee not in (None, r.machine.terms.fee) and "limit" in set(r.resting.kind),
    "a fee of its own for resting limits", 2, "leave out execution.maker_fee")  # fmt: skip
_MARKET_ONLY: Final = Limit(
    _kinds(), "resting orders", 3, "compare them with backtesting (stops, take-profits) or backtrader (limits, stops)"
)
_SLIPPED_LIMITS: Final = Limit(
    lambda r: slippage(r.machine) > 0.0 and bool({"limit", "market_on_close"} & set(r.orders.kind)),
    "slippage beside limits and orders on the close: it has one slippage for all kinds", 4,
    "--set execution.slippage=0 --set execution.spread=0")  # fmt: skip
_REDUCE_ONLY: Final = Limit(
    lambda r: bool(r.resting.reason.isin([REASONS[NO_REDUCTION], REASONS[NO_SHORTS]]).any()),
    "orders cut to the position there is", 2, "leave out orders.reduce_only and use a margin account")  # fmt: skip
_FIXED: Final = "--set execution.fixed_fee=0 --set execution.minimum_fee=0"

PEERS: Final[dict[str, Peer]] = {
    "backtesting": Peer(
        "backtesting==0.6.6",
        "units cut into whole pieces, slippage charged as commission, margin checks off, open trades left open",
        (
            Limit(lambda r: r.history.close.shape[1] > 1, "more than one asset", 2, "keep one asset"),
            Limit(lambda r: bool((r.resting.role == "entry").any() or (r.resting.role == "trailing_stop").any()),
                  "resting orders other than a position's stop and take-profit", 3, "compare them with backtrader"),
            Limit(lambda r: r.machine.terms.fill == "next_close" or bool((r.orders.kind == "market_on_close").any()),
                  "fills at the next close", 2, "--set execution.fill=next_open"),
            Limit(lambda r: r.machine.terms.fixed_fee > 0.0 or r.machine.terms.minimum_fee > 0.0,
                  "fees by the order: it charges by the trade", 2, _FIXED),
            _SLIPPED_LIMITS,
            _MAKER,
        ),
        (
            Listed(_open_first, 2, "it looks at the stop first, even where the open has passed the take-profit"),
            Listed(_twice_closed, 2, "where the open passes a leg, it lets the market order alone close the position"),
        ),
        costs_in_price=False,
    ),
    "backtrader": Peer(
        "backtrader==1.9.78.123",
        "units as sizes, cash checks off (leverage 1e6), slippage within the bar, of a pair the stop is sent first",
        (
            Limit(lambda r: bool((r.resting.kind == "trailing_stop").any()),
                  "trailing stops: it moves them at closes only", 3, "use fixed stops"),
            Limit(lambda r: (r.machine.terms.fixed_fee > 0.0 or r.machine.terms.minimum_fee > 0.0) and _flips(r),
                  "fees by the order where one order turns a position round: it charges both halves", 2, _FIXED),
            Limit(lambda r: r.machine.terms.fill != "next_open" and slippage(r.machine) > 0.0,
                  "slippage at a close: it has none there, or bounds it by the next bar", 4,
                  "--set execution.slippage=0 --set execution.spread=0"),
            _REDUCE_ONLY,
            _SLIPPED_LIMITS,
            _MAKER,
        ),
        (
            Listed(_limit_first, 3, "of a pair it fills the order sent first, here the stop, whatever the path"),
            Listed(_at_birth, 3, "protective orders work from the bar after their entry on"),
            Listed(_outlived, 3, "protective orders live on to the close of the bar in which their position ends"),
            Listed(_left_alone, 6, "an order of a pair that is withdrawn or expires takes the other with it"),
            Listed(_narrow, 3, "a stop-limit triggered inside a bar looks at that bar's close, not at the path"),
        ),
    ),
    "vectorbt": Peer(
        "vectorbt==1.2.0",
        "units as sizes at the moment of the fill, valued at its price, one cash pot, sales first",
        (
            _MARKET_ONLY,
            Limit(lambda r: bool((r.cash < -_CRUMB * r.equity).any()), "borrowed money", 2,
                  "--set execution.leverage=1, and weights within 1"),
            Limit(lambda r: r.machine.terms.unit_fee > 0.0 or r.machine.terms.minimum_fee > 0.0,
                  "fees by the unit and minimum fees", 2, "--set execution.unit_fee=0 --set execution.minimum_fee=0"),
            Limit(_twice, "two orders of one asset at one moment", 2, "compare them with backtrader"),
        ),
    ),
    "bt": Peer(
        "bt==1.4.1",
        "units transacted at our price after slippage, open and close as rows of their own",
        (_MARKET_ONLY,),
    ),
}  # fmt: skip


def slippage(machine: Any) -> float:
    """Return the constant part of slippage, half the spread included, a fraction of the price."""
    return float(machine.terms.slippage + machine.terms.spread / 2.0)


def refusals(result: Result, name: str) -> list[str]:
    """Return what the peer cannot carry out of this run, one line each: clause and cure."""
    run = _Run.of(result)
    limits = [limit for limit in (*PEERS[name].limits, *_EVERY) if limit.found(run)]
    return [f"cannot replay {limit.what} (clause {limit.clause}); {limit.cure}" for limit in limits]


def listed_bars(result: Result, name: str) -> dict[int, str]:
    """Return the bars, counted from the first decision, in which a listed difference acts, and what it is."""
    run = _Run.of(result)
    bars = [
        (int(bar) - run.first, f"clause {one.clause}: {one.what}")
        for one in PEERS[name].listed
        for bar in one.bars(run)
    ]
    return dict(sorted(bars))
