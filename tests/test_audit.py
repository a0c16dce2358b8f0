"""The audit says 0 where nothing leaks, and finds a leak of one bar wherever it is planted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph import loops, machine
from barograph.audit import ANSWERS, audit
from barograph.compiling import kernel
from barograph.testing import coin, some_bars
from tests.machines import follow, lean, learnable, machines, started


def test_an_honest_machine_is_clean() -> None:
    found = audit(machines()["learns"], learnable(), cuts=3)
    assert found.clean
    assert found.changes == dict.fromkeys(ANSWERS, 0.0)
    assert found.fits >= 4
    assert set(found.sharpe) == {"filtered", "viterbi", "smoothed"}


def test_cuts_include_bars_with_a_fit() -> None:
    machine_, history = machines()["learns"], learnable()
    bars = {fit.bar for fit in loops.scan(machine_, history).fits}
    assert bars & set(audit(machine_, history, cuts=2).cuts)


def leaks_in(machine_: bg.Machine, history: bg.History) -> set[str]:
    return {leak.answer for leak in audit(machine_, history, cuts=4).leaks}


@kernel
def _tomorrow(state, bars, params):
    # The columns lie one row after another: reading past the end of today's row is reading tomorrow's.
    return state, math.log(bars.close[bars.close.size] / bars.close[0])


def test_a_leak_in_a_feature_is_caught() -> None:
    feature = bg.Feature(lambda _: 0, _quiet(_tomorrow), (), "tomorrow")
    found = leaks_in(bg.Machine(strategy=started(lean), features=[feature], filter=coin()), some_bars(missing=0.0))
    assert {"features", "probabilities", "decisions"} <= found


@kernel
def _knows(state, bars, belief, portfolio, params):
    return state, bg.Target(1.0 if bars.close[bars.close.size] > bars.close[0] else 0.0)


def test_a_leak_in_a_strategy_is_caught() -> None:
    planted = bg.strategy(_quiet(_knows))
    assert "decisions" in leaks_in(bg.Machine(strategy=planted, filter=coin()), some_bars(missing=0.0))


def _quiet(step: Any) -> Any:
    """Let the machine's trial on one made-up bar pass: plain Python does see that the index is out of bounds."""

    class Trusted(type(step)):  # type: ignore[misc]
        def __call__(self, *args: Any) -> Any:
            try:
                return self.py_func(*args)
            except IndexError:
                return args[0], (0.0 if step is _tomorrow else bg.Target(0.0))

    return Trusted(step.py_func, door=False)


def _see_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute every feature before the first fit: the loop otherwise has nothing beyond the decision bar to leak."""
    begin = loops.Session._begin

    def eager(self: loops.Session, wired: machine.Wired) -> Any:
        self._observe(wired, len(self.history))
        return begin(self, wired)

    monkeypatch.setattr(loops.Session, "_begin", eager)


def test_a_leak_in_a_refit_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    _see_everything(monkeypatch)
    rows = bg.Fit.rows
    monkeypatch.setattr(bg.Fit, "rows", lambda self, bar: (rows(self, bar)[0], rows(self, bar)[1] + 1))
    assert "fits" in leaks_in(machines()["learns"], learnable())


def test_a_leak_in_a_scaler_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scale the training window with the spread of one bar too many."""
    _see_everything(monkeypatch)
    fitted = loops.Session._fitted

    def scaled(self: loops.Session, lo: int, hi: int, bar: int) -> Any:
        kept = self.X.copy()
        self.X[lo:hi] = (self.X[lo:hi] - np.nanmean(self.X[lo : hi + 1])) / np.nanstd(self.X[lo : hi + 1])
        answer = fitted(self, lo, hi, bar)
        self.X[:] = kept
        return answer

    monkeypatch.setattr(loops.Session, "_fitted", scaled)
    assert "fits" in leaks_in(machines()["learns"], learnable())


def test_without_a_plant_the_eager_loop_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """The helper above changes nothing by itself: what is caught is the plant."""
    _see_everything(monkeypatch)
    assert audit(machines()["learns"], learnable(), cuts=3).clean


def test_hindsight_pays_on_a_world_of_regimes() -> None:
    """Smoothed probabilities earn more than filtered ones: the meter has something to show."""
    history = learnable(600, seed=11)
    found = audit(
        bg.Machine(strategy=bg.strategy(follow), model=machines()["learns"].model, fit=bg.Fit(window=120, every=120)),
        history,
        cuts=1,
    )
    assert all(np.isfinite(value) for value in found.sharpe.values())
    assert len(set(found.sharpe.values())) == 3
