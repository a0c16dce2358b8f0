"""The backend `vectorbt`: the engine decides, vectorbt sizes, fills and keeps the account of one asset.

Of targets 0 and 1, and of any without costs, its own orders to a percentage are ours; of other targets with costs the
closed form of clause 2 goes through an order function. Every account is held to the engine's own, 1e-9 a bar.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.errors import ConfigError, DataError, StrategyError
from barograph.execution import events
from barograph.loop.run import scan
from barograph.loop.tables import benchmark_of
from barograph.metrics.formulas import simple_returns
from barograph.metrics.measure import measure
from barograph.regimes.fitted import Model
from barograph.sweeps.figures import FIGURES
from barograph.sweeps.plan import Plan
from barograph.sweeps.run import Compiled
from barograph.types import Floats
from barograph.validation.block_sums import BLOCKS, block_sums, fill_from_returns
from barograph_adapters.sweeps.to_vectorbt import GAP, library

if TYPE_CHECKING:
    import pandas as pd

    from barograph.execution.terms import Terms
    from barograph.loop.result import Result
    from barograph.regimes.fitted import Fitted
    from barograph.regimes.window import Window
    from barograph.sweeps.backends import Job
    from barograph.sweeps.harvest import Harvest
    from barograph.sweeps.stages import Point

__all__ = ["NEEDS", "open_backend"]

NEEDS: Final = ("vectorbt",)
# Points in one portfolio, a column each: its arrays are as many times the history.
_COLUMNS: Final = 64
# An order function is plain Python up to so many bars times columns: to compile it takes many seconds of each process.
_PLAIN: Final = 100_000
_INSTEAD: Final = "set sweep.backend = 'compiled'"


def open_backend(job: Job) -> OnVectorbt:
    """Return the backend."""
    return OnVectorbt(job)


class _Asked(NamedTuple):
    """What vectorbt is asked for of one point: targets (n,), NaN where none fills, prices they fill at, and ours."""

    number: int
    result: Result
    weight: Floats
    deal: Floats

    @property
    def terms(self) -> Terms:
        """The terms of trade."""
        return self.result.machine.terms

    @property
    def closed(self) -> bool:
        """Whether its costs and targets want the closed form."""
        return _costs(self.terms) and not np.isin(self.weight[np.isfinite(self.weight)], (0.0, 1.0)).all()


class OnVectorbt(Compiled):
    """Accounts by vectorbt, over what the engine sees and decides."""

    exact = False

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._models: dict[Hashable, Model] = {}

    def look(self) -> Plan:
        """Lay the points out; a model's fits are kept for the runs that decide."""
        for number in range(len(self.job.source.values)):
            _refuse(self._point(number), self._named(number))
        self.plan = Plan(map(self._point, range(len(self.job.source.values))), self.looks)
        return self.plan

    def run(self, harvest: Harvest) -> None:
        """Decide and hand over, many points at a time."""
        missing = harvest.missing[harvest.missing < len(self.plan.rows)].tolist()
        for at in range(0, len(missing), _COLUMNS):
            asked = [one for number in missing[at : at + _COLUMNS] if (one := self._asked(number, harvest))]
            for some in _alike(asked):
                market = _market(some[0].result)
                for one, told in zip(some, _carried_out(some, market), strict=True):
                    _bring(one, told, market, harvest)
            if self.job.progress is not None:
                self.job.progress(min(at + _COLUMNS, len(missing)), len(missing))

    def told(self) -> dict[str, Any]:
        """Say that it is this one, and which vectorbt."""
        return {"name": "vectorbt", "version": str(library().__version__)}

    def _point(self, number: int) -> Point:
        point = self.job.source.point(number)
        machine = point.machine
        if not machine.learns or point.keys is None:
            return point
        key = (point.keys[0], id(point.history))
        if key not in self._models:
            self._models[key] = _remembering(machine.model)
        from dataclasses import replace

        return point._replace(machine=replace(machine, model=self._models[key]))

    def _asked(self, number: int, harvest: Harvest) -> _Asked | None:
        """Return what vectorbt is asked for; of a run that ends early only why is noted."""
        point = self._point(number)
        try:
            result = scan(point.whole, point.history)
        except StrategyError as error:
            harvest.raised(number, error)
            return None
        return _told(number, result, self._named(number))

    def _named(self, number: int) -> str:
        values = zip(self.job.keys, self.job.source.values[number], strict=True)
        return ", ".join(f"{key}={value}" for key, value in values)


def _remembering(model: Any) -> Model:
    """Return the model, its fits kept: of one history they are told apart by their rows."""
    kept: dict[tuple[int, int, int], Fitted] = {}

    def learn(window: Window) -> Fitted:
        key = (len(window.ts), int(window.ts[0]), int(window.ts[-1]))
        if key not in kept:
            kept[key] = model.learn(window)
        return kept[key]

    return Model(learn, model.regimes, model.name, model.labels, model.settings, model.partial_rows, model.panel)


def _costs(terms: Terms) -> bool:
    return any((terms.fee, terms.fixed_fee, terms.slippage, terms.spread))


