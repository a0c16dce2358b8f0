"""The command line as its users meet it: a folder, a table, JSON, and one line when they made a mistake."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import traceback
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

import barograph as bg
from barograph.audit.crosscheck import Agreement, Difference
from barograph.audit.peers import PEERS
from barograph.cli.app import main
from barograph.cli.audit import ENGINES
from barograph.config.build import build
from barograph.config.load import load
from barograph.config.schema import Config, Execution
from tests import ROOT
from tests.kit.blank_fits import TRAINED, with_random_weights
from tests.kit.file_shapes import SHAPES

CONFIGS = sorted((ROOT / "configs").glob("*.toml"))

SMALL = """
name = "small"
[data]
use = "barograph_adapters.files:csv"
path = "bars.csv"
calendar = "24/7"
[model]
use = "barograph_models.gaussian_hmm:gaussian_hmm"
states = 2
starts = 2
[fit]
window = 60
every = 30
[strategy]
use = "barograph_strategies.regime_filter:regime_filter"
"""


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def barograph(*words: str | Path, **environment: str) -> Done:
    """Run the command line in this process (a fresh one costs two seconds of imports), or in another environment."""
    if environment:
        code = "from barograph.cli import main; main()"
        command = [sys.executable, "-c", code, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
        return Done(done.returncode, done.stdout, done.stderr)
    out, err, code = io.StringIO(), io.StringIO(), 0
    before, sys.argv = sys.argv, ["barograph", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    except Exception:
        err.write(traceback.format_exc())
        code = 1
    finally:
        sys.argv = before
    return Done(code, out.getvalue(), err.getvalue())


def users_folder(tmp_path: Path) -> Path:
    """A config, and bars with two clear regimes."""
    rng = np.random.default_rng(5)
    calm = np.arange(160) // 20 % 2 == 0
    close = 100.0 * np.exp(np.cumsum(rng.standard_normal(160) * np.where(calm, 0.004, 0.02)))
    frame = pd.DataFrame({"date": pd.date_range("2020-01-01", periods=160), "open": close, "high": close * 1.01})
    frame = frame.assign(low=close * 0.99, close=close, volume=1000.0 + np.arange(160.0))
    frame.to_csv(tmp_path / "bars.csv", index=False)
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return users_folder(tmp_path)


def test_run_leaves_a_whole_folder_and_the_same_bytes_under_another_hash_seed(project: Path) -> None:
    folders = []
    for seed in ("1", "2"):
        done = barograph("run", project / "small.toml", "--runs", project / "runs", "--json", PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
        folders.append(Path(json.loads(done.stdout)["folder"]))
    names = {path.name for path in folders[0].iterdir()}
    tables = {
        f"{t}.parquet" for t in ("equity", "beliefs", "orders", "fills", "events", "trades", "benchmark", "prices")
    } | {"features.parquet"}
    assert names == tables | {"config.toml", "manifest.json", "metrics.json", "fits.json", "fits", "report.html"}
    for file in (folders[0] / "fits").iterdir():
        assert file.read_bytes() == (folders[1] / "fits" / file.name).read_bytes(), file.name
    for table in tables:
        assert (folders[0] / table).read_bytes() == (folders[1] / table).read_bytes(), table


def test_equity_and_fills_can_be_recomputed_by_hand(project: Path) -> None:
    done = barograph("run", project / "small.toml", "--runs", project / "runs", "--json")
    folder = Path(json.loads(done.stdout)["folder"])
    equity, fills = pd.read_parquet(folder / "equity.parquet"), pd.read_parquet(folder / "fills.parquet")
    closes = pd.read_csv(project / "bars.csv").close.to_numpy()[-len(equity) :]
    assert len(fills) > 0
    cash, units = 1_000_000.0, 0.0
    for n, row in equity.iterrows():
        cash -= row.financing
        for fill in fills[fills.ts == row.ts].itertuples():
            cash -= fill.quantity * fill.price + fill.fee
            units += fill.quantity
        assert cash + units * closes[n] == pytest.approx(row.equity, rel=1e-12)


def test_the_written_config_runs_again_to_the_same_bytes(project: Path) -> None:
    first = Path(
        json.loads(barograph("run", project / "small.toml", "--runs", project / "r", "--json").stdout)["folder"]
    )
    (project / "again.toml").write_bytes((first / "config.toml").read_bytes())
    again = Path(
        json.loads(barograph("run", project / "again.toml", "--runs", project / "r", "--json").stdout)["folder"]
    )
    assert (first / "equity.parquet").read_bytes() == (again / "equity.parquet").read_bytes()


def test_compare_audit_report_and_schema(project: Path) -> None:
    other = (project / "small.toml").read_text().replace('"small"', '"other"')
    (project / "other.toml").write_text(other)
    runs = project / "runs"
    done = barograph("compare", project / "small.toml", project / "other.toml", "--runs", runs)
    assert done.returncode == 0, done.stderr
    assert "Sharpe [95 %]" in done.stdout
    assert "Of 2 runs" in done.stdout
    assert (runs / "compare.html").is_file()
    folder = next(path for path in runs.iterdir() if path.is_dir())
    (folder / "report.html").unlink()
    assert barograph("report", folder).returncode == 0
    assert (folder / "report.html").stat().st_size > 1_000_000
    audited = barograph("audit", project / "small.toml", "--cuts", "2", "--json")
    assert audited.returncode == 0, audited.stderr
    assert json.loads(audited.stdout)["clean"] is True
    assert "strategy" in json.loads(barograph("config", "schema").stdout)["properties"]


USER_PART = """
import numpy as np
import barograph as bg
from barograph import orders

