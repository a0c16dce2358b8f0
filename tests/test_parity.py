"""Live = backtest = sweep, to the bit: one step, whichever loop calls it, wherever it is resumed, however it runs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import barograph as bg
from barograph.data.history import History
from barograph.loop.result import Result
from barograph.loop.run import replay, scan
from barograph.testing import check_machine, interpreted, same, some_bars
from tests import ROOT
from tests.kit.machines import lean, lean_in_python, learnable, machines, started

MACHINES = machines()
QUICK = [name for name in MACHINES if not name.startswith("learns")]
ACTING = {"protected", "orders", "orders in python", "every term", "called", "lots"}


def history_for(name: str, seed: int = 0) -> History:
    return (
        learnable(seed=seed + 5)
        if name.startswith("learns")
        else some_bars(90, assets=3, seed=seed, actions=name in ACTING)
    )


@pytest.mark.parametrize("name", MACHINES)
def test_all_loops_agree_and_the_future_changes_nothing(name: str) -> None:
    cuts = (87, 125) if name.startswith("learns") else (45, 61)
    check_machine(MACHINES[name], history_for(name), cuts)


prices = st.floats(min_value=0.5, max_value=2.0)


@st.composite
def made_up(draw: st.DrawFn) -> History:
    """Bars drawn by hypothesis: any gaps in time, any missing bars, zero or unknown volume, one to four assets."""
    n, assets = draw(st.integers(3, 40)), draw(st.integers(1, 4))
    days = np.cumsum(draw(st.lists(st.integers(1, 40), min_size=n, max_size=n)))
    size = n * assets
    close = 100.0 * np.array(draw(st.lists(prices, min_size=size, max_size=size))).reshape(n, assets)
    opened = close * np.array(draw(st.lists(prices, min_size=size, max_size=size))).reshape(n, assets)
    volume = np.array(draw(st.lists(st.sampled_from([0.0, 1e6, np.nan]), min_size=size, max_size=size)))
    gone = np.array(draw(st.lists(st.integers(0, 5), min_size=size, max_size=size))).reshape(n, assets) == 0
    opened, close = np.where(gone, np.nan, opened), np.where(gone, np.nan, close)
    return History(
        symbols=tuple("ABCD"[:assets]),
        ts=days * 86_400_000_000_000,
        open=opened,
        high=np.fmax(opened, close) * 1.01,
        low=np.fmin(opened, close) * 0.99,
        close=close,
        volume=volume.reshape(n, assets),
        traded=(True,) * assets,
        calendar="24/7",
    )


def ruin(loop: Any, machine: bg.Machine, history: History) -> str:
    """Return how a run ends early: these prices may halve and double in a day, and a short be ruined."""
    try:
        loop(machine, history)
    except bg.StrategyError as error:
        return str(error)
    return ""


@given(history=made_up(), name=st.sampled_from(QUICK), where=st.floats(0.0, 1.0))
@example(history=some_bars(5), name="next_open", where=0.0)
@settings(max_examples=max(60, settings.default.max_examples))
def test_replay_scan_and_resumed_agree_on_any_bars(history: History, name: str, where: float) -> None:
    machine = MACHINES[name]
    if name == "late start":
        machine = bg.Machine(strategy=started(lean), start=len(history) // 2)
    ends = [ruin(loop, machine, history) for loop in (scan, replay)]
    assert ends[0] == ends[1]
    if ends[0]:
        return
    whole = scan(machine, history)
    assert same(whole, replay(machine, history))
    cut = min(len(history) - 1, max(whole.first + 1, int(where * len(history))))
    begun = scan(machine, history.head(cut))
    assert same(whole, [begun, scan(machine, history, world=begun.world)])


LIGHT = ("next_open", "next_close", "same_close", "lots", "called")


def in_full(machine: bg.Machine, history: History) -> Result:
    """Run a machine with the table of orders it does not need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("barograph.execution.terms.Terms.fits_light_book", lambda _: False)
        run = interpreted(machine, history)
    assert run.arrays.events.shape[1] > 10
    return run


def agree(light: Result, full: Result) -> bool:
    mine, theirs = light.arrays, full.arrays
    tables = [(getattr(mine, name), getattr(theirs, name)) for name in ("table", "weights", "beliefs")]
    same_log = np.array_equal(mine.events, theirs.events[:, : mine.events.shape[1]], equal_nan=True)
    return same_log and all(one.tobytes() == other.tobytes() for one, other in tables)


@given(history=made_up(), name=st.sampled_from(LIGHT))
@settings(max_examples=max(60, settings.default.max_examples))
def test_the_light_book_and_the_full_one_write_the_same_bits(history: History, name: str) -> None:
    end = ruin(interpreted, MACHINES[name], history)
    assert end == ruin(in_full, MACHINES[name], history)
    if not end:
        assert agree(interpreted(MACHINES[name], history), in_full(MACHINES[name], history))


