"""The figures that a run's own account has between two closes: all of it, or a part that a choice is made by."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from barograph.metrics import formulas
from barograph.metrics.drawdown import deepest_drawdown, max_drawdown
from barograph.metrics.steps import Steps
from barograph.types import Floats

__all__ = ["FIGURES", "Span"]


@dataclass(frozen=True, eq=False)
class Span:
    """What an account did: `equity`, `gross` weight and `financing` at each close (n,), and its fills.

    Of each fill (F,) `before` is the row of the close before it, `values` are quantity · price, then `fees` and
    `slippage`. `steps` say between which rows the returns lie, `rf` is the riskless rate a year.
    """

    equity: Floats
    gross: Floats
    financing: Floats
    before: Any
    values: Floats
    fees: Floats
    slippage: Floats
    steps: Steps
    rf: float = 0.0

    @cached_property
    def returns(self) -> Floats:
        """Simple returns, up to and including the bar of ruin."""
        return formulas.simple_returns(self.equity[self.steps.rows])

    @property
    def years(self) -> float:
        """How many years the returns span."""
        return (self.steps.rows.size - 1) / self.steps.periods

    @cached_property
    def at_fill(self) -> Floats:
        """The equity at the close before each fill, or the first one."""
        found: Floats = self.equity[np.maximum(self.before, 0)]
        return found

    def cost_rate(self, costs: Floats) -> float:
        """What these costs of fills took a year, as a share of equity."""
        return formulas.cost_rate(costs, self.at_fill, self.years)

    @property
    def financing_rate(self) -> float:
        """What financing took a year, as a share of equity."""
        before = np.concatenate((self.equity[:1], self.equity[:-1]))
        return formulas.cost_rate(self.financing, before, self.years)


def _sum(values: Floats) -> float:
    return float(np.sum(values))


def _calmar(of: Span) -> float:
    depth = -max_drawdown(of.equity)
    return formulas.cagr(of.equity, of.steps.bars) / depth if depth > formulas.ROUNDING else math.nan


def _all_costs(of: Span) -> float:
    rates = of.cost_rate(of.fees) + of.cost_rate(of.slippage) + of.financing_rate
    return rates if of.years > 0 else math.nan


FIGURES: Final[Mapping[str, Callable[[Span], float]]] = {
    "total_return": lambda of: formulas.total_return(of.equity),
    "cagr": lambda of: formulas.cagr(of.equity, of.steps.bars),
    "mean_return": lambda of: formulas.mean_return(of.returns),
    "volatility": lambda of: formulas.volatility(of.returns, of.steps.periods),
    "sharpe": lambda of: formulas.sharpe(of.returns, of.steps.periods, of.rf),
    "sortino": lambda of: formulas.sortino(of.returns, of.steps.periods, of.rf),
    "calmar": _calmar,
    "max_drawdown": lambda of: max_drawdown(of.equity),
    "max_drawdown_bars": lambda of: deepest_drawdown(of.equity).bars,
    "value_at_risk": lambda of: formulas.value_at_risk(of.returns),
    "expected_shortfall": lambda of: formulas.expected_shortfall(of.returns),
    "skew": lambda of: formulas.skew(of.returns),
    "hit_rate": lambda of: formulas.hit_rate(of.returns),
    "fills": lambda of: len(of.fees),
    "turnover": lambda of: formulas.turnover(of.values, of.at_fill, of.years),
    "exposure": lambda of: formulas.exposure(of.gross[1:]),
    "invested": lambda of: formulas.invested(of.gross[1:]),
    "fees": lambda of: _sum(of.fees),
    "slippage": lambda of: _sum(of.slippage),
    "financing": lambda of: _sum(of.financing),
    "fee_rate": lambda of: of.cost_rate(of.fees),
    "slippage_rate": lambda of: of.cost_rate(of.slippage),
    "financing_rate": lambda of: of.financing_rate,
    "cost_rate": _all_costs,
}
"""Each figure that hangs on nothing but the account, as metrics.json defines it."""
