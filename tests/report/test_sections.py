"""Every figure of the report's sections is what somebody gets who computes it from the folder's tables by hand."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from barograph.metrics.drawdown import all_drawdowns, deepest_drawdown, drawdowns
from barograph.metrics.trips import round_trips
from barograph.report import Run, read_run, write_report
from barograph.report.figures import exposure_words, run_figures, timeline
from barograph.report.prices import chart_words, price_chart, what_fills_did
from barograph.report.returns import falls, rolled, rolling_beta, rolling_sharpe, rolling_volatility
from barograph.report.trading import by_symbol, trades
from barograph.report.words import percent, verdict
from tests.fakes.runs import fake_run
from tests.report.test_report import own


def test_rolling_sharpe_is_the_sharpe_of_its_window() -> None:
    equity = 100 * np.cumprod(1 + np.random.default_rng(0).normal(0, 0.01, 400))
    returns = equity[1:] / equity[:-1] - 1
    found = rolled(returns, returns, np.array([10, 100, 399]), 100, rolling_sharpe)
    assert np.isnan(found[0])
    for place, row in ((1, 100), (2, 399)):
        part = returns[row - 100 : row]
        assert found[place] == pytest.approx(part.mean() / part.std(ddof=1) * 10, rel=1e-12)


def test_rolling_volatility_and_beta_are_those_of_their_window() -> None:
    rng = np.random.default_rng(3)
    theirs = rng.normal(0, 0.01, 300)
    ours = 0.4 * theirs + rng.normal(0, 0.002, 300)
    spread, slope = (rolled(ours, theirs, np.array([49, 200]), 50, of) for of in (rolling_volatility, rolling_beta))
    part, other = ours[150:200], theirs[150:200]
    assert np.isnan([spread[0], slope[0]]).all()
    assert spread[1] == pytest.approx(part.std(ddof=1) * 50**0.5, rel=1e-12)
    assert slope[1] == pytest.approx(np.cov(part, other)[0, 1] / other.var(ddof=1), rel=1e-12)
    assert np.isnan(rolled(ours, np.zeros(300), np.array([60]), 50, rolling_beta)[0])


def amount(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-") or 0)


def test_profits_by_asset_and_interest_are_the_change_of_equity(tmp_path: Path) -> None:
    run = read_run(fake_run(tmp_path / "assets", bars=600))
    other = run.tables["trades"].assign(asset="GLD", profit=-5000.25, open=False)
    run.tables["trades"] = pd.concat([run.tables["trades"], other], ignore_index=True)
    paid = run.tables["equity"]["financing"].to_numpy().copy()
    paid[5] = 777.5
    earned = run.tables["trades"]["profit"].sum() - paid.sum()
    money = run.equity.copy()
    money[-1] = money[0] + earned
    run.tables["equity"] = run.tables["equity"].assign(financing=paid, equity=money)
    table = by_symbol(run)
    assert [row.cells[0] for row in table.rows][1:] == ["GLD", "interest and borrow fees", "all"]
    assert sum(amount(row.cells[-1]) for row in table.rows[:-1]) == pytest.approx(
        amount(table.rows[-1].cells[-1]), abs=2
    )
    for row in table.rows[:-2]:
        assert amount(row.cells[2]) + amount(row.cells[3]) == pytest.approx(amount(row.cells[-1]), abs=2)


def test_every_trade_is_told_in_order_and_of_many_the_largest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = read_run(fake_run(tmp_path / "trades"))
    own = run.tables["trades"]
    assert len(trades(run).rows) == len(own) > 5
    assert [amount(row.cells[3]) for row in trades(run).rows] == own["bars"].tolist()
    monkeypatch.setattr("barograph.report.trading.MOST_TRADES", 5)
    largest = own["profit"].abs().nlargest(5).index
    assert [row.cells[1] for row in trades(run).rows] == [f"{t:%Y-%m-%d}" for t in own.loc[sorted(largest), "entry_ts"]]


def fills_by_hand(run: Run, asset: str) -> list[str]:
    """Follow the position of an asset from fill to fill."""
    held, told = 0.0, []
    for quantity in run.tables["fills"].query("asset == @asset")["quantity"]:
        after = 0.0 if abs(held + quantity) < 1e-6 * abs(quantity) else held + quantity
        told.append("closed" if after == 0.0 else "bought" if quantity > 0 else "sold")
        held = after
    return told


def test_fills_are_marked_by_what_they_did(tmp_path: Path) -> None:
    run = read_run(fake_run(tmp_path / "marks"))
    fills = run.tables["fills"]
    run.tables["orders"]["role"] = "entry"
    assert what_fills_did(run, fills).tolist() == fills_by_hand(run, "SPY")
    run.tables["orders"].loc[3, "role"] = "stop_loss"
    assert what_fills_did(run, fills)[3] == "stopped"


def test_a_fill_that_crosses_zero_closes_nothing(tmp_path: Path) -> None:
    run = read_run(fake_run(tmp_path / "turned"))
    fills = run.tables["fills"].iloc[:3].assign(quantity=[2.0, -3.0, 1.0])
    trades = round_trips(fills)
    run.tables.update(fills=fills, trades=trades, orders=run.tables["orders"].assign(role="entry"))
    assert what_fills_did(run, fills).tolist() == ["bought", "sold", "closed"]


def test_a_menu_chooses_among_assets_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    run = read_run(fake_run(tmp_path / "menu", bars=300, assets=30))
    chart = price_chart(run, timeline(run))
    assert chart is not None
    buttons = chart["layout"]["updatemenus"][0]["buttons"]
    assert len(buttons) == 12
    assert all(len(button["args"][0]["visible"]) == len(chart["data"]) for button in buttons)
    assert sum(one.get("visible", True) for one in chart["data"]) < len(chart["data"]) / 2
    assert "12 of 30 assets" in chart_words(run)


def test_dense_exposure_is_drawn_as_mean_and_band(tmp_path: Path) -> None:
    run = read_run(fake_run(tmp_path / "dense", bars=5000))
    low, high, mean = run_figures(run, timeline(run))["exposure"]["data"]
    held = run.tables["equity"]["weight_SPY"].to_numpy()
    assert len(mean["x"]) == 500
    shown = [np.frombuffer(base64.b64decode(one["y"]["bdata"]), "<f4") for one in (low, high, mean)]
    for n in (0, 7, 499):
        part = held[10 * n : 10 * n + 10]
        assert [one[n] for one in shown] == pytest.approx([part.min(), part.max(), part.mean()], rel=1e-6)
    assert "about 10 closes" in exposure_words(run)


def test_worst_drawdowns_cover_every_bar_under_water(tmp_path: Path) -> None:
    equity = 100 * np.cumprod(1 + np.random.default_rng(5).normal(0, 0.01, 400))
    found = all_drawdowns(equity)
    under = {row for fall in found for row in range(fall.peak + 1, fall.end + (not fall.recovered))}
    assert under == set(np.flatnonzero(drawdowns(equity) < 0).tolist())
    assert found[0] == deepest_drawdown(equity)
    assert [fall.depth for fall in found] == sorted(fall.depth for fall in found)
    run = read_run(fake_run(tmp_path / "falls", bars=400))
    assert falls(run).rows[0].cells[0] == percent(run.metrics["max_drawdown"])


def test_less_than_a_year_has_no_growth_a_year(tmp_path: Path) -> None:
    short, long = (write_report(fake_run(tmp_path / str(bars), bars=bars)).read_text() for bars in (200, 300))
    assert "Growth a year" not in re.sub(r"<details>.*?</details>", "", own(short), flags=re.S)
    assert "Less than a year" in own(short)
    assert "Growth a year" in own(long)
    assert " a year" not in verdict(read_run(tmp_path / "200").metrics).partition(",")[0]


def test_very_many_bars_are_thinned_and_say_so(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "many", bars=60)
    ts = pd.Series(pd.date_range("2020-01-01", periods=60_000, freq="min", tz="UTC").as_unit("us"))
    for name in ("equity", "beliefs", "benchmark", "prices"):
        table = pd.read_parquet(folder / f"{name}.parquet")
        rows = np.arange(60_000) % len(table)
        table.iloc[rows].assign(ts=ts.to_numpy()).to_parquet(folder / f"{name}.parquet", index=False)
    page = write_report(folder)
    assert page.stat().st_size < 10e6
    assert re.search(r"[\d,]{5} of 60,000 closes are drawn", page.read_text(encoding="utf-8"))