_TERMS: Final[tuple[tuple[str, str], ...]] = (
    ("lot", "lots"), ("tick", "prices rounded to ticks"), ("tiers", "fees in tiers"), ("unit_fee", "fees by the unit"),
    ("minimum_fee", "least fees"), ("min_notional", "smallest orders"), ("participation", "shares of a bar's volume"),
    ("volatility_slippage", "slippage by volatility"), ("impact", "slippage by size"), ("guards", "guards"),
)  # fmt: skip


def _refuse(point: Point, named: str) -> None:
    """Raise `ConfigError` where terms or data are beyond vectorbt's account."""
    terms, history = point.terms, point.history
    found = [f"{words} (execution.{name})" for name, words in _TERMS if _asks(getattr(terms, name))]
    if point.machine.choose is not None:
        found.append("a machine that chooses ([choose])")
    if sum(history.traded) > 1:
        found.append("more than one asset")
    if terms.fill == "same_close":
        found.append("fills at the close they were decided at (execution.fill)")
    factor, paid, ratio, final = (history.actions[:, row] for row in range(4))
    if (factor != 1.0).any() or (paid != 0.0).any() or (ratio != 1.0).any() or np.isfinite(final).any():
        found.append("dividends, splits and delistings")
    if found:
        raise ConfigError(f"sweep: vectorbt cannot express {found[0]}, at {named}; {_INSTEAD}")


def _asks(value: Any) -> bool:
    return len(value) > 0 if isinstance(value, Sequence) else not isinstance(value, float | int) or value != 0.0


def _told(number: int, result: Result, named: str) -> _Asked:
    """Read targets off the run's fills: which order fills at which bar is decided, how much is vectorbt's to say."""
    born, fills = events.born(result.arrays.events), events.fills(result.arrays.events)
    weights = dict(zip(born.order.tolist(), born.weight.tolist(), strict=True))
    n, wanted = len(result.arrays.equity), np.array([weights[order] for order in fills.order.tolist()])
    why = ""
    if born.termed.any() or np.isnan(wanted).any():
        why = "orders and stops: it is given targets"
    elif not fills.whole.all() or (np.abs(wanted) > 1.0).any():
        why = "borrowed money: it wants targets between -1 and 1"
    elif float(np.abs(result.arrays.table[:, 5]).sum()) > GAP * float(result.arrays.equity.min()):
        why = "interest (execution.cash_rate, short_rate)"
    if why:
        raise ConfigError(f"sweep: vectorbt cannot express {why}, at {named}; {_INSTEAD}")
    weight, deal = np.full(n, np.nan), np.full(n, np.nan)
    weight[fills.bar - result.first] = np.maximum(wanted, 0.0) if result.machine.terms.account == "cash" else wanted
    deal[fills.bar - result.first] = fills.price
    return _Asked(number, result, weight, deal)


def _alike(asked: list[_Asked]) -> Iterator[list[_Asked]]:
    """Yield what goes into one portfolio: one history from one bar on, and one way to say it."""
    groups: dict[Hashable, list[_Asked]] = {}
    for one in asked:
        key = (id(one.result.history), one.result.first, one.terms.fill, one.closed)
        groups.setdefault(key, []).append(one)
    yield from groups.values()


class _Told(NamedTuple):
    """What vectorbt made of one point: value, cash and units at each close (n,), and its fills, a column each."""

    value: Floats
    cash: Floats
    units: Floats
    bar: Any
    quantity: Floats
    price: Floats
    fee: Floats


class _Market(NamedTuple):
    """One asset from the first decided bar on, without gaps: when, prices that orders are valued at, closes."""

    ts: Any
    at: Floats
    close: Floats


def _market(result: Result) -> _Market:
    import pandas as pd

    own = result.history
    column = int(np.flatnonzero(own.traded)[0])
    # Nothing is held before a price, and what is multiplied must be a number.
    close = np.asarray(pd.Series(own.close[:, column]).ffill().bfill(), dtype=np.float64)
    at = own.close if result.machine.terms.fill == "next_close" else own.open
    valued = np.where(np.isfinite(at[:, column]), at[:, column], close).astype(np.float64)
    return _Market(pd.DatetimeIndex(result.arrays.ts).tz_localize("UTC"), valued[result.first :], close[result.first :])


def _carried_out(some: list[_Asked], market: _Market) -> Iterator[_Told]:
    """Let vectorbt trade, a column a point."""
    weight, deal = (
        np.stack(columns, axis=1) for columns in zip(*((one.weight, one.deal) for one in some), strict=True)
    )
    deal = np.where(np.isfinite(deal), deal, market.close[:, None])
    close = np.repeat(market.close[:, None], len(some), axis=1)
    fees, fixed, cash = (np.array([getattr(one.terms, name) for one in some], dtype=np.float64)
                         for name in ("fee", "fixed_fee", "cash"))  # fmt: skip
    if some[0].closed:
        made = _in_closed_form(close, market.at, weight, deal, fees, fixed, cash)
    else:
        made = library().Portfolio.from_orders(
            close, size=weight, size_type="targetpercent", price=deal, val_price=market.at[:, None], fees=fees,
            fixed_fees=fixed, init_cash=cash, direction="both", freq="1D")  # fmt: skip
    records, value = made.orders.values, np.asarray(made.value())
    held, money = np.asarray(made.assets()), np.asarray(made.cash())
    for j in range(len(some)):
        own = records[records["col"] == j]
        signed = np.where(own["side"] == 0, own["size"], -own["size"])
        yield _Told(value[:, j], money[:, j], held[:, j], own["idx"], signed, own["price"], own["fees"])