@pytest.mark.parametrize("name", LIGHT)
def test_the_two_books_agree_with_splits_dividends_and_delistings_too(name: str) -> None:
    history = some_bars(150, assets=3, seed=4, actions=True)
    assert agree(interpreted(MACHINES[name], history), in_full(MACHINES[name], history))


@given(history=made_up())
@settings(max_examples=15)
def test_a_python_strategy_writes_the_same_bits_as_a_compiled_one(history: History) -> None:
    chosen, terms = machines()["next_open"].filter, bg.Terms(fee=0.001, slippage=0.0005)
    runs = [bg.Machine(strategy=started(step, 0.9), filter=chosen, terms=terms) for step in (lean, lean_in_python)]
    ends = [ruin(scan, machine, history).partition(" ruined ")[2] for machine in runs]
    assert ends[0] == ends[1]
    if not ends[0]:
        assert same(*(scan(machine, history) for machine in runs))


@pytest.mark.parametrize("name", ["next_open", "learns"])
def test_a_world_saved_and_loaded_goes_on_to_the_same_bits(name: str, tmp_path: Path) -> None:
    history = history_for(name)
    whole = scan(MACHINES[name], history)
    begun = scan(MACHINES[name], history.head(80))
    begun.world.save(tmp_path / "world")
    assert same(whole, [begun, scan(MACHINES[name], history, world=bg.World.load(tmp_path / "world"))])


def test_a_broken_or_foreign_world_is_refused(tmp_path: Path) -> None:
    (tmp_path / "world").write_bytes(b"not a world")
    with pytest.raises(bg.DataError, match="is not a saved world"):
        bg.World.load(tmp_path / "world")
    begun = scan(MACHINES["next_open"], some_bars(50, assets=3))
    with pytest.raises(bg.DataError, match="has seen 50 bars, some_bars has 40"):
        scan(MACHINES["next_open"], some_bars(40, assets=3), world=begun.world)
    for other in (some_bars(60, assets=2), some_bars(60, assets=3, seed=1)):
        with pytest.raises(bg.DataError, match="are not those this world has seen"):
            scan(MACHINES["next_open"], other, world=begun.world)
    with pytest.raises(bg.DataError, match="belongs to another machine"):
        scan(MACHINES["features"], some_bars(50, assets=3), world=begun.world)


def test_the_law_can_fail() -> None:
    """A part that keeps something outside its state is caught."""
    seen: list[float] = []

    def remembers(state, bars, belief, portfolio, params):
        seen.append(0.0)
        return state, bg.Target(min(1.0, len(seen) / 1000.0))

    with pytest.raises(AssertionError, match=r"differ|changed"):
        check_machine(bg.Machine(strategy=bg.strategy(remembers)), some_bars(40, missing=0.0))


def digests() -> dict[str, str]:
    """Hash what every machine writes; run by other interpreters and compared."""
    found = {}
    for name, machine in MACHINES.items():
        run = interpreted(machine, history_for(name)) if "--plain" in sys.argv else scan(machine, history_for(name))
        parts = [run.arrays.table, run.arrays.weights, run.arrays.beliefs, run.arrays.events]
        found[name] = hashlib.sha256(b"".join(p.tobytes() for p in parts)).hexdigest()
    return found


def test_plain_python_without_a_compiler_writes_the_same_bits() -> None:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONHASHSEED": "7"}
    code = "import json; from tests.test_parity import digests; print(json.dumps(digests()))"
    root = ROOT
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == digests()


def test_smoothed_probabilities_cannot_reach_a_strategy() -> None:
    """Hindsight has a type of its own, with no field a sizing rule reads, and the machine refuses it by name."""
    smoothed = bg.Smoothed(np.full((1, 2), 0.5))
    assert not hasattr(smoothed, "probs")
    dishonest = bg.Filter(lambda _: 0, lambda *seen: (seen[0], smoothed), (), 2, "dishonest")
    with pytest.raises(bg.PartError, match="filter dishonest: wanted a Belief"):
        scan(bg.Machine(strategy=started(lean), filter=dishonest), some_bars(20))


def test_a_strategy_cannot_write_into_what_it_is_lent() -> None:
    def greedy(state, bars, belief, portfolio, params):
        portfolio.quantity[0] = 1e9
        return state, bg.Target(0.0)

    with pytest.raises(bg.PartError, match="read-only"):
        scan(bg.Machine(strategy=bg.strategy(greedy)), some_bars(20))


def test_init_and_step_must_remember_the_same_kinds() -> None:
    def grows(state, bars, belief, portfolio, params):
        return state + 0.5, bg.Target(0.0)

    with pytest.raises(bg.PartError, match="strategy grows: init gives a state like int but step returns float"):
        scan(bg.Machine(strategy=bg.strategy(grows, init=lambda _: 0)), some_bars(20))
