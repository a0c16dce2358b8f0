"""Runs enter the trials of their project by themselves; what only doubts or repeats a run does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import barograph as bg
from barograph.testing import some_bars
from barograph.trials.entering import mark
from barograph.trials.nouns import Row
from barograph.trials.registry import NAME, Registry
from barograph_strategies.buy_and_hold import buy_and_hold
from barograph_strategies.fixed_weights import fixed_weights
from tests.cli.test_cli import Done, barograph
from tests.kit.machines import learnable

pytestmark = pytest.mark.usefixtures("outside_of_tests", "plainly")

HOLD = """
name = "hold"
[data]
use = "barograph_adapters.files:csv"
path = "bars.csv"
calendar = "24/7"
[strategy]
use = "barograph_strategies.buy_and_hold:buy_and_hold"
"""


@pytest.fixture
def plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain Python has the same bits, and starts at once."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with its configs in a folder, its mark at the top."""
    (tmp_path / "barograph.toml").touch()
    configs = tmp_path / "configs"
    configs.mkdir()
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(5).standard_normal(160) / 100))
    frame = pd.DataFrame({"date": pd.date_range("2020-01-01", periods=160), "close": close})
    frame.to_csv(configs / "bars.csv", index=False)
    (configs / "hold.toml").write_text(HOLD)
    (configs / "other.toml").write_text(HOLD.replace('"hold"', '"other"'))
    return tmp_path


def rows(folder: Path) -> list[Row]:
    return Registry(folder / NAME).rows() if (folder / NAME).exists() else []


def ran(project: Path, command: str, *words: str | Path) -> Done:
    runs = ["--runs", project / "runs"] if command in ("run", "compare") else []
    done = barograph(command, *words, *runs)
    assert done.returncode == 0, done.stderr
    return done


