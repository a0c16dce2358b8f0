"""The report is one file that works offline, says what the numbers say, and survives any run."""

from __future__ import annotations

import base64
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from barograph.errors import DataError
from barograph.execution import events
from barograph.report import compare_report, read_run, tables, write_report
from barograph.report import orders as intent
from barograph.report.figures import dates, run_figures, spans, thin, timeline
from barograph.report.trading import trade_words
from barograph.report.words import bound_words, comparison, verdict
from tests.fakes.runs import closes, fake_run


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(fake_run(tmp_path_factory.mktemp("runs") / "filter")).read_text(encoding="utf-8")


def data(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', page, re.DOTALL)
    assert found
    return dict(json.loads(found.group(1)))


def own(page: str) -> str:
    """The page without plotly.js."""
    scripts = sorted(re.findall(r"<script>.*?</script>", page, re.DOTALL), key=len)
    return page.replace(scripts[-1], "")


def test_the_page_needs_nothing_else(page: str) -> None:
    assert not re.search(r"https?:|//cdn|@import|<link(?! rel=\"icon\" href=\"data:)|<img|src=", own(page))
    assert page.count("plotly.js v") == 1
    assert "Plotly.react" in own(page)


def test_every_figure_has_a_place(page: str) -> None:
    wanted = {"equity", "drawdown", "prices", "exposure", "probabilities", "volatilities", "persistences"}
    wanted |= {"rolling", "rolling_volatility", "rolling_beta", "yearly", "spread"}
    assert set(data(page)["figures"]) == wanted
    assert all(page.count(f'id="{name}"') == 1 for name in wanted)


def test_the_page_says_what_matters(page: str) -> None:
    for said in (
        "Against buy and hold it ",
        "barograph run config.toml",
        "no volume in this bar",
        "3 sessions without a bar",
        "regime 1 looks like neither of the two before",
        "1 of 6 refits could not be matched convincingly",
        "1 of 6 fits did not converge",
        "did not converge",
        "Where the profit came from",
    ):
        assert said in page, said


def cells(table: tables.Table) -> list[tuple[str, ...]]:
    return [row.cells for row in table.rows]


def test_unfilled_intent_is_told_by_reason(tmp_path: Path) -> None:
    run = read_run(fake_run(tmp_path / "intent"))
    total = len(run.tables["orders"])
    share = f"{100 / total:.1f} %"
    assert [row[0] for row in cells(intent.unfilled(run))] == ["market", "market", "take profit (limit)"]
    found = {row[:6] for row in cells(intent.unfilled(run))}
    assert ("market", "cancelled", "no volume in this bar", "1", share, "100.0 % of equity") in found
    assert ("take profit (limit)", "expired", "its day is over", "1", share, "9,500 of value") in found
    assert ("market", "filled", "less than one lot", "1", share, "80.00 units") in found
    assert len(found) == 3


def test_order_kinds_are_counted_by_how_they_ended(tmp_path: Path) -> None:
    run = read_run(fake_run(tmp_path / "kinds"))
    total = len(run.tables["orders"])
    table = intent.kinds(run)
    assert table.columns == ("order", "all", "filled", "cancelled", "expired", "in part")
    assert cells(table) == [
        ("market", str(total - 2), str(total - 3), "1", "0", "1"),
        ("take profit (limit)", "1", "0", "0", "1", "0"),
        ("stop loss (stop)", "1", "0", "1", "0", "0"),
    ]
    given = total - 2
    assert intent.intent_words(run) == (
        f"{given} orders were given; {100 * (given - 2) / given:.1f} % filled as wanted. "
        "2 protective legs stood by them; 1 ended without being needed."
    )


def test_what_a_margin_call_closed_is_counted_apart(tmp_path: Path) -> None:
    run = read_run(fake_run(tmp_path / "called"))
    run.tables["orders"].loc[5, ["role", "reason"]] = ["liquidation", "margin call"]
    assert intent.intent_words(run).endswith("1 ended without being needed. 1 liquidation followed margin calls.")


def test_what_was_taken_off_a_position_still_held_is_no_round_trip(tmp_path: Path) -> None:
    run = read_run(fake_run(tmp_path / "trips"))
    trips = run.tables["trades"]
    finished = int((~trips["open"]).sum())
    assert trade_words(run).startswith(f"{finished} round trips finished")
    part = trips.iloc[[0]]
    held = part.assign(open=True, exit_ts=pd.NaT)
    run.tables["trades"] = pd.concat([part, held])
    assert trade_words(run) == ("No round trip was finished. 1 still open at the end, 1 of them closed in part.")


def test_what_befell_the_account_is_told_and_marked(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "befell")
    run, page = read_run(folder), write_report(folder).read_text()
    rows = {row[0]: row for row in cells(intent.events(run))}
    assert rows["a dividend was paid"][1:5] == ("SPY", "", "1", "150")
    assert rows["a guard began to hold"][2:5] == ("drawdown limit", "1", "")
    assert rows["equity fell below the warning level"][2] == ""
    assert [*rows] == [*intent.SAID.values()]
    for said in ("The margin was called once.", "Guards began to hold once", "Marks: margin, guards, actions."):
        assert said in page, said
    drawn = {line["name"]: line for line in data(page)["figures"]["equity"]["data"] if line.get("mode") == "markers"}
    assert {name: len(line["x"]) for name, line in drawn.items()} == {"margin": 2, "guards": 2, "actions": 3}
    assert drawn["guards"]["text"][0] == "guard drawdown limit"
    when = run.tables["events"].query("event == 'margin_call'").ts.iloc[0]
    growth = run.equity[run.ts.searchsorted(when)] / run.equity[0]
    y = np.frombuffer(base64.b64decode(drawn["margin"]["y"]["bdata"]), dtype="<f4")
    assert (drawn["margin"]["x"][1], y[1]) == (f"{when:%Y-%m-%d}", pytest.approx(growth, rel=1e-6))


def test_the_gravest_comes_first_and_an_empty_column_is_left_out(tmp_path: Path) -> None:
    run = read_run(fake_run(tmp_path / "grave"))
    chosen = run.tables["events"]["event"].isin(["guard", "released", "margin_call"])
    run.tables["events"] = run.tables["events"][chosen]
    table = intent.events(run)
    assert table.columns == ("what", "because", "times", "first", "last")
    said = ["equity fell below maintenance", "a guard began to hold", "a guard let go"]
    assert [row[0] for row in cells(table)] == said


def test_every_event_has_words() -> None:
    assert set(intent.SAID) == {word for code, word in events.EVENTS.items() if code >= events.TRIGGERED}


def test_marks_are_thinned_and_say_so(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "many")
    ts = pd.read_parquet(folder / "equity.parquet")["ts"]
    paid = pd.read_parquet(folder / "events.parquet").iloc[[0] * 1500].assign(ts=ts.iloc[:1500].to_numpy())
    paid.to_parquet(folder / "events.parquet", index=False)
    page = write_report(folder).read_text()
    drawn = next(line for line in data(page)["figures"]["equity"]["data"] if line.get("mode") == "markers")
    assert 300 < len(drawn["x"]) <= 400
    assert "actions (about 400 of 1,500)" in page


PATHS = {"pessimistic": -0.1, "nearest": 0.05, "optimistic": 0.2}


def bounded(flips: list[str], resting: bool = True, stopped: dict[str, str] | None = None) -> dict[str, Any]:
    measures = ("total_return", "cagr", "sharpe", "max_drawdown")
    paths = {path: dict.fromkeys(measures, value) for path, value in PATHS.items()}
    return {"paths": paths, "resting": resting, "flips": flips, "stopped": stopped or {}}


def test_bounds_are_shown_and_a_flip_is_flagged(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "flips", bounds=bounded(["sign", "hold"]))
    page = write_report(folder).read_text()
    flip = "The verdict flips: whether it earned anything and whether it beat buy and hold depend on the way"
    assert page.count(flip) == 2
    assert page.index(flip) < page.index("<h2>Equity</h2>")
    run = read_run(folder)
    assert cells(intent.bound_table(run))[0] == ("Total return", "[−10.0 %, 20.0 %]", "5.0 %")
    assert "bounds" not in run.metrics


def test_paths_that_agree_and_paths_the_wrong_way_round_are_told() -> None:
    same = bounded([])
    same["paths"] = {path: dict.fromkeys(same["paths"][path], 0.1) for path in same["paths"]}
    assert bound_words(same) == "Orders rested inside bars, and every path through them gives the same figures."
    turned = bounded([])
    turned["paths"] |= {"pessimistic": turned["paths"]["optimistic"], "optimistic": turned["paths"]["pessimistic"]}
    assert bound_words(turned).startswith("The verdict is the same on every path through the bars. The optimistic path")
    assert "optimistic" not in bound_words(bounded([]))


def test_bounds_without_resting_orders_are_one_sentence(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "one", bounds=bounded([], resting=False))
    page = write_report(folder).read_text()
    assert page.count("are one and the same run") == 1
    assert "[pessimistic, optimistic]" not in page
    assert "<h2>Bounds</h2>" not in write_report(fake_run(tmp_path / "none")).read_text()


def test_a_path_that_ended_early_is_flagged(tmp_path: Path) -> None:
    page = write_report(fake_run(tmp_path / "ruin", bounds=bounded([], stopped={"pessimistic": "ruined"}))).read_text()
    assert page.count("On the pessimistic path the run ended early: ruined.") == 2


def test_text_is_escaped(page: str) -> None:
    assert "a &lt; b &amp; &lt;/script&gt;" in page


def test_a_name_cannot_end_the_script(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "evil", bars=60)
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"name": "</script><b>"}))
    page = write_report(folder).read_text()
    assert data(page)["figures"]["equity"]["data"][-1]["name"] == "</script><b>"
    assert "</script><b>" not in page


