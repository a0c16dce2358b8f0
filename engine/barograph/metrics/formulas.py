"""What a run was worth, each number with its formula.

Conventions, the same everywhere. Returns are simple: r_t = e_t / e_{t-1} − 1, one a bar, T of them for T + 1 equity
points. `periods` is the number of bars in a year by the market's calendar (252 for daily US shares); a year is that
many bars, so years = T / periods. Over several markets both are those of days (`barograph.metrics.steps`). Standard
deviations divide by T − 1. The riskless rate `rf` is effective and annual, and becomes (1 + rf)^(1 / periods) − 1 a
bar. Losses of VaR and ES are positive numbers; drawdowns are negative ones.

What cannot be told is NaN (null in metrics.json), never zero: the Sharpe ratio of a constant equity, the volatility of
a single return. An account is ruined at its first equity ≤ 0: returns end with that bar, and its CAGR is −1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from barograph.metrics.drawdown import max_drawdown
from barograph.types import Floats

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ROUNDING", "alpha", "believed", "beta", "by_asset", "cagr", "calmar", "cost_rate", "expected_shortfall",
           "exposure", "growth", "hit_rate", "invested", "mean_return", "rate_a_bar", "sharpe", "simple_returns",
           "skew", "sortino", "switches", "total_return", "turnover", "value_at_risk", "volatility"]  # fmt: skip

# A spread below this is the rounding of e_t / e_{t-1} − 1, not risk: dividing by it would invent a Sharpe of 1e13.
ROUNDING = 1e-14


def simple_returns(equity: Floats) -> Floats:
    """Return r_t = e_t / e_{t-1} − 1, up to and including the bar of ruin.

    >>> simple_returns(np.array([100.0, 110.0, 99.0])).round(4).tolist()
    [0.1, -0.1]
    >>> simple_returns(np.array([100.0, 0.0, 0.0])).tolist()
    [-1.0]
    """
    ruined = np.flatnonzero(equity <= 0)
    alive = equity[: int(ruined[0]) + 1] if ruined.size else equity
    if alive.size < 2:
        return np.empty(0)
    returns: Floats = alive[1:] / alive[:-1] - 1
    return returns


def rate_a_bar(rf: float, periods: float) -> float:
    """Return the riskless rate of one bar, (1 + rf)^(1 / periods) − 1.

    >>> round(rate_a_bar(0.05, 252), 8)
    0.00019363
    """
    return math.expm1(math.log1p(rf) / periods)


def total_return(equity: Floats) -> float:
    """Return e_T / e_0 − 1; 0 for a single point.

    >>> total_return(np.array([100.0, 80.0, 150.0]))
    0.5
    """
    return float(equity[-1] / equity[0] - 1)


def cagr(equity: Floats, periods: float) -> float:
    """Return the compound growth a year, (e_T / e_0)^(periods / T) − 1; −1 when ruined, NaN for a single point.

    >>> round(cagr(np.array([100.0, 110.0, 121.0]), periods=1), 12)
    0.1
    """
    if equity.size < 2:
        return math.nan
    if np.any(equity <= 0):
        return -1.0
    return growth(float(equity[0]), float(equity[-1]), equity.size - 1, periods)


def growth(first: float, last: float, count: int, periods: float) -> float:
    """Return the growth a year from one positive equity to another over `count` returns.

    >>> round(growth(100.0, 121.0, 2, periods=1), 12)
    0.1
    """
    # A few bars of a great rise overflow when spread over a year: that is a growth that cannot be told.
    exponent = math.log(last / first) * periods / count
    return math.expm1(exponent) if exponent < 700 else math.nan


def mean_return(returns: Floats) -> float:
    """Return the arithmetic mean of the returns, a bar; NaN without returns."""
    return float(np.mean(returns)) if returns.size else math.nan


def volatility(returns: Floats, periods: float) -> float:
    """Return the annual standard deviation, std(r, ddof=1) · √periods; NaN below two returns.

    >>> round(volatility(np.array([0.01, -0.01, 0.02, 0.0]), 252), 6)
    0.204939
    """
    return float(np.std(returns, ddof=1)) * math.sqrt(periods) if returns.size > 1 else math.nan


def sharpe(returns: Floats, periods: float, rf: float = 0.0) -> float:
    """Return mean(r − rf) / std(r, ddof=1) · √periods (Sharpe 1994); NaN without risk.

    >>> round(sharpe(np.array([0.01, -0.01, 0.02, 0.0]), 252), 6)
    6.14817
    >>> sharpe(np.full(10, 0.01), 252)
    nan
    """
    spread = float(np.std(returns, ddof=1)) if returns.size > 1 else 0.0
    if spread <= ROUNDING:
        return math.nan
    return (mean_return(returns) - rate_a_bar(rf, periods)) / spread * math.sqrt(periods)


def sortino(returns: Floats, periods: float, rf: float = 0.0) -> float:
    """Return mean(x) / √(mean(min(x, 0)²)) · √periods with x = r − rf, over all bars; NaN without a loss.

    >>> round(sortino(np.array([0.01, -0.01, 0.02, 0.0]), 252), 6)
    15.874508
    """
    excess = returns - rate_a_bar(rf, periods)
    downside = math.sqrt(float(np.mean(np.minimum(excess, 0) ** 2))) if returns.size else 0.0
    return float(np.mean(excess)) / downside * math.sqrt(periods) if downside > ROUNDING else math.nan


def calmar(equity: Floats, periods: float) -> float:
    """Return CAGR / |max drawdown| over the whole run; NaN without a drawdown."""
    depth = -max_drawdown(equity)
    return cagr(equity, periods) / depth if depth > ROUNDING else math.nan


def value_at_risk(returns: Floats, level: float = 0.95) -> float:
    """Return the loss of one bar that 1 − level of all bars reach: minus the ⌈(1 − level) T⌉-th smallest return.

    >>> value_at_risk(np.arange(-10, 90) / 1000, 0.95)
    0.006
    """
    if not returns.size:
        return math.nan
    # 1 − 0.95 is a little more than 0.05, and must not push the rank up by one.
    rank = max(1, math.ceil(round((1 - level) * returns.size, 9)))
    return -float(np.partition(returns, rank - 1)[rank - 1])


def expected_shortfall(returns: Floats, level: float = 0.95) -> float:
    """Return the mean loss of the bars at or beyond the value at risk.

    >>> round(expected_shortfall(np.arange(-10, 90) / 1000, 0.95), 6)
    0.008
    """
    if not returns.size:
        return math.nan
    return -float(np.mean(returns[returns <= -value_at_risk(returns, level)]))


def skew(returns: Floats) -> float:
    """Return m3 / m2^1.5, central moments divided by T; NaN without risk.

    >>> round(skew(np.array([0.0, 0.0, 0.0, 4.0])), 6)
    1.154701
    """
    if returns.size < 2 or float(np.std(returns)) <= ROUNDING:
        return math.nan
    centred = returns - np.mean(returns)
    second = float(np.mean(centred * centred))
    # Powers differ from processor to processor, products do not.
    return float(np.mean(centred * centred * centred)) / (second * math.sqrt(second))


def hit_rate(returns: Floats) -> float:
    """Return the share of rising bars among the bars that moved, #(r > 0) / #(r ≠ 0); NaN if none did.

    >>> hit_rate(np.array([0.01, 0.0, -0.02, 0.03, 0.01]))
    0.75
    """
    moved = int(np.count_nonzero(returns))
    return int(np.count_nonzero(returns > 0)) / moved if moved else math.nan


def turnover(values: Floats, equity: Floats, years: float) -> float:
    """Return Σ |quantity · price| / equity / years, two-way: a purchase and its sale are two; one-way is half of it.

    `values` is each fill's quantity · price and `equity` the equity at the close before that fill, both (F,).

    >>> turnover(np.array([100.0, -110.0]), np.array([100.0, 110.0]), years=0.5)
    4.0
    """
    return float(np.sum(np.abs(values) / equity)) / years if years > 0 else math.nan


def exposure(gross: Floats) -> float:
    """Return the mean over bars of Σ |weight| at the close, before that close's decision; NaN without bars."""
    return float(np.mean(gross)) if gross.size else math.nan


