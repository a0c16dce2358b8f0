"""The audit says 0 where nothing leaks, and finds a leak of one bar wherever it is planted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph import orders
from barograph.audit.lookahead import ANSWERS, audit, largest_changes
from barograph.execution.events import CANCELLED, EXPIRED, FILLED
from barograph.jit.kernel import kernel
from barograph.loop import run as loops
from barograph.loop import session, wiring
from barograph.testing import coin, some_bars
from tests.kit.machines import follow, lean, learnable, machines, started
from tests.metrics.test_trades import eventful


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
    begin = session.Session._begin

    def eager(self: session.Session, wired: wiring.Wired) -> Any:
        self._observe(wired, len(self.history))
        return begin(self, wired)

    monkeypatch.setattr(session.Session, "_begin", eager)


def test_a_leak_in_a_refit_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    _see_everything(monkeypatch)
    rows = bg.Fit.rows
    monkeypatch.setattr(bg.Fit, "rows", lambda self, bar: (rows(self, bar)[0], rows(self, bar)[1] + 1))
    assert "fits" in leaks_in(machines()["learns"], learnable())


def test_a_leak_in_a_scaler_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scale the training window with the spread of one bar too many."""
    _see_everything(monkeypatch)
    fitted = session.Session._fitted

    def scaled(self: session.Session, lo: int, hi: int, bar: int) -> Any:
        kept = self.X.copy()
        self.X[lo:hi] = (self.X[lo:hi] - np.nanmean(self.X[lo : hi + 1])) / np.nanstd(self.X[lo : hi + 1])
        answer = fitted(self, lo, hi, bar)
        self.X[:] = kept
        return answer

    monkeypatch.setattr(session.Session, "_fitted", scaled)
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


@kernel
def _around(state, bars, belief, portfolio, params):
    """Put a day order below and a bracket above the market, asset by asset, and never mind what became of the last."""
    slip = orders.slip(6)
    for a in range(bars.close.size):
        p = bars.close[a]
        if p == p:
            low = orders.limit(slip, a, 5.0, 0.99 * p)
            orders.day(slip, low)
            entry = orders.stop(slip, a, 3.0, 1.01 * p)
            orders.tag(slip, entry, 1)
            orders.bracket(slip, entry, 0.97 * p, 1.05 * p)
    return state, slip


def _acting() -> bg.Machine:
    guards = [bg.Guard("drawdown", 0.02, "reduce_only", cool_down=3), bg.Guard("gross", 1.5)]
    return bg.Machine(
        strategy=bg.strategy(_around), terms=bg.Terms(leverage=2.0, resting=16, cash=10_000.0, guards=guards)
    )


def test_orders_guards_and_actions_are_audited_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders that expire, splits, dividends, a delisting and guards; in plain Python, which has the same bits."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    history = eventful()
    happened = loops.scan(_acting(), history)
    assert set(happened.tables["events"]["event"]) >= {"split", "dividend", "delisted", "guard", "released"}
    assert "expired" in set(happened.tables["orders"]["status"])
    found = audit(_acting(), history, cuts=4)
    assert found.clean, found.leaks
    assert found.changes["events"] == 0.0


@pytest.mark.parametrize(("code", "answer"), [(CANCELLED, "events"), (EXPIRED, "events"), (FILLED, "fills")])
def test_a_change_of_any_event_is_seen(monkeypatch: pytest.MonkeyPatch, code: int, answer: str) -> None:
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    run = loops.scan(_acting(), eventful())
    log = run.arrays.events.copy()
    row = np.flatnonzero(log[:, 0] == code)[0]
    log[row, 1] += 1.0
    changes = largest_changes(run, replace(run, arrays=replace(run.arrays, logs=log)), len(run.history) - 1)
    assert {name for name, change in changes.items() if change > 0.0} == {answer}