def hold(state, bars, belief, portfolio, params):
    return state, bg.Target(1.0)

def nan(state, bars, belief, portfolio, params):
    return state, bg.Target(float("nan") if bars.ts > 10**18 else 0.0)

def wrong(state, bars, belief, portfolio, params):
    return bg.Target(1.0)

def none():
    return None

def bug():
    raise ZeroDivisionError("mine")

def late(state, bars, belief, portfolio, params):
    return state, bg.Target(1.0 / (0.0 if bars.ts > 10**18 * 1.585 else 1.0))

def short(state, bars, belief, portfolio, params):
    return state, bg.Target([1.0])

@bg.kernel
def untyped(state, bars, belief, portfolio, params):
    return state, bg.Target(1.0 if bars.ts > 0 else "all")

def no_weight(state, bars, belief, portfolio, params):
    return state, bg.Protected(np.nan if bars.ts > 10**18 else 0.0, 90.0, np.nan, np.nan)

def no_price(state, bars, belief, portfolio, params):
    return state, bg.Protected(1.0, 0.0 if bars.ts > 10**18 else np.nan, np.nan, np.nan)

def no_trail(state, bars, belief, portfolio, params):
    return state, bg.Protected(1.0, np.nan, np.nan, 8.0 if bars.ts > 10**18 else 0.1)

def no_level(state, bars, belief, portfolio, params):
    return state, bg.Protected(1.0, [90.0], np.nan, np.nan)

def both(state, bars, belief, portfolio, params):
    if portfolio.quantity[0] == 0.0:
        return state, bg.Target(1.0)
    return state, bg.Protected(1.0, 90.0, np.nan, np.nan)

def no_answer(state, bars, belief, portfolio, params):
    return state, {"weight": 1.0}

def no_column(state, bars, belief, portfolio, params):
    slip = orders.slip(1)
    orders.market(slip, 1, 1.0)
    return state, slip

def no_size(state, bars, belief, portfolio, params):
    slip = orders.slip(1)
    orders.limit(slip, 0, 0.0, 50.0)
    return state, slip

def overfull(state, bars, belief, portfolio, params):
    slip = orders.slip(1)
    for price in (50.0, 51.0):
        orders.limit(slip, 0, 1.0, price)
    return state, slip

def hoarder(state, bars, belief, portfolio, params):
    slip = orders.slip(1)
    orders.limit(slip, 0, 1.0, 50.0)
    return state, slip