def test_months_compound_to_years_and_midnight_ends_a_month(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "months", bars=5)
    days = ["2023-12-01", "2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]
    ts = pd.Series(pd.to_datetime(days, utc=True)).dt.as_unit("us")
    for name, path in (("equity", [100.0, 110.0, 99.0, 108.9, 108.9]), ("benchmark", [1.0, 1.0, 2.0, -1.0, -2.0])):
        table = pd.read_parquet(folder / f"{name}.parquet").assign(ts=ts, equity=path)
        table.to_parquet(folder / f"{name}.parquet", index=False)
    rows = tables.months(read_run(folder))
    texts = [[cell["text"] for cell in row["cells"]] for row in rows]
    assert [row["year"] for row in rows] == [2023, 2024]
    assert texts[0][10:] == ["0.0", "10.0", "10.0", "0.0"]
    assert texts[1] == ["−10.0", "10.0", "0.0", *[""] * 9, "−1.0", ""]


def test_a_run_without_a_model_has_no_regime_parts(tmp_path: Path) -> None:
    page = write_report(fake_run(tmp_path / "hold", states=1)).read_text()
    assert set(data(page)["figures"]) == {
        "equity", "drawdown", "prices", "exposure", "rolling", "rolling_volatility", "rolling_beta", "yearly", "spread"
    }  # fmt: skip
    assert "regime" not in re.sub(
        r"<style>.*?</style>|<pre>.*?</pre>|<details>.*?</details>", "", own(page), flags=re.S
    )


@pytest.mark.parametrize("bars", [1, 2, 3, 40, 300])
@pytest.mark.parametrize("states", [1, 2])
def test_short_runs(tmp_path: Path, bars: int, states: int) -> None:
    page = write_report(fake_run(tmp_path / "short", bars=bars, states=states)).read_text()
    assert "NaN" not in json.dumps(data(page))
    assert "nan" not in own(page).lower().replace("financ", "").replace("maintenance", "")


def test_no_fill_is_said(tmp_path: Path) -> None:
    page = write_report(fake_run(tmp_path / "idle", bars=300, trading=False)).read_text()
    assert "No order was ever filled" in page
    assert "No order was given" in page


def test_a_ruined_account_is_drawn(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "ruin", bars=400)
    table = pd.read_parquet(folder / "equity.parquet")
    table.loc[300:, "equity"] = -5.0
    table.to_parquet(folder / "equity.parquet", index=False)
    page = write_report(folder).read_text()
    assert "The account was ruined" in page
    assert data(page)["figures"]["equity"]["layout"]["yaxis2"]["type"] == "linear"


@pytest.mark.parametrize("states", [2, 3, 5])
def test_many_assets_and_regimes(tmp_path: Path, states: int) -> None:
    page = write_report(fake_run(tmp_path / "many", bars=400, states=states, assets=30)).read_text()
    figures = data(page)["figures"]
    shown = [line["name"] for line in figures["exposure"]["data"]]
    assert len(shown) == 6
    assert shown[-1] == "25 others"
    assert len(figures["probabilities"]["data"]) == states


def test_regimes_are_called_as_the_model_calls_them(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "named", bars=300)
    assert read_run(folder).regime_names == ("0 calm", "1 turbulent")
    told = {"summary": {"labels": ["up", "down"]}, "refused": ""}
    run = replace(read_run(folder), fits=[told])
    assert run.regime_names == ("up", "down")
    assert [line["name"] for line in run_figures(run, timeline(run))["probabilities"]["data"]] == ["up", "down"]


def test_size(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "long", bars=5031)
    write_report(folder)
    out = write_report(folder)
    assert out.stat().st_size < 6e6
    assert [path.name for path in folder.glob(".*")] == []


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "again", bars=300)
    assert write_report(folder).read_bytes() == write_report(folder).read_bytes()


