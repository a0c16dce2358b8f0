"""The same work in other libraries, in one process; the only place that imports them, and only when they are asked.

The strategy is the crossing of two moving averages (10 and 50 bars): in while the short one is above, trades at the
next open, the same fee. Engines differ in what they do besides, so the ratio says what a run costs, not who is better.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import barograph as bg
from barograph import features
from barograph.data.synthetic import draw
from barograph.jit.views import frozen
from benchmarks import Row, Table, bars, best
from benchmarks.engine import WORLD, one_asset, true_filter

FAST, SLOW, FEE = 10, 50, 0.0005


@bg.kernel
def _above(state: Any, x: Any, params: Any) -> Any:
    """Believe in the first regime while the short mean is above the long one; not before both are there."""
    state[0] = 1.0 if x[0] > x[1] else 0.0
    state[1] = 1.0 - state[0]
    return state, bg.Belief(frozen(state), 0.0)


@bg.kernel
def _follow(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state, bg.Target(belief.probs[0])


def _follow_in_python(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state, bg.Target(belief.probs[0])


def ours(history: bg.History, follow: Any = _follow, loop: Any = bg.scan) -> Callable[[], float]:
    machine = bg.Machine(
        strategy=bg.strategy(follow),
        features=[features.sma(FAST), features.sma(SLOW)],
        filter=bg.Filter(lambda _: np.array([0.0, 1.0]), _above, (), 2, "crossing"),
        terms=bg.Terms(fee=FEE, slippage=0.0),
    )
    return lambda: float(loop(machine, history).arrays.equity[-1] / machine.terms.cash)


def vectorbt(history: bg.History) -> Callable[[], float]:
    import vectorbt as vbt

    frame = _frame(history)

    def run() -> float:
        up = vbt.MA.run(frame.Close, FAST).ma > vbt.MA.run(frame.Close, SLOW).ma
        into = up.vbt.signals.fshift(1)
        out = (~up).vbt.signals.fshift(1)
        portfolio = vbt.Portfolio.from_signals(frame.Close, into, out, price=frame.Open, fees=FEE, init_cash=1e6)
        return float(portfolio.value().iloc[-1] / 1e6)

    return run


def backtesting(history: bg.History) -> Callable[[], float]:
    with contextlib.redirect_stderr(io.StringIO()):
        from backtesting import Backtest, Strategy

    def mean(values: Any, window: int) -> Any:
        return pd.Series(values).rolling(window).mean().to_numpy()

    class Crossing(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.fast = self.I(mean, self.data.Close, FAST)
            self.slow = self.I(mean, self.data.Close, SLOW)

        def next(self) -> None:
            up = self.fast[-1] > self.slow[-1]
            if up and not self.position:
                self.buy(size=0.9999)
            elif not up and self.position:
                self.position.close()

    frame = _frame(history)

    def run() -> float:
        cash = 1e8
        with contextlib.redirect_stderr(io.StringIO()):
            stats = Backtest(frame, Crossing, cash=cash, commission=FEE).run()
        return float(stats["Equity Final [$]"] / cash)

    return run


def bt(history: bg.History) -> Callable[[], float]:
    import bt as library

    # bt trades at the close it is given: yesterday's signal at today's close.
    close = _frame(history)[["Close"]]
    up = close.rolling(FAST).mean() > close.rolling(SLOW).mean()
    weights = up.astype(float).shift(1).fillna(0.0)
    moved = weights[weights.diff().fillna(weights).ne(0.0).any(axis=1)]

    def run() -> float:
        algos = [library.algos.WeighTarget(moved), library.algos.Rebalance()]
        strategy = library.Strategy("crossing", algos)
        fee = lambda quantity, price: abs(quantity) * price * FEE  # noqa: E731
        test = library.Backtest(strategy, close, commissions=fee, integer_positions=False, progress_bar=False)
        return float(library.run(test).prices.iloc[-1, 0] / 100.0)

    return run


def backtrader(history: bg.History) -> Callable[[], float]:
    import backtrader as library

    class Crossing(library.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            fast, slow = (library.ind.SMA(self.data.close, period=n) for n in (FAST, SLOW))
            self.gap = fast - slow

        def next(self) -> None:
            if self.gap[0] > 0.0 and not self.position:
                self.order_target_percent(target=0.99)
            elif self.gap[0] <= 0.0 and self.position:
                self.close()

    frame = _frame(history)

    def run() -> float:
        cerebro = library.Cerebro(stdstats=False)
        cerebro.adddata(library.feeds.PandasData(dataname=frame))
        cerebro.addstrategy(Crossing)
        cerebro.broker.setcash(1e8)
        cerebro.broker.setcommission(FEE)
        cerebro.run()
        return float(cerebro.broker.getvalue() / 1e8)

    return run


# Each at a size it finishes in seconds; bars a second hardly depend on it.
PEERS: tuple[tuple[str, Callable[[bg.History], Callable[[], float]], int], ...] = (
    ("vectorbt", vectorbt, 1_000_000),
    ("backtesting", backtesting, 100_000),
    ("bt", bt, 20_000),
    ("backtrader", backtrader, 20_000),
)


def _frame(history: bg.History) -> pd.DataFrame:
    names = ("open", "high", "low", "close", "volume")
    index = pd.DatetimeIndex(history.ts.view("datetime64[ns]"))
    return pd.DataFrame({name.capitalize(): getattr(history, name)[:, 0] for name in names}, index=index)


def crossing(size: float = 1.0) -> Table:
    """Run the crossing in every peer that is installed, and in ours on the same bars beside it."""
    title = f"Crossing of two averages ({FAST}, {SLOW}), one asset: bars a second, ours on the same bars beside"
    return Table(title, [*[_beside(*peer, size) for peer in PEERS], *_in_python(size)])


def _in_python(size: float) -> list[Row]:
    """Time the crossing with a strategy that nobody compiles, as every strategy of backtesting.py is."""
    history, rows = one_asset(bars(100_000, size)), []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = backtesting(history)
            theirs()
            other = best(theirs, 2) / len(history)
    except ImportError:
        other = None
    for loop, wanted in ((bg.scan, ""), (bg.replay, ">= 1.0x backtesting")):
        mine = ours(history, _follow_in_python, loop)
        mine()
        spent = best(mine) / len(history)
        told = "backtesting: not installed" if other is None else f"{other / spent:.2f}x backtesting"
        rows.append(Row(f"ours, {loop.__name__}, strategy in Python", 1.0 / spent, "bars/s", wanted, told))
    return rows


def _beside(name: str, make: Callable[[bg.History], Callable[[], float]], count: int, size: float) -> Row:
    history = one_asset(bars(count, size))
    n, mine = len(history), ours(history)
    growth = mine()
    speed = n / best(mine)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = make(history)
            grown = theirs()
            other = n / best(theirs, 2)
    except ImportError:
        return Row(name, None, "", "", f"{name}: not installed; ours {speed:,.0f} bars/s at {n:,} bars")
    told = f"ours {speed:,.0f} ({speed / other:.1f}x) at {n:,} bars; money grew {grown:.4g}x, ours {growth:.4g}x"
    return Row(name, other, "bars/s", "", told)


def online(size: float = 1.0) -> Table:
    """Compare one more bar in our filter with running hmmlearn again on the window that grew by it."""
    count = bars(2_000, size, 60)
    X = draw(WORLD, count, seed=1)[0][0][:, None]
    filter_ = true_filter()
    rows = [_online_row(filter_, X)]
    try:
        rows.append(_expanding_row(X, filter_))
    except ImportError:
        rows.append(Row("hmmlearn, posterior of every prefix", None, "", "", "hmmlearn: not installed"))
    return Table(f"The filter alone, K=2, d=1, {count:,} bars", rows)


def _path(filter_: bg.Filter, X: Any) -> Any:
    from barograph.regimes.filtering import filter_path

    return filter_path(filter_, X)


def _online_row(filter_: bg.Filter, X: Any) -> Row:
    many = np.tile(X, (math.ceil(50_000 / len(X)), 1))
    _path(filter_, many)
    return Row("ours, one bar more", 1e9 * best(lambda: _path(filter_, many)) / len(many), "ns/bar")


def _expanding_row(X: Any, filter_: bg.Filter) -> Row:
    from hmmlearn.hmm import GaussianHMM

    model = GaussianHMM(2, "diag", init_params="", params="")
    model.startprob_, model.transmat_ = np.array(WORLD.start), np.array(WORLD.transition)
    model.means_, model.covars_ = np.array(WORLD.mean)[:, None], np.array(WORLD.variance)[:, None]
    last = np.array([model.predict_proba(X[: t + 1])[-1] for t in range(len(X))])
    apart = float(np.abs(last - _path(filter_, X).probs).max())
    spent = best(lambda: [model.predict_proba(X[: t + 1])[-1] for t in range(len(X))], 2) / len(X)
    return Row("hmmlearn, posterior of every prefix", 1e9 * spent, "ns/bar", "", f"largest difference {apart:.1e}")
