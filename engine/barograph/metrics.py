"""What a run was worth, each number with its formula.

Conventions, the same everywhere. Returns are simple: r_t = e_t / e_{t-1} − 1, one a bar, T of them for T + 1 equity
points. `periods` is the number of bars in a year by the market's calendar (252 for daily US shares); a year is that
many bars, so years = T / periods. Standard deviations divide by T − 1. The riskless rate `rf` is effective and annual,
and becomes (1 + rf)^(1 / periods) − 1 a bar. Losses of VaR and ES are positive numbers; drawdowns are negative ones.

What cannot be told is NaN (null in metrics.json), never zero: the Sharpe ratio of a constant equity, the volatility of
a single return. An account is ruined at its first equity ≤ 0: returns end with that bar, and its CAGR is −1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from barograph.drawdown import Drawdown, deepest_drawdown, drawdowns, max_drawdown
from barograph.errors import DataError
from barograph.types import Floats

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Drawdown",
    "alpha",
    "believed",
    "beta",
    "cagr",
    "calmar",
    "cost_rate",
    "deepest_drawdown",
    "drawdowns",
    "expected_shortfall",
    "exposure",
    "hit_rate",
    "invested",
    "max_drawdown",
    "mean_return",
    "measure",
    "rate_a_bar",
    "sharpe",
    "simple_returns",
    "skew",
    "sortino",
    "switches",
    "total_return",
    "turnover",
    "value_at_risk",
    "volatility",
]

# A spread below this is the rounding of e_t / e_{t-1} − 1, not risk: dividing by it would invent a Sharpe of 1e13.
_ROUNDING = 1e-14


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
    # A few bars of a great rise overflow when spread over a year: that is a growth that cannot be told.
    exponent = math.log(equity[-1] / equity[0]) * periods / (equity.size - 1)
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
    if spread <= _ROUNDING:
        return math.nan
    return (mean_return(returns) - rate_a_bar(rf, periods)) / spread * math.sqrt(periods)


def sortino(returns: Floats, periods: float, rf: float = 0.0) -> float:
    """Return mean(x) / √(mean(min(x, 0)²)) · √periods with x = r − rf, over all bars; NaN without a loss.

    >>> round(sortino(np.array([0.01, -0.01, 0.02, 0.0]), 252), 6)
    15.874508
    """
    excess = returns - rate_a_bar(rf, periods)
    downside = math.sqrt(float(np.mean(np.minimum(excess, 0) ** 2))) if returns.size else 0.0
    return float(np.mean(excess)) / downside * math.sqrt(periods) if downside > _ROUNDING else math.nan


def calmar(equity: Floats, periods: float) -> float:
    """Return CAGR / |max drawdown| over the whole run; NaN without a drawdown."""
    depth = -max_drawdown(equity)
    return cagr(equity, periods) / depth if depth > _ROUNDING else math.nan


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
    if returns.size < 2 or float(np.std(returns)) <= _ROUNDING:
        return math.nan
    centred = returns - np.mean(returns)
    return float(np.mean(centred**3) / np.mean(centred**2) ** 1.5)


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
    if returns.size < 2 or float(np.std(benchmark)) <= _ROUNDING:
        return math.nan
    centred = benchmark - np.mean(benchmark)
    return float(np.mean((returns - np.mean(returns)) * centred) / np.mean(centred**2))


def alpha(returns: Floats, benchmark: Floats, periods: float, rf: float = 0.0) -> float:
    """Return Jensen's alpha a year, periods · (mean(r − rf) − beta · mean(b − rf)) (Jensen 1968)."""
    bar = rate_a_bar(rf, periods)
    return periods * (mean_return(returns) - bar - beta(returns, benchmark) * (mean_return(benchmark) - bar))


def measure(
    tables: Mapping[str, pd.DataFrame], periods: float, rf: float = 0.0, samples: int = 2000, seed: int = 0
) -> dict[str, float | None]:
    """Measure a run from its tables equity, fills, events, beliefs and benchmark: what metrics.json holds, NaN as None.

    The tables are those of the run folder (docs/results.md); the keys always come in the same order. `samples`
    resamplings make the 95 % intervals of the Sharpe ratio and of its difference from the benchmark's; with 0 they
    are None. Raises `DataError` on an equity that is not a number.
    """
    money = _numbers(tables, "equity")
    market = _numbers(tables, "benchmark")
    returns, theirs = simple_returns(money), simple_returns(market)
    years = (money.size - 1) / periods
    found: dict[str, float] = {"bars": money.size - 1, "years": years}
    found |= _performance(money, returns, periods, rf)
    found |= _trading(tables["equity"], tables["fills"], money, years) | _received(tables["events"])
    found |= _regimes(tables["beliefs"], years)
    found |= _against(returns, theirs, periods, rf)
    found |= _benchmark(money, market, theirs, periods, rf)
    found |= _intervals(returns, theirs, periods, rf, samples, seed)
    return {key: _json(value) for key, value in found.items()}


