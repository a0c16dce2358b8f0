"""Every figure of a run, measured from its tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.errors import DataError
from barograph.metrics.drawdown import deepest_drawdown, max_drawdown
from barograph.metrics.formulas import (
    alpha,
    believed,
    beta,
    by_asset,
    cagr,
    calmar,
    cost_rate,
    expected_shortfall,
    exposure,
    hit_rate,
    invested,
    mean_return,
    sharpe,
    simple_returns,
    skew,
    sortino,
    switches,
    total_return,
    turnover,
    value_at_risk,
    volatility,
)
from barograph.metrics.steps import Steps, stamps, steps
from barograph.types import Floats

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["measure"]


def measure(
    tables: Mapping[str, pd.DataFrame],
    periods: float,
    rf: float = 0.0,
    samples: int = 2000,
    seed: int = 0,
    *,
    by_day: bool = False,
    calendars: int = 1,
) -> dict[str, float | None]:
    """Measure a run from its tables equity, fills, events, beliefs and benchmark: what metrics.json holds, NaN as None.

    The tables are those of the run folder (docs/results.md); the keys always come in the same order. `samples`
    resamplings make the 95 % intervals of the Sharpe ratio and of its difference from the benchmark's; with 0 they
    are None. `by_day` compounds returns by day and counts the days of a year in the table itself, as a run over several
    `calendars` wants it. Raises `DataError` on an equity that is not a number.
    """
    money, market = _numbers(tables, "equity"), _numbers(tables, "benchmark")
    ours, other = (steps(stamps(tables[name]), periods, by_day) for name in ("equity", "benchmark"))
    returns, theirs = simple_returns(money[ours.rows]), simple_returns(market[other.rows])
    periods = ours.periods
    count = ours.rows.size - 1
    years = count / periods
    found: dict[str, float] = {"bars": money.size - 1, "returns": count, "years": years, "calendars": calendars}
    found |= _performance(money, returns, ours, rf)
    found |= _trading(tables["equity"], tables["fills"], money, years) | _received(tables["events"])
    found |= _regimes(tables["beliefs"], years)
    found |= _against(returns, theirs, periods, rf)
    found |= _benchmark(money, market, theirs, ours, rf)
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


def _performance(money: Floats, returns: Floats, ours: Steps, rf: float) -> dict[str, float]:
    periods = ours.periods
    return {
        "total_return": total_return(money),
        "cagr": cagr(money, ours.bars),
        "mean_return": mean_return(returns),
        "volatility": volatility(returns, periods),
        "sharpe": sharpe(returns, periods, rf),
        "sortino": sortino(returns, periods, rf),
        "calmar": calmar(money, ours.bars),
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


def _regimes(beliefs: pd.DataFrame, years: float) -> dict[str, float]:
    # With a belief an asset they are those of an asset, on the mean: as many as if all turned together.
    each = [float(switches(believed(table))) for table in by_asset(beliefs).values()]
    changes = math.fsum(each) / len(each) if "p_1" in beliefs.columns and each else math.nan
    return {"regime_switches": changes, "regime_switch_rate": changes / years if years > 0 else math.nan}


def _against(returns: Floats, theirs: Floats, periods: float, rf: float) -> dict[str, float]:
    length = min(returns.size, theirs.size)
    ours, paired = returns[:length], theirs[:length]
    return {"alpha": alpha(ours, paired, periods, rf), "beta": beta(ours, paired)}


def _benchmark(money: Floats, market: Floats, theirs: Floats, ours: Steps, rf: float) -> dict[str, float]:
    growth = cagr(market, ours.bars)
    return {
        "benchmark_total_return": total_return(market),
        "benchmark_cagr": growth,
        "benchmark_volatility": volatility(theirs, ours.periods),
        "benchmark_sharpe": sharpe(theirs, ours.periods, rf),
        "benchmark_max_drawdown": max_drawdown(market),
        "excess_cagr": cagr(money, ours.bars) - growth,
    }


def _intervals(returns: Floats, theirs: Floats, periods: float, rf: float, samples: int, seed: int) -> dict[str, float]:
    from barograph.metrics.bootstrap import difference, interval

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