def _in_closed_form(close: Floats, at: Floats, weight: Floats, deal: Floats, fees: Floats, fixed: Floats,
                    cash: Floats) -> Any:  # fmt: skip
    vbt, plain = library(), close.size <= _PLAIN
    return vbt.Portfolio.from_order_func(
        close, _closed_form(vbt, plain), at, weight, deal, fees, fixed, init_cash=cash, use_numba=not plain, freq="1D"
    )


def _closed_form(vbt: Any, plain: bool) -> Callable[..., Any]:
    """Return the order function of clause 2: what is left when costs are paid is worth the target."""
    order, nothing = vbt.portfolio.nb.order_nb, vbt.portfolio.nb.order_nothing_nb
    if plain:
        order, nothing = order.py_func, nothing.py_func
    amount = int(vbt.portfolio.enums.SizeType.Amount)

    def sized(c: Any, at: Any, weight: Any, deal: Any, fees: Any, fixed: Any) -> Any:
        w, p, paid, f, fee = weight[c.i, c.col], at[c.i], deal[c.i, c.col], fees[c.col], fixed[c.col]
        if w != w:
            return nothing()
        held = c.position_now
        gap = w * (c.cash_now + held * p) - held * p
        if w == 0.0:
            q = -held
        elif gap > 0.0:
            q = (gap - w * fee) / (p + w * (paid * (1.0 + f) - p))
        else:
            q = (gap - w * fee) / (p - w * (p - paid * (1.0 - f)))
        return order(size=q, price=paid, size_type=amount, fees=f, fixed_fees=fee)

    if plain:
        return sized
    from numba import njit

    compiled: Callable[..., Any] = njit(sized)
    return compiled


def _bring(one: _Asked, told: _Told, market: _Market, harvest: Harvest) -> None:
    """Hold vectorbt's account to ours, and write its figures."""
    ours, own = one.result.arrays.equity, one.result.history
    apart = np.abs(told.value - ours) / ours
    if not (apart <= GAP).all():
        bar = int(np.argmax(~(apart <= GAP)))
        when = own.when(one.result.first + bar)
        raise DataError(
            f"sweep: point {one.number} at {when}: vectorbt is worth {told.value[bar]!r}, the engine {ours[bar]!r}; "
            f"please report this, and {_INSTEAD}"
        )
    benchmark = benchmark_of(own, one.result.first, float(told.value[0]))
    found = measure(_tables(told, market, benchmark), own.periods, intervals=False)
    found |= {"first": float(told.value[0]), "last": float(told.value[-1])}
    row = [found[name] for name in FIGURES]
    harvest.rows[one.number] = [np.nan if value is None else value for value in row]
    returns, theirs = simple_returns(told.value), simple_returns(benchmark)
    beyond = np.full(len(returns), np.nan)
    beyond[: len(theirs)] = returns[: len(theirs)] - theirs[: len(returns)]
    for stream, sums in ((returns, harvest.sums), (beyond, harvest.beyond)):
        if len(stream) >= BLOCKS:
            sums[one.number] = block_sums(stream)
        else:
            fill_from_returns(stream, sums[one.number])
    harvest.finish(one.number, len(own) - 1, 0)


def _tables(told: _Told, market: _Market, benchmark: Floats) -> dict[str, pd.DataFrame]:
    """Return the tables that figures are measured from."""
    import pandas as pd

    worth = told.units * market.close / told.value
    fees = np.bincount(told.bar, weights=told.fee, minlength=len(told.value))
    money = {"ts": market.ts, "equity": told.value, "cash": told.cash, "gross": np.abs(worth), "net": worth,
             "fees": fees, "financing": np.zeros(len(worth))}  # fmt: skip
    slipped = np.abs(told.quantity) * np.abs(told.price - market.at[told.bar])
    fills = {"ts": market.ts[told.bar], "quantity": told.quantity, "price": told.price, "fee": told.fee,
             "slippage": slipped}  # fmt: skip
    return {
        "equity": pd.DataFrame(money),
        "fills": pd.DataFrame(fills),
        "benchmark": pd.DataFrame({"ts": market.ts, "equity": benchmark}),
        # What was believed is told by what was seen, and paid is nothing.
        "beliefs": pd.DataFrame({"regime": np.zeros(len(worth), dtype=np.int64), "p_0": 1.0}),
        "events": pd.DataFrame({"event": [], "quantity": [], "price": []}),
    }
