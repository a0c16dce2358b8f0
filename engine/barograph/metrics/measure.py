"""Every figure of a run, measured from its tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.errors import DataError
from barograph.metrics.assembly import MEASURED, Beside, assembled
from barograph.metrics.formulas import believed, beta, by_asset, simple_returns, switches
from barograph.metrics.span import FIGURES, Span
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
    span, theirs = _span(tables["equity"], tables["fills"], money, ours, rf), simple_returns(market[other.rows])
    returns = span.returns
    measured = {name: FIGURES[name](span) for name in MEASURED if name in FIGURES}
    length = min(returns.size, theirs.size)
    measured |= _received(tables["events"]) | {"beta": beta(returns[:length], theirs[:length])}
    turns = _switches(tables["beliefs"])
    found = assembled(measured, Beside(money.size - 1, ours, calendars, turns, market, theirs, rf))
    found |= _intervals(returns, theirs, ours.periods, rf, intervals)
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


def _span(table: pd.DataFrame, fills: pd.DataFrame, money: Floats, ours: Steps, rf: float) -> Span:
    quantity, price, fees, slippage = (
        fills[name].to_numpy(np.float64) for name in ("quantity", "price", "fee", "slippage")
    )
    gross, financing = (table[name].to_numpy(np.float64) for name in ("gross", "financing"))
    # The last close strictly before each fill.
    before = table["ts"].searchsorted(fills["ts"], side="left") - 1
    return Span(money, gross, financing, before, quantity * price, fees, slippage, ours, rf)


def _received(events: pd.DataFrame) -> dict[str, float]:
    paid = events[events["event"] == "dividend"]
    return {"dividends": float(np.sum((paid["quantity"] * paid["price"]).to_numpy(np.float64)))}


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