def invested(gross: Floats) -> float:
    """Return the share of bars that closed with any position, #(gross > 0) / T; NaN without bars."""
    return int(np.count_nonzero(gross > 0)) / gross.size if gross.size else math.nan


def cost_rate(costs: Floats, equity: Floats, years: float) -> float:
    """Return Σ cost / equity at the close before / years: what the costs took a year, as a share of equity."""
    return float(np.sum(costs / equity)) / years if years > 0 else math.nan


def switches(regimes: NDArray[np.int64]) -> int:
    """Return how often the believed regime changed from one bar to the next; bars without a belief (< 0) are skipped.

    >>> switches(np.array([-1, 0, 0, 1, 1, 0]))
    2
    """
    known = regimes[regimes >= 0]
    return int(np.count_nonzero(np.diff(known)))


def beta(returns: Floats, benchmark: Floats) -> float:
    """Return cov(r, b) / var(b) of paired returns; NaN when the benchmark has no risk."""
    if returns.size < 2 or float(np.std(benchmark)) <= ROUNDING:
        return math.nan
    centred = benchmark - np.mean(benchmark)
    return float(np.mean((returns - np.mean(returns)) * centred) / np.mean(centred**2))


def alpha(mean: float, slope: float, benchmark: Floats, periods: float, rf: float = 0.0) -> float:
    """Return Jensen's alpha a year, periods · (mean(r − rf) − beta · mean(b − rf)), of a mean return and a beta (1968).

    >>> alpha(0.002, 0.5, np.array([0.01, -0.008]), 252)
    0.378
    """
    bar = rate_a_bar(rf, periods)
    return periods * (mean - bar - slope * (mean_return(benchmark) - bar))


def by_asset(beliefs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return a table of beliefs by its assets, "" for one that is everybody's.

    >>> import pandas as pd
    >>> list(by_asset(pd.DataFrame({"symbol": ["B", "A", "B"], "regime": [0, 1, 1]})))
    ['B', 'A']
    """
    if "symbol" not in beliefs.columns:
        return {"": beliefs}
    return {str(symbol): table for symbol, table in beliefs.groupby("symbol", sort=False)}


def believed(beliefs: pd.DataFrame) -> NDArray[np.int64]:
    """Return the regime believed at each close, (T + 1,); −1 where the probabilities are NaN: no model yet."""
    regimes = beliefs["regime"].to_numpy(np.int64)
    if "p_0" not in beliefs.columns:
        return regimes
    known: NDArray[np.int64] = np.where(beliefs["p_0"].isna(), -1, regimes)
    return known