def test_a_run_and_what_is_kept_of_it_can_be_recomputed_from_its_folder(project: Path) -> None:
    folder = Path(json.loads(ran(project, "run", project / "configs" / "hold.toml", "--json").stdout)["folder"])
    (row,) = rows(project)
    manifest = json.loads((folder / "manifest.json").read_text())
    equity = pd.read_parquet(folder / "equity.parquet")
    assert (row.kind, row.name, row.tried, row.symbols) == ("run", "hold", 1, tuple(manifest["data"]["traded"]))
    assert (row.config_hash, row.digest) == (manifest["config_hash"], manifest["data"]["digest"])
    closes = equity.ts.astype("datetime64[ns, UTC]").astype("int64")
    assert (row.first, row.last) == (closes.iloc[0], closes.iloc[-1])
    assert row.best == json.loads((folder / "metrics.json").read_text())["sharpe"]
    (kept,) = Registry(project / NAME).streams([row])
    returns = equity.equity.to_numpy()[1:] / equity.equity.to_numpy()[:-1] - 1
    edges = [b * len(returns) // 128 for b in range(129)]
    for b in range(128):
        piece = returns[edges[b] : edges[b + 1]]
        assert kept.sums[0, b] == pytest.approx([len(piece), piece.sum(), (piece**2).sum()], rel=1e-12, abs=1e-18)


def test_a_comparison_enters_each_of_its_runs(project: Path) -> None:
    configs = project / "configs"
    ran(project, "compare", configs / "hold.toml", configs / "other.toml")
    assert [(row.kind, row.name) for row in rows(project)] == [("compare", "hold"), ("compare", "other")]


def test_a_comparison_that_cannot_be_made_has_tried_all_the_same(project: Path) -> None:
    (project / "configs" / "other.toml").write_text(HOLD + "[run]\nstart = 50\n")
    words = [project / "configs" / "hold.toml", project / "configs" / "other.toml"]
    assert barograph("compare", *words, "--runs", project / "runs").returncode == 2
    assert len(rows(project)) == 2


def test_what_only_doubts_repeats_or_shows_adds_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The audit begins a process of its own, which is to know of no test.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.chdir(project)
    config, store = project / "configs" / "hold.toml", f"sqlite:///{project}/paper.db"
    folder = json.loads(ran(project, "run", config, "--bounds", "--json").stdout)["folder"]
    assert len(rows(project)) == 1
    ran(project, "audit", config, "--cuts", "1")
    ran(project, "report", folder)
    ran(project, "paper", config, "--replay", "2020-05-01", "--store", store)
    ran(project, "parity", "--store", store)
    ran(project, "trials", project)
    assert len(rows(project)) == 1


def test_the_config_names_another_file_or_none(project: Path) -> None:
    config = project / "configs" / "hold.toml"
    ran(project, "run", config, "--set", "registry.store=mine.db")
    ran(project, "run", config, "--set", "registry.store=false")
    assert (rows(project), len(Registry(project / "configs" / "mine.db").rows())) == ([], 1)


def test_where_trials_are_entered_changes_no_hash_and_no_written_config(project: Path) -> None:
    config, folders = project / "configs" / "hold.toml", []
    for more in ([], ["--set", "registry.store=mine.db"]):
        folders.append(Path(json.loads(ran(project, "run", config, "--json", *more).stdout)["folder"]))
    plain, named = (json.loads((folder / "manifest.json").read_text()) for folder in folders)
    assert plain["config_hash"] == named["config_hash"]
    assert (folders[0] / "config.toml").read_bytes() == (folders[1] / "config.toml").read_bytes()


def test_a_run_goes_on_where_nothing_can_be_entered_and_says_so_in_one_line(project: Path) -> None:
    (project / NAME).write_text("no database" * 100)
    done = ran(project, "run", project / "configs" / "hold.toml", "--json")
    assert json.loads(done.stdout)["metrics"]["bars"] == 159
    told = [line for line in done.stderr.splitlines() if "trials are not counted" in line]
    assert len(told) == 1
    assert told[0].startswith(f"barograph: {project / NAME}: cannot be written: file is not a database")


def test_a_notebook_enters_its_runs_into_the_project_it_is_in(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "configs")
    bars = some_bars(60)
    machine = bg.Machine(strategy=buy_and_hold())
    run = bg.run(machine, bars)
    bg.run(machine, bars, registry=False)
    bg.scan(machine, bars)
    bg.replay(machine, bars)
    bg.run(machine, bars, world=bg.scan(machine, bars.head(30)).world)
    (row,) = rows(project)
    assert (row.kind, row.name, row.config_hash) == ("run", "buy_and_hold", mark(machine))
    assert (row.first, row.last) == (int(run.arrays.ts[0]), int(run.arrays.ts[-1]))
    assert row.best == run.metrics["sharpe"]
    assert np.array_equal(run.arrays.table, bg.scan(machine, bars).arrays.table)


def test_an_asset_that_is_only_looked_at_does_not_begin_a_new_count(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    bars = some_bars(60)
    bg.run(bg.Machine(strategy=buy_and_hold()), bars)
    looked = bg.History.from_arrays(bars.ts, bars.close[:, 0], symbols=["LOOKED"], traded=[False])
    bg.run(bg.Machine(strategy=buy_and_hold()), bars.join(looked))
    first = rows(project)[0]
    assert Registry(project / NAME).counted(first.symbols, first.first, first.last).tried == 2


def test_a_mark_tells_machines_apart_and_is_the_same_in_another_process() -> None:
    def half(state: object, bars: object, belief: object, portfolio: object, params: object) -> object:
        return state, bg.Target(0.5)

    def third(state: object, bars: object, belief: object, portfolio: object, params: object) -> object:
        return state, bg.Target(1 / 3)

    machines = [bg.Machine(strategy=bg.strategy(step, name="mine")) for step in (half, third)]
    machines += [bg.Machine(strategy=fixed_weights([w])) for w in (0.5, 0.6)]
    machines += [bg.Machine(strategy=fixed_weights([0.5]), terms=bg.Terms(fee=0.01))]
    assert len({mark(machine) for machine in machines}) == 5
    again = bg.Machine(strategy=fixed_weights([0.5]))
    assert mark(again) == mark(machines[2])


def test_a_run_of_one_bar_is_entered_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    bg.run(bg.Machine(strategy=buy_and_hold()), learnable(bars=1))
    (row,) = rows(project)
    assert (row.best, row.blocks) == (None, 1)


def test_a_run_that_chooses_stands_for_all_its_candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    machine = bg.choose(lambda w: bg.Machine(strategy=fixed_weights([w])), {"w": [0.2, 0.5, 0.8]}, window=20, every=9)
    run = bg.run(machine, some_bars(200))
    (row,) = rows(tmp_path)
    assert (row.kind, row.tried, row.members, row.counts) == ("choose", 3, 1, 3)
    (kept,) = Registry(tmp_path / NAME).streams([row])
    assert kept.sums[0, :, 1].sum() == pytest.approx(run.arrays.returns.sum())
