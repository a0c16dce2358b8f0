"""What resting orders cost, and a large portfolio rebalanced by the month, beside the peers that can."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import barograph as bg
from barograph import orders
from barograph.data.synthetic import SCENARIOS, draw
from barograph.epoch import DAY
from barograph_strategies.fixed_weights import fixed_weights
from barograph_strategies.regime_filter import regime_filter
from benchmarks import Row, Table, bars, best
from benchmarks.engine import many_assets, one_asset, true_filter

FEE = 0.0005


@bg.kernel
def _protected(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    """Follow the regime, with a stop and a take-profit that are set anew at every close."""
    n = bars.close.size
    weight = 1.0 / n if belief.probs[0] > 0.5 else 0.0
    weights, stop, take = np.empty(n), np.empty(n), np.empty(n)
    for a in range(n):
        weights[a], stop[a], take[a] = weight, bars.close[a] * 0.995, bars.close[a] * 1.01
    return state, bg.Protected(weights, stop, take, 0.02)


@bg.kernel
def _ladder(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    """Keep a limit below and a stop above every price, moved at every close, brackets on both."""
    n = bars.close.size
    slip = orders.slip(2 * n)
    for a in range(n):
        p = bars.close[a]
        if portfolio.quantity[a] == 0.0:
            low = orders.limit(slip, a, 1.0, p * 0.998)
            orders.tag(slip, low, 1)
            orders.bracket(slip, low, p * 0.99, p * 1.005)
            high = orders.stop(slip, a, 1.0, p * 1.002)
            orders.tag(slip, high, 2)
            orders.trail(slip, high, 0.01)
            orders.one_cancels_other(slip, low, high)
    return state, slip


def resting(size: float = 1.0) -> Table:
    """Time runs with stops, take-profits and limits resting, and the light book against the full one."""
    one, many = one_asset(bars(200_000, size)), many_assets(bars(2_000, size), 500)
    rows = []
    for name, step in (("stop, take-profit, trailing", _protected), ("limits and stops with brackets", _ladder)):
        for history, wanted in ((one, "<= 500"), (many, "<= 150")):
            assets = len(history.symbols)
            machine = bg.Machine(strategy=bg.strategy(step), filter=true_filter(), terms=bg.Terms(cash=1e6 * assets))
            count = len(bg.scan(machine, history).arrays.events) / len(history) / assets
            spent = 1e9 * best(lambda m=machine, h=history: bg.scan(m, h), 3) / len(history) / assets  # type: ignore[misc]
            unit = "ns/bar" if assets == 1 else "ns/asset-bar"
            rows.append(Row(f"{name}, N = {assets}", spent, unit, wanted, f"{count:.2f} events an asset and bar"))
    return Table("Resting orders", [*rows, *_books(one)])


def _books(history: bg.History) -> list[Row]:
    """Compare the light book with the full one on a machine that needs only the light one."""
    light = bg.Machine(strategy=regime_filter(), filter=true_filter())
    # A smallest order value that nothing meets asks for the full book and changes nothing else.
    full = bg.Machine(strategy=regime_filter(), filter=true_filter(), terms=bg.Terms(min_notional=1e-9))
    same = np.array_equal(bg.scan(light, history).arrays.equity, bg.scan(full, history).arrays.equity)
    spent = [1e9 * best(lambda m=m: bg.scan(m, history), 5) / len(history) for m in (light, full)]  # type: ignore[misc]
    bits = "equity: same bits" if same else "equity: OTHER BITS"
    return [
        Row("targets only, light book, N = 1", spent[0], "ns/bar", "", bits),
        Row("targets only, full book, N = 1", spent[1], "ns/bar", "", f"{spent[1] - spent[0]:.0f} ns more"),
    ]


def portfolio(assets: int = 500, count: int = 5_000) -> bg.History:
    """Return daily bars of many assets, opens apart from closes."""
    close = 100.0 * np.cumprod(1.0 + draw(SCENARIOS["daily2"], count, seed=2, paths=assets)[0], axis=1).T
    opened = np.vstack([close[:1], close[:-1]]) * 1.0005
    ts = np.arange(count) * DAY + 10**18 // DAY * DAY
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return bg.History.from_arrays(ts=ts, open=opened, high=high, low=low, close=close, calendar="24/7")


def _vectorbt(history: bg.History) -> Callable[[], float]:
    import vectorbt as vbt

    close, opened, due = _frames(history)
    sizes = pd.DataFrame(np.nan, index=close.index, columns=close.columns)
    sizes.loc[due] = 1.0 / len(close.columns)

    def run() -> float:
        done = vbt.Portfolio.from_orders(
            close, sizes, size_type="targetpercent", price=opened, val_price=opened, fees=FEE, init_cash=1e6,
            group_by=True, cash_sharing=True, call_seq="auto",
        )  # fmt: skip
        return float(done.value().iloc[-1] / 1e6)

    return run


def _bt(history: bg.History) -> Callable[[], float]:
    import bt as library

    _, opened, due = _frames(history)
    weights = pd.DataFrame(1.0 / opened.shape[1], index=opened.index[due], columns=opened.columns)

    def run() -> float:
        strategy = library.Strategy("monthly", [library.algos.WeighTarget(weights), library.algos.Rebalance()])
        fee = lambda quantity, price: abs(quantity) * price * FEE  # noqa: E731
        test = library.Backtest(strategy, opened, commissions=fee, integer_positions=False, progress_bar=False)
        return float(library.run(test).prices.iloc[-1, 0] / 100.0)

    return run


def _frames(history: bg.History) -> tuple[Any, Any, Any]:
    index = pd.DatetimeIndex(history.ts.view("datetime64[ns]") - np.timedelta64(1, "ns"))
    month = np.asarray(index.year * 12 + index.month)
    decided = np.r_[True, month[1:] != month[:-1]]
    due = np.r_[False, decided[:-1]]
    frames = [pd.DataFrame(column, index=index, columns=history.symbols) for column in (history.close, history.open)]
    return frames[0], frames[1], due


def monthly(size: float = 1.0) -> Table:
    """Time equal weights restored every month on 500 assets, 5,000 daily bars."""
    history = portfolio(max(20, int(500 * size)), bars(5_000, size))
    assets = len(history.symbols)
    machine = bg.Machine(
        strategy=fixed_weights([1.0 / assets] * assets), terms=bg.Terms(fee=FEE, slippage=0.0, borrow_rate=0.0)
    )
    run = bg.scan(machine, history)
    spent = best(lambda: bg.scan(machine, history), 3)
    filled, grown = int((run.arrays.events[:, 0] == 1).sum()), run.arrays.equity[-1] / machine.terms.cash
    told = f"{filled:,} fills; money grew {grown:.6g}x"
    rows = [Row("ours", spent, "s", "<= 2", told)]
    for name, make in (("vectorbt", _vectorbt), ("bt", _bt)):
        rows.append(_beside(name, make, history, spent))
    return Table(f"Equal weights by the month, {assets} assets, {len(history):,} daily bars", rows)


def _beside(name: str, make: Callable[[bg.History], Callable[[], float]], history: bg.History, ours: float) -> Row:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = make(history)
            grown = theirs()
            spent = best(theirs, 1)
    except ImportError:
        return Row(name, None, "", "", f"{name}: not installed")
    return Row(name, spent, "s", "", f"{spent / ours:.1f}x ours; money grew {grown:.6g}x")