"""


def test_a_bare_function_beside_the_config_is_a_strategy(project: Path) -> None:
    (project / "mine.py").write_text(USER_PART)
    done = barograph(
        "run", project / "small.toml", "--set", "strategy.use=mine:hold", "--runs", project / "r", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["invested"] > 0.9


def test_missing_config_and_broken_toml(project: Path) -> None:
    assert barograph("run", project / "no.toml").returncode == 2
    (project / "bad.toml").write_text("name = ")
    done = barograph("run", project / "bad.toml")
    assert (done.returncode, "not TOML" in done.stderr) == (2, True)


def test_a_defect_of_ours_keeps_its_traceback(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("barograph.config.build.build", broken)
    done = barograph("run", project / "small.toml", "--runs", project / "runs")
    assert "Traceback" in done.stderr


def test_run_folders_that_cannot_be_made_are_known_before_anything_runs(project: Path) -> None:
    done = barograph("run", project / "small.toml", "--runs", project / "bars.csv")
    assert (done.returncode, "is not a folder that can be written to" in done.stderr) == (2, True)


def test_compare_with_one_broken_config_leaves_nothing(project: Path) -> None:
    (project / "other.toml").write_text(SMALL.replace("states = 2", "state = 2"))
    done = barograph("compare", project / "small.toml", project / "other.toml", "--runs", project / "runs")
    assert (done.returncode, (project / "runs").exists()) == (2, False)


def test_doubts_about_bars_are_told_after_a_run_on_the_error_stream(project: Path) -> None:
    frame = pd.read_csv(project / "bars.csv")
    frame["date"] = pd.DatetimeIndex(frame["date"]).strftime("%d/%m/%Y")
    frame[::-1].to_csv(project / "bars.csv", index=False)
    done = barograph("run", project / "small.toml", "--runs", project / "runs", "--json")
    assert done.returncode == 0
    assert "warning: bars.csv: proved_order: line " in done.stderr
    assert "warning: bars.csv: newest_first: " in done.stderr
    assert json.loads(done.stdout)["metrics"]
    frame.iloc[:12].assign(date=[f"{day:02d}/07/2024" for day in range(1, 13)]).to_csv(
        project / "bars.csv", index=False
    )
    done = barograph("run", project / "small.toml", "--runs", project / "runs")
    assert done.returncode == 3
    assert "2024-07-01 with the day first" in done.stderr
    assert "2024-01-07 with the month first" in done.stderr
    frame["date"] = pd.date_range("2240-01-01", periods=len(frame)).strftime("%Y-%m-%d")
    frame.to_csv(project / "bars.csv", index=False)
    done = barograph("data", "check", project / "bars.csv", "--calendar", "24/7")
    assert "warning beyond_clock        bars.csv: beyond_clock: " in done.stdout


def test_replay_from_a_day_that_may_be_two_is_refused(project: Path) -> None:
    done = barograph("paper", project / "small.toml", "--replay", "01/02/2020", "--store", f"sqlite:///{project}/p.db")
    assert done.returncode == 3
    assert "start = '01/02/2020' is 2020-02-01 with the day first or 2020-01-02 with the month first" in done.stderr


def test_data_check_names_findings_and_fails_on_errors(project: Path) -> None:
    done = barograph("data", "check", project / "bars.csv", "--calendar", "24/7")
    assert done.returncode == 0, done.stderr
    assert "160 bars" in done.stdout
    text = (project / "bars.csv").read_text().splitlines()
    cells = text[50].split(",")
    cells[2] = "1.0"
    (project / "bad.csv").write_text("\n".join([*text[:50], ",".join(cells), *text[51:]]))
    bad = barograph("data", "check", project / "bad.csv", "--calendar", "24/7")
    assert bad.returncode == 3
    assert "impossible_ohlc" in bad.stdout
    stopped = barograph("run", project / "small.toml", "--set", "data.path=bad.csv", "--runs", project / "runs")
    assert (stopped.returncode, stopped.stderr.strip().count("\n")) == (3, 0)


def test_data_look_prints_a_table_that_loads(project: Path) -> None:
    one = next(one for one in SHAPES if one.name == "MetaTrader 5")
    (project / one.file).write_bytes(one.content)
    seen = barograph("data", "look", project / one.file)
    assert seen.returncode == 3
    assert "refused   EURUSD_H1.csv: line 2: MetaTrader 5 writes its server's clock" in seen.stdout
    assert '# time_zone = "UTC"  # weeks begin on Sunday at 17:00 in New York' in seen.stdout
    told = barograph("data", "look", project / one.file, "--set", "time_zone=UTC", "--calendar", "FX")
    assert told.returncode == 0, told.stdout
    table = told.stdout.partition("\n\n")[2]
    strategy = '[strategy]\nuse = "barograph_strategies.buy_and_hold:buy_and_hold"\n'
    (project / "look.toml").write_text(f'name = "look"\n{table}{strategy}')
    done = barograph("data", "check", project / "look.toml")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"look.toml: {len(one.truth.ts)} bars, 2 findings")
    again = json.loads(barograph("data", "look", project / one.file, "--json").stdout)
    assert list(again["ways"].values()) == [{"time_zone": "UTC"}]
    assert again["data"]["calendar"] == "FX"


def test_data_check_takes_any_word(project: Path) -> None:
    text = (project / "bars.csv").read_text().replace(",", ";").replace(".", ",")
    (project / "comma.csv").write_text(text)
    done = barograph("data", "check", project / "comma.csv", "--calendar", "24/7", "--set", "decimal=,")
    assert done.returncode == 0, done.stderr
    assert "160 bars" in done.stdout
    wrong = barograph("data", "check", project / "comma.csv", "--set", "separator=','", "--set", "calendar='24/7'")
    assert "separator = ',' parts no cells; the file has ';'" in wrong.stderr
    assert (
        "takes no such argument; did you mean 'decimal'"
        in barograph("data", "check", project / "comma.csv", "--set", "decimel=,").stderr
    )


BRACKET = """
import math
import barograph as bg

