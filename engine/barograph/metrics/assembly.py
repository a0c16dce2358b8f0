"""The figures of a run in their order: what was measured, and what follows from it and from the benchmark."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from barograph.metrics import formulas
from barograph.metrics.drawdown import max_drawdown
from barograph.metrics.steps import Steps
from barograph.types import Floats

__all__ = ["MEASURED", "Beside", "assembled", "names"]

MEASURED: Final = ("total_return", "cagr", "mean_return", "volatility", "sharpe", "sortino", "max_drawdown",
                   "max_drawdown_bars", "value_at_risk", "expected_shortfall", "skew", "hit_rate", "fills", "turnover",
                   "exposure", "invested", "fees", "slippage", "financing", "fee_rate", "slippage_rate",
                   "financing_rate", "dividends", "beta")  # fmt: skip
"""What is measured of a run itself; the rest follows."""


class Beside(NamedTuple):
    """What many runs of one history share: bars after the first, steps, calendars, regime switches, the benchmark.

    `market` is the benchmark's equity at every bar, `theirs` are its returns, `rf` the riskless rate a year.
    """

    bars: int
    steps: Steps
    calendars: int
    switches: float
    market: Floats
    theirs: Floats
    rf: float = 0.0

    @property
    def years(self) -> float:
        """How many years the returns span."""
        return (self.steps.rows.size - 1) / self.steps.periods


def assembled(measured: Mapping[str, float], beside: Beside) -> dict[str, float]:
    """Return all figures but the bootstrap's from those `MEASURED`, in the order of metrics.json."""
    m, years, own = measured, beside.years, beside.steps
    depth, rates = -m["max_drawdown"], m["fee_rate"] + m["slippage_rate"] + m["financing_rate"]
    return {
        "bars": beside.bars,
        "returns": own.rows.size - 1,
        "years": years,
        "calendars": beside.calendars,
        **_of(m, "total_return", "cagr", "mean_return", "volatility", "sharpe", "sortino"),
        "calmar": m["cagr"] / depth if depth > formulas.ROUNDING else math.nan,
        **_of(m, "max_drawdown", "max_drawdown_bars", "value_at_risk", "expected_shortfall", "skew", "hit_rate"),
        **_of(m, "fills", "turnover", "exposure", "invested", "fees", "slippage", "financing"),
        "costs": m["fees"] + m["slippage"] + m["financing"],
        **_of(m, "fee_rate", "slippage_rate", "financing_rate"),
        "cost_rate": rates if years > 0 else math.nan,
        **_of(m, "dividends"),
        "regime_switches": beside.switches,
        "regime_switch_rate": beside.switches / years if years > 0 else math.nan,
        "alpha": formulas.alpha(m["mean_return"], m["beta"], beside.theirs, own.periods, beside.rf),
        **_of(m, "beta"),
        **_benchmark(m["cagr"], beside),
    }


def names() -> tuple[str, ...]:
    """Return the names of the figures, in their order.

    >>> names()[:4]
    ('bars', 'returns', 'years', 'calendars')
    """
    nothing, flat = Steps(np.arange(2), 1.0, 1.0), np.ones(2)
    return tuple(assembled(dict.fromkeys(MEASURED, math.nan), Beside(1, nothing, 1, math.nan, flat, flat[1:] - 1.0)))


def _of(measured: Mapping[str, float], *keys: str) -> dict[str, float]:
    return {key: measured[key] for key in keys}


def _benchmark(growth: float, beside: Beside) -> dict[str, float]:
    own, other = beside.steps, formulas.cagr(beside.market, beside.steps.bars)
    return {
        "benchmark_total_return": formulas.total_return(beside.market),
        "benchmark_cagr": other,
        "benchmark_volatility": formulas.volatility(beside.theirs, own.periods),
        "benchmark_sharpe": formulas.sharpe(beside.theirs, own.periods, beside.rf),
        "benchmark_max_drawdown": max_drawdown(beside.market),
        "excess_cagr": growth - other,
    }
