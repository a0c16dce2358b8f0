"""Metrics against their definitions, published numbers and the edges where nothing can be told."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from barograph.errors import DataError
from barograph.metrics import formulas as m
from barograph.metrics.attribution import COLUMNS, attribute, sizing_regimes
from barograph.metrics.drawdown import deepest_drawdown, max_drawdown
from barograph.metrics.measure import measure
from barograph.metrics.trips import COLUMNS as TRADES
from barograph.report import read_run, tables, write_report
from barograph.report.words import number
from tests import ROOT
from tests.fakes.runs import fake_run, fake_tables
from tests.metrics.test_trades import eventful_run

Tables = dict[str, pd.DataFrame]


def random_equity(seed: int = 0, bars: int = 1000) -> np.ndarray:
    return 100 * np.cumprod(np.r_[1.0, 1 + np.random.default_rng(seed).normal(4e-4, 0.011, bars)])


@pytest.fixture
def run_tables() -> Tables:
    return fake_tables(1500, 2, 1, True, 0)


@pytest.mark.parametrize(
    ("name", "total", "sharpe", "fall"),
    [("sp500", 1.041243, 0.28274, -0.567754), ("nasdaq", 2.005040, 0.34422, -0.779324)],
)
def test_buy_and_hold_of_the_sample_data(name: str, total: float, sharpe: float, fall: float) -> None:
    data = pytest.importorskip("arch.data." + name)
    close = data.load()["Adj Close"].to_numpy(np.float64)
    returns = m.simple_returns(close)
    assert returns.size == 5030
    assert m.total_return(close) == pytest.approx(total, abs=5e-7)
    assert m.sharpe(returns, 252) == pytest.approx(sharpe, abs=5e-6)
    assert max_drawdown(close) == pytest.approx(fall, abs=5e-7)


def test_the_published_buy_and_hold(shared: Path) -> None:
    table = pd.read_parquet(shared / "deepregime" / "spy.parquet")
    day = pd.to_datetime(table[("date", "")])
    close = table.loc[day.between("2005-04-27", "2024-12-31"), ("Close", "SPY")].to_numpy(np.float64)
    returns = m.simple_returns(close)
    assert returns.size == 4953
    assert m.total_return(close) == pytest.approx(6.3550, abs=5e-5)
    assert m.sharpe(returns, 252) == pytest.approx(0.6265, abs=5e-5)
    assert m.mean_return(returns) == pytest.approx(0.000476, abs=5e-7)
    assert m.volatility(returns, 1) == pytest.approx(0.012052, abs=5e-7)
    assert max_drawdown(close) == pytest.approx(-0.5519, abs=5e-5)


def test_ratios_are_their_definitions() -> None:
    r = m.simple_returns(random_equity())
    rf = 1.03 ** (1 / 252) - 1
    spread = math.sqrt(sum((x - r.mean()) ** 2 for x in r) / (len(r) - 1))
    downside = math.sqrt(sum(min(x - rf, 0) ** 2 for x in r) / len(r))
    assert m.sharpe(r, 252, 0.03) == pytest.approx((r.mean() - rf) / spread * 252**0.5, rel=1e-12)
    assert m.sortino(r, 252, 0.03) == pytest.approx((r.mean() - rf) / downside * 252**0.5, rel=1e-12)
    assert m.volatility(r, 252) == pytest.approx(spread * 252**0.5, rel=1e-12)


def test_growth_and_calmar() -> None:
    equity = random_equity(1, 504)
    growth = (equity[-1] / equity[0]) ** 0.5 - 1
    assert m.cagr(equity, 252) == pytest.approx(growth, rel=1e-12)
    assert m.calmar(equity, 252) == pytest.approx(growth / -max_drawdown(equity), rel=1e-12)


def test_drawdown_by_brute_force() -> None:
    equity = random_equity(2, 300)
    pairs = [(equity[j] / equity[i] - 1, i, j) for i in range(len(equity)) for j in range(i, len(equity))]
    deepest, peak, trough = min(pairs)
    found = deepest_drawdown(equity)
    assert (found.peak, found.trough) == (peak, trough)
    assert found.depth == pytest.approx(deepest, rel=1e-12)
    above = [t for t in range(trough, len(equity)) if equity[t] >= equity[peak]]
    assert found.end == (above[0] if above else len(equity) - 1)
    assert found.recovered == bool(above)


def test_the_starting_point_is_a_peak() -> None:
    assert max_drawdown(np.array([100.0, 90.0, 95.0])) == pytest.approx(-0.1)
    assert deepest_drawdown(np.array([100.0, 90.0, 95.0]))[1:] == (0, 1, 2, False)


def test_touching_the_peak_is_a_recovery() -> None:
    assert deepest_drawdown(np.array([100.0, 50.0, 100.0, 120.0])).end == 2


def test_exposure_leaves_out_the_starting_point(run_tables: Tables) -> None:
    run_tables["equity"]["gross"] = np.arange(1500.0)
    assert measure(run_tables, 252, intervals=False)["exposure"] == 750


def test_tail_losses_by_sorting() -> None:
    r = m.simple_returns(random_equity(3))
    worst = np.sort(r)[:50]
    assert m.value_at_risk(r, 0.95) == -worst[-1]
    assert m.expected_shortfall(r, 0.95) == pytest.approx(-worst.mean(), rel=1e-12)


def test_alpha_and_beta_of_a_known_line() -> None:
    market = m.simple_returns(random_equity(4))
    ours = 0.0001 + 0.5 * market
    assert m.beta(ours, market) == pytest.approx(0.5, rel=1e-9)
    assert m.alpha(m.mean_return(ours), m.beta(ours, market), market, 252) == pytest.approx(0.0252, rel=1e-9)


def test_what_cannot_be_told_is_nan() -> None:
    flat, point = np.full(50, 100.0), np.array([100.0])
    steady = 100 * 1.0001 ** np.arange(500)
    for equity in (flat, point, steady):
        returns = m.simple_returns(equity)
        assert math.isnan(m.sharpe(returns, 252))
        assert math.isnan(m.skew(returns))
        assert math.isnan(m.calmar(equity, 252))
        assert math.isnan(m.sortino(returns, 252))
    assert math.isnan(m.cagr(point, 252))
    assert math.isnan(m.volatility(m.simple_returns(point), 252))
    assert m.volatility(m.simple_returns(flat), 252) == 0
    assert m.total_return(point) == max_drawdown(point) == 0


def test_ruin_ends_the_returns() -> None:
    equity = np.array([100.0, 50.0, -10.0, -20.0, 5.0])
    assert m.simple_returns(equity).tolist() == pytest.approx([-0.5, -1.2])
    assert m.cagr(equity, 252) == -1
    assert max_drawdown(equity) == pytest.approx(-1.2)


def test_measure_has_the_same_keys_for_every_run(run_tables: Tables) -> None:
    whole = measure(run_tables, 252)
    short = measure({name: t.iloc[:1] for name, t in run_tables.items()}, 252)
    still = measure({**run_tables, "equity": run_tables["equity"].assign(equity=1.0)}, 252)
    assert list(whole) == list(short) == list(still)
    for found in (whole, short, still):
        json.dumps(found, allow_nan=False)
    assert short["cagr"] is None
    assert short["total_return"] == 0
    assert still["sharpe"] is None
    assert all(value is not None for value in whole.values())


def test_measured_numbers_are_the_formulas(run_tables: Tables) -> None:
    found = measure(run_tables, 252, rf=0.02, intervals=False)
    equity, fills = run_tables["equity"], run_tables["fills"]
    money = equity["equity"].to_numpy()
    years = 1499 / 252
    assert found["years"] == pytest.approx(years)
    assert found["sharpe"] == m.sharpe(m.simple_returns(money), 252, 0.02)
    assert found["exposure"] == pytest.approx(equity["gross"].iloc[1:].mean())
    assert found["fees"] == pytest.approx(fills["fee"].sum())
    assert found["costs"] == pytest.approx(fills["fee"].sum() + fills["slippage"].sum())
    rows = [int(np.flatnonzero(equity["ts"] == ts)[0]) for ts in fills["ts"]]
    before = np.array([money[row - 1] for row in rows])
    traded = (fills["quantity"] * fills["price"]).abs().to_numpy()
    assert found["turnover"] == pytest.approx((traded / before).sum() / years, rel=1e-12)
    assert found["slippage_rate"] == pytest.approx((fills["slippage"].to_numpy() / before).sum() / years, rel=1e-12)
    regimes = run_tables["beliefs"]["regime"].to_numpy()
    assert found["regime_switches"] == np.count_nonzero(regimes[1:] != regimes[:-1])
    assert found["sharpe_low"] is None


def test_without_a_model_there_are_no_switches() -> None:
    found = measure(fake_tables(300, 1, 1, True, 0), 252, intervals=False)
    assert found["regime_switches"] is None


def test_an_equity_that_is_no_number_is_refused(run_tables: Tables) -> None:
    run_tables["equity"].loc[7, "equity"] = math.nan
    with pytest.raises(DataError, match="row 7"):
        measure(run_tables, 252)


@pytest.mark.parametrize("seed", range(20))
def test_parts_add_up_to_the_total(seed: int) -> None:
    run = fake_tables(2000, 2 + seed % 3, 1, True, seed)
    parts = attribute(run["equity"], run["beliefs"], run["fills"], 252)
    money = run["equity"]["equity"].to_numpy()
    total = money[-1] - money[0]
    assert abs(math.fsum(parts["profit"]) - total) <= 1e-12 * parts["profit"].abs().max()
    assert parts["bars"].sum() == 1999
    assert parts["share"].sum() == pytest.approx(1, rel=1e-12)
    costs = math.fsum(run["equity"]["fees"]) + math.fsum(run["fills"]["slippage"])
    assert math.fsum(parts["costs"]) == pytest.approx(costs, rel=1e-12)
    assert tuple(parts.columns) == COLUMNS


def test_a_bar_belongs_to_the_regime_that_sized_it(run_tables: Tables) -> None:
    regimes = sizing_regimes(run_tables["equity"], run_tables["beliefs"])
    assert np.array_equal(regimes, run_tables["beliefs"]["regime"].to_numpy()[:-1])
    late = run_tables["beliefs"].iloc[100:]
    assert (sizing_regimes(run_tables["equity"], late)[:100] == -1).all()
    assert np.array_equal(sizing_regimes(run_tables["equity"], late)[100:], regimes[100:])


def test_attribution_of_a_run_with_actions_and_short_fees_sums_to_its_total() -> None:
    run = eventful_run()
    beliefs = run.tables["beliefs"].assign(regime=np.arange(len(run.arrays.equity)) // 7 % 3)
    parts = attribute(run.tables["equity"], beliefs, run.tables["fills"], 252)
    assert len(parts) == 3
    total = run.arrays.equity[-1] - run.arrays.equity[0]
    assert math.fsum(parts["profit"]) == pytest.approx(total, abs=1e-12 * parts["profit"].abs().max() * 4)
    assert math.fsum(parts["costs"]) == pytest.approx(run.metrics["costs"], rel=1e-12)
    assert run.metrics["dividends"] != 0.0


def crowded(run_tables: Tables, hours: tuple[int, ...] = (6, 8, 21)) -> Tables:
    """The same run with three closes a day, those of three markets; none on weekends."""
    days = pd.bdate_range("2015-01-01", periods=1 + 1500 // len(hours))
    every = pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in days for hour in hours], tz="UTC")
    new = pd.Series(every.as_unit("us")[:1500], index=run_tables["equity"]["ts"])
    kept = {name: table for name, table in run_tables.items() if "ts" in table}
    moved = {name: table["ts"].map(new).astype("datetime64[us, UTC]") for name, table in kept.items()}
    return {name: table.assign(ts=moved[name]) for name, table in kept.items()}


def test_over_several_markets_returns_are_those_of_days(run_tables: Tables) -> None:
    crowd = crowded(run_tables)
    found = measure(crowd, 252, by_day=True, calendars=3)
    ends = np.r_[0, np.arange(5, 1500, 3)]
    days = {name: table.iloc[ends] if name in ("equity", "benchmark") else table for name, table in crowd.items()}
    years = (crowd["equity"]["ts"].iloc[-1] - crowd["equity"]["ts"].iloc[0]).total_seconds() / 86400 / 365.25
    wanted = measure(days, 499 / years)
    assert (found["bars"], found["returns"], found["calendars"]) == (1499, 499, 3)
    assert found["years"] == pytest.approx(years)
    names = ["cagr", "mean_return", "volatility", "sharpe", "sortino", "value_at_risk", "expected_shortfall", "skew"]
    names += ["hit_rate", "alpha", "beta", "benchmark_cagr", "benchmark_volatility", "benchmark_sharpe", "excess_cagr"]
    names += ["sharpe_low", "sharpe_high"]
    names += ["sharpe_difference", "sharpe_difference_low", "sharpe_difference_high"]
    for name in names:
        assert found[name] == pytest.approx(wanted[name], rel=1e-12), name
    money = crowd["equity"]["equity"].to_numpy()
    assert found["max_drawdown"] == max_drawdown(money)
    assert found["calmar"] == pytest.approx(found["cagr"] / -max_drawdown(money), rel=1e-12)
    whole = measure(run_tables, 252, intervals=False)
    assert found["turnover"] == pytest.approx(whole["turnover"] * 1499 / 252 / years)


def test_closes_of_a_single_day_tell_nothing_of_a_year(run_tables: Tables) -> None:
    few = {name: table.iloc[:2] for name, table in crowded(run_tables).items()}
    found = measure(few, 252, by_day=True)
    assert (found["returns"], found["years"], found["cagr"], found["sharpe"]) == (0, 0.0, None, None)
    assert found["total_return"] is not None


def test_the_parts_of_days_are_those_of_the_whole(run_tables: Tables) -> None:
    """One regime is the run itself; a day that two regimes share is a day of each."""
    crowd = crowded(run_tables)
    calm = crowd["beliefs"].assign(regime=0)
    whole = measure(crowd, 252, intervals=False, by_day=True)
    part = attribute(crowd["equity"], calm, crowd["fills"], 252, by_day=True).iloc[0]
    assert part["sharpe"] == pytest.approx(whole["sharpe"], rel=1e-12)
    assert part["volatility"] == pytest.approx(whole["volatility"], rel=1e-12)
    assert part["mean"] == pytest.approx(whole["mean_return"] * whole["returns"] / whole["years"], rel=1e-12)
    turns = crowd["beliefs"].assign(regime=np.arange(1500) % 3 // 2)
    both = attribute(crowd["equity"], turns, crowd["fills"], 252, by_day=True)
    money = crowd["equity"]["equity"].to_numpy()
    bars = pd.Series(money[1:] / money[:-1] - 1.0, index=crowd["equity"]["ts"].iloc[1:].dt.date)
    # What regime 1 sized ends with a day's first close; the other two closes are regime 0's.
    assert both["hit_rate"].iloc[1] == m.hit_rate(bars.iloc[2::3].to_numpy())
    assert both["bars"].tolist() == [1000, 499]
    assert math.fsum(both["profit"]) == pytest.approx(money[-1] - money[0], rel=1e-9)


def test_the_report_attributes_by_day_where_the_run_counts_days(tmp_path: Path) -> None:
    run = read_run(fake_run(tmp_path / "run", bars=1500))
    data = {**run.manifest["data"], "by_day": True}
    run = replace(run, tables=crowded(run.tables), manifest={**run.manifest, "data": data})
    parts = attribute(run.tables["equity"], run.tables["beliefs"], run.tables["fills"], 252, by_day=True)
    shown = tables.regimes(run)
    assert shown
    assert [row.cells[7] for row in shown.rows[:2]] == [number(value) for value in parts["sharpe"]]


def test_bars_without_a_model_are_their_own_part(run_tables: Tables) -> None:
    run_tables["beliefs"].loc[:49, ["p_0", "p_1"]] = math.nan
    parts = attribute(run_tables["equity"], run_tables["beliefs"], run_tables["fills"], 252)
    assert parts["regime"].tolist() == [-1, 0, 1]
    assert parts["bars"].iloc[0] == 50


def test_regimes_in_the_report_add_up_too(tmp_path: Path) -> None:
    run = read_run(fake_run(tmp_path / "run", bars=700))
    shown = tables.regimes(run)
    assert shown
    assert [row.cells[0] for row in shown.rows] == ["0 calm", "1 turbulent", "all"]


def test_every_metric_and_column_is_documented(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    folder = fake_run(tmp_path / "run", bars=300)
    write_report(folder)
    run = read_run(folder)
    names = [*run.metrics, *COLUMNS, *TRADES, *(path.name for path in folder.iterdir())]
    for table in run.tables.values():
        names += [
            name if not name.startswith(("weight_", "p_", "close_")) else name.split("_")[0] + "_"
            for name in table.columns
        ]
    missing = [name for name in names if f"`{name}" not in text]
    assert missing == []


def test_switches_of_several_beliefs_are_those_of_an_asset_on_the_mean() -> None:
    ts = pd.date_range("2024-01-01", periods=5, tz="UTC")
    table = pd.DataFrame({"ts": ts.repeat(2), "symbol": ["A", "B"] * 5, "p_0": 0.5, "p_1": 0.5})
    table["regime"] = [0, 1, 1, 1, 0, 1, 0, 0, 1, 0]
    assert [m.switches(m.believed(one)) for one in m.by_asset(table).values()] == [3, 1]
    made = fake_tables(5, 2, 1, False, 0) | {"beliefs": table}
    assert measure(made, 252, intervals=False)["regime_switches"] == 2.0
    with pytest.raises(
        DataError, match="attribution: there is a belief an asset, and a bar's profit is that of several"
    ):
        sizing_regimes(pd.DataFrame({"ts": ts}), table)
