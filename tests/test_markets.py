"""Several markets in one account: who trades when, what a year is, and what the order of the columns decides: nothing.

What is wanted is worked out by hand, with Python's own dates and sums, from the bars and from the tables of the run.
"""

from __future__ import annotations

import base64
import itertools
import math
import statistics
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import barograph as bg
from barograph.audit.lookahead import audit
from barograph.data.calendars import sessions
from barograph.data.closes import Closes, Timetable
from barograph.data.history import History
from barograph.loop.result import Result
from barograph.report import read_run
from barograph.report.figures import timeline
from barograph.report.returns import return_figures
from barograph.report.words import comparison, verdict
from barograph_strategies.buy_and_hold import buy_and_hold
from barograph_strategies.fixed_weights import fixed_weights
from tests.cli.test_cli import barograph

TEN = ("XNYS", "XTKS", "XLON", "XHKG", "XETR", "BVMF", "XBOM", "XASX", "XSAU", "24/7")
"""From Sydney to São Paulo; Riyadh trades on Sundays, and the last one always."""

PAIRS = list(itertools.combinations(TEN, 2))
TERMS: dict[str, Any] = {"fee": 0.0, "slippage": 0.0, "short_rate": 0.0, "borrow_rate": 0.0, "cash": 10_000.0}


@cache
def market(calendar: str, first: str = "2023-01-01", last: str = "2023-12-31") -> History:
    """One asset's daily bars: a random walk whose opens lie beside the closes before."""
    ts = sessions(calendar, np.datetime64(first), np.datetime64(last)).closes
    rng = np.random.default_rng(TEN.index(calendar))
    close = 100.0 * np.cumprod(1.0 + rng.normal(5e-4, 0.012, len(ts)))
    open_ = np.concatenate(([100.0], close[:-1])) * (1.0 + rng.normal(0.0, 0.004, len(ts)))
    high, low = np.maximum(open_, close) * 1.003, np.minimum(open_, close) * 0.997
    return History.from_arrays(
        ts, close, open_, high, low, symbols=[f"A_{calendar}"], calendar=calendar, currency="USD"
    )


@cache
def held(codes: tuple[str, ...], every: str) -> Result:
    first, *others = (market(code) for code in codes)
    weights = [1.0 / len(codes)] * len(codes)
    machine = bg.Machine(strategy=fixed_weights(weights, every=every), terms=bg.Terms(**TERMS))
    return bg.run(machine, first.join(*others))


