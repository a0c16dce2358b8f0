"""Numbers that were computed elsewhere: a published strategy to its printed digits, and plain rules on two indices."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import barograph as bg
from barograph import features
from barograph.data.history import History
from barograph.jit.kernel import kernel
from barograph.loop.run import scan
from barograph.metrics.drawdown import max_drawdown
from barograph.metrics.formulas import sharpe, total_return
from barograph_adapters.files import parquet
from barograph_adapters.sample import nasdaq, sp500
from barograph_strategies.buy_and_hold import buy_and_hold
from barograph_strategies.fixed_positions import fixed_positions
from barograph_strategies.sma_filter import sma_filter

PAPER: dict[str, Any] = {"fee": 0.0, "slippage": 0.0, "borrow_rate": 0.0, "fill": "same_close"}
PREDICTIONS = "deepregime/DERIVED_transformer_preds_numpy.parquet"
CLASSES = {
    "filter": {"0": 1.0, "1": 0.0, "2": 0.0},
    "leveraged": {"0": 1.5, "1": 0.3, "2": 0.3},
}


@pytest.fixture(scope="module")
def spy(shared: Path) -> History:
    return parquet(shared / "deepregime/spy.parquet", symbol="SPY", calendar="XNYS", accept=["impossible_ohlc"])


def published(shared: Path, spy: History, classes: dict[str, float], **terms: Any) -> bg.Result:
    positions = fixed_positions(str(shared / PREDICTIONS), column="pred", map=classes)
    return scan(
        bg.Machine(strategy=positions, start="2005-04-27", terms=bg.Terms(leverage=2.0, **{**PAPER, **terms})), spy
    )


def row(result: bg.Result) -> tuple[float, float, float, float, float]:
    r = result.arrays.returns
    return (
        round(100 * total_return(result.arrays.equity), 2),
        round(sharpe(r, 252.0), 4),
        round(100 * float(r.mean()), 4),
        round(100 * float(r.std(ddof=1)), 4),
        round(100 * max_drawdown(result.arrays.equity), 2),
    )


def test_the_published_table(shared: Path, spy: History) -> None:
    held = scan(bg.Machine(strategy=buy_and_hold(), start="2005-04-27", terms=bg.Terms(**PAPER)), spy)
    assert len(held.arrays.returns) == 4953
    assert row(held) == (635.50, 0.6265, 0.0476, 1.2052, -55.19)
    filtered = published(shared, spy, CLASSES["filter"])
    assert row(filtered) == (205.01, 0.6601, 0.0242, 0.5824, -19.16)
    assert row(published(shared, spy, CLASSES["leveraged"])) == (589.89, 0.7404, 0.0433, 0.9290, -35.09)


def test_the_published_filter_switches_252_times_and_is_invested_two_days_of_three(shared: Path, spy: History) -> None:
    run = published(shared, spy, CLASSES["filter"])
    assert round(100 * float(np.mean(run.arrays.table[1:, 2] > 0.5)), 1) == 66.2
    predicted = pd.read_parquet(shared / PREDICTIONS)["pred"]
    assert int((predicted.eq(0).astype(int).diff().abs() == 1).sum()) == 252


@pytest.mark.parametrize(
    ("fee", "name", "wanted"),
    [
        (0.0, "filter", (171.48, 0.5952, -19.58)),
        (0.0, "leveraged", (498.49, 0.6907, -33.48)),
        (0.0005, "filter", (139.22, 0.5255, -20.62)),
        (0.0005, "leveraged", (409.85, 0.6353, -34.52)),
    ],
)
def test_the_next_open_rows(shared: Path, spy: History, fee: float, name: str, wanted: tuple[float, ...]) -> None:
    run = published(shared, spy, CLASSES[name], fill="next_open", fee=fee)
    found = row(run)
    assert (found[0], found[1], found[4]) == wanted


def golden(history: History, strategy: bg.Strategy, start: int) -> bg.Result:
    return scan(bg.Machine(strategy=strategy, start=start, terms=bg.Terms(**PAPER)), history)


class Quiet:
    """Invested while the volatility of the last 20 daily returns is below 20 % a year."""

    feature = features.rolling_deviation(20, of=features.total_return(1))

    @staticmethod
    def strategy() -> bg.Strategy:
        seen = Quiet.feature.step

        @kernel
        def step(state, bars, belief, portfolio, params):
            state, volatility = seen(state, bars, params)
            return state, bg.Target(1.0 if volatility * math.sqrt(252.0) < 0.2 else 0.0)

        return bg.Strategy(Quiet.feature.init, step, Quiet.feature.params, "quiet")


GOLDEN = [
    (sp500, "held", 5030, 104.1243, 0.28274, -56.7754, None),
    (nasdaq, "held", 5030, 200.5040, 0.34422, -77.9324, None),
    (sp500, "sma", 4831, 78.8602, 0.33619, -25.1387, 148),
    (nasdaq, "sma", 4831, 223.9755, 0.49302, -48.7477, 145),
    (sp500, "quiet", 5010, 42.2371, 0.20882, None, None),
    (nasdaq, "quiet", 5010, 260.8863, 0.62268, -21.3757, None),
]


@pytest.mark.parametrize(("load", "rule", "n", "total", "ratio", "fall", "switches"), GOLDEN)
def test_golden_numbers_on_the_sample(
    load: Any, rule: str, n: int, total: float, ratio: float, fall: float | None, switches: int | None
) -> None:
    strategy = {"held": buy_and_hold, "sma": sma_filter, "quiet": Quiet.strategy}[rule]()
    run = golden(load(), strategy, start=5030 - n)
    assert len(run.arrays.returns) == n
    assert round(100 * total_return(run.arrays.equity), 4) == total
    assert round(sharpe(run.arrays.returns, 252.0), 5) == ratio
    if fall is not None:
        assert round(100 * max_drawdown(run.arrays.equity), 4) == fall
    if switches is not None:
        held = run.arrays.table[1:, 2] > 0.5
        assert int(np.sum(held[1:] != held[:-1])) == switches


def test_positions_known_a_day_early_show_what_the_anchors_say(shared: Path, spy: History) -> None:
    """The same positions with no lag: +5352 % and Sharpe 2.39, the size of a look-ahead of one bar."""
    predicted = pd.read_parquet(shared / PREDICTIONS)["pred"].to_numpy()
    held = scan(bg.Machine(strategy=buy_and_hold(), start="2005-04-27", terms=bg.Terms(**PAPER)), spy)
    early = held.arrays.returns * (predicted[1:] == 0)
    assert round(100 * float(np.prod(1.0 + early) - 1.0)) == 5352
    assert round(sharpe(early, 252.0), 2) == 2.39
