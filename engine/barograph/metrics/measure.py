"""Every figure of a run, measured from its tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.errors import DataError
from barograph.metrics.assembly import Beside, assembled
from barograph.metrics.drawdown import deepest_drawdown, max_drawdown
from barograph.metrics.formulas import (
    believed,
    beta,
    by_asset,
    cagr,
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
    *,
    intervals: bool = True,
    by_day: bool = False,
    calendars: int = 1,
) -> dict[str, float | None]:
    """Measure a run from its tables equity, fills, events, beliefs and benchmark: what metrics.json holds, NaN as None.

    The tables are those of the run folder (docs/results.md); the keys always come in the same order. Without
    `intervals` the ends of the 95 % intervals of the Sharpe ratio and of its difference from the benchmark's are None.
    `by_day` compounds returns by day and counts the days of a year in the table itself, as a run over several
    `calendars` wants it. Raises `DataError` on an equity that is not a number.
    """
    money, market = _numbers(tables, "equity"), _numbers(tables, "benchmark")
    ours, other = (steps(stamps(tables[name]), periods, by_day) for name in ("equity", "benchmark"))
    returns, theirs = simple_returns(money[ours.rows]), simple_returns(market[other.rows])
    periods = ours.periods
    years = (ours.rows.size - 1) / periods
    measured = _performance(money, returns, ours, rf) | _trading(tables["equity"], tables["fills"], money, years)
    length = min(returns.size, theirs.size)
    measured |= _received(tables["events"]) | {"beta": beta(returns[:length], theirs[:length])}
    turns = _switches(tables["beliefs"])
    found = assembled(measured, Beside(money.size - 1, ours, calendars, turns, market, theirs, rf))
    found |= _intervals(returns, theirs, periods, rf, intervals)
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
    fees, slippage = (fills[name].to_numpy(np.float64) for name in ("fee", "slippage"))
    financing = table["financing"].to_numpy(np.float64)
    gross = table["gross"].to_numpy(np.float64)[1:]
    money_lost = {"fees": _sum(fees), "slippage": _sum(slippage), "financing": _sum(financing)}
    rates = {
        "fee_rate": cost_rate(fees, at_fill, years),
        "slippage_rate": cost_rate(slippage, at_fill, years),
        "financing_rate": cost_rate(financing, before, years),
    }
    return {
        "fills": len(fills),
        "turnover": turnover(values, at_fill, years),
        "exposure": exposure(gross),
        "invested": invested(gross),
        **money_lost,
        **rates,
    }


def _received(events: pd.DataFrame) -> dict[str, float]:
    paid = events[events["event"] == "dividend"]
    return {"dividends": _sum((paid["quantity"] * paid["price"]).to_numpy(np.float64))}


def _sum(values: Floats) -> float:
    return float(np.sum(values))


def _equity_before(table: pd.DataFrame, fills: pd.DataFrame, money: Floats) -> Floats:
    """The equity at the last close strictly before each fill, or the starting one."""
    row = table["ts"].searchsorted(fills["ts"], side="left") - 1
    before: Floats = money[np.maximum(row, 0)]
    return before


def _switches(beliefs: pd.DataFrame) -> float:
    """How often the believed regime changed; with a belief an asset, of an asset on the mean."""
    each = [float(switches(believed(table))) for table in by_asset(beliefs).values()]
    return math.fsum(each) / len(each) if "p_1" in beliefs.columns and each else math.nan


def _intervals(returns: Floats, theirs: Floats, periods: float, rf: float, wanted: bool) -> dict[str, float]:
    from barograph.metrics.bootstrap import difference, interval

    length = min(returns.size, theirs.size)
    options: dict[str, Any] = {"periods": periods, "rf": rf, "samples": 2000 if wanted else 0}
    single = interval(returns, **options)
    paired = difference(returns[:length], theirs[:length], **options)
    return {
        "sharpe_low": single.low,
        "sharpe_high": single.high,
        "sharpe_difference": paired.value,
        "sharpe_difference_low": paired.low,
        "sharpe_difference_high": paired.high,
    }