def moment(ts: int) -> datetime:
    """Return a close of whole seconds as Python's own time."""
    return datetime.fromtimestamp(ts // 1_000_000_000, UTC)


def day(when: datetime) -> date:
    """Return the day a close belongs to: at midnight the one that ends."""
    return (when - timedelta(microseconds=1)).date()


def by_hand(closes: Sequence[datetime], equity: Sequence[float]) -> dict[str, float]:
    """Return the annual figures of an account, from nothing but its closes and its equity."""
    last_of_day = {day(when): money for when, money in zip(closes, equity, strict=True)}
    last_of_day[day(closes[0])] = equity[0]
    path = [last_of_day[when] for when in sorted(last_of_day)]
    returns = [after / before - 1.0 for before, after in itertools.pairwise(path)]
    years = (closes[-1] - closes[0]).total_seconds() / 86_400 / 365.25
    a_year = len(returns) / years
    mean, spread = statistics.fmean(returns), statistics.stdev(returns)
    downside = math.sqrt(statistics.fmean(min(r, 0.0) ** 2 for r in returns))
    return {
        "returns": len(returns),
        "years": years,
        "cagr": (equity[-1] / equity[0]) ** (1.0 / years) - 1.0,
        "volatility": spread * math.sqrt(a_year),
        "sharpe": mean / spread * math.sqrt(a_year),
        "sortino": mean / downside * math.sqrt(a_year),
        "mean_return": mean,
    }


def closes_of(equity: pd.DataFrame) -> list[datetime]:
    return [when.to_pydatetime() for when in equity["ts"]]


# --- who trades when ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", ["month", "bar"])
@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_every_asset_is_bought_when_its_market_opens(pair: tuple[str, str], every: str) -> None:
    for codes in (pair, pair[::-1]):
        result = held(codes, every)
        start = int(result.history.ts[0])
        for code in codes:
            own, fills = market(code).ts, result.tables["fills"]
            filled = [int(when.value) for when in fills.loc[fills["asset"] == f"A_{code}", "ts"]]
            assert set(filled) <= set(own.tolist())
            assert filled[0] == own[own > start][0]


def weight_at_open(result: Result, asset: int, row: int) -> tuple[float, float]:
    """Return an asset's weight, and the share of equity in cash, right after the opens of a row."""
    history, fills = result.history, result.tables["fills"]
    seen = fills[fills["ts"].map(lambda when: when.value) <= history.ts[row]]
    held = [float(seen.loc[seen["asset"] == symbol, "quantity"].sum()) for symbol in history.symbols]
    closes = [[c for c in history.close[:row, a].tolist() if c == c] for a in range(len(held))]
    opens = history.open[row].tolist()
    prices = [p if p == p else past[-1] if past else 0.0 for p, past in zip(opens, closes, strict=True)]
    cash = TERMS["cash"] - float((seen["quantity"] * seen["price"]).sum())
    equity = cash + math.fsum(q * p for q, p in zip(held, prices, strict=True))
    return held[asset] * prices[asset] / equity, cash / equity


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_a_rebalance_is_done_by_every_asset(pair: tuple[str, str]) -> None:
    """The one that grows may trade a session later, once the other has paid for it; is that one closed, it gives up."""
    for codes in (pair, pair[::-1]):
        result = held(codes, "month")
        rows, table = result.history.ts.tolist(), result.tables["equity"]
        orders = result.tables["orders"]
        asked = [order for order in orders.itertuples() if order.ts.value > rows[0]]
        assert len(asked) == 2 * 11
        for order in asked:
            at = rows.index(order.ts.value)
            mine = result.history.symbols.index(order.asset)
            own, others = (market(code).ts for code in (codes[mine], codes[1 - mine]))
            turns, paid = own[own > order.ts.value][:2].tolist(), others[others > order.ts.value][0]
            # What hardly has to move may find at its open that it has to move the other way.
            if abs(table[f"weight_{order.asset}"].iloc[at] - 0.5) < 0.015 or paid > turns[1]:
                continue
            assert (order.status, order.end_ts.value in turns) == ("filled", True), order
            weight, cash = weight_at_open(result, mine, rows.index(order.end_ts.value))
            assert weight == pytest.approx(0.5, abs=1e-9 if cash > 1e-9 else 0.01), order


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_what_is_restored_at_every_close_stays_at_its_weight(pair: tuple[str, str]) -> None:
    weights = held(pair, "bar").tables["equity"].iloc[30:]
    for code in pair:
        assert weights[f"weight_A_{code}"].between(0.4, 0.6).all()


@pytest.mark.parametrize("pair", [("XTKS", "XNYS"), ("XNYS", "24/7"), ("XASX", "XSAU")], ids="+".join)
def test_what_is_bought_once_is_bought_everywhere(pair: tuple[str, str]) -> None:
    for codes in (pair, pair[::-1]):
        first, other = (market(code) for code in codes)
        result = bg.run(bg.Machine(strategy=buy_and_hold(), terms=bg.Terms(**TERMS)), first.join(other))
        assert sorted(result.tables["fills"]["asset"]) == sorted(f"A_{code}" for code in codes)


# --- what a year is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", ["month", "bar"])
@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_annual_figures_are_those_read_by_hand(pair: tuple[str, str], every: str) -> None:
    for codes in (pair, pair[::-1]):
        result = held(codes, every)
        wanted = by_hand(closes_of(result.tables["equity"]), result.arrays.equity.tolist())
        assert {name: result.metrics[name] for name in wanted} == pytest.approx(wanted, rel=1e-9)
        hold = by_hand(closes_of(result.tables["equity"]), result.tables["benchmark"]["equity"].tolist())
        for name in ("cagr", "volatility", "sharpe"):
            assert result.metrics[f"benchmark_{name}"] == pytest.approx(hold[name], rel=1e-9)
        assert result.metrics["calendars"] == 2
        assert result.metrics["years"] == pytest.approx(1.0, abs=0.02)


def every(calendar: str, bars: str) -> History:
    """One asset's closes of 2023: every second hour of trading, or the last of a week."""
    daily = market(calendar).ts
    first, last = int(daily[0]), int(daily[-1])
    weeks = {moment(int(t) - 1).isocalendar()[:2]: int(t) for t in daily}
    ts = np.array(sorted(weeks.values())) if bars == "week" else Closes(calendar, bars).between(first, last)
    close = 100.0 * np.cumprod(1.0 + np.random.default_rng(len(ts)).normal(0.0, 0.01, len(ts)))
    return History.from_arrays(ts, close, symbols=[f"A_{calendar}"], calendar=calendar, currency="USD")


@pytest.mark.parametrize("bars", ["2h", "week"])
@pytest.mark.parametrize("pair", [("XNYS", "24/7"), ("XTKS", "XETR"), ("XSAU", "XASX")], ids="+".join)
def test_hours_and_weeks_of_two_markets_are_read_by_hand(pair: tuple[str, str], bars: str) -> None:
    for codes in (pair, pair[::-1]):
        first, other = (every(code, bars) for code in codes)
        machine = bg.Machine(strategy=fixed_weights([0.5, 0.5]), terms=bg.Terms(**TERMS))
        result = bg.run(machine, first.join(other))
        wanted = by_hand(closes_of(result.tables["equity"]), result.arrays.equity.tolist())
        assert {name: result.metrics[name] for name in wanted} == pytest.approx(wanted, rel=1e-9)
        assert result.metrics["years"] == pytest.approx(1.0, abs=0.03)


def test_who_is_joined_late_does_not_bend_the_years() -> None:
    """Two thirds of the history have one market, whose days alone are 252 a year; the run sees the last third."""
    long, late = market("XNYS", "2018-01-01"), market("24/7")
    whole = long.join(late)
    machine = bg.Machine(strategy=fixed_weights([0.5, 0.5]), terms=bg.Terms(**TERMS), start="2023-01-03")
    result = bg.run(machine, whole)
    wanted = by_hand(closes_of(result.tables["equity"]), result.arrays.equity.tolist())
    assert result.metrics["years"] == pytest.approx(wanted["years"])
    assert result.metrics["sharpe"] == pytest.approx(wanted["sharpe"])
    assert result.metrics["returns"] / result.metrics["years"] == pytest.approx(365.25, rel=0.01)
    assert whole.periods == pytest.approx(len({day(moment(int(t))) for t in whole.ts[1:]}) / 5.99, rel=0.01)


# --- what decides nothing -------------------------------------------------------------------------------------------


def told(result: Result) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in result.metrics.items()}