def test_every_turbulent_span_is_shaded(tmp_path: Path) -> None:
    run = read_run(fake_run(tmp_path / "sum", bars=900))
    line = timeline(run)
    shade = run_figures(run, line)["equity"]["data"][0]
    turbulent = run.regimes[:-1] == 1
    starts = int(np.count_nonzero(np.diff(turbulent, prepend=False) & turbulent))
    assert len(shade["x"]) == 4 * starts


@pytest.mark.parametrize("name", ["equity.parquet", "metrics.json", "config.toml", "manifest.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = fake_run(tmp_path / "holed", bars=50)
    (folder / name).unlink()
    with pytest.raises(DataError, match=re.escape(name)) as caught:
        write_report(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["equity.parquet", "metrics.json"])
def test_a_broken_file_is_named(tmp_path: Path, name: str) -> None:
    folder = fake_run(tmp_path / "broken", bars=50)
    (folder / name).write_text("{not a table")
    with pytest.raises(DataError, match=re.escape(name)) as caught:
        write_report(folder)
    assert "\n" not in str(caught.value)


def test_compare_lays_runs_side_by_side(tmp_path: Path) -> None:
    folders = [fake_run(tmp_path / "runs" / name, bars=600, states=k) for name, k in (("filter", 2), ("hold", 1))]
    page = compare_report(folders, tmp_path / "compare.html").read_text()
    assert 'href="runs/filter/report.html"' in page
    assert len(data(page)["figures"]["equity"]["data"]) == 3
    assert not re.search(r"https?:", own(page))
    with pytest.raises(DataError, match="no run folder"):
        compare_report([], tmp_path / "none.html")


def test_runs_on_different_markets_say_so(tmp_path: Path) -> None:
    folders = [fake_run(tmp_path / name, bars=200, seed=seed) for name, seed in (("a", 0), ("b", 1))]
    page = compare_report(folders, tmp_path / "c.html").read_text()
    assert "They trade different markets: each has its own buy and hold." in page
    assert '<td class="text"><i class="key"' in page
    assert page.count("buy and hold, as for fake-a") == 3
    alike = compare_report([folders[0], folders[0]], tmp_path / "d.html").read_text()
    assert "different markets" not in alike
    assert "as for" not in own(alike)


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [fake_run(tmp_path / place / "same", bars=60) for place in ("a", "b")]
    for folder, place in zip(folders, "ab", strict=True):
        folder.rename(tmp_path / f"run-{place}")
    page = compare_report([tmp_path / "run-a", tmp_path / "run-b"], tmp_path / "c.html").read_text()
    assert ">run-a</a>" in page
    assert ">run-b</a>" in page


def test_thinning_keeps_the_extremes() -> None:
    path = np.cumsum(np.random.default_rng(0).standard_normal(100_000))
    rows = thin(path, 6000)
    assert len(rows) <= 6000
    assert {0, 99_999, int(path.argmin()), int(path.argmax())} <= set(rows.tolist())
    assert np.array_equal(thin(path[:50], 50), np.arange(50))


def test_spans_cover_every_bar_once() -> None:
    regimes = np.random.default_rng(0).integers(0, 3, 5000)
    exact = spans(regimes, 10_000)
    assert np.array_equal(np.concatenate([[k] * (end - first) for k, first, end in exact]), regimes)
    few = spans(regimes, 100)
    assert len(few) <= 100
    assert few[0][1] == 0
    assert few[-1][2] == 5000
    assert all(a[2] == b[1] for a, b in itertools.pairwise(few))


def test_dates_say_which_day_a_bar_ends() -> None:
    midnight = pd.Series(pd.to_datetime(["2024-01-02", "2024-01-03", "2024-01-04"], utc=True))
    assert dates(midnight) == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert dates(closes(2)) == ["1999-01-04", "1999-01-05"]
    # Two markets a day: seven hours apart and then seventeen, and one day with a single close.
    two = pd.Series(pd.to_datetime(["2024-01-02 04:00", "2024-01-02 21:00", "2024-01-03 21:00"], utc=True))
    assert dates(two)[:2] == ["2024-01-02 04:00:00", "2024-01-02 21:00:00"]
    assert dates(two[:1], two) == ["2024-01-02 04:00:00"]
    assert dates(closes(3, "h"))[1] == "1999-01-04 01:00:00"


def test_words_decide_only_when_the_interval_does() -> None:
    base = {"sharpe": 0.5, "sharpe_low": 0.1, "sharpe_high": 0.9, "sharpe_difference": 0.3, "years": 20.0}
    undecided = verdict(base | {"sharpe_difference_low": -0.1, "sharpe_difference_high": 0.7})
    better = verdict(base | {"sharpe_difference_low": 0.1, "sharpe_difference_high": 0.7})
    worse = verdict(base | {"sharpe_difference_low": -0.7, "sharpe_difference_high": -0.1})
    assert "does not decide" in undecided
    assert "above 0" in better
    assert "below 0" in worse
    assert "too few" in verdict(base | {"years": 2.0})
    assert "too few" not in undecided


def test_words_of_a_comparison() -> None:
    run = {"sharpe": 0.5, "sharpe_difference_low": 0.1, "sharpe_difference_high": 0.4}
    assert "a better" in comparison({"a": run, "b": run | {"sharpe_difference_low": -0.1}})
    assert "nothing can be compared" in comparison({"a": {"sharpe": None}})


def test_a_report_of_several_beliefs_tells_them_apart(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "each", bars=400)
    beliefs = pd.read_parquet(folder / "beliefs.parquet")
    turned = beliefs.assign(p_0=beliefs["p_1"], p_1=beliefs["p_0"], regime=1 - beliefs["regime"])
    long = pd.concat([beliefs.assign(symbol="SPY"), turned.assign(symbol="GLD")]).sort_values("ts", kind="stable")
    long.to_parquet(folder / "beliefs.parquet", index=False)
    run = read_run(folder)
    assert (run.each, run.states) == (True, 2)
    shares = {row.cells[0]: row.cells[1:] for row in tables.regimes(run).rows}  # type: ignore[union-attr]
    assert shares["SPY"][0] == shares["GLD"][1] != shares["SPY"][1]
    assert shares["SPY"][2] == shares["GLD"][2] != "0"
    page = write_report(folder).read_text(encoding="utf-8")
    assert "Regimes, asset by asset" in page
    assert "Where the profit came from" not in page
    assert "A line an asset" in page
