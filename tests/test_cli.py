"""The command line as its users meet it: a folder, a table, JSON, and one line when they made a mistake."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from barograph.cli import main

ROOT = Path(__file__).resolve().parent.parent
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
    path, sys.path = sys.path, list(sys.path)
    sys.modules.pop("mine", None)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    except Exception:
        err.write(traceback.format_exc())
        code = 1
    finally:
        sys.argv, sys.path = before, path
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder: a config, and bars with two clear regimes."""
    rng = np.random.default_rng(5)
    calm = np.arange(160) // 20 % 2 == 0
    close = 100.0 * np.exp(np.cumsum(rng.standard_normal(160) * np.where(calm, 0.004, 0.02)))
    frame = pd.DataFrame({"date": pd.date_range("2020-01-01", periods=160), "open": close, "high": close * 1.01})
    frame = frame.assign(low=close * 0.99, close=close, volume=1000.0 + np.arange(160.0))
    frame.to_csv(tmp_path / "bars.csv", index=False)
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


def test_run_leaves_a_whole_folder_and_the_same_bytes_under_another_hash_seed(project: Path) -> None:
    folders = []
    for seed in ("1", "2"):
        done = barograph("run", project / "small.toml", "--runs", project / "runs", "--json", PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
        folders.append(Path(json.loads(done.stdout)["folder"]))
    names = {path.name for path in folders[0].iterdir()}
    tables = {f"{t}.parquet" for t in ("equity", "beliefs", "orders", "fills", "trades", "benchmark")}
    assert names == tables | {"config.toml", "manifest.json", "metrics.json", "fits.json", "report.html"}
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

def hold(state, bars, belief, portfolio, params):
    return state, bg.Target(1.0)

def nan(state, bars, belief, portfolio, params):
    return state, bg.Target(float("nan") if bars.ts > 10**18 else 0.0)

def wrong(state, bars, belief, portfolio, params):
    return bg.Target(1.0)

def bug():
    raise ZeroDivisionError("mine")

def late(state, bars, belief, portfolio, params):
    return state, bg.Target(1.0 / (0.0 if bars.ts > 10**18 * 1.585 else 1.0))

def short(state, bars, belief, portfolio, params):
    return state, bg.Target([1.0])

@bg.kernel
def untyped(state, bars, belief, portfolio, params):
    return state, bg.Target(1.0 if bars.ts > 0 else "all")
"""


def test_a_bare_function_beside_the_config_is_a_strategy(project: Path) -> None:
    (project / "mine.py").write_text(USER_PART)
    done = barograph(
        "run", project / "small.toml", "--set", "strategy.use=mine:hold", "--runs", project / "r", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["invested"] > 0.9


MISTAKES = [
    (["--set", "strtegy.x=1"], 2, "unknown key 'strtegy'"),
    (["--set", "stratgey.x=1"], 2, "unknown key 'stratgey'; did you mean 'strategy'?"),
    (["--set", "execution.fees=0.1"], 2, "unknown key 'execution.fees'; did you mean 'fee'?"),
    (["--set", "strategy.treshold=0.5"], 2, "did you mean 'threshold'?"),
    (["--set", "execution.fee='much'"], 2, "execution.fee is 'much'; input should be a valid number"),
    (["--set", "model.states=two"], 2, "model.states is 'two'"),
    (["--set", "fit.every=fortnight"], 2, "fit.every"),
    (["--set", "data.path=none.csv"], 3, "none.csv: no such file"),
    (["--set", "strategy.use=nowhere:x"], 4, "strategy: no module 'nowhere'"),
    (["--set", "strategy.use=barograph_strategies.regime_filtr:x"], 4, "did you mean 'regime_filter'?"),
    (["--set", "strategy.use=barograph_strategies.regime_filter:regime_filtre"], 4, "did you mean 'regime_filter'?"),
    (["--set", "strategy.use=mine:nan"], 6, "strategy nan returned NaN (or -inf, or a wrong number of weights) for"),
    (["--set", "strategy.use=mine:wrong"], 4, "strategy wrong: step returned Target; wanted a pair"),
    (["--set", "fit.window=5000"], 2, "fit.window wants 5000 bars"),
    (["--set", "run.start=1990-01-01"], 2, "start is"),
    (["--set", "strategy"], 2, "wanted key=value"),
    (["--set", "strategy.use=mine:bug"], 4, "strategy: mine:bug failed with ZeroDivisionError: mine"),
    (["--set", "strategy.use=mine:late"], 6, "strategy late raised ZeroDivisionError at the close of"),
    (["--set", "strategy.use=mine:short"], 4, "wanted a number or a numpy array of (1,)"),
    (["--set", "strategy.use=mine:untyped"], 4, "strategy untyped"),
    (["--set", "strategy.use=mine:hold", "--set", "strategy.x=1"], 2, "unknown key 'strategy.x'"),
    (["--set", "strategy.use=builtins:dict"], 4, "strategy: the signature of builtins:dict cannot be read"),
    (["--set", "model.use=barograph_strategies.buy_and_hold:buy_and_hold", "--set", "model.states=2"], 2, "no such"),
    (["--set", "data.path=5"], 2, "data.path is 5; wanted the path of a file"),
    (["--set", "model.seed=-1"], 5, "fit at the close of"),
    (["--set", "fit.every=monthly"], 2, "fit.every is 'monthly'; input should be a valid integer or input should be"),
    (["--set", "execution.cash_rate=nan"], 2, "execution.cash_rate is nan"),
    (["--set", "model.states=12"], 5, "fit at the close of"),
]


@pytest.mark.parametrize(("words", "code", "told"), MISTAKES, ids=lambda v: str(v)[:40])
def test_a_mistake_is_one_line_an_exit_code_and_nothing_half_written(
    project: Path, words: list[str], code: int, told: str
) -> None:
    (project / "mine.py").write_text(USER_PART)
    done = barograph("run", project / "small.toml", "--runs", project / "runs", "--json", *words)
    assert told in done.stderr, done.stderr
    assert done.returncode == code
    assert done.stderr.strip().count("\n") == 0
    assert "Traceback" not in done.stderr
    assert not (project / "runs").exists() or not list((project / "runs").iterdir())


def test_missing_config_and_broken_toml(project: Path) -> None:
    assert barograph("run", project / "no.toml").returncode == 2
    (project / "bad.toml").write_text("name = ")
    done = barograph("run", project / "bad.toml")
    assert (done.returncode, "not TOML" in done.stderr) == (2, True)


def test_a_defect_of_ours_keeps_its_traceback(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("barograph.config.build", broken)
    done = barograph("run", project / "small.toml", "--runs", project / "runs")
    assert "Traceback" in done.stderr


def test_run_folders_that_cannot_be_made_are_known_before_anything_runs(project: Path) -> None:
    done = barograph("run", project / "small.toml", "--runs", project / "bars.csv")
    assert (done.returncode, "is not a folder that can be written to" in done.stderr) == (2, True)


def test_compare_with_one_broken_config_leaves_nothing(project: Path) -> None:
    (project / "other.toml").write_text(SMALL.replace("states = 2", "state = 2"))
    done = barograph("compare", project / "small.toml", project / "other.toml", "--runs", project / "runs")
    assert (done.returncode, (project / "runs").exists()) == (2, False)


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


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_runs(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("arch", reason="the sample data are in the package arch")
    done = barograph("run", path, "--set", "run.end=2004-12-31", "--runs", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["bars"] > 400
