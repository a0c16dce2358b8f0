"""Paper is the backtest, to the bit: every machine, the S&P 500, restarts and commands; and what parity says is so."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from sklearn.linear_model import LogisticRegression

import barograph as bg
from barograph.config.load import load
from barograph.config.schema import Config
from barograph.data.history import History
from barograph.data.synthetic import SCENARIOS, simulate
from barograph.loop.live import Live
from barograph.loop.once import forget
from barograph.loop.run import scan
from barograph.loop.session import Session
from barograph.paper.deployment import switchable
from barograph.paper.feeds import Chain, between, replaying
from barograph.paper.parity import Parity, parity
from barograph.paper.record import recorded
from barograph.paper.runner import replay
from barograph.paper.service import Plan, Service
from barograph.paper.simulated import SetClock
from barograph.paper.verify import verify
from barograph.testing import same, some_bars
from barograph_adapters.store.sql import SqlStore, open_store
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.labels import labels_of
from barograph_models.logistic import logistic
from barograph_strategies.regime_filter import regime_filter
from tests import ROOT
from tests.kit import paper_machines
from tests.kit.machines import learnable, machines
from tests.kit.paper_replays import judged_replay, same_tables

MACHINES = machines()
ACTING = {"protected", "orders", "orders in python", "every term", "called", "lots"}


def history_for(name: str) -> History:
    if name.startswith("learns"):
        return learnable()
    return some_bars(70, assets=3, seed=2, actions=name in ACTING)


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    return open_store(f"sqlite:///{tmp_path}/paper.db")


def any_config() -> Config:
    """A config that stands for a machine that is put together by hand."""
    data, strategy = {"use": "tests.fakes.market:past"}, {"use": "tests.fakes.market:sway"}
    return Config.model_validate({"name": "any", "data": data, "strategy": strategy})


def plan_of(history: History, start: int) -> Plan:
    def seed(until: int) -> tuple[History, int]:
        seen = between(history, 0, until)
        assert seen is not None
        return seen, start

    return Plan(any_config(), ROOT, "any", "replay", seed)


def paper(store: SqlStore, machine: bg.Machine, history: History, start: int, seed: int = 0) -> list[str]:
    """Replay a history through services that are stopped at random bars; return the commands that were given."""
    rng, asked = random.Random(seed), []
    closes, done = history.ts[start:].tolist(), 0
    while done < len(closes):
        clock = SetClock(closes[done])
        one = Service(store, plan_of(history, start), Chain([replaying(history)]), clock)
        one.machine = machine
        one.start()
        until = min(len(closes), done + rng.randint(1, 40))
        assert replay(one, closes[done:until], clock, None) == until - done
        one.stop()
        done = until
        if seed and done < len(closes):
            asked.append(rng.choice(("halt", "flatten", "resume")))
            store.ask("any", asked[-1], 0)
    return asked


@pytest.mark.parametrize("name", MACHINES)
def test_paper_with_restarts_at_random_bars_writes_the_tables_of_scan(name: str, store: SqlStore) -> None:
    machine, history = MACHINES[name], history_for(name)
    whole = scan(machine, history)
    paper(store, machine, history, whole.first)
    deployed = store.find("any")
    assert deployed is not None
    same_tables(recorded(store, deployed, switchable(machine)), whole)
    assert verify(store, deployed).wrong == ()


@pytest.mark.parametrize("name", ["lots", "orders", "orders in python"])
def test_a_first_bar_that_pays_a_dividend_is_adjusted_for_however_little_is_known_then(name: str) -> None:
    """Of a single bar the loop's body cannot tell one row of actions from none at all."""
    history = some_bars(30, assets=3, seed=2, actions=True)
    dividends = np.zeros((30, 3))
    dividends[0] = 3.0
    history = replace(history, dividends=dividends)
    whole, begun = scan(MACHINES[name], history), scan(MACHINES[name], history.head(1))
    assert same(whole, [begun, scan(MACHINES[name], history, world=begun.world)])
    live = Live(MACHINES[name], history.head(1), 0)
    beliefs = [live.step().belief]
    for t in range(1, 30):
        live.append(history.slice(t, t + 1))
        beliefs.append(live.step().belief)
    assert np.array(beliefs).tobytes() == whole.arrays.beliefs.tobytes()