def bracket(state, bars, belief, portfolio, params):
    p = bars.close[0]
    return state, bg.Protected(1.0 if portfolio.quantity[0] == 0.0 else bg.HOLD, 0.996 * p, 1.004 * p, math.nan)
"""


@pytest.fixture
def plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain Python has the same bits, and starts at once."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)


def bracketed(project: Path, *words: str | Path) -> Done:
    (project / "mine.py").write_text(BRACKET)
    (project / "bracket.toml").write_text(SMALL.partition("[model]")[0] + '[strategy]\nuse = "mine:bracket"\n')
    return barograph("run", project / "bracket.toml", "--runs", project / "runs", *words)


@pytest.mark.usefixtures("plainly")
def test_bounds_are_printed_saved_and_shown_and_change_no_table(project: Path) -> None:
    plain = Path(json.loads(bracketed(project, "--json").stdout)["folder"])
    told = json.loads(bracketed(project, "--bounds", "--json").stdout)
    folder, paths = Path(told["folder"]), told["bounds"]["paths"]
    assert paths["pessimistic"]["total_return"] < 0.0 < paths["optimistic"]["total_return"]
    assert json.loads((folder / "metrics.json").read_text())["bounds"] == told["bounds"]
    assert "bounds" not in json.loads((plain / "metrics.json").read_text())
    for path in plain.glob("*.parquet"):
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name
    assert "[pessimistic, optimistic]" in (folder / "report.html").read_text()
    shown = bracketed(project, "--bounds")
    assert "Sharpe ratio  [" in shown.stdout
    assert "The verdict flips: whether it earned anything" in shown.stdout


def test_bounds_of_targets_are_one_sentence(project: Path) -> None:
    (project / "mine.py").write_text(USER_PART)
    words = ["--set", "strategy.use=mine:hold", "--bounds", "--runs", project / "r"]
    done = barograph("run", project / "small.toml", *words)
    assert "No order rested inside a bar" in done.stdout, done.stderr
    assert "nearest 0" not in done.stdout


RATES = """
[execution]
leverage = 1.5
borrow_rate = { use = "barograph_adapters.files:rate", path = "rates.csv", percent = true }
cash_rate = 0.01
tiers = [[0.0, 0.001, 0.0005]]
[[guards]]
on = "drawdown"
limit = 0.1
mode = "flatten"
[[guards]]
on = "kill"
limit = 2020-05-01
"""


def test_terms_rates_and_guards_reach_the_machine(project: Path) -> None:
    (project / "rates.csv").write_text("date,rate\n2019-01-01,5\n2020-03-01,2\n")
    (project / "terms.toml").write_text(SMALL + RATES)
    config = load(project / "terms.toml")
    machine = build(config, project)
    assert isinstance(machine.terms.borrow_rate, bg.Rate)
    assert machine.terms.borrow_rate.values.tolist() == [0.05, 0.02]
    assert (machine.terms.cash_rate, machine.terms.leverage, machine.terms.tiers) == (
        0.01,
        1.5,
        ((0.0, 0.001, 0.0005),),
    )
    assert [guard.on for guard in machine.terms.guards] == ["drawdown", "kill"]
    assert machine.terms.guards[1].limit == "2020-05-01"
    again = Config.model_validate(config.resolved())
    assert again == config


def test_every_term_is_a_key_with_the_same_default() -> None:
    terms = {field.name: field for field in fields(bg.Terms)}
    assert set(Execution.model_fields) == set(terms) - {"guards"}
    for name, key in Execution.model_fields.items():
        default = terms[name].default
        assert key.default == (list(default) if isinstance(default, tuple) else default), name


def found(first: Difference | None, problem: str = "") -> Agreement:
    return Agreement("bt", "1.0", "units", 3, 9, 0.0 if first is None else float("inf"), 0.0, first, problem)


DIFFERS = Difference(4, "2020-03-04", 2, "bars", "price", 100.0, 101.0)


@pytest.mark.parametrize(
    ("agreement", "code", "told"),
    [
        (found(None), 0, "agrees on 3 fills and 9 closes"),
        (found(DIFFERS), 8, "bar 4 (2020-03-04), order 2 (bars) price: ours 100.0, theirs 101.0"),
        (found(None, "bt is not installed"), 2, "not compared: bt is not installed"),
    ],
)
def test_crosscheck_says_what_it_found(
    project: Path, monkeypatch: pytest.MonkeyPatch, agreement: Agreement, code: int, told: str
) -> None:
    asked = []
    monkeypatch.setattr("barograph.audit.crosscheck.crosscheck", lambda *words: asked.append(words) or [agreement])
    (project / "mine.py").write_text(USER_PART)
    words = [project / "small.toml", "--set", "strategy.use=mine:hold", "--against", "bt, backtrader"]
    done = barograph("crosscheck", *words, "--python", "python9")
    assert (done.returncode, told in done.stdout) == (code, True), done
    assert asked[0][1:] == (["bt", "backtrader"], "python9")
    answer = json.loads(barograph("crosscheck", *words, "--json").stdout)["rows"][0]
    assert answer["agrees"] is (code == 0)
    assert (answer["first"] or {}).get("order") == (2 if code == 8 else None)
    assert answer["fill_gap"] == (None if code == 8 else 0.0)


def test_crosscheck_against_nobody_known(project: Path) -> None:
    (project / "mine.py").write_text(USER_PART)
    words = [project / "small.toml", "--set", "strategy.use=mine:hold"]
    done = barograph("crosscheck", *words, "--against", "backtrade")
    assert (done.returncode, "did you mean 'backtrader'?" in done.stderr) == (2, True)
    assert set(ENGINES) == set(PEERS)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_runs(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("arch", reason="the sample data are in the package arch")
    path = with_random_weights(path, tmp_path) if path.stem in TRAINED else path
    done = barograph("run", path, "--set", "run.end=2004-12-31", "--runs", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["bars"] > 400
