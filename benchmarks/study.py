"""The S&P 500 under nested choice: does a regime filter, or a volatility target, beat buying and holding, after costs?

Every quarter each rule takes the settings whose own run, net of fees and slippage, had the best Sharpe ratio over the
last thousand bars, in the one account that is measured: no setting has seen a bar that it trades. The verdict is asked
of all candidates' streams and of the three machines together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import barograph as bg
from barograph.validation.verdict import Verdict, verdict
from barograph_adapters.sample import sp500
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_strategies.buy_and_hold import buy_and_hold
from barograph_strategies.regime_filter import regime_filter
from barograph_strategies.volatility_target import volatility_target
from benchmarks import Row, Table

WINDOW = 1_000
FILTERS: dict[str, list[Any]] = {"threshold": [0.5, 0.6, 0.7, 0.8], "dwell": [1, 3, 5]}
TARGETS: dict[str, list[Any]] = {"target": [0.08, 0.1, 0.12, 0.15], "band": [0.0, 0.1]}


def measure(size: float = 1.0) -> Table:
    """Run the three on the sample, from the first bar that all decide, and ask what they are worth."""
    history = sp500()
    history = history.head(max(2 * WINDOW + 300, int(size * len(history))))
    fit = bg.Fit(window=WINDOW, every="quarter")

    def filtered(**given: Any) -> bg.Machine:
        return bg.Machine(strategy=regime_filter(**given), model=gaussian_hmm(states=2), fit=fit)

    def targeted(**given: Any) -> bg.Machine:
        return bg.Machine(strategy=volatility_target(**given))

    machines = {
        "regime filter, chosen": bg.choose(filtered, FILTERS, window=WINDOW, every="quarter"),
        "volatility target, chosen": bg.choose(targeted, TARGETS, window=WINDOW, every="quarter"),
        "buy and hold": bg.Machine(strategy=buy_and_hold()),
    }
    runs = {name: bg.run(machine, history, registry=False) for name, machine in machines.items()}
    first = max(run.first for run in runs.values())
    excess = _over_the_last({name: run.arrays.equity[first - run.first :] for name, run in runs.items()})
    rows = [row for name, run in runs.items() for row in _rows(name, run)]
    tried = 1 + sum(len(machine.choose.candidates) for machine in machines.values() if machine.choose is not None)
    rows += _verdict(verdict(excess, tried=tried), tried)
    return Table("The S&P 500 under nested choice, net of costs", rows)


def _over_the_last(equities: dict[str, Any]) -> Any:
    """Return the returns (N - 1, T) of all but the last, less those of the last."""
    returns = np.array([equity[1:] / equity[:-1] - 1.0 for equity in equities.values()])
    return returns[:-1] - returns[-1]


def _rows(name: str, run: Any) -> list[Row]:
    of, changes = run.metrics, sum(choice.changed for choice in run.choices)
    told = f"{len(run.choices)} choices, {changes} changes" if run.choices else ""
    return [Row(f"{name}: Sharpe ratio", of["sharpe"], "", "", told),
            Row(f"{name}: growth a year", 100 * of["cagr"], "%"),
            Row(f"{name}: largest drawdown", 100 * of["max_drawdown"], "%"),
            Row(f"{name}: turnover a year", of["turnover"], "")]  # fmt: skip


def _verdict(found: Verdict, tried: int) -> list[Row]:
    words = "something beats buying and holding" if found.found else "nothing beats buying and holding"
    told = f"{words}; {tried} settings count"
    return [Row("reality check of both over buy and hold: p", found.p, "", "< 0.05", told),
            Row("deflated Sharpe ratio of the better one", found.deflated, "", "> 0.95")]  # fmt: skip
