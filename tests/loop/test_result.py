"""A result shows itself: frames by time that are the arrays' numbers, a short name, a picture, a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import barograph as bg
from barograph.errors import ConfigError
from barograph.testing import coin, some_bars
from barograph_strategies.regime_filter import regime_filter


@pytest.fixture(scope="module")
def result() -> bg.Result:
    return bg.scan(bg.Machine(strategy=regime_filter(), filter=coin()), some_bars(300, assets=2, seed=4))


def test_frames_are_the_arrays_by_time(result: bg.Result) -> None:
    arrays = result.arrays
    when = pd.to_datetime(arrays.ts, utc=True).as_unit("us")
    assert result.equity.to_numpy().tobytes() == arrays.equity.tobytes()
    assert result.weights.to_numpy().tobytes() == arrays.weights.tobytes()
    assert result.beliefs[["p_0", "p_1"]].to_numpy().tobytes() == result.filtered.probs.tobytes()
    for frame in (result.equity, result.weights, result.beliefs, result.benchmark):
        assert frame.index.equals(pd.DatetimeIndex(when))
    assert result.weights.columns.tolist() == list(result.history.symbols)
    assert set(result.fills.index) <= set(when)
    assert len(result.fills) == result.metrics["fills"]
    assert result.trades.index.name == "entry_ts"
    assert result.benchmark.iloc[0] == result.equity.iloc[0]


def test_it_is_short(result: bg.Result) -> None:
    told = repr(result)
    assert told.startswith("<Result regime_filter: A0, A1, ")
    assert told.endswith("300 bars>")
    assert len(told) < 120
    assert "sharpe" in result._repr_html_()
    assert f"{result.metrics['sharpe']:.2f}" in result._repr_html_()


def axes(figure: Any) -> set[str]:
    return {trace.yaxis for trace in figure.data}


def test_it_draws_itself(result: bg.Result) -> None:
    figure = result.plot()
    assert len(axes(figure)) == 7
    assert {"bought", "sold", "closed"} & {trace.name for trace in figure.data}
    titles = [note.text for note in figure.layout.annotations]
    assert {"Drawdown", "Prices and trades", "Regime probabilities"} <= set(titles)
    price = next(trace for trace in figure.data if trace.name == "A0" and trace.mode == "lines" and trace.visible)
    assert len(price.x) == np.isfinite(result.history.close[:, 0]).sum()
    json.loads(figure.to_json())


def test_it_writes_its_page(result: bg.Result, tmp_path: Path) -> None:
    page = result.report(tmp_path / "mine.html")
    text = page.read_text(encoding="utf-8")
    assert "Profit by asset" in text
    assert "no config would run it again" in text
    for wrong in (tmp_path / "mine.pdf", tmp_path / "nowhere" / "a.html"):
        with pytest.raises(ConfigError, match="cannot be written"):
            result.report(wrong)


def test_profits_of_trades_less_financing_are_the_change_of_equity(result: bg.Result) -> None:
    earned = result.trades["profit"].sum() - result.tables["equity"]["financing"].sum()
    assert earned == pytest.approx(result.equity.iloc[-1] - result.equity.iloc[0], rel=1e-9)
    assert np.isfinite(result.trades[["bars", "return", "worst", "best"]].to_numpy()).all()