@pytest.mark.parametrize("every", ["month", "bar"])
@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_the_order_of_the_columns_decides_nothing(pair: tuple[str, str], every: str) -> None:
    one, other = held(pair, every), held(pair[::-1], every)
    assert one.history.calendar == other.history.calendar == "+".join(sorted(pair))
    assert told(one) == pytest.approx(told(other), rel=1e-9, abs=1e-12, nan_ok=True)


def test_the_order_of_ten_columns_decides_nothing() -> None:
    one, other = held(TEN, "month"), held(TEN[::-1], "month")
    assert one.metrics["calendars"] == 10
    assert told(one) == pytest.approx(told(other), rel=1e-6, abs=1e-9, nan_ok=True)
    assert set(one.tables["fills"]["asset"]) == {f"A_{code}" for code in TEN}


@pytest.mark.parametrize("code", TEN)
def test_a_calendar_joined_with_itself_changes_nothing(code: str) -> None:
    """Two assets of one market count its bars, as one of them does, whether joined or made in one piece."""
    one = market(code)
    twin = History.from_arrays(one.ts, one.close, one.open, one.high, one.low, symbols=["TWIN"], calendar=code)
    both = one.join(twin)
    pair = [np.hstack([getattr(h, name) for h in (one, twin)]) for name in ("close", "open", "high", "low")]
    whole = History.from_arrays(one.ts, *pair, symbols=both.symbols, calendar=code)
    assert (both.calendar, both.by_day, both.periods) == (code, False, one.periods)
    assert both.digest() == whole.digest()
    machine = bg.Machine(strategy=fixed_weights([0.5, 0.5]), terms=bg.Terms(**TERMS))
    assert bg.run(machine, both).metrics == bg.run(machine, whole).metrics


