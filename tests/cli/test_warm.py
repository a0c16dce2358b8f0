"""What is compiled beforehand is not waited for: `barograph warm`, and the words while something compiles."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import pytest
from typer.testing import CliRunner

import barograph as bg
import barograph_models
import barograph_strategies
from barograph import features
from barograph.cli.app import app
from barograph.cli.console import compiling
from barograph.cli.warm import warm
from barograph.config.shipped import bars, engine, shipped
from barograph.errors import ConfigError
from barograph.jit.cache import cache_folder
from tests.test_rules import factories

# It needs a file of somebody's.
WITHOUT = {"fixed_positions"}


def test_every_part_that_ships_is_compiled_beforehand() -> None:
    wanted = {*factories(barograph_models), *factories(barograph_strategies)} - WITHOUT
    wanted |= {name for name in features.__all__ if name.islower()}
    assert {"gaussian_hmm", "regime_filter", "zscore"} < wanted
    assert {part.table["use"].rpartition(":")[2] for part in shipped()} == wanted


# A combination that no config has: other numbers, three regimes, two assets, a guard, a fee that wants the full book.
COMBINED = """
import json, sys
from numba.core import event
import barograph as bg
from barograph.features import log_return, zscore
from barograph.testing import some_bars
from barograph_models.gaussian_mixture import gaussian_mixture
from barograph_strategies.protected import protected
from barograph_strategies.regime_filter import regime_filter

KEY = float(sys.argv[1])

@bg.kernel
def mine(state, bars, belief, portfolio, params):
    return state, bg.Target(belief.probs[0] * KEY)

strategy = bg.strategy(mine) if KEY else protected(regime_filter(calm=1, threshold=0.6), stop=0.1, trail=0.2)
terms = bg.Terms(guards=[bg.Guard("drawdown", 0.5)], minimum_fee=1.0)
one = bg.Machine(strategy=strategy, features=[zscore(15, of=log_return()), log_return(), zscore(30)], terms=terms,
                 model=gaussian_mixture(states=3, seed=5, starts=2), fit=bg.Fit(window=150, every=60))
with event.install_recorder("numba:compile") as recorder:
    assert len(bg.scan(one, some_bars(400, assets=2, seed=11)).arrays.events)
print(json.dumps(sorted({found.data["dispatcher"].py_func.__name__ for _, found in recorder.buffer})))
"""


def is_of(part: Any) -> bool:
    """Tell whether the combination is made of a part; a rule is compiled alone and inside `protected`."""
    use, told = part.table["use"], str(part.table)
    if part.kind == "strategy":
        return "regime_filter" in told
    return use.endswith((":zscore", ":gaussian_mixture")) or part.table == {"use": "barograph.features:log_return"}


def compiled_by(key: float) -> Any:
    command = [sys.executable, "-W", "ignore", "-c", COMBINED, str(key)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.long
def test_after_it_a_combination_of_parts_that_ship_compiles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the parts, and with the doors if somebody compiled them: they take a minute. A door is of no use without
    # the kernels that it calls, which lie in files of their own.
    for file in cache_folder().glob("advance-*"):
        for name in (file.name, *pickle.loads(file.read_bytes()[32:])[0].values()):
            shutil.copy(cache_folder() / name, tmp_path)
    monkeypatch.setenv("BAROGRAPH_CACHE", str(tmp_path))
    # All parts take three minutes: those that the combination is made of, each in all the ways that it ships.
    wanted = [part for part in shipped() if is_of(part)]
    assert len(wanted) < len(shipped())
    monkeypatch.setattr("barograph.config.shipped.shipped", lambda: wanted)
    done = CliRunner().invoke(app, ["warm", "--json", "--jobs", "2"], catch_exceptions=False)
    told = json.loads(done.stdout)
    assert told["parts"] == len(wanted) + sum(part not in wanted for part in engine())
    assert told["new_files"] >= told["parts"] / 2
    assert compiled_by(0.0) == []
    # What is new is seen: the test looks where something would be.
    parts = {name.partition("_")[0] for name in compiled_by(random.SystemRandom().uniform(0.1, 0.9))}
    assert "decide" in parts
    assert not parts & {"advance", "observe", "believe"}


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BAROGRAPH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ConfigError, match=r"^warm: .*cache cannot be made \(Not a directory\); set BAROGRAPH_CACHE"):
        warm()


def test_without_a_compiler_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.core.config, "DISABLE_JIT", 1)
    with pytest.raises(ConfigError, match=r"^warm: NUMBA_DISABLE_JIT is set"):
        warm()


def test_who_waits_is_told_what_is_compiled() -> None:
    key = random.SystemRandom().random()

    @bg.kernel
    def mine(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        return state, bg.Target(0.5 * key)

    @bg.kernel
    def steps(state: Any, bars: Any, params: Any) -> Any:
        return state, bars.close[0] * key

    told: list[str] = []
    pace = bg.Feature(lambda _: 0, steps, (), "pace of mine")
    with compiling(told.append):
        bg.scan(bg.Machine(strategy=bg.strategy(mine, name="calm_only"), features=[pace]), bars())
    assert {"calm_only", "pace of mine"} <= set(told)
    assert told[-1] == ""
    again: list[str] = []
    with compiling(again.append):
        bg.scan(bg.Machine(strategy=bg.strategy(mine, name="other"), features=[pace]), bars())
    assert again == []
