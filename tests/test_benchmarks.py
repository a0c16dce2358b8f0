"""The benchmarks at a thousandth of their size: that they run, say what is missing, and agree where they must."""

from __future__ import annotations

import builtins
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import published
from benchmarks.__main__ import SUBJECTS, show
from benchmarks.ceilings import alarms, balanced, brier, delays
from benchmarks.engine import fused_run, one_asset, true_filter
from benchmarks.peers import PEERS, crossing, online
from benchmarks.runs import one_run, untold
from rich.console import Console

import barograph as bg
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_strategies.regime_filter import regime_filter

# Every model in a line fits them all, at any size: one of a kind of which others always run.
LONG = ("models",)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.long] if n in LONG else []) for n in SUBJECTS])
def test_every_benchmark_runs(name: str) -> None:
    table = SUBJECTS[name](0.001)
    console = Console(width=250, file=io.StringIO(), record=True)
    show(table, console)
    text = console.export_text()
    assert table.rows
    for row in table.rows:
        assert row.name in text
        assert math.isfinite(row.value) if row.value is not None else "not installed" in row.beside


def test_peer_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.partition(".")[0] in {"vectorbt", "backtesting", "bt", "backtrader", "hmmlearn"}:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    told = [row.beside for row in (*crossing(0.0001).rows, *online(0.01).rows)]
    for name in (*(peer[0] for peer in PEERS), "hmmlearn"):
        assert any(f"{name}: not installed" in line for line in told)


@pytest.mark.parametrize("leverage", [0.9, 1.0, 2.0])
def test_loop_by_hand_is_the_engine_to_the_bit(leverage: float) -> None:
    history = one_asset(20_000)
    terms = {"fee": 0.001, "fixed_fee": 3.0, "slippage": 0.0004, "cash_rate": 0.02, "leverage": leverage}
    machine = bg.Machine(strategy=regime_filter(), filter=true_filter(), terms=bg.Terms(**terms))
    run = bg.scan(machine, history)
    assert len(run.arrays.events) > 50
    assert fused_run(machine, history).tobytes() == np.ascontiguousarray(run.arrays.equity).tobytes()


def test_what_a_fit_does_not_tell_of_itself_is_counted() -> None:
    random = np.random.default_rng(0)
    returns = 0.01 * random.standard_normal(420) * np.repeat([1.0, 3.0, 1.0], 140)
    run = one_run(returns, gaussian_hmm(states=2, starts=2), 250)
    assert (run.ended, run.fits, run.refused, run.silent) == (True, 3, 0, 0)
    returns[100:140] = 0.0
    still = one_run(returns, gaussian_hmm(states=2, starts=2), 250)
    assert (still.degenerate > 0, still.silent) == (True, 0)
    fitted = gaussian_hmm(states=2, starts=2).fit(returns[:250, None])
    assert list(untold(replace(fitted, degeneracies=()), returns[:250, None]))
    assert not one_run(returns[:200], gaussian_hmm(), 250).ended


def test_scores_by_hand() -> None:
    truth = np.array([0, 0, 1, 1, 1, 0, 0, 1])
    guess = np.array([0, 1, 0, 1, 1, 1, 0, 0])
    assert balanced(guess, truth) == pytest.approx((2 / 4 + 2 / 4) / 2)
    assert delays(guess, truth) == [1]
    assert alarms(guess[None], truth[None]) == pytest.approx(252.0 / 4)
    assert brier(np.array([[0.75, 0.25]]), np.array([1])) == pytest.approx(2 * 0.75**2)


def test_the_published_labels_earn_nearly_what_the_published_net_earns(shared: Path) -> None:
    assert (shared / "deepregime").is_dir()
    figures = {row.name: row.value for row in published.measure(0.0).rows if "trained" not in row.name}
    assert {name: round(value, 2) for name, value in figures.items() if value is not None} == {
        "published predictions, filter": 205.01,
        "published predictions, leveraged": 589.89,
        "its labels alone, filter": 201.92,
        "its labels alone, leveraged": 581.93,
    }