def test_where_a_rebalance_is_decided() -> None:
    """At the first close of the month of any market; what is asked then is asked of all."""
    result = held(("XTKS", "XNYS"), "month")
    decided = sorted({when.value for when in result.tables["orders"]["ts"]})
    rows = result.history.ts.tolist()
    months = [day(moment(t)).month for t in rows]
    assert decided == [rows[bisect_left(months, month)] for month in range(1, 13)]


# --- who says so ----------------------------------------------------------------------------------------------------

CONFIG = """
name = "two"
[data]
use = "barograph_adapters.files:joined"
parts = [
    { use = "barograph_adapters.files:csv", path = "A_XNYS.csv", currency = "EUR" },
    { use = "barograph_adapters.files:csv", path = "A_XTKS.csv", calendar = "XTKS", currency = "EUR" },
]
[strategy]
use = "barograph_strategies.fixed_weights:fixed_weights"
weights = [0.5, 0.5]
"""


def written(folder: Path, text: str) -> Path:
    for code in ("XNYS", "XTKS"):
        one = market(code, "2021-06-01")
        columns = {name: getattr(one, name)[:, 0] for name in ("open", "high", "low", "close")}
        days = [moment(int(t)).date() for t in one.ts]
        pd.DataFrame({"date": days, **columns}).to_csv(folder / f"A_{code}.csv", index=False)
    path = folder / "two.toml"
    path.write_text(text)
    return path


def test_a_run_over_several_calendars_says_so(tmp_path: Path) -> None:
    done = barograph("run", written(tmp_path, CONFIG), "--runs", tmp_path / "runs", "--bounds")
    assert done.returncode == 0, done.stderr
    told = "The rows of this run come from 2 calendars: each asset fills at its own market's next open, and returns are"
    assert told in done.stdout
    run = read_run(next((tmp_path / "runs").glob("*-two-*")))
    assert (run.manifest["data"]["calendar"], run.manifest["data"]["currency"]) == ("XNYS+XTKS", "EUR")
    assert (run.manifest["data"]["by_day"], run.metrics["calendars"]) == (True, 2)
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    days = f"compounded by day, {run.metrics['returns'] / run.metrics['years']:.0f} days a year."
    for words in ("in EUR", "calendar XNYS+XTKS.", f"Returns are {days}", f"next open, and returns are {days}"):
        assert words in page.replace("&#39;", "'"), words
    # The page, the other paths and the metrics count alike.
    taken = run.steps
    assert len(taken.rows) - 1 == run.metrics["returns"]
    assert taken.periods == pytest.approx(run.metrics["returns"] / run.metrics["years"])
    assert run.bounds is not None
    for name in ("cagr", "sharpe"):
        assert run.bounds["paths"]["nearest"][name] == pytest.approx(run.metrics[name], rel=1e-12)
    assert "2 calendars" not in verdict({**run.metrics, "calendars": 1})
    assert "two: on several calendars, where a year counts days." in comparison({"two": run.metrics, "one": {}})


def test_the_rolling_sharpe_ratio_is_that_of_a_year_of_days(tmp_path: Path) -> None:
    barograph("run", written(tmp_path, CONFIG), "--runs", tmp_path / "runs")
    run = read_run(next((tmp_path / "runs").glob("*-two-*")))
    drawn = return_figures(run, timeline(run))["rolling"]["data"][1]["y"]["bdata"]
    last = np.frombuffer(base64.b64decode(drawn), "<f4")[-1]
    year = by_hand(closes_of(run.tables["equity"]), run.equity.tolist())
    returns = np.diff(np.log(run.equity[run.steps.rows]))
    window = round(year["returns"] / year["years"])
    simple = np.expm1(returns[-window:])
    assert last == pytest.approx(simple.mean() / simple.std(ddof=1) * math.sqrt(window), rel=1e-5)


def test_the_audit_counts_days_too() -> None:
    result = held(("XNYS", "XTKS"), "month")
    assert audit(result.machine, result.history, cuts=1).sharpe == {"filtered": result.metrics["sharpe"]}


def test_paper_waits_for_the_closes_of_every_market() -> None:
    both = market("XTKS").join(market("XNYS"))
    wanted = [int(t) for t in both.ts if moment(int(t)).month == 2]
    first, last = (int(np.datetime64(text, "ns").astype(np.int64)) for text in ("2023-02-01", "2023-03-01"))
    due = Timetable(tuple(Closes(code, "session") for code in both.calendars))
    assert due.between(first, last).tolist() == wanted