@pytest.mark.parametrize("name", ["next_open", "called", "learns", "protected", "orders", "every term"])
def test_commands_in_the_middle_are_done_again_by_parity(
    name: str, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, history = MACHINES[name], history_for(name)
    monkeypatch.setattr("barograph.paper.parity.rebuilt", lambda *_: switchable(machine))
    asked = paper(store, machine, history, scan(machine, history).first, seed=3)
    deployed = store.find("any")
    assert deployed is not None
    assert len(asked) > 1
    found = parity(store, deployed)
    assert found.difference is None
    assert found.rows > 50
    assert verify(store, deployed).wrong == ()
    # Without the switches it is another run: the commands did something.
    monkeypatch.setattr("barograph.paper.parity._Rerun._advance", Session._advance)
    assert parity(store, deployed).difference is not None


def test_the_fits_of_a_classifier_are_those_that_were_recorded(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine whose library makes other weights; asked to learn again, parity names the difference."""
    volatility = [bg.features.log_return(), bg.features.rolling_volatility(10)]
    model = logistic(labels_of(gaussian_hmm(states=2, starts=2)))
    machine = bg.Machine(regime_filter(calm=0), volatility, model, fit=bg.Fit(window=300, every=20))
    history = simulate(SCENARIOS["daily2"], bars=350, seed=3).history
    monkeypatch.setattr("barograph.paper.parity.rebuilt", lambda *_: switchable(machine))
    paper(store, machine, history, scan(machine, history).first)
    deployed = store.find("any")
    assert deployed is not None
    forget()
    monkeypatch.setattr("sklearn.linear_model.LogisticRegression", partial(LogisticRegression, fit_intercept=False))
    found = parity(store, deployed)
    assert found.difference is None
    assert found.unchecked.endswith("fits are those that were recorded; --refit learns them again")
    told = parity(store, deployed, refit=True).difference
    assert told is not None
    assert told.cause == "parameters"


def test_assets_with_gaps_actions_guards_and_a_model_that_learns(store: SqlStore, tmp_path: Path) -> None:
    judged_replay(paper_machines.config(tmp_path, 120), tmp_path, store, commands=True)


SAMPLE = [("buy_and_hold", ["run.start=0", "run.end=2000-06-30"]), ("regime_filter", ["run.end=2003-12-31"])]


@pytest.mark.parametrize(("name", "overrides"), SAMPLE, ids=[name for name, _ in SAMPLE])
def test_the_sample_through_the_service_is_the_backtest(
    name: str, overrides: list[str], store: SqlStore, tmp_path: Path
) -> None:
    assert judged_replay(load(ROOT / f"configs/{name}.toml", overrides), ROOT / "configs", store) > 200


# Files with dividends, splits and a delisting, and what can differ.

CONFIG = """
name = "files"

[data]
use = "barograph_adapters.files:files"
paths = { A = "a.csv", B = "b.csv", C = "c.csv" }

[run]
start = 25

[[features]]
use = "barograph.features:log_return"

[model]
use = "barograph_models.gaussian_hmm:gaussian_hmm"
states = 2
starts = 1
jobs = 1

[fit]
window = 20
every = 30

[strategy]
use = "parity_strategy:wavering"
"""

STRATEGY = """
import barograph as bg
import numpy as np
from parity_helper import SHARE

def wavering(state, bars, belief, portfolio, params):
    return state, bg.Target(np.full(bars.close.size, SHARE * belief.probs[0] + 0.0))
"""
HELPER = "SHARE = 0.3\n"


def written(folder: Path) -> Path:
    """Write three assets: one pays and splits, one has gaps, one is delisted; and a strategy beside them."""
    rng = np.random.default_rng(8)
    days = pd.bdate_range("2022-01-03", periods=100)
    days = days[~days.isin(pd.to_datetime(["2022-01-17", "2022-02-21", "2022-04-15", "2022-05-30"]))]
    for n, name in enumerate("abc"):
        close = 50.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(len(days))))
        table = pd.DataFrame({"date": days.strftime("%Y-%m-%d"), "close": close, "dividend": 0.0, "split": 1.0})
        table["final"] = np.nan
        if n == 0:
            table.loc[50:, "close"] /= 2.0
            table.loc[50, "split"] = 2.0
            table.loc[60, "dividend"] = 0.4
        table = table.drop(index=[33, 34, 70]) if n == 1 else table
        if n == 2:
            table = table.head(80)
            table.loc[79, ["close", "final"]] = [np.nan, 40.0]
        table.to_csv(folder / f"{name}.csv", index=False)
    (folder / "parity_strategy.py").write_text(STRATEGY)
    (folder / "parity_helper.py").write_text(HELPER)
    (folder / "files.toml").write_text(CONFIG)
    return folder / "files.toml"


@pytest.fixture(scope="module")
def deployed_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files and a deployment over them, decided to the end."""
    folder = tmp_path_factory.mktemp("files")
    store = open_store(f"sqlite:///{folder}/paper.db")
    judged_replay(load(written(folder)), folder, store)
    store.close()
    return folder


@pytest.fixture
def files(deployed_files: Path, tmp_path: Path) -> Any:
    """A copy of it."""
    folder = tmp_path / "copy"
    shutil.copytree(deployed_files, folder)
    return open_store(f"sqlite:///{folder}/paper.db"), folder


def compared(files: Any) -> Parity:
    store, folder = files
    return parity(store, store.deployments()[0], folder)


def difference(files: Any) -> Any:
    return compared(files).difference


def edited(store: SqlStore, statement: str, **values: Any) -> None:
    with store.engine.begin() as connection:
        connection.execute(sa.text(statement), values)


def reconfigured(store: SqlStore, table: str, key: str, value: Any) -> None:
    config = store.deployments()[0].config
    config[table][key] = value
    edited(store, "UPDATE deployments SET config = :config", config=json.dumps(config))


def test_files_with_dividends_splits_gaps_and_a_delisting_show_no_difference(files: Any) -> None:
    store, _ = files
    assert difference(files) is None
    events = {row["event"] for row in store.rows("events", store.deployments()[0].name)}
    assert {"dividend", "split"} <= events


def test_a_bar_changed_in_the_store_is_data_revised(files: Any) -> None:
    store, _ = files
    edited(store, "UPDATE bars SET close = close + 0.01 WHERE number = 60 AND symbol = 'B'")
    found = difference(files)
    assert (found.cause, found.table, found.column) == ("data revised", "bars", "B close")


@pytest.mark.parametrize(
    ("row", "column", "value", "cause", "said"),
    [
        (60, "close", 51.0, "data revised", "A open"),
        (60, "dividend", 0.5, "data revised", "A dividends"),
        (50, "split", 3.0, "data revised", "A splits"),
        (61, None, None, "clock", "A bar"),
    ],
)
def test_a_source_that_says_something_else_today(
    row: int, column: str | None, value: Any, cause: str, said: str, files: Any
) -> None:
    _, folder = files
    table = pd.read_csv(folder / "a.csv")
    if column is None:
        table = table.drop(index=row)
    else:
        table.loc[row, column] = value
    table.to_csv(folder / "a.csv", index=False)
    found = difference(files)
    assert (found.cause, found.table, found.column) == (cause, "bars", said)
    assert found.ts == pd.read_csv(folder / "b.csv")["date"].loc[lambda d: d == found.ts].iloc[0]


def test_a_bar_that_is_gone_everywhere_is_of_the_clock(files: Any) -> None:
    _, folder = files
    for name in "abc":
        table = pd.read_csv(folder / f"{name}.csv")
        table[table["date"] != "2022-03-10"].to_csv(folder / f"{name}.csv", index=False)
    found = difference(files)
    assert (found.cause, found.ts, found.found) == ("clock", "2022-03-10", "no bar")


def test_another_window_is_parameters(files: Any) -> None:
    store, _ = files
    reconfigured(store, "fit", "every", 20)
    found = difference(files)
    assert (found.cause, found.table) == ("parameters", "beliefs")


def test_another_fee_is_the_fill_model(files: Any) -> None:
    store, _ = files
    reconfigured(store, "execution", "fee", 0.0006)
    found = difference(files)
    assert (found.cause, found.table, found.column) == ("fill model", "orders", "quantity")


@pytest.mark.parametrize(
    ("name", "text"),
    [("parity_strategy", STRATEGY.replace("SHARE *", "1.01 * SHARE *")), ("parity_helper", "SHARE = 0.31\n")],
    ids=["the strategy", "what it imports"],
)
def test_another_program_is_code(files: Any, name: str, text: str) -> None:
    _, folder = files
    (folder / f"{name}.py").write_text(text)
    found = difference(files)
    assert found.cause == "code"
    assert str(found).startswith("code: ")
    assert "\n" not in str(found)


def test_data_that_are_gone_are_said_to_be_unchecked(files: Any) -> None:
    _, folder = files
    (folder / "b.csv").unlink()
    found = compared(files)
    assert found.difference is None
    assert "could not be compared with today's" in found.unchecked
    assert "b.csv" in found.unchecked


@pytest.mark.parametrize("year", [2011, 2031])
def test_data_of_another_time_are_said_to_be_unchecked(year: int, files: Any) -> None:
    _, folder = files
    for name in "abc":
        (folder / f"{name}.csv").write_text(f"date,close\n{year}-01-04,5\n{year}-01-05,6\n")
    found = compared(files)
    assert found.difference is None
    assert "could not be compared with today's" in found.unchecked


def test_data_that_end_before_the_record_are_compared_as_far_as_they_go(files: Any) -> None:
    _, folder = files
    for name in "abc":
        table = pd.read_csv(folder / f"{name}.csv")
        table[table["date"] < "2022-05-02"].to_csv(folder / f"{name}.csv", index=False)
    found = compared(files)
    assert found.difference is None
    assert found.unchecked == "[data] end with 2022-04-29: 15 later bars could not be compared with it"