def _json(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _numbers(tables: Mapping[str, pd.DataFrame], name: str) -> Floats:
    values = tables[name]["equity"].to_numpy(dtype=np.float64)
    if not values.size:
        raise DataError(f"{name}: the table has no row, wanted at least the starting point")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise DataError(
            f"{name}: equity in row {bad[0]} is {values[bad[0]]}, wanted a number; look at that bar's price"
        )
    return values


def _performance(money: Floats, returns: Floats, periods: float, rf: float) -> dict[str, float]:
    return {
        "total_return": total_return(money),
        "cagr": cagr(money, periods),
        "mean_return": mean_return(returns),
        "volatility": volatility(returns, periods),
        "sharpe": sharpe(returns, periods, rf),
        "sortino": sortino(returns, periods, rf),
        "calmar": calmar(money, periods),
        "max_drawdown": max_drawdown(money),
        "max_drawdown_bars": deepest_drawdown(money).bars,
        "value_at_risk": value_at_risk(returns),
        "expected_shortfall": expected_shortfall(returns),
        "skew": skew(returns),
        "hit_rate": hit_rate(returns),
    }


def _trading(table: pd.DataFrame, fills: pd.DataFrame, money: Floats, years: float) -> dict[str, float]:
    before = np.concatenate((money[:1], money[:-1]))
    at_fill = _equity_before(table, fills, money)
    values = fills["quantity"].to_numpy(np.float64) * fills["price"].to_numpy(np.float64)
    slippage = fills["slippage"].to_numpy(np.float64)
    fees, financing = (table[name].to_numpy(np.float64) for name in ("fees", "financing"))
    gross = table["gross"].to_numpy(np.float64)[1:]
    money_lost = {"fees": _sum(fees), "slippage": _sum(slippage), "financing": _sum(financing)}
    rates = {
        "fee_rate": cost_rate(fees, before, years),
        "slippage_rate": cost_rate(slippage, at_fill, years),
        "financing_rate": cost_rate(financing, before, years),
    }
    return {
        "fills": len(fills),
        "turnover": turnover(values, at_fill, years),
        "exposure": exposure(gross),
        "invested": invested(gross),
        **money_lost,
        "costs": math.fsum(money_lost.values()),
        **rates,
        "cost_rate": math.fsum(rates.values()) if years > 0 else math.nan,
    }


def _received(events: pd.DataFrame) -> dict[str, float]:
    paid = events[events["event"] == "dividend"]
    return {"dividends": _sum((paid["quantity"] * paid["price"]).to_numpy(np.float64))}


def _sum(values: Floats) -> float:
    return math.fsum(values.tolist())


def _equity_before(table: pd.DataFrame, fills: pd.DataFrame, money: Floats) -> Floats:
    """The equity at the last close strictly before each fill, or the starting one."""
    row = table["ts"].searchsorted(fills["ts"], side="left") - 1
    before: Floats = money[np.maximum(row, 0)]
    return before


def believed(beliefs: pd.DataFrame) -> NDArray[np.int64]:
    """Return the regime believed at each close, (T + 1,); −1 where the probabilities are NaN: no model yet."""
    regimes = beliefs["regime"].to_numpy(np.int64)
    if "p_0" not in beliefs.columns:
        return regimes
    known: NDArray[np.int64] = np.where(beliefs["p_0"].isna(), -1, regimes)
    return known


def _regimes(beliefs: pd.DataFrame, years: float) -> dict[str, float]:
    changes = switches(believed(beliefs)) if "p_1" in beliefs.columns else math.nan
    return {"regime_switches": changes, "regime_switch_rate": changes / years if years > 0 else math.nan}


def _against(returns: Floats, theirs: Floats, periods: float, rf: float) -> dict[str, float]:
    length = min(returns.size, theirs.size)
    ours, paired = returns[:length], theirs[:length]
    return {"alpha": alpha(ours, paired, periods, rf), "beta": beta(ours, paired)}


def _benchmark(money: Floats, market: Floats, theirs: Floats, periods: float, rf: float) -> dict[str, float]:
    return {
        "benchmark_total_return": total_return(market),
        "benchmark_cagr": cagr(market, periods),
        "benchmark_volatility": volatility(theirs, periods),
        "benchmark_sharpe": sharpe(theirs, periods, rf),
        "benchmark_max_drawdown": max_drawdown(market),
        "excess_cagr": cagr(money, periods) - cagr(market, periods),
    }


def _intervals(returns: Floats, theirs: Floats, periods: float, rf: float, samples: int, seed: int) -> dict[str, float]:
    from barograph.bootstrap import difference, interval

    length = min(returns.size, theirs.size)
    options: dict[str, Any] = {"periods": periods, "rf": rf, "samples": samples, "seed": seed}
    single = interval(returns, **options)
    paired = difference(returns[:length], theirs[:length], **options)
    return {
        "sharpe_low": single.low,
        "sharpe_high": single.high,
        "sharpe_difference": paired.value,
        "sharpe_difference_low": paired.low,
        "sharpe_difference_high": paired.high,
    }
